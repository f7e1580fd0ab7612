/** Augmentations of colors. They move no pixels, so targets stay as they are. */
import type { Augmentation } from '../augmentation.ts';
import { ShapeError } from '../errors.ts';
import { add, clamp, mul, sub } from '../ops/elementwise.ts';
import { reshape } from '../ops/layout.ts';
import { mean, sum } from '../ops/reduce.ts';
import { checkNumber } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Luma of ITU-R BT.601, as in torchvision. */
const LUMA = [0.2989, 0.587, 0.114];

/** The brightness of each pixel, [N, H, W, 1]. Throws ShapeError unless images have one or three channels. */
export function gray(where: string, images: Tensor): Tensor {
  if (images.shape[3] === 1) return images;
  if (images.shape[3] === 3) return sum(mul(images, LUMA), 3, { keepDims: true });
  throw new ShapeError(`${where}: expects images with 1 or 3 channels but got ${formatType(images)}`);
}

/** The mean brightness of each image, [N, 1, 1, 1]. */
export const meanGray = (where: string, images: Tensor): Tensor =>
  mean(gray(where, images), [1, 2, 3], { keepDims: true });

/** Each column of the draws as [N, 1, 1, 1], for products with images. */
export const factors = (draws: Tensor): Tensor => reshape(draws, [draws.shape[0], 1, 1, 1]);

/** factor · image + (1 − factor) · other, from black to white. */
export const blended = (images: Tensor, other: Tensor, factor: Tensor, white: number): Tensor =>
  clamp(add(mul(images, factor), mul(other, sub(1, factor))), 0, white);

/** Blends each image with another one by a factor from max(0, 1 − strength) to 1 + strength. */
function jitter(kind: string, strength: number, other: (images: Tensor) => Tensor | null): Augmentation {
  checkNumber(kind, 'strength', strength, 'a number >= 0', (x) => x >= 0);
  const low = Math.max(0, 1 - strength);
  return {
    config: { kind, strength },
    draw: (random) => [low + (1 + strength - low) * random.uniform()],
    images(images, draws, { white }) {
      const second = other(images);
      return second === null
        ? clamp(mul(images, factors(draws)), 0, white)
        : blended(images, second, factors(draws), white);
    },
    targets: 'unchanged',
  };
}

/**
 * Multiplies each image by a factor from max(0, 1 − strength) to 1 + strength, from black to white (255 for bytes, 1 for floats).
 *
 * Source: torchvision, `ColorJitter(brightness)`. Values are not rounded.
 * Throws RangeError unless strength is a number >= 0.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [brightness(0.4)] });
 */
export const brightness = (strength: number): Augmentation => jitter('brightness', strength, () => null);

/**
 * Blends each image with its mean gray: factor · x + (1 − factor) · mean, with a factor from max(0, 1 − strength) to 1 + strength, from
 * black to white (255 for bytes, 1 for floats).
 *
 * Source: torchvision, `ColorJitter(contrast)`. Values are not rounded. Images have one or three channels.
 * Throws RangeError unless strength is a number >= 0.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [contrast(0.4)] });
 */
export const contrast = (strength: number): Augmentation =>
  jitter('contrast', strength, (images) => meanGray('contrast', images));

/**
 * Blends each pixel with its gray: factor · x + (1 − factor) · gray, with a factor from max(0, 1 − strength) to 1 + strength, from black
 * to white (255 for bytes, 1 for floats).
 *
 * Source: torchvision, `ColorJitter(saturation)`. Values are not rounded. Images have one or three channels.
 * Throws RangeError unless strength is a number >= 0.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [saturation(0.4)] });
 */
export const saturation = (strength: number): Augmentation =>
  jitter('saturation', strength, (images) => gray('saturation', images));
