/** Data on the host: the class of a typed array from any realm, and checks of arrays. */
import { DataError } from './errors.ts';
import { refusePromise, show } from './options.ts';
import { formatShape, formatType, sizeOf } from './shape.ts';
import type { DType, HostData, HostTensor, State } from './types.ts';

/** The prototype of all typed arrays. */
const typedArrays = Object.getPrototypeOf(Uint8Array.prototype) as object;

/**
 * The class of a typed array, for instance 'Float32Array', or 'Uint8Array' for a Buffer. Undefined for anything else. The getter reads
 * an internal slot of the value. Unlike `instanceof`, this works across realms.
 */
export const typedArrayName = (value: unknown): string | undefined =>
  Reflect.get(typedArrays, Symbol.toStringTag, value) as string | undefined;

/** The classes of numeric data, with the dtype that each becomes. */
const NUMBERS: Readonly<Record<string, DType>> = {
  Float16Array: 'f32',
  Float32Array: 'f32',
  Float64Array: 'f32',
  Int8Array: 'i32',
  Int16Array: 'i32',
  Int32Array: 'i32',
  Uint8Array: 'u8',
  Uint8ClampedArray: 'u8',
  Uint16Array: 'i32',
  Uint32Array: 'i32',
};

/** The dtype that a typed array of numbers becomes. Undefined for anything else, also for a BigInt64Array. */
export function dtypeOfArray(value: unknown): DType | undefined {
  const name = typedArrayName(value);
  return name === undefined ? undefined : NUMBERS[name];
}

export const isFloat64Array = (value: unknown): value is Float64Array =>
  typedArrayName(value) === 'Float64Array';

const HOLDERS: Readonly<Record<DType, readonly string[]>> = {
  f32: ['Float32Array', 'Float64Array'],
  i32: ['Int32Array'],
  u8: ['Uint8Array'],
};

/** Whether `data` is a typed array that stores values of a dtype without conversion. */
export const holds = (dtype: DType, data: unknown): data is HostData =>
  HOLDERS[dtype].includes(typedArrayName(data) ?? '');

/** Throws TypeError unless `dtype` is one of ours. */
export function checkDType(where: string, dtype: unknown): asserts dtype is DType {
  if (typeof dtype === 'string' && Object.hasOwn(HOLDERS, dtype)) return;
  throw new TypeError(`${where}: dtype must be 'f32', 'i32' or 'u8', got ${show(dtype)}`);
}

/** The typed array to feed for a dtype. */
export const holderOf = (dtype: DType): string => HOLDERS[dtype][0];

/** Data in a message: 'Int32Array (3)', 'an array'. */
export const showData = (data: unknown): string => {
  const name = typedArrayName(data);
  return name === undefined ? show(data) : `${name} (${(data as HostData).length})`;
};

/**
 * Throws TypeError unless `value` has the form { shape, dtype, data }, and DataError if the data does not match its dtype or shape.
 */
export function checkHostTensor(where: string, value: unknown): asserts value is HostTensor {
  const given = value as Partial<HostTensor> | null | undefined;
  if (typeof given !== 'object' || given === null || !Array.isArray(given.shape)) {
    throw new TypeError(`${where} must be an array { shape, dtype, data }, got ${show(value)}`);
  }
  const { shape, dtype, data } = given as HostTensor;
  if (!Object.hasOwn(HOLDERS, dtype)) {
    throw new DataError(`${where} has dtype ${show(dtype)} (use 'f32', 'i32' or 'u8')`);
  }
  const size = shape.find((d) => !Number.isSafeInteger(d) || d < 0);
  if (size !== undefined) {
    throw new DataError(
      `${where} has the shape ${formatShape(shape)}: ${String(size)} is not a size (use integers >= 0)`,
    );
  }
  const elements = sizeOf(shape);
  if (holds(dtype, data) && data.length === elements) return;
  throw new DataError(
    `${where} is ${formatType({ shape, dtype })}, ${elements} elements, but its data is ${showData(data)} ` +
      `(use a ${HOLDERS[dtype].join(' or ')} of length ${elements})`,
  );
}

/** The part of a data set that reads. */
interface ReadableExamples<X, Y> {
  readonly name: string;
  read(indices: Uint32Array, x: X, y: Y): void | PromiseLike<void>;
}

/** Reads examples at once. Throws TypeError for a data set whose `read` returns a promise, because x and y would be used too early. */
export function readExamples<X, Y>(dataset: ReadableExamples<X, Y>, indices: Uint32Array, x: X, y: Y): void {
  refusePromise(
    `${dataset.name}: read`,
    dataset.read(indices, x, y),
    'this function does not wait: pass await inMemory(dataset), or await inMemory(take(dataset, n)) for a part',
  );
}

/** Checks each array of a state. Throws as `checkHostTensor` does. */
export function checkArrays(where: string, state: State): void {
  if (!isPlain(state)) {
    throw new TypeError(`${where}: must be a plain object of arrays by name, got ${show(state)}`);
  }
  for (const [name, value] of Object.entries(state)) {
    if (name === '__proto__') throw new DataError(`${where}: '__proto__' cannot name an array (rename it)`);
    checkHostTensor(`${where}: '${name}'`, value);
  }
}

/**
 * Whether `value` is a plain object, from any realm. The entries of a Map, and those behind `__proto__` in an object literal, are not
 * its own properties and would be ignored.
 */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
