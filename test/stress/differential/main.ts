/** The differential test: random cases on every backend against PyTorch. */
import { Command, InvalidArgumentError } from 'commander';
import { closeTargets, openTargets } from './check.ts';
import { FAMILIES, type Family } from './draw.ts';
import { uncovered } from './operations/index.ts';
import { uncoveredOptimizers } from './optimizers.ts';
import { runCases, type RunOptions } from './run.ts';
import { uncoveredSchedules } from './schedules.ts';
import { findPython, PYTHON_VARIABLE, Torch } from './torch.ts';

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

function family(text: string): Family {
  const found = FAMILIES.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${FAMILIES.join(', ')}.`);
  return found;
}

async function main(options: Omit<RunOptions, 'print'>): Promise<number> {
  const missing = [...uncovered(), ...uncoveredOptimizers(), ...uncoveredSchedules()];
  if (missing.length > 0) {
    console.error(
      `differential: without cases and without a reason: ${missing.join(', ')} (see operations/index.ts)`,
    );
    return 1;
  }
  const python = findPython();
  if (python === null) {
    console.error(
      `differential: no Python with PyTorch and NumPy (Debian: python3-torch; or set ${PYTHON_VARIABLE})`,
    );
    return 1;
  }
  const torch = new Torch(python);
  const targets = await openTargets();
  console.error(
    `versions: ${JSON.stringify(await torch.ask({ kind: 'versions' }))}, Node ${process.versions.node}`,
  );
  const report = await runCases({ ...options, print: (text) => console.error(text) }, torch, targets);
  await closeTargets(targets);
  await torch.close();
  console.log(report.table());
  return report.failures.length === 0 ? 0 : 1;
}

const program = new Command('npm run differential --')
  .description('Compare random cases on every backend with PyTorch.')
  .option('--cases <n>', 'number of cases', whole, 1000)
  .option('--seed <n>', 'seed of the cases', whole, 1)
  .option('--only <n>', 'repeat one case, by its number, on all backends', whole)
  .option('--family <name>', `draw cases of one family: ${FAMILIES.join(', ')}`, family)
  .option('--stop-after <n>', 'stop after so many failed cases', whole, 20);
program.parse();
process.exitCode = await main(program.opts<Omit<RunOptions, 'print'>>());
