/** Outputs of a model for examples without targets. */
import type { Backend } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { Dataset } from '../dataset.ts';
import { ShapeError } from '../errors.ts';
import { checkHostTensor, showData, typedArrayName } from '../host.ts';
import type { Layer } from '../nn/layer.ts';
import { bind } from '../nn/model.ts';
import { allocate } from '../ops/convert.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { formatType, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor, State, TensorType } from '../types.ts';
import { checkModel, withModel } from './evaluate.ts';
import { fedExamples, paddedBatches } from './examples.ts';

export interface PredictOptions {
  /** The model, without training behavior such as dropout. */
  readonly model: Layer;
  /** The arrays of the model, from a result or a checkpoint. Other arrays are ignored. */
  readonly state: State;
  /** Inputs [N, ...], u8 or f32, for any N, or a data set, whose targets are ignored. */
  readonly data: HostTensor | Dataset;
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
export async function predict(options: PredictOptions): Promise<Prediction> {
  const { shape, data } = await outputsOf('predict', options, (output) => {
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
  const [n = 0, classes = 0] = shape;
  return classify(n, classes, Float32Array.from(data));
}

/**
 * The outputs of a model for any number of inputs, for instance regression values, images or features.
 *
 * Shapes: data [N, ...] -> [N, ...], the output of the model.
 * Throws ShapeError unless the output has one row per example and the data matches the model.
 * Throws PlanError for a state without an array of the model, and TypeError or RangeError for invalid options.
 *
 * @example
 * const inputs = { shape: [2, 32, 32, 3], dtype: 'f32', data: new Float32Array(6144) } as const;
 * const outputs = await forward({ model, state: result.state, backend, data: inputs });
 * outputs.shape // [2, 10]
 */
export async function forward(options: PredictOptions): Promise<HostTensor> {
  return outputsOf('forward', options, (output, batchSize) => {
    if (output.rank > 0 && output.shape[0] === batchSize) return;
    throw new ShapeError(
      `forward: the model's output must have one row per example, [${batchSize}, ...], got ${formatType(output)}`,
    );
  });
}

async function outputsOf(
  where: string,
  options: PredictOptions,
  check: (output: Tensor, batchSize: number) => void,
): Promise<HostTensor> {
  checkOptions(where, options, ['model', 'state', 'data', 'backend', 'batchSize']);
  checkModel(where, options);
  const { model, state, backend } = options;
  const examples = fedExamples('read' in options.data ? options.data : asDataset(where, options.data));
  const n = examples.dataset.length;
  const { batchSize = Math.min(100, Math.max(1, n)) } = options;
  checkInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  return withModel(where, backend, model, state, async (store) => {
    let type: TensorType = { shape: [], dtype: 'f32' };
    const executable = await compile(backend, {
      inputs: examples.inputs(batchSize),
      state: store,
      build(inputs, tensors) {
        const { output } = bind(model, tensors, { training: false })(examples.gather(inputs, tensors).x);
        check(output, batchSize);
        type = output;
        return { outputs: { output } };
      },
    });
    try {
      const shape = [n, ...type.shape.slice(1)];
      const each = sizeOf(type.shape.slice(1));
      const data = allocate(type.dtype, n * each);
      for (const { indices, first, count } of paddedBatches(n, batchSize)) {
        const { output } = await executable.run(examples.feeds(indices));
        data.set(output.data.subarray(0, count * each), first * each);
      }
      return { shape, dtype: type.dtype, data };
    } finally {
      await executable.close();
    }
  });
}

/** Inputs without targets as a data set. */
function asDataset(where: string, inputs: HostTensor): Dataset {
  const kind = typedArrayName(inputs) ?? (Array.isArray(inputs) ? 'array' : null);
  if (kind !== null) {
    throw new TypeError(
      `${where}: data must be a data set, or inputs with their shape, got ${showData(inputs)} ` +
        `(write { shape: [N, …], dtype: '${typedArrayName(inputs) === 'Uint8Array' ? 'u8' : 'f32'}', data })`,
    );
  }
  checkHostTensor(`${where}: data`, inputs);
  const {
    shape: [length = 0, ...shape],
    dtype,
    data,
  } = inputs;
  const each = sizeOf(shape);
  if (dtype === 'i32') throw new TypeError(`${where}: data must be bytes or floats, got i32 (use u8 or f32)`);
  return {
    name: 'inputs',
    length,
    x: { shape, dtype },
    y: { shape: [], dtype: 'i32' },
    classes: [],
    read(indices, x) {
      indices.forEach((from, i) => x.set(data.subarray(from * each, (from + 1) * each), i * each));
    },
  };
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
