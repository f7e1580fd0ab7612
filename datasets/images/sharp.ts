/** Decoding in Node, with the package sharp (libvips, libjpeg-turbo, libpng). */
import type sharp from 'sharp';
import { EngineError } from '../../engine/errors.ts';
import { essentialParts, headerOf, type Header } from './parts.ts';
import { checkPixels, decodingError, type DecodeOptions, type Image, type ImageFormat } from './image.ts';

type Sharp = typeof sharp;

const platform = (): string =>
  typeof process === 'undefined'
    ? 'in a browser, and this one lacks createImageBitmap or OffscreenCanvas'
    : `on ${process.platform}-${process.arch} with Node ${process.version}`;

/**
 * Loads the package when the first image is decoded.
 * Throws EngineError if it cannot be loaded. It is no DataError, because no file is at fault.
 */
export async function loadSharp(): Promise<Sharp> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    const [reason] = String((cause as Error).message).split('\n');
    throw new EngineError(
      `the package sharp, which decodes images, cannot be loaded ${platform()}: ${reason} ` +
        '(npm install --include=optional sharp; it needs Node 20.9 or newer)',
      { cause },
    );
  }
}

export async function decodeWithSharp(
  file: Uint8Array,
  format: ImageFormat,
  options: DecodeOptions,
): Promise<Image> {
  const load = await loadSharp();
  const bytes = essentialParts(file, format);
  try {
    const { width, height, isProgressive } = headerOf(bytes, format) ?? (await readHeader(load, bytes));
    checkPixels(format, width, height, options.maxPixels);
    return await decode(load, bytes, options).catch((error: unknown) => {
      // The scans that follow in a progressive file are missing too.
      if (isProgressive || !UNFINISHED.test((error as Error).message)) throw error;
      return decodeUnfinished(load, bytes, options);
    });
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw decodingError(format, reasonOf(cause as Error), cause);
  }
}

async function readHeader(load: Sharp, bytes: Uint8Array): Promise<Header> {
  const { width, height, depth, isProgressive } = await load(bytes, { limitInputPixels: false }).metadata();
  if (depth !== 'uchar' && depth !== 'ushort') throw new Error(`samples of type ${depth} are not supported`);
  return { width, height, isProgressive };
}

/** The size of the upright image, from the header of a file. */
export async function sizeWithSharp(
  file: Uint8Array,
  format: ImageFormat,
): Promise<{ readonly width: number; readonly height: number }> {
  const load = await loadSharp();
  try {
    const { autoOrient } = await load(essentialParts(file, format), { limitInputPixels: false }).metadata();
    return autoOrient;
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw decodingError(format, reasonOf(cause as Error), cause);
  }
}

/** The first lines of a message: libraries repeat a line for each pixel or tag that they cannot read. */
function reasonOf({ message }: Error): string {
  const lines = new Set(message.split('\n').map((line) => line.replace(/[\s:]+$/, '')));
  return [...lines].filter(Boolean).slice(0, 3).join(', ');
}

/** Warnings about JPEG files of some cameras and editors, which every decoder reads in full. */
const HARMLESS = /Invalid SOS parameters|extraneous bytes before marker/;

async function decode(load: Sharp, bytes: Uint8Array, options: DecodeOptions): Promise<Image> {
  const decodeUnless = async (failOn: 'warning' | 'error'): Promise<Image> => {
    const [r, g, b] = options.background;
    const { data, info } = await load(bytes, { failOn, limitInputPixels: options.maxPixels })
      .autoOrient()
      .flatten({ background: { r, g, b } })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  };
  try {
    return await decodeUnless('warning');
  } catch (error) {
    if (!HARMLESS.test((error as Error).message)) throw error;
    return decodeUnless('error');
  }
}

/** libvips about a JPEG file without an end marker. */
const UNFINISHED = /premature end of JPEG image/;
const END = Uint8Array.of(0xff, 0xd9);

/**
 * Decodes a JPEG file without an end marker. If nothing else is missing, bytes in the place of the marker change no pixel. Where
 * pixels are cut off, these bytes would become part of the image.
 */
async function decodeUnfinished(load: Sharp, bytes: Uint8Array, options: DecodeOptions): Promise<Image> {
  const decodeWith = (byte: number): Promise<Image> =>
    decode(load, Buffer.concat([bytes, new Uint8Array(64).fill(byte), END]), options);
  const [image, other] = [await decodeWith(0x00), await decodeWith(0x5a)];
  if (Buffer.compare(image.data, other.data) !== 0) throw new Error('the end of the file is missing');
  return image;
}
