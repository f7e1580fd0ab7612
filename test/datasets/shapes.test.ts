import { shapes } from 'cyclegrad/datasets';
import { expect, it } from 'vitest';

const read = (targets: 'mask' | 'boxes', seed = 1, n = 20) => {
  const { whole } = shapes({ n, targets, seed, size: 32, noise: 0 });
  return { x: whole!.x, y: whole!.y };
};

it('boxes enclose the pixels of the mask exactly, in pictures that are the same', () => {
  const [masks, boxes] = [read('mask'), read('boxes')];
  expect(boxes.x).toEqual(masks.x);
  let seen = 0;
  for (let i = 0; i < 20; i++) {
    const covered = new Int32Array(1024);
    for (let k = 0; k < 3; k++) {
      const [x1, y1, x2, y2, label] = boxes.y.subarray((i * 3 + k) * 5, (i * 3 + k + 1) * 5);
      if (x2 <= x1) continue;
      seen++;
      const inside = [...masks.y.subarray(i * 1024, (i + 1) * 1024).entries()].filter(([pixel, value]) => {
        const [x, y] = [(pixel % 32) + 0.5, Math.floor(pixel / 32) + 0.5];
        return value === label + 1 && x >= x1 && x <= x2 && y >= y1 && y <= y2;
      });
      for (const [pixel] of inside) covered[pixel] = label + 1;
      const [columns, rows] = [
        inside.map(([pixel]) => pixel % 32),
        inside.map(([pixel]) => Math.floor(pixel / 32)),
      ];
      for (const [low, high, found] of [
        [x1, x2, columns],
        [y1, y2, rows],
      ] as const) {
        expect(Math.min(...found) - low).toBeLessThan(1.5);
        expect(high - Math.max(...found)).toBeLessThan(2.5);
      }
    }
    expect(covered).toEqual(masks.y.subarray(i * 1024, (i + 1) * 1024));
  }
  expect(seen).toBeGreaterThan(30);
});

it('has three shapes before a gray background', () => {
  const { x, y } = read('mask');
  expect(new Set(y)).toEqual(new Set([0, 1, 2, 3]));
  const ground = y.findIndex((value) => value === 0);
  expect(new Set(x.subarray(3 * ground, 3 * ground + 3)).size).toBe(1);
});

it('depends on the seed and on the index alone', () => {
  expect(read('mask', 1, 5).x).toEqual(read('mask', 1, 20).x.subarray(0, 5 * 3072));
  expect(read('mask', 2, 5).x).not.toEqual(read('mask', 1, 5).x);
});
