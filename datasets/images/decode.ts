/** From the bytes of a file to pixels. */
import { DataError } from '../../engine/errors.ts';
import { decodeInBrowser, hasBrowserDecoder } from './browser.ts';
import { decodeWithSharp, sizeWithSharp } from './sharp.ts';
import { formatOf, type DecodeOptions, type Image, type ImageFormat } from './image.ts';

/** The maximum size of a file, in bytes: four for each pixel. */
export const byteLimit = (maxPixels: number): number => 4 * maxPixels;

export function checkBytes(bytes: number, maxPixels: number): void {
  const limit = byteLimit(maxPixels);
  if (bytes <= limit) return;
  throw new DataError(
    `the file has ${bytes} bytes, more than ${limit} (use a smaller image, or raise maxPixels from ${maxPixels})`,
  );
}

/** Decodes a file of any supported format, which its first bytes identify. Throws DataError without the name of the file. */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions): Promise<Image> {
  checkBytes(bytes.length, options.maxPixels);
  const decode = hasBrowserDecoder() ? decodeInBrowser : decodeWithSharp;
  return decode(bytes, formatOf(bytes), options);
}

/** The format of a file, and the size of its upright image, from the header. Only in Node. Throws DataError without the name of the file. */
export async function imageSize(
  bytes: Uint8Array,
): Promise<{ readonly format: ImageFormat; readonly width: number; readonly height: number }> {
  const format = formatOf(bytes);
  return { format, ...(await sizeWithSharp(bytes, format)) };
}
