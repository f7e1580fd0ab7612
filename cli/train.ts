/** `cyclegrad train`: Caffe's CIFAR-10 networks, by default exactly as the paper's Table 1 has it. */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { loader, meanImage, type Dataset } from '../datasets/index.ts';
import {
  countParameters,
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
} from '../engine/index.ts';
import { sgd } from '../optim/index.ts';
import { addBackendOptions, startBackend, type BackendArguments } from './backend.ts';
import { DATA_HELP, openCifar10 } from './data.ts';
import { EXIT_FAILURE, UsageError } from './failure.ts';
import { EXIT_CODES, shellWord, type Host } from './host.ts';
import { addNetOptions, NETS, type NetArguments } from './nets.ts';
import { chooseSchedule, scheduleNames, scheduleOptions, type ChosenSchedule } from './schedules.ts';
import { onCtrlC, type Stop } from './stop.ts';
import { path, whole } from './values.ts';

const NOTHING_DONE = 'stopped before the first step: nothing was trained\n';

interface TrainArguments extends BackendArguments, NetArguments {
  readonly steps: number;
  readonly schedule: string;
  readonly lr?: number;
  readonly base?: number;
  readonly max?: number;
  readonly stepSize?: number;
  readonly gamma?: number;
  readonly seed: number;
  readonly data?: string;
  readonly run?: string;
  readonly resume?: boolean;
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  readonly json?: boolean;
}

export function addTrainCommand(
  program: Command,
  host: Host,
  args: readonly string[],
  setCode: (code: number) => void,
): void {
  const command = addBackendOptions(program.command('train'))
    .description(
      "Train Caffe's CIFAR-10 network with the schedule of the paper's Table 2: 25,000 steps of 100 images.\n" +
        'Obtains the data first where it is not there yet.',
    )
    .option('--steps <n>', 'updates to do', whole(1, 1e9), 25_000)
    .option(
      '--schedule <name|json|file>',
      `learning rate: ${scheduleNames.join(', ')}, a JSON object, or the path of a JSON file`,
      'table2',
    );
  for (const option of scheduleOptions()) command.addOption(option);
  addNetOptions(command)
    .option('--seed <n>', 'decides the initial weights', whole(0), 1)
    .option('--data <dir>', DATA_HELP, path)
    .option('--run <dir>', "folder of the run's files (default: runs/<net>-<schedule>-seed<n>)", path)
    .option('--resume', 'go on from what the run has saved')
    .option('--eval-every <n>', 'steps between evaluations on all test images', whole(1), 1000)
    .option('--checkpoint-every <n>', 'steps between savings', whole(1), 1000)
    .option('--json', 'print every event as a line of JSON on stdout')
    .addHelpText('after', () => {
      const command = host.command('train');
      return (
        `\nExamples:\n  ${command} --steps 2000\n  ${command} --schedule triangular --base 0.001 --max 0.006 --steps 24000\n` +
        `  ${command} --schedule fixed --steps 70000 --seed 2\n\nCtrl-C saves the run and prints the command that resumes it.`
      );
    })
    .action(async (options: TrainArguments) => {
      refuseSwallowed(host, command);
      setCode(await train(host, args, options));
    });
}

async function train(host: Host, args: readonly string[], options: TrainArguments): Promise<number> {
  const chosen = chooseSchedule(options.schedule, options, host.cwd);
  const name = `${options.net}-${chosen.name}-seed${options.seed}`;
  const dir = resolve(host.cwd, options.run ?? `runs/${name}`);
  await checkRunFolder(host, args, dir, options.resume === true);

  let began = false;
  let errorShown = false;
  let resumedAt = 0;
  const stop = onCtrlC(host, () => {
    const what = began ? 'stopping after this step and saving' : 'stopping';
    // On a terminal the cursor is behind the progress bar.
    host.stderr.write(`${host.stderr.isTTY ? '\n' : ''}${what} (Ctrl-C again quits at once)\n`);
  });
  const backend = await startBackend(host, options);
  try {
    const data = await openCifar10(host, options.data, stop.signal);
    stop.signal.throwIfAborted();
    began = true;
    const watch: Listener = (event) => {
      if (event.type === 'start') resumedAt = event.step;
      if (event.type === 'end') errorShown = event.reason === 'error';
    };
    const result = await runTraining({ host, options, chosen, dir, title: name, backend, data, stop, watch });
    const asked = stop.asked();
    if (asked === null || result.reason === 'done') {
      printResult(host, options, dir, result, resumedAt);
      return 0;
    }
    host.stderr.write(
      result.step === 0
        ? NOTHING_DONE
        : `saved at step ${result.step} of ${options.steps}; to go on from there:\n  ${resumeCommand(host, args, dir)}\n`,
    );
    return EXIT_CODES[asked];
  } catch (error) {
    if (errorShown && !args.includes('--verbose')) return EXIT_FAILURE; // the progress has ended with its message
    const asked = stop.asked();
    if (asked === null || began) throw error;
    host.stderr.write(NOTHING_DONE);
    return EXIT_CODES[asked];
  } finally {
    stop.release();
    await backend.close();
  }
}

/** Options that npm has itself, so that its variables say nothing of ours. */
const NPM_OPTIONS = ['json', 'verbose'];

/** npm takes options that come before `--` for its own, and hands them over as variables. */
function refuseSwallowed({ env }: Host, command: Command): void {
  if (env['npm_lifecycle_event'] !== 'start') return;
  for (const { long } of command.options) {
    const name = long?.slice(2) ?? '';
    if (NPM_OPTIONS.includes(name)) continue;
    const value = env[`npm_config_${name.replaceAll('-', '_')}`];
    if (value === undefined) continue;
    const typed = value === 'true' ? `--${name}` : `--${name} ${value}`;
    throw new UsageError(
      `${typed} went to npm, not to cyclegrad: put -- before the options: npm start -- ${typed}`,
    );
  }
}

/** The command with the same options, the run's folder spelt out, and --resume. */
function resumeCommand(host: Host, args: readonly string[], dir: string): string {
  const own = args.toSpliced(args.indexOf('train'), 1).filter((arg) => arg !== '--resume');
  const hasRun = own.some((arg) => arg === '--run' || arg.startsWith('--run='));
  const words = [...own, ...(hasRun ? [] : ['--run', relative(host.cwd, dir)]), '--resume'];
  return [host.command('train'), ...words.map((word) => shellWord(word))].join(' ');
}

/** A run is neither overwritten nor resumed by accident. */
async function checkRunFolder(
  host: Host,
  args: readonly string[],
  dir: string,
  resume: boolean,
): Promise<void> {
  const saved = (await latestCheckpoint(dir)) !== null;
  const shown = relative(host.cwd, dir) || dir;
  if (saved && !resume) {
    throw new UsageError(
      `${shown} holds a saved run already (go on with it: ${resumeCommand(host, args, dir)}; ` +
        'or begin a new one elsewhere: --run DIR)',
    );
  }
  if (!saved && resume) {
    throw new UsageError(
      `--resume: nothing is saved in ${shown} (leave --resume out to begin a run there, or name the run's folder: --run DIR)`,
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
}

function runTraining({
  host,
  options,
  chosen,
  dir,
  title,
  backend,
  data,
  stop,
  watch,
}: Run): Promise<Result> {
  const { steps, seed, batchSize, net } = options;
  const model = NETS[net]({ mean: meanImage(data.train) });
  const optimizer = sgd({ lr: chosen.schedule, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });
  const examples = loader(data.train, { batchSize, shuffle: false });
  const config = {
    net,
    parameters: countParameters(model),
    optimizer: optimizer.config,
    data: examples.config,
  };
  return fit({
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
      watch,
    ],
    signal: stop.signal,
  });
}

function printResult(
  host: Host,
  { json }: TrainArguments,
  dir: string,
  { last, best, ms }: Result,
  resumedAt: number,
): void {
  const accuracy = (event: EvalEvent | null): string =>
    event === null
      ? 'unknown'
      : `${formatPercent(event.metrics['accuracy'] ?? NaN)} after ${event.step} steps`;
  const lines = [
    `test accuracy  ${accuracy(last)}`,
    `best           ${accuracy(best)}`,
    `time           ${formatDuration(ms)}${resumedAt > 0 ? `, from step ${resumedAt} on` : ''}`,
    `run folder     ${relative(host.cwd, dir) || '.'} (events.jsonl, summary.json, curve.svg, checkpoints)`,
  ];
  (json === true ? host.stderr : host.stdout).write(`${lines.join('\n')}\n`);
}
