/** Combinations of two examples of a batch. */
import type { Mixing } from '../augmentation.ts';
import { drawCutmix, drawMixup } from '../mixing.ts';
import { checkNumber } from '../options.ts';

const checkAlpha = (where: string, alpha: number): void =>
  checkNumber(
    where,
    'alpha',
    alpha,
    'a finite number >= 1e-6, the parameter of a Beta distribution',
    (x) => x >= 1e-6 && x < Infinity,
  );

/**
 * Mixes each example with a random partner of its batch: weight · x + (1 − weight) · partner. Each batch draws its weight from
 * Beta(alpha, alpha). The loss is mixed in the same way, so it supports any target. It is the last augmentation of a list.
 *
 * Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018.
 * Throws RangeError unless alpha is a finite number >= 1e-6.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), mixup(0.2)] });
 */
export function mixup(alpha = 1): Mixing {
  checkAlpha('mixup', alpha);
  return {
    config: { kind: 'mixup', alpha },
    hasBox: false,
    mix: (batch) => drawMixup(batch, alpha),
    short: { mixup: alpha },
  };
}

/**
 * Replaces a box of each image by that of a random partner of its batch. The box has the share 1 − λ of the area, with λ from
 * Beta(alpha, alpha), its center anywhere in the image, and is cut off at the border.
 *
 * Losses for labels are mixed by the exact shares of pixels. Masks and target images get the box of their partner. It is the last
 * augmentation of a list.
 *
 * Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers, 2019.
 * Throws RangeError unless alpha is a finite number >= 1e-6.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), cutmix()] });
 */
export function cutmix(alpha = 1): Mixing {
  checkAlpha('cutmix', alpha);
  return { config: { kind: 'cutmix', alpha }, hasBox: true, mix: (batch) => drawCutmix(batch, alpha) };
}
