/** Converts the files of the Python version of CIFAR, which are pickles, to those of the binary version. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { formatShape } from '../../engine/shape.ts';
import { BytesArray, readPickle } from '../formats/pickle.ts';
import { fileSize, unpack } from './files.ts';
import type { OnData } from '../progress.ts';

/** The planes R, G and B of 32 x 32. */
const IMAGE = 3 * 1024;

/** The Python version of a data set. */
export interface PythonVersion {
  /** Its archive and its folder. */
  readonly archive: string;
  readonly folder: string;
  /** Its files. */
  readonly files: readonly string[];
}

/** Where the files are: a folder, or an archive, relative to `root`. Null if `root` has neither. */
export async function findPython(
  root: string,
  { archive, folder, files }: PythonVersion,
): Promise<string | null> {
  for (const name of ['', folder]) {
    // oxlint-disable-next-line no-await-in-loop -- the first one that has the files
    if ((await fileSize(join(root, name, files[0]))) !== null) return join(root, name);
  }
  return (await fileSize(join(root, archive))) === null ? null : join(root, archive);
}

/** The folder with the files: `found`, or `tmp` after unpacking the archive there. */
export async function pythonFolder(at: {
  readonly found: string;
  readonly version: PythonVersion;
  readonly tmp: string;
  readonly onProgress?: OnData | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<string> {
  const { found, version, tmp, onProgress, signal } = at;
  if (basename(found) !== version.archive) return found;
  await unpack({ archive: found, dir: tmp, wanted: version.files, source: found, onProgress, signal });
  return tmp;
}

export const readPickleFile = async (where: string, path: string): Promise<ReadonlyMap<string, unknown>> => {
  try {
    return await readPickle(`${where}: ${path}`, await readFile(path));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${where}: ${path}: cannot be read: ${(cause as Error).message} (obtain it again)`, {
      cause,
    });
  }
};

/** The records of a file: its labels, one byte each, and the planes of the image. `labels` are the keys of the labels, in order. */
export async function recordsOf(where: string, path: string, labels: readonly string[]): Promise<Uint8Array> {
  const found = await readPickleFile(where, path);
  const wrong = (what: string): DataError =>
    new DataError(`${where}: ${path}: not a file of the Python version of CIFAR: ${what} (obtain it again)`);
  const images = found.get('data');
  if (!(images instanceof BytesArray) || images.shape.length !== 2 || images.shape[1] !== IMAGE) {
    const got = images instanceof BytesArray ? formatShape(images.shape) : 'no array of bytes';
    throw wrong(`'data' must be [N,${IMAGE}], got ${got}; it has ${[...found.keys()].join(', ')}`);
  }
  const n = images.data.length / IMAGE;
  if (n !== images.shape[0])
    throw wrong(`'data' ${formatShape(images.shape)} has ${images.data.length} bytes`);
  const size = labels.length + IMAGE;
  const records = new Uint8Array(n * size);
  labels.forEach((key, at) => {
    const list = found.get(key);
    if (
      !Array.isArray(list) ||
      list.length !== n ||
      !list.every((label) => Number.isInteger(label) && label >= 0 && label < 256)
    )
      throw wrong(`'${key}' must be a list of ${n} labels`);
    list.forEach((label: number, i) => (records[i * size + at] = label));
  });
  for (let i = 0; i < n; i++)
    records.set(images.data.subarray(i * IMAGE, (i + 1) * IMAGE), i * size + labels.length);
  return records;
}
