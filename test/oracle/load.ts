/** Reads and types what PyTorch computed: pytorch.json, networks.json and operations.json. See the generators for how. No assertions here. */
import { readFileSync } from 'node:fs';
import type { HostTensor, QuantileOptions, Range } from 'cyclegrad';

/** As in the JSON; `f32` unless said otherwise, but with 9 significant digits. */
export interface OracleTensor {
  readonly shape: readonly number[];
  readonly dtype?: 'i32' | 'u8';
  readonly data: readonly number[];
}

export type OracleTensors = Readonly<Record<string, OracleTensor>>;

type Pair = readonly [number, number];
type None = Readonly<Record<string, never>>;
interface Window {
  readonly size: Pair;
  readonly stride: Pair;
  readonly pad: Pair;
  /** Output sizes round up (Caffe), not down. */
  readonly ceil: boolean;
}
interface Window1d {
  readonly size: number;
  readonly stride: number;
  readonly padding: number;
  readonly ceil: boolean;
}
interface Axis {
  readonly axis: number;
}
interface Axes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** The attributes of each operation's cases. */
export interface OracleAttrs {
  /** Inputs x, w. */
  conv2d: {
    readonly stride: Pair;
    readonly pad: Pair;
    readonly dilation?: Pair;
    readonly groups?: number;
  };
  /** Inputs x, w [KH, KW, O / groups, C]. */
  conv2dTranspose: {
    readonly stride: Pair;
    readonly pad: Pair;
    readonly outputPadding: Pair;
    readonly dilation: Pair;
    readonly groups: number;
  };
  globalAvgPool2d: None;
  globalMaxPool2d: None;
  resize2d: {
    readonly size: Pair;
    readonly mode: 'nearest' | 'bilinear';
    readonly alignCorners: boolean;
  };
  /** Inputs x, gamma, beta. */
  layerNorm: { readonly axes: number; readonly eps: number };
  groupNorm: { readonly groups: number; readonly eps: number };
  instanceNorm: { readonly eps: number };
  lrnAcross: { readonly size: number; readonly alpha: number; readonly beta: number };
  gelu: { readonly approximate?: 'tanh' };
  silu: None;
  softplus: None;
  leakyRelu: { readonly slope: number };
  elu: { readonly alpha: number };
  celu: { readonly alpha: number };
  hardSigmoid: None;
  hardSwish: None;
  hardTanh: None;
  /** Losses of each row. Inputs x, target; or x, labels. */
  meanSquaredError: None;
  binaryCrossEntropy: None;
  huber: { readonly delta: number };
  smoothedCrossEntropy: { readonly smoothing: number };
  klDivergence: None;
  dice: None;
  focal: { readonly alpha: number; readonly gamma: number };
  /** Inputs w, index. */
  embedding: None;
  maxPool2d: Window;
  /** Divides by the window clipped to the padded image. */
  avgPool2d: Window;
  lrn: {
    readonly region: 'within-channel';
    readonly size: number;
    readonly alpha: number;
    readonly beta: number;
  };
  /** Inputs x, gamma, beta; at inference mean and variance too. Training has the outputs mean and (biased) variance. */
  batchNorm: { readonly training: boolean; readonly eps: number };
  /** Inputs logits, labels. */
  softmaxCrossEntropy: { readonly reduction: 'none' | 'mean' };
  /** Inputs a, b. */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean };
  /** Inputs x, w, b. */
  dense: None;
  tanh: None;
  sigmoid: None;
  exp: None;
  log: None;
  sqrt: None;
  relu: None;
  abs: None;
  pow: { readonly exponent: number };
  /** Inputs a, b, which broadcast. */
  add: None;
  sub: None;
  mul: None;
  div: None;
  sum: Axes;
  mean: Axes;
  max: Axes;
  sign: None;
  floor: None;
  ceil: None;
  round: None;
  expm1: None;
  log1p: None;
  sin: None;
  cos: None;
  erf: None;
  atan: None;
  rsqrt: None;
  reciprocal: None;
  square: None;
  clamp: { readonly low: number; readonly high: number };
  /** Inputs a, b, as of all binary operations. */
  power: None;
  maximum: None;
  minimum: None;
  equal: None;
  notEqual: None;
  less: None;
  lessEqual: None;
  greater: None;
  greaterEqual: None;
  and: None;
  or: None;
  xor: None;
  not: None;
  /** Inputs condition, a, b. */
  where: None;
  cast: { readonly dtype: 'i32' | 'u8' };
  min: Axes;
  logSumExp: Axes;
  any: Axes;
  all: Axes;
  variance: Axes & { readonly correction: number };
  norm: Axes & { readonly order: number };
  softmax: Axis;
  logSoftmax: Axis;
  prod: Axis;
  cumulativeSum: Axis;
  argMax: Axis;
  argMin: Axis;
  /** Outputs y and indices. */
  sort: Axis & { readonly descending: boolean };
  topK: Axis & { readonly k: number };
  slice: { readonly ranges: readonly Range[] };
  /** Inputs a, b, c. */
  concat: Axis;
  stack: Axis;
  /** The second of two parts. */
  split: Axis & { readonly sizes: readonly number[] };
  flip: { readonly axes: readonly number[] };
  tile: { readonly counts: readonly number[] };
  repeat: Axis & { readonly count: number };
  pad: { readonly mode: 'constant' | 'reflect' | 'edge'; readonly amounts: readonly Pair[] };
  /** Inputs x, index, as of the four after it. */
  gather: Axis;
  scatterAdd: Axis & { readonly n: number };
  takeAlong: Axis;
  scatterAlong: Axis & { readonly n: number };
  oneHot: { readonly n: number };
  /** Inputs x0, x1, … */
  einsum: { readonly equation: string };
  outer: None;
  dot: None;
  trunc: None;
  exp2: None;
  log2: None;
  log10: None;
  tan: None;
  asin: None;
  acos: None;
  sinh: None;
  cosh: None;
  asinh: None;
  acosh: None;
  atanh: None;
  /** Inputs a, b. */
  atan2: None;
  remainder: None;
  std: Axes & { readonly correction: number };
  quantile: Axis & {
    readonly q: readonly number[];
    readonly keepDims: boolean;
    readonly interpolation: NonNullable<QuantileOptions['interpolation']>;
  };
  median: Axis & { readonly interpolation: 'lower' };
  cumulativeProduct: Axis;
  roll: { readonly shifts: readonly number[]; readonly axes: readonly number[] };
  diag: { readonly offset: number };
  triu: { readonly offset: number };
  tril: { readonly offset: number };
  /** Inputs x and target, labels or probabilities. */
  crossEntropy: {
    readonly reduction: 'mean' | 'none';
    readonly weight?: readonly number[];
    readonly ignoreIndex?: number;
    readonly labelSmoothing?: number;
  };
  weightedBinaryCrossEntropy: { readonly posWeight: readonly number[] };
  meanAbsoluteError: None;
  smoothL1: { readonly beta: number };
  cosineSimilarity: Axis;
  /** Inputs a, b, labels. */
  cosineEmbedding: { readonly margin: number };
  /** Inputs a, p, n. */
  tripletMargin: { readonly margin: number; readonly order?: number; readonly swap?: boolean };
  selu: None;
  mish: None;
  /** Inputs x, slope. */
  prelu: None;
  pixelShuffle: { readonly factor: number };
  pixelUnshuffle: { readonly factor: number };
  adaptiveAvgPool2d: { readonly size: Pair };
  adaptiveMaxPool2d: { readonly size: Pair };
  /** Inputs x, w. */
  conv1d: {
    readonly stride: number;
    readonly padding: number;
    readonly dilation: number;
    readonly groups: number;
  };
  maxPool1d: Window1d;
  avgPool1d: Window1d;
  /** Bicubic and antialiased. */
  resize: {
    readonly size: Pair;
    readonly mode: 'bilinear' | 'bicubic';
    readonly alignCorners: boolean;
    readonly antialias: boolean;
  };
}

export type OracleOp = keyof OracleAttrs;

export interface OracleCase<N extends OracleOp = OracleOp> {
  readonly op: N;
  readonly name: string;
  readonly attrs: OracleAttrs[N];
  readonly inputs: OracleTensors;
  /** The gradient of `outputs.y`; none where that is made of integers. */
  readonly gradOutput?: OracleTensor;
  readonly outputs: OracleTensors & { readonly y: OracleTensor };
  /** The gradient of every input that has one. */
  readonly grads: OracleTensors;
}

/** Per-parameter multipliers. */
export type OracleSpecs = Readonly<Record<string, { readonly lrMult: number; readonly decayMult: number }>>;

/** What every optimizer case starts from and is given: 10 updates of two parameters, `w` [2, 3] and `b` [3]. */
export interface OracleOptimization {
  readonly initial: OracleTensors;
  readonly grads: readonly OracleTensors[];
  readonly lr: readonly number[];
}

export interface OracleOptimizer {
  readonly name: 'sgd' | 'adam' | 'adamw' | 'rmsprop' | 'adagrad' | 'adadelta';
  readonly form: 'pytorch' | 'caffe';
  /** What is absent is 0 or false. `adamw` decays the weight itself, all others its gradient. */
  readonly options: {
    readonly momentum?: number;
    readonly nesterov?: boolean;
    readonly weightDecay?: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly rho?: number;
    readonly eps?: number;
  };
  readonly specs?: OracleSpecs;
  /** The parameters after each update. */
  readonly params: readonly OracleTensors[];
}

/** Five Caffe-form updates of a net with the layers of cifar10_full: conv1 4, conv2 5, conv3 6 filters of 5x5. */
export interface OracleTrajectory {
  readonly lrn: { readonly size: number; readonly alpha: number; readonly beta: number };
  readonly momentum: number;
  readonly weightDecay: number;
  /** One rate per update. */
  readonly lr: readonly number[];
  readonly specs: OracleSpecs;
  /** Whole numbers from -128 to 127 (so: bytes minus a mean of 128), [8, 8, 8, 3]. */
  readonly images: OracleTensor;
  readonly labels: OracleTensor;
  /** The images of each update. */
  readonly batches: readonly (readonly number[])[];
  readonly initial: OracleTensors;
  /** Mean loss, logits and L2 norms of the gradients of each update, before it. */
  readonly losses: readonly number[];
  readonly logits: readonly OracleTensor[];
  readonly gradNorms: readonly Readonly<Record<string, number>>[];
  /** Parameters after the last update. */
  readonly final: OracleTensors;
}

export interface Oracle {
  readonly versions: { readonly torch: string; readonly numpy: string };
  readonly cases: readonly OracleCase[];
  readonly optimization: OracleOptimization;
  readonly optimizers: readonly OracleOptimizer[];
  readonly trajectory: OracleTrajectory;
}

const read = <T>(file: string): T => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as T;
const first = read<Oracle>('./pytorch.json');
const networks = read<Pick<Oracle, 'cases'>>('./networks.json');
const operations = read<Pick<Oracle, 'cases'>>('./operations.json');
export const oracle: Oracle = {
  ...first,
  cases: [...first.cases, ...networks.cases, ...operations.cases],
};

/** The cases of one operation, with its attributes typed. Throws where there are none: a test must not pass empty. */
export function oracleCases<N extends OracleOp>(op: N): readonly OracleCase<N>[] {
  const cases = oracle.cases.filter((item): item is OracleCase<N> => item.op === op);
  if (cases.length === 0) throw new Error(`oracle: no cases for ${op}`);
  return cases;
}

/** As the engine's host tensor; floats in double precision, so that a comparison sees all digits. */
export function toHost({ shape, dtype, data }: OracleTensor): HostTensor {
  if (dtype === 'i32') return { shape, dtype, data: Int32Array.from(data) };
  if (dtype === 'u8') return { shape, dtype, data: Uint8Array.from(data) };
  return { shape, dtype: 'f32', data: Float64Array.from(data) };
}
