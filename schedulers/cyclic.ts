/**
 * The cyclical learning rates of Smith's paper: a window between two bounds, repeated, with a height that may shrink.
 * Momentum stays constant unless it has its own schedule (`cyclicMomentum`). The paper keeps it at 0.9.
 */
import { mirror } from './compose.ts';
import {
  aboveZeroToOne,
  inOrder,
  isRecord,
  namedFunction,
  notNegative,
  oneOf,
  optional,
  read,
  stepsOrNone,
  zeroToOne,
  type Check,
  type NamedFunction,
  type StepCount,
} from './options.ts';
import { lerp } from './phases.ts';
import { makeSchedule, type Cycle, type Schedule } from './schedule.ts';

// Each window maps u, which rises from 0 to 1 and falls back over a cycle, to the relative height between the bounds.
const windows = {
  triangular: (u: number) => u,
  parabolic: (u: number) => 1 - (1 - u) ** 2,
  sinusoidal: (u: number) => (1 - Math.cos(Math.PI * u)) / 2,
} as const;

const windowNames = Object.keys(windows) as (keyof typeof windows)[];
const modes = ['triangular', 'triangular2', 'exp_range'] as const;

export interface CyclicOptions {
  /** Lowest value, at the start and the end of each cycle. */
  readonly base: number;
  /** Highest value, at the peak of the first cycle. */
  readonly max: number;
  /** Length of the rising half of a cycle, in steps or `{ epochs, stepsPerEpoch }`. */
  readonly stepSize: StepCount;
  /** Length of the falling half. Default: `stepSize`. */
  readonly stepSizeDown?: StepCount;
  /**
   * How the height of the cycles changes: 'triangular' keeps it, 'triangular2' halves it every cycle, 'exp_range' multiplies it by
   * `gamma` every step. Default 'triangular'.
   */
  readonly mode?: (typeof modes)[number];
  /** Factor per step, above 0 and at most 1. Required for mode 'exp_range', not allowed for other modes. */
  readonly gamma?: number;
  /** What `gamma` multiplies: the height above `base`, or both bounds. Only for mode 'exp_range'. Default 'amplitude'. */
  readonly decays?: 'amplitude' | 'bounds';
  /**
   * Shape of a cycle: 'triangular', 'parabolic' (Welch window), 'sinusoidal' (Hann window), or a custom function from [0, 1] to
   * [0, 1]. Default 'triangular'.
   */
  readonly window?: keyof typeof windows | NamedFunction;
  /** Custom height, in [0, 1], as a function of the cycle (1, 2, ...) or of the step (0, 1, ...). Replaces `mode`. */
  readonly scale?: NamedFunction;
  /** The argument of `scale`. Default 'cycle'. Only with `scale`. */
  readonly scaleBy?: 'cycle' | 'step';
}

const windowOption: Check<keyof typeof windows | NamedFunction> = (value, at) =>
  isRecord(value) ? namedFunction(value, at) : oneOf(windowNames)(value, at);

/**
 * Cyclical learning rate: rises from `base` to `max` and falls back to `base`, repeatedly.
 *
 *   cycle = floor(t / (up + down)),  p = t − cycle·(up + down)
 *   u = p / up while rising, (up + down − p) / down while falling
 *   lr(t) = base + (max − base) · window(u) · height
 *   window: triangular u; parabolic 1 − (1 − u)²; sinusoidal (1 − cos πu) / 2
 *   height: triangular 1; triangular2 2^−cycle; exp_range gamma^t
 *   exp_range, decays 'bounds': lr(t) = gamma^t · (base + (max − base) · window(u))
 *
 * Units: `stepSize` is half a cycle, in steps or `{ epochs, stepsPerEpoch }`. The paper suggests 2 to 10 epochs. A half of 0 steps
 * makes a sawtooth. The text of the paper describes `decays: 'bounds'`. The default, 'amplitude', is that of other libraries. As in
 * Keras and PyTorch, custom functions count cycles from 1 and steps from 0.
 *
 * Throws RangeError unless 0 <= base < max, both halves >= 0 and not both 0, 0 < gamma <= 1. Throws TypeError for options that would
 * have no effect.
 * Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.
 *
 * @example cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 })(2000) // 0.006
 * @example cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000, mode: 'triangular2' })(6000) // 0.0035
 */
export function cyclicLR(options: CyclicOptions): Schedule {
  return cyclic('cyclicLR', options);
}

/** The cyclical rate for the function `where`, which errors name. */
function cyclic(where: string, options: CyclicOptions): Schedule {
  const checked = readOptions(where, options);
  const { base, max, stepSize: up, stepSizeDown: down, mode, gamma, decays, scale, scaleBy } = checked;
  const period = up + down;
  const { window: shape } = checked;
  const windowAt = typeof shape === 'string' ? windows[shape] : clamped('window', shape);
  const scaleAt = scale && clamped('scale', scale);
  const heightAt = (t: number, cycle: number): number => {
    if (scaleAt) return scaleAt(scaleBy === 'cycle' ? cycle + 1 : t);
    if (mode === 'exp_range') return gamma! ** t;
    return mode === 'triangular2' ? 2 ** -cycle : 1;
  };
  const valueAt = (t: number): number => {
    const cycle = Math.floor(t / period);
    const p = t - cycle * period;
    // A half of 0 steps is never selected, so neither quotient is 0 / 0.
    const window = windowAt(p < up ? p / up : (period - p) / down);
    const height = heightAt(t, cycle);
    return decays === 'bounds' ? height * lerp(base, max, window) : lerp(base, max, window * height);
  };
  function* cycles(from: number): Generator<Cycle> {
    const first = heightAt(up, 0);
    for (let cycle = Math.floor(from / period); ; cycle++) {
      const start = cycle * period;
      const height = heightAt(start + up, cycle);
      const relativeAmplitude = first === 0 ? height : height / first;
      yield { start, end: start + period, relativeAmplitude, complete: true };
    }
  }
  return makeSchedule('cyclicLR', checked, valueAt, cycles);
}

/** The options with their defaults. Throws for options that would have no effect. */
function readOptions(where: string, options: CyclicOptions) {
  const checked = read(where, options, {
    base: notNegative,
    max: notNegative,
    stepSize: stepsOrNone,
    stepSizeDown: optional(stepsOrNone, undefined),
    mode: optional(oneOf(modes), undefined),
    gamma: optional(aboveZeroToOne, undefined),
    decays: optional(oneOf(['amplitude', 'bounds']), undefined),
    window: optional(windowOption, 'triangular' as const),
    scale: optional(namedFunction, undefined),
    scaleBy: optional(oneOf(['cycle', 'step']), undefined),
  });
  const { base, max, stepSize, stepSizeDown = stepSize, gamma, decays, scale, scaleBy } = checked;
  inOrder(where, ['base', base], ['max', max]);
  if (stepSize + stepSizeDown === 0) {
    throw new RangeError(`${where}: stepSize and stepSizeDown must not both be 0`);
  }
  if (scale) {
    if (checked.mode) {
      throw new TypeError(`${where}: scale replaces mode, got both (drop mode '${checked.mode}')`);
    }
  } else if (scaleBy) {
    throw new TypeError(`${where}: scaleBy needs scale, got scaleBy '${scaleBy}' alone`);
  }
  const mode = checked.mode ?? (scale ? undefined : 'triangular');
  if (mode === 'exp_range') {
    if (gamma === undefined) {
      throw new TypeError(`${where}: mode 'exp_range' needs gamma (the paper uses 0.99994)`);
    }
  } else if (gamma !== undefined || decays) {
    const option = gamma === undefined ? 'decays' : 'gamma';
    throw new TypeError(
      `${where}: ${option} needs mode 'exp_range', got ${mode ? `mode '${mode}'` : 'scale'} (omit ${option}, or set mode: 'exp_range')`,
    );
  }
  return {
    ...checked,
    stepSizeDown,
    mode,
    decays: mode === 'exp_range' ? (decays ?? 'amplitude') : undefined,
    scaleBy: scale ? (scaleBy ?? 'cycle') : undefined,
  };
}

/** A custom function that must return values in [0, 1]: outside, the bounds would not be bounds. */
function clamped(option: string, { name, fn }: NamedFunction): (x: number) => number {
  return (x) => zeroToOne(fn(x), `cyclicLR: ${option} '${name}' at ${x}`);
}

/**
 * Cyclical momentum, the mirror image of a cyclical rate: it falls while the rate rises.
 *
 *   momentum(t) = base + max − cyclicLR(options)(t)
 *
 * Pass the options of the rate, with `base` and `max` as the bounds of momentum.
 *
 * Throws as `cyclicLR` does, and TypeError for `decays: 'bounds'`, whose mirror image would exceed `max`.
 * Source: L. N. Smith, A disciplined approach to neural network hyper-parameters, 2018. The formula is that of PyTorch's CyclicLR.
 *
 * @example cyclicMomentum({ base: 0.85, max: 0.95, stepSize: 2000 })(2000) // 0.85
 */
export function cyclicMomentum(options: CyclicOptions): Schedule {
  const rate = cyclic('cyclicMomentum', options);
  if (rate.config.decays === 'bounds') {
    throw new TypeError(
      "cyclicMomentum: decays must be 'amplitude', got 'bounds' (momentum would rise above max)",
    );
  }
  return mirror(rate, options.base, options.max);
}
