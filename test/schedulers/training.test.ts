// Schedules as training meets them: where to stop, what looks odd, resuming, saving; the complaints that other libraries got.

import { describe, expect, it } from 'vitest';
import {
  boundsFromMax,
  constant,
  cosineWarmRestarts,
  cyclicLR,
  decay,
  join,
  lastCycleEnd,
  notices,
  oneCycle,
  plateau,
  repeat,
  scale,
  scheduleFromJSON,
  stepSizeFromEpochs,
  warmup,
  type PlateauState,
  type Schedule,
  type ScheduleConfig,
} from 'cyclegrad/schedulers';

const codes = (schedule: Schedule, steps: number): string[] =>
  notices(schedule, steps).map(({ code }) => code);
const cyclic = cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 });
const table2 = join(
  [
    cyclicLR({ base: 1e-3, max: 5e-3, stepSize: 2000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-4, max: 5e-4, stepSize: 1000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-5, max: 5e-5, stepSize: 500, mode: 'triangular2' }),
  ],
  [16_000, 22_000, 25_000],
);

describe('lastCycleEnd', () => {
  it('stops at the end of a cycle', () => {
    expect(lastCycleEnd(cyclic, 25_000)).toBe(24_000);
    expect(lastCycleEnd(cyclic, 24_000)).toBe(24_000);
    expect(lastCycleEnd(cyclic, 3999)).toBe(null);
    expect(lastCycleEnd(cosineWarmRestarts({ max: 1, T0: 10, tMult: 2 }), 100)).toBe(70);
    expect(lastCycleEnd(oneCycle({ max: 1, steps: 100 }), 150)).toBe(100);
    expect(lastCycleEnd(constant(1), 100)).toBe(null);
  });

  it('sees through schedules made of schedules', () => {
    expect(lastCycleEnd(table2, 25_000)).toBe(25_000);
    expect(lastCycleEnd(table2, 17_999)).toBe(16_000);
    expect(lastCycleEnd(warmup(500, cyclic), 10_000)).toBe(8500);
    expect(lastCycleEnd(scale(cyclic, 0.1), 10_000)).toBe(8000);
    expect(lastCycleEnd(repeat(decay({ base: 0.1, max: 1, stepSize: 100 }), 100), 250)).toBe(200);
    // The first part is cut off in its second cycle, which therefore never ends.
    expect(lastCycleEnd(join([cyclic, 0.1], [6000]), 50_000)).toBe(4000);
  });
});

describe('notices', () => {
  it('has nothing to say about the paper', () => {
    expect(notices(table2, 25_000)).toEqual([]);
    expect(notices(constant(0.1), 70_000)).toEqual([]);
    expect(notices(0.1, 70_000)).toEqual([]);
    expect(notices(decay({ base: 0.001, max: 0.007, stepSize: 4000 }), 25_000)).toEqual([]);
  });

  it('says that training stops mid-cycle, and which lengths would not', () => {
    expect(notices(cyclic, 42_000)).toEqual([
      {
        code: 'stops-mid-cycle',
        message:
          'training stops at step 42,000, in the middle of a cycle (cycles end at steps 40,000 and 44,000)',
      },
    ]);
    expect(codes(oneCycle({ max: 1, steps: 100 }), 90)).toEqual(['stops-mid-cycle']);
  });

  it('says that a boundary lies inside a cycle', () => {
    expect(codes(join([cyclic, cyclic], [5000, 9000]), 9000)).toEqual(['boundary-mid-cycle']);
  });

  it('says that training outlasts the schedule', () => {
    expect(codes(table2, 70_000)).toEqual(['past-the-last-cycle']);
    expect(codes(oneCycle({ max: 1, steps: 100 }), 101)).toEqual(['past-the-last-cycle']);
  });

  it('says that the amplitude has vanished: triangular2 with very short cycles (bckenstler/CLR#8)', () => {
    const short = cyclicLR({ base: 0.001, max: 0.006, stepSize: 50, mode: 'triangular2' });
    expect(notices(short, 2000)).toEqual([
      {
        code: 'amplitude-vanished',
        message:
          'the cycle that starts at step 700 has 0.78% of the amplitude of the first (use longer cycles, or a mode that shrinks less)',
      },
    ]);
    expect(codes(short, 700)).toEqual([]);
    const fast = cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000, mode: 'exp_range', gamma: 0.99 });
    expect(codes(fast, 8000)).toEqual(['amplitude-vanished']);
  });
});

describe('the advice of the paper', () => {
  it('as numbers', () => {
    expect(stepSizeFromEpochs(8, 500)).toBe(4000);
    expect(stepSizeFromEpochs(2.5, 391)).toBe(978);
    expect(boundsFromMax(0.006)).toEqual({ base: 0.002, max: 0.006 });
    expect(boundsFromMax(0.006, 1 / 4)).toEqual({ base: 0.0015, max: 0.006 });
  });
});

describe('resuming', () => {
  it('needs the config and the step, nothing else (pytorch#65342, #88684)', () => {
    const saved = JSON.stringify({ lr: table2, step: 17_345 });
    const { lr, step } = JSON.parse(saved) as { lr: ScheduleConfig; step: number };
    const resumed = scheduleFromJSON(lr);
    for (let t = step; t < step + 50; t++) expect(resumed(t)).toBe(table2(t));
  });

  it('keeps custom functions by name (pytorch#88684: lambdas could not be saved)', () => {
    const functions = { fifth: (cycle: number) => 0.2 ** (cycle - 1) };
    const lr = cyclicLR({ base: 0, max: 1, stepSize: 5, scale: { name: 'fifth', fn: functions.fifth } });
    expect(lr.config.scale).toEqual({ name: 'fifth' });
    expect(scheduleFromJSON(lr.config, { functions })(15)).toBe(lr(15));
  });

  it('writes every default into the config, so that a later change of defaults changes no old run', () => {
    expect(cyclic.config).toEqual({
      kind: 'cyclicLR',
      base: 0.001,
      max: 0.006,
      stepSize: 2000,
      stepSizeDown: 2000,
      mode: 'triangular',
      window: 'triangular',
    });
  });

  it('takes a number where a number was saved', () => expect(scheduleFromJSON(0.9)(7)).toBe(0.9));
});

describe('plateau', () => {
  const reduce = plateau({ start: 0.1, patience: 1, cooldown: 2, min: 0.005 });

  it('is pure, and its state survives JSON at any point', () => {
    const metrics = [3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1];
    let state: PlateauState = reduce.initial;
    let saved = state;
    const values: number[] = [];
    for (const metric of metrics) {
      const before = JSON.stringify(state);
      const next = reduce(state, metric);
      expect(JSON.stringify(state)).toBe(before);
      expect(reduce(state, metric)).toEqual(next);
      state = next;
      const rebuilt = plateau(JSON.parse(JSON.stringify(reduce)) as typeof reduce.config);
      saved = rebuilt(JSON.parse(JSON.stringify(saved)) as PlateauState, metric);
      expect(saved).toEqual(state);
      values.push(state.value);
    }
    expect(values[2]).toBe(0.1);
    expect(values[3]).toBeCloseTo(0.01, 15);
    expect(values.at(-1)).toBe(0.005);
  });

  it('may watch a metric that falls below 0', () => {
    const watch = plateau({ start: 1, patience: 0 });
    const better = watch(watch(watch.initial, -1), -2);
    expect(better).toEqual({ value: 1, best: -2, bad: 0, cooldown: 0 });
  });
});
