// Direct convolutions position by position: on small maps and with strides, against the reference, and image by image.
/* oxlint-disable vitest/expect-expect -- the helpers assert */

import './optimized.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectClose, expectSameBits } from './compare.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import type { Backend, Outputs } from '../../engine/backends/backend.ts';
import { compile } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import { add, conv2d, f32, mul, relu, sum } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';

interface Shape {
  readonly images: number;
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

const shapes: readonly Shape[] = [
  { images: 13, size: [2, 2], channels: 20, filters: 19, kernel: 3, stride: 1, padding: 1 },
  { images: 12, size: [1, 1], channels: 7, filters: 32, kernel: 3, stride: 1, padding: 1 },
  { images: 400, size: [2, 2], channels: 8, filters: 16, kernel: 3, stride: 1, padding: 1 },
  { images: 7, size: [2, 3], channels: 400, filters: 16, kernel: 3, stride: 1, padding: 1 },
  { images: 12, size: [4, 4], channels: 12, filters: 40, kernel: 3, stride: 2, padding: 1 },
  { images: 14, size: [5, 3], channels: 9, filters: 33, kernel: 3, stride: 2, padding: 1 },
  { images: 18, size: [7, 7], channels: 18, filters: 16, kernel: 3, stride: 2, padding: 1 },
  { images: 9, size: [4, 6], channels: 18, filters: 16, kernel: 1, stride: 2, padding: 0 },
  { images: 12, size: [3, 3], channels: 6, filters: 16, kernel: 5, stride: 3, padding: 2 },
  { images: 6, size: [2, 2], channels: 12, filters: 16, kernel: 3, stride: 1, padding: 2 },
];

const sizesOf = ({ images, size, channels, filters, kernel, stride, padding }: Shape) => {
  const [h, w] = size.map((n) => Math.floor((n + 2 * padding - kernel) / stride) + 1);
  return {
    x: [images, ...size, channels],
    w: [kernel, kernel, channels, filters],
    b: [filters],
    g: [images, h, w, filters],
  } as const;
};

/** Inputs of a shape, some of them exactly 0. */
function drawsOf(shape: Shape): Record<string, Float32Array> {
  const draw = (name: string, sizes: readonly number[]): Float32Array => {
    const draws = stream(11, name);
    const size = sizes.reduce((a, b) => a * b, 1);
    return Float32Array.from({ length: size }, () => Math.max(draws.normal(), -1));
  };
  return Object.fromEntries(Object.entries(sizesOf(shape)).map(([name, sizes]) => [name, draw(name, sizes)]));
}

/** The plan of a convolution with bias and relu, one without, and the gradients of that. */
const build = (backend: Backend, shape: Shape) => {
  const { x, w, b, g } = sizesOf(shape);
  const { stride, padding } = shape;
  return compile(backend, {
    inputs: { x: f32(...x), w: f32(...w), b: f32(...b), g: f32(...g) },
    build: (t) => {
      const y = conv2d(t['x'], t['w'], { stride, padding });
      const [dx, dw, db] = grad(sum(mul(add(conv2d(t['x'], t['w'], { stride, padding }), t['b']), t['g'])), [
        t['x'],
        t['w'],
        t['b'],
      ]);
      const z = relu(add(conv2d(mul(t['x'], 0.5), t['w'], { stride, padding }), t['b']));
      return { outputs: { y, z, dx, dw, db } };
    },
  });
};

async function run(backend: Backend, shape: Shape, feeds: Record<string, Float32Array>): Promise<Outputs> {
  const step = await build(backend, shape);
  const results = await step.run(feeds);
  await step.close();
  return results;
}

let backends: readonly Backend[];
let exact: Backend;
beforeAll(async () => {
  backends = await Promise.all([1, 3].map((threads) => wasm({ threads })));
  exact = reference({ precision: 'f64' });
});
afterAll(async () => {
  for (const backend of [...backends, exact]) await backend.close();
});

describe('convolutions position by position', () => {
  it.each(shapes)('agree with the reference: %o', async (shape) => {
    const feeds = drawsOf(shape);
    const [one, three] = [await run(backends[0], shape, feeds), await run(backends[1], shape, feeds)];
    const expected = await run(exact, shape, feeds);
    for (const name of ['y', 'z', 'dx', 'dw', 'db']) {
      expectSameBits(name, three[name], one[name]);
      expectClose(name, one[name], expected[name], 2e-6);
    }
  });

  it.each(shapes)('give an image the same bits alone and in a batch: %o', async (shape) => {
    const feeds = drawsOf(shape);
    const batch = await run(backends[0], shape, feeds);
    const single = { ...shape, images: 1 };
    const { x, g } = sizesOf(single);
    const [xSize, gSize] = [x, g].map((sizes) => sizes.reduce((a, b) => a * b, 1));
    for (const image of [0, shape.images - 1]) {
      const own = await run(backends[0], single, {
        ...feeds,
        x: feeds['x'].slice(image * xSize, (image + 1) * xSize),
        g: feeds['g'].slice(image * gSize, (image + 1) * gSize),
      });
      for (const [name, size] of [
        ['y', gSize],
        ['z', gSize],
        ['dx', xSize],
      ] as const) {
        const data = batch[name].data.slice(image * size, (image + 1) * size);
        expectSameBits(`${name} of image ${image}`, own[name], { ...own[name], data });
      }
    }
  });

  it('are what small maps and strides take', async () => {
    const taken = async (shape: Shape): Promise<string[]> => {
      const step = await build(backends[0], shape);
      const methods = [...step.notes.values()].map(({ method }) => method).filter((method) => method !== '');
      await step.close();
      return methods;
    };
    for (const shape of [shapes[0], shapes[4]]) {
      const methods = await taken({ ...shape, images: 48, channels: 96, filters: 96 });
      expect(methods.filter((method) => method === 'direct, position by position').length).toBeGreaterThan(3);
    }
    expect(await taken({ ...shapes[0], images: 1 })).not.toContain('Winograd F(4×4, 3×3)');
  });
});
