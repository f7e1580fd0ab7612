/**
 * Arrays of numbers from MATLAB files of version 5, the format of SVHN. It reads real numeric arrays, compressed or not, which is a small
 * part of the format, so a library is not worth its dependency.
 * Source: MathWorks, MAT-File Format, 2023.
 */
import { inflateSync } from 'node:zlib';
import { DataError } from '../../engine/errors.ts';
import { itIs } from './recognize.ts';

/** A numeric array in the order of the file: the first axis changes fastest. */
export interface MatArray {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Types of elements of data. */
const [COMPRESSED, MATRIX] = [15, 14];
/** Readers of numbers by type: bytes of each, and the number at a position. */
const NUMBERS: Readonly<Record<number, readonly [number, (view: DataView, at: number) => number]>> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [2, (view, at) => view.getUint16(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getUint32(at, true)],
  7: [4, (view, at) => view.getFloat32(at, true)],
  9: [8, (view, at) => view.getFloat64(at, true)],
};
const HEADER = 128;
/** The largest decompressed array. The extra images of SVHN have 1.6 GB. */
const MOST_BYTES = 2 ** 31 - 1;

interface Element {
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Where the next element begins. */
  readonly end: number;
}

/** The arrays of a file by name. Throws DataError for another format, a damaged file, or anything but real numeric arrays. */
export function readMat(where: string, file: Uint8Array): ReadonlyMap<string, MatArray> {
  const isLittle = file[126] === 0x49 && file[127] === 0x4d;
  if (file.length < HEADER || !isLittle || viewOf(file).getUint16(124, true) !== 0x0100) {
    throw new DataError(
      `${where}: not a MATLAB file of version 5 in little-endian order${itIs(file)} (save it with -v7, or obtain it again)`,
    );
  }
  const found = new Map<string, MatArray>();
  for (let at = HEADER; at < file.length;) {
    const element = elementAt(where, file, at, 1);
    at = element.end;
    const inner =
      element.type === COMPRESSED ? elementAt(where, inflated(where, element.bytes), 0, 8) : element;
    const [name, array] = arrayOf(where, inner);
    found.set(name, array);
  }
  return found;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The element at a position. Inside of arrays, elements are padded to `multiple` bytes. */
function elementAt(where: string, bytes: Uint8Array, at: number, multiple: number): Element {
  const damaged = (): DataError =>
    new DataError(
      `${where}: the file is truncated or damaged: an element at byte ${at} is not complete (obtain it again)`,
    );
  if (at + 8 > bytes.length) throw damaged();
  const view = viewOf(bytes);
  const word = view.getUint32(at, true);
  // A small element has its size in the upper half of the first word, and its data in the second word.
  const isSmall = word >>> 16 !== 0;
  const [type, size, start] = isSmall
    ? [word & 0xffff, word >>> 16, at + 4]
    : [word, view.getUint32(at + 4, true), at + 8];
  if (start + size > bytes.length || (isSmall && size > 4)) throw damaged();
  const end = isSmall ? at + 8 : start + Math.ceil(size / multiple) * multiple;
  return { type, bytes: bytes.subarray(start, start + size), end };
}

function inflated(where: string, bytes: Uint8Array): Uint8Array {
  try {
    return inflateSync(bytes, { maxOutputLength: MOST_BYTES });
  } catch (cause) {
    throw new DataError(`${where}: the file is damaged: ${(cause as Error).message} (obtain it again)`, {
      cause,
    });
  }
}

function arrayOf(where: string, { type, bytes }: Element): [string, MatArray] {
  if (type !== MATRIX)
    throw new DataError(`${where}: expected an array (type ${MATRIX}), got type ${type} (obtain it again)`);
  const flags = elementAt(where, bytes, 0, 8);
  const dimensions = elementAt(where, bytes, flags.end, 8);
  const name = elementAt(where, bytes, dimensions.end, 8);
  const numbers = elementAt(where, bytes, name.end, 8);
  const key = Buffer.from(name.bytes).toString('latin1');
  const [form, isComplex] = [flags.bytes[0], (flags.bytes[1] & 0x08) !== 0];
  // Classes 6 to 13 are numbers. Others are cells, structures, objects, texts and sparse matrices.
  if (form < 6 || form > 13 || isComplex) {
    throw new DataError(
      `${where}: '${key}' is ${isComplex ? 'complex' : `of class ${form}`}, not a real numeric array`,
    );
  }
  const shape = Array.from(numbersOf(where, key, dimensions).data);
  const { data } = numbersOf(where, key, numbers);
  const expected = shape.reduce((product, size) => product * size, 1);
  if (data.length !== expected) {
    throw new DataError(
      `${where}: '${key}' has ${data.length} numbers, but [${shape.join(', ')}] needs ${expected} (obtain it again)`,
    );
  }
  return [key, { shape, data }];
}

function numbersOf(
  where: string,
  key: string,
  { type, bytes }: Element,
): { readonly data: ArrayLike<number> } {
  const known = NUMBERS[type];
  if (known === undefined) throw new DataError(`${where}: '${key}' has numbers of the unknown type ${type}`);
  if (type === 2) return { data: bytes };
  const [size, read] = known;
  const view = viewOf(bytes);
  return { data: Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => read(view, i * size)) };
}
