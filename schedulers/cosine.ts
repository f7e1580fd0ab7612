/** Rates that fall along half a cosine, once or repeatedly. */
import {
  aboveZeroToOne,
  finite,
  inOrder,
  isRecord,
  list,
  optional,
  read,
  steps,
  wholeFrom1,
  type Check,
  type StepCount,
} from './options.ts';
import { alongPhases, halfCosine } from './phases.ts';
import { makeSchedule, type Cycle, type Schedule } from './schedule.ts';

export interface CosineOptions {
  /** Value at step 0. */
  readonly max: number;
  /** Value from step `steps` on. Default 0. */
  readonly min?: number;
  /** Length of the fall, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly steps: StepCount;
}

/**
 * Falls from `max` to `min` along half a cosine, then stays at `min`.
 *
 *   lr(t) = min + (max − min) · (1 + cos(π · min(t, steps) / steps)) / 2
 *
 * Throws RangeError unless min < max and steps >= 1.
 * Source: I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
 *
 * @example cosine({ max: 0.1, steps: 1000 })(500) // 0.05
 */
export function cosine(options: CosineOptions): Schedule {
  const checked = read('cosine', options, { max: finite, min: optional(finite, 0), steps });
  const { max, min, steps: end } = checked;
  inOrder('cosine', ['min', min], ['max', max]);
  const cycle: Cycle = { start: 0, end, relativeAmplitude: 1, complete: true };
  return makeSchedule('cosine', checked, alongPhases([{ end, from: max, to: min }], halfCosine), () => [
    cycle,
  ]);
}

export interface CosineWarmRestartsOptions {
  /** Value at the start of the first cycle. */
  readonly max: number;
  /** Value that the end of each cycle approaches. Default 0. */
  readonly min?: number;
  /**
   * Length of the first cycle, in steps or `{ epochs, stepsPerEpoch }`, or the lengths of the first cycles. Required, or its former name
   * `T0`.
   */
  readonly steps?: StepCount | readonly StepCount[];
  /** The former name of `steps`. */
  readonly T0?: StepCount;
  /** Factor between the lengths of successive cycles, an integer. In a list of lengths, it applies after the last one. Default 1. */
  readonly tMult?: number;
  /** Factor between the peaks of successive cycles, above min. Default 1. */
  readonly decay?: number;
}

/** One length or several. */
const lengths: Check<number | readonly number[]> = (value, at) =>
  Array.isArray(value) ? list(value, at).map((entry, i) => steps(entry, `${at}[${i}]`)) : steps(value, at);

/**
 * Falls from `max` toward `min` along half a cosine, then restarts with another cycle, which can be longer and lower.
 *
 *   T_0 = steps, T_i+1 = T_i · tMult; with p steps since the last restart, in cycle i
 *   lr(t) = min + decay^i · (max − min) · (1 + cos(π · p / T_i)) / 2
 *
 * The value never reaches `min`, because the next cycle starts at that step.
 *
 * Throws RangeError unless min < max, steps >= 1, tMult is an integer >= 1, and 0 < decay <= 1. Throws TypeError for both `steps` and
 * `T0`.
 * Source: I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
 *
 * @example cosineWarmRestarts({ max: 0.1, steps: 1000, tMult: 2 })(2000) // 0.05
 * @example cosineWarmRestarts({ max: 0.1, steps: [1000, 500], decay: 0.5 })(1000) // 0.05
 */
export function cosineWarmRestarts(options: CosineWarmRestartsOptions): Schedule {
  const where = 'cosineWarmRestarts';
  const isFormer = isRecord(options) && options.T0 !== undefined;
  const { max, min, tMult, decay, ...given } = read(where, options, {
    max: finite,
    min: optional(finite, 0),
    steps: isFormer ? optional(lengths, null) : lengths,
    T0: optional(steps, null),
    tMult: optional(wholeFrom1, 1),
    decay: optional(aboveZeroToOne, 1),
  });
  if (given.steps !== null && given.T0 !== null) {
    throw new TypeError(`${where}: got both steps and T0, its former name (give steps)`);
  }
  inOrder(where, ['min', min], ['max', max]);
  const first = given.T0 ?? given.steps!;
  const own = typeof first === 'number' ? [first] : first;
  const last = own.length - 1;
  /** The cycle of a step: its index, its first step, and its length. */
  const cycleAt = (t: number): { index: number; start: number; length: number } => {
    let [index, start] = [0, 0];
    let [length] = own;
    // The loop takes few iterations and is exact, unlike a logarithm. Equal cycles need only one division.
    while (t - start >= length) {
      const equal = index >= last && tMult === 1 ? Math.floor((t - start) / length) : 1;
      index += equal;
      start += equal * length;
      length = index <= last ? own[index] : length * tMult;
    }
    return { index, start, length };
  };
  const valueAt = (t: number): number => {
    const { index, start, length } = cycleAt(t);
    const peak = index === 0 || decay === 1 ? max : min + decay ** index * (max - min);
    return halfCosine(peak, min, (t - start) / length);
  };
  function* cycles(from: number): Generator<Cycle> {
    let { index, start, length } = cycleAt(tMult === 1 && last === 0 ? from : 0);
    while (Number.isFinite(length)) {
      yield { start, end: start + length, relativeAmplitude: decay ** index, complete: true };
      start += length;
      index += 1;
      length = index <= last ? own[index] : length * tMult;
    }
  }
  // One length keeps the config that it had when it was called T0.
  const config = {
    max,
    min,
    ...(typeof first === 'number' ? { T0: first } : { steps: first }),
    tMult,
    ...(decay !== 1 && { decay }),
  };
  return makeSchedule(where, config, valueAt, cycles);
}
