/** Normalizations: by the batch, by the groups of one example, and by neighboring responses. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import { checkInteger, checkNumber } from '../options.ts';
import { constant, type Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { add, div, exp, log, mul, sqrt, sub } from './elementwise.ts';
import { reshape } from './layout.ts';
import { matmul } from './matmul.ts';
import { batchNormOp, channelsOf, lrnWithinOp, standardizeOp } from './primitives/norm.ts';

export interface LrnOptions {
  /** Side of the square around each position, odd. Default 5. */
  readonly size?: number;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0.75. */
  readonly beta?: number;
}

/**
 * Local response normalization within each channel, as in Caffe.
 *
 *   s = 1 + alpha / size² · Σ x² over the size × size square around the position (zero outside, divisor always size²)
 *   y = x · s^−beta
 *
 * Shapes: x [N, H, W, C] -> the same. Throws RangeError for an even or non-positive size.
 * Source: Caffe, lrn_layer.cpp (WITHIN_CHANNEL).
 */
export function lrnWithin(x: TensorLike, options: LrnOptions = {}): Tensor {
  const { size = 5, alpha = 1, beta = 0.75 } = options;
  if (!Number.isSafeInteger(size) || size < 1 || size % 2 === 0) {
    throw new RangeError(`lrnWithin: size must be a positive odd integer, got ${String(size)}`);
  }
  const t = toTensor(x);
  expectRank('lrnWithin', t, 4, 'images [N, H, W, C]');
  return lrnWithinOp([t], { size, alpha, beta })[0];
}

/**
 * Local response normalization across channels, as in AlexNet.
 *
 *   s = 1 + alpha / size · Σ x² over `size` neighboring channels (zero outside; of an even size, one more before)
 *   y = x · s^−beta
 *
 * Shapes: x [..., C] -> the same. The sums are a product with a band matrix [C, C], so that a NaN or an infinity in one
 * channel reaches all of its position. Throws RangeError for a size that is not a positive integer and for alpha < 0.
 * Source: Krizhevsky et al., 2012; Caffe, lrn_layer.cpp (ACROSS_CHANNELS); torch.nn.LocalResponseNorm.
 */
export function lrnAcross(x: TensorLike, options: LrnOptions = {}): Tensor {
  const { size = 5, alpha = 1, beta = 0.75 } = options;
  checkInteger('lrnAcross', 'size', size, 1);
  checkNumber('lrnAcross', 'alpha', alpha, 'a number >= 0', (a) => a >= 0);
  const t = toTensor(x);
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
  // s is at least 1, where a logarithm costs less than a power.
  return reshape(mul(flat, exp(mul(log(add(sums, 1)), -beta))), t.shape);
}

export interface BatchNormOptions {
  /** Scale and shift, [C] each; give both or neither (Caffe's batch normalization has none). */
  readonly gamma?: TensorLike;
  /** The shift, as `gamma`. */
  readonly beta?: TensorLike;
  /** Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Batch normalization by the batch's own statistics (training).
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x [..., C] -> y [..., C], mean [C], variance [C]; the variance is biased (divided by the count). Throws ShapeError for one
 * value per channel, as PyTorch does.
 * Source: Ioffe and Szegedy, Batch Normalization, 2015.
 */
export function batchNorm(
  x: TensorLike,
  options: BatchNormOptions = {},
): { readonly y: Tensor; readonly mean: Tensor; readonly variance: Tensor } {
  const t = toTensor(x);
  const [y, mean, variance] = batchNormOp([t, ...affine('batchNorm', options)], {
    epsilon: options.epsilon ?? 1e-5,
  });
  const advice = 'use larger batches, or batchNormInference with running statistics';
  expectSeveral('batchNorm', t, sizeOf(t.shape) / mean.shape[0], 'channel', advice);
  return { y: y, mean: mean, variance: variance };
}

/**
 * Throws ShapeError where each set of statistics would be those of a single value: it is its own mean, so that the result does not
 * depend on x, and no gradient passes.
 */
function expectSeveral(where: string, x: TensorType, count: number, set: string, advice: string): void {
  if (count !== 1) return;
  throw new ShapeError(
    `${where}: expects more than one value per ${set} to take statistics of, got one in ${formatType(x)} (${advice})`,
  );
}

/** Batch normalization by given statistics, [C] each (inference). */
export function batchNormInference(
  x: TensorLike,
  mean: TensorLike,
  variance: TensorLike,
  options: BatchNormOptions = {},
): Tensor {
  const t = toTensor(x);
  const statistics = [toTensor(mean), toTensor(variance)] as const;
  const [gamma, beta] = affine('batchNormInference', options);
  channelsOf('batchNormInference', t, [...statistics, gamma, beta]);
  const deviation = sqrt(add(statistics[1], options.epsilon ?? 1e-5));
  // scale · x + shift: two passes over the images instead of four.
  const scale = gamma === undefined ? div(1, deviation) : div(gamma, deviation);
  const shift = mul(statistics[0], scale);
  return add(mul(t, scale), beta === undefined ? mul(shift, -1) : sub(beta, shift));
}

export interface LayerNormOptions extends BatchNormOptions {
  /** How many of the last axes are normalized together; gamma and beta have their shape. Default 1. */
  readonly axes?: number;
}

/**
 * Layer normalization: each example by the mean and the biased variance of its last axes.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x [..., D] -> the same; gamma and beta [D]. Throws ShapeError where D is 1. Source: Ba et al., Layer Normalization, 2016.
 */
export function layerNorm(x: TensorLike, options: LayerNormOptions = {}): Tensor {
  const t = toTensor(x);
  const { axes = 1 } = options;
  checkInteger('layerNorm', 'axes', axes, 1, t.rank);
  const shape = t.shape.slice(-axes);
  return standardized('layerNorm', t, [sizeOf(t.shape.slice(0, -axes)), 1, 1, sizeOf(shape)], shape, options);
}

/**
 * Group normalization: each example by the mean and the biased variance of each group of neighboring channels.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x [N, ..., C] -> the same; gamma and beta [C]. Throws RangeError unless `groups` divides C, and ShapeError for one
 * value per group.
 * Source: Wu and He, Group Normalization, 2018.
 */
export function groupNorm(x: TensorLike, groups: number, options: BatchNormOptions = {}): Tensor {
  return byGroups('groupNorm', x, groups, options);
}

/** Instance normalization: each channel of each example by itself. Shapes and formula as in `groupNorm`. */
export function instanceNorm(x: TensorLike, options: BatchNormOptions = {}): Tensor {
  const t = toTensor(x);
  return byGroups('instanceNorm', t, t.shape.at(-1) ?? 1, options);
}

function byGroups(where: string, x: TensorLike, groups: number, options: BatchNormOptions): Tensor {
  const t = toTensor(x);
  if (t.rank < 2) throw new ShapeError(`${where}: expects [N, ..., channels] but got ${formatType(t)}`);
  const channels = t.shape.at(-1)!;
  if (!Number.isSafeInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(
      `${where}: groups must be a positive integer that divides the ${channels} channels of ${formatType(t)}, got ${groups}`,
    );
  }
  const view = [t.shape[0], sizeOf(t.shape.slice(1, -1)), groups, channels / groups];
  return standardized(where, t, view, [channels], options);
}

/** x standardised as seen in the shape `view`, then scaled and shifted. */
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
  expectSeveral(where, x, positions * each, 'group', 'normalize over more axes or channels, or leave it out');
  const [y] = standardizeOp([reshape(x, view)], { epsilon: options.epsilon ?? 1e-5 });
  const same = reshape(y, x.shape);
  return gamma === undefined || beta === undefined ? same : add(mul(same, gamma), beta);
}

function affine(where: string, { gamma, beta }: BatchNormOptions): Tensor[] {
  if ((gamma === undefined) !== (beta === undefined)) {
    throw new ShapeError(`${where}: gamma and beta come together (give both or neither)`);
  }
  return gamma === undefined || beta === undefined ? [] : [toTensor(gamma), toTensor(beta)];
}
