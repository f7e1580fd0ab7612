import type { HostTensor, Shape } from 'cyclegrad';
import { fromTorch, toTorch } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
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

test.each([
  [
    'toTorch: the model flattens images, which PyTorch does in another order (pass the shape',
    () => toTorch(model, nn.initState(model, null, 1)),
  ],
  ["toTorch: the state has no 'weight'", () => toTorch(nn.dense(2, 1), {})],
  ["fromTorch: there is no 'weight' for 'weight'", () => fromTorch(nn.dense(2, 1), {})],
  [
    "fromTorch: 'weight' must be [1,2] for 'weight' [2,1], got [2,1]",
    () => fromTorch(nn.dense(2, 1), { weight: waves(2, 1), bias: waves(1) }),
  ],
  [
    'fromTorch: the model has no place for other',
    () => fromTorch(nn.dense(2, 1), { weight: waves(1, 2), bias: waves(1), other: waves(1) }),
  ],
])('refuses wrong use: %s', (message, call) => {
  expect(call).toThrow(message);
});
