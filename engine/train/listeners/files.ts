/** The files that listeners write: event logs with one JSON object per line, and files that are replaced atomically. */
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DataError } from '../../errors.ts';
import { isRecord } from '../../options.ts';
import type { TrainEvent } from '../events.ts';
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

/** Writes a file atomically: to a temporary file, which is then renamed. */
export async function writeAtomic(where: string, path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined); // report the first error
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
function isEvent(value: unknown): value is LoggedEvent {
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

interface LogContents {
  readonly lines: readonly string[];
  readonly events: readonly LoggedEvent[];
}

async function readLog(where: string, path: string): Promise<LogContents> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { lines: [], events: [] };
    throw new DataError(`${where}: cannot read ${path}: ${message(cause)}`, { cause });
  }
  const lines = text.split('\n');
  lines.pop(); // the empty string after the last line feed, or an incomplete line of a killed process
  const events = lines.map((line, index) => {
    const event = parseLine(line);
    if (event === null) {
      throw new DataError(
        `${where}: ${path} is not a log of events: line ${index + 1} is ${JSON.stringify(line.slice(0, 60))} ` +
          `(move the file, or use another path)`,
      );
    }
    return event;
  });
  return { lines, events };
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
  private readonly where: string;
  private readonly path: string;

  private constructor(where: string, path: string, earlier: readonly LoggedEvent[]) {
    this.where = where;
    this.path = path;
    this.earlier = earlier;
  }

  static async open(where: string, path: string, start: EventLogStart): Promise<EventLog> {
    const log: LogContents =
      start.existing === 'keep' ? await readLog(where, path) : { lines: [], events: [] };
    // A file may contain several runs. The last one is resumed.
    const begin = log.events.findLastIndex((event) => event.type === 'start' && event.step === 0);
    const keep = (event: LoggedEvent, index: number): boolean =>
      start.resumed === 0 || index < begin || isValid(event, start.resumed);
    const lines = log.lines.filter((_, index) => keep(log.events[index], index));
    await writeAtomic(where, path, lines.map((line) => `${line}\n`).join(''));
    const earlier =
      start.resumed === 0 ? [] : log.events.filter((event, index) => index >= begin && keep(event, index));
    return new EventLog(where, path, earlier);
  }

  async write(event: object): Promise<void> {
    try {
      await appendFile(this.path, toLine(event));
    } catch (cause) {
      throw failure(this.where, this.path, cause);
    }
  }
}
