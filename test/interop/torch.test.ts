import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forward, loadTensors, saveTensors, wasm, type HostTensor, type Shape } from 'cyclegrad';
import { fromTorch, toTorch } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { afterAll, describe, expect, it, test } from 'vitest';
import { isLong, LONG } from '../forms.ts';

const script = fileURLToPath(new URL('torch_models.py', import.meta.url));
const python = ['python3', '/usr/bin/python3'].find((program) => {
  try {
    execFileSync(program, ['-c', 'import torch'], { stdio: 'ignore' });
    return isLong;
  } catch {
    return false;
  }
});
const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-torch-'));
afterAll(() => rmSync(folder, { recursive: true }));

const waves = (...shape: number[]): HostTensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, dtype: 'f32', data: Float32Array.from({ length: size }, (_, i) => Math.sin(i * i)) };
};

/** Largest difference of two arrays, relative to the largest number. */
function difference(a: HostTensor, b: HostTensor): number {
  const largest = Math.max(...a.data.map(Math.abs));
  return Math.max(...a.data.map((x, i) => Math.abs(x - b.data[i]))) / largest;
}

const MODELS: readonly (readonly [string, nn.Layer, Shape])[] = [
  ['lenet5', zoo.lenet5({ classes: 10 }), [28, 28, 1]],
  ['resnet18', zoo.resnet18({ classes: 10 }), [64, 64, 3]],
];

describe.skipIf(python === undefined)(`PyTorch (${LONG}, with python3-torch)`, () => {
  it.each(MODELS)('agrees with %s in both directions', async (name, model, input) => {
    const x = waves(2, ...input);
    const state = nn.initState(model, null, 3);
    await saveTensors(join(folder, 'x.safetensors'), { x });
    await saveTensors(join(folder, 'ours.safetensors'), toTorch(model, state, { input }));
    execFileSync(python!, [script, name, folder]);
    const outputs = await loadTensors(join(folder, 'outputs.safetensors'));
    const theirs = fromTorch(model, await loadTensors(join(folder, 'weights.safetensors')), { input });
    const backend = await wasm({ threads: 1 });
    const ours = await forward({ model, state, data: x, backend });
    const own = await forward({ model, state: theirs, data: x, backend });
    expect(difference(outputs['ours'], ours)).toBeLessThan(1e-5);
    expect(difference(outputs['own'], own)).toBeLessThan(1e-5);
  });
});

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
