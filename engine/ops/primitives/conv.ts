/** Convolution of images (NHWC) with filters (HWIO), and its two gradients, which are operations, too. */
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';

/**
 * Resolved geometry, which a convolution shares with its two gradients. Filters are [KH, KW, C / groups, O]. Output channel o depends
 * only on the input channels of group ⌊o · groups / O⌋.
 */
export type ConvAttrs = {
  /** [vertical, horizontal] */
  readonly stride: readonly [number, number];
  /** [top, bottom, left, right] */
  readonly pad: readonly [number, number, number, number];
  /** [height, width] of the input images */
  readonly input: readonly [number, number];
  /** [height, width] of the kernel, without dilation */
  readonly kernel: readonly [number, number];
  /** [height, width] of the output images */
  readonly output: readonly [number, number];
  /** Distance between taps of the kernel in pixels: [vertical, horizontal] */
  readonly dilation: readonly [number, number];
  readonly groups: number;
};

const flops = (outputs: readonly number[], kernel: readonly [number, number], inner: number): number =>
  2 * sizeOf(outputs) * kernel[0] * kernel[1] * inner;

/** x [N, H, W, C], w [KH, KW, C / groups, O] -> [N, H', W', O] */
export const conv2dOp = defineOp({
  name: 'conv2d',
  infer([x, w]: readonly TensorType[], { output }: ConvAttrs) {
    expectDType('conv2d', 'f32', x, w);
    return [{ shape: [x.shape[0], output[0], output[1], w.shape[3]], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [x, w] = inputs as [Tensor, Tensor];
    const g = grads[0]!;
    return [
      needs(0) ? conv2dGradInputOp([g, w], attrs)[0] : null,
      needs(1) ? conv2dGradWeightOp([x, g], attrs)[0] : null,
    ];
  },
  flops: ([, w], [y], { kernel }) => flops(y.shape, kernel, w.shape[2]),
  multiplyAdds: true,
});

/** The gradient with respect to x: g [N, H', W', O], w [KH, KW, C / groups, O] -> [N, H, W, C] */
export const conv2dGradInputOp = defineOp({
  name: 'conv2dGradInput',
  infer([g, w]: readonly TensorType[], { input, groups }: ConvAttrs) {
    expectDType('conv2dGradInput', 'f32', g, w);
    return [{ shape: [g.shape[0], input[0], input[1], w.shape[2] * groups], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [g, w] = inputs as [Tensor, Tensor];
    const h = grads[0]!;
    return [
      needs(0) ? conv2dOp([h, w], attrs)[0] : null,
      needs(1) ? conv2dGradWeightOp([h, g], attrs)[0] : null,
    ];
  },
  flops: ([g, w], _, { kernel }) => flops(g.shape, kernel, w.shape[2]),
  multiplyAdds: true,
});

/** The gradient with respect to w: x [N, H, W, C], g [N, H', W', O] -> [KH, KW, C / groups, O] */
export const conv2dGradWeightOp = defineOp({
  name: 'conv2dGradWeight',
  infer([x, g]: readonly TensorType[], { kernel, groups }: ConvAttrs) {
    expectDType('conv2dGradWeight', 'f32', x, g);
    return [{ shape: [kernel[0], kernel[1], x.shape[3] / groups, g.shape[3]], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs, needs }: Vjp<ConvAttrs>): Grads {
    const [x, g] = inputs as [Tensor, Tensor];
    const h = grads[0]!;
    return [
      needs(0) ? conv2dGradInputOp([g, h], attrs)[0] : null,
      needs(1) ? conv2dOp([x, h], attrs)[0] : null,
    ];
  },
  flops: ([, g], [dw], { kernel }) => flops(g.shape, kernel, dw.shape[2]),
  multiplyAdds: true,
});

export const convOps = {
  conv2d: conv2dOp,
  conv2dGradInput: conv2dGradInputOp,
  conv2dGradWeight: conv2dGradWeightOp,
};
