// What holds for every schedule, whatever its options: drawn at random, nested in each other.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clamp,
  cosine,
  cosineWarmRestarts,
  custom,
  cyclicLR,
  cyclicMomentum,
  decay,
  exponential,
  geometric,
  inv,
  isSchedule,
  join,
  lastCycleEnd,
  linear,
  mirror,
  multistep,
  notices,
  oneCycle,
  oneCycleMomentum,
  poly,
  repeat,
  scale,
  scheduleFromJSON,
  scheduleKinds,
  sigmoid,
  step,
  trapezoid,
  warmup,
  type CyclicOptions,
  type Schedule,
  type ScheduleConfig,
} from 'cyclegrad/schedulers';

const functions = {
  square: (u: number) => u * u,
  inverse: (cycle: number) => 1 / cycle,
  root: (t: number) => 1 / Math.sqrt(t + 1),
};
const named = (name: keyof typeof functions) => ({ name, fn: functions[name] });

const rate = fc.double({ min: 1e-6, max: 1, noNaN: true });
const count = fc.integer({ min: 1, max: 60 });
const gamma = fc.double({ min: 0.5, max: 1, noNaN: true });
const bounds = fc
  .tuple(rate, rate)
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ base: Math.min(a, b), max: Math.max(a, b) }));
const anyStep = fc.nat({ max: 500 });

const shrinking: fc.Arbitrary<Partial<CyclicOptions>> = fc.oneof(
  fc.constantFrom({}, { mode: 'triangular' as const }, { mode: 'triangular2' as const }),
  fc.record({ mode: fc.constant('exp_range' as const), gamma, decays: fc.constant('amplitude' as const) }),
  fc.constantFrom({ scale: named('inverse') }, { scale: named('root'), scaleBy: 'step' as const }),
);
const halves = fc
  .tuple(fc.nat({ max: 20 }), fc.nat({ max: 20 }))
  .filter(([up, down]) => up + down > 0)
  .map(([stepSize, stepSizeDown]) => ({ stepSize, stepSizeDown }));
const window = fc.constantFrom(
  'triangular' as const,
  'parabolic' as const,
  'sinusoidal' as const,
  named('square'),
);
const cyclicOptions: fc.Arbitrary<CyclicOptions> = fc
  .tuple(bounds, halves, window, shrinking)
  .map(([between, lengths, form, height]) => ({ ...between, ...lengths, window: form, ...height }));

const shape = fc
  .record({
    steps: count,
    form: fc.constantFrom('pytorch' as const, 'pytorch-three-phase' as const, 'smith' as const),
    rise: fc.double({ min: 0, max: 0.5, noNaN: true }),
    anneal: fc.constantFrom('cos' as const, 'linear' as const),
  })
  .filter(({ steps, form, rise }) => form === 'pytorch' || (steps > 1 && rise * steps > 1.5)); // less never rises

const simple: fc.Arbitrary<Schedule> = fc.oneof(
  cyclicOptions.map(cyclicLR),
  cyclicOptions.map(cyclicMomentum),
  fc
    .tuple(bounds, count, gamma)
    .map(([b, stepSize, g]) => cyclicLR({ ...b, stepSize, mode: 'exp_range', gamma: g, decays: 'bounds' })),
  fc.tuple(rate, shape).map(([max, rest]) => oneCycle({ max, ...rest })),
  shape.map(oneCycleMomentum),
  fc.tuple(rate, count).map(([max, steps]) => cosine({ max, steps })),
  fc
    .tuple(bounds, count, fc.integer({ min: 1, max: 3 }))
    .map(([{ base, max }, T0, tMult]) => cosineWarmRestarts({ min: base, max, T0, tMult })),
  fc.tuple(rate, rate, count).map(([from, to, steps]) => linear({ from, to, steps })),
  fc.tuple(rate, rate, count).map(([from, to, steps]) => geometric({ from, to, steps })),
  fc.tuple(bounds, count).map(([between, stepSize]) => decay({ ...between, stepSize })),
  fc.tuple(rate, gamma, count).map(([base, g, every]) => step({ base, gamma: g, every })),
  fc
    .tuple(rate, gamma, count)
    .map(([base, g, first]) => multistep({ base, gamma: g, at: [first, first + 7] })),
  fc.tuple(rate, gamma).map(([base, g]) => exponential({ base, gamma: g })),
  fc.tuple(rate, rate, rate).map(([base, g, power]) => inv({ base, gamma: g, power })),
  fc.tuple(rate, rate, count).map(([base, power, steps]) => poly({ base, power, steps })),
  fc.tuple(rate, rate, count).map(([base, g, center]) => sigmoid({ base, gamma: -g, center })),
  fc.tuple(rate, count, count).map(([max, up, down]) => trapezoid({ max, up, down, steps: up + down + 5 })),
  fc.constant(custom(named('root'))),
);

const { schedule } = fc.letrec<{ schedule: Schedule; value: number | Schedule }>((tie) => ({
  value: fc.oneof(rate, tie('schedule')),
  schedule: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    simple,
    fc
      .tuple(tie('value'), count, tie('value'), count)
      .map(([a, first, b, second]) => join([a, b], [first, first + second])),
    fc.tuple(tie('value'), count, tie('value')).map(([a, at, b]) => join([a, b], [at])),
    fc.tuple(fc.nat({ max: 20 }), tie('value')).map(([steps, after]) => warmup(steps, after)),
    fc.tuple(tie('value'), tie('value')).map(([scaled, factor]) => scale(scaled, factor)),
    fc.tuple(tie('value'), bounds).map(([held, { base, max }]) => clamp(held, base, max)),
    fc.tuple(tie('value'), count).map(([repeated, every]) => repeat(repeated, every)),
    fc.tuple(tie('schedule'), bounds).map(([mirrored, { base, max }]) => mirror(mirrored, base, max)),
  ),
}));

const firstValues = (of: Schedule, steps = 80): number[] => Array.from({ length: steps }, (_, t) => of(t));

describe('every schedule', () => {
  it('is a number at every step, however the steps are asked for', () => {
    fc.assert(
      fc.property(schedule, fc.array(anyStep, { maxLength: 30 }), (any, order) => {
        const inOrder = order.toSorted((a, b) => a - b).map((t) => [t, any(t)] as const);
        const expected = new Map(inOrder);
        for (const t of order) {
          expect(Number.isFinite(any(t))).toBe(true);
          expect(any(t)).toBe(expected.get(t));
        }
      }),
    );
  });

  it('comes back from JSON with the same values, cycles and config', () => {
    fc.assert(
      fc.property(schedule, (any) => {
        const text = JSON.stringify(any);
        const back = scheduleFromJSON(JSON.parse(text) as ScheduleConfig, { functions });
        expect(firstValues(back)).toEqual(firstValues(any));
        expect(JSON.stringify(back)).toBe(text);
        expect(lastCycleEnd(back, 100)).toBe(lastCycleEnd(any, 100));
        expect(isSchedule(back)).toBe(true);
      }),
    );
  });

  it('has cycles that are in order, non-empty, and end where lastCycleEnd says', () => {
    fc.assert(
      fc.property(schedule, fc.integer({ min: 1, max: 200 }), (any, steps) => {
        let end = 0;
        let last: number | null = null;
        for (const cycle of any.cycles()) {
          if (cycle.start >= steps) break;
          expect(cycle.start).toBeGreaterThanOrEqual(end);
          expect(cycle.end).toBeGreaterThan(cycle.start);
          end = cycle.end;
          if (cycle.complete && cycle.end <= steps) last = cycle.end;
        }
        expect(lastCycleEnd(any, steps)).toBe(last);
        const codes = last === null ? [] : notices(any, last).map(({ code }) => code);
        expect(codes).not.toContain('stops-mid-cycle');
      }),
    );
  });

  it('has its config frozen, and takes no part in later changes of the options', () => {
    const options = { base: 0.1, gamma: 0.5, at: [10, 20] };
    const dropped = multistep(options);
    options.at[0] = 1;
    expect(dropped(5)).toBe(0.1);
    expect(Object.isFrozen(dropped.config)).toBe(true);
    expect(Object.isFrozen(dropped.config.at)).toBe(true);
  });
});

describe('cyclicLR', () => {
  it('stays between its bounds, is at base where a cycle starts and at max at the first peak', () => {
    fc.assert(
      fc.property(cyclicOptions, anyStep, (options, t) => {
        const cyclic = cyclicLR(options);
        const { base, max } = options;
        expect(cyclic(t)).toBeGreaterThanOrEqual(base * (1 - 1e-12));
        expect(cyclic(t)).toBeLessThanOrEqual(max * (1 + 1e-12));
        const [up, down] = [options.stepSize as number, options.stepSizeDown as number];
        expect(up === 0 || Math.abs(cyclic(3 * (up + down)) - base) < 1e-12).toBe(true);
        const keepsHeight = options.mode === 'triangular' || (!options.mode && !options.scale);
        expect(down === 0 || !keepsHeight || cyclic(up) === max).toBe(true);
      }),
    );
  });

  it('repeats after stepSize + stepSizeDown steps, and halves its height there with triangular2', () => {
    fc.assert(
      fc.property(bounds, halves, window, anyStep, ({ base, max }, lengths, form, t) => {
        const period = lengths.stepSize + lengths.stepSizeDown;
        const options = { base, max, ...lengths, window: form };
        const plain = cyclicLR(options);
        expect(plain(t + period)).toBe(plain(t));
        const halved = cyclicLR({ ...options, mode: 'triangular2' });
        expect(halved(t + period) - base).toBeCloseTo((halved(t) - base) / 2, 12);
      }),
    );
  });

  it('moves momentum the other way: rate and momentum at the same fraction of their bounds', () => {
    fc.assert(
      fc.property(cyclicOptions, anyStep, (options, t) => {
        const lr = cyclicLR({ ...options, base: 0, max: 1 })(t);
        const momentum = cyclicMomentum({ ...options, base: 0.85, max: 0.95 })(t);
        expect(momentum).toBeCloseTo(0.95 - 0.1 * lr, 12);
      }),
    );
  });
});

describe('oneCycle', () => {
  it('stays above 0 and at most max, and ends lowest', () => {
    fc.assert(
      fc.property(rate, shape, (max, options) => {
        const cycle = oneCycle({ max, ...options });
        const values = firstValues(cycle, options.steps + 2);
        for (const value of values) {
          expect(value).toBeGreaterThan(0);
          expect(value).toBeLessThanOrEqual(max * (1 + 1e-12));
          expect(value).toBeGreaterThanOrEqual(values.at(-1) * (1 - 1e-12));
        }
      }),
    );
  });
});

describe('piecewise', () => {
  it('is stages of numbers', () => {
    fc.assert(
      fc.property(rate, rate, count, anyStep, (a, b, at, t) => {
        expect(join([a, b], [at, at + 3])(t)).toBe(t < at ? a : b);
      }),
    );
  });
});

it('every kind in the table is reached by the schedules above', () => {
  const seen = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('kind' in value && typeof value.kind === 'string') seen.add(value.kind);
    Object.values(value).forEach(visit);
  };
  for (const any of fc.sample(schedule, { numRuns: 2000, seed: 1 })) visit(any.config);
  // These have no config of their own: they are other kinds under the paper's names, or what numbers become.
  const aliases = ['constant', 'decay', 'cyclicMomentum'];
  expect([...seen, ...aliases].toSorted()).toEqual(scheduleKinds.toSorted());
});
