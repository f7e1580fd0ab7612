/** The changes of TrivialAugment and RandAugment: one for each image, with a strength. */
import type { Augmentation, DrawnExample, TargetMoves } from '../augmentation.ts';
import { add, equal, greater, maximum, mul, where } from '../ops/elementwise.ts';
import { slice } from '../ops/layout.ts';
import type { Stream } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import { asImages, asPlanes, blended, blurred, factors, gray, meanOf } from './color.ts';
import { geometric, inverse, type Affine, type Fill } from './geometric.ts';
import { equalized, inverted, quantized, stretched } from './levels.ts';

/** What is drawn for an image. A value that is left out changes nothing. */
interface Change {
  readonly map?: Affine;
  /** Factor on the image, whose rest is black, its gray, its mean gray or the smoothed image. */
  readonly factor?: number;
  readonly toward?: 'black' | 'gray' | 'mean' | 'smooth';
  /** Values from here on are inverted, in bytes. */
  readonly solarize?: number;
  /** The bits that are kept of 8. */
  readonly bits?: number;
  readonly autoContrast?: boolean;
  readonly equalize?: boolean;
}

/** The largest strengths of the changes. */
export interface Strengths {
  readonly shear: number;
  /** In pixels. */
  readonly shift: (size: number) => number;
  /** In degrees. */
  readonly rotate: number;
  /** Added to a factor of 1, or subtracted. */
  readonly factor: number;
  /** The bits that posterize takes away. */
  readonly bits: number;
}

/** Strengths have an index from 0, no change, to this one, the largest. */
export const MOST = 30;

/**
 * The changes of an image by a share m of the largest strength with a sign, by their names in torchvision. Shears keep the upper left
 * corner of the image in place.
 */
function changes(
  { shear, shift, rotate, factor, bits }: Strengths,
  { height, width }: DrawnExample,
): readonly ((m: number, sign: number) => Change)[] {
  const toward =
    (other: NonNullable<Change['toward']>) =>
    (m: number, sign: number): Change => ({ factor: 1 + sign * m * factor, toward: other });
  return [
    /* Identity */ () => ({}),
    /* ShearX */ (m, sign) => ({ map: [1, -sign * m * shear, (-sign * m * shear * height) / 2, 0, 1, 0] }),
    /* ShearY */ (m, sign) => ({ map: [1, 0, 0, -sign * m * shear, 1, (-sign * m * shear * width) / 2] }),
    /* TranslateX */ (m, sign) => ({ map: [1, 0, sign * Math.trunc(m * shift(width)), 0, 1, 0] }),
    /* TranslateY */ (m, sign) => ({ map: [1, 0, 0, 0, 1, sign * Math.trunc(m * shift(height))] }),
    /* Rotate */ (m, sign) => {
      const angle = (sign * m * rotate * Math.PI) / 180;
      return { map: [Math.cos(angle), Math.sin(angle), 0, -Math.sin(angle), Math.cos(angle), 0] };
    },
    /* Brightness */ toward('black'),
    /* Color */ toward('gray'),
    /* Contrast */ toward('mean'),
    /* Sharpness */ toward('smooth'),
    /* Posterize */ (m) => ({ bits: 8 - Math.round(m * bits) }),
    /* Solarize */ (m) => ({ solarize: 255 * (1 - m) }),
    /* AutoContrast */ () => ({ autoContrast: true }),
    /* Equalize */ () => ({ equalize: true }),
  ];
}

/** Draws one change of an image, as the numbers of `change`. `drawStrength` gives the index of its strength. */
export function drawChange(
  random: Stream,
  example: DrawnExample,
  strengths: Strengths,
  drawStrength: (random: Stream) => number,
): readonly number[] {
  const all = changes(strengths, example);
  const change = all[random.below(all.length)];
  return numbersOf(change(drawStrength(random) / MOST, random.below(2) === 0 ? 1 : -1));
}

const TOWARD = ['gray', 'mean', 'smooth'] as const;

/** Above all values, so that nothing is inverted. */
const NEVER = 256;

const numbersOf = ({
  map = [1, 0, 0, 0, 1, 0],
  factor = 1,
  toward,
  solarize = NEVER,
  bits = 8,
  autoContrast = false,
  equalize = false,
}: Change): readonly number[] => [
  ...inverse(map),
  factor,
  ...TOWARD.map((other) => (toward === other ? 1 : 0)),
  solarize,
  bits === 8 ? 0 : 2 ** (8 - bits),
  autoContrast ? 1 : 0,
  equalize ? 1 : 0,
];

/** The number of draws of one change. */
export const DRAWS = numbersOf({}).length;

/** Changes images by the draws of `drawChange`, and moves their targets. */
export function change(
  kind: string,
  fill: Fill,
): Pick<Augmentation, 'images'> & { readonly targets: Required<TargetMoves> } {
  const moved = geometric({ config: { kind }, fill, mode: 'nearest', map: () => [1, 0, 0, 0, 1, 0] });
  const targets = moved.targets as Required<TargetMoves>;
  return {
    images(images, draws, range) {
      const { white } = range;
      const planes = asPlanes(moved.images(images, mapOf(draws), range));
      const [factor, towardGray, towardMean, towardSmooth, threshold, size, auto, equalize] = Array.from(
        { length: DRAWS - 6 },
        (_, i) => factors(slice(draws, [null, 6 + i])),
      ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
      const brightness = gray(kind, planes);
      const other = add(
        add(mul(brightness, towardGray), mul(meanOf(brightness), towardMean)),
        mul(blurred(planes), towardSmooth),
      );
      const colored = inverted(blended(planes, other, factor, white), mul(threshold, white / 255), white);
      const rounded = where(greater(size, 0), quantized(colored, maximum(size, 1), white), colored);
      const contrasted = where(equal(auto, 1), stretched(rounded, white), rounded);
      return asImages(where(equal(equalize, 1), equalized(contrasted, white), contrasted));
    },
    targets: {
      mask: (masks, draws, value) => targets.mask(masks, mapOf(draws), value),
      image: (images, draws, value) => targets.image(images, mapOf(draws), value),
      boxes: (boxes, draws, size) => targets.boxes(boxes, mapOf(draws), size),
      points: (points, draws, size) => targets.points(points, mapOf(draws), size),
    },
  };
}

const mapOf = (draws: Tensor): Tensor => slice(draws, [null, { end: 6 }]);
