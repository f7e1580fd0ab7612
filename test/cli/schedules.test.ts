import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseSchedule, scheduleNames, type RateOptions } from '../../cli/options/schedules.ts';
import { tempDir } from './fixture.ts';

const choose = (given: string, options: RateOptions = {}) => chooseSchedule(given, options, '/').schedule;

describe('named schedules', () => {
  it('table2 peaks where Table 2 of the paper does and ends each stage at its base', () => {
    const lr = choose('table2');
    const peaks = [
      [2000, 0.005],
      [6000, 0.003],
      [10_000, 0.002],
      [14_000, 0.0015],
      [17_000, 0.0005],
      [19_000, 0.0003],
      [21_000, 0.0002],
      [22_500, 0.00005],
      [23_500, 0.00003],
      [24_500, 0.00002],
    ] as const;
    for (const [step, rate] of peaks) expect(lr(step), `step ${step}`).toBeCloseTo(rate, 10);
    for (const [step, rate] of [
      [0, 1e-3],
      [16_000, 1e-4],
      [22_000, 1e-5],
    ] as const) {
      expect(lr(step), `step ${step}`).toBeCloseTo(rate, 12);
    }
  });

  it("fixed is Caffe's chain of solvers, scaled by --lr", () => {
    const at = [0, 59_999, 60_000, 64_999, 65_000, 69_999];
    const close = (value: number): unknown => expect.closeTo(value, 12);
    expect(at.map(choose('fixed'))).toEqual([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5].map(close));
    expect(at.map(choose('fixed', { lr: 0.002 }))).toEqual([2e-3, 2e-3, 2e-4, 2e-4, 2e-5, 2e-5].map(close));
  });

  it('the cyclical ones take bounds and step size', () => {
    expect(choose('triangular')(6000)).toBeCloseTo(0.006);
    expect(choose('triangular2')(6000)).toBeCloseTo(0.0035);
    expect(choose('exp-range')(6000)).toBeCloseTo(0.001 + 0.005 * 0.99994 ** 6000);
    expect(choose('triangular', { base: 0.1, max: 0.2, stepSize: 10 })(10)).toBeCloseTo(0.2);
    expect(choose('exp-range', { gamma: 0.5, stepSize: 1 })(1)).toBeCloseTo(0.0035);
  });
});

describe('schedules as JSON', () => {
  const json = '{"kind":"decay","base":0.001,"max":0.007,"stepSize":4000}';

  it('come inline, named after their kind', () => {
    const { name, schedule } = chooseSchedule(json, {}, '/');
    expect(schedule(4000)).toBe(0.001);
    expect(name).toBe('decay');
  });

  it('come from a file relative to the current folder, named after the file', async () => {
    const dir = await tempDir();
    writeFileSync(join(dir, 'my rate.json'), json);
    const { name, schedule } = chooseSchedule('my rate.json', {}, dir);
    expect(name).toBe('my-rate');
    expect(schedule(2000)).toBeCloseTo(0.004);
  });
});

describe('what is refused', () => {
  const cases: readonly (readonly [string, string, RateOptions, string])[] = [
    [
      'a name that is none',
      'cosinus',
      {},
      `--schedule 'cosinus': neither a name nor JSON, and the file does not exist (names: ${scheduleNames.join(', ')};`,
    ],
    [
      'an option of another schedule',
      'table2',
      { lr: 1 },
      '--lr 1: it does not apply to --schedule table2, which takes no other options (--lr applies to --schedule fixed)',
    ],
    [
      'an option of other schedules',
      'fixed',
      { max: 1 },
      '--max 1: it does not apply to --schedule fixed, which takes --lr (--max applies to --schedule triangular, --schedule triangular2, --schedule exp-range)',
    ],
    [
      'bounds the wrong way round',
      'triangular',
      { base: 0.01 },
      '--schedule triangular: cyclicLR: base must be below max, got base 0.01 and max 0.006 (swap them?)',
    ],
    ['JSON that is cut off', '{"kind":', {}, '--schedule: not JSON: Unexpected end of JSON input'],
    [
      'a kind that is none',
      '{"kind":"zig"}',
      {},
      "--schedule: scheduleFromJSON: unknown kind 'zig' (known: constant,",
    ],
    [
      'JSON without a kind',
      '{"base":1}',
      {},
      '--schedule: a schedule is a JSON object with a kind, got {"base":1} (kinds: constant,',
    ],
    [
      'options beside JSON',
      '{"kind":"constant","value":1}',
      { lr: 1 },
      '--lr 1: it does not apply to --schedule, which takes no other options',
    ],
  ];
  it.each(cases)('%s', (_what, given, options, message) => {
    expect(() => choose(given, options)).toThrow(message);
    expect(() => choose(given, options)).toThrow(expect.objectContaining({ name: 'UsageError' }));
  });
});
