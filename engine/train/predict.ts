/** What a model says about images. */
import type { Dataset } from '../../datasets/dataset.ts';
import type { Backend } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import { ShapeError } from '../errors.ts';
import type { Layer } from '../nn/layer.ts';
import { bind } from '../nn/model.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { formatType, sizeOf } from '../shape.ts';
import type { HostTensor, State } from '../types.ts';
import { withModel } from './evaluate.ts';
import { fedExamples, paddedBatches } from './examples.ts';

export interface PredictOptions {
  readonly model: Layer;
  /** The model's arrays, of a result or a checkpoint; others are ignored. */
  readonly state: State;
  /** Inputs [N, ...], bytes or floats, for any N; or a data set, whose targets are not looked at. */
  readonly data: HostTensor | Dataset;
  readonly backend: Backend;
  /** Default 100. */
  readonly batchSize?: number;
}

export interface Prediction {
  /** The class with the largest logit of each example, the first of equals. [N] */
  readonly classes: Int32Array;
  /** Softmax of the logits. [N, classes] */
  readonly probabilities: HostTensor;
  /** [N, classes] */
  readonly logits: HostTensor;
}

/**
 * Classifies any number of examples.
 *
 * @example const { classes } = await predict({ model, state: result.state, data: test, backend });
 */
export async function predict(options: PredictOptions): Promise<Prediction> {
  checkOptions('predict', options, ['model', 'state', 'data', 'backend', 'batchSize']);
  const { model, state, backend, batchSize = 100 } = options;
  checkInteger('predict', 'batchSize', batchSize, 1, 2 ** 31 - 1);
  const examples = fedExamples('read' in options.data ? options.data : asDataset(options.data));
  const n = examples.dataset.length;
  return withModel(backend, model, state, async (store) => {
    let classes = 0;
    const executable = await compile(backend, {
      inputs: examples.inputs(batchSize),
      state: store,
      build(inputs, tensors) {
        const { output } = bind(model, tensors, { training: false })(examples.gather(inputs, tensors).x);
        if (output.rank !== 2) {
          throw new ShapeError(
            `predict: the model's output must be logits [N, classes], got ${formatType(output)}`,
          );
        }
        classes = output.shape[1];
        return { outputs: { logits: output } };
      },
    });
    try {
      const logits = new Float32Array(n * classes);
      for (const { indices, first, count } of paddedBatches(n, batchSize)) {
        const outputs = await executable.run(examples.feeds(indices));
        logits.set(outputs['logits'].data.subarray(0, count * classes), first * classes);
      }
      return decide(n, classes, logits);
    } finally {
      await executable.close();
    }
  });
}

/** Inputs without targets, in the form that batches are read from. */
function asDataset({ shape: [length = 0, ...shape], dtype, data }: HostTensor): Dataset {
  const each = sizeOf(shape);
  if (dtype === 'i32') throw new TypeError('predict: data must be bytes or floats, got i32 (use u8 or f32)');
  if (data.length !== length * each) {
    throw new ShapeError(
      `predict: data has ${data.length} elements, but its shape [${[length, ...shape].join(',')}] has ${length * each}`,
    );
  }
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

function decide(n: number, classes: number, logits: Float32Array): Prediction {
  const chosen = new Int32Array(n);
  const probabilities = new Float32Array(n * classes);
  for (let i = 0; i < n; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
    chosen[i] = Math.max(0, row.indexOf(top)); // NaN is found nowhere
    const sum = row.reduce((total, z) => total + Math.exp(z - top), 0);
    row.forEach((z, c) => (probabilities[i * classes + c] = Math.exp(z - top) / sum));
  }
  const shape = [n, classes];
  return {
    classes: chosen,
    probabilities: { shape, dtype: 'f32', data: probabilities },
    logits: { shape, dtype: 'f32', data: logits },
  };
}
