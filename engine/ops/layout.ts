/** Functions that move or repeat elements without arithmetic. All of them work on every dtype. */
import { ShapeError } from '../errors.ts';
import { checkNumber, checkOptions, isRecord, show } from '../options.ts';
import {
  checkList,
  checkShape,
  formatShape,
  formatType,
  resolveAxes,
  resolveAxis,
  sameShape,
  sizeOf,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { DType, Shape } from '../types.ts';
import { hostTensor, toTensor, type TensorLike } from './convert.ts';
import { layoutOps, placed, taken } from './primitives/layout.ts';

/**
 * Same elements in row-major order, in another shape. It costs nothing. One size may be −1, which is inferred.
 *
 * Shapes: x of any dtype [...] -> the given shape.
 * Throws ShapeError if the numbers of elements differ, or more than one size is −1.
 *
 * @example reshape([1, 2, 3, 4, 5, 6], [2, -1]) // [[1, 2, 3], [4, 5, 6]]
 */
export function reshape(x: TensorLike, shape: Shape): Tensor {
  checkList('reshape', 'shape', shape);
  const t = toTensor('reshape', x);
  const holes = shape.filter((d) => d === -1).length;
  if (holes > 1) throw new ShapeError(`reshape: only one size may be -1, got ${formatShape(shape)}`);
  let resolved = shape;
  if (holes === 1) {
    const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
    if (known === 0 || sizeOf(t.shape) % known !== 0) {
      throw new ShapeError(
        `reshape: cannot infer the -1 in ${formatShape(shape)}: ${formatShape(t.shape)} has ${sizeOf(t.shape)} elements, ` +
          `which is not a multiple of ${known}`,
      );
    }
    resolved = shape.map((d) => (d === -1 ? sizeOf(t.shape) / known : d));
  }
  return sameShape(t.shape, resolved) ? t : layoutOps.reshape([t], { shape: resolved })[0];
}

/**
 * Permutes axes. Axis i of the result is axis perm[i] of x. Without `perm`, the order of axes is reversed.
 *
 * Shapes: x of any dtype [d0, d1, ...] -> [d(perm[0]), d(perm[1]), ...].
 * Throws ShapeError unless `perm` names every axis exactly once.
 *
 * @example transpose([[1, 2, 3], [4, 5, 6]]) // [[1, 4], [2, 5], [3, 6]]
 */
export function transpose(x: TensorLike, perm?: readonly number[]): Tensor {
  const t = toTensor('transpose', x);
  if (perm !== undefined) checkList('transpose', 'perm', perm);
  const order = (perm ?? t.shape.map((_, i) => t.rank - 1 - i)).map((a) =>
    resolveAxis('transpose', a, t.rank),
  );
  if (order.length !== t.rank || new Set(order).size !== t.rank) {
    throw new ShapeError(
      `transpose: perm must name each of the ${t.rank} axes of ${formatShape(t.shape)} once, got ${formatShape(perm ?? [])}`,
    );
  }
  return order.every((axis, i) => axis === i) ? t : layoutOps.transpose([t], { perm: order })[0];
}

/**
 * Broadcasts to a shape by NumPy's rules: repeats elements along new leading axes and along axes of size 1.
 *
 * Shapes: x of any dtype -> the given shape.
 * Throws ShapeError if x does not broadcast to the shape.
 *
 * @example broadcastTo([[1], [2]], [2, 3]) // [[1, 1, 1], [2, 2, 2]]
 */
export function broadcastTo(x: TensorLike, shape: Shape): Tensor {
  checkShape('broadcastTo', shape);
  const t = toTensor('broadcastTo', x);
  return sameShape(t.shape, shape) ? t : layoutOps.broadcastTo([t], { shape })[0];
}

/**
 * What `slice` takes of one axis: a range as in Python's `begin:end:step`, or a single position, which drops the axis.
 * `null` takes the whole axis.
 */
export type Range =
  number | null | { readonly begin?: number; readonly end?: number; readonly step?: number };

/**
 * Takes a range of each axis, as NumPy's `x[begin:end:step]`. Axes without a range stay whole.
 *
 * Negative positions count from the end. A negative step walks backwards. Ends beyond the axis are clipped.
 *
 * Shapes: x of any dtype. The rank drops by one for each single position.
 * Throws ShapeError if a single position does not exist, there are more ranges than axes, a step is 0, or a value is not an
 * integer.
 * Throws TypeError if `ranges` is not an array, or a range is not a position, `null` or an object with known names.
 *
 * @example slice([[1, 2, 3], [4, 5, 6]], [null, { begin: 1 }]) // [[2, 3], [5, 6]]
 * @example slice([[1, 2, 3], [4, 5, 6]], [-1]) // [4, 5, 6]
 */
export function slice(x: TensorLike, ranges: readonly Range[]): Tensor {
  const t = toTensor('slice', x);
  if (!Array.isArray(ranges)) {
    throw new TypeError(
      `slice: ranges must be an array with one range for each axis, got ${show(ranges)} ` +
        '(write [{ begin: 0, end: 1 }], or [0] for one position)',
    );
  }
  if (ranges.length > t.rank) {
    throw new ShapeError(`slice: ${ranges.length} ranges for ${formatType(t)}, which has ${t.rank} axes`);
  }
  const walks = t.shape.map((size, axis) => resolveRange(axis, ranges[axis] ?? null, size));
  const shape = walks.map(({ count }) => count);
  const begin = walks.map((walk) => walk.begin);
  const step = walks.map((walk) => walk.step);
  const whole = sameShape(shape, t.shape) && step.every((s) => s === 1);
  const part = whole ? t : taken(t, { shape, begin, step });
  return reshape(
    part,
    shape.filter((_, axis) => typeof ranges[axis] !== 'number'),
  );
}

function resolveRange(
  axis: number,
  range: Range,
  size: number,
): { readonly begin: number; readonly step: number; readonly count: number } {
  if (range === null) return { begin: 0, step: 1, count: size };
  if (typeof range === 'number') {
    const begin = range < 0 ? range + size : range;
    if (!Number.isInteger(range) || begin < 0 || begin >= size) {
      throw new ShapeError(
        `slice: position ${range} does not exist along axis ${axis} of size ${size} ` +
          `(positions go from ${-size} to ${size - 1})`,
      );
    }
    return { begin, step: 1, count: 1 };
  }
  if (!isRecord(range)) {
    const given: unknown = range;
    const written = Array.isArray(given)
      ? `{ begin: ${String(given[0] ?? 0)}, end: ${String(given[1] ?? size)} }`
      : '{ begin: 0, end: 1 }';
    throw new TypeError(
      `slice: the range of axis ${axis} must be a position, null or { begin, end, step }, got ${show(given)} ` +
        `(write ${written})`,
    );
  }
  checkOptions(`slice: the range of axis ${axis}`, range, ['begin', 'end', 'step']);
  const { step = 1 } = range;
  for (const [name, value] of Object.entries({ step, begin: range.begin, end: range.end })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || (name === 'step' && value === 0))) {
      throw new ShapeError(
        `slice: ${name} of axis ${axis} must be an integer${name === 'step' ? ' other than 0' : ''}, got ${value}`,
      );
    }
  }
  // With a negative step, the walk begins at the last position, and its end is before position 0.
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (position: number | undefined, otherwise: number): number => {
    if (position === undefined) return otherwise;
    return Math.min(Math.max(position < 0 ? position + size : position, least), most);
  };
  const begin = place(range.begin, step > 0 ? least : most);
  const end = place(range.end, step > 0 ? most : least);
  const count = Math.max(0, Math.ceil((end - begin) / step));
  return { begin: count === 0 ? 0 : begin, step: count === 0 ? 1 : step, count };
}

/**
 * Concatenates tensors along an axis, the first by default.
 *
 * Shapes: all sizes but that of the axis, and the dtypes, must agree. The sizes along the axis add up.
 * Throws ShapeError if there are no tensors, or other sizes or dtypes differ.
 *
 * @example concat([[[1, 2]], [[3, 4], [5, 6]]]) // [[1, 2], [3, 4], [5, 6]]
 */
export function concat(tensors: readonly TensorLike[], axis = 0): Tensor {
  checkList('concat', 'tensors', tensors);
  if (tensors.length === 0) throw new ShapeError('concat: expects at least one tensor, got none');
  const list = tensors.map((value) => toTensor('concat', value));
  const resolved = resolveAxis('concat', axis, list[0].rank);
  return list.length === 1 ? list[0] : layoutOps.concat(list, { axis: resolved })[0];
}

/**
 * Stacks tensors of one shape along a new axis, the first by default.
 *
 * Shapes: k tensors of any dtype [...] -> [k, ...].
 * Throws ShapeError if there are no tensors, or their shapes or dtypes differ.
 *
 * @example stack([[1, 2], [3, 4]]) // [[1, 2], [3, 4]]
 */
export function stack(tensors: readonly TensorLike[], axis = 0): Tensor {
  checkList('stack', 'tensors', tensors);
  const list = tensors.map((value) => toTensor('stack', value));
  for (const t of list) {
    if (sameShape(t.shape, list[0].shape) && t.dtype === list[0].dtype) continue;
    throw new ShapeError(
      `stack: ${formatType(list[0])} and ${formatType(t)} differ (shapes and dtypes must be equal)`,
    );
  }
  if (list.length === 0) throw new ShapeError('stack: expects at least one tensor, got none');
  const resolved = resolveAxis('stack', axis, list[0].rank + 1);
  return concat(
    list.map((t) => expandDims(t, resolved)),
    resolved,
  );
}

/**
 * Splits along an axis, the first by default, into a number of equal parts or into parts of the given sizes.
 *
 * Shapes: x of any dtype. Each part has the shape of x except along the axis.
 * Throws ShapeError if the parts do not add up to the size of the axis.
 *
 * @example split([1, 2, 3, 4, 5], [2, 3])[1] // [3, 4, 5]
 */
export function split(x: TensorLike, parts: number | readonly number[], axis = 0): Tensor[] {
  const t = toTensor('split', x);
  if (typeof parts !== 'number') checkList('split', 'parts', parts);
  const resolved = resolveAxis('split', axis, t.rank);
  const size = t.shape[resolved];
  const sizes = typeof parts === 'number' ? Array.from({ length: parts }, () => size / parts) : [...parts];
  const total = sizes.reduce((sum, n) => sum + n, 0);
  if (total !== size || sizes.some((n) => !Number.isSafeInteger(n) || n < 0)) {
    const what = typeof parts === 'number' ? `${parts} equal parts` : `parts ${formatShape(parts)}`;
    throw new ShapeError(
      `split: axis ${resolved} of ${formatShape(t.shape)} has size ${size}, which does not split into ${what}`,
    );
  }
  let begin = 0;
  return sizes.map((n) => {
    const range = { begin, end: begin + n };
    begin += n;
    return slice(
      t,
      t.shape.map((_, i) => (i === resolved ? range : null)),
    );
  });
}

/**
 * Drops axes of size 1: the given ones, or all of them.
 *
 * Shapes: x of any dtype, for instance [1, n, 1] -> [n].
 * Throws ShapeError if a given axis does not exist or its size is not 1.
 *
 * @example squeeze([[[1, 2]]]) // [1, 2]
 */
export function squeeze(x: TensorLike, axes?: number | readonly number[]): Tensor {
  const t = toTensor('squeeze', x);
  const given = resolveAxes('squeeze', axes, t.rank);
  const large = axes === undefined ? undefined : given.find((axis) => t.shape[axis] !== 1);
  if (large !== undefined) {
    throw new ShapeError(
      `squeeze: axis ${large} of ${formatShape(t.shape)} has size ${t.shape[large]}, not 1`,
    );
  }
  return reshape(
    t,
    t.shape.filter((d, axis) => d !== 1 || !given.includes(axis)),
  );
}

/**
 * Inserts an axis of size 1. `axis` is its position in the result.
 *
 * Shapes: x of any dtype, for instance [m, n] -> [m, 1, n] for axis 1.
 * Throws ShapeError if the axis does not exist in the result.
 *
 * @example expandDims([1, 2], 1) // [[1], [2]]
 */
export function expandDims(x: TensorLike, axis: number): Tensor {
  const t = toTensor('expandDims', x);
  const at = resolveAxis('expandDims', axis, t.rank + 1);
  return reshape(t, [...t.shape.slice(0, at), 1, ...t.shape.slice(at)]);
}

/**
 * Reverses the order of elements along the given axes, or along all of them.
 *
 * Shapes: x of any dtype [...] -> [...].
 * Throws ShapeError if an axis does not exist or is given twice.
 *
 * @example flip([[1, 2], [3, 4]], 1) // [[2, 1], [4, 3]]
 */
export function flip(x: TensorLike, axes?: number | readonly number[]): Tensor {
  const t = toTensor('flip', x);
  const flipped = resolveAxes('flip', axes, t.rank);
  return slice(
    t,
    t.shape.map((_, axis) => (flipped.includes(axis) ? { step: -1 } : null)),
  );
}

/**
 * Shifts elements along axes. Those that leave at the end return at the beginning. Without axes, the flattened tensor is shifted.
 *
 * Shapes: x of any dtype [...] -> [...].
 * Source: torch.roll; numpy.roll.
 * Throws RangeError if a shift is not an integer.
 * Throws ShapeError if an axis does not exist or is given twice, or there is not one shift for each axis.
 *
 * @example roll([1, 2, 3, 4], 1) // [4, 1, 2, 3]
 * @example roll([[1, 2], [3, 4]], -1, 1) // [[2, 1], [4, 3]]
 */
export function roll(
  x: TensorLike,
  shifts: number | readonly number[],
  axes?: number | readonly number[],
): Tensor {
  const t = toTensor('roll', x);
  const amounts = typeof shifts === 'number' ? [shifts] : shifts;
  checkList('roll', 'shifts', amounts);
  for (const amount of amounts) checkNumber('roll', 'shift', amount, 'an integer', Number.isSafeInteger);
  if (axes === undefined && typeof shifts === 'number') {
    return reshape(rolled(reshape(t, [sizeOf(t.shape)]), shifts, 0), t.shape);
  }
  resolveAxes('roll', axes, t.rank);
  const list = (typeof axes === 'number' ? [axes] : (axes ?? [])).map((axis) =>
    resolveAxis('roll', axis, t.rank),
  );
  if (amounts.length !== list.length) {
    throw new ShapeError(
      `roll: ${amounts.length} shifts for ${list.length} axes (give one shift for each axis)`,
    );
  }
  return list.reduce((result, axis, i) => rolled(result, amounts[i], axis), t);
}

function rolled(t: Tensor, shift: number, axis: number): Tensor {
  const size = t.shape[axis];
  const begin = size === 0 ? 0 : ((-shift % size) + size) % size;
  if (begin === 0) return t;
  return concat(split(t, [begin, size - begin], axis).reverse(), axis);
}

/**
 * Repeats the whole tensor `counts[i]` times along axis i, like `np.tile`. If there are fewer counts than axes, they apply
 * to the last axes.
 *
 * Shapes: x of any dtype [d0, d1, ...] -> [d0 · counts[0], d1 · counts[1], ...].
 * Throws ShapeError if a count is not a non-negative integer.
 *
 * @example tile([1, 2], [2, 2]) // [[1, 2, 1, 2], [1, 2, 1, 2]]
 */
export function tile(x: TensorLike, counts: readonly number[]): Tensor {
  const t = toTensor('tile', x);
  checkShape('tile', counts, 'counts');
  const rank = Math.max(t.rank, counts.length);
  const shape = [...Array.from({ length: rank - t.rank }, () => 1), ...t.shape];
  const times = [...Array.from({ length: rank - counts.length }, () => 1), ...counts];
  const repeated = broadcastTo(
    reshape(
      t,
      shape.flatMap((d) => [1, d]),
    ),
    shape.flatMap((d, i) => [times[i], d]),
  );
  return reshape(
    repeated,
    shape.map((d, i) => d * times[i]),
  );
}

/**
 * Repeats each element `count` times along an axis, like `np.repeat` and PyTorch's `repeat_interleave`.
 *
 * Shapes: x of any dtype [...a, n, ...b] -> [...a, n · count, ...b].
 * Throws ShapeError if the count is not a non-negative integer or the axis does not exist.
 *
 * @example repeat([1, 2], 2, 0) // [1, 1, 2, 2]
 */
export function repeat(x: TensorLike, count: number, axis: number): Tensor {
  const t = toTensor('repeat', x);
  checkShape('repeat', [count]);
  const at = resolveAxis('repeat', axis, t.rank);
  const wide = [...t.shape.slice(0, at + 1), count, ...t.shape.slice(at + 1)];
  return reshape(
    broadcastTo(expandDims(t, at + 1), wide),
    t.shape.map((d, i) => (i === at ? d * count : d)),
  );
}

export interface PadOptions {
  /**
   * What fills the border: `value` ('constant'), a mirror image that does not repeat the edge ('reflect'), or the edge itself
   * ('edge'). Default 'constant'.
   */
  readonly mode?: 'constant' | 'reflect' | 'edge';
  /** Fill value of mode 'constant'. Default 0. */
  readonly value?: number;
}

/**
 * Pads every axis: `amounts[i]` is [before, after] for axis i. Amounts must not be negative; use `slice` to crop.
 *
 * Shapes: x of any dtype [d0, ...] -> [before + d0 + after, ...].
 * Throws ShapeError if there is not one pair for each axis, an amount is not a non-negative integer, or the border is
 * longer than what it mirrors.
 * Throws RangeError if the mode is unknown.
 * Throws TypeError if `amounts` is not an array of pairs, or for an unknown option.
 *
 * @example pad([1, 2, 3], [[1, 2]]) // [0, 1, 2, 3, 0, 0]
 * @example pad([1, 2, 3], [[2, 0]], { mode: 'reflect' }) // [3, 2, 1, 2, 3]
 */
export function pad(
  x: TensorLike,
  amounts: readonly (readonly [before: number, after: number])[],
  options: PadOptions = {},
): Tensor {
  checkOptions('pad', options, ['mode', 'value']);
  const { mode = 'constant', value = 0 } = options;
  const t = toTensor('pad', x);
  checkAmounts(t, amounts);
  if (amounts.every(([before, after]) => before === 0 && after === 0)) return t;
  if (mode === 'constant') {
    return placed(t, {
      shape: t.shape.map((d, axis) => d + amounts[axis][0] + amounts[axis][1]),
      begin: amounts.map(([before]) => before),
      step: amounts.map(() => 1),
      value: checkedValue(t.dtype, value),
    });
  }
  if (mode !== 'reflect' && mode !== 'edge') {
    throw new RangeError(`pad: mode must be 'constant', 'reflect' or 'edge', got ${JSON.stringify(mode)}`);
  }
  return amounts.reduce((padded, [before, after], axis) => {
    const size = t.shape[axis];
    const most = mode === 'reflect' ? size - 1 : size === 0 ? 0 : Infinity;
    if (Math.max(before, after) > most) {
      throw new ShapeError(
        `pad: mode '${mode}' allows at most ${most} on each side of axis ${axis} of ${formatType(t)}, got [${before},${after}]`,
      );
    }
    const along = (range: Range): Tensor =>
      slice(
        padded,
        padded.shape.map((_, i) => (i === axis ? range : null)),
      );
    const border = (count: number, mirror: Range, edge: number): Tensor[] => {
      if (count === 0) return [];
      return [
        mode === 'reflect' ? along(mirror) : repeat(along({ begin: edge, end: edge + 1 }), count, axis),
      ];
    };
    return concat(
      [
        ...border(before, { begin: before, end: 0, step: -1 }, 0),
        padded,
        ...border(
          after,
          { begin: size - 2, step: -1, ...(after < size - 1 ? { end: size - 2 - after } : {}) },
          size - 1,
        ),
      ],
      axis,
    );
  }, t);
}

/** Throws TypeError unless `amounts` is an array of pairs, and ShapeError for other lengths and values. */
function checkAmounts(t: Tensor, amounts: readonly (readonly number[])[]): void {
  const form = 'amounts must be an array with one pair [before, after] for each axis';
  if (!Array.isArray(amounts) || amounts.some((amount) => !Array.isArray(amount))) {
    const numbers = Array.isArray(amounts) && amounts.every((amount) => typeof amount === 'number');
    const fix = t.rank === 1 && numbers && amounts.length === 2 ? `[[${amounts.join(', ')}]]` : '[[1, 1], …]';
    const got = numbers ? formatShape(amounts) : show(amounts);
    throw new TypeError(`pad: ${form}, got ${got} (write ${fix})`);
  }
  if (amounts.length !== t.rank) {
    throw new ShapeError(`pad: ${amounts.length} amounts for ${formatType(t)}, which has ${t.rank} axes`);
  }
  amounts.forEach((amount, axis) => {
    if (amount.length === 2 && amount.every((n: number) => Number.isSafeInteger(n) && n >= 0)) return;
    throw new ShapeError(
      `pad: amounts of axis ${axis} must be two non-negative integers [before, after], got ${formatShape(amount)} ` +
        '(use slice to crop)',
    );
  });
}

/** Returns the value. Throws ShapeError unless the dtype can hold it. */
function checkedValue(dtype: DType, value: number): number {
  hostTensor('pad', value, { dtype });
  return value;
}
