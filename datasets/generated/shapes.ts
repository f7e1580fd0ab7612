/** Pictures of shapes whose masks and boxes are known, for experiments with segmentation and detection. */
import type { Dataset } from '../../engine/dataset.ts';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../../engine/options.ts';
import { stream, type Stream } from '../../engine/rng.ts';
import { arrays } from '../arrays.ts';

export interface ShapesOptions {
  /** Number of pictures. */
  readonly n: number;
  /** What the targets are: classes of pixels, or boxes. */
  readonly targets: 'mask' | 'boxes';
  /** Height and width in pixels, at least 16. Default 64. */
  readonly size?: number;
  /** The most shapes in a picture. There is at least one. Default 3. */
  readonly objects?: number;
  /** Standard deviation of the noise, of 255. Default 20. */
  readonly noise?: number;
  /** Each seed gives other pictures. Default 0. */
  readonly seed?: number;
}

const WHERE = 'shapes';

/** Whether a point of the square from −1 to 1 belongs to a shape. */
const INSIDE: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => x * x + y * y <= 1,
  () => true,
  (x, y) => Math.abs(x) <= (y + 1) / 2,
];

interface Thing {
  readonly kind: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly color: readonly [number, number, number];
}

/** A color with one strong channel. */
function brightColor(random: Stream): readonly [number, number, number] {
  const color: [number, number, number] = [random.below(256), random.below(256), random.below(256)];
  color[random.below(3)] = 160 + random.below(96);
  return color;
}

function drawThings(random: Stream, size: number, most: number): readonly Thing[] {
  const count = 1 + random.below(most);
  const things: Thing[] = [];
  for (let tries = 0; things.length < count && tries < 50; tries++) {
    const radius = size * (0.08 + 0.12 * random.uniform());
    const place = (): number => radius + (size - 2 * radius) * random.uniform();
    const thing: Thing = {
      kind: random.below(INSIDE.length),
      x: place(),
      y: place(),
      radius,
      color: brightColor(random),
    };
    const isApart = things.every((other) =>
      [thing.x - other.x, thing.y - other.y].some((d) => Math.abs(d) > thing.radius + other.radius),
    );
    if (isApart) things.push(thing);
  }
  return things;
}

/**
 * Pictures of bright circles, squares and triangles before a dark background. They do not touch. Example i depends only on the
 * options, the seed and i.
 *
 * Shapes: x [size, size, 3] u8. y [size, size] i32 for masks: 0 for the background, then 1 circle, 2 square, 3 triangle. y [objects, 5] f32 for
 * boxes: x1, y1, x2, y2 in pixels and the class, 0 circle, 1 square, 2 triangle; rows without area are padding.
 * Throws RangeError or TypeError for options that are out of range or unknown.
 *
 * @example shapes({ n: 10, targets: 'boxes' }).y.shape // [3, 5]
 */
export function shapes(options: ShapesOptions): Dataset {
  checkOptions(WHERE, options, ['n', 'targets', 'size', 'objects', 'noise', 'seed']);
  const { n, targets, size = 64, objects = 3, noise = 20, seed = 0 } = options;
  checkInteger(WHERE, 'n', n, 1, 2 ** 31 - 1);
  checkOneOf(WHERE, 'targets', targets, ['mask', 'boxes']);
  checkInteger(WHERE, 'size', size, 16, 65_536);
  checkInteger(WHERE, 'objects', objects, 1, 1000);
  checkNumber(WHERE, 'noise', noise, 'a number >= 0', (value) => value >= 0);
  checkInteger(WHERE, 'seed', seed, 0);
  const pixels = size * size;
  const x = new Uint8Array(n * pixels * 3);
  const mask = new Int32Array(targets === 'mask' ? n * pixels : 0);
  const boxes = new Float32Array(targets === 'boxes' ? n * objects * 5 : 0);
  for (let i = 0; i < n; i++) {
    const random = stream(seed, WHERE, i);
    const gray = random.below(100);
    const ground = [gray, gray, gray] as const;
    const things = drawThings(random, size, objects);
    for (let pixel = 0; pixel < pixels; pixel++) {
      const [column, row] = [(pixel % size) + 0.5, Math.floor(pixel / size) + 0.5];
      const thing = things.find(({ kind, x: cx, y: cy, radius }) => {
        const [u, v] = [(column - cx) / radius, (row - cy) / radius];
        return Math.abs(u) <= 1 && Math.abs(v) <= 1 && INSIDE[kind](u, v);
      });
      if (thing !== undefined && targets === 'mask') mask[i * pixels + pixel] = thing.kind + 1;
      const color = thing?.color ?? ground;
      color.forEach((value, c) => {
        const noisy = Math.round(value + noise * random.normal());
        x[(i * pixels + pixel) * 3 + c] = Math.max(0, Math.min(255, noisy));
      });
    }
    if (targets === 'boxes') {
      things.forEach(({ kind, x: cx, y: cy, radius }, k) =>
        boxes.set([cx - radius, cy - radius, cx + radius, cy + radius, kind], (i * objects + k) * 5),
      );
    }
  }
  const images = { shape: [n, size, size, 3], data: x };
  const name = `shapes/${targets}`;
  return targets === 'mask'
    ? arrays(images, { shape: [n, size, size], data: mask }, { targets: 'mask', name })
    : arrays(images, { shape: [n, objects, 5], data: boxes }, { targets: 'boxes', name });
}
