/** Tensors from data, and types of inputs. */
import { checkDType } from '../host.ts';
import { checkOptions, show } from '../options.ts';
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
