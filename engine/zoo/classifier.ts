/** Image classifiers by name, and which of them suits a data set. */
import type { HostData, HostTensor } from '../index.ts';
import type * as nn from '../nn/index.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import { convnet } from './convnet.ts';
import { convnextTiny } from './convnext.ts';
import { densenet121 } from './densenet.ts';
import { lenet5 } from './lenet.ts';
import { mobilenetV2 } from './mobilenet.ts';
import type { ModelOptions } from './parts.ts';
import { resnet110, resnet18, resnet20, resnet32, resnet34, resnet44, resnet50, resnet56 } from './resnet.ts';
import { vitB16 } from './vit.ts';

export interface ClassifierOptions {
  /** Number of classes. */
  readonly classes: number;
  /** Height and width of the images in pixels. */
  readonly size: number;
  /** Channels of the images. Default 3. */
  readonly channels?: number;
  /** Mean of the images in the units of the data: `channelStats(train).mean`. Default: the images are normalized already. */
  readonly mean?: HostTensor | HostData | readonly number[];
  /** Standard deviation of the images in the units of the data. Needs `mean`. Default 1. */
  readonly std?: HostTensor | HostData | readonly number[];
}

interface Builder {
  readonly build: (options: ModelOptions, size: number) => nn.Layer;
  /** The smallest size. */
  readonly least: number;
  /** What the size must be a multiple of. Default 1. */
  readonly multiple?: number;
  /** The only size. */
  readonly only?: number;
}

/** Images up to this size keep their resolution in the first layers of ResNets. */
const SMALL = 48;
const stem = (size: number) => ({ stem: size <= SMALL ? 'cifar' : 'imagenet' }) as const;

const BUILDERS = {
  convnet: { build: convnet, least: 16 },
  lenet5: { build: (options) => lenet5({ channels: 3, ...options }), least: 28, only: 28 },
  resnet20: { build: resnet20, least: 8 },
  resnet32: { build: resnet32, least: 8 },
  resnet44: { build: resnet44, least: 8 },
  resnet56: { build: resnet56, least: 8 },
  resnet110: { build: resnet110, least: 8 },
  resnet18: { build: (options, size) => resnet18({ ...options, ...stem(size) }), least: 16 },
  resnet34: { build: (options, size) => resnet34({ ...options, ...stem(size) }), least: 16 },
  resnet50: { build: (options, size) => resnet50({ ...options, ...stem(size) }), least: 16 },
  mobilenetV2: { build: mobilenetV2, least: 32 },
  densenet121: { build: densenet121, least: 32 },
  convnextTiny: { build: convnextTiny, least: 32 },
  vitB16: { build: (options, size) => vitB16({ ...options, size }), least: 16, multiple: 16 },
} as const satisfies Record<string, Builder>;

/** A name of `classifier`. */
export type ClassifierName = keyof typeof BUILDERS;

/** The names that `classifier` takes. */
export const CLASSIFIERS = Object.keys(BUILDERS) as readonly ClassifierName[];

/**
 * An image classifier of the zoo by its name, for square images of any size that it can take. ResNets 18, 34 and 50 get the CIFAR stem for
 * images of up to 48 pixels.
 *
 * Shapes: images x [N, size, size, channels] -> logits [N, classes].
 * Throws RangeError for an unknown name or a size that the model cannot take, and as the model does.
 *
 * @example nn.countParameters(classifier('resnet20', { classes: 10, size: 32 })) // 269722
 */
export function classifier(name: ClassifierName, options: ClassifierOptions): nn.Layer {
  checkOneOf('classifier', 'the name', name, CLASSIFIERS);
  checkOptions('classifier', options, ['classes', 'size', 'channels', 'mean', 'std']);
  const { size, ...rest } = options;
  const { build, least, multiple = 1, only }: Builder = BUILDERS[name];
  checkInteger(`classifier: ${name}`, 'size', size, only ?? least, only ?? 4096);
  if (size % multiple !== 0) {
    throw new RangeError(`classifier: ${name}: size must be a multiple of ${multiple}, got ${size}`);
  }
  return build(rest, size);
}

export interface SuggestClassifierOptions {
  /** Number of training images. */
  readonly images: number;
  /** Width of a typical image in pixels, for instance the median. */
  readonly width: number;
  /** Height of a typical image in pixels. */
  readonly height: number;
}

/** A choice and its reasons, as text for people. */
export interface SuggestedClassifier {
  readonly name: ClassifierName;
  /** Height and width to resize the images to, in pixels. */
  readonly size: number;
  readonly why: { readonly name: string; readonly size: string };
}

/** Sizes that halve at least four times. */
const SIZES = [32, 48, 64, 96, 128] as const;
/** From this number of images on, a network with more parameters is worth its time. */
const MANY = 1000;
/** Images below this size need no large network. */
const LARGE = 64;

/**
 * A classifier and an input size for images that train from scratch on a CPU: `convnet` with 0.1 million parameters for fewer than 1,000
 * images, ResNet-20 with 0.27 million for small images, ResNet-18 with 11 million for others. Images of fewer than 1,000 are resized to at
 * most 64 pixels, others to at most 128. Images are not enlarged, except to 32 pixels.
 *
 * Units: pixels.
 * Throws RangeError for numbers below 1.
 *
 * @example suggestClassifier({ images: 180, width: 640, height: 480 }).size // 64
 */
export function suggestClassifier(options: SuggestClassifierOptions): SuggestedClassifier {
  const where = 'suggestClassifier';
  checkOptions(where, options, ['images', 'width', 'height']);
  const { images, width, height } = options;
  for (const [key, value] of Object.entries({ images, width, height })) checkInteger(where, key, value, 1);
  const side = Math.min(width, height);
  const few = images < MANY;
  const cap = few ? 64 : 128;
  const size = SIZES.findLast((each) => each <= side && each <= cap) ?? SIZES[0];
  const [name, why] = few
    ? (['convnet', `0.1 million parameters for ${images} training images`] as const)
    : side < LARGE
      ? (['resnet20', `0.27 million parameters for images of ${side} pixels`] as const)
      : (['resnet18', `11 million parameters for ${images} training images`] as const);
  const atMost = side > cap ? `, but inputs larger than ${cap} make training slow` : '';
  return {
    name,
    size,
    why: {
      name: why,
      size:
        side < size
          ? `the smallest size; the images have ${width} x ${height} pixels`
          : `the images have ${width} x ${height} pixels${atMost}`,
    },
  };
}
