/** Host data as tensors: numbers, nested arrays, typed arrays and ndarrays. */
import { ShapeError } from '../errors.ts';
import { checkDType, checkHostTensor, dtypeOfArray, isFloat64Array, typedArrayName } from '../host.ts';
import { withDType } from '../op.ts';
import { show } from '../options.ts';
import { checkShape, formatShape, sizeOf } from '../shape.ts';
import { constant, Tensor } from '../tensor.ts';
import type { DType, HostData, HostTensor, Shape } from '../types.ts';

/** A number, or nested arrays of numbers. */
export type Nested = number | readonly Nested[];

/** The part of an array of the ndarray package that is read. */
export interface NdArrayLike {
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;
  readonly data: ArrayLike<number>;
}

/** Typed arrays. Arrays of bytes become `u8`, other integers `i32`, and floats `f32`. */
export type NumberArray = HostData | Int8Array | Int16Array | Uint16Array | Uint32Array | Uint8ClampedArray;

/** What operations accept: a tensor, a number, nested arrays, a typed array or an ndarray. */
export type TensorLike = Tensor | Nested | NumberArray | NdArrayLike;

export interface TensorOptions {
  /** Default: the dtype of a typed array, else 'f32'. */
  readonly dtype?: DType;
  /** Shape of flat data. */
  readonly shape?: Shape;
}

/**
 * Converts what operations accept to a tensor. A plain number becomes `f32` [] and keeps double precision for backends that
 * compute with it. Errors begin with `where`, the function that got the value.
 */
export function toTensor(where: string, value: TensorLike): Tensor {
  if (value instanceof Tensor) return value;
  if (typeof value !== 'number') return constant(hostTensor(where, value));
  checkFits(where, 'f32', value, Math.fround(value), 0);
  return constant({ shape: [], dtype: 'f32', data: Float64Array.of(value) });
}

/** A scalar for the function `where`, which errors name. */
export function scalarIn(where: string, value: number, dtype: DType): Tensor {
  if (typeof value !== 'number') throw new TypeError(`${where}: value must be a number, got ${show(value)}`);
  checkDType(where, dtype);
  return constant({ shape: [], dtype, data: hostData(dtype, [value], where) });
}

/** x as a tensor. Throws ShapeError, in the name of the caller, unless it is `f32`. */
export const floats = (where: string, x: TensorLike): Tensor => withDType(where, 'f32', toTensor(where, x));

/** Zero-filled storage on the host. */
export function allocate(dtype: DType, size: number): Float32Array | Int32Array | Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Float32Array(size);
    case 'i32':
      return new Int32Array(size);
    case 'u8':
      return new Uint8Array(size);
  }
}

/** Copies host data into a dense row-major array. Throws ShapeError that names `where` and the sizes. */
export function hostTensor(
  where: string,
  data: Nested | NumberArray | NdArrayLike,
  options: TensorOptions = {},
): HostTensor {
  let flat: NumberArray | number[];
  let shape: Shape;
  let dtype: DType = 'f32';
  if (typeof data === 'number') {
    flat = [data];
    shape = [];
  } else if (isNumberArray(data)) {
    flat = data;
    shape = [data.length];
    dtype = dtypeOfArray(data)!;
  } else if (isNdArray(data)) {
    shape = data.shape;
    dtype = dtypeOfArray(data.data) ?? dtype;
    flat = denseValues(where, data);
  } else {
    const values: number[] = [];
    shape = nestedShape(where, data);
    flattenNested(where, data, shape, 0, [], values);
    flat = values;
  }
  if (options.shape !== undefined) {
    checkShape(where, options.shape);
    if (sizeOf(options.shape) !== flat.length) {
      throw new ShapeError(
        `${where}: ${flat.length} values do not fill the shape ${formatShape(options.shape)} ` +
          `(which holds ${sizeOf(options.shape)})`,
      );
    }
    shape = options.shape;
  }
  const target = options.dtype ?? dtype;
  checkDType(where, target);
  // Keep double precision for the f64 mode of the reference backend. Other backends round.
  const rounded = hostData(target, flat, where);
  const values = isFloat64Array(flat) && target === 'f32' ? flat.slice() : rounded;
  return { shape: [...shape], dtype: target, data: values };
}

const isNumberArray = (data: unknown): data is NumberArray => dtypeOfArray(data) !== undefined;

function isNdArray(data: unknown): data is NdArrayLike {
  return typeof data === 'object' && data !== null && 'stride' in data && 'offset' in data && 'shape' in data;
}

/** The values in the dtype. Throws ShapeError for a value that the dtype cannot hold. */
export function hostData(dtype: DType, values: ArrayLike<number>, where = 'tensor'): HostData {
  const out = allocate(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    out[i] = value;
    checkFits(where, dtype, value, out[i], i);
  }
  return out;
}

/** Throws ShapeError unless the dtype holds the value. `f32` may round it, but must not turn it into an infinity. */
function checkFits(where: string, dtype: DType, value: number, held: number, position: number): void {
  const fits = dtype === 'f32' ? Number.isFinite(held) || !Number.isFinite(value) : held === value;
  if (fits) return;
  const way =
    dtype === 'f32'
      ? ', whose largest number is 3.4028235e+38 (scale it, or give Infinity)'
      : " (use dtype 'f32')";
  throw new ShapeError(`${where}: value ${value} at position ${position} does not fit ${dtype}${way}`);
}

function denseValues(where: string, { shape, stride, offset, data }: NdArrayLike): HostData {
  const n = sizeOf(shape);
  const dtype = dtypeOfArray(data);
  // Values stay exact until the target dtype is known: doubles keep their precision, and unsigned integers their value.
  const exact = dtype === undefined || isFloat64Array(data) || typedArrayName(data) === 'Uint32Array';
  const out = exact ? new Float64Array(n) : allocate(dtype, n);
  const index = Array.from({ length: shape.length }, () => 0);
  let position = offset;
  for (let i = 0; i < n; i++) {
    const value = data[position];
    if (value === undefined) {
      throw new ShapeError(
        `${where}: stride and offset leave the data: element ${position} of ${data.length}`,
      );
    }
    out[i] = value;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += stride[axis];
      if (++index[axis] < shape[axis]) break;
      position -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

function nestedShape(where: string, data: Nested): number[] {
  const shape: number[] = [];
  let level: Nested = data;
  while (typeof level !== 'number') {
    if (!Array.isArray(level)) {
      throw new ShapeError(
        `${where}: expects numbers, arrays of numbers or typed arrays, got ${ArrayBuffer.isView(level) ? `a ${(level as object).constructor.name}` : show(level)}`,
      );
    }
    shape.push(level.length);
    if (level.length === 0) break;
    level = (level as readonly Nested[])[0];
  }
  return shape;
}

function flattenNested(
  where: string,
  data: Nested,
  shape: Shape,
  axis: number,
  at: number[],
  out: number[],
): void {
  if (axis === shape.length) {
    if (typeof data !== 'number') {
      throw new ShapeError(
        `${where}: ragged data: ${position(at)} is ${describe(data)} where its neighbors are numbers`,
      );
    }
    out.push(data);
    return;
  }
  if (!Array.isArray(data) || data.length !== shape[axis]) {
    const found = Array.isArray(data) ? `has length ${data.length}` : `is ${String(data)}`;
    throw new ShapeError(
      `${where}: ragged data: ${position(at)} ${found} where length ${shape[axis]} is expected`,
    );
  }
  for (const [i, item] of (data as readonly Nested[]).entries()) {
    at.push(i);
    flattenNested(where, item, shape, axis + 1, at, out);
    at.pop();
  }
}

function describe(data: unknown): string {
  if (Array.isArray(data)) return 'an array';
  return typeof data === 'string' ? JSON.stringify(data) : String(data);
}

const position = (at: readonly number[]): string => (at.length === 0 ? 'the data' : `[${at.join('][')}]`);

/** A host tensor, checked and returned as it is; other data by the rules of `tensor`. */
export function toHost(where: string, data: HostTensor | Nested | HostData): HostTensor {
  // An ndarray also has a dtype.
  if (typeof data !== 'object' || data === null || !('dtype' in data) || 'stride' in data) {
    return hostTensor(where, data as Nested | HostData, { dtype: 'f32' });
  }
  checkHostTensor(where, data);
  return data;
}
