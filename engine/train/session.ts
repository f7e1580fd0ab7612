/** What a training run owns: its store and executables, how far it is, and what it can do next. Emits no events. */
import type { Dataset } from '../dataset.ts';
import { notices as scheduleNotices } from '../../schedulers/index.ts';
import type { Executable, Feeds, Store } from '../backends/backend.ts';
import type { Report } from '../backends/report.ts';
import { compile, type InputTypes } from '../compile.ts';
import { BackendError, CheckpointError, DataError, EngineError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import { applyGradients, bind, countParameters, initState } from '../nn/model.ts';
import type { Hyper, Tree } from '../nn/optimizer.ts';
import { scalar } from '../ops/create.ts';
import { checkFinite, equal } from '../ops/elementwise.ts';
import { mean } from '../ops/reduce.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import { keptArrays, Pace, Updates } from './calls.ts';
import {
  bestPath,
  checkpointPath,
  listCheckpoints,
  loadCheckpoint,
  pruneCheckpoints,
  saveCheckpoint,
  type Checkpoint,
} from './checkpoint.ts';
import { CompiledEvaluation, isBetter } from './evaluate.ts';
import type { EvalEvent, StepEvent } from './events.ts';
import {
  batchAt,
  digestOfExamples,
  fedExamples,
  residentArrays,
  residentBytes,
  residentExamples,
  type Examples,
} from './examples.ts';
import { mixExamples, mixFeeds, mixInputs, mixObjective } from './mix.ts';
import { findNonFinite, isNonFiniteLoss, LOSS, nonFiniteState, type Suspect } from './non-finite.ts';
import { measure, readMeasures } from './objective.ts';
import { checkArithmetic, checkResume, type Notice } from './resume.ts';
import type { Settings } from './settings.ts';

/** Data sets up to this size are resident unless told otherwise; CIFAR-10 takes 0.18 GiB. */
const RESIDENT_BYTES = 2 ** 30;

export class Session {
  /** Updates done. */
  step = 0;
  /** Where this process began. */
  startStep = 0;
  last: EvalEvent | null = null;
  best: EvalEvent | null = null;
  /** The loss of the last batch; null before the first step. */
  batchLoss: number | null = null;
  readonly notices: Notice[] = [];
  readonly #settings: Settings;
  #names: readonly string[] = [];
  #savedAt: number | null = null;
  #digested: string | null = null;
  #store: Store | null = null;
  #report: Report | null = null;
  #updates: Updates | null = null;
  /** Runs of one call at the most. */
  #most = 1;
  #evaluator: CompiledEvaluation | null = null;
  #training: Examples | null = null;
  #evaluation: Examples | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  get report(): Report {
    return this.#report!;
  }

  /** Reads the checkpoint, if there is one to go on from, fills the store and compiles the steps. */
  async open(): Promise<void> {
    const { model, optimizer, seed, backend, steps } = this.#settings;
    const fresh = initState(model, optimizer, seed);
    this.#names = Object.keys(fresh);
    const checkpoint = await this.#loadLatest(fresh);
    const state = checkpoint?.state ?? this.#begin(fresh);
    this.#store = await this.#createStore(state);
    const update = await this.#compileStep();
    this.#report = update.report;
    this.#updates = new Updates({
      backend,
      store: this.#store,
      names: this.#names,
      update,
      pace: this.#pace(),
      feedsOf: (step) => ({ ...this.#batch(step), ...optimizer.at(step), step: Int32Array.of(step) }),
    });
    const { evaluation, objective } = this.#settings;
    if (evaluation !== null) {
      this.#evaluator = await CompiledEvaluation.compile({
        model,
        backend,
        store: this.#store,
        objective,
        examples: this.#evaluation!,
        batchSize: evaluation.batchSize,
        pace: this.#pace(),
      });
    }
    if (checkpoint !== null) this.notices.push(...checkArithmetic(checkpoint.report, this.report));
    if (countParameters(model) === 0) {
      const message =
        'no parameter of the model is trained (all are frozen, or it has none): only statistics can change';
      this.notices.push({ code: 'nothing-trained', message });
    }
    for (const [name, schedule] of Object.entries(optimizer.schedules)) {
      for (const { code, message } of scheduleNotices(schedule, steps)) {
        this.notices.push({ code, message: `${name}: ${message}` });
      }
    }
  }

  async #loadLatest(fresh: State): Promise<Checkpoint | null> {
    const { checkpoint: options, model, optimizer, data, seed, steps } = this.#settings;
    const [path, before] = options === null ? [] : (await listCheckpoints(options.dir)).toReversed();
    if (options === null || path === undefined) return null;
    if (!options.resume) {
      throw new CheckpointError(
        `${options.dir}: holds checkpoints of an earlier run, the latest ${path} ` +
          `(go on from it with resume: true, or use another folder)`,
      );
    }
    const checkpoint = await loadCheckpoint(path).catch((cause: Error) => {
      if (before === undefined) throw cause;
      throw new CheckpointError(`${cause.message}; delete it to go on from ${before}`, { cause });
    });
    const run = {
      path,
      state: fresh,
      model: model.config ?? { kind: 'custom' },
      optimizer: optimizer.config,
      data: data.config,
      examples: this.#digest(),
      seed,
      steps,
    };
    this.notices.push(...checkResume(checkpoint, run));
    this.step = this.startStep = this.#savedAt = checkpoint.step;
    this.last = checkpoint.last;
    this.best = checkpoint.best;
    return checkpoint;
  }

  #digest(): string {
    this.#digested ??= digestOfExamples(this.#settings.data.dataset);
    return this.#digested;
  }

  /** The fresh state with what the options give in its place. */
  #begin(fresh: State): State {
    const { initial } = this.#settings;
    checkArrays('initial', initial);
    for (const [name, value] of Object.entries(initial)) {
      const own = fresh[name];
      if (own === undefined) {
        throw new DataError(
          `initial: there is no array called '${name}' (the run has: ${Object.keys(fresh).slice(0, 20).join(', ')})`,
        );
      }
      if (own.dtype !== value.dtype || !sameShape(own.shape, value.shape)) {
        throw new DataError(`initial: '${name}' is ${formatType(own)} but ${formatType(value)} was given`);
      }
    }
    return { ...fresh, ...initial };
  }

  /** A store of the state and, where the examples are to be resident and the backend has room, of these. */
  async #createStore(state: State): Promise<Store> {
    const { data, evaluation, resident, backend, stepsPerCall } = this.#settings;
    const training = data.dataset;
    const held = evaluation?.data ?? training;
    const names = new Map<Dataset, string>([[training, 'data/train']]);
    if (held !== training) names.set(held, 'data/eval');
    const create = async (
      arrays: readonly State[],
      examplesOf: (dataset: Dataset) => Examples,
      runsPerCall: number,
    ): Promise<Store> => {
      this.#most = stepsPerCall === 'auto' ? runsPerCall : stepsPerCall;
      const kept = this.#most > 1 ? keptArrays(state) : {};
      const store = await backend.createStore(Object.assign({}, state, kept, ...arrays) as State);
      this.#training = examplesOf(training);
      this.#evaluation = examplesOf(held);
      return store;
    };
    const bytes = [...names.keys()].reduce((sum, dataset) => sum + residentBytes(dataset), 0);
    let refused = bytes <= RESIDENT_BYTES ? null : `the data takes ${(bytes / 2 ** 30).toFixed(1)} GiB`;
    if (resident === true || (resident === 'auto' && refused === null)) {
      const arrays = [...names].map(([dataset, name]) => residentArrays(dataset, name));
      try {
        const examplesOf = (dataset: Dataset): Examples => residentExamples(dataset, names.get(dataset)!);
        return await create(arrays, examplesOf, backend.runsPerCall);
      } catch (error) {
        if (resident === true || !(error instanceof BackendError)) throw error;
        refused = error.message;
      }
    }
    if (resident === 'auto') {
      this.notices.push({
        code: 'data-fed',
        message:
          `${refused}, so batches are fed one by one ` +
          `(resident: true keeps the data in the backend's memory, or fails where it does not fit)`,
      });
    }
    // Batches would have to be held for a whole call, and copying them is what takes the time.
    return create([], fedExamples, 1);
  }

  #pace(): Pace {
    return new Pace(this.#most, this.#settings.stepsPerCall !== 'auto');
  }

  #stepInputs(): InputTypes {
    const { data } = this.#settings;
    const augmentation = { augmentation: { shape: [data.batchSize, 3], dtype: 'i32' } } as const;
    return {
      ...this.#training!.inputs(data.batchSize),
      ...(data.augments && augmentation),
      ...(data.mixes === true && mixInputs(data.batchSize)),
    };
  }

  /** The examples of an update inside the graph. */
  #gather(inputs: Tree, state: Tree): { readonly x: Tensor; readonly y: Tensor } {
    const { x, y } = this.#training!.gather(inputs, state);
    return { x: this.#settings.data.mixes === true ? mixExamples(inputs, x) : x, y };
  }

  #compileStep(): Promise<Executable> {
    const { model, optimizer, objective, backend, data, seed, steps } = this.#settings;
    return compile(backend, {
      inputs: this.#stepInputs(),
      hyper: optimizer.at(0),
      state: this.#store!,
      build: ({ step, hyper, ...inputs }, state) => {
        const { x, y } = this.#gather(inputs, state);
        const { augmentation: draws } = inputs;
        const options = { training: true, step, seed, ...(draws !== undefined && { draws }) };
        const { output, updates } = bind(model, state, options)(x);
        const goal = data.mixes === true ? mixObjective(inputs, objective) : objective;
        const rows = measure('train', goal, data.dataset, output, y);
        const outputs = Object.fromEntries(
          Object.entries(rows).map(([name, values]) => [name, mean(values)]),
        );
        // Stops the step before anything is written.
        const loss = checkFinite(outputs['loss'], LOSS);
        const last = equal(step, scalar(steps - 1, 'i32'));
        const next = { ...updates, ...applyGradients(optimizer, model, state, loss, hyper, last) };
        return { outputs: { ...outputs, loss }, next };
      },
    });
  }

  /** The examples of an update. */
  #batch(step: number): Feeds {
    const { indices, augmentation, mix } = batchAt(this.#settings.data, step);
    return {
      ...this.#training!.feeds(indices),
      ...(augmentation !== null && { augmentation }),
      ...(mix !== null && mixFeeds(mix)),
    };
  }

  /** The step before which nothing but updates is due. */
  get #until(): number {
    const { steps, evaluation, checkpoint } = this.#settings;
    const due = [evaluation, checkpoint].map((each) =>
      each === null ? Infinity : (Math.floor(this.step / each.every) + 1) * each.every,
    );
    return Math.min(steps, ...due);
  }

  /** One update. Throws EngineError, with the state as it was, when the loss is not finite. */
  async next(): Promise<StepEvent> {
    const { step } = this;
    const { optimizer, steps } = this.#settings;
    const hyper = optimizer.at(step);
    let ran: Awaited<ReturnType<Updates['next']>>;
    try {
      ran = await this.#updates!.next(step, this.#until);
    } catch (error) {
      throw isNonFiniteLoss(error) ? await this.#explain(step, hyper, error) : error;
    }
    const { loss, metrics } = readMeasures(ran.values);
    this.step = step + 1;
    this.batchLoss = loss;
    return { type: 'step', step, steps, hyper, loss, metrics, ms: ran.ms };
  }

  async #explain(step: number, hyper: Hyper, cause: unknown): Promise<EngineError> {
    const found = await findNonFinite({
      ...this.#suspect(step),
      training: true,
      inputs: this.#stepInputs(),
      feeds: this.#batch(step),
      input: (inputs, state) => this.#gather(inputs, state).x,
    });
    const rates = Object.entries(hyper).map(([name, value]) => `${name} ${value}`);
    return new EngineError(
      `train: the loss is not finite at step ${step} (${rates.join(', ')}): first bad tensor: ${found} ` +
        `(${cureFor(step)}; the state is as it was before the step)`,
      { cause },
    );
  }

  #suspect(step: number): Pick<Suspect, 'model' | 'backend' | 'store' | 'seed' | 'step'> {
    const { model, backend, seed } = this.#settings;
    return { model, backend, store: this.#store!, seed, step };
  }

  /** Whether an evaluation belongs here: before the first step, every so many steps, at the end; never twice. */
  get evalDue(): boolean {
    const { evaluation, steps } = this.#settings;
    if (evaluation === null || this.last?.step === this.step) return false;
    return this.step % evaluation.every === 0 || this.step === steps;
  }

  /** Evaluates; null when the signal stopped it. Throws EngineError when the loss is not finite. */
  async evaluate(): Promise<EvalEvent | null> {
    const { step } = this;
    const result = await this.#evaluator!.run(this.#settings.signal ?? undefined);
    if (result === null) return null;
    const { bad, ...measured } = result;
    if (bad !== null) {
      const found = await findNonFinite({
        ...this.#suspect(step),
        training: false,
        inputs: this.#evaluation!.inputs(bad.length),
        feeds: this.#evaluation!.feeds(bad),
        input: (inputs, state) => this.#evaluation!.gather(inputs, state).x,
      });
      throw new EngineError(
        `eval: the loss is not finite after ${step} steps: first bad tensor: ${found} (${cureFor(step)})`,
      );
    }
    const event: EvalEvent = { type: 'eval', step, ...measured };
    this.last = event;
    if (this.best === null || isBetter(event, this.best)) this.best = event;
    return event;
  }

  /** Whether a checkpoint belongs here: every so many steps, and at the end. */
  get saveDue(): boolean {
    const { checkpoint, steps } = this.#settings;
    return checkpoint !== null && (this.step % checkpoint.every === 0 || this.step === steps) && this.hasNews;
  }

  /** Whether there is anything that the last checkpoint does not have. */
  get hasNews(): boolean {
    return this.#settings.checkpoint !== null && this.step > this.startStep && this.#savedAt !== this.step;
  }

  /** Saves a checkpoint and deletes old ones; returns its path. Throws EngineError rather than save numbers gone bad. */
  async save(): Promise<string> {
    const { dir, keep } = this.#settings.checkpoint!;
    const path = checkpointPath(dir, this.step);
    await this.#write(path);
    this.#savedAt = this.step;
    await pruneCheckpoints(dir, keep);
    return path;
  }

  /** Whether the evaluation before the next update is the run's best, and to be kept. */
  get bestDue(): boolean {
    const { step, last, best } = this;
    return this.#settings.checkpoint?.best === true && step > 0 && last?.step === step && best === last;
  }

  /** Saves the state beside the checkpoints to go on from; returns its path. Throws as `save` does. */
  async saveBest(): Promise<string> {
    const path = bestPath(this.#settings.checkpoint!.dir);
    await this.#write(path);
    return path;
  }

  async #write(path: string): Promise<void> {
    const { checkpoint, model, optimizer, data, seed, steps } = this.#settings;
    const { step, last, best, report } = this;
    const state = await this.state();
    const bad = nonFiniteState(state);
    if (bad !== null) {
      throw new EngineError(
        `train: the state is not finite after ${step} steps: ${bad} ` +
          `(lower the learning rate; no checkpoint was written, and those in ${checkpoint!.dir} are as they were)`,
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
      examples: this.#digest(),
      report,
      last: timeless(last),
      best: timeless(best),
    });
  }

  /** Parameters, statistics and the optimizer's arrays, without the data. */
  async state(): Promise<State> {
    await this.#updates!.settle(this.step);
    return this.#store!.read(this.#names);
  }

  /** Gives back whatever was opened; the backend stays the caller's. */
  async close(): Promise<void> {
    await this.#evaluator?.close();
    await this.#updates?.close();
    await this.#store?.close();
    this.#evaluator = this.#updates = this.#store = null;
  }
}

/** What to do about a loss that is not finite after `step` updates. */
const cureFor = (step: number): string =>
  step === 0
    ? 'check the data, the initial state and the loss: there was no update yet'
    : 'lower the learning rate';

/** What an evaluation took is no part of a run: equal runs leave equal files. */
const timeless = (event: EvalEvent | null): EvalEvent | null => event && { ...event, ms: 0 };
