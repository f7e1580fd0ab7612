/** Folders and small images for the tests of image files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { onTestFinished } from 'vitest';

/** A folder with these files, gone after the test. */
export function folder(files: Readonly<Record<string, Uint8Array | string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-images-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }
  return dir;
}

/** An image of width × height pixels, `paint(x, y)` gives [red, green, blue]. */
export function painted(
  width: number,
  height: number,
  paint: (x: number, y: number) => readonly number[],
): Sharp {
  const data = Uint8Array.from(
    Array.from({ length: height * width }, (_, i) => paint(i % width, Math.floor(i / width))).flat(),
  );
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** A segment of a JPEG file. */
export function segment(marker: number, body: Uint8Array): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([head, body]);
}

/** The JPEG file with more segments after its start. */
export const withSegments = (jpeg: Uint8Array, ...segments: readonly Buffer[]): Buffer =>
  Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)]);

/** The EXIF segment of an orientation, 1 to 8. */
export const orientation = (value: number): Buffer =>
  segment(
    0xe1,
    Buffer.concat([
      Buffer.from('Exif\0\0', 'latin1'),
      Buffer.from('MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0', 'latin1'),
      Buffer.from([value, 0, 0, 0, 0, 0, 0]),
    ]),
  );

/** A gray TIFF file without compression, whose header may claim another size than that of the data. */
export function tiff(image: {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  /** 1: unsigned integers, 3: floating point. */
  readonly sampleFormat: number;
  readonly data: Uint8Array | Float32Array;
}): Buffer {
  const { width, height, bits, sampleFormat } = image;
  const data = Buffer.from(image.data.buffer, image.data.byteOffset, image.data.byteLength);
  const tags: readonly (readonly [number, number])[] = [
    [256, width],
    [257, height],
    [258, bits],
    [259, 1], // no compression
    [262, 1], // black is 0
    [273, 8], // where the data begins
    [277, 1], // samples
    [278, height], // rows of a strip
    [279, data.length],
    [339, sampleFormat],
  ];
  const directory = Buffer.alloc(2 + tags.length * 12 + 4);
  directory.writeUInt16LE(tags.length);
  for (const [i, [tag, value]] of tags.entries()) {
    const at = 2 + i * 12;
    directory.writeUInt16LE(tag, at);
    directory.writeUInt16LE(4, at + 2); // LONG
    directory.writeUInt32LE(1, at + 4);
    directory.writeUInt32LE(value, at + 8);
  }
  const header = Buffer.from('II*\0\0\0\0\0', 'latin1');
  header.writeUInt32LE(8 + data.length, 4);
  return Buffer.concat([header, data, directory]);
}
