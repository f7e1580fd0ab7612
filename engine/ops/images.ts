/** From resident bytes to a batch of floats: gather by index, then crop, flip and normalise in one pass. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank } from '../op.ts';
import { broadcastShapes, formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';

type None = Record<never, never>;
const none: None = {};

/** Inputs x, mean, scale and, for augmentation, draws i32 [N, 3]. */
export const normalizeImagesOp = defineOp({
  name: 'normalizeImages',
  infer([x, mean, scale, draws]: readonly TensorType[]) {
    expectRank('normalizeImages', x, 4, 'images [N, H, W, C]');
    if (x.dtype === 'i32')
      throw new ShapeError(`normalizeImages: expects u8 or f32 images but got ${formatType(x)}`);
    const item = x.shape.slice(1);
    for (const [name, t] of [
      ['mean', mean],
      ['scale', scale],
    ] as const) {
      expectDType(`normalizeImages: ${name}`, 'f32', t);
      if (!sameShape(broadcastShapes(`normalizeImages: ${name}`, item, t.shape), item)) {
        throw new ShapeError(
          `normalizeImages: ${name} ${formatType(t)} does not broadcast to images ${formatType(x)}`,
        );
      }
    }
    if (draws !== undefined && (draws.dtype !== 'i32' || !sameShape(draws.shape, [x.shape[0], 3]))) {
      throw new ShapeError(
        `normalizeImages: draws must be i32 [${x.shape[0]},3] but got ${formatType(draws)}`,
      );
    }
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  vjp: null,
});

/**
 * Images to floats: (x − mean) · scale, then shifted and mirrored by `draws`, with 0 outside the image.
 *
 * Shapes: x u8 or f32 [N, H, W, C]; mean and scale broadcast to [H, W, C]; draws i32 [N, 3] holds vertical shift,
 * horizontal shift and flip (0 or 1) of each image: output pixel (i, j) shows source pixel (i + dy, j' + dx), where
 * j' is j, or W − 1 − j when flipped.
 */
export function normalizeImages(
  x: TensorLike,
  mean: TensorLike,
  scale: TensorLike,
  draws?: TensorLike,
): Tensor {
  const inputs = [x, mean, scale, ...(draws === undefined ? [] : [draws])].map(toTensor);
  return normalizeImagesOp(inputs, none)[0];
}
