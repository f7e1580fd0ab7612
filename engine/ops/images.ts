/** From bytes to a batch of floats: shift, flip and normalize in one pass. */
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { normalizeImagesOp } from './primitives/images.ts';

/**
 * Normalizes images: (x − mean) · scale. With `augmentation`, it also shifts and flips them, with 0 outside the source
 * image.
 *
 * The augmentation of an image is its vertical shift dy, its horizontal shift dx, and flip (0 or 1). Output pixel (i, j) is
 * source pixel (i + dy, j' + dx), where j' is j, or W − 1 − j if flipped. There is no derivative.
 *
 * Shapes: x `u8` or `f32` [N, H, W, C], mean and scale broadcast to [H, W, C], augmentation `i32` [N, 3] -> `f32`
 * [N, H, W, C].
 * Throws ShapeError if x is `i32` or not [N, H, W, C], mean or scale do not broadcast, or the augmentation is not `i32`
 * [N, 3].
 *
 * @example normalizeImages(tensor(Uint8Array.of(0, 255), { shape: [1, 1, 2, 1] }), 127.5, 1 / 127.5) // [[[[-1], [1]]]]
 */
export function normalizeImages(
  x: TensorLike,
  mean: TensorLike,
  scale: TensorLike,
  augmentation?: TensorLike,
): Tensor {
  const inputs = [x, mean, scale, ...(augmentation === undefined ? [] : [augmentation])].map((value) =>
    toTensor('normalizeImages', value),
  );
  return normalizeImagesOp(inputs, {})[0];
}
