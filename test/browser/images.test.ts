/** Images that a browser decodes, beside those that sharp decodes in Node. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutNode } from '../../bundle.js';
import { readImage } from 'cyclegrad/datasets';
import { orientation, painted, withSegments } from '../datasets/image-fixture.ts';
import { assemblePng, encodePng, plainPng } from '../png.ts';
import { chromium, openPage } from './chromium.ts';
import type { ImageRequest, ImageResults } from './images-page.ts';

const [width, height] = [24, 16];
const waves = painted(width, height, (x, y) => [
  128 + 100 * Math.sin(x / 4),
  128 + 100 * Math.cos(y / 5),
  8 * ((x + y) % 30),
]);
const bits = Uint8Array.from({ length: height * 4 }, (_, i) => (i % 4 === 0 ? 0 : (i * 37) % 256));
/** Opaque and transparent pixels; half-transparent ones can differ by rounding. */
const alpha = Uint8Array.from({ length: height * width * 4 }, (_, i) =>
  i % 4 === 3 ? 255 * ((i >> 2) % 2) : (i * 13) % 256,
);
const half = alpha.map((value, i) => (i % 4 === 3 ? 128 : value));
const jpeg = await waves.clone().jpeg({ chromaSubsampling: '4:4:4', quality: 95 }).toBuffer();

/** The file, and the largest difference of one component. */
const IMAGES: Readonly<Record<string, readonly [file: Uint8Array, tolerance: number]>> = {
  'rgb.png': [await waves.clone().png().toBuffer(), 0],
  'bits.png': [assemblePng({ width, height, depth: 1, colorType: 0, rows: bits }), 0],
  'alpha.png': [encodePng({ width, height, channels: 4, data: alpha }), 0],
  'half.png': [encodePng({ width, height, channels: 4, data: half }), 1],
  'p3.png': [
    await sharp(plainPng(width, height, 180, 90, 60))
      .withIccProfile('p3')
      .png()
      .toBuffer(),
    2,
  ],
  'rgb.jpg': [jpeg, 2],
  'sampled.jpg': [await waves.clone().jpeg({ chromaSubsampling: '4:2:0', quality: 95 }).toBuffer(), 2],
  'progressive.jpg': [await waves.clone().jpeg({ progressive: true }).toBuffer(), 2],
  'turned.jpg': [withSegments(jpeg, orientation(6)), 2],
  'mirrored.jpg': [withSegments(jpeg, orientation(2)), 2],
  'rgb.webp': [await waves.clone().webp({ lossless: true }).toBuffer(), 0],
  'rgb.avif': [await waves.clone().avif({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer(), 2],
  'rgb.gif': [await waves.clone().gif().toBuffer(), 0],
};
const isTurned = (name: string): boolean => name.startsWith('turned');
const requests: readonly ImageRequest[] = Object.keys(IMAGES).map((name) =>
  isTurned(name) ? { name, height: width, width: height } : { name, height, width },
);

describe.skipIf(chromium === undefined)(
  `images in a browser${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    let results: ImageResults = {};
    let folder = '';
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cyclegrad-browser-'));
      const bundle = await rolldown({
        input: { page: fileURLToPath(new URL('images-page.ts', import.meta.url)) },
        platform: 'browser',
        plugins: [withoutNode()],
        logLevel: 'silent',
      });
      await bundle.write({ dir: folder, format: 'esm' });
      await bundle.close();
      const more = [
        { name: 'rgb.tiff', height, width },
        { name: 'bad.png', height, width },
        { name: 'x.svg', height, width },
      ];
      await writeFile(join(folder, 'images.json'), JSON.stringify([...requests, ...more]));
      for (const [name, [file]] of Object.entries(IMAGES)) await writeFile(join(folder, name), file);
      await writeFile(join(folder, 'rgb.tiff'), await waves.clone().tiff().toBuffer());
      await writeFile(join(folder, 'bad.png'), IMAGES['rgb.png'][0].subarray(0, 60));
      await writeFile(
        join(folder, 'x.svg'),
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      );
      results = await openPage<ImageResults>(folder, {});
    }, 120_000);
    afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

    it.each(requests)('$name', async ({ name, ...size }) => {
      const [file, tolerance] = IMAGES[name];
      const want = [...(await readImage(file, size)).data];
      const got = results[name];
      if (typeof got === 'string') throw new Error(got);
      const worst = Math.max(...want.map((value, i) => Math.abs(value - got[i])));
      expect({ length: got.length, worst }).toEqual({
        length: want.length,
        worst: expect.toSatisfy((w: number) => w <= tolerance),
      });
      expect(results[`${name} as a File`]).toEqual(got);
    });

    it('refuses what it cannot decode, with the name of the file', () => {
      expect(results['rgb.tiff as a File']).toMatch(
        /^DataError: rgb\.tiff: the TIFF file cannot be decoded: /,
      );
      expect(results['bad.png as a File']).toMatch(/^DataError: bad\.png: the PNG file cannot be decoded: /);
      expect(results['x.svg as a File']).toMatch(/^DataError: x\.svg: the file is not PNG, .*: it is SVG/);
      expect(results['maxPixels']).toMatch(/^DataError: readImage: the image: .* bytes, more than 160 /);
      expect(results['a path']).toMatch(
        /x\.png: cannot be read: cyclegrad: stat of 'node:fs\/promises' is not in a browser/,
      );
    });
  },
);
