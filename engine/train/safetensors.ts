/**
 * The safetensors file format: 8 bytes with the length of a JSON header (little-endian), the header, then the arrays. Other programs
 * can read it, and nothing in it is executed. This file is independent of training.
 * Source: https://huggingface.co/docs/safetensors
 */
import { CheckpointError, DamagedFileError, DataError } from '../errors.ts';
import type { Source } from '../files.ts';
import { checkArrays, isFloat64Array } from '../host.ts';
import { isPromise, isRecord, show } from '../options.ts';
import { bytesOf, formatShape, sizeOf } from '../shape.ts';
import { STORED, unrepresentable } from '../stored.ts';
import type { DType, HostTensor, Shape, State } from '../types.ts';

/** The contents of a file. */
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

/** Throws TypeError or DataError unless a file can hold `metadata`. */
export function checkMetadata(where: string, metadata: unknown): void {
  if (!isRecord(metadata) || isPromise(metadata)) {
    throw new TypeError(`${where}: metadata must be an object of strings, got ${show(metadata)}`);
  }
  for (const [name, value] of Object.entries(metadata)) {
    if (name === '__proto__') throw new DataError(`${where}: '__proto__' cannot name metadata (rename it)`);
    if (typeof value === 'string') continue;
    throw new TypeError(
      `${where}: metadata: '${name}' must be a string, got ${show(value)} (convert it: JSON.stringify)`,
    );
  }
}

/** The bytes of a file of `checkStorable` tensors, in pieces. `f32` values held in double precision are rounded. */
export function* encodeTensors(
  tensors: State,
  header: Uint8Array,
  pieceBytes: number,
): Generator<Uint8Array> {
  yield header;
  for (const tensor of Object.values(tensors)) yield* storedBytes(tensor, pieceBytes);
}

/** The beginning of a file, up to its arrays. Throws DataError, which starts with `where`, if the format allows no such length. */
export function encodeHeader(where: string, { tensors, metadata }: TensorFile): Uint8Array {
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
  if (length > MAX_HEADER) {
    throw new DataError(
      `${where}: the names and the metadata take ${length} bytes, but the format allows ${MAX_HEADER} (use fewer arrays, or less metadata)`,
    );
  }
  const bytes = new Uint8Array(PREFIX + length).fill(0x20, PREFIX);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, PREFIX);
  return bytes;
}

/**
 * The bytes of an array in a file, in pieces of at most `pieceBytes`, a multiple of 4. Typed arrays are little-endian on all current
 * JavaScript platforms.
 */
export function* storedBytes({ dtype, data }: HostTensor, pieceBytes: number): Generator<Uint8Array> {
  const length = pieceBytes / 4;
  if (dtype === 'f32' && isFloat64Array(data)) {
    for (let at = 0; at < data.length; at += length) {
      yield new Uint8Array(Float32Array.from(data.subarray(at, at + length)).buffer);
    }
    return;
  }
  for (let at = 0; at < data.byteLength; at += pieceBytes) {
    yield new Uint8Array(data.buffer, data.byteOffset + at, Math.min(pieceBytes, data.byteLength - at));
  }
}

/** The header of a file: where its arrays are, and its metadata. */
export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: readonly Entry[];
  /** The position of the arrays in the file. */
  readonly start: number;
}

/** The parts of a file. Throws DamagedFileError, which starts with `where`, unless the arrays cover every byte after the header. */
export async function decodeHeader(where: string, source: Source): Promise<Header> {
  const fail = failure(where);
  if (source.size < PREFIX) return fail(`${source.size} bytes are too few for a header`);
  const prefix = new Uint8Array(PREFIX);
  await source.read(prefix, 0);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  const start = PREFIX + length;
  if (length > MAX_HEADER || start > source.size) {
    return fail(`the header should have ${length} bytes, but the file has ${source.size}`);
  }
  const text = new Uint8Array(length);
  await source.read(text, PREFIX);
  const header = parseHeader(text);
  if (header === null) return fail('the header is not a JSON object');

  const { [METADATA]: metadata = {}, ...arrays } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    return fail(`${METADATA} is not an object of strings`);
  }
  const entries = Object.entries(arrays).map(([name, entry]) => readEntry(where, name, entry, fail));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== expected) {
      return fail(`the bytes of '${name}' begin at ${begin}, where ${expected} is expected`);
    }
    expected = end;
  }
  const available = source.size - start;
  if (expected !== available) {
    return fail(
      `the arrays need ${expected} bytes, but there are ${available}: ${available < expected ? 'truncated' : 'too long'}`,
    );
  }
  return { metadata: metadata as Record<string, string>, entries, start };
}

/** The contents of a file. Throws DamagedFileError as `decodeHeader` does, and CheckpointError for values beyond our types. */
export async function decodeTensors(where: string, source: Source): Promise<TensorFile> {
  const { metadata, entries, start } = await decodeHeader(where, source);
  const tensors: Record<string, HostTensor> = {};
  for (const { name, type, shape, begin, end } of entries) {
    const bytes = new Uint8Array(end - begin);
    await source.read(bytes, start + begin);
    const { dtype, read } = STORED.get(type)!;
    const data = read(bytes.buffer);
    if (data === null) throw new CheckpointError(`${where}: ${unrepresentable(`'${name}'`, type, dtype)}`);
    tensors[name] = { shape, dtype, data };
  }
  return { tensors, metadata };
}

/** A function that throws DamagedFileError. */
const failure =
  (where: string) =>
  (what: string): never => {
    throw new DamagedFileError(`${where}: ${what} (the file is damaged, or not a safetensors file)`);
  };

function parseHeader(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isRecord(header) ? header : null;
  } catch {
    return null;
  }
}

/** An array of a file. */
interface Entry {
  readonly name: string;
  /** The name of the type in the format. */
  readonly type: string;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

function readEntry(where: string, name: string, entry: unknown, fail: (what: string) => never): Entry {
  if (name === '__proto__') return fail(`'${name}' names an array`);
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
