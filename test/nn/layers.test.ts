import { describe, expect, test } from 'vitest';
import * as nn from 'cyclegrad/nn';
import { f64, runLayer, values } from './run.ts';

/** Literals in a graph are single precision, whatever the backend's. */
const near = (numbers: readonly number[]) => numbers.map((value) => expect.closeTo(value, 5));

describe('batch normalisation', () => {
  // Two batches of three examples with one channel: means 2 and 5, biased variances 2/3 and 6, unbiased 1 and 9.
  const batches = [f64([3, 1], [1, 2, 3]), f64([3, 1], [2, 5, 8])];
  const epsilon = 1e-3;

  test('training normalises with the biased variance of the batch', async () => {
    const { outputs } = await runLayer(nn.batchNorm(1, { epsilon }), batches, { training: true });
    const scale = 1 / Math.sqrt(2 / 3 + epsilon);
    expect(values(outputs[0])).toEqual(near([-scale, 0, scale]));
  });

  test('pytorch: r ← (1 − m) r + m · batch, variance unbiased', async () => {
    const layer = nn.batchNorm(1, { momentum: 0.1, epsilon });
    const { state } = await runLayer(layer, batches, { training: true });
    expect(values(state['mean'])).toEqual(near([0.9 * 0.2 + 0.1 * 5]));
    expect(values(state['variance'])).toEqual(near([0.9 * (0.9 + 0.1) + 0.1 * 9]));
    const { outputs } = await runLayer(layer, [f64([1, 1], [4])], { state });
    expect(values(outputs[0])).toEqual(near([(4 - 0.68) / Math.sqrt(1.8 + epsilon)]));
  });

  test('caffe: sums S ← f S + batch, n ← f n + 1; S / n is used, variance unbiased, no scale and shift', async () => {
    const layer = nn.batchNorm(1, { form: 'caffe', fraction: 0.5, epsilon });
    expect(Object.keys(layer.params)).toEqual(['meanSum', 'varianceSum', 'count']);
    const { state } = await runLayer(layer, batches, { training: true });
    expect(values(state['meanSum'])).toEqual(near([0.5 * 2 + 5]));
    expect(values(state['varianceSum'])).toEqual(near([0.5 * 1 + 9]));
    expect(values(state['count'])).toEqual(near([1.5]));
    const { outputs } = await runLayer(layer, [f64([1, 1], [4])], { state });
    expect(values(outputs[0])).toEqual(near([(4 - 4) / Math.sqrt(9.5 / 1.5 + epsilon)]));
  });

  test('caffe: before any step statistics are 0, as in Caffe, and nothing is NaN', async () => {
    const layer = nn.batchNorm(1, { form: 'caffe', epsilon });
    const { outputs } = await runLayer(layer, [f64([1, 1], [4])]);
    expect(values(outputs[0])).toEqual(near([4 / Math.sqrt(epsilon)]));
  });

  test.each(['pytorch', 'caffe'] as const)(
    '%s: training on one value per channel names the layer',
    async (form) => {
      const model = nn.sequential({ a: nn.dense(2, 4), norm: nn.batchNorm(4, { form }), b: nn.dense(4, 3) });
      const one = f64([1, 2], [1, 2]);
      await expect(runLayer(model, [one], { training: true })).rejects.toThrow(
        'norm / batchNorm: expects more than one value per channel for its statistics, got 1 in f32 [1,4] ' +
          '(use larger batches, or batchNormInference with running statistics)',
      );
      await expect(runLayer(model, [one])).resolves.toBeDefined(); // evaluation has running statistics
      await expect(runLayer(model, [f64([2, 2], [1, 2, 3, 5])], { training: true })).resolves.toBeDefined();
    },
  );

  test.each([
    [nn.layerNorm(1), [2, 1]],
    [nn.groupNorm(2, 2), [2, 2]],
    [nn.instanceNorm(2), [2, 2]],
    [nn.instanceNorm(2), [2, 1, 1, 2]],
  ] as const)('normalizing a group of one value is refused, in evaluation too: %#', async (norm, shape) => {
    const x = f64(
      shape,
      Array.from({ length: shape.reduce<number>((a, b) => a * b, 1) }, (_, i) => i),
    );
    for (const training of [true, false]) {
      await expect(runLayer(nn.sequential({ norm }), [x], { training })).rejects.toThrow(
        `expects more than one value per group for its statistics, got 1 in f32 [${shape.join(',')}] ` +
          '(normalize over more axes or channels, or remove the normalization)',
      );
    }
  });

  test('evaluation changes no statistics', async () => {
    const layer = nn.batchNorm(1);
    const { state } = await runLayer(layer, batches, { training: false });
    expect(values(state['mean'])).toEqual([0]);
    expect(values(state['variance'])).toEqual([1]);
  });
});

describe('dropout', () => {
  const x = f64(
    [1, 1000],
    Array.from({ length: 1000 }, () => 1),
  );

  test('drops in training, differently by step, seed and path; not in evaluation', async () => {
    const model = nn.sequential({ a: nn.dropout(0.25) });
    const { outputs } = await runLayer(model, [x, x], { training: true });
    const kept = values(outputs[0]).filter((value) => value !== 0);
    expect(kept.length).toBeGreaterThan(700);
    expect(kept.length).toBeLessThan(800);
    expect(new Set(kept.map((value) => value.toFixed(6)))).toEqual(new Set(['1.333333']));
    expect(outputs[0].data).not.toEqual(outputs[1].data);
    const again = await runLayer(model, [x, x], { training: true });
    expect(again.outputs).toEqual(outputs);
    const seeded = await runLayer(model, [x], { training: true, seed: 1 });
    expect(seeded.outputs[0].data).not.toEqual(outputs[0].data);
    const renamed = await runLayer(nn.sequential({ b: nn.dropout(0.25) }), [x], { training: true });
    expect(renamed.outputs[0].data).not.toEqual(outputs[0].data);
    expect((await runLayer(model, [x])).outputs[0].data).toEqual(x.data);
  });
});

describe('normalize', () => {
  const bytes = { shape: [1, 1, 3, 1], dtype: 'u8', data: Uint8Array.of(10, 20, 30) } as const;

  test('bytes minus the mean, over the standard deviation or times the scale', async () => {
    const run = async (layer: ReturnType<typeof nn.normalize>) =>
      values((await runLayer(layer, [bytes])).outputs[0]);
    expect(await run(nn.normalize(20))).toEqual(near([-10, 0, 10]));
    expect(await run(nn.normalize([20], { std: 4 }))).toEqual(near([-2.5, 0, 2.5]));
    expect(await run(nn.normalize(0, { scale: 0.5 }))).toEqual(near([5, 10, 15]));
    expect(
      await run(nn.normalize({ shape: [1, 3, 1], dtype: 'f32', data: Float32Array.of(1, 2, 3) })),
    ).toEqual(near([9, 18, 27]));
  });

  test('mean and scale are saved state that is not trained', () => {
    const layer = nn.normalize([1, 2], { std: [3, 4] });
    const state = nn.initState(layer, null, 0);
    expect([...state['mean'].data]).toEqual([1, 2]);
    expect([...state['scale'].data]).toEqual([...Float32Array.of(1 / 3, 1 / 4)]);
    expect(Object.values(layer.params).every(({ frozen }) => frozen)).toBe(true);
  });

  test('shifts and mirrors as drawn, with 0 outside the image', async () => {
    const draws = { shape: [1, 3], dtype: 'i32', data: Int32Array.of(0, 1, 1) } as const;
    const { outputs } = await runLayer(nn.normalize(20), [bytes], { training: true, draws });
    expect(values(outputs[0])).toEqual([0, 10, 0]); // flipped 30 20 10 minus 20, shifted by one
  });

  test('inputs that are not images: the same arithmetic', async () => {
    const points = f64([2, 2], [1, 2, 3, 4]);
    const { outputs } = await runLayer(nn.normalize([1, 2], { scale: 10 }), [points]);
    expect(values(outputs[0])).toEqual(near([0, 0, 20, 20]));
  });
});

describe('composition', () => {
  const scaling = (factor: number) => nn.dense(1, 1, { init: nn.init.constant(factor), bias: false });

  test('layers without names are refused', () => {
    const layers = [nn.tanh(), nn.tanh()] as unknown as Record<string, nn.Layer>;
    expect(() => nn.sequential(layers)).toThrow(
      'sequential: expects an object of layers by name, got an array (write sequential({ conv1: …, relu1: … }))',
    );
    expect(() => nn.sequential(nn.tanh() as unknown as Record<string, nn.Layer>)).toThrow('got a layer');
    expect(() => nn.sequential(undefined as unknown as Record<string, nn.Layer>)).toThrow('got undefined');
    expect(() => nn.sequential({ a: nn.tanh as unknown as nn.Layer })).toThrow(
      "sequential: 'a' is not a layer",
    );
  });

  test('sequential is function composition; residual adds', async () => {
    const x = f64([1, 1], [3]);
    const chain = await runLayer(nn.sequential({ a: scaling(2), b: nn.tanh() }), [x]);
    expect(values(chain.outputs[0])).toEqual(near([Math.tanh(6)]));
    const identity = await runLayer(nn.residual(scaling(2)), [x]);
    expect(values(identity.outputs[0])).toEqual(near([9]));
    const both = nn.residual(scaling(2), scaling(5));
    expect(Object.keys(both.params)).toEqual(['main.weight', 'shortcut.weight']);
    expect(values((await runLayer(both, [x])).outputs[0])).toEqual(near([21]));
  });

  test('a layer under two names has two sets of parameters', () => {
    const layer = nn.dense(2, 2);
    expect(Object.keys(nn.sequential({ a: layer, b: layer }).params)).toEqual([
      'a.weight',
      'a.bias',
      'b.weight',
      'b.bias',
    ]);
  });
});
