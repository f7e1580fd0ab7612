/** Elements by index, their adjoints, and order. An index out of range ends the run with an error. */
import { ShapeError } from '../errors.ts';
import { expectDType, withDType } from '../op.ts';
import { formatShape, formatType, resolveAxis, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
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
 * Slices of x along an axis by an index `i32` of any shape, as `np.take` and PyTorch's `index_select`: rows by default.
 * Shapes: x [...a, n, ...b], index [...i] -> [...a, ...i, ...b]. A run with an index out of range throws DataError.
 *
 * @example gather(table, tensor(Int32Array.of(2, 0))) // rows 2 and 0
 */
export function gather(x: TensorLike, index: TensorLike, axis = 0): Tensor {
  const [t, at] = [toTensor(x), toTensor(index)];
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
  const sums = scatterAddRowsOf(rows, reshape(at, [m]), n);
  return reshape(transpose(sums, [1, 0, 2]), [...a, n, ...b]);
}

/**
 * One element of each line of x along an axis for each element of the index, as `np.take_along_axis` and PyTorch's `gather`.
 * Shapes: x [...a, n, ...b], index `i32` [...a, m, ...b] -> [...a, m, ...b]. A run with an index out of range throws DataError.
 */
export function takeAlongAxis(x: TensorLike, index: TensorLike, axis: number): Tensor {
  const [t, at] = [toTensor(x), toTensor(index)];
  const along = resolveAxis('takeAlongAxis', axis, t.rank);
  expectLines('takeAlongAxis', t, at, along);
  const y = takeAlongAxisOf(reshape(t, around(t.shape, along)), reshape(at, around(at.shape, along)));
  return reshape(y, at.shape);
}

/**
 * The adjoint of `takeAlongAxis`, PyTorch's `scatter_add`: zeros of size `n` along the axis, to which values are added where the
 * index says, in its order. Shapes: values and index `i32` [...a, m, ...b] -> [...a, n, ...b].
 */
export function scatterAddAlongAxis(values: TensorLike, index: TensorLike, n: number, axis: number): Tensor {
  const [t, at] = [toTensor(values), toTensor(index)];
  const along = resolveAxis('scatterAddAlongAxis', axis, t.rank);
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
 * 1 at the position that each index names on a new last axis of size `n`, else 0: `f32`. A run with an index out of range
 * throws DataError. Shapes: index `i32` [...i] -> [...i, n].
 */
export function oneHot(index: TensorLike, n: number): Tensor {
  const at = expandDims(toTensor(index), -1);
  return scatterAddAlongAxis(broadcastTo(ones([]), at.shape), at, n, at.rank - 1);
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
