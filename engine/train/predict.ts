/** Outputs of a model for examples without targets. */
import type { Backend, Executable, Store } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { AnyDataset, InputData } from '../dataset.ts';
import { BackendError, DataError, ShapeError } from '../errors.ts';
import { foldScales } from '../fold.ts';
import { checkHostTensor, showData, typedArrayName } from '../host.ts';
import { checkNames, keyOf, mapParts, partOf, tensorsOf, type Named, type Part } from '../named.ts';
import type { Layer } from '../nn/layer.ts';
import { bind } from '../nn/model.ts';
import { allocate } from '../ops/convert.ts';
import { checkInteger, checkOptions, isRecord } from '../options.ts';
import { formatType, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor, State, TensorType } from '../types.ts';
import { Batches } from './batches.ts';
import { checkData, checkModel, placeState } from './evaluate.ts';
import { fedExamples, paddedBatches, type Examples } from './examples.ts';

/** Host tensors in place of tensors: one, or an object of host tensors by name. */
export type OnHost<T> = T extends Tensor ? HostTensor : { readonly [N in keyof T]: HostTensor };

export interface PredictOptions<X = Tensor, O extends Named<Tensor> = Tensor> {
  /** The model, without training behavior such as dropout. */
  readonly model: Layer<X, O>;
  /** The arrays of the model, from a result or a checkpoint. Other arrays are ignored. */
  readonly state: State;
  /** Inputs [N, ...], u8 or f32, for any N, by name if the model has several; or a data set, whose targets are ignored. */
  readonly data: OnHost<X> | AnyDataset;
  /** Where to compute. */
  readonly backend: Backend;
  /** Examples per batch. Default: the number of examples, up to 100. */
  readonly batchSize?: number;
}

/** The result of `predict`. */
export interface Prediction {
  /** The class with the largest logit of each example, [N]. For equal logits, the first one. */
  readonly classes: Int32Array;
  /** The softmax of the logits, [N, classes]. */
  readonly probabilities: HostTensor;
  /** [N, classes] */
  readonly logits: HostTensor;
}

/** Options of `predictor`: those of `predict` without the data. */
export type PredictorOptions<X = Tensor, O extends Named<Tensor> = Tensor> = Omit<
  PredictOptions<X, O>,
  'data'
>;

/** A model that is ready for any number of predictions. */
export interface Predictor<X = Tensor, O extends Named<Tensor> = Tensor> {
  /** As the function `predict`. Calls run one after another. */
  predict(data: PredictOptions<X, O>['data']): Promise<Prediction>;
  /** As the function `forward`. Calls run one after another. */
  forward(data: PredictOptions<X, O>['data']): Promise<OnHost<O>>;
  /** Frees the memory on the backend. Later calls throw. */
  close(): Promise<void>;
}

/**
 * Prepares a model for many predictions: the arrays are placed on the backend and the model is compiled once. What depends on the
 * weights alone is computed once. Batch normalization after a convolution becomes part of its filters, so outputs differ from those of
 * `evaluate` in the last bits.
 *
 * It keeps a compiled model for each of the last 4 batch sizes: data of fewer than `batchSize` examples is one batch, of its own size.
 *
 * Throws PlanError for a state without an array of the model, and TypeError or RangeError for invalid options. Its functions throw what
 * `predict` and `forward` throw.
 *
 * @example
 * const classifier = await predictor({ model, state: result.state, backend });
 * const { classes } = await classifier.predict(test);
 * await classifier.close();
 */
export async function predictor<X, O extends Named<Tensor>>(
  options: PredictorOptions<X, O>,
): Promise<Predictor<X, O>> {
  checkOptions('predictor', options, ['model', 'state', 'backend', 'batchSize']);
  const prepared = await PreparedModel.open('predictor', options as unknown as AnyPredictorOptions);
  return {
    async predict(data) {
      return classify(await prepared.outputs('predict', data, expectLogits('predict')));
    },
    async forward(data) {
      return asObject<O>(await prepared.outputs('forward', data, expectRows('forward')));
    },
    close: () => prepared.close(),
  };
}

/**
 * Classifies any number of examples. It compiles the model in each call: use `predictor` for many calls.
 *
 * Shapes: data [N, ...] -> classes [N], probabilities and logits [N, classes].
 * Throws ShapeError unless the output of the model is [N, classes] with at least 2 classes and the data matches the model.
 * Throws PlanError for a state without an array of the model, and TypeError or RangeError for invalid options.
 *
 * @example const { classes } = await predict({ model, state: result.state, data: test, backend });
 */
export async function predict<X>(options: PredictOptions<X>): Promise<Prediction> {
  return classify(
    await outputsOf('predict', options as unknown as AnyPredictOptions, expectLogits('predict')),
  );
}

/**
 * The outputs of a model for any number of inputs, for instance regression values, images or features. It compiles the model in each
 * call: use `predictor` for many calls.
 *
 * Shapes: data [N, ...] -> [N, ...], the output of the model. Several outputs are an object of arrays by name.
 * Throws ShapeError unless the output has one row per example and the data matches the model.
 * Throws PlanError for a state without an array of the model, and TypeError or RangeError for invalid options.
 *
 * @example
 * const inputs = { shape: [2, 32, 32, 3], dtype: 'f32', data: new Float32Array(6144) } as const;
 * const outputs = await forward({ model, state: result.state, backend, data: inputs });
 * outputs.shape // [2, 10]
 */
export async function forward<X, O extends Named<Tensor>>(options: PredictOptions<X, O>): Promise<OnHost<O>> {
  return asObject<O>(
    await outputsOf('forward', options as unknown as AnyPredictOptions, expectRows('forward')),
  );
}

type AnyPredictOptions = PredictOptions<Named<Tensor>, Named<Tensor>>;
type AnyPredictorOptions = PredictorOptions<Named<Tensor>, Named<Tensor>>;
type HostOutputs = readonly Part<HostTensor>[];
/** Throws ShapeError for an output of another shape than a function expects. */
type Check = (output: Tensor, batchSize: number, name: string | null) => void;

const asObject = <O>(outputs: HostOutputs): OnHost<O> => mapParts(outputs, (output) => output) as OnHost<O>;

const expectLogits =
  (where: string): Check =>
  (output, _, name) => {
    if (name !== null) {
      throw new ShapeError(
        `${where}: the model must have one output, logits [N, classes], but it has outputs by name, such as ${name} ` +
          '(forward returns several outputs)',
      );
    }
    if (output.rank === 2 && output.shape[1] === 1) {
      throw new ShapeError(
        `${where}: the model's output must be logits [N, classes] of at least 2 classes, got ${formatType(output)} ` +
          '(forward returns outputs of any shape)',
      );
    }
    if (output.rank === 2) return;
    throw new ShapeError(
      `${where}: the model's output must be logits [N, classes], got ${formatType(output)} ` +
        `(forward returns outputs of any shape)`,
    );
  };

const expectRows =
  (where: string): Check =>
  (output, batchSize, name) => {
    if (output.rank > 0 && output.shape[0] === batchSize) return;
    throw new ShapeError(
      `${where}: the model's ${keyOf('output', name)} must have one row per example, [${batchSize}, ...], got ${formatType(output)}`,
    );
  };

async function outputsOf(where: string, options: AnyPredictOptions, check: Check): Promise<HostOutputs> {
  checkOptions(where, options, ['model', 'state', 'data', 'backend', 'batchSize']);
  const { data, ...rest } = options;
  checkModel(where, rest);
  const examples = examplesOf(where, data);
  const prepared = await PreparedModel.open(where, rest);
  try {
    return await prepared.outputs(where, data, check, examples);
  } finally {
    await prepared.close();
  }
}

function examplesOf(where: string, data: AnyPredictOptions['data']): Examples {
  checkData(where, data);
  return fedExamples(isDataset(data) ? data : asDataset(where, data));
}

/** The number of compiled models that a predictor keeps. */
const KEPT = 4;

interface CompiledModel {
  readonly executable: Executable;
  readonly outputs: readonly Part<TensorType>[];
}

/** A model with its arrays on a backend, compiled for the batches that come. */
class PreparedModel {
  readonly #model: Layer<Named<Tensor>, Named<Tensor>>;
  readonly #backend: Backend;
  readonly #store: Store;
  readonly #batchSize: number | undefined;
  /** By the types of the inputs, the one that was used last at the end. */
  readonly #compiled = new Map<string, CompiledModel>();
  #tail: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  static async open(
    where: string,
    { model, state, backend, batchSize }: AnyPredictorOptions,
  ): Promise<PreparedModel> {
    checkModel(where, { model, state, backend });
    if (batchSize !== undefined) checkInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
    return new PreparedModel(model, backend, await placeState(where, backend, model, state), batchSize);
  }

  private constructor(
    model: Layer<Named<Tensor>, Named<Tensor>>,
    backend: Backend,
    store: Store,
    batchSize: number | undefined,
  ) {
    this.#model = model;
    this.#backend = backend;
    this.#store = store;
    this.#batchSize = batchSize;
  }

  outputs(
    where: string,
    data: AnyPredictOptions['data'],
    check: Check,
    examples = examplesOf(where, data),
  ): Promise<HostOutputs> {
    return this.#queue(async () => {
      if (this.#isClosed) throw new BackendError(`${where}: the predictor is closed (open a new one)`);
      const n = examples.dataset.length;
      const batchSize = Math.min(this.#batchSize ?? 100, Math.max(1, n));
      const { executable, outputs: types } = await this.#compile(examples, batchSize, check);
      const outputs = types.map(({ name, value: { shape, dtype } }) => {
        const row = shape.slice(1);
        return { name, value: { shape: [n, ...row], dtype, data: allocate(dtype, n * sizeOf(row)) } };
      });
      const padded = [...paddedBatches(n, batchSize)];
      const batches = new Batches(examples, padded.length, (k) => examples.feeds(padded[k].indices));
      for (const [k, { first, count }] of padded.entries()) {
        const batch = await batches.run(executable, k);
        for (const { name, value } of outputs) {
          const each = sizeOf(value.shape.slice(1));
          value.data.set(batch[keyOf('output', name)].data.subarray(0, count * each), first * each);
        }
      }
      return outputs;
    });
  }

  close(): Promise<void> {
    return this.#queue(async () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await Promise.all([...this.#compiled.values()].map(({ executable }) => executable.close()));
      await this.#store.close();
    });
  }

  async #compile(examples: Examples, batchSize: number, check: Check): Promise<CompiledModel> {
    const inputs = examples.inputs(batchSize);
    const key = JSON.stringify(inputs);
    const known = this.#compiled.get(key);
    let compiled = known;
    if (compiled === undefined) {
      let outputs: readonly Part<TensorType>[] = [];
      const executable = await compile(this.#backend, {
        inputs,
        state: this.#store,
        constantState: true,
        build: (fed, tensors) => {
          const { output } = bind(this.#model, tensors, { training: false })(examples.gather(fed, tensors).x);
          const parts = tensorsOf(output);
          for (const { name, value } of parts) check(value, batchSize, name);
          outputs = parts;
          const folded = foldScales(parts.map(({ value }) => value));
          return {
            outputs: Object.fromEntries(parts.map(({ name }, i) => [keyOf('output', name), folded[i]])),
          };
        },
      });
      compiled = { executable, outputs };
    } else {
      for (const { name, value } of compiled.outputs) check(value as Tensor, batchSize, name);
    }
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    for (const [oldest, { executable }] of this.#compiled) {
      if (this.#compiled.size <= KEPT) break;
      this.#compiled.delete(oldest);
      await executable.close();
    }
    return compiled;
  }

  #queue<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(act);
    this.#tail = turn.catch(() => undefined); // the caller gets the error, and the next call runs
    return turn;
  }
}

const isDataset = (data: object): data is AnyDataset =>
  typeof (data as Partial<AnyDataset>).read === 'function';

/** Inputs without targets as a data set. */
function asDataset(where: string, inputs: Named<HostTensor>): AnyDataset {
  const parts = inputParts(where, inputs);
  const length = parts[0].value.shape[0] ?? 0;
  const rows = parts.map(({ name, value: { shape, dtype, data } }) => {
    if (name !== null && shape[0] !== length) {
      const [first] = parts;
      throw new DataError(
        `${where}: data: ${first.name} and ${name} differ in length: ${formatType(first.value)} and ${formatType({ shape, dtype })} ` +
          '(both need one row per example)',
      );
    }
    return { name, value: { shape: shape.slice(1), dtype, data } };
  });
  return {
    name: 'inputs',
    length,
    x: mapParts(rows, ({ shape, dtype }) => ({ shape, dtype })),
    y: { shape: [], dtype: 'i32' },
    classes: [],
    read(indices, x) {
      for (const { name, value } of rows) {
        const each = sizeOf(value.shape);
        const to = partOf<InputData>(x, name);
        indices.forEach((from, i) => to.set(value.data.subarray(from * each, (from + 1) * each), i * each));
      }
    },
  };
}

/** Throws TypeError or DataError unless inputs are an array with a shape, or an object of such arrays by name. */
function inputParts(where: string, inputs: Named<HostTensor>): readonly Part<HostTensor>[] {
  const kind = typedArrayName(inputs) ?? (Array.isArray(inputs) ? 'array' : null);
  if (kind !== null) {
    throw new TypeError(
      `${where}: data must be a data set, or inputs with their shape, got ${showData(inputs)} ` +
        `(write { shape: [N, …], dtype: '${typedArrayName(inputs) === 'Uint8Array' ? 'u8' : 'f32'}', data })`,
    );
  }
  const isNamed =
    !Array.isArray(inputs['shape']) &&
    Object.values(inputs).some((each) => isRecord(each) && 'shape' in each);
  if (!isNamed) {
    checkHostTensor(`${where}: data`, inputs);
    return [{ name: null, value: inputs }];
  }
  checkNames(`${where}: data`, inputs as Readonly<Record<string, unknown>>);
  return Object.entries(inputs as Readonly<Record<string, HostTensor>>).map(([name, value]) => {
    checkHostTensor(`${where}: ${keyOf('data', name)}`, value);
    return { name, value };
  });
}

function classify([output]: HostOutputs): Prediction {
  const { shape, data } = output.value;
  const [n = 0, classes = 0] = shape;
  const logits = Float32Array.from(data);
  const labels = new Int32Array(n);
  const probabilities = new Float32Array(n * classes);
  for (let i = 0; i < n; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    // Like argMax: the first of equal values, and NaN before all numbers.
    let largest = 0;
    for (let c = 1; c < classes && !Number.isNaN(row[largest]); c++) {
      if (!(row[c] <= row[largest])) largest = c;
    }
    labels[i] = largest;
    const top = row[largest];
    const sum = row.reduce((total, z) => total + Math.exp(z - top), 0);
    row.forEach((z, c) => (probabilities[i * classes + c] = Math.exp(z - top) / sum));
  }
  return {
    classes: labels,
    probabilities: { shape, dtype: 'f32', data: probabilities },
    logits: { shape, dtype: 'f32', data: logits },
  };
}
