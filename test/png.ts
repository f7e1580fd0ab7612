/** Writes PNG files for tests, of every kind that the format has. */
import { deflateSync } from 'node:zlib';

export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

export function pngChunk(type: string, body: Uint8Array): Buffer {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const out = Buffer.alloc(content.length + 8);
  out.writeUInt32BE(body.length, 0);
  content.copy(out, 4);
  out.writeUInt32BE(crc32(content), content.length + 4);
  return out;
}

export interface PngParts {
  readonly width: number;
  readonly height: number;
  /** Bits of a sample. Default 8. */
  readonly depth?: number;
  /** 0: gray, 2: color, 3: palette indices, 4: gray and alpha, 6: color and alpha. */
  readonly colorType: number;
  readonly interlaced?: boolean;
  /** The rows, each with its filter byte in front. */
  readonly rows: Uint8Array;
  /** The compressed rows, if they are special. */
  readonly idat?: Uint8Array;
  /** Chunks between the header and the pixels. */
  readonly chunks?: readonly Buffer[];
}

/** A PNG file of its chunks. */
export function assemblePng(parts: PngParts): Buffer {
  const { width, height, depth = 8, colorType, interlaced = false, rows, chunks = [] } = parts;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colorType, 0, 0, interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    pngChunk('IHDR', header),
    ...chunks,
    pngChunk('IDAT', parts.idat ?? deflateSync(rows)),
    pngChunk('IEND', new Uint8Array()),
  ]);
}

const COLOR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;

/** A PNG file with 8 bits for each sample. `data` is [height, width, channels]. */
export function encodePng(image: {
  readonly width: number;
  readonly height: number;
  /** Gray, gray and alpha, RGB, or RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4;
  readonly data: Uint8Array;
}): Buffer {
  const { width, height, channels, data } = image;
  const line = width * channels;
  const rows = Buffer.alloc(height * (line + 1));
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * line, (y + 1) * line), y * (line + 1) + 1);
  return assemblePng({ width, height, colorType: COLOR_TYPES[channels], rows });
}

/** A PNG file of one color, whose number of components chooses the channels. */
export const plainPng = (width: number, height: number, ...color: readonly number[]): Buffer =>
  encodePng({
    width,
    height,
    channels: color.length as 1 | 2 | 3 | 4,
    data: Uint8Array.from({ length: width * height * color.length }, (_, i) => color[i % color.length]),
  });
