/** The resources and the progress of a training run, and its operations. It emits no events. */
import { notices as scheduleNotices } from '../../schedulers/index.ts';
import type { Store } from '../backends/backend.ts';
import type { Report } from '../backends/report.ts';
import { averagesIn } from '../average.ts';
import { DataError, EngineError, NonFiniteError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import { countParameters, initState } from '../nn/model.ts';
import type { Hyper } from '../nn/optimizer.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import { Pace, Updates } from './calls.ts';
import type { Checkpoint } from './checkpoint.ts';
import { isDue, nextDue } from './duration.ts';
import { CompiledEvaluation, isBetter } from './evaluate.ts';
import type { EvalEvent, Notice, StepEvent } from './events.ts';
import { digestOfExamples, type Examples } from './examples.ts';
import { findNonFinite, isNonFiniteLoss, LOSS, nonFiniteState, type Suspect } from './non-finite.ts';
import { readMeasures } from './objective.ts';
import { placeExamples } from './placement.ts';
import { checkArithmetic, loadLatest } from './resume.ts';
import { RunFolder } from './run-folder.ts';
import type { Settings } from './settings.ts';
import { configOf } from './step.ts';
import { TrainingStep } from './training-step.ts';

/** The parts of a session that are constant during the run. */
interface Parts {
  readonly settings: Settings;
  readonly store: Store;
  /** The names of the arrays of the state. */
  readonly names: readonly string[];
  readonly trainingStep: TrainingStep;
  readonly updates: Updates;
  readonly evaluation: Examples;
  /** Null without evaluations. */
  readonly evaluator: CompiledEvaluation | null;
  readonly digest: () => string;
  /** Null without checkpoints. */
  readonly folder: RunFolder | null;
  /** The checkpoint that the run resumes from. */
  readonly checkpoint: Checkpoint | null;
  /** The step of `best.safetensors`. Null if it is missing, or not of this run. */
  readonly bestStep: number | null;
  readonly report: Report;
  readonly notices: readonly Notice[];
}

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
  const state = checkpoint?.state ?? withInitial(`${settings.where}: initial`, fresh, settings.initial);
  const placement = await placeExamples(settings, state);
  const { store, training, evaluation, runsPerCall } = placement;
  const newPace = (): Pace => new Pace(runsPerCall, stepsPerCall !== 'auto');
  const names = Object.keys(fresh);
  const opened: { close(): Promise<void> }[] = [store];
  try {
    const trainingStep = new TrainingStep(settings, training);
    const update = await trainingStep.compile(store, names, []);
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
    const feedsOf = (step: number) => trainingStep.feeds(step);
    const updates = new Updates({ backend, store, names, update, pace: newPace(), feedsOf });
    const { report } = update;
    return new Session({
      settings,
      store,
      names,
      trainingStep,
      updates,
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
function withInitial(where: string, fresh: State, initial: State): State {
  checkArrays(where, initial);
  for (const [name, value] of Object.entries(initial)) {
    const type = fresh[name];
    if (type === undefined) {
      throw new DataError(
        `${where}: there is no array called '${name}' (the run has: ${Object.keys(fresh).slice(0, 20).join(', ')})`,
      );
    }
    if (type.dtype !== value.dtype || !sameShape(type.shape, value.shape)) {
      throw new DataError(`${where}: '${name}' must be ${formatType(type)}, got ${formatType(value)}`);
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

export class Session {
  /** Updates done. */
  step: number;
  last: EvalEvent | null;
  best: EvalEvent | null;
  /** The loss of the last batch. Null before the first step. */
  batchLoss: number | null = null;
  readonly report: Report;
  readonly notices: readonly Notice[];
  readonly #parts: Parts;
  /** The last checkpoint: its step, and the step of its last evaluation. */
  #saved: { readonly step: number; readonly evaluated: number | undefined } | null;
  #savedBestStep: number | null;
  /** Whether the loss or the state was not finite. Earlier checkpoints are then better than the state. */
  #diverged = false;

  /** Use `openSession`. */
  constructor(parts: Parts) {
    const { checkpoint, bestStep, report, notices } = parts;
    this.#parts = parts;
    this.report = report;
    this.notices = notices;
    this.step = checkpoint?.step ?? 0;
    this.#saved = checkpoint && { step: checkpoint.step, evaluated: checkpoint.last?.step };
    this.#savedBestStep = bestStep;
    this.last = checkpoint?.last ?? null;
    this.best = checkpoint?.best ?? null;
  }

  /** The next step at which an evaluation or a checkpoint is due, or the end of the run. */
  get #nextEventStep(): number {
    const { steps, evaluation, checkpoint } = this.#parts.settings;
    const due = [evaluation, checkpoint].map((each) =>
      each === null ? Infinity : nextDue(this.step, each.every),
    );
    return Math.min(steps, ...due);
  }

  /** Runs one update. Throws EngineError when the loss is not finite. The state is then unchanged. */
  async next(): Promise<StepEvent> {
    const { step } = this;
    const { settings, updates } = this.#parts;
    const hyper = settings.optimizer.at(step);
    let update: Awaited<ReturnType<Updates['next']>>;
    try {
      update = await updates.next(step, this.#nextEventStep);
    } catch (error) {
      if (!isNonFiniteLoss(error)) throw error;
      this.#diverged = true;
      throw await this.#explain(step, hyper, error);
    }
    const { loss, metrics } = readMeasures(update.values);
    this.step = step + 1;
    this.batchLoss = loss;
    return { type: 'step', step, steps: settings.steps, hyper, loss, metrics, ms: update.ms };
  }

  async #explain(step: number, hyper: Hyper, cause: unknown): Promise<EngineError> {
    const { trainingStep } = this.#parts;
    const origin = await findNonFinite({
      ...this.#suspect(step),
      training: true,
      inputs: trainingStep.inputs,
      feeds: trainingStep.batch(step),
      input: (inputs, state) => trainingStep.gather(inputs, state).x,
      augmentation: (inputs) => trainingStep.augmentation(inputs),
    });
    const rates = Object.entries(hyper).map(([name, value]) => `${name} ${Number(value.toPrecision(6))}`);
    return new EngineError(
      `${this.#parts.settings.where}: the loss is not finite at step ${step} (${rates.join(', ')}): first bad tensor: ${origin} ` +
        `(${fixFor(step)}; the state is as it was before the step)`,
      { cause },
    );
  }

  #suspect(step: number): Pick<Suspect, 'model' | 'backend' | 'store' | 'seed' | 'step'> {
    const { settings, store } = this.#parts;
    const { model, backend, seed } = settings;
    return { model, backend, store, seed, step };
  }

  /** Whether an evaluation is due: before the first step, every `every` steps, and at the end. Never twice at a step. */
  get evalDue(): boolean {
    const { evaluation, steps } = this.#parts.settings;
    if (evaluation === null || this.last?.step === this.step) return false;
    return isDue(this.step, evaluation.every) || this.step === steps;
  }

  /** Evaluates. Null without evaluations, or when the signal aborted it. Throws EngineError when the loss is not finite. */
  async evaluate(): Promise<EvalEvent | null> {
    const { step } = this;
    const { evaluator, evaluation, settings } = this.#parts;
    const result = (await evaluator?.run(settings.signal ?? undefined)) ?? null;
    if (result === null) return null;
    const { bad, details: _, ...measured } = result;
    if (bad !== null) {
      this.#diverged = true;
      const origin = await findNonFinite({
        ...this.#suspect(step),
        training: false,
        inputs: evaluation.inputs(bad.length),
        feeds: evaluation.feeds(bad),
        input: (inputs, state) => evaluation.gather(inputs, state).x,
      });
      throw new EngineError(
        `${settings.where}: eval: the loss is not finite after ${step} steps: first bad tensor: ${origin} (${fixFor(step)})`,
        { cause: new NonFiniteError(LOSS, measured.loss, 0) },
      );
    }
    const event: EvalEvent = { type: 'eval', step, ...measured };
    this.last = event;
    if (this.best === null || isBetter(event, this.best)) this.best = event;
    return event;
  }

  /** Whether a checkpoint is due: every `every` steps, and at the end. */
  get saveDue(): boolean {
    const { checkpoint, steps } = this.#parts.settings;
    return checkpoint !== null && (isDue(this.step, checkpoint.every) || this.step === steps) && this.isDirty;
  }

  /** Whether the run has a checkpoint folder, and progress that is not saved: updates, or an evaluation. */
  get isDirty(): boolean {
    const { step, last } = this;
    if (this.#parts.settings.checkpoint === null || step === 0) return false;
    return this.#saved?.step !== step || this.#saved.evaluated !== last?.step;
  }

  /** Whether the state after an error is worth a checkpoint. */
  get canRescue(): boolean {
    return this.isDirty && !this.#diverged;
  }

  /** Saves a checkpoint and returns its path. Throws EngineError for a state that is not finite. */
  async save(): Promise<string> {
    const path = await this.#folder().save(await this.#checkpoint());
    this.#saved = { step: this.step, evaluated: this.last?.step };
    return path;
  }

  /** Deletes old checkpoints. */
  async prune(): Promise<void> {
    await this.#folder().prune(this.step);
  }

  /** Whether the evaluation at this step is the best of the run and is to be saved, also if an error prevented that before a resume. */
  get bestDue(): boolean {
    const { step, best } = this;
    if (this.#parts.settings.checkpoint?.best !== true || step === 0) return false;
    return best?.step === step && this.#savedBestStep !== step;
  }

  /** Saves the state of the best evaluation and returns its path. Throws as `save` does. */
  async saveBest(): Promise<string> {
    const path = await this.#folder().saveBest(await this.#checkpoint());
    this.#savedBestStep = this.step;
    return path;
  }

  #folder(): RunFolder {
    const { settings, folder } = this.#parts;
    if (folder === null) throw new EngineError(`${settings.where}: the run has no checkpoint folder`);
    return folder;
  }

  async #checkpoint(): Promise<Checkpoint> {
    const { where, model, optimizer, data, seed, steps } = this.#parts.settings;
    const { step, last, best, report } = this;
    const state = await this.state();
    const bad = nonFiniteState(state);
    if (bad !== null) {
      this.#diverged = true;
      throw new EngineError(
        `${where}: the state is not finite after ${step} steps: ${bad} ` +
          `(lower the learning rate; no checkpoint was written, and those in ${this.#folder().dir} are unchanged)`,
      );
    }
    return {
      state,
      step,
      steps,
      seed,
      model: model.config ?? { kind: 'custom' },
      optimizer: optimizer.config,
      data: data.config,
      examples: this.#parts.digest(),
      report,
      last: withoutTiming(last),
      best: withoutTiming(best),
      ...trainerRecord(this.#parts.settings),
    };
  }

  /** Parameters, statistics and the arrays of the optimizer, without the data. */
  async state(): Promise<State> {
    const { updates, store, names } = this.#parts;
    await updates.settle(this.step);
    return store.read(names);
  }

  /** Closes everything that the session opened. The backend stays open. */
  async close(): Promise<void> {
    const { evaluator, updates, store } = this.#parts;
    await evaluator?.close();
    await updates.close();
    await store.close();
  }

  /** Unlocks the folder of the run, after everything about the run was written. */
  async unlock(): Promise<void> {
    await this.#parts.folder?.close();
  }
}

/** What to do about a loss that is not finite after `step` updates. */
const fixFor = (step: number): string =>
  step === 0
    ? 'check the data, the initial state and the loss: there was no update yet'
    : 'lower the learning rate';

/** What a checkpoint stores of the options that open the trainer. Empty without them. */
function trainerRecord({ step }: Settings): Pick<Checkpoint, 'trainer'> {
  const config = configOf(step);
  return config === null ? {} : { trainer: { step: config } };
}

/** Wall time is not part of a run: equal runs must write equal files. */
const withoutTiming = (event: EvalEvent | null): EvalEvent | null => event && { ...event, ms: 0 };
