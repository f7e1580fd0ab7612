/** IDX files, the format of MNIST and of data sets like it. */
import { DataError } from '../../engine/errors.ts';
import { formatShape, sizeOf } from '../../engine/shape.ts';
import { STORED, unrepresentable } from '../../engine/stored.ts';
import type { HostTensor } from '../../engine/types.ts';
import { swapped } from './byte-order.ts';
import { itIs } from './recognize.ts';
import { beginningOfGzip, gunzip, isGzip, openSource } from './source.ts';

/** The types of the format by their code, with their names in the table of stored types. */
const TYPES: Readonly<Record<number, string>> = {
  0x08: 'U8',
  0x09: 'I8',
  0x0b: 'I16',
  0x0c: 'I32',
  0x0d: 'F32',
  0x0e: 'F64',
};

interface Header {
  readonly type: string;
  readonly shape: readonly number[];
  /** Bytes of the header and of the whole file. */
  readonly start: number;
  readonly end: number;
}

/**
 * Reads an IDX file, for instance the images or the labels of MNIST. A file that is compressed with gzip, as they are distributed, is
 * decompressed. `source` is a path or the bytes of a file.
 *
 *   unsigned bytes                     -> u8
 *   signed bytes, 16 and 32 bits       -> i32
 *   32-bit floats, 64-bit (rounded)    -> f32
 *
 * Throws DataError, with the path, for a file that is missing, truncated, too long or in another format, and for a number beyond the
 * range of f32.
 * Source: Y. LeCun, C. Cortes, The MNIST database of handwritten digits.
 *
 * @example
 * const { shape, data } = await readIdx(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4));
 * data // [5, 0, 4]
 */
export async function readIdx(source: string | Uint8Array): Promise<HostTensor> {
  const { where, bytes: given } = await openSource('readIdx', source);
  let bytes = given;
  const isCompressed = isGzip(given);
  const header = readHeader(where, isCompressed ? beginningOfGzip(given) : given, isCompressed);
  if (isCompressed) bytes = gunzip(where, given, header.end);
  const { type, shape, start, end } = header;
  if (bytes.length !== end) {
    throw new DataError(
      `${where}: the file is ${bytes.length < end ? 'truncated' : 'too long'}: its header says ${type} ${formatShape(shape)}, ` +
        `${end} bytes, but it has ${bytes.length} (obtain it again)`,
    );
  }
  const { dtype, bytes: size, read } = STORED.get(type)!;
  const data = read(swapped(bytes.subarray(start), size).buffer);
  if (data === null) throw new DataError(`${where}: ${unrepresentable('the array', type, dtype)}`);
  return { shape, dtype, data };
}

function readHeader(where: string, bytes: Uint8Array, isCompressed: boolean): Header {
  const [first, second, code, rank] = bytes;
  if (bytes.length < 4 || first !== 0 || second !== 0) {
    throw new DataError(
      `${where}: not an IDX file: it must begin with two zero bytes, got ${bytes.length < 4 ? `${bytes.length} bytes` : `${first} and ${second}`}` +
        `${isCompressed ? ' after decompression' : ''}${itIs(bytes)} (pass a file such as train-images-idx3-ubyte)`,
    );
  }
  const type = TYPES[code];
  if (type === undefined) {
    const known = Object.keys(TYPES).map((key) => `0x${Number(key).toString(16).padStart(2, '0')}`);
    throw new DataError(
      `${where}: unknown type 0x${code.toString(16).padStart(2, '0')} (known: ${known.join(', ')})`,
    );
  }
  const start = 4 + 4 * rank;
  if (bytes.length < start) {
    throw new DataError(
      `${where}: the file is truncated: the header of ${rank} axes needs ${start} bytes, but there are ${bytes.length} (obtain it again)`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const end = start + sizeOf(shape) * STORED.get(type)!.bytes;
  return { type, shape, start, end };
}
