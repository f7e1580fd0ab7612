/** Pooling over windows of images, NHWC, with Caffe's borders as an option. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import { formatShape, formatType, pair, placeWindow, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { avgPool2dOp, maxPool2dOp, type PoolAttrs } from './primitives/pool.ts';
import { concat, slice } from './layout.ts';
import { max, mean } from './reduce.ts';
import { asRow, fromRow, rowPadding, type Padding1d } from './row.ts';

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
 * Mean of windows that divide each image into a grid of a given size, whatever the size of the image.
 *
 * Window i of an axis goes from ⌊i · in / out⌋ to ⌈(i + 1) · in / out⌉. Windows overlap if the size does not divide the image.
 *
 * Shapes: x `f32` [N, H, W, C], size [H', W'] or one number for both -> [N, H', W', C].
 * Source: torch.nn.AdaptiveAvgPool2d.
 * Throws ShapeError if x is not `f32` [N, H, W, C] or has no pixels, or a size is not a positive integer.
 *
 * @example adaptiveAvgPool2d([[[[1], [3], [5]]]], [1, 2]) // [[[[2], [4]]]]
 */
export const adaptiveAvgPool2d = (x: TensorLike, size: Pair): Tensor =>
  adaptive('adaptiveAvgPool2d', x, size, avgPool2d, mean);

/**
 * Maximum of windows that divide each image into a grid of a given size, whatever the size of the image. See `adaptiveAvgPool2d` for the
 * windows. The gradient goes to the first maximum of each window.
 *
 * Shapes: x `f32` [N, H, W, C], size [H', W'] or one number for both -> [N, H', W', C].
 * Source: torch.nn.AdaptiveMaxPool2d.
 * Throws ShapeError if x is not `f32` [N, H, W, C] or has no pixels, or a size is not a positive integer.
 *
 * @example adaptiveMaxPool2d([[[[1], [3], [5]]]], [1, 2]) // [[[[3], [5]]]]
 */
export const adaptiveMaxPool2d = (x: TensorLike, size: Pair): Tensor =>
  adaptive('adaptiveMaxPool2d', x, size, maxPool2d, max);

/** Pools by equal windows if they divide the image, else by the windows of each column, then of each row. */
function adaptive(
  where: string,
  x: TensorLike,
  size: Pair,
  pool: (x: Tensor, kernel: Pair) => Tensor,
  reduce: (x: Tensor, axis: number, options: { readonly keepDims: true }) => Tensor,
): Tensor {
  const t = withPixels(where, x);
  const output = pair(size, `${where}: size`);
  if (output.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new ShapeError(`${where}: size must be positive integers, got ${formatShape(output)}`);
  }
  const kernel = [t.shape[1] / output[0], t.shape[2] / output[1]] as const;
  if (kernel.every(Number.isInteger)) return pool(t, kernel);
  const along = (image: Tensor, axis: 1 | 2): Tensor => {
    const [from, to] = [image.shape[axis], output[axis - 1]];
    const windows = Array.from({ length: to }, (_, i) => {
      const range = { begin: Math.floor((i * from) / to), end: Math.ceil(((i + 1) * from) / to) };
      return reduce(slice(image, axis === 1 ? [null, range] : [null, null, range]), axis, { keepDims: true });
    });
    return concat(windows, axis);
  };
  return along(along(t, 2), 1);
}

export interface Pool1dOptions {
  /** Positions between windows. Default: the kernel. */
  readonly stride?: number;
  /** Padding on both sides, [before, after], or 'same' or 'valid'. Default 'valid'. */
  readonly padding?: Padding1d;
  /** Round the output size up, and clip windows at the end (Caffe's rule). Default false. */
  readonly ceil?: boolean;
}

export interface AvgPool1dOptions extends Pool1dOptions {
  /** Divisor of averages at the ends, as for `avgPool2d`. Default 'clipped'. */
  readonly divisor?: 'clipped' | 'inside';
}

/**
 * Maximum of each window along sequences: `maxPool2d` in one dimension.
 *
 * Shapes: x `f32` [N, L, C] -> [N, L', C], L' = floor((L + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Source: torch.nn.MaxPool1d.
 * Throws ShapeError if x is not `f32` [N, L, C], no window fits, or the padding reaches the size of the kernel.
 * Throws RangeError if the kernel or the stride is not a positive integer.
 * Throws TypeError for an unknown option.
 *
 * @example maxPool1d([[[1], [5], [7], [2]]], 2) // [[[5], [7]]]
 */
export function maxPool1d(x: TensorLike, kernel: number, options: Pool1dOptions = {}): Tensor {
  checkOptions('maxPool1d', options, ['stride', 'padding', 'ceil']);
  const t = asRow('maxPool1d', x);
  const attrs = poolAttrs('maxPool1d', t, [1, kernel], flat('maxPool1d', kernel, options), false);
  return fromRow(maxPool2dOp([t], attrs)[0]);
}

/**
 * Mean of each window along sequences: `avgPool2d` in one dimension.
 *
 * Shapes: x `f32` [N, L, C] -> [N, L', C], L' = floor((L + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Source: torch.nn.AvgPool1d.
 * Throws ShapeError if x is not `f32` [N, L, C], no window fits, or the padding reaches the size of the kernel.
 * Throws RangeError if the kernel or the stride is not a positive integer, or the divisor is unknown.
 * Throws TypeError for an unknown option.
 *
 * @example avgPool1d([[[1], [5], [7], [2]]], 2) // [[[3], [4.5]]]
 */
export function avgPool1d(x: TensorLike, kernel: number, options: AvgPool1dOptions = {}): Tensor {
  checkOptions('avgPool1d', options, ['stride', 'padding', 'ceil', 'divisor']);
  const { divisor = 'clipped', ...rest } = options;
  checkOneOf('avgPool1d', 'divisor', divisor, ['clipped', 'inside']);
  const t = asRow('avgPool1d', x);
  const attrs = poolAttrs('avgPool1d', t, [1, kernel], flat('avgPool1d', kernel, rest), divisor === 'inside');
  return fromRow(avgPool2dOp([t], attrs)[0]);
}

/** Options in one dimension as those of images of one row. */
function flat(
  where: string,
  kernel: number,
  { stride = kernel, padding = 'valid', ceil = false }: Pool1dOptions,
): PoolOptions {
  checkInteger(where, 'kernel', kernel, 1);
  checkInteger(where, 'stride', stride, 1);
  return { stride: [1, stride], padding: rowPadding(where, padding), ceil };
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
