/** The public API of the augmentations. */
export type {
  Augmentation,
  AugmentationConfig,
  DrawnExample,
  ImageRange,
  Mix,
  MixedBatch,
  Mixing,
  TargetMoves,
} from '../augmentation.ts';
export { affine, alternatingFlip, crop, flip, geometric, rotate, scale, translate } from './geometric.ts';
export type { Affine, AffineOptions, Fill, FillOptions, FlipOptions, GeometricOptions } from './geometric.ts';
export { brightness, contrast, hue, saturation, sharpness } from './color.ts';
export { autoContrast, equalize, posterize, solarize } from './levels.ts';
export type { ChangeOptions } from './levels.ts';
export { cutout, randomErasing } from './erase.ts';
export type { ErasingOptions } from './erase.ts';
export { cutmix, mixup } from './mix.ts';
export { randAugment } from './rand.ts';
export type { RandAugmentOptions } from './rand.ts';
export { trivialAugment } from './trivial.ts';
