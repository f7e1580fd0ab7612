import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cast, cumsum, forward, wasm, type DType, type HostTensor, type Shape, type State } from 'cyclegrad';
import { toOnnx } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';

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

/** Largest difference of the outputs, relative to the largest output: single precision, summed in another order. */
const TOLERANCE = 2e-5;

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

function waves(shape: Shape, dtype: DType): HostTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: size }, (_, i) => Math.sin(i * i));
  return dtype === 'u8'
    ? { shape, dtype, data: Uint8Array.from(values, (x) => 127 * (x + 1)) }
    : { shape, dtype: 'f32', data: Float32Array.from(values) };
}

/** Values that leave no parameter out of the outputs. */
const mixed = (model: nn.Layer): State =>
  Object.fromEntries(
    Object.entries(nn.initState(model, null, 3)).map(([name, { shape, data }]) => [
      name,
      {
        shape,
        dtype: 'f32',
        data: name.endsWith('weight')
          ? Float32Array.from(data)
          : Float32Array.from(data, (_, i) => 1 + Math.sin(i * i) / 2),
      },
    ]),
  );

/** Largest difference of the output of ONNX Runtime from ours, for a batch of 5. */
async function difference(model: nn.Layer, shape: Shape, dtype: DType = 'f32'): Promise<number> {
  const state = mixed(model);
  const x = waves([5, ...shape], dtype);
  const ours = await forward({ model, state, data: x, backend: await wasm({ threads: 1 }) });
  const session = await runtime!.InferenceSession.create(toOnnx(model, state, { input: shape, dtype }), {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const fed = new runtime!.Tensor(dtype === 'u8' ? 'uint8' : 'float32', x.data, x.shape);
  const { y } = await session.run({ x: fed });
  expect(y.dims).toEqual(ours.shape);
  const largest = Math.max(...ours.data.map(Math.abs));
  return Math.max(...ours.data.map((value, i) => Math.abs(value - y.data[i]))) / largest;
}

describe.skipIf(runtime === null)('ONNX Runtime (CYCLEGRAD_ONNX)', () => {
  it.each(SMALL)('computes the outputs of %s', async (_, model, shape) => {
    expect(await difference(model, shape)).toBeLessThan(TOLERANCE);
  });

  it.skipIf(!isLong).each(PUBLISHED)(
    `computes the outputs of %s as published (${LONG})`,
    async (_, model, shape) => {
      expect(await difference(model, shape)).toBeLessThan(TOLERANCE);
    },
  );

  it('takes bytes that the model normalizes', async () => {
    const model = nn.sequential({
      scale: nn.normalize([1, 2, 3], { std: [40, 50, 60] }),
      conv: nn.conv2d(3, 4, 3, { stride: 2, padding: 1 }),
      pool: nn.globalAvgPool2d(),
    });
    expect(await difference(model, [9, 9, 3], 'u8')).toBeLessThan(TOLERANCE);
  });
});

describe('toOnnx', () => {
  it('names all operations that cannot be exported', () => {
    const model = nn.sequential({
      bytes: nn.activation((x) => cast(cast(x, 'u8')), 'bytes'),
      sums: nn.activation((x) => cumsum(x, 1), 'sums'),
      log: nn.activation((x) => x.log1p(), 'log'),
    });
    expect(() => toOnnx(model, {}, { input: [4] })).toThrow(
      'toOnnx: these operations cannot be exported: cumsum in sums, log1p in log (replace them in the model)',
    );
  });

  it('refuses a state without a parameter', () => {
    expect(() => toOnnx(nn.dense(4, 2), {}, { input: [4] })).toThrow("toOnnx: the state has no 'weight'");
  });
});
