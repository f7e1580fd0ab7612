/** Pictures for the benchmark: smooth noise of several scales, which compresses like photos. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { stream } from '../../engine/index.ts';

const SIZE = { width: 500, height: 375 };
const CLASSES = 10;
/** The number of cells of each layer across a picture, and its share. */
const LAYERS = [
  [4, 0.5],
  [12, 0.25],
  [40, 0.15],
  [120, 0.1],
] as const;

/** Writes `count` JPEG files of 500 x 375 pixels into the folders of ten classes. */
export async function writePictures(dir: string, count: number): Promise<void> {
  for (let label = 0; label < CLASSES; label++) mkdirSync(join(dir, String(label)), { recursive: true });
  for (let i = 0; i < count; i++) {
    const random = stream(1, 'pictures', i);
    const sum = new Float32Array(SIZE.width * SIZE.height * 3);
    for (const [cells, share] of LAYERS) {
      const [width, height] = [cells, Math.round(0.75 * cells)];
      const noise = Uint8Array.from({ length: width * height * 3 }, () => random.below(256));
      const layer = await sharp(noise, { raw: { width, height, channels: 3 } })
        .resize({ ...SIZE, fit: 'fill', kernel: 'cubic' })
        .raw()
        .toBuffer();
      for (let k = 0; k < sum.length; k++) sum[k] += share * layer[k];
    }
    const pixels = Uint8ClampedArray.from(sum, (value) => value + 10 * (random.uniform() - 0.5));
    const path = join(dir, String(i % CLASSES), `${String(i).padStart(6, '0')}.jpg`);
    await sharp(pixels, { raw: { ...SIZE, channels: 3 } })
      .jpeg({ quality: 90 })
      .toFile(path);
  }
}
