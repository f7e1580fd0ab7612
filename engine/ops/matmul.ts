/** Matrix products. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, type Vjp } from '../op.ts';
import { broadcastShapes, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { mul } from './elementwise.ts';
import { broadcastTo, expandDims, reshape } from './layout.ts';

export type MatmulAttrs = {
  readonly transA: boolean;
  readonly transB: boolean;
};

/** The sizes of a product: batch × [m, k] · [k, n]. */
export function matmulSizes(
  [a, b]: readonly TensorType[],
  { transA, transB }: MatmulAttrs,
): { batch: number; m: number; n: number; k: number; kB: number } {
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  return {
    batch: sizeOf(a.shape.slice(0, -2)),
    m: transA ? a1 : a0,
    k: transA ? a0 : a1,
    kB: transB ? b1 : b0,
    n: transB ? b0 : b1,
  };
}

export const matmulOp = defineOp({
  name: 'matmul',
  infer([a, b]: readonly TensorType[], attrs: MatmulAttrs) {
    expectDType('matmul', 'f32', a, b);
    const operands = `${formatType(a)}${attrs.transA ? ' transposed' : ''} and ${formatType(b)}${attrs.transB ? ' transposed' : ''}`;
    const rank = a.shape.length;
    if (rank < 2 || rank > 3 || b.shape.length !== rank) {
      throw new ShapeError(
        `matmul: expects two matrices [m, k] and [k, n], or two batches of them, got ${operands}`,
      );
    }
    if (rank === 3 && a.shape[0] !== b.shape[0]) {
      throw new ShapeError(`matmul: batch sizes ${a.shape[0]} and ${b.shape[0]} differ: ${operands}`);
    }
    const { m, n, k, kB } = matmulSizes([a, b], attrs);
    if (k !== kB) throw new ShapeError(`matmul: inner sizes ${k} and ${kB} differ: ${operands}`);
    return [{ shape: [...a.shape.slice(0, -2), m, n], dtype: 'f32' }];
  },
  vjp({ inputs, grads, attrs: { transA, transB }, needs }: Vjp<MatmulAttrs>) {
    const [a, b] = inputs as [Tensor, Tensor];
    const g = grads[0]!;
    const gradA = (): Tensor =>
      transA ? matmul(b, g, { transA: transB, transB: true }) : matmul(g, b, { transB: !transB });
    const gradB = (): Tensor =>
      transB ? matmul(g, a, { transA: true, transB: transA }) : matmul(a, g, { transA: !transA });
    return [needs(0) ? gradA() : null, needs(1) ? gradB() : null];
  },
  flops: (inputs, _, attrs) => {
    const { batch, m, n, k } = matmulSizes(inputs, attrs);
    return 2 * batch * m * n * k;
  },
  multiplyAdds: true,
});

export interface MatmulOptions {
  /** Use the transpose of the last two axes of the first operand. */
  readonly transA?: boolean;
  /** The same for the second. */
  readonly transB?: boolean;
}

/**
 * Matrix product, without copies for transposed operands.
 *
 * Shapes: a [m, k], b [k, n] -> [m, n]; with transA a is [k, m], with transB b is [n, k]. Axes before these are batches of
 * products, which broadcast by NumPy's rules.
 */
export function matmul(a: TensorLike, b: TensorLike, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false } = options;
  const attrs = { transA, transB };
  const [x, y] = [toTensor(a), toTensor(b)];
  const [batchX, batchY] = [x.shape.slice(0, -2), y.shape.slice(0, -2)];
  const plain = x.rank === y.rank && x.rank <= 3 && sameShape(batchX, batchY);
  if (plain || x.rank < 2 || y.rank < 2) return matmulOp([x, y], attrs)[0];
  if (y.rank === 2 && !transA) {
    // One matrix for every product of the batch: one tall product.
    const [m, k] = x.shape.slice(-2) as [number, number];
    const [tall] = matmulOp([reshape(x, [sizeOf(batchX) * m, k]), y], attrs);
    return reshape(tall, [...batchX, m, tall.shape[1]]);
  }
  const batch = broadcastShapes(`matmul of ${formatType(x)} and ${formatType(y)}: batch`, batchX, batchY);
  const whole = (t: Tensor): Tensor => {
    const matrix = t.shape.slice(-2);
    return reshape(broadcastTo(t, [...batch, ...matrix]), [sizeOf(batch), ...matrix]);
  };
  const [products] = matmulOp([whole(x), whole(y)], attrs);
  return reshape(products, [...batch, ...products.shape.slice(-2)]);
}

/** All products of an element of one vector and one of the other: a [m], b [n] -> [m, n]. */
export function outer(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [toTensor(a), toTensor(b)];
  if (x.rank !== 1 || y.rank !== 1) {
    throw new ShapeError(`outer: expects two vectors, got ${formatType(x)} and ${formatType(y)}`);
  }
  return mul(expandDims(x, 1), y);
}
