/** Outputs of a model for examples without targets. */
import type { Backend } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { AnyDataset, InputData } from '../dataset.ts';
import { DataError, ShapeError } from '../errors.ts';
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
import { checkModel, withModel } from './evaluate.ts';
import { fedExamples, paddedBatches } from './examples.ts';

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

/**
 * Classifies any number of examples.
 *
 * Shapes: data [N, ...] -> classes [N], probabilities and logits [N, classes].
 * Throws ShapeError unless the output of the model is [N, classes] with at least 2 classes and the data matches the model.
 * Throws PlanError for a state without an array of the model, and TypeError or RangeError for invalid options.
 *
 * @example const { classes } = await predict({ model, state: result.state, data: test, backend });
 */
export async function predict<X>(options: PredictOptions<X>): Promise<Prediction> {
  const outputs = await outputsOf('predict', options as unknown as AnyPredictOptions, (output, _, name) => {
    if (name !== null) {
      throw new ShapeError(
        `predict: the model must have one output, logits [N, classes], but it has outputs by name, such as ${name} ` +
          '(forward returns several outputs)',
      );
    }
    if (output.rank === 2 && output.shape[1] === 1) {
      throw new ShapeError(
        `predict: the model's output must be logits [N, classes] of at least 2 classes, got ${formatType(output)} ` +
          '(forward returns outputs of any shape)',
      );
    }
    if (output.rank === 2) return;
    throw new ShapeError(
      `predict: the model's output must be logits [N, classes], got ${formatType(output)} ` +
        `(forward returns outputs of any shape)`,
    );
  });
  const { shape, data } = outputs[0].value;
  const [n = 0, classes = 0] = shape;
  return classify(n, classes, Float32Array.from(data));
}

/**
 * The outputs of a model for any number of inputs, for instance regression values, images or features.
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
  const outputs = await outputsOf(
    'forward',
    options as unknown as AnyPredictOptions,
    (output, batchSize, name) => {
      if (output.rank > 0 && output.shape[0] === batchSize) return;
      throw new ShapeError(
        `forward: the model's ${keyOf('output', name)} must have one row per example, [${batchSize}, ...], got ${formatType(output)}`,
      );
    },
  );
  return mapParts(outputs, (output) => output) as OnHost<O>;
}

type AnyPredictOptions = PredictOptions<Named<Tensor>, Named<Tensor>>;

async function outputsOf(
  where: string,
  options: AnyPredictOptions,
  check: (output: Tensor, batchSize: number, name: string | null) => void,
): Promise<readonly Part<HostTensor>[]> {
  checkOptions(where, options, ['model', 'state', 'data', 'backend', 'batchSize']);
  checkModel(where, options);
  const { model, state, backend } = options;
  const examples = fedExamples(isDataset(options.data) ? options.data : asDataset(where, options.data));
  const n = examples.dataset.length;
  const { batchSize = Math.min(100, Math.max(1, n)) } = options;
  checkInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  return withModel(where, backend, model, state, async (store) => {
    let types: readonly Part<TensorType>[] = [];
    const executable = await compile(backend, {
      inputs: examples.inputs(batchSize),
      state: store,
      build(inputs, tensors) {
        const { output } = bind(model, tensors, { training: false })(examples.gather(inputs, tensors).x);
        const parts = tensorsOf(output);
        for (const { name, value } of parts) check(value, batchSize, name);
        types = parts;
        return {
          outputs: Object.fromEntries(parts.map(({ name, value }) => [keyOf('output', name), value])),
        };
      },
    });
    try {
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
    } finally {
      await executable.close();
    }
  });
}

const isDataset = (data: object): data is AnyDataset =>
  typeof (data as Partial<AnyDataset>).read === 'function';

/** Inputs without targets as a data set. */
function asDataset(where: string, inputs: Named<HostTensor>): AnyDataset {
  const parts = inputParts(where, inputs);
  const length = parts[0].value.shape[0] ?? 0;
  const rows = parts.map(({ name, value: { shape, dtype, data } }) => {
    if (dtype === 'i32') {
      throw new TypeError(
        `${where}: ${keyOf('data', name)} must be bytes or floats, got i32 (use u8 or f32)`,
      );
    }
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

function classify(n: number, classes: number, logits: Float32Array): Prediction {
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
  const shape = [n, classes];
  return {
    classes: labels,
    probabilities: { shape, dtype: 'f32', data: probabilities },
    logits: { shape, dtype: 'f32', data: logits },
  };
}
