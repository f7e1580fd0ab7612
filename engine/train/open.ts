/** Opens a session: reads the checkpoint to resume from, fills the store and compiles the steps. */
import { notices as scheduleNotices } from '../../schedulers/index.ts';
import { averagesIn } from '../average.ts';
import type { Report } from '../backends/report.ts';
import { DataError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import type { Described } from '../nn/layer.ts';
import { countParameters, initState } from '../nn/model.ts';
import { torchNameAdvice, torchShapeAdvice } from '../nn/torch-layout.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import { Pace, Updates } from './calls.ts';
import { withoutCallbacks } from './callbacks.ts';
import type { Checkpoint } from './checkpoint.ts';
import { Controls } from './controls.ts';
import { CompiledEvaluation } from './evaluate.ts';
import type { Notice } from './events.ts';
import { digestOfExamples } from './examples.ts';
import { placeExamples } from './placement.ts';
import { checkArithmetic, loadLatest } from './resume.ts';
import { RunFolder } from './run-folder.ts';
import { Session } from './session.ts';
import type { Settings } from './settings.ts';
import { TrainingStep } from './training-step.ts';

/**
 * Opens a session: locks the folder of the run, reads the checkpoint to resume from, if there is one, fills the store and compiles the
 * steps. Closes everything again when it throws.
 */
export async function openSession(settings: Settings): Promise<Session> {
  const { checkpoint: options, files } = settings;
  const folder = options && (await RunFolder.open(files, options.dir, options.keep));
  try {
    return await openIn(folder, settings);
  } catch (error) {
    await folder?.close().catch(() => undefined); // report the first error
    throw error;
  }
}

async function openIn(folder: RunFolder | null, settings: Settings): Promise<Session> {
  const { model, backend, evaluation: evalSettings, stepsPerCall } = settings;
  const fresh = freshState(settings);
  if (evalSettings?.averaged === true && Object.keys(averagesIn(Object.keys(fresh))).length === 0) {
    throw new TypeError(
      `${settings.where}: eval: averaged needs an optimizer with averages (write optimizer: averageWeights(…))`,
    );
  }
  const digest = once(() => digestOfExamples(settings.data.dataset));
  const { checkpoint, notices } = await loadLatest(settings, folder, fresh, digest);
  const controls = new Controls(settings.where, model, checkpoint?.trainer);
  const state =
    resumedState(checkpoint) ??
    withInitial(`${settings.where}: initial`, settings.model, fresh, settings.initial);
  const placement = await placeExamples(settings, state);
  const { store, training, evaluation, runsPerCall } = placement;
  const newPace = (): Pace => new Pace(runsPerCall, stepsPerCall !== 'auto');
  const names = Object.keys(fresh);
  const opened: { close(): Promise<void> }[] = [store];
  try {
    const trainingStep = new TrainingStep(settings, training);
    const update = await trainingStep.compile(store, names, controls.compiling());
    opened.push(update);
    const evaluator =
      evalSettings &&
      (await CompiledEvaluation.compile({
        where: `${settings.where}: eval`,
        model,
        backend,
        store,
        objective: evalSettings.objective,
        examples: evaluation,
        batchSize: evalSettings.batchSize,
        averaged: evalSettings.averaged,
        pace: newPace(),
      }));
    const updates = new Updates({
      backend,
      store,
      names,
      update,
      pace: newPace(),
      batches: trainingStep.batches(),
      hyper: (step) => controls.changed(step, settings.optimizer.at(step)),
    });
    const { report } = update;
    return new Session({
      settings,
      store,
      names,
      trainingStep,
      updates,
      controls,
      evaluation,
      evaluator,
      digest,
      folder,
      checkpoint,
      bestStep: checkpoint !== null && settings.checkpoint?.best ? await folder!.bestStep() : null,
      report,
      notices: [
        ...notices,
        ...placement.notices,
        ...(checkpoint === null ? [] : checkArithmetic(checkpoint.report, report)),
        ...rescheduled(checkpoint),
        ...resumeStopped(settings, checkpoint, controls),
        ...(checkpoint?.step === settings.steps ? [complete(settings.steps)] : []),
        ...settingsNotices(settings),
        ...threadNotices(report),
      ],
    });
  } catch (error) {
    for (const resource of opened.toReversed()) await resource.close().catch(() => undefined);
    throw error;
  }
}

/** The state of a checkpoint without the arrays of callbacks. */
const resumedState = (checkpoint: Checkpoint | null): State | null =>
  checkpoint && withoutCallbacks(checkpoint.state);

/** The schedules that a callback set before the checkpoint. They replace those of the options. */
const rescheduled = (checkpoint: Checkpoint | null): Notice[] =>
  Object.entries(checkpoint?.trainer?.schedules ?? {}).map(([name, config]) => ({
    code: 'rescheduled',
    message: `${name} follows the schedule that a callback set before step ${checkpoint!.step}: ${JSON.stringify(config)}`,
  }));

/** Ends a run that a callback stopped, unless the callback is gone or has other options. Returns a notice about either. */
function resumeStopped(settings: Settings, checkpoint: Checkpoint | null, controls: Controls): Notice[] {
  const stopped = checkpoint?.trainer?.stopped;
  if (stopped === undefined || stopped.by === null) return [];
  const { by, reason } = stopped;
  const saved = checkpoint?.trainer?.callbacks?.[by];
  const now = settings.callbacks.find(({ name }) => name === by);
  const past = `${by} stopped the run at step ${checkpoint!.step}: ${reason}`;
  if (now === undefined || JSON.stringify(now.config ?? {}) !== JSON.stringify(saved?.config ?? {})) {
    return [{ code: 'stop-lifted', message: `${past}; this run has other callbacks, so it continues` }];
  }
  controls.stop(by, reason);
  return [{ code: 'stopped', message: `${past} (to continue it, omit this callback or change its options)` }];
}

/** The notice of a run that resumes from its last step. */
const complete = (steps: number): Notice => ({
  code: 'complete',
  message: `the run is already complete: all ${steps} steps are done (use more steps to continue it)`,
});

/** More threads than this for each core mostly wait for each other. */
const MOST_THREADS_A_CORE = 4;

/** A notice if the CPU backend has far more threads than can run at the same time. */
function threadNotices(report: Report): Notice[] {
  if (report.backend !== 'wasm' || report.cores === undefined) return [];
  const { threads, cores } = report;
  if (threads <= MOST_THREADS_A_CORE * cores) return [];
  const available = cores === 1 ? 'only 1 CPU is available' : `only ${cores} CPUs are available`;
  const message = `${threads} threads compute, but ${available}: steps take longer than with threads: ${cores}`;
  return [{ code: 'many-threads', message }];
}

/** The prefix of the arrays of the user's own step. */
const STEP = 'step/';

/** The state before the first update. */
function freshState({ model, optimizer, seed, step }: Settings): State {
  const own = Object.entries(step?.state ?? {}).map(([name, value]) => [STEP + name, value]);
  return { ...initState(model, optimizer, seed), ...Object.fromEntries(own) };
}

/** A function that computes its result at the first call. */
function once<T>(compute: () => T): () => T {
  let result: { readonly value: T } | null = null;
  return () => (result ??= { value: compute() }).value;
}

/** The fresh state with the `initial` arrays in place of its own. */
function withInitial(where: string, { params }: Described, fresh: State, initial: State): State {
  checkArrays(where, initial);
  for (const [name, value] of Object.entries(initial)) {
    const type = fresh[name];
    if (type === undefined) {
      throw new DataError(
        `${where}: there is no array called '${name}' (the run has: ${Object.keys(fresh).slice(0, 20).join(', ')})` +
          torchNameAdvice(params, [name]),
      );
    }
    if (type.dtype !== value.dtype || !sameShape(type.shape, value.shape)) {
      throw new DataError(
        `${where}: '${name}' must be ${formatType(type)}, got ${formatType(value)}` +
          torchShapeAdvice(params[name], value.shape),
      );
    }
  }
  return { ...fresh, ...initial };
}

/** Notices about the model and the schedules. */
function settingsNotices({ model, optimizer, steps }: Settings): Notice[] {
  const result: Notice[] = [];
  if (countParameters(model) === 0) {
    result.push({
      code: 'nothing-trained',
      message: 'the model has no trainable parameters, so only statistics can change',
    });
  }
  for (const [name, schedule] of Object.entries(optimizer.schedules)) {
    for (const { code, message } of scheduleNotices(schedule, steps)) {
      result.push({ code, message: `${name}: ${message}` });
    }
  }
  return result;
}
