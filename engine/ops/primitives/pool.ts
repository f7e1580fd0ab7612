/** Pooling over windows of images, NHWC. */
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { Shape, TensorType } from '../../types.ts';
import { takeAlongAxis } from '../gather.ts';
import { reshape } from '../layout.ts';

export type PoolAttrs = {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** [top, bottom, left, right] */
  readonly pad: readonly [number, number, number, number];
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  /** For averages: divide by the positions inside the image, instead of those inside the padded image. */
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

/**
 * x [N, H, W, C] -> maxima [N, H', W', C], and their positions in the image, y · W + x, i32. The first maximum wins, or the first NaN.
 */
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

/** Adds each gradient at the position of its maximum: g [N, H', W', C], at i32 [N, H', W', C] -> [N, H, W, C] */
export const maxPool2dGradOp = defineOp({
  name: 'maxPool2dGrad',
  infer([g, at]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('maxPool2dGrad', 'f32', g);
    expectDType('maxPool2dGrad', 'i32', at);
    return [{ shape: unpooled(g, attrs), dtype: 'f32' }];
  },
  vjp({ inputs: [g, at], grads }: Vjp<PoolAttrs>): Grads {
    const rows = (t: Tensor): Tensor => reshape(t, [t.shape[0], t.shape[1] * t.shape[2], t.shape[3]]);
    return [reshape(takeAlongAxis(rows(grads[0]!), rows(at), 1), g.shape), null];
  },
});

/** x [N, H, W, C] -> means [N, H', W', C] */
export const avgPool2dOp = defineOp({
  name: 'avgPool2d',
  infer([x]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('avgPool2d', 'f32', x);
    return [{ shape: pooled(x, attrs), dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<PoolAttrs>): Grads => [avgPool2dGradOp([grads[0]!], attrs)[0]],
  flops: (_, [y], attrs) => windowSums(y.shape, attrs),
});

/** Divides each gradient by the divisor of its window and adds it to the positions of the window: [N, H', W', C] -> [N, H, W, C] */
export const avgPool2dGradOp = defineOp({
  name: 'avgPool2dGrad',
  infer([g]: readonly TensorType[], attrs: PoolAttrs) {
    expectDType('avgPool2dGrad', 'f32', g);
    return [{ shape: unpooled(g, attrs), dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<PoolAttrs>): Grads => [avgPool2dOp([grads[0]!], attrs)[0]],
  flops: ([g], _, attrs) => windowSums(g.shape, attrs),
});

export const poolOps = {
  maxPool2d: maxPool2dOp,
  maxPool2dGrad: maxPool2dGradOp,
  avgPool2d: avgPool2dOp,
  avgPool2dGrad: avgPool2dGradOp,
};
