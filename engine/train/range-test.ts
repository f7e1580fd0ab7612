/** The learning-rate range test: a short run under a rising rate, and what its curve suggests. */
import type { Optimizer } from '../../optim/optimizer.ts';
import { geometric, linear, type Schedule } from '../../schedulers/index.ts';
import { checkInteger, checkNumber, checkOneOf } from '../options.ts';
import { isNonFiniteLoss } from './non-finite.ts';
import type { TrainOptions } from './settings.ts';
import { train } from './train.ts';

export interface RangeTestOptions extends Omit<TrainOptions, 'optimizer' | 'steps' | 'seed' | 'checkpoint'> {
  /** The optimizer of the training to come, with the rate left open: `(lr) => sgd({ lr, momentum: 0.9 })`. */
  readonly optimizer: (lr: Schedule) => Optimizer;
  /** The rates of the first and of the last update. */
  readonly from: number;
  readonly to: number;
  /** Updates of the sweep. The paper takes 8 epochs, fastai 100 updates. */
  readonly steps: number;
  /**
   * 'linear': equal steps, the paper's way, from + (to − from) · p at p = t / (steps − 1); 'exponential': equal factors, fastai's,
   * from · (to / from)^p. Default 'linear'.
   */
  readonly sweep?: 'linear' | 'exponential';
  /** A sweep for each; they differ in initial weights, order of the data and draws. Default [0]. */
  readonly seeds?: readonly number[];
  /** What the running mean of the loss keeps (it is corrected for its start at 0). Default 0.98. */
  readonly smoothing?: number;
  /** Ends a sweep when the smoothed loss exceeds this multiple of the best one. Default 4. */
  readonly divergence?: number;
}

/** One update. */
export interface RangePoint {
  readonly step: number;
  readonly lr: number;
  /** Of the batch, before the update. */
  readonly loss: number;
  readonly smoothed: number;
}

/** One evaluation on held-out data, after `step` updates; `lr` is the rate that the sweep has reached there. */
export interface RangeEvaluation {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
  /** Null for a task that has none. */
  readonly accuracy: number | null;
}

export interface RangeCurve {
  readonly seed: number;
  readonly points: readonly RangePoint[];
  /** Empty without `eval`. */
  readonly evaluations: readonly RangeEvaluation[];
  /** 'done': the whole sweep; 'diverged': the loss rose too far, or was not finite; 'abort': the signal fired. */
  readonly end: 'done' | 'diverged' | 'abort';
}

export interface RangeTest {
  readonly sweep: 'linear' | 'exponential';
  readonly from: number;
  readonly to: number;
  readonly steps: number;
  /** One for each seed. */
  readonly curves: readonly RangeCurve[];
}

/**
 * Sweeps the learning rate once from low to high and returns what the loss (and, with `eval`, the accuracy on held-out data)
 * did. Nothing that is handed over changes: the run has a store of its own, so model, data order, `initial` arrays and
 * every random draw of a later training are what they would have been without it.
 *
 * Throws RangeError for impossible rates, lengths and seeds, and whatever `train` throws but for a loss that is not
 * finite, which is how a sweep may end.
 * Source: L. N. Smith, 2017, section 3.3 (linear, by accuracy); fastai's lr_find (exponential, by smoothed loss).
 *
 * @example
 * const test = await lrRangeTest({ model, backend, data, eval: { data: held, every: 200 },
 *   optimizer: (lr) => sgd({ lr, momentum: 0.9 }), from: 0, to: 0.02, steps: 4000 });
 * suggestBounds(test.curves[0]).ragged.lr
 */
export async function lrRangeTest(options: RangeTestOptions): Promise<RangeTest> {
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
  } = options;
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
    throw new RangeError(`${where}: seeds must have at least one`);
  const rate = (sweep === 'linear' ? linear : geometric)({ from, to, steps: steps - 1 });
  const curves: RangeCurve[] = [];
  for (const seed of seeds as readonly number[]) {
    curves.push(
      await sweepOnce({ ...rest, optimizer: optimizer(rate), steps, seed }, rate, smoothing, divergence),
    );
    if (curves.at(-1)!.end === 'abort') break;
  }
  return { sweep, from, to, steps, curves };
}

async function sweepOnce(
  options: TrainOptions,
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
      // Of a loss above 0: more than `divergence` times the best.
      if (smoothed - best > (divergence - 1) * Math.abs(best)) {
        end = 'diverged';
        break;
      }
    }
  } catch (error) {
    // The trainer's error says where; the loss itself is its cause.
    if (!isNonFiniteLoss((error as Error).cause)) throw error;
    end = 'diverged';
  }
  return { seed: options.seed ?? 0, points, evaluations, end };
}

export type SuggestionName = 'rise' | 'ragged' | 'steepest' | 'valley' | 'slide' | 'minimum';

/** A place on the curve, or why there is none. */
export type Suggestion =
  | { readonly lr: number; readonly step: number; readonly why: null }
  | { readonly lr: null; readonly step: null; readonly why: string };

const none = (why: string): Suggestion => ({ lr: null, step: null, why });

/** Points at the front (a share) and at the end (a number) of a loss curve that say nothing, as in fastai. */
const SKIP_FRONT = 0.1;
const SKIP_END = 5;
/** Longer curves are thinned: the valley compares every pair of points. */
const MOST_POINTS = 1000;

/**
 * What a curve suggests, by name. The first two need evaluations, the others go by the smoothed loss without its first tenth
 * and last five points.
 *
 *   rise      the paper's lower bound: the first rate at which accuracy has begun to rise
 *   ragged    the paper's upper bound: the last rate before accuracy falls for the first time
 *   steepest  where the loss falls fastest against the logarithm of the rate
 *   valley    the middle of the middle third of the longest falling run of losses
 *   slide     seen from the end, the first rate before which the loss no longer rises steeply
 *   minimum   a tenth of the rate with the lowest loss
 *
 * Source: L. N. Smith, 2017, section 3.3; fastai, callback/schedule.py.
 *
 * @example const { rise, ragged } = suggestBounds(test.curves[0])
 */
export function suggestBounds(curve: RangeCurve): Readonly<Record<SuggestionName, Suggestion>> {
  return { ...fromAccuracy(curve), ...fromLoss(curve) };
}

function fromAccuracy({ evaluations }: RangeCurve): Record<'rise' | 'ragged', Suggestion> {
  const known = evaluations.flatMap(({ accuracy, lr, step }) =>
    accuracy === null ? [] : [{ accuracy, lr, step }],
  );
  const both = (why: string) => ({ rise: none(why), ragged: none(why) });
  if (known.length < 4) {
    return both(
      `there are ${known.length} evaluations with an accuracy (4 or more are needed: evaluate oftener, or sweep for longer)`,
    );
  }
  const highest = Math.max(...known.map(({ accuracy }) => accuracy));
  const start = known[0].accuracy;
  if (highest - start < 0.05) {
    return both(
      `accuracy stays between ${start.toFixed(3)} and ${highest.toFixed(3)}: the model does not learn here`,
    );
  }
  // A tenth of the whole rise: what one evaluation differs from the next by chance is less.
  const risen = known.find(({ accuracy }) => accuracy - start > (highest - start) / 10)!;
  const fall = known.findIndex(
    ({ accuracy }, i) => i > 0 && accuracy < known[i - 1].accuracy && known[i - 1].step >= risen.step,
  );
  return {
    rise: { lr: risen.lr, step: risen.step, why: null },
    ragged:
      fall < 0
        ? none(`accuracy still rises at the end, at ${known.at(-1)!.lr} (sweep further)`)
        : { lr: known[fall - 1].lr, step: known[fall - 1].step, why: null },
  };
}

function fromLoss({ points }: RangeCurve): Record<'steepest' | 'valley' | 'slide' | 'minimum', Suggestion> {
  const all = (why: string) => ({
    steepest: none(why),
    valley: none(why),
    slide: none(why),
    minimum: none(why),
  });
  const finite = points.filter(({ lr, smoothed }) => lr > 0 && Number.isFinite(smoothed));
  const used = thin(finite.slice(Math.floor(finite.length * SKIP_FRONT), finite.length - SKIP_END));
  if (used.length < 10) {
    return all(
      `${points.length} updates leave ${Math.max(used.length, 0)} points of the loss (10 are needed)`,
    );
  }
  const losses = used.map(({ smoothed }) => smoothed);
  const lowest = losses.indexOf(Math.min(...losses));
  if (lowest === 0)
    return all('the loss never falls: the lowest one is the first (begin lower, or check the model)');
  const at = ({ lr, step }: RangePoint): Suggestion => ({ lr, step, why: null });
  return {
    steepest: at(used[steepest(used)]),
    valley: at(used[valley(losses)]),
    slide: slide(used),
    minimum: { lr: used[lowest].lr / 10, step: used[lowest].step, why: null },
  };
}

function thin(points: readonly RangePoint[]): readonly RangePoint[] {
  const stride = Math.ceil(points.length / MOST_POINTS);
  return stride <= 1 ? points : points.filter((_, i) => i % stride === 0);
}

function steepest(points: readonly RangePoint[]): number {
  let best = 1;
  let slope = Infinity;
  for (let i = 1; i < points.length; i++) {
    const own =
      (points[i].smoothed - points[i - 1].smoothed) / (Math.log(points[i].lr) - Math.log(points[i - 1].lr));
    if (own < slope) {
      slope = own;
      best = i;
    }
  }
  return best - 1;
}

/** The longest falling subsequence: where it ends and how long it is give its span; then the middle of the middle third. */
function valley(losses: readonly number[]): number {
  const length = losses.map(() => 1);
  let last = 0;
  for (let i = 1; i < losses.length; i++) {
    for (let j = 0; j < i; j++) if (losses[i] < losses[j]) length[i] = Math.max(length[i], length[j] + 1);
    if (length[i] > length[last]) last = i;
  }
  const first = last - length[last] + 1;
  return Math.floor((first + last) / 2);
}

const SLIDE_APART = 15;
const SLIDE_FLAT = 0.005;

/** From the end on, two points 15 apart move down until the loss has about the same slope at both. */
function slide(points: readonly RangePoint[]): Suggestion {
  const losses = points.map(({ smoothed }) => smoothed);
  const slope = losses.map((_, i) => {
    const left = Math.max(i - 1, 0);
    const right = Math.min(i + 1, losses.length - 1);
    return (losses[right] - losses[left]) / (right - left);
  });
  for (let right = points.length - 1; right - SLIDE_APART >= 0; right--) {
    const left = right - SLIDE_APART;
    if (Math.abs(slope[right] - slope[left]) > SLIDE_FLAT) continue;
    return { lr: points[left].lr, step: points[left].step, why: null };
  }
  return none('the slope of the loss changes all along the curve');
}
