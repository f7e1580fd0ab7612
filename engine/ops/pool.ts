/** Pooling over windows of images, NHWC, with Caffe's borders as an option. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkOptions } from '../options.ts';
import { formatShape, formatType, pair, placeWindow, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { avgPool2dOp, maxPool2dOp, type PoolAttrs } from './primitives/pool.ts';
import { max, mean } from './reduce.ts';

export interface PoolOptions {
  /** Pixels between windows: one number, or [vertical, horizontal]. Default: the kernel. */
  readonly stride?: Pair;
  /** Padding in pixels, or 'same' or 'valid'. Default 'valid'. */
  readonly padding?: Padding;
  /** Round the output size up, and clip windows at the border (Caffe's rule). Default false. */
  readonly ceil?: boolean;
}

export interface AvgPoolOptions extends PoolOptions {
  /**
   * Divisor of averages at the border. 'clipped' counts the positions of the window inside the padded image (Caffe). 'inside'
   * counts those inside the image, without padding. Default 'clipped'.
   */
  readonly divisor?: 'clipped' | 'inside';
}

function poolAttrs(
  where: string,
  x: Tensor,
  kernel: Pair,
  { stride = kernel, padding = 'valid', ceil = false }: PoolOptions,
  insideOnly: boolean,
): PoolAttrs {
  expectRank(where, x, 4, 'images [N, H, W, C]');
  const input = [x.shape[1], x.shape[2]] as const;
  const window = placeWindow(where, input, pair(kernel, `${where}: kernel`), stride, padding, ceil);
  const [kh, kw] = window.kernel;
  if (Math.max(window.pad[0], window.pad[1]) >= kh || Math.max(window.pad[2], window.pad[3]) >= kw) {
    throw new ShapeError(
      `${where}: padding ${formatShape(window.pad)} must be smaller than the kernel ${kh}×${kw}, or a window could lie ` +
        `outside the image (pad less)`,
    );
  }
  return {
    kernel: window.kernel,
    stride: window.stride,
    pad: window.pad,
    input,
    output: window.out,
    insideOnly,
  };
}

/**
 * Maximum of each window. Padding never wins. Ties go to the first maximum in row-major order, and NaN wins over every
 * number.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws ShapeError if x is not `f32` [N, H, W, C], no window fits, the padding reaches the size of the kernel, or a size
 * is not a positive integer.
 * Throws TypeError for an unknown option.
 *
 * @example maxPool2d([[[[1], [5]], [[7], [2]]]], 2) // [[[[7]]]]
 */
export function maxPool2d(x: TensorLike, kernel: Pair, options: PoolOptions = {}): Tensor {
  checkOptions('maxPool2d', options, ['stride', 'padding', 'ceil']);
  const t = toTensor('maxPool2d', x);
  return maxPool2dOp([t], poolAttrs('maxPool2d', t, kernel, options, false))[0];
}

/**
 * Mean of each window. See `divisor` for windows at the border.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws ShapeError if x is not `f32` [N, H, W, C], no window fits, the padding reaches the size of the kernel, or a size
 * is not a positive integer.
 * Throws RangeError if the divisor is unknown.
 * Throws TypeError for an unknown option.
 *
 * @example avgPool2d([[[[1], [5]], [[7], [2]]]], 2) // [[[[3.75]]]]
 */
export function avgPool2d(x: TensorLike, kernel: Pair, options: AvgPoolOptions = {}): Tensor {
  checkOptions('avgPool2d', options, ['stride', 'padding', 'ceil', 'divisor']);
  const t = toTensor('avgPool2d', x);
  const { divisor = 'clipped' } = options;
  if (divisor !== 'clipped' && divisor !== 'inside') {
    throw new RangeError(`avgPool2d: divisor must be 'clipped' or 'inside', got ${JSON.stringify(divisor)}`);
  }
  return avgPool2dOp([t], poolAttrs('avgPool2d', t, kernel, options, divisor === 'inside'))[0];
}

/**
 * Mean of each channel over all pixels of an image.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, C].
 * Throws ShapeError if x is not `f32` [N, H, W, C], or has no pixels.
 *
 * @example globalAvgPool2d([[[[1, 10], [3, 30]]]]) // [[2, 20]]
 */
export function globalAvgPool2d(x: TensorLike): Tensor {
  const t = withPixels('globalAvgPool2d', x);
  return mean(t, [1, 2]);
}

/**
 * Maximum of each channel over all pixels of an image. The gradient goes to the first maximum only.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, C].
 * Throws ShapeError if x is not `f32` [N, H, W, C], or has no pixels.
 *
 * @example globalMaxPool2d([[[[1, 10], [3, 30]]]]) // [[3, 30]]
 */
export function globalMaxPool2d(x: TensorLike): Tensor {
  const t = withPixels('globalMaxPool2d', x);
  return max(t, [1, 2]);
}

function withPixels(where: string, x: TensorLike): Tensor {
  const t = floats(where, x);
  expectRank(where, t, 4, 'images [N, H, W, C]');
  if (t.shape[1] * t.shape[2] === 0) {
    throw new ShapeError(`${where}: expects images with pixels but got ${formatType(t)}`);
  }
  return t;
}
