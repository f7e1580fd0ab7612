/** Losses with their options given: functions for `loss` of the trainer. Losses without options are operations only. */
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

/** A loss of outputs and targets. Options given here win over those it was made with. */
export type Loss = (output: TensorLike, target: TensorLike, options?: ReductionOptions) => Tensor;

function withOptions<O extends ReductionOptions>(
  loss: (output: TensorLike, target: TensorLike, options: O) => Tensor,
  given: O,
): Loss {
  return (output, target, options) => loss(output, target, { ...given, ...options });
}

/**
 * `crossEntropy` with its options given.
 *
 * @example await fit({ loss: nn.crossEntropyLoss({ labelSmoothing: 0.1 }), … });
 */
export const crossEntropyLoss = (options: CrossEntropyOptions = {}): Loss =>
  withOptions(ops.crossEntropy, options);

/** `huberLoss` with its options given. */
export const huberLoss = (options: HuberOptions = {}): Loss => withOptions(ops.huberLoss, options);

/** `focalLoss` with its options given. */
export const focalLoss = (options: FocalOptions = {}): Loss => withOptions(ops.focalLoss, options);

/** `diceLoss` with its options given. */
export const diceLoss = (options: DiceOptions = {}): Loss => withOptions(ops.diceLoss, options);
