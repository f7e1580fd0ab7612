/** `npm run reproduce -- <experiment>`: the experiments of the paper on CIFAR-10, resumable at any step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Argument, Command, Option } from 'commander';
import envPaths from 'env-paths';
import { cifar10 } from '../../datasets/index.ts';
import { BACKENDS, openBackend, progressBar, type BackendName } from '../../engine/index.ts';
import { replaceBetween } from '../markdown.ts';
import { wholeFrom } from '../options.ts';
import { experimentNames, type Arm, type ExperimentName } from './arm.ts';
import { arms } from './arms.ts';
import { inBudgetOrder } from './budget.ts';
import { runRangeTests } from './range.ts';
import { budgetMarkdown, headlineMarkdown, writeReport } from './report.ts';
import { runArms, type Piece } from './run.ts';

const RESULTS = 'bench/results/clr';
const PAGE = 'docs/reproduction.md';
const EVERYTHING = [...experimentNames, 'range-test', 'report'] as const;

interface Options {
  readonly seeds?: readonly number[];
  readonly pieces?: number;
  readonly only?: readonly string[];
  readonly backend: BackendName;
  readonly threads?: number;
  readonly data?: string;
  readonly runs: string;
  readonly results: string;
  readonly page: string | false;
}

const list = (text: string): string[] => text.split(',').map((name) => name.trim());

const program = new Command('npm run reproduce --')
  .description(
    "Run the paper's experiments on CIFAR-10, and write a JSON file for each finished run.\n" +
      'Ctrl-C saves a checkpoint, from which the same command resumes.\n' +
      `The experiment report generates REPORT.md, report.html, the figures and the tables of ${PAGE}.`,
  )
  .addArgument(new Argument('<name>', 'experiment').choices(EVERYTHING))
  .option('--seeds <list>', 'seeds, separated by commas (default: 1, budget: 1,2)', (text) =>
    list(text).map(wholeFrom(0)),
  )
  .option('--pieces <n>', 'stop after this many runs (default: all that have no result)', wholeFrom(1))
  .option('--only <arms>', 'arms to run, separated by commas (default: all)', list)
  .addOption(
    new Option('--backend <name>', 'backend; auto: a GPU if there is one, else wasm')
      .choices(BACKENDS)
      .default('auto'),
  )
  .option('--threads <n>', 'threads of the wasm backend (default: all cores)', wholeFrom(1))
  .option(
    '--data <dir>',
    'folder of the official CIFAR-10 files, created if missing (default: per-user cache)',
  )
  .option(
    '--runs <dir>',
    'folder of checkpoints and events',
    join(envPaths('cyclegrad', { suffix: '' }).cache, 'reproduce'),
  )
  .option('--results <dir>', 'folder of the JSON files and the report', RESULTS)
  .option('--page <file>', 'report: the page with the markers clr and budget', PAGE)
  .option('--no-page', 'report: do not write the page')
  .showHelpAfterError('(--help lists the options)');

const bySeed = (wanted: readonly Arm[], seeds: readonly number[]): Piece[] =>
  seeds.flatMap((seed) => wanted.map((arm) => ({ arm, seed })));
const byArm = (wanted: readonly Arm[], seeds: readonly number[]): Piece[] =>
  wanted.flatMap((arm) => seeds.map((seed) => ({ arm, seed })));

async function reproduce(name: ExperimentName | 'range-test', options: Options): Promise<boolean> {
  const isBudget = name === 'budget';
  const all = isBudget ? inBudgetOrder(arms) : arms.filter(({ experiment }) => experiment === name);
  const { seeds = isBudget ? [1, 2] : [1] } = options;
  const names = all.map((arm) => arm.name);
  for (const wanted of options.only ?? []) {
    if (!names.includes(wanted)) {
      throw new Error(`--only: ${name} has no arm '${wanted}' (it has: ${names.join(', ')})`);
    }
  }
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(130);
    console.error('\nstopping after this step and saving (Ctrl-C again quits at once)');
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const backend = await openBackend(options.backend, {
    ...(options.threads !== undefined && { threads: options.threads }),
    log: (message) => console.error(message),
  });
  try {
    const dir = options.data === undefined ? undefined : resolve(options.data);
    const common = {
      backend,
      data: await cifar10({ dir, signal: stop.signal }),
      results: options.results,
      signal: stop.signal,
      log: (line: string) => console.log(line),
    };
    if (name === 'range-test') return await runRangeTests({ ...common, seeds });
    const wanted = all.filter((arm) => options.only?.includes(arm.name) ?? true);
    return await runArms({
      ...common,
      pieces: isBudget ? byArm(wanted, seeds) : bySeed(wanted, seeds),
      ...(options.pieces !== undefined && { atMost: options.pieces }),
      runs: resolve(options.runs),
      listeners: [progressBar()],
    });
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await backend.close();
  }
}

program.action(async (name: (typeof EVERYTHING)[number], options: Options) => {
  if (name !== 'report') {
    if (!(await reproduce(name, options))) process.exitCode = 130;
    return;
  }
  const results = writeReport(options.results);
  const runs = results.arms.reduce((sum, one) => sum + one.runs.length, results.range.length);
  console.log(`wrote REPORT.md, report.html and the figures of ${runs} finished runs to ${options.results}`);
  if (options.page === false) return;
  const folder = relative(dirname(options.page), options.results).replaceAll('\\', '/');
  const page = replaceBetween(readFileSync(options.page, 'utf8'), 'clr', headlineMarkdown(results, folder));
  writeFileSync(options.page, replaceBetween(page, 'budget', budgetMarkdown(results, folder)));
  console.log(`wrote the tables of ${options.page}`);
});

try {
  await program.parseAsync();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
