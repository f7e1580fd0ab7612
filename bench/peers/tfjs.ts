/**
 * TensorFlow.js as an arm: a training step of its operations, for networks without branches and batch normalization. The types that are
 * used are declared here, because the package is not a dependency.
 */
import type { Arm } from '../measure.ts';
import type { LayerSpec, LayerSpecs, LayerWorkload } from '../workloads.ts';
import type { FoundPackage } from './found.ts';

interface TfTensor {
  readonly shape: readonly number[];
  reshape(shape: readonly number[]): TfTensor;
  mul(other: TfTensor | number): TfTensor;
  add(other: TfTensor | number): TfTensor;
  square(): TfTensor;
  pow(exponent: TfTensor | number): TfTensor;
  mean(): TfTensor;
  relu(): TfTensor;
  matMul(other: TfTensor): TfTensor;
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface TfVariable extends TfTensor {
  readonly trainable: boolean;
}

interface Tf {
  readonly version: { readonly tfjs: string };
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  ready(): Promise<void>;
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  tensor1d(values: Int32Array, dtype: 'int32'): TfTensor;
  oneHot(labels: TfTensor, depth: number): TfTensor;
  variable(initial: TfTensor, trainable: boolean, name?: string): TfVariable;
  conv2d(x: TfTensor, w: TfTensor, stride: number, pad: 'same'): TfTensor;
  maxPool(x: TfTensor, size: number, stride: number, pad: 'same' | 'valid'): TfTensor;
  avgPool(x: TfTensor, size: number, stride: number, pad: 'same' | 'valid'): TfTensor;
  pad(x: TfTensor, paddings: readonly (readonly [number, number])[]): TfTensor;
  readonly losses: { softmaxCrossEntropy(labels: TfTensor, logits: TfTensor): TfTensor };
  readonly train: {
    momentum(
      lr: number,
      momentum: number,
    ): {
      minimize(loss: () => TfTensor, returnCost: true): TfTensor | null;
      dispose(): void;
    };
  };
  disposeVariables(): void;
}

export interface TfArm extends Arm {
  readonly version: string;
  readonly backend: string;
  readonly losses: readonly number[];
  close(): void;
}

/** The differences of its step, recorded with the times. */
export const TFJS_DIFFERENCES =
  'local response normalization composed of avgPool and pow; one rate for all weights and no weight decay';

type Weights = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>;

/** Starts the training. Throws the errors of the backend. */
export async function startTfjs(
  { exports }: FoundPackage,
  backend: 'cpu' | 'wasm',
  workload: LayerWorkload,
  weights: Weights,
  batch: { readonly x: Float32Array; readonly labels: Int32Array },
): Promise<TfArm> {
  const tf = exports as Tf;
  if (!(await tf.setBackend(backend)))
    throw new Error(`TensorFlow.js: the backend ${backend} does not start`);
  await tf.ready();
  if (tf.getBackend() !== backend) {
    throw new Error(`TensorFlow.js: ${backend} was to be measured, but ${tf.getBackend()} runs`);
  }
  const { batchSize, input, classes, layers, lr, momentum } = workload;
  const x = tf.tensor(batch.x, [batchSize, ...input]);
  const labels = tf.oneHot(tf.tensor1d(batch.labels, 'int32'), classes);
  const variables: Record<string, TfVariable> = {};
  for (const [name, { shape, data }] of Object.entries(weights)) {
    variables[name] = tf.variable(tf.tensor(data, shape), true);
  }
  const optimizer = tf.train.momentum(lr, momentum);
  const losses: number[] = [];
  const step = async (): Promise<number> => {
    const begin = performance.now();
    const cost = optimizer.minimize(
      () => tf.losses.softmaxCrossEntropy(labels, forward(tf, layers, variables, x)),
      true,
    )!;
    losses.push((await cost.data())[0]);
    cost.dispose();
    return performance.now() - begin;
  };
  return {
    name: `TensorFlow.js ${backend}`,
    version: tf.version.tfjs,
    backend,
    losses,
    async turn(skip, count) {
      for (let i = 0; i < skip; i++) await step();
      const ms: number[] = [];
      for (let i = 0; i < count; i++) ms.push(await step());
      return ms;
    },
    close() {
      optimizer.dispose();
      tf.disposeVariables();
    },
  };
}

function forward(
  tf: Tf,
  layers: LayerSpecs,
  weights: Readonly<Record<string, TfTensor>>,
  x: TfTensor,
): TfTensor {
  return Object.entries(layers).reduce((value, [name, spec]) => apply(tf, name, spec, weights, value), x);
}

function apply(
  tf: Tf,
  name: string,
  spec: LayerSpec,
  weights: Readonly<Record<string, TfTensor>>,
  x: TfTensor,
): TfTensor {
  switch (spec.kind) {
    case 'conv': {
      const y = tf.conv2d(x, weights[`${name}.weight`], spec.stride, 'same');
      return spec.bias ? y.add(weights[`${name}.bias`]) : y;
    }
    case 'dense':
      return x.matMul(weights[`${name}.weight`]).add(weights[`${name}.bias`]);
    // 'same' pads the odd pixel at the end and excludes it from means, like `ceil` for these sizes.
    case 'maxPool':
      return tf.maxPool(x, spec.kernel, spec.stride, spec.ceil ? 'same' : 'valid');
    case 'avgPool':
      return tf.avgPool(x, spec.kernel, spec.stride, spec.ceil ? 'same' : 'valid');
    case 'lrn': {
      const side = (spec.size - 1) / 2;
      // Explicit padding, because the mean over a window at the border must divide by the full window size.
      const squares = tf.pad(x.square(), [
        [0, 0],
        [side, side],
        [side, side],
        [0, 0],
      ]);
      const scale = tf.avgPool(squares, spec.size, 1, 'valid').mul(spec.alpha).add(1);
      return x.mul(scale.pow(-spec.beta));
    }
    case 'relu':
      return x.relu();
    case 'flatten':
      return x.reshape([x.shape[0], -1]);
    case 'batchNorm':
    case 'gelu':
    case 'multiply':
    case 'residual':
      throw new Error(`TensorFlow.js: no ${spec.kind} here: only Caffe’s networks are compared`);
    default:
      throw new TypeError(`TensorFlow.js: unknown layer ${JSON.stringify(spec satisfies never)}`);
  }
}
