import { expect, it } from 'vitest';
import {
  joinedKernels,
  kernelTable,
  measureKernels,
  type KernelsResult,
} from '../../bench/kernels/kernels.ts';
import { compare } from '../../bench/measure.ts';
import { tasks, titleOf } from '../../bench/kernels/tasks.ts';

it('measures operations without a baseline: rates count the direct computation', async () => {
  const told: string[] = [];
  const result = await measureKernels(
    null,
    [
      { kind: 'matmul', n: 24, chain: 3 },
      { kind: 'conv', pass: 'gradWeight', batch: 2, size: 8, kernel: 3, inputs: 3, outputs: 5 },
    ],
    { threads: 2, pairs: 2, turnMs: 1, warmup: 1 },
    (line) => told.push(line),
  );
  expect(result).toMatchObject({
    report: { backend: 'wasm', threads: 2, fallback: null },
    limits: { one: { threads: 1 }, all: { threads: 2 } },
  });
  const [product, convolution] = result.kernels;
  expect(product).toMatchObject({ title: 'matmul 24, 3 in a row', flops: 3 * 2 * 24 ** 3, torch: null });
  expect(convolution.flops).toBe(2 * 2 * 8 * 8 * 9 * 3 * 5);
  expect(convolution.kernelMs).toBeGreaterThan(0);
  expect(convolution.limit.pairs).toBe(2);
  expect(convolution.ofLimit).toBe(1 / convolution.limit.ratio);
  expect(convolution.oursMs).toEqual(convolution.limit.oursMs);
  expect(told).toHaveLength(2);
  expect(kernelTable(result)).toContain('conv 3×3 3→5 at 8×8, batch 2  gradWeight');
});

it('the list has the sizes that were asked for', () => {
  const convolutions = tasks.filter((task) => task.kind === 'conv');
  expect(new Set(convolutions.map(({ kernel }) => kernel))).toEqual(new Set([3, 5]));
  expect(new Set(convolutions.map(({ size }) => size))).toEqual(new Set([32, 16, 8]));
  expect(Math.min(...convolutions.map(({ inputs }) => inputs))).toBe(3);
  expect(Math.max(...convolutions.map(({ outputs }) => outputs))).toBe(256);
  expect(tasks.filter((task) => task.kind === 'matmul').map(({ n }) => n)).toEqual([256, 512, 1024]);
  expect(new Set(tasks.map((task) => titleOf(task) + ('pass' in task ? task.pass : ''))).size).toBe(
    tasks.length,
  );
});

it('two measurements are joined pair by pair', () => {
  const measured = (ours: number, theirs: number, limit: number): KernelsResult => {
    const limits = { threads: 1, simd: 'relaxed', gflopPerSecond: 1 / limit, gbPerSecond: 1 } as const;
    const comparison = compare({ steps: 1, ours: [ours], theirs: [theirs] });
    const bound = compare({ steps: 1, ours: [ours], theirs: [limit] });
    return {
      report: { backend: 'wasm', executor: 'team', simd: 'relaxed', threads: 1, fallback: null, bytes: 0 },
      limits: { one: limits, all: limits },
      kernels: [
        {
          task: { kind: 'matmul', n: 8, chain: 1 },
          title: 'matmul 8',
          flops: 1e6,
          oursMs: comparison.oursMs,
          kernelMs: ours,
          gflopPerSecond: 1 / ours,
          limit: bound,
          ofLimit: limit / ours,
          torch: { layout: 'contiguous', gflopPerSecond: 1 / theirs, comparison },
        },
      ],
    };
  };
  const result = joinedKernels(measured(1, 2, 0.5), measured(3, 2, 0.25));
  expect(result.limits.all.gflopPerSecond).toBe(4);
  expect(result.kernels[0]).toMatchObject({
    oursMs: { min: 1, median: 2 },
    kernelMs: 1,
    gflopPerSecond: 0.5,
    limit: { pairs: 2, ratio: 7 },
    ofLimit: 1 / 7,
    torch: { gflopPerSecond: 0.5, comparison: { pairs: 2, ratio: 1 } },
  });
  const other = measured(1, 2, 0.5);
  const renamed = { ...other, kernels: [{ ...other.kernels[0], title: 'matmul 9' }] };
  expect(() => joinedKernels(other, renamed)).toThrow('matmul 8 and matmul 9: only comparisons');
});
