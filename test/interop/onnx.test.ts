import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  avgPool2d,
  batchNorm,
  cast,
  concat,
  forward,
  instanceNorm,
  key,
  lrnAcross,
  lrnWithin,
  maxPool2d,
  ones,
  randomNormal,
  resize2d,
  sort,
  wasm,
  type DType,
  type Shape,
  type Tensor,
} from 'cyclegrad';
import { fromOnnx, toOnnx } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { difference, mixed, TOLERANCE, waves } from './values.ts';

interface OrtTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}
interface Runtime {
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown;
  readonly InferenceSession: {
    create(
      bytes: Uint8Array,
      options: object,
    ): Promise<{
      run(feeds: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, OrtTensor>>>;
    }>;
  };
}

/** The folder in which onnxruntime-node is installed. */
const folder = process.env['CYCLEGRAD_ONNX'];
const runtime =
  folder === undefined ? null : (createRequire(join(folder, 'package.json'))('onnxruntime-node') as Runtime);

type Case = readonly [string, nn.Layer, Shape];
const CIFAR: Shape = [32, 32, 3];
const IMAGES: Shape = [64, 64, 3];
const classes = 10;

const SMALL: readonly Case[] = [
  ['lenet5', zoo.lenet5({ classes }), [28, 28, 1]],
  ['resnet18 of width 8', zoo.resnet18({ classes, width: 8 }), CIFAR],
  ['resnet20', zoo.resnet20({ classes }), [8, 8, 3]],
  ['WRN-16-1', zoo.wideResnet({ classes, depth: 16, widen: 1 }), [16, 16, 3]],
  ['DenseNet-10-4', zoo.densenet({ classes, depth: 10, growth: 4 }), [16, 16, 3]],
  ['mobilenetV2 of width 0.25', zoo.mobilenetV2({ classes, width: 0.25 }), CIFAR],
  ['small convnext', zoo.convnext({ classes, widths: [8, 16, 24, 32], blocks: [1, 1, 2, 1] }), CIFAR],
  ['small vit', zoo.vit({ classes, size: 32, patch: 8, width: 32, depth: 2, heads: 4 }), CIFAR],
  ['causal attention', nn.sequential({ heads: nn.multiHeadAttention(8, 2, { causal: true }) }), [5, 8]],
  ['unet of width 4', zoo.unet({ classes: 2, width: 4 }), [16, 32, 3]],
];

const PUBLISHED: readonly Case[] = [
  ['resnet50', zoo.resnet50({ classes }), IMAGES],
  ['densenet121', zoo.densenet121({ classes }), IMAGES],
  ['mobilenetV2', zoo.mobilenetV2({ classes }), IMAGES],
  ['convnextTiny', zoo.convnextTiny({ classes }), IMAGES],
  ['unet', zoo.unet({ classes: 2 }), [32, 32, 3]],
];

/** Largest difference of the output of ONNX Runtime from ours, for a batch of 5. */
async function runtimeDifference(model: nn.Layer, shape: Shape, dtype: DType = 'f32'): Promise<number> {
  const state = mixed(model);
  const x = waves([5, ...shape], dtype);
  const ours = await forward({ model, state, data: x, backend: await wasm({ threads: 1 }) });
  const session = await runtime!.InferenceSession.create(
    await toOnnx(model, state, { input: shape, dtype }),
    {
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
    },
  );
  const fed = new runtime!.Tensor(dtype === 'u8' ? 'uint8' : 'float32', x.data, x.shape);
  const { y } = await session.run({ x: fed });
  return difference(ours, { shape: y.dims, data: y.data });
}

/** Every operation on an input [4, 4, 6] of waves, which are from -1 to 1. */
const joined = (parts: readonly Tensor[]): Tensor => concat(parts, -1);
const OPERATIONS: readonly (readonly [string, (x: Tensor) => Tensor])[] = [
  ['log1p', (x) => joined([x.mul(0.99), x.mul(1e-5), x.add(3)]).log1p()],
  ['expm1', (x) => joined([x, x.mul(1e-5)]).expm1()],
  ['exp2', (x) => x.exp2()],
  ['log2', (x) => x.abs().add(0.1).log2()],
  ['log10', (x) => x.abs().add(0.1).log10()],
  ['trunc', (x) => x.mul(5).trunc()],
  ['remainder', (x) => joined([x.mul(5).remainder(1.5), x.mul(5).remainder(-1.5)])],
  ['atan2', (x) => joined([x.atan2(x.sin().sub(0.3)), x.mul(0).atan2(x), x.atan2(x.mul(0))])],
  ['cumsum', (x) => joined([x.cumsum(1), x.cumsum(2, { exclusive: true, reverse: true })])],
  ['lrnWithin', (x) => lrnWithin(x, { size: 3, alpha: 2 })],
  ['lrnAcross', (x) => lrnAcross(x, { size: 3, alpha: 2 })],
  ['nearest', (x) => joined([resize2d(x, [3, 7]), resize2d(x, [3, 7])])],
  ['bilinear', (x) => resize2d(x, [3, 7], { mode: 'bilinear' })],
  ['bilinear with aligned corners', (x) => resize2d(x, [7, 3], { mode: 'bilinear', alignCorners: true })],
  ['bicubic', (x) => resize2d(x, [3, 7], { mode: 'bicubic' })],
  ['antialiased', (x) => resize2d(x, [2, 3], { mode: 'bilinear', antialias: true })],
  ['maxPool2d, ceil', (x) => maxPool2d(x, 3, { stride: 2, ceil: true })],
  ['maxPool2d, ceil and padding', (x) => maxPool2d(x, 3, { stride: 2, padding: 1, ceil: true })],
  ['avgPool2d, ceil', (x) => avgPool2d(x, 3, { stride: 2, ceil: true })],
  [
    'avgPool2d, ceil and padding',
    (x) => avgPool2d(x, [3, 2], { stride: 2, padding: [0, 1, 1, 0], ceil: true }),
  ],
  ['avgPool2d, inside', (x) => avgPool2d(x, 3, { stride: 2, padding: 1, ceil: true, divisor: 'inside' })],
  ['sort', (x) => joined([sort(x).values, sort(x, 1, { descending: true }).values])],
  ['takeAlongAxis', (x) => x.takeAlongAxis(cast(x.abs().mul(3), 'i32'), 1)],
  ['batchNorm', (x) => batchNorm(x, { gamma: ones([6]).mul(2), beta: ones([6]) }).y],
  ['instanceNorm', (x) => instanceNorm(x)],
];

const operation = (compute: (x: Tensor) => Tensor): nn.Layer => nn.activation(compute, 'operation');

it.each(OPERATIONS)('fromOnnx computes what toOnnx has written: %s', async (_, compute) => {
  const [model, data, backend] = [operation(compute), waves([3, 4, 4, 6]), await wasm({ threads: 1 })];
  const again = await fromOnnx(await toOnnx(model, {}, { input: [4, 4, 6] }));
  const ours = await forward({ model, state: {}, data, backend });
  const theirs = await forward({ model: again.model, state: again.state, data, backend });
  expect(difference(ours, theirs)).toBeLessThan(TOLERANCE);
});

describe.skipIf(runtime === null)('ONNX Runtime (CYCLEGRAD_ONNX) (CYCLEGRAD_ONNX)', () => {
  it.each(SMALL)('computes the outputs of %s', async (_, model, shape) => {
    expect(await runtimeDifference(model, shape)).toBeLessThan(TOLERANCE);
  });

  it.skipIf(!isLong).each(PUBLISHED)(
    `computes the outputs of %s as published (${LONG})`,
    async (_, model, shape) => {
      expect(await runtimeDifference(model, shape)).toBeLessThan(TOLERANCE);
    },
  );

  it.each(OPERATIONS)('computes %s', async (_, compute) => {
    expect(await runtimeDifference(operation(compute), [4, 4, 6])).toBeLessThan(TOLERANCE);
  });

  it('takes bytes that the model normalizes', async () => {
    const model = nn.sequential({
      scale: nn.normalize([1, 2, 3], { std: [40, 50, 60] }),
      conv: nn.conv2d(3, 4, 3, { stride: 2, padding: 1 }),
      pool: nn.globalAvgPool2d(),
    });
    expect(await runtimeDifference(model, [9, 9, 3], 'u8')).toBeLessThan(TOLERANCE);
  });
});

describe('toOnnx', () => {
  it('names all operations that cannot be exported, with the reason', async () => {
    const model = nn.sequential({
      bytes: nn.activation((x) => cast(cast(x, 'u8')), 'bytes'),
      noise: nn.activation((x) => x.add(randomNormal([4], key(1, 'noise'))), 'noise'),
    });
    await expect(toOnnx(model, {}, { input: [4] })).rejects.toThrow(
      'toOnnx: these operations cannot be exported: random (it draws random numbers) in noise (replace them in the model)',
    );
  });

  it('names an input that the model does not take', async () => {
    const model = nn.sequential({ conv: nn.conv2d(3, 4, 3) });
    const wrong = toOnnx(model, nn.initState(model, null, 1), { input: [1, 8, 8, 3] });
    await expect(wrong).rejects.toThrow(
      'toOnnx: the model does not take f32 examples of input [1,8,8,3] (pass the shape of an example without the batch): conv / conv2d: ',
    );
  });

  it('writes several outputs by name: a detector with its boxes and scores', async () => {
    const anchors = zoo.anchorBoxes(32, [
      { grid: 4, sizes: [13], ratios: [1] },
      { grid: 2, sizes: [22], ratios: [1] },
    ]);
    const model = nn.module(
      { detector: zoo.detector({ classes: 3, anchors: 1, width: 4 }) },
      (x, { detector }) => zoo.decodeDetections(detector(x), anchors),
    );
    const [state, data] = [nn.initState(model, null, 1), waves([2, 32, 32, 3])];
    const bytes = await toOnnx(model as unknown as nn.Layer, state, { input: [32, 32, 3] });
    const again = await fromOnnx(bytes);
    const backend = await wasm({ threads: 1 });
    const ours = await forward({ model, state, data, backend });
    const theirs = await forward({
      model: again.model as unknown as typeof model,
      state: again.state,
      data,
      backend,
    });
    expect(Object.keys(theirs)).toEqual(['boxes', 'scores']);
    for (const name of ['boxes', 'scores'] as const)
      expect(difference(ours[name], theirs[name])).toBeLessThan(TOLERANCE);
    if (runtime === null) return;
    const session = await runtime.InferenceSession.create(bytes, {
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    const results = await session.run({ x: new runtime.Tensor('float32', data.data, data.shape) });
    for (const name of ['boxes', 'scores'] as const)
      expect(difference(ours[name], { shape: results[name].dims, data: results[name].data })).toBeLessThan(
        TOLERANCE,
      );
  });

  it('refuses a state without a parameter', async () => {
    await expect(toOnnx(nn.dense(4, 2), {}, { input: [4] })).rejects.toThrow(
      "toOnnx: the state has no 'weight'",
    );
  });
});
