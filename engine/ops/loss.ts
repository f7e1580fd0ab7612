/** Losses and what is measured beside them. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../op.ts';
import { checkNumber } from '../options.ts';
import { formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { gatedBy, softplus } from './activation.ts';
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
import { takeAlong } from './gather.ts';
import { reshape } from './layout.ts';
import { logSoftmax, mean, sum } from './reduce.ts';

type None = Record<never, never>;
const none: None = {};

function checkLabels(where: string, logits: TensorType, labels: TensorType): void {
  expectDType(where, 'f32', logits);
  expectRank(where, logits, 2, 'logits [N, classes]');
  if (labels.dtype !== 'i32' || labels.shape.length !== 1 || labels.shape[0] !== logits.shape[0]) {
    throw new ShapeError(
      `${where}: logits ${formatType(logits)} need labels i32 [${logits.shape[0]}] but got ${formatType(labels)}`,
    );
  }
  if (logits.shape[1] === 0)
    throw new ShapeError(`${where}: there are no classes in logits ${formatType(logits)}`);
}

/** Results: the loss of each row, and the softmax. A label outside 0 … classes − 1 stops the run before state is written. */
export const softmaxCrossEntropyOp = defineOp({
  name: 'softmaxCrossEntropy',
  mayFail: true,
  infer([logits, labels]: readonly TensorType[]) {
    checkLabels('softmaxCrossEntropy', logits, labels);
    return [{ shape: [logits.shape[0]], dtype: 'f32' }, logits];
  },
  vjp({ inputs, outputs, grads }: Vjp<None>): Grads {
    const [, softmax] = outputs as [Tensor, Tensor];
    const [g, h] = grads;
    const parts = [
      ...(g === null ? [] : [softmaxCrossEntropyGradOp([g, softmax, inputs[1]], none)[0]]),
      ...(h === null ? [] : [mul(softmax, sub(h, sum(mul(h, softmax), 1, { keepDims: true })))]),
    ];
    return [parts.reduce((total, part) => add(total, part)), null];
  },
  flops: ([logits]) => 5 * sizeOf(logits.shape),
});

/**
 * g [N], softmax [N, classes], labels [N] -> g · (softmax − one-hot) [N, classes]. Where the softmax of the label is above ½,
 * 1 − softmax is computed as the sum of the other classes, which keeps its digits.
 */
export const softmaxCrossEntropyGradOp = defineOp({
  name: 'softmaxCrossEntropyGrad',
  infer([, softmax]: readonly TensorType[]) {
    return [softmax];
  },
  vjp({ inputs: [g, softmax, labels], grads, needs }: Vjp<None>): Grads {
    const h = grads[0]!;
    const rows = g.shape[0];
    const own = (): Tensor => reshape(takeAlong(h, reshape(labels, [rows, 1]), 1), [rows]);
    return [
      needs(0) ? sub(sum(mul(h, softmax), 1), own()) : null,
      needs(1) ? mul(h, reshape(g, [rows, 1])) : null,
      null,
    ];
  },
});

/** 1 for each row whose first largest logit is the label's, else 0; rows with NaN count as wrong. */
export const correctOp = defineOp({
  name: 'correct',
  mayFail: true,
  infer([logits, labels]: readonly TensorType[]) {
    checkLabels('correct', logits, labels);
    return [{ shape: [logits.shape[0]], dtype: 'f32' }];
  },
  vjp: null,
});

export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over all classes, 0 … 1. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Softmax cross-entropy of each row: log Σ e^z − z[label]; with label smoothing ε, that times 1 − ε plus ε times the mean
 * over all classes.
 *
 * Shapes: logits [N, classes], labels i32 [N] -> [N]. Stable for large logits.
 * Source of label smoothing: Szegedy et al., 2016; torch.nn.functional.cross_entropy.
 */
export function crossEntropyRows(
  logits: TensorLike,
  labels: TensorLike,
  { labelSmoothing = 0 }: CrossEntropyOptions = {},
): Tensor {
  checkNumber(
    'crossEntropyRows',
    'labelSmoothing',
    labelSmoothing,
    'a number from 0 to 1',
    (x) => x >= 0 && x <= 1,
  );
  const z = toTensor(logits);
  const [hard] = softmaxCrossEntropyOp([z, toTensor(labels)], none);
  if (labelSmoothing === 0) return hard;
  const even = neg(mean(logSoftmax(z), 1));
  return add(mul(hard, 1 - labelSmoothing), mul(even, labelSmoothing));
}

/** The mean of `crossEntropyRows` over the batch: a scalar. */
export function softmaxCrossEntropy(logits: TensorLike, labels: TensorLike): Tensor {
  return mean(crossEntropyRows(logits, labels));
}

/** 1 where the first largest logit is the label's, else 0. Shapes: logits [N, classes], labels i32 [N] -> f32 [N]. */
export function correct(logits: TensorLike, labels: TensorLike): Tensor {
  return correctOp([toTensor(logits), toTensor(labels)], none)[0];
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

/** Mean of (output − target)² over each example. Shapes: [N, ...] both -> [N]. */
export function meanSquaredErrorRows(output: TensorLike, target: TensorLike): Tensor {
  const [a, b] = pairOf('meanSquaredErrorRows', output, target);
  const difference = sub(a, b);
  return meanOfRows(mul(difference, difference));
}

/**
 * Mean over each example of ½ d² where d = |output − target| is at most delta, else of delta · (d − ½ delta).
 *
 * Shapes: [N, ...] both -> [N]. Throws RangeError unless delta > 0. Source: Huber, 1964; torch.nn.HuberLoss.
 */
export function huberRows(
  output: TensorLike,
  target: TensorLike,
  { delta = 1 }: { readonly delta?: number } = {},
): Tensor {
  checkNumber('huberRows', 'delta', delta, 'a number > 0', (x) => x > 0);
  const [a, b] = pairOf('huberRows', output, target);
  const difference = sub(a, b);
  const near = clamp(difference, -delta, delta);
  // d · near − ½ near²: both cases in one, whose derivative is `near`.
  return meanOfRows(sub(mul(difference, near), mul(mul(near, near), 0.5)));
}

/**
 * Binary cross-entropy of logits: mean over each example of log(1 + e^z) − z · target, exact for large logits too.
 *
 * Shapes: logits and targets in 0 … 1, [N, ...] both -> [N].
 */
export function binaryCrossEntropyRows(logits: TensorLike, target: TensorLike): Tensor {
  return meanOfRows(binaryCrossEntropy(...pairOf('binaryCrossEntropyRows', logits, target)));
}

// max(z, 0) − z · target is exact for a target of 0 or 1, so the small term is added last. The derivative uses sigmoid(−z)
// instead of 1 − sigmoid(z).
const binaryCrossEntropy = customGradient({
  name: 'binaryCrossEntropy',
  forward: (z, target) => add(sub(maximum(z, 0), mul(z, target)), log1p(exp(neg(abs(z))))),
  gradient: ({ inputs: [z, target], grad }) => [
    mul(grad, sub(mul(sub(1, target), sigmoid(z)), mul(target, sigmoid(neg(z))))),
    neg(mul(grad, z)),
  ],
});

/**
 * Focal loss of logits: binary cross-entropy, times (1 − p)^gamma for the probability p that the model gives to what is
 * true, times alpha for positive and 1 − alpha for negative targets; mean over each example.
 *
 * Shapes: logits and targets of 0 or 1, [N, ...] both -> [N].
 * Source: Lin et al., Focal Loss for Dense Object Detection, 2017.
 */
export function focalRows(
  logits: TensorLike,
  target: TensorLike,
  { alpha = 0.25, gamma = 2 }: { readonly alpha?: number; readonly gamma?: number } = {},
): Tensor {
  checkNumber('focalRows', 'alpha', alpha, 'a number from 0 to 1', (x) => x >= 0 && x <= 1);
  checkNumber('focalRows', 'gamma', gamma, 'a number >= 0', (x) => x >= 0);
  const [z, t] = pairOf('focalRows', logits, target);
  // 1 − p is the sigmoid of the logit with its sign against the target, and its power without a power of 0.
  const against = mul(z, sub(1, mul(t, 2)));
  const weight = mul(exp(mul(softplus(neg(against)), -gamma)), add(mul(t, 2 * alpha - 1), 1 - alpha));
  return meanOfRows(gatedBy(binaryCrossEntropy(z, t), weight));
}

/**
 * Dice loss of logits: 1 − (2 Σ p t + smooth) / (Σ p + Σ t + smooth) over each example, p the sigmoid of the logits.
 *
 * Shapes: logits and targets in 0 … 1, [N, ...] both -> [N]. Throws RangeError unless smooth > 0, which also says what two
 * empty masks have in common. Source: Milletari et al., V-Net, 2016 (who square p and t in the denominator).
 */
export function diceRows(
  logits: TensorLike,
  target: TensorLike,
  { smooth = 1 }: { readonly smooth?: number } = {},
): Tensor {
  checkNumber('diceRows', 'smooth', smooth, 'a number > 0', (x) => x > 0);
  const [z, t] = pairOf('diceRows', logits, target);
  const p = sigmoid(z);
  // This is Σ p + Σ t − 2 Σ p t without cancellation where p is near t.
  const apart = sumOfRows(add(mul(p, sub(1, t)), mul(sigmoid(neg(z)), t)));
  return div(apart, add(add(sumOfRows(p), sumOfRows(t)), smooth));
}

/**
 * Kullback–Leibler divergence of each row from the softmax of logits to a target distribution: Σ t (log t − log softmax z),
 * where t = 0 counts 0. The target is a constant to whoever differentiates.
 *
 * Shapes: logits [N, classes], target [N, classes] whose rows add up to 1 -> [N].
 */
export function klDivergenceRows(logits: TensorLike, target: TensorLike): Tensor {
  const [z, given] = pairOf('klDivergenceRows', logits, target);
  expectRank('klDivergenceRows', z, 2, 'logits [N, classes]');
  const t = stopGradient(given);
  const logarithm = log(where(greater(t, 0), t, 1));
  return sum(mul(t, sub(logarithm, logSoftmax(z))), 1);
}
