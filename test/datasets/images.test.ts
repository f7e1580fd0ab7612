/** Decoding of images, through `readImage`. */
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DataError, EngineError } from 'cyclegrad';
import { readImage, type ReadImageOptions } from 'cyclegrad/datasets';
import { assemblePng, encodePng, plainPng, pngChunk, type PngParts } from '../png.ts';
import { folder, orientation, painted, segment, tiff, withSegments } from './image-fixture.ts';

/** The pixels of an image in its own size. */
async function pixels(
  width: number,
  height: number,
  bytes: Uint8Array,
  options: Partial<ReadImageOptions> = {},
): Promise<number[]> {
  return [...(await readImage(bytes, { height, width, ...options })).data];
}

/** The largest distance of two lists. */
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i])));

const adobe = (transform: number): Buffer =>
  segment(0xee, Buffer.from([0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, transform]));

describe('sources', () => {
  const png = plainPng(5, 3, 9, 8, 7);
  const size = { height: 3, width: 2, fit: 'stretch' } as const;
  const want = {
    shape: [1, 3, 2, 3],
    dtype: 'u8',
    data: Uint8Array.from({ length: 18 }, (_, i) => [9, 8, 7][i % 3]),
  };

  test('a path, bytes, shared bytes, an ArrayBuffer, a Blob and a File give the same', async () => {
    const buffer = Uint8Array.from(png).buffer;
    const shared = new Uint8Array(new SharedArrayBuffer(png.length));
    shared.set(png);
    const around = new Uint8Array([...png, ...png]).subarray(png.length);
    const path = join(folder({ 'x.txt': png }), 'x.txt');
    for (const source of [path, png, shared, around, buffer, new Blob([buffer]), new File([buffer], 'x')])
      expect(await readImage(source, size)).toEqual(want);
  });

  test('a message names the source', async () => {
    await expect(readImage('gone/y.png', size)).rejects.toThrow(/^gone\/y\.png: cannot be read: ENOENT/);
    await expect(readImage(png.subarray(0, 50), size)).rejects.toThrow(
      /^readImage: the image: the PNG file /,
    );
    await expect(readImage(new File(['x'], 'me.png'), size)).rejects.toThrow(/^me\.png: the file is not PNG/);
    await expect(readImage(7 as never, size)).rejects.toThrow(
      'readImage: the image must be a path, a Uint8Array, an ArrayBuffer or a Blob, got 7',
    );
    await expect(readImage(new URL('file:///x') as never, size)).rejects.toThrow(
      /convert it with fileURLToPath/,
    );
    await expect(readImage(Uint16Array.of(1) as never, size)).rejects.toThrow(TypeError);
  });

  test.each([
    [{ colors: 1 }, /unknown option 'colors'/],
    [{ background: 0 }, 'readImage: background must be [red, green, blue], got 0'],
    [{ background: [0, 0] }, /background must be/],
    [{ background: [0, 0, 256] }, 'background[2] must be an integer from 0 to 255, got 256'],
    [{ maxPixels: 0 }, /maxPixels must be an integer/],
    [{ signal: 1 }, 'readImage: signal must be an AbortSignal'],
  ])('the options %o are refused', async (options, message) => {
    await expect(readImage(png, { ...size, ...options } as never)).rejects.toThrow(message);
  });

  test('without sharp, an error names the platform and the remedy', async () => {
    vi.doMock('sharp', () => {
      throw new Error('Could not load the "sharp" module');
    });
    onTestFinished(() => {
      vi.doUnmock('sharp');
    });
    const error: unknown = await readImage(png, size).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(EngineError);
    expect(error).not.toBeInstanceOf(DataError);
    const where = `${process.platform}-${process.arch} with Node ${process.version}`;
    expect((error as Error).message).toMatch(
      `the package sharp, which decodes images, cannot be loaded on ${where}: `,
    );
    expect((error as Error).message).toMatch('npm install --include=optional sharp');
  });

  test('an abort ends the reading at once, before and in the middle', async () => {
    const reason = new Error('enough');
    await expect(readImage(png, { ...size, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    const reading = readImage(png, { ...size, signal: stop.signal });
    stop.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });
});

describe('PNG', () => {
  const gray16 = Buffer.from([0, 0x12, 0x34, 0x80, 0x00, 0x9c, 0x40, 0xff, 0xff]);
  const palette = pngChunk('PLTE', Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]));
  // Passes of 4 × 2 pixels: (0, 0); none; none; (2, 0); none; columns 1 and 3 of row 0; row 1.
  const passes = Uint8Array.of(0, 1, 0, 3, 0, 2, 4, 0, 5, 6, 7, 8);
  const rgb = Uint8Array.of(0, 10, 20, 30, 40, 50, 60);
  const rows = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
  test.each<[string, PngParts, readonly number[]]>([
    ['gray', { width: 3, height: 1, colorType: 0, rows: rows(0, 7, 0, 255) }, [7, 0, 255]],
    [
      '16 bits keep the high byte',
      { width: 4, height: 1, depth: 16, colorType: 0, rows: gray16 },
      [0x12, 128, 156, 255],
    ],
    [
      '1 bit',
      { width: 10, height: 1, depth: 1, colorType: 0, rows: rows(0, 0b10101010, 0b11000000) },
      [255, 0, 255, 0, 255, 0, 255, 0, 255, 255],
    ],
    [
      '2 bits',
      { width: 5, height: 1, depth: 2, colorType: 0, rows: rows(0, 0b00011011, 0b01000000) },
      [0, 85, 170, 255, 85],
    ],
    ['4 bits', { width: 3, height: 1, depth: 4, colorType: 0, rows: rows(0, 0x1f, 0x80) }, [17, 255, 136]],
    [
      'interlaced',
      { width: 4, height: 2, colorType: 0, interlaced: true, rows: passes },
      [1, 2, 3, 4, 5, 6, 7, 8],
    ],
    [
      'interlaced, 1 bit',
      { width: 2, height: 2, depth: 1, colorType: 0, interlaced: true, rows: rows(0, 128, 0, 0, 0, 64) },
      [255, 0, 0, 255],
    ],
  ])('%s', async (_, parts, want) => {
    expect(await pixels(parts.width, parts.height, assemblePng(parts), { channels: 1 })).toEqual(want);
  });

  test.each<[string, PngParts, readonly number[]]>([
    [
      'palette of 2 bits',
      { width: 5, height: 1, depth: 2, colorType: 3, rows: rows(0, 0b00011011, 0), chunks: [palette] },
      [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 255, 0, 0],
    ],
    [
      'RGB with a table of suggested colors',
      { width: 2, height: 1, colorType: 2, rows: rgb, chunks: [palette] },
      [10, 20, 30, 40, 50, 60],
    ],
    [
      'RGB of 16 bits',
      { width: 1, height: 1, depth: 16, colorType: 2, rows: rows(0, 1, 255, 2, 0, 3, 128) },
      [1, 2, 3],
    ],
    [
      'more rows than the header says',
      { width: 2, height: 1, colorType: 2, rows: Buffer.concat([rgb, rgb]) },
      [10, 20, 30, 40, 50, 60],
    ],
  ])('%s', async (_, parts, want) => {
    expect(await pixels(parts.width, parts.height, assemblePng(parts))).toEqual(want);
  });

  test('alpha is composited over the background, white by default', async () => {
    const rgba = Uint8Array.of(10, 20, 30, 255, 200, 100, 0, 128, 1, 2, 3, 0);
    const png = encodePng({ width: 3, height: 1, channels: 4, data: rgba });
    // 200 · 128/255 + 255 · 127/255 = 227.4, and so on; the decoder rounds down.
    expect(await pixels(3, 1, png)).toEqual([10, 20, 30, 227, 177, 127, 255, 255, 255]);
    const over = await pixels(3, 1, png, { background: [0, 100, 200] });
    expect(over).toEqual([10, 20, 30, 100, 100, 99, 0, 100, 200]);
    const gray = encodePng({ width: 2, height: 1, channels: 2, data: Uint8Array.of(10, 255, 20, 0) });
    expect(await pixels(2, 1, gray, { channels: 1, background: [50, 50, 50] })).toEqual([10, 50]);
    // A transparent color of the file.
    const chunks = [palette, pngChunk('tRNS', Buffer.from([255, 0]))];
    const indexed = assemblePng({ width: 2, height: 1, colorType: 3, rows: rows(0, 0, 1), chunks });
    expect(await pixels(2, 1, indexed)).toEqual([255, 0, 0, 255, 255, 255]);
  });

  test('gray is a weighted sum of the colors', async () => {
    for (const [color, want] of [
      [[255, 0, 0], 76],
      [[0, 255, 0], 150],
      [[0, 0, 255], 29],
      [[200, 100, 50], 124],
      [[7], 7],
    ] as const) {
      expect(await pixels(1, 1, plainPng(1, 1, ...color), { channels: 1 })).toEqual([want]);
    }
  });
});

describe('JPEG', () => {
  const blue = painted(16, 16, () => [90, 90, 200])
    .jpeg({ quality: 100 })
    .toBuffer();
  const wide = painted(24, 16, (x, y) => [x < 12 ? 255 : 0, 0, y < 8 ? 255 : 0])
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toBuffer();
  const first = async (bytes: Uint8Array): Promise<number[]> => (await pixels(16, 16, bytes)).slice(0, 3);
  /** What luminance and two differences of color look like when they are taken for red, green and blue. */
  const untransformed = [103, 183, 119];

  test('JFIF, Adobe and names of components determine the transform', async () => {
    const jfif = segment(0xe0, Buffer.from([0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0]));
    const plain = await blue;
    expect(distance(await first(plain), [90, 90, 200])).toBeLessThan(3);
    expect(distance(await first(withSegments(plain, adobe(1))), [90, 90, 200])).toBeLessThan(3);
    expect(distance(await first(withSegments(plain, adobe(0))), untransformed)).toBeLessThan(3);
    expect(distance(await first(withSegments(plain, jfif, adobe(0))), [90, 90, 200])).toBeLessThan(3);
    expect(distance(await first(named(plain, 'RGB')), untransformed)).toBeLessThan(3);
  });

  /** With other names of the components, in the frame and in the scan. */
  function named(jpeg: Buffer, names: string): Buffer {
    const out = Buffer.from(jpeg);
    const frame = out.indexOf(Uint8Array.of(0xff, 0xc0));
    const scan = out.indexOf(Uint8Array.of(0xff, 0xda));
    for (let i = 0; i < 3; i++) out[frame + 10 + 3 * i] = out[scan + 5 + 2 * i] = names.charCodeAt(i);
    return out;
  }

  test('gray, progressive and CMYK', async () => {
    const ramp = painted(16, 16, (x) => [x * 16, x * 16, x * 16]);
    const gray = await ramp.clone().toColourspace('b-w').jpeg({ quality: 100 }).toBuffer();
    const want = Array.from({ length: 256 }, (_, i) => (i % 16) * 16);
    expect(distance(await pixels(16, 16, gray, { channels: 1 }), want)).toBeLessThan(3);
    const progressive = await ramp.jpeg({ quality: 100, progressive: true }).toBuffer();
    expect(distance(await pixels(16, 16, progressive, { channels: 1 }), want)).toBeLessThan(3);
    const cmyk = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#968278' } })
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe('cmyk');
    expect(distance((await pixels(8, 8, cmyk)).slice(0, 3), [150, 130, 120])).toBeLessThan(8);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('orientation %i is applied', async (value) => {
    const turned = value > 4;
    const [width, height] = turned ? [16, 24] : [24, 16];
    const got = await pixels(width, height, withSegments(await wide, orientation(value)));
    // The file is red on the left and blue at the top. `at` is the corner of the result where that corner comes to lie.
    const [x, y] = [
      [0, 0],
      [width - 1, 0],
      [width - 1, height - 1],
      [0, height - 1],
      [0, 0],
      [width - 1, 0],
      [width - 1, height - 1],
      [0, height - 1],
    ][value - 1];
    const at = (column: number, row: number): number[] =>
      got.slice((row * width + column) * 3, (row * width + column) * 3 + 3);
    expect(distance(at(x, y), [255, 0, 255])).toBeLessThan(6);
    expect(distance(at(width - 1 - x, height - 1 - y), [0, 0, 0])).toBeLessThan(6);
    const along = turned ? at(x, height - 1 - y) : at(width - 1 - x, y);
    expect(distance(along, [0, 0, 255])).toBeLessThan(6);
  });

  test('only the end marker may be missing', async () => {
    const whole = await wide;
    const want = await pixels(24, 16, whole);
    expect(await pixels(24, 16, whole.subarray(0, -2))).toEqual(want);
    expect(await pixels(24, 16, Buffer.concat([whole, Buffer.alloc(100, 7)]))).toEqual(want);
    for (let cut = 3; cut < whole.length - 4; cut++)
      await expect(pixels(24, 16, whole.subarray(0, -cut))).rejects.toThrow(DataError);
    const progressive = await painted(24, 16, (x) => [x, 2 * x, 0])
      .jpeg({ progressive: true })
      .toBuffer();
    await expect(pixels(24, 16, progressive.subarray(0, -2))).rejects.toThrow(/premature end/);
  });

  test('warnings that concern no pixel are not errors', async () => {
    const whole = await wide;
    const want = await pixels(24, 16, whole);
    const scan = whole.indexOf(Uint8Array.of(0xff, 0xda));
    const zeroes = Buffer.from(whole);
    zeroes[scan + 12] = 0; // the last coefficient of the scan
    expect(await pixels(24, 16, zeroes)).toEqual(want);
    const table = whole.indexOf(Uint8Array.of(0xff, 0xc0));
    const stray = Buffer.concat([whole.subarray(0, table), Buffer.alloc(3), whole.subarray(table)]);
    expect(await pixels(24, 16, stray)).toEqual(want);
  });
});

describe('other formats and color spaces', () => {
  const source = painted(8, 6, (x, y) => [x * 30, y * 40, 90]);
  const want = Array.from({ length: 48 }, (_, i) => [(i % 8) * 30, Math.floor(i / 8) * 40, 90]).flat();

  test('WebP, TIFF, GIF and AVIF', async () => {
    expect(await pixels(8, 6, await source.clone().webp({ lossless: true }).toBuffer())).toEqual(want);
    expect(await pixels(8, 6, await source.clone().tiff({ compression: 'lzw' }).toBuffer())).toEqual(want);
    const gif = await source.clone().gif({ colours: 64, dither: 0 }).toBuffer();
    expect(distance(await pixels(8, 6, gif), want)).toBeLessThan(20);
    const avif = await source.clone().avif({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
    expect(distance(await pixels(8, 6, avif), want)).toBeLessThan(4);
  });

  test('an animation gives its first frame', async () => {
    const frames = [plainPng(4, 4, 255, 0, 0), plainPng(4, 4, 0, 0, 255)];
    const animation = sharp(frames, { join: { animated: true } });
    for (const bytes of [
      await animation.clone().gif().toBuffer(),
      await animation.clone().webp({ lossless: true }).toBuffer(),
    ])
      expect((await pixels(4, 4, bytes)).slice(0, 3)).toEqual([255, 0, 0]);
  });

  test('profiles are converted to sRGB', async () => {
    const red = sharp(plainPng(4, 4, 200, 60, 40)).withIccProfile('p3');
    const p3 = await red.png().toBuffer();
    // The file stores the numbers that the color has in Display P3.
    const stored = [...inflateSync(p3.subarray(p3.indexOf('IDAT') + 4)).subarray(1, 4)];
    expect(distance(stored, [185, 71, 50])).toBeLessThan(4);
    expect(distance((await pixels(4, 4, p3)).slice(0, 3), [200, 60, 40])).toBeLessThan(3);
  });

  test.each([
    ['SVG', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>'],
    ['SVG', '<svg width="4" height="4"/>'],
    ['BMP', 'BM\x36\0\0\0'],
    ['HEIC', '\0\0\0\x18ftypheic\0\0\0\0mif1heic'],
  ])('%s is refused by name', async (format, text) => {
    const error = `the file is not PNG, JPEG, WebP, AVIF, GIF or TIFF: it is ${format} (convert it or remove it)`;
    await expect(pixels(4, 4, Buffer.from(text, 'latin1'))).rejects.toThrow(error);
  });

  test('floating-point samples are refused', async () => {
    const float = tiff({ width: 1, height: 1, bits: 32, sampleFormat: 3, data: Float32Array.of(0.5) });
    await expect(pixels(1, 1, float)).rejects.toThrow(
      'the TIFF file cannot be decoded: samples of type float are not supported',
    );
    const bytes = tiff({ width: 2, height: 1, bits: 8, sampleFormat: 1, data: Uint8Array.of(5, 6) });
    expect(await pixels(2, 1, bytes, { channels: 1 })).toEqual([5, 6]);
  });
});

describe('resizing', () => {
  // From PyTorch: interpolate(mode='bilinear', antialias=True, align_corners=False).
  // prettier-ignore
  const CASES = [
    { height: 7, width: 5, to: [3, 4], pixels: [37, 235, 140, 72, 255, 137, 203, 133, 79, 192, 144, 129, 204, 71, 237, 252, 134, 25, 178, 20, 254, 101, 146, 212, 139, 252, 234, 156, 157, 142, 50, 68, 215, 215, 233], want: [126.7321, 178.6309, 106.4226, 186.8036, 198.9706, 124.4363, 135.3824, 125.7059, 171.7679, 158.1786, 183.4286, 177.7678] },
    { height: 3, width: 8, to: [6, 2], pixels: [150, 5, 219, 95, 105, 150, 204, 116, 109, 22, 230, 146, 221, 29, 18, 52, 122, 31, 49, 226, 211, 121, 221, 173], want: [116.3571, 145.9643, 120.5804, 130.5625, 129.0268, 99.7589, 127.2054, 108.2768, 115.1161, 156.1161, 109.0714, 180.0357] },
  ] as const;

  test.each(CASES)('$height × $width to $to', async ({ height, width, to, pixels: data, want }) => {
    const png = encodePng({ width, height, channels: 1, data: Uint8Array.from(data) });
    const got = await pixels(to[1], to[0], png, { channels: 1, fit: 'stretch' });
    expect(distance([...want], got)).toBeLessThanOrEqual(0.501);
  });

  test('cover takes the middle, stretch all of an image', async () => {
    const rows = encodePng({ width: 1, height: 4, channels: 1, data: Uint8Array.of(0, 100, 200, 250) });
    // The square in the middle lies between two pixels.
    expect(await pixels(1, 1, rows, { channels: 1 })).toEqual([150]);
    // Three of the four pixels each: (0.75 · 0 + 0.75 · 100 + 0.25 · 200) / 1.75, and its mirror image.
    expect(await pixels(1, 2, rows, { channels: 1, fit: 'stretch' })).toEqual([71, 207]);
  });
});
