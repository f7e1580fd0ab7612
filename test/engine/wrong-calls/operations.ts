/** One right call of every operation, and what a row of the table is. */
import * as c from 'cyclegrad';

/** A right call. */
export interface Row {
  readonly args: readonly unknown[];
  /** Arguments that are objects of any names, not options: no name in them is misspelled. */
  readonly named?: readonly number[];
  /** What messages may begin with besides the name of the function: a name or a path that the call gives. */
  readonly places?: readonly string[];
  /** Calls that the tests leave out, and why: 'argument: reason'. */
  readonly skip?: Readonly<Record<string, string>>;
  /** The call if it is not `f(...args)`. */
  readonly call?: (...args: never[]) => unknown;
}

const x = c.tensor([1, 2, 3, 4]);
const square = c.tensor([
  [1, 2],
  [3, 4],
]);
const flags = c.tensor(Uint8Array.of(1, 0, 1, 0));
const index = c.tensor(Int32Array.of(0, 1));
const image = c.ones([1, 4, 4, 2]);
const sequence = c.ones([1, 5, 2]);
export const two = c.tensor([1, 2]);
const logits = c.ones([2, 3]);
const random = c.key(1, 'noise');

export const row = (...args: readonly unknown[]): Row => ({ args });
export const rows = (names: string, ...args: readonly unknown[]): Readonly<Record<string, Row>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, row(...args)]));

export const operations: Readonly<Record<string, Row>> = {
  ...rows('add sub mul div pow maximum minimum equal notEqual less lessEqual greater greaterEqual', x, 2),
  ...rows('and or xor', flags, flags),
  not: row(flags),
  where: row(flags, x, 0),
  ...rows('remainder atan2', x, 2),
  ...rows('isNaN isFinite isInfinite neg abs sign floor ceil round trunc', x),
  ...rows('exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square', x),
  ...rows('tan asin acos sinh cosh asinh acosh atanh selu mish', x),
  prelu: row(square, two),
  ...rows(
    'sin cos atan tanh sigmoid erf erfc relu silu softplus hardSigmoid hardSwish hardTanh stopGradient',
    x,
  ),
  clamp: row(x, 0, 1),
  cast: row(x, 'i32'),
  checkFinite: row(x, 'the values'),
  gelu: row(x, { approximate: 'tanh' }),
  ...rows('leakyRelu elu celu', x, 0.1),
  ...rows('sum mean max min prod logSumExp', square, [0], { keepDims: true }),
  ...rows('any all', flags, [0], { keepDims: true }),
  ...rows('argMax argMin', square, 0, { keepDims: true }),
  ...rows('variance std', square, [0], { keepDims: true, correction: 1 }),
  median: row(square, [0], { keepDims: true, interpolation: 'lower' }),
  quantile: row(square, [0.1, 0.9], [0], { keepDims: true, interpolation: 'lower' }),
  norm: row(square, [0], { keepDims: true, order: 1 }),
  ...rows('softmax logSoftmax', square, 0),
  ...rows('cumsum cumprod', x, 0, { exclusive: true, reverse: true }),
  attention: row(square, square, square, {
    heads: 1,
    causal: true,
    mask: c.ones([2, 2], 'u8'),
    scale: 0.5,
    dropout: { rate: 0.5, key: random, step: 0 },
  }),
  dot: row(x, x),
  outer: row(x, x),
  matmul: row(square, square, { transA: true, transB: true }),
  einsum: row('ij,jk->ik', square, square),
  reshape: row(x, [2, 2]),
  transpose: row(square, [1, 0]),
  broadcastTo: row(x, [2, 4]),
  slice: row(square, [0, { begin: 0, end: 1, step: 1 }]),
  concat: row([x, x], 0),
  stack: row([x, x], 0),
  split: row(x, 2, 0),
  squeeze: row(c.ones([1, 2]), [0]),
  expandDims: row(x, 0),
  flip: row(square, [0]),
  roll: row(square, [1], [0]),
  ...rows('diag triu tril', square, 1),
  tile: row(x, [2]),
  repeat: row(x, 2, 0),
  pad: row(x, [[1, 1]], { mode: 'constant', value: 0 }),
  gather: row(square, index, 0),
  takeAlongAxis: row(two, index, 0),
  scatterAdd: row(square, index, 3, 0),
  scatterAddAlongAxis: row(two, index, 3, 0),
  oneHot: row(index, 3),
  ...rows('sort argSort', x, 0, { descending: true }),
  topK: row(x, 2, 0),
  conv2d: row(image, c.ones([3, 3, 2, 2]), { stride: 1, padding: 'same', dilation: 1, groups: 1 }),
  conv2dTranspose: row(image, c.ones([3, 3, 2, 2]), {
    stride: 2,
    padding: 0,
    dilation: 1,
    groups: 1,
    outputPadding: 1,
  }),
  conv1d: row(sequence, c.ones([3, 2, 2]), { stride: 1, padding: [1, 1], dilation: 1, groups: 1 }),
  maxPool1d: row(sequence, 2, { stride: 2, padding: 0, ceil: true }),
  avgPool1d: row(sequence, 2, { stride: 2, padding: 0, ceil: true, divisor: 'inside' }),
  ...rows('adaptiveAvgPool2d adaptiveMaxPool2d', image, [3, 2]),
  pixelShuffle: row(c.ones([1, 2, 2, 4]), 2),
  pixelUnshuffle: row(image, 2),
  maxPool2d: row(image, 2, { stride: 2, padding: 0, ceil: true }),
  avgPool2d: row(image, 2, { stride: 2, padding: 0, ceil: true, divisor: 'inside' }),
  ...rows('globalAvgPool2d globalMaxPool2d', image),
  resize2d: row(image, 8, { mode: 'bicubic', alignCorners: true, antialias: true }),
  warpAffine: row(
    c.ones([1, 4, 4, 2]),
    [
      [
        [1, 0, 0],
        [0, 1, 0],
      ],
    ],
    { mode: 'nearest', fill: 'reflect' },
  ),
  warpBoxes: row(
    c.ones([1, 2, 4]),
    [
      [
        [1, 0, 0],
        [0, 1, 0],
      ],
    ],
    [4, 4],
  ),
  warpPoints: row(
    c.ones([1, 2, 2]),
    [
      [
        [1, 0, 0],
        [0, 1, 0],
      ],
    ],
    [4, 4],
  ),
  ...rows('lrnWithin lrnAcross', image, { size: 3, alpha: 1e-4, beta: 0.75 }),
  batchNorm: row(image, { gamma: two, beta: two, epsilon: 1e-5 }),
  batchNormInference: row(image, two, two, { gamma: two, beta: two, epsilon: 1e-5 }),
  layerNorm: row(image, { axes: 1, gamma: two, beta: two, epsilon: 1e-5 }),
  groupNorm: row(image, 2, { gamma: two, beta: two, epsilon: 1e-5 }),
  instanceNorm: row(image, { gamma: two, beta: two, epsilon: 1e-5 }),
  normalizeImages: row(
    c.tensor(new Uint8Array(32), { shape: [1, 4, 4, 2] }),
    two,
    two,
    c.tensor(new Int32Array(3), { shape: [1, 3] }),
  ),
  dropout: row(x, 0.5, random, c.scalar(0, 'i32')),
  dropout2d: row(image, 0.5, random, c.scalar(0, 'i32')),
  ...rows('randomUniform randomNormal', [2], random, c.scalar(0, 'i32')),
  randomBernoulli: row([2], 0.5, random, c.scalar(0, 'i32')),
  randomPermutation: row(3, random, c.scalar(0, 'i32')),
  crossEntropy: row(logits, index, {
    reduction: 'sum',
    labelSmoothing: 0.1,
    weight: c.ones([3]),
    ignoreIndex: -1,
  }),
  accuracy: row(logits, index, { reduction: 'sum' }),
  ...rows('meanSquaredError meanAbsoluteError klDivergence', logits, logits, { reduction: 'sum' }),
  binaryCrossEntropy: row(logits, logits, { reduction: 'sum', posWeight: 3 }),
  smoothL1Loss: row(logits, logits, { reduction: 'sum', beta: 1 }),
  cosineSimilarity: row(logits, logits, 1, { epsilon: 1e-8 }),
  cosineEmbeddingLoss: row(logits, logits, two, { reduction: 'sum', margin: 0.5 }),
  tripletMarginLoss: row(logits, logits, logits, { reduction: 'sum', margin: 1, order: 2, swap: true }),
  huberLoss: row(logits, logits, { reduction: 'sum', delta: 1 }),
  focalLoss: row(logits, logits, { reduction: 'sum', alpha: 0.25, gamma: 2 }),
  diceLoss: row(logits, logits, { reduction: 'sum', smooth: 1 }),
  tensor: row([1, 2], { shape: [2], dtype: 'f32' }),
  scalar: row(1, 'i32'),
  full: row([2], 1, 'f32'),
  ...rows('zeros ones', [2], 'f32'),
  eye: row(2, 3, 'f32'),
  arange: row(0, 2, 0.5, 'f32'),
  linspace: row(0, 1, 5, 'f32'),
  ...rows('f32 i32 u8', 2, 3),
};
