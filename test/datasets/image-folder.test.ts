import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { encode } from 'fast-png';
import jpeg from 'jpeg-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DataError } from 'cyclegrad';
import { imageFolder, readImage, type DataEvent } from 'cyclegrad/datasets';
import { decodePicture, resizePicture } from '../../datasets/pictures.ts';

/** A folder with these files, gone after the test. */
function folder(files: Readonly<Record<string, Uint8Array | string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-pictures-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }
  return dir;
}

/** A PNG of one color. */
const png = (width: number, height: number, ...color: number[]): Uint8Array =>
  encode({
    width,
    height,
    channels: color.length,
    data: Uint8Array.from({ length: width * height * color.length }, (_, i) => color[i % color.length]),
  });

/** A PNG of its chunks, which fast-png does not write: color tables, less than 8 bits. */
function assemble(
  width: number,
  height: number,
  depth: number,
  color: number,
  rows: Uint8Array,
  table?: Uint8Array,
  interlaced = false,
): Uint8Array {
  const chunk = (type: string, body: Uint8Array): Buffer => {
    const content = Buffer.concat([Buffer.from(type, 'latin1'), body]);
    const out = Buffer.alloc(content.length + 8);
    out.writeUInt32BE(body.length, 0);
    content.copy(out, 4);
    out.writeUInt32BE(crc32(content), content.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, color, 0, 0, interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    ...(table === undefined ? [] : [chunk('PLTE', table)]),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array()),
  ]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

/** Red, green and blue of a table; then two rows of ten bits. Each row begins with its filter, 0. */
const TABLE = assemble(3, 1, 8, 3, Uint8Array.of(0, 0, 1, 2), Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255));
const BITS = assemble(10, 2, 1, 0, Uint8Array.of(0, 0b10101010, 0b11000000, 0, 0b01010101, 0b00000000));

const SIZE = { height: 2, width: 2 };

test('classes and pictures come in the order of their names, and hidden files are left out', async () => {
  const dir = folder({
    'b/2.png': png(3, 3, 20, 21, 22),
    'b/10.PNG': png(5, 3, 10, 11, 12),
    'a/more/x.png': png(1, 1, 200),
    'a/first.png': png(2, 2, 1, 2, 3, 128),
    'a/.hidden': 'x',
    'a/Thumbs.db': 'x',
    '.git/config': 'x',
  });
  const events: DataEvent[] = [];
  const data = await imageFolder(dir, { ...SIZE, onProgress: (event) => events.push(event) });
  expect(data).toMatchObject({
    length: 4,
    classes: ['a', 'b'],
    x: { shape: [2, 2, 3], dtype: 'u8' },
    y: { shape: [], dtype: 'i32' },
  });
  expect([...data.whole!.y]).toEqual([0, 0, 1, 1]);
  const first = Array.from({ length: 4 }, (_, i) => [...data.whole!.x.subarray(i * 12, i * 12 + 3)]);
  expect(first).toEqual([
    [1, 2, 3],
    [200, 200, 200],
    [10, 11, 12],
    [20, 21, 22],
  ]);
  expect(events.map((event) => event.phase !== 'notice' && [event.phase, event.done, event.total])).toEqual(
    [1, 2, 3, 4].map((done) => ['read', done, 4]),
  );
});

test('gray is a weighted sum of the colors', async () => {
  const dir = folder({
    'a/x.png': png(2, 2, 255, 0, 0),
    'a/y.png': png(2, 2, 0, 255, 0),
    'a/z.png': png(2, 2, 7),
  });
  const { whole, x } = await imageFolder(dir, { ...SIZE, channels: 1 });
  expect(x.shape).toEqual([2, 2, 1]);
  expect([0, 4, 8].map((at) => whole!.x[at])).toEqual([76, 150, 7]);
});

test('cover takes the middle, stretch all of a picture', async () => {
  const rows = encode({ width: 1, height: 4, channels: 1, data: Uint8Array.of(0, 100, 200, 250) });
  const dir = folder({ 'a/x.png': rows });
  const one = { height: 1, width: 1, channels: 1 } as const;
  // The square in the middle lies between two pixels.
  expect([...(await imageFolder(dir, one)).whole!.x]).toEqual([150]);
  // Three of the four pixels each: (0.75 · 0 + 0.75 · 100 + 0.25 · 200) / 1.75, and its mirror image.
  const columns = { height: 2, width: 1, channels: 1, fit: 'stretch' } as const;
  const [top, bottom] = (await imageFolder(dir, columns)).whole!.x;
  expect([top, bottom]).toEqual([71, 207]);
});

test('a single image is the same as in the folder', async () => {
  const dir = folder({ 'a/x.png': png(5, 3, 9, 8, 7), 'a/bad.txt': 'x' });
  const size = { height: 3, width: 2, fit: 'stretch' } as const;
  const picture = await readImage(join(dir, 'a/x.png'), size);
  expect(picture).toEqual({
    shape: [1, 3, 2, 3],
    dtype: 'u8',
    data: Uint8Array.from({ length: 18 }, (_, i) => [9, 8, 7][i % 3]),
  });
  await expect(readImage(join(dir, 'a/y.png'), size)).rejects.toThrow(/y\.png: cannot be read: .*ENOENT/);
  await expect(readImage(join(dir, 'a/bad.txt'), size)).rejects.toThrow(
    'bad.txt: the file is neither PNG nor JPEG',
  );
  await expect(readImage(join(dir, 'a/x.png'), { ...size, signal: 1 } as never)).rejects.toThrow(
    /readImage: .*signal/,
  );
});

describe('kinds of pictures', () => {
  test('JPEG', async () => {
    const data = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => [180, 90, 30, 255][i % 4]);
    const { data: bytes } = jpeg.encode({ width: 16, height: 16, data }, 95);
    const picture = await decodePicture('x.jpg', bytes);
    expect(picture).toMatchObject({ width: 16, height: 16, channels: 3 });
    expect(picture.data).toHaveLength(16 * 16 * 3);
    for (const [c, want] of [180, 90, 30].entries())
      expect(Math.abs(picture.data[3 * 50 + c] - want)).toBeLessThan(4);
  });

  test('PNG with 16 bits, and with colors in a table', async () => {
    const deep = encode({
      width: 2,
      height: 1,
      channels: 1,
      depth: 16,
      data: Uint16Array.of(0x1234, 0xffff),
    });
    expect(await decodePicture('x.png', deep)).toEqual({
      width: 2,
      height: 1,
      channels: 1,
      data: Uint8Array.of(0x12, 0xff),
    });
    expect(await decodePicture('x.png', TABLE)).toEqual({
      width: 3,
      height: 1,
      channels: 3,
      data: Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255),
    });
    expect(await decodePicture('x.png', BITS)).toEqual({
      width: 10,
      height: 2,
      channels: 1,
      data: Uint8Array.of(
        ...[1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0].map((bit) => 255 * bit),
      ),
    });
  });
});

test('a color PNG with a table of suggested colors has its own', async () => {
  const rows = Uint8Array.of(0, 10, 20, 30, 40, 50, 60);
  const table = Uint8Array.from({ length: 768 }, (_, i) => i % 256);
  const want = { width: 2, height: 1, channels: 3, data: rows.subarray(1) };
  expect(await decodePicture('x.png', assemble(2, 1, 8, 2, rows, table))).toEqual(want);
  expect(await decodePicture('x.png', assemble(2, 1, 8, 2, rows, table.subarray(0, 6)))).toEqual(want);
});

test('an interlaced PNG of whole bytes', async () => {
  // Passes of 4 × 2 pixels: (0, 0); none; none; (2, 0); none; columns 1 and 3 of row 0; row 1.
  const rows = Uint8Array.of(0, 1, 0, 3, 0, 2, 4, 0, 5, 6, 7, 8);
  const { data } = await decodePicture('x.png', assemble(4, 2, 8, 0, rows, undefined, true));
  expect([...data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a JPEG that says that it is stored as red, green and blue is taken at its word', async () => {
  const data = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => [90, 90, 200, 255][i % 4]);
  const plain = jpeg.encode({ width: 16, height: 16, data }, 95).data;
  const adobe = Uint8Array.of(0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0);
  const marked = Buffer.concat([plain.subarray(0, 2), adobe, plain.subarray(2)]);
  const [r, g, b] = (await decodePicture('x.jpg', plain)).data;
  const luma = 0.299 * 90 + 0.587 * 90 + 0.114 * 200;
  expect(Math.abs(b - 200) + Math.abs(r - 90) + Math.abs(g - 90)).toBeLessThan(12);
  // What was luminance and two differences of color is now three colors.
  const [y, cb] = (await decodePicture('x.jpg', marked)).data;
  expect(Math.abs(y - luma)).toBeLessThan(4);
  expect(Math.abs(cb - (128 + 0.564 * (200 - luma)))).toBeLessThan(4);
});

test('classes of another folder keep their labels; a folder of none of them is refused', async () => {
  const dir = folder({ 'dog/x.png': png(2, 2, 1, 2, 3) });
  const data = await imageFolder(dir, { ...SIZE, classes: ['cat', 'dog'] });
  expect([data.classes, [...data.whole!.y]]).toEqual([['cat', 'dog'], [1]]);
  await expect(imageFolder(dir, { ...SIZE, classes: ['cat', 'mouse'] })).rejects.toThrow(
    /dog: the folder is not one of the classes: cat, mouse \(add it to classes/,
  );
});

test('names are put in order as they are read, however the system stores them', async () => {
  const dir = folder({ 'e\u0301te\u0301/x.png': png(1, 1, 1, 2, 3), 'fall/x.png': png(1, 1, 1, 2, 3) });
  expect((await imageFolder(dir, SIZE)).classes).toEqual(['fall', '\u00e9t\u00e9']);
});

describe('resizing', () => {
  // From PyTorch: interpolate(mode='bilinear', antialias=True, align_corners=False).
  // prettier-ignore
  const CASES = [
    { height: 7, width: 5, to: [3, 4], pixels: [37, 235, 140, 72, 255, 137, 203, 133, 79, 192, 144, 129, 204, 71, 237, 252, 134, 25, 178, 20, 254, 101, 146, 212, 139, 252, 234, 156, 157, 142, 50, 68, 215, 215, 233], want: [126.7321, 178.6309, 106.4226, 186.8036, 198.9706, 124.4363, 135.3824, 125.7059, 171.7679, 158.1786, 183.4286, 177.7678] },
    { height: 3, width: 8, to: [6, 2], pixels: [150, 5, 219, 95, 105, 150, 204, 116, 109, 22, 230, 146, 221, 29, 18, 52, 122, 31, 49, 226, 211, 121, 221, 173], want: [116.3571, 145.9643, 120.5804, 130.5625, 129.0268, 99.7589, 127.2054, 108.2768, 115.1161, 156.1161, 109.0714, 180.0357] },
  ] as const;

  test.each(CASES)('$height × $width to $to', ({ height, width, to, pixels, want }) => {
    const out = new Uint8Array(want.length + 1).fill(7);
    const size = { height: to[0], width: to[1], channels: 1, fit: 'stretch' } as const;
    resizePicture({ width, height, channels: 1, data: Uint8Array.from(pixels) }, size, out, 1);
    expect(out[0]).toBe(7);
    for (const [i, value] of want.entries()) expect(Math.abs(out[i + 1] - value)).toBeLessThanOrEqual(0.501);
  });
});

describe('what is no data set is refused', () => {
  const good = png(2, 2, 1, 2, 3);
  test.each([
    [
      'no folder of classes',
      {},
      /there are no folders of classes \(imageFolder: the layout is .*<class>.*<image>\.png\)/,
    ],
    ['an image beside the classes', { 'x.png': good }, /x\.png: the file is not in the folder of a class/],
    [
      'an empty class',
      { 'a/x.png': good, 'b/.keep': '' },
      /b: the class has no images \(add some, or remove/,
    ],
    [
      'another kind',
      { 'a/x.webp': good },
      /x\.webp: the file name has no PNG or JPEG extension \(convert it/,
    ],
    ['another kind in disguise', { 'a/x.png': 'GIF89a' }, /x\.png: the file is neither PNG nor JPEG/],
    ['half a PNG', { 'a/x.png': good.subarray(0, 40) }, /x\.png: cannot be decoded: /],
    [
      'a damaged PNG',
      { 'a/x.png': good.map((byte, i) => (i === 45 ? byte ^ 1 : byte)) },
      /x\.png: cannot be decoded: /,
    ],
    [
      'half a JPEG',
      { 'a/x.jpg': Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16) },
      /x\.jpg: cannot be decoded: /,
    ],
  ])('%s', async (_, files, message) => {
    const reading = imageFolder(folder(files), SIZE);
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(message);
  });

  test('folders that are not there, and links into nothing', async () => {
    await expect(imageFolder(join(folder({}), 'gone'), SIZE)).rejects.toThrow(
      /gone: cannot be read: .*ENOENT/,
    );
    const dir = folder({ 'a/x.png': good });
    symlinkSync(join(dir, 'nothing'), join(dir, 'a/y.png'));
    await expect(imageFolder(dir, SIZE)).rejects.toThrow(/y\.png: cannot be read/);
  });

  test('wrong options', async () => {
    const dir = folder({ 'a/x.png': good });
    await expect(imageFolder('', SIZE)).rejects.toThrow('imageFolder: dir must be the path of a folder');
    await expect(imageFolder(dir, { ...SIZE, width: 0 })).rejects.toThrow(/imageFolder: width/);
    await expect(imageFolder(dir, { ...SIZE, fit: 'contain' as never })).rejects.toThrow(/fit/);
    await expect(imageFolder(dir, { ...SIZE, channels: 4 as never })).rejects.toThrow(/channels/);
    await expect(imageFolder(dir, { ...SIZE, sizes: 1 } as never)).rejects.toThrow(/sizes/);
    await expect(imageFolder(dir, { ...SIZE, signal: {} as never })).rejects.toThrow(
      'signal must be an AbortSignal',
    );
    await expect(imageFolder(dir, { ...SIZE, onProgress: 1 as never })).rejects.toThrow(
      'onProgress must be a function',
    );
    await expect(imageFolder('file:///x', SIZE)).rejects.toThrow(/convert it with fileURLToPath/);
  });

  test('an aborted reading ends with the reason', async () => {
    const reason = new Error('enough');
    await expect(
      imageFolder(folder({ 'a/x.png': good }), { ...SIZE, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });
});
