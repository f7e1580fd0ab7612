/** From bytes to a batch of floats: crop, flip and normalize in one pass. */
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { normalizeImagesOp } from './primitives/images.ts';

/**
 * Images to floats: (x − mean) · scale, then shifted and mirrored by `augmentation`, with 0 outside the image.
 *
 * Shapes: x u8 or f32 [N, H, W, C]; mean and scale broadcast to [H, W, C]; augmentation i32 [N, 3] holds vertical shift,
 * horizontal shift and flip (0 or 1) of each image: output pixel (i, j) shows source pixel (i + dy, j' + dx), where
 * j' is j, or W − 1 − j when flipped.
 */
export function normalizeImages(
  x: TensorLike,
  mean: TensorLike,
  scale: TensorLike,
  augmentation?: TensorLike,
): Tensor {
  const inputs = [x, mean, scale, ...(augmentation === undefined ? [] : [augmentation])].map(toTensor);
  return normalizeImagesOp(inputs, {})[0];
}
