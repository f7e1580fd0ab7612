/** Official files of data sets: found in a folder, or downloaded there. */
import { access, mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { DataError } from '../../engine/errors.ts';
import { flushParents, makeFolder, nodeFiles } from '../../engine/files.ts';
import { checkOneOf, checkOptions, show } from '../../engine/options.ts';
import { checkListening } from '../checks.ts';
import { download, reasonOf } from './download.ts';
import { fileSize, orStorageError, StorageError } from './files.ts';
import type { OnData } from '../progress.ts';

export interface NamedOptions {
  /** The folder of the official files. It is created if it is missing. Default: a folder in the cache of the user. */
  readonly dir?: string | undefined;
  /** Stops a download when it aborts. A later call resumes it. Default: none. */
  readonly signal?: AbortSignal | undefined;
  /** Receives progress events. Default: none. */
  readonly onProgress?: OnData | undefined;
}

export interface OfficialFile {
  readonly name: string;
  /** Other names of the same contents, for instance without compression. Their checksum is unknown. */
  readonly other?: readonly string[];
  readonly url: string;
  /** As hexadecimal digits. */
  readonly md5: string;
}

const NAMES = ['mnist', 'fashionMnist', 'cifar100', 'svhn'] as const;

/** Where Debian's package dataset-fashion-mnist puts the files. */
const DEBIAN = '/usr/share/datasets/fashion-mnist';

/**
 * The folder where a data set is looked for, and downloaded, if its function has no `dir`: a folder in the cache of the user. For
 * Fashion-MNIST, the folder of Debian's package dataset-fashion-mnist if it is installed.
 *
 * Throws RangeError for another name.
 *
 * @example await dataDir('svhn')
 */
export async function dataDir(name: (typeof NAMES)[number]): Promise<string> {
  checkOneOf('dataDir', 'name', name, NAMES);
  const isInstalled =
    name === 'fashionMnist' &&
    (await access(join(DEBIAN, 'train-images-idx3-ubyte.gz')).then(
      () => true,
      () => false,
    ));
  return isInstalled ? DEBIAN : join(envPaths('cyclegrad', { suffix: '' }).cache, name);
}

/** Throws TypeError for options that are unknown or of another kind. */
export function checkNamed(where: string, options: NamedOptions): void {
  checkOptions(where, options, ['dir', 'signal', 'onProgress']);
  const { dir } = options;
  if (dir !== undefined && (typeof dir !== 'string' || dir === '')) {
    throw new TypeError(`${where}: dir must be the path of a folder, got ${show(dir)}`);
  }
  checkListening(where, options);
}

/**
 * The path of an official file in `dir`, which is downloaded there if it is missing. A stopped download resumes in a later call.
 * Throws DataError if it is missing and cannot be downloaded.
 */
export async function obtainFile(
  where: string,
  { name, other = [], url, md5 }: OfficialFile,
  dir: string,
  options: NamedOptions,
): Promise<string> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const root = resolve(dir);
  for (const found of [name, ...other]) {
    const path = join(root, found);
    // oxlint-disable-next-line no-await-in-loop -- the first one that exists
    if ((await fileSize(path)) !== null) return path;
  }
  const target = join(root, name);
  const part = join(root, `.${name}.part`);
  try {
    await makeFolder(nodeFiles, root);
    await mkdir(part, { recursive: true });
    const body = await download({ url, md5, dir: part, signal, onProgress });
    await nodeFiles.rename(body, target);
    await flushParents(nodeFiles, target);
    await rm(part, { recursive: true, force: true });
  } catch (cause) {
    signal?.throwIfAborted();
    const failure = orStorageError(cause, root);
    if (failure instanceof StorageError) throw failure.of(where);
    throw new DataError(
      `${where}: ${name} is not in ${root} and could not be downloaded: ${url}: ${reasonOf(cause)} ` +
        `(download it on any machine and pass its folder: ${where}({ dir }))`,
      { cause },
    );
  }
  return target;
}

/** The bytes of a file. Throws DataError, with its path, if it cannot be read. */
export async function readWhole(where: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new DataError(`${where}: ${path}: cannot be read: ${(cause as Error).message} (check the path)`, {
      cause,
    });
  }
}
