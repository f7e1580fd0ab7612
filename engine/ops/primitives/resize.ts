/** Resizing of images by interpolation, and its adjoint. */
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import type { TensorType } from '../../types.ts';

/** What `resize2d` and `upsample2d` accept. The operation computes the first two, and matrix products the last. */
export const RESIZE_MODES = ['nearest', 'bilinear', 'bicubic'] as const;

export type ResizeAttrs = {
  /** [height, width] of the input images */
  readonly input: readonly [number, number];
  /** [height, width] of the output images */
  readonly output: readonly [number, number];
  readonly bilinear: boolean;
  readonly alignCorners: boolean;
};

/** An output position between two input positions. Its value is x[from] · (1 − weight) + x[to] · weight. */
export interface Between {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** The input positions of each output position along an axis: 0 is vertical, 1 is horizontal. */
export function resizeTable({ input, output, bilinear, alignCorners }: ResizeAttrs, axis: 0 | 1): Between[] {
  const [size, count] = [input[axis], output[axis]];
  return Array.from({ length: count }, (_, i) => {
    if (!bilinear) {
      const from = Math.floor((i * size) / count);
      return { from, to: from, weight: 0 };
    }
    const inner = alignCorners
      ? (i * (size - 1)) / Math.max(count - 1, 1)
      : Math.max(((i + 0.5) * size) / count - 0.5, 0);
    const from = Math.floor(inner);
    return from >= size - 1
      ? { from: size - 1, to: size - 1, weight: 0 }
      : { from, to: from + 1, weight: inner - from };
  });
}

/** x [N, H, W, C] -> [N, H', W', C]. Neighbors with weight 0 do not count, even if they are NaN. */
export const resize2dOp = defineOp({
  name: 'resize2d',
  infer([x]: readonly TensorType[], { output }: ResizeAttrs) {
    expectDType('resize2d', 'f32', x);
    return [{ shape: [x.shape[0], output[0], output[1], x.shape[3]], dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<ResizeAttrs>): Grads => [resize2dGradOp([grads[0]!], attrs)[0]],
  flops: (_, [y], { bilinear }) => (bilinear ? 6 * sizeOf(y.shape) : 0),
});

/** Adds each weighted gradient to the input positions of its element: g [N, H', W', C] -> [N, H, W, C] */
export const resize2dGradOp = defineOp({
  name: 'resize2dGrad',
  infer([g]: readonly TensorType[], { input }: ResizeAttrs) {
    expectDType('resize2dGrad', 'f32', g);
    return [{ shape: [g.shape[0], input[0], input[1], g.shape[3]], dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<ResizeAttrs>): Grads => [resize2dOp([grads[0]!], attrs)[0]],
  flops: ([g], _, { bilinear }) => (bilinear ? 6 : 1) * sizeOf(g.shape),
});

export const resizeOps = {
  resize2d: resize2dOp,
  resize2dGrad: resize2dGradOp,
};
