/** Data on the host as tensors: numbers, nested arrays, typed arrays, ndarrays. */
import { ShapeError } from '../errors.ts';
import { checkHostTensor, dtypeOfArray, isFloat64Array, typedArrayName } from '../host.ts';
import { show } from '../options.ts';
import { checkShape, formatShape, sizeOf } from '../shape.ts';
import { constant, Tensor } from '../tensor.ts';
import type { DType, HostData, HostTensor, Shape } from '../types.ts';

export type Nested = number | readonly Nested[];

/** What the ndarray package calls an array, as far as reading it goes. */
export interface NdArrayLike {
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;
  readonly data: ArrayLike<number>;
}

/** Arrays of numbers that are read in their own dtype: `u8` of bytes, `i32` of other integers, else `f32`. */
export type NumberArray = HostData | Int8Array | Int16Array | Uint16Array | Uint32Array | Uint8ClampedArray;

export type TensorLike = Tensor | Nested | NumberArray | NdArrayLike;

export interface TensorOptions {
  /** Default: the element type of a typed array, else 'f32'. */
  readonly dtype?: DType;
  /** Reshapes flat data. */
  readonly shape?: Shape;
}

/**
 * Anything an operation takes, as a tensor; a plain number becomes a rank-0 `f32`, which keeps its double precision for
 * backends that compute with it.
 */
export function toTensor(value: TensorLike): Tensor {
  if (value instanceof Tensor) return value;
  if (typeof value !== 'number') return constant(hostTensor('tensor', value));
  checkFits('tensor', 'f32', value, Math.fround(value), 0);
  return constant({ shape: [], dtype: 'f32', data: Float64Array.of(value) });
}

/** Zero-filled storage on the host. */
export function allocate(dtype: DType, size: number): Float32Array | Int32Array | Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Float32Array(size);
    case 'i32':
      return new Int32Array(size);
    case 'u8':
      return new Uint8Array(size);
    default:
      throw new TypeError(
        `dtype: must be 'f32', 'i32' or 'u8', got ${JSON.stringify(dtype satisfies never)}`,
      );
  }
}

/** Copies any supported host data into a dense row-major array; throws ShapeError naming place and sizes. */
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
  // Double precision is kept: the reference backend's f64 mode reads it, the others round.
  const rounded = hostData(target, flat, where);
  const values = isFloat64Array(flat) && target === 'f32' ? flat.slice() : rounded;
  return { shape: [...shape], dtype: target, data: values };
}

const isNumberArray = (data: unknown): data is NumberArray => dtypeOfArray(data) !== undefined;

function isNdArray(data: unknown): data is NdArrayLike {
  return typeof data === 'object' && data !== null && 'stride' in data && 'offset' in data && 'shape' in data;
}

/** The values in the dtype. Throws ShapeError for one that the dtype cannot hold. */
export function hostData(dtype: DType, values: ArrayLike<number>, where = 'tensor'): HostData {
  const out = allocate(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    out[i] = value;
    checkFits(where, dtype, value, out[i], i);
  }
  return out;
}

/** Throws ShapeError unless `held` is what `value` is: `f32` rounds, but a number is not to become an infinity in silence. */
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
  // Plain arrays and doubles keep their precision, and unsigned integers their value, until it is known what they become.
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

/** A host tensor as it is, checked; anything else through `tensor`'s rules. */
export function toHost(where: string, data: HostTensor | Nested | HostData): HostTensor {
  // An ndarray has a dtype too.
  if (typeof data !== 'object' || !('dtype' in data) || 'stride' in data) {
    return hostTensor(where, data as Nested | HostData, { dtype: 'f32' });
  }
  checkHostTensor(where, data);
  return data;
}
