/** Every event of a run as one line of JSON, in a file or on a stream, for other programs. */
import { nodeFiles, type Files } from '../../files.ts';
import { checkKind, checkOptions, checkText } from '../../options.ts';
import type { Listener, Notice, TrainEvent } from '../events.ts';
import { EventLog, toLine } from './files.ts';
import { TextStream, type TextOutput } from './streams.ts';

export type JsonLinesOptions =
  | {
      /** The path of the file. Missing folders are created. */
      readonly path: string;
      /**
       * Whether to append to an existing file, or to replace it. Default: a resumed run appends, a new run replaces.
       */
      readonly append?: boolean;
    }
  | {
      /** A stream, for instance `process.stdout`. It stays open. */
      readonly stream: TextOutput;
    };

/**
 * A listener that writes every event as one line of JSON. Training waits for each line, so a killed process loses at most the last one.
 * The lines of a file are flushed to the disk before each checkpoint and at the end.
 *
 * A resumed run first removes an incomplete last line and the events after its step, then appends. A notice reports lines that are no
 * events. Errors are written as
 * `{ name, message }`, and numbers that are not finite as strings.
 *
 * Throws TypeError unless there is either a path or a stream. The listener throws DataError if it cannot write, or if the file to append
 * to is not a log of events. If the reader of a pipe closes it (`| head`), training continues without output.
 *
 * @example await fit({ ...options, listeners: [jsonLines({ path: 'runs/all.jsonl' })] });
 */
export function jsonLines(options: JsonLinesOptions): Listener {
  checkOptions('jsonLines', options, ['path', 'append', 'stream']);
  if ('path' in options === 'stream' in options) {
    throw new TypeError('jsonLines: pass either path or stream');
  }
  if ('path' in options) checkText('jsonLines', 'path', options.path, 'the path of a file');
  else checkKind('jsonLines', 'stream', options.stream, 'write', 'a stream, for instance process.stdout');
  return 'path' in options ? linesTo(nodeFiles, options.path, options.append) : toStream(options.stream);
}

/** `jsonLines` with a path, for any file system. */
export function linesTo(files: Files, path: string, append?: boolean): Listener {
  let log: EventLog | null = null;
  let notices: readonly Notice[] = [];
  /** The log of a run. One that failed before its start has only an `end`, which must not change an existing file. */
  const openFor = async (event: TrainEvent): Promise<EventLog> => {
    if (event.type !== 'start') return EventLog.after(files, 'jsonLines', path);
    const keep = append ?? event.step > 0;
    const existing = keep ? 'keep' : 'discard';
    const opened = await EventLog.open(files, 'jsonLines', path, { resumed: event.step, existing });
    notices = opened.notices;
    return opened;
  };
  const listener = async (event: TrainEvent): Promise<void> => {
    log ??= await openFor(event);
    const current = log;
    if (event.type === 'end') log = null;
    await current.write(event);
    if (event.type === 'end') await current.flush();
  };
  return Object.assign(listener, {
    flush: async () => log?.flush(),
    takeNotices: () => {
      const taken = notices;
      notices = [];
      return taken;
    },
  });
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
