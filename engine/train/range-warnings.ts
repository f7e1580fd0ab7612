/** What is wrong with a range test, and the option that mends it. */
import { fallOf } from './loss-fall.ts';
import { FEWEST, trendOf } from './loss-trend.ts';
import { checkCurves, meanCurve } from './range-seeds.ts';
import type { RangeTest } from './range-test.ts';
import { checkInteger, checkKind, checkNumber, checkOneOf } from '../options.ts';

/** A defect of a range test. */
export interface RangeWarning {
  /**
   * 'ends-early': the loss does not rise before the end. 'starts-high': the rates are too high from the start, or most of them are.
   * 'noisy': noise hides the shape of the curve.
   */
  readonly kind: 'ends-early' | 'starts-high' | 'noisy';
  /** What the curve shows, as a sentence without a period. */
  readonly message: string;
  /** The option of `lrRangeTest` that mends it. */
  readonly option: 'from' | 'to' | 'steps' | 'seeds';
  /** A value for this option. For `seeds`, the number of seeds. */
  readonly value: number;
}

/** A curve with more noise than this share of its fall is noisy. */
const NOISY = 0.25;
/** The noise of a flat curve matters from this share of the loss on. */
const NOISY_FLAT = 0.02;
/** In a linear sweep from 0, a rise in the first tenth leaves little of the curve to see. */
const BARELY = 0.1;
const SEEDS = 3;

/**
 * Warnings about a range test whose suggestions are uncertain: it ended before the loss rose, it started at rates that are too high, or it
 * is too noisy. Each names an option of `lrRangeTest` and a value that mends it. The warnings are about the mean over the seeds. There are
 * none for an aborted test.
 *
 * Units: learning rates for `from` and `to`, updates for `steps`.
 * Throws TypeError for anything but the result of `lrRangeTest`.
 *
 * @example
 * const options = { model, backend, data, from: 1e-6, to: 1e-3, steps: 100, sweep: 'exponential' } as const;
 * const test = await lrRangeTest({ ...options, optimizer: (lr) => sgd({ lr }) });
 * for (const { message, option, value } of rangeWarnings(test)) console.log(message, option, value);
 */
export function rangeWarnings(test: RangeTest): readonly RangeWarning[] {
  checkTest('rangeWarnings', test);
  const { curves, from, sweep, steps } = test;
  const curve = meanCurve(curves);
  if (curve.end === 'abort') return [];
  const { points } = curve;
  const reached = points.at(-1)?.lr ?? from;
  const isDiverged = curve.end === 'diverged';
  const trend = trendOf(points);
  if (trend === null) {
    return isDiverged
      ? [
          tooHigh(
            test,
            `the loss diverges after ${points.length} updates, at ${short(reached)}`,
            reached / 10,
          ),
        ]
      : [
          {
            kind: 'noisy',
            message: `${points.length} updates are too few for a curve (${FEWEST} are needed)`,
            option: 'steps',
            value: 100,
          },
        ];
  }
  const fall = fallOf(trend, curve.end);
  const { points: smooth, reach } = trend;
  const last = smooth.length - 1;
  const warnings: RangeWarning[] = [];
  if (!fall.isReal && (fall.rises || smooth[last].loss - smooth[0].loss > fall.noise)) {
    return [tooHigh(test, `the loss rises from the start, ${short(smooth[0].lr)}`, reached / 10)];
  }
  if (!fall.rises) {
    const what = fall.isReal ? 'does not rise' : 'does not change';
    warnings.push({
      kind: 'ends-early',
      message: `the sweep ends too early: the loss ${what} up to ${short(reached)}`,
      option: 'to',
      value: nice(reached * (sweep === 'exponential' || !fall.isReal ? 10 : 2)),
    });
  } else if (from > 0 && fall.begin <= reach) {
    warnings.push(tooHigh(test, `the loss falls from the start, ${short(from)}`, reached));
  } else if (from === 0 && fall.slide <= BARELY * last) {
    const rate = smooth[fall.slide].lr;
    warnings.push(
      tooHigh(test, `the loss rises from ${short(rate)} on, in the first tenth of the sweep`, 3 * rate),
    );
  }
  const isNoisy = fall.isReal
    ? fall.noise > NOISY * fall.size
    : fall.noise > NOISY_FLAT * Math.abs(smooth[fall.low].loss);
  if (isNoisy) {
    const one = curves.length === 1;
    warnings.push({
      kind: 'noisy',
      message: `the curve is noisy: the loss falls by ${short(fall.size)}, and noise can be ${short(fall.noise)}`,
      option: one ? 'seeds' : 'steps',
      value: one ? SEEDS : 2 * steps,
    });
  }
  return warnings;
}

/** A lower start. A linear sweep from 0 gets the lower end `to`. */
function tooHigh({ from, sweep }: RangeTest, what: string, to: number): RangeWarning {
  const message = `the sweep starts too high: ${what}`;
  if (from === 0) return { kind: 'starts-high', message, option: 'to', value: nice(to) };
  return { kind: 'starts-high', message, option: 'from', value: sweep === 'linear' ? 0 : nice(from / 100) };
}

/** Throws TypeError unless this is the result of a range test. */
export function checkTest(where: string, test: unknown): void {
  checkKind(where, 'test', test, 'curves', 'the result of lrRangeTest');
  const { curves, from, to, steps, sweep } = test as RangeTest;
  checkCurves(where, curves);
  checkOneOf(where, 'sweep', sweep, ['linear', 'exponential']);
  checkInteger(where, 'steps', steps, 1);
  for (const [name, value] of Object.entries({ from, to }))
    checkNumber(where, name, value, 'a number >= 0', (x) => x >= 0);
}

const short = (x: number): string => String(Number(x.toPrecision(3)));
const nice = (x: number): number => Number(x.toPrecision(2));
