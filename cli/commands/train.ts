/**
 * `cyclegrad train`: trains Caffe's CIFAR-10 networks. The defaults are the cyclical row of the paper's Table 1. With a path, it trains on
 * images (see cli/pictures).
 */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { loader, meanImage, type Dataset } from '../../datasets/index.ts';
import {
  fit,
  formatDuration,
  formatPercent,
  jsonLines,
  latestCheckpoint,
  progressBar,
  report,
  type Backend,
  type EvalEvent,
  type Listener,
  type Result,
  type TrainOptions,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { sgd } from '../../optim/index.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import { DATA_HELP, openCifar10 } from '../cifar10.ts';
import { exitCodeOf, UsageError } from '../failure.ts';
import { EXIT_CODES, shellWord, type Host } from '../host.ts';
import { applyConfig } from '../options/config-file.ts';
import { addLogOption, logFiles, openLogs, type LogFormat } from '../options/logs.ts';
import { addNetOption, NETS, type NetArguments } from '../options/nets.ts';
import { addPictureOptions, PICTURE_OPTIONS } from '../pictures/options.ts';
import { resumeOnPictures, trainOnPictures, type PictureRunArguments } from '../pictures/train.ts';
import {
  chooseSchedule,
  scheduleNames,
  scheduleOptions,
  type ChosenSchedule,
  type RateOptions,
} from '../options/schedules.ts';
import { onStopSignal, type Stop } from '../stop.ts';
import { runsBeside } from '../ui/folders.ts';
import { livePage, type LivePage } from '../ui/index.ts';
import { path, positive, whole } from '../options/values.ts';

/** A run has the time of this many steps to end its step and save. */
const STEPS_TO_STOP = 4;

const NOTHING_DONE = 'stopped before the first step: nothing was trained\n';

interface TrainArguments extends BackendArguments, NetArguments, RateOptions {
  readonly steps: number;
  readonly schedule: string;
  readonly seed: number;
  readonly data?: string;
  readonly run?: string;
  readonly resume?: boolean | string;
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  readonly json?: boolean;
  readonly log?: readonly LogFormat[];
  /** True: any free port. */
  readonly ui?: number | true;
}

export function addTrainCommand(
  program: Command,
  host: Host,
  args: readonly string[],
  setCode: (code: number) => void,
): void {
  const command = program
    .command('train')
    .argument('[path]', 'folder of images, or CSV file of paths and labels (default: CIFAR-10)')
    .description(
      'Train a classifier on the images of a folder, with a network and a learning rate that suit them.\n' +
        "Without a path, train Caffe's CIFAR-10 network with the schedule of the paper's Table 2: 25,000 steps\n" +
        'of 100 images. Download the data first if it is missing.',
    )
    .option('--run <dir>', 'folder of the run (default: a new folder in runs)', path)
    .option(
      '--resume [run]',
      'resume from the last checkpoint; without a path, the folder of a run on images',
    )
    .option('--seed <n>', 'seed of the initial weights and of the order of the images', whole(0), 1)
    .option(
      '--batch-size <n>',
      'images per update (default: 100; for a path: by the number of images)',
      whole(1, 50_000),
    )
    .option('--max <rate>', 'highest learning rate (default for a path: from a range test)', positive)
    .option(
      '--config <file>',
      'options in a JSON file, for instance { "model": "resnet18", "epochs": 20 }; find-lr --apply writes one',
      path,
    )
    .option('--json', 'print every event as a line of JSON on stdout')
    .option('--ui [port]', 'serve a page that shows the run and controls it', whole(0, 65_535));
  addPictureOptions(addLogOption(command));
  addBackendOptions(command.optionsGroup('Backend:'));
  command
    .optionsGroup('Training on CIFAR-10:')
    .option('--steps <n>', 'number of updates', whole(1, 1e9), 25_000)
    .option(
      '--schedule <name|json|file>',
      `learning rate: ${scheduleNames.join(', ')}, a JSON object, or the path of a JSON file`,
      'table2',
    );
  for (const option of scheduleOptions().filter(({ long }) => long !== '--max')) command.addOption(option);
  addNetOption(command)
    .option('--data <dir>', DATA_HELP, path)
    .option('--eval-every <n>', 'steps between evaluations on all test images', whole(1), 1000)
    .option('--checkpoint-every <n>', 'steps between checkpoints', whole(1), 1000)
    .addHelpText('after', () => {
      const command = host.command('train');
      return (
        `\nExamples:\n  ${command} pets\n  ${command} pets.csv --model resnet18 --size 96 --epochs 20\n  ${command} --steps 2000\n  ${command} --schedule triangular --base 0.001 --max 0.006 --steps 24000\n` +
        `  ${command} --schedule fixed --steps 70000 --seed 2\n\nCtrl-C saves a checkpoint and prints the command that resumes the run.`
      );
    })
    .action(async (given: string | undefined, options: AllArguments) => {
      rejectNpmSwallowed(host, command);
      const resumed = typeof options.resume === 'string' ? options.resume : null;
      if (given !== undefined || resumed !== null) {
        setCode(await onPictures(host, command, given ?? null, resumed));
        return;
      }
      rejectPictureOptions(command);
      if (options.config !== undefined) {
        applyConfig(command, host.cwd, options.config, [...CIFAR_OPTIONS, ...CONFIG_OPTIONS]);
      }
      setCode(await train(host, args, { ...options, batchSize: options.batchSize ?? 100 }));
    });
}

type AllArguments = Omit<TrainArguments, 'batchSize'> & {
  readonly batchSize?: number;
  readonly config?: string;
};

/** Options of training on CIFAR-10 alone. */
const CIFAR_OPTIONS = [
  'steps',
  'schedule',
  'lr',
  'base',
  'stepSize',
  'gamma',
  'net',
  'data',
  'evalEvery',
  'checkpointEvery',
];

const isGiven = (command: Command, name: string): boolean => command.getOptionValueSource(name) === 'cli';

const flagOf = (command: Command, name: string): string =>
  command.options.find((option) => option.attributeName() === name)?.long ?? name;

async function onPictures(
  host: Host,
  command: Command,
  given: string | null,
  resumed: string | null,
): Promise<number> {
  const wrong = CIFAR_OPTIONS.find((name) => isGiven(command, name));
  if (wrong !== undefined) {
    throw new UsageError(
      `${flagOf(command, wrong)}: it is for training on CIFAR-10, not for images of a path (${host.command('train')} --help lists the options)`,
    );
  }
  if (resumed === null) {
    if (command.opts()['resume'] === true) {
      throw new UsageError(
        `--resume: name the folder of the run in place of the path: ${host.command('train')} --resume runs/pets`,
      );
    }
    const { config } = command.opts<{ readonly config?: string }>();
    if (config !== undefined) applyConfig(command, host.cwd, config, [...PICTURE_OPTIONS, ...CONFIG_OPTIONS]);
    return trainOnPictures(host, given!, command.opts<PictureRunArguments>());
  }
  const fixed =
    given === null
      ? ['run', 'seed', 'batchSize', 'max', 'config', ...PICTURE_OPTIONS].find((name) =>
          isGiven(command, name),
        )
      : undefined;
  if (given !== null || fixed !== undefined) {
    throw new UsageError(
      `--resume ${resumed}: a run resumes with the images and the options that it began with (omit ${given ?? flagOf(command, fixed!)})`,
    );
  }
  return resumeOnPictures(host, resumed, command.opts<PictureRunArguments>());
}

/** Options of both kinds of training that a configuration file can have. */
const CONFIG_OPTIONS = ['run', 'seed', 'batchSize', 'max', 'log', 'backend', 'threads', 'simd'];

function rejectPictureOptions(command: Command): void {
  const wrong = PICTURE_OPTIONS.find((name) => isGiven(command, name));
  if (wrong === undefined) return;
  throw new UsageError(
    `${flagOf(command, wrong)}: it is for images of your own (pass their folder: train PATH)`,
  );
}

async function train(host: Host, args: readonly string[], options: TrainArguments): Promise<number> {
  const chosen = chooseSchedule(options.schedule, options, host.cwd);
  const name = `${options.net}-${chosen.name}-seed${options.seed}`;
  const dir = resolve(host.cwd, options.run ?? `runs/${name}`);
  await checkRunFolder(host, args, dir, options.resume === true);

  let hasStarted = false;
  let errorShown = false;
  let resumedAt = 0;
  let longestStep = 0;
  /** The step of the last checkpoint. 0 without one. */
  let savedAt = 0;
  const stop = onStopSignal(host, {
    onFirst: () => {
      const what = hasStarted ? 'stopping after this step and saving' : 'stopping';
      // On a terminal the cursor is at the end of the progress bar.
      host.stderr.write(`${host.stderr.isTTY ? '\n' : ''}${what} (Ctrl-C again quits at once)\n`);
    },
    patience: () => STEPS_TO_STOP * longestStep,
  });
  const backend = await startBackend(host, options);
  let page: LivePage | null = null;
  try {
    const data = await openCifar10(host, options.data, stop.signal);
    stop.signal.throwIfAborted();
    if (options.ui !== undefined) {
      const port = options.ui === true ? 0 : options.ui;
      page = await livePage({ port, title: name, runs: await runsBeside(dir), command: 'cifar10' });
      host.stderr.write(`live page: ${page.url}\n`);
    }
    hasStarted = true;
    const watch: Listener = (event) => {
      if (event.type === 'start') resumedAt = savedAt = event.step;
      if (event.type === 'checkpoint') savedAt = event.step;
      if (event.type === 'step') longestStep = Math.max(longestStep, event.ms);
      if (event.type === 'end') errorShown = event.reason === 'error';
    };
    const result = await runTraining({
      host,
      options,
      chosen,
      dir,
      title: name,
      backend,
      data,
      stop,
      watch,
      page,
    });
    const signal = stop.receivedSignal();
    if (result.reason === 'done') {
      printResult(host, options, dir, result, resumedAt);
      return 0;
    }
    host.stderr.write(
      result.step === 0 ? NOTHING_DONE : savedMessage(host, args, dir, result.step, options.steps),
    );
    // Without a signal, the page stopped the run.
    return signal === null ? 0 : EXIT_CODES[signal];
  } catch (error) {
    if (savedAt > 0) host.stderr.write(savedMessage(host, args, dir, savedAt, options.steps));
    if (errorShown && !args.includes('--verbose')) return exitCodeOf(error); // the progress has shown the message
    const signal = stop.receivedSignal();
    if (signal === null || hasStarted) throw error;
    host.stderr.write(NOTHING_DONE);
    return EXIT_CODES[signal];
  } finally {
    stop.release();
    await page?.close();
    await backend.close();
  }
}

/** Options that npm also has, whose variables do not show where the option was passed. */
const NPM_OPTIONS = ['json', 'verbose'];

/** Throws UsageError for options before `--`, which npm takes as its own and passes as environment variables. */
function rejectNpmSwallowed({ env }: Host, command: Command): void {
  if (env['npm_lifecycle_event'] !== 'start') return;
  for (const { long } of command.options) {
    const name = long?.slice(2) ?? '';
    if (NPM_OPTIONS.includes(name)) continue;
    const value = env[`npm_config_${name.replaceAll('-', '_')}`];
    if (value === undefined) continue;
    const typed = value === 'true' ? `--${name}` : `--${name} ${value}`;
    throw new UsageError(
      `${typed} was passed to npm, not to cyclegrad (put -- before the options: npm start -- ${typed})`,
    );
  }
}

/** What is saved, and the command that resumes it. */
const savedMessage = (
  host: Host,
  args: readonly string[],
  dir: string,
  step: number,
  steps: number,
): string => `saved at step ${step} of ${steps}; to resume:\n  ${resumeCommand(host, args, dir)}\n`;

/** The command with the same options, the folder of the run, and --resume. */
function resumeCommand(host: Host, args: readonly string[], dir: string): string {
  const options = args.toSpliced(args.indexOf('train'), 1).filter((arg) => arg !== '--resume');
  const hasRun = options.some((arg) => arg === '--run' || arg.startsWith('--run='));
  const words = [...options, ...(hasRun ? [] : ['--run', relative(host.cwd, dir)]), '--resume'];
  return [host.command('train'), ...words.map((word) => shellWord(word))].join(' ');
}

/** Throws UsageError rather than overwrite or resume a run by accident. */
async function checkRunFolder(
  host: Host,
  args: readonly string[],
  dir: string,
  resume: boolean,
): Promise<void> {
  const hasCheckpoint = (await latestCheckpoint(dir)) !== null;
  const folder = relative(host.cwd, dir) || dir;
  if (hasCheckpoint && !resume) {
    throw new UsageError(
      `${folder} already has checkpoints of a run (resume it: ${resumeCommand(host, args, dir)}; ` +
        'or start a new run elsewhere: --run DIR)',
    );
  }
  if (!hasCheckpoint && resume) {
    throw new UsageError(
      `--resume: ${folder} has no checkpoint (omit --resume to start a run there, or pass the folder of the run: --run DIR)`,
    );
  }
}

interface Run {
  readonly host: Host;
  readonly options: TrainArguments;
  readonly chosen: ChosenSchedule;
  readonly dir: string;
  readonly title: string;
  readonly backend: Backend;
  readonly data: { readonly train: Dataset; readonly test: Dataset };
  readonly stop: Stop;
  readonly watch: Listener;
  readonly page: LivePage | null;
}

async function runTraining({
  host,
  options,
  chosen,
  dir,
  title,
  backend,
  data,
  stop,
  watch,
  page,
}: Run): Promise<Result> {
  const { steps, seed, batchSize, net } = options;
  const model = NETS[net]({ mean: meanImage(data.train) });
  const optimizer = sgd({ lr: chosen.schedule, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });
  const examples = loader(data.train, { batchSize, shuffle: false });
  const config = {
    net,
    parameters: nn.countParameters(model),
    optimizer: optimizer.config,
    data: examples.config,
  };
  const logs = openLogs(options.log ?? [], dir, { config, title });
  const run = {
    model,
    backend,
    steps,
    seed,
    data: examples,
    eval: { data: data.test, every: options.evalEvery },
    optimizer,
    checkpoint: { dir, every: options.checkpointEvery, resume: options.resume === true },
    listeners: [
      progressBar({ stream: host.stderr }),
      report(dir, { config, title }),
      ...(options.json === true ? [jsonLines({ stream: host.stdout })] : []),
      ...logs.listeners,
      watch,
    ],
    signal: stop.signal,
  } satisfies TrainOptions;
  const result = await fit(page === null ? run : page.watch(run));
  if (result.reason === 'done') {
    await logs.finish({ model, backend, state: result.state, data: data.test, batchSize });
  }
  return result;
}

function printResult(
  host: Host,
  { json, log = [] }: TrainArguments,
  dir: string,
  { last, best, ms }: Result,
  resumedAt: number,
): void {
  const accuracy = (event: EvalEvent | null): string =>
    event === null
      ? 'unknown'
      : `${formatPercent(event.metrics['accuracy'] ?? NaN)} after ${event.step} steps`;
  const files = ['events.jsonl', 'summary.json', 'curve.svg', ...logFiles(log), 'checkpoints'];
  const lines = [
    `test accuracy  ${accuracy(last)}`,
    `best           ${accuracy(best)}`,
    `time           ${formatDuration(ms)}${resumedAt > 0 ? `, from step ${resumedAt} on` : ''}`,
    `run folder     ${relative(host.cwd, dir) || '.'} (${files.join(', ')})`,
  ];
  (json === true ? host.stderr : host.stdout).write(`${lines.join('\n')}\n`);
}
