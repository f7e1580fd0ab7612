/** The resources and the progress of a training run, and its operations. It emits no events. */
import type { Store } from '../backends/backend.ts';
import type { Report } from '../backends/report.ts';
import { DataError, EngineError, NonFiniteError } from '../errors.ts';
import type { Match } from '../match.ts';
import type { Hyper } from '../nn/optimizer.ts';
import { checkInteger } from '../options.ts';
import type { State } from '../types.ts';
import type { Updates } from './calls.ts';
import { Callbacks, type RunHandle, type StepProfile } from './callbacks.ts';
import { encodeCheckpoint, type Checkpoint } from './checkpoint.ts';
import type { Controls } from './controls.ts';
import { isDue, nextDue } from './duration.ts';
import type { CompiledEvaluation } from './evaluate.ts';
import type { CheckpointEvent, EvalEvent, Notice, StepEvent } from './events.ts';
import { withoutTiming } from './events.ts';
import type { Examples } from './examples.ts';
import { isImprovement } from './monitor.ts';
import { findNonFinite, fixFor, isNonFiniteLoss, LOSS, nonFiniteState, type Suspect } from './non-finite.ts';
import { readMeasures } from './objective.ts';
import type { RunFolder } from './run-folder.ts';
import type { Settings } from './settings.ts';
import { configOf } from './step.ts';
import type { TrainingStep } from './training-step.ts';

/** The parts of a session that are constant during the run. */
export interface Parts {
  readonly settings: Settings;
  readonly store: Store;
  /** The names of the arrays of the state. */
  readonly names: readonly string[];
  readonly trainingStep: TrainingStep;
  readonly updates: Updates;
  readonly controls: Controls;
  readonly evaluation: Examples;
  /** Null without evaluations. */
  readonly evaluator: CompiledEvaluation | null;
  readonly digest: () => Promise<string>;
  /** Null without checkpoints. */
  readonly folder: RunFolder | null;
  /** The checkpoint that the run resumes from. */
  readonly checkpoint: Checkpoint | null;
  /** The step of `best.safetensors`. Null if it is missing, or not of this run. */
  readonly bestStep: number | null;
  readonly report: Report;
  readonly notices: readonly Notice[];
}

interface Announce {
  readonly emit: (event: EvalEvent) => Promise<EvalEvent>;
  readonly save: () => Promise<CheckpointEvent>;
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
  readonly callbacks: Callbacks;
  /** How the run sends an event, and saves with its events. */
  announce: Announce | null = null;
  readonly #parts: Parts;
  /** The last checkpoint: its step, and the step of its last evaluation. */
  #saved: { readonly step: number; readonly evaluated: number | undefined } | null;
  #savedBestStep: number | null;
  /** Whether the loss or the state was not finite. Earlier checkpoints are then better than the state. */
  #diverged = false;
  /** Whether `write` changed the state after the last evaluation. */
  #written = false;
  #closed = false;

  /** Use `openSession` of open.ts. */
  constructor(parts: Parts) {
    const { checkpoint, bestStep, report, notices } = parts;
    this.#parts = parts;
    this.report = report;
    this.notices = notices;
    this.step = checkpoint?.step ?? 0;
    // A checkpoint that was given as bytes is not in the folder of the run.
    const inFolder = parts.settings.resumeFrom === null ? checkpoint : null;
    this.#saved = inFolder && { step: inFolder.step, evaluated: inFolder.last?.step };
    this.#savedBestStep = bestStep;
    this.callbacks = new Callbacks(parts.settings.callbacks, checkpoint, (by) => this.handle(by));
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
    const { settings, updates, controls } = this.#parts;
    await this.#recompile();
    const hyper = controls.changed(step, settings.optimizer.at(step));
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
    this.#written = false;
    this.batchLoss = loss;
    return { type: 'step', step, steps: settings.steps, hyper, loss, metrics, ms: update.ms };
  }

  async #explain(step: number, hyper: Hyper, cause: unknown): Promise<EngineError> {
    const { trainingStep } = this.#parts;
    const origin = await findNonFinite({
      ...this.#suspect(step),
      training: true,
      inputs: trainingStep.inputs,
      feeds: await trainingStep.batch(step),
      input: (inputs, state) => trainingStep.gather(inputs, state).x,
      augmentation: (inputs, x) => trainingStep.augmentation(inputs, x),
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
        averaged: settings.evaluation?.averaged === true,
        inputs: evaluation.inputs(bad.length),
        feeds: await evaluation.feeds(bad),
        input: (inputs, state) => evaluation.gather(inputs, state).x,
      });
      throw new EngineError(
        `${settings.where}: eval: the loss is not finite after ${step} steps: first bad tensor: ${origin} (${fixFor(step)})`,
        { cause: new NonFiniteError(LOSS, measured.loss, 0) },
      );
    }
    const event: EvalEvent = { type: 'eval', step, ...measured };
    [this.last, this.#written] = [event, false];
    if (isImprovement(settings.where, event, this.best, settings.monitor)) this.best = event;
    return event;
  }

  /** Whether the state is not the one of the last evaluation because something wrote to it. */
  get needsEvaluation(): boolean {
    return this.#written && this.#parts.evaluator !== null;
  }

  /** Why the run was stopped. Null while it was not. */
  get stopped(): string | null {
    return this.#parts.controls.stopped?.reason ?? null;
  }

  /** What callbacks and callers do with the run. `by` is the name of the callback, or null. */
  handle(by: string | null): RunHandle {
    // oxlint-disable-next-line typescript/no-this-alias -- the accessors of the handle need it
    const session = this;
    const { settings, controls } = this.#parts;
    const steady = async (): Promise<void> => {
      session.#checkOpen();
      // Updates that ran ahead used the settings before the change.
      await session.#parts.updates.settle(session.step);
      session.#saved = null;
    };
    return {
      steps: settings.steps,
      get step() {
        return session.step;
      },
      get last() {
        return session.last;
      },
      get best() {
        return session.best;
      },
      async state() {
        session.#checkOpen();
        return session.state();
      },
      async evaluate() {
        session.#checkOpen();
        const { emit } = session.#announcing();
        if (session.#parts.evaluator === null) {
          throw new EngineError(`${settings.where}: the run has no evaluations (pass eval)`);
        }
        if (session.last?.step === session.step && !session.#written) return session.last;
        await session.#parts.updates.settle(session.step);
        const event = await session.evaluate();
        return event && emit(event);
      },
      async save() {
        session.#checkOpen();
        session.#folder();
        return (await session.#announcing().save()).path;
      },
      async checkpoint() {
        session.#checkOpen();
        return encodeCheckpoint(`${settings.where}: checkpoint`, await session.#checkpoint());
      },
      async write(state) {
        await steady();
        await session.#write(state);
      },
      stop(reason) {
        controls.stop(by, reason);
        session.#saved = null;
      },
      async scale(name, factor) {
        await steady();
        controls.scale(name, factor, Object.keys(settings.optimizer.at(0)));
      },
      async reschedule(name, schedule) {
        await steady();
        const { optimizer, steps } = settings;
        controls.reschedule(name, schedule, Object.keys(optimizer.at(0)), session.step, steps);
      },
      async freeze(match: Match) {
        await steady();
        controls.freeze(match, true);
      },
      async unfreeze(match: Match) {
        await steady();
        controls.freeze(match, false);
      },
      async profile(runs = 1) {
        session.#checkOpen();
        checkInteger(`${settings.where}: profile`, 'runs', runs, 1);
        if (session.step === settings.steps) {
          throw new EngineError(
            `${settings.where}: profile: all ${settings.steps} updates are done (act on an earlier event)`,
          );
        }
        return session.#profile(runs);
      },
      notice(message) {
        controls.notices.push({ code: by ?? 'run', message });
      },
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError(`${this.#parts.settings.where}: the run has ended`);
  }

  #announcing(): Announce {
    if (this.announce !== null) return this.announce;
    throw new EngineError(`${this.#parts.settings.where}: the run has not started (act on an event)`);
  }

  async #profile(runs: number): Promise<StepProfile> {
    const { updates, trainingStep, store } = this.#parts;
    const state = await this.state();
    await this.#recompile();
    try {
      return await updates.profile(this.step, runs, await trainingStep.batch(this.step));
    } finally {
      await store.write(state);
    }
  }

  async #write(state: State): Promise<void> {
    const { settings, store, names } = this.#parts;
    const unknown = Object.keys(state).find((name) => !names.includes(name));
    if (unknown !== undefined) {
      throw new DataError(
        `${settings.where}: write: there is no array called '${unknown}' (the run has: ${names.slice(0, 20).join(', ')})`,
      );
    }
    await store.write(state);
    this.#written = true;
  }

  /** The notices of callbacks since the last call. */
  takeNotices(): readonly Notice[] {
    return this.#parts.controls.notices.splice(0);
  }

  /** Compiles the update again if other parameters are frozen than before. */
  async #recompile(): Promise<void> {
    const { updates, controls, trainingStep, store, names } = this.#parts;
    if (!controls.isStale) return;
    await updates.replace(() => trainingStep.compile(store, names, controls.compiling()));
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
    if (folder === null)
      throw new EngineError(`${settings.where}: the run has no checkpoint folder (pass checkpoint)`);
    return folder;
  }

  async #checkpoint(): Promise<Checkpoint> {
    const { where, model, optimizer, data, seed, steps } = this.#parts.settings;
    const { step, last, best, report } = this;
    const state = await this.state();
    const bad = nonFiniteState(state);
    if (bad !== null) {
      this.#diverged = true;
      const { folder } = this.#parts;
      const others = folder === null ? '' : `, and those in ${folder.dir} are unchanged`;
      throw new EngineError(
        `${where}: the state is not finite after ${step} steps: ${bad} ` +
          `(lower the learning rate; no checkpoint was written${others})`,
      );
    }
    return {
      state: { ...state, ...this.callbacks.arrays() },
      step,
      steps,
      seed,
      model: model.config ?? { kind: 'custom' },
      optimizer: optimizer.config,
      data: data.config,
      examples: await this.#parts.digest(),
      report,
      last: withoutTiming(last),
      best: withoutTiming(best),
      ...this.#record(),
    };
  }

  /** What a checkpoint stores of the options that open the trainer. Empty without them. */
  #record(): Pick<Checkpoint, 'trainer'> {
    const { settings, controls } = this.#parts;
    const step = configOf(settings.step);
    const callbacks = this.callbacks.record();
    const trainer = {
      ...(step !== null && { step }),
      ...controls.record(),
      ...(callbacks !== null && { callbacks }),
    };
    return Object.keys(trainer).length === 0 ? {} : { trainer };
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
    this.#closed = true;
    await evaluator?.close();
    await updates.close();
    await store.close();
  }

  /** Unlocks the folder of the run, after everything about the run was written. */
  async unlock(): Promise<void> {
    await this.#parts.folder?.close();
  }
}
