/** Every event of a run as one line of JSON, in a file or on a stream, for other programs. */
import { checkOptions } from '../../options.ts';
import type { Listener } from '../events.ts';
import { EventLog, toLine } from './files.ts';
import { TextStream, type TextOutput } from './streams.ts';

export type JsonLinesOptions =
  | {
      /** The path of the file. Missing folders are created. */
      readonly path: string;
      /**
       * What to do with an existing file. Default: a resumed run appends to it, a new run replaces it. `true`: a new run also
       * appends to it. `false`: it is always replaced.
       */
      readonly append?: boolean;
    }
  | {
      /** A stream, for instance `process.stdout`. It is not closed. */
      readonly stream: TextOutput;
    };

/**
 * Writes every event as one line of JSON. A line is written before training continues, so a killed process loses at most the last
 * line.
 *
 * A run that resumes appends to the file of the earlier process. An incomplete last line and the events after the resumed step are
 * removed first. The part of each process starts with a `start` event. An error is written as `{ name, message }`, and a number that
 * is not finite as a string.
 *
 * Throws DataError if the file or stream cannot be written, or if the file to append to is not a log of events. If the reader of a
 * pipe closes it (`| head`), training continues without further output.
 *
 * @example listeners: [jsonLines({ path: 'runs/clr/all.jsonl' })]
 */
export function jsonLines(options: JsonLinesOptions): Listener {
  checkOptions('jsonLines', options, ['path', 'append', 'stream']);
  if ('path' in options === 'stream' in options) {
    throw new TypeError('jsonLines: pass either path or stream');
  }
  return 'path' in options ? toFile(options.path, options.append) : toStream(options.stream);
}

function toFile(path: string, append: boolean | undefined): Listener {
  let log: EventLog | null = null;
  return async (event) => {
    const resumed = event.type === 'start' ? event.step : 0;
    // A run that failed before its start has only an `end`, which must not replace an existing file.
    const keep = event.type !== 'start' || (append ?? resumed > 0);
    log ??= await EventLog.open('jsonLines', path, {
      resumed,
      existing: keep ? 'keep' : 'discard',
    });
    const current = log;
    if (event.type === 'end') log = null;
    await current.write(event);
  };
}

function toStream(stream: TextOutput): Listener {
  let out: TextStream | null = null;
  return async (event) => {
    out ??= new TextStream('jsonLines', stream);
    await out.write(toLine(event));
    if (event.type === 'end') {
      out.release();
      out = null;
    }
  };
}
