/** Losses with options, for the trainer's `loss`. Losses without options are operations. */
import * as ops from '../ops/index.ts';
import type {
  BinaryCrossEntropyOptions,
  CrossEntropyOptions,
  DiceOptions,
  FocalOptions,
  HuberOptions,
  ReductionOptions,
  SmoothL1Options,
  TensorLike,
} from '../ops/index.ts';
import type { Tensor } from '../tensor.ts';

/** A loss of outputs and targets. Options of a call override those the loss was made with. */
export type Loss = (output: TensorLike, target: TensorLike, options?: ReductionOptions) => Tensor;

function withOptions<O extends ReductionOptions>(
  loss: (output: TensorLike, target: TensorLike, options: O) => Tensor,
  given: O,
): Loss {
  return (output, target, options) => loss(output, target, { ...given, ...options });
}

/**
 * `crossEntropy` with options, for the trainer's `loss`.
 *
 * Shapes: logits `f32` [N, ..., classes], labels `i32` [N, ...] or probabilities `f32` [N, ..., classes] -> [].
 * Throws what `crossEntropy` throws, when the loss is applied.
 *
 * @example nn.crossEntropyLoss({ labelSmoothing: 0.1 })([[2, 1, 0]], Int32Array.of(0)) // 0.5076
 */
export const crossEntropyLoss = (options: CrossEntropyOptions = {}): Loss =>
  withOptions(ops.crossEntropy, options);

/**
 * `binaryCrossEntropy` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `binaryCrossEntropy` throws, when the loss is applied.
 *
 * @example nn.binaryCrossEntropyLoss({ posWeight: 3 })([2, -1], [1, 0]) // 0.347
 */
export const binaryCrossEntropyLoss = (options: BinaryCrossEntropyOptions = {}): Loss =>
  withOptions(ops.binaryCrossEntropy, options);

/**
 * `smoothL1Loss` with options, for the trainer's `loss`.
 *
 * Shapes: output and target `f32` [N, ...] -> [].
 * Throws what `smoothL1Loss` throws, when the loss is applied.
 *
 * @example nn.smoothL1Loss({ beta: 0.5 })([3], [0]) // 2.75
 */
export const smoothL1Loss = (options: SmoothL1Options = {}): Loss => withOptions(ops.smoothL1Loss, options);

/**
 * `huberLoss` with options, for the trainer's `loss`.
 *
 * Shapes: output and target `f32` [N, ...] -> [].
 * Throws what `huberLoss` throws, when the loss is applied.
 *
 * @example nn.huberLoss({ delta: 0.5 })([3], [0]) // 1.375
 */
export const huberLoss = (options: HuberOptions = {}): Loss => withOptions(ops.huberLoss, options);

/**
 * `focalLoss` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `focalLoss` throws, when the loss is applied.
 *
 * @example nn.focalLoss({ gamma: 1 })([2, -1], [1, 0]) // 0.03348
 */
export const focalLoss = (options: FocalOptions = {}): Loss => withOptions(ops.focalLoss, options);

/**
 * `diceLoss` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `diceLoss` throws, when the loss is applied.
 *
 * @example nn.diceLoss({ smooth: 0.1 })([[2, -2, 3]], [[1, 0, 1]]) // 0.07053
 */
export const diceLoss = (options: DiceOptions = {}): Loss => withOptions(ops.diceLoss, options);
