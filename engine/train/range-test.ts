/** The learning-rate range test: a short run with a rising learning rate. suggest-bounds.ts derives bounds from its curve. */
import { geometric, linear, type Schedule } from '../../schedulers/index.ts';
import type { Named, Types } from '../named.ts';
import type { Optimizer } from '../nn/optimizer.ts';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { isNonFiniteLoss } from './non-finite.ts';
import { settingsOf, type AnyTrainOptions, type TrainOptions } from './settings.ts';
import { train } from './train.ts';

export interface RangeTestOptions<
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O extends Named<Tensor> = Tensor,
> extends Omit<
  TrainOptions<X, Y, O>,
  'optimizer' | 'steps' | 'epochs' | 'seed' | 'checkpoint' | 'resumeFrom'
> {
  /** The optimizer as a function of the learning rate: `(lr) => sgd({ lr, momentum: 0.9 })`. */
  readonly optimizer: (lr: Schedule) => Optimizer;
  /** The learning rate of the first update. */
  readonly from: number;
  /** The learning rate of the last update. */
  readonly to: number;
  /** Number of updates of the sweep. The paper uses 8 epochs, fastai 100 updates. */
  readonly steps: number;
  /**
   * 'linear', as in the paper: from + (to − from) · p at p = t / (steps − 1). 'exponential', as in fastai: from · (to / from)^p.
   * Default 'linear'.
   */
  readonly sweep?: 'linear' | 'exponential';
  /** One sweep for each seed. Seeds differ in initial weights, order of the data, augmentation and dropout. Default [0]. */
  readonly seeds?: readonly number[];
  /** Decay of the moving average of the loss, per update. The average is corrected for its start at 0. Default 0.98. */
  readonly smoothing?: number;
  /** A sweep ends when the smoothed loss exceeds this multiple of the lowest one. Default 4. */
  readonly divergence?: number;
}

/** Options of training that a sweep also has. */
const TRAINING = [
  'model',
  'backend',
  'steps',
  'data',
  'eval',
  'optimizer',
  'step',
  'initial',
  'loss',
  'metrics',
  'listeners',
  'callbacks',
  'signal',
  'resident',
  'stepsPerCall',
] as const;

/** One update of a sweep. */
export interface RangePoint {
  readonly step: number;
  readonly lr: number;
  /** The loss of the batch, before the update. */
  readonly loss: number;
  /** The moving average of the losses. */
  readonly smoothed: number;
}

/** An evaluation on held-out data after `step` updates. `lr` is the learning rate at this step. */
export interface RangeEvaluation {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
  /** Null for a task without accuracy. */
  readonly accuracy: number | null;
}

/** One sweep. */
export interface RangeCurve {
  readonly seed: number;
  readonly points: readonly RangePoint[];
  /** Empty without `eval`. */
  readonly evaluations: readonly RangeEvaluation[];
  /** 'done': the sweep is complete. 'diverged': the loss rose too far, or was not finite. 'abort': the signal aborted. */
  readonly end: 'done' | 'diverged' | 'abort';
}

/** The result of `lrRangeTest`. */
export interface RangeTest {
  readonly sweep: 'linear' | 'exponential';
  readonly from: number;
  readonly to: number;
  readonly steps: number;
  /** One for each seed. */
  readonly curves: readonly RangeCurve[];
}

/**
 * The learning-rate range test: sweeps the learning rate from low to high in a short run, and returns the curve of the loss and, with
 * `eval`, of the accuracy on held-out data. It does not affect a later run with the same arguments.
 *
 * Throws RangeError or TypeError for invalid options, and the errors of `train`. A loss that is not finite ends the sweep, and throws only
 * before the first update.
 * Source: L. N. Smith, 2017, section 3.3 (linear, by accuracy); fastai's lr_find (exponential, by smoothed loss).
 *
 * @example
 * const { curves } = await lrRangeTest({
 *   ...{ model, backend, data, from: 0, to: 0.02, steps: 4000 },
 *   optimizer: (lr) => sgd({ lr, momentum: 0.9 }),
 *   eval: { data: test, every: 200 },
 * });
 * for (const curve of curves) console.log(suggestBounds(curve).ragged);
 */
export async function lrRangeTest<X extends Types, Y extends Types, O extends Named<Tensor>>(
  options: RangeTestOptions<X, Y, O>,
): Promise<RangeTest> {
  checkOptions('lrRangeTest', options, [
    ...TRAINING,
    'from',
    'to',
    'sweep',
    'seeds',
    'smoothing',
    'divergence',
  ]);
  const {
    optimizer,
    from,
    to,
    steps,
    sweep = 'linear',
    seeds = [0],
    smoothing = 0.98,
    divergence = 4,
    ...rest
  } = options as unknown as RangeTestOptions<Types, Types, Named<Tensor>>;
  const where = 'lrRangeTest';
  if (typeof optimizer !== 'function') {
    throw new TypeError(
      `${where}: optimizer must be a function of the rate, for instance (lr) => sgd({ lr, momentum: 0.9 })`,
    );
  }
  checkOneOf(where, 'sweep', sweep, ['linear', 'exponential']);
  const lowest = sweep === 'linear' ? 'a number >= 0' : 'a number > 0 for an exponential sweep';
  checkNumber(where, 'from', from, lowest, (x) => (sweep === 'linear' ? x >= 0 : x > 0));
  checkNumber(where, 'to', to, `a number above from (${from})`, (x) => x > from);
  checkInteger(where, 'steps', steps, 2);
  checkNumber(where, 'smoothing', smoothing, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  checkNumber(where, 'divergence', divergence, 'a number > 1', (x) => x > 1);
  if (!Array.isArray(seeds) || seeds.length === 0)
    throw new RangeError(`${where}: seeds must be a non-empty array`);
  const rate = (sweep === 'linear' ? linear : geometric)({ from, to, steps: steps - 1 });
  // Checks the options of training now, because errors of `train` would name it.
  settingsOf(where, { ...rest, optimizer: optimizer(rate), steps, seed: (seeds as readonly number[])[0] });
  const curves: RangeCurve[] = [];
  for (const seed of seeds as readonly number[]) {
    curves.push(
      await sweepOnce({ ...rest, optimizer: optimizer(rate), steps, seed }, rate, smoothing, divergence),
    );
    if (curves[curves.length - 1].end === 'abort') break;
  }
  return { sweep, from, to, steps, curves };
}

async function sweepOnce(
  options: AnyTrainOptions,
  rate: Schedule,
  smoothing: number,
  divergence: number,
): Promise<RangeCurve> {
  const points: RangePoint[] = [];
  const evaluations: RangeEvaluation[] = [];
  let running = 0;
  let best = Infinity;
  let end: RangeCurve['end'] = 'done';
  try {
    for await (const event of train(options)) {
      if (event.type === 'eval') {
        const { step, loss, metrics } = event;
        evaluations.push({ step, lr: rate(step), loss, accuracy: metrics['accuracy'] ?? null });
      }
      if (event.type === 'end' && event.reason === 'abort') end = 'abort';
      if (event.type !== 'step') continue;
      const { step, loss, hyper } = event;
      running = smoothing * running + (1 - smoothing) * loss;
      const smoothed = running / (1 - smoothing ** (points.length + 1));
      points.push({ step, lr: hyper['lr'] ?? rate(step), loss, smoothed });
      best = Math.min(best, smoothed);
      // For a positive loss: more than `divergence` times the best.
      if (smoothed - best > (divergence - 1) * Math.abs(best)) {
        end = 'diverged';
        break;
      }
    }
  } catch (error) {
    // The error of the trainer describes the tensor. Its cause is the error of the loss, in a step or in an evaluation.
    if (!isNonFiniteLoss((error as Error).cause) || points.length === 0) throw error;
    end = 'diverged';
  }
  return { seed: options.seed ?? 0, points, evaluations, end };
}
