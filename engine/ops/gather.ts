/** Indexing with tensors, its adjoints, and sorting. A run throws DataError for an index out of range. */
import { ShapeError } from '../errors.ts';
import { expectDType, withDType } from '../op.ts';
import { checkInteger, checkOptions, show } from '../options.ts';
import { formatShape, formatType, resolveAxis, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { ones } from './create.ts';
import { broadcastTo, expandDims, reshape, slice, transpose } from './layout.ts';
import {
  gatherOps,
  scatterAddAlongAxisOf,
  scatterAddRowsOf,
  takeAlongAxisOf,
  gatherRowsOf,
} from './primitives/gather.ts';

/** The shape as [outer, n, inner] around an axis. */
const around = (shape: Shape, axis: number): number[] => [
  sizeOf(shape.slice(0, axis)),
  shape[axis],
  sizeOf(shape.slice(axis + 1)),
];

/**
 * Takes slices of x along an axis, rows by default, like `np.take` and PyTorch's `index_select`.
 *
 * A run throws DataError if an index is not in 0 … n − 1, where n is the size of the axis.
 *
 * Shapes: x of any dtype [...a, n, ...b], index `i32` [...i] -> [...a, ...i, ...b].
 * Throws ShapeError if the index is not `i32` or the axis does not exist.
 *
 * @example gather([[1, 2], [3, 4], [5, 6]], Int32Array.of(2, 0)) // [[5, 6], [1, 2]]
 */
export function gather(x: TensorLike, index: TensorLike, axis = 0): Tensor {
  const [t, at] = [toTensor('gather', x), toTensor('gather', index)];
  expectDType('gather', 'i32', at);
  const along = resolveAxis('gather', axis, t.rank);
  const order = [along, ...t.shape.map((_, i) => i).filter((i) => i !== along)];
  const rows = gatherRowsOf(transpose(t, order), reshape(at, [sizeOf(at.shape)]));
  // [m, ...a, ...b] -> [...a, m, ...b]
  const back = order.map((_, i) => (i < along ? i + 1 : i === along ? 0 : i));
  return reshape(transpose(rows, back), [
    ...t.shape.slice(0, along),
    ...at.shape,
    ...t.shape.slice(along + 1),
  ]);
}

/**
 * Adjoint of `gather`: starts from zeros, and adds each slice of `values` at its index along an axis. Slices are added in
 * the order of the index.
 *
 * A run throws DataError if an index is not in 0 … n − 1.
 *
 * Shapes: values `f32` [...a, ...i, ...b], index `i32` [...i] -> [...a, n, ...b].
 * Throws ShapeError if values and index do not fit together, values are not `f32`, or the index is not `i32`.
 *
 * @example scatterAdd([1, 2, 3], Int32Array.of(0, 2, 0), 4) // [4, 0, 2, 0]
 */
export function scatterAdd(values: TensorLike, index: TensorLike, n: number, axis = 0): Tensor {
  checkInteger('scatterAdd', 'n', n, 0);
  const [t, at] = [
    floats('scatterAdd', values),
    withDType('scatterAdd', 'i32', toTensor('scatterAdd', index)),
  ];
  const lead = resolveAxis('scatterAdd', axis, t.rank - at.rank + 1);
  if (!sameShape(t.shape.slice(lead, lead + at.rank), at.shape)) {
    throw new ShapeError(
      `scatterAdd: values ${formatType(t)} must have the index's shape ${formatShape(at.shape)} from axis ${lead} on`,
    );
  }
  const [a, b] = [t.shape.slice(0, lead), t.shape.slice(lead + at.rank)];
  const m = sizeOf(at.shape);
  const rows = transpose(reshape(t, [sizeOf(a), m, sizeOf(b)]), [1, 0, 2]);
  const sums = scatterAddRowsOf(rows, reshape(at, [m]), n);
  return reshape(transpose(sums, [1, 0, 2]), [...a, n, ...b]);
}

/**
 * Takes elements along an axis by an index for each line, like `np.take_along_axis` and PyTorch's `gather`.
 *
 * A run throws DataError if an index is not in 0 … n − 1.
 *
 * Shapes: x of any dtype [...a, n, ...b], index `i32` [...a, m, ...b] -> [...a, m, ...b].
 * Throws ShapeError if the shapes differ in another axis, the index is not `i32`, or the axis does not exist.
 *
 * @example takeAlongAxis([[1, 2], [3, 4]], tensor([[1], [0]], { dtype: 'i32' }), 1) // [[2], [3]]
 */
export function takeAlongAxis(x: TensorLike, index: TensorLike, axis: number): Tensor {
  const [t, at] = [
    toTensor('takeAlongAxis', x),
    withDType('takeAlongAxis', 'i32', toTensor('takeAlongAxis', index)),
  ];
  const along = resolveAxis('takeAlongAxis', axis, t.rank);
  expectLines('takeAlongAxis', t, at, along);
  const y = takeAlongAxisOf(reshape(t, around(t.shape, along)), reshape(at, around(at.shape, along)));
  return reshape(y, at.shape);
}

/**
 * Adjoint of `takeAlongAxis`, PyTorch's `scatter_add`: starts from zeros, and adds each value at its index along an axis.
 * Values are added in the order of the index.
 *
 * A run throws DataError if an index is not in 0 … n − 1.
 *
 * Shapes: values `f32` and index `i32` [...a, m, ...b] -> [...a, n, ...b].
 * Throws ShapeError if values and index differ in shape, values are not `f32`, the index is not `i32`, or the axis does not
 * exist.
 *
 * @example scatterAddAlongAxis([[1, 2]], tensor([[2, 2]], { dtype: 'i32' }), 3, 1) // [[0, 0, 3]]
 */
export function scatterAddAlongAxis(values: TensorLike, index: TensorLike, n: number, axis: number): Tensor {
  const where = 'scatterAddAlongAxis';
  checkInteger(where, 'n', n, 0);
  const [t, at] = [floats(where, values), withDType(where, 'i32', toTensor(where, index))];
  const along = resolveAxis(where, axis, t.rank);
  const form = around(at.shape, along);
  if (!sameShape(t.shape, at.shape)) {
    throw new ShapeError(
      `scatterAddAlongAxis: values ${formatType(t)} and index ${formatType(at)} differ in shape`,
    );
  }
  const y = scatterAddAlongAxisOf(reshape(t, form), reshape(at, form), n);
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
 * One-hot encoding: 1 at the position that each index names on a new last axis of size n, else 0.
 *
 * A run throws DataError if an index is not in 0 … n − 1.
 *
 * Shapes: index `i32` [...i] -> `f32` [...i, n].
 * Throws ShapeError if the index is not `i32`.
 * Throws RangeError if n, the number of classes, is not a non-negative integer.
 *
 * @example oneHot(Int32Array.of(2, 0), 3) // [[0, 0, 1], [1, 0, 0]]
 */
export function oneHot(index: TensorLike, n: number): Tensor {
  checkInteger('oneHot', 'n', n, 0);
  const at = expandDims(withDType('oneHot', 'i32', toTensor('oneHot', index)), -1);
  return scatterAddAlongAxis(broadcastTo(ones([]), at.shape), at, n, at.rank - 1);
}

export interface SortOptions {
  /** Sort from largest to smallest. Default false. */
  readonly descending?: boolean;
}

/**
 * Sorts along an axis, the last by default. Returns the sorted values and their positions in x.
 *
 * The sort is stable. −0 equals +0, and NaN counts as larger than every number. The gradient goes back to the original
 * positions.
 *
 * Shapes: x `f32` [...] -> values `f32` [...], indices `i32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example sort([3, 1, 2]).values // [1, 2, 3]
 */
export function sort(
  x: TensorLike,
  axis = -1,
  options: SortOptions = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  checkOptions('sort', options, ['descending']);
  const { descending = false } = options;
  const t = floats('sort', x);
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

/**
 * Positions that sort x along an axis, the last by default: `sort(...).indices`.
 *
 * Shapes: x `f32` [...] -> `i32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example argSort([3, 1, 2]) // [1, 2, 0]
 */
export function argSort(x: TensorLike, axis = -1, options: SortOptions = {}): Tensor {
  checkOptions('argSort', options, ['descending']);
  const t = floats('argSort', x);
  return sort(t, resolveAxis('argSort', axis, t.rank), options).indices;
}

/**
 * The k largest elements along an axis, the last by default, in descending order. Returns the values and their positions in
 * x.
 *
 * Ties keep their order, and NaN counts as larger than every number.
 *
 * Shapes: x `f32` [...a, n, ...b] -> values `f32` and indices `i32` [...a, k, ...b].
 * Throws ShapeError unless 0 <= k <= n, if x is not `f32`, or if the axis does not exist.
 *
 * @example topK([3, 1, 4, 1, 5], 2).indices // [4, 2]
 */
export function topK(
  x: TensorLike,
  k: number,
  axis = -1,
): { readonly values: Tensor; readonly indices: Tensor } {
  const t = floats('topK', x);
  const along = resolveAxis('topK', axis, t.rank);
  if (!Number.isInteger(k) || k < 0 || k > t.shape[along]) {
    throw new ShapeError(
      `topK: k must be from 0 to the ${t.shape[along]} elements of axis ${along}, got ${show(k)}`,
    );
  }
  const { values, indices } = sort(t, along, { descending: true });
  const first = t.shape.map((_, i) => (i === along ? { end: k } : null));
  return { values: slice(values, first), indices: slice(indices, first) };
}
