/** The advice of the paper as functions: the length of a cycle, its bounds, where to stop, and notices about a schedule. */
import { betweenZeroAndOne, positive, steps as stepCount, wholeFrom1 } from './options.ts';
import { asSchedule, numberOrSchedule, type Cycle, type Schedule } from './schedule.ts';

/**
 * The length of half a cycle in steps, from its length in epochs.
 *
 *   stepSize = round(epochs · stepsPerEpoch), at least 1
 *
 * The paper recommends 2 to 10 epochs. On CIFAR-10 it found little difference between 2 and 8.
 *
 * Throws RangeError unless epochs > 0 and stepsPerEpoch is an integer >= 1.
 * Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.2.
 *
 * @example stepSizeFromEpochs(4, 500) // 2000
 */
export function stepSizeFromEpochs(epochs: number, stepsPerEpoch: number): number {
  positive(epochs, 'stepSizeFromEpochs: epochs');
  wholeFrom1(stepsPerEpoch, 'stepSizeFromEpochs: stepsPerEpoch');
  return stepCount({ epochs, stepsPerEpoch }, 'stepSizeFromEpochs');
}

/**
 * Both bounds of a cyclical rate, from the largest rate at which training converges.
 *
 *   base = max · ratio
 *
 * The paper uses a third or a quarter of the maximum. For a single cycle, Smith later used a tenth.
 *
 * Throws RangeError unless max > 0 and 0 < ratio < 1.
 * Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3.
 *
 * @example boundsFromMax(0.008, 1 / 4) // { base: 0.002, max: 0.008 }
 */
export function boundsFromMax(max: number, ratio = 1 / 3): { readonly base: number; readonly max: number } {
  positive(max, 'boundsFromMax: max');
  return { base: max * betweenZeroAndOne(ratio, 'boundsFromMax: ratio'), max };
}

/**
 * The largest number of steps up to `steps` at which a complete cycle ends. Null if no cycle ends by then.
 *
 * Throws RangeError unless steps is an integer >= 1.
 * Source: L. N. Smith, 2017, section 3.2: stop at the end of a cycle, where the rate is lowest and accuracy peaks.
 *
 * @example lastCycleEnd(cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), 25000) // 24000
 */
export function lastCycleEnd(schedule: Schedule, steps: number): number | null {
  wholeFrom1(steps, 'lastCycleEnd: steps');
  const checked = asSchedule(numberOrSchedule(schedule, 'lastCycleEnd: schedule'));
  for (let limit = steps; ;) {
    const cycle = lastCycle(checked, limit);
    if (cycle === null) return null;
    if (cycle.complete && cycle.end <= steps) return cycle.end;
    limit = cycle.start;
  }
}

/** The last cycle that starts before step `limit`. Null without one. A bisection, because a run of a billion steps may have as many. */
function lastCycle(schedule: Schedule, limit: number): Cycle | null {
  const after = (from: number): Cycle | null => {
    for (const cycle of schedule.cycles(from)) return cycle.start < limit ? cycle : null;
    return null;
  };
  let found = after(0);
  for (let low = 0, high = limit; found !== null && high - low > 1;) {
    const middle = Math.floor((low + high) / 2);
    const cycle = after(middle);
    if (cycle === null) high = middle;
    else [low, found] = [middle, cycle];
  }
  return found;
}

/** An unusual property of a run's schedule. `notices` describes the codes. */
export interface ScheduleNotice {
  readonly code: 'stops-mid-cycle' | 'boundary-mid-cycle' | 'past-the-last-cycle' | 'amplitude-vanished';
  readonly message: string;
}

/** Below this fraction of the first cycle's amplitude the rate is practically flat: seven halvings. */
const VANISHED = 0.01;

/**
 * Notices about training for `steps` steps with a schedule: unusual properties that are not errors. At most one of each code.
 *
 *   stops-mid-cycle      training stops in the middle of a cycle
 *   boundary-mid-cycle   a boundary of `join` or `repeat` lies inside a cycle
 *   past-the-last-cycle  training continues after the last cycle, where the rate is constant
 *   amplitude-vanished   a cycle has less than 1% of the amplitude of the first
 *
 * Throws RangeError unless steps is an integer >= 1.
 *
 * @example notices(cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), 24000) // []
 */
export function notices(schedule: number | Schedule, steps: number): ScheduleNotice[] {
  const checked = asSchedule(numberOrSchedule(schedule, 'notices: schedule'));
  wholeFrom1(steps, 'notices: steps');
  const messages = new Map<ScheduleNotice['code'], string>();
  const add = (code: ScheduleNotice['code'], message: string): void => {
    if (!messages.has(code)) messages.set(code, message);
  };
  let lastEnd: number | null = null;
  for (const { start, end, relativeAmplitude, complete } of examined(checked, steps)) {
    lastEnd = end;
    if (start >= steps) break;
    if (relativeAmplitude < VANISHED) {
      const percent = `${Number((relativeAmplitude * 100).toPrecision(2))}%`;
      add(
        'amplitude-vanished',
        `the cycle that starts at step ${start} has ${percent} of the amplitude of the first (use longer cycles, or a mode that shrinks less)`,
      );
    }
    if (!complete && end <= steps) {
      add(
        'boundary-mid-cycle',
        `the boundary at step ${end} lies inside the cycle that starts at step ${start}`,
      );
    }
    if (steps < end) {
      const number = (n: number): string => n.toLocaleString('en-US');
      const ends =
        start > 0
          ? `cycles end at steps ${number(start)} and ${number(end)}`
          : `the first ends at step ${number(end)}`;
      add('stops-mid-cycle', `training stops at step ${number(steps)}, in the middle of a cycle (${ends})`);
    }
  }
  if (lastEnd !== null && lastEnd < steps) {
    add(
      'past-the-last-cycle',
      `the last cycle ends at step ${lastEnd}, but training continues to step ${steps}`,
    );
  }
  return [...messages].map(([code, message]) => ({ code, message }));
}

/** Cycles that `notices` looks at one by one. */
const LOOK = 100_000;

/** The cycles of a run, and the next one. Of many, only the first `LOOK` and the last. */
function* examined(schedule: Schedule, steps: number): Generator<Cycle> {
  let count = 0;
  let reached = 0;
  for (const cycle of schedule.cycles()) {
    yield cycle;
    reached = cycle.end;
    if (++count === LOOK) break;
  }
  const last = count < LOOK ? null : lastCycle(schedule, steps);
  if (last !== null && last.start >= reached) yield* schedule.cycles(last.start);
}
