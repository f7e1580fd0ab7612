// Rates that only fall (or, for a range test, only rise): the paper's decay, Caffe's policies, straight lines.

import {
  aboveZeroToOne,
  finite,
  increasingSteps,
  notNegative,
  inOrder,
  optional,
  positive,
  read,
  steps,
  stepsOrNone,
  type StepCount,
} from './options.ts';
import { alongPhases, geometricMean, straight } from './phases.ts';
import { makeSchedule, type Schedule } from './schedule.ts';

/**
 * A straight line from one value to another, then constant.
 *
 *   lr(t) = from + (to − from) · min(t, steps) / steps
 *
 * Throws RangeError unless both are finite and steps >= 1.
 * Source: with `from` below `to` it is the paper's range test (L. N. Smith, 2017, section 3.3).
 *
 * @example linear({ from: 0, to: 0.02, steps: 4000 })(1000) // 0.005
 */
export function linear(options: {
  readonly from: number;
  readonly to: number;
  readonly steps: StepCount;
}): Schedule {
  const given = read('linear', options, { from: finite, to: finite, steps });
  const { from, to, steps: end } = given;
  return makeSchedule('linear', given, alongPhases([{ end, from, to }], straight));
}

/**
 * From one value to another by the same factor at every step, then constant.
 *
 *   lr(t) = from · (to / from)^(min(t, steps) / steps)
 *
 * Throws RangeError unless from > 0, to > 0 and steps >= 1.
 * Source: the range test of fastai and pytorch-lr-finder.
 *
 * @example geometric({ from: 1e-6, to: 1, steps: 100 })(50) // 0.001
 */
export function geometric(options: {
  readonly from: number;
  readonly to: number;
  readonly steps: StepCount;
}): Schedule {
  const given = read('geometric', options, { from: positive, to: positive, steps });
  const { from, to, steps: end } = given;
  return makeSchedule('geometric', given, alongPhases([{ end, from, to }], geometricMean));
}

/**
 * The paper's `decay`: falls from `max` to `base` in a straight line, then stays. It is `linear` with the paper's names.
 *
 *   lr(t) = max − (max − base) · min(t, stepSize) / stepSize
 *
 * Throws RangeError unless 0 <= base < max and stepSize >= 1.
 * Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 4.1.1.
 *
 * @example decay({ base: 0.001, max: 0.007, stepSize: 4000 })(2000) // 0.004
 */
export function decay(options: {
  readonly base: number;
  readonly max: number;
  readonly stepSize: StepCount;
}): Schedule {
  const { base, max, stepSize } = read('decay', options, {
    base: notNegative,
    max: notNegative,
    stepSize: steps,
  });
  inOrder('decay', ['base', base], ['max', max]);
  return linear({ from: max, to: base, steps: stepSize });
}

/**
 * Caffe's `step`: times `gamma` every so many steps.
 *
 *   lr(t) = base · gamma^floor(t / every)
 *
 * Throws RangeError unless base >= 0, 0 < gamma <= 1 and every >= 1.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example step({ base: 0.1, gamma: 0.5, every: 1000 })(2500) // 0.025
 */
export function step(options: {
  readonly base: number;
  readonly gamma: number;
  readonly every: StepCount;
}): Schedule {
  const given = read('step', options, { base: notNegative, gamma: aboveZeroToOne, every: steps });
  const { base, gamma, every } = given;
  return makeSchedule('step', given, (t) => base * gamma ** Math.floor(t / every));
}

/**
 * Caffe's `multistep`: times `gamma` at each of the given steps.
 *
 *   lr(t) = base · gamma^(how many of `at` are <= t)
 *
 * Throws RangeError unless base >= 0, 0 < gamma <= 1 and `at` increases.
 * Source: Caffe, `sgd_solver.cpp`. The example below is the fixed rate of the paper's Table 1.
 *
 * @example multistep({ base: 0.001, gamma: 0.1, at: [60000, 65000] })(60000) // 0.0001
 */
export function multistep(options: {
  readonly base: number;
  readonly gamma: number;
  readonly at: readonly StepCount[];
}): Schedule {
  const given = read('multistep', options, { base: notNegative, gamma: aboveZeroToOne, at: increasingSteps });
  const { base, gamma, at } = given;
  return makeSchedule('multistep', given, (t) => base * gamma ** at.filter((border) => border <= t).length);
}

/**
 * Caffe's `exp`: times `gamma` at every step.
 *
 *   lr(t) = base · gamma^t
 *
 * Throws RangeError unless base >= 0 and 0 < gamma <= 1 (for a rising rate see `geometric`).
 * Source: Caffe, `sgd_solver.cpp`; the paper's `exp` row has gamma 0.99994.
 *
 * @example exponential({ base: 0.8, gamma: 0.5 })(3) // 0.1
 */
export function exponential(options: { readonly base: number; readonly gamma: number }): Schedule {
  const given = read('exponential', options, { base: notNegative, gamma: aboveZeroToOne });
  const { base, gamma } = given;
  return makeSchedule('exponential', given, (t) => base * gamma ** t);
}

/**
 * Caffe's `inv`.
 *
 *   lr(t) = base · (1 + gamma·t)^−power
 *
 * Throws RangeError unless base, gamma and power are >= 0.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example inv({ base: 0.01, gamma: 0.001, power: 1 })(1000) // 0.005
 */
export function inv(options: {
  readonly base: number;
  readonly gamma: number;
  readonly power: number;
}): Schedule {
  const given = read('inv', options, { base: notNegative, gamma: notNegative, power: notNegative });
  const { base, gamma, power } = given;
  return makeSchedule('inv', given, (t) => base * (1 + gamma * t) ** -power);
}

/**
 * Caffe's `poly`: reaches 0 at `steps` and stays there.
 *
 *   lr(t) = base · (1 − min(t, steps) / steps)^power
 *
 * Throws RangeError unless base >= 0, power > 0 and steps >= 1.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example poly({ base: 0.01, power: 2, steps: 1000 })(500) // 0.0025
 */
export function poly(options: {
  readonly base: number;
  readonly power: number;
  readonly steps: StepCount;
}): Schedule {
  const given = read('poly', options, { base: notNegative, power: positive, steps });
  const { base, power, steps: end } = given;
  return makeSchedule('poly', given, (t) => base * (1 - Math.min(t, end) / end) ** power);
}

/**
 * Caffe's `sigmoid`: half of `base` at `center`; falls if gamma < 0, rises if gamma > 0.
 *
 *   lr(t) = base / (1 + exp(−gamma · (t − center)))
 *
 * Throws RangeError unless base >= 0, gamma is finite and center >= 0.
 * Source: Caffe, `sgd_solver.cpp`, where `center` is called stepsize.
 *
 * @example sigmoid({ base: 0.01, gamma: -0.001, center: 5000 })(5000) // 0.005
 */
export function sigmoid(options: {
  readonly base: number;
  readonly gamma: number;
  readonly center: StepCount;
}): Schedule {
  const given = read('sigmoid', options, { base: notNegative, gamma: finite, center: stepsOrNone });
  const { base, gamma, center } = given;
  return makeSchedule('sigmoid', given, (t) => base / (1 + Math.exp(-gamma * (t - center))));
}

export interface TrapezoidOptions {
  readonly max: number;
  /** Steps of the whole run. */
  readonly steps: StepCount;
  /** Steps that the rise takes; may be 0. */
  readonly up: StepCount;
  /** Steps that the fall takes; may be 0. */
  readonly down: StepCount;
  /** Value at step 0. Default 0. */
  readonly start?: number;
  /** Value at step `steps`, one past the last. Default 0. */
  readonly end?: number;
}

/**
 * Up in a straight line, level, down in a straight line, then constant.
 *
 *   start → max at step up, max until step steps − down, → end at step steps
 *
 * Throws RangeError unless max > 0, steps >= 1, and up + down <= steps.
 * Source: the warmup-stable-decay schedule; with up + down = steps, D. Page's cifar10-fast.
 *
 * @example trapezoid({ max: 0.4, steps: 1000, up: 200, down: 400 })(800) // 0.2
 */
export function trapezoid(options: TrapezoidOptions): Schedule {
  const where = 'trapezoid';
  const given = read(where, options, {
    max: positive,
    steps,
    up: stepsOrNone,
    down: stepsOrNone,
    start: optional(notNegative, 0),
    end: optional(notNegative, 0),
  });
  const { max, steps: count, up, down, start, end } = given;
  if (up + down > count) {
    throw new RangeError(`${where}: up + down must be <= steps, got ${up} + ${down} and steps ${count}`);
  }
  const phases = [
    { end: up, from: start, to: max },
    { end: count - down, from: max, to: max },
    { end: count, from: max, to: end },
  ];
  const cycle = { start: 0, end: count, swing: 1, whole: true };
  return makeSchedule(where, given, alongPhases(phases, straight), () => [cycle]);
}
