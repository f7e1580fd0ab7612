/** Losses and metrics. */
import { ShapeError } from '../errors.ts';
import { expectDType, expectRank } from '../op.ts';
import { checkNumber, checkOneOf, checkOptions } from '../options.ts';
import { formatType, sameShape } from '../shape.ts';
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
import { correctOp, softmaxCrossEntropyOp } from './primitives/loss.ts';
import { logSoftmax, mean, sum } from './reduce.ts';

type None = Record<never, never>;
const none: None = {};

export interface ReductionOptions {
  /** Over the examples: their mean, their sum, or 'none' for one number per example, [N]. Default 'mean'. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** `perExample`, [N], reduced. */
function reduced(where: string, perExample: Tensor, { reduction = 'mean' }: ReductionOptions): Tensor {
  checkOneOf(where, 'reduction', reduction, ['mean', 'sum', 'none']);
  if (reduction === 'none') return perExample;
  return reduction === 'sum' ? sum(perExample) : mean(perExample);
}

export interface CrossEntropyOptions extends ReductionOptions {
  /** Share of the target that is spread evenly over all classes, 0 … 1. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Softmax cross-entropy of logits and class labels: log Σ e^z − z[label] for each example; with label smoothing ε, that
 * times 1 − ε plus ε times the mean over all classes.
 *
 * Shapes: logits [N, classes], labels i32 [N] -> [], or [N] with reduction 'none'. Stable for large logits.
 * Source of label smoothing: Szegedy et al., 2016; torch.nn.functional.cross_entropy.
 *
 * @example crossEntropy(logits, labels, { labelSmoothing: 0.1 })
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
  const z = toTensor(logits);
  const [hard] = softmaxCrossEntropyOp([z, toTensor(labels)], none);
  if (labelSmoothing === 0) return reduced('crossEntropy', hard, options);
  const even = neg(mean(logSoftmax(z), 1));
  return reduced('crossEntropy', add(mul(hard, 1 - labelSmoothing), mul(even, labelSmoothing)), options);
}

/**
 * Share of the examples whose first largest logit is the label's. An example with a NaN counts as wrong. It has no
 * derivative.
 *
 * Shapes: logits [N, classes], labels i32 [N] -> [], or [N] of 1 and 0 with reduction 'none'.
 */
export function accuracy(logits: TensorLike, labels: TensorLike, options: ReductionOptions = {}): Tensor {
  checkOptions('accuracy', options, ['reduction']);
  const [correct] = correctOp([toTensor(logits), toTensor(labels)], none);
  return reduced('accuracy', correct, options);
}

/** Output and targets of one shape, f32 [N, ...] both. */
function pairOf(where: string, output: TensorLike, target: TensorLike): [Tensor, Tensor] {
  const [a, b] = [toTensor(output), toTensor(target)];
  expectDType(where, 'f32', a, b);
  if (a.rank === 0 || !sameShape(a.shape, b.shape)) {
    throw new ShapeError(
      `${where}: expects an output and a target of one shape [N, ...] but got ${formatType(a)} and ${formatType(b)}`,
    );
  }
  return [a, b];
}

/** The mean over all axes but the first. */
const meanOfRows = (x: Tensor): Tensor => (x.rank === 1 ? x : mean(x, innerAxes(x)));
const sumOfRows = (x: Tensor): Tensor => (x.rank === 1 ? x : sum(x, innerAxes(x)));
const innerAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 1 }, (_, i) => i + 1);

/**
 * Mean of (output − target)² over each example.
 *
 * Shapes: [N, ...] both -> [], or [N] with reduction 'none'.
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
  /** The distance from which the loss grows linearly. Default 1. */
  readonly delta?: number;
}

/**
 * Mean over each example of ½ d² where d = |output − target| is at most delta, else of delta · (d − ½ delta).
 *
 * Shapes: [N, ...] both -> [], or [N] with reduction 'none'. Throws RangeError unless delta > 0.
 * Source: Huber, 1964; torch.nn.HuberLoss.
 */
export function huberLoss(output: TensorLike, target: TensorLike, options: HuberOptions = {}): Tensor {
  checkOptions('huberLoss', options, ['delta', 'reduction']);
  const { delta = 1 } = options;
  checkNumber('huberLoss', 'delta', delta, 'a number > 0', (x) => x > 0);
  const [a, b] = pairOf('huberLoss', output, target);
  const difference = sub(a, b);
  const near = clamp(difference, -delta, delta);
  // d · near − ½ near²: both cases in one, whose derivative is `near`.
  return reduced('huberLoss', meanOfRows(sub(mul(difference, near), mul(mul(near, near), 0.5))), options);
}

/**
 * Binary cross-entropy of logits (not of probabilities: PyTorch's `binary_cross_entropy_with_logits`). Mean over each
 * example of log(1 + e^z) − z · target, exact for large logits too.
 *
 * Shapes: logits and targets in 0 … 1, [N, ...] both -> [], or [N] with reduction 'none'.
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

// max(z, 0) − z · target is exact for a target of 0 or 1, so the small term is added last. The derivative uses sigmoid(−z)
// instead of 1 − sigmoid(z).
const elementLosses = customGradient({
  name: 'binaryCrossEntropy',
  forward: (z, target) => add(sub(maximum(z, 0), mul(z, target)), log1p(exp(neg(abs(z))))),
  gradient: ({ inputs: [z, target], grad }) => [
    mul(grad, sub(mul(sub(1, target), sigmoid(z)), mul(target, sigmoid(neg(z))))),
    neg(mul(grad, z)),
  ],
});

export interface FocalOptions extends ReductionOptions {
  /** Weight of positive targets; that of negative ones is 1 − alpha. Default 0.25. */
  readonly alpha?: number;
  /** Power of 1 − p: how little examples count that are classified well. Default 2. */
  readonly gamma?: number;
}

/**
 * Focal loss of logits: binary cross-entropy, times (1 − p)^gamma for the probability p that the model gives to what is
 * true, times alpha for positive and 1 − alpha for negative targets; mean over each example.
 *
 * Shapes: logits and targets of 0 or 1, [N, ...] both -> [], or [N] with reduction 'none'.
 * Source: Lin et al., Focal Loss for Dense Object Detection, 2017.
 */
export function focalLoss(logits: TensorLike, target: TensorLike, options: FocalOptions = {}): Tensor {
  checkOptions('focalLoss', options, ['alpha', 'gamma', 'reduction']);
  const { alpha = 0.25, gamma = 2 } = options;
  checkNumber('focalLoss', 'alpha', alpha, 'a number from 0 to 1', (x) => x >= 0 && x <= 1);
  checkNumber('focalLoss', 'gamma', gamma, 'a number >= 0', (x) => x >= 0);
  const [z, t] = pairOf('focalLoss', logits, target);
  // 1 − p is the sigmoid of the logit with its sign against the target, and its power without a power of 0.
  const against = mul(z, sub(1, mul(t, 2)));
  const weight = mul(exp(mul(softplus(neg(against)), -gamma)), add(mul(t, 2 * alpha - 1), 1 - alpha));
  return reduced('focalLoss', meanOfRows(gatedBy(elementLosses(z, t), weight)), options);
}

export interface DiceOptions extends ReductionOptions {
  /** Added to both sums; greater than 0. Default 1. */
  readonly smooth?: number;
}

/**
 * Dice loss of logits: 1 − (2 Σ p t + smooth) / (Σ p + Σ t + smooth) over each example, p the sigmoid of the logits.
 *
 * Shapes: logits and targets in 0 … 1, [N, ...] both -> [], or [N] with reduction 'none'. Throws RangeError unless
 * smooth > 0: two empty masks then have the loss 0.
 * Source: Milletari et al., V-Net, 2016 (who square p and t in the denominator).
 */
export function diceLoss(logits: TensorLike, target: TensorLike, options: DiceOptions = {}): Tensor {
  checkOptions('diceLoss', options, ['smooth', 'reduction']);
  const { smooth = 1 } = options;
  checkNumber('diceLoss', 'smooth', smooth, 'a number > 0', (x) => x > 0);
  const [z, t] = pairOf('diceLoss', logits, target);
  const p = sigmoid(z);
  // This is Σ p + Σ t − 2 Σ p t without cancellation where p is near t.
  const apart = sumOfRows(add(mul(p, sub(1, t)), mul(sigmoid(neg(z)), t)));
  return reduced('diceLoss', div(apart, add(add(sumOfRows(p), sumOfRows(t)), smooth)), options);
}

/**
 * Kullback–Leibler divergence from the softmax of logits to a target distribution, for each example
 * Σ t (log t − log softmax z), where t = 0 counts 0. The target is a constant: no gradient passes to it.
 *
 * Shapes: logits [N, classes], target [N, classes] whose rows add up to 1 -> [], or [N] with reduction 'none'.
 */
export function klDivergence(logits: TensorLike, target: TensorLike, options: ReductionOptions = {}): Tensor {
  checkOptions('klDivergence', options, ['reduction']);
  const [z, given] = pairOf('klDivergence', logits, target);
  expectRank('klDivergence', z, 2, 'logits [N, classes]');
  const t = stopGradient(given);
  const logarithm = log(where(greater(t, 0), t, 1));
  return reduced('klDivergence', sum(mul(t, sub(logarithm, logSoftmax(z))), 1), options);
}
