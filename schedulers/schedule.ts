/**
 * A schedule is a pure function of the step, together with the plain data that rebuilds it. It has no counters and does
 * not depend on the order of calls. The kinds are in the other files, and `json.ts` lists them all.
 */
import {
  finite,
  isRecord,
  namedFunction,
  show,
  wholeFrom0,
  type Check,
  type NamedFunction,
} from './options.ts';

export type Json = number | string | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** Plain data that `scheduleFromJSON` turns back into the schedule. Every default is written out in it. */
export interface ScheduleConfig {
  readonly kind: string;
  readonly [option: string]: Json;
}

/** Steps `start` to `end - 1` of a schedule. Training is best stopped at the `end` of a complete cycle. */
export interface Cycle {
  readonly start: number;
  readonly end: number;
  /** The amplitude, relative to the first cycle of the same schedule. */
  readonly relativeAmplitude: number;
  /** False where a boundary of `join` or `repeat` cuts the cycle off before its end. */
  readonly complete: boolean;
}

/** The value of a hyperparameter at each step; step 0 is the first update. */
export interface Schedule {
  (step: number): number;
  readonly config: ScheduleConfig;
  toJSON(): ScheduleConfig;
  /**
   * The cycles that end after step `from` (default 0), in order. Infinite where the schedule never stops cycling, empty where it has
   * none.
   */
  cycles(from?: number): Iterable<Cycle>;
}

/**
 * Makes a schedule from a function and the options it was built from.
 *
 * The schedule checks its step, and that the function returns a number. `cycles` may begin with the cycles at step `from`: those
 * before it are left out.
 */
export function makeSchedule(
  kind: string,
  options: Readonly<Record<string, unknown>>,
  valueAt: (step: number) => number,
  cycles: (from: number) => Iterable<Cycle> = () => [],
): Schedule {
  const config = toPlain({ kind, ...options }) as ScheduleConfig;
  const schedule = (step: number): number => {
    const value = valueAt(wholeFrom0(step, `${kind}: step`));
    if (!Number.isFinite(value))
      throw new RangeError(`${kind}: the value at step ${step} must be a finite number, got ${show(value)}`);
    return value;
  };
  function* after(from = 0): Generator<Cycle> {
    for (const cycle of cycles(wholeFrom0(from, `${kind}: cycles: from`))) if (cycle.end > from) yield cycle;
  }
  return Object.freeze(Object.assign(schedule, { config, toJSON: () => config, cycles: after }));
}

/** Options as JSON: schedules by their config, functions by their name. Undefined options are left out. */
function toPlain(value: unknown): Json {
  if (isSchedule(value)) return value.config;
  if (Array.isArray(value)) return Object.freeze(value.map(toPlain));
  if (!isRecord(value)) return value as Json;
  if (typeof value.fn === 'function') return Object.freeze({ name: value.name as string });
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.freeze(Object.fromEntries(entries.map(([name, entry]) => [name, toPlain(entry)])));
}

/**
 * Whether a value is a schedule. A bare function is not.
 *
 * @example isSchedule(constant(0.1)) // true
 */
export function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'function' && 'config' in value && 'cycles' in value;
}

/**
 * The same value at every step.
 *
 *   lr(t) = value
 *
 * Throws RangeError unless the value is finite.
 *
 * @example constant(0.001)(70000) // 0.001
 */
export function constant(value: number): Schedule {
  finite(value, 'constant: value');
  return makeSchedule('constant', { value }, () => value);
}

/** The check of an option that takes a number or a schedule. */
export const numberOrSchedule: Check<number | Schedule> = (value, at) => {
  if (isSchedule(value)) return value;
  if (typeof value === 'number') return finite(value, at);
  const hint = typeof value === 'function' ? ' (wrap it: custom({ name, fn }))' : '';
  throw new TypeError(`${at} must be a number or a schedule, got ${show(value)}${hint}`);
};

/**
 * Returns a schedule unchanged, and a number as a constant schedule.
 *
 * Throws TypeError for anything else, including a bare function, which JSON could not store (see `custom`).
 *
 * @example asSchedule(0.9)(5) // 0.9
 */
export function asSchedule(value: number | Schedule): Schedule {
  const checked = numberOrSchedule(value, 'asSchedule: value');
  return typeof checked === 'number' ? constant(checked) : checked;
}

/**
 * A schedule from a custom function. JSON stores it by its name.
 *
 *   lr(t) = fn(t)
 *
 * Throws TypeError unless `fn` is `{ name, fn }`. The schedule throws RangeError at a step where the function does not return a
 * finite number.
 *
 * @example custom({ name: 'inverse root', fn: (t) => 1 / Math.sqrt(t + 1) })(3) // 0.5
 */
export function custom(fn: NamedFunction): Schedule {
  return makeSchedule('custom', { fn: namedFunction(fn, 'custom: the argument') }, fn.fn);
}
