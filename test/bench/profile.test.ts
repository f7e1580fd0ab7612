import { compile, f32, matmul, wasm } from 'cyclegrad';
import { formatProfile, measureLimits, startLimit, summarizeProfile } from 'cyclegrad/tools';
import { describe, expect, it } from 'vitest';

const limits = { threads: 1, simd: 'relaxed', gflopPerSecond: 50, gbPerSecond: 10 } as const;

async function profiled() {
  const backend = await wasm({ threads: 1 });
  const compiled = await compile(backend, {
    inputs: { x: f32(64, 64) },
    build: ({ x }) => ({ outputs: { y: matmul(x, x).relu() } }),
  });
  const feeds = { x: new Float32Array(4096) };
  const profiles = [await compiled.profile(feeds), await compiled.profile(feeds)];
  const { plan } = compiled;
  await compiled.close();
  await backend.close();
  return { plan, profiles };
}

describe('a profile', () => {
  it('says for each step what it achieved of what bounds it', async () => {
    const { plan, profiles } = await profiled();
    // Given times, so that rates can be told in advance.
    const timed = profiles.map((profile, run) => profile.map(({ step }) => ({ step, ms: 0.1 + 0.2 * run })));
    const { rows, ms, runs, gflopPerSecond } = summarizeProfile(plan, timed, limits);
    expect(runs).toBe(2);
    expect(ms).toBeCloseTo(0.4);
    expect(rows.map(({ op, bound }) => [op, bound])).toEqual([
      ['matmul', 'compute'],
      ['relu', 'memory'],
    ]);
    const [product, rectified] = rows;
    expect(product).toMatchObject({ step: 0, flops: 2 * 64 ** 3, bytes: 3 * 64 * 64 * 4 });
    expect(product.rate).toBeCloseTo((2 * 64 ** 3) / 0.2e6);
    expect(product.ofLimit).toBeCloseTo(product.rate / 50);
    expect(rectified.rate).toBeCloseTo((2 * 64 * 64 * 4) / 0.2e6);
    expect(rectified.ofLimit).toBeCloseTo(rectified.rate / 10);
    expect(rows.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(gflopPerSecond).toBeCloseTo(rows.reduce((sum, { flops }) => sum + flops, 0) / 0.4e6);
  });

  it('is a table, with the limits where they are known', async () => {
    const { plan, profiles } = await profiled();
    const timed = profiles.map((profile) => profile.map(({ step }) => ({ step, ms: 0.5 })));
    expect(formatProfile(summarizeProfile(plan, timed)).split('\n').slice(0, 3)).toEqual([
      'step  operation  layer     ms  share     achieved',
      '   0  matmul            0.500  50.0%  1.0 GFLOP/s',
      '   1  relu              0.500  50.0%  0.1 GB/s',
    ]);
    const text = formatProfile(summarizeProfile(plan, timed, limits));
    expect(text).toContain('   0  matmul            0.500  50.0%  1.0 GFLOP/s      2.1%');
    expect(text).toContain(
      'limit 50.0 GFLOP/s (fused multiply-add in registers) and 10.0 GB/s (a copy), 1 thread;',
    );
  });

  it('of another plan is refused, and so is none', async () => {
    const [one, two] = [await profiled(), await profiled()];
    expect(() => summarizeProfile(one.plan, two.profiles)).toThrow('the profile belongs to another plan');
    expect(() => summarizeProfile(one.plan, [])).toThrow(RangeError);
  });
});

describe('the limits of the machine', () => {
  it('are measured with either kind of SIMD, and by several threads at once', async () => {
    for (const simd of ['plain', 'auto'] as const) {
      const measured = await measureLimits({ threads: 2, simd });
      expect(measured.threads).toBe(2);
      expect(measured.gflopPerSecond).toBeGreaterThan(1);
      expect(measured.gbPerSecond).toBeGreaterThan(0.1);
    }
  });

  it('are a team too, which refuses what is no work, a second run beside the first, and one after its end', async () => {
    const limit = await startLimit({ threads: 2 });
    try {
      expect(limit.threads).toBe(2);
      for (const flops of [1, 5e6, 5e6]) expect(await limit.run(flops)).toBeGreaterThan(0);
      for (const flops of [0, -5, NaN, Infinity, 1e16, undefined as never])
        await expect(limit.run(flops)).rejects.toThrow(/startLimit: run: flops must be above 0 and below \d/);
      const first = limit.run(1e9);
      await expect(limit.run(1)).rejects.toThrow('the team is already running (await the previous run)');
      await first;
      // The end waits for what goes on.
      const [last] = await Promise.all([limit.run(1e8), limit.close()]);
      expect(last).toBeGreaterThan(0);
    } finally {
      await limit.close();
    }
    await expect(limit.run(1)).rejects.toThrow('the team is closed');
  });

  it('refuse numbers of threads that are none', async () => {
    await expect(measureLimits({ threads: 0 })).rejects.toThrow(
      'measureLimits: threads must be an integer >= 1, got 0',
    );
    await expect(startLimit({ threads: 1.5 })).rejects.toThrow(RangeError);
    await expect(startLimit({ simd: 'fast' as never })).rejects.toThrow(/startLimit: simd must be/);
    await expect(measureLimits({ thread: 4 } as never)).rejects.toThrow("unknown option 'thread'");
  });
});
