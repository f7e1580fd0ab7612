/* oxlint-disable vitest/expect-expect -- expectSameBitsByName asserts */
// What gpu.js and drivers do differently from JavaScript, in every mode that runs here: each has bitten somebody.

import { expect, it } from 'vitest';
import type { Backend } from '../../../engine/backends/backend.ts';
import { reference } from '../../../engine/backends/reference/reference.ts';
import { compile } from '../../../engine/compile.ts';
import { add, argSort, cumsum, dropout, f32, i32, matmul, mul } from '../../../engine/ops/index.ts';
import { max, pow, relu, sub, sum, gather, tanh, transpose, u8, zeros } from '../../../engine/ops/index.ts';
import { key, philox } from '../../../engine/rng.ts';
import type { Tensor } from '../../../engine/tensor.ts';
import type { State } from '../../../engine/types.ts';
import { expectSameBitsByName } from '../compare.ts';
import { describeWhere, MODES, withBackend } from './available.ts';

const floats = (...values: number[]) =>
  ({ shape: [values.length], dtype: 'f32', data: Float32Array.from(values) }) as const;

for (const [name, options] of MODES) {
  // oxlint-disable-next-line no-await-in-loop -- suites are declared in order
  await describeWhere(name, options, () => {
    it('loops go on after 1000 turns', () =>
      withBackend(options, async (backend) => {
        const n = 5000;
        const ones = new Float32Array(n).fill(1);
        const step = await compile(backend, {
          inputs: { a: f32(1, n), b: f32(n, 1), index: i32(1) },
          build: ({ a, b, index }) => ({
            outputs: { product: matmul(a, b), total: sum(a), row: gather(transpose(a), index) },
          }),
        });
        const outputs = await step.run({ a: ones, b: ones, index: Int32Array.of(n - 1) });
        expect(outputs['product'].data[0]).toBe(n);
        expect(outputs['total'].data[0]).toBe(n);
        expect(outputs['row'].data[0]).toBe(1);
        await step.close();
      }));

    it('integers keep all their bits, in place too', () =>
      withBackend(options, async (backend) => {
        const data = Int32Array.of(65_535, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 24, -(2 ** 24) - 1, 0);
        const step = await compile(backend, {
          inputs: { by: i32() },
          state: { n: { shape: [7], dtype: 'i32', data } },
          build: ({ by }, { n }) => ({ outputs: { product: mul(n, by) }, next: { n: add(n, by) } }),
        });
        const { product } = await step.run({ by: 3 });
        expect([...product.data]).toEqual([...data].map((v) => Math.imul(v, 3)));
        expect([...(await step.store.read())['n'].data]).toEqual([...data].map((v) => (v + 3) | 0));
        await step.close();
      }));

    it('bytes keep all their values', () =>
      withBackend(options, async (backend) => {
        const step = await compile(backend, {
          inputs: { x: u8(256, 1), index: i32(256) },
          build: ({ x, index }) => ({ outputs: { y: gather(x, index) } }),
        });
        const x = Uint8Array.from({ length: 256 }, (_, i) => i);
        const { y } = await step.run({ x, index: Int32Array.from(x, (v) => 255 - v) });
        expect([...y.data]).toEqual([...x].reverse());
        await step.close();
      }));

    it('new states that need each other’s old values are right where they overwrite them', async () => {
      const initial: State = { a: floats(1, 2, 3), b: floats(10, 20, 30), c: floats(5, 5, 5) };
      const make = (backend: Backend) =>
        compile(backend, {
          inputs: { x: f32(3) },
          state: initial,
          build({ x }, { a, b, c }) {
            const velocity = add(mul(b, 0.5), x);
            return {
              outputs: {},
              next: { b: velocity, a: sub(a, mul(velocity, c)), c: add(c, mul(a, b)) },
            };
          },
        });
      await withBackend(options, async (backend) => {
        const [own, other] = [await make(backend), await make(reference())];
        for (const x of [1, 2, 4]) {
          const feeds = { x: new Float32Array(3).fill(x) };
          // oxlint-disable-next-line no-await-in-loop -- one run after the other
          await Promise.all([own.run(feeds), other.run(feeds)]);
        }
        // Halves and small integers: exact in every precision.
        expectSameBitsByName('state', await own.store.read(), await other.store.read());
        await Promise.all([own.close(), other.close()]);
      });
    });

    it('a running sum in the place of its operand reads what was there before', () =>
      withBackend(options, async (backend) => {
        const n = 200;
        const step = await compile(backend, {
          inputs: {},
          state: { x: { shape: [n], dtype: 'f32', data: new Float32Array(n).fill(1) } },
          build: (_, { x }) => ({ outputs: {}, next: { x: cumsum(x, 0) } }),
        });
        await step.run({});
        const { x } = await step.store.read();
        expect([...x.data]).toEqual(Array.from({ length: n }, (_, i) => i + 1));
        await step.close();
      }));

    it('tanh saturates, and powers of negative numbers are numbers', () =>
      withBackend(options, async (backend) => {
        const step = await compile(backend, {
          inputs: { x: f32(4), a: f32(4), b: f32(4) },
          build: ({ x, a, b }) => ({ outputs: { t: tanh(x), p: pow(a, b) } }),
        });
        const { t, p } = await step.run({
          x: Float32Array.of(100, -100, 1e4, 0),
          a: Float32Array.of(-2, -2, 0, 0),
          b: Float32Array.of(3, 2, 2, -1),
        });
        expect([...t.data]).toEqual([1, -1, 1, 0]);
        expect(p.data[0]).toBeCloseTo(-8, 4);
        expect(p.data[1]).toBeCloseTo(4, 4);
        expect([...p.data].slice(2)).toEqual([0, Infinity]);
        await step.close();
      }));

    it.skipIf(options.mode === 'webgl')('relu keeps NaN (WebGL drivers make a maximum of it)', () =>
      withBackend(options, async (backend) => {
        const step = await compile(backend, {
          inputs: { x: f32(3) },
          build: ({ x }) => ({ outputs: { y: relu(x) } }),
        });
        const { y } = await step.run({ x: Float32Array.of(NaN, -1, 2) });
        expect([...y.data]).toEqual([NaN, 0, 2]);
        await step.close();
      }),
    );

    it("masks are Philox's bits", () =>
      withBackend(options, async (backend) => {
        const n = 1024;
        const [at, rate, stream] = [2 ** 31 - 5, 0.3, key(2 ** 40 + 3, 'mask')];
        const step = await compile(backend, {
          inputs: { x: f32(n), at: i32() },
          build: ({ x, at: when }) => ({ outputs: { y: dropout(x, rate, stream, when) } }),
        });
        const { y } = await step.run({ x: new Float32Array(n).fill(1), at });
        const words = new Uint32Array(4);
        const kept = Array.from({ length: n }, (_, i) => {
          philox(stream, i >> 2, 0, at, 0, words);
          return words[i % 4] >= Math.round(rate * 2 ** 32);
        });
        expect(Array.from(y.data, (v) => v !== 0)).toEqual(kept);
        await step.close();
      }));

    it('many more operands than a kernel has arguments', () =>
      withBackend(options, async (backend) => {
        const count = 20;
        const names = Array.from({ length: count }, (_, i) => `x${i}`);
        const step = await compile(backend, {
          inputs: Object.fromEntries(names.map((each) => [each, f32(3)])),
          build: (inputs) => ({
            outputs: { y: names.map((each) => inputs[each]).reduce((a, b) => add(a, b)) },
          }),
        });
        const feeds = Object.fromEntries(names.map((each, i) => [each, new Float32Array(3).fill(i)]));
        expect([...(await step.run(feeds))['y'].data]).toEqual([190, 190, 190]);
        await step.close();
      }));

    it.each([
      ['sorting', (x: Tensor) => argSort(x)],
      ['max', (x: Tensor) => max(x)],
      ['gather', (x: Tensor) => gather(x, zeros([1], 'i32'))],
    ] as const)('refuses an index that a float does not hold, in %s', (what, build) =>
      withBackend(options, async (backend) => {
        await expect(
          compile(backend, {
            inputs: { x: f32(2 ** 24 + 1) },
            build: ({ x }) => ({ outputs: { y: build(x) } }),
          }),
        ).rejects.toThrow(`gpu: ${what} needs an index of 16777217 in a float, which counts to 16777216`);
      }),
    );
  });
}
