/** Averages of weights and statistics, lookahead, and statistics that are estimated again. */
import { describe, expect, test } from 'vitest';
import {
  CheckpointError,
  evaluate,
  fit,
  reference,
  updateBatchNorm,
  type State,
  type TrainOptions,
} from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import {
  accumulateGradients,
  averagedState,
  averageWeights,
  lookahead,
  partition,
  sgd,
  swa,
  type Optimizer,
} from 'cyclegrad/optim';
import { custom, linear } from 'cyclegrad/schedulers';
import { bytes, eventsOf, folder, held, tinyRun } from '../train/fixture.ts';
import { number, optimize } from './run.ts';

const gradients = Array.from({ length: 12 }, (_, i) => ({ w: number(Math.cos(i) + 0.3) }));
const run = (optimizer: Optimizer) => optimize(optimizer, { w: number(1) }, gradients, gradients.length);
const lr = linear({ from: 0.2, to: 0.05, steps: 12 });
/** The weights of plain SGD after each update. */
const plain = async (): Promise<readonly number[]> => (await run(sgd({ lr }))).map(({ w }) => w.data[0]);
const averages = async (optimizer: Optimizer): Promise<readonly (number | null)[]> =>
  (await run(optimizer)).map((state) =>
    state['optimizer/averageWeight'].data[0] === 0 ? null : averagedState(state)['w'].data[0],
  );
const near = (numbers: readonly (number | null)[]) =>
  numbers.map((value) => (value === null ? null : (expect.closeTo(value, 9) as unknown)));

describe('averages of weights, against their formulas in double precision', () => {
  test.each([1, 3])('exponential with warm-up, every %i updates', async (every) => {
    const weights = await plain();
    let [average, weight, n]: number[] = [0, 0, 0];
    const expected = weights.map((w, i) => {
      if ((i + 1) % every === 0) {
        const decay = Math.min(0.3, (1 + n) / (10 + n));
        [average, weight, n] = [decay * average + (1 - decay) * w, decay * weight + 1 - decay, n + 1];
      }
      return weight === 0 ? null : average / weight;
    });
    const optimizer = averageWeights(sgd({ lr }), { decay: 0.3, warmup: true, every });
    expect(await averages(optimizer)).toEqual(near(expected));
  });

  test('stochastic weight averaging: the mean of some weights', async () => {
    const weights = await plain();
    const expected = weights.map((_, i) => {
      const some = weights.slice(0, i + 1).filter((_, k) => k + 1 >= 4 && (k + 1 - 4) % 3 === 0);
      return some.length === 0 ? null : some.reduce((a, b) => a + b) / some.length;
    });
    expect(await averages(swa(sgd({ lr }), { start: 4, every: 3 }))).toEqual(near(expected));
  });

  test('lookahead with a schedule, slow at the end of every period', async () => {
    const alpha = custom({ name: 'cubic', fn: (t) => 1 - 0.95 ** 5 * (t / 12) ** 3 });
    let [fast, slow]: number[] = [1, 1];
    const expected = gradients.map(({ w }, t) => {
      fast -= (0.2 + ((0.05 - 0.2) * t) / 12) * w.data[0];
      if ((t + 1) % 5 === 0) fast = slow += (1 - 0.95 ** 5 * (t / 12) ** 3) * (fast - slow);
      return fast;
    });
    const optimizer = lookahead(sgd({ lr }), { every: 5, alpha });
    const seen = await run(optimizer);
    seen.forEach(({ w }, step) => expect(w.data[0], `step ${step}`).toBeCloseTo(expected[step], 6));
    expect(seen.at(-1)!['optimizer/slow/w'].data[0]).toBeCloseTo(slow, 6);
    expect(optimizer.at(6)['lookahead/alpha']).toBeCloseTo(1 - 0.95 ** 5 / 8, 12);
  });

  test('lookahead without steps between, and around accumulated gradients', async () => {
    const weights = await plain();
    expect((await run(lookahead(sgd({ lr }), { every: 1, alpha: 1 }))).map(({ w }) => w.data[0])).toEqual(
      weights,
    );
    const [a, b] = await Promise.all([
      run(accumulateGradients(lookahead(sgd({ lr: 0.1 }), { every: 2 }), 3)),
      optimize(
        lookahead(sgd({ lr: 0.1 }), { every: 2 }),
        { w: number(1) },
        [0, 3, 6, 9].map((i) => ({
          w: number(gradients.slice(i, i + 3).reduce((sum, { w }) => sum + w.data[0] / 3, 0)),
        })),
        4,
      ),
    ]);
    expect(a.at(-1)!['w'].data[0]).toBeCloseTo(b.at(-1)!['w'].data[0], 9);
  });

  test.each<[string, () => Optimizer, string]>([
    ['a decay of 1', () => averageWeights(sgd({ lr }), { decay: 1 }), 'averageWeights: decay must be'],
    [
      'every 0',
      () => averageWeights(sgd({ lr }), { every: 0 }),
      'averageWeights: every must be an integer >= 1, got 0',
    ],
    [
      'no start',
      () => swa(sgd({ lr }), { every: 2 } as never),
      'swa: start must be an integer >= 1, got undefined',
    ],
    [
      'two averages',
      () => swa(averageWeights(sgd({ lr })), { start: 1, every: 1 }),
      'averageWeights: the optimizer is already wrapped',
    ],
    [
      'averages of averages',
      () => averageWeights(swa(sgd({ lr }), { start: 1, every: 1 })),
      'averageWeights: the optimizer already keeps an average',
    ],
    [
      'an alpha above 1',
      () => lookahead(sgd({ lr }), { alpha: 1.5 }),
      'lookahead: alpha must be a number from 0 to 1, got 1.5',
    ],
    [
      'lookahead around accumulation',
      () => lookahead(accumulateGradients(sgd({ lr }), 4)),
      'the slow weights would be synchronized at every step (swap the wrappers: accumulateGradients(lookahead(optimizer), batches))',
    ],
    [
      'statistics in a part',
      () => partition({ a: { optimizer: lookahead(sgd({ lr })) } }),
      "partition: 'a' uses the statistics of the model",
    ],
  ])('refused: %s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});

describe('statistics', () => {
  const statistics = ['norm.mean', 'norm.variance'];

  test('averages include them on request, and evaluation during the run uses the averages', async () => {
    const optimizer = averageWeights(sgd({ lr: 0.1 }), { decay: 0.5, statistics: true });
    const seen: State[] = [];
    for (let steps = 1; steps <= 3; steps++) seen.push((await fit(tinyRun({ optimizer, steps }))).state);
    const averaged = averagedState(seen[2]);
    for (const name of [...statistics, 'fc.weight']) {
      const expected = (seen[0][name].data[0] + 2 * seen[1][name].data[0] + 4 * seen[2][name].data[0]) / 7;
      expect(averaged[name].data[0]).toBeCloseTo(expected, 5);
    }
    expect(Object.keys(seen[0])).not.toContain('optimizer/average/input.mean');
    const evaluation = { data: held, every: 1, averaged: true };
    const { events } = await eventsOf(tinyRun({ optimizer, steps: 3, eval: evaluation }));
    const losses = events.flatMap((event) => (event.type === 'eval' ? [event.loss] : []));
    const { model, backend } = tinyRun();
    const lossOf = async (state: State) => (await evaluate({ model, backend, state, data: held })).loss;
    expect(losses[0]).toBeCloseTo(await lossOf(nn.initState(model, null, 5)), 5);
    expect(losses[3]).toBeCloseTo(await lossOf(averaged), 5);
    expect(losses[3]).not.toBeCloseTo(await lossOf(seen[2]), 5);
  });

  test('averaged evaluations need averages', async () => {
    await expect(fit(tinyRun({ eval: { data: held, every: 1, averaged: true } }))).rejects.toThrow(
      'fit: eval: averaged needs an optimizer with averages',
    );
  });

  test('lookahead synchronizes them, and the run ends with the slow ones', async () => {
    const optimizer = lookahead(sgd({ lr: 0.1 }), { every: 4, alpha: 0.5 });
    const { state } = await fit(tinyRun({ optimizer, steps: 6 }));
    for (const name of [...statistics, 'conv.weight'])
      expect(bytes(state)[name]).toBe(bytes(state)[`optimizer/slow/${name}`]);
    const { state: first } = await fit(tinyRun({ optimizer: sgd({ lr: 0.1 }), steps: 4 }));
    // The slow mean made half a step from 0.
    expect(state['norm.mean'].data[0]).toBeCloseTo(first['norm.mean'].data[0] / 2, 6);
  });

  test.each<[string, () => Optimizer]>([
    [
      'exponential',
      () => averageWeights(sgd({ lr: 0.1 }), { decay: 0.9, warmup: true, every: 2, statistics: true }),
    ],
    ['mean', () => swa(sgd({ lr: 0.1 }), { start: 3, every: 2, statistics: true })],
    ['lookahead', () => lookahead(sgd({ lr: 0.1, momentum: 0.9 }), { every: 3 })],
    ['accumulated', () => accumulateGradients(lookahead(averageWeights(sgd({ lr: 0.1 }))), 2)],
  ])('resumes with the same bytes: %s', async (_, make) => {
    const options = (dir?: string, signal?: AbortSignal): TrainOptions =>
      tinyRun({
        optimizer: make(),
        ...(signal && { signal }),
        ...(dir !== undefined && { checkpoint: { dir, every: 5, resume: true } }),
      });
    const dir = folder();
    const control = new AbortController();
    const stop = (event: { type: string }) => void (event.type === 'checkpoint' && control.abort());
    const { step } = await fit({ ...options(dir, control.signal), listeners: [stop] });
    expect(step).toBe(5);
    await expect(fit({ ...options(dir), optimizer: sgd({ lr: 0.1 }) })).rejects.toThrow(CheckpointError);
    const [resumed, straight] = [await fit(options(dir)), await fit(options())];
    expect(bytes(resumed.state)).toEqual(bytes(straight.state));
  });
});

describe('batch normalization', () => {
  const x = { shape: [6, 2], data: Float32Array.of(1, 2, 3, 4, 5, 9, -1, 0, 2, 7, 8, 3) };
  const data = loader(arrays(x, Int32Array.of(0, 1, 0, 1, 0, 1)), { batchSize: 3 });
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  const variance = (values: readonly number[]) =>
    values.reduce((sum, v) => sum + (v - mean(values)) ** 2, 0) / (values.length - 1);

  test.each(['pytorch', 'caffe'] as const)(
    'updateBatchNorm gives means over the batches: %s',
    async (form) => {
      const model = nn.sequential({ norm: nn.batchNorm(2, { form }) });
      const backend = reference({ precision: 'f64' });
      const start = nn.initState(model, null, 1);
      const spoiled = Object.fromEntries(
        Object.entries(start).map(([name, value]) => [name, { ...value, data: value.data.map(() => 7) }]),
      );
      const drawn = [0, 1].map((step) => [...data.withSeed(4).batch(step).indices]);
      const state = await updateBatchNorm({ model, state: spoiled, data, backend, seed: 4 });
      const count = form === 'caffe' ? 2 : 1;
      const [means, variances] = form === 'caffe' ? ['meanSum', 'varianceSum'] : ['mean', 'variance'];
      for (const c of [0, 1]) {
        const batches = drawn.map((indices) => indices.map((i) => x.data[2 * i + c]));
        expect(state[`norm.${means}`].data[c] / count).toBeCloseTo(mean(batches.map(mean)), 9);
        expect(state[`norm.${variances}`].data[c] / count).toBeCloseTo(mean(batches.map(variance)), 9);
      }
      expect(state['norm.gamma']?.data[0]).toBe(form === 'pytorch' ? 7 : undefined);
    },
  );

  test('updateBatchNorm needs statistics', async () => {
    const model = nn.dense(2, 2);
    const options = { model, state: nn.initState(model, null, 1), data, backend: reference() };
    await expect(updateBatchNorm(options)).rejects.toThrow(
      'updateBatchNorm: the model has no statistics to estimate',
    );
  });

  test('fixed statistics do not change, and training normalizes with them', async () => {
    const { model } = tinyRun();
    const start = nn.initState(model, null, 5);
    const given = { 'norm.mean': { ...start['norm.mean'], data: Float32Array.of(1, 2, 3) } };
    const frozen = (statistics: boolean) => nn.freeze(model, ['conv', 'norm'], { statistics });
    const train = (of: typeof model) => fit(tinyRun({ model: of, initial: given, steps: 2 }));
    const [fixed, moving] = [await train(frozen(true)), await train(frozen(false))];
    expect(bytes(fixed.state)['norm.mean']).toBe(bytes(given)['norm.mean']);
    expect(bytes(moving.state)['norm.mean']).not.toBe(bytes(given)['norm.mean']);
    expect(bytes(fixed.state)['fc.weight']).not.toBe(bytes(moving.state)['fc.weight']);
    expect(frozen(true).config).toMatchObject({ statistics: true });
    expect(frozen(false).config).not.toHaveProperty('statistics');
  });

  test.each([
    [{ scale: false }, ['beta']],
    [{ shift: false }, ['gamma']],
    [{ affine: false }, []],
    [{ affine: false, shift: true }, ['beta']],
    [{}, ['gamma', 'beta']],
  ])('%o trains %o', async (options, trained) => {
    const model = nn.batchNorm(2, options);
    expect(nn.parameters(model).flatMap(({ name, frozen }) => (frozen ? [] : [name]))).toEqual(trained);
    const labels = arrays(x, Int32Array.of(0, 1, 0, 1, 0, 1));
    const { state } = await fit({
      model,
      backend: reference(),
      data: loader(labels, { batchSize: 6 }),
      steps: 1,
      optimizer: sgd({ lr: 1 }),
    });
    for (const name of trained)
      expect(bytes(state)[name]).not.toBe(bytes(nn.initState(model, null, 0))[name]);
  });
});
