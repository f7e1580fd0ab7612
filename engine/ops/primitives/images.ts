/** From bytes to a batch of floats: shift, flip and normalize in one pass. */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank } from '../../op.ts';
import { broadcastShapes, formatType, sameShape } from '../../shape.ts';
import type { TensorType } from '../../types.ts';

/** Images x u8 or f32 [N, H, W, C], mean and scale, which broadcast to [H, W, C], and optionally augmentation i32 [N, 3]. */
export const normalizeImagesOp = defineOp({
  name: 'normalizeImages',
  infer([x, mean, scale, augmentation]: readonly TensorType[]) {
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
    if (
      augmentation !== undefined &&
      (augmentation.dtype !== 'i32' || !sameShape(augmentation.shape, [x.shape[0], 3]))
    ) {
      throw new ShapeError(
        `normalizeImages: augmentation must be i32 [${x.shape[0]},3] but got ${formatType(augmentation)}`,
      );
    }
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  vjp: null,
});

export const imageOps = {
  normalizeImages: normalizeImagesOp,
};
