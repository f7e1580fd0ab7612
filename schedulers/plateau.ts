/**
 * Lowers a value when a metric stops improving. The value depends on results of training, so this is a reducer, not a
 * schedule. Its state is plain data that can be saved in a checkpoint.
 */
import {
  betweenZeroAndOne,
  finite,
  notNegative,
  oneOf,
  optional,
  positive,
  read,
  wholeFrom0,
} from './options.ts';

export interface PlateauOptions {
  /** Initial value: a learning rate, or 1 for a factor of a schedule. */
  readonly start: number;
  /** 'min' for metrics that should fall (a loss), 'max' for metrics that should rise (an accuracy). Default 'min'. */
  readonly mode?: 'min' | 'max';
  /** The factor of a reduction. Default 0.1. */
  readonly factor?: number;
  /** Number of consecutive metrics without improvement that are tolerated. One more lowers the value. Default 10. */
  readonly patience?: number;
  /** Minimum improvement over the best metric, in the unit of `thresholdMode`. Default 1e-4. */
  readonly threshold?: number;
  /** Whether `threshold` is a fraction of the best metric ('relative', the default) or an absolute difference. */
  readonly thresholdMode?: 'relative' | 'absolute';
  /** Number of metrics after a reduction that do not count as bad. Default 0. */
  readonly cooldown?: number;
  /** The value never falls below this. Default 0. */
  readonly min?: number;
}

/** Plain data, which can be saved as JSON at any time and passed back. */
export interface PlateauState {
  readonly value: number;
  /** Best metric so far. Null before the first. */
  readonly best: number | null;
  /** Number of consecutive metrics that did not improve. */
  readonly bad: number;
  /** Number of metrics before a bad one counts again. */
  readonly cooldown: number;
}

export interface Plateau {
  (state: PlateauState, metric: number): PlateauState;
  readonly initial: PlateauState;
  /** Every option, with its default. `plateau(config)` makes the same reducer. */
  readonly config: Required<PlateauOptions>;
  toJSON(): Required<PlateauOptions>;
}

/**
 * Reduces the learning rate on a plateau of the metric, as a pure reducer: (state, metric) => state.
 *
 *   better: the metric improves on best by more than threshold (· |best| if relative)
 *   after more than `patience` consecutive metrics that are not better: value ← max(min, value · factor)
 *
 * Units: `patience` and `cooldown` count metrics, one for each call.
 * Throws RangeError unless start > 0, 0 < factor < 1, 0 <= min <= start, and all other numbers >= 0. The reducer throws RangeError
 * for a metric that is not finite.
 * Source: PyTorch's ReduceLROnPlateau, but relative to |best|, so negative metrics work.
 *
 * @example
 * const reduce = plateau({ start: 1, patience: 1 });
 * [3, 2, 2, 2].reduce(reduce, reduce.initial).value // 0.1
 */
export function plateau(options: PlateauOptions): Plateau {
  const config = Object.freeze(
    read('plateau', options, {
      start: positive,
      mode: optional(oneOf(['min', 'max']), 'min' as const),
      factor: optional(betweenZeroAndOne, 0.1),
      patience: optional(wholeFrom0, 10),
      threshold: optional(notNegative, 1e-4),
      thresholdMode: optional(oneOf(['relative', 'absolute']), 'relative' as const),
      cooldown: optional(wholeFrom0, 0),
      min: optional(notNegative, 0),
    }),
  );
  const { start, mode, factor, patience, threshold, thresholdMode, cooldown, min } = config;
  if (min > start)
    throw new RangeError(`plateau: min must not be above start, got min ${min} and start ${start}`);

  const isBetter = (metric: number, best: number): boolean => {
    const margin = thresholdMode === 'relative' ? threshold * Math.abs(best) : threshold;
    return mode === 'min' ? metric < best - margin : metric > best + margin;
  };
  const reduce = (state: PlateauState, metric: number): PlateauState => {
    finite(metric, 'plateau: metric');
    const better = state.best === null || isBetter(metric, state.best);
    const resting = state.cooldown > 0;
    const bad = better || resting ? 0 : state.bad + 1;
    const lower = bad > patience;
    return {
      value: lower ? Math.max(min, state.value * factor) : state.value,
      best: better ? metric : state.best,
      bad: lower ? 0 : bad,
      cooldown: lower ? cooldown : Math.max(0, state.cooldown - 1),
    };
  };
  const initial: PlateauState = Object.freeze({ value: start, best: null, bad: 0, cooldown: 0 });
  return Object.freeze(Object.assign(reduce, { initial, config, toJSON: () => config }));
}
