/** The benchmarks of the GPU backend, on whatever WebGPU there is here: that they measure, not how fast. */
import { describe, expect, it } from 'vitest';
import { gpuKernelTable, measureGpuKernels } from '../../bench/kernels/gpu.ts';
import { compareCuda } from '../../bench/peers/cuda.ts';
import { describeGpuSteps, measureGpuSteps } from '../../bench/step/gpu.ts';
import { describeWhere } from '../engine/gpu/available.ts';

await describeWhere('benchmarks on WebGPU', { mode: 'webgpu' }, () => {
  it('a step: dispatches, the share of the peak that is told, and what submitting costs', async () => {
    const result = await measureGpuSteps({
      mode: 'webgpu',
      batchSize: 1,
      many: 2,
      steps: 2,
      warmup: 1,
      seed: 1,
      peakTflops: 10,
      python: 'no-such-python',
    });
    expect(result).toMatchObject({
      benchmark: 'step',
      config: { net: 'caffeFull', batchSize: 1 },
      report: { backend: 'gpu', fallback: null, adapter: expect.any(String) as string },
      cuda: { device: null, eager: null, graph: null, skipped: [{ name: 'PyTorch on CUDA' }] },
    });
    const { gpujs, wgsl } = result.report.kernels;
    expect(result.dispatchesPerStep).toBe(gpujs + wgsl);
    expect(wgsl).toBeGreaterThan(0);
    expect(result.ofPeak! * 10_000).toBeCloseTo(result.gflopPerSecond, 6);
    expect(result.submission!.aloneMs).toBeGreaterThan(0);
    expect(result.loss).toBeGreaterThan(0);
    expect(describeGpuSteps(result)).toContain('skipped PyTorch on CUDA: none of no-such-python');
  });

  it('kernels: how each is computed, and how long by the clock of the device', async () => {
    const told: string[] = [];
    const result = await measureGpuKernels(
      [
        { kind: 'matmul', n: 64, chain: 2 },
        { kind: 'conv', pass: 'gradWeight', batch: 2, size: 8, kernel: 3, inputs: 4, outputs: 8 },
      ],
      { mode: 'webgpu', runs: 2, warmup: 1, peakTflops: null },
      (line) => told.push(line),
    );
    expect(result.kernels.map(({ flops }) => flops)).toEqual([2 * 2 * 64 ** 3, 2 * 2 * 8 * 8 * 9 * 4 * 8]);
    expect(result.kernels[0].method).toMatch(/^matmul \d+×\d+×\d+/);
    expect(result.kernels.every(({ kernelMs, runMs }) => kernelMs > 0 && runMs.min > 0)).toBe(true);
    expect(told).toHaveLength(2);
    expect(gpuKernelTable(result)).toContain('conv 3×3 4→8 at 8×8, batch 2  gradWeight');
  });
});

describe('PyTorch on CUDA', () => {
  it('is skipped by name without a Python that has it', async () => {
    expect(await compareCuda({ seed: 1, steps: 1, python: 'no-such-python' })).toEqual({
      device: null,
      torch: null,
      eager: null,
      graph: null,
      skipped: [{ name: 'PyTorch on CUDA', reason: expect.stringContaining('can import torch') }],
    });
  });
});
