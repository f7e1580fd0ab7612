/** `npm run reproduce -- <experiment>`: the experiments of the paper on CIFAR-10, resumable at any step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Argument, Command, Option } from 'commander';
import envPaths from 'env-paths';
import { cifar10 } from '../../datasets/index.ts';
import { BACKENDS, openBackend, progressBar, type BackendName } from '../../engine/index.ts';
import { replaceBetween } from '../markdown.ts';
import { wholeFrom } from '../options.ts';
import { arms, experimentNames, type ExperimentName } from './arms.ts';
import { runRangeTests } from './range.ts';
import { headlineMarkdown, writeReport } from './report.ts';
import { runArms } from './run.ts';

const RESULTS = 'bench/results/clr';
const PAGE = 'docs/reproduction.md';
const EVERYTHING = [...experimentNames, 'range-test', 'report'] as const;

interface Options {
  readonly seeds: readonly number[];
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
      `The experiment report generates REPORT.md, report.html, the figures and the table of ${PAGE}.`,
  )
  .addArgument(new Argument('<name>', 'experiment').choices(EVERYTHING))
  .option('--seeds <list>', 'seeds, separated by commas', (text) => list(text).map(wholeFrom(0)), [1])
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
  .option('--page <file>', 'report: the page with the markers <!-- clr --> and <!-- /clr -->', PAGE)
  .option('--no-page', 'report: do not write the page')
  .showHelpAfterError('(--help lists the options)');

async function reproduce(name: ExperimentName | 'range-test', options: Options): Promise<boolean> {
  const all = arms.filter(({ experiment }) => experiment === name);
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
      seeds: options.seeds,
      backend,
      data: await cifar10({ dir, signal: stop.signal }),
      results: options.results,
      signal: stop.signal,
      log: (line: string) => console.log(line),
    };
    if (name === 'range-test') return await runRangeTests(common);
    const wanted = all.filter((arm) => options.only?.includes(arm.name) ?? true);
    return await runArms({
      ...common,
      arms: wanted,
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
  const text = headlineMarkdown(results, folder);
  writeFileSync(options.page, replaceBetween(readFileSync(options.page, 'utf8'), 'clr', text));
  console.log(`wrote the table of ${options.page}`);
});

try {
  await program.parseAsync();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
