/** Several sweeps of a range test as one: their mean, and the range over the seeds. */
import { checkCurve, lossTrend } from './loss-trend.ts';
import type { RangeCurve, RangeEvaluation } from './range-test.ts';
import { checkList } from '../shape.ts';

/** The mean and the range over the seeds at one rate. */
export interface BandPoint {
  readonly step: number;
  readonly lr: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** The bands of several sweeps. */
export interface RangeBand {
  /** Of the trends of the loss. Empty if a sweep has fewer than 20 finite losses. */
  readonly loss: readonly BandPoint[];
  /** Of the accuracies. Empty without evaluations. */
  readonly accuracy: readonly BandPoint[];
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * The mean of several sweeps as one curve, as far as all of them go. `suggestBounds` of the mean depends less on a single batch or
 * evaluation than that of one sweep. It has the seed of the first curve. It ends with 'diverged' if a sweep diverged, and with 'abort' if
 * one was aborted.
 *
 * Throws TypeError for anything but curves of `lrRangeTest`, and RangeError for an empty list.
 *
 * @example
 * const options = { model, backend, data, from: 0, to: 0.02, steps: 4000 };
 * const { curves } = await lrRangeTest({ ...options, seeds: [1, 2, 3], optimizer: (lr) => sgd({ lr }) });
 * console.log(suggestBounds(meanCurve(curves)).valley);
 */
export function meanCurve(curves: readonly RangeCurve[]): RangeCurve {
  checkCurves('meanCurve', curves);
  const points = common(curves.map((curve) => curve.points)).map((same) => ({
    ...same[0],
    loss: mean(same.map(({ loss }) => loss)),
    smoothed: mean(same.map(({ smoothed }) => smoothed)),
  }));
  const evaluations = common(curves.map((curve) => curve.evaluations)).map((same) => ({
    ...same[0],
    loss: mean(same.map(({ loss }) => loss)),
    accuracy: meanAccuracy(same),
  }));
  const ends = curves.map(({ end }) => end);
  const end = ends.find((each) => each === 'abort') ?? ends.find((each) => each === 'diverged') ?? 'done';
  return { seed: curves[0].seed, points, evaluations, end };
}

/**
 * The range over the seeds of a range test, as far as all sweeps go: mean, lowest and highest trend of the loss (see `lossTrend`), and the
 * same of the accuracies. A narrow band means that the curve does not depend on the seed.
 *
 * Units: nats for the loss, shares for accuracies.
 * Throws TypeError for anything but curves of `lrRangeTest`, and RangeError for an empty list.
 *
 * @example
 * const options = { model, backend, data, from: 0, to: 0.02, steps: 4000 };
 * const { curves } = await lrRangeTest({ ...options, seeds: [1, 2, 3], optimizer: (lr) => sgd({ lr }) });
 * for (const { lr, low, high } of rangeBand(curves).loss) console.log(lr, low, high);
 */
export function rangeBand(curves: readonly RangeCurve[]): RangeBand {
  checkCurves('rangeBand', curves);
  const usable = common(curves.map((curve) => curve.points));
  const firstBad = usable.findIndex((same) => same.some(({ loss }) => !Number.isFinite(loss)));
  const length = firstBad < 0 ? usable.length : firstBad;
  const trends = curves.map((curve) => lossTrend({ points: curve.points.slice(0, length) }));
  const evaluations = common(curves.map((curve) => curve.evaluations));
  return {
    loss: common(trends).map((same) =>
      bandPoint(
        same[0],
        same.map(({ loss }) => loss),
      ),
    ),
    accuracy: evaluations.flatMap((same) =>
      meanAccuracy(same) === null
        ? []
        : bandPoint(
            same[0],
            same.map(({ accuracy }) => accuracy!),
          ),
    ),
  };
}

const bandPoint = (
  { step, lr }: { readonly step: number; readonly lr: number },
  values: readonly number[],
): BandPoint => ({ step, lr, mean: mean(values), low: Math.min(...values), high: Math.max(...values) });

/** Null if an evaluation has no accuracy. */
function meanAccuracy(same: readonly RangeEvaluation[]): number | null {
  const values = same.flatMap(({ accuracy }) => accuracy ?? []);
  return values.length === same.length ? mean(values) : null;
}

/** The elements at each position that all lists have. */
function common<T>(lists: readonly (readonly T[])[]): readonly (readonly T[])[] {
  const length = Math.min(...lists.map((list) => list.length));
  return Array.from({ length }, (_, i) => lists.map((list) => list[i]));
}

/** Throws TypeError or RangeError unless these are one or more curves. */
export function checkCurves(where: string, curves: unknown): void {
  checkList(where, 'curves', curves);
  const list = curves as readonly unknown[];
  if (list.length === 0) throw new RangeError(`${where}: curves must have one or more sweeps, but is empty`);
  for (const curve of list) checkCurve(where, curve, ['points', 'evaluations']);
}
