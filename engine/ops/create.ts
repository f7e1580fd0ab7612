/** Tensors from data, and types of inputs. */
import { checkDType } from '../host.ts';
import { checkInteger, checkNumber, checkOptions, show } from '../options.ts';
import { checkShape, sizeOf } from '../shape.ts';
import { constant, type Tensor } from '../tensor.ts';
import type { DType, Shape, TensorType } from '../types.ts';
import {
  allocate,
  hostData,
  hostTensor,
  scalarIn,
  type Nested,
  type NdArrayLike,
  type NumberArray,
  type TensorOptions,
} from './convert.ts';

export type { NdArrayLike, Nested, NumberArray, TensorLike, TensorOptions } from './convert.ts';

/**
 * The type of an `f32` input of `compile`: 32-bit floats.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example f32(100, 10) // { shape: [100, 10], dtype: 'f32' }
 */
export const f32 = (...shape: number[]): TensorType => type('f32', shape);

/**
 * The type of an `i32` input of `compile`: 32-bit integers, such as class labels.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example i32(100) // { shape: [100], dtype: 'i32' }
 */
export const i32 = (...shape: number[]): TensorType => type('i32', shape);

/**
 * The type of a `u8` input of `compile`: bytes, such as pixels and truth values.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example u8(100, 32, 32, 3) // { shape: [100, 32, 32, 3], dtype: 'u8' }
 */
export const u8 = (...shape: number[]): TensorType => type('u8', shape);

function type(dtype: DType, shape: Shape): TensorType {
  checkShape(dtype, shape);
  return { shape, dtype };
}

/**
 * Creates a constant from numbers, nested arrays, a typed array or an ndarray.
 *
 * The dtype is `options.dtype`, or that of a typed array, or `f32`.
 * Throws ShapeError if the data is ragged, does not fill `options.shape`, or has a value that the dtype cannot hold.
 * Throws TypeError for an unknown option.
 *
 * @example tensor([[1, 2], [3, 4]]) // [[1, 2], [3, 4]]
 * @example tensor(Int32Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3] }) // [[1, 2, 3], [4, 5, 6]]
 */
export function tensor(data: Nested | NumberArray | NdArrayLike, options: TensorOptions = {}): Tensor {
  checkOptions('tensor', options, ['shape', 'dtype']);
  return constant(hostTensor('tensor', data, options));
}

/**
 * Creates a constant of shape [].
 * Throws ShapeError if the dtype cannot hold the value.
 *
 * @example scalar(3, 'i32') // 3
 */
export function scalar(value: number, dtype: DType = 'f32'): Tensor {
  return scalarIn('scalar', value, dtype);
}

/**
 * Creates a constant filled with one value.
 * Throws ShapeError if a size is not a non-negative integer or the dtype cannot hold the value.
 *
 * @example full([2, 2], 7) // [[7, 7], [7, 7]]
 */
export const full = (shape: Shape, value: number, dtype: DType = 'f32'): Tensor =>
  filled('full', shape, value, dtype);

function filled(where: string, shape: Shape, value: number, dtype: DType): Tensor {
  checkShape(where, shape);
  if (typeof value !== 'number') throw new TypeError(`${where}: value must be a number, got ${show(value)}`);
  checkDType(where, dtype);
  const [checked] = hostData(dtype, [value], where);
  return constant({ shape, dtype, data: allocate(dtype, sizeOf(shape)).fill(checked) });
}

/**
 * Creates a constant filled with 0.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example zeros([2, 3]) // [[0, 0, 0], [0, 0, 0]]
 */
export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => filled('zeros', shape, 0, dtype);

/**
 * Creates a constant filled with 1.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example ones([2, 3]) // [[1, 1, 1], [1, 1, 1]]
 */
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => filled('ones', shape, 1, dtype);

/**
 * Creates the identity matrix, or a matrix of another width with ones on the main diagonal.
 * Throws ShapeError if a size is not a non-negative integer.
 *
 * @example eye(2) // [[1, 0], [0, 1]]
 */
export function eye(rows: number, columns = rows, dtype: DType = 'f32'): Tensor {
  checkShape('eye', [rows, columns]);
  checkDType('eye', dtype);
  const data = allocate(dtype, rows * columns);
  for (let i = 0; i < Math.min(rows, columns); i++) data[i * (columns + 1)] = 1;
  return constant({ shape: [rows, columns], dtype, data });
}

/**
 * Creates a vector of numbers from `start`, before `stop`, in steps. One number is `stop`, and `start` is 0.
 * Throws RangeError if the step is 0, a number is not finite, or the step leads away from `stop`.
 * Throws ShapeError if the dtype cannot hold a value.
 *
 * @example arange(4) // [0, 1, 2, 3]
 * @example arange(1, 2, 0.25) // [1, 1.25, 1.5, 1.75]
 */
export function arange(start: number, stop?: number, step = 1, dtype: DType = 'f32'): Tensor {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  checkNumber('arange', 'start', from);
  checkNumber('arange', 'stop', to);
  checkNumber(
    'arange',
    'step',
    step,
    `a number that leads from ${from} to ${to}`,
    (x) => x !== 0 && (to - from) / x >= 0,
  );
  return line('arange', Math.ceil((to - from) / step), dtype, (i) => from + i * step);
}

/**
 * Creates a vector of `count` evenly spaced numbers from `start` to `stop`, both included.
 * Throws RangeError if the count is not a non-negative integer or a number is not finite.
 * Throws ShapeError if the dtype cannot hold a value.
 *
 * @example linspace(0, 1, 5) // [0, 0.25, 0.5, 0.75, 1]
 */
export function linspace(start: number, stop: number, count: number, dtype: DType = 'f32'): Tensor {
  checkNumber('linspace', 'start', start);
  checkNumber('linspace', 'stop', stop);
  checkInteger('linspace', 'count', count, 0);
  const last = Math.max(count - 1, 1);
  return line('linspace', count, dtype, (i) => (i === last ? stop : start + (i / last) * (stop - start)));
}

/** A vector of values, computed in double precision. */
function line(where: string, count: number, dtype: DType, value: (i: number) => number): Tensor {
  checkDType(where, dtype);
  const values = Array.from({ length: count }, (_, i) => value(i));
  return constant({ shape: [count], dtype, data: hostData(dtype, values, where) });
}
