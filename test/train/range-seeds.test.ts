import { describe, expect, it } from 'vitest';
import {
  cycleBounds,
  lossTrend,
  meanCurve,
  rangeBand,
  rangeSvg,
  rangeWarnings,
  suggestBounds,
  type RangeCurve,
  type RangeTest,
} from 'cyclegrad';
import { curve, early, valley, type CurveOptions } from './range-fixture.ts';

const noisy = (loss: (t: number) => number, options: CurveOptions = {}): RangeCurve[] =>
  [1, 2, 3].map((seed) => curve(loss, { noise: 0.1, n: 400, ...options, seed }));

const testOf = (curves: readonly RangeCurve[], change: Partial<RangeTest> = {}): RangeTest => ({
  sweep: 'exponential',
  from: 1e-5,
  to: 1,
  steps: curves[0].points.length,
  curves,
  ...change,
});

describe('meanCurve', () => {
  it('is the mean as far as all sweeps go', () => {
    const [a, b] = [curve((t) => t, { n: 30 }), curve((t) => 3 * t, { n: 30, seed: 2 })];
    const { points, end, seed } = meanCurve([a, { ...b, points: b.points.slice(0, 20), end: 'diverged' }]);
    expect([points.length, end, seed]).toEqual([20, 'diverged', 0]);
    expect(points.map(({ loss }) => loss)).toEqual(
      a.points.slice(0, 20).map(({ loss }) => expect.closeTo(2 * loss, 12)),
    );
    expect(points.map(({ lr }) => lr)).toEqual(a.points.slice(0, 20).map(({ lr }) => lr));
  });

  it('has the mean accuracies, and none where a sweep has none', () => {
    const [a, b] = [
      [0.1, 0.2, 0.4],
      [0.3, 0.2],
    ].map((accuracies) => curve(valley, { accuracies }));
    expect(meanCurve([a, b]).evaluations.map(({ accuracy }) => accuracy)).toEqual([0.2, 0.2]);
    const without = { ...b, evaluations: b.evaluations.map((each) => ({ ...each, accuracy: null })) };
    expect(meanCurve([a, without]).evaluations.map(({ accuracy }) => accuracy)).toEqual([null, null]);
  });

  it('of one sweep is that sweep', () => {
    const one = curve(valley, { accuracies: [0.1, 0.2] });
    expect(meanCurve([one])).toEqual(one);
  });

  it('has less noise than one sweep', () => {
    const exact = lossTrend(curve(valley, { n: 400 }));
    const distance = (each: RangeCurve): number =>
      lossTrend(each).reduce((sum, { loss }, i) => sum + (loss - exact[i].loss) ** 2, 0);
    const curves = noisy(valley);
    expect(distance(meanCurve(curves))).toBeLessThan(Math.min(...curves.map(distance)));
  });

  it('refuses anything but curves', () => {
    expect(() => meanCurve([])).toThrow('meanCurve: curves must have one or more sweeps, but is empty');
    expect(() => meanCurve([{} as RangeCurve])).toThrow('meanCurve: curve must be a curve of lrRangeTest');
  });
});

describe('rangeBand', () => {
  it('has the lowest and the highest trend at each rate, and the accuracies', () => {
    const curves = noisy(valley).map((each, i) => ({
      ...each,
      evaluations: curve(valley, { accuracies: [0.1, 0.5 + i / 10] }).evaluations,
    }));
    const { loss, accuracy } = rangeBand(curves);
    const trends = curves.map((each) => lossTrend(each));
    for (const [i, point] of loss.entries()) {
      const values = trends.map((trend) => trend[i].loss);
      expect([point.low, point.high]).toEqual([Math.min(...values), Math.max(...values)]);
      expect(point.low).toBeLessThanOrEqual(point.mean);
      expect(point.high).toBeGreaterThanOrEqual(point.mean);
    }
    expect(loss).toHaveLength(400);
    expect(accuracy).toEqual([
      { step: 0, lr: 0, low: 0.1, high: 0.1, mean: expect.closeTo(0.1, 12) },
      { step: 10, lr: 0.001, low: 0.5, high: 0.7, mean: expect.closeTo(0.6, 12) },
    ]);
  });

  it('ends before the first loss that is not finite', () => {
    const [a, b] = noisy(valley);
    const points = b.points.map((point, i) => (i < 300 ? point : { ...point, loss: Infinity }));
    const { loss } = rangeBand([a, { ...b, points, end: 'diverged' }]);
    expect(loss).toHaveLength(300);
    expect(loss.every(({ high }) => Number.isFinite(high))).toBe(true);
  });

  it('is an area behind the curves of rangeSvg', () => {
    const curves = noisy(valley, { accuracies: [0.1, 0.3, 0.5] });
    const mean = meanCurve(curves);
    const picture = {
      label: 'mean',
      evaluations: mean.evaluations,
      trend: lossTrend(mean),
      suggestions: suggestBounds(mean),
    };
    const areas = (band?: ReturnType<typeof rangeBand>): number =>
      rangeSvg([picture], { sweep: 'exponential', ...(band && { band }) }).split('fill-opacity="0.2"')
        .length - 1;
    expect([areas(), areas(rangeBand(curves))]).toEqual([0, 2]);
    expect(() => rangeSvg([], { sweep: 'linear', band: {} as never })).toThrow(
      'rangeSvg: band must be the result of rangeBand',
    );
  });
});

describe('rangeWarnings', () => {
  const found = (curves: readonly RangeCurve[], change: Partial<RangeTest> = {}) =>
    rangeWarnings(testOf(curves, change)).map(({ kind, option, value }) => [kind, option, value]);

  it('has none for a curve that falls and rises', () => {
    for (const sweep of ['linear', 'exponential'] as const) {
      const curves = noisy(valley, { sweep });
      expect(found(curves, sweep === 'linear' ? { sweep, from: 0, to: 0.02 } : {})).toEqual([]);
    }
    const linear = noisy(early, { sweep: 'linear', n: 4000 });
    expect(found(linear, { sweep: 'linear', from: 0, to: 0.02 })).toEqual([]);
  });

  it.each(['linear', 'exponential'] as const)('a %s sweep that ends before the loss rises', (sweep) => {
    const curves = noisy((t) => valley(0.75 * t), { sweep });
    const [from, to] = sweep === 'linear' ? [0, 0.02] : [1e-5, 1];
    expect(found(curves, { sweep, from, to })).toEqual([
      ['ends-early', 'to', sweep === 'linear' ? 0.04 : 10],
    ]);
    expect(rangeWarnings(testOf(curves, { sweep, from, to }))[0].message).toMatch(
      /^the sweep ends too early: the loss does not rise up to (1|0.02)$/,
    );
  });

  it('a sweep without any change', () => {
    expect(found(noisy(() => 2.3, { noise: 0.01 }))).toEqual([['ends-early', 'to', 10]]);
  });

  it('a sweep that starts too high', () => {
    const high = { from: 0.5, to: 10 };
    const falling = noisy((t) => valley(0.35 + 0.6 * t), { noise: 0.02 });
    expect(found(falling, high)).toEqual([['starts-high', 'from', 0.005]]);
    expect(
      found(
        noisy((t) => 2.3 + 3 * t),
        high,
      ),
    ).toEqual([['starts-high', 'from', 0.005]]);
    const linear = noisy((t) => 2.3 + 3 * t, { sweep: 'linear' });
    expect(found(linear, { sweep: 'linear', from: 0.001, to: 0.02 })).toEqual([['starts-high', 'from', 0]]);
    expect(found(linear, { sweep: 'linear', from: 0, to: 0.02 })).toEqual([['starts-high', 'to', 0.002]]);
    const diverged = curve(valley, { n: 5, end: 'diverged' });
    expect(found([diverged], high)).toEqual([['starts-high', 'from', 0.005]]);
    // The loss falls in the first hundredth of a linear sweep, and rises after it.
    const steep = noisy((t) => 1.3 + 40 * Math.abs(t - 0.03), { sweep: 'linear', n: 1000 });
    expect(found(steep, { sweep: 'linear', from: 0, to: 0.02 })).toMatchObject([
      ['starts-high', 'to', 0.002],
    ]);
  });

  it('a curve whose fall is hidden by noise: more seeds, then more updates', () => {
    expect(found([curve(valley, { noise: 0.5, n: 150 })])).toContainEqual(['noisy', 'seeds', 3]);
    const worse = noisy(valley, { noise: 1.2, n: 150 });
    expect(found(worse)).toContainEqual(['noisy', 'steps', 300]);
    expect(found([curve(valley, { n: 12 })])).toEqual([['noisy', 'steps', 100]]);
  });

  it('says nothing about an aborted test', () => {
    expect(found([curve((t) => valley(0.5 * t), { end: 'abort' })])).toEqual([]);
  });

  it('refuses anything but a test', () => {
    expect(() => rangeWarnings(curve(valley) as never)).toThrow(
      'rangeWarnings: test must be the result of lrRangeTest',
    );
  });
});

describe('cycleBounds', () => {
  it('takes ragged, and a third of it', () => {
    const accuracies = [0.1, 0.3, 0.4, 0.5, 0.45, 0.5];
    const test = testOf([curve(early, { accuracies, sweep: 'linear', n: 400 })], {
      sweep: 'linear',
      from: 0,
      to: 0.02,
    });
    expect(cycleBounds(test)).toEqual({
      base: 0.001,
      max: 0.003,
      why: 'max is ragged, and base a third of it',
    });
  });

  it('stays below slide, and at most at rise', () => {
    // Evaluations are at 0, 0.001, …; the loss rises from 0.012 on.
    const accuracies = [0.1, 0.3, ...Array.from({ length: 18 }, (_, i) => 0.4 + i / 100), 0.2];
    const test = testOf([curve(early, { accuracies, sweep: 'linear', n: 4000 })], {
      sweep: 'linear',
      from: 0,
      to: 0.02,
    });
    const { base, max, why } = cycleBounds(test);
    expect([base, why]).toEqual([0.001, 'max is slide, and base rise']);
    expect(max).toBeGreaterThan(0.01);
    expect(max).toBeLessThan(0.019);
  });

  it('takes valley without evaluations', () => {
    const { base, max, why } = cycleBounds(testOf(noisy(valley)));
    expect(why).toBe('max is valley, and base a third of it');
    expect(Math.log(max! / 1e-5) / Math.log(1e5)).toBeCloseTo(0.35, 1);
    expect(base! / max!).toBeCloseTo(1 / 3, 1);
  });

  it('has none where the curve shows none', () => {
    expect(cycleBounds(testOf(noisy(() => 2.3)))).toEqual({
      base: null,
      max: null,
      why: expect.stringMatching(
        /there are only 0 evaluations.*; the loss does not fall by more than its noise/,
      ),
    });
  });
});
