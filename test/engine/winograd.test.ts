// The accuracy of Winograd's convolutions, shape by shape, against double precision: part of the largest result.
/* oxlint-disable vitest/expect-expect -- expectSameBits asserts */

import './optimized.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSameBits } from './compare.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import type { Backend } from '../../engine/backends/backend.ts';
import { compile } from '../../engine/compile.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import { conv2d, f32, mul, sum, tensor } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import type { HostTensor } from '../../engine/types.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { isLong } from '../forms.ts';

const BOUNDS: Readonly<Record<number, number>> = { 5: 5e-5, 3: 2e-5 };

const shapes = [
  { kernel: 5, images: 2, side: 16, channels: 3, filters: 32, padding: 2 },
  { kernel: 5, images: 2, side: 8, channels: 32, filters: 64, padding: 2 },
  { kernel: 5, images: 3, side: 16, channels: 32, filters: 32, padding: 2 },
  ...(isLong ? [{ kernel: 5, images: 16, side: 16, channels: 32, filters: 32, padding: 2 }] : []),
  { kernel: 5, images: 64, side: 8, channels: 16, filters: 32, padding: 2 },
  { kernel: 5, images: 2, side: 13, channels: 30, filters: 21, padding: 1 },
  { kernel: 5, images: 1, side: 11, channels: 5, filters: 13, padding: 1 },
  { kernel: 5, images: 1, side: 9, channels: 17, filters: 3, padding: 0 },
  { kernel: 3, images: 2, side: 16, channels: 16, filters: 16, padding: 1 },
  { kernel: 3, images: 1, side: 8, channels: 64, filters: 64, padding: 1 },
  { kernel: 3, images: 8, side: 16, channels: 32, filters: 32, padding: 1 },
  { kernel: 3, images: 2, side: 15, channels: 33, filters: 30, padding: 1 },
  { kernel: 3, images: 2, side: 16, channels: 256, filters: 40, padding: 1 },
  { kernel: 3, images: 1, side: 12, channels: 128, filters: 8, padding: 1 },
  { kernel: 3, images: 3, side: 7, channels: 6, filters: 9, padding: 0 },
  { kernel: 3, images: 1, side: 13, channels: 3, filters: 64, padding: 2 },
];

let fast: Backend;
beforeAll(async () => {
  fast = await wasm({ threads: 2 });
});
afterAll(async () => {
  await fast.close();
});

function build({
  kernel,
  images,
  side,
  channels,
  filters,
  padding,
}: (typeof shapes)[number]): readonly Tensor[] {
  const draw = (purpose: string, shape: readonly number[]): Tensor => {
    const draws = stream(7, purpose);
    const size = shape.reduce((a, b) => a * b, 1);
    return tensor(
      Float32Array.from({ length: size }, () => draws.normal()),
      { shape },
    );
  };
  const x = draw('x', [images, side, side, channels]);
  const w = draw('w', [kernel, kernel, channels, filters]);
  const y = conv2d(x, w, { padding });
  const g = draw('g', y.shape);
  return [y, ...grad(sum(mul(y, g)), [x, w])];
}

function worst(got: HostTensor, expected: HostTensor): number {
  let largest = 0;
  let error = 0;
  for (let i = 0; i < expected.data.length; i++) {
    largest = Math.max(largest, Math.abs(expected.data[i]));
    error = Math.max(error, Math.abs(expected.data[i] - got.data[i]));
  }
  return error / largest;
}

/** The way that the plan of a forward pass takes. */
async function methodOf({ kernel, images, side, channels, filters, padding }: (typeof shapes)[number]) {
  const step = await compile(fast, {
    inputs: { x: f32(images, side, side, channels), w: f32(kernel, kernel, channels, filters) },
    build: ({ x, w }) => ({ outputs: { y: conv2d(x, w, { padding }) } }),
  });
  const methods = [...step.notes.values()].map(({ method }) => method);
  await step.close();
  return methods;
}

it('every form has a shape among these', async () => {
  const used = new Set((await Promise.all(shapes.map(methodOf))).flat());
  const forms = ['4×4, 5×5', '8×4, 5×5', '6×6, 3×3', '4×4, 3×3', '8×4, 3×3'].map(
    (form) => `Winograd F(${form})`,
  );
  expect([...used]).toEqual(expect.arrayContaining(forms));
});

describe('accuracy of convolutions against double precision', () => {
  it.each(shapes)(
    '$kernel×$kernel of $images at $side, $channels -> $filters, padding $padding',
    async (shape) => {
      const exact = new Evaluator(reference({ precision: 'f64' }));
      const own = new Evaluator(fast);
      const expected = await exact.evaluate(build(shape));
      const got = await own.evaluate(build(shape));
      const errors = expected.map((value, i) => worst(got[i], value));
      expect(Math.max(...errors), `forward, input, weight: ${errors.join(', ')}`).toBeLessThan(
        BOUNDS[shape.kernel],
      );
      await own.close();
    },
  );
});

describe('vectors of either width give the same bytes, with one thread and with three', () => {
  const kinds = [
    ['relaxed', 1],
    ['wide', 1],
    ['wide', 3],
  ] as const;
  let own: Evaluator[];
  beforeAll(async () => {
    own = await Promise.all(
      kinds.map(async ([simd, threads]) => new Evaluator(await wasm({ simd, threads }))),
    );
  });
  afterAll(async () => {
    await Promise.all(own.map((one) => one.close()));
    await Promise.all(own.map((one) => one.backend.close()));
  });
  // Besides, so many filters that few tiles share them in parts.
  const few = { kernel: 3, images: 1, side: 8, channels: 40, filters: 200, padding: 1 };
  it.each([...shapes, few])(
    '$kernel×$kernel of $images at $side, $channels -> $filters, padding $padding',
    async (shape) => {
      const [expected, ...others] = await Promise.all(own.map((one) => one.evaluate(build(shape))));
      for (const got of others) got.forEach((value, i) => expectSameBits(`result ${i}`, value, expected[i]));
    },
  );
});

it('an image alone gives the bytes that it gives among others, in every form', async () => {
  const own = new Evaluator(fast);
  for (const { kernel, side, channels, filters, padding } of shapes) {
    const draws = stream(8, 'alone');
    const some = (...shape: number[]): Float32Array =>
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => draws.normal());
    const size = side * side * channels;
    const x = some(7, size);
    const w = tensor(some(kernel, kernel, channels, filters), { shape: [kernel, kernel, channels, filters] });
    const together = conv2d(tensor(x, { shape: [7, side, side, channels] }), w, { padding });
    const alone = conv2d(tensor(x.subarray(3 * size, 4 * size), { shape: [1, side, side, channels] }), w, {
      padding,
    });
    const [all, one] = await own.evaluate([together, alone]);
    const length = one.data.length;
    expect(all.data.slice(3 * length, 4 * length)).toEqual(one.data);
  }
  await own.close();
});

describe("convolution: 'direct'", () => {
  it.each([
    { kernel: 3, side: 16, padding: 1, at: 0 },
    { kernel: 3, side: 16, padding: 1, at: 5 * 16 + 6 },
    { kernel: 5, side: 12, padding: 2, at: 12 * 12 - 1 },
    { kernel: 5, side: 12, padding: 0, at: 2 * 12 + 11 },
  ])('keeps what is not finite to its windows: $kernel×$kernel, pixel $at', async ({ at, ...geometry }) => {
    const { kernel, side, padding } = geometry;
    const spoilt = (pixels: number, value: number): Float32Array =>
      Float32Array.from({ length: pixels * 32 }, (_, i) => (i === at * 32 ? value : Math.sin(i)));
    const out = side + 2 * padding - kernel + 1;
    const feeds = {
      x: spoilt(side * side, NaN),
      g: spoilt(out * out, Infinity),
      w: Float32Array.from({ length: kernel * kernel * 32 * 32 }, (_, i) => Math.cos(i)),
    };
    const finite: boolean[][] = [];
    for (const backend of [reference(), await wasm({ threads: 1, convolution: 'direct' })]) {
      // oxlint-disable-next-line no-await-in-loop -- one backend after the other
      const step = await compile(backend, {
        inputs: { x: f32(1, side, side, 32), g: f32(1, out, out, 32), w: f32(kernel, kernel, 32, 32) },
        build({ x, g, w }) {
          const y = conv2d(x, w, { padding });
          const [dx] = grad(sum(mul(y, g)), [x]);
          return { outputs: { y, dx } };
        },
      });
      // oxlint-disable-next-line no-await-in-loop -- as above
      const { y, dx } = await step.run(feeds);
      finite.push([...y.data, ...dx.data].map((value) => Number.isFinite(value)));
      // oxlint-disable-next-line no-await-in-loop -- as above
      await step.close();
      // oxlint-disable-next-line no-await-in-loop -- as above
      await backend.close();
    }
    expect(finite[1]).toEqual(finite[0]);
    expect(finite[0]).toContain(false);
    expect(finite[0]).toContain(true);
  });
});
