/** NumPy's files: .npy has one array, .npz is a zip archive of them. */
import { DataError } from '../../engine/errors.ts';
import { formatShape, sizeOf, stridesOf } from '../../engine/shape.ts';
import { STORED, unrepresentable } from '../../engine/stored.ts';
import type { HostData, HostTensor, Shape, State } from '../../engine/types.ts';
import { swapped } from './byte-order.ts';
import { itIs } from './recognize.ts';
import { openSource } from './source.ts';
import { unzip } from './zip.ts';

/** NumPy's types of numbers, kind and bytes, with their names in the table of stored types. */
const TYPES = new Map([
  ['f2', 'F16'],
  ['f4', 'F32'],
  ['f8', 'F64'],
  ['i1', 'I8'],
  ['i2', 'I16'],
  ['i4', 'I32'],
  ['i8', 'I64'],
  ['u1', 'U8'],
  ['u2', 'U16'],
  ['u4', 'U32'],
  ['u8', 'U64'],
  ['b1', 'BOOL'],
]);

/** Other kinds of NumPy's types, which are not numbers of ours. */
const KINDS = new Map([
  ['O', 'Python objects, which only Python can read and which may run code'],
  ['c', 'complex numbers'],
  ['S', 'bytes'],
  ['a', 'bytes'],
  ['U', 'text'],
  ['M', 'dates'],
  ['m', 'time differences'],
  ['V', 'records'],
]);

/** NumPy refuses longer headers, because Python would parse them slowly. */
const MAX_HEADER = 10_000;
/** NumPy's limit. */
const MAX_RANK = 64;

/**
 * Reads an array that NumPy saved with `np.save`. `source` is a path or the bytes of a file. Big-endian numbers and the column-major
 * order of Fortran are converted.
 *
 *   float16, float32, float64 (rounded)                            -> f32
 *   int8, int16, uint16, int32, uint32, int64, uint64              -> i32
 *   uint8, bool                                                    -> u8
 *
 * Throws DataError, with the path, for a file that is missing, damaged or not in the format, for arrays of other types such as
 * objects, text and records, and for a number beyond the range of its dtype.
 * Source: NumPy enhancement proposal 1, a simple file format for NumPy arrays.
 *
 * @example
 * const { shape, dtype } = await readNpy('images.npy');
 * shape // [2, 3]
 */
export async function readNpy(source: string | Uint8Array): Promise<HostTensor> {
  const { where, bytes } = await openSource('readNpy', source);
  return decode(where, bytes);
}

/**
 * Reads the arrays that NumPy saved with `np.savez` or `np.savez_compressed`, by their names. See `readNpy` for their types.
 *
 * Throws DataError, with the path, for a file that is missing or damaged, and for an array that `readNpy` does not read.
 *
 * @example
 * const { x, y } = await readNpz('data.npz');
 * arrays(x!, y!).length // 2
 */
export async function readNpz(source: string | Uint8Array): Promise<State> {
  const { where, bytes } = await openSource('readNpz', source);
  const tensors = (await unzip(where, bytes)).map(({ name, content }): readonly [string, HostTensor] => {
    if (!name.endsWith('.npy')) {
      throw new DataError(
        `${where}: '${name}' is not an array (pass a file of np.savez, which has only .npy files in it)`,
      );
    }
    const key = name.slice(0, -'.npy'.length);
    if (key === '__proto__') {
      throw new DataError(`${where}: '__proto__' cannot name an array (save it under another name)`);
    }
    return [key, decode(`${where}: '${key}'`, content)];
  });
  return Object.fromEntries(tensors);
}

interface Header {
  readonly descr: string;
  readonly isFortran: boolean;
  readonly shape: Shape;
}

function decode(where: string, bytes: Uint8Array): HostTensor {
  const { start, text } = splitHeader(where, bytes);
  const { descr, isFortran, shape } = parseHeader(where, text);
  const [, order, code] = /^([<>|=])(.*)$/s.exec(descr) ?? [undefined, '', descr];
  const type = TYPES.get(code);
  if (type === undefined) {
    const kind = KINDS.get(code.charAt(0));
    throw new DataError(
      `${where}: the array has dtype '${descr}'${kind === undefined ? '' : `, ${kind}`}: only arrays of numbers can be read ` +
        "(convert it before saving: np.save(path, array.astype('float32')))",
    );
  }
  const { dtype, bytes: size, read } = STORED.get(type)!;
  const needed = sizeOf(shape) * size;
  const available = bytes.length - start;
  if (needed !== available) {
    throw new DataError(
      `${where}: the file is ${available < needed ? 'truncated' : 'too long'}: ${descr} ${formatShape(shape)} needs ${needed} bytes, ` +
        `but there are ${available} after the header (save the array again)`,
    );
  }
  const content = bytes.subarray(start);
  const stored = read((order === '>' ? swapped(content, size) : new Uint8Array(content)).buffer);
  if (stored === null) throw new DataError(`${where}: ${unrepresentable('the array', descr, dtype)}`);
  return { shape, dtype, data: isFortran ? rowMajor(stored, shape) : stored };
}

/** The text of the header, and where the numbers start. */
function splitHeader(where: string, bytes: Uint8Array): { readonly start: number; readonly text: string } {
  const isNpy = String.fromCharCode(...bytes.subarray(0, 6)) === '\x93NUMPY';
  if (!isNpy) {
    const fix =
      bytes[0] === 0x50 && bytes[1] === 0x4b ? 'read a .npz file with readNpz' : 'write it with np.save';
    throw new DataError(`${where}: not a .npy file: it must begin with \\x93NUMPY${itIs(bytes)} (${fix})`);
  }
  const version = bytes[6];
  if (version !== 1 && version !== 2 && version !== 3) {
    throw new DataError(`${where}: version ${version} of the format is unknown (known: 1, 2, 3)`);
  }
  const damaged = (what: string): DataError =>
    new DataError(`${where}: ${what} (the file is damaged: save the array again)`);
  const before = version === 1 ? 10 : 12;
  if (bytes.length < before) throw damaged(`${bytes.length} bytes are too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = before + length;
  if (length > MAX_HEADER)
    throw damaged(`the header should have ${length} bytes, expected at most ${MAX_HEADER}`);
  if (start > bytes.length)
    throw damaged(`the header should have ${length} bytes, but the file has ${bytes.length}`);
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(before, start));
  return { start, text };
}

/** An entry of the dictionary in a header: key, and value as text. */
const ENTRY = /\s*(?:'(\w+)'|"(\w+)")\s*:\s*('[^'\\]*'|"[^"\\]*"|True|False|\([\d,\sL]*\)|\[)\s*(,|(?=\}))/y;

/** The header is a dictionary in the notation of Python. */
function parseHeader(where: string, text: string): Header {
  const fail = (what: string): never => {
    throw new DataError(`${where}: the header ${what} (the file is damaged: save the array again)`);
  };
  const body = text.trim();
  if (!body.startsWith('{')) return fail('is not a dictionary');
  const entries = new Map<string, string>();
  ENTRY.lastIndex = 1;
  let end = 1;
  for (let match = ENTRY.exec(body); match !== null; match = ENTRY.exec(body)) {
    const [, single, double, value] = match;
    const key = single ?? double;
    if (entries.has(key)) return fail(`has '${key}' twice`);
    entries.set(key, value);
    end = ENTRY.lastIndex;
  }
  if (/^\s*['"]descr['"]\s*:\s*\[/.test(body.slice(end))) {
    throw new DataError(
      `${where}: the array has records, a structured dtype: only arrays of numbers can be read ` +
        '(save each field on its own: np.save(path, array[name]))',
    );
  }
  if (!/^\s*\}$/.test(body.slice(end))) return fail(`is not a dictionary of descr, fortran_order and shape`);
  const [descr, order, shapeText] = ['descr', 'fortran_order', 'shape'].map((key) => entries.get(key) ?? '');
  if (
    entries.size !== 3 ||
    !/^['"]/.test(descr) ||
    !/^(True|False)$/.test(order) ||
    !shapeText.startsWith('(')
  ) {
    return fail(
      `must have descr, fortran_order and shape, got ${[...entries.keys()].join(', ') || 'nothing'}`,
    );
  }
  const shape = parseShape(shapeText);
  if (shape === null) return fail(`has the shape ${shapeText}`);
  return { descr: descr.slice(1, -1), isFortran: order === 'True', shape };
}

/** A tuple of sizes, for instance (3,) or (2, 3). Null for anything else. */
function parseShape(text: string): Shape | null {
  const inner = text.slice(1, -1).trim();
  if (inner === '') return [];
  const parts = inner.split(',');
  if (parts[parts.length - 1].trim() === '') parts.pop();
  else if (parts.length === 1) return null; // (3) is a number, not a tuple
  const sizes = parts.map((part) => (/^\s*\d+L?\s*$/.test(part) ? Number.parseInt(part, 10) : NaN));
  return sizes.length <= MAX_RANK && sizes.every((size) => Number.isSafeInteger(size)) ? sizes : null;
}

/** Elements from column-major to row-major order. */
function rowMajor(data: HostData, shape: Shape): HostData {
  const out = data.slice();
  const from = stridesOf(shape.toReversed()).toReversed();
  const index = shape.map(() => 0);
  let source = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[source];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += from[axis];
      if (++index[axis] < shape[axis]) break;
      source -= from[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}
