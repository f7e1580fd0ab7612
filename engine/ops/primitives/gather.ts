/**
 * Indexing with tensors, its adjoints, and sorting. Adjoints add in the order of the index, so every run gives the same bits. A run
 * throws DataError for an index out of range, which is neither clamped nor wrapped.
 */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank, type Vjp } from '../../op.ts';
import { formatType, sameShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { scatterAddAlongAxis } from '../gather.ts';

type None = Record<never, never>;
const none: None = {};

/** Size of the result along the axis. */
type Count = { readonly n: number };

export const gatherOps = {
  /** x of any dtype [n, ...], index i32 [m] -> [m, ...] */
  gatherRows: defineOp({
    name: 'gatherRows',
    infer([x, index]: readonly TensorType[]): readonly TensorType[] {
      if (x.shape.length === 0)
        throw new ShapeError(`gatherRows: expects at least one axis but got ${formatType(x)}`);
      expectDType('gatherRows', 'i32', index);
      expectRank('gatherRows', index, 1, 'an index i32 [N]');
      return [{ shape: [index.shape[0], ...x.shape.slice(1)], dtype: x.dtype }];
    },
    vjp: ({ inputs: [x, index], grads }: Vjp<None>) => [scatterAddRowsOf(grads[0]!, index, x.shape[0]), null],
    mayFail: true,
    indexRange: ([x]) => x.shape[0],
    readsPart: true,
  }),

  /** Adds rows to zeros: g [m, ...], index i32 [m] -> [n, ...] */
  scatterAddRows: defineOp({
    name: 'scatterAddRows',
    infer([g, index]: readonly TensorType[], { n }: Count): readonly TensorType[] {
      expectDType('scatterAddRows', 'f32', g);
      expectDType('scatterAddRows', 'i32', index);
      if (g.shape.length === 0 || !sameShape(index.shape, g.shape.slice(0, 1))) {
        throw new ShapeError(
          `scatterAddRows: expects g [m, ...] and index i32 [m] but got ${formatType(g)} and ${formatType(index)}`,
        );
      }
      return [{ shape: [n, ...g.shape.slice(1)], dtype: 'f32' }];
    },
    vjp: ({ inputs: [, index], grads }: Vjp<Count>) => [gatherRowsOf(grads[0]!, index), null],
    mayFail: true,
    indexRange: (_, [y]) => y.shape[0],
    flops: ([g]) => sizeOf(g.shape),
  }),

  /** x of any dtype [outer, n, inner], index i32 [outer, m, inner] -> [outer, m, inner] */
  takeAlongAxis: defineOp({
    name: 'takeAlongAxis',
    infer([x, index]: readonly TensorType[]): readonly TensorType[] {
      expectAlong('takeAlongAxis', x, index);
      return [{ shape: index.shape, dtype: x.dtype }];
    },
    vjp: ({ inputs: [x, index], grads }: Vjp<None>) => [
      scatterAddAlongAxisOf(grads[0]!, index, x.shape[1]),
      null,
    ],
    mayFail: true,
    indexRange: ([x]) => x.shape[1],
  }),

  /** Adds elements to zeros: g [outer, m, inner], index i32 [outer, m, inner] -> [outer, n, inner] */
  scatterAddAlongAxis: defineOp({
    name: 'scatterAddAlongAxis',
    infer([g, index]: readonly TensorType[], { n }: Count): readonly TensorType[] {
      expectDType('scatterAddAlongAxis', 'f32', g);
      expectAlong('scatterAddAlongAxis', g, index);
      if (!sameShape(g.shape, index.shape)) {
        throw new ShapeError(
          `scatterAddAlongAxis: values ${formatType(g)} and index ${formatType(index)} differ in shape`,
        );
      }
      const [outer, , inner] = g.shape;
      return [{ shape: [outer, n, inner], dtype: 'f32' }];
    },
    vjp: ({ inputs: [, index], grads }: Vjp<Count>) => [takeAlongAxisOf(grads[0]!, index), null],
    mayFail: true,
    indexRange: (_, [y]) => y.shape[1],
    flops: ([g]) => sizeOf(g.shape),
  }),

  /** Sorts each row: x [rows, n] -> values [rows, n], and their positions in x, i32 [rows, n] */
  sort: defineOp({
    name: 'sort',
    infer([x]: readonly TensorType[], _attrs: { readonly descending: boolean }): readonly TensorType[] {
      expectDType('sort', 'f32', x);
      expectRank('sort', x, 2, '[rows, n]');
      return [x, { shape: x.shape, dtype: 'i32' }];
    },
    vjp: ({ outputs: [values, index], grads }: Vjp<{ readonly descending: boolean }>) =>
      grads[0] === null ? [null] : [scatterAddAlongAxis(grads[0], index, values.shape[1], 1)],
    flops: ([x]) => sizeOf(x.shape) * Math.ceil(Math.log2(Math.max(2, x.shape[1]))),
  }),
};

export const gatherRowsOf = (x: Tensor, index: Tensor): Tensor => gatherOps.gatherRows([x, index], none)[0];
export const scatterAddRowsOf = (g: Tensor, index: Tensor, n: number): Tensor =>
  gatherOps.scatterAddRows([g, index], { n })[0];
export const takeAlongAxisOf = (x: Tensor, index: Tensor): Tensor =>
  gatherOps.takeAlongAxis([x, index], none)[0];
export const scatterAddAlongAxisOf = (g: Tensor, index: Tensor, n: number): Tensor =>
  gatherOps.scatterAddAlongAxis([g, index], { n })[0];

function expectAlong(where: string, x: TensorType, index: TensorType): void {
  expectDType(where, 'i32', index);
  const fits =
    index.shape.length === x.shape.length && index.shape.every((d, i) => i === 1 || d === x.shape[i]);
  if (!fits || x.shape.length !== 3) {
    throw new ShapeError(
      `${where}: expects x [outer, n, inner] and index i32 [outer, m, inner] but got ${formatType(x)} and ${formatType(index)}`,
    );
  }
}
