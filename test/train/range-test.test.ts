import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  crossEntropyRows,
  fit,
  lrRangeTest,
  mlp,
  sub,
  suggestBounds,
  wasm,
  type Backend,
  type RangeCurve,
  type RangeTestOptions,
} from 'cyclegrad';
import { loader, synthetic } from '../../datasets/index.ts';
import { sgd } from '../../optim/index.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 1 });
});
afterAll(async () => {
  await backend.close();
});

const points = synthetic({ kind: 'spirals', n: 300, seed: 3 });
const held = synthetic({ kind: 'spirals', n: 200, seed: 4 });
const model = mlp([2, 16, 3]);
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
    expect(curves.map(({ points: [first, ...rest] }) => [first.lr, rest.at(-1)!.lr])).toEqual([
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

  it('goes on where the loss is below 0 from the start', async () => {
    const loss: RangeTestOptions['loss'] = (output, targets) => sub(crossEntropyRows(output, targets), 100);
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
    [{ seeds: [] }, 'seeds must have at least one'],
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

/** A curve from the smoothed losses and accuracies at evenly spaced rates. */
function curve(loss: (t: number) => number, accuracies: readonly number[] = []): RangeCurve {
  const n = 200;
  const all = Array.from({ length: n }, (_, step) => {
    const value = loss(step / n);
    return { step, lr: 1e-5 * 1e5 ** (step / n), loss: value, smoothed: value };
  });
  const evaluations = accuracies.map((accuracy, i) => ({ step: i * 10, lr: i / 1000, loss: 1, accuracy }));
  return { seed: 0, points: all, evaluations, end: 'done' };
}

describe('suggestBounds', () => {
  const bowl = (t: number): number => 2 + Math.cos(2 * Math.PI * t) * (t < 0.75 ? 1 : 3);

  it('by the loss: falls at 0.25, lowest at 0.5', () => {
    const found = suggestBounds(curve(bowl));
    const share = (lr: number | null): number => Math.log(lr! / 1e-5) / Math.log(1e5);
    expect(share(found.steepest.lr)).toBeCloseTo(0.25, 1);
    expect(share(found.valley.lr)).toBeCloseTo(0.3, 1);
    expect(share(found.minimum.lr! * 10)).toBeCloseTo(0.5, 1);
    expect(found.slide.lr).not.toBeNull();
    expect(found.rise).toEqual({ lr: null, step: null, why: expect.stringContaining('0 evaluations') });
  });

  it("by accuracy: the paper's own curve gives its own bounds", () => {
    const paper = [0.1, 0.16, 0.31, 0.33, 0.38, 0.42, 0.415, 0.42, 0.485, 0.42, 0.46];
    const { rise, ragged } = suggestBounds(curve(bowl, paper));
    expect(rise).toMatchObject({ lr: 0.001, step: 10 });
    expect(ragged).toMatchObject({ lr: 0.005, step: 50 });
  });

  it.each([
    ['too short', { ...curve(bowl), points: curve(bowl).points.slice(0, 8) }, 'minimum', '8 updates leave'],
    ['a loss that only rises', curve((t) => 1 + t), 'valley', 'the loss never falls'],
    ['a model that does not learn', curve(bowl, [0.1, 0.11, 0.1, 0.12, 0.1]), 'rise', 'does not learn here'],
    ['a sweep that ends too early', curve(bowl, [0.1, 0.2, 0.3, 0.4]), 'ragged', 'still rises at the end'],
  ] as const)('says why there is none: %s', (_, given, name, why) => {
    expect(suggestBounds(given)[name]).toMatchObject({ lr: null, why: expect.stringContaining(why) });
  });
});
