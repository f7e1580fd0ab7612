/** TrivialAugment: one random augmentation of random strength for each image. */
import type { Augmentation, TargetMoves } from '../augmentation.ts';
import { add, clamp, div, floor, greaterEqual, maximum, mul, sub, where } from '../ops/elementwise.ts';
import { slice } from '../ops/layout.ts';
import { max, min } from '../ops/reduce.ts';
import { checkOptions } from '../options.ts';
import type { Stream } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import { blended, factors, gray, meanGray } from './color.ts';
import { checkFill, geometric, inverse, type Affine, type FillOptions } from './geometric.ts';

/** What is drawn for an image. A value that is left out changes nothing. */
interface Change {
  readonly map?: Affine;
  /** Factor on the image, whose rest is black, its gray or its mean gray. */
  readonly factor?: number;
  readonly toward?: 'black' | 'gray' | 'mean';
  /** Values from here on are inverted, as a share of white. */
  readonly solarize?: number;
  /** Values are rounded down to this many bits. */
  readonly bits?: number;
  readonly autoContrast?: boolean;
}

/** The changes by their names in TorchVision, with a strength from 0 to 1 and a random sign. */
const CHANGES: readonly ((strength: number, sign: number) => Change)[] = [
  /* Identity */ () => ({}),
  /* ShearX */ (m, sign) => ({ map: [1, 0.99 * m * sign, 0, 0, 1, 0] }),
  /* ShearY */ (m, sign) => ({ map: [1, 0, 0, 0.99 * m * sign, 1, 0] }),
  /* TranslateX */ (m, sign) => ({ map: [1, 0, Math.round(32 * m * sign), 0, 1, 0] }),
  /* TranslateY */ (m, sign) => ({ map: [1, 0, 0, 0, 1, Math.round(32 * m * sign)] }),
  /* Rotate */ (m, sign) => {
    const angle = (135 * m * sign * Math.PI) / 180;
    return { map: [Math.cos(angle), Math.sin(angle), 0, -Math.sin(angle), Math.cos(angle), 0] };
  },
  /* Brightness */ (m, sign) => ({ factor: 1 + 0.99 * m * sign, toward: 'black' }),
  /* Color */ (m, sign) => ({ factor: 1 + 0.99 * m * sign, toward: 'gray' }),
  /* Contrast */ (m, sign) => ({ factor: 1 + 0.99 * m * sign, toward: 'mean' }),
  /* Posterize */ (m) => ({ bits: 8 - Math.round(6 * m) }),
  /* Solarize */ (m) => ({ solarize: 1 - m }),
  /* AutoContrast */ () => ({ autoContrast: true }),
];

/** The number of strengths, from 0 to 1. */
const LEVELS = 31;

/** Above all values, so that nothing is inverted. */
const NEVER = 2;

/** One of the draws after the affine map, [N, 1, 1, 1]. */
const drawn = (draws: Tensor, at: number): Tensor => factors(slice(draws, [null, 6 + at]));

/**
 * Changes each image by one random augmentation of random strength: identity, shear, shift, rotation, brightness, color, contrast,
 * posterize, solarize or auto contrast, in the wide ranges of the paper. Shifts are up to 32 pixels. It has no parameters to tune.
 *
 * Of the 14 augmentations of the paper, sharpness and equalize are left out. Images have one or three channels, from 0 to white (255
 * for bytes, 1 for floats). Masks, boxes and points move with the image.
 *
 * Source: Müller and Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, 2021; torchvision,
 * `TrivialAugmentWide`.
 * Throws TypeError for an unknown option or fill.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), trivialAugment()] });
 */
export function trivialAugment(options: FillOptions = {}): Augmentation {
  checkOptions('trivialAugment', options, ['fill']);
  const { fill = 'zero' } = options;
  checkFill('trivialAugment', fill);
  const moved = geometric({
    config: { kind: 'trivialAugment', fill },
    fill,
    mode: 'nearest',
    map: () => [1, 0, 0, 0, 1, 0],
  });
  const targets = moved.targets as TargetMoves;
  return {
    ...moved,
    draw: (random) => numbersOf(drawChange(random)),
    images(images, draws, range) {
      const { white } = range;
      const at = moved.images(images, mapOf(draws), range);
      const [factor, towardGray, towardMean, solarize, step, auto] = [0, 1, 2, 3, 4, 5].map((i) =>
        drawn(draws, i),
      ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
      const other = add(
        mul(gray('trivialAugment', at), towardGray),
        mul(meanGray('trivialAugment', at), towardMean),
      );
      const colored = blended(at, other, factor, white);
      const inverted = where(greaterEqual(colored, mul(solarize, white)), sub(white, colored), colored);
      const size = mul(step, white);
      const rounded = where(
        greaterEqual(0, step),
        inverted,
        mul(floor(div(inverted, maximum(size, 1e-6))), size),
      );
      return where(greaterEqual(auto, 1), stretched(rounded, white), rounded);
    },
    targets: {
      mask: (masks, draws, value) => targets.mask!(masks, mapOf(draws), value),
      image: (images, draws, value) => targets.image!(images, mapOf(draws), value),
      boxes: (boxes, draws, size) => targets.boxes!(boxes, mapOf(draws), size),
      points: (points, draws, size) => targets.points!(points, mapOf(draws), size),
    },
  };
}

const mapOf = (draws: Tensor): Tensor => slice(draws, [null, { end: 6 }]);

function drawChange(random: Stream): Change {
  const change = CHANGES[random.below(CHANGES.length)];
  return change(random.below(LEVELS) / (LEVELS - 1), random.below(2) === 0 ? 1 : -1);
}

function numbersOf({
  map = [1, 0, 0, 0, 1, 0],
  factor = 1,
  toward,
  solarize = NEVER,
  bits,
  autoContrast,
}: Change): number[] {
  return [
    ...inverse(map),
    factor,
    toward === 'gray' ? 1 : 0,
    toward === 'mean' ? 1 : 0,
    solarize,
    bits === undefined || bits === 8 ? 0 : 2 ** (8 - bits) / 255,
    autoContrast === true ? 1 : 0,
  ];
}

/** Each channel of each image stretched from black to white. A channel of one value stays as it is. */
function stretched(images: Tensor, white: number): Tensor {
  const [low, high] = [min(images, [1, 2], { keepDims: true }), max(images, [1, 2], { keepDims: true })];
  const range = sub(high, low);
  const scaled = mul(sub(images, low), div(white, maximum(range, 1e-6)));
  return where(greaterEqual(1e-6, range), images, clamp(scaled, 0, white));
}
