/** The files that listeners write: event logs with one JSON object a line, and whole files that appear at once. */
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DataError } from '../../errors.ts';
import type { TrainEvent } from '../events.ts';
import { message } from './format.ts';

/** What an event looks like when it is read back. */
export interface LoggedEvent {
  readonly type: TrainEvent['type'];
  readonly step: number;
  readonly [field: string]: unknown;
}

/**
 * One event as one line of JSON. What JSON cannot say is written so that nothing is lost: an error as
 * `{ name, message }`, a number that is not finite as the string 'NaN', 'Infinity' or '-Infinity'.
 */
export function toLine(event: object): string {
  const text = JSON.stringify(event, (_key, value: unknown) => {
    if (value instanceof Error) return { name: value.name, message: value.message };
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return value;
  });
  return `${text}\n`;
}

/** Writes a file that is never seen half-written: beside its place, then renamed onto it. */
export async function writeAtomic(where: string, path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first failure is the one to report
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
    const isEvent = typeof value === 'object' && value !== null && 'type' in value && 'step' in value;
    return isEvent ? (value as LoggedEvent) : null;
  } catch {
    return null;
  }
}

/** Whether an event still holds for a run that goes on after `resumed` updates. */
function holds(event: LoggedEvent, resumed: number): boolean {
  // A step event names its update, from 0; a start at the very same step was a try that got nowhere.
  if (event.type === 'step' || event.type === 'start') return event.step < resumed;
  return event.step <= resumed;
}

interface Earlier {
  readonly lines: readonly string[];
  readonly events: readonly LoggedEvent[];
}

async function readEarlier(where: string, path: string): Promise<Earlier> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { lines: [], events: [] };
    throw new DataError(`${where}: cannot read ${path}: ${message(cause)}`, { cause });
  }
  const lines = text.split('\n');
  lines.pop(); // nothing after the last line feed, or the torn line of a process that was killed
  const events = lines.map((line, index) => {
    const event = parseLine(line);
    if (event === null) {
      throw new DataError(
        `${where}: ${path} is not a log of events: line ${index + 1} is ${JSON.stringify(line.slice(0, 60))} ` +
          `(move the file away, or choose another path)`,
      );
    }
    return event;
  });
  return { lines, events };
}

/** Where the log begins: `resumed` updates are done (0 for a fresh run), and what to do with a file that is there. */
export interface EventLogStart {
  readonly resumed: number;
  readonly existing: 'keep' | 'discard';
}

/**
 * A file with one event a line. Each line is one awaited write, so a killed process loses at most the last. The file is
 * open during a write only: a run that is left in the middle leaves no handle behind.
 */
export class EventLog {
  /** The events of this run that earlier processes left, up to the step at which it resumed. */
  readonly earlier: readonly LoggedEvent[];
  private readonly where: string;
  private readonly path: string;

  private constructor(where: string, path: string, earlier: readonly LoggedEvent[]) {
    this.where = where;
    this.path = path;
    this.earlier = earlier;
  }

  static async open(where: string, path: string, start: EventLogStart): Promise<EventLog> {
    const found: Earlier =
      start.existing === 'keep' ? await readEarlier(where, path) : { lines: [], events: [] };
    // A file may hold several runs, one after another. Only the last one is being resumed.
    const begin = found.events.findLastIndex((event) => event.type === 'start' && event.step === 0);
    const keep = (event: LoggedEvent, index: number): boolean =>
      start.resumed === 0 || index < begin || holds(event, start.resumed);
    const lines = found.lines.filter((_, index) => keep(found.events[index], index));
    await writeAtomic(where, path, lines.map((line) => `${line}\n`).join(''));
    const earlier =
      start.resumed === 0 ? [] : found.events.filter((event, index) => index >= begin && keep(event, index));
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
