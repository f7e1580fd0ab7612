import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cast, cumsum, forward, wasm, type DType, type Shape } from 'cyclegrad';
import { toOnnx } from 'cyclegrad/interop';
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

describe.skipIf(runtime === null)('ONNX Runtime (CYCLEGRAD_ONNX)', () => {
  it.each(SMALL)('computes the outputs of %s', async (_, model, shape) => {
    expect(await runtimeDifference(model, shape)).toBeLessThan(TOLERANCE);
  });

  it.skipIf(!isLong).each(PUBLISHED)(
    `computes the outputs of %s as published (${LONG})`,
    async (_, model, shape) => {
      expect(await runtimeDifference(model, shape)).toBeLessThan(TOLERANCE);
    },
  );

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
  it('names all operations that cannot be exported', async () => {
    const model = nn.sequential({
      bytes: nn.activation((x) => cast(cast(x, 'u8')), 'bytes'),
      sums: nn.activation((x) => cumsum(x, 1), 'sums'),
      log: nn.activation((x) => x.log1p(), 'log'),
    });
    await expect(toOnnx(model, {}, { input: [4] })).rejects.toThrow(
      'toOnnx: these operations cannot be exported: cumsum in sums, log1p in log (replace them in the model)',
    );
  });

  it('refuses a state without a parameter', async () => {
    await expect(toOnnx(nn.dense(4, 2), {}, { input: [4] })).rejects.toThrow(
      "toOnnx: the state has no 'weight'",
    );
  });
});
