/** Augmentations of the levels of channels. They move no pixels, so targets stay as they are. */
import type { Augmentation, AugmentationConfig } from '../augmentation.ts';
import {
  add,
  cast,
  clamp,
  div,
  equal,
  floor,
  greater,
  greaterEqual,
  maximum,
  mul,
  round,
  sub,
  where,
} from '../ops/elementwise.ts';
import type { TensorLike } from '../ops/convert.ts';
import { ones } from '../ops/create.ts';
import { scatterAddAlongAxis, takeAlongAxis } from '../ops/gather.ts';
import { reshape } from '../ops/layout.ts';
import { cumsum, max, min } from '../ops/reduce.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { asImages, asPlanes, factors } from './color.ts';

/** Values from 0 to white as whole bytes. */
const bytesOf = (images: Tensor, white: number): Tensor => clamp(round(mul(images, 255 / white)), 0, 255);

/** Each plane of [N, C, H, W] stretched from black to white. A plane of one value stays as it is. */
export function stretched(planes: Tensor, white: number): Tensor {
  const [low, high] = [min(planes, [2, 3], { keepDims: true }), max(planes, [2, 3], { keepDims: true })];
  const range = sub(high, low);
  const scaled = mul(sub(planes, low), div(white, maximum(range, 1e-6)));
  return where(greaterEqual(1e-6, range), planes, clamp(scaled, 0, white));
}

/** Each plane of [N, C, H, W] with a histogram as even as possible. A plane of one value stays as it is. */
export function equalized(planes: Tensor, white: number): Tensor {
  const [n, channels, height, width] = planes.shape as readonly [number, number, number, number];
  const shape = [n * channels, height * width];
  const bytes = cast(reshape(bytesOf(planes, white), shape), 'i32');
  const histogram = scatterAddAlongAxis(ones(shape), bytes, 256, 1);
  const below = cumsum(histogram, 1, { exclusive: true });
  // The pixels below the brightest level, in 255 steps.
  const step = floor(div(max(where(greater(histogram, 0), below, 0), 1, { keepDims: true }), 255));
  const levels = clamp(floor(div(add(below, floor(div(step, 2))), maximum(step, 1))), 0, 255);
  const changed = mul(reshape(takeAlongAxis(levels, bytes, 1), planes.shape), white / 255);
  return where(equal(reshape(step, [n, channels, 1, 1]), 0), planes, changed);
}

/** Images rounded down to multiples of a size in bytes, which broadcasts to them. */
export const quantized = (images: Tensor, size: TensorLike, white: number): Tensor =>
  mul(mul(floor(div(bytesOf(images, white), size)), size), white / 255);

/** Images with inverted values from a threshold on, which broadcasts to them. */
export const inverted = (images: Tensor, threshold: TensorLike, white: number): Tensor =>
  where(greaterEqual(images, threshold), sub(white, images), images);

export interface ChangeOptions {
  /** The share of images that are changed. Default 0.5. */
  readonly probability?: number;
}

/** Changes the planes of a random share of the images. */
function sometimes(
  config: AugmentationConfig,
  options: ChangeOptions,
  change: (planes: Tensor, white: number) => Tensor,
): Augmentation {
  checkOptions(config.kind, options, ['probability']);
  const { probability = 0.5 } = options;
  checkNumber(config.kind, 'probability', probability, 'in [0, 1]', (p) => p >= 0 && p <= 1);
  return {
    config: { ...config, probability },
    draw: (random) => [random.uniform() < probability ? 1 : 0],
    images: (images, draws, { white }) =>
      where(equal(factors(draws), 1), asImages(change(asPlanes(images), white)), images),
    targets: 'unchanged',
  };
}

/**
 * Stretches each channel of some images, so that its darkest pixel is black and its brightest is white (255 for bytes, 1 for floats). A
 * channel of one value stays as it is.
 *
 * Source: torchvision, `RandomAutocontrast`. Values are not rounded.
 * Throws RangeError or TypeError for an option that is unknown or out of range.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [autoContrast()] });
 */
export const autoContrast = (options: ChangeOptions = {}): Augmentation =>
  sometimes({ kind: 'autoContrast' }, options, stretched);

/**
 * Equalizes the histogram of each channel of some images. Values are rounded to bytes first, between black and white (255 for bytes, 1
 * for floats). A channel stays as it is if fewer than 255 of its pixels are darker than its brightest level.
 *
 * Source: torchvision, `RandomEqualize`.
 * Throws RangeError or TypeError for an option that is unknown or out of range.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [equalize()] });
 */
export const equalize = (options: ChangeOptions = {}): Augmentation =>
  sometimes({ kind: 'equalize' }, options, equalized);

/**
 * Keeps the upper `bits` of the 8 bits of each value of some images. Floats from 0 to 1 are rounded to 8 bits first.
 *
 * Source: torchvision, `RandomPosterize`.
 * Throws RangeError unless bits is an integer from 1 to 8.
 * Throws RangeError or TypeError for an option that is unknown or out of range.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [posterize(4)] });
 */
export function posterize(bits: number, options: ChangeOptions = {}): Augmentation {
  checkInteger('posterize', 'bits', bits, 1, 8);
  return sometimes({ kind: 'posterize', bits }, options, (planes, white) =>
    quantized(planes, 2 ** (8 - bits), white),
  );
}

/**
 * Inverts the values of some images from a threshold on: x becomes white − x. The threshold is a share of white (255 for bytes, 1 for
 * floats).
 *
 * Source: torchvision, `RandomSolarize`.
 * Throws RangeError unless 0 <= threshold <= 1.
 * Throws RangeError or TypeError for an option that is unknown or out of range.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [solarize(0.5)] });
 */
export function solarize(threshold: number, options: ChangeOptions = {}): Augmentation {
  checkNumber('solarize', 'threshold', threshold, 'a share of white from 0 to 1', (x) => x >= 0 && x <= 1);
  return sometimes({ kind: 'solarize', threshold }, options, (planes, white) =>
    inverted(planes, threshold * white, white),
  );
}
