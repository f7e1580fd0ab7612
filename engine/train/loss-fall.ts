/** Where the loss of a range test falls and rises again. */
import type { Trend } from './loss-trend.ts';
import type { RangeCurve } from './range-test.ts';

/** The minimum significant difference in standard errors. The extremes of pure noise are about 4 apart. */
const SIGNIFICANT = 5;
/** The fraction of the fall at each of its ends. */
const END = 0.05;

/** Positions in the trend. */
export interface Fall {
  /** The highest loss before the lowest one. */
  readonly top: number;
  readonly low: number;
  /** The difference of the two losses. */
  readonly size: number;
  /** The difference that noise can cause. */
  readonly noise: number;
  /** Whether the fall is larger than the noise. */
  readonly isReal: boolean;
  /** The last position with 95% of the fall remaining, and the first with 5%. */
  readonly begin: number;
  readonly end: number;
  /** The last position before the loss rises by more than 5% of the fall. */
  readonly slide: number;
  /** Whether the loss rises after its lowest point, by more than the noise. */
  readonly rises: boolean;
}

export function fallOf({ points, errors }: Trend, outcome: RangeCurve['end']): Fall {
  const losses = points.map(({ loss }) => loss);
  const low = losses.indexOf(Math.min(...losses));
  const top = losses.indexOf(Math.max(...losses.slice(0, low + 1)));
  const size = losses[top] - losses[low];
  const noiseOf = (a: number, b: number): number => SIGNIFICANT * Math.hypot(errors[a], errors[b]);
  const noise = noiseOf(top, low);
  const begin = losses.findLastIndex((loss, i) => i <= low && loss >= losses[top] - END * size);
  const end = losses.findIndex((loss, i) => i >= begin && loss <= losses[low] + END * size);
  const slide = losses.findLastIndex((loss) => loss <= losses[low] + END * size);
  const highest = losses.indexOf(Math.max(...losses.slice(low)), low);
  const climb = losses[highest] - losses[low];
  const rises = outcome === 'diverged' || (climb > noiseOf(highest, low) && climb > END * size);
  return { top, low, size, noise, isReal: size > noise, begin, end, slide, rises };
}
