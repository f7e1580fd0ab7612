/** Files that claim more than they hold, or hold more than they claim. Each must be refused fast and in little memory. */
import { deflateSync } from 'node:zlib';
import type { Sharp } from 'sharp';
import { assemblePng, plainPng, pngChunk } from '../png.ts';
import { painted, segment, tiff, withSegments } from './image-fixture.ts';

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const u24 = (value: number): Buffer => Buffer.from([value & 255, (value >> 8) & 255, value >> 16]);

/** A GIF of n frames of one pixel on a canvas of width × height. */
export function gif(width: number, height: number, frames: number): Buffer {
  const screen = Buffer.concat([
    Buffer.from('GIF89a', 'latin1'),
    u16(width),
    u16(height),
    Buffer.from([0x80, 0, 0]),
  ]);
  const palette = Buffer.from([255, 0, 0, 0, 0, 255]);
  const frame = Buffer.concat([
    Buffer.from([0x21, 0xf9, 4, 0, 1, 0, 0, 0]),
    Buffer.from([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0]),
    Buffer.from([2, 2, 0x44, 0x01, 0]),
  ]);
  return Buffer.concat([
    screen,
    palette,
    ...Array.from({ length: frames }, () => frame),
    Buffer.from([0x3b]),
  ]);
}

const riff = (name: string, body: Buffer): Buffer => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(body.length);
  return Buffer.concat([Buffer.from(name, 'latin1'), size, body, Buffer.alloc(body.length % 2)]);
};

/** A WebP animation of n equal frames. */
export async function webp(frames: number): Promise<Buffer> {
  const still = await painted(4, 4, () => [255, 0, 0])
    .webp({ lossless: true })
    .toBuffer();
  const pixels = still.subarray(12);
  const place = Buffer.concat([u24(0), u24(0), u24(3), u24(3), u24(10), Buffer.from([0])]);
  const body = Buffer.concat([
    Buffer.from('WEBP', 'latin1'),
    riff('VP8X', Buffer.concat([Buffer.from([2, 0, 0, 0]), u24(3), u24(3)])),
    riff('ANIM', Buffer.alloc(6)),
    ...Array.from({ length: frames }, () => riff('ANMF', Buffer.concat([place, pixels]))),
  ]);
  return riff('RIFF', body);
}

/** The file with other bytes at the first place of `find`, moved by `offset`. */
function patched(bytes: Buffer, find: Uint8Array | string, offset: number, by: Uint8Array): Buffer {
  const out = Buffer.from(bytes);
  out.set(by, out.indexOf(find) + offset);
  return out;
}

const small = (): Sharp => painted(64, 64, (x, y) => [4 * x, 4 * y, 0]);

/** A PNG of 4 × 4 pixels whose compressed rows grow to many bytes. */
export const inflating = (bytes: number): Buffer =>
  assemblePng({
    width: 4,
    height: 4,
    colorType: 2,
    rows: new Uint8Array(),
    idat: deflateSync(Buffer.alloc(bytes), { level: 1 }),
  });

/** A PNG of 4 × 4 pixels with texts that grow to many bytes each. */
function withTexts(texts: number, bytes: number): Buffer {
  const png = plainPng(4, 4, 1, 2, 3);
  const text = Buffer.concat([Buffer.from('a\0\0', 'latin1'), deflateSync(Buffer.alloc(bytes, 65))]);
  const chunks = Array.from({ length: texts }, () => pngChunk('zTXt', text));
  return Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]);
}

/** A TIFF file of n equal pages. */
function pages(n: number): Buffer {
  const one = tiff({ width: 4, height: 4, bits: 8, sampleFormat: 1, data: new Uint8Array(16) });
  const start = one.readUInt32LE(4);
  const directories = Array.from({ length: n }, (_, i) => {
    const directory = Buffer.from(one.subarray(start));
    if (i < n - 1) directory.writeUInt32LE(start + (i + 1) * directory.length, directory.length - 4);
    return directory;
  });
  return Buffer.concat([one.subarray(0, start), ...directories]);
}

/** Files that hold a right image beside what is hostile. */
export const accepted = async (): Promise<Readonly<Record<string, Buffer>>> => ({
  'gif of 1000 frames': gif(5000, 5000, 1000),
  'webp of 1000 frames': await webp(1000),
  'tiff of 1000 pages': pages(1000),
  'png with texts of 140 MB': withTexts(20, 7_000_000),
});

export async function refused(): Promise<Readonly<Record<string, Buffer | string>>> {
  const rows = new Uint8Array(1000);
  const huge = Buffer.from([0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
  return {
    'png of 20,000 x 20,000': assemblePng({ width: 20_000, height: 20_000, colorType: 2, rows }),
    'png of 2^31 - 1 x 2^31 - 1': assemblePng({
      width: 2 ** 31 - 1,
      height: 2 ** 31 - 1,
      colorType: 6,
      rows,
    }),
    'png of 5792 x 5792 without pixels': assemblePng({
      width: 5792,
      height: 5792,
      depth: 16,
      colorType: 6,
      rows,
    }),
    'interlaced png of 5792 x 5792': assemblePng({
      width: 5792,
      height: 5792,
      depth: 16,
      colorType: 6,
      rows,
      interlaced: true,
    }),
    'jpeg of 65,535 x 65,535': patched(
      await small().jpeg().toBuffer(),
      Uint8Array.of(0xff, 0xc0),
      5,
      Uint8Array.of(255, 255, 255, 255),
    ),
    'jpeg of 5792 x 5792 without pixels': patched(
      await small().jpeg().toBuffer(),
      Uint8Array.of(0xff, 0xc0),
      5,
      Uint8Array.of(0x16, 0xa0, 0x16, 0xa0),
    ),
    'progressive jpeg of 5792 x 5792': patched(
      await small().jpeg({ progressive: true }).toBuffer(),
      Uint8Array.of(0xff, 0xc2),
      5,
      Uint8Array.of(0x16, 0xa0, 0x16, 0xa0),
    ),
    'webp of 16,384 x 16,384': patched(
      await small().webp({ lossless: true }).toBuffer(),
      'VP8L',
      9,
      Uint8Array.of(255, 255, 255, 0x0f),
    ),
    'avif of 65,535 x 65,535': patched(await small().avif({ effort: 0 }).toBuffer(), 'ispe', 8, huge),
    'gif of 10,000 frames': gif(5000, 5000, 10_000),
    'webp of 10,000 frames': await webp(10_000),
    'tiff of 10,000 pages': pages(10_000),
    'jpeg of 10,000 comments': withSegments(
      await small().jpeg().toBuffer(),
      ...Array<Buffer>(10_000).fill(segment(0xfe, rows.subarray(0, 1))),
    ),
    'tiff of 100,000 x 100,000': tiff({
      width: 100_000,
      height: 100_000,
      bits: 8,
      sampleFormat: 1,
      data: rows,
    }),
    'tiff of 5792 x 5792 without pixels': tiff({
      width: 5792,
      height: 5792,
      bits: 16,
      sampleFormat: 1,
      data: rows,
    }),
    'tiff of 2^32 - 1 rows': tiff({ width: 1, height: 2 ** 32 - 1, bits: 8, sampleFormat: 1, data: rows }),
    'svg with entities': `<!DOCTYPE svg [<!ENTITY a "${'x'.repeat(1000)}">${Array.from('bcdefgh', (name, i) => `<!ENTITY ${name} "${`&${'abcdefg'[i]};`.repeat(100)}">`).join('')}]><svg><text>&h;</text></svg>`,
    'svg that refers to a file':
      '<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd" width="9" height="9"/></svg>',
  };
}
