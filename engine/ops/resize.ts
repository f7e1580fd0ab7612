/** Resizing images by interpolation, and its adjoint. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../op.ts';
import { formatShape, pair, sizeOf, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';

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

export interface ResizeOptions {
  /** Default 'nearest'. */
  readonly mode?: 'nearest' | 'bilinear';
  /** Bilinear: the corner pixels' centres stay in the corners, instead of the image's borders. Default false. */
  readonly alignCorners?: boolean;
}

/**
 * Images of another size: each position takes the nearest pixel, or mixes the four around it.
 *
 *   nearest:  source = ⌊i · in / out⌋
 *   bilinear: source = max((i + ½) · in / out − ½, 0), or with alignCorners i · (in − 1) / (out − 1)
 *
 * Shapes: x [N, H, W, C], size [H', W'] -> [N, H', W', C]. Shrinking does not average what lies between.
 * Throws ShapeError for images without pixels and sizes that are not positive, RangeError for unknown modes.
 * Source: torch.nn.functional.interpolate.
 */
export function resize2d(x: TensorLike, size: Pair, options: ResizeOptions = {}): Tensor {
  const image = toTensor(x);
  const { mode = 'nearest', alignCorners = false } = options;
  expectRank('resize2d', image, 4, 'images [N, H, W, C]');
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new RangeError(`resize2d: mode must be 'nearest' or 'bilinear', got ${JSON.stringify(mode)}`);
  }
  if (mode === 'nearest' && alignCorners) {
    throw new RangeError(`resize2d: alignCorners is for mode 'bilinear', got mode 'nearest'`);
  }
  const input = [image.shape[1], image.shape[2]] as const;
  const output = pair(size);
  if (Math.min(...input) < 1) {
    throw new ShapeError(`resize2d: there are no pixels in ${formatShape(image.shape)}`);
  }
  if (output.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new ShapeError(`resize2d: size must be positive integers, got ${formatShape(output)}`);
  }
  return resize2dOp([image], { input, output, bilinear: mode === 'bilinear', alignCorners })[0];
}
