/** Moves pixels into channels, and channels into pixels. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkInteger } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { reshape, transpose } from './layout.ts';

/**
 * Enlarges images by moving channels into pixels, for sub-pixel convolution. Channel c · factor² + i · factor + j of the input is pixel
 * (i, j) of channel c, as in PyTorch. TensorFlow's `depth_to_space` orders channels differently.
 *
 * Shapes: x of any dtype [N, H, W, C · factor²] -> [N, H · factor, W · factor, C].
 * Source: Shi et al., Real-Time Single Image and Video Super-Resolution, 2016; torch.nn.PixelShuffle.
 * Throws RangeError if the factor is not a positive integer.
 * Throws ShapeError if x is not [N, H, W, C], or the channels are not a multiple of factor².
 *
 * @example pixelShuffle([[[[1, 2, 3, 4]]]], 2) // [[[[1], [2]], [[3], [4]]]]
 */
export function pixelShuffle(x: TensorLike, factor: number): Tensor {
  checkInteger('pixelShuffle', 'factor', factor, 1);
  const t = toTensor('pixelShuffle', x);
  expectRank('pixelShuffle', t, 4, 'images [N, H, W, C]');
  const [n, h, w, c] = t.shape as [number, number, number, number];
  const channels = c / factor ** 2;
  if (!Number.isInteger(channels)) {
    throw new ShapeError(
      `pixelShuffle: the channels of ${formatType(t)} must be a multiple of factor² = ${factor ** 2}, got ${c}`,
    );
  }
  const split = transpose(reshape(t, [n, h, w, channels, factor, factor]), [0, 1, 4, 2, 5, 3]);
  return reshape(split, [n, h * factor, w * factor, channels]);
}

/**
 * Shrinks images by moving pixels into channels: the inverse of `pixelShuffle`.
 *
 * Shapes: x of any dtype [N, H · factor, W · factor, C] -> [N, H, W, C · factor²].
 * Source: torch.nn.PixelUnshuffle.
 * Throws RangeError if the factor is not a positive integer.
 * Throws ShapeError if x is not [N, H, W, C], or a side is not a multiple of the factor.
 *
 * @example pixelUnshuffle([[[[1], [2]], [[3], [4]]]], 2) // [[[[1, 2, 3, 4]]]]
 */
export function pixelUnshuffle(x: TensorLike, factor: number): Tensor {
  checkInteger('pixelUnshuffle', 'factor', factor, 1);
  const t = toTensor('pixelUnshuffle', x);
  expectRank('pixelUnshuffle', t, 4, 'images [N, H, W, C]');
  const [n, height, width, c] = t.shape as [number, number, number, number];
  const [h, w] = [height / factor, width / factor];
  if (!Number.isInteger(h) || !Number.isInteger(w)) {
    throw new ShapeError(
      `pixelUnshuffle: height and width of ${formatType(t)} must be multiples of the factor ${factor}, got ${height} and ${width}`,
    );
  }
  const split = transpose(reshape(t, [n, h, factor, w, factor, c]), [0, 1, 3, 5, 2, 4]);
  return reshape(split, [n, h, w, c * factor ** 2]);
}
