/** A smooth curve through the losses of a range test, with its noise. */
import type { RangeCurve, RangePoint } from './range-test.ts';
import { checkKind, show } from '../options.ts';

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
export function checkCurve(where: string, curve: unknown, lists: readonly (keyof RangeCurve)[]): void {
  for (const name of lists) {
    checkKind(where, 'curve', curve, name, 'a curve of lrRangeTest, for instance curves[0]');
    const list: unknown = (curve as RangeCurve)[name];
    if (!Array.isArray(list)) throw new TypeError(`${where}: ${name} must be an array, got ${show(list)}`);
  }
}

export const FEWEST = 20;
/** Longer curves are averaged over segments of equal length. */
const MOST = 1000;
/** The number of points on each side of a local regression, as a fraction of the curve. */
const REACH = 0.05;

export interface Trend {
  readonly points: readonly TrendPoint[];
  /** The change of the loss from one position to the next. */
  readonly slopes: readonly number[];
  /** Standard errors of the losses and of the slopes. */
  readonly errors: readonly number[];
  readonly slopeErrors: readonly number[];
  /** The number of positions on each side of a local regression. */
  readonly reach: number;
}

/** Null for too few losses. */
export function trendOf(all: readonly RangePoint[]): Trend | null {
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
