/** The short form of `npm run crashes`. */
import { expect, test } from 'vitest';
import { emptyTally, simulate } from '../stress/crashes/simulate.ts';

test('after simulated crashes and power failures, no saved checkpoint and no event is missing', async () => {
  const tally = emptyTally();
  for (let index = 0; tally.points < 2000; index++) {
    await expect(simulate(1, index, tally), `--seed 1 --case ${index}`).resolves.toBeUndefined();
  }
  expect(tally.powerFailures).toBeGreaterThan(1000);
  expect(tally.damaged).toBeGreaterThan(10);
});
