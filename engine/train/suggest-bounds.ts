/** Suggestions from the curve of a range test: bounds for a cyclical rate, and the suggestions of other libraries. */
import { checkCurve, FEWEST, trendOf, type TrendPoint } from './loss-trend.ts';
import { fallOf } from './loss-fall.ts';
import type { RangeCurve } from './range-test.ts';

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
  const fall = fallOf(trend, outcome);
  const { points, slopes, slopeErrors, reach } = trend;
  const { top, low, begin, end, slide, isReal, rises } = fall;
  if (!isReal) {
    return nothing(
      `the loss does not fall by more than its noise: from ${short(points[top].loss)} to ${short(points[low].loss)} ` +
        `(sweep other rates, use larger batches, or check the model)`,
    );
  }
  const at = (i: number): Suggestion => ({ lr: points[i].lr, step: points[i].step, why: null });
  const last = points.length - 1;
  const rates = `at ${short(points[last].lr)} (sweep further)`;
  /** Whether the position would not change with a longer sweep: its regression has points on both sides. */
  const isInside = (i: number): boolean => outcome === 'diverged' || i <= last - reach;

  const fallsAt = slopes.map((slope, i) =>
    i <= low && points[i].lr > 0 ? slope + 2 * slopeErrors[i] : Infinity,
  );
  const steepest = fallsAt.indexOf(Math.min(...fallsAt));
  return {
    steepest: isInside(steepest) ? at(steepest) : none(`the loss falls fastest at the end, ${rates}`),
    valley: isInside(end) ? at((begin + end) >> 1) : none(`the loss still falls at the end, ${rates}`),
    slide: rises ? at(slide) : none(`the loss does not rise before the end, ${rates}`),
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
