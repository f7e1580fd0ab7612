import { expect, it } from 'vitest';
import { measureSteps } from '../../bench/step/step.ts';

it('the step benchmark measures the plan it says, with one thread and two, and tells where', async () => {
  const result = await measureSteps({
    workload: 'full',
    threads: [1, 2],
    steps: 2,
    warmup: 1,
    simd: 'plain',
    seed: 1,
  });
  expect(result).toMatchObject({
    benchmark: 'step',
    machine: { cores: expect.any(Number) },
    versions: { node: process.versions.node },
    config: { workload: 'full', batchSize: 100, steps: 2, warmup: 1 },
  });
  const [one, two] = result.results;
  expect(one).toMatchObject({ threads: 1, report: { simd: 'plain', fallback: null } });
  expect(two).toMatchObject({ threads: 2, report: { executor: 'team of 2 workers' }, loss: one.loss });
  // 12.30 M multiply-adds an image forward, about three times that with the gradients, without conv1's for the images.
  expect(one.flopsPerStep).toBeGreaterThan(100 * 2 * 12.3e6 * 2.5);
  expect(one.flopsPerStep).toBeLessThan(100 * 2 * 12.3e6 * 3.2);
  expect(one.ms).toHaveLength(2);
  expect(one.minMs).toBeLessThanOrEqual(one.medianMs);
});
