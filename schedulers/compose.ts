/** Schedules made of schedules: joined, warmed up, scaled, clamped, repeated, mirrored. */
import { linear } from './decay.ts';
import {
  finite,
  increasingSteps,
  list,
  show,
  steps as stepCount,
  stepsOrNone,
  type StepCount,
} from './options.ts';
import {
  asSchedule,
  isSchedule,
  makeSchedule,
  numberOrSchedule,
  type Cycle,
  type Schedule,
} from './schedule.ts';

/** The cycles in the first `length` steps of a schedule that end after its step `from`, offset by `start`. */
function* cyclesWithin(schedule: Schedule, start: number, length: number, from: number): Generator<Cycle> {
  for (const cycle of schedule.cycles(Math.max(0, from))) {
    if (cycle.start >= length) return;
    yield {
      start: start + cycle.start,
      end: start + Math.min(cycle.end, length),
      relativeAmplitude: cycle.relativeAmplitude,
      complete: cycle.complete && cycle.end <= length,
    };
  }
}

/** Schedules one after another, each from its own step 0. From `end` on, the last value is held. */
function sequence(
  kind: string,
  options: Readonly<Record<string, unknown>>,
  schedules: readonly Schedule[],
  starts: readonly number[],
  end = Infinity,
): Schedule {
  const valueAt = (t: number): number => {
    const at = Math.min(t, end - 1);
    const i = starts.findLastIndex((start) => start <= at);
    return schedules[i](at - starts[i]);
  };
  function* cycles(from: number): Generator<Cycle> {
    for (const [i, schedule] of schedules.entries()) {
      const start = starts[i];
      const partEnd = starts[i + 1] ?? end;
      if (partEnd > from) yield* cyclesWithin(schedule, start, partEnd - start, from - start);
    }
  }
  return makeSchedule(kind, options, valueAt, cycles);
}

/**
 * Schedules joined at the given steps. Each schedule starts at its own step 0.
 *
 *   lr(t) = schedules_i(t − boundaries_i−1)  for boundaries_i−1 <= t < boundaries_i
 *
 * With one boundary fewer than schedules, the last schedule never ends. With one boundary for each schedule, the last one ends too,
 * and the value at its last step is held.
 *
 * Units: `boundaries` count from the start of the run, in steps or `{ epochs, stepsPerEpoch }`.
 * Throws RangeError unless `boundaries` increase and have as many entries as `schedules`, or one fewer.
 * Source: optax.join_schedules; torch.optim.lr_scheduler.SequentialLR.
 *
 * @example join([linear({ from: 0, to: 0.1, steps: 100 }), 0.1], [100])(50) // 0.05
 * @example join([1e-3, 1e-4, 1e-5], [60000, 65000, 70000])(64999) // 0.0001
 */
export function join(schedules: readonly (number | Schedule)[], boundaries: readonly StepCount[]): Schedule {
  const parts = list(schedules, 'join: schedules').map((part, i) =>
    numberOrSchedule(part, `join: schedules[${i}]`),
  );
  const isEmpty = Array.isArray(boundaries) && boundaries.length === 0;
  const ends = isEmpty ? [] : increasingSteps(boundaries, 'join: boundaries');
  if (ends.length !== parts.length && ends.length !== parts.length - 1) {
    throw new RangeError(
      `join: boundaries must have as many entries as schedules or one fewer, got ${ends.length} and ${parts.length}`,
    );
  }
  return sequence(
    'join',
    { schedules: parts, boundaries: ends },
    parts.map(asSchedule),
    [0, ...ends.slice(0, parts.length - 1)],
    ends[parts.length - 1],
  );
}

/**
 * A linear ramp up to the first value of a schedule, then the schedule from its own step 0.
 *
 *   lr(t) = schedule(0) · (t + 1) / (steps + 1)  for t < steps;  schedule(t − steps) after
 *
 * Units: `steps` in steps or `{ epochs, stepsPerEpoch }`. The first rate is above 0, so the first update has an effect.
 * Throws RangeError unless steps >= 0.
 * Source: P. Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.
 *
 * @example warmup(3, constant(0.4))(0) // 0.1
 */
export function warmup(steps: StepCount, schedule: number | Schedule): Schedule {
  const count = stepsOrNone(steps, 'warmup: steps');
  const target = numberOrSchedule(schedule, 'warmup: schedule');
  const options = { steps: count, schedule: target };
  const after = asSchedule(target);
  if (count === 0) return sequence('warmup', options, [after], [0]);
  const first = after(0);
  const ramp = linear({ from: first / (count + 1), to: first, steps: count });
  return sequence('warmup', options, [ramp, after], [0, count]);
}

/**
 * A schedule multiplied by a number or by another schedule.
 *
 *   lr(t) = schedule(t) · factor(t)
 *
 * Throws TypeError unless both are numbers or schedules.
 *
 * @example scale(linear({ from: 0, to: 1, steps: 10 }), 0.5)(10) // 0.5
 */
export function scale(schedule: number | Schedule, factor: number | Schedule): Schedule {
  const options = {
    schedule: numberOrSchedule(schedule, 'scale: schedule'),
    factor: numberOrSchedule(factor, 'scale: factor'),
  };
  const scaled = asSchedule(options.schedule);
  const by = asSchedule(options.factor);
  return makeSchedule(
    'scale',
    options,
    (t) => scaled(t) * by(t),
    (from) => scaled.cycles(from),
  );
}

/**
 * A schedule clamped to a range.
 *
 *   lr(t) = max(low, min(high, schedule(t)))
 *
 * Throws RangeError unless low <= high.
 *
 * @example clamp(exponential({ base: 1, gamma: 0.5 }), 0.01, 1)(20) // 0.01
 */
export function clamp(schedule: number | Schedule, low: number, high: number): Schedule {
  const options = {
    schedule: numberOrSchedule(schedule, 'clamp: schedule'),
    low: finite(low, 'clamp: low'),
    high: finite(high, 'clamp: high'),
  };
  if (low > high)
    throw new RangeError(`clamp: low must not be above high, got low ${low} and high ${high} (swap them?)`);
  const clamped = asSchedule(options.schedule);
  return makeSchedule(
    'clamp',
    options,
    (t) => Math.max(low, Math.min(high, clamped(t))),
    (from) => clamped.cycles(from),
  );
}

/**
 * The first `every` steps of a schedule, repeated.
 *
 *   lr(t) = schedule(t mod every)
 *
 * Throws RangeError unless every >= 1.
 *
 * @example repeat(linear({ from: 1, to: 0, steps: 10 }), 10)(25) // 0.5
 */
export function repeat(schedule: number | Schedule, every: StepCount): Schedule {
  const options = {
    schedule: numberOrSchedule(schedule, 'repeat: schedule'),
    every: stepCount(every, 'repeat: every'),
  };
  const repeated = asSchedule(options.schedule);
  const length = options.every;
  function* cycles(from: number): Generator<Cycle> {
    const hasCycles = cyclesWithin(repeated, 0, length, 0).next().done === false;
    for (let start = from - (from % length); ; start += length) {
      if (hasCycles) yield* cyclesWithin(repeated, start, length, from - start);
      else yield { start, end: start + length, relativeAmplitude: 1, complete: true };
    }
  }
  return makeSchedule('repeat', options, (t) => repeated(t % length), cycles);
}

/**
 * The mirror image of a schedule between two values: `high` where the schedule has `low`. It turns a schedule of the learning rate
 * into one of momentum.
 *
 *   lr(t) = low + high − schedule(t)
 *
 * Throws TypeError unless the arguments are a schedule and two numbers.
 *
 * @example mirror(linear({ from: 0.85, to: 0.95, steps: 10 }), 0.85, 0.95)(0) // 0.95
 */
export function mirror(schedule: Schedule, low: number, high: number): Schedule {
  if (!isSchedule(schedule))
    throw new TypeError(`mirror: schedule must be a schedule, got ${show(schedule)}`);
  const sum = finite(low, 'mirror: low') + finite(high, 'mirror: high');
  return makeSchedule(
    'mirror',
    { schedule, low, high },
    (t) => sum - schedule(t),
    (from) => schedule.cycles(from),
  );
}
