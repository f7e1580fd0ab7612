/** Every event of a run as one line of JSON, in a file or on a stream. For other programs, and for the record. */
import { checkOptions } from '../../options.ts';
import type { Listener } from '../events.ts';
import { EventLog, toLine } from './files.ts';
import { TextStream, type TextOutput } from './streams.ts';

export type JsonLinesOptions =
  | {
      /** The file. Folders on the way to it are made. */
      readonly path: string;
      /**
       * What happens to a file that is there. Left out: a resumed run goes on in it, a fresh run replaces it. `true`:
       * a fresh run is written after what is there. `false`: it is always replaced.
       */
      readonly append?: boolean;
    }
  | {
      /** A stream of the caller's, for instance `process.stdout`. It is not closed. */
      readonly stream: TextOutput;
    };

/**
 * Writes every event as one JSON object a line. A line is written before training goes on, so a process that is
 * killed loses at most the last line.
 *
 * A run that resumes goes on in the file of the earlier process: its torn last line and its events after the step of
 * the resume are dropped first, and each process's part begins with its own `start` event.
 * An error is written as `{ name, message }`, a number that is not finite as a string.
 *
 * Throws DataError when the file or stream cannot be written, or the file to go on in is not a log of events. A
 * reader that closes its end of a pipe (`| head`) is no failure: nothing more is written, and training goes on.
 *
 * @example listeners: [jsonLines({ path: 'runs/clr/all.jsonl' })]
 */
export function jsonLines(options: JsonLinesOptions): Listener {
  checkOptions('jsonLines', options, ['path', 'append', 'stream']);
  if ('path' in options === 'stream' in options) {
    throw new TypeError('jsonLines: takes either the path of a file or a stream');
  }
  return 'path' in options ? toFile(options.path, options.append) : toStream(options.stream);
}

function toFile(path: string, append: boolean | undefined): Listener {
  let log: EventLog | null = null;
  return async (event) => {
    const resumed = event.type === 'start' ? event.step : 0;
    // A run that failed before its start has only an `end`. It must not cost the file that is there.
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
