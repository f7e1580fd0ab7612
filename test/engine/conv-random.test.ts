// Random convolutions and products against the reference: sizes, strides, borders, dilation and groups that no table lists together.

/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import fc from 'fast-check';
import { afterAll, beforeAll, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile, type Built, type InputTypes } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import { add, conv2d, f32, matmul, mul, relu, sum } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor } from '../../engine/types.ts';
import { expectClose } from './compare.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 2 });
});
afterAll(() => backend.close());

/** What a step gives on the backend under test and on the reference, for the same random inputs. */
async function both(
  inputs: InputTypes,
  build: (inputs: Readonly<Record<string, Tensor>>) => Built['outputs'],
): Promise<readonly Readonly<Record<string, HostTensor>>[]> {
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => {
      const draws = stream(3, name);
      return [name, Float32Array.from({ length: sizeOf(shape) }, () => 2 * draws.uniform() - 1)];
    }),
  );
  const results: Readonly<Record<string, HostTensor>>[] = [];
  for (const each of [backend, reference()]) {
    const step = await compile(each, { inputs, build: (given) => ({ outputs: build(given) }) });
    results.push(await step.run(feeds));
    await step.close();
  }
  return results;
}

const length = fc.integer({ min: 1, max: 26 });
const channels = fc.integer({ min: 1, max: 24 });
const taps = fc.constantFrom(1, 2, 3, 3, 3, 5, 5, 7);
/** Mostly square, as Winograd's are. */
const kernels: fc.Arbitrary<readonly [number, number]> = fc.oneof(
  taps.map((k) => [k, k] as const),
  fc.tuple(taps, taps),
);
const border = fc.integer({ min: 0, max: 4 });
const convolutions = fc.record({
  images: fc.integer({ min: 1, max: 5 }),
  size: fc.tuple(length, length),
  kernel: kernels,
  padding: fc.tuple(border, border),
  stride: fc.constantFrom(1, 1, 1, 2, 3),
  dilation: fc.constantFrom(1, 1, 1, 1, 2),
  groups: fc.constantFrom(1, 1, 1, 1, 2, 3),
  channels,
  filters: channels,
  ends: fc.constantFrom('plain', 'bias', 'relu', 'bias and relu'),
});

it('convolutions and their gradients', async () => {
  await fc.assert(
    fc.asyncProperty(
      convolutions,
      async ({ images, size, kernel, padding, channels: c, filters: o, ...rest }) => {
        const { stride, dilation, groups, ends } = rest;
        const reach = kernel.map((k) => (k - 1) * dilation + 1);
        fc.pre([0, 1].every((axis) => size[axis] + 2 * padding[axis] >= reach[axis]));
        const inputs = {
          x: f32(images, ...size, c * groups),
          w: f32(...kernel, c, o * groups),
          b: f32(o * groups),
        };
        const [got, want] = await both(inputs, ({ x, w, b }) => {
          let y = conv2d(x, w, { stride, padding, dilation, groups });
          if (ends.includes('bias')) y = add(y, b);
          if (ends.includes('relu')) y = relu(y);
          const [dx, dw, db] = grad(sum(mul(y, y)), [x, w, b]);
          return { y, dx, dw, db };
        });
        for (const [name, value] of Object.entries(want)) expectClose(name, got[name], value, 1e-4, 0.05);
      },
    ),
    { seed: 11, numRuns: 60 },
  );
});

it('products of all sizes and flags', async () => {
  const side = fc.integer({ min: 1, max: 70 });
  const depth = fc.oneof(side, fc.integer({ min: 500, max: 1100 }));
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        batch: fc.integer({ min: 1, max: 3 }),
        m: side,
        n: side,
        k: depth,
        transA: fc.boolean(),
        transB: fc.boolean(),
      }),
      async ({ batch, m, n, k, transA, transB }) => {
        const inputs = {
          a: f32(batch, ...(transA ? [k, m] : [m, k])),
          b: f32(batch, ...(transB ? [n, k] : [k, n])),
        };
        const [got, want] = await both(inputs, ({ a, b }) => ({ y: matmul(a, b, { transA, transB }) }));
        expectClose('product', got['y'], want['y'], 2e-5, 1);
      },
    ),
    { seed: 12, numRuns: 60 },
  );
});
