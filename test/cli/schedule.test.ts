import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run, testHost } from './fixture.ts';

describe('schedule', () => {
  it('plots a named schedule, with the steps below and the facts after it', async () => {
    const host = await testHost();
    expect(await run(host, 'schedule triangular --steps 25000')).toBe(0);
    const lines = host.out().split('\n');
    expect(lines.slice(0, 13).every((line) => /^ {0,9}[\d.]+ [┼┤]/.test(line))).toBe(true);
    expect(lines[13]).toMatch(/^ +step 0 +step 24999$/);
    expect(host.out()).toContain(
      'triangular, 25000 steps: from 0.001 to 0.0034975, between 0.001 and 0.006\n',
    );
    expect(host.out()).toContain('notice: training stops at step 25,000, in the middle of a cycle');
    expect(host.err()).toBe('');
  });

  it('says what deserves a notice', async () => {
    const host = await testHost();
    expect(await run(host, 'schedule triangular2 --step-size 100 --steps 20000')).toBe(0);
    expect(host.out()).toContain('notice: ');
  });

  it('prints config and values as JSON, which read back as the same schedule, and writes a picture', async () => {
    const host = await testHost();
    expect(await run(host, 'schedule exp-range --gamma 0.9999 --steps 300 --json --svg plot.svg')).toBe(0);
    const { config, points } = JSON.parse(host.out()) as { config: unknown; points: [number, number][] };
    expect(points).toHaveLength(300);
    expect(readFileSync(join(host.cwd, 'plot.svg'), 'utf8')).toMatch(/^<svg[^]*learning rate[^]*<\/svg>/);
    const again = await testHost();
    expect(await run(again, `schedule ${JSON.stringify(config)} --steps 300 --json`)).toBe(0);
    expect(JSON.parse(again.out())).toMatchObject({ points });
  });

  it.each(['1e16', '9007199254740992', '1e308', '1e-320'])('plots a constant rate of %s', async (lr) => {
    const host = await testHost();
    expect(await run(host, `schedule fixed --lr ${lr} --steps 10 --svg plot.svg`)).toBe(0);
    expect(host.out()).toContain(`fixed, 10 steps: from ${Number(Number(lr).toPrecision(5))} to `);
  });

  it('refuses what is no schedule, and options of another one', async () => {
    const host = await testHost();
    expect(await run(host, 'schedule zigzag')).toBe(2);
    expect(host.err()).toContain(
      "error: schedule 'zigzag': neither a name nor JSON, and the file does not exist",
    );
    expect(await run(host, 'schedule table2 --lr 0.1')).toBe(2);
    expect(host.err()).toContain('--lr 0.1: it does not apply to schedule table2');
    expect(await run(host, 'schedule triangular --steps 1')).toBe(2);
    expect(await run(host, 'schedule {"kind":')).toBe(2);
    expect(host.err()).toContain('error: schedule: not JSON: ');
    expect(host.out()).toBe('');
    expect(await run(host, 'schedule triangular --svg nowhere/plot.svg')).toBe(2);
    expect(host.err()).toContain('--svg nowhere/plot.svg: its folder is not writable: ');
    expect(host.out()).toBe('');
  });

  it.each([
    ['{"kind":"constant","value":1e16}', '10000000000000000'],
    ['{"kind":"constant","value":-1e308}', '-1e+308'],
    ['{"kind":"constant","value":1e-320}', '1e-320'],
    ['{"kind":"linear","from":-1e308,"to":1e308,"steps":100}', '1e+308'],
    ['{"kind":"linear","from":0,"to":5e-324,"steps":100}', '5e-324'],
    ['{"kind":"constant","value":0.001}', '0.001'],
  ])('%s has a plot and an SVG', async (json, label) => {
    const host = await testHost();
    expect(await run(host, `schedule ${json} --steps 1000 --svg plot.svg`)).toBe(0);
    expect(host.out().trimStart().replace('┤', '┼').startsWith(`${label} ┼`)).toBe(true);
    expect(readFileSync(join(host.cwd, 'plot.svg'), 'utf8')).not.toMatch(/NaN|Infinity/);
  });
});
