/** Files of every kind, beside the pixels that Pillow decodes (generate-formats.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readImage } from 'cyclegrad/datasets';

interface Formats {
  readonly cmyk: string;
  readonly ycck: string;
  readonly cases: readonly {
    readonly name: string;
    readonly height: number;
    readonly width: number;
    /** The largest difference of one component. */
    readonly tolerance: number;
    readonly file: string;
    readonly pixels: string;
  }[];
}

const { cases, cmyk, ycck } = JSON.parse(
  readFileSync(new URL('formats.json', import.meta.url), 'utf8'),
) as Formats;
const decoded = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

/** The largest difference of two arrays. */
const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe.each(['PNG', 'JPEG', 'WebP', 'GIF', 'TIFF'])('%s', (format) => {
  const own = cases.filter(({ name }) => name.startsWith(`${format} `));

  test.each(own)('$name', async ({ file, pixels, tolerance, ...size }) => {
    const { data } = await readImage(decoded(file), { height: size.height, width: size.width });
    expect(data.length).toBe(decoded(pixels).length);
    expect(worst(data, decoded(pixels))).toBeLessThanOrEqual(tolerance);
  });

  test('has cases', () => {
    expect(own.length).toBeGreaterThan(3);
  });
});

test('YCCK is converted to CMYK', async () => {
  const size = { height: 7, width: 9 };
  const [ink, converted] = [await readImage(decoded(cmyk), size), await readImage(decoded(ycck), size)];
  expect(worst(converted.data, ink.data)).toBeLessThanOrEqual(2);
  // Mostly cyan ink. Read as its complement, it would be red.
  const [red, green, blue] = ink.data;
  expect(blue).toBeGreaterThan(green + 20);
  expect(green).toBeGreaterThan(red + 30);
});
