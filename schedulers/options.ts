/**
 * Checks of options, shared by all schedules: wrong types, invalid values and misspelled names throw here. Each schedule
 * checks relations between its own options, for instance that base is below max.
 */

/** Returns the checked value or throws. `at` names the function and the option: `cyclicLR: base`. */
export type Check<T> = (value: unknown, at: string) => T;

/** A number of steps, or a number of epochs with the number of steps in an epoch. */
export type StepCount = number | { readonly epochs: number; readonly stepsPerEpoch: number };

/** A custom function. JSON stores only its name. `scheduleFromJSON` finds the function in its option `functions`. */
export interface NamedFunction {
  readonly name: string;
  readonly fn: (x: number) => number;
}

type Checks = Readonly<Record<string, Check<unknown>>>;
type Checked<C extends Checks> = { readonly [K in keyof C]: ReturnType<C[K]> };

type OptionName<T> = T extends unknown ? keyof T & string : never;

/** A check for every option of the type `T`. */
type ChecksOf<T> = { readonly [K in OptionName<T>]: Check<unknown> };

/**
 * Checks every option and returns them with their defaults. Throws TypeError for an unknown name. A missing check, or one for a
 * name that the type of `given` does not have, does not compile.
 */
export function read<T extends object, C extends ChecksOf<T>>(
  where: string,
  given: T,
  checks: C & { readonly [K in Exclude<keyof C, OptionName<T>>]: never },
): Checked<C> {
  const options = onlyNames(where, given, Object.keys(checks));
  const entries = Object.entries<Check<unknown>>(checks).map(([name, check]) => [
    name,
    check(options[name], `${where}: ${name}`),
  ]);
  return Object.fromEntries(entries) as Checked<C>;
}

/** Returns the object. Throws TypeError if it has any other names. */
export function onlyNames(
  where: string,
  given: unknown,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  if (!isRecord(given) || isPromise(given))
    throw new TypeError(`${where}: options must be an object (${names.join(', ')}), got ${show(given)}`);
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) {
      throw new TypeError(`${where}: unknown option '${name}' (known: ${names.join(', ')})`);
    }
  }
  return given;
}

export const optional =
  <T, D>(check: Check<T>, fallback: D): Check<T | D> =>
  (value, at) =>
    value === undefined ? fallback : check(value, at);

export const numberThatIs =
  (words: string, holds: (x: number) => boolean): Check<number> =>
  (value, at) => {
    const message = `${at} must be ${words}, got ${show(value)}`;
    if (typeof value !== 'number') throw new TypeError(message);
    if (!Number.isFinite(value) || !holds(value)) throw new RangeError(message);
    return value;
  };

export const finite = numberThatIs('a finite number', () => true);
export const notNegative = numberThatIs('a number >= 0', (x) => x >= 0);
export const positive = numberThatIs('a number > 0', (x) => x > 0);
export const atLeastOne = numberThatIs('a number >= 1', (x) => x >= 1);
export const aboveZeroToOne = numberThatIs('a number > 0 and <= 1', (x) => x > 0 && x <= 1);
export const zeroToOne = numberThatIs('a number >= 0 and <= 1', (x) => x >= 0 && x <= 1);
export const betweenZeroAndOne = numberThatIs('a number > 0 and < 1', (x) => x > 0 && x < 1);
export const wholeFrom0 = numberThatIs('an integer >= 0', (x) => Number.isSafeInteger(x) && x >= 0);
export const wholeFrom1 = numberThatIs('an integer >= 1', (x) => Number.isSafeInteger(x) && x >= 1);

/** A step count in steps. Epochs are rounded to at least one step. */
export const steps: Check<number> = (value, at) =>
  isRecord(value) ? epochsToSteps(value, at) : wholeFrom1(value, at);

/** Like `steps`, but 0 steps are allowed. */
export const stepsOrNone: Check<number> = (value, at) =>
  isRecord(value) ? epochsToSteps(value, at) : wholeFrom0(value, at);

function epochsToSteps(value: Readonly<Record<string, unknown>>, at: string): number {
  const { epochs, stepsPerEpoch } = read(at, value, { epochs: positive, stepsPerEpoch: wholeFrom1 });
  return Math.max(1, Math.round(epochs * stepsPerEpoch));
}

export const oneOf =
  <const T extends string>(names: readonly T[]): Check<T> =>
  (value, at) => {
    const match = names.find((name) => name === value);
    if (match !== undefined) return match;
    const message = `${at} must be ${names.map((name) => `'${name}'`).join(' or ')}, got ${show(value)}`;
    throw typeof value === 'string' ? new RangeError(message) : new TypeError(message);
  };

export const list: Check<readonly unknown[]> = (value, at) => {
  if (!Array.isArray(value)) throw new TypeError(`${at} must be an array, got ${show(value)}`);
  if (value.length === 0) throw new RangeError(`${at} must not be empty`);
  return Array.from(value); // entries that are missing, as in [1, , 2], become undefined
};

/** Strictly increasing step counts. */
export const increasingSteps: Check<readonly number[]> = (value, at) => {
  const counts = list(value, at).map((entry, i) => steps(entry, `${at}[${i}]`));
  counts.forEach((count, i) => {
    if (i > 0 && count <= counts[i - 1]) {
      throw new RangeError(`${at} must increase, got ${counts[i - 1]} before ${count}`);
    }
  });
  return counts;
};

export const namedFunction: Check<NamedFunction> = (value, at) => {
  if (
    !isRecord(value) ||
    typeof value.name !== 'string' ||
    value.name === '' ||
    typeof value.fn !== 'function'
  ) {
    throw new TypeError(
      `${at} must be { name, fn }, got ${show(value)} ` +
        `(write { name: 'my function', fn }; JSON stores the function by its name)`,
    );
  }
  return { name: value.name, fn: value.fn as NamedFunction['fn'] };
};

/** Throws unless low < high. */
export function inOrder(
  where: string,
  low: readonly [string, number],
  high: readonly [string, number],
): void {
  if (low[1] < high[1]) return;
  const hint = low[1] > high[1] ? ' (swap them?)' : '';
  throw new RangeError(
    `${where}: ${low[0]} must be below ${high[0]}, got ${low[0]} ${low[1]} and ${high[0]} ${high[1]}${hint}`,
  );
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  isRecord(value) && typeof value.then === 'function';

/** Formats a value for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (isPromise(value)) {
    // The promise is rejected as an argument, not awaited. Without a handler its rejection would end the process.
    value.then(undefined, () => undefined);
    return 'a promise (is an await missing?)';
  }
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
