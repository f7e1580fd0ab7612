import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run, SMALL, testHost, type TestHost } from './fixture.ts';

describe('find-lr', () => {
  it('plots accuracy over the rate, and names every suggestion or says why there is none', async () => {
    const host = await testHost();
    expect(await run(host, `find-lr ${SMALL} --steps 12 --every 3 --svg curve.svg`)).toBe(0);
    expect(host.out()).toMatch(/^seed 1: test accuracy against the rate\n/);
    expect(host.out()).toMatch(/\n +0 +0\.02\n/);
    const rises = /\nrise +[\d.]/.test(host.out());
    expect(/\n +0 +0\.02\n.*↑ rise/.test(host.out())).toBe(rises);
    for (const name of ['rise', 'ragged', 'steepest', 'valley', 'slide', 'minimum']) {
      expect(host.out()).toMatch(new RegExp(`\n${name} +(none: .+|[\\d.e-]+ \\(update \\d+\\))\n`));
    }
    const svg = readFileSync(join(host.cwd, 'curve.svg'), 'utf8');
    expect(svg).toContain('learning-rate range test');
    expect(svg.includes('data-series="rise"')).toBe(rises);
  });

  it('goes by the loss alone, exponentially, over several seeds', async () => {
    const host = await testHost();
    const line = `find-lr ${SMALL} --steps 20 --every 0 --sweep exponential --to 0.001 --seeds 1,2`;
    expect(await run(host, line)).toBe(0);
    expect(host.out()).toContain('seed 2: loss against the rate');
    expect(host.out()).toMatch(/over the seeds:\nrise +none \(0 of 2 seeds\)\n/);
  });

  it('prints curves and suggestions as JSON', async () => {
    const host = await testHost();
    expect(await run(host, `find-lr ${SMALL} --steps 8 --every 4 --json`)).toBe(0);
    const { curves, suggestions } = JSON.parse(host.out()) as {
      curves: { points: unknown[]; evaluations: unknown[] }[];
      suggestions: unknown[];
    };
    expect([curves[0].points.length, curves[0].evaluations.length, suggestions.length]).toEqual([8, 3, 1]);
  });

  it('evaluates at every twentieth of the steps by default', async () => {
    const host = await testHost();
    expect(await run(host, `find-lr ${SMALL} --steps 21 --json`)).toBe(0);
    const { curves } = JSON.parse(host.out()) as { curves: { evaluations: { step: number }[] }[] };
    expect(curves[0].evaluations.map(({ step }) => step).slice(0, 3)).toEqual([0, 2, 4]);
    expect(curves[0].evaluations).toHaveLength(12);
  });

  it('Ctrl-C while the data is obtained ends with its code, without an error', async () => {
    const host: TestHost = await testHost({
      cifar10: (options) => {
        host.press();
        return Promise.reject(options!.signal!.reason as Error);
      },
    });
    expect(await run(host, `find-lr ${SMALL} --steps 20`)).toBe(130);
    expect(host.err()).not.toContain('error');
  });

  it('refuses sweeps that go nowhere', async () => {
    const host = await testHost();
    expect(await run(host, 'find-lr --from 0.1 --to 0.01')).toBe(2);
    expect(host.err()).toContain('--to 0.01: it must be above --from 0.1');
    expect(await run(host, 'find-lr --sweep exponential --from 0')).toBe(2);
    expect(host.err()).toContain('an exponential sweep must start above 0');
    expect(await run(host, 'find-lr --seeds one')).toBe(2);
    expect(await run(host, 'find-lr --seeds 1,,2')).toBe(2);
    expect(await run(host, 'find-lr --seeds 1,2,1')).toBe(2);
    expect(host.err()).toContain('1 is repeated');
    expect(host.err()).toContain('It must be whole numbers of 0 or more, separated by commas.');
    expect(await run(host, `find-lr ${SMALL} --steps 8 --every 0 --svg nowhere/plot.svg`)).toBe(2);
    expect(host.err()).toContain('--svg nowhere/plot.svg: its folder is not writable: ');
    expect(host.out()).toBe('');
  });
});
