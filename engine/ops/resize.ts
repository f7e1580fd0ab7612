/** Resizing images by interpolation. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { formatShape, pair, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { resize2dOp } from './primitives/resize.ts';

export interface ResizeOptions {
  /** Default 'nearest'. */
  readonly mode?: 'nearest' | 'bilinear';
  /** Bilinear: the corner pixels' centers stay in the corners, instead of the image's borders. Default false. */
  readonly alignCorners?: boolean;
}

/**
 * Images of another size: each position takes the nearest pixel, or mixes the four around it.
 *
 *   nearest:  source = ⌊i · in / out⌋
 *   bilinear: source = max((i + ½) · in / out − ½, 0), or with alignCorners i · (in − 1) / (out − 1)
 *
 * Shapes: x [N, H, W, C], size [H', W'] -> [N, H', W', C]. Shrinking does not average what lies between.
 * Throws ShapeError for images without pixels and sizes that are not positive, RangeError for unknown modes.
 * Source: torch.nn.functional.interpolate.
 */
export function resize2d(x: TensorLike, size: Pair, options: ResizeOptions = {}): Tensor {
  const image = toTensor(x);
  const { mode = 'nearest', alignCorners = false } = options;
  expectRank('resize2d', image, 4, 'images [N, H, W, C]');
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new RangeError(`resize2d: mode must be 'nearest' or 'bilinear', got ${JSON.stringify(mode)}`);
  }
  if (mode === 'nearest' && alignCorners) {
    throw new RangeError(`resize2d: alignCorners is for mode 'bilinear', got mode 'nearest'`);
  }
  const input = [image.shape[1], image.shape[2]] as const;
  const output = pair(size);
  if (Math.min(...input) < 1) {
    throw new ShapeError(`resize2d: there are no pixels in ${formatShape(image.shape)}`);
  }
  if (output.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new ShapeError(`resize2d: size must be positive integers, got ${formatShape(output)}`);
  }
  return resize2dOp([image], { input, output, bilinear: mode === 'bilinear', alignCorners })[0];
}
