/**
 * Elements by index, and their adjoint, which adds: sums run in the order of the index, so they are the same at every run.
 * An index out of range ends the run with an error; it is neither clamped nor wrapped.
 */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, withDType, type Vjp } from '../op.ts';
import { formatShape, formatType, resolveAxis, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { ones, toTensor, type TensorLike } from './create.ts';
import { broadcastTo, expandDims, reshape, slice, transpose } from './layout.ts';

type None = Record<never, never>;
const none: None = {};

/** How many rows, or positions along the axis, the result has. */
type Count = { readonly n: number };

export const gatherOps = {
  /** Rows of x, any dtype, by an index i32 [n]. */
  takeRows: defineOp({
    name: 'takeRows',
    infer([x, index]: readonly TensorType[]): readonly TensorType[] {
      if (x.shape.length === 0)
        throw new ShapeError(`takeRows: expects at least one axis but got ${formatType(x)}`);
      expectDType('takeRows', 'i32', index);
      expectRank('takeRows', index, 1, 'an index i32 [N]');
      return [{ shape: [index.shape[0], ...x.shape.slice(1)], dtype: x.dtype }];
    },
    vjp: ({ inputs: [x, index], grads }: Vjp<None>) => [scatterRowsOf(grads[0]!, index, x.shape[0]), null],
    mayFail: true,
    readsPart: true,
  }),

  scatterRows: defineOp({
    name: 'scatterRows',
    infer([g, index]: readonly TensorType[], { n }: Count): readonly TensorType[] {
      expectDType('scatterRows', 'f32', g);
      expectDType('scatterRows', 'i32', index);
      if (g.shape.length === 0 || !sameShape(index.shape, g.shape.slice(0, 1))) {
        throw new ShapeError(
          `scatterRows: expects g [m, ...] and index i32 [m] but got ${formatType(g)} and ${formatType(index)}`,
        );
      }
      return [{ shape: [n, ...g.shape.slice(1)], dtype: 'f32' }];
    },
    vjp: ({ inputs: [, index], grads }: Vjp<Count>) => [takeRowsOf(grads[0]!, index), null],
    mayFail: true,
    flops: ([g]) => sizeOf(g.shape),
  }),

  /** x [outer, n, inner] and index i32 [outer, m, inner] -> [outer, m, inner]. */
  takeAlong: defineOp({
    name: 'takeAlong',
    infer([x, index]: readonly TensorType[]): readonly TensorType[] {
      expectAlong('takeAlong', x, index);
      return [{ shape: index.shape, dtype: x.dtype }];
    },
    vjp: ({ inputs: [x, index], grads }: Vjp<None>) => [scatterAlongOf(grads[0]!, index, x.shape[1]), null],
    mayFail: true,
  }),

  /** g and index, both [outer, m, inner] -> [outer, n, inner]. */
  scatterAlong: defineOp({
    name: 'scatterAlong',
    infer([g, index]: readonly TensorType[], { n }: Count): readonly TensorType[] {
      expectDType('scatterAlong', 'f32', g);
      expectAlong('scatterAlong', g, index);
      if (!sameShape(g.shape, index.shape)) {
        throw new ShapeError(
          `scatterAlong: values ${formatType(g)} and index ${formatType(index)} differ in shape`,
        );
      }
      const [outer, , inner] = g.shape;
      return [{ shape: [outer, n, inner], dtype: 'f32' }];
    },
    vjp: ({ inputs: [, index], grads }: Vjp<Count>) => [takeAlongOf(grads[0]!, index), null],
    mayFail: true,
    flops: ([g]) => sizeOf(g.shape),
  }),

  /** Each row of x [rows, n] in order, and where each element came from. */
  sort: defineOp({
    name: 'sort',
    infer([x]: readonly TensorType[], _attrs: { readonly descending: boolean }): readonly TensorType[] {
      expectDType('sort', 'f32', x);
      expectRank('sort', x, 2, '[rows, n]');
      return [x, { shape: x.shape, dtype: 'i32' }];
    },
    vjp: ({ outputs: [values, index], grads }: Vjp<{ readonly descending: boolean }>) =>
      grads[0] === null ? [null] : [scatterAlong(grads[0], index, values.shape[1], 1)],
    flops: ([x]) => sizeOf(x.shape) * Math.ceil(Math.log2(Math.max(2, x.shape[1]))),
  }),
};

const takeRowsOf = (x: Tensor, index: Tensor): Tensor => gatherOps.takeRows([x, index], none)[0];
const scatterRowsOf = (g: Tensor, index: Tensor, n: number): Tensor =>
  gatherOps.scatterRows([g, index], { n })[0];
const takeAlongOf = (x: Tensor, index: Tensor): Tensor => gatherOps.takeAlong([x, index], none)[0];
const scatterAlongOf = (g: Tensor, index: Tensor, n: number): Tensor =>
  gatherOps.scatterAlong([g, index], { n })[0];

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

/** The shape as [outer, n, inner] around an axis. */
const around = (shape: Shape, axis: number): number[] => [
  sizeOf(shape.slice(0, axis)),
  shape[axis],
  sizeOf(shape.slice(axis + 1)),
];

/** Rows of x (its first axis) by an index `i32` [n]; x has any dtype. A run with an index out of range throws DataError. */
export function takeRows(x: TensorLike, index: TensorLike): Tensor {
  return takeRowsOf(toTensor(x), toTensor(index));
}

/**
 * Slices of x along an axis by an index `i32` of any shape, as `np.take`: an embedding, for instance.
 * Shapes: x [...a, n, ...b], index [...i] -> [...a, ...i, ...b]. A run with an index out of range throws DataError.
 */
export function gather(x: TensorLike, index: TensorLike, axis = 0): Tensor {
  const [t, at] = [toTensor(x), toTensor(index)];
  expectDType('gather', 'i32', at);
  const along = resolveAxis('gather', axis, t.rank);
  const order = [along, ...t.shape.map((_, i) => i).filter((i) => i !== along)];
  const rows = takeRows(transpose(t, order), reshape(at, [sizeOf(at.shape)]));
  // [m, ...a, ...b] -> [...a, m, ...b]
  const back = order.map((_, i) => (i < along ? i + 1 : i === along ? 0 : i));
  return reshape(transpose(rows, back), [
    ...t.shape.slice(0, along),
    ...at.shape,
    ...t.shape.slice(along + 1),
  ]);
}

/**
 * The adjoint of `gather`: zeros of size `n` along the axis, to which slices of `values` are added by index, in the order
 * of the index. Shapes: values [...a, ...i, ...b], index `i32` [...i] -> [...a, n, ...b]. A run with an index out of range
 * throws DataError.
 */
export function scatterAdd(values: TensorLike, index: TensorLike, n: number, axis = 0): Tensor {
  const [t, at] = [toTensor(values), toTensor(index)];
  const lead = resolveAxis('scatterAdd', axis, t.rank - at.rank + 1);
  if (!sameShape(t.shape.slice(lead, lead + at.rank), at.shape)) {
    throw new ShapeError(
      `scatterAdd: values ${formatType(t)} do not have the index's shape ${formatShape(at.shape)} from axis ${lead} on`,
    );
  }
  const [a, b] = [t.shape.slice(0, lead), t.shape.slice(lead + at.rank)];
  const m = sizeOf(at.shape);
  const rows = transpose(reshape(t, [sizeOf(a), m, sizeOf(b)]), [1, 0, 2]);
  const sums = scatterRowsOf(rows, reshape(at, [m]), n);
  return reshape(transpose(sums, [1, 0, 2]), [...a, n, ...b]);
}

/**
 * One element of each line of x along an axis for each element of the index, as `np.take_along_axis` and PyTorch's `gather`.
 * Shapes: x [...a, n, ...b], index `i32` [...a, m, ...b] -> [...a, m, ...b]. A run with an index out of range throws DataError.
 */
export function takeAlong(x: TensorLike, index: TensorLike, axis: number): Tensor {
  const [t, at] = [toTensor(x), toTensor(index)];
  const along = resolveAxis('takeAlong', axis, t.rank);
  expectLines('takeAlong', t, at, along);
  const y = takeAlongOf(reshape(t, around(t.shape, along)), reshape(at, around(at.shape, along)));
  return reshape(y, at.shape);
}

/**
 * The adjoint of `takeAlong`, PyTorch's `scatter_add`: zeros of size `n` along the axis, to which values are added where the
 * index says, in its order. Shapes: values and index `i32` [...a, m, ...b] -> [...a, n, ...b].
 */
export function scatterAlong(values: TensorLike, index: TensorLike, n: number, axis: number): Tensor {
  const [t, at] = [toTensor(values), toTensor(index)];
  const along = resolveAxis('scatterAlong', axis, t.rank);
  const form = around(at.shape, along);
  if (!sameShape(t.shape, at.shape)) {
    throw new ShapeError(`scatterAlong: values ${formatType(t)} and index ${formatType(at)} differ in shape`);
  }
  const y = scatterAlongOf(reshape(t, form), reshape(at, form), n);
  return reshape(
    y,
    at.shape.map((d, i) => (i === along ? n : d)),
  );
}

function expectLines(where: string, x: Tensor, index: Tensor, axis: number): void {
  if (index.rank === x.rank && index.shape.every((d, i) => i === axis || d === x.shape[i])) return;
  throw new ShapeError(
    `${where}: ${formatType(x)} and index ${formatType(index)} differ in more than axis ${axis} (broadcast the index first)`,
  );
}

/**
 * 1 at the position that each index names on a new last axis of size `n`, else 0: `f32`. A run with an index out of range
 * throws DataError. Shapes: index `i32` [...i] -> [...i, n].
 */
export function oneHot(index: TensorLike, n: number): Tensor {
  const at = expandDims(toTensor(index), -1);
  return scatterAlong(broadcastTo(ones([]), at.shape), at, n, at.rank - 1);
}

export interface SortOptions {
  /** Largest first. Default false. */
  readonly descending?: boolean;
}

/**
 * The elements along an axis in order, and where each came from (`i32`). Default: the last axis. Equal elements keep their
 * order, −0 equals 0, and NaN counts as larger than every number. The gradient goes back to where each element came from.
 */
export function sort(
  x: TensorLike,
  axis = -1,
  { descending = false }: SortOptions = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  const t = withDType('sort', 'f32', toTensor(x));
  const along = resolveAxis('sort', axis, t.rank);
  const order = [...t.shape.map((_, i) => i).filter((i) => i !== along), along];
  const back = order.map((_, i) => order.indexOf(i));
  const lines = transpose(t, order);
  const n = t.shape[along];
  const [values, indices] = gatherOps.sort([reshape(lines, [sizeOf(lines.shape.slice(0, -1)), n])], {
    descending,
  });
  return {
    values: transpose(reshape(values, lines.shape), back),
    indices: transpose(reshape(indices, lines.shape), back),
  };
}

/** Where each element of the sorted axis comes from: `sort(...).indices`. */
export function argSort(x: TensorLike, axis = -1, options: SortOptions = {}): Tensor {
  return sort(x, axis, options).indices;
}

/**
 * The `k` largest elements along an axis, largest first, and where each is; of equals the first comes first, NaN before every
 * number. Default: the last axis. Throws ShapeError unless 0 <= k <= size.
 */
export function topK(
  x: TensorLike,
  k: number,
  axis = -1,
): { readonly values: Tensor; readonly indices: Tensor } {
  const t = toTensor(x);
  const along = resolveAxis('topK', axis, t.rank);
  if (!Number.isInteger(k) || k < 0 || k > t.shape[along]) {
    throw new ShapeError(
      `topK: k must be from 0 to the ${t.shape[along]} elements of axis ${along}, got ${k}`,
    );
  }
  const { values, indices } = sort(t, along, { descending: true });
  const first = t.shape.map((_, i) => (i === along ? { end: k } : null));
  return { values: slice(values, first), indices: slice(indices, first) };
}
