/** Reading the file of an image. */
import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { DataError } from '../../engine/errors.ts';
import type { InputData } from '../../engine/dataset.ts';
import { checkBytes, decodeImage } from './decode.ts';
import type { DecodeOptions } from './image.ts';
import { resizeImage, type Size } from './resize.ts';

/**
 * The bytes of a regular file. Other kinds are refused unopened: a FIFO waits for a writer, and devices never end.
 * Throws DataError without the path.
 */
export async function readImageFile(path: string, maxPixels: number): Promise<Uint8Array> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new DataError(`is ${kindOf(stats)}, not a regular file (remove it)`);
    checkBytes(stats.size, maxPixels);
    return await readStart(path, stats.size);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Reads, decodes and resizes an image into `out` at `offset`. Throws DataError without the path. */
export async function readImageInto(
  path: string,
  format: Size & DecodeOptions,
  out: InputData,
  offset: number,
): Promise<void> {
  const bytes = await readImageFile(path, format.maxPixels);
  await resizeImage(await decodeImage(bytes, format), format, out, offset);
}

const kindOf = (stats: Stats): string => {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  return stats.isSocket() ? 'a socket' : 'a device';
};

/** The first `size` bytes: some files of /proc end later than their size says, or never. */
async function readStart(path: string, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  const file = await open(path);
  try {
    let length = 0;
    while (length < size) {
      const { bytesRead } = await file.read(bytes, length, size - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}
