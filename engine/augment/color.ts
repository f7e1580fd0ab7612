/** Augmentations of colors. They move no pixels, so targets stay as they are. */
import type { Augmentation } from '../augmentation.ts';
import { ShapeError } from '../errors.ts';
import { arange } from '../ops/create.ts';
import {
  abs,
  add,
  and,
  clamp,
  div,
  equal,
  less,
  maximum,
  minimum,
  mul,
  remainder,
  sub,
  where,
} from '../ops/elementwise.ts';
import { concat, pad, reshape, slice, transpose } from '../ops/layout.ts';
import { mean } from '../ops/reduce.ts';
import { checkNumber } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Luma of ITU-R BT.601, as in torchvision. */
const LUMA = [0.2989, 0.587, 0.114];

/** Images [N, H, W, C] as planes [N, C, H, W], whose channels are cheaper to combine. */
export const asPlanes = (images: Tensor): Tensor => transpose(images, [0, 3, 1, 2]);

/** Planes [N, C, H, W] as images [N, H, W, C]. */
export const asImages = (planes: Tensor): Tensor => transpose(planes, [0, 2, 3, 1]);

/** One plane of each image, [N, 1, H, W]. */
const plane = (planes: Tensor, channel: number): Tensor =>
  slice(planes, [null, { begin: channel, end: channel + 1 }]);

/** The brightness of each pixel, [N, 1, H, W]. Throws ShapeError unless images have one or three channels. */
export function gray(where: string, planes: Tensor): Tensor {
  if (planes.shape[1] === 1) return planes;
  expectChannels(where, planes, '1 or 3');
  return LUMA.map((luma, channel) => mul(plane(planes, channel), luma)).reduce((sum, each) => add(sum, each));
}

function expectChannels(where: string, planes: Tensor, allowed: '3' | '1 or 3'): void {
  const [n, channels, height, width] = planes.shape;
  if (channels === 3) return;
  const type = formatType({ shape: [n, height, width, channels], dtype: planes.dtype });
  throw new ShapeError(`${where}: expects images with ${allowed} channels but got ${type}`);
}

/** The mean of the brightness `gray` of each image, [N, 1, 1, 1]. */
export const meanOf = (brightness: Tensor): Tensor => mean(brightness, [1, 2, 3], { keepDims: true });

/**
 * Each pixel averaged with its eight neighbors, [N, C, H, W]. The pixel itself has weight 5. Pixels at the border stay as they are.
 *
 * Source: Pillow, `ImageFilter.SMOOTH`.
 */
export function blurred(planes: Tensor): Tensor {
  const [, , height, width] = planes.shape;
  /** Sums of three neighbors along an axis. */
  const sums = (x: Tensor, axis: 2 | 3): Tensor => {
    const padded = pad(
      x,
      x.shape.map((_, i) => (i === axis ? [1, 1] : [0, 0])),
    );
    const from = (begin: number): Tensor =>
      slice(
        padded,
        x.shape.map((d, i) => (i === axis ? { begin, end: begin + d } : null)),
      );
    return add(add(from(0), x), from(2));
  };
  const average = div(add(sums(sums(planes, 2), 3), mul(planes, 4)), 13);
  const isWithin = (size: number): Tensor => less(abs(sub(arange(size), (size - 1) / 2)), (size - 1) / 2);
  return where(and(reshape(isWithin(height), [height, 1]), isWithin(width)), average, planes);
}

/** One column of the draws as [N, 1, 1, 1], for products with images. */
export const factors = (draws: Tensor): Tensor => reshape(draws, [draws.shape[0], 1, 1, 1]);

/** factor · image + (1 − factor) · other, from black to white. */
export const blended = (images: Tensor, other: Tensor, factor: Tensor, white: number): Tensor =>
  clamp(add(mul(images, factor), mul(other, sub(1, factor))), 0, white);

/** Blends the planes of each image with others, or black, by a factor from max(0, 1 − strength) to 1 + strength. */
function jitter(kind: string, strength: number, other: ((planes: Tensor) => Tensor) | null): Augmentation {
  checkNumber(kind, 'strength', strength, 'a number >= 0', (x) => x >= 0);
  const low = Math.max(0, 1 - strength);
  return {
    config: { kind, strength },
    draw: (random) => [low + (1 + strength - low) * random.uniform()],
    images(images, draws, { white }) {
      if (other === null) return clamp(mul(images, factors(draws)), 0, white);
      const planes = asPlanes(images);
      return asImages(blended(planes, other(planes), factors(draws), white));
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
export const brightness = (strength: number): Augmentation => jitter('brightness', strength, null);

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
  jitter('contrast', strength, (planes) => meanOf(gray('contrast', planes)));

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
  jitter('saturation', strength, (planes) => gray('saturation', planes));

/**
 * Blends each image with a smoothed one: factor · x + (1 − factor) · smoothed, with a factor from max(0, 1 − strength) to 1 + strength,
 * from black to white (255 for bytes, 1 for floats). Factors below 1 blur, factors above 1 sharpen.
 *
 * The smoothed image averages each pixel, with weight 5, and its eight neighbors. Pixels at the border stay as they are.
 *
 * Source: torchvision, `adjust_sharpness`. Values are not rounded.
 * Throws RangeError unless strength is a number >= 0.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [sharpness(0.8)] });
 */
export const sharpness = (strength: number): Augmentation => jitter('sharpness', strength, blurred);

/**
 * Rotates the hue of each image by a random angle: up to `strength` turns in each direction. 0.5 is half a turn, to the complementary
 * color. Value and saturation in HSV, and pixels without a color, stay as they are.
 *
 * Source: torchvision, `ColorJitter(hue)`. Values are not rounded. Images have three channels.
 * Throws RangeError unless 0 <= strength <= 0.5.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [hue(0.05), saturation(0.4)] });
 */
export function hue(strength: number): Augmentation {
  checkNumber('hue', 'strength', strength, 'turns from 0 to 0.5', (x) => x >= 0 && x <= 0.5);
  return {
    config: { kind: 'hue', strength },
    draw: (random) => [(2 * random.uniform() - 1) * strength],
    images: (images, draws) => asImages(turned(asPlanes(images), factors(draws))),
    targets: 'unchanged',
  };
}

/** Planes with their hue rotated by turns [N, 1, 1, 1]. */
function turned(planes: Tensor, turns: Tensor): Tensor {
  expectChannels('hue', planes, '3');
  const [r, g, b] = [0, 1, 2].map((channel) => plane(planes, channel)) as [Tensor, Tensor, Tensor];
  const value = maximum(maximum(r, g), b);
  const chroma = sub(value, minimum(minimum(r, g), b));
  // Without a color, all differences are 0.
  const divisor = where(equal(chroma, 0), 1, chroma);
  const sector = where(
    equal(value, r),
    div(sub(g, b), divisor),
    where(equal(value, g), add(2, div(sub(b, r), divisor)), add(4, div(sub(r, g), divisor))),
  );
  const angle = add(sector, mul(turns, 6));
  // A channel with offset n is value − chroma · min(k, 4 − k) within 0 to 1, where k = n + angle modulo 6.
  const channels = [5, 3, 1].map((n) => {
    const k = remainder(add(angle, n), 6);
    return sub(value, mul(chroma, clamp(sub(2, abs(sub(k, 2))), 0, 1)));
  });
  return concat(channels, 1);
}
