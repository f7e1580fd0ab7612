// A contact sheet of the augmentations: a row for each, with the picture and its box. It writes a PNG.
// Arguments: the path of the PNG (default augmentation.png) and the size of a picture in pixels (default 48).
import sharp from 'sharp';
import { augmentedBatch, wasm } from 'cyclegrad';
import * as augment from 'cyclegrad/augment';
import { arrays, loader } from 'cyclegrad/datasets';

const [path = 'augmentation.png', sizeText = '48'] = process.argv.slice(2);
const size = Number(sizeText);
const COLUMNS = 12;

/** A house under the sun in front of a sky, which shows directions and colors. */
function picture(): Uint8Array {
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [u, v] = [x / size, y / size];
      let color = [120 + 80 * v, 170 + 50 * v, 230];
      if (v > 0.75) color = [70, 140 + 40 * u, 60];
      if ((u - 0.8) ** 2 + (v - 0.2) ** 2 < 0.01) color = [250, 220, 60];
      if (u > 0.25 && u < 0.65 && v > 0.45 && v < 0.85) color = [170, 80, 60];
      if (v > 0.25 && v <= 0.45 && Math.abs(u - 0.45) < v - 0.25) color = [110, 40, 40];
      if (u > 0.32 && u < 0.42 && v > 0.62 && v < 0.85) color = [60, 40, 30];
      pixels.set(color, 3 * (y * size + x));
    }
  }
  return pixels;
}

const one = picture();
const x = { shape: [COLUMNS, size, size, 3], data: new Uint8Array(COLUMNS * one.length) };
for (let i = 0; i < COLUMNS; i++) x.data.set(one, i * one.length);
// The walls and the roof of the house.
const house = [0.25, 0.25, 0.65, 0.85].map((edge) => edge * size);
const boxes = {
  shape: [COLUMNS, 1, 4],
  data: Float32Array.from({ length: 4 * COLUMNS }, (_, i) => house[i % 4]),
};
const moving = arrays(x, boxes, { targets: 'boxes' });
const other = new Uint8Array(x.data).map((value, i) =>
  Math.floor(i / one.length) % 2 === 0 ? value : 255 - value,
);
const mixed = arrays({ ...x, data: other }, new Int32Array(COLUMNS));

const pixels = Math.round(size / 8);
const rows = {
  'crop, zero': augment.crop(pixels),
  'crop, reflect': augment.crop(pixels, { fill: 'reflect' }),
  flip: augment.flip(),
  'flip, vertical': augment.flip({ direction: 'vertical' }),
  alternatingFlip: augment.alternatingFlip(),
  translate: augment.translate(0.2),
  rotate: augment.rotate(45),
  scale: augment.scale([0.6, 1.6]),
  affine: augment.affine({ rotate: 20, shear: 20, scale: [0.8, 1.2], fill: 'reflect' }),
  brightness: augment.brightness(0.6),
  contrast: augment.contrast(0.8),
  saturation: augment.saturation(1),
  hue: augment.hue(0.5),
  sharpness: augment.sharpness(1),
  autoContrast: augment.autoContrast(),
  equalize: augment.equalize(),
  posterize: augment.posterize(2),
  solarize: augment.solarize(0.6),
  cutout: augment.cutout(Math.round(size / 3)),
  randomErasing: augment.randomErasing(),
  mixup: augment.mixup(1),
  cutmix: augment.cutmix(1),
  trivialAugment: augment.trivialAugment(),
  randAugment: augment.randAugment(),
};

const backend = await wasm();
const sheet = new Uint8Array(Object.keys(rows).length * size * COLUMNS * size * 3);
for (const [row, augmentation] of Object.values(rows).entries()) {
  const isMixed = 'mix' in augmentation;
  const data = loader(isMixed ? mixed : moving, {
    batchSize: COLUMNS,
    shuffle: false,
    augment: [augmentation],
  });
  const batch = await augmentedBatch({ data, backend, mean: [124, 124, 124] });
  for (let i = 0; i < COLUMNS; i++) {
    const tile = Uint8ClampedArray.from(batch.x.data.subarray(i * one.length, (i + 1) * one.length));
    if (!isMixed) frame(tile, batch.y.data.subarray(4 * i, 4 * i + 4));
    for (let y = 0; y < size; y++) {
      const line = tile.subarray(y * size * 3, (y + 1) * size * 3);
      sheet.set(line, ((row * size + y) * COLUMNS + i) * size * 3);
    }
  }
}
await backend.close();

/** Draws the border of a box in white. */
function frame(tile: Uint8ClampedArray, box: ArrayLike<number>): void {
  const edges = Array.from(box, (edge) => Math.min(Math.floor(edge), size - 1));
  const [left = 0, top = 0, right = 0, bottom = 0] = edges;
  if (right <= left) return; // the box has left the picture
  const dot = (column: number, row: number): void => {
    const at = 3 * (row * size + column);
    tile.fill(255, at, at + 3);
  };
  for (let column = left; column <= right; column++) for (const row of [top, bottom]) dot(column, row);
  for (let row = top; row <= bottom; row++) for (const column of [left, right]) dot(column, row);
}

const raw = { width: COLUMNS * size, height: Object.keys(rows).length * size, channels: 3 } as const;
await sharp(sheet, { raw }).png().toFile(path);
console.log(`${Object.keys(rows).length} rows of ${COLUMNS} pictures: ${Object.keys(rows).join(', ')}`);
console.log(`written to ${path}`);
