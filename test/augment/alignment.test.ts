// Drawn shapes, their masks, boxes and corners stay aligned under every augmentation that moves pixels.
import { expect, test } from 'vitest';
import { stream, type HostTensor } from 'cyclegrad';
import {
  affine,
  alternatingFlip,
  crop,
  flip,
  randAugment,
  rotate,
  scale,
  translate,
  trivialAugment,
} from 'cyclegrad/augment';
import { augmented, withTargets } from './fixture.ts';

const [N, SIZE] = [12, 48];

/** White rectangles on black, with their masks and boxes. */
function rectangles(): Readonly<Record<'x' | 'mask' | 'boxes', HostTensor>> {
  const random = stream(5, 'rectangles');
  const x = new Float32Array(N * SIZE * SIZE);
  const boxes = new Float32Array(N * 4);
  for (let n = 0; n < N; n++) {
    const [left, top] = [12 + random.below(10), 12 + random.below(10)];
    const [right, bottom] = [left + 8 + random.below(8), top + 8 + random.below(8)];
    boxes.set([left, top, right, bottom], 4 * n);
    for (let row = top; row < bottom; row++)
      x.fill(1, (n * SIZE + row) * SIZE + left, (n * SIZE + row) * SIZE + right);
  }
  return {
    x: { shape: [N, SIZE, SIZE, 1], dtype: 'f32', data: x },
    mask: { shape: [N, SIZE, SIZE], dtype: 'i32', data: Int32Array.from(x) },
    boxes: { shape: [N, 1, 4], dtype: 'f32', data: boxes },
  };
}

const { x, mask, boxes } = rectangles();

test.each([
  ['crop', crop(8)],
  ['flip', flip()],
  ['vertical flip', flip({ direction: 'vertical' })],
  ['alternating flip', alternatingFlip()],
  ['translate', translate(0.2)],
  ['scale', scale([0.6, 1.5])],
  ['rotate', rotate(180)],
  ['affine', affine({ rotate: 40, scale: [0.7, 1.3], translate: 0.1, shear: 20 })],
  ['TrivialAugment', trivialAugment()],
  ['RandAugment', randAugment({ operations: 1, magnitude: 30 })],
] as const)('%s', async (name, augmentation) => {
  const shapes = await augmented(withTargets(x, mask, 'mask'), [augmentation]);
  const framed = await augmented(withTargets(x, boxes, 'boxes'), [augmentation]);
  for (let n = 0; n < N; n++) {
    const at = <T extends { subarray(from: number, to: number): T }>(data: T): T =>
      data.subarray(n * SIZE * SIZE, (n + 1) * SIZE * SIZE);
    const image = at(shapes.x.data as Float32Array);
    const moved = at(shapes.y.data as Int32Array);
    let [both, either] = [0, 0];
    const edges = [Infinity, Infinity, -Infinity, -Infinity];
    moved.forEach((inside, i) => {
      const isShape = image[i] >= 0.5;
      both += isShape && inside === 1 ? 1 : 0;
      either += isShape || inside === 1 ? 1 : 0;
      if (inside !== 1) return;
      const [column, row] = [i % SIZE, Math.floor(i / SIZE)];
      edges[0] = Math.min(edges[0], column);
      edges[1] = Math.min(edges[1], row);
      edges[2] = Math.max(edges[2], column + 1);
      edges[3] = Math.max(edges[3], row + 1);
    });
    // The policies also change colors, so their images do not show where the shape is.
    expect(name.endsWith('Augment') || both / either > 0.9).toBe(true);
    const box = framed.y.data.subarray(4 * n, 4 * n + 4);
    // A shape that left its image leaves no pixel and an empty box.
    const isGone = edges[0] === Infinity;
    expect(isGone).toBe(box[2] === 0);
    if (isGone) continue;
    // The box encloses all pixels of the shape, and no edge of it is farther away than the corner of a rotated pixel.
    const gaps = [edges[0] - box[0], edges[1] - box[1], box[2] - edges[2], box[3] - edges[3]];
    for (const gap of gaps) {
      expect(gap).toBeGreaterThan(-0.51);
      expect(gap).toBeLessThan(1.5);
    }
    const isExact = ['crop', 'flip', 'vertical flip', 'alternating flip'].includes(name);
    const largest = Math.max(...gaps.map(Math.abs));
    expect(!isExact || largest === 0).toBe(true);
  }
});
