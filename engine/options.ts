/** Checks of arguments and options, with one wording: where, name, what was expected, what was given. */

/** Throws TypeError for what is no object of options, and for options that nothing reads, most often a misspelling. */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  const given: unknown = options;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${where}: takes one object of options (${known.join(', ')}), got ${show(given)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option '${name}' (known: ${known.join(', ')})`);
    }
  }
}

/** Throws RangeError unless `value` is a finite number that `holds`; `words` says which those are: 'a number >= 0'. */
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

/** Throws TypeError unless `given` is an object that has `member`, which is how its kind is told. */
export function checkKind(where: string, name: string, given: unknown, member: string, words: string): void {
  if (typeof given === 'object' && given !== null && member in given) return;
  throw new TypeError(`${where}: ${name} must be ${words}; got ${show(given)}`);
}

/** Whether `value` is a promise, of any realm or library. */
export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<PromiseLike<unknown>>).then === 'function';

/** Throws TypeError for a promise that `called` returned, because it would not be awaited. `fix` says what to do. */
export function refusePromise(called: string, returned: unknown, fix: string): void {
  if (isPromise(returned))
    throw new TypeError(`${called} must be done when it returns, got ${show(returned)} (${fix})`);
}

/** How a value looks in a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (isPromise(value)) {
    // The promise is refused and not awaited. Without a handler its rejection would end the process.
    value.then(undefined, () => undefined);
    return 'a promise (is an await missing?)';
  }
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
