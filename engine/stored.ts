/** The types of numbers in files of arrays, and the dtypes that they become. Shared by safetensors, IDX and NumPy files. */
import type { DType, HostData } from './types.ts';

/** A type of numbers in files: our dtype for it, and its size in bytes. */
export interface StoredType {
  readonly dtype: DType;
  readonly bytes: number;
  /** The values. Null if `dtype` cannot represent one of them. */
  readonly read: (buffer: ArrayBuffer) => HostData | null;
}

/** Our types, and others with the dtype that represents their values, by their names in safetensors. F64 is rounded. */
export const STORED = new Map<string, StoredType>([
  ['F32', { dtype: 'f32', bytes: 4, read: (buffer) => new Float32Array(buffer) }],
  ['I32', { dtype: 'i32', bytes: 4, read: (buffer) => new Int32Array(buffer) }],
  ['U8', { dtype: 'u8', bytes: 1, read: (buffer) => new Uint8Array(buffer) }],
  ['F64', { dtype: 'f32', bytes: 8, read: rounded }],
  ['F16', { dtype: 'f32', bytes: 2, read: (buffer) => Float32Array.from(new Uint16Array(buffer), fromHalf) }],
  // BF16 is the upper half of an F32.
  [
    'BF16',
    {
      dtype: 'f32',
      bytes: 2,
      read: (buffer) =>
        new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer),
    },
  ],
  ['I64', { dtype: 'i32', bytes: 8, read: (buffer) => narrowed(new BigInt64Array(buffer)) }],
  ['U64', { dtype: 'i32', bytes: 8, read: (buffer) => narrowed(new BigUint64Array(buffer)) }],
  [
    'U32',
    {
      dtype: 'i32',
      bytes: 4,
      read: (buffer) => narrowed(BigInt64Array.from(new Uint32Array(buffer), BigInt)),
    },
  ],
  ['I16', { dtype: 'i32', bytes: 2, read: (buffer) => Int32Array.from(new Int16Array(buffer)) }],
  ['U16', { dtype: 'i32', bytes: 2, read: (buffer) => Int32Array.from(new Uint16Array(buffer)) }],
  ['I8', { dtype: 'i32', bytes: 1, read: (buffer) => Int32Array.from(new Int8Array(buffer)) }],
  ['BOOL', { dtype: 'u8', bytes: 1, read: (buffer) => new Uint8Array(buffer) }],
]);

/** IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
export function fromHalf(half: number): number {
  const sign = half >> 15 === 0 ? 1 : -1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function rounded(buffer: ArrayBuffer): Float32Array | null {
  const wide = new Float64Array(buffer);
  const narrow = Float32Array.from(wide);
  return narrow.every((value, i) => Number.isFinite(value) || !Number.isFinite(wide[i])) ? narrow : null;
}

function narrowed(wide: BigInt64Array | BigUint64Array): Int32Array | null {
  const narrow = Int32Array.from({ length: wide.length }, (_, i) => Number(BigInt.asIntN(32, wide[i])));
  return narrow.every((value, i) => BigInt(value) === wide[i]) ? narrow : null;
}

/** The part of an error message that explains an array with values that its dtype cannot represent. */
export const unrepresentable = (name: string, type: string, dtype: DType): string =>
  `${name} is ${type} and has values that ${dtype} cannot represent ` +
  '(save it with smaller values: there is no larger type)';
