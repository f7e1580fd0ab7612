/** Normalization over the batch, over groups of channels, and over neighboring responses, and the gradients. */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { add, div, mul, neg, pow, sqrt, sub } from '../elementwise.ts';
import { broadcastTo, reshape } from '../layout.ts';
import { avgPool2d } from '../pool.ts';
import { mean, sum } from '../reduce.ts';
import { composed } from './composed.ts';

export type LrnAttrs = {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
};

/** x [N, H, W, C] -> y = x · s^−beta and s, both [N, H, W, C] */
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

/** Means over the square around each position, with zeros outside. */
const squareMeans = (x: Tensor, { size }: LrnAttrs): Tensor =>
  avgPool2d(x, size, { stride: 1, padding: (size - 1) / 2 });

export type BatchNormAttrs = {
  readonly epsilon: number;
};

/** x [..., C], and optionally gamma and beta [C] -> y [..., C], mean [C] and biased variance [C] */
export const batchNormOp = defineOp({
  name: 'batchNorm',
  infer([x, gamma, beta]: readonly TensorType[], _attrs: BatchNormAttrs) {
    const channels = channelsOf('batchNorm', x, [gamma, beta]);
    if (sizeOf(x.shape) === 0)
      throw new ShapeError(`batchNorm: statistics need at least one element, got ${formatType(x)}`);
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
    const normalized = div(sub(x, center), deviation);
    const [dGamma, dBeta] = [sum(mul(g, normalized), outer), sum(g, outer)];
    const rest = sub(sub(g, mul(dBeta, 1 / count)), mul(normalized, mul(dGamma, 1 / count)));
    return [mul(rest, gamma === undefined ? div(1, deviation) : div(gamma, deviation)), dGamma, dBeta];
  }),
  mayReuse: [0, 1], // after the sums, each element of g and x is read only for the same element of dx
  flops: ([x]) => 9 * sizeOf(x.shape),
});

/** The number of channels. Throws ShapeError unless x is f32 [..., C] and all of `perChannel` are f32 [C]. */
export function channelsOf(
  where: string,
  x: TensorType,
  perChannel: readonly (TensorType | undefined)[],
): number {
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

/**
 * x [N, positions, groups, channels of a group] -> y of the same shape, with mean 0 and biased variance 1 over the positions and
 * channels of each group; mean [N, groups]; and biased variance [N, groups].
 */
export const standardizeOp = defineOp({
  name: 'standardize',
  infer([x]: readonly TensorType[], _attrs: BatchNormAttrs) {
    expectDType('standardize', 'f32', x);
    expectRank('standardize', x, 4, '[N, positions, groups, channels of a group]');
    const [images, positions, groups, each] = x.shape as [number, number, number, number];
    if (positions * each === 0)
      throw new ShapeError(`standardize: statistics need at least one element, got ${formatType(x)}`);
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

/** g, y, variance -> (g − mean(g) − y · mean(g · y)) / √(variance + epsilon), with means over each group */
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

/** [N, groups] -> [N, 1, groups, 1] */
const perGroup = (t: Tensor): Tensor => reshape(t, [t.shape[0], 1, t.shape[1], 1]);

export const normOps = {
  lrnWithin: lrnWithinOp,
  lrnWithinGrad: lrnWithinGradOp,
  batchNorm: batchNormOp,
  batchNormGrad: batchNormGradOp,
  standardize: standardizeOp,
  standardizeGrad: standardizeGradOp,
};
