import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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
    const line = `find-lr ${SMALL} --steps 20 --every 0 --sweep exponential --to 0.001 --seeds 2`;
    expect(await run(host, line)).toBe(0);
    expect(host.err()).toContain('seeds 1, 2\n');
    expect(host.out()).toMatch(/^mean and range of 2 seeds: loss against the rate\n/);
    expect(host.out()).toContain('░');
    expect(host.out()).toMatch(/\nrise +none: .*; 0 of 2 seeds\n/);
    expect(host.out()).toMatch(/\nwarning +the sweep ends too early: .* \(change the end: --to 0\.01\)\n/);
  });

  it('takes a number of seeds, the first one, or a list', async () => {
    for (const [line, seeds] of [
      ['--seeds 3', [1, 2, 3]],
      ['--seeds 2 --seed 7', [7, 8]],
      ['--seed 4', [4]],
      ['--seeds 5,9', [5, 9]],
    ] as const) {
      const host = await testHost();
      expect(await run(host, `find-lr ${SMALL} --steps 4 --every 0 --json ${line}`)).toBe(0);
      const { curves } = JSON.parse(host.out()) as { curves: { seed: number }[] };
      expect(curves.map(({ seed }) => seed)).toEqual(seeds);
    }
  });

  it('writes the bounds into a file that train reads, or says why there are none', async () => {
    const host = await testHost();
    writeFileSync(join(host.cwd, 'old.json'), '{"seed": 5, "steps": 3, "max": 1}');
    const line = `find-lr ${SMALL} --steps 60 --every 0 --sweep exponential --from 1e-7 --to 0.1 --svg band.svg`;
    expect(await run(host, `${line} --seeds 2 --apply old.json`)).toBe(0);
    const written = JSON.parse(readFileSync(join(host.cwd, 'old.json'), 'utf8')) as Record<string, number>;
    expect(written).toMatchObject({ seed: 5, steps: 3, net: 'quick', batchSize: 4, schedule: 'triangular2' });
    expect(written['max']).toBeLessThan(0.1);
    expect(written['base']).toBeLessThan(written['max']);
    expect(host.out()).toMatch(/\nold\.json has them; to train with them:\n  .* train --config old\.json\n$/);
    expect(readFileSync(join(host.cwd, 'band.svg'), 'utf8')).toContain('fill-opacity="0.2"');
    expect(await run(host, 'train --config old.json --threads 1 --eval-every 3')).toBe(0);
    const { config } = JSON.parse(
      readFileSync(join(host.cwd, 'runs', 'quick-triangular2-seed5', 'summary.json'), 'utf8'),
    ) as { config: { optimizer: { hyper: { lr: { max: number } } } } };
    expect(config.optimizer.hyper.lr.max).toBe(written['max']);

    expect(await run(host, `find-lr ${SMALL} --steps 8 --every 0 --apply none.json`)).toBe(1);
    expect(host.out()).toMatch(/\nbounds +none: .*\nnone\.json was not written\n$/);
    expect(existsSync(join(host.cwd, 'none.json'))).toBe(false);
  });

  it('prints curves and suggestions as JSON', async () => {
    const host = await testHost();
    expect(await run(host, `find-lr ${SMALL} --steps 8 --every 4 --json`)).toBe(0);
    const { curves, suggestions, warnings, bounds, band } = JSON.parse(host.out()) as {
      curves: { points: unknown[]; evaluations: unknown[] }[];
      suggestions: unknown[];
      warnings: { option: string }[];
      bounds: { max: number | null };
      band: { accuracy: unknown[] };
    };
    expect(warnings.map(({ option }) => option)).toEqual(['steps']);
    expect([bounds.max, band.accuracy.length]).toEqual([null, 3]);
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
    expect(host.err()).toContain('Seeds must be whole numbers of 0 or more, separated by commas.');
    expect(await run(host, 'find-lr --seeds 1,2 --seed 3')).toBe(2);
    expect(host.err()).toContain('--seed 3: --seeds 1,2 has the seeds already');
    expect(await run(host, 'find-lr --apply nowhere/rate.json')).toBe(2);
    expect(host.err()).toContain('--apply nowhere/rate.json: it cannot be written: ');
    writeFileSync(join(host.cwd, 'list.json'), '[1]');
    expect(await run(host, 'find-lr --apply list.json')).toBe(2);
    expect(host.err()).toContain('--apply list.json: it must be an object such as');
    expect(await run(host, `find-lr ${SMALL} --steps 8 --every 0 --svg nowhere/plot.svg`)).toBe(2);
    expect(host.err()).toContain('--svg nowhere/plot.svg: its folder is not writable: ');
    expect(host.out()).toBe('');
  });
});
