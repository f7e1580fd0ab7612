/** The resources and the progress of a training run, and its operations. It emits no events. */
import { notices as scheduleNotices } from '../../schedulers/index.ts';
import type { Store } from '../backends/backend.ts';
import type { Report } from '../backends/report.ts';
import { DataError, EngineError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import { countParameters, initState } from '../nn/model.ts';
import type { Hyper } from '../nn/optimizer.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import { Pace, Updates } from './calls.ts';
import { bestPath, checkpointPath, pruneCheckpoints, saveCheckpoint, type Checkpoint } from './checkpoint.ts';
import { CompiledEvaluation, isBetter } from './evaluate.ts';
import type { EvalEvent, StepEvent } from './events.ts';
import { digestOfExamples, type Examples } from './examples.ts';
import { findNonFinite, isNonFiniteLoss, nonFiniteState, type Suspect } from './non-finite.ts';
import { readMeasures } from './objective.ts';
import { placeExamples } from './placement.ts';
import { checkArithmetic, loadLatest, type Notice } from './resume.ts';
import type { Settings } from './settings.ts';
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
  /** The checkpoint that the run resumes from. */
  readonly checkpoint: Checkpoint | null;
  readonly report: Report;
  readonly notices: readonly Notice[];
}

/**
 * Opens a session: reads the checkpoint to resume from, if there is one, fills the store and compiles the steps. Closes
 * everything again when it throws.
 */
export async function openSession(settings: Settings): Promise<Session> {
  const { model, optimizer, seed, backend, evaluation: evalSettings, objective, stepsPerCall } = settings;
  const fresh = initState(model, optimizer, seed);
  const digest = once(() => digestOfExamples(settings.data.dataset));
  const { checkpoint, notices } = await loadLatest(settings, fresh, digest);
  const state = checkpoint?.state ?? withInitial(`${settings.where}: initial`, fresh, settings.initial);
  const placement = await placeExamples(settings, state);
  const { store, training, evaluation, runsPerCall } = placement;
  const newPace = (): Pace => new Pace(runsPerCall, stepsPerCall !== 'auto');
  const names = Object.keys(fresh);
  const opened: { close(): Promise<void> }[] = [store];
  try {
    const trainingStep = new TrainingStep(settings, training);
    const update = await trainingStep.compile(store);
    opened.push(update);
    const evaluator =
      evalSettings &&
      (await CompiledEvaluation.compile({
        model,
        backend,
        store,
        objective,
        examples: evaluation,
        batchSize: evalSettings.batchSize,
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
      checkpoint,
      report,
      notices: [
        ...notices,
        ...placement.notices,
        ...(checkpoint === null ? [] : checkArithmetic(checkpoint.report, report)),
        ...settingsNotices(settings),
        ...threadNotices(report),
      ],
    });
  } catch (error) {
    for (const resource of opened.toReversed()) await resource.close().catch(() => undefined);
    throw error;
  }
}

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
  /** The step at which this process started. */
  readonly #startStep: number;
  #savedStep: number | null;

  /** Use `openSession`. */
  constructor(parts: Parts) {
    const { checkpoint, report, notices } = parts;
    this.#parts = parts;
    this.report = report;
    this.notices = notices;
    this.step = this.#startStep = checkpoint?.step ?? 0;
    this.#savedStep = checkpoint?.step ?? null;
    this.last = checkpoint?.last ?? null;
    this.best = checkpoint?.best ?? null;
  }

  /** The next step at which an evaluation or a checkpoint is due, or the end of the run. */
  get #nextEventStep(): number {
    const { steps, evaluation, checkpoint } = this.#parts.settings;
    const due = [evaluation, checkpoint].map((each) =>
      each === null ? Infinity : (Math.floor(this.step / each.every) + 1) * each.every,
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
      throw isNonFiniteLoss(error) ? await this.#explain(step, hyper, error) : error;
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
    return this.step % evaluation.every === 0 || this.step === steps;
  }

  /** Evaluates. Null without evaluations, or when the signal aborted it. Throws EngineError when the loss is not finite. */
  async evaluate(): Promise<EvalEvent | null> {
    const { step } = this;
    const { evaluator, evaluation, settings } = this.#parts;
    const result = (await evaluator?.run(settings.signal ?? undefined)) ?? null;
    if (result === null) return null;
    const { bad, ...measured } = result;
    if (bad !== null) {
      const origin = await findNonFinite({
        ...this.#suspect(step),
        training: false,
        inputs: evaluation.inputs(bad.length),
        feeds: evaluation.feeds(bad),
        input: (inputs, state) => evaluation.gather(inputs, state).x,
      });
      throw new EngineError(
        `eval: the loss is not finite after ${step} steps: first bad tensor: ${origin} (${fixFor(step)})`,
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
    return checkpoint !== null && (this.step % checkpoint.every === 0 || this.step === steps) && this.isDirty;
  }

  /** Whether the run has a checkpoint folder, and progress that is not saved. */
  get isDirty(): boolean {
    const { checkpoint } = this.#parts.settings;
    return checkpoint !== null && this.step > this.#startStep && this.#savedStep !== this.step;
  }

  /** Saves a checkpoint, deletes old ones, and returns its path. Throws EngineError for a state that is not finite. */
  async save(): Promise<string> {
    const { dir, keep } = this.#checkpointSettings();
    const path = checkpointPath(dir, this.step);
    await this.#write(path);
    this.#savedStep = this.step;
    await pruneCheckpoints(dir, keep);
    return path;
  }

  /** Whether the evaluation at this step is the best of the run and is to be saved. */
  get bestDue(): boolean {
    const { step, last, best } = this;
    return this.#parts.settings.checkpoint?.best === true && step > 0 && last?.step === step && best === last;
  }

  /** Saves the state of the best evaluation and returns its path. Throws as `save` does. */
  async saveBest(): Promise<string> {
    const path = bestPath(this.#checkpointSettings().dir);
    await this.#write(path);
    return path;
  }

  #checkpointSettings(): NonNullable<Settings['checkpoint']> {
    const { where, checkpoint } = this.#parts.settings;
    if (checkpoint === null) throw new EngineError(`${where}: the run has no checkpoint folder`);
    return checkpoint;
  }

  async #write(path: string): Promise<void> {
    const { where, model, optimizer, data, seed, steps } = this.#parts.settings;
    const { step, last, best, report } = this;
    const state = await this.state();
    const bad = nonFiniteState(state);
    if (bad !== null) {
      const { dir } = this.#checkpointSettings();
      throw new EngineError(
        `${where}: the state is not finite after ${step} steps: ${bad} ` +
          `(lower the learning rate; no checkpoint was written, and those in ${dir} are unchanged)`,
      );
    }
    await saveCheckpoint(path, {
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
    });
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
}

/** What to do about a loss that is not finite after `step` updates. */
const fixFor = (step: number): string =>
  step === 0
    ? 'check the data, the initial state and the loss: there was no update yet'
    : 'lower the learning rate';

/** Wall time is not part of a run: equal runs must write equal files. */
const withoutTiming = (event: EvalEvent | null): EvalEvent | null => event && { ...event, ms: 0 };
