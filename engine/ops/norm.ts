/** Normalization over the batch, over groups of channels, and over neighboring responses. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import { checkInteger, checkNumber, checkOptions, show } from '../options.ts';
import { constant, type Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { add, div, exp, log, mul, sqrt, sub } from './elementwise.ts';
import { reshape } from './layout.ts';
import { matmul } from './matmul.ts';
import { batchNormOp, channelsOf, lrnWithinOp, standardizeOp } from './primitives/norm.ts';

export interface LrnOptions {
  /**
   * Side of the square around each position (`lrnWithin`, odd) or number of neighboring channels (`lrnAcross`). Default 5.
   */
  readonly size?: number;
  /** Weight of the sum of squares. Default 1. */
  readonly alpha?: number;
  /** Exponent. Default 0.75. */
  readonly beta?: number;
}

/**
 * Local response normalization within each channel, as in Caffe.
 *
 *   s = 1 + alpha / size² · Σ x² over the size × size square around the position
 *   y = x · s^−beta
 *
 * Positions outside the image count as 0, and the divisor is always size².
 *
 * Shapes: images x `f32` [N, H, W, C] -> the same.
 * Source: Caffe, lrn_layer.cpp (WITHIN_CHANNEL).
 * Throws RangeError if the size is not a positive odd integer.
 * Throws ShapeError if x is not `f32` [N, H, W, C].
 * Throws TypeError for an unknown option.
 *
 * @example lrnWithin([[[[1], [2]]]], { size: 3, alpha: 9 }) // [[[[0.2608], [0.5217]]]]
 */
export function lrnWithin(x: TensorLike, options: LrnOptions = {}): Tensor {
  checkOptions('lrnWithin', options, ['size', 'alpha', 'beta']);
  const { size = 5, alpha = 1, beta = 0.75 } = options;
  checkNumber('lrnWithin', 'alpha', alpha);
  checkNumber('lrnWithin', 'beta', beta);
  if (!Number.isSafeInteger(size) || size < 1 || size % 2 === 0) {
    throw new RangeError(`lrnWithin: size must be a positive odd integer, got ${show(size)}`);
  }
  const t = toTensor('lrnWithin', x);
  expectRank('lrnWithin', t, 4, 'images [N, H, W, C]');
  return lrnWithinOp([t], { size, alpha, beta })[0];
}

/**
 * Local response normalization across channels, as in AlexNet.
 *
 *   s = 1 + alpha / size · Σ x² over `size` neighboring channels
 *   y = x · s^−beta
 *
 * Channels outside count as 0. If the size is even, the extra channel is on the left. The sums are a matrix product with a
 * band matrix [C, C], so a NaN or an infinity in one channel affects all channels of its position.
 *
 * Shapes: x `f32` [..., C] -> the same.
 * Source: Krizhevsky et al., ImageNet Classification, 2012; Caffe, lrn_layer.cpp (ACROSS_CHANNELS);
 * torch.nn.LocalResponseNorm.
 * Throws RangeError if the size is not a positive integer, or alpha is negative or not finite.
 * Throws ShapeError if x is not `f32` or has no axes.
 * Throws TypeError for an unknown option.
 *
 * @example lrnAcross([1, 2, 3], { size: 3, alpha: 3 }) // [0.2608, 0.2624, 0.4145]
 */
export function lrnAcross(x: TensorLike, options: LrnOptions = {}): Tensor {
  checkOptions('lrnAcross', options, ['size', 'alpha', 'beta']);
  const { size = 5, alpha = 1, beta = 0.75 } = options;
  checkInteger('lrnAcross', 'size', size, 1);
  checkNumber('lrnAcross', 'alpha', alpha, 'a number >= 0', (a) => a >= 0);
  checkNumber('lrnAcross', 'beta', beta);
  const t = floats('lrnAcross', x);
  if (t.rank === 0) throw new ShapeError(`lrnAcross: expects [..., channels] but got ${formatType(t)}`);
  const channels = t.shape.at(-1)!;
  const band = new Float64Array(channels * channels);
  for (let to = 0; to < channels; to++) {
    const first = to - Math.floor(size / 2);
    for (let from = Math.max(first, 0); from < Math.min(first + size, channels); from++)
      band[from * channels + to] = alpha / size;
  }
  const flat = reshape(t, [sizeOf(t.shape.slice(0, -1)), channels]);
  const sums = matmul(mul(flat, flat), constant({ shape: [channels, channels], dtype: 'f32', data: band }));
  // s >= 1, so exp and log can replace pow, which costs more.
  return reshape(mul(flat, exp(mul(log(add(sums, 1)), -beta))), t.shape);
}

export interface BatchNormOptions {
  /** Scale, [C]. Give both gamma and beta, or neither. Default: no scale and no shift. */
  readonly gamma?: TensorLike;
  /** Shift, [C]. Give both gamma and beta, or neither. */
  readonly beta?: TensorLike;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Batch normalization with the statistics of the batch, as in training.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Returns y and the statistics of each channel. The variance is biased (divided by the number of elements).
 *
 * Shapes: x `f32` [..., C], gamma and beta [C] -> y [..., C], mean [C], variance [C].
 * Source: Ioffe and Szegedy, Batch Normalization, 2015.
 * Throws ShapeError if there is only one value for each channel (as in PyTorch), x is not `f32`, a parameter is not [C], or
 * only one of gamma and beta is given.
 * Throws TypeError for an unknown option.
 *
 * @example batchNorm([[1, 10], [3, 30]]).y // [[-1, -1], [1, 1]]
 */
export function batchNorm(
  x: TensorLike,
  options: BatchNormOptions = {},
): { readonly y: Tensor; readonly mean: Tensor; readonly variance: Tensor } {
  checkOptions('batchNorm', options, ['gamma', 'beta', 'epsilon']);
  const t = toTensor('batchNorm', x);
  const [y, mean, variance] = batchNormOp([t, ...affine('batchNorm', options)], {
    epsilon: options.epsilon ?? 1e-5,
  });
  const advice = 'use larger batches, or batchNormInference with running statistics';
  expectSeveral('batchNorm', t, sizeOf(t.shape) / mean.shape[0], 'channel', advice);
  return { y: y, mean: mean, variance: variance };
}

/**
 * Throws ShapeError unless each set of statistics covers several values. A single value is its own mean, so the result would
 * not depend on x and its gradient would be 0.
 */
function expectSeveral(where: string, x: TensorType, count: number, set: string, advice: string): void {
  if (count > 1) return;
  throw new ShapeError(
    `${where}: expects more than one value per ${set} for its statistics, got ${count} in ${formatType(x)} (${advice})`,
  );
}

/**
 * Batch normalization with given statistics, as in inference.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [..., C], mean, variance, gamma and beta [C] -> [..., C].
 * Source: Ioffe and Szegedy, Batch Normalization, 2015.
 * Throws ShapeError if x is not `f32`, a statistic or parameter is not [C], or only one of gamma and beta is given.
 * Throws TypeError for an unknown option.
 *
 * @example batchNormInference([[1, 10], [3, 30]], [2, 20], [1, 100]) // [[-1, -1], [1, 1]]
 */
export function batchNormInference(
  x: TensorLike,
  mean: TensorLike,
  variance: TensorLike,
  options: BatchNormOptions = {},
): Tensor {
  checkOptions('batchNormInference', options, ['gamma', 'beta', 'epsilon']);
  const t = toTensor('batchNormInference', x);
  const statistics = [
    toTensor('batchNormInference', mean),
    toTensor('batchNormInference', variance),
  ] as const;
  const [gamma, beta] = affine('batchNormInference', options);
  channelsOf('batchNormInference', t, [...statistics, gamma, beta]);
  const deviation = sqrt(add(statistics[1], options.epsilon ?? 1e-5));
  // x · scale + shift takes two passes over the images instead of four.
  const scale = gamma === undefined ? div(1, deviation) : div(gamma, deviation);
  const shift = mul(statistics[0], scale);
  return add(mul(t, scale), beta === undefined ? mul(shift, -1) : sub(beta, shift));
}

export interface LayerNormOptions extends BatchNormOptions {
  /** Number of trailing axes that are normalized together. Default 1. */
  readonly axes?: number;
}

/**
 * Layer normalization: each example by the mean and the biased variance of its last axes.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [..., D] -> the same; gamma and beta [D]. With `axes`, D stands for that many trailing axes.
 * Source: Ba et al., Layer Normalization, 2016.
 * Throws RangeError if `axes` is not an integer from 1 to the rank of x.
 * Throws ShapeError if D is 1, x is not `f32`, a parameter is not [D], or only one of gamma and beta is given.
 * Throws TypeError for an unknown option.
 *
 * @example layerNorm([[1, 2, 3], [2, 4, 6]]) // [[-1.225, 0, 1.225], [-1.225, 0, 1.225]]
 */
export function layerNorm(x: TensorLike, options: LayerNormOptions = {}): Tensor {
  checkOptions('layerNorm', options, ['gamma', 'beta', 'epsilon', 'axes']);
  const t = floats('layerNorm', x);
  const { axes = 1 } = options;
  checkInteger('layerNorm', 'axes', axes, 1, t.rank);
  const shape = t.shape.slice(-axes);
  return standardized('layerNorm', t, [sizeOf(t.shape.slice(0, -axes)), 1, 1, sizeOf(shape)], shape, options);
}

/**
 * Group normalization: each group of adjacent channels of each example by its own mean and biased variance.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [N, ..., C] -> the same; gamma and beta [C].
 * Source: Wu and He, Group Normalization, 2018.
 * Throws RangeError if `groups` is not a positive integer that divides C.
 * Throws ShapeError if a group has one value, x is not `f32` of rank 2 or more, a parameter is not [C], or only one of
 * gamma and beta is given.
 * Throws TypeError for an unknown option.
 *
 * @example groupNorm([[1, 3, 10, 30]], 2) // [[-1, 1, -1, 1]]
 */
export function groupNorm(x: TensorLike, groups: number, options: BatchNormOptions = {}): Tensor {
  checkOptions('groupNorm', options, ['gamma', 'beta', 'epsilon']);
  return byGroups('groupNorm', x, groups, options);
}

/**
 * Instance normalization: each channel of each example by its own mean and biased variance.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [N, ..., C] -> the same; gamma and beta [C].
 * Source: Ulyanov et al., Instance Normalization, 2016.
 * Throws ShapeError if a channel has one value, x is not `f32` of rank 2 or more, a parameter is not [C], or only one of
 * gamma and beta is given.
 * Throws TypeError for an unknown option.
 *
 * @example instanceNorm([[[1], [3]]]) // [[[-1], [1]]]
 */
export function instanceNorm(x: TensorLike, options: BatchNormOptions = {}): Tensor {
  checkOptions('instanceNorm', options, ['gamma', 'beta', 'epsilon']);
  const t = toTensor('instanceNorm', x);
  return byGroups('instanceNorm', t, t.shape.at(-1) ?? 1, options);
}

function byGroups(where: string, x: TensorLike, groups: number, options: BatchNormOptions): Tensor {
  const t = floats(where, x);
  if (t.rank < 2) throw new ShapeError(`${where}: expects [N, ..., channels] but got ${formatType(t)}`);
  const channels = t.shape.at(-1)!;
  if (!Number.isSafeInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(
      `${where}: groups must be a positive integer that divides the ${channels} channels of ${formatType(t)}, got ${show(groups)}`,
    );
  }
  const view = [t.shape[0], sizeOf(t.shape.slice(1, -1)), groups, channels / groups];
  return standardized(where, t, view, [channels], options);
}

/** x standardized in the shape `view`, then scaled and shifted. */
function standardized(
  where: string,
  x: Tensor,
  view: Shape,
  parameters: Shape,
  options: BatchNormOptions,
): Tensor {
  const [gamma, beta] = affine(where, options);
  for (const t of [gamma, beta]) {
    if (t !== undefined && !sameShape(t.shape, parameters)) {
      throw new ShapeError(
        `${where}: a parameter is ${formatType(t)} but x ${formatType(x)} needs ${formatShape(parameters)}`,
      );
    }
  }
  const [, positions, , each] = view;
  expectSeveral(
    where,
    x,
    positions * each,
    'group',
    'normalize over more axes or channels, or remove the normalization',
  );
  const [y] = standardizeOp([reshape(x, view)], { epsilon: options.epsilon ?? 1e-5 });
  const same = reshape(y, x.shape);
  return gamma === undefined || beta === undefined ? same : add(mul(same, gamma), beta);
}

/** Gamma and beta, if there are any. Checks all options of a normalization. */
function affine(where: string, { gamma, beta, epsilon = 1e-5 }: BatchNormOptions): Tensor[] {
  checkNumber(where, 'epsilon', epsilon, 'a number >= 0', (x) => x >= 0);
  if ((gamma === undefined) !== (beta === undefined)) {
    throw new ShapeError(
      `${where}: got ${gamma === undefined ? 'beta without gamma' : 'gamma without beta'} (give both or neither)`,
    );
  }
  return gamma === undefined || beta === undefined ? [] : [toTensor(where, gamma), toTensor(where, beta)];
}
