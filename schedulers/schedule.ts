// What a schedule is: a pure function of the step, with the plain data that rebuilds it. No counters, no order of calls.
// The kinds are in the other files; `json.ts` lists them all.

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

/** Steps `start` to `end - 1` of a schedule. Training is best stopped at a whole cycle's `end`. */
export interface Cycle {
  readonly start: number;
  readonly end: number;
  /** How far the value swings, relative to the first cycle of the same schedule or stage. */
  readonly swing: number;
  /** False where a stage cuts the cycle off before its end. */
  readonly whole: boolean;
}

/** The value of a hyper-parameter at each step; step 0 is the first update. */
export interface Schedule {
  (step: number): number;
  readonly config: ScheduleConfig;
  toJSON(): ScheduleConfig;
  /** Its cycles in order, without end where it never stops cycling; empty where it has none. */
  cycles(): Iterable<Cycle>;
}

/**
 * Makes a schedule of a function and the options it was built from.
 *
 * The one place that checks the step that is asked for, and that what comes back is a number.
 */
export function makeSchedule(
  kind: string,
  options: Readonly<Record<string, unknown>>,
  valueAt: (step: number) => number,
  cycles: () => Iterable<Cycle> = () => [],
): Schedule {
  const config = toPlain({ kind, ...options }) as ScheduleConfig;
  const schedule = (step: number): number => {
    const value = valueAt(wholeFrom0(step, `${kind}: step`));
    if (!Number.isFinite(value)) throw new RangeError(`${kind}: the value at step ${step} is ${show(value)}`);
    return value;
  };
  return Object.freeze(Object.assign(schedule, { config, toJSON: () => config, cycles }));
}

/** Options as JSON: schedules by their config, functions by their name; what was not given is left out. */
function toPlain(value: unknown): Json {
  if (isSchedule(value)) return value.config;
  if (Array.isArray(value)) return Object.freeze(value.map(toPlain));
  if (!isRecord(value)) return value as Json;
  if (typeof value.fn === 'function') return Object.freeze({ name: value.name as string });
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.freeze(Object.fromEntries(entries.map(([name, entry]) => [name, toPlain(entry)])));
}

export function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'function' && 'config' in value && 'cycles' in value;
}

/**
 * The same value at every step.
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
 * A schedule as it is; a number as a constant.
 *
 * Throws TypeError for anything else, a bare function included: it has no name to be saved under.
 *
 * @example asSchedule(0.9)(5) // 0.9
 */
export function asSchedule(value: number | Schedule): Schedule {
  const checked = numberOrSchedule(value, 'asSchedule: value');
  return typeof checked === 'number' ? constant(checked) : checked;
}

/**
 * A function of your own, saved under its name.
 *
 *   lr(t) = fn(t)
 *
 * Throws RangeError at a step where the function returns no finite number.
 *
 * @example custom({ name: 'inverse root', fn: (t) => 1 / Math.sqrt(t + 1) })(3) // 0.5
 */
export function custom(fn: NamedFunction): Schedule {
  return makeSchedule('custom', { fn: namedFunction(fn, 'custom: fn') }, fn.fn);
}
