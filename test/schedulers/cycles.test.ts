/** The cycles from a given step on, and the advice about very long runs, which must not look at every cycle. */
import { describe, expect, it } from 'vitest';
import {
  clamp,
  cosineWarmRestarts,
  cyclicLR,
  cyclicMomentum,
  join,
  lastCycleEnd,
  linear,
  multistep,
  notices,
  oneCycle,
  repeat,
  scale,
  scheduleFromJSON,
  warmup,
  type Cycle,
  type Schedule,
  type ScheduleConfig,
} from 'cyclegrad/schedulers';

const cyclic = cyclicLR({
  base: 0.001,
  max: 0.006,
  stepSize: 7,
  stepSizeDown: 3,
  mode: 'exp_range',
  gamma: 0.999,
});
const ramp = linear({ from: 0, to: 1, steps: 5 });

const schedules: readonly (readonly [string, Schedule])[] = [
  ['cyclicLR', cyclic],
  ['cyclicMomentum', cyclicMomentum({ base: 0.8, max: 0.9, stepSize: 4 })],
  ['cosineWarmRestarts', cosineWarmRestarts({ max: 1, T0: 6 })],
  ['cosineWarmRestarts, growing', cosineWarmRestarts({ max: 1, T0: 3, tMult: 2 })],
  ['oneCycle', oneCycle({ max: 1, steps: 30 })],
  ['linear', ramp],
  ['join', join([cyclic, ramp, cyclicLR({ base: 0, max: 1, stepSize: 2 })], [25, 33, 60])],
  ['warmup', warmup(11, cyclic)],
  ['scale', scale(cyclic, 2)],
  ['clamp', clamp(cyclic, 0, 0.003)],
  ['repeat of a ramp', repeat(ramp, 4)],
  ['repeat of cycles', repeat(cyclic, 24)],
];

/** The cycles that begin before step 100. */
function upTo100(cycles: Iterable<Cycle>): Cycle[] {
  const found: Cycle[] = [];
  for (const cycle of cycles) {
    if (cycle.start >= 100) break;
    found.push(cycle);
  }
  return found;
}

describe('cycles', () => {
  it.each(schedules)('%s: those from a step on are the ones that end after it', (_, schedule) => {
    const all = upTo100(schedule.cycles());
    for (let from = 0; from < 100; from++) {
      expect(upTo100(schedule.cycles(from))).toEqual(all.filter(({ end }) => end > from));
    }
  });

  it('refuses a step that is none', () => {
    expect(() => [...ramp.cycles(-1)]).toThrow('linear: cycles: from must be an integer >= 0, got -1');
  });
});

describe('a run of a billion steps', () => {
  const steps = 1_000_000_000;
  const short = cyclicLR({ base: 0, max: 1, stepSize: 1, stepSizeDown: 2 });

  it('has its last cycle end, wherever it is', () => {
    expect(lastCycleEnd(short, steps)).toBe(999_999_999);
    // Far from the end, behind a constant part.
    expect(lastCycleEnd(join([short, 0.1], [500_000_000]), steps)).toBe(499_999_998);
    expect(lastCycleEnd(join([short, 0.1], [3]), steps)).toBe(3);
    expect(lastCycleEnd(ramp, steps)).toBe(null);
  });

  it('has its notices', () => {
    expect(notices(short, steps)).toEqual([
      {
        code: 'stops-mid-cycle',
        message:
          'training stops at step 1,000,000,000, in the middle of a cycle (cycles end at steps 999,999,999 and 1,000,000,002)',
      },
    ]);
    expect(notices(join([short, 0.1], [600_000_000]), steps).map(({ message }) => message)).toEqual([
      'the last cycle ends at step 600000000, but training continues to step 1000000000',
    ]);
    const shrinking = cyclicLR({ base: 0, max: 1, stepSize: 1, mode: 'exp_range', gamma: 1 - 1e-8 });
    expect(notices(shrinking, steps).map(({ code }) => code)).toEqual(['amplitude-vanished']);
  });
});

it('a list with a missing entry is refused', () => {
  // oxlint-disable-next-line no-sparse-arrays -- the mistake
  const holes = [10, , 20] as number[];
  expect(() => multistep({ base: 1, gamma: 0.1, at: holes })).toThrow(
    'multistep: at[1] must be an integer >= 1, got undefined',
  );
  expect(() => join([1, 2, 3], holes)).toThrow('join: boundaries[1] must be an integer >= 1, got undefined');
});

describe('cosineWarmRestarts', () => {
  it('is the same by its former name', () => {
    const [now, former] = [
      cosineWarmRestarts({ max: 1, steps: 4, tMult: 2 }),
      cosineWarmRestarts({ max: 1, T0: 4, tMult: 2 }),
    ];
    expect(now.config).toEqual(former.config);
    expect([0, 3, 4, 11, 12].map(now)).toEqual([0, 3, 4, 11, 12].map(former));
  });

  it('takes the lengths of cycles, and lowers the peaks', () => {
    const rate = cosineWarmRestarts({ max: 9, min: 1, steps: [2, 4, 3], decay: 0.5, tMult: 2 });
    // Cycles begin at 0, 2, 6, 9 and 15, with the peaks 9, 5, 3, 2 and 1.5.
    expect([0, 1, 2, 4, 6, 9, 12, 15].map(rate)).toEqual(
      [9, 5, 5, 3, 3, 2, 1.5, 1.5].map((x) => expect.closeTo(x, 12)),
    );
    expect(Array.from(take(rate.cycles(), 4), ({ start, end }) => [start, end])).toEqual([
      [0, 2],
      [2, 6],
      [6, 9],
      [9, 15],
    ]);
    expect(Array.from(take(rate.cycles(), 3), ({ relativeAmplitude }) => relativeAmplitude)).toEqual([
      1, 0.5, 0.25,
    ]);
    expect(scheduleFromJSON(JSON.parse(JSON.stringify(rate)) as ScheduleConfig)(12)).toBeCloseTo(1.5, 12);
  });

  it('repeats the last length without growth', () => {
    const rate = cosineWarmRestarts({ max: 1, steps: [5, 2], decay: 0.5 });
    expect([5, 7, 9, 11].map(rate)).toEqual([0.5, 0.25, 0.125, 0.0625]);
  });

  it('refuses both names', () => {
    expect(() => cosineWarmRestarts({ max: 1, steps: 2, T0: 2 })).toThrow(
      'cosineWarmRestarts: got both steps and T0, its former name (give steps)',
    );
    expect(() => cosineWarmRestarts({ max: 1 })).toThrow(
      'cosineWarmRestarts: steps must be an integer >= 1, got undefined',
    );
  });
});

function* take<T>(values: Iterable<T>, count: number): Generator<T> {
  for (const value of values) {
    if (count-- <= 0) return;
    yield value;
  }
}
