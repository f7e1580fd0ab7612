import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  crossEntropy,
  fit,
  log,
  lossTrend,
  lrRangeTest,
  rangeSvg,
  sub,
  suggestBounds,
  wasm,
  type Backend,
  type RangeCurve,
  type RangeTestOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { curve, early, valley } from './range-fixture.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 1 });
});
afterAll(async () => {
  await backend.close();
});

const points = synthetic({ kind: 'spirals', n: 300, seed: 3 });
const held = synthetic({ kind: 'spirals', n: 200, seed: 4 });
const model = nn.mlp([2, 16, 3]);
const data = loader(points, { batchSize: 30 });

const sweep = (options: Partial<RangeTestOptions> = {}): RangeTestOptions => ({
  model,
  backend,
  data,
  optimizer: (lr) => sgd({ lr, momentum: 0.9 }),
  from: 0,
  to: 0.5,
  steps: 60,
  ...options,
});

describe('lrRangeTest', () => {
  it('raises the rate in equal steps, and evaluates on the way', async () => {
    const { curves, ...rest } = await lrRangeTest(sweep({ eval: { data: held, every: 20 } }));
    expect(rest).toEqual({ sweep: 'linear', from: 0, to: 0.5, steps: 60 });
    const [{ points: found, evaluations, end, seed }] = curves;
    expect({ end, seed }).toEqual({ end: 'done', seed: 0 });
    expect(found.map(({ step }) => step)).toEqual([...Array(60).keys()]);
    expect([found[0].lr, found[59].lr]).toEqual([0, 0.5]);
    expect(found[30].lr).toBeCloseTo((0.5 * 30) / 59, 12);
    expect(evaluations.map(({ step, lr }) => [step, lr])).toEqual(
      [0, 20, 40, 60].map((step) => [step, expect.closeTo((0.5 * Math.min(step, 59)) / 59, 12)]),
    );
    // The first value of a corrected running mean is the value itself.
    expect(found[0].smoothed).toBeCloseTo(found[0].loss, 12);
    expect(evaluations.every(({ accuracy }) => accuracy !== null && accuracy >= 0 && accuracy <= 1)).toBe(
      true,
    );
  });

  it('raises it by equal factors, for several seeds', async () => {
    const { curves } = await lrRangeTest(
      sweep({ sweep: 'exponential', from: 1e-4, to: 1, steps: 41, seeds: [1, 2], divergence: 100 }),
    );
    expect(curves.map(({ seed }) => seed)).toEqual([1, 2]);
    expect(curves[0].points[20].lr).toBeCloseTo(0.01, 12);
    expect(curves.map(({ points: [first, ...rest] }) => [first.lr, rest.at(-1).lr])).toEqual([
      [1e-4, 1],
      [1e-4, 1],
    ]);
    expect(curves[0].points[0].loss).not.toBe(curves[1].points[0].loss);
  });

  it.each([
    ['linear', 0, 10, 5, [0, 2.5, 5, 7.5, 10]],
    ['exponential', 1e-3, 10, 5, [1e-3, 1e-2, 1e-1, 1, 10]],
    ['linear', 0.1, 0.3, 2, [0.1, 0.3]],
    ['exponential', 0.1, 0.3, 2, [0.1, 0.3]],
  ] as const)('%s from %f to %f in %i updates: both ends are used', async (kind, from, to, steps, rates) => {
    const { curves } = await lrRangeTest(sweep({ sweep: kind, from, to, steps, divergence: 1e300 }));
    const used = curves[0].points.map(({ lr }) => lr);
    expect(used).toEqual(rates.map((lr) => expect.closeTo(lr, 12)));
    expect([used[0], used.at(-1)]).toEqual([from, to]);
  });

  it('ends where the loss grows past all bounds, or is not finite', async () => {
    const far = await lrRangeTest(sweep({ to: 200, steps: 200, smoothing: 0.5 }));
    expect(far.curves[0].end).toBe('diverged');
    expect(far.curves[0].points.length).toBeLessThan(200);
    const off = await lrRangeTest(sweep({ to: 1e30, steps: 50, divergence: 1e300 }));
    expect(off.curves[0].end).toBe('diverged');
  });

  it('ends at an evaluation whose loss is not finite, with the curve so far', async () => {
    const options = { to: 1e38, steps: 4, divergence: 1e300, eval: { data: held, every: 1 } };
    const { curves } = await lrRangeTest(sweep(options));
    expect(curves[0].end).toBe('diverged');
    expect(curves[0].points.length).toBeGreaterThan(0);
    expect(curves[0].evaluations.length).toBe(curves[0].points.length);
  });

  it('throws if the loss is not finite before the first update', async () => {
    const loss: RangeTestOptions['loss'] = (output, targets) =>
      log(sub(crossEntropy(output, targets, { reduction: 'none' }), 100));
    await expect(lrRangeTest(sweep({ loss }))).rejects.toThrow('train: the loss is not finite at step 0');
  });

  it('goes on where the loss is below 0 from the start', async () => {
    const loss: RangeTestOptions['loss'] = (output, targets) =>
      sub(crossEntropy(output, targets, { reduction: 'none' }), 100);
    const { curves } = await lrRangeTest(sweep({ loss, to: 1e-3, steps: 20 }));
    expect(curves[0].points[0].loss).toBeLessThan(0);
    expect([curves[0].end, curves[0].points.length]).toEqual(['done', 20]);
  });

  it('changes nothing: a training before it and one after it give the same bytes', async () => {
    const training = () =>
      fit({ model, backend, data, steps: 15, seed: 5, optimizer: sgd({ lr: 0.1, momentum: 0.9 }) });
    const before = await training();
    const copy = structuredClone(before.state);
    const options = sweep({ initial: before.state, seeds: [5], steps: 25, eval: { data: held, every: 5 } });
    const first = await lrRangeTest(options);
    expect(before.state).toEqual(copy);
    expect((await training()).state).toEqual(copy);
    expect(await lrRangeTest(options)).toEqual(first);
    // It began with what it was given.
    const fresh = await lrRangeTest({ ...options, initial: {} });
    expect(fresh.curves[0].points[0].loss).not.toBe(first.curves[0].points[0].loss);
  });

  it('stops between two steps when asked', async () => {
    const stop = new AbortController();
    stop.abort();
    const { curves } = await lrRangeTest(sweep({ signal: stop.signal, seeds: [1, 2] }));
    expect(curves.map(({ end, points: found }) => [end, found.length])).toEqual([['abort', 0]]);
  });

  it.each([
    [{ from: 0, sweep: 'exponential' }, 'from must be a number > 0 for an exponential sweep, got 0'],
    [{ from: 1 }, 'to must be a number above from (1), got 0.5'],
    [{ steps: 1 }, 'steps must be an integer >= 2, got 1'],
    [{ seeds: [] }, 'seeds must be a non-empty array'],
    [{ divergence: 1 }, 'divergence must be a number > 1, got 1'],
    [{ optimizer: sgd({ lr: 1 }) }, 'optimizer must be a function of the rate'],
    [
      { initial: { nothing: { shape: [], dtype: 'f32', data: new Float32Array(1) } } },
      "no array called 'nothing'",
    ],
    [
      { initial: { 'fc.bias': { shape: [3], dtype: 'f32', data: new Float32Array(2) } } },
      "initial: 'fc.bias' is f32 [3], 3 elements, but its data is Float32Array (2)",
    ],
  ])('refuses %j', async (options, message) => {
    await expect(lrRangeTest(sweep(options as never))).rejects.toThrow(message);
  });
});

/** Places of the suggestions as shares of the sweep, or the reasons. */
function places(given: RangeCurve): Record<string, number | string> {
  const last = given.points.length - 1;
  return Object.fromEntries(
    Object.entries(suggestBounds(given)).map(([name, { step, why }]) => [name, why ?? step / last]),
  );
}

describe('suggestBounds', () => {
  describe.each(['linear', 'exponential'] as const)('by the loss of a %s sweep', (kind) => {
    it.each([
      [200, 0],
      [100, 0.05],
      [1000, 0.1],
      [4000, 0.2],
    ])('of %i updates with noise %f', (n, noise) => {
      const found = places(curve(valley, { n, noise, sweep: kind }));
      expect(found).toMatchObject({
        steepest: expect.closeTo(0.35, 1),
        // 5 % of the fall are left where the cosine is 0.9, which is 0.043 from either end of the fall.
        valley: expect.closeTo(0.35, 1),
      });
      // 5 % of the fall, 0.05, lie 0.05 after the beginning of the rise.
      expect(Math.abs((found['slide'] as number) - 0.85)).toBeLessThan(0.05);
      const { minimum } = suggestBounds(curve(valley, { n, noise, sweep: kind }));
      const lowest = minimum.lr! * 10;
      const share = kind === 'linear' ? lowest / 0.02 : Math.log(lowest / 1e-5) / Math.log(1e5);
      expect(share).toBeGreaterThan(0.48);
      expect(share).toBeLessThan(0.82);
    });
  });

  it('finds a fall at the beginning of a linear sweep, and the rise after it', () => {
    const found = places(curve(early, { n: 4000, noise: 0.15, sweep: 'linear' }));
    expect(found['steepest']).toBeLessThan(0.125);
    expect(found['valley']).toBeGreaterThan(0.05);
    expect(found['valley']).toBeLessThan(0.3);
    expect(found['slide']).toBeGreaterThan(0.5);
    expect(found['slide']).toBeLessThan(0.75);
  });

  it('is not misled by a loss that overflows at the end', () => {
    const overflow = (t: number): number => (t > 0.97 ? 10 ** (100 * t) : valley(Math.min(t, 0.8)));
    const found = places(curve(overflow, { end: 'diverged' }));
    expect(found).toMatchObject({ steepest: expect.closeTo(0.35, 1), valley: expect.closeTo(0.35, 1) });
    expect(found['slide']).toBeGreaterThan(0.88);
    expect(found['slide']).toBeLessThanOrEqual(0.97);
    // One that is not finite is no point of the curve; its sweep ended as diverged.
    const cut = curve((t) => valley(0.6 * t), { end: 'diverged' });
    expect(places(cut)).toMatchObject({ steepest: expect.closeTo(0.58, 1), slide: 1 });
  });

  it.each([
    ['flat', () => 2.3],
    ['rises', (t: number) => 2.3 + t],
    ['rises from the start on without end', (t: number) => 2.3 * Math.exp(5 * t)],
  ])('none where the loss is %s', (_, loss) => {
    for (const noise of [0, 0.1]) {
      const { rise: _rise, ragged: _ragged, ...found } = places(curve(loss, { noise, n: 400 }));
      for (const why of Object.values(found))
        expect(why).toMatch(/^the loss does not fall by more than its noise: from/);
    }
  });

  it('none where the loss still falls at the end', () => {
    const found = places(curve((t) => 2.3 - t * t, { n: 400, noise: 0.02 }));
    expect(found).toMatchObject({
      steepest: 'the loss falls fastest at the end, at 1 (sweep further)',
      valley: 'the loss still falls at the end, at 1 (sweep further)',
      slide: 'the loss does not rise before the end, at 1 (sweep further)',
      minimum: 'the loss is lowest at the end, at 1 (sweep further)',
    });
  });

  it('no slide where the loss is level at the end', () => {
    const found = places(curve((t) => valley(0.75 * t), { n: 400, noise: 0.05 }));
    expect(found['steepest']).toBeCloseTo(0.35 / 0.75, 1);
    expect(found['valley']).toBeCloseTo(0.35 / 0.75, 1);
    expect(found['slide']).toBe('the loss does not rise before the end, at 1 (sweep further)');
  });

  it('a tenth of the rate with the lowest loss may lie below the sweep', () => {
    const points = curve(valley, { n: 200 }).points.map((point) => ({
      ...point,
      lr: 0.01 + point.lr / 1000,
    }));
    expect(places({ ...curve(valley), points })['minimum']).toMatch(
      /^a tenth of 0.0\d+, the rate of the lowest loss, lies below the sweep, which begins at 0.01 \(begin lower\)$/,
    );
  });

  it('few updates: a reason for each', () => {
    for (const n of [0, 2, 19]) {
      const given = { ...curve(valley), points: curve(valley).points.slice(0, n) };
      const reasons = Object.values(places(given));
      expect(reasons.slice(2)).toEqual(
        Array(4).fill(`there are only ${n} updates with a finite loss (20 are needed: use a longer sweep)`),
      );
      expect(reasons.slice(0, 2).every((why) => String(why).startsWith('there are only 0 evaluations'))).toBe(
        true,
      );
      expect(lossTrend(given)).toEqual([]);
    }
  });

  it('the trend goes through the middle of the noise, without a lag', () => {
    const trend = lossTrend(curve(valley, { n: 4000, noise: 0.2, sweep: 'linear' }));
    expect(trend).toHaveLength(1000);
    // A line over 5 % on either side rounds corners off a little.
    for (const { lr, loss } of trend) expect(Math.abs(loss - valley(lr / 0.02))).toBeLessThan(0.06);
    expect(lossTrend(curve(valley)).map(({ step }) => step)).toEqual([...Array(200).keys()]);
  });

  it("by accuracy: the paper's own curve gives its own bounds", () => {
    const accuracies = [0.1, 0.16, 0.31, 0.33, 0.38, 0.42, 0.415, 0.42, 0.485, 0.42, 0.46];
    const { rise, ragged } = suggestBounds(curve(valley, { accuracies }));
    expect(rise).toMatchObject({ lr: 0.001, step: 10 });
    expect(ragged).toMatchObject({ lr: 0.005, step: 50 });
  });

  it('pictures have a marker for each suggestion, on the curve that it comes from', () => {
    const accuracies = [0.1, 0.16, 0.31, 0.33, 0.38, 0.42, 0.415];
    const given = curve(valley, { sweep: 'linear', accuracies });
    const picture = (own: RangeCurve) => ({
      label: 'seed 0',
      evaluations: own.evaluations,
      trend: lossTrend(own),
      suggestions: suggestBounds(own),
    });
    const markers = (svg: string): string[] =>
      [...svg.matchAll(/data-series="(\w+)" d="[^"]*" transform="translate/g)]
        .map(([, name]) => name)
        .filter((name, i, all) => all.indexOf(name) === i);
    const both = rangeSvg([picture(given)], { sweep: 'linear' });
    expect(markers(both)).toEqual(['rise', 'ragged', 'steepest', 'valley', 'slide', 'minimum']);
    expect(both).toContain('test accuracy');
    const alone = rangeSvg([picture({ ...given, evaluations: [] })], { sweep: 'linear' });
    expect(markers(alone)).toEqual(['steepest', 'valley', 'slide', 'minimum']);
    expect(alone).not.toContain('test accuracy');
    const short = rangeSvg([picture({ ...given, points: [] })], { sweep: 'linear', title: 'title' });
    expect(markers(short)).toEqual(['rise', 'ragged']);
    expect(short).not.toContain('training loss');
    expect(markers(rangeSvg([], { sweep: 'exponential' }))).toEqual([]);
  });

  it.each([
    ['a model that does not learn', [0.1, 0.11, 0.1, 0.12, 0.1], 'rise', 'does not learn here'],
    ['a sweep that ends too early', [0.1, 0.2, 0.3, 0.4], 'ragged', 'still rises at the end'],
  ] as const)('says why there is none: %s', (_, accuracies, name, why) => {
    const found = suggestBounds(curve(valley, { accuracies }));
    expect(found[name]).toMatchObject({ lr: null, why: expect.stringContaining(why) });
  });
});
