/** Checks of arguments and options. Messages have one form: place, name, expected value, actual value. */

import { knownNames } from './suggest.ts';

/** The names of the options `T`. For a union, those of all its members. */
export type OptionName<T> = T extends unknown ? keyof T & string : never;

/** `N`, if it contains every name of `Name`. */
type Complete<Name extends string, N extends readonly Name[]> = N &
  ([Name] extends [N[number]] ? unknown : { readonly missing: Exclude<Name, N[number]> });

/**
 * Throws TypeError unless `options` is an object whose keys are all in `known`. A list that lacks an option of the type of `options`,
 * or has another name, does not compile.
 */
export function checkOptions<T extends object, const N extends readonly OptionName<T>[]>(
  where: string,
  options: T,
  known: Complete<OptionName<T>, N>,
): void {
  const given: unknown = options;
  const names: readonly string[] = known;
  if (!isRecord(given) || isPromise(given)) {
    throw new TypeError(`${where}: options must be an object (${names.join(', ')}), got ${show(given)}`);
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      const fix = isEvent(given)
        ? `this is an event: is a call missing, ${where}()?`
        : knownNames(name, names);
      throw new TypeError(`${where}: unknown option '${name}' (${fix})`);
    }
    if (FLAGS.has(name) && given[name] !== undefined) checkBoolean(where, name, given[name]);
  }
}

/** Options that are true or false wherever they occur. */
const FLAGS: ReadonlySet<string> = new Set([
  'affine',
  'alignCorners',
  'antialias',
  'append',
  'causal',
  'ceil',
  'descending',
  'exclusive',
  'keepDims',
  'recompute',
  'reverse',
  'swap',
  'transA',
  'transB',
]);

/** Whether options are the event that a listener gets: its factory is in the list of listeners and was not called. */
const isEvent = (given: object): boolean => 'type' in given && 'step' in given;

/** Throws RangeError unless `value` is a finite number for which `holds` is true. `words` describes it: 'a number >= 0'. */
export function checkNumber(
  where: string,
  name: string,
  value: unknown,
  words = 'a finite number',
  holds: (x: number) => boolean = () => true,
): void {
  if (typeof value === 'number' && Number.isFinite(value) && holds(value)) return;
  throw new RangeError(`${where}: ${name} must be ${words}, got ${show(value)}`);
}

/** Throws RangeError unless `value` is an integer in [min, max]. */
export function checkInteger(
  where: string,
  name: string,
  value: unknown,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const words = max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer from ${min} to ${max}`;
  throw new RangeError(`${where}: ${name} must be ${words}, got ${show(value)}`);
}

/** Throws RangeError unless `value` is one of `allowed`. */
export function checkOneOf(where: string, name: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return;
  throw new RangeError(`${where}: ${name} must be ${allowed.map(show).join(' or ')}, got ${show(value)}`);
}

/** Throws TypeError unless `given` is an object with the member `member`, which identifies its kind. */
export function checkKind(where: string, name: string, given: unknown, member: string, words: string): void {
  if (typeof given === 'object' && given !== null && member in given) return;
  throw new TypeError(`${where}: ${name} must be ${words}; got ${show(given)}`);
}

/** Throws TypeError unless `value` is a function. */
export function checkFunction(where: string, name: string, value: unknown, words = 'a function'): void {
  if (typeof value === 'function') return;
  throw new TypeError(`${where}: ${name} must be ${words}, got ${show(value)}`);
}

/** Throws TypeError unless `value` is a text that is not empty. */
export function checkText(where: string, name: string, value: unknown, words = 'a text'): void {
  if (typeof value === 'string' && value !== '') return;
  throw new TypeError(`${where}: ${name} must be ${words}, got ${show(value)}`);
}

/** Throws TypeError unless `value` is true or false. */
export function checkBoolean(where: string, name: string, value: unknown): void {
  if (typeof value === 'boolean') return;
  throw new TypeError(`${where}: ${name} must be true or false, got ${show(value)}`);
}

/** Throws TypeError unless `optimizer` has a config and the functions of an optimizer. */
export function checkOptimizer(where: string, optimizer: unknown): void {
  const isWhole =
    isRecord(optimizer) &&
    isRecord(optimizer['config']) &&
    ['at', 'init', 'update'].every((name) => typeof optimizer[name] === 'function');
  if (isWhole) return;
  throw new TypeError(
    `${where}: optimizer must be an optimizer, for instance sgd({ lr: 0.01 }), got ${show(optimizer)}` +
      (isRecord(optimizer) && !isPromise(optimizer) ? ' without config, at, init or update' : ''),
  );
}

/** Whether `value` is an object with keys, and not an array. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether `value` is a promise, of any realm or library. */
export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<PromiseLike<unknown>>).then === 'function';

/** Throws TypeError for a promise that `called` returned, because nothing would await it. */
export function refusePromise(called: string, returned: unknown, fix: string): void {
  if (isPromise(returned))
    throw new TypeError(`${called} must be synchronous, got ${show(returned)} (${fix})`);
}

/** Formats a value for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (isPromise(value)) {
    // Nothing awaits the promise. Without a handler, its rejection would end the process.
    value.then(undefined, () => undefined);
    return 'a promise (is an await missing?)';
  }
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
