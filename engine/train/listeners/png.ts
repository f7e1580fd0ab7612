/** Writes PNG files. */
import { deflateSync } from 'node:zlib';
import { crc32 } from './crc32.ts';

/** The color types of PNG by the number of channels: gray, gray and alpha, RGB, RGB and alpha. */
const COLOR_TYPES: Readonly<Record<number, number>> = { 1: 0, 2: 4, 3: 2, 4: 6 };

/** A PNG of bytes [height, width, channels] with 1 to 4 channels. */
export function encodePng(height: number, width: number, channels: number, data: Uint8Array): Uint8Array {
  const line = width * channels;
  const rows = new Uint8Array(height * (line + 1)); // each row begins with its filter: none
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * line, (y + 1) * line), y * (line + 1) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, COLOR_TYPES[channels]], 8);
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array()),
  ]);
}

function chunk(type: string, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set(new TextEncoder().encode(type), 4);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}
