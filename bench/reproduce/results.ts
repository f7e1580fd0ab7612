/**
 * The JSON files of results. After a crash, each is complete or missing. Disks and editors damage files, so every part that the
 * report uses is checked.
 */
import { existsSync, readFileSync } from 'node:fs';
import { nodeFiles, replaceFile } from '../../engine/files.ts';
import { DataError } from '../../engine/index.ts';

/** Writes a result. When the promise resolves, it is on the disk. */
export async function writeResult(path: string, result: object): Promise<void> {
  await replaceFile(nodeFiles, path, [new TextEncoder().encode(`${JSON.stringify(result)}\n`)]);
}

type Check = (value: unknown) => string | null;

const number: Check = (value) => (typeof value === 'number' && Number.isFinite(value) ? null : 'a number');
const numberOrNull: Check = (value) => (value === null ? null : number(value) && 'a number or null');
const whole: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : 'a whole number';
const fraction: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= 1 ? null : 'a number from 0 to 1';
const duration: Check = (value) =>
  typeof value === 'number' && value >= 0 && value < 1e12 ? null : 'a time in milliseconds';
const text: Check = (value) => (typeof value === 'string' ? null : 'a text');
const textOrNull: Check = (value) => (value === null ? null : text(value) && 'a text or null');

/** An object with these members. Others are not checked. */
const object =
  (members: Readonly<Record<string, Check>>): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'an object';
    for (const [name, check] of Object.entries(members)) {
      const wrong = check(Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined);
      if (wrong !== null) return `an object whose ${name} is ${wrong}`;
    }
    return null;
  };

/** An array of at least one such entry. */
const listOf =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length === 0) return 'a list that is not empty';
    const entries: readonly unknown[] = value;
    const wrong = entries.map(check).find((one) => one !== null);
    return wrong === undefined ? null : `a list, each entry ${wrong}`;
  };

const evaluation = object({ step: whole, accuracy: fraction, loss: number });
const point = object({ step: whole, lr: number, loss: number, accuracy: fraction });
const suggestion: Check = (value) => object({ lr: numberOrNull, step: numberOrNull, why: textOrNull })(value);

/** The parts of a finished run that the report uses. */
export const RUN = object({
  seed: whole,
  steps: whole,
  accuracy: fraction,
  stepMs: duration,
  evalMs: duration,
  evaluations: listOf(evaluation),
  training: listOf(point),
});

/** The parts of the summary of a run that its record has. */
export const SUMMARY = object({ state: text, step: whole, stepMs: duration, evalMs: duration });

/** The parts of a range test that the report uses. */
export const RANGE = object({
  seed: whole,
  steps: whole,
  evaluations: listOf(object({ step: whole, lr: number, loss: number, accuracy: fraction })),
  trend: listOf(object({ step: whole, lr: number, loss: number })),
  suggestions: object(
    Object.fromEntries(
      ['rise', 'ragged', 'steepest', 'valley', 'slide', 'minimum'].map((name) => [name, suggestion]),
    ),
  ),
});

/** The parts of a run of `npm start` that the report uses. */
export const START_RUN = object({
  seed: whole,
  step: whole,
  accuracy: fraction,
  evaluations: listOf(evaluation),
  training: listOf(point),
});

/** The record in a result file. Throws DataError, which begins with the path, unless it passes the check. */
export function readRecord<T>(path: string, check: Check): T {
  const fix = 'delete the file and run the experiment again';
  let record: unknown;
  try {
    record = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new DataError(`${path}: the result cannot be read: not JSON, or not readable (${fix})`, { cause });
  }
  const wrong = check(record);
  if (wrong === null) return record as T;
  throw new DataError(`${path}: the result is damaged: expected ${wrong} (${fix})`);
}

/** Whether there is a result. Logs one that is damaged, which counts as none. */
export function hasResult(path: string, check: Check, log: (line: string) => void): boolean {
  if (!existsSync(path)) return false;
  try {
    readRecord(path, check);
    return true;
  } catch (error) {
    log((error as Error).message);
    return false;
  }
}
