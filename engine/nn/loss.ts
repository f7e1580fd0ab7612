/** Losses with options, for the trainer's `loss`. Losses without options are operations. */
import { floats } from '../ops/convert.ts';
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
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../options.ts';

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
    else if (name === 'weight' || name === 'posWeight') floats(`${where}: ${name}`, value as TensorLike);
    else if (name === 'ignoreIndex') checkInteger(where, name, value, -(2 ** 31), 2 ** 31 - 1);
    else checkNumber(where, name, value);
  }
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
export const crossEntropyLoss = (options: CrossEntropyOptions = {}): Loss => {
  checkOptions('crossEntropyLoss', options, ['ignoreIndex', 'labelSmoothing', 'reduction', 'weight']);
  return withOptions('crossEntropyLoss', ops.crossEntropy, options);
};

/**
 * `binaryCrossEntropy` with options, for the trainer's `loss`.
 *
 * Shapes: logits and targets `f32` [N, ...] -> [].
 * Throws what `binaryCrossEntropy` throws, when the loss is applied.
 *
 * @example nn.binaryCrossEntropyLoss({ posWeight: 3 })([2, -1], [1, 0]) // 0.347
 */
export const binaryCrossEntropyLoss = (options: BinaryCrossEntropyOptions = {}): Loss => {
  checkOptions('binaryCrossEntropyLoss', options, ['posWeight', 'reduction']);
  return withOptions('binaryCrossEntropyLoss', ops.binaryCrossEntropy, options);
};

/**
 * `smoothL1Loss` with options, for the trainer's `loss`.
 *
 * Shapes: output and target `f32` [N, ...] -> [].
 * Throws what `smoothL1Loss` throws, when the loss is applied.
 *
 * @example nn.smoothL1Loss({ beta: 0.5 })([3], [0]) // 2.75
 */
export const smoothL1Loss = (options: SmoothL1Options = {}): Loss => {
  checkOptions('smoothL1Loss', options, ['beta', 'reduction']);
  return withOptions('smoothL1Loss', ops.smoothL1Loss, options);
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
