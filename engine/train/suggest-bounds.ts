/** Suggestions from the curve of a range test: bounds for a cyclical rate, and the suggestions of other libraries. */
import type { RangeCurve, RangePoint } from './range-test.ts';
import { checkKind, show } from '../options.ts';

/** The suggestions that `suggestBounds` describes. */
export type SuggestionName = 'rise' | 'ragged' | 'steepest' | 'valley' | 'slide' | 'minimum';

/** A point on the curve, or the reason why there is none. */
export type Suggestion =
  | { readonly lr: number; readonly step: number; readonly why: null }
  | { readonly lr: null; readonly step: null; readonly why: string };

const none = (why: string): Suggestion => ({ lr: null, step: null, why });

/**
 * Learning rates that a range test suggests, by name. `rise` and `ragged` need evaluations. The others use `lossTrend`. A suggestion
 * that noise hides is null, with the reason in `why`.
 *
 *   rise      an upper limit of the paper's lower bound: the rate of the first evaluation by which accuracy has started to rise
 *   ragged    the upper bound of the paper: the last rate before accuracy falls for the first time
 *   steepest  the rate at which the loss falls fastest
 *   valley    the middle of the fall, between the last position with 95% of it remaining and the first with 5%
 *   slide     the upper end of the valley: the last rate before the loss permanently rises, by more than 5% of the fall
 *   minimum   a tenth of the rate with the lowest loss
 *
 * The last four names are those of fastai, whose rules suit exponential sweeps of 100 updates. In fastai, the valley is the longest
 * decreasing subsequence, and the slide compares slopes 15 updates apart. Both end at the last update if the loss is noisy or does not
 * diverge.
 *
 * Units: learning rates. `step` is the update with this rate.
 * Source: L. N. Smith, 2017, section 3.3; fastai, callback/schedule.py.
 *
 * @example
 * const { curves } = await lrRangeTest({
 *   ...{ model, backend, data, from: 0, to: 0.02, steps: 4000 },
 *   optimizer: (lr) => sgd({ lr, momentum: 0.9 }),
 * });
 * for (const curve of curves) console.log(suggestBounds(curve).steepest);
 */
export function suggestBounds(curve: RangeCurve): Readonly<Record<SuggestionName, Suggestion>> {
  checkCurve('suggestBounds', curve, ['points', 'evaluations']);
  return { ...fromAccuracy(curve), ...fromLoss(curve) };
}

function fromAccuracy({ evaluations }: RangeCurve): Record<'rise' | 'ragged', Suggestion> {
  const measured = evaluations.flatMap(({ accuracy, lr, step }) =>
    accuracy === null ? [] : [{ accuracy, lr, step }],
  );
  const neither = (why: string) => ({ rise: none(why), ragged: none(why) });
  if (measured.length < 4) {
    return neither(
      `there are only ${measured.length} evaluations with an accuracy (at least 4 are needed: evaluate more often, or use a longer sweep)`,
    );
  }
  const highest = Math.max(...measured.map(({ accuracy }) => accuracy));
  const start = measured[0].accuracy;
  if (highest - start < 0.05) {
    return neither(
      `accuracy stays between ${start.toFixed(3)} and ${highest.toFixed(3)}: the model does not learn here`,
    );
  }
  // A tenth of the rise, which exceeds the random differences between evaluations.
  const risen = measured.find(({ accuracy }) => accuracy - start > (highest - start) / 10)!;
  const fall = measured.findIndex(
    ({ accuracy }, i) => i > 0 && accuracy < measured[i - 1].accuracy && measured[i - 1].step >= risen.step,
  );
  return {
    rise: { lr: risen.lr, step: risen.step, why: null },
    ragged:
      fall < 0
        ? none(
            `accuracy still rises at the end, at ${Number(measured[measured.length - 1].lr.toPrecision(6))} (sweep further)`,
          )
        : { lr: measured[fall - 1].lr, step: measured[fall - 1].step, why: null },
  };
}

/** A point on a smooth curve through the losses. */
export interface TrendPoint {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
}

/**
 * A smooth curve through the losses of a range test, with up to 1000 points: a local linear regression over a twentieth of the curve
 * on each side, with higher weights for near points. Unlike a moving average, it does not lag. A loss far from both neighbors is
 * replaced by the nearer one. Losses far above the first ones are capped. The curve is empty for fewer than 20 finite losses.
 *
 * Source: W. S. Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots, 1979, without the robust weights.
 *
 * @example
 * const losses = Array.from({ length: 100 }, (_, step) => 2 - step / 100);
 * const points = losses.map((loss, step) => ({ step, lr: step / 1000, loss, smoothed: loss }));
 * lossTrend({ points })[50] // { step: 50, lr: 0.05, loss: 1.5 }
 */
export function lossTrend(curve: Pick<RangeCurve, 'points'>): readonly TrendPoint[] {
  checkCurve('lossTrend', curve, ['points']);
  return trendOf(curve.points)?.points ?? [];
}

/** Throws TypeError unless `curve` has these lists. */
function checkCurve(where: string, curve: unknown, lists: readonly (keyof RangeCurve)[]): void {
  for (const name of lists) {
    checkKind(where, 'curve', curve, name, 'a curve of lrRangeTest, for instance curves[0]');
    const list: unknown = (curve as RangeCurve)[name];
    if (!Array.isArray(list)) throw new TypeError(`${where}: ${name} must be an array, got ${show(list)}`);
  }
}

const FEWEST = 20;
/** Longer curves are averaged over segments of equal length. */
const MOST = 1000;
/** The number of points on each side of a local regression, as a fraction of the curve. */
const REACH = 0.05;
/** The minimum significant difference in standard errors. The extremes of pure noise are about 4 apart. */
const SIGNIFICANT = 5;
/** The fraction of the fall at each of its ends. */
const END = 0.05;

interface Trend {
  readonly points: readonly TrendPoint[];
  /** The change of the loss from one position to the next. */
  readonly slopes: readonly number[];
  /** Standard errors of the losses and of the slopes. */
  readonly errors: readonly number[];
  readonly slopeErrors: readonly number[];
  /** The number of positions on each side of a local regression. */
  readonly reach: number;
}

function trendOf(all: readonly RangePoint[]): Trend | null {
  const finite = all.filter(({ loss }) => Number.isFinite(loss));
  if (finite.length < FEWEST) return null;
  const segments = segmentsOf(finite);
  const raw = segments.map(({ loss }) => loss);
  const losses = capped(withoutGlitches(raw));
  const n = losses.length;
  const reach = Math.max(2, Math.round(n * REACH));
  const noise = noiseOf(raw);
  const fits = losses.map((_, i) => fitLine(losses, i, reach));
  return {
    points: fits.map(({ value }, i) => ({ ...segments[i], loss: value })),
    slopes: fits.map(({ slope }) => slope),
    errors: fits.map(({ error }) => error * noise),
    slopeErrors: fits.map(({ slopeError }) => slopeError * noise),
    reach,
  };
}

function segmentsOf(points: readonly RangePoint[]): readonly TrendPoint[] {
  const length = Math.ceil(points.length / MOST);
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const segment = points.slice(i * length, (i + 1) * length);
    const { step, lr } = segment[segment.length >> 1];
    return { step, lr, loss: segment.reduce((sum, { loss }) => sum + loss, 0) / segment.length };
  });
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** Medians of three neighbors, which remove losses far from those before and after. */
const withoutGlitches = (losses: readonly number[]): readonly number[] =>
  losses.map((_, i) => {
    const first = Math.min(Math.max(0, i - 1), losses.length - 3);
    return median(losses.slice(first, first + 3));
  });

/** Losses no farther above the first ones than the lowest is below them. */
function capped(losses: readonly number[]): readonly number[] {
  const start = median(losses.slice(0, Math.max(3, Math.ceil(losses.length * REACH))));
  const cap = 2 * start - Math.min(...losses);
  return losses.map((loss) => Math.min(loss, cap));
}

/**
 * The standard deviation of the losses around the curve, estimated from differences of neighbors: for a normal distribution, the median
 * distance from the mean is 0.6745 standard deviations. At least the rounding error of f32.
 */
function noiseOf(losses: readonly number[]): number {
  const deviation =
    median(losses.slice(1).map((loss, i) => Math.abs(loss - losses[i]))) / (0.6745 * Math.SQRT2);
  return Math.max(deviation, 1e-6 * median(losses.map(Math.abs)));
}

interface Fit {
  readonly value: number;
  readonly slope: number;
  /** The standard error for a noise of 1. */
  readonly error: number;
  readonly slopeError: number;
}

/** The weighted least-squares line around position i. */
function fitLine(losses: readonly number[], i: number, reach: number): Fit {
  const first = Math.max(0, i - reach);
  const last = Math.min(losses.length - 1, i + reach);
  let [s0, s1, s2] = [0, 0, 0];
  const weightAt = (d: number): number => (1 - (Math.abs(d) / (reach + 1)) ** 3) ** 3;
  for (let j = first; j <= last; j++) {
    const weight = weightAt(j - i);
    s0 += weight;
    s1 += weight * (j - i);
    s2 += weight * (j - i) ** 2;
  }
  const determinant = s0 * s2 - s1 * s1;
  let [value, slope, square, slopeSquare] = [0, 0, 0, 0];
  for (let j = first; j <= last; j++) {
    const valueWeight = (weightAt(j - i) * (s2 - s1 * (j - i))) / determinant;
    const slopeWeight = (weightAt(j - i) * (s0 * (j - i) - s1)) / determinant;
    value += valueWeight * losses[j];
    slope += slopeWeight * losses[j];
    square += valueWeight * valueWeight;
    slopeSquare += slopeWeight * slopeWeight;
  }
  return { value, slope, error: Math.sqrt(square), slopeError: Math.sqrt(slopeSquare) };
}

type FromLoss = Record<'steepest' | 'valley' | 'slide' | 'minimum', Suggestion>;

function fromLoss({ points: all, end: outcome }: RangeCurve): FromLoss {
  const nothing = (why: string): FromLoss => ({
    steepest: none(why),
    valley: none(why),
    slide: none(why),
    minimum: none(why),
  });
  const trend = trendOf(all);
  if (trend === null) {
    const finite = all.filter(({ loss }) => Number.isFinite(loss)).length;
    return nothing(
      `there are only ${finite} updates with a finite loss (${FEWEST} are needed: use a longer sweep)`,
    );
  }
  const { points, reach } = trend;
  const losses = points.map(({ loss }) => loss);
  const low = losses.indexOf(Math.min(...losses));
  const top = losses.indexOf(Math.max(...losses.slice(0, low + 1)));
  const fall = losses[top] - losses[low];
  /** Whether the loss at b is significantly above that at a. */
  const above = (b: number, a: number): boolean =>
    losses[b] - losses[a] > SIGNIFICANT * Math.hypot(trend.errors[a], trend.errors[b]);
  if (!above(top, low)) {
    return nothing(
      `the loss does not fall by more than its noise: from ${short(losses[top])} to ${short(losses[low])} ` +
        `(sweep other rates, use larger batches, or check the model)`,
    );
  }
  const at = (i: number): Suggestion => ({ lr: points[i].lr, step: points[i].step, why: null });
  const last = losses.length - 1;
  const rates = `at ${short(points[last].lr)} (sweep further)`;
  const diverged = outcome === 'diverged';
  /** Whether the position would not change with a longer sweep: its regression has points on both sides. */
  const isInside = (i: number): boolean => diverged || i <= last - reach;

  const fallsAt = trend.slopes.map((slope, i) =>
    i <= low && points[i].lr > 0 ? slope + 2 * trend.slopeErrors[i] : Infinity,
  );
  const steepest = fallsAt.indexOf(Math.min(...fallsAt));
  const begin = losses.findLastIndex((loss, i) => i <= low && loss >= losses[top] - END * fall);
  const end = losses.findIndex((loss, i) => i >= begin && loss <= losses[low] + END * fall);
  const highest = losses.indexOf(Math.max(...losses.slice(low)), low);
  const rises = above(highest, low) && losses[highest] > losses[low] + END * fall;
  const slide = losses.findLastIndex((loss) => loss <= losses[low] + END * fall);
  return {
    steepest: isInside(steepest) ? at(steepest) : none(`the loss falls fastest at the end, ${rates}`),
    valley: isInside(end) ? at((begin + end) >> 1) : none(`the loss still falls at the end, ${rates}`),
    slide: rises || diverged ? at(slide) : none(`the loss does not rise before the end, ${rates}`),
    minimum: isInside(low) ? tenthOf(points, low) : none(`the loss is lowest at the end, ${rates}`),
  };
}

function tenthOf(points: readonly TrendPoint[], low: number): Suggestion {
  const lr = points[low].lr / 10;
  const first = points.findIndex((point) => point.lr >= lr);
  if (first > 0) return { lr, step: points[first].step, why: null };
  return none(
    `a tenth of ${short(points[low].lr)}, the rate of the lowest loss, lies below the sweep, which begins at ${short(points[0].lr)} (begin lower)`,
  );
}

const short = (x: number): string => String(Number(x.toPrecision(3)));
