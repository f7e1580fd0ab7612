/** Pictures as bytes: decoded from PNG and JPEG, and brought to one size. */
import { inflateSync } from 'node:zlib';
import { DataError } from '../engine/errors.ts';

/** Pixels row by row, channels last. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Grey, grey and alpha, RGB, RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

const PNG = [0x89, 0x50, 0x4e, 0x47];
const JPEG = [0xff, 0xd8, 0xff];

/**
 * Decodes a PNG or JPEG file, told apart by its first bytes. 16 bits become 8, colour tables colours.
 * Throws DataError, naming `path`, for anything else and for a file that is damaged.
 */
export async function decodePicture(path: string, bytes: Uint8Array): Promise<Picture> {
  const begins = (mark: readonly number[]): boolean => mark.every((byte, i) => bytes[i] === byte);
  const decode = begins(PNG) ? decodePng : begins(JPEG) ? decodeJpeg : null;
  if (decode === null) {
    throw new DataError(
      `${path}: is neither PNG nor JPEG by its first bytes (convert it, or take it out of the folder)`,
    );
  }
  try {
    return await decode(bytes);
  } catch (cause) {
    throw new DataError(
      `${path}: cannot be decoded: ${cause instanceof Error ? cause.message : String(cause)} ` +
        '(the file is damaged, or of a kind that is not read: save it anew, or take it out of the folder)',
      { cause },
    );
  }
}

/** What a PNG says of itself in its first chunk. */
interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  /** 0 grey, 2 colour, 3 indices into a table, 4 and 6 the first two with alpha. */
  readonly colour: number;
  readonly interlaced: boolean;
}

const PNG_SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

async function decodePng(bytes: Uint8Array): Promise<Picture> {
  const { decode, convertIndexedToRgb } = await import('fast-png');
  const header = checkPng(bytes);
  const png = decode(bytes, { checkCrc: true });
  const { width, height, depth } = header;
  if (header.colour === 3) {
    if (png.palette === undefined) throw new Error('it has indices, but no table of colours');
    return { width, height, channels: png.palette[0].length as 3 | 4, data: convertIndexedToRgb(png) };
  }
  const channels = png.channels as Picture['channels'];
  if (depth === 8) return { width, height, channels, data: Uint8Array.from(png.data) };
  if (depth === 16) return { width, height, channels, data: Uint8Array.from(png.data, (v) => v >> 8) };
  // Grey of 1, 2 or 4 bits: several pixels in a byte, rows begin with a new one.
  const data = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  const most = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = png.data[y * rowBytes + (bit >> 3)];
      data[y * width + x] = (((byte >> (8 - depth - (bit & 7))) & most) * 255) / most;
    }
  }
  return { width, height, channels: 1, data };
}

/** The header, once it is certain that there are as many pixels as it says: the decoder fills up what is missing. */
function checkPng(bytes: Uint8Array): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header: PngHeader = {
    width: view.getUint32(16),
    height: view.getUint32(20),
    depth: bytes[24],
    colour: bytes[25],
    interlaced: bytes[28] === 1,
  };
  const { width, height, depth, colour, interlaced } = header;
  const samples = PNG_SAMPLES[colour];
  if (width < 1 || height < 1) throw new Error(`it has ${width} x ${height} pixels`);
  if (samples === undefined) throw new Error(`there is no colour type ${colour}`);
  if (interlaced && depth < 8) throw new Error('interlaced pictures of less than 8 bits are not read');
  const parts: Uint8Array[] = [];
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49444154)
      parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at))); // IDAT
  }
  const got = inflateSync(concat(parts)).length;
  const sizeOf = (across: number, down: number): number =>
    across === 0 ? 0 : down * (1 + Math.ceil((across * samples * depth) / 8));
  const passes = interlaced ? ADAM7 : [[0, 0, 1, 1] as const];
  const needed = passes.reduce(
    (sum, [x, y, dx, dy]) => sum + sizeOf(Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)),
    0,
  );
  if (got !== needed) throw new Error(`${width} x ${height} pixels take ${needed} bytes, but it has ${got}`);
  return header;
}

/** First column and row of each pass, and steps between. */
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
  if (components === 4) throw new Error('its colours are CMYK, which is not read');
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    formatAsRGBA: false,
    // A file that ends early is told rather than filled with grey.
    tolerantDecoding: false,
    // Said by the file, and not heeded by the decoder itself: red, green and blue as they are.
    ...(transform === 0 && { colorTransform: false }),
    maxResolutionInMP: 400,
    maxMemoryUsageInMB: 8192,
  });
  return { width, height, channels: 3, data };
}

/** Components of the picture, and what Adobe's segment says of their transform; undefined where it does not. */
function jpegHeader(bytes: Uint8Array): {
  readonly components: number | undefined;
  readonly transform: number | undefined;
} {
  let components: number | undefined;
  let transform: number | undefined;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // a filler
      continue;
    }
    if (marker === 0xda) break; // the pixels begin
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) components = bytes[at + 9];
    const adobe = [0x41, 0x64, 0x6f, 0x62, 0x65];
    if (marker === 0xee && adobe.every((byte, i) => bytes[at + 4 + i] === byte)) transform = bytes[at + 15];
    at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return { components, transform };
}

/** Where a resized line's pixels come from: `count` source pixels from `first` on, with their weights. */
interface Tap {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Taps of a bilinear filter from the part [from, from + length) of a line of `size` pixels to `out` pixels. Where it shrinks, the
 * triangle is widened by the scale, so that every source pixel counts: as PIL's BILINEAR and PyTorch's `antialias`.
 */
function tapsOf(size: number, from: number, length: number, out: number): readonly Tap[] {
  const scale = length / out;
  const reach = Math.max(1, scale);
  return Array.from({ length: out }, (_, i) => {
    const centre = from + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(size, Math.trunc(centre + reach + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / reach),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

export interface Size {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** 'cover': the largest part from the middle that has the shape of the result; 'stretch': all of it. */
  readonly fit: 'cover' | 'stretch';
}

/**
 * Writes a picture of the given size at `offset` of `out`: [height, width, channels]. Alpha is dropped; colours become grey by the
 * weights of ITU-R 601 (0.299, 0.587, 0.114).
 */
export function resizePicture(picture: Picture, size: Size, out: Uint8Array, offset: number): void {
  const { height, width, channels, fit } = size;
  const source = withChannels(picture, channels);
  const shape = fit === 'cover' ? width / height : picture.width / picture.height;
  const wide = Math.min(picture.width, picture.height * shape);
  const high = Math.min(picture.height, picture.width / shape);
  const columns = tapsOf(picture.width, (picture.width - wide) / 2, wide, width);
  const rows = tapsOf(picture.height, (picture.height - high) / 2, high, height);
  const [top, bottom] = [rows[0].first, rows.at(-1)!.first + rows.at(-1)!.weights.length];
  // Across first, for the rows that are needed.
  const across = new Float64Array((bottom - top) * width * channels);
  for (let y = top; y < bottom; y++) {
    for (const [x, { first, weights }] of columns.entries()) {
      const to = ((y - top) * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        let at = (y * picture.width + first) * channels + c;
        for (let k = 0; k < weights.length; k++, at += channels) sum += weights[k] * source[at];
        across[to + c] = sum;
      }
    }
  }
  const line = width * channels;
  for (const [y, { first, weights }] of rows.entries()) {
    for (let x = 0; x < line; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * across[(first - top + k) * line + x];
      out[offset + y * line + x] = Math.round(sum);
    }
  }
}

function withChannels({ width, height, channels, data }: Picture, wanted: 1 | 3): Uint8Array {
  if (channels === wanted) return data;
  const result = new Uint8Array(width * height * wanted);
  const grey = channels < 3;
  for (let from = 0, to = 0; from < data.length; from += channels, to += wanted) {
    if (wanted === 1) {
      result[to] = grey
        ? data[from]
        : Math.round(0.299 * data[from] + 0.587 * data[from + 1] + 0.114 * data[from + 2]);
      continue;
    }
    for (let c = 0; c < 3; c++) result[to + c] = data[from + (grey ? 0 : c)]!;
  }
  return result;
}
