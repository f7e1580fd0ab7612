// Sorting, sums by index and running sums over axes that are longer than what one thread looks through, in every mode here.

import { describe, expect, it } from 'vitest';
import { functionOf, type KernelSource } from '../../../engine/backends/gpu/kernel.ts';
import { fusions } from '../../../engine/backends/gpu/lower.ts';
import { Codec } from '../../../engine/backends/gpu/memory.ts';
import { buildProgram } from '../../../engine/backends/gpu/program.ts';
import { compile } from '../../../engine/compile.ts';
import { argSort, cumsum, f32, i32, sort } from '../../../engine/ops/index.ts';
import { ops } from '../../../engine/ops/primitives/index.ts';
import { buildPlan } from '../../../engine/plan/build.ts';
import { stream } from '../../../engine/rng.ts';
import { input, type Tensor } from '../../../engine/tensor.ts';
import type { TensorType } from '../../../engine/types.ts';
import { describeWhere, MODES, withBackend } from './available.ts';

/** Some runs of blocks, the last of them not full. */
const N = 3000;
const ROWS = 2;

/** Ties, NaN, zeros of both signs and infinities among them. */
function drawKeys(): Float32Array {
  const draws = stream(29, 'keys');
  const special = [NaN, 0, -0, Infinity, -Infinity, -2];
  return Float32Array.from({ length: ROWS * N }, () => special[draws.below(40)] ?? draws.below(N / 3) - 500);
}

/** An index, and what is to be added. */
function drawSums(entries: number, below: number, values: number): readonly [Int32Array, Float32Array] {
  const draws = stream(29, 'sums');
  return [
    Int32Array.from({ length: entries }, () => draws.below(below)),
    Float32Array.from({ length: values }, () => draws.uniform() - 0.5),
  ];
}

/** −0 and 0 tie; NaN is the largest. */
const compare = (a: number, b: number): number => {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
};

for (const [name, options] of MODES) {
  // oxlint-disable-next-line no-await-in-loop -- suites are declared in order
  await describeWhere(name, options, () => {
    it.each([false, true])('sorts rows, ties in their order (descending: %s)', (descending) =>
      withBackend(options, async (backend) => {
        const keys = drawKeys();
        const step = await compile(backend, {
          inputs: { x: f32(ROWS, N) },
          build: ({ x }) => ({ outputs: { ...sort(x, 1, { descending }) } }),
        });
        const { values, indices } = await step.run({ x: keys });
        await step.close();
        for (let row = 0; row < ROWS; row++) {
          const own = keys.subarray(row * N, (row + 1) * N);
          // JavaScript's sort is stable.
          const order = Array.from(own.keys()).sort(
            (a, b) => compare(own[a], own[b]) * (descending ? -1 : 1),
          );
          expect([...indices.data.subarray(row * N, (row + 1) * N)]).toEqual(order);
          const sorted = [...values.data.subarray(row * N, (row + 1) * N)];
          expect(sorted.every((value, i) => compare(value, own[order[i]]) === 0)).toBe(true);
        }
      }),
    );

    // The cpu mode computes in double precision.
    const rounded = options.mode === 'cpu' ? (sum: number): number => sum : Math.fround;

    it('adds rows in the order of the index, bit by bit', () =>
      withBackend(options, async (backend) => {
        const [n, width] = [500, 3];
        const [drawn, g] = drawSums(N, 720, N * width);
        // A third of the entries go to one row; the last rows get none.
        const index = drawn.map((row) => (row < 480 ? row : 7));
        const step = await compile(backend, {
          inputs: { g: f32(N, width), index: i32(N) },
          build: (t) => ({ outputs: { sums: ops.scatterAddRows([t.g, t.index], { n })[0] } }),
        });
        const { sums } = await step.run({ g, index });
        await step.close();
        const expected = new Float64Array(n * width);
        index.forEach((row, k) => {
          for (let c = 0; c < width; c++) {
            expected[row * width + c] = rounded(expected[row * width + c] + g[k * width + c]);
          }
        });
        expect(sums.data).toEqual(Float32Array.from(expected));
      }));

    it('adds along a middle axis in the order of the index, bit by bit', () =>
      withBackend(options, async (backend) => {
        const [outer, m, n, inner] = [2, 1000, 90, 3];
        const [index, g] = drawSums(outer * m * inner, n, outer * m * inner);
        const step = await compile(backend, {
          inputs: { g: f32(outer, m, inner), index: i32(outer, m, inner) },
          build: (t) => ({ outputs: { sums: ops.scatterAddAlongAxis([t.g, t.index], { n })[0] } }),
        });
        const { sums } = await step.run({ g, index });
        await step.close();
        const expected = new Float64Array(outer * n * inner);
        index.forEach((position, k) => {
          const to = (Math.floor(k / (m * inner)) * n + position) * inner + (k % inner);
          expected[to] = rounded(expected[to] + g[k]);
        });
        expect(sums.data).toEqual(Float32Array.from(expected));
      }));

    it('runs sums through blocks of blocks', () =>
      withBackend(options, async (backend) => {
        const n = 17_000;
        const step = await compile(backend, {
          inputs: { x: f32(n) },
          build: ({ x }) => ({
            outputs: {
              up: cumsum(x, 0),
              down: cumsum(x, 0, { exclusive: true, reverse: true }),
            },
          }),
        });
        // Integers, whose sums are exact in any order.
        const x = Float32Array.from({ length: n }, (_, i) => (i % 7) - 2);
        const { up, down } = await step.run({ x });
        await step.close();
        let sum = 0;
        const expected = Array.from(x, (value) => (sum += value));
        expect([...up.data]).toEqual(expected);
        expect([...down.data]).toEqual(expected.map((before) => sum - before));
      }));
  });
}

describe('work over 60,000 elements', () => {
  const n = 60_000;

  /** The loops' turns of every kernel; those of a loop that ends by itself do not count. */
  function turnsOf(
    types: Readonly<Record<string, TensorType>>,
    build: (t: Record<string, Tensor>) => Tensor,
  ) {
    const inputs = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, input(name, type)]));
    const plan = buildPlan({ outputs: { y: build(inputs) }, next: {}, feeds: types, state: {} }, fusions);
    const target = { override: () => null, maxArguments: 6, vectors: false, codec: new Codec(true) };
    const sources = buildProgram(plan, target).steps.flatMap(
      ({ kernels }) => kernels as readonly KernelSource[],
    );
    return sources.map((source) =>
      [...functionOf(source).matchAll(/< (\d+); \w+\+\+\) \{(?!\s*if \(\w+ >= \w+\) \{ break; \})/g)].reduce(
        (product, [, turns]) => product * Number(turns),
        1,
      ),
    );
  }

  it.each([
    ['sorting', { x: f32(n) }, 13, ({ x }: Record<string, Tensor>) => argSort(x)],
    [
      'adding rows',
      { g: f32(n, 8), index: i32(n) },
      16,
      ({ g, index }: Record<string, Tensor>) => ops.scatterAddRows([g, index], { n })[0],
    ],
    ['a running sum', { x: f32(n) }, 5, ({ x }: Record<string, Tensor>) => cumsum(x, 0)],
  ] as const)('%s takes few kernels, in which threads take few turns', (_, types, kernels, build) => {
    const turns = turnsOf(types, build);
    expect(turns.length).toBe(kernels);
    expect(Math.max(...turns)).toBeLessThanOrEqual(256);
  });
});
