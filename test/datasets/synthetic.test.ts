import { describe, expect, test } from 'vitest';
import { synthetic, type Dataset, type SyntheticKind } from 'cyclegrad/datasets';

function readAll(dataset: Dataset): { x: number[]; y: number[] } {
  const per = dataset.x.shape.reduce((a, b) => a * b, 1) * dataset.length;
  const x = dataset.x.dtype === 'u8' ? new Uint8Array(per) : new Float32Array(per);
  const y = new Int32Array(dataset.length);
  dataset.read(
    Uint32Array.from({ length: dataset.length }, (_, i) => i),
    x,
    y,
  );
  return { x: [...x], y: [...y] };
}

const kinds: readonly SyntheticKind[] = [
  { kind: 'images', n: 12, classes: 4, height: 6, width: 8, channels: 2 },
  { kind: 'blobs', n: 12, classes: 4, dims: 5 },
  { kind: 'spirals', n: 12, classes: 4 },
];

describe.each(kinds)('$kind', (options) => {
  test('the same arguments give the same data, another seed other data', () => {
    expect(readAll(synthetic(options))).toEqual(readAll(synthetic(options)));
    expect(readAll(synthetic({ ...options, seed: 1 })).x).not.toEqual(readAll(synthetic(options)).x);
  });

  test('more examples only extend it, and the classes take turns', () => {
    const [few, many] = [readAll(synthetic(options)), readAll(synthetic({ ...options, n: 20 }))];
    expect(many.x.slice(0, few.x.length)).toEqual(few.x);
    expect(few.y).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    expect(synthetic(options).classes).toEqual(['0', '1', '2', '3']);
  });
});

test('shapes and dtypes', () => {
  expect(kinds.map((options) => synthetic(options).x)).toEqual([
    { shape: [6, 8, 2], dtype: 'u8' },
    { shape: [5], dtype: 'f32' },
    { shape: [2], dtype: 'f32' },
  ]);
  expect(synthetic({ kind: 'images', n: 1 }).x.shape).toEqual([32, 32, 3]);
});

test('the class of an image is in the direction of its waves, and not in its pixels', () => {
  const classes = 4;
  const [n, size] = [80, 16];
  const { x, y } = readAll(synthetic({ kind: 'images', n, classes, height: size, channels: 1, seed: 5 }));
  const item = size * size;
  let right = 0;
  for (let i = 0; i < n; i++) {
    const energy = Array.from({ length: classes }, (_, label) => {
      const angle = (Math.PI * label) / classes;
      let [re, im] = [0, 0];
      for (let p = 0; p < item; p++) {
        const at = 0.9 * (Math.cos(angle) * (p % size) + Math.sin(angle) * Math.floor(p / size));
        re += (x[i * item + p] - 127.5) * Math.cos(at);
        im += (x[i * item + p] - 127.5) * Math.sin(at);
      }
      return re * re + im * im;
    });
    if (energy.indexOf(Math.max(...energy)) === y[i]) right++;
  }
  expect(right).toBe(n);
});

test('without noise, blobs are their centres and spirals their arms', () => {
  const blobs = readAll(synthetic({ kind: 'blobs', n: 4, classes: 4, noise: 0 }));
  const centres = [2, 0, 0, 2, -2, 0, 0, -2];
  blobs.x.forEach((value, i) => expect(value).toBeCloseTo(centres[i], 6));
  const spirals = readAll(synthetic({ kind: 'spirals', n: 50, classes: 2, noise: 0 }));
  for (let i = 0; i < 50; i++) {
    const [px, py] = [spirals.x[2 * i], spirals.x[2 * i + 1]];
    const along = Math.hypot(px, py) / 2;
    const angle = Math.PI * spirals.y[i] + 1.5 * Math.PI * along;
    expect([px, py].map((v) => v.toFixed(4))).toEqual(
      [2 * along * Math.cos(angle), 2 * along * Math.sin(angle)].map((v) => v.toFixed(4)),
    );
  }
});

test.each<[object, string]>([
  [{ kind: 'moons', n: 1 }, "synthetic: kind must be 'images' or 'blobs' or 'spirals', got 'moons'"],
  [{ kind: 'blobs', n: 0 }, 'synthetic: n must be an integer from 1 to 2147483647, got 0'],
  [
    { kind: 'blobs', n: 1, height: 3 },
    "synthetic: unknown option 'height' (known: kind, n, classes, seed, noise, dims)",
  ],
  [{ kind: 'images', n: 1, classes: 0 }, 'synthetic: classes must be an integer from 1 to 65536, got 0'],
  [{ kind: 'images', n: 1, width: 0.5 }, 'synthetic: width must be an integer from 1 to 65536, got 0.5'],
  [{ kind: 'spirals', n: 1, noise: -1 }, 'synthetic: noise must be a number >= 0, got -1'],
  [{ kind: 'spirals', n: 1, seed: 1.5 }, 'synthetic: seed must be an integer >= 0, got 1.5'],
])('refuses %j', (options, message) => {
  expect(() => synthetic(options as SyntheticKind)).toThrow(message);
});
