/** Normalisations: by the batch, by the groups of one example, and by neighbouring responses. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import { checkInteger, checkNumber } from '../options.ts';
import { constant, type Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { composed } from './composed.ts';
import { add, div, exp, log, mul, neg, pow, sqrt, sub } from './elementwise.ts';
import { broadcastTo, reshape } from './layout.ts';
import { matmul } from './matmul.ts';
import { avgPool2d } from './pool.ts';
import { mean, sum } from './reduce.ts';

export type LrnAttrs = {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
};

/** Results: the normalised image, and the scale s whose power −beta it was multiplied by. */
export const lrnWithinOp = defineOp({
  name: 'lrnWithin',
  infer([x]: readonly TensorType[], _attrs: LrnAttrs) {
    expectDType('lrnWithin', 'f32', x);
    return [x, x];
  },
  vjp({ inputs: [x], outputs, grads, attrs }: Vjp<LrnAttrs>): Grads {
    const [g, h] = grads;
    const parts = [
      ...(g === null ? [] : [lrnWithinGradOp([g, x, outputs[1]], attrs)[0]]),
      ...(h === null ? [] : [mul(mul(x, 2 * attrs.alpha), squareMeans(h, attrs))]),
    ];
    return [parts.reduce((total, part) => add(total, part))];
  },
  flops: ([x], _, { size }) => sizeOf(x.shape) * size * size,
});

export const lrnWithinGradOp = defineOp({
  name: 'lrnWithinGrad',
  infer([g, x, s]: readonly TensorType[], _attrs: LrnAttrs) {
    expectDType('lrnWithinGrad', 'f32', g, x, s);
    return [x];
  },
  vjp: composed(([g, x, s], attrs: LrnAttrs) => {
    const own = mul(g, pow(s, -attrs.beta));
    const sums = squareMeans(div(mul(own, x), s), attrs);
    return [sub(own, mul(mul(x, 2 * attrs.alpha * attrs.beta), sums))];
  }),
  flops: ([x], _, { size }) => sizeOf(x.shape) * size * size,
});

/** Means over the square around each position, zero outside. */
const squareMeans = (x: Tensor, { size }: LrnAttrs): Tensor =>
  avgPool2d(x, size, { stride: 1, padding: (size - 1) / 2 });

export interface LrnOptions {
  /** Side of the square around each position, odd. Default 5. */
  readonly size?: number;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0.75. */
  readonly beta?: number;
}

/**
 * Local response normalisation within each channel, as in Caffe.
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
 * Local response normalisation across channels, as in AlexNet.
 *
 *   s = 1 + alpha / size · Σ x² over `size` neighbouring channels (zero outside; of an even size, one more before)
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

export type BatchNormAttrs = {
  readonly epsilon: number;
};

/** Inputs x, or x, gamma and beta. Results: y, mean and biased variance over all axes but the last. */
export const batchNormOp = defineOp({
  name: 'batchNorm',
  infer([x, gamma, beta]: readonly TensorType[], _attrs: BatchNormAttrs) {
    const channels = channelsOf('batchNorm', x, [gamma, beta]);
    if (sizeOf(x.shape) === 0)
      throw new ShapeError(`batchNorm: no elements to take statistics of in ${formatType(x)}`);
    const stats: TensorType = { shape: [channels], dtype: 'f32' };
    return [x, stats, stats];
  },
  vjp({ inputs, outputs, grads, attrs }: Vjp<BatchNormAttrs>): Grads {
    const [x, gamma] = inputs as [Tensor, Tensor | undefined];
    const [, center, variance] = outputs as [Tensor, Tensor, Tensor];
    const [g, gMean, gVariance] = grads;
    const count = sizeOf(x.shape) / center.shape[0];
    const parts: Tensor[] = [];
    if (gMean !== null) parts.push(broadcastTo(mul(gMean, 1 / count), x.shape));
    if (gVariance !== null) parts.push(mul(sub(x, center), mul(gVariance, 2 / count)));
    const [dx, dGamma, dBeta] =
      g === null
        ? [null, null, null]
        : batchNormGradOp([g, x, center, variance, ...(gamma === undefined ? [] : [gamma])], attrs);
    if (dx !== null) parts.unshift(dx);
    const total = parts.reduce((sofar, part) => add(sofar, part));
    return gamma === undefined ? [total] : [total, dGamma!, dBeta!];
  },
  flops: ([x]) => 6 * sizeOf(x.shape),
});

/** Inputs g, x, mean, variance and, where the forward pass had it, gamma. Results: gradients of x, gamma and beta. */
export const batchNormGradOp = defineOp({
  name: 'batchNormGrad',
  infer([g, x, mean, , gamma]: readonly TensorType[], _attrs: BatchNormAttrs) {
    expectDType('batchNormGrad', 'f32', g);
    channelsOf('batchNormGrad', x, [mean, gamma]);
    return [x, mean, mean];
  },
  vjp: composed(([g, x, center, variance, gamma], { epsilon }: BatchNormAttrs) => {
    const outer = Array.from({ length: x.rank - 1 }, (_, axis) => axis);
    const count = sizeOf(x.shape) / center.shape[0];
    const deviation = sqrt(add(variance, epsilon));
    const normalised = div(sub(x, center), deviation);
    const [dGamma, dBeta] = [sum(mul(g, normalised), outer), sum(g, outer)];
    const rest = sub(sub(g, mul(dBeta, 1 / count)), mul(normalised, mul(dGamma, 1 / count)));
    return [mul(rest, gamma === undefined ? div(1, deviation) : div(gamma, deviation)), dGamma, dBeta];
  }),
  mayReuse: [0, 1], // once the sums are taken, each element of g and x is used for that of dx alone
  flops: ([x]) => 9 * sizeOf(x.shape),
});

function channelsOf(where: string, x: TensorType, perChannel: readonly (TensorType | undefined)[]): number {
  expectDType(where, 'f32', x, ...perChannel.filter((t) => t !== undefined));
  if (x.shape.length < 2) throw new ShapeError(`${where}: expects [..., channels] but got ${formatType(x)}`);
  const channels = x.shape.at(-1)!;
  for (const t of perChannel) {
    if (t !== undefined && !sameShape(t.shape, [channels])) {
      throw new ShapeError(
        `${where}: input has ${channels} channels but a parameter has shape ${formatShape(t.shape)}: x ${formatType(x)}`,
      );
    }
  }
  return channels;
}

export interface BatchNormOptions {
  /** Scale and shift, [C] each; give both or neither (Caffe's batch normalisation has none). */
  readonly gamma?: TensorLike;
  readonly beta?: TensorLike;
  /** Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Batch normalisation by the batch's own statistics (training).
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

/** Batch normalisation by given statistics, [C] each (inference). */
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

/**
 * x [N, positions, groups, channels of a group] -> y of that shape with mean 0 and variance 1 (biased) over the positions
 * and channels of each group, and mean and variance [N, groups].
 */
export const standardizeOp = defineOp({
  name: 'standardize',
  infer([x]: readonly TensorType[], _attrs: BatchNormAttrs) {
    expectDType('standardize', 'f32', x);
    expectRank('standardize', x, 4, '[N, positions, groups, channels of a group]');
    const [images, positions, groups, each] = x.shape as [number, number, number, number];
    if (positions * each === 0)
      throw new ShapeError(`standardize: no elements to take statistics of in ${formatType(x)}`);
    const stats: TensorType = { shape: [images, groups], dtype: 'f32' };
    return [x, stats, stats];
  },
  vjp({ outputs, grads, attrs }: Vjp<BatchNormAttrs>): Grads {
    const [y, , variance] = outputs as [Tensor, Tensor, Tensor];
    const [g, gMean, gVariance] = grads;
    const count = y.shape[1] * y.shape[3];
    const parts = [
      ...(g === null ? [] : [standardizeGradOp([g, y, variance], attrs)[0]]),
      ...(gMean === null ? [] : [broadcastTo(mul(perGroup(gMean), 1 / count), y.shape)]),
      ...(gVariance === null
        ? []
        : [mul(y, mul(perGroup(mul(gVariance, sqrt(add(variance, attrs.epsilon)))), 2 / count))]),
    ];
    return [parts.reduce((total, part) => add(total, part))];
  },
  flops: ([x]) => 6 * sizeOf(x.shape),
});

/** g, y, variance -> (g − mean of g − y · mean of g · y) / √(variance + epsilon), means over each group */
export const standardizeGradOp = defineOp({
  name: 'standardizeGrad',
  infer([g, y, variance]: readonly TensorType[], _attrs: BatchNormAttrs) {
    expectDType('standardizeGrad', 'f32', g, y, variance);
    return [y];
  },
  vjp({ inputs, outputs, grads, attrs, needs }: Vjp<BatchNormAttrs>): Grads {
    const [g, y, variance] = inputs as [Tensor, Tensor, Tensor];
    const h = grads[0]!;
    const shifted = add(variance, attrs.epsilon);
    const meanOf = (t: Tensor): Tensor => mean(t, [1, 3], { keepDims: true });
    const toY = (): Tensor =>
      div(neg(add(mul(h, meanOf(mul(g, y))), mul(g, meanOf(mul(h, y))))), sqrt(perGroup(shifted)));
    return [
      needs(0) ? standardizeGradOp([h, y, variance], attrs)[0] : null,
      needs(1) ? toY() : null,
      needs(2) ? div(mul(sum(mul(h, outputs[0]), [1, 3]), -0.5), shifted) : null,
    ];
  },
  flops: ([g]) => 8 * sizeOf(g.shape),
});

/** [N, groups] as [N, 1, groups, 1]. */
const perGroup = (t: Tensor): Tensor => reshape(t, [t.shape[0], 1, t.shape[1], 1]);

export interface LayerNormOptions extends BatchNormOptions {
  /** How many of the last axes are normalised together; gamma and beta have their shape. Default 1. */
  readonly axes?: number;
}

/**
 * Layer normalisation: each example by the mean and the biased variance of its last axes.
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
 * Group normalisation: each example by the mean and the biased variance of each group of neighbouring channels.
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

/** Instance normalisation: each channel of each example by itself. Shapes and formula as in `groupNorm`. */
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
