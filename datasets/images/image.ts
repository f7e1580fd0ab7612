/** What both decoders share: the decoded image, the options, and the formats. */
import { DataError } from '../../engine/errors.ts';

/** Row-major pixels, upright, without alpha. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] in sRGB */
  readonly data: Uint8Array;
}

export type Color = readonly [red: number, green: number, blue: number];

export interface DecodeOptions {
  /** What lies behind transparent pixels. */
  readonly background: Color;
  readonly maxPixels: number;
}

export type ImageFormat = 'PNG' | 'JPEG' | 'WebP' | 'AVIF' | 'GIF' | 'TIFF';

const FORMATS = 'PNG, JPEG, WebP, AVIF, GIF or TIFF';

/** Whether a file has a format, by its first bytes as Latin-1 text. */
type Signature = (start: string) => boolean;

const begins =
  (...starts: readonly string[]): Signature =>
  (start) =>
    starts.some((signature) => start.startsWith(signature));
/** A file of ISO's base format, with one of these brands. */
const hasBrand =
  (brands: RegExp): Signature =>
  (start) =>
    start.slice(4, 8) === 'ftyp' && brands.test(start.slice(8, 64));

const SIGNATURES: Readonly<Record<ImageFormat, Signature>> = {
  PNG: begins('\x89PNG\r\n\x1a\n'),
  JPEG: begins('\xff\xd8\xff'),
  WebP: (start) => start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP',
  AVIF: hasBrand(/avi[fs]/),
  GIF: begins('GIF87a', 'GIF89a'),
  TIFF: begins('II*\0', 'MM\0*', 'II+\0', 'MM\0+'),
};

/** Formats of images that are refused by name. An SVG can refer to other files. */
const REFUSED: Readonly<Record<string, Signature>> = {
  SVG: (start) => /<svg|<!doctype svg/i.test(start),
  HEIC: hasBrand(/hei[cx]|hevc|mif1/),
  BMP: begins('BM'),
};

const matching = (signatures: Readonly<Record<string, Signature>>, start: string): string | undefined =>
  Object.keys(signatures).find((format) => signatures[format](start));

/** The format of a file, by its first bytes. Throws DataError for any other file. */
export function formatOf(bytes: Uint8Array): ImageFormat {
  const start = String.fromCharCode(...bytes.subarray(0, 1000));
  const format = matching(SIGNATURES, start);
  if (format !== undefined) return format as ImageFormat;
  if (bytes.length === 0) throw new DataError('the file is empty (remove it)');
  const refused = matching(REFUSED, start);
  throw new DataError(
    `the file is not ${FORMATS}${refused === undefined ? '' : `: it is ${refused}`} (convert it or remove it)`,
  );
}

/** The decoder of AVIF needs four times the memory of the others and twice their time. */
const pixelLimit = (format: ImageFormat, maxPixels: number): number =>
  format === 'AVIF' ? Math.floor(maxPixels / 2) : maxPixels;

export function checkPixels(format: ImageFormat, width: number, height: number, maxPixels: number): void {
  const limit = pixelLimit(format, maxPixels);
  if (width * height <= limit) return;
  throw new DataError(
    `${width} x ${height} pixels are more than ${limit} (use a smaller image, or raise maxPixels from ${maxPixels})`,
  );
}

export function decodingError(format: ImageFormat, reason: string, cause: unknown): DataError {
  return new DataError(
    `the ${format} file cannot be decoded: ${reason} (it is damaged or its variant is not supported: save it again or remove it)`,
    { cause },
  );
}

/** The result of `work`, whose DataErrors get the name of the file. */
export async function named<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new DataError(`${name}: ${error.message}`, { cause: error.cause });
  }
}
