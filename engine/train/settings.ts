/** What `train` and `fit` are told, and the checks of it. */
import type { Dataset, Loader } from '../dataset.ts';
import type { Backend } from '../backends/backend.ts';
import { ShapeError } from '../errors.ts';
import { refuseSpatialTargets } from '../host.ts';
import type { Layer } from '../nn/layer.ts';
import type { Optimizer } from '../nn/optimizer.ts';
import { checkInteger, checkKind, checkOneOf, checkOptions, isPromise, show } from '../options.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import { checkBatch } from './evaluate.ts';
import type { Listener } from './events.ts';
import { objectiveFor, type Objective, type ObjectiveOptions } from './objective.ts';

export interface TrainOptions extends ObjectiveOptions {
  readonly model: Layer;
  readonly backend: Backend;
  /** Updates that the run is to have at its end, those before a resume included. */
  readonly steps: number;
  /** Decides initial weights, data order, augmentation and dropout. Default 0. */
  readonly seed?: number;
  readonly data: Loader;
  /** Evaluates before the first step, then every so many steps, and at the end. */
  readonly eval?: {
    readonly data: Dataset;
    readonly every: number;
    /** Default: the loader's. */
    readonly batchSize?: number;
  };
  readonly optimizer: Optimizer;
  /**
   * Arrays to begin with in place of fresh ones, by the names of `Result.state`: parameters, statistics, the optimizer's
   * arrays, or some of these. A checkpoint to go on from comes before them.
   */
  readonly initial?: State;
  readonly checkpoint?: CheckpointOptions;
  readonly listeners?: readonly Listener[];
  /** Aborting saves a checkpoint, where there is a folder for them, and ends the run between two steps. */
  readonly signal?: AbortSignal;
  /**
   * Whether the data sets are kept in the backend's memory, which is faster and gives the same numbers. Default
   * 'auto': when they take no more than 1 GiB and the backend has room; a notice tells where not. With true, the run
   * throws BackendError where they do not fit.
   */
  readonly resident?: 'auto' | boolean;
  /**
   * Updates that the backend is given in one call, unless something else is due before; nothing that a run computes or tells
   * depends on it. Default 'auto': on a GPU, with resident data, as many as take a tenth of a second, up to 32; elsewhere 1.
   */
  readonly stepsPerCall?: 'auto' | number;
}

export interface CheckpointOptions {
  readonly dir: string;
  /** A checkpoint every so many steps, and one at the end. */
  readonly every: number;
  /** Go on from the latest checkpoint in the folder, if there is one. Default false: a folder with any is refused. */
  readonly resume?: boolean;
  /** How many to keep, the latest ones. Default 2. */
  readonly keep?: number;
  /**
   * Also keep the state of the best evaluation (see `Result.best`), as `best.safetensors` in the folder; training does not go on
   * from it. Needs `eval`. Default false.
   */
  readonly best?: boolean;
}

/** The options with defaults, checked. */
export interface Settings {
  readonly model: Layer;
  readonly backend: Backend;
  readonly steps: number;
  readonly seed: number;
  readonly data: Loader;
  readonly evaluation: { readonly data: Dataset; readonly every: number; readonly batchSize: number } | null;
  readonly optimizer: Optimizer;
  readonly initial: State;
  readonly objective: Objective;
  readonly checkpoint: Required<CheckpointOptions> | null;
  readonly listeners: readonly Listener[];
  readonly signal: AbortSignal | null;
  readonly resident: 'auto' | boolean;
  readonly stepsPerCall: 'auto' | number;
}

const KNOWN = [
  'model',
  'backend',
  'steps',
  'seed',
  'data',
  'eval',
  'optimizer',
  'initial',
  'loss',
  'metrics',
  'checkpoint',
  'listeners',
  'signal',
  'resident',
  'stepsPerCall',
] as const;

/** Throws TypeError, RangeError or ShapeError for what is missing, unknown, out of range or does not fit together. */
export function settingsOf(where: string, options: TrainOptions): Settings {
  checkOptions(where, options, KNOWN);
  for (const [name, method, words] of [
    ['model', 'apply', 'a layer, for instance sequential({ … })'],
    ['backend', 'createStore', 'a backend, for instance await wasm()'],
    ['data', 'batch', 'a loader, for instance loader(dataset, { batchSize: 100 })'],
    ['optimizer', 'update', 'an optimizer, for instance sgd({ lr: 0.01 })'],
  ] as const) {
    checkKind(where, name, options[name], method, words);
  }
  const {
    model,
    backend,
    steps,
    seed = 0,
    data,
    optimizer,
    initial = {},
    listeners = [],
    signal,
    resident = 'auto',
    stepsPerCall = 'auto',
  } = options;
  checkInteger(where, 'steps', steps, 1, 2 ** 31 - 1); // the step reaches the graph as an i32
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
      `${where}: the loader has seed ${data.seed}, but the seed of training, which decides the order of the data, is ${seed} ` +
        `(give ${where} the seed and leave the loader's out)`,
    );
  }
  if (data.augments) refuseSpatialTargets(where, data.dataset);
  const hyper: unknown = optimizer.at(0); // throws for an impossible rate
  if (typeof hyper !== 'object' || hyper === null || isPromise(hyper)) {
    throw new TypeError(
      `${where}: the optimizer's at(0) must return hyper-parameters by name, got ${show(hyper)}`,
    );
  }
  const seeded: unknown = data.withSeed(seed);
  checkKind(where, "the loader's withSeed(seed)", seeded, 'batch', 'a loader');
  return {
    model,
    backend,
    steps,
    seed,
    data: seeded as Loader,
    evaluation: evaluationOf(where, options),
    optimizer,
    initial,
    objective: objectiveFor(where, data.dataset, options),
    checkpoint: checkpointOf(where, options),
    listeners,
    signal: signal ?? null,
    resident,
    stepsPerCall,
  };
}

function evaluationOf(where: string, { eval: given, data }: TrainOptions): Settings['evaluation'] {
  if (given === undefined) return null;
  checkOptions(`${where}: eval`, given, ['data', 'every', 'batchSize']);
  const { data: dataset, every, batchSize = data.batchSize } = given;
  checkKind(`${where}: eval`, 'data', dataset, 'read', 'a data set');
  checkInteger(`${where}: eval`, 'every', every, 1);
  checkBatch(`${where}: eval`, dataset, batchSize);
  const wrong = data.dataset.classes.findIndex(
    (name, label) => label < dataset.classes.length && dataset.classes[label] !== name,
  );
  if (wrong >= 0) {
    throw new TypeError(
      `${where}: eval: class ${wrong} is '${data.dataset.classes[wrong]}' in the training data but '${dataset.classes[wrong]}' in ` +
        `${dataset.name} (give both the same classes, in the same order)`,
    );
  }
  for (const part of ['x', 'y'] as const) {
    const [own, other] = [data.dataset[part], dataset[part]];
    if (own.dtype !== other.dtype || !sameShape(own.shape, other.shape)) {
      throw new ShapeError(
        `${where}: eval: ${part} is ${formatType(other)} in ${dataset.name} but ${formatType(own)} in ${data.dataset.name}`,
      );
    }
  }
  return { data: dataset, every, batchSize };
}

function checkpointOf(
  where: string,
  { checkpoint: given, eval: evaluation }: TrainOptions,
): Settings['checkpoint'] {
  if (given === undefined) return null;
  checkOptions(`${where}: checkpoint`, given, ['dir', 'every', 'resume', 'keep', 'best']);
  const { dir, every, resume = false, keep = 2, best = false } = given;
  if (typeof dir !== 'string' || dir === '') {
    throw new TypeError(`${where}: checkpoint: dir must be the path of a folder, got ${show(dir)}`);
  }
  checkInteger(`${where}: checkpoint`, 'every', every, 1);
  checkInteger(`${where}: checkpoint`, 'keep', keep, 1);
  checkOneOf(`${where}: checkpoint`, 'resume', resume, [true, false]);
  checkOneOf(`${where}: checkpoint`, 'best', best, [true, false]);
  if (best && evaluation === undefined) {
    throw new TypeError(
      `${where}: checkpoint: best needs evaluations to choose from (give eval, or leave best out)`,
    );
  }
  return { dir, every, resume, keep, best };
}
