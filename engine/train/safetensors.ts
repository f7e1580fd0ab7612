/**
 * The safetensors file format: 8 bytes with the length of a JSON header (little-endian), the header, then the arrays. Other programs
 * can read it, and nothing in it is executed. This file is independent of training.
 * Source: https://huggingface.co/docs/safetensors
 */
import { CheckpointError, DataError } from '../errors.ts';
import { checkArrays, isFloat64Array } from '../host.ts';
import { isRecord } from '../options.ts';
import { bytesOf, formatShape, sizeOf } from '../shape.ts';
import { STORED, unrepresentable } from '../stored.ts';
import type { DType, HostTensor, Shape, State } from '../types.ts';

export interface TensorFile {
  readonly tensors: State;
  readonly metadata: Readonly<Record<string, string>>;
}

const NAMES: Readonly<Record<DType, string>> = { f32: 'F32', i32: 'I32', u8: 'U8' };

const PREFIX = 8;
/** The limit of the format for the header length. */
const MAX_HEADER = 100_000_000;

const METADATA = '__metadata__';

/**
 * Throws unless a file can hold `tensors`: TypeError or DataError for an array whose parts are inconsistent, for the name that the
 * format reserves, and for a number in double precision beyond f32.
 */
export function checkStorable(where: string, tensors: State): void {
  checkArrays(where, tensors);
  if (Object.hasOwn(tensors, METADATA)) {
    throw new DataError(
      `${where}: '${METADATA}' cannot name an array: the format reserves it for metadata (rename the array)`,
    );
  }
  for (const [name, { data }] of Object.entries(tensors)) {
    const at = isFloat64Array(data)
      ? data.findIndex((value) => Number.isFinite(value) && !Number.isFinite(Math.fround(value)))
      : -1;
    if (at < 0) continue;
    throw new DataError(
      `${where}: '${name}' is f32, whose largest number is 3.4028235e+38, but element ${at} is ${data[at]} (scale it)`,
    );
  }
}

/** The bytes of a file of `checkStorable` tensors. `f32` values held in double precision are rounded. */
export function encodeTensors({ tensors, metadata }: TensorFile): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  let offset = 0;
  for (const [name, value] of Object.entries(tensors)) {
    const end = offset + bytesOf(value);
    header[name] = { dtype: NAMES[value.dtype], shape: value.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8; // aligns the arrays
  const file = new Uint8Array(PREFIX + length + offset).fill(0x20, PREFIX, PREFIX + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(text, PREFIX);
  let position = PREFIX + length;
  for (const tensor of Object.values(tensors)) {
    const stored = storedBytes(tensor);
    file.set(stored, position);
    position += stored.byteLength;
  }
  return file;
}

/** The bytes of an array in a file. Typed arrays are little-endian on all current JavaScript platforms. */
export function storedBytes({ dtype, data }: HostTensor): Uint8Array {
  const stored = dtype === 'f32' && isFloat64Array(data) ? Float32Array.from(data) : data;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** The arrays in the bytes of a file. Throws CheckpointError, which starts with `where`, unless the arrays cover every byte. */
export function decodeTensors(where: string, bytes: Uint8Array): TensorFile {
  const fail = (what: string): never => {
    throw new CheckpointError(`${where}: ${what} (the file is damaged, or not a safetensors file)`);
  };
  if (bytes.length < PREFIX) return fail(`${bytes.length} bytes are too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const start = PREFIX + length;
  if (length > MAX_HEADER || start > bytes.length) {
    return fail(`the header should have ${length} bytes, but the file has ${bytes.length}`);
  }
  const header = parseHeader(bytes.subarray(PREFIX, start));
  if (header === null) return fail('the header is not a JSON object');

  const { [METADATA]: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    return fail(`${METADATA} is not an object of strings`);
  }
  const arrays = Object.entries(entries).map(([name, entry]) => readEntry(where, name, entry, fail));
  arrays.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { name, begin, end } of arrays) {
    if (begin !== expected) {
      return fail(`the bytes of '${name}' begin at ${begin}, where ${expected} is expected`);
    }
    expected = end;
  }
  const available = bytes.length - start;
  if (expected !== available) {
    return fail(
      `the arrays need ${expected} bytes, but there are ${available}: ${available < expected ? 'truncated' : 'too long'}`,
    );
  }
  const tensors = arrays.map(({ name, type, shape, begin, end }): readonly [string, HostTensor] => {
    // A copy, because the arrays may not be aligned. Not slice(), which shares memory for a Buffer.
    const copy = new Uint8Array(bytes.subarray(start + begin, start + end));
    const { dtype, read } = STORED.get(type)!;
    const data = read(copy.buffer);
    if (data === null) throw new CheckpointError(`${where}: ${unrepresentable(`'${name}'`, type, dtype)}`);
    return [name, { shape, dtype, data }];
  });
  return { tensors: Object.fromEntries(tensors), metadata: metadata as Record<string, string> };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isRecord(header) ? header : null;
  } catch {
    return null;
  }
}

interface Entry {
  readonly name: string;
  /** The name of the type in the format. */
  readonly type: string;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

function readEntry(where: string, name: string, entry: unknown, fail: (what: string) => never): Entry {
  if (!isRecord(entry)) return fail(`'${name}' is not described by an object`);
  const { dtype: type, shape, data_offsets: offsets } = entry;
  const stored = typeof type === 'string' ? STORED.get(type) : undefined;
  if (stored === undefined) {
    throw new CheckpointError(
      `${where}: '${name}' has dtype ${JSON.stringify(type)}, expected one of ${[...STORED.keys()].join(', ')} ` +
        '(save it as one of these)',
    );
  }
  if (!isCounts(shape)) return fail(`'${name}' has the shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    return fail(`'${name}' has the offsets ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as readonly [number, number];
  const needed = sizeOf(shape) * stored.bytes;
  if (end - begin !== needed) {
    return fail(
      `'${name}' is ${type as string} ${formatShape(shape)}, ${needed} bytes, but its offsets are [${begin}, ${end}]`,
    );
  }
  return { name, type: type as string, shape, begin, end };
}

const isCounts = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((d) => Number.isSafeInteger(d) && (d as number) >= 0);
