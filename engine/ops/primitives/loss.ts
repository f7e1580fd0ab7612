/** Cross-entropy and accuracy of class labels. */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../../op.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { add, mul, sub } from '../elementwise.ts';
import { takeAlongAxis } from '../gather.ts';
import { reshape } from '../layout.ts';
import { sum } from '../reduce.ts';

type None = Record<never, never>;
const none: None = {};

/** The fix for labels that do not fit the logits: one-hot targets, floats, columns, and images in the order of PyTorch. '' for others. */
export function labelFix(logits: TensorType, labels: TensorType): string {
  if (sameShape(labels.shape, logits.shape)) {
    return ' (labels are indices of classes: convert one-hot targets with argMax(targets, 1))';
  }
  const rows = logits.shape.slice(0, -1);
  if (labels.dtype === 'f32' && sameShape(labels.shape, rows)) {
    return logits.shape.at(-1) === 1
      ? ' (for one output and targets 0 and 1, use binaryCrossEntropy; for class labels, an Int32Array)'
      : ' (use integers for class labels: an Int32Array)';
  }
  if (sameShape(labels.shape, [...rows, 1])) {
    return ` (reshape the labels to ${formatShape(rows)}${labels.dtype === 'i32' ? '' : ', as integers'})`;
  }
  const [n, , ...rest] = logits.shape;
  return rows.length > 1 && sameShape(labels.shape, [n, ...rest])
    ? ' (classes come last; this looks like [N, classes, ...]: transpose the logits)'
    : ` (give each of the ${formatShape(rows)} rows one label)`;
}

/** Throws ShapeError for an i32 first and an f32 second argument. */
export function checkOrder(where: string, logits: TensorType, labels: TensorType): void {
  if (logits.dtype !== 'i32' || labels.dtype !== 'f32') return;
  throw new ShapeError(
    `${where}: logits come first and labels second, but got ${formatType(logits)} and ${formatType(labels)} ` +
      `(write ${where}(logits, labels))`,
  );
}

/** Throws ShapeError unless labels are i32 and logits have one more axis, for at least one class. */
export function checkClasses(where: string, logits: TensorType, labels: TensorType): void {
  const rows = logits.shape.slice(0, -1);
  if (labels.dtype !== 'i32' || !sameShape(labels.shape, rows)) {
    throw new ShapeError(
      `${where}: logits ${formatType(logits)} need labels i32 ${formatShape(rows)} but got ${formatType(labels)}${labelFix(logits, labels)}`,
    );
  }
  if (logits.shape.at(-1) === 0)
    throw new ShapeError(`${where}: expects at least one class but got logits ${formatType(logits)}`);
}

/** Throws ShapeError unless logits are f32 [N, classes] and labels i32 [N], with at least one class. */
export function checkLabels(where: string, logits: TensorType, labels: TensorType): void {
  checkOrder(where, logits, labels);
  expectDType(where, 'f32', logits);
  expectRank(where, logits, 2, 'logits [N, classes]');
  checkClasses(where, logits, labels);
}

/**
 * logits [N, classes], labels i32 [N] -> loss of each example [N], and softmax [N, classes]. A run with a label outside
 * 0 … classes − 1 throws DataError before it writes state.
 */
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
 * 1 − softmax is computed as the sum over the other classes, which avoids cancellation.
 */
export const softmaxCrossEntropyGradOp = defineOp({
  name: 'softmaxCrossEntropyGrad',
  infer([, softmax]: readonly TensorType[]) {
    return [softmax];
  },
  vjp({ inputs: [g, softmax, labels], grads, needs }: Vjp<None>): Grads {
    const h = grads[0]!;
    const rows = g.shape[0];
    const own = (): Tensor => reshape(takeAlongAxis(h, reshape(labels, [rows, 1]), 1), [rows]);
    return [
      needs(0) ? sub(sum(mul(h, softmax), 1), own()) : null,
      needs(1) ? mul(h, reshape(g, [rows, 1])) : null,
      null,
    ];
  },
});

/** 1 for each row whose first largest logit is that of the label, else 0. Rows with NaN count as wrong. */
export const correctOp = defineOp({
  name: 'correct',
  mayFail: true,
  infer([logits, labels]: readonly TensorType[]) {
    checkLabels('correct', logits, labels);
    return [{ shape: [logits.shape[0]], dtype: 'f32' }];
  },
  vjp: null,
});

export const lossOps = {
  softmaxCrossEntropy: softmaxCrossEntropyOp,
  softmaxCrossEntropyGrad: softmaxCrossEntropyGradOp,
  correct: correctOp,
};
