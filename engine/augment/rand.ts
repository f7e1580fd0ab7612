/** RandAugment: several random augmentations of one strength for each image. */
import type { Augmentation } from '../augmentation.ts';
import { slice } from '../ops/layout.ts';
import { checkInteger, checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { change, DRAWS, drawChange, MOST, type Strengths } from './change.ts';
import { fillOf, type FillOptions } from './geometric.ts';

/** The ranges of AutoAugment. Shifts are shares of the size: the paper has 150 of 331 pixels. */
const RANGES: Strengths = {
  shear: 0.3,
  shift: (size) => (150 / 331) * size,
  rotate: 30,
  factor: 0.9,
  bits: 4,
};

export interface RandAugmentOptions extends FillOptions {
  /** The number of augmentations of each image, N in the paper. Default 2. */
  readonly operations?: number;
  /** The strength of all augmentations from 0 to 30, M in the paper. Default 9. */
  readonly magnitude?: number;
}

/**
 * Changes each image by several random augmentations of the same strength, one after another. They are those of `trivialAugment`:
 * identity, shear and shift along x and y, rotation, brightness, color, contrast, sharpness, posterize, solarize, auto contrast and
 * equalize. Signs are random, and an augmentation can occur twice.
 *
 * At magnitude 30, shears are 0.3, shifts 150/331 of the size, rotations 30 degrees, factors 0.1 or 1.9, 4 bits are kept, and everything
 * is inverted. At smaller magnitudes all of them are proportionally closer to no change.
 *
 * Images have one or three channels, from 0 to white (255 for bytes, 1 for floats). Masks, boxes and points move with the image.
 *
 * Source: Cubuk et al., RandAugment: Practical automated data augmentation with a reduced search space, 2019; torchvision, `RandAugment`,
 * with its ranges. Values are not rounded, except by posterize and equalize.
 * Throws RangeError unless operations is an integer from 1 to 14 and magnitude an integer from 0 to 30.
 * Throws TypeError for an unknown option or fill.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), randAugment({ magnitude: 5 })] });
 */
export function randAugment(options: RandAugmentOptions = {}): Augmentation {
  checkOptions('randAugment', options, ['operations', 'magnitude', 'fill']);
  const { operations = 2, magnitude = 9, ...rest } = options;
  const fill = fillOf('randAugment', rest);
  checkInteger('randAugment', 'operations', operations, 1, 14);
  checkInteger('randAugment', 'magnitude', magnitude, 0, MOST);
  const one = change('randAugment', fill);
  const each = <T>(x: T, draws: Tensor, apply: (x: T, draws: Tensor) => T): T =>
    Array.from({ length: operations }, (_, i) =>
      slice(draws, [null, { begin: i * DRAWS, end: (i + 1) * DRAWS }]),
    ).reduce(apply, x);
  return {
    config: { kind: 'randAugment', operations, magnitude, fill },
    draw: (random, example) =>
      Array.from({ length: operations }, () => drawChange(random, example, RANGES, () => magnitude)).flat(),
    images: (images, draws, range) =>
      each(images, draws, (current, numbers) => one.images(current, numbers, range)),
    targets: {
      mask: (masks, draws, value) =>
        each(masks, draws, (current, numbers) => one.targets.mask(current, numbers, value)),
      image: (images, draws, value) =>
        each(images, draws, (current, numbers) => one.targets.image(current, numbers, value)),
      boxes: (boxes, draws, size) =>
        each(boxes, draws, (current, numbers) => one.targets.boxes(current, numbers, size)),
      points: (points, draws, size) =>
        each(points, draws, (current, numbers) => one.targets.points(current, numbers, size)),
    },
  };
}
