/** The product of two matrices, or of two batches of matrices. */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, type Vjp } from '../../op.ts';
import { formatType, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { matmul } from '../matmul.ts';

export type MatmulAttrs = {
  readonly transA: boolean;
  readonly transB: boolean;
};

/** Sizes of a product: batch × [m, k] · [kB, n]. k and kB must be equal. */
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
        `matmul: expects two matrices [m, k] and [k, n], or two batches of matrices, but got ${operands}${a.shape.length === 1 && b.shape.length === 1 ? ' (use dot for vectors)' : ''}`,
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

export const matmulOps = {
  matmul: matmulOp,
};
