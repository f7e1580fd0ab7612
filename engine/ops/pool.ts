/** Pooling over windows of an image, channels last, with Caffe's borders where asked. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../op.ts';
import { formatShape, pair, placeWindow, sizeOf, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { takeAlong } from './gather.ts';
import { reshape } from './layout.ts';
import { max, mean } from './reduce.ts';

export type PoolAttrs = {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** [top, bottom, left, right] */
  readonly pad: readonly [number, number, number, number];
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  /** Average: divide by the window's part inside the image alone, instead of inside image and padding. */
  readonly insideOnly: boolean;
};

const pooled = (x: TensorType, { output }: PoolAttrs): Shape => [
  x.shape[0],
  output[0],
  output[1],
  x.shape[3],
];
const unpooled = (g: TensorType, { input }: PoolAttrs): Shape => [g.shape[0], input[0], input[1], g.shape[3]];
const windowSums = (shape: Shape, { kernel }: PoolAttrs): number => sizeOf(shape) * kernel[0] * kernel[1];

/** Results: the maxima, and where each lies in its image as y · W + x. The first maximum wins; so does the first NaN. */
export const maxPool2dOp = defineOp({
  name: 'maxPool2d',
  infer([x]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('maxPool2d', 'f32', x);
    return [
      { shape: pooled(x, attrs), dtype: 'f32' },
      { shape: pooled(x, attrs), dtype: 'i32' },
    ];
  },
  vjp: ({ outputs, grads, attrs }: Vjp<PoolAttrs>): Grads => [
    maxPool2dGradOp([grads[0]!, outputs[1]], attrs)[0],
  ],
  flops: (_, [y], attrs) => windowSums(y.shape, attrs),
});

/** Adds each gradient at the position of its maximum. */
export const maxPool2dGradOp = defineOp({
  name: 'maxPool2dGrad',
  infer([g, at]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('maxPool2dGrad', 'f32', g);
    expectDType('maxPool2dGrad', 'i32', at);
    return [{ shape: unpooled(g, attrs), dtype: 'f32' }];
  },
  vjp({ inputs: [g, at], grads }: Vjp<PoolAttrs>): Grads {
    const rows = (t: Tensor): Tensor => reshape(t, [t.shape[0], t.shape[1] * t.shape[2], t.shape[3]]);
    return [reshape(takeAlong(rows(grads[0]!), rows(at), 1), g.shape), null];
  },
});

export const avgPool2dOp = defineOp({
  name: 'avgPool2d',
  infer([x]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('avgPool2d', 'f32', x);
    return [{ shape: pooled(x, attrs), dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<PoolAttrs>): Grads => [avgPool2dGradOp([grads[0]!], attrs)[0]],
  flops: (_, [y], attrs) => windowSums(y.shape, attrs),
});

/** Spreads each gradient over its window, by the divisor of the forward pass. */
export const avgPool2dGradOp = defineOp({
  name: 'avgPool2dGrad',
  infer([g]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('avgPool2dGrad', 'f32', g);
    return [{ shape: unpooled(g, attrs), dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<PoolAttrs>): Grads => [avgPool2dOp([grads[0]!], attrs)[0]],
  flops: ([g], _, attrs) => windowSums(g.shape, attrs),
});

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
