/** Losses and metrics. */
import { ShapeError } from '../errors.ts';
import { expectDType, expectRank } from '../op.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import { broadcastShapes, formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { softplus } from './activation.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  cast,
  clamp,
  div,
  exp,
  greater,
  log,
  log1p,
  maximum,
  mul,
  neg,
  notEqual,
  sigmoid,
  stopGradient,
  sub,
  where,
} from './elementwise.ts';
import { gatedBy } from './gate.ts';
import { gather } from './gather.ts';
import { reshape } from './layout.ts';
import {
  checkClasses,
  checkLabels,
  checkOrder,
  correctOp,
  softmaxCrossEntropyOp,
} from './primitives/loss.ts';
import { logSoftmax, mean, sum } from './reduce.ts';
import { reduced, type ReductionOptions } from './reduction.ts';

export type { ReductionOptions } from './reduction.ts';

type None = Record<never, never>;
const none: None = {};

export interface CrossEntropyOptions extends ReductionOptions {
  /** Share of the target that is spread evenly over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number;
  /** Weight of each class, [classes], for classes that are rare or matter more. Default: 1 for each. */
  readonly weight?: TensorLike;
  /** A label whose examples or pixels do not count. Their loss and gradient are 0. Default: none. */
  readonly ignoreIndex?: number;
}

/**
 * Softmax cross-entropy of logits and class labels or class probabilities t, in nats. It is accurate for large logits.
 *
 *   labels:        weight[label] · (log Σ e^z − z[label])
 *   probabilities: Σ weight · t · (log Σ e^z − z)
 *
 * With label smoothing ε the target is 1 − ε for the label plus ε / classes for every class.
 *
 * The loss of an example with several positions, such as the pixels of an image, is the mean over those that are not ignored. The mean
 * over labels divides by the sum of their weights, as in PyTorch: it is NaN if all are ignored. The mean over probabilities divides by
 * their number.
 *
 * Shapes: logits `f32` [N, ..., classes], for instance [N, classes] or [N, H, W, classes], and labels `i32` [N, ...] or probabilities
 * `f32` [N, ..., classes] -> [], or [N] with reduction 'none'. A run throws DataError if a label is not in 0 … classes − 1, unless it
 * is `ignoreIndex`.
 * Source: for label smoothing, Szegedy et al., Rethinking the Inception Architecture, 2016;
 * torch.nn.functional.cross_entropy.
 * Throws ShapeError if logits, target or weight have other shapes or dtypes, or there are no classes.
 * Throws RangeError if `labelSmoothing` is not in [0, 1], `ignoreIndex` is not an integer or given with probabilities, or the reduction
 * is unknown, and TypeError for an unknown option.
 *
 * @example crossEntropy([[2, 1, 0], [0, 3, 0]], Int32Array.of(0, 1)) // 0.2513
 * @example crossEntropy([[2, 1, 0]], Int32Array.of(0), { labelSmoothing: 0.1 }) // 0.5076
 * @example crossEntropy([[2, 1], [0, 3], [1, 1]], Int32Array.of(0, 1, -1), { weight: [1, 3], ignoreIndex: -1 }) // 0.1148
 * @example crossEntropy([[2, 1, 0]], [[0.8, 0.1, 0.1]]) // 0.7076
 */
export function crossEntropy(
  logits: TensorLike,
  target: TensorLike,
  options: CrossEntropyOptions = {},
): Tensor {
  const name = 'crossEntropy';
  checkOptions(name, options, ['ignoreIndex', 'labelSmoothing', 'reduction', 'weight']);
  const { labelSmoothing = 0, ignoreIndex } = options;
  const inRange = (x: number): boolean => x >= 0 && x <= 1;
  checkNumber(name, 'labelSmoothing', labelSmoothing, 'a number from 0 to 1', inRange);
  const [z, t] = [toTensor(name, logits), toTensor(name, target)];
  checkOrder(name, z, t);
  expectDType(name, 'f32', z);
  if (z.rank < 2) {
    throw new ShapeError(
      `${name}: expects logits [N, classes] but got ${formatType(z)} and targets ${formatType(t)} ` +
        '(for one output and targets 0 and 1, use binaryCrossEntropy)',
    );
  }
  const soft = t.dtype === 'f32' && sameShape(z.shape, t.shape) && z.shape.at(-1) !== 0;
  if (!soft) checkClasses(name, z, t);
  if (ignoreIndex !== undefined) checkIgnored(name, ignoreIndex, soft ? t : null);
  const classes = z.shape.at(-1)!;
  const weight = options.weight === undefined ? null : classWeights(name, options.weight, classes);
  const rows = z.shape.slice(0, -1);
  const flat = reshape(z, [sizeOf(rows), classes]);
  const losses = soft
    ? softLosses(flat, reshape(t, flat.shape), weight, labelSmoothing)
    : labelLosses(flat, reshape(t, [sizeOf(rows)]), weight, options);
  const shaped = (x: Tensor | null): Tensor | null => x && reshape(x, rows);
  return reducedRows(reshape(losses.loss, rows), shaped(losses.share), shaped(losses.counted), options);
}

/** Throws RangeError unless the label to ignore is an i32, and labels are given: `probabilities` is null. */
function checkIgnored(where: string, label: number, probabilities: Tensor | null): void {
  checkInteger(where, 'ignoreIndex', label, -(2 ** 31), 2 ** 31 - 1);
  if (probabilities === null) return;
  throw new RangeError(
    `${where}: ignoreIndex is for class labels, but the target ${formatType(probabilities)} is probabilities`,
  );
}

/** The weights as a tensor. Throws ShapeError unless there is one for each class. */
function classWeights(where: string, given: TensorLike, classes: number): Tensor {
  const weight = floats(`${where}: weight`, given);
  if (sameShape(weight.shape, [classes])) return weight;
  throw new ShapeError(
    `${where}: weight must have one number for each of the ${classes} classes but got ${formatType(weight)}`,
  );
}

/** Losses of rows, with what they count for in a mean. Null: 1 for each. */
interface RowLosses {
  readonly loss: Tensor;
  /** The divisor of the mean over all rows is the sum of these. */
  readonly share: Tensor | null;
  /** 1, or 0 for a row that is ignored. */
  readonly counted: Tensor | null;
}

function labelLosses(
  z: Tensor,
  labels: Tensor,
  weight: Tensor | null,
  { ignoreIndex, labelSmoothing = 0 }: CrossEntropyOptions,
): RowLosses {
  const valid = ignoreIndex === undefined ? null : notEqual(labels, ignoreIndex);
  const known = valid === null ? labels : where(valid, labels, 0);
  const unlessIgnored = (x: Tensor): Tensor => (valid === null ? x : where(valid, x, 0));
  const own = weight === null ? null : gather(weight, known);
  const [hard] = softmaxCrossEntropyOp([z, known], none);
  let loss = own === null ? hard : mul(hard, own);
  if (labelSmoothing !== 0) {
    const all = logSoftmax(z);
    const even = neg(mean(weight === null ? all : mul(all, weight), 1));
    loss = add(mul(loss, 1 - labelSmoothing), mul(even, labelSmoothing));
  }
  const counted = valid === null ? null : cast(valid);
  return { loss: unlessIgnored(loss), share: own === null ? counted : unlessIgnored(own), counted };
}

function softLosses(z: Tensor, target: Tensor, weight: Tensor | null, smoothing: number): RowLosses {
  const t = smoothing === 0 ? target : add(mul(target, 1 - smoothing), smoothing / z.shape[1]);
  const terms = mul(t, logSoftmax(z));
  const loss = neg(sum(weight === null ? terms : mul(terms, weight), 1));
  return { loss, share: null, counted: null };
}

/** Reduces losses [N, ...], first those of each example. */
function reducedRows(
  loss: Tensor,
  share: Tensor | null,
  counted: Tensor | null,
  options: ReductionOptions,
): Tensor {
  const { reduction = 'mean' } = options;
  if (reduction === 'mean' && share !== null) return div(sum(loss), sum(share));
  const examples =
    counted === null || loss.rank === 1
      ? meanOfRows(loss)
      : div(sumOfRows(loss), maximum(sumOfRows(counted), 1));
  return reduced('crossEntropy', examples, options);
}

/**
 * Share of examples, from 0 to 1, whose largest logit is that of the label.
 *
 * Ties go to the first class. An example with a NaN counts as wrong. `grad` throws PlanError for it, because it has no
 * derivative.
 *
 * Shapes: logits `f32` [N, classes], labels `i32` [N] -> [], or [N] of 1 and 0 with reduction 'none'. A run throws
 * DataError if a label is not in 0 … classes − 1.
 * Throws ShapeError if logits and labels have other shapes or dtypes, or there are no classes.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example accuracy([[2, 1], [0, 3], [1, 0]], Int32Array.of(0, 1, 1)) // 0.6667
 */
export function accuracy(logits: TensorLike, labels: TensorLike, options: ReductionOptions = {}): Tensor {
  checkOptions('accuracy', options, ['reduction']);
  const [z, classes] = [toTensor('accuracy', logits), toTensor('accuracy', labels)];
  checkLabels('accuracy', z, classes);
  const [correct] = correctOp([z, classes], none);
  return reduced('accuracy', correct, options);
}

/** Output and target as tensors. Throws ShapeError unless both are `f32` [N, ...] of one shape. */
function pairOf(where: string, output: TensorLike, target: TensorLike): [Tensor, Tensor] {
  const [a, b] = [toTensor(where, output), toTensor(where, target)];
  if (a.dtype !== 'f32' || b.dtype !== 'f32' || a.rank === 0 || !sameShape(a.shape, b.shape)) {
    throw new ShapeError(
      `${where}: expects an output and a target f32 of the same shape [N, ...] but got ${formatType(a)} and ${formatType(b)}${pairFix(a, b)}`,
    );
  }
  return [a, b];
}

/** The fix for operands that do not fit: integers, class labels, columns, and another number of outputs. */
function pairFix(output: Tensor, target: Tensor): string {
  const fix = sameShape(output.shape, target.shape) ? castFix(output, target) : shapeFix(output, target);
  return fix === '' ? '' : ` (${fix})`;
}

function castFix(output: Tensor, target: Tensor): string {
  if (output.rank === 0) return 'keep the axis of the examples';
  return output.dtype === 'f32'
    ? 'write cast(target)'
    : `write cast(output)${target.dtype === 'f32' ? '' : ' and cast(target)'}`;
}

function shapeFix(output: Tensor, target: Tensor): string {
  if (output.dtype !== 'f32' && target.dtype === 'f32')
    return 'the output comes first, and the target second';
  const without = (x: Tensor): readonly number[] => x.shape.slice(0, -1);
  if (output.shape.at(-1) === 1 && sameShape(without(output), target.shape))
    return `reshape the target to ${formatShape(output.shape)}`;
  if (target.shape.at(-1) === 1 && sameShape(without(target), output.shape))
    return `reshape the output to ${formatShape(target.shape)}`;
  const classes = output.shape.at(-1);
  if (target.dtype !== 'f32' && sameShape(without(output), target.shape))
    return `for class labels, use crossEntropy, or oneHot(target, ${classes})`;
  if (output.rank > 0 && output.rank === target.rank && sameShape(without(output), without(target)))
    return `the last axis of the output must have ${target.shape.at(-1)} elements, or that of the target ${classes}`;
  return '';
}

/** The mean over all axes but the first. */
const meanOfRows = (x: Tensor): Tensor => (x.rank === 1 ? x : mean(x, innerAxes(x)));
const sumOfRows = (x: Tensor): Tensor => (x.rank === 1 ? x : sum(x, innerAxes(x)));
const innerAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 1 }, (_, i) => i + 1);

/**
 * Mean squared error: the mean of (output − target)² over each example.
 *
 * Shapes: output and target `f32` [N, ...] -> [], or [N] with reduction 'none'.
 * Throws ShapeError if output and target differ in shape, have no axes, or are not `f32`.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example meanSquaredError([[1, 2], [3, 4]], [[1, 0], [3, 3]]) // 1.25
 */
export function meanSquaredError(
  output: TensorLike,
  target: TensorLike,
  options: ReductionOptions = {},
): Tensor {
  checkOptions('meanSquaredError', options, ['reduction']);
  const [a, b] = pairOf('meanSquaredError', output, target);
  const difference = sub(a, b);
  return reduced('meanSquaredError', meanOfRows(mul(difference, difference)), options);
}

/**
 * Mean absolute error: the mean of |output − target| over each example, also called L1 loss. The gradient is 0 where both are equal.
 *
 * Shapes: output and target `f32` [N, ...] -> [], or [N] with reduction 'none'.
 * Source: torch.nn.L1Loss.
 * Throws ShapeError if output and target differ in shape, have no axes, or are not `f32`.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example meanAbsoluteError([[1, 2], [3, 4]], [[1, 0], [3, 3]]) // 0.75
 */
export function meanAbsoluteError(
  output: TensorLike,
  target: TensorLike,
  options: ReductionOptions = {},
): Tensor {
  checkOptions('meanAbsoluteError', options, ['reduction']);
  const [a, b] = pairOf('meanAbsoluteError', output, target);
  return reduced('meanAbsoluteError', meanOfRows(abs(sub(a, b))), options);
}

export interface SmoothL1Options extends ReductionOptions {
  /** Distance at which the loss changes from quadratic to linear, in the units of the target. Default 1. */
  readonly beta?: number;
}

/**
 * Smooth L1 loss: `huberLoss` divided by its delta, so the linear part has slope 1. Mean over each example, with
 * d = |output − target|.
 *
 *   ½ d² / beta  where d < beta
 *   d − ½ beta   elsewhere
 *
 * Shapes: output and target `f32` [N, ...] -> [], or [N] with reduction 'none'.
 * Source: Girshick, Fast R-CNN, 2015; torch.nn.SmoothL1Loss.
 * Throws RangeError if beta is not > 0 or the reduction is unknown, and TypeError for an unknown option.
 * Throws ShapeError if output and target differ in shape, have no axes, or are not `f32`.
 *
 * @example smoothL1Loss([0.25, 3], [0, 0], { beta: 0.5, reduction: 'none' }) // [0.0625, 2.75]
 */
export function smoothL1Loss(output: TensorLike, target: TensorLike, options: SmoothL1Options = {}): Tensor {
  checkOptions('smoothL1Loss', options, ['beta', 'reduction']);
  const { beta = 1 } = options;
  checkNumber('smoothL1Loss', 'beta', beta, 'a number > 0', (x) => x > 0);
  const [a, b] = pairOf('smoothL1Loss', output, target);
  const difference = sub(a, b);
  const near = clamp(div(difference, beta), -1, 1);
  // d · near − ½ beta · near² covers both cases, and its derivative is `near`.
  return reduced('smoothL1Loss', meanOfRows(mul(near, sub(difference, mul(near, beta / 2)))), options);
}

export interface HuberOptions extends ReductionOptions {
  /** Distance at which the loss changes from quadratic to linear, in the units of the target. Default 1. */
  readonly delta?: number;
}

/**
 * Huber loss: quadratic for small errors and linear for large ones. Mean over each example, with d = |output − target|.
 *
 *   ½ d²                   where d ≤ delta
 *   delta · (d − ½ delta)  elsewhere
 *
 * Shapes: output and target `f32` [N, ...] -> [], or [N] with reduction 'none'.
 * Source: Huber, Robust Estimation of a Location Parameter, 1964; torch.nn.HuberLoss.
 * Throws RangeError if delta is not > 0 or the reduction is unknown, and TypeError for an unknown option.
 * Throws ShapeError if output and target differ in shape, have no axes, or are not `f32`.
 *
 * @example huberLoss([0.5, 3], [0, 0], { reduction: 'none' }) // [0.125, 2.5]
 */
export function huberLoss(output: TensorLike, target: TensorLike, options: HuberOptions = {}): Tensor {
  checkOptions('huberLoss', options, ['delta', 'reduction']);
  const { delta = 1 } = options;
  checkNumber('huberLoss', 'delta', delta, 'a number > 0', (x) => x > 0);
  const [a, b] = pairOf('huberLoss', output, target);
  const difference = sub(a, b);
  const near = clamp(difference, -delta, delta);
  // d · near − ½ near² covers both cases, and its derivative is `near`.
  return reduced('huberLoss', meanOfRows(sub(mul(difference, near), mul(mul(near, near), 0.5))), options);
}

export interface BinaryCrossEntropyOptions extends ReductionOptions {
  /** Weight of positive targets, which broadcasts to the logits: a number, or [classes]. Default 1. */
  readonly posWeight?: TensorLike;
}

/**
 * Binary cross-entropy of logits, in nats: PyTorch's `binary_cross_entropy_with_logits`. Mean over each example, accurate
 * for large logits.
 *
 *   (1 − target) · log(1 + e^z) + posWeight · target · log(1 + e^−z)
 *
 * Shapes: logits and targets `f32` [N, ...] -> [], or [N] with reduction 'none'. Targets are probabilities from 0 to 1.
 * Throws ShapeError if logits and targets differ in shape, have no axes, or are not `f32`, or `posWeight` does not broadcast to them.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example binaryCrossEntropy([2, -1], [1, 0]) // 0.2201
 * @example binaryCrossEntropy([2, -1], [1, 0], { posWeight: 3 }) // 0.347
 */
export function binaryCrossEntropy(
  logits: TensorLike,
  target: TensorLike,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  const name = 'binaryCrossEntropy';
  checkOptions(name, options, ['posWeight', 'reduction']);
  const [z, t] = pairOf(name, logits, target);
  const { posWeight } = options;
  if (posWeight === undefined) return reduced(name, meanOfRows(elementLosses(z, t)), options);
  const weight = floats(`${name}: posWeight`, posWeight);
  if (!sameShape(broadcastShapes(`${name}: posWeight`, z.shape, weight.shape), z.shape)) {
    throw new ShapeError(
      `${name}: posWeight ${formatType(weight)} does not broadcast to logits ${formatType(z)}`,
    );
  }
  const positive = mul(weight, mul(t, softplus(neg(z))));
  return reduced(name, meanOfRows(add(mul(sub(1, t), softplus(z)), positive)), options);
}

// max(z, 0) − z · target is exact for targets 0 and 1, so the small term is added last. The derivative uses sigmoid(−z) instead
// of 1 − sigmoid(z), which cancels.
const elementLosses = customGradient({
  name: 'binaryCrossEntropy',
  forward: (z, target) => add(sub(maximum(z, 0), mul(z, target)), log1p(exp(neg(abs(z))))),
  gradient: ({ inputs: [z, target], grad }) => [
    mul(grad, sub(mul(sub(1, target), sigmoid(z)), mul(target, sigmoid(neg(z))))),
    neg(mul(grad, z)),
  ],
});

export interface FocalOptions extends ReductionOptions {
  /** Weight of positive targets. Negative targets have weight 1 − alpha. Default 0.25. */
  readonly alpha?: number;
  /** Exponent of 1 − p, which reduces the weight of well-classified examples. Default 2. */
  readonly gamma?: number;
}

/**
 * Focal loss of logits: binary cross-entropy that gives less weight to well-classified examples. Mean over each example.
 *
 *   −alpha · (1 − p)^gamma · log p        for target 1, with p = sigmoid(z)
 *   −(1 − alpha) · (1 − p)^gamma · log p  for target 0, with p = 1 − sigmoid(z)
 *
 * Shapes: logits and targets `f32` [N, ...] -> [], or [N] with reduction 'none'. Targets are 0 or 1.
 * Source: Lin et al., Focal Loss for Dense Object Detection, 2017.
 * Throws RangeError if alpha is not in [0, 1], gamma is negative, or the reduction is unknown, and TypeError for an unknown
 * option.
 * Throws ShapeError if logits and targets differ in shape, have no axes, or are not `f32`.
 *
 * @example focalLoss([2, -1], [1, 0]) // 0.008722
 */
export function focalLoss(logits: TensorLike, target: TensorLike, options: FocalOptions = {}): Tensor {
  checkOptions('focalLoss', options, ['alpha', 'gamma', 'reduction']);
  const { alpha = 0.25, gamma = 2 } = options;
  checkNumber('focalLoss', 'alpha', alpha, 'a number from 0 to 1', (x) => x >= 0 && x <= 1);
  checkNumber('focalLoss', 'gamma', gamma, 'a number >= 0', (x) => x >= 0);
  const [z, t] = pairOf('focalLoss', logits, target);
  // 1 − p is sigmoid(against). Its power is computed with exp and softplus, which avoids a power of 0.
  const against = mul(z, sub(1, mul(t, 2)));
  const weight = mul(exp(mul(softplus(neg(against)), -gamma)), add(mul(t, 2 * alpha - 1), 1 - alpha));
  return reduced('focalLoss', meanOfRows(gatedBy(elementLosses(z, t), weight)), options);
}

export interface DiceOptions extends ReductionOptions {
  /** Added to the numerator and the denominator; must be > 0. Default 1. */
  readonly smooth?: number;
}

/**
 * Dice loss of logits, for segmentation masks. The sums run over each example, with p = sigmoid(z).
 *
 *   1 − (2 Σ p t + smooth) / (Σ p + Σ t + smooth)
 *
 * `smooth` gives two empty masks the loss 0.
 *
 * Shapes: logits and targets t `f32` [N, ...] -> [], or [N] with reduction 'none'. Targets are from 0 to 1.
 * Source: Milletari et al., V-Net, 2016 (with p² and t² in the denominator).
 * Throws RangeError if `smooth` is not > 0 or the reduction is unknown, and TypeError for an unknown option.
 * Throws ShapeError if logits and targets differ in shape, have no axes, or are not `f32`.
 *
 * @example diceLoss([[2, -2, 3]], [[1, 0, 1]]) // 0.05771
 */
export function diceLoss(logits: TensorLike, target: TensorLike, options: DiceOptions = {}): Tensor {
  checkOptions('diceLoss', options, ['smooth', 'reduction']);
  const { smooth = 1 } = options;
  checkNumber('diceLoss', 'smooth', smooth, 'a number > 0', (x) => x > 0);
  const [z, t] = pairOf('diceLoss', logits, target);
  return reduced('diceLoss', diceRows(z, t, smooth), options);
}

/** The Dice loss of each example, [N]. */
function diceRows(logits: Tensor, target: Tensor, smooth: number): Tensor {
  /** The sums of each example: overlap + apart = whole. */
  const sums = (p: Tensor, q: Tensor, t: Tensor) => ({
    overlap: add(mul(sumOfRows(mul(p, t)), 2), smooth),
    // This equals Σ p + Σ t − 2 Σ p t, without cancellation where p is near t.
    apart: sumOfRows(add(mul(p, sub(1, t)), mul(q, t))),
    whole: add(add(sumOfRows(p), sumOfRows(t)), smooth),
  });
  return customGradient({
    name: 'diceLoss',
    forward(z, t) {
      const { apart, whole } = sums(sigmoid(z), sigmoid(neg(z)), t);
      return div(apart, whole);
    },
    // The derivative by p is (1 − 2 t) / whole − apart / whole². For an empty mask that is a difference of nearly equal numbers, so
    // the terms are collected by t, and likewise by p for the target.
    gradient({ inputs: [z, t], grad }) {
      const [p, q] = [sigmoid(z), sigmoid(neg(z))];
      const { overlap, apart, whole } = sums(p, q, t);
      const scale = div(div(grad, whole), whole);
      const rows = (x: Tensor): Tensor => reshape(mul(x, scale), [z.shape[0], ...innerAxes(z).map(() => 1)]);
      const [gain, loss] = [rows(overlap), rows(add(whole, apart))];
      return [mul(mul(p, q), sub(mul(sub(1, t), gain), mul(t, loss))), sub(mul(q, gain), mul(p, loss))];
    },
  })(logits, target);
}

/**
 * Kullback–Leibler divergence from the softmax of logits to a target distribution t, in nats. Terms with t = 0 count as 0.
 *
 *   Σ t · (log t − log softmax(z))
 *
 * The target is a constant: no gradient passes to it.
 *
 * Shapes: logits and target `f32` [N, classes] -> [], or [N] with reduction 'none'. Each row of the target sums to 1.
 * Throws ShapeError if logits and target differ in shape, are not [N, classes], or are not `f32`.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example klDivergence([[1, 0]], [[0.5, 0.5]]) // 0.1201
 */
export function klDivergence(logits: TensorLike, target: TensorLike, options: ReductionOptions = {}): Tensor {
  checkOptions('klDivergence', options, ['reduction']);
  const [z, given] = pairOf('klDivergence', logits, target);
  expectRank('klDivergence', z, 2, 'logits [N, classes]');
  const t = stopGradient(given);
  const logarithm = log(where(greater(t, 0), t, 1));
  return reduced('klDivergence', sum(mul(t, sub(logarithm, logSoftmax(z))), 1), options);
}
