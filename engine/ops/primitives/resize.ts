/** Resizing images by interpolation, and its adjoint. */
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import type { TensorType } from '../../types.ts';

export type ResizeAttrs = {
  /** Height and width of the image and of the result. */
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly bilinear: boolean;
  readonly alignCorners: boolean;
};

/** Where an output position lies between two input positions: at `from · (1 − weight) + to · weight`. */
export interface Between {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** For each output position along an axis (0 vertical, 1 horizontal), the input positions that it mixes. */
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

/** Neighbours with weight 0 do not count, NaN or not. */
export const resize2dOp = defineOp({
  name: 'resize2d',
  infer([x]: readonly TensorType[], { output }: ResizeAttrs) {
    expectDType('resize2d', 'f32', x);
    return [{ shape: [x.shape[0], output[0], output[1], x.shape[3]], dtype: 'f32' }];
  },
  vjp: ({ grads, attrs }: Vjp<ResizeAttrs>): Grads => [resize2dGradOp([grads[0]!], attrs)[0]],
  flops: (_, [y], { bilinear }) => (bilinear ? 6 * sizeOf(y.shape) : 0),
});

/** Adds each gradient to the positions that its element was mixed from. */
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
