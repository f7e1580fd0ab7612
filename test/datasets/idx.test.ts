import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { DataError } from 'cyclegrad';
import { readIdx } from 'cyclegrad/datasets';

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-idx-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A file with this type, these sizes and these bytes. */
function idx(type: number, shape: readonly number[], ...data: readonly number[]): Uint8Array {
  const header = new Uint8Array(4 + 4 * shape.length);
  header.set([0, 0, type, shape.length]);
  shape.forEach((size, axis) => new DataView(header.buffer).setUint32(4 + 4 * axis, size));
  return Uint8Array.of(...header, ...data);
}
const images = idx(0x08, [2, 1, 3], 1, 2, 3, 4, 5, 255);

describe('readIdx', () => {
  it.each([
    ['unsigned bytes', images, { shape: [2, 1, 3], dtype: 'u8', data: Uint8Array.of(1, 2, 3, 4, 5, 255) }],
    ['signed bytes', idx(0x09, [2], 1, 255), { shape: [2], dtype: 'i32', data: Int32Array.of(1, -1) }],
    ['16 bits', idx(0x0b, [2], 1, 2, 255, 254), { shape: [2], dtype: 'i32', data: Int32Array.of(258, -2) }],
    ['32 bits', idx(0x0c, [1], 0, 1, 0, 2), { shape: [1], dtype: 'i32', data: Int32Array.of(65538) }],
    ['floats', idx(0x0d, [1], 0x3f, 0xc0, 0, 0), { shape: [1], dtype: 'f32', data: Float32Array.of(1.5) }],
    [
      'doubles',
      idx(0x0e, [1], 0xc0, 4, 0, 0, 0, 0, 0, 0),
      { shape: [1], dtype: 'f32', data: Float32Array.of(-2.5) },
    ],
    ['no axes', idx(0x08, [], 7), { shape: [], dtype: 'u8', data: Uint8Array.of(7) }],
    ['no elements', idx(0x0d, [0, 5]), { shape: [0, 5], dtype: 'f32', data: new Float32Array() }],
  ])('reads %s, also compressed', async (_, bytes, expected) => {
    expect(await readIdx(bytes)).toEqual(expected);
    expect(await readIdx(gzipSync(bytes))).toEqual(expected);
  });

  it('reads a file by its path', async () => {
    const path = join(dir, 'images-idx3-ubyte.gz');
    writeFileSync(path, gzipSync(images));
    expect(await readIdx(path)).toEqual(await readIdx(images));
  });

  it.each([
    [new Uint8Array(0), 'not an IDX file: it must begin with two zero bytes, got 0 bytes'],
    [
      Uint8Array.of(1, 2, 3, 4, 5),
      'not an IDX file: it must begin with two zero bytes, got 1 and 2 (pass a file such as',
    ],
    [idx(0x0a, [1], 1), 'unknown type 0x0a (known: 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e)'],
    [images.subarray(0, 10), 'the file is truncated: the header of 3 axes needs 16 bytes, but there are 10'],
    [
      images.subarray(0, 20),
      'the file is truncated: its header says U8 [2,1,3], 22 bytes, but it has 20 (obtain it again)',
    ],
    [
      Uint8Array.of(...images, 0),
      'the file is too long: its header says U8 [2,1,3], 22 bytes, but it has 23',
    ],
    [idx(0x0e, [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], 1), 'the file is truncated: its header says F64'],
    [
      idx(0x0e, [1], 0x7f, 0xe0, 0, 0, 0, 0, 0, 0),
      'the array is F64 and has values that f32 cannot represent',
    ],
    [
      gzipSync('text'),
      'not an IDX file: it must begin with two zero bytes, got 116 and 101 after decompression',
    ],
    [
      gzipSync(images).subarray(0, 30),
      'the compressed file is damaged: unexpected end of file (obtain it again)',
    ],
    [
      gzipSync(Uint8Array.of(...images, 0, 0)),
      'the compressed file is damaged: it has more than the 22 bytes of its header',
    ],
  ])('refuses damaged bytes: %#', async (bytes, message) => {
    const reading = readIdx(bytes);
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(`readIdx: ${message}`);
  });

  it('stops decompressing a file that would fill the memory', async () => {
    const bomb = gzipSync(Buffer.concat([idx(0x08, [4]), Buffer.alloc(50_000_000)]));
    const before = process.resourceUsage().maxRSS;
    await expect(readIdx(bomb)).rejects.toThrow('it has more than the 12 bytes of its header');
    expect((process.resourceUsage().maxRSS - before) / 1024).toBeLessThan(20);
  });

  it('refuses what is neither a path nor bytes', async () => {
    await expect(readIdx([0, 0, 8, 1] as never)).rejects.toThrow(
      'readIdx: the argument must be a path or the bytes of a file (a Uint8Array), got an array',
    );
    await expect(readIdx(join(dir, 'none'))).rejects.toThrow(
      `readIdx: ${join(dir, 'none')}: cannot be read: ENOENT`,
    );
  });
});
