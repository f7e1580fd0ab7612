/** The peak performance of the machine. Run it before and after other benchmarks to check that the machine is idle. */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { measureLimits } from '../../engine/tools/index.ts';
import { environment } from '../environment.ts';
import { table } from '../measure.ts';
import { deliver, threadList } from '../options.ts';

export function addLimitBenchmark(program: Command): void {
  const cores = availableParallelism();
  program
    .command('limit')
    .description('Measure the peak of this machine: multiply-adds in registers and copies of memory.')
    .option(
      '--threads <list>',
      'numbers of threads, separated by commas',
      threadList,
      cores === 1 ? [1] : [1, cores],
    )
    .option('--json [file]', 'write the result as JSON to the file, or to stdout')
    .action(
      async ({ threads, json }: { readonly threads: readonly number[]; readonly json?: string | true }) => {
        const where = environment();
        const results = [];
        for (const count of threads) {
          for (const simd of ['plain', 'auto'] as const)
            results.push(await measureLimits({ threads: count, simd }));
        }
        const rows = results.map((one) => [
          String(one.threads),
          one.simd,
          one.gflopPerSecond.toFixed(1),
          one.gbPerSecond.toFixed(1),
        ]);
        const text = table(['threads', 'SIMD', 'GFLOP/s', 'GB/s'], rows);
        deliver({ benchmark: 'limit', ...where, results }, text, json);
      },
    );
}
