/** Losses and metrics. */
import { ShapeError } from '../errors.ts';
import { expectDType, expectRank } from '../op.ts';
import { checkNumber, checkOneOf, checkOptions } from '../options.ts';
import { formatShape, formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { softplus } from './activation.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  clamp,
  div,
  exp,
  greater,
  log,
  log1p,
  maximum,
  mul,
  neg,
  sigmoid,
  stopGradient,
  sub,
  where,
} from './elementwise.ts';
import { gatedBy } from './gate.ts';
import { checkLabels, correctOp, softmaxCrossEntropyOp } from './primitives/loss.ts';
import { reshape } from './layout.ts';
import { logSoftmax, mean, sum } from './reduce.ts';

type None = Record<never, never>;
const none: None = {};

export interface ReductionOptions {
  /** 'mean' or 'sum' over the examples, or 'none' for one number for each example, [N]. Default 'mean'. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** Reduces the losses of the examples, [N]. */
function reduced(where: string, perExample: Tensor, { reduction = 'mean' }: ReductionOptions): Tensor {
  checkOneOf(where, 'reduction', reduction, ['mean', 'sum', 'none']);
  if (reduction === 'none') return perExample;
  return reduction === 'sum' ? sum(perExample) : mean(perExample);
}

export interface CrossEntropyOptions extends ReductionOptions {
  /** Share of the target that is spread evenly over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Softmax cross-entropy of logits and class labels, in nats. It is accurate for large logits.
 *
 *   loss = log Σ e^z − z[label]
 *
 * With label smoothing ε the target is 1 − ε for the label plus ε / classes for every class.
 *
 * Shapes: logits `f32` [N, classes], labels `i32` [N] -> [], or [N] with reduction 'none'. A run throws DataError if a
 * label is not in 0 … classes − 1.
 * Source: for label smoothing, Szegedy et al., Rethinking the Inception Architecture, 2016;
 * torch.nn.functional.cross_entropy.
 * Throws ShapeError if logits and labels have other shapes or dtypes, or there are no classes.
 * Throws RangeError if `labelSmoothing` is not in [0, 1] or the reduction is unknown, and TypeError for an unknown option.
 *
 * @example crossEntropy([[2, 1, 0], [0, 3, 0]], Int32Array.of(0, 1)) // 0.2513
 * @example crossEntropy([[2, 1, 0]], Int32Array.of(0), { labelSmoothing: 0.1 }) // 0.5076
 */
export function crossEntropy(
  logits: TensorLike,
  labels: TensorLike,
  options: CrossEntropyOptions = {},
): Tensor {
  checkOptions('crossEntropy', options, ['labelSmoothing', 'reduction']);
  const { labelSmoothing = 0 } = options;
  const inRange = (x: number): boolean => x >= 0 && x <= 1;
  checkNumber('crossEntropy', 'labelSmoothing', labelSmoothing, 'a number from 0 to 1', inRange);
  const [z, classes] = [toTensor('crossEntropy', logits), toTensor('crossEntropy', labels)];
  checkLabels('crossEntropy', z, classes);
  const [hard] = softmaxCrossEntropyOp([z, classes], none);
  if (labelSmoothing === 0) return reduced('crossEntropy', hard, options);
  const even = neg(mean(logSoftmax(z), 1));
  return reduced('crossEntropy', add(mul(hard, 1 - labelSmoothing), mul(even, labelSmoothing)), options);
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
  expectDType(where, 'f32', a, b);
  if (a.rank === 0 || !sameShape(a.shape, b.shape)) {
    throw new ShapeError(
      `${where}: expects an output and a target of the same shape [N, ...] but got ${formatType(a)} and ${formatType(b)}${columnFix(a, b)}`,
    );
  }
  return [a, b];
}

/** The fix for an output [N, 1] and a target [N]. */
const columnFix = (output: Tensor, target: Tensor): string =>
  output.rank === 2 && output.shape[1] === 1 && sameShape(target.shape, [output.shape[0]])
    ? ` (reshape the target to ${formatShape(output.shape)})`
    : '';

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

/**
 * Binary cross-entropy of logits, in nats: PyTorch's `binary_cross_entropy_with_logits`. Mean over each example, accurate
 * for large logits.
 *
 *   log(1 + e^z) − z · target
 *
 * Shapes: logits and targets `f32` [N, ...] -> [], or [N] with reduction 'none'. Targets are probabilities from 0 to 1.
 * Throws ShapeError if logits and targets differ in shape, have no axes, or are not `f32`.
 * Throws RangeError if the reduction is unknown, and TypeError for an unknown option.
 *
 * @example binaryCrossEntropy([2, -1], [1, 0]) // 0.2201
 */
export function binaryCrossEntropy(
  logits: TensorLike,
  target: TensorLike,
  options: ReductionOptions = {},
): Tensor {
  checkOptions('binaryCrossEntropy', options, ['reduction']);
  const losses = elementLosses(...pairOf('binaryCrossEntropy', logits, target));
  return reduced('binaryCrossEntropy', meanOfRows(losses), options);
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
