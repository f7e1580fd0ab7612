/** What a fuzz target is, and the rule that all of them check: a right answer or a clear error, nothing else. */
import type { Random } from '../random.ts';

/** A reader or a command that gets random input. */
export interface FuzzTarget {
  readonly name: string;
  /** Runs one case. Throws unless the outcome is a right answer or a clear error. */
  readonly run: (random: Random) => Promise<void>;
}

/** Failures after which a target is given up. */
export const MAX_FAILURES = 10;

/** Outcomes since the start of the process. Cases that refuse nothing count as right answers. */
export const outcomes = { refused: 0 };

/** Messages of V8 and Node: they name neither the place nor a fix. */
const RAW =
  /Cannot (read|destructure|convert|set|mix|access)|is not (iterable|a function|a constructor|defined|valid JSON)|Invalid (array|typed)|Unexpected (token|end|non-whitespace)|in JSON at|Maximum call stack|Array buffer allocation|must be of type|\[object |\n\s+at /;

/** Errors of the package, and the built-in ones that its checks of arguments throw. */
const CLASSES = new Set([
  'TypeError',
  'RangeError',
  'ShapeError',
  'DataError',
  'CheckpointError',
  'DamagedFileError',
  'PlanError',
  'UsageError',
]);

const isPlace = (message: string, places: readonly string[]): boolean =>
  places.some((place) => message.startsWith(`${place}:`) || message.startsWith(`${place} `));

/** What is wrong with an error message of one of our places, or null: it must begin with the place and must not be V8's. */
export function complaintOf(error: unknown, places: readonly string[]): string | null {
  if (!(error instanceof Error)) return `threw ${String(error)}, which is no error`;
  if (!CLASSES.has(error.name)) return `threw ${error.name}`;
  if (RAW.test(error.message)) return 'has a message of V8 or Node';
  if (!isPlace(error.message, places)) return `does not begin with ${places.join(' or ')}`;
  if (error.message.length > 3000) return `has a message of ${error.message.length} characters`;
  if (!/\(.+\)|must|expected|known:/s.test(error.message)) return 'has no fix';
  return null;
}

/** The value of a call, or undefined after a clear error, which begins with one of the places. Throws for any other error. */
export async function valueOrRefusal<T>(
  places: readonly string[],
  call: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    const complaint = complaintOf(error, places);
    if (complaint !== null) {
      throw new Error(`the error ${complaint}: ${String(error).slice(0, 600)}`, { cause: error });
    }
    outcomes.refused++;
    return undefined;
  }
}

/** Throws unless a condition about an answer holds. */
export function claim(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Error(what());
}

/** Throws if a case has added a property to the prototype of all objects. */
export function claimPrototypeIntact(): void {
  for (const name in {}) throw new Error(`Object.prototype has the property '${name}'`);
}
