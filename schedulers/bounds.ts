// The paper's advice as functions: how long a cycle, between which bounds, where to stop; and what looks odd in a plan.

import { betweenZeroAndOne, positive, steps as stepCount, wholeFrom1 } from './options.ts';
import { asSchedule, type Schedule } from './schedule.ts';

/**
 * Half a cycle, in steps, from its length in epochs.
 *
 *   stepSize = round(epochs · stepsPerEpoch), at least 1
 *
 * Units: the paper recommends 2 to 10 epochs; between 2 and 8 it made little difference on CIFAR-10.
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
 * Both bounds of a cyclical rate from the largest rate that still converges.
 *
 *   base = max · ratio
 *
 * Units: the paper takes a third or a quarter of the maximum; for a single cycle Smith later took a tenth.
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
 * The largest step count up to `steps` that ends a whole cycle, or null if no cycle ends by then.
 *
 * Source: L. N. Smith, 2017, section 3.2: stop at the end of a cycle, when the rate is lowest and accuracy peaks.
 *
 * @example lastCycleEnd(cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), 25000) // 24000
 */
export function lastCycleEnd(schedule: Schedule, steps: number): number | null {
  wholeFrom1(steps, 'lastCycleEnd: steps');
  let last: number | null = null;
  for (const { start, end, whole } of asSchedule(schedule).cycles()) {
    if (start >= steps) break;
    if (whole && end <= steps) last = end;
  }
  return last;
}

export interface ScheduleNotice {
  readonly code: 'stops-mid-cycle' | 'stage-stops-mid-cycle' | 'past-the-last-cycle' | 'amplitude-vanished';
  readonly message: string;
}

/** Below this fraction of the first cycle's swing the rate is flat for every purpose: seven halvings. */
const VANISHED = 0.01;

/**
 * What is odd, though not wrong, about training for `steps` steps with a schedule; at most one notice of each code.
 *
 * Codes: `stops-mid-cycle`, `stage-stops-mid-cycle`, `past-the-last-cycle` (the rate no longer moves),
 * `amplitude-vanished` (a cycle swings by less than 1 % of the first one of its stage).
 *
 * @example notices(cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), 24000) // []
 */
export function notices(schedule: number | Schedule, steps: number): ScheduleNotice[] {
  wholeFrom1(steps, 'notices: steps');
  const found = new Map<ScheduleNotice['code'], string>();
  const note = (code: ScheduleNotice['code'], message: string): void => {
    if (!found.has(code)) found.set(code, message);
  };
  let lastEnd: number | null = null;
  for (const { start, end, swing, whole } of asSchedule(schedule).cycles()) {
    lastEnd = end;
    if (start >= steps) break;
    if (swing < VANISHED) {
      const percent = `${Number((swing * 100).toPrecision(2))} %`;
      note(
        'amplitude-vanished',
        `the cycle from step ${start} on swings by ${percent} of the first (longer cycles, or a mode that shrinks less)`,
      );
    }
    if (!whole && end <= steps) {
      note(
        'stage-stops-mid-cycle',
        `a stage stops at step ${end}, inside the cycle that began at step ${start}`,
      );
    }
    if (steps < end) {
      const before = start > 0 ? `${start} or ${end}` : end;
      note(
        'stops-mid-cycle',
        `training stops at step ${steps}, inside a cycle (whole cycles: ${before} steps)`,
      );
    }
  }
  if (lastEnd !== null && lastEnd < steps) {
    note('past-the-last-cycle', `the last cycle ends at step ${lastEnd}, training goes on to step ${steps}`);
  }
  return [...found].map(([code, message]) => ({ code, message }));
}
