/**
 * Dictionaries of NumPy arrays, lists, numbers and texts from files of Python's pickle, the format of CIFAR's Python version. Nothing in a
 * file is run: the names of NumPy's arrays are the only ones that stand for a value, and all others are errors.
 * Source: Python, pickletools.
 */
import { DataError } from '../../engine/errors.ts';

/** An array of bytes. */
export class BytesArray {
  shape: readonly number[] = [];
  data: Uint8Array = new Uint8Array();

  // The name of Python's protocol.
  // oxlint-disable-next-line no-underscore-dangle -- see above
  __setstate__([, shape, type, isFortran, data]: readonly unknown[]): void {
    if (!(type instanceof NumpyType) || !/^[|<=]?u1$/.test(type.descr) || isFortran === true)
      throw new DataError('an array has numbers that are no bytes in row-major order');
    this.shape = shape as readonly number[];
    this.data = typeof data === 'string' ? Buffer.from(data, 'latin1') : (data as Uint8Array);
  }
}

class NumpyType {
  readonly descr: string;

  constructor(descr: string) {
    this.descr = descr;
  }

  // oxlint-disable-next-line no-underscore-dangle -- the name of Python's protocol
  __setstate__(): void {}
}

/** What the names in a file stand for. */
const NAMES: Readonly<Record<string, (...args: never[]) => unknown>> = {
  ...Object.fromEntries(
    ['numpy.core', 'numpy._core'].flatMap((core) => [
      [`${core}.multiarray._reconstruct`, () => new BytesArray()],
      [`${core}.numeric._frombuffer`, fromBuffer],
    ]),
  ),
  'numpy.ndarray': () => null,
  'numpy.dtype': (descr: string) => new NumpyType(descr),
  // Python 3 writes bytes as text in protocol 2.
  '_codecs.encode': (text: string) => Buffer.from(text, 'latin1'),
};

function fromBuffer(data: Uint8Array, type: NumpyType, shape: readonly number[], order: string): BytesArray {
  const array = new BytesArray();
  array.__setstate__([1, shape, type, order === 'F', data]);
  return array;
}

/** The dictionary in a file. Throws DataError for a damaged file, for other values, and for classes and functions other than NumPy's. */
export async function readPickle(where: string, bytes: Uint8Array): Promise<ReadonlyMap<string, unknown>> {
  const { BufferReader, Parser } = await import('pickleparser');
  /** Texts of Python 2 are bytes: each becomes a character. */
  class Latin1Reader extends BufferReader {
    override string(size: number, encoding: 'ascii' | 'utf-8'): string {
      if (encoding === 'utf-8') return super.string(size, encoding);
      return Buffer.from(this.bytes(size) as Uint8Array).toString('latin1');
    }
  }
  const resolve = (module: string, name: string): ((...args: never[]) => unknown) => {
    const known = `${module}.${name}`;
    if (Object.hasOwn(NAMES, known)) return NAMES[known];
    throw new DataError(`it needs ${known} of Python (only arrays of NumPy are read)`);
  };
  let value: unknown;
  try {
    value = new Parser({
      nameResolver: { resolve: resolve as never },
      unpicklingTypeOfDictionary: 'Map',
    }).read(new Latin1Reader(bytes));
  } catch (cause) {
    throw new DataError(
      `${where}: the pickle cannot be read: ${(cause as Error).message} (obtain it again)`,
      {
        cause,
      },
    );
  }
  if (!(value instanceof Map))
    throw new DataError(`${where}: the pickle has no dictionary (obtain it again)`);
  const entries = [...(value as Map<unknown, unknown>)].map(
    ([key, each]) =>
      [key instanceof Uint8Array ? Buffer.from(key).toString('latin1') : String(key), each] as const,
  );
  return new Map(entries);
}
