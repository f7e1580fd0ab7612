/** Schedules against torch.optim.lr_scheduler, over whole runs. */
import * as schedulers from 'cyclegrad/schedulers';
import type { Attrs, ScheduleCase } from './case.ts';
import type { Draws } from './draws.ts';

type Draw = (draws: Draws, steps: number) => Attrs;

const rate = (draws: Draws): number => draws.short(0.01, 1);
const low = (draws: Draws): number => draws.short(0, 0.009);

/** Options of each schedule. */
const kinds: Readonly<Record<string, Draw>> = {
  cyclicLR: (draws) => ({
    base: low(draws),
    max: rate(draws),
    stepSize: draws.integer(1, 40),
    stepSizeDown: draws.integer(1, 40),
    ...draws.pick<Attrs>([
      { mode: 'triangular' },
      { mode: 'triangular2' },
      { mode: 'exp_range', gamma: draws.pick([0.99, 0.9994, 1]) },
    ]),
  }),
  cyclicMomentum: (draws) => ({
    base: 0.8,
    max: 0.95,
    stepSize: draws.integer(1, 40),
    stepSizeDown: draws.integer(1, 40),
    ...draws.pick<Attrs>([
      { mode: 'triangular' },
      { mode: 'triangular2' },
      { mode: 'exp_range', gamma: 0.99 },
    ]),
  }),
  oneCycle: (draws, steps) => ({
    ...oneCycle(draws, steps),
    max: rate(draws),
    div: draws.pick([25, 10, 1]),
    finalDiv: draws.pick([1e4, 100, 1]),
  }),
  oneCycleMomentum: (draws, steps) => ({ ...oneCycle(draws, steps), low: 0.85, high: 0.95 }),
  cosine: (draws, steps) => ({ max: rate(draws), min: low(draws), steps }),
  cosineWarmRestarts: (draws) => ({
    max: rate(draws),
    min: low(draws),
    T0: draws.integer(1, 30),
    tMult: draws.integer(1, 3),
  }),
  linear: (draws) => ({ from: rate(draws), to: rate(draws), steps: draws.integer(1, 60) }),
  geometric: (draws) => ({ from: rate(draws), to: rate(draws), steps: draws.integer(1, 60) }),
  decay: (draws) => ({ base: low(draws), max: rate(draws), stepSize: draws.integer(1, 60) }),
  step: (draws) => ({ base: rate(draws), gamma: draws.pick([0.1, 0.5, 0.97]), every: draws.integer(1, 30) }),
  multistep: (draws) => ({
    base: rate(draws),
    gamma: draws.pick([0.1, 0.5]),
    at: [draws.integer(1, 20), draws.integer(21, 40), draws.integer(41, 90)],
  }),
  exponential: (draws) => ({ base: rate(draws), gamma: draws.pick([0.9, 0.99, 0.9995, 1]) }),
  inv: (draws) => ({ base: rate(draws), gamma: draws.short(0, 0.1), power: draws.pick([0.75, 1, 2]) }),
  poly: (draws, steps) => ({ base: rate(draws), power: draws.pick([1, 0.5, 2]), steps }),
  sigmoid: (draws) => ({ base: rate(draws), gamma: draws.pick([-0.1, 0.05]), center: draws.integer(0, 60) }),
  trapezoid: (draws, steps) => ({
    max: rate(draws),
    steps,
    up: draws.integer(0, Math.floor(steps / 2)),
    down: draws.integer(0, Math.floor(steps / 2)),
    start: low(draws),
    end: low(draws),
  }),
};

/** Rises of more than one step: docs/notes/differential.md has the difference for shorter ones. */
function oneCycle(draws: Draws, steps: number): Attrs {
  const three = draws.chance(0.4);
  const least = 3 / steps;
  const rise = Math.max(least, draws.short(0.05, three ? 0.5 : 0.9));
  return {
    steps,
    form: three ? 'pytorch-three-phase' : 'pytorch',
    rise: Math.min(rise, three ? 0.5 : 0.9),
    anneal: draws.pick(['cos', 'linear']),
  };
}

/** Schedules made of schedules, and those that no run uses by itself. */
const leftOut = new Set(
  [
    'constant custom asSchedule isSchedule scheduleFromJSON',
    'join warmup scale clamp repeat mirror',
    'boundsFromMax stepSizeFromEpochs lastCycleEnd notices plateau',
  ].flatMap((names) => names.split(' ')),
);

export function uncoveredSchedules(): readonly string[] {
  return Object.entries(schedulers)
    .filter(([name, value]) => typeof value === 'function' && !(name in kinds) && !leftOut.has(name))
    .map(([name]) => name);
}

export function drawSchedule(draws: Draws): ScheduleCase {
  const schedule = draws.pick(Object.keys(kinds));
  const steps = draws.integer(20, 120);
  return {
    kind: 'schedule',
    family: 'schedules',
    seed: 0,
    schedule,
    options: kinds[schedule](draws, steps),
    steps,
  };
}

/** The value of every step. */
export function scheduleValues({ schedule, options, steps }: ScheduleCase): number[] {
  const valueAt = schedulers.scheduleFromJSON({ kind: schedule, ...options });
  return Array.from({ length: steps }, (_, step) => valueAt(step));
}
