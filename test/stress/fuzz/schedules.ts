/** Schedules from JSON: `scheduleFromJSON`, and everything that a schedule then does. */
import {
  constant,
  cosineWarmRestarts,
  cyclicLR,
  isSchedule,
  lastCycleEnd,
  linear,
  multistep,
  notices,
  oneCycle,
  scheduleFromJSON,
  scheduleKinds,
  warmup,
  join,
  mirror,
  repeat,
  scale,
  type Schedule,
  type ScheduleConfig,
} from 'cyclegrad/schedulers';
import type { Random } from '../random.ts';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { define, mutateJson, NUMBERS, randomJson } from './values.ts';

const cyclic = cyclicLR({ base: 0.001, max: 0.006, stepSize: 100, mode: 'triangular2' });

/** Right configs to change. */
const CONFIGS: readonly ScheduleConfig[] = [
  constant(0.1),
  cyclic,
  cyclicLR({
    base: 0,
    max: 1,
    stepSize: 7,
    stepSizeDown: 3,
    mode: 'exp_range',
    gamma: 0.999,
    decays: 'bounds',
  }),
  oneCycle({ max: 0.1, steps: 100 }),
  oneCycle({ max: 0.1, steps: 100, form: 'smith' }),
  cosineWarmRestarts({ max: 1, T0: 10, tMult: 2 }),
  multistep({ base: 1, gamma: 0.1, at: [10, 20] }),
  join([cyclic, linear({ from: 1, to: 0, steps: 10 })], [150, 200]),
  warmup(10, cyclic),
  scale(cyclic, 2),
  mirror(cyclic, 0.8, 0.9),
  repeat(linear({ from: 0, to: 1, steps: 10 }), 10),
].map(({ config }) => config);

const KEYS = (
  'kind value from to steps base max min stepSize stepSizeDown mode gamma at power schedules schedule boundaries factor low high every T0 tMult window ' +
  'scale scaleBy decays fn name rise div finalDiv form anneal center up down start end epochs stepsPerEpoch __proto__ constructor'
).split(' ');
const PLACES = [...scheduleKinds, 'scheduleFromJSON', 'asSchedule', 'notices', 'lastCycleEnd'];

function randomConfig(random: Random, depth = 0): unknown {
  const config: object = { kind: random.uniform() < 0.95 ? random.pick(scheduleKinds) : randomJson(random) };
  for (let i = random.below(6); i > 0; i--) {
    const value =
      depth < 3 && random.uniform() < 0.3 ? randomConfig(random, depth + 1) : randomJson(random, KEYS);
    define(config, random.pick(KEYS), value);
  }
  return config;
}

/** Checks what a schedule does: values, cycles, notices, and its config as JSON. */
async function claimSchedule(random: Random, schedule: Schedule): Promise<void> {
  claim(isSchedule(schedule), () => 'not a schedule');
  const steps = [0, 1, 2, 99, 100, 1000, random.below(2 ** 31), 2 ** 31 - 1, 2 ** 53 - 1];
  const again = scheduleFromJSON(JSON.parse(JSON.stringify(schedule)) as ScheduleConfig);
  claim(JSON.stringify(again) === JSON.stringify(schedule), () => `reads again as ${JSON.stringify(again)}`);
  for (const step of steps) {
    const value = await valueOrRefusal(PLACES, () => schedule(step));
    if (value === undefined) continue;
    claim(Number.isFinite(value), () => `the value at step ${step} is ${value}`);
    claim(
      again(step) === value,
      () => `read again, the value at step ${step} is ${again(step)}, not ${value}`,
    );
  }
  let end = 0;
  let count = 0;
  for (const cycle of schedule.cycles()) {
    if (cycle.end > Number.MAX_SAFE_INTEGER) break; // steps beyond it are not exact
    claim(
      cycle.start >= end && cycle.end > cycle.start,
      () => `a cycle from ${cycle.start} to ${cycle.end} after ${end}`,
    );
    claim(
      Number.isFinite(cycle.relativeAmplitude),
      () => `a cycle of the relative amplitude ${cycle.relativeAmplitude}`,
    );
    end = cycle.end;
    if (++count === 20) break;
  }
  const total = random.pick([1, 2, 100, 25_000, 1e9]);
  const last = await valueOrRefusal(PLACES, () => lastCycleEnd(schedule, total));
  claim(
    last === undefined || last === null || (last > 0 && last <= total),
    () => `lastCycleEnd of ${total} steps is ${last}`,
  );
  await valueOrRefusal(PLACES, () => notices(schedule, total));
}

async function run(random: Random): Promise<void> {
  const config =
    random.uniform() < 0.5
      ? mutateJson(random, random.pick(CONFIGS), KEYS)
      : random.uniform() < 0.9
        ? randomConfig(random)
        : random.pick<unknown>([random.pick(NUMBERS), randomJson(random, KEYS)]);
  const schedule = await valueOrRefusal(PLACES, () => scheduleFromJSON(config as ScheduleConfig));
  if (schedule !== undefined) await claimSchedule(random, schedule);
  claimPrototypeIntact();
}

export const schedules: FuzzTarget = { name: 'schedules', run };
