/** File system helpers for obtaining data: checksums, unpacking, and readable errors. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DataError } from '../../engine/errors.ts';
import { nodeFiles, writeFlushed } from '../../engine/files.ts';
import { itIs } from '../formats/recognize.ts';
import { beginningOfGzip, isGzip } from '../formats/source.ts';
import type { OnData } from '../progress.ts';

/** The largest unpacked archive. CIFAR-10 has 184 MB. */
const MOST_UNPACKED = 2 ** 31;

const STORAGE_CODES = new Map([
  ['ENOSPC', 'no space is left on the disk'],
  ['EDQUOT', 'the disk quota is used up'],
  ['EACCES', 'permission is denied'],
  ['EPERM', 'permission is denied'],
  ['EROFS', 'the file system is read-only'],
  ['ENOTDIR', 'a part of the path is a file'],
  ['EEXIST', 'a file already exists there'],
  ['ENOENT', 'the folder cannot be created (is a part of its path a broken link?)'],
  ['ENOTEMPTY', 'the folder is not empty'],
]);

/** The `code` of a system error or of its cause, or ''. */
export function codeOf(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('code' in e && typeof e.code === 'string') return e.code;
  }
  return '';
}

/** The folder cannot be written. No other source would help, so obtaining fails at once. */
export class StorageError extends DataError {
  /** The same error for the caller of the data set `where`. */
  of(where: string): StorageError {
    return new StorageError(
      `${where}: ${this.message} (free space there, or choose another folder: --data DIR, or ${where}({ dir }))`,
      { cause: this.cause },
    );
  }
}

/** `error` as a StorageError if it is an error of the disk, else `error` itself. */
export function orStorageError(error: unknown, dir: string): unknown {
  if (error instanceof DataError || !(error instanceof Error)) return error;
  const what = STORAGE_CODES.get(codeOf(error));
  // connect() fails with the same codes behind a firewall.
  if (what === undefined || ('syscall' in error && error.syscall === 'connect') || error.cause !== undefined)
    return error;
  return new StorageError(`cannot write the data: ${what}: ${dir}`, { cause: error });
}

/** `error` with the name of the data set if it is an error of the disk, else `error` itself. */
export function orNamedStorageError(where: string, error: unknown, dir: string): unknown {
  const failure = orStorageError(error, dir);
  return failure instanceof StorageError ? failure.of(where) : error;
}

/** The result of reading a file of CIFAR-10. Throws DataError, with the path, for an error of the file system. */
export async function orUnreadable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof DataError || codeOf(error) === '') throw error;
    throw new DataError(
      `cifar10: ${path}: cannot be read: ${(error as Error).message} (make the file readable, or choose another folder)`,
      { cause: error },
    );
  }
}

/** The size of a file in bytes, or null if it does not exist. */
export async function fileSize(path: string): Promise<number | null> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? stats.size : null;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

/** Throws DataError if the path of a folder is that of a file, for instance of an archive. */
export async function checkFolder(where: string, root: string): Promise<void> {
  if ((await fileSize(root).catch(() => null)) === null) return;
  throw new DataError(
    `${where}: dir must be a folder, but ${root} is a file (pass its folder, ${dirname(root)})`,
  );
}

/** The MD5 of a file as hexadecimal digits. */
export async function md5Of(
  path: string,
  source: string,
  onProgress?: OnData,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('md5');
  const total = (await stat(path)).size;
  let done = 0;
  for await (const chunk of createReadStream(path, {
    highWaterMark: 1 << 20,
    signal,
  }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    onProgress?.({ phase: 'verify', source, done: (done += chunk.length), total });
  }
  return hash.digest('hex');
}

/**
 * Writes the wanted files of a .tar.gz into `dir`, each under its base name, so no path in the archive determines where a file is
 * written. Skips all other files. Throws DataError for a broken archive or a missing file.
 */
export async function unpack(at: {
  readonly archive: string;
  readonly dir: string;
  readonly wanted: readonly string[];
  readonly source: string;
  /** The largest unpacked archive that is accepted. Default: 2 GiB. */
  readonly mostBytes?: number;
  readonly onProgress?: OnData | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<void> {
  const missing = new Set(at.wanted);
  const total = (await stat(at.archive)).size;
  let done = 0;
  let reported = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      if (done - reported >= 1 << 20 || done === total) {
        reported = done;
        at.onProgress?.({ phase: 'unpack', source: at.source, done, total });
      }
      next(null, chunk);
    },
  });
  const mostBytes = at.mostBytes ?? MOST_UNPACKED;
  let unpacked = 0;
  const limit = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      unpacked += chunk.length;
      if (unpacked <= mostBytes) next(null, chunk);
      else next(new Error(`it unpacks to more than ${mostBytes} bytes`));
    },
  });
  const { extract } = await import('tar-stream'); // not loaded when the data is already there
  const entries = extract();
  const write = async (): Promise<void> => {
    for await (const entry of entries) {
      const name = entry.header.name.slice(entry.header.name.lastIndexOf('/') + 1);
      if (entry.header.type === 'file' && missing.delete(name)) {
        await writeFlushed(nodeFiles, `${at.dir}/${name}`, entry as AsyncIterable<Buffer>);
      } else {
        entry.resume();
      }
    }
  };
  const input = createReadStream(at.archive, { highWaterMark: 1 << 18 });
  try {
    await Promise.all([
      pipeline(
        input,
        counter,
        createGunzip(),
        limit,
        entries,
        at.signal === undefined ? {} : { signal: at.signal },
      ),
      write().catch((error: unknown) => {
        entries.destroy(error as Error); // otherwise the pipeline would wait forever
        throw error;
      }),
    ]);
  } catch (error) {
    at.signal?.throwIfAborted();
    const failure = orStorageError(error, at.dir);
    if (failure instanceof StorageError) throw failure;
    const what = `unpack: the archive is broken${await contents(at.archive)}: ${(error as Error).message}: ${at.archive}`;
    throw new DataError(what, { cause: error });
  }
  if (missing.size > 0) {
    throw new DataError(`unpack: the archive lacks files: ${[...missing].join(', ')}: ${at.archive}`);
  }
}

/** What an archive is that is no .tar.gz, or '' for one that is. */
async function contents(archive: string): Promise<string> {
  const chunks: Buffer[] = await createReadStream(archive, { end: 1023 }).toArray();
  const bytes = Buffer.concat(chunks);
  if (!isGzip(bytes)) return itIs(bytes) || ': it is no .tar.gz';
  return isGzip(beginningOfGzip(bytes)) ? ': it is compressed with gzip twice (decompress it once)' : '';
}
