/** Losses with options, for the trainer's `loss`. Losses without options are operations. */
import * as ops from '../ops/index.ts';
import type {
  CrossEntropyOptions,
  DiceOptions,
  FocalOptions,
  HuberOptions,
  ReductionOptions,
  TensorLike,
} from '../ops/index.ts';
import type { Tensor } from '../tensor.ts';
import { checkNumber, checkOneOf, checkOptions } from '../options.ts';

/** A loss of outputs and targets. Options of a call override those the loss was made with. */
export type Loss = (output: TensorLike, target: TensorLike, options?: ReductionOptions) => Tensor;

/** Checks what all losses share. The loss checks the rest when it is applied. */
function withOptions<O extends ReductionOptions>(
  where: string,
  loss: (output: TensorLike, target: TensorLike, options: O) => Tensor,
  given: O,
): Loss {
  for (const [name, value] of Object.entries(given)) {
    if (name === 'reduction') checkOneOf(where, name, value, ['mean', 'sum', 'none']);
    else checkNumber(where, name, value);
  }
  return (output, target, options) => loss(output, target, { ...given, ...options });
}

/**
 * `crossEntropy` with options, for the trainer's `loss`.
 *
 * Shapes: logits `f32` [N, classes], labels `i32` [N] -> [].
 * Throws what `crossEntropy` throws, when the loss is applied.
 *
 * @example nn.crossEntropyLoss({ labelSmoothing: 0.1 })([[2, 1, 0]], Int32Array.of(0)) // 0.5076
 */
export const crossEntropyLoss = (options: CrossEntropyOptions = {}): Loss => {
  checkOptions('crossEntropyLoss', options, ['reduction', 'labelSmoothing']);
  return withOptions('crossEntropyLoss', ops.crossEntropy, options);
};

/**
 * `huberLoss` with options, for the trainer's `loss`.
 *
 * Shapes: output and target `f32` [N, ...] -> [].
 * Throws what `huberLoss` throws, when the loss is applied.
 *
 * @example nn.huberLoss({ delta: 0.5 })([3], [0]) // 1.375
 */
export const huberLoss = (options: HuberOptions = {}): Loss => {
  checkOptions('huberLoss', options, ['reduction', 'delta']);
  return withOptions('huberLoss', ops.huberLoss, options);
};

/**
 * `focalLoss` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `focalLoss` throws, when the loss is applied.
 *
 * @example nn.focalLoss({ gamma: 1 })([2, -1], [1, 0]) // 0.03348
 */
export const focalLoss = (options: FocalOptions = {}): Loss => {
  checkOptions('focalLoss', options, ['reduction', 'alpha', 'gamma']);
  return withOptions('focalLoss', ops.focalLoss, options);
};

/**
 * `diceLoss` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `diceLoss` throws, when the loss is applied.
 *
 * @example nn.diceLoss({ smooth: 0.1 })([[2, -2, 3]], [[1, 0, 1]]) // 0.07053
 */
export const diceLoss = (options: DiceOptions = {}): Loss => {
  checkOptions('diceLoss', options, ['reduction', 'smooth']);
  return withOptions('diceLoss', ops.diceLoss, options);
};
