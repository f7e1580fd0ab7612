/** The bytes of a file of numbers, from a path or from memory. */
import { readFile, stat } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { DataError } from '../../engine/errors.ts';
import { typedArrayName } from '../../engine/host.ts';
import { show } from '../../engine/options.ts';

/** A file in memory, and the place that begins its messages: 'readNpy: weights.npy'. */
export interface Source {
  readonly where: string;
  readonly bytes: Uint8Array;
}

/** Reads a file. Throws TypeError for anything but a path or bytes, and DataError for a file that cannot be read. */
export async function openSource(name: string, given: string | Uint8Array): Promise<Source> {
  if (typedArrayName(given) === 'Uint8Array') return { where: name, bytes: given as Uint8Array };
  if (typeof given !== 'string' || given === '') {
    throw new TypeError(
      `${name}: the argument must be a path or the bytes of a file (a Uint8Array), got ${show(given)}`,
    );
  }
  const where = `${name}: ${given}`;
  let reason: string;
  let cause: unknown;
  try {
    // A pipe or a device could keep reading forever.
    if ((await stat(given)).isFile()) return { where, bytes: await readFile(given) };
    reason = 'it is not a file';
  } catch (error) {
    reason = (error as Error).message;
    cause = error;
  }
  throw new DataError(`${where}: cannot be read: ${reason} (check the path)`, { cause });
}

/** Whether bytes begin as a gzip file does. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The first bytes of a gzip file, as many as the first part of it holds. Empty for a damaged one. */
export function beginningOfGzip(bytes: Uint8Array): Uint8Array {
  const Z_SYNC_FLUSH = 2; // gives what there is in place of an error for the missing rest
  try {
    return gunzipSync(bytes.subarray(0, 1024), { finishFlush: Z_SYNC_FLUSH });
  } catch {
    return new Uint8Array();
  }
}

/** Decompresses a gzip file that should have `length` bytes. Stops at one more, so a small file cannot fill the memory. */
export function gunzip(where: string, bytes: Uint8Array, length: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: length + 1 });
  } catch (cause) {
    const isLonger = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    const what = isLonger ? `it has more than the ${length} bytes of its header` : (cause as Error).message;
    throw new DataError(`${where}: the compressed file is damaged: ${what} (obtain it again)`, { cause });
  }
}
