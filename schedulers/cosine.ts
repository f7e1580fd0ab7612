/** Rates that fall along half a cosine, once or repeatedly. */
import { finite, inOrder, optional, read, steps, wholeFrom1, type StepCount } from './options.ts';
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
  /** Value at the start of each cycle. */
  readonly max: number;
  /** Value that the end of each cycle approaches. Default 0. */
  readonly min?: number;
  /** Length of the first cycle, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly T0: StepCount;
  /** Factor between the lengths of successive cycles, an integer. Default 1. */
  readonly tMult?: number;
}

/**
 * Falls from `max` toward `min` along half a cosine, then restarts at `max` with a longer cycle.
 *
 *   T_0 = T0, T_i+1 = T_i · tMult; with p steps since the last restart, in cycle i
 *   lr(t) = min + (max − min) · (1 + cos(π · p / T_i)) / 2
 *
 * The value never reaches `min`, because the next cycle starts at that step.
 *
 * Throws RangeError unless min < max, T0 >= 1, and tMult is an integer >= 1.
 * Source: I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
 *
 * @example cosineWarmRestarts({ max: 0.1, T0: 1000, tMult: 2 })(2000) // 0.05
 */
export function cosineWarmRestarts(options: CosineWarmRestartsOptions): Schedule {
  const where = 'cosineWarmRestarts';
  const checked = read(where, options, {
    max: finite,
    min: optional(finite, 0),
    T0: steps,
    tMult: optional(wholeFrom1, 1),
  });
  const { max, min, T0, tMult } = checked;
  inOrder(where, ['min', min], ['max', max]);
  const valueAt = (t: number): number => {
    // The loop takes few iterations and is exact, unlike a logarithm. Equal cycles need only one division.
    let [position, length] = tMult === 1 ? [t % T0, T0] : [t, T0];
    while (position >= length) {
      position -= length;
      length *= tMult;
    }
    return halfCosine(max, min, position / length);
  };
  function* cycles(from: number): Generator<Cycle> {
    const first = tMult === 1 ? from - (from % T0) : 0; // growing cycles are few
    for (let start = first, length = T0; Number.isFinite(length); start += length, length *= tMult) {
      yield { start, end: start + length, relativeAmplitude: 1, complete: true };
    }
  }
  return makeSchedule(where, checked, valueAt, cycles);
}
