/** Resizing of images by interpolation. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkOptions } from '../options.ts';
import { formatShape, formatType, pair, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { resize2dOp } from './primitives/resize.ts';

export interface ResizeOptions {
  /** Nearest pixel, or bilinear interpolation of four pixels. Default 'nearest'. */
  readonly mode?: 'nearest' | 'bilinear';
  /** For 'bilinear': align the centers of the corner pixels instead of the borders of the images. Default false. */
  readonly alignCorners?: boolean;
}

/**
 * Resizes images by nearest-neighbor or bilinear interpolation.
 *
 *   nearest:  source = ⌊i · in / out⌋
 *   bilinear: source = max((i + ½) · in / out − ½, 0), or with alignCorners i · (in − 1) / (out − 1)
 *
 * There is no antialiasing: shrinking does not average the pixels in between.
 *
 * Shapes: x `f32` [N, H, W, C], size [H', W'] or one number for both -> [N, H', W', C].
 * Source: torch.nn.functional.interpolate.
 * Throws ShapeError if x is not `f32` [N, H, W, C] or has no pixels, or a size is not a positive integer.
 * Throws RangeError if the mode is unknown, or `alignCorners` is set for mode 'nearest'.
 * Throws TypeError for an unknown option.
 *
 * @example resize2d([[[[1], [3]]]], [1, 4], { mode: 'bilinear' }) // [[[[1], [1.5], [2.5], [3]]]]
 */
export function resize2d(x: TensorLike, size: Pair, options: ResizeOptions = {}): Tensor {
  checkOptions('resize2d', options, ['mode', 'alignCorners']);
  const image = toTensor('resize2d', x);
  const { mode = 'nearest', alignCorners = false } = options;
  expectRank('resize2d', image, 4, 'images [N, H, W, C]');
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new RangeError(`resize2d: mode must be 'nearest' or 'bilinear', got ${JSON.stringify(mode)}`);
  }
  if (mode === 'nearest' && alignCorners) {
    throw new RangeError(`resize2d: alignCorners requires mode 'bilinear', got mode 'nearest'`);
  }
  const input = [image.shape[1], image.shape[2]] as const;
  const output = pair(size, 'resize2d: size');
  if (Math.min(...input) < 1) {
    throw new ShapeError(`resize2d: expects images with pixels but got ${formatType(image)}`);
  }
  if (output.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new ShapeError(`resize2d: size must be positive integers, got ${formatShape(output)}`);
  }
  return resize2dOp([image], { input, output, bilinear: mode === 'bilinear', alignCorners })[0];
}
