/** The bounds of a cyclical rate that a range test suggests. */
import { boundsFromMax } from '../../schedulers/index.ts';
import { meanCurve } from './range-seeds.ts';
import type { RangeTest } from './range-test.ts';
import { checkTest } from './range-warnings.ts';
import { suggestBounds } from './suggest-bounds.ts';

/** Bounds and where they come from, or the reason why there are none. */
export type CycleBounds =
  | { readonly base: number; readonly max: number; readonly why: string }
  | { readonly base: null; readonly max: null; readonly why: string };

/**
 * The bounds of a cyclical rate that a range test suggests, from the mean over its seeds:
 *
 *   max   `ragged` of `suggestBounds`, but at most `slide`; without evaluations, `valley`
 *   base  a third of max, but at most `rise`
 *
 * Both are null if the curve shows no `max`, with the reason in `why`. Look at `rangeWarnings`, too.
 *
 * Units: learning rates, with two digits.
 * Throws TypeError for anything but the result of `lrRangeTest`.
 * Source: L. N. Smith, 2017, section 3.3.
 *
 * @example
 * const options = { model, backend, data, from: 0, to: 0.02, steps: 4000, eval: { data: test, every: 200 } };
 * const { base, max } = cycleBounds(await lrRangeTest({ ...options, optimizer: (lr) => sgd({ lr }) }));
 * const lr = max === null ? 0.01 : cyclicLR({ base, max, stepSize: 2000 });
 */
export function cycleBounds(test: RangeTest): CycleBounds {
  checkTest('cycleBounds', test);
  const { rise, ragged, slide, valley } = suggestBounds(meanCurve(test.curves));
  const usable = ragged.lr !== null && ragged.lr > 0 ? ragged : valley;
  if (usable.lr === null) {
    const accuracy = ragged.lr === null ? ragged.why : 'accuracy falls from the start';
    return { base: null, max: null, why: `${accuracy}; ${valley.why}` };
  }
  const isLimited = slide.lr !== null && slide.lr < usable.lr;
  const max = nice(isLimited ? slide.lr : usable.lr);
  const third = boundsFromMax(max).base;
  const isEarly = rise.lr !== null && rise.lr > 0 && rise.lr < third;
  const name = isLimited ? 'slide' : usable === ragged ? 'ragged' : 'valley';
  return {
    base: nice(isEarly ? rise.lr : third),
    max,
    why: `max is ${name}, and base ${isEarly ? 'rise' : 'a third of it'}`,
  };
}

const nice = (x: number): number => Number(x.toPrecision(2));
