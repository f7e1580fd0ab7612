// What is said when shapes or dtypes do not fit.

import { beforeEach, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { setDefaultBackend } from '../../engine/select.ts';
import { ShapeError } from '../../engine/errors.ts';
import '../../engine/methods.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  avgPool2d,
  batchNorm,
  batchNormInference,
  broadcastTo,
  checkFinite,
  conv2d,
  accuracy,
  crossEntropy,
  div,
  dropout,
  exp,
  lrnWithin,
  matmul,
  max,
  maxPool2d,
  mean,
  mul,
  normalizeImages,
  pow,
  relu,
  reshape,
  scalar,
  sub,
  sum,
  gather,
  transpose,
  zeros,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { key } from '../../engine/rng.ts';
import {} from '../../engine/tensor.ts';

beforeEach(() => setDefaultBackend(reference()));

describe('shapes and dtypes that do not fit are named, all of them', () => {
  const t = (...shape: number[]) => zeros(shape);
  const ints = (...shape: number[]) => zeros(shape, 'i32');
  const bytes = (...shape: number[]) => zeros(shape, 'u8');
  const CAST = ' (convert it with cast(x))';

  it.each<[string, () => unknown, string]>([
    // elementwise
    [
      'add',
      () => add(t(2, 3), t(2, 4)),
      'add: shapes [2,3] and [2,4] do not broadcast: axis -1 has sizes 3 and 4 (they must be equal, or one of them 1)',
    ],
    [
      'sub',
      () => sub(t(4, 2, 3), t(5, 1, 3)),
      'sub: shapes [4,2,3] and [5,1,3] do not broadcast: axis -3 has sizes 4 and 5 (they must be equal, or one of them 1)',
    ],
    [
      'mul',
      () => mul(t(0), t(2)),
      'mul: shapes [0] and [2] do not broadcast: axis -1 has sizes 0 and 2 (they must be equal, or one of them 1)',
    ],
    ['div of bytes', () => div(t(2), bytes(2)), `div: expects f32 but got u8 [2]${CAST}`],
    ['pow of integers', () => pow(ints(2), 2), `pow: expects f32 but got i32 [2]${CAST}`],
    ['exp of integers', () => exp(ints(2)), `exp: expects f32 but got i32 [2]${CAST}`],
    ['relu of bytes', () => relu(bytes(2, 2)), `relu: expects f32 but got u8 [2,2]${CAST}`],
    ['reluGrad', () => ops.reluGrad([t(2), t(3)], {}), 'reluGrad: gradient [2] and result [3] differ'],
    [
      'checkFinite of integers',
      () => checkFinite(ints(1), 'x'),
      `checkFinite: expects f32 but got i32 [1]${CAST}`,
    ],
    // layout
    ['reshape', () => reshape(t(2, 3), [4, 2]), 'reshape: [2,3] has 6 elements but [4,2] has 8'],
    [
      'reshape with two holes',
      () => reshape(t(2, 3), [-1, -1]),
      'reshape: only one size may be -1, got [-1,-1]',
    ],
    [
      'reshape with a hole that does not divide',
      () => reshape(t(2, 3), [4, -1]),
      'reshape: cannot infer the -1 in [4,-1]: [2,3] has 6 elements, which is not a multiple of 4',
    ],
    [
      'reshape of nothing with a hole',
      () => reshape(t(0, 3), [0, -1]),
      'reshape: cannot infer the -1 in [0,-1]: [0,3] has 0 elements, which is not a multiple of 0',
    ],
    [
      'reshape to an impossible size',
      () => reshape(t(6), [-2, -3]),
      'reshape: sizes must be non-negative integers, got -2 in [-2,-3]',
    ],
    [
      'transpose with a missing axis',
      () => transpose(t(2, 3), [0]),
      'transpose: perm must name each of the 2 axes of [2,3] once, got [0]',
    ],
    [
      'transpose with an axis twice',
      () => transpose(t(2, 3), [1, 1]),
      'transpose: perm must name each of the 2 axes of [2,3] once, got [1,1]',
    ],
    [
      'transpose with an axis too many',
      () => transpose(t(2, 3), [0, 2]),
      'transpose: axis 2 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'broadcastTo',
      () => broadcastTo(t(2, 3), [2, 4]),
      'broadcastTo: f32 [2,3] does not broadcast to [2,4] (each axis must be equal, or 1 in the tensor)',
    ],
    [
      'broadcastTo fewer axes',
      () => broadcastTo(t(1, 3), [3]),
      'broadcastTo: f32 [1,3] does not broadcast to [3] (each axis must be equal, or 1 in the tensor)',
    ],
    // reductions
    [
      'sum over an axis that is not there',
      () => sum(t(2, 3), 2),
      'sum: axis 2 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'sum over half an axis',
      () => sum(t(2, 3), 0.5),
      'sum: axis 0.5 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'sum over an axis twice',
      () => sum(t(2, 3), [1, -1]),
      'sum: axis 1 is given twice (name each axis once)',
    ],
    ['sum of bytes', () => sum(bytes(2, 3)), `sum: expects f32 but got u8 [2,3]${CAST}`],
    ['max over nothing', () => max(t(2, 0), 1), 'max: no elements along the reduced axes of [2,0]'],
    ['max of integers', () => max(ints(3)), `max: expects f32 but got i32 [3]${CAST}`],
    ['mean over nothing', () => mean(t(2, 0), 1), 'mean: no elements along the reduced axes of [2,0]'],
    [
      'mean over an axis that is not there',
      () => mean(t(2), 3),
      'mean: axis 3 does not exist in a tensor of rank 1 (axes go from -1 to 0)',
    ],
    // products
    ['matmul', () => matmul(t(2, 3), t(4, 5)), 'matmul: inner sizes 3 and 4 differ: f32 [2,3] and f32 [4,5]'],
    [
      'matmul, transposed',
      () => matmul(t(2, 3), t(4, 5), { transA: true, transB: true }),
      'matmul: inner sizes 2 and 5 differ: f32 [2,3] transposed and f32 [4,5] transposed',
    ],
    [
      'matmul of a vector',
      () => matmul(t(3), t(3, 2)),
      'matmul: expects two matrices [m, k] and [k, n], or two batches of matrices, but got f32 [3] and f32 [3,2]',
    ],
    [
      'matmul of a matrix and a vector',
      () => matmul(t(3, 4), t(4)),
      'matmul: expects two matrices [m, k] and [k, n], or two batches of matrices, but got f32 [3,4] and f32 [4]',
    ],
    [
      'matmul of batches',
      () => matmul(t(2, 3, 4), t(3, 4, 5)),
      'matmul of f32 [2,3,4] and f32 [3,4,5]: batch: shapes [2] and [3] do not broadcast: axis -1 has sizes 2 and 3 (they must be equal, or one of them 1)',
    ],
    ['matmul of bytes', () => matmul(bytes(2, 3), t(3, 2)), `matmul: expects f32 but got u8 [2,3]${CAST}`],
    // convolution
    [
      'conv2d channels',
      () => conv2d(t(1, 8, 8, 16), t(5, 5, 32, 4)),
      'conv2d: input has 16 channels but weight expects 32: x [1,8,8,16], w f32 [5,5,32,4]',
    ],
    [
      'conv2d of no images',
      () => conv2d(t(8, 8, 3), t(5, 5, 3, 4)),
      'conv2d: expects images [N, H, W, C] but got f32 [8,8,3]',
    ],
    [
      'conv2d without filters',
      () => conv2d(t(1, 8, 8, 3), t(5, 5, 3)),
      'conv2d: expects filters [KH, KW, C, O] but got f32 [5,5,3]',
    ],
    [
      'conv2d of bytes',
      () => conv2d(bytes(1, 8, 8, 3), t(5, 5, 3, 4)),
      `conv2d: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    [
      'conv2d window',
      () => conv2d(t(1, 4, 9, 3), t(5, 5, 3, 4)),
      'conv2d: a window of 5×5 does not fit an image of 4×9 with padding [0,0,0,0] (make the window smaller or pad more)',
    ],
    [
      'conv2d stride',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { stride: [1, 0] }),
      'conv2d: stride must be a positive integer, got [1,0]',
    ],
    [
      'conv2d padding',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { padding: -1 }),
      `conv2d: padding must be 'same', 'valid', a non-negative integer, [vertical, horizontal] or [top, bottom, left, right], got -1`,
    ],
    [
      'conv2d padding by name',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { padding: 'full' as 'same' }),
      `conv2d: padding must be 'same', 'valid', a non-negative integer, [vertical, horizontal] or [top, bottom, left, right], got 'full'`,
    ],
    // pooling
    [
      'maxPool2d of no images',
      () => maxPool2d(t(8, 8, 3), 2),
      'maxPool2d: expects images [N, H, W, C] but got f32 [8,8,3]',
    ],
    [
      'maxPool2d window',
      () => maxPool2d(t(1, 2, 8, 3), [3, 2]),
      'maxPool2d: a window of 3×2 does not fit an image of 2×8 with padding [0,0,0,0] (make the window smaller or pad more)',
    ],
    [
      'maxPool2d kernel',
      () => maxPool2d(t(1, 8, 8, 3), 0),
      'maxPool2d: kernel must be a positive integer, got [0,0]',
    ],
    [
      'maxPool2d padding',
      () => maxPool2d(t(1, 8, 8, 3), 2, { padding: 2 }),
      'maxPool2d: padding [2,2,2,2] must be smaller than the kernel 2×2, or a window could lie outside the image (pad less)',
    ],
    [
      'maxPool2d padding, vertical alone',
      () => maxPool2d(t(1, 8, 8, 3), [2, 3], { padding: [0, 2, 1, 1] }),
      'maxPool2d: padding [0,2,1,1] must be smaller than the kernel 2×3, or a window could lie outside the image (pad less)',
    ],
    [
      'avgPool2d padding, horizontal alone',
      () => avgPool2d(t(1, 8, 8, 3), [3, 2], { padding: [1, 1, 2, 0] }),
      'avgPool2d: padding [1,1,2,0] must be smaller than the kernel 3×2, or a window could lie outside the image (pad less)',
    ],
    [
      'maxPool2d of bytes',
      () => maxPool2d(bytes(1, 8, 8, 3), 2),
      `maxPool2d: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    [
      'avgPool2d stride',
      () => avgPool2d(t(1, 8, 8, 3), 2, { stride: 1.5 }),
      'avgPool2d: stride must be a positive integer, got [1.5,1.5]',
    ],
    // normalisation
    [
      'lrnWithin of no images',
      () => lrnWithin(t(8, 8)),
      'lrnWithin: expects images [N, H, W, C] but got f32 [8,8]',
    ],
    [
      'lrnWithin of bytes',
      () => lrnWithin(bytes(1, 8, 8, 3)),
      `lrnWithin: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    ['batchNorm of a vector', () => batchNorm(t(3)), 'batchNorm: expects [..., channels] but got f32 [3]'],
    [
      'batchNorm of nothing',
      () => batchNorm(t(0, 3)),
      'batchNorm: statistics need at least one element, got f32 [0,3]',
    ],
    [
      'batchNorm gamma',
      () => batchNorm(t(2, 3), { gamma: t(4), beta: t(3) }),
      'batchNorm: input has 3 channels but a parameter has shape [4]: x f32 [2,3]',
    ],
    [
      'batchNorm beta',
      () => batchNorm(t(2, 3), { gamma: t(3), beta: t(1, 3) }),
      'batchNorm: input has 3 channels but a parameter has shape [1,3]: x f32 [2,3]',
    ],
    [
      'batchNorm without beta',
      () => batchNorm(t(2, 3), { gamma: t(3) }),
      'batchNorm: got gamma without beta (give both or neither)',
    ],
    ['batchNorm of integers', () => batchNorm(ints(2, 3)), `batchNorm: expects f32 but got i32 [2,3]${CAST}`],
    [
      'batchNorm with integer parameters',
      () => batchNorm(t(2, 3), { gamma: ints(3), beta: t(3) }),
      `batchNorm: expects f32 but got i32 [3]${CAST}`,
    ],
    [
      'batchNormInference',
      () => batchNormInference(t(2, 3), t(3), t(2)),
      'batchNormInference: input has 3 channels but a parameter has shape [2]: x f32 [2,3]',
    ],
    [
      'batchNormInference gamma',
      () => batchNormInference(t(2, 3), t(3), t(3), { gamma: t(4), beta: t(4) }),
      'batchNormInference: input has 3 channels but a parameter has shape [4]: x f32 [2,3]',
    ],
    [
      'batchNormInference without gamma',
      () => batchNormInference(t(2, 3), t(3), t(3), { beta: t(3) }),
      'batchNormInference: got beta without gamma (give both or neither)',
    ],
    // losses
    [
      'softmaxCrossEntropy labels',
      () => crossEntropy(t(4, 3), ints(5)),
      'crossEntropy: logits f32 [4,3] need labels i32 [4] but got i32 [5] (give each of the [4] rows one label)',
    ],
    [
      'softmaxCrossEntropy float labels',
      () => crossEntropy(t(4, 3), t(4), { reduction: 'none' }),
      'crossEntropy: logits f32 [4,3] need labels i32 [4] but got f32 [4] (use integers for class labels: an Int32Array)',
    ],
    [
      'softmaxCrossEntropy of a vector',
      () => crossEntropy(t(3), ints(3)),
      'crossEntropy: expects logits [N, classes] but got f32 [3] and targets i32 [3] (for one output and targets 0 and 1, use binaryCrossEntropy)',
    ],
    [
      'softmaxCrossEntropy without classes',
      () => crossEntropy(t(3, 0), ints(3)),
      'crossEntropy: expects at least one class but got logits f32 [3,0]',
    ],
    [
      'correct',
      () => accuracy(t(4, 3), ints(4, 1), { reduction: 'none' }),
      'accuracy: logits f32 [4,3] need labels i32 [4] but got i32 [4,1] (reshape the labels to [4])',
    ],
    [
      'accuracy of bytes',
      () => accuracy(bytes(4, 3), ints(4), { reduction: 'none' }),
      `accuracy: expects f32 but got u8 [4,3]${CAST}`,
    ],
    // data
    [
      'dropout step',
      () => dropout(t(3), 0.5, key(1, 'm'), scalar(1)),
      'dropout: step must be i32 [] but got f32 []',
    ],
    [
      'dropout of bytes',
      () => dropout(bytes(3), 0.5, key(1, 'm'), scalar(1, 'i32')),
      `dropout: expects f32 but got u8 [3]${CAST}`,
    ],
    ['gather index', () => gather(t(3, 2), t(2)), `gather: expects i32 but got f32 [2]`],
    [
      'gatherRows index rank',
      () => ops.gatherRows([t(3, 2), ints(2, 1)], {}),
      'gatherRows: expects an index i32 [N] but got i32 [2,1]',
    ],
    [
      'gatherRows of a scalar',
      () => ops.gatherRows([scalar(1), ints(2)], {}),
      'gatherRows: expects at least one axis but got f32 []',
    ],
    [
      'normalizeImages rank',
      () => normalizeImages(bytes(3, 3, 1), 0, 1),
      'normalizeImages: expects images [N, H, W, C] but got u8 [3,3,1]',
    ],
    [
      'normalizeImages of integers',
      () => normalizeImages(ints(1, 3, 3, 1), 0, 1),
      'normalizeImages: expects u8 or f32 images but got i32 [1,3,3,1]',
    ],
    [
      'normalizeImages mean',
      () => normalizeImages(bytes(1, 3, 3, 2), t(3), 1),
      'normalizeImages: mean: shapes [3,3,2] and [3] do not broadcast: axis -1 has sizes 2 and 3 (they must be equal, or one of them 1)',
    ],
    [
      'normalizeImages scale',
      () => normalizeImages(bytes(1, 1, 3, 2), 0, t(3, 1, 1)),
      'normalizeImages: scale f32 [3,1,1] does not broadcast to images u8 [1,1,3,2]',
    ],
    [
      'normalizeImages integer mean',
      () => normalizeImages(bytes(1, 3, 3, 2), ints(2), 1),
      `normalizeImages: mean: expects f32 but got i32 [2]${CAST}`,
    ],
    [
      'normalizeImages augmentation',
      () => normalizeImages(bytes(4, 3, 3, 2), 0, 1, ints(4, 2)),
      'normalizeImages: augmentation must be i32 [4,3] but got i32 [4,2]',
    ],
    [
      'normalizeImages float augmentation',
      () => normalizeImages(bytes(4, 3, 3, 2), 0, 1, t(4, 3)),
      'normalizeImages: augmentation must be i32 [4,3] but got f32 [4,3]',
    ],
  ])('%s', (_, build, message) => {
    expect(build).toThrow(new ShapeError(message));
  });

  it.each<[string, () => unknown, string]>([
    [
      'lrnWithin even size',
      () => lrnWithin(t(1, 3, 3, 1), { size: 4 }),
      'lrnWithin: size must be a positive odd integer, got 4',
    ],
    [
      'lrnWithin zero size',
      () => lrnWithin(t(1, 3, 3, 1), { size: -1 }),
      'lrnWithin: size must be a positive odd integer, got -1',
    ],
    ['dropout rate', () => dropout(t(3), 1, key(1, 'm'), 0), 'dropout: rate must be in [0, 1), got 1'],
    ['dropout NaN', () => dropout(t(3), NaN, key(1, 'm'), 0), 'dropout: rate must be in [0, 1), got NaN'],
    [
      'avgPool2d divisor',
      () => avgPool2d(t(1, 4, 4, 1), 2, { divisor: 'all' as 'inside' }),
      `avgPool2d: divisor must be 'clipped' or 'inside', got "all"`,
    ],
  ])('%s, a plain argument mistake', (_, build, message) => {
    expect(build).toThrow(new RangeError(message));
  });

  it('the layer that asked is named, the innermost', () => {
    const build = () => withPath('block', () => withPath('block/fc', () => matmul(t(2, 3), t(4, 5))));
    const message = 'matmul: inner sizes 3 and 4 differ: f32 [2,3] and f32 [4,5]';
    const expected = withPath('block/fc', () => new ShapeError(message));
    expect(build).toThrow(expected);
    expect([expected.path, expected.message]).toEqual(['block/fc', `block/fc / ${message}`]);
    expect(expected.stack).toMatch(/^ShapeError: block\/fc \/ matmul: /);
  });

  it('a path ends with the function that set it, also when it throws', () => {
    expect(() => withPath('a', () => add(t(2), t(3)))).toThrow(/^a \/ add/);
    expect(() => add(t(2), t(3))).toThrow(/^add/);
    expect(withPath('a', () => relu(t(1))).source).toMatchObject({ node: { path: 'a' } });
    expect(relu(t(1)).source).toMatchObject({ node: { path: '' } });
  });

  it('the path is named where a function checks its arguments itself, too', () => {
    expect(() => withPath('conv1', () => conv2d(t(1, 8, 8, 16), t(5, 5, 32, 4)))).toThrow(
      'conv1 / conv2d: input has 16 channels but weight expects 32: x [1,8,8,16], w f32 [5,5,32,4]',
    );
    expect(() => withPath('pool1', () => maxPool2d(t(8, 8, 3), 2))).toThrow(
      /^pool1 \/ maxPool2d: expects images/,
    );
    expect(() => withPath('head', () => withPath('head.fc', () => sum(t(6), 4)))).toThrow(
      /^head\.fc \/ sum: axis 4 does not exist/,
    );
  });
});
