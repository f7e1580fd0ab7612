/** `npm run soak`: long runs, many backends, failures in every phase, and the thread team under stress. */
import { InvalidArgumentError, program } from 'commander';
import { failures } from './failures.ts';
import { parallel } from './parallel.ts';
import { LONG, table, type Part, type Row } from './part.ts';
import { resources } from './resources.ts';
import { steps } from './steps.ts';
import { threads } from './threads.ts';

const PARTS: Readonly<Record<string, Part>> = { steps, resources, parallel, failures, threads };
const names = Object.keys(PARTS);

interface Options {
  readonly minutes: number;
  readonly only: readonly string[];
}

program
  .name('npm run soak --')
  .option('--minutes <n>', 'repeat the parts until this time is over', minutes, 0)
  .option('--only <list>', `parts, separated by commas: ${names.join(', ')}`, partNames, names)
  .action(async (options: Options) => {
    process.exitCode = (await soak(options)) ? 0 : 1;
  });

function minutes(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value < Infinity) return value;
  throw new InvalidArgumentError('It must be a number of 0 or more.');
}

function partNames(text: string): string[] {
  return text.split(',').map((name) => {
    if (Object.hasOwn(PARTS, name)) return name;
    throw new InvalidArgumentError(`'${name}' is none of ${names.join(', ')}.`);
  });
}

/** Whether everything stays within its bounds. */
async function soak({ minutes: wanted, only }: Options): Promise<boolean> {
  const end = performance.now() + wanted * 60_000;
  const rows: Row[] = [];
  do {
    for (const name of only) {
      const begin = performance.now();
      console.error(`${name} …`);
      const found = await PARTS[name](LONG, (line) => console.error(`  ${line}`));
      rows.push(...found);
      console.error(`${name}: ${((performance.now() - begin) / 1000).toFixed(0)} s`);
    }
  } while (performance.now() < end);
  console.log(`Node ${process.versions.node}\n${table(rows)}`);
  return rows.every(({ ok }) => ok);
}

await program.parseAsync();
