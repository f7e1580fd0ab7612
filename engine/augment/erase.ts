/** Augmentations that erase a rectangle. They move no pixels, so targets stay as they are. */
import type { Augmentation } from '../augmentation.ts';
import { arange } from '../ops/create.ts';
import { and, greaterEqual, less, where } from '../ops/elementwise.ts';
import { reshape, slice } from '../ops/layout.ts';
import { checkInteger, checkNumber, checkOptions, show } from '../options.ts';
import type { Tensor } from '../tensor.ts';

/** Top, left, bottom and right. The last two are exclusive. */
type Rectangle = readonly [number, number, number, number];

const NOTHING: Rectangle = [0, 0, 0, 0];

/** Images with a rectangle of each, draws [N, 4], set to a value. */
function erased(images: Tensor, draws: Tensor, value: Tensor): Tensor {
  const [n, height, width] = images.shape;
  const [top, left, bottom, right] = [0, 1, 2, 3].map((i) =>
    reshape(slice(draws, [null, i]), [n, 1, 1, 1]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const [rows, columns] = [reshape(arange(height), [height, 1, 1]), reshape(arange(width), [width, 1])];
  const isInside = and(
    and(greaterEqual(rows, top), less(rows, bottom)),
    and(greaterEqual(columns, left), less(columns, right)),
  );
  return where(isInside, value, images);
}

/**
 * Erases a square of `size` pixels around a random center in each image, cut off at the border. Erased pixels are 0 after `normalize`.
 *
 * Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
 * Throws RangeError unless size is a positive integer.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), cutout(16)] });
 */
export function cutout(size: number): Augmentation {
  checkInteger('cutout', 'size', size, 1);
  return {
    config: { kind: 'cutout', size },
    draw(random, { height, width }) {
      const top = random.below(height) - Math.floor(size / 2);
      const left = random.below(width) - Math.floor(size / 2);
      return [top, left, top + size, left + size];
    },
    images: (images, draws, { neutral }) => erased(images, draws, neutral),
    targets: 'unchanged',
  };
}

export interface ErasingOptions {
  /** The share of images that lose a rectangle. Default 0.5. */
  readonly probability?: number;
  /** The smallest and the largest share of the area of an image. Default [0.02, 0.33]. */
  readonly area?: readonly [number, number];
  /** The smallest and the largest ratio of height to width. Its logarithm is uniform. Default [0.3, 3.3]. */
  readonly ratio?: readonly [number, number];
}

/** A rectangle that does not fit is drawn again, at most this often. */
const TRIES = 10;

/**
 * Erases a random rectangle of some images. Erased pixels are 0 after `normalize`.
 *
 * Source: Zhong et al., Random Erasing Data Augmentation, 2017; torchvision, `RandomErasing`, with its ranges.
 * Throws RangeError or TypeError for an option that is unknown or out of range.
 *
 * @example const data = loader(train, { batchSize: 128, augment: [crop(4), flip(), randomErasing()] });
 */
export function randomErasing(options: ErasingOptions = {}): Augmentation {
  checkOptions('randomErasing', options, ['probability', 'area', 'ratio']);
  const { probability = 0.5, area = [0.02, 0.33], ratio = [0.3, 3.3] } = options;
  checkNumber('randomErasing', 'probability', probability, 'in [0, 1]', (p) => p >= 0 && p <= 1);
  checkRange('area', area, 1);
  checkRange('ratio', ratio, Infinity);
  return {
    config: { kind: 'randomErasing', probability, area: [...area], ratio: [...ratio] },
    draw(random, { height, width }) {
      if (random.uniform() >= probability) return NOTHING;
      for (let i = 0; i < TRIES; i++) {
        const pixels = height * width * (area[0] + (area[1] - area[0]) * random.uniform());
        const shape = ratio[0] * (ratio[1] / ratio[0]) ** random.uniform();
        const [h, w] = [Math.round(Math.sqrt(pixels * shape)), Math.round(Math.sqrt(pixels / shape))];
        if (h >= height || w >= width) continue;
        const [top, left] = [random.below(height - h + 1), random.below(width - w + 1)];
        return [top, left, top + h, left + w];
      }
      return NOTHING;
    },
    images: (images, draws, { neutral }) => erased(images, draws, neutral),
    targets: 'unchanged',
  };
}

function checkRange(name: string, range: unknown, most: number): void {
  const isShare = (x: unknown): x is number => typeof x === 'number' && x > 0 && x <= most && x < Infinity;
  if (Array.isArray(range) && range.length === 2 && range.every(isShare) && range[0] <= range[1]) return;
  throw new RangeError(
    `randomErasing: ${name} must be the smallest and the largest value above 0${most === 1 ? ', at most 1' : ''}, got ` +
      (Array.isArray(range) ? `[${range.join(', ')}]` : show(range)),
  );
}
