// Values that are known: the paper's tables, first and last steps, every documented example.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as schedulers from 'cyclegrad/schedulers';
import {
  clamp,
  constant,
  cosine,
  cosineWarmRestarts,
  cyclicLR,
  decay,
  exponential,
  geometric,
  inv,
  join,
  linear,
  mirror,
  multistep,
  oneCycle,
  oneCycleMomentum,
  poly,
  repeat,
  scale,
  sigmoid,
  step,
  trapezoid,
  warmup,
  type Schedule,
} from 'cyclegrad/schedulers';

const table2 = join(
  [
    cyclicLR({ base: 1e-3, max: 5e-3, stepSize: 2000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-4, max: 5e-4, stepSize: 1000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-5, max: 5e-5, stepSize: 500, mode: 'triangular2' }),
  ],
  [16_000, 22_000, 25_000],
);

/** The steps at which a schedule has another value than the table. */
function mismatches(
  schedule: Schedule,
  table: readonly (readonly [step: number, value: number])[],
): string[] {
  return table
    .filter(([at, value]) => !(Math.abs(schedule(at) - value) < 1e-12))
    .map(([at, value]) => `step ${at}: ${schedule(at)} instead of ${value}`);
}

describe('the paper', () => {
  it('gives the peaks of Table 2, each stage beginning a new cycle', () => {
    expect(
      mismatches(table2, [
        [0, 0.001],
        [2000, 0.005],
        [6000, 0.003],
        [10_000, 0.002],
        [14_000, 0.0015],
        [16_000, 0.0001],
        [17_000, 0.0005],
        [19_000, 0.0003],
        [21_000, 0.0002],
        [22_000, 0.00001],
        [22_500, 0.00005],
        [23_500, 0.00003],
        [24_500, 0.00002],
      ]),
    ).toEqual([]);
  });

  it('stays at the rate of the last step after the last stage', () => {
    expect(table2(25_000)).toBe(table2(24_999));
    expect(table2(1e9)).toBe(table2(24_999));
  });

  const bounds = { base: 0.001, max: 0.006, stepSize: 2000 };

  it('triangular and triangular2 have the values of the formula', () => {
    const steps = [0, 1000, 2000, 3000, 4000, 6000, 10_000];
    const triangular = [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.006, 0.006];
    const triangular2 = [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035, 0.00225];
    expect(
      mismatches(
        cyclicLR(bounds),
        steps.map((at, i) => [at, triangular[i]]),
      ),
    ).toEqual([]);
    expect(
      mismatches(
        cyclicLR({ ...bounds, mode: 'triangular2' }),
        steps.map((at, i) => [at, triangular2[i]]),
      ),
    ).toEqual([]);
  });

  it('exp_range shrinks the amplitude by default and both bounds on request', () => {
    const gamma = 0.99994;
    const amplitude = cyclicLR({ ...bounds, mode: 'exp_range', gamma });
    const both = cyclicLR({ ...bounds, mode: 'exp_range', gamma, decays: 'bounds' });
    expect(amplitude(40_000)).toBeCloseTo(0.001, 12);
    expect(both(40_000)).toBeCloseTo(0.001 * gamma ** 40_000, 12);
    expect(amplitude(42_000)).toBeCloseTo(0.001 + 0.005 * gamma ** 42_000, 12);
    expect(both(42_000)).toBeCloseTo(0.006 * gamma ** 42_000, 12);
    expect(both(42_000) / 0.006).toBeCloseTo(0.0805, 4);
  });

  it('decay falls to base over stepSize and stays', () => {
    const rate = decay({ base: 0.001, max: 0.007, stepSize: 4000 });
    expect(
      mismatches(rate, [
        [0, 0.007],
        [2000, 0.004],
        [4000, 0.001],
        [25_000, 0.001],
      ]),
    ).toEqual([]);
  });

  it('exp has the factors of the paper', () => {
    const rate = exponential({ base: 1, gamma: 0.99994 });
    expect(rate(25_000)).toBeCloseTo(0.2231, 4);
    expect(rate(42_000)).toBeCloseTo(0.0805, 4);
    expect(rate(70_000)).toBeCloseTo(0.015, 4);
  });

  it('the fixed rate of Table 1 drops at the very steps of the solver chain, written either way', () => {
    const caffe = multistep({ base: 0.001, gamma: 0.1, at: [60_000, 65_000] });
    const chain = join([0.001, 0.0001, 0.00001], [60_000, 65_000, 70_000]);
    for (const at of [0, 59_999, 60_000, 64_999, 65_000, 69_999])
      expect(caffe(at)).toBeCloseTo(chain(at), 15);
    expect(chain(59_999)).toBe(0.001);
    expect(chain(60_000)).toBe(0.0001);
    expect(chain(70_000)).toBe(0.00001);
  });

  it('the range test reaches its end exactly', () => {
    const range = linear({ from: 0, to: 0.02, steps: 4000 });
    expect([range(0), range(200), range(4000)]).toEqual([0, 0.001, 0.02]);
  });
});

describe('windows', () => {
  const at = { base: 0, max: 1, stepSize: 4 } as const;

  it('agree at the ends and the peak, and differ between', () => {
    for (const window of ['triangular', 'parabolic', 'sinusoidal'] as const) {
      expect(
        mismatches(cyclicLR({ ...at, window }), [
          [0, 0],
          [4, 1],
          [8, 0],
        ]),
      ).toEqual([]);
    }
    expect(cyclicLR({ ...at, window: 'parabolic' })(2)).toBeCloseTo(0.75, 12);
    expect(cyclicLR({ ...at, window: 'parabolic' })(1)).toBeCloseTo(1 - 0.75 ** 2, 12);
    expect(cyclicLR({ ...at, window: 'sinusoidal' })(1)).toBeCloseTo(Math.sin(Math.PI / 8) ** 2, 12);
  });

  it('may be your own, as may the height by cycle (from 1) or by step (from 0)', () => {
    expect(cyclicLR({ ...at, window: { name: 'square', fn: (u) => u * u } })(2)).toBe(0.25);
    const byCycle = cyclicLR({ ...at, scale: { name: 'inverse', fn: (cycle) => 1 / cycle } });
    expect([byCycle(4), byCycle(12), byCycle(20)]).toEqual([1, 1 / 2, 1 / 3]);
    const byStep = cyclicLR({ ...at, scale: { name: 'half', fn: (t) => 0.5 ** t }, scaleBy: 'step' });
    expect(byStep(4)).toBe(1 / 16);
  });
});

describe("Caffe's policies", () => {
  it('have the values of its source', () => {
    expect(
      mismatches(step({ base: 0.1, gamma: 0.1, every: 100 }), [
        [99, 0.1],
        [100, 0.01],
        [200, 0.001],
      ]),
    ).toEqual([]);
    expect(
      mismatches(inv({ base: 0.01, gamma: 0.0001, power: 0.75 }), [
        [0, 0.01],
        [10_000, 0.01 * 2 ** -0.75],
      ]),
    ).toEqual([]);
    expect(
      mismatches(poly({ base: 0.01, power: 0.5, steps: 100 }), [
        [0, 0.01],
        [75, 0.005],
        [100, 0],
        [101, 0],
      ]),
    ).toEqual([]);
    expect(
      mismatches(sigmoid({ base: 1, gamma: -1, center: 10 }), [
        [10, 0.5],
        [11, 1 / (1 + Math.E)],
        [100_000, 0],
      ]),
    ).toEqual([]);
  });
});

describe('first and last steps', () => {
  it('warm restarts begin at max and restart at max (pytorch#23480)', () => {
    const rate = cosineWarmRestarts({ max: 0.1, min: 0.01, T0: 10, tMult: 2 });
    expect([0, 10, 30, 70].map(rate)).toEqual([0.1, 0.1, 0.1, 0.1]);
    expect(rate(9)).toBeGreaterThan(0.01);
    expect(rate(9)).toBeLessThan(0.013);
  });

  it('cosine reaches its minimum exactly and stays', () => {
    const rate = cosine({ max: 0.1, min: 0.001, steps: 10 });
    expect([rate(0), rate(10), rate(11)]).toEqual([0.1, 0.001, 0.001]);
  });

  it('one cycle starts at max / div, peaks once, and ends at max / div / finalDiv, and stays (pytorch#38170)', () => {
    const rate = oneCycle({ max: 0.1, steps: 100 });
    expect(rate(0)).toBeCloseTo(0.004, 15);
    expect(rate(29)).toBe(0.1);
    expect(rate(99)).toBeCloseTo(4e-7, 18);
    expect(rate(100)).toBe(rate(99));
    expect(rate(5000)).toBe(rate(99));
  });

  it('a rise of up to one step is left out: the cycle begins at the top', () => {
    for (const rise of [0, 0.05, 0.1]) {
      const rate = oneCycle({ max: 1, steps: 10, rise, anneal: 'linear', finalDiv: 1 });
      expect(
        mismatches(rate, [
          [0, 1],
          [3, 0.04 * (3 / 9) + 6 / 9],
          [9, 0.04],
        ]),
      ).toEqual([]);
      expect(oneCycleMomentum({ steps: 10, rise })(0)).toBe(0.85);
    }
    // Of one and a half steps the top lies between steps 0 and 1, as in PyTorch.
    const between = oneCycle({ max: 1, steps: 10, rise: 0.15, anneal: 'linear', finalDiv: 1 });
    const p = (1 - 0.5) / (9 - 0.5);
    expect(
      mismatches(between, [
        [0, 0.04],
        [1, 1 - p + 0.04 * p],
        [9, 0.04],
      ]),
    ).toEqual([]);
  });

  it("Smith's one cycle falls towards 0, then stays at base / 1000", () => {
    const options = { steps: 9277, form: 'smith', rise: 4003 / 9277 } as const;
    const rate = oneCycle({ max: 0.8, ...options });
    const momentum = oneCycleMomentum({ low: 0.8, high: 0.95, ...options });
    expect(
      mismatches(rate, [
        [0, 0.08],
        [4003, 0.8],
        [8005, 0.8 / 4003],
        [8006, 0.00008],
        [9276, 0.00008],
      ]),
    ).toEqual([]);
    expect(
      mismatches(momentum, [
        [0, 0.95],
        [4003, 0.8],
        [8006, 0.95],
        [9276, 0.95],
      ]),
    ).toEqual([]);
  });

  it('warmup wastes no update on a rate of 0 and meets the schedule without a jump', () => {
    const rate = warmup(4, linear({ from: 1, to: 0, steps: 10 }));
    expect(
      mismatches(rate, [
        [0, 0.2],
        [3, 0.8],
        [4, 1],
        [5, 0.9],
        [14, 0],
      ]),
    ).toEqual([]);
    expect(warmup(0, 0.5)(0)).toBe(0.5);
  });

  it('trapezoid rises, holds and falls', () => {
    const rate = trapezoid({ max: 1, steps: 10, up: 2, down: 4 });
    expect(Array.from({ length: 12 }, (_, t) => rate(t))).toEqual([
      0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0,
    ]);
  });

  it('join, scale, clamp, repeat and mirror do what they say', () => {
    const fall = linear({ from: 1, to: 0, steps: 4 });
    const first6 = (schedule: Schedule): number[] => [0, 1, 2, 3, 4, 5].map(schedule);
    expect(first6(join([fall, fall], [2]))).toEqual([1, 0.75, 1, 0.75, 0.5, 0.25]);
    expect(first6(scale(fall, 0.5))).toEqual([0.5, 0.375, 0.25, 0.125, 0, 0]);
    expect(first6(scale(fall, fall))).toEqual([1, 0.5625, 0.25, 0.0625, 0, 0]);
    expect(first6(clamp(fall, 0.3, 0.6))).toEqual([0.6, 0.6, 0.5, 0.3, 0.3, 0.3]);
    expect(first6(repeat(fall, 3))).toEqual([1, 0.75, 0.5, 1, 0.75, 0.5]);
    expect(first6(mirror(fall, 0, 1))).toEqual([0, 0.25, 0.5, 0.75, 1, 1]);
  });
});

// First value, the one before the end and the end itself by the documented formulas; past the end nothing moves.
it.each([
  ['linear', linear({ from: 0.1, to: 0.7, steps: 6 }), 6, [0.1, 0.1 + (0.6 * 5) / 6, 0.7]],
  ['geometric', geometric({ from: 1e-6, to: 0.3, steps: 7 }), 7, [1e-6, 1e-6 * 3e5 ** (6 / 7), 0.3]],
  ['decay', decay({ base: 0.1, max: 0.7, stepSize: 3 }), 3, [0.7, 0.7 - (0.6 * 2) / 3, 0.1]],
  [
    'cosine',
    cosine({ max: 0.7, min: 0.1, steps: 3 }),
    3,
    [0.7, 0.1 + (0.6 * (1 + Math.cos((Math.PI * 2) / 3))) / 2, 0.1],
  ],
  ['poly', poly({ base: 0.7, power: 2, steps: 3 }), 3, [0.7, 0.7 / 9, 0]],
  [
    'trapezoid',
    trapezoid({ max: 0.7, start: 0.1, end: 0.3, steps: 9, up: 3, down: 3 }),
    9,
    [0.1, 0.7 / 3 + 0.6 / 3, 0.3],
  ],
  ['warmup', warmup(3, 0.7), 3, [0.7 / 4, (0.7 * 3) / 4, 0.7]],
] as const)('%s begins and ends where it says', (_, schedule, end, [first, before, last]) => {
  expect(
    mismatches(schedule, [
      [0, first],
      [end - 1, before],
      [end, last],
    ]),
  ).toEqual([]);
  expect([schedule(0), schedule(end), schedule(end + 1)]).toEqual([schedule(0), last, last]);
});

describe('phases of no width', () => {
  it('sawtooth cycles', () => {
    const up = cyclicLR({ base: 0, max: 1, stepSize: 4, stepSizeDown: 0 });
    const down = cyclicLR({ base: 0, max: 1, stepSize: 0, stepSizeDown: 4 });
    expect([0, 1, 2, 3, 4, 5].map(up)).toEqual([0, 0.25, 0.5, 0.75, 0, 0.25]);
    expect([0, 1, 2, 3, 4, 5].map(down)).toEqual([1, 0.75, 0.5, 0.25, 1, 0.75]);
  });

  it('one cycle of very few steps is finite everywhere (pytorch#180187)', () => {
    for (const form of ['pytorch', 'pytorch-three-phase', 'smith'] as const) {
      for (const anneal of ['cos', 'linear'] as const) {
        for (const rise of [0, 0.3, 0.5]) {
          for (let steps = 1; steps <= 6; steps++) {
            if (form === 'pytorch-three-phase' && rise * steps <= 1.5) continue;
            if (form === 'smith' && (steps === 1 || Math.round(rise * steps) === 0)) continue;
            const rate = oneCycle({ max: 1, steps, form, rise, anneal });
            for (let t = 0; t <= steps + 1; t++) {
              expect(rate(t), `${form} ${anneal} rise ${rise}, ${steps} steps, step ${t}`).toBeGreaterThan(0);
              expect(rate(t)).toBeLessThanOrEqual(1);
            }
          }
        }
      }
    }
  });

  it('trapezoid without a rise or a fall', () => {
    const level = trapezoid({ max: 1, steps: 3, up: 0, down: 0 });
    expect([0, 1, 2, 3].map(level)).toEqual([1, 1, 1, 0]);
  });
});

describe('step counts', () => {
  it('may be given in epochs', () => {
    const rate = cyclicLR({ base: 0.001, max: 0.006, stepSize: { epochs: 4, stepsPerEpoch: 500 } });
    expect(rate.config.stepSize).toBe(2000);
    expect(join([1], [{ epochs: 2, stepsPerEpoch: 10 }]).config.boundaries).toEqual([20]);
    expect(geometric({ from: 1, to: 2, steps: { epochs: 0.001, stepsPerEpoch: 10 } }).config.steps).toBe(1);
  });
});

describe('documented examples', () => {
  const folder = new URL('../../schedulers/', import.meta.url);
  const examples = readdirSync(folder).flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(/@example (.+) \/\/ (.+)/g)].map(
      ([, code, result]) => [`${file}: ${code}`, code, result] as const,
    ),
  );

  it('are found', () => expect(examples.length).toBeGreaterThan(30));

  it.each(examples)('%s', (_, code, result) => {
    // The text is ours: the doc comments of schedulers/.
    const evaluate = (text: string): unknown =>
      // oxlint-disable-next-line typescript/no-implied-eval -- running the examples is the point
      new Function(...Object.keys(schedulers), `return (${text})`)(...Object.values(schedulers));
    const [got, wanted] = [evaluate(code), evaluate(result)];
    expect(Number.isFinite(got) ? Number((got as number).toPrecision(12)) : got).toEqual(wanted);
  });

  it('constant is constant', () => expect([0, 1e9].map(constant(0.1))).toEqual([0.1, 0.1]));
});
