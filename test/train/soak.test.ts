/** The short form of `npm run soak`. */
import { describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { failures } from '../stress/soak/failures.ts';
import { parallel } from '../stress/soak/parallel.ts';
import { SHORT, type Part } from '../stress/soak/part.ts';
import { resources } from '../stress/soak/resources.ts';
import { steps } from '../stress/soak/steps.ts';
import { slopeOfSecondHalf } from '../stress/soak/usage.ts';

/** The rows of a part in its short form that exceed their bounds. */
async function exceeded(part: Part): Promise<readonly unknown[]> {
  const rows = await part(SHORT, () => undefined);
  expect(rows.length).toBeGreaterThan(0);
  return rows.filter(({ ok }) => !ok);
}

it.each<[string, Part]>([
  ['a run that fails or stops in any phase can resume, and leaves nothing open', failures],
])('%s', async (_, part) => {
  expect(await exceeded(part)).toEqual([]);
});

describe.runIf(isLong)(`a long run (${LONG})`, () => {
  it.each<[string, Part]>([
    ['memory and handles do not grow with the steps', steps],
    ['nothing remains of executables and backends', resources],
    ['parallel fits give the bytes of each alone', parallel],
  ])('%s', async (_, part) => {
    expect(await exceeded(part)).toEqual([]);
  });
});

it('the slope is that of the least-squares line through the second half', () => {
  const points = [0, 1, 2, 3, 4, 5, 6, 7].map((x) => [x, x < 4 ? 100 : 3 * x + (x % 2)] as const);
  expect(slopeOfSecondHalf(points)).toBeCloseTo(3.2, 12);
});
