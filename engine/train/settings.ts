/** The options of `train` and `fit`, and their checks. */
import type { AnyDataset, AnyLoader, Dataset, Loader } from '../dataset.ts';
import type { Backend } from '../backends/backend.ts';
import { ShapeError } from '../errors.ts';
import { nodeFiles, type Files } from '../files.ts';
import { typedArrayName } from '../host.ts';
import { keyOf, partsOf, type Like, type Named, type Types } from '../named.ts';
import type { Layer } from '../nn/layer.ts';
import type { Optimizer } from '../nn/optimizer.ts';
import { checkInteger, checkKind, checkOneOf, checkOptions, isPromise, isRecord, show } from '../options.ts';
import { formatType, sameShape } from '../shape.ts';
import { targetsOf } from '../targets.ts';
import type { Tensor } from '../tensor.ts';
import type { State, TensorType } from '../types.ts';
import { checkBatch } from './evaluate.ts';
import { checkDataset, checkLoader } from './check-data.ts';
import { callbacksOf, type Callback, type CallbackFunction } from './callbacks.ts';
import { intervalOf, stepsOf, type Interval } from './duration.ts';
import type { Listener } from './events.ts';
import { monitorOf, type Monitor, type MonitorOptions } from './monitor.ts';
import { stepOf, type NamedStep, type StepFunction, type StepSettings } from './step.ts';
import { objectiveFor, type Objective, type ObjectiveOptions } from './objective.ts';

export interface TrainOptions<
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O extends Named<Tensor> = Tensor,
> extends ObjectiveOptions<O, Like<Y, Tensor>> {
  /** The model to train. */
  readonly model: Layer<Like<X, Tensor>, O>;
  /** Where to compute. It stays open after the run. */
  readonly backend: Backend;
  /** Total number of updates of the run, including those before a resume. Either `steps` or `epochs` is required. */
  readonly steps?: number;
  /**
   * The length of the run in epochs, instead of `steps`; fractions such as 9.9 are allowed. It becomes `epochs * data.stepsPerEpoch`
   * steps, rounded. For a loader with `partial: 'drop'`, k epochs are exactly k passes. With 'wrap', `stepsPerEpoch` is rounded, so k
   * epochs differ from k passes by up to k / 2 batches.
   */
  readonly epochs?: number;
  /** Determines initial weights, data order, augmentation and dropout. Default 0. */
  readonly seed?: number;
  /** Batches of training examples. */
  readonly data: Loader<X, Y>;
  /** Evaluations during the run. Default: none. */
  readonly eval?: EvalOptions<X, Y, O>;
  /** The update rule, with learning rate and other hyperparameters. */
  readonly optimizer: Optimizer;
  /**
   * What a step computes, in place of `({ x, y, model, loss }) => loss(model(x), y)`: a function, or one with a name and arrays of its
   * own. Everything else of the run stays. Default: the loss of the run for one pass of the model.
   */
  readonly step?:
    StepFunction<Like<X, Tensor>, Like<Y, Tensor>, O> | NamedStep<Like<X, Tensor>, Like<Y, Tensor>, O>;
  /**
   * Initial arrays that replace fresh ones, under the names of `Result.state`: any of the parameters, statistics and arrays of the
   * optimizer. A checkpoint to resume from takes precedence. Default: none.
   */
  readonly initial?: State;
  /** Checkpoints during the run. Default: none. */
  readonly checkpoint?: CheckpointOptions;
  /**
   * The bytes of a checkpoint to resume from: of `RunHandle.checkpoint`, or of a file. It works without files, for instance in a
   * browser. A folder of `checkpoint` must not have checkpoints yet. Default: none.
   */
  readonly resumeFrom?: Uint8Array;
  /** Functions that receive every event, in this order. Default: none. */
  readonly listeners?: readonly Listener[];
  /**
   * Functions that receive every event and may act on the run, and callbacks such as `earlyStopping`, whose state is part of
   * checkpoints. They run in this order, before the listeners. Default: none.
   */
  readonly callbacks?: readonly (Callback | CallbackFunction)[];
  /** Aborting it ends the run between two steps. With `checkpoint`, the progress is saved. Default: none. */
  readonly signal?: AbortSignal;
  /**
   * Whether to keep the data sets in the memory of the backend, which is faster and gives the same numbers. 'auto' keeps them if they
   * take at most 1 GiB and fit, or else sends a notice. With true, the run throws BackendError if they do not fit. Default 'auto'.
   */
  readonly resident?: 'auto' | boolean;
  /**
   * Maximum number of updates in one call of the backend. Results and events do not depend on it. 'auto' on a GPU with resident data:
   * as many as take 0.1 s, up to 32. 'auto' otherwise: 1. Default 'auto'.
   */
  readonly stepsPerCall?: 'auto' | number;
}

/** The options for any inputs, targets and outputs. */
export type AnyTrainOptions = TrainOptions<Types, Types, Named<Tensor>>;

/** Evaluations of a run. Their loss and metrics are those of training unless they have their own. */
export interface EvalOptions<
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O = Tensor,
> extends ObjectiveOptions<O, Like<Y, Tensor>> {
  /** The data set to evaluate. */
  readonly data: Dataset<X, Y>;
  /**
   * Steps between evaluations, or `{ epochs: 1 }`. There is also one before the first step and one at the end. An interval that is no
   * whole number of steps is not rounded: its multiples are. Default: one epoch.
   */
  readonly every?: Interval;
  /** Examples per batch. Default: the batch size of the loader. */
  readonly batchSize?: number;
  /**
   * Whether to evaluate the averages of `averageWeights` or `swa`, which then decide about `best`. Before the first average, the weights
   * are evaluated. Default false.
   */
  readonly averaged?: boolean;
}

export interface CheckpointOptions extends MonitorOptions {
  /** The folder of the checkpoints. It is created if it is missing. While a run writes there, no other can (RunInUseError). */
  readonly dir: string;
  /** Steps between checkpoints, or `{ epochs: 1 }`. There is also one at the end. Default: one epoch. */
  readonly every?: Interval;
  /**
   * Whether to resume from the newest checkpoint in the folder that is not damaged. With false, a folder with checkpoints throws.
   * Default false.
   */
  readonly resume?: boolean;
  /** Number of latest checkpoints to keep. Default 2. */
  readonly keep?: number;
  /**
   * Whether to also save the state of the best evaluation (see `Result.best`) as `best.safetensors` in the folder. Runs do not resume
   * from it. It needs `eval`. Default false.
   */
  readonly best?: boolean;
}

const EPOCH: Interval = { epochs: 1 };

/** The checked options of evaluations. `every` is a number of steps, which may have a fraction. */
export interface EvalSettings extends Required<
  Pick<EvalOptions<Types, Types>, 'data' | 'batchSize' | 'averaged'>
> {
  readonly every: number;
  readonly objective: Objective;
}

/** The checked options of checkpoints. `every` is a number of steps, which may have a fraction. */
export interface CheckpointSettings extends Required<
  Omit<CheckpointOptions, 'every' | keyof MonitorOptions>
> {
  readonly every: number;
}

/** The checked options, with defaults. */
export interface Settings extends Required<
  Omit<
    AnyTrainOptions,
    'epochs' | 'eval' | 'loss' | 'metrics' | 'step' | 'callbacks' | 'checkpoint' | 'resumeFrom' | 'signal'
  >
> {
  /** The call that messages name: 'train' or 'fit'. */
  readonly where: string;
  readonly evaluation: EvalSettings | null;
  /** Loss and metrics of training. */
  readonly objective: Objective;
  /** Null for the step of the trainer. */
  readonly step: StepSettings | null;
  readonly callbacks: readonly Callback[];
  /** Which evaluation is the best. Null: the one with the highest accuracy, or the lowest loss. */
  readonly monitor: Monitor | null;
  readonly checkpoint: CheckpointSettings | null;
  readonly resumeFrom: Uint8Array | null;
  readonly signal: AbortSignal | null;
  /** Where checkpoints are written. Tests replace it. */
  readonly files: Files;
}

const KNOWN = [
  'model',
  'backend',
  'steps',
  'epochs',
  'seed',
  'data',
  'eval',
  'optimizer',
  'step',
  'initial',
  'loss',
  'metrics',
  'checkpoint',
  'resumeFrom',
  'listeners',
  'callbacks',
  'signal',
  'resident',
  'stepsPerCall',
] as const;

/** Throws TypeError, RangeError or ShapeError for options that are missing, unknown, out of range or inconsistent. */
export function settingsOf<X extends Types, Y extends Types, O extends Named<Tensor>>(
  where: string,
  given: TrainOptions<X, Y, O>,
): Settings {
  // The checks and the graph read the types of the data, whatever their names.
  const options = given as unknown as AnyTrainOptions;
  checkOptions(where, options, KNOWN);
  for (const [name, method, words] of [
    ['model', 'apply', 'a layer, for instance nn.sequential({ … })'],
    ['backend', 'createStore', 'a backend, for instance await wasm()'],
    ['data', 'batch', 'a loader, for instance loader(dataset, { batchSize: 100 })'],
    ['optimizer', 'update', 'an optimizer, for instance sgd({ lr: 0.01 })'],
  ] as const) {
    checkKind(where, name, options[name], method, words);
  }
  const {
    model,
    backend,
    seed = 0,
    data,
    optimizer,
    initial = {},
    listeners = [],
    signal,
    resident = 'auto',
    stepsPerCall = 'auto',
  } = options;
  checkLoader(where, data);
  const steps = stepsOf(where, options, data);
  checkInteger(where, 'seed', seed, 0);
  checkOneOf(where, 'resident', resident, ['auto', true, false]);
  if (stepsPerCall !== 'auto') checkInteger(where, 'stepsPerCall', stepsPerCall, 1);
  if (!Array.isArray(listeners)) {
    throw new TypeError(`${where}: listeners must be an array of functions, got ${show(listeners)}`);
  }
  for (const listener of listeners) {
    if (typeof listener !== 'function') {
      throw new TypeError(`${where}: listeners must be functions, got ${show(listener)}`);
    }
  }
  if (signal !== undefined) {
    checkKind(where, 'signal', signal, 'aborted', "an AbortSignal, for instance an AbortController's signal");
  }
  if (data.seed !== undefined && data.seed !== seed) {
    throw new RangeError(
      `${where}: the loader has seed ${data.seed}, but the seed of training, which determines the order of the data, is ${seed} ` +
        `(pass the seed to ${where}, not to the loader)`,
    );
  }
  if (data.augments) targetsOf(where, data.dataset);
  const hyper: unknown = optimizer.at(0); // throws for an invalid rate
  if (typeof hyper !== 'object' || hyper === null || isPromise(hyper)) {
    throw new TypeError(
      `${where}: the optimizer's at(0) must return hyperparameters by name, got ${show(hyper)}`,
    );
  }
  checkHyper(optimizer, steps);
  const seededLoader: unknown = data.withSeed(seed);
  checkKind(where, "the loader's withSeed(seed)", seededLoader, 'batch', 'a loader');
  checkLoader(`${where}: the loader's withSeed(seed)`, seededLoader as AnyLoader);
  const step = stepOf(where, options.step);
  const objective = objectiveFor(where, data.dataset, options);
  return {
    where,
    model,
    backend,
    steps,
    seed,
    data: seededLoader as AnyLoader,
    evaluation: evaluationOf(where, options),
    optimizer,
    initial,
    objective,
    step,
    callbacks: callbacksOf(where, options.callbacks),
    checkpoint: checkpointOf(where, options),
    resumeFrom: resumeFromOf(where, options),
    monitor: monitorOf(`${where}: checkpoint`, options.checkpoint ?? {}),
    listeners,
    signal: signal ?? null,
    files: nodeFiles,
    resident,
    stepsPerCall,
  };
}

/**
 * Evaluates the hyperparameters of every step, so that a value out of range ends the run now and not in the middle. They are pure
 * functions of the step. The value of a constant is known after the first.
 */
function checkHyper(optimizer: Optimizer, steps: number): void {
  const schedules = Object.values(optimizer.schedules);
  if (schedules.length > 0 && schedules.every(({ config }) => config.kind === 'constant')) return;
  for (let step = 1; step < steps; step++) optimizer.at(step);
}

function evaluationOf(
  where: string,
  { eval: options, data, loss, metrics }: AnyTrainOptions,
): EvalSettings | null {
  if (options === undefined) return null;
  if (isRecord(options) && 'read' in options) {
    throw new TypeError(
      `${where}: eval must be options, got a data set (write eval: { data: test, every: 1000 })`,
    );
  }
  checkOptions(`${where}: eval`, options, ['data', 'every', 'batchSize', 'averaged', 'loss', 'metrics']);
  const { data: dataset, batchSize = data.batchSize, averaged = false } = options;
  checkOneOf(`${where}: eval`, 'averaged', averaged, [true, false]);
  checkDataset(`${where}: eval`, dataset);
  const every = intervalOf(`${where}: eval`, options.every ?? EPOCH, data);
  checkBatch(`${where}: eval`, dataset, batchSize);
  const wrong = data.dataset.classes.findIndex(
    (name, label) => label < dataset.classes.length && dataset.classes[label] !== name,
  );
  if (wrong >= 0) {
    throw new TypeError(
      `${where}: eval: class ${wrong} is '${data.dataset.classes[wrong]}' in the training data but '${dataset.classes[wrong]}' in ` +
        `${dataset.name} (use the same classes in the same order)`,
    );
  }
  for (const part of ['x', 'y'] as const) {
    const [training, evaluation] = [typesByKey(part, data.dataset), typesByKey(part, dataset)];
    for (const key of new Set([...training.keys(), ...evaluation.keys()])) {
      const [ours, theirs] = [training.get(key), evaluation.get(key)];
      if (ours !== undefined && theirs !== undefined && sameType(ours, theirs)) continue;
      throw new ShapeError(
        `${where}: eval: ${key} is ${typeText(theirs)} in ${dataset.name} but ${typeText(ours)} in ${data.dataset.name}`,
      );
    }
  }
  const own = { loss: options.loss ?? loss, metrics: options.metrics ?? metrics };
  const objective = objectiveFor(`${where}: eval`, dataset, own);
  return { data: dataset, every, batchSize, averaged, objective };
}

const typesByKey = (part: 'x' | 'y', dataset: AnyDataset): ReadonlyMap<string, TensorType> =>
  new Map(partsOf(dataset[part]).map(({ name, value }) => [keyOf(part, name), value]));

const sameType = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && sameShape(a.shape, b.shape);

const typeText = (type: TensorType | undefined): string =>
  type === undefined ? 'missing' : formatType(type);

function checkpointOf(
  where: string,
  { checkpoint: options, eval: evaluation, data }: AnyTrainOptions,
): CheckpointSettings | null {
  if (options === undefined) return null;
  checkOptions(`${where}: checkpoint`, options, [
    'dir',
    'every',
    'resume',
    'keep',
    'best',
    'monitor',
    'mode',
  ]);
  const { dir, resume = false, keep = 2, best = false } = options;
  if (typeof dir !== 'string' || dir === '') {
    throw new TypeError(`${where}: checkpoint: dir must be the path of a folder, got ${show(dir)}`);
  }
  const every = intervalOf(`${where}: checkpoint`, options.every ?? EPOCH, data);
  checkInteger(`${where}: checkpoint`, 'keep', keep, 1);
  checkOneOf(`${where}: checkpoint`, 'resume', resume, [true, false]);
  checkOneOf(`${where}: checkpoint`, 'best', best, [true, false]);
  if (best && evaluation === undefined) {
    throw new TypeError(`${where}: checkpoint: best needs evaluations (pass eval, or omit best)`);
  }
  return { dir, every, resume, keep, best };
}

function resumeFromOf(where: string, { resumeFrom, checkpoint }: AnyTrainOptions): Uint8Array | null {
  if (resumeFrom === undefined) return null;
  if (typedArrayName(resumeFrom) !== 'Uint8Array') {
    throw new TypeError(
      `${where}: resumeFrom must be a Uint8Array, the bytes of a checkpoint, got ${show(resumeFrom)}`,
    );
  }
  if (checkpoint?.resume === true) {
    throw new TypeError(
      `${where}: the run has two checkpoints to resume from: resumeFrom and checkpoint: { resume: true } (omit one)`,
    );
  }
  return resumeFrom;
}
