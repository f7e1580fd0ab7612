/** Images as bytes: decoded from PNG and JPEG, and resized. */
import { inflateSync } from 'node:zlib';
import { DataError } from '../engine/errors.ts';

/** Row-major pixels, channels last. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Gray, gray and alpha, RGB, or RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

const PNG = [0x89, 0x50, 0x4e, 0x47];
const JPEG = [0xff, 0xd8, 0xff];

/**
 * Decodes a PNG or JPEG file, whose first bytes identify its format. 16 bits become 8, and palette indices become colors.
 * Throws DataError, with `path`, for any other format and for a damaged file.
 */
export async function decodePicture(path: string, bytes: Uint8Array): Promise<Picture> {
  const startsWith = (signature: readonly number[]): boolean =>
    signature.every((byte, i) => bytes[i] === byte);
  const decode = startsWith(PNG) ? decodePng : startsWith(JPEG) ? decodeJpeg : null;
  if (decode === null) {
    throw new DataError(
      `${path}: the file is neither PNG nor JPEG (convert it, or remove it from the folder)`,
    );
  }
  try {
    return await decode(bytes);
  } catch (cause) {
    throw new DataError(
      `${path}: cannot be decoded: ${cause instanceof Error ? cause.message : String(cause)} ` +
        '(the file is damaged or its variant is not supported: save it again, or remove it from the folder)',
      { cause },
    );
  }
}

/** The first chunk of a PNG. */
interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  /** 0: gray, 2: color, 3: palette indices, 4: gray and alpha, 6: color and alpha. */
  readonly colorType: number;
  readonly interlaced: boolean;
}

const PNG_SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

async function decodePng(bytes: Uint8Array): Promise<Picture> {
  const { decode, convertIndexedToRgb } = await import('fast-png');
  const header = checkPng(bytes);
  const png = decode(bytes, { checkCrc: true });
  const { width, height, depth } = header;
  if (header.colorType === 3) {
    if (png.palette === undefined) throw new Error('the palette is missing');
    return { width, height, channels: png.palette[0].length as 3 | 4, data: convertIndexedToRgb(png) };
  }
  const channels = png.channels as Picture['channels'];
  if (depth === 8) return { width, height, channels, data: Uint8Array.from(png.data) };
  if (depth === 16) return { width, height, channels, data: Uint8Array.from(png.data, (v) => v >> 8) };
  // Gray of 1, 2 or 4 bits: a byte holds several pixels, and each row starts a new byte.
  const data = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  const max = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = png.data[y * rowBytes + (bit >> 3)];
      data[y * width + x] = (((byte >> (8 - depth - (bit & 7))) & max) * 255) / max;
    }
  }
  return { width, height, channels: 1, data };
}

/** Reads the header, and checks the number of pixels: the decoder would fill in missing ones. */
function checkPng(bytes: Uint8Array): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header: PngHeader = {
    width: view.getUint32(16),
    height: view.getUint32(20),
    depth: bytes[24],
    colorType: bytes[25],
    interlaced: bytes[28] === 1,
  };
  const { width, height, depth, colorType, interlaced } = header;
  const samples = PNG_SAMPLES[colorType];
  if (width < 1 || height < 1) throw new Error(`the size is ${width} x ${height} pixels`);
  if (samples === undefined) throw new Error(`the color type ${colorType} is unknown`);
  if (interlaced && depth < 8) throw new Error('interlaced images of less than 8 bits are not supported');
  const parts: Uint8Array[] = [];
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49444154)
      parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at))); // IDAT
  }
  const size = inflateSync(concat(parts)).length;
  const bytesOf = (columns: number, rows: number): number =>
    columns === 0 ? 0 : rows * (1 + Math.ceil((columns * samples * depth) / 8));
  const passes = interlaced ? ADAM7 : [[0, 0, 1, 1] as const];
  const needed = passes.reduce(
    (sum, [x, y, dx, dy]) => sum + bytesOf(Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)),
    0,
  );
  if (size !== needed) throw new Error(`${width} x ${height} pixels need ${needed} bytes, got ${size}`);
  return header;
}

/** The first column and row of each pass, and the distances between columns and rows. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function decodeJpeg(bytes: Uint8Array): Promise<Picture> {
  const { default: jpeg } = await import('jpeg-js');
  const { components, transform } = jpegHeader(bytes);
  if (components === 4) throw new Error('CMYK colors are not supported');
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    formatAsRGBA: false,
    // Throw for a truncated file instead of filling it with gray.
    tolerantDecoding: false,
    // The decoder ignores this marker of the file: the components are red, green and blue without a transform.
    ...(transform === 0 && { colorTransform: false }),
    maxResolutionInMP: 400,
    maxMemoryUsageInMB: 8192,
  });
  return { width, height, channels: 3, data };
}

/** The number of components, and the transform of Adobe's segment. Undefined if it is missing. */
function jpegHeader(bytes: Uint8Array): {
  readonly components: number | undefined;
  readonly transform: number | undefined;
} {
  let components: number | undefined;
  let transform: number | undefined;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // a fill byte
      continue;
    }
    if (marker === 0xda) break; // start of the pixels
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) components = bytes[at + 9];
    const adobe = [0x41, 0x64, 0x6f, 0x62, 0x65];
    if (marker === 0xee && adobe.every((byte, i) => bytes[at + 4 + i] === byte)) transform = bytes[at + 15];
    at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return { components, transform };
}

/** The source pixels of one resized pixel in a line, from `first` on, with their weights. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * The taps of a bilinear filter from the part [from, from + length) of a line of `size` pixels to `out` pixels. Where the line
 * shrinks, the triangle is widened by the scale, so every source pixel contributes, as with PIL's BILINEAR and PyTorch's `antialias`.
 */
function tapsOf(size: number, from: number, length: number, out: number): readonly Taps[] {
  const scale = length / out;
  const reach = Math.max(1, scale);
  return Array.from({ length: out }, (_, i) => {
    const center = from + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(size, Math.trunc(center + reach + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs(first + k + 0.5 - center) / reach),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

export interface Size {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** 'cover': the largest centered part with the aspect ratio of the result. 'stretch': the whole image. */
  readonly fit: 'cover' | 'stretch';
}

/**
 * Writes the resized image, [height, width, channels], at `offset` of `out`. Alpha is dropped. Colors become gray with the weights of
 * ITU-R 601 (0.299, 0.587, 0.114).
 */
export function resizePicture(picture: Picture, size: Size, out: Uint8Array, offset: number): void {
  const { height, width, channels, fit } = size;
  const source = withChannels(picture, channels);
  const aspect = fit === 'cover' ? width / height : picture.width / picture.height;
  const cropWidth = Math.min(picture.width, picture.height * aspect);
  const cropHeight = Math.min(picture.height, picture.width / aspect);
  const columns = tapsOf(picture.width, (picture.width - cropWidth) / 2, cropWidth, width);
  const rows = tapsOf(picture.height, (picture.height - cropHeight) / 2, cropHeight, height);
  const [top, bottom] = [rows[0].first, rows.at(-1)!.first + rows.at(-1)!.weights.length];
  // First horizontally, for the rows that are needed.
  const resized = new Float64Array((bottom - top) * width * channels);
  for (let y = top; y < bottom; y++) {
    for (const [x, { first, weights }] of columns.entries()) {
      const to = ((y - top) * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        let at = (y * picture.width + first) * channels + c;
        for (let k = 0; k < weights.length; k++, at += channels) sum += weights[k] * source[at];
        resized[to + c] = sum;
      }
    }
  }
  const line = width * channels;
  for (const [y, { first, weights }] of rows.entries()) {
    for (let x = 0; x < line; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * resized[(first - top + k) * line + x];
      out[offset + y * line + x] = Math.round(sum);
    }
  }
}

function withChannels({ width, height, channels, data }: Picture, outChannels: 1 | 3): Uint8Array {
  if (channels === outChannels) return data;
  const result = new Uint8Array(width * height * outChannels);
  const isGray = channels < 3;
  for (let from = 0, to = 0; from < data.length; from += channels, to += outChannels) {
    if (outChannels === 1) {
      result[to] = isGray
        ? data[from]
        : Math.round(0.299 * data[from] + 0.587 * data[from + 1] + 0.114 * data[from + 2]);
      continue;
    }
    for (let c = 0; c < 3; c++) result[to + c] = data[from + (isGray ? 0 : c)]!;
  }
  return result;
}
