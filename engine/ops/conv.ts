/** Convolution over images, channels last, and its two derivatives, which are operations in their own right. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../op.ts';
import { formatShape, formatType, placeWindow, sizeOf, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';

/** Resolved geometry, the same for a convolution and both of its derivatives. */
export interface ConvAttrs extends Readonly<Record<string, readonly number[]>> {
  /** [vertical, horizontal] */
  readonly stride: readonly [number, number];
  /** [top, bottom, left, right] */
  readonly pad: readonly [number, number, number, number];
  /** Height and width of the input image, of the kernel and of the output. */
  readonly input: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly output: readonly [number, number];
}

const flops = (outputs: readonly number[], kernel: readonly [number, number], inner: number): number =>
  2 * sizeOf(outputs) * kernel[0] * kernel[1] * inner;

export const conv2dOp = defineOp({
  name: 'conv2d',
  infer([x, w]: readonly TensorType[], { output }: ConvAttrs) {
    expectDType('conv2d', 'f32', x!, w!);
    return [{ shape: [x!.shape[0], output[0], output[1], w!.shape[3]], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [x, w] = inputs as [Tensor, Tensor];
    const g = grads[0]!;
    return [
      needs(0) ? conv2dGradInputOp([g, w], attrs)[0] : null,
      needs(1) ? conv2dGradWeightOp([x, g], attrs)[0] : null,
    ];
  },
  flops: ([x], [y], { kernel }) => flops(y!.shape, kernel, x!.shape[3]),
});

/** g [N, H', W', O], w [KH, KW, C, O] -> [N, H, W, C] */
export const conv2dGradInputOp = defineOp({
  name: 'conv2dGradInput',
  infer([g, w]: readonly TensorType[], { input }: ConvAttrs) {
    expectDType('conv2dGradInput', 'f32', g!, w!);
    return [{ shape: [g!.shape[0], input[0], input[1], w!.shape[2]], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [g, w] = inputs as [Tensor, Tensor];
    const h = grads[0]!;
    return [
      needs(0) ? conv2dOp([h, w], attrs)[0] : null,
      needs(1) ? conv2dGradWeightOp([h, g], attrs)[0] : null,
    ];
  },
  flops: ([g, w], _, { kernel }) => flops(g!.shape, kernel, w!.shape[2]),
});

/** x [N, H, W, C], g [N, H', W', O] -> [KH, KW, C, O] */
export const conv2dGradWeightOp = defineOp({
  name: 'conv2dGradWeight',
  infer([x, g]: readonly TensorType[], { kernel }: ConvAttrs) {
    expectDType('conv2dGradWeight', 'f32', x!, g!);
    return [{ shape: [kernel[0], kernel[1], x!.shape[3], g!.shape[3]], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [x, g] = inputs as [Tensor, Tensor];
    const h = grads[0]!;
    return [
      needs(0) ? conv2dGradInputOp([g, h], attrs)[0] : null,
      needs(1) ? conv2dOp([x, h], attrs)[0] : null,
    ];
  },
  flops: ([x, g], _, { kernel }) => flops(g!.shape, kernel, x!.shape[3]),
});

export interface Conv2dOptions {
  /** Default 1. */
  readonly stride?: Pair;
  /** Default 'valid'. */
  readonly padding?: Padding;
}

/**
 * Cross-correlation of images with filters (what every deep-learning library calls convolution).
 *
 * Shapes: x [N, H, W, C], w [KH, KW, C, O] -> [N, H', W', O], H' = floor((H + pads − KH) / stride) + 1.
 * Padding is with zeros; `same` gives H' = ceil(H / stride), the odd pixel at the end.
 */
export function conv2d(x: TensorLike, w: TensorLike, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 'valid' } = options;
  const image = toTensor(x);
  const weight = toTensor(w);
  return conv2dOp([image, weight], convAttrs('conv2d', image, weight, stride, padding))[0];
}

function convAttrs(where: string, x: TensorType, w: TensorType, stride: Pair, padding: Padding): ConvAttrs {
  expectRank(where, x, 4, 'images [N, H, W, C]');
  expectRank(where, w, 4, 'filters [KH, KW, C, O]');
  const [, height, width, channels] = x.shape as [number, number, number, number];
  const [kh, kw, expected] = w.shape as [number, number, number, number];
  if (channels !== expected) {
    throw new ShapeError(
      `${where}: input has ${channels} channels but weight expects ${expected}: ` +
        `x ${formatShape(x.shape)}, w ${formatType(w)}`,
    );
  }
  const window = placeWindow(where, [height, width], [kh, kw], stride, padding);
  return {
    stride: window.stride,
    pad: window.pad,
    input: [height, width],
    kernel: [kh, kw],
    output: window.out,
  };
}
