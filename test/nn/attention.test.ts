// Layers for tokens: shapes, values written out, parameters and errors.
import { describe, expect, test } from 'vitest';
import * as c from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { f64, outputShape, runLayer, values } from './run.ts';

const ramp = (...shape: number[]) =>
  f64(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i % 7) - 3),
  );
const near = (list: readonly number[]) => list.map((x) => expect.closeTo(x, 6) as number);

describe('shapes', () => {
  test.each([
    ['dense on tokens', nn.dense(6, 5), [2, 3, 6], [2, 3, 5]],
    ['dense on maps', nn.dense(6, 5, { bias: false }), [2, 3, 4, 6], [2, 3, 4, 5]],
    ['dense on no examples', nn.dense(6, 5), [0, 3, 6], [0, 3, 5]],
    ['multiHeadAttention', nn.multiHeadAttention(6, 3), [2, 4, 6], [2, 4, 6]],
    ['transformerBlock', nn.transformerBlock(6, 3, { mlpWidth: 7 }), [2, 4, 6], [2, 4, 6]],
    ['patchEmbedding', nn.patchEmbedding(3, 8, [2, 3]), [5, 4, 9, 3], [5, 6, 8]],
    ['classToken', nn.classToken(6), [2, 4, 6], [2, 5, 6]],
    ['positionalEmbedding', nn.positionalEmbedding(5, 6), [2, 4, 6], [2, 4, 6]],
    ['sines', nn.positionalEmbedding(5, 3, { kind: 'sine' }), [2, 4, 3], [2, 4, 3]],
    ['stochasticDepth', nn.stochasticDepth(0.5), [2, 4, 6], [2, 4, 6]],
  ] as const)('%s', (_, layer, from, to) => {
    expect(outputShape(layer, from)).toEqual(to);
  });
});

describe('values', () => {
  test('dense treats every token as a row', async () => {
    const layer = nn.dense(6, 5);
    const state = nn.initState(layer, null, 3);
    const tokens = await runLayer(layer, [ramp(2, 3, 6)], { state });
    const rows = await runLayer(layer, [{ ...ramp(2, 3, 6), shape: [6, 6] }], { state });
    expect(values(tokens.outputs[0])).toEqual(values(rows.outputs[0]));
  });

  test('attention of equal keys is the mean of the values', async () => {
    // Queries and keys are 0, values are the tokens, the output layer is the identity.
    const qkv = [
      [0, 0, 0, 0, 1, 0],
      [0, 0, 0, 0, 0, 1],
    ];
    const layer = (causal: boolean) => nn.multiHeadAttention(2, 1, { causal, bias: false });
    const run = async (causal: boolean) => {
      const state = {
        'qkv.weight': f64([2, 6], qkv.flat()),
        'out.weight': f64([2, 2], [1, 0, 0, 1]),
      };
      const { outputs } = await runLayer(layer(causal), [f64([1, 2, 2], [1, 10, 3, 30])], { state });
      return values(outputs[0]);
    };
    expect(await run(false)).toEqual(near([2, 20, 2, 20]));
    expect(await run(true)).toEqual(near([1, 10, 2, 20]));
  });

  test('patches are the windows of a convolution', async () => {
    const patches = nn.patchEmbedding(3, 8, [2, 3]);
    const state = nn.initState(patches, null, 5);
    const conv = nn.conv2d(3, 8, [2, 3], { stride: [2, 3] });
    const x = ramp(2, 4, 9, 3);
    const [a, b] = [await runLayer(patches, [x], { state }), await runLayer(conv, [x], { state })];
    expect(values(a.outputs[0])).toEqual(near(values(b.outputs[0])));
  });

  test('the class token comes first', async () => {
    const layer = nn.classToken(2, { init: nn.init.fromArray([5, 6]) });
    const { outputs } = await runLayer(layer, [f64([2, 1, 2], [1, 2, 3, 4])]);
    expect(values(outputs[0])).toEqual([5, 6, 1, 2, 5, 6, 3, 4]);
  });

  test('positions are added: the first of the learned ones, or sines', async () => {
    const learned = nn.positionalEmbedding(3, 2, { init: nn.init.fromArray([1, 2, 3, 4, 5, 6]) });
    const x = f64([1, 2, 2], [10, 20, 30, 40]);
    expect(values((await runLayer(learned, [x])).outputs[0])).toEqual([11, 22, 33, 44]);
    const sines = nn.positionalEmbedding(2, 4, { kind: 'sine' });
    const { outputs } = await runLayer(sines, [f64([1, 2, 4], [0, 0, 0, 0, 0, 0, 0, 0])]);
    expect(values(outputs[0])).toEqual(
      near([0, 1, 0, 1, Math.sin(1), Math.cos(1), Math.sin(0.01), Math.cos(0.01)]),
    );
  });

  test('stochastic depth drops whole examples, in training alone', async () => {
    const x = f64(
      [400, 3, 2],
      Array.from({ length: 2400 }, () => 1),
    );
    const layer = nn.stochasticDepth(0.25);
    const { outputs } = await runLayer(layer, [x, x], { training: true });
    const got = values(outputs[0]);
    const kept = got.filter((value) => value !== 0);
    for (let i = 0; i < 400; i++) expect(new Set(got.slice(6 * i, 6 * i + 6)).size).toBe(1);
    expect(new Set(kept.map((value) => value.toFixed(6)))).toEqual(new Set(['1.333333']));
    expect(kept.length).toBeGreaterThan(1600);
    expect(kept.length).toBeLessThan(2000);
    expect(outputs[1].data).not.toEqual(outputs[0].data);
    expect((await runLayer(layer, [x])).outputs[0].data).toEqual(x.data);
  });

  test('a block with all kinds of dropout is that without them in inference, and not in training', async () => {
    const rates = { dropout: 0.3, attentionDropout: 0.3, stochasticDepth: 0.3 };
    const [plain, noisy] = [nn.transformerBlock(4, 2), nn.transformerBlock(4, 2, rates)];
    const state = nn.initState(plain, null, 1);
    const run = async (layer: nn.Layer, training: boolean) =>
      values((await runLayer(layer, [ramp(2, 3, 4)], { state, training })).outputs[0]);
    expect(await run(noisy, false)).toEqual(await run(plain, false));
    expect(await run(noisy, true)).not.toEqual(await run(plain, true));
    expect(await run(plain, true)).toEqual(await run(plain, false));
  });

  test('a query that sees no key gets zeros, and no gradient is NaN', async () => {
    const q = c.tensor([[1], [2]]);
    const mask = c.tensor(Uint8Array.of(1, 1, 0, 0), { shape: [2, 2] });
    const y = c.attention(q, c.tensor([[1], [1]]), c.tensor([[3], [5]]), { mask });
    const [g] = c.grad(c.sum(y), [q]);
    expect(await y.array()).toEqual([[4], [0]]);
    expect(await g.array()).toEqual([[0], [0]]);
  });
});

describe('errors', () => {
  const two = c.ones([1, 2]);
  test.each([
    [
      () => outputShape(nn.dense(18, 5), [2, 3, 3, 2]),
      'dense: expects [N, ..., 18] but got f32 [2,3,3,2] (put nn.flatten() before it)',
    ],
    [() => outputShape(nn.dense(5, 5), [2, 3, 6]), /^dense: expects \[N, ..., 5\] but got f32 \[2,3,6\]$/],
    [
      () => outputShape(nn.transformerBlock(4, 2), [1, 8, 8, 4]),
      'transformerBlock: expects tokens [N, T, 4] but got f32 [1,8,8,4] (put nn.patchEmbedding(…) before it)',
    ],
    [
      () => outputShape(nn.patchEmbedding(3, 8, 4), [1, 6, 8, 3]),
      'patchEmbedding: expects images [N, H, W, 3] with H and W multiples of 4 and 4 but got f32 [1,6,8,3]',
    ],
    [
      () => outputShape(nn.positionalEmbedding(5, 6), [2, 8, 6]),
      'positionalEmbedding: has 5 positions but got f32 [2,8,6]',
    ],
    [
      () => nn.multiHeadAttention(10, 4),
      'multiHeadAttention: heads must be a positive integer that divides the width, 10, got 4',
    ],
    [
      () => nn.positionalEmbedding(5, 6, { kind: 'sine', lrMult: 2 }),
      'positionalEmbedding: sines and cosines are not trained, got lrMult (remove it, or kind)',
    ],
    [() => nn.stochasticDepth(1), 'stochasticDepth: rate must be a number >= 0 and < 1, got 1'],
    [
      () => c.attention(two, c.ones([1, 3]), two),
      'attention: q has 2 channels but k has 3: q f32 [1,2], k f32 [1,3], v f32 [1,2]',
    ],
    [
      () => c.attention(two, c.ones([2, 2]), two),
      'attention: k has 2 tokens but v has 1: q f32 [1,2], k f32 [2,2], v f32 [1,2]',
    ],
    [
      () => c.attention(two, two, c.ones([1, 3]), { heads: 2 }),
      'attention: heads must divide the channels, got 2 for 2 channels of q and k and 3 of v',
    ],
    [
      () => c.attention(two, two, two, { mask: c.ones([2, 2], 'u8') }),
      'attention: mask u8 [2,2] does not broadcast to [1,1,1]',
    ],
  ])('%#', (call, message) => {
    expect(call).toThrow(message);
  });
});
