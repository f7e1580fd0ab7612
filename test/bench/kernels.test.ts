import { expect, it } from 'vitest';
import { kernelTable, measureKernels } from '../../bench/kernels/kernels.ts';
import { tasks, titleOf } from '../../bench/kernels/tasks.ts';

it('measures operations without a rival: rates count the direct computation', async () => {
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
  expect(convolution!.flops).toBe(2 * 2 * 8 * 8 * 9 * 3 * 5);
  expect(convolution!.kernelMs).toBeGreaterThan(0);
  expect(convolution!.ofLimit * result.limits.all.gflopPerSecond).toBeCloseTo(convolution!.gflopPerSecond);
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
