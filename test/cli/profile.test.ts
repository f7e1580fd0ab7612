import { describe, expect, it } from 'vitest';
import { run, testHost } from './fixture.ts';

const SMALL = '--net quick --batch-size 4 --threads 1 --steps 2 --warmup 1';

describe('profile', () => {
  it('prints a line for every step of the plan, and how it ran', async () => {
    const host = await testHost();
    expect(await run(host, `profile ${SMALL} --no-limit`)).toBe(0);
    expect(host.out()).toMatch(
      /^quick, batch 4: team of 1 worker, (plain|relaxed|wide) SIMD\n\nstep {2}operation /,
    );
    expect(host.out()).toMatch(/\n +\d+ {2}conv2d\w* +conv2 +\d+\.\d{3} +\d+\.\d% +\d+\.\d GFLOP\/s\n/);
    expect(host.out()).toMatch(
      /\ntotal \d+\.\d{3} ms, \d+\.\d GFLOP\/s of the direct count, mean of 2 runs\n$/,
    );
    expect(host.err()).toBe('');
  });

  it('says the same as JSON, against the limits of the machine', async () => {
    const host = await testHost();
    expect(await run(host, `profile ${SMALL} --json`)).toBe(0);
    const result = JSON.parse(host.out()) as {
      readonly rows: readonly { readonly flops: number; readonly ofLimit: number | null }[];
    };
    expect(result).toMatchObject({
      config: { net: 'quick', batchSize: 4, steps: 2, warmup: 1 },
      report: { backend: 'wasm', threads: 1, fallback: null },
      limits: { threads: 1, gflopPerSecond: expect.any(Number), gbPerSecond: expect.any(Number) },
      runs: 2,
    });
    // Forward and back through 12.3 M multiply-adds an image, without conv1's gradient for the images.
    const flops = result.rows.reduce((sum, row) => sum + row.flops, 0);
    expect(flops).toBeGreaterThan(4 * 2 * 12.3e6 * 2.5);
    expect(flops).toBeLessThan(4 * 2 * 12.3e6 * 3.2);
    expect(result.rows.every(({ ofLimit }) => typeof ofLimit === 'number')).toBe(true);
  });

  it('refuses numbers that are none', async () => {
    const host = await testHost();
    expect(await run(host, 'profile --steps 0')).toBe(2);
    expect(host.err()).toContain('It must be a whole number from 1 to 100000.');
  });
});
