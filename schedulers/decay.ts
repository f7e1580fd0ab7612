/** Monotonic rates: the paper's decay, Caffe's policies, linear and geometric ramps. */
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
import { alongPhases, geometricMean, lerp } from './phases.ts';
import { makeSchedule, type Schedule } from './schedule.ts';

/**
 * A linear ramp from one value to another, then constant.
 *
 *   lr(t) = from + (to − from) · min(t, steps) / steps
 *
 * Throws RangeError unless both are finite and steps >= 1.
 * Source: with `from` below `to`, this is the paper's range test (L. N. Smith, 2017, section 3.3).
 *
 * @example linear({ from: 0, to: 0.02, steps: 4000 })(1000) // 0.005
 */
export function linear(options: {
  /** Value at step 0. */
  readonly from: number;
  /** Value from step `steps` on. */
  readonly to: number;
  /** Length of the ramp, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly steps: StepCount;
}): Schedule {
  const checked = read('linear', options, { from: finite, to: finite, steps });
  const { from, to, steps: end } = checked;
  return makeSchedule('linear', checked, alongPhases([{ end, from, to }], lerp));
}

/**
 * A geometric ramp from one value to another, by the same factor at every step, then constant.
 *
 *   lr(t) = from · (to / from)^(min(t, steps) / steps)
 *
 * Throws RangeError unless from > 0, to > 0 and steps >= 1.
 * Source: the range test of fastai and pytorch-lr-finder.
 *
 * @example geometric({ from: 1e-6, to: 1, steps: 100 })(50) // 0.001
 */
export function geometric(options: {
  /** Value at step 0. */
  readonly from: number;
  /** Value from step `steps` on. */
  readonly to: number;
  /** Length of the ramp, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly steps: StepCount;
}): Schedule {
  const checked = read('geometric', options, { from: positive, to: positive, steps });
  const { from, to, steps: end } = checked;
  return makeSchedule('geometric', checked, alongPhases([{ end, from, to }], geometricMean));
}

/**
 * The paper's `decay`: falls linearly from `max` to `base`, then stays at `base`. It is `linear` with the paper's names.
 *
 *   lr(t) = max − (max − base) · min(t, stepSize) / stepSize
 *
 * Throws RangeError unless 0 <= base < max and stepSize >= 1.
 * Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 4.1.1.
 *
 * @example decay({ base: 0.001, max: 0.007, stepSize: 4000 })(2000) // 0.004
 */
export function decay(options: {
  /** Value from step `stepSize` on. */
  readonly base: number;
  /** Value at step 0. */
  readonly max: number;
  /** Length of the fall, in steps or `{ epochs, stepsPerEpoch }`. */
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
 * Caffe's `step`: multiplies the rate by `gamma` every `every` steps.
 *
 *   lr(t) = base · gamma^floor(t / every)
 *
 * Throws RangeError unless base >= 0, 0 < gamma <= 1 and every >= 1.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example step({ base: 0.1, gamma: 0.5, every: 1000 })(2500) // 0.025
 */
export function step(options: {
  /** Value at step 0. */
  readonly base: number;
  /** Factor between successive values. */
  readonly gamma: number;
  /** Distance of the changes, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly every: StepCount;
}): Schedule {
  const checked = read('step', options, { base: notNegative, gamma: aboveZeroToOne, every: steps });
  const { base, gamma, every } = checked;
  return makeSchedule('step', checked, (t) => base * gamma ** Math.floor(t / every));
}

/**
 * Caffe's `multistep`: multiplies the rate by `gamma` at each step of `at`.
 *
 *   lr(t) = base · gamma^(number of entries of `at` that are <= t)
 *
 * Throws RangeError unless base >= 0, 0 < gamma <= 1 and `at` increases.
 * Source: Caffe, `sgd_solver.cpp`. The example below is the fixed rate of the paper's Table 1.
 *
 * @example multistep({ base: 0.001, gamma: 0.1, at: [60000, 65000] })(60000) // 0.0001
 */
export function multistep(options: {
  /** Value at step 0. */
  readonly base: number;
  /** Factor between successive values. */
  readonly gamma: number;
  /** Where the value changes, each in steps or `{ epochs, stepsPerEpoch }` from the start of the run. */
  readonly at: readonly StepCount[];
}): Schedule {
  const checked = read('multistep', options, {
    base: notNegative,
    gamma: aboveZeroToOne,
    at: increasingSteps,
  });
  const { base, gamma, at } = checked;
  return makeSchedule('multistep', checked, (t) => base * gamma ** at.filter((border) => border <= t).length);
}

/**
 * Caffe's `exp`: multiplies the rate by `gamma` at every step.
 *
 *   lr(t) = base · gamma^t
 *
 * Throws RangeError unless base >= 0 and 0 < gamma <= 1. For a rising rate, see `geometric`.
 * Source: Caffe, `sgd_solver.cpp`. The paper's `exp` row has gamma 0.99994.
 *
 * @example exponential({ base: 0.8, gamma: 0.5 })(3) // 0.1
 */
export function exponential(options: {
  /** Value at step 0. */
  readonly base: number;
  /** Factor per step. */
  readonly gamma: number;
}): Schedule {
  const checked = read('exponential', options, { base: notNegative, gamma: aboveZeroToOne });
  const { base, gamma } = checked;
  return makeSchedule('exponential', checked, (t) => base * gamma ** t);
}

/**
 * Caffe's `inv`: an inverse power of the step. With power 1, it is PyTorch's `lr_decay` of Adagrad.
 *
 *   lr(t) = base · (1 + gamma·t)^−power
 *
 * Throws RangeError unless base, gamma and power are >= 0.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example inv({ base: 0.01, gamma: 0.001, power: 1 })(1000) // 0.005
 */
export function inv(options: {
  /** Value at step 0. */
  readonly base: number;
  /** Scale of the step, in 1 / steps. */
  readonly gamma: number;
  /** Exponent of the decay. */
  readonly power: number;
}): Schedule {
  const checked = read('inv', options, { base: notNegative, gamma: notNegative, power: notNegative });
  const { base, gamma, power } = checked;
  return makeSchedule('inv', checked, (t) => base * (1 + gamma * t) ** -power);
}

/**
 * Caffe's `poly`: falls along a power function to 0 at `steps`, then stays at 0.
 *
 *   lr(t) = base · (1 − min(t, steps) / steps)^power
 *
 * Throws RangeError unless base >= 0, power > 0 and steps >= 1.
 * Source: Caffe, `sgd_solver.cpp`.
 *
 * @example poly({ base: 0.01, power: 2, steps: 1000 })(500) // 0.0025
 */
export function poly(options: {
  /** Value at step 0. */
  readonly base: number;
  /** Exponent. 1 is a linear fall. */
  readonly power: number;
  /** Length of the fall, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly steps: StepCount;
}): Schedule {
  const checked = read('poly', options, { base: notNegative, power: positive, steps });
  const { base, power, steps: end } = checked;
  return makeSchedule('poly', checked, (t) => base * (1 - Math.min(t, end) / end) ** power);
}

/**
 * Caffe's `sigmoid`: half of `base` at `center`. It falls for gamma < 0 and rises for gamma > 0.
 *
 *   lr(t) = base / (1 + exp(−gamma · (t − center)))
 *
 * Throws RangeError unless base >= 0, gamma is finite and center >= 0.
 * Source: Caffe, `sgd_solver.cpp`, where `center` is called stepsize.
 *
 * @example sigmoid({ base: 0.01, gamma: -0.001, center: 5000 })(5000) // 0.005
 */
export function sigmoid(options: {
  /** Upper limit of the value. */
  readonly base: number;
  /** Steepness, in 1 / steps. */
  readonly gamma: number;
  /** Where the value is half of `base`, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly center: StepCount;
}): Schedule {
  const checked = read('sigmoid', options, { base: notNegative, gamma: finite, center: stepsOrNone });
  const { base, gamma, center } = checked;
  return makeSchedule('sigmoid', checked, (t) => base / (1 + Math.exp(-gamma * (t - center))));
}

export interface TrapezoidOptions {
  /** Value of the plateau. */
  readonly max: number;
  /** Length of the run, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly steps: StepCount;
  /** Length of the rise, in the same units. May be 0. */
  readonly up: StepCount;
  /** Length of the fall, in the same units. May be 0. */
  readonly down: StepCount;
  /** Value at step 0. Default 0. */
  readonly start?: number;
  /** Value from step `steps` on, after the last step of the run. Default 0. */
  readonly end?: number;
}

/**
 * A linear rise, a plateau, a linear fall, then constant.
 *
 *   start → max at step `up`, max until step `steps − down`, → end at step `steps`
 *
 * Throws RangeError unless max > 0, steps >= 1, and up + down <= steps.
 * Source: the warmup-stable-decay schedule. With up + down = steps, it is that of D. Page's cifar10-fast.
 *
 * @example trapezoid({ max: 0.4, steps: 1000, up: 200, down: 400 })(800) // 0.2
 */
export function trapezoid(options: TrapezoidOptions): Schedule {
  const where = 'trapezoid';
  const checked = read(where, options, {
    max: positive,
    steps,
    up: stepsOrNone,
    down: stepsOrNone,
    start: optional(notNegative, 0),
    end: optional(notNegative, 0),
  });
  const { max, steps: count, up, down, start, end } = checked;
  if (up + down > count) {
    throw new RangeError(`${where}: up + down must be <= steps, got ${up} + ${down} and steps ${count}`);
  }
  const phases = [
    { end: up, from: start, to: max },
    { end: count - down, from: max, to: max },
    { end: count, from: max, to: end },
  ];
  const cycle = { start: 0, end: count, relativeAmplitude: 1, complete: true };
  return makeSchedule(where, checked, alongPhases(phases, lerp), () => [cycle]);
}
