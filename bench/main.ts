/** Runs a benchmark by name: `npm run bench -- step`. */
import { Command } from 'commander';
import { addImagesBenchmark } from './images/images.ts';
import { addKernelsBenchmark } from './kernels/kernels.ts';
import { addLimitBenchmark } from './limit/limit.ts';
import { addMemoryBenchmark } from './memory/memory.ts';
import { addChart } from './peers/chart.ts';
import { addPeersBenchmark } from './peers/peers.ts';
import { addStepBenchmark } from './step/step.ts';

const program = new Command('npm run bench --')
  .description('Run a benchmark, and print its results with the environment.')
  .showHelpAfterError('(--help after a name lists its options)');
addStepBenchmark(program);
addKernelsBenchmark(program);
addPeersBenchmark(program);
addMemoryBenchmark(program);
addLimitBenchmark(program);
addImagesBenchmark(program);
addChart(program);

try {
  await program.parseAsync();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
