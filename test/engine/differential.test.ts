// The short form of the differential test: random cases on every backend against PyTorch. `npm run differential` is the long form.
import { expect, it } from 'vitest';
import { isLong } from '../forms.ts';
import { closeTargets, openTargets } from '../stress/differential/check.ts';
import { uncovered } from '../stress/differential/operations/index.ts';
import { uncoveredOptimizers } from '../stress/differential/optimizers.ts';
import { runCases } from '../stress/differential/run.ts';
import { uncoveredSchedules } from '../stress/differential/schedules.ts';
import { findPython, Torch } from '../stress/differential/torch.ts';

const SEED = 20150417;
const CASES = isLong ? 300 : 60;

it('every public operation, layer, optimizer and schedule has cases or a reason to be left out', () => {
  expect([...uncovered(), ...uncoveredOptimizers(), ...uncoveredSchedules()]).toEqual([]);
});

it(`every backend agrees with PyTorch in ${CASES} random cases`, async ({ skip }) => {
  const python = findPython();
  if (python === null) return skip('no Python with PyTorch was found');
  const torch = new Torch(python);
  const targets = await openTargets();
  try {
    const options = { cases: CASES, seed: SEED, stopAfter: 5, print: () => undefined };
    const { failures } = await runCases(options, torch, targets);
    expect(failures).toEqual([]);
  } finally {
    await closeTargets(targets);
    await torch.close();
  }
}, 240_000);
