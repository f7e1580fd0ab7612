/** The times of evaluations and checkpoints. */
import { expect, test } from 'vitest';
import { isDue, nextDue } from '../../engine/train/duration.ts';

test('an interval with a fraction is due at its rounded multiples', () => {
  for (const interval of [1, 1.2, 1.5, 2.5, 7, 48.9, 97.75]) {
    const due = Array.from({ length: 40 }, (_, k) => Math.round(k * interval));
    const last = Math.round(39 * interval);
    const steps = Array.from({ length: last + 1 }, (_, step) => step);
    expect(steps.filter((step) => isDue(step, interval))).toEqual(due);
    for (const step of steps.slice(0, -1)) {
      expect(nextDue(step, interval)).toBe(due.find((one) => one > step));
    }
  }
});
