/** TrivialAugment: one random augmentation of random strength for each image. */
import type { Augmentation } from '../augmentation.ts';
import { change, drawChange, MOST, type Strengths } from './change.ts';
import { fillOf, type FillOptions } from './geometric.ts';

/** The wide ranges of the paper. */
const WIDE: Strengths = { shear: 0.99, shift: () => 32, rotate: 135, factor: 0.99, bits: 6 };

/**
 * Changes each image by one random augmentation of random strength, of the 14 of the paper in its wide ranges: identity, shear and shift
 * along x and y, rotation, brightness, color, contrast, sharpness, posterize, solarize, auto contrast and equalize. Shifts are up to 32
 * pixels. It has no parameters to tune.
 *
 * Images have one or three channels, from 0 to white (255 for bytes, 1 for floats). Masks, boxes and points move with the image.
 *
 * Source: Müller and Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, 2021; torchvision,
 * `TrivialAugmentWide`. Values are not rounded, except by posterize and equalize.
 * Throws TypeError for an unknown option or fill.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), trivialAugment()] });
 */
export function trivialAugment(options: FillOptions = {}): Augmentation {
  const fill = fillOf('trivialAugment', options);
  return {
    config: { kind: 'trivialAugment', fill },
    draw: (random, example) => drawChange(random, example, WIDE, (level) => level.below(MOST + 1)),
    ...change('trivialAugment', fill),
  };
}
