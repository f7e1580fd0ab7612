/** Filters that whiten the patches of images. */
import { ShapeError } from '../errors.ts';
import { eigh } from '../linalg.ts';
import { checkBoolean, checkInteger, checkNumber, checkOptions } from '../options.ts';
import { toHost } from '../ops/convert.ts';
import { formatShape } from '../shape.ts';
import type { HostTensor } from '../types.ts';

export interface WhiteningOptions {
  /** Height and width of the patches. Default 2. */
  readonly kernel?: number;
  /** Added to the eigenvalues. Default 5e-4. */
  readonly epsilon?: number;
  /** Whether to follow the filters by their negatives, for an activation that cuts off one side. Default false. */
  readonly negatives?: boolean;
}

/**
 * Weights of a convolution that whitens images: its outputs for their patches are uncorrelated and have mean square 1. The filters are
 * the principal components of the patches, the one with the smallest eigenvalue first.
 *
 *   filter i = vᵢ / √(λᵢ + epsilon), for the eigenvectors and eigenvalues of the mean of p pᵀ over all patches p
 *
 * The mean is not subtracted: normalize the images first.
 *
 * Shapes: images [N, H, W, C] -> [kernel, kernel, C, F] with F = kernel² · C, or twice as many with `negatives`.
 * Throws ShapeError unless images are [N, H, W, C] of at least the size of a patch, RangeError for an option out of range, and TypeError
 * for an unknown option.
 * Source: D. Page, How to Train Your ResNet, 2019; K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024.
 *
 * @example
 * const images = { shape: [8, 4, 4, 3], dtype: 'f32', data: Float32Array.from({ length: 384 }, (_, i) => Math.sin(i * i)) } as const;
 * const filters = whitening(images, { negatives: true });
 * filters.shape // [2, 2, 3, 24]
 */
export function whitening(images: HostTensor, options: WhiteningOptions = {}): HostTensor {
  checkOptions('whitening', options, ['kernel', 'epsilon', 'negatives']);
  const { kernel = 2, epsilon = 5e-4, negatives = false } = options;
  checkInteger('whitening', 'kernel', kernel, 1, 16);
  checkNumber('whitening', 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  checkBoolean('whitening', 'negatives', negatives);
  const { shape, data } = toHost('whitening: images', images);
  if (shape.length !== 4 || shape[0] < 1 || shape[1] < kernel || shape[2] < kernel) {
    throw new ShapeError(
      `whitening: images must be [N, H, W, C] with H, W >= ${kernel} but got ${formatShape(shape)}`,
    );
  }
  const channels = shape[3];
  const size = kernel * kernel * channels;
  const { values, vectors } = eigh(meanProduct(data, shape, kernel));
  const filters = negatives ? 2 * size : size;
  const weights = new Float32Array(size * filters);
  for (let i = 0; i < size; i++) {
    for (let f = 0; f < filters; f++) {
      const weight = vectors.data[i * size + (f % size)] / Math.sqrt(values.data[f % size] + epsilon);
      weights[i * filters + f] = f < size ? weight : -weight;
    }
  }
  return { shape: [kernel, kernel, channels, filters], dtype: 'f32', data: weights };
}

/** The mean of p pᵀ over all patches. */
function meanProduct(data: ArrayLike<number>, shape: readonly number[], kernel: number): HostTensor {
  const [count, height, width, channels] = shape;
  const size = kernel * kernel * channels;
  const sums = new Float64Array(size * size);
  const patch = new Float64Array(size);
  for (let n = 0; n < count; n++) {
    for (let y = 0; y + kernel <= height; y++) {
      for (let x = 0; x + kernel <= width; x++) {
        for (let i = 0; i < size; i++) {
          const [dy, rest] = [Math.floor(i / (kernel * channels)), i % (kernel * channels)];
          patch[i] = data[((n * height + y + dy) * width + x) * channels + rest];
        }
        for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) sums[i * size + j] += patch[i] * patch[j];
      }
    }
  }
  const patches = count * (height - kernel + 1) * (width - kernel + 1);
  const mean = Float64Array.from(sums, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return sums[Math.max(i, j) * size + Math.min(i, j)] / patches;
  });
  return { shape: [size, size], dtype: 'f32', data: mean };
}
