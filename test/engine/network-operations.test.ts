// Conventions and error messages of the operations of networks, each pinned by its text.

import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile } from '../../engine/compile.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import {
  add,
  binaryCrossEntropy,
  celu,
  conv2d,
  conv2dTranspose,
  crossEntropy,
  diceLoss,
  elu,
  f32,
  focalLoss,
  gelu,
  globalAvgPool2d,
  globalMaxPool2d,
  groupNorm,
  hardSigmoid,
  hardTanh,
  huberLoss,
  instanceNorm,
  klDivergence,
  layerNorm,
  leakyRelu,
  lrnAcross,
  meanSquaredError,
  mul,
  ones,
  relu,
  reshape,
  resize2d,
  softplus,
  sum,
  tensor,
  zeros,
} from '../../engine/ops/index.ts';
import type { Tensor } from '../../engine/tensor.ts';

const evaluator = new Evaluator(reference({ precision: 'f64' }));
afterAll(() => evaluator.close());
const values = async (t: Tensor): Promise<number[]> => {
  const [value] = await evaluator.evaluate([t]);
  return [...value.data];
};
const slopes = (fn: (x: Tensor) => Tensor, at: readonly number[]): Promise<number[]> => {
  const x = tensor(at);
  return values(grad(sum(fn(x)), [x])[0]);
};

describe('conventions', () => {
  it('group g of a convolution sees the channels of group g alone', async () => {
    const x = reshape(tensor([1, 10, 100, 1000]), [1, 1, 1, 4]);
    const w = reshape(tensor([1, 2, 3, 4, 5, 6, 7, 8]), [1, 1, 2, 4]);
    // Filters 0 and 1 see 1 and 10, filters 2 and 3 see 100 and 1000.
    expect(await values(conv2d(x, w, { groups: 2 }))).toEqual([1 + 50, 2 + 60, 300 + 7000, 400 + 8000]);
  });

  it('taps of a dilated convolution lie apart', async () => {
    const x = reshape(tensor([1, 2, 3, 4, 5]), [1, 1, 5, 1]);
    const w = ones([1, 2, 1, 1]);
    expect(await values(conv2d(x, w, { dilation: [1, 3] }))).toEqual([1 + 4, 2 + 5]);
  });

  it('a transposed convolution puts the filter where each pixel is', async () => {
    const x = reshape(tensor([1, 10]), [1, 1, 2, 1]);
    const w = reshape(tensor([1, 2, 3]), [1, 3, 1, 1]);
    const across = (options: object) => values(conv2dTranspose(x, w, options));
    expect(await across({ stride: [1, 2] })).toEqual([1, 2, 3 + 10, 20, 30]);
    expect(await across({ stride: [1, 2], outputPadding: [0, 1] })).toEqual([1, 2, 13, 20, 30, 0]);
    expect(await across({ stride: [1, 2], padding: [0, 1] })).toEqual([2, 13, 20]);
    expect(await across({ stride: [1, 2], padding: 'same' })).toHaveLength(4);
  });

  it('is the adjoint of a convolution', async () => {
    const x = reshape(tensor([1, -2, 3, 5, -7, 11, 13, 2, 4]), [1, 3, 3, 1]);
    const y = reshape(tensor([2, -3, 5, 1]), [1, 2, 2, 1]);
    const w = reshape(tensor([1, 2, -3, 4]), [2, 2, 1, 1]);
    const [left] = await values(sum(mul(conv2d(x, w), y)));
    const [right] = await values(sum(mul(conv2dTranspose(y, w), x)));
    expect(left).toBe(right);
  });

  it('resizing: nearest rounds down, bilinear meets the corners where asked', async () => {
    const x = reshape(tensor([0, 10]), [1, 1, 2, 1]);
    expect(await values(resize2d(x, [1, 5]))).toEqual([0, 0, 0, 10, 10]);
    expect(await values(resize2d(x, [1, 4], { mode: 'bilinear' }))).toEqual([0, 2.5, 7.5, 10]);
    expect(await values(resize2d(x, [1, 5], { mode: 'bilinear', alignCorners: true }))).toEqual([
      0, 2.5, 5, 7.5, 10,
    ]);
    expect(await values(resize2d(x, [1, 1], { mode: 'bilinear', alignCorners: true }))).toEqual([0]);
  });

  it('antialiased resizing with aligned corners has the values of PyTorch', async () => {
    const x = reshape(tensor([1, 2, 3, 4, 5]), [1, 1, 5, 1]);
    const resized = (width: number, mode: 'bilinear' | 'bicubic') =>
      values(resize2d(x, [1, width], { mode, alignCorners: true, antialias: true }));
    expect(await resized(1, 'bilinear')).toEqual([1]);
    expect(await resized(1, 'bicubic')).toEqual([0.875]);
    expect(await resized(3, 'bilinear')).toEqual([expect.closeTo(12 / 7, 6), 3.5, 4.75]);
    expect(await resized(2, 'bicubic')).toEqual([
      expect.closeTo(2.7582190007765983, 6),
      expect.closeTo(4.876010781671159, 6),
    ]);
  });

  it('layer normalisation of equal numbers is the shift', async () => {
    expect(await values(layerNorm([[3, 3]], { gamma: [2, 2], beta: [5, 6] }))).toEqual([5, 6]);
  });

  it('derivatives at the kinks', async () => {
    expect(await slopes((x) => leakyRelu(x, 0.25), [-1, 0, 1])).toEqual([0.25, 0.25, 1]);
    expect(await slopes((x) => elu(x), [0, 2])).toEqual([1, 1]);
    expect(await slopes((x) => elu(x, 0.5), [0])).toEqual([0.5]);
    expect(await slopes((x) => celu(x, 3), [0])).toEqual([1]);
    expect(await slopes(softplus, [0])).toEqual([0.5]);
    expect(await slopes(hardTanh, [-2, -1, 0, 1, 2])).toEqual([0, 0, 1, 0, 0]);
    expect((await slopes(hardSigmoid, [-4, 0, 4])).map((v) => v * 6)).toEqual([0, expect.closeTo(1, 12), 0]);
    expect(await slopes((x) => huberLoss(x, [0, 0, 0], { reduction: 'none' }), [-3, 1, 3])).toEqual([
      -1, 1, 1,
    ]);
  });

  it('extreme values neither overflow nor vanish', async () => {
    expect(await values(softplus([-1000, -40, 1000]))).toEqual([0, expect.closeTo(Math.exp(-40), 30), 1000]);
    expect(await values(elu([-1000, -(2 ** -30), 2 ** 100]))).toEqual([
      -1,
      expect.closeTo(-(2 ** -30), 18),
      2 ** 100,
    ]);
    expect(await slopes((x) => elu(x), [-1000, 1000])).toEqual([0, 1]);
    expect(await values(binaryCrossEntropy([1e4, -1e4, 1e4], [0, 1, 1], { reduction: 'none' }))).toEqual([
      1e4, 1e4, 0,
    ]);
    expect(
      await slopes((x) => binaryCrossEntropy(x, [0, 1, 1], { reduction: 'none' }), [1e4, -1e4, 1e4]),
    ).toEqual([1, -1, 0]);
    expect(await values(focalLoss([1e4, -1e4], [1, 0], { reduction: 'none' }))).toEqual([0, 0]);
    expect(await slopes((x) => focalLoss(x, [1, 0], { reduction: 'none' }), [1e4, -1e4])).toEqual([0, 0]);
  });

  it('NaN stays NaN', async () => {
    for (const fn of [gelu, elu, celu, leakyRelu, softplus, hardTanh, hardSigmoid]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is fast enough
      expect([fn.name, await values(fn([NaN]))]).toEqual([fn.name, [NaN]]);
    }
  });

  it('a mask that is empty on both sides has no dice loss', async () => {
    const [loss] = await values(diceLoss([[-100, -100]], [[0, 0]], { reduction: 'none' }));
    expect(loss).toBeCloseTo(0, 12);
  });

  it('full label smoothing does not know the label', async () => {
    const logits = [[1, 2, 5]];
    const at = (label: number) =>
      values(crossEntropy(logits, tensor(Int32Array.of(label)), { labelSmoothing: 1, reduction: 'none' }));
    expect(await at(0)).toEqual(await at(2));
  });

  it('Kullback–Leibler of a distribution from itself is 0, and the target gets no gradient', async () => {
    const target = tensor([[0.25, 0.75, 0]]);
    const logits = tensor([[Math.log(1), Math.log(3), -800]]);
    expect((await values(klDivergence(logits, target, { reduction: 'none' })))[0]).toBeCloseTo(0, 12);
    const [g] = grad(klDivergence(tensor([[1, 2, 3]]), target, { reduction: 'sum' }), [target]);
    expect(await values(g)).toEqual([0, 0, 0]);
  });
});

describe('wasm', () => {
  it('says how it computes convolutions, and fuses bias and relu into all of them', async () => {
    const backend = await wasm({ threads: 1 });
    const step = await compile(backend, {
      inputs: { x: f32(1, 8, 8, 8) },
      state: {
        a: { shape: [3, 3, 2, 8], dtype: 'f32', data: new Float32Array(144) },
        b: { shape: [3, 3, 1, 8], dtype: 'f32', data: new Float32Array(72) },
        c: { shape: [8], dtype: 'f32', data: new Float32Array(8) },
      },
      build: ({ x }, { a, b, c }) => ({
        outputs: {
          y: relu(add(conv2d(relu(add(conv2d(x, a, { groups: 4 }), c)), b, { groups: 8 }), c)),
        },
      }),
    });
    expect(step.plan.steps.map(({ op }) => op)).toEqual(['conv2dBias', 'conv2dBias']);
    expect([...step.notes.values()].map(({ method }) => method)).toEqual(['grouped', 'depthwise']);
    await step.close();
    await backend.close();
  });
});

const image = zeros([1, 4, 4, 6]);

describe('errors', () => {
  it.each<[() => unknown, string]>([
    [
      () => conv2d(image, zeros([3, 3, 2, 8]), { groups: 2 }),
      'conv2d: input has 6 channels but weight expects 4 (2 groups of 2): x [1,4,4,6], w f32 [3,3,2,8]',
    ],
    [
      () => conv2d(image, zeros([3, 3, 2, 8]), { groups: 3 }),
      'conv2d: groups must be a positive integer that divides the 8 filters of w f32 [3,3,2,8], got 3',
    ],
    [
      () => conv2d(image, zeros([3, 3, 6, 8]), { dilation: 0 }),
      'conv2d: dilation must be a positive integer, got [0,0]',
    ],
    [
      () => conv2d(image, zeros([3, 3, 6, 8]), { dilation: 2 }),
      'conv2d: a window of 5×5 does not fit an image of 4×4 with padding [0,0,0,0]',
    ],
    [
      () => conv2dTranspose(image, zeros([3, 3, 6, 8])),
      'conv2dTranspose: input has 6 channels but weight expects 8: x [1,4,4,6], w f32 [3,3,6,8] [KH, KW, O / groups, C]',
    ],
    [
      () => conv2dTranspose(image, zeros([3, 3, 8, 6]), { stride: 2, outputPadding: 2 }),
      'conv2dTranspose: outputPadding must be an integer from 0 to stride − 1, got [2,2] with stride [2,2]',
    ],
    [
      () => conv2dTranspose(image, zeros([3, 3, 8, 6]), { stride: 2, padding: 'same', outputPadding: 1 }),
      "conv2dTranspose: padding 'same' fixes the output size (remove outputPadding)",
    ],
    [
      () => conv2dTranspose(image, zeros([1, 1, 8, 6]), { padding: 2 }),
      'conv2dTranspose: the output would be empty: images [1,4,4,6], kernel 1×1, padding [2,2,2,2] (pad less)',
    ],
    [
      () => conv2dTranspose(zeros([4, 6]), zeros([1, 1, 8, 6])),
      'conv2dTranspose: expects images [N, H, W, C] but got f32 [4,6]',
    ],
    [() => globalAvgPool2d(zeros([4, 6])), 'globalAvgPool2d: expects images [N, H, W, C] but got f32 [4,6]'],
    [
      () => globalMaxPool2d(zeros([1, 0, 2, 3])),
      'globalMaxPool2d: expects images with pixels but got f32 [1,0,2,3]',
    ],
    [
      () => resize2d(image, 2, { antialias: true }),
      "resize2d: antialias requires mode 'bilinear' or 'bicubic', got mode 'nearest'",
    ],
    [() => resize2d(image, 0), 'resize2d: size must be positive integers, got [0,0]'],
    [() => resize2d(zeros([1, 0, 2, 3]), 2), 'resize2d: expects images with pixels but got f32 [1,0,2,3]'],
    [
      () => resize2d(image, 2, { mode: 'cubic' as never }),
      "resize2d: mode must be 'nearest' or 'bilinear' or 'bicubic', got 'cubic'",
    ],
    [
      () => resize2d(image, 2, { alignCorners: true }),
      "resize2d: alignCorners requires mode 'bilinear' or 'bicubic', got mode 'nearest'",
    ],
    [() => layerNorm(image, { axes: 5 }), 'layerNorm: axes must be an integer from 1 to 4, got 5'],
    [
      () => layerNorm(image, { gamma: ones([4]), beta: ones([4]) }),
      'layerNorm: a parameter is f32 [4] but x f32 [1,4,4,6] needs [6]',
    ],
    [
      () => layerNorm(image, { gamma: ones([6]) }),
      'layerNorm: got gamma without beta (give both or neither)',
    ],
    [
      () => groupNorm(image, 4),
      'groupNorm: groups must be a positive integer that divides the 6 channels of f32 [1,4,4,6], got 4',
    ],
    [() => groupNorm(ones([6]), 2), 'groupNorm: expects [N, ..., channels] but got f32 [6]'],
    [
      () => instanceNorm(zeros([2, 0, 3])),
      'instanceNorm: expects more than one value per group for its statistics, got 0 in f32 [2,0,3]',
    ],
    [() => lrnAcross(image, { size: 0 }), 'lrnAcross: size must be an integer >= 1, got 0'],
    [() => lrnAcross(image, { alpha: -1 }), 'lrnAcross: alpha must be a number >= 0, got -1'],
    [
      () => gelu(1, { approximate: 'none' as never }),
      `gelu: approximate must be 'tanh' or omitted, got "none"`,
    ],
    [() => celu(1, 0), 'celu: alpha must be a number other than 0, got 0'],
    [() => elu(1, NaN), 'elu: alpha must be a finite number, got NaN'],
    [
      () => meanSquaredError(ones([2, 3]), ones([2]), { reduction: 'none' }),
      'meanSquaredError: expects an output and a target f32 of the same shape [N, ...] but got f32 [2,3] and f32 [2]',
    ],
    [
      () => huberLoss(ones([2]), ones([2]), { delta: 0, reduction: 'none' }),
      'huberLoss: delta must be a number > 0, got 0',
    ],
    [
      () => diceLoss(ones([2]), ones([2]), { smooth: 0, reduction: 'none' }),
      'diceLoss: smooth must be a number > 0, got 0',
    ],
    [
      () => focalLoss(ones([2]), ones([2]), { alpha: 2, reduction: 'none' }),
      'focalLoss: alpha must be a number from 0 to 1, got 2',
    ],
    [
      () => crossEntropy(ones([1, 2]), tensor(Int32Array.of(0)), { labelSmoothing: 1.5, reduction: 'none' }),
      'crossEntropy: labelSmoothing must be a number from 0 to 1, got 1.5',
    ],
    [
      () => klDivergence(ones([2]), ones([2]), { reduction: 'none' }),
      'klDivergence: expects logits [N, classes] but got f32 [2]',
    ],
  ])('%#', (make, message) => {
    expect(make).toThrow(message);
  });
});
