// Makes the pictures of the demo in `public/pictures`: two sprites and their labels. They are not committed.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const TRAIN = 4000;
const TEST = 1000;
/** Pictures in a row of a sprite. */
const COLUMNS = 50;
const SIZE = 32;
/** Of WebP. CIFAR-10 takes about 3 MB, and 10 MB without loss. */
const QUALITY = 90;

const folder = fileURLToPath(new URL('public/pictures/', import.meta.url));

/**
 * Writes the sprites unless they are there: of CIFAR-10, which is downloaded into the user's cache if it is missing, or of synthetic
 * pictures.
 *
 * @param {string} source 'cifar10' or 'synthetic'
 */
export async function makePictures(source) {
  const description = `${folder}pictures.json`;
  if (existsSync(description) && JSON.parse(readFileSync(description, 'utf8')).source === source) return;
  const { train, test } = await open(source);
  mkdirSync(folder, { recursive: true });
  console.log(`the demo takes ${TRAIN} training pictures and ${TEST} test pictures of ${train.name}`);
  const labels = {
    train: await writeSprite(train, TRAIN, 'train.webp'),
    test: await writeSprite(test, TEST, 'test.webp'),
  };
  const { classes } = train;
  writeFileSync(description, JSON.stringify({ source, classes, columns: COLUMNS, size: SIZE, labels }));
}

/** @param {string} source */
async function open(source) {
  const { cifar10, synthetic } = await import('../../dist/lib/datasets.js');
  if (source === 'cifar10') return cifar10();
  if (source !== 'synthetic') {
    throw new Error(`--pictures is '${source}' (use cifar10 or synthetic)`);
  }
  /** @param {number} n @param {number} seed */
  const images = (n, seed) => synthetic({ kind: 'images', n, seed });
  return { train: images(TRAIN, 1), test: images(TEST, 2) };
}

/**
 * Writes the first pictures of a data set side by side, and returns their labels.
 *
 * @param {import('../../dist/datasets/index.js').Dataset} dataset
 * @param {number} count
 * @param {string} name
 */
async function writeSprite(dataset, count, name) {
  const pixels = new Uint8Array(count * SIZE * SIZE * 3);
  const labels = new Int32Array(count);
  dataset.read(
    Uint32Array.from({ length: count }, (_, i) => i),
    pixels,
    labels,
  );
  const rows = Math.ceil(count / COLUMNS);
  const width = COLUMNS * SIZE;
  const sprite = new Uint8Array(rows * SIZE * width * 3);
  for (let i = 0; i < count; i++) {
    const [left, top] = [(i % COLUMNS) * SIZE, Math.floor(i / COLUMNS) * SIZE];
    for (let y = 0; y < SIZE; y++) {
      const from = (i * SIZE + y) * SIZE * 3;
      sprite.set(pixels.subarray(from, from + SIZE * 3), ((top + y) * width + left) * 3);
    }
  }
  await sharp(sprite, { raw: { width, height: rows * SIZE, channels: 3 } })
    .webp({ quality: QUALITY, smartSubsample: true })
    .toFile(`${folder}${name}`);
  return [...labels];
}
