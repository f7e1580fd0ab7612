/** Pooling over windows of an image, channels last, with Caffe's borders where asked. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { formatShape, pair, placeWindow, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { avgPool2dOp, maxPool2dOp, type PoolAttrs } from './primitives/pool.ts';
import { max, mean } from './reduce.ts';

export interface PoolOptions {
  /** Default: the kernel. */
  readonly stride?: Pair;
  /** Default 'valid'. */
  readonly padding?: Padding;
  /** Round the output size up, with windows clipped at the border (Caffe's rule). Default false. */
  readonly ceil?: boolean;
}

export interface AvgPoolOptions extends PoolOptions {
  /**
   * What an average at the border is divided by: 'clipped' counts the window's positions inside the padded image
   * (Caffe), 'inside' those inside the image (padding not counted). Default 'clipped'.
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
  const window = placeWindow(where, input, pair(kernel), stride, padding, ceil);
  const [kh, kw] = window.kernel;
  if (Math.max(window.pad[0], window.pad[1]) >= kh || Math.max(window.pad[2], window.pad[3]) >= kw) {
    throw new ShapeError(
      `${where}: padding ${formatShape(window.pad)} reaches the window's size ${kh}×${kw}, so a window could lie ` +
        `outside the image (pad less than the kernel)`,
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
 * Largest value of each window; positions outside the image never win.
 *
 * Shapes: x [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Ties go to the first maximum in row order; NaN wins.
 */
export function maxPool2d(x: TensorLike, kernel: Pair, options: PoolOptions = {}): Tensor {
  const t = toTensor(x);
  return maxPool2dOp([t], poolAttrs('maxPool2d', t, kernel, options, false))[0];
}

/** Mean of each window, shapes as in `maxPool2d`; see `divisor` for borders. */
export function avgPool2d(x: TensorLike, kernel: Pair, options: AvgPoolOptions = {}): Tensor {
  const t = toTensor(x);
  const { divisor = 'clipped' } = options;
  if (divisor !== 'clipped' && divisor !== 'inside') {
    throw new RangeError(`avgPool2d: divisor must be 'clipped' or 'inside', got ${JSON.stringify(divisor)}`);
  }
  return avgPool2dOp([t], poolAttrs('avgPool2d', t, kernel, options, divisor === 'inside'))[0];
}

/** Mean of each image's channels. Shapes: x [N, H, W, C] -> [N, C]. Throws ShapeError for images without pixels. */
export function globalAvgPool2d(x: TensorLike): Tensor {
  const t = toTensor(x);
  expectRank('globalAvgPool2d', t, 4, 'images [N, H, W, C]');
  return mean(t, [1, 2]);
}

/** Largest value of each image's channels, the first of several. Shapes and errors as in `globalAvgPool2d`. */
export function globalMaxPool2d(x: TensorLike): Tensor {
  const t = toTensor(x);
  expectRank('globalMaxPool2d', t, 4, 'images [N, H, W, C]');
  return max(t, [1, 2]);
}
