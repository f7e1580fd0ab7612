/** Normalisations: batch normalisation over all axes but the last, and local response normalisation. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Vjp } from '../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { add, div, mul, sqrt, sub } from './elementwise.ts';

export interface LrnAttrs extends Readonly<Record<string, number>> {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
}

/** Results: the normalised image, and the scale s whose power −beta it was multiplied by. */
export const lrnWithinOp = defineOp({
  name: 'lrnWithin',
  infer([x]: readonly TensorType[], _attrs: LrnAttrs) {
    expectDType('lrnWithin', 'f32', x!);
    return [x!, x!];
  },
  vjp: ({ inputs, outputs, grads, attrs }: Vjp<LrnAttrs>) => [
    lrnWithinGradOp([grads[0]!, inputs[0], outputs[1]], attrs)[0],
  ],
  flops: ([x], _, { size }) => sizeOf(x!.shape) * size * size,
});

export const lrnWithinGradOp = defineOp({
  name: 'lrnWithinGrad',
  infer([g, x, s]: readonly TensorType[], _attrs: LrnAttrs) {
    expectDType('lrnWithinGrad', 'f32', g!, x!, s!);
    return [x!];
  },
  vjp: null,
  flops: ([x], _, { size }) => sizeOf(x!.shape) * size * size,
});

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

export interface BatchNormAttrs extends Readonly<Record<string, number>> {
  readonly epsilon: number;
}

/** Inputs x, or x, gamma and beta. Results: y, mean and biased variance over all axes but the last. */
export const batchNormOp = defineOp({
  name: 'batchNorm',
  infer([x, gamma, beta]: readonly TensorType[], _attrs: BatchNormAttrs) {
    const channels = channelsOf('batchNorm', x!, [gamma, beta]);
    if (sizeOf(x!.shape) === 0)
      throw new ShapeError(`batchNorm: no elements to take statistics of in ${formatType(x!)}`);
    const stats: TensorType = { shape: [channels], dtype: 'f32' };
    return [x!, stats, stats];
  },
  vjp({ inputs, outputs, grads, attrs }: Vjp<BatchNormAttrs>) {
    const [x, gamma] = inputs as [Tensor, Tensor | undefined];
    const [, mean, variance] = outputs as [Tensor, Tensor, Tensor];
    if (grads[1] !== null || grads[2] !== null) {
      throw new ShapeError(
        'grad: the statistics of batchNorm have no derivative of their own ' +
          '(take mean and variance of x with mean() to differentiate through them)',
      );
    }
    const [dx, dGamma, dBeta] = batchNormGradOp(
      [grads[0]!, x, mean, variance, ...(gamma === undefined ? [] : [gamma])],
      attrs,
    );
    return gamma === undefined ? [dx!] : [dx!, dGamma!, dBeta!];
  },
  flops: ([x]) => 6 * sizeOf(x!.shape),
});

/** Inputs g, x, mean, variance and, where the forward pass had it, gamma. Results: gradients of x, gamma and beta. */
export const batchNormGradOp = defineOp({
  name: 'batchNormGrad',
  infer([g, x, mean, , gamma]: readonly TensorType[], _attrs: BatchNormAttrs) {
    expectDType('batchNormGrad', 'f32', g!);
    channelsOf('batchNormGrad', x!, [mean, gamma]);
    return [x!, mean!, mean!];
  },
  vjp: null,
  flops: ([x]) => 9 * sizeOf(x!.shape),
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
 * Shapes: x [..., C] -> y [..., C], mean [C], variance [C]; the variance is biased (divided by the count).
 * Source: Ioffe and Szegedy, Batch Normalization, 2015.
 */
export function batchNorm(
  x: TensorLike,
  options: BatchNormOptions = {},
): { readonly y: Tensor; readonly mean: Tensor; readonly variance: Tensor } {
  const [y, mean, variance] = batchNormOp([toTensor(x), ...affine('batchNorm', options)], {
    epsilon: options.epsilon ?? 1e-5,
  });
  return { y: y!, mean: mean!, variance: variance! };
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

function affine(where: string, { gamma, beta }: BatchNormOptions): Tensor[] {
  if ((gamma === undefined) !== (beta === undefined)) {
    throw new ShapeError(`${where}: gamma and beta come together (give both or neither)`);
  }
  return gamma === undefined || beta === undefined ? [] : [toTensor(gamma), toTensor(beta)];
}
