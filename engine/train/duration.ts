/** How long a run is, and when its evaluations and checkpoints are due: in steps or in epochs. */
import type { AnyLoader } from '../dataset.ts';
import { checkInteger, checkNumber, checkOptions, isRecord, show } from '../options.ts';

/** The time between two events: a number of steps, or of epochs, which may be a fraction. */
export type Interval = number | { readonly epochs: number };

/** The step reaches the graph as an i32. */
const MAX_STEPS = 2 ** 31 - 1;

/** The number of steps of a run. Throws TypeError unless exactly one of `steps` and `epochs` is given, and RangeError for its value. */
export function stepsOf(
  where: string,
  { steps, epochs }: { readonly steps?: number | undefined; readonly epochs?: number | undefined },
  { stepsPerEpoch }: AnyLoader,
): number {
  if (epochs === undefined) {
    if (steps === undefined) throw new TypeError(`${where}: steps is missing (pass steps or epochs)`);
    checkInteger(where, 'steps', steps, 1, MAX_STEPS);
    return steps;
  }
  if (steps !== undefined) {
    throw new TypeError(
      `${where}: steps and epochs cannot be combined, got steps ${show(steps)} and epochs ${show(epochs)} (omit one of them)`,
    );
  }
  checkNumber(where, 'epochs', epochs, 'a number above 0', (x) => x > 0);
  const total = Math.round(epochs * stepsPerEpoch);
  if (total >= 1 && total <= MAX_STEPS) return total;
  throw new RangeError(
    `${where}: epochs: ${epochs} epochs of ${stepsPerEpoch} steps are ${total} steps (use from 1 to ${MAX_STEPS} steps)`,
  );
}

/** The number of steps of an interval, which may have a fraction. Throws RangeError or TypeError unless it is at least 1. */
export function intervalOf(where: string, every: Interval, { stepsPerEpoch }: AnyLoader): number {
  if (!isRecord(every)) {
    checkInteger(where, 'every', every, 1);
    return every;
  }
  checkOptions(`${where}: every`, every, ['epochs']);
  const { epochs } = every;
  checkNumber(`${where}: every`, 'epochs', epochs, 'a number above 0', (x) => x > 0);
  const steps = epochs * stepsPerEpoch;
  if (steps >= 1) return steps;
  throw new RangeError(
    `${where}: every: ${epochs} epochs of ${stepsPerEpoch} steps are ${steps} steps (use at least 1 step)`,
  );
}

/** Whether an event is due after `step` steps: at every multiple of the interval, rounded to a step. */
export const isDue = (step: number, interval: number): boolean =>
  Math.round(Math.round(step / interval) * interval) === step;

/** The first step after `step` at which an event is due. */
export function nextDue(step: number, interval: number): number {
  let count = Math.floor(step / interval);
  while (Math.round(count * interval) <= step) count++;
  return Math.round(count * interval);
}
