/** Tensors from data, and the types of inputs. */
import { checkShape, sizeOf } from '../shape.ts';
import { constant, type Tensor } from '../tensor.ts';
import type { DType, Shape, TensorType } from '../types.ts';
import {
  allocate,
  hostData,
  hostTensor,
  type Nested,
  type NdArrayLike,
  type NumberArray,
  type TensorOptions,
} from './convert.ts';

export type { NdArrayLike, Nested, NumberArray, TensorLike, TensorOptions } from './convert.ts';

/** Types for `compile`'s inputs: `f32(100, 10)` is `{ shape: [100, 10], dtype: 'f32' }`. */
export const f32 = (...shape: number[]): TensorType => type('f32', shape);
/** The type of integers, as `f32`; also of class labels. */
export const i32 = (...shape: number[]): TensorType => type('i32', shape);
/** The type of bytes, as `f32`; also of truth values. */
export const u8 = (...shape: number[]): TensorType => type('u8', shape);

function type(dtype: DType, shape: Shape): TensorType {
  checkShape(dtype, shape);
  return { shape, dtype };
}

/**
 * A constant that holds data.
 *
 * @example tensor([[1, 2], [3, 4]])
 * @example tensor(new Float32Array(6), { shape: [2, 3] })
 */
export function tensor(data: Nested | NumberArray | NdArrayLike, options: TensorOptions = {}): Tensor {
  return constant(hostTensor('tensor', data, options));
}

/** A rank-0 constant. */
export function scalar(value: number, dtype: DType = 'f32'): Tensor {
  return constant({ shape: [], dtype, data: hostData(dtype, [value]) });
}

/** A constant filled with one value. */
export function full(shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
  checkShape('full', shape);
  const [checked] = hostData(dtype, [value], 'full');
  return constant({ shape, dtype, data: allocate(dtype, sizeOf(shape)).fill(checked) });
}
/** A constant filled with 0. */
export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);
/** A constant filled with 1. */
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 1, dtype);
