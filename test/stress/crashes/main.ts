/** `npm run crashes`: crashes of training runs, simulated by the million or real by SIGKILL. */
import { Command, InvalidArgumentError } from 'commander';
import { kill } from './kills.ts';
import { emptyTally, simulate } from './simulate.ts';

interface Options {
  readonly points: number;
  readonly kills: number;
  readonly seed: number;
  readonly case?: number;
}

const whole = (text: string): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('expected an integer >= 0');
};

const program = new Command('npm run crashes --')
  .description(
    'Crash training runs and check that nothing is lost.\n' +
      '--points simulates crashes and power failures on a disk in memory; --kills ends real processes with SIGKILL.',
  )
  .option('--points <n>', 'crash points to simulate', whole, 10_000)
  .option('--kills <n>', 'SIGKILLs of cyclegrad train, instead of simulated points', whole, 0)
  .option('--seed <n>', 'seed of all draws', whole, 1)
  .option('--case <n>', 'only this case of the simulation', whole)
  .action(async (options: Options) => {
    process.exitCode = await (options.kills > 0 ? runKills(options) : runSimulation(options));
  });

const seconds = (begin: number): string => ((performance.now() - begin) / 1000).toFixed(1);

async function runSimulation({ points, seed, case: only }: Options): Promise<number> {
  const begin = performance.now();
  const tally = emptyTally();
  let failures = 0;
  if (only === undefined) Error.stackTraceLimit = 0; // a third of the time; --case shows the stack
  for (let index = only ?? 0; tally.points < points; index++) {
    try {
      await simulate(seed, index, tally);
    } catch (error) {
      failures++;
      console.error(
        `FAILED: --seed ${seed} --case ${index}: ${error instanceof Error ? error.stack : String(error)}`,
      );
    }
    if (index % 10_000 === 9999) console.error(`${tally.points} points, ${seconds(begin)} s`);
    if (only !== undefined || failures === 10) break;
  }
  const { cases, powerFailures, damaged, operations } = tally;
  console.log(
    `| seed | runs | crash points | with power lost | damaged files | operations | failures | seconds |`,
  );
  console.log(`| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`);
  console.log(
    `| ${seed} | ${cases} | ${tally.points} | ${powerFailures} | ${damaged} | ${operations} | ${failures} | ${seconds(begin)} |`,
  );
  return failures === 0 ? 0 : 1;
}

async function runKills({ kills, seed }: Options): Promise<number> {
  const begin = performance.now();
  const { runs, done, failures } = await kill(seed, kills, (line) => console.error(line));
  console.log(`| seed | runs | kills | failures | seconds |`);
  console.log(`| ---: | ---: | ---: | ---: | ---: |`);
  console.log(`| ${seed} | ${runs} | ${done} | ${failures} | ${seconds(begin)} |`);
  return failures === 0 ? 0 : 1;
}

await program.parseAsync();
