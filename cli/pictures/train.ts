/** `cyclegrad train PATH`: trains a classifier on a folder of images. */
import { writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { loader, subset, type Loader, type LoaderOptions } from '../../datasets/index.ts';
import { crop as shift, flip as mirror, randAugment } from '../../engine/augment/index.ts';
import {
  fit,
  formatDuration,
  freezing,
  jsonLines,
  latestCheckpoint,
  progressBar,
  report,
  type Listener,
  type State,
  type TrainOptions,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { oneCycle, oneCycleMomentum } from '../../schedulers/index.ts';
import { exitCodeOf, UsageError } from '../failure.ts';
import { EXIT_CODES, shellWord, type Host } from '../host.ts';
import { startBackend, type BackendArguments } from '../options/backend.ts';
import { logFiles, openLogs, type LogFormat } from '../options/logs.ts';
import { onStopSignal, type Stop } from '../stop.ts';
import { runsBeside } from '../ui/folders.ts';
import { livePage, type LivePage } from '../ui/index.ts';
import { describeData, typicalSize } from './describe.ts';
import { checkOptions, checkRunPath } from './refusals.ts';
import { findRate, optimizerOf } from './rate.ts';
import { resultsText, testModel } from './results.ts';
import {
  freshRunFolder,
  pathFrom,
  loadTrained,
  networkOf,
  readRecord,
  saveModel,
  writeRecord,
  type ModelRecord,
  type RunRecord,
} from './run-folder.ts';
import { chooseSettings, type Choice, type PictureArguments } from './settings.ts';
import { heldOut, picturesOf, readPictures, reading, statsOf, type Pictures } from './read.ts';
import { openSource, type Source } from './sources.ts';
import { bodyOf, modelOf, transfer, transferFile } from './transfer.ts';

export interface PictureRunArguments extends PictureArguments, BackendArguments {
  /** The folder of the run. */
  readonly run?: string;
  readonly json?: boolean;
  readonly log?: readonly LogFormat[];
  /** The port of a page that shows the run, or true for any port. */
  readonly ui?: number | true;
}

/** Evaluations and checkpoints of a run, at most one for each epoch. */
const EVALUATIONS = 20;

/** A run has the time of this many steps to end its step and save. */
const STEPS_TO_STOP = 4;

/** Trains on the images at `path`. Returns the exit status. */
export async function trainOnPictures(
  host: Host,
  path: string,
  options: PictureRunArguments,
): Promise<number> {
  const data = resolve(host.cwd, path);
  const dir =
    options.run === undefined
      ? freshRunFolder(host.cwd, basename(data).replace(/\.csv$/i, ''))
      : resolve(host.cwd, options.run);
  checkRunPath(host.cwd, dir, data);
  checkOptions(options);
  if ((await latestCheckpoint(dir)) !== null) {
    throw new UsageError(
      `${relative(host.cwd, dir)} already has checkpoints of a run (resume it: ${resumeCommand(host, dir)}; or start a new run elsewhere: --run DIR)`,
    );
  }
  const from = options.from === undefined ? null : await transferFile(host.cwd, options.from);
  const trained = from === null ? null : await modelOf(host.cwd, from);
  return withRun(host, options, dir, async (run) => {
    const source = await reading(host, run.stop, (options) => openSource(data, options));
    if (source.classes.length < 2) {
      throw new UsageError(
        `${path}: there is only the class ${source.classes[0]} (a classifier needs two or more)`,
      );
    }
    if (source.images.length === 0)
      throw new UsageError(`${path}: there are no images in the folders of the classes`);
    const forTests = source.images.filter(({ part }) => part === 'test' || part === 'valid');
    const { settings, choices } = chooseSettings(options, {
      images: source.images.length,
      heldOut: forTests.length,
      ...typicalSize(source),
      trained,
    });
    const pictures = await reading(host, run.stop, (options) => readPictures(source, settings, options));
    host.stderr.write(
      `${describeData({ source, damaged: pictures.all.skipped, ...pictures, files: pictures.all.files, cwd: host.cwd }).join('\n')}\n\n${choicesText(choices)}`,
    );
    checkParts(path, source, pictures);
    const record = {
      version: 1,
      data: pathFrom(dir, data),
      classes: source.classes,
      settings,
      from: from === null ? null : pathFrom(dir, from),
      log: options.log ?? [],
    } as const;
    const start = await startOf(host, record, pictures, from);
    let { max } = options;
    if (max === undefined) {
      run.page?.say('Range test…');
      const found = await findRate(host, {
        ...start,
        initial: start.initial,
        backend: run.backend,
        seed: settings.seed,
        signal: run.stop.signal,
        watch: ({ type, step }) => {
          if (type === 'step') run.page?.say(`Range test: step ${step + 1} of each sweep`);
        },
      });
      if (found === null) return run.stopped('stopped in the range test: nothing was trained\n');
      await run.page?.showRange(found.test);
      run.page?.say(null);
      ({ max } = found);
      host.stderr.write(
        choicesText([{ name: 'rate', value: `up to ${max}`, why: `${found.why}; --max overrides it` }]),
      );
      const ms = found.stepMs * settings.epochs * start.data.stepsPerEpoch;
      host.stderr.write(`${settings.epochs} epochs take about ${formatDuration(ms)}\n\n`);
    }
    const complete: RunRecord = { ...record, max };
    writeRecord(dir, complete);
    return trainAndTest(host, run, complete, pictures, start, false);
  });
}

/** Resumes the run in a folder. */
export async function resumeOnPictures(
  host: Host,
  given: string,
  options: PictureRunArguments,
): Promise<number> {
  const dir = resolve(host.cwd, given);
  const before = readRecord(host, dir);
  const record = options.log === undefined ? before : { ...before, log: options.log };
  return withRun(host, options, dir, async (run) => {
    const pictures = await reading(host, run.stop, (options) => picturesOf(dir, record, options));
    const from = record.from === null ? null : resolve(dir, record.from);
    const start = await startOf(host, record, pictures, from);
    return trainAndTest(host, run, record, pictures, start, true);
  });
}

/** What all stages of a run share. */
interface Run {
  readonly dir: string;
  readonly backend: Awaited<ReturnType<typeof startBackend>>;
  readonly stop: Stop;
  readonly json: boolean;
  readonly page: LivePage | null;
  /** Prints a message, and returns the exit status of the signal. */
  readonly stopped: (message: string) => number;
  readonly watch: Listener;
  /** The step of the last checkpoint. 0 without one. */
  readonly savedAt: () => number;
}

/** Opens what a run needs, calls `use`, and closes it. A signal to stop ends with its exit status. */
async function withRun(
  host: Host,
  options: PictureRunArguments,
  dir: string,
  use: (run: Run) => Promise<number>,
): Promise<number> {
  let isTraining = false;
  let longestStep = 0;
  let savedAt = 0;
  let errorShown = false;
  const stop = onStopSignal(host, {
    onFirst: () => {
      const what = isTraining ? 'stopping after this step and saving' : 'stopping';
      host.stderr.write(`${host.stderr.isTTY ? '\n' : ''}${what} (Ctrl-C again quits at once)\n`);
    },
    patience: () => STEPS_TO_STOP * longestStep,
  });
  const backend = await startBackend(host, options);
  let page: LivePage | null = null;
  const stopped = (message: string): number => {
    host.stderr.write(message);
    const signal = stop.receivedSignal();
    // Without a signal, the live page stopped the run.
    return signal === null ? 0 : EXIT_CODES[signal];
  };
  try {
    if (options.ui !== undefined) {
      const port = options.ui === true ? 0 : options.ui;
      page = await livePage({ port, title: basename(dir), runs: await runsBeside(dir), command: 'images' });
      host.stderr.write(`live page: ${page.url}\n`);
    }
    return await use({
      page,
      dir,
      backend,
      stop,
      json: options.json === true,
      stopped,
      watch: (event) => {
        if (event.type === 'start') {
          isTraining = true;
          savedAt = event.step;
        }
        if (event.type === 'checkpoint') savedAt = event.step;
        if (event.type === 'step') longestStep = Math.max(longestStep, event.ms);
        if (event.type === 'end') errorShown = event.reason === 'error';
      },
      savedAt: () => savedAt,
    });
  } catch (error) {
    if (savedAt > 0)
      host.stderr.write(`saved at step ${savedAt}; to resume:\n  ${resumeCommand(host, dir)}\n`);
    if (errorShown) return exitCodeOf(error); // the progress has shown the message
    if (stop.receivedSignal() === null || (error as Error).name !== 'AbortError') throw error;
    return stopped('stopped before the first step: nothing was trained\n');
  } finally {
    stop.release();
    await page?.close();
    await backend.close();
  }
}

const resumeCommand = (host: Host, dir: string): string =>
  `${host.command('train')} --resume ${shellWord(relative(host.cwd, dir) || '.')}`;

function choicesText(choices: readonly Choice[]): string {
  return `${choices.map(({ name, value, why }) => `${name.padEnd(11)}${value.padEnd(14)} ${why}`).join('\n')}\n`;
}

/** Throws UsageError if there are not enough images. */
function checkParts(path: string, { classes }: Source, { all, parts }: Pictures): void {
  const used = new Set(Array.from(parts.train, (i) => all.files[i].label));
  const empty = classes.filter((_, label) => !used.has(label));
  if (empty.length > 0) {
    throw new UsageError(
      `${path}: there are no training images of ${empty.join(', ')} (add some, or remove the class)`,
    );
  }
  if (parts.test.length + parts.valid.length === 0) {
    throw new UsageError(`${path}: no image is left for a test (add images, or raise --test-share)`);
  }
}

function augmentOf({ crop, flip, augment }: RunRecord['settings']): NonNullable<LoaderOptions['augment']> {
  if (augment !== 'strong') return { crop, flip };
  return [shift(crop), ...(flip ? [mirror()] : []), randAugment()];
}

/** The network and its data at the beginning of a run. */
interface Start {
  readonly model: nn.Layer;
  readonly data: Loader;
  readonly initial: State;
  readonly body: readonly string[];
}

async function startOf(
  host: Host,
  record: Omit<RunRecord, 'max'>,
  { all, parts }: Pictures,
  from: string | null,
): Promise<Start> {
  const { model, size, fit: how, batchSize } = record.settings;
  const train = subset(all, parts.train, `${all.name}/train`);
  const stats = await statsOf(train);
  const build = (count: number): nn.Layer =>
    networkOf({ model, size, fit: how, classes: Array.from({ length: count }, (_, i) => String(i)) }, stats);
  const classes = record.classes.length;
  const layer = build(classes);
  const data = loader(train, {
    batchSize: Math.min(batchSize, train.length),
    augment: augmentOf(record.settings),
  });
  if (from === null) return { model: layer, data, initial: {}, body: [] };
  const { initial, missing, unused } = await transfer(from, build, classes, size);
  const taken = Object.keys(initial).length;
  if (taken === 0) {
    throw new UsageError(
      `--from ${relative(host.cwd, from)}: no array has a name and a shape of ${model} (pass weights of ${model}, or choose another --model)`,
    );
  }
  const fresh = missing.map(({ name, why }) => `  ${name}: ${why}\n`).join('');
  host.stderr.write(
    `weights    ${taken} of ${taken + missing.length} arrays from ${relative(host.cwd, from)}` +
      `${missing.length === 0 ? '\n' : `; these start at random:\n${fresh}`}` +
      `${unused.length === 0 ? '' : `  not used: ${unused.slice(0, 8).join(', ')}${unused.length > 8 ? `, and ${unused.length - 8} more` : ''}\n`}\n`,
  );
  return { model: layer, data, initial, body: bodyOf(build, classes) };
}

async function trainAndTest(
  host: Host,
  run: Run,
  record: RunRecord,
  pictures: Pictures,
  { model, data, initial, body }: Start,
  resume: boolean,
): Promise<number> {
  const { settings, max, classes } = record;
  const { epochs, freezeEpochs, seed } = settings;
  const { dir, backend, stop } = run;
  const steps = epochs * data.stepsPerEpoch;
  const every = Math.ceil(epochs / EVALUATIONS) * data.stepsPerEpoch;
  const optimizer = optimizerOf(oneCycle({ max, steps }), oneCycleMomentum({ steps }));
  const { log = [] } = record;
  const config = { ...settings, max, parameters: nn.countParameters(model), optimizer: optimizer.config };
  const title = basename(dir);
  const logs = openLogs(log, dir, { config, title });
  const { data: valid, files: validFiles } = heldOut(pictures, 'valid');
  const names = validFiles.map(({ path }) => relative(host.cwd, path));
  const options: TrainOptions = {
    model,
    backend,
    steps,
    seed,
    data,
    initial,
    optimizer,
    eval: { data: valid, every },
    checkpoint: { dir, every, resume },
    ...(freezeEpochs > 0 && {
      callbacks: [freezing([{ match: body, until: freezeEpochs * data.stepsPerEpoch }])],
    }),
    listeners: [
      progressBar({ stream: host.stderr }),
      report(dir, { config, title }),
      ...(run.json ? [jsonLines({ stream: host.stdout })] : []),
      ...logs.listeners,
      run.watch,
    ],
    signal: stop.signal,
  };
  const result = await fit(run.page === null ? options : run.page.watch(options, { names }));
  if (result.reason !== 'done') {
    if (result.step === 0) return run.stopped('stopped before the first step: nothing was trained\n');
    return run.stopped(
      `saved at step ${result.step} of ${steps}; to resume:\n  ${resumeCommand(host, dir)}\n`,
    );
  }
  const { batchSize } = data;
  await logs.finish({ model, backend, state: result.state, data: valid, batchSize });
  const about: ModelRecord = { model: settings.model, size: settings.size, fit: settings.fit, classes };
  await saveModel(dir, about, model, result.state);
  const trained = await loadTrained(host, dir);
  const { data: test, files } = heldOut(pictures, 'test');
  const results = await testModel(trained, backend, test, files);
  writeFileSync(join(dir, 'report.json'), `${JSON.stringify(results, null, 2)}\n`);
  const text = resultsText(results, host.cwd);
  writeFileSync(join(dir, 'report.txt'), text);
  (run.json ? host.stderr : host.stdout).write(`\n${text}\n${nextText(host, dir, result.ms, log)}`);
  return 0;
}

function nextText(host: Host, dir: string, ms: number, log: readonly LogFormat[]): string {
  const folder = shellWord(relative(host.cwd, dir) || '.');
  const files = [
    'model.safetensors',
    'run.json',
    'report.txt',
    'report.json',
    'curve.svg',
    'summary.json',
    ...logFiles(log),
  ];
  return [
    `time       ${formatDuration(ms)}`,
    `run folder ${relative(host.cwd, dir) || '.'} (${files.join(', ')})`,
    'next',
    `  ${host.command('predict')} ${folder} FILE`,
    `  ${host.command('export')} ${folder} --to browser`,
    '',
  ].join('\n');
}
