import { evaluate, fit, wasm, type HostTensor, type Shape, type State } from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import { fromTorch, toTorch } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { expect, test } from 'vitest';

const waves = (...shape: number[]): HostTensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, dtype: 'f32', data: Float32Array.from({ length: size }, (_, i) => Math.sin(i * i)) };
};

const model = nn.sequential({
  input: nn.normalize([1, 2]),
  _0: nn.conv2d(2, 3, [1, 2], { bias: false }),
  bn: nn.batchNorm(3),
  flat: nn.flatten(),
  relu: nn.relu(),
  fc: nn.dense(6, 1),
});
const input = [2, 2, 2];

test('names, layouts and the order of flattened images are those of PyTorch', () => {
  const weight = {
    shape: [1, 2, 2, 3],
    dtype: 'f32',
    data: Float32Array.from({ length: 12 }, (_, i) => i),
  } as const;
  const fc = { shape: [6, 1], dtype: 'f32', data: Float32Array.from({ length: 6 }, (_, i) => i) } as const;
  const state = { ...nn.initState(model, null, 1), '_0.weight': weight, 'fc.weight': fc };
  const exported = toTorch(model, state, { input });
  expect(Object.entries(exported).map(([name, { shape }]) => [name, shape])).toEqual([
    ['0.weight', [3, 2, 1, 2]],
    ['bn.weight', [3]],
    ['bn.bias', [3]],
    ['bn.running_mean', [3]],
    ['bn.running_var', [3]],
    ['bn.num_batches_tracked', []],
    ['fc.weight', [1, 6]],
    ['fc.bias', [1]],
  ]);
  // ours: [KH, KW, in, out], so element [o, i, 0, kw] is kw · 6 + i · 3 + o
  expect([...exported['0.weight'].data]).toEqual([0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]);
  // two pixels of three channels
  expect([...exported['fc.weight'].data]).toEqual([0, 3, 1, 4, 2, 5]);
  expect(fromTorch(model, exported, { input })).toEqual(state);
});

test('layer normalization of images [H, W, C] is [C, H, W] in PyTorch, and that of tokens keeps its order', () => {
  const of = (shape: Shape): HostTensor => ({
    shape,
    dtype: 'f32',
    data: Float32Array.from({ length: 6 }, (_, i) => i),
  });
  const images = nn.layerNorm([1, 2, 3]);
  const exported = toTorch(images, { gamma: of([1, 2, 3]), beta: of([1, 2, 3]) });
  expect(exported['weight'].shape).toEqual([3, 1, 2]);
  expect([...exported['weight'].data]).toEqual([0, 3, 1, 4, 2, 5]);
  expect(fromTorch(images, exported)['beta']).toEqual(of([1, 2, 3]));
  const tokens = toTorch(nn.layerNorm([2, 3]), { gamma: of([2, 3]), beta: of([2, 3]) });
  expect(tokens['bias']).toEqual(of([2, 3]));
});

test('attention has the names of torch.nn.MultiheadAttention', () => {
  const model = nn.sequential({ attention: nn.multiHeadAttention(4, 2) });
  const state = nn.initState(model, null, 1);
  const exported = toTorch(model, state);
  expect(Object.entries(exported).map(([name, { shape }]) => [name, shape])).toEqual([
    ['attention.in_proj_weight', [12, 4]],
    ['attention.in_proj_bias', [12]],
    ['attention.out_proj.weight', [4, 4]],
    ['attention.out_proj.bias', [4]],
  ]);
  expect(fromTorch(model, exported)).toEqual(state);
});

/** A 1 × 1 convolution to 2 channels of images [2, 2, 1], and what comes after it. */
const after = (...layers: readonly nn.Layer[]): nn.Layer =>
  nn.sequential({
    conv: nn.conv2d(1, 2, 1),
    ...Object.fromEntries(layers.map((layer, i) => [`_${i}`, layer])),
  });

/** The parameters of a model for PyTorch, if they are 0, 1, 2, …. */
const exportedRange = (model: nn.Layer, input: Shape): State => {
  const state = nn.initState(model, null, 1);
  const entries = Object.entries(state).map(([name, { shape, data }]) => {
    const numbers = data.map((_, i) => i);
    return [name, { shape, dtype: 'f32', data: numbers }] as const;
  });
  return toTorch(model, Object.fromEntries(entries), { input });
};

test.each<readonly [string, nn.Layer, string]>([
  ['a flatten layer', after(nn.flatten(), nn.dense(8, 1)), '1.weight'],
  ['an operation on elements', after(nn.flatten(), nn.gelu(), nn.dense(8, 1)), '2.weight'],
  [
    'a reshape in a function',
    nn.module({ conv: nn.conv2d(1, 2, 1), fc: nn.dense(8, 1) }, (x, { conv, fc }) =>
      fc(conv(x).mul(2).reshape([-1, 8])),
    ),
    'fc.weight',
  ],
])('the inputs of a dense layer change their order after %s', (_, model, name) => {
  // four pixels of two channels
  expect([...exportedRange(model, [2, 2, 1])[name].data]).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
});

test('flattened tokens keep their order, and rows of 1-D convolutions do not', () => {
  const tokens = nn.sequential({ norm: nn.layerNorm(2), flat: nn.flatten(), fc: nn.dense(4, 1) });
  expect([...exportedRange(tokens, [2, 2])['fc.weight'].data]).toEqual([0, 1, 2, 3]);
  const rows = nn.sequential({ conv: nn.conv1d(2, 2, 1), flat: nn.flatten(), fc: nn.dense(4, 1) });
  expect([...exportedRange(rows, [2, 2])['fc.weight'].data]).toEqual([0, 2, 1, 3]);
});

test.each<readonly [string, nn.Layer]>([
  ['batch normalization', after(nn.flatten(), nn.batchNorm(8), nn.dense(8, 1))],
  ['layer normalization', after(nn.flatten(), nn.layerNorm(8), nn.dense(8, 1))],
  [
    'a concatenation',
    after(nn.flatten(), nn.branches({ a: nn.dropout(0), b: nn.dropout(0) }), nn.dense(16, 1)),
  ],
  [
    'a weight that is changed first',
    after(
      nn.module({ flat: nn.flatten(), fc: nn.dense(8, 8) }, (x, { flat, fc }) => flat(x).add(fc(flat(x)))),
      nn.dense(8, 1),
    ),
  ],
])('refuses flattened images whose order it cannot follow: %s', (_, model) => {
  expect(() => exportedRange(model, [2, 2, 1])).toThrow(
    /toTorch: flattened images f32 \[2,8\] go into \w+( in '.*')?, and their order differs in PyTorch \(put/,
  );
});

const net = nn.sequential({ conv: nn.conv2d(3, 8, 3), bn: nn.batchNorm(8), pool: nn.globalAvgPool2d() });
const images = arrays({ shape: [2, 4, 4, 3], data: new Float32Array(96) }, Int32Array.of(0, 1));
const turned = { shape: [8, 3, 3, 3], dtype: 'f32', data: new Float32Array(216) } as const;

test.each<readonly [string, string, (state: State) => State]>([
  [
    'conv.weight',
    ": PyTorch's layout; use fromTorch of cyclegrad/interop",
    (state) => ({ ...state, 'conv.weight': turned }),
  ],
  [
    'bn.weight',
    ": 'bn.weight' is PyTorch's name; use fromTorch of cyclegrad/interop",
    ({ 'bn.gamma': gamma, ...state }) => ({ ...state, 'bn.weight': gamma }),
  ],
])('initial and evaluate say how to convert %s of PyTorch', async (_, advice, change) => {
  const state = change(nn.initState(net, null, 1));
  const backend = await wasm({ threads: 1 });
  await expect(evaluate({ model: net, state, data: images, backend })).rejects.toThrow(advice);
  const data = loader(images, { batchSize: 2 });
  const run = fit({ model: net, initial: state, data, steps: 1, backend, optimizer: sgd({ lr: 0.1 }) });
  await expect(run).rejects.toThrow(advice);
});

test.each([
  [
    'toTorch: PyTorch flattens images in another order, so the shape of an example must be known (pass it: {',
    () => toTorch(model, nn.initState(model, null, 1)),
  ],
  ["toTorch: the state has no 'weight'", () => toTorch(nn.dense(2, 1), {})],
  ["fromTorch: there is no 'weight' for 'weight'", () => fromTorch(nn.dense(2, 1), {})],
  [
    "fromTorch: 'weight' must be [1,2] for 'weight' [2,1], got [2,1]: cyclegrad's layout; use the arrays as they are",
    () => fromTorch(nn.dense(2, 1), { weight: waves(2, 1), bias: waves(1) }),
  ],
  [
    'fromTorch: the model has no place for other',
    () => fromTorch(nn.dense(2, 1), { weight: waves(1, 2), bias: waves(1), other: waves(1) }),
  ],
])('refuses wrong use: %s', (message, call) => {
  expect(call).toThrow(message);
});
