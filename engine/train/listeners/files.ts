/** The files that listeners write: event logs with one JSON object per line, and files that are replaced atomically. */
import { dirname } from 'node:path';
import { DataError } from '../../errors.ts';
import {
  appendBytes,
  codeOf,
  endsInsideLine,
  LINE_FEED,
  makeFolder,
  readText,
  replaceFile,
  type Files,
} from '../../files.ts';
import { isRecord } from '../../options.ts';
import type { Notice, TrainEvent } from '../events.ts';
import { message } from './format.ts';

/** An event of a log file. */
export interface LoggedEvent {
  readonly type: TrainEvent['type'];
  readonly step: number;
  readonly [field: string]: unknown;
}

/**
 * One event as one line of JSON. JSON has no errors and no numbers that are not finite: an error becomes `{ name, message }`, such a
 * number becomes the string 'NaN', 'Infinity' or '-Infinity'.
 */
export function toLine(event: object): string {
  const text = JSON.stringify(event, (_key, value: unknown) => {
    if (value instanceof Error) return { name: value.name, message: value.message };
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return value;
  });
  return `${text}\n`;
}

/** Replaces a text file atomically. */
export async function replaceText(files: Files, where: string, path: string, text: string): Promise<void> {
  try {
    await replaceFile(files, path, [new TextEncoder().encode(text)]);
  } catch (cause) {
    throw failure(where, path, cause);
  }
}

function failure(where: string, path: string, cause: unknown): DataError {
  return new DataError(
    `${where}: cannot write ${path}: ${message(cause)} (is the disk full, or the folder not writable?)`,
    { cause },
  );
}

function parseLine(line: string): LoggedEvent | null {
  try {
    const value: unknown = JSON.parse(line);
    return isEvent(value) ? value : null;
  } catch {
    return null;
  }
}

/** Whether a line is an event as `toLine` writes it. Fields that reports compute with must be numbers. */
export function isEvent(value: unknown): value is LoggedEvent {
  if (!isRecord(value) || typeof value['type'] !== 'string' || !isCount(value['step'])) return false;
  if (value['type'] === 'eval') {
    return (
      isNumber(value['loss']) &&
      isNumbers(value['metrics']) &&
      isCount(value['examples']) &&
      isTime(value['ms'])
    );
  }
  if (value['type'] !== 'step') return true;
  const { over = 1 } = value;
  return (
    isNumber(value['loss']) &&
    isNumbers(value['metrics']) &&
    isNumbers(value['hyper']) &&
    isTime(value['ms']) &&
    isCount(value['steps']) &&
    isCount(over) &&
    over > 0
  );
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isTime = (value: unknown): boolean => typeof value === 'number' && value >= 0;

/** Whether a value is a number in JSON: numbers that are not finite are strings. */
const isNumber = (value: unknown): boolean =>
  typeof value === 'number' || value === 'NaN' || value === 'Infinity' || value === '-Infinity';

const isNumbers = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isNumber);

/** Whether an event remains valid for a run that resumes after `resumed` updates. */
function isValid(event: LoggedEvent, resumed: number): boolean {
  // The step of a step event is the index of its update. A start at the same step belongs to a process that made no progress.
  if (event.type === 'step' || event.type === 'start') return event.step < resumed;
  return event.step <= resumed;
}

/** A line of a log with its event. */
interface LogLine {
  readonly text: string;
  readonly event: LoggedEvent;
}

interface LogContents {
  readonly lines: readonly LogLine[];
  readonly notices: readonly Notice[];
}

/**
 * The events of a log. Leaves out an incomplete last line, which a killed process leaves, and with a notice other lines that a disk
 * without space or power tore. Throws DataError if the first line is no event: the file is something else.
 */
async function readLog(files: Files, where: string, path: string): Promise<LogContents> {
  let text: string;
  try {
    text = await readText(files, path);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return { lines: [], notices: [] };
    throw new DataError(`${where}: cannot read ${path}: ${message(cause)}`, { cause });
  }
  const lines: LogLine[] = [];
  const notices: Notice[] = [];
  for (const [index, line] of text.split('\n').slice(0, -1).entries()) {
    if (line === '') continue; // begun after a failed write
    const event = parseLine(line);
    const what = `line ${index + 1} is ${JSON.stringify(line.slice(0, 60))}`;
    if (event !== null) {
      lines.push({ text: line, event });
    } else if (lines.length === 0) {
      throw new DataError(
        `${where}: ${path} is not a log of events: ${what} (move the file, or use another path)`,
      );
    } else {
      notices.push({
        code: 'log-damaged',
        message: `${path}: a line that is no event was left out: ${what}`,
      });
    }
  }
  return { lines, notices };
}

/** The start of the log: the updates done (0 for a new run), and what to do with an existing file. */
export interface EventLogStart {
  readonly resumed: number;
  readonly existing: 'keep' | 'discard';
}

/**
 * A file with one event per line. Each line is one awaited write, so a killed process loses at most the last line. The file is open
 * only during a write, so a run that is abandoned leaves no open handle.
 */
export class EventLog {
  /** The events that earlier processes of this run logged, up to the step at which it resumed. */
  readonly earlier: readonly LoggedEvent[];
  /** What was wrong with the file. */
  readonly notices: readonly Notice[];
  private readonly files: Files;
  private readonly where: string;
  private readonly path: string;
  /** Text that could not be written. The next write repeats it, so a disk that was full for a while loses no event. */
  private unwritten = '';

  private constructor(
    files: Files,
    where: string,
    path: string,
    earlier: readonly LoggedEvent[],
    notices: readonly Notice[],
  ) {
    this.files = files;
    this.where = where;
    this.path = path;
    this.earlier = earlier;
    this.notices = notices;
  }

  static async open(files: Files, where: string, path: string, start: EventLogStart): Promise<EventLog> {
    const { resumed, existing } = start;
    const log = existing === 'keep' ? await readLog(files, where, path) : { lines: [], notices: [] };
    // A file may contain several runs. The last one is resumed.
    const begin = log.lines.findLastIndex(({ event }) => event.type === 'start' && event.step === 0);
    const kept = log.lines.filter(
      ({ event }, index) => resumed === 0 || index < begin || isValid(event, resumed),
    );
    await replaceText(files, where, path, kept.map(({ text }) => `${text}\n`).join(''));
    const earlier = resumed === 0 ? [] : kept.slice(Math.max(begin, 0)).map(({ event }) => event);
    return new EventLog(files, where, path, earlier, log.notices);
  }

  /** A log that only gets lines at its end, because another run may be writing to the file. */
  static async after(files: Files, where: string, path: string): Promise<EventLog> {
    const log = new EventLog(files, where, path, [], []);
    try {
      await makeFolder(files, dirname(path));
      if (await endsInsideLine(files, path)) log.unwritten = '\n';
    } catch (cause) {
      throw failure(where, path, cause);
    }
    return log;
  }

  async write(event: object): Promise<void> {
    await this.append(toLine(event), false);
  }

  /** Flushes all lines to the disk. */
  async flush(): Promise<void> {
    await this.append('', true);
  }

  private async append(text: string, flush: boolean): Promise<void> {
    const bytes = new TextEncoder().encode(this.unwritten + text);
    let done = 0;
    try {
      await appendBytes(this.files, this.path, bytes, flush, (count) => void (done = count));
    } catch (cause) {
      throw failure(this.where, this.path, cause);
    } finally {
      this.unwritten = remainder(bytes, done);
    }
  }
}

/** What remains of lines of which `done` bytes were written. A line that was torn is written again, after a line feed. */
function remainder(bytes: Uint8Array, done: number): string {
  const begin = done === 0 ? 0 : bytes.lastIndexOf(LINE_FEED, done - 1) + 1;
  const isTorn = begin < done && bytes[done] !== LINE_FEED;
  return (isTorn ? '\n' : '') + new TextDecoder().decode(bytes.subarray(isTorn ? begin : done));
}
