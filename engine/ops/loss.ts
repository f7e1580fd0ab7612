/** Losses and what is measured beside them. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Vjp } from '../op.ts';
import { formatType, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { mean } from './reduce.ts';

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
    checkLabels('softmaxCrossEntropy', logits!, labels!);
    return [{ shape: [logits!.shape[0]], dtype: 'f32' }, logits!];
  },
  vjp({ inputs, outputs, grads }: Vjp<None>) {
    if (grads[1] !== null) {
      throw new ShapeError('grad: the softmax inside softmaxCrossEntropy has no derivative of its own');
    }
    return [softmaxCrossEntropyGradOp([grads[0]!, outputs[1], inputs[1]], none)[0], null];
  },
  flops: ([logits]) => 5 * sizeOf(logits!.shape),
});

/** g [N], softmax [N, classes], labels [N] -> g · (softmax − one-hot) [N, classes] */
export const softmaxCrossEntropyGradOp = defineOp({
  name: 'softmaxCrossEntropyGrad',
  infer([, softmax]: readonly TensorType[]) {
    return [softmax!];
  },
  vjp: null,
});

/** 1 for each row whose first largest logit is the label's, else 0; rows with NaN count as wrong. */
export const correctOp = defineOp({
  name: 'correct',
  mayFail: true,
  infer([logits, labels]: readonly TensorType[]) {
    checkLabels('correct', logits!, labels!);
    return [{ shape: [logits!.shape[0]], dtype: 'f32' }];
  },
  vjp: null,
});

/**
 * Softmax cross-entropy of each row: log Σ e^z − z[label].
 *
 * Shapes: logits [N, classes], labels i32 [N] -> [N]. Stable for large logits.
 */
export function crossEntropyRows(logits: TensorLike, labels: TensorLike): Tensor {
  return softmaxCrossEntropyOp([toTensor(logits), toTensor(labels)], none)[0];
}

/** The mean of `crossEntropyRows` over the batch: a scalar. */
export function softmaxCrossEntropy(logits: TensorLike, labels: TensorLike): Tensor {
  return mean(crossEntropyRows(logits, labels));
}

/** 1 where the first largest logit is the label's, else 0. Shapes: logits [N, classes], labels i32 [N] -> f32 [N]. */
export function correct(logits: TensorLike, labels: TensorLike): Tensor {
  return correctOp([toTensor(logits), toTensor(labels)], none)[0];
}
