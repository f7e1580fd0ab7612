/** What the curve of a range test suggests: bounds for a cyclical rate, and places that other programs name. */
import type { RangeCurve, RangePoint } from './range-test.ts';

export type SuggestionName = 'rise' | 'ragged' | 'steepest' | 'valley' | 'slide' | 'minimum';

/** A place on the curve, or why there is none. */
export type Suggestion =
  | { readonly lr: number; readonly step: number; readonly why: null }
  | { readonly lr: null; readonly step: null; readonly why: string };

const none = (why: string): Suggestion => ({ lr: null, step: null, why });

/**
 * What a curve suggests, by name. The first two need evaluations, the others go by `lossTrend`, of which positions count, not rates or
 * their logarithms: a sweep has its updates at equal distances on the axis that it is made for. Where the curve does not show a place
 * beyond its noise, there is none, and `why` has the reason.
 *
 *   rise      the paper's lower bound: the first rate at which accuracy has begun to rise
 *   ragged    the paper's upper bound: the last rate before accuracy falls for the first time
 *   steepest  where the loss falls fastest
 *   valley    the middle of the fall, from the last position with 95 % of it still to come to the first with 5 %
 *   slide     the upper end of the valley: the last rate before the loss rises for good, by more than 5 % of the fall
 *   minimum   a tenth of the rate with the lowest loss
 *
 * The last four names are fastai's, whose rules are for exponential sweeps of 100 updates: there the valley is found by the longest
 * falling subsequence, and the slide by comparing slopes 15 updates apart. Both end at the last update where the loss is noisy or does
 * not diverge.
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
        ? none(`accuracy still rises at the end, at ${known.at(-1).lr} (sweep further)`)
        : { lr: known[fall - 1].lr, step: known[fall - 1].step, why: null },
  };
}

/** A position on a smooth curve through the losses. */
export interface TrendPoint {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
}

/**
 * A smooth curve through the losses of the updates, of up to 1000 points: at each a straight line is fitted to the twentieth of the
 * curve on either side, near points counting more. Unlike a running mean it does not lag behind. A loss that is far from its
 * neighbors is replaced by the nearer one of them, and those far above the first ones are taken as lower ones, since an overflow would
 * bend the curve around it. Empty for fewer than 20 finite losses.
 * Source: W. S. Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots, 1979, without the robust weights.
 *
 * @example curveSvg([{ label: 'loss', points: lossTrend(curve).map(({ lr, loss }) => [lr, loss]) }], options)
 */
export const lossTrend = ({ points }: Pick<RangeCurve, 'points'>): readonly TrendPoint[] =>
  trendOf(points)?.points ?? [];

const FEWEST = 20;
/** Longer curves are averaged over stretches of equal length. */
const MOST = 1000;
/** Half of the points that a line is fitted to, as a share of the curve. */
const REACH = 0.05;
/** Differences count from so many standard errors on: the extremes of noise alone lie some 4 apart. */
const SIGNIFICANT = 5;
/** Shares of the fall that belong to its ends. */
const END = 0.05;

interface Trend {
  readonly points: readonly TrendPoint[];
  /** Change of the loss from one position to the next. */
  readonly slopes: readonly number[];
  /** Standard errors of the losses and of the slopes. */
  readonly errors: readonly number[];
  readonly slopeErrors: readonly number[];
  /** Positions on either side that a line is fitted to. */
  readonly reach: number;
}

function trendOf(all: readonly RangePoint[]): Trend | null {
  const finite = all.filter(({ loss }) => Number.isFinite(loss));
  if (finite.length < FEWEST) return null;
  const stretches = stretchesOf(finite);
  const raw = stretches.map(({ loss }) => loss);
  const losses = capped(withoutGlitches(raw));
  const n = losses.length;
  const reach = Math.max(2, Math.round(n * REACH));
  const noise = noiseOf(raw);
  const fits = losses.map((_, i) => fitLine(losses, i, reach));
  return {
    points: fits.map(({ value }, i) => ({ ...stretches[i], loss: value })),
    slopes: fits.map(({ slope }) => slope),
    errors: fits.map(({ error }) => error * noise),
    slopeErrors: fits.map(({ slopeError }) => slopeError * noise),
    reach,
  };
}

function stretchesOf(points: readonly RangePoint[]): readonly TrendPoint[] {
  const length = Math.ceil(points.length / MOST);
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const own = points.slice(i * length, (i + 1) * length);
    const { step, lr } = own[own.length >> 1];
    return { step, lr, loss: own.reduce((sum, { loss }) => sum + loss, 0) / own.length };
  });
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** Medians of three neighbors: without losses that are far from those before and after. */
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
 * The standard deviation of a loss around the curve, from differences of neighbors: 0.6745 of it is the median of a normal
 * distribution's distances. At least the rounding of an f32.
 */
function noiseOf(losses: readonly number[]): number {
  const deviation =
    median(losses.slice(1).map((loss, i) => Math.abs(loss - losses[i]))) / (0.6745 * Math.SQRT2);
  return Math.max(deviation, 1e-6 * median(losses.map(Math.abs)));
}

interface Fit {
  readonly value: number;
  readonly slope: number;
  /** Standard errors for a noise of 1. */
  readonly error: number;
  readonly slopeError: number;
}

/** The weighted line of least squares around position i. */
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
    const share = (weightAt(j - i) * (s2 - s1 * (j - i))) / determinant;
    const slopeShare = (weightAt(j - i) * (s0 * (j - i) - s1)) / determinant;
    value += share * losses[j];
    slope += slopeShare * losses[j];
    square += share * share;
    slopeSquare += slopeShare * slopeShare;
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
    return nothing(`there are ${finite} updates with a finite loss (${FEWEST} are needed: sweep for longer)`);
  }
  const { points, reach } = trend;
  const losses = points.map(({ loss }) => loss);
  const low = losses.indexOf(Math.min(...losses));
  const top = losses.indexOf(Math.max(...losses.slice(0, low + 1)));
  const fall = losses[top] - losses[low];
  /** Whether the loss at b lies above that at a by more than chance would have it. */
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
  /** Whether the position would stay where it is if the sweep went on: its line has points on either side. */
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
