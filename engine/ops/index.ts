/** The table of all operations. Every backend's kernel table is typed by its keys. */
import { elementwiseOps } from './elementwise.ts';
import { gatherOps } from './gather.ts';
import { layoutOps } from './layout.ts';
import { reduceOps } from './reduce.ts';
import { matmulOp } from './matmul.ts';
import { conv2dGradInputOp, conv2dGradWeightOp, conv2dOp } from './conv.ts';
import { avgPool2dGradOp, avgPool2dOp, maxPool2dGradOp, maxPool2dOp } from './pool.ts';
import {
  batchNormGradOp,
  batchNormOp,
  lrnWithinGradOp,
  lrnWithinOp,
  standardizeGradOp,
  standardizeOp,
} from './norm.ts';
import { resize2dGradOp, resize2dOp } from './resize.ts';
import { correctOp, softmaxCrossEntropyGradOp, softmaxCrossEntropyOp } from './loss.ts';
import { dropoutOp, randomOp } from './random.ts';
import { normalizeImagesOp } from './images.ts';

export const ops = {
  ...elementwiseOps,
  ...layoutOps,
  ...reduceOps,
  ...gatherOps,
  matmul: matmulOp,
  conv2d: conv2dOp,
  conv2dGradInput: conv2dGradInputOp,
  conv2dGradWeight: conv2dGradWeightOp,
  maxPool2d: maxPool2dOp,
  maxPool2dGrad: maxPool2dGradOp,
  avgPool2d: avgPool2dOp,
  avgPool2dGrad: avgPool2dGradOp,
  lrnWithin: lrnWithinOp,
  lrnWithinGrad: lrnWithinGradOp,
  batchNorm: batchNormOp,
  batchNormGrad: batchNormGradOp,
  standardize: standardizeOp,
  standardizeGrad: standardizeGradOp,
  resize2d: resize2dOp,
  resize2dGrad: resize2dGradOp,
  softmaxCrossEntropy: softmaxCrossEntropyOp,
  softmaxCrossEntropyGrad: softmaxCrossEntropyGradOp,
  correct: correctOp,
  dropout: dropoutOp,
  random: randomOp,
  normalizeImages: normalizeImagesOp,
} as const;

export type OpName = keyof typeof ops;

/** The attributes of an operation, as its kernels receive them. */
export type AttrsOf<N extends OpName> = Parameters<(typeof ops)[N]>[1];

export * from './create.ts';
export {
  abs,
  add,
  and,
  atan,
  cast,
  ceil,
  checkFinite,
  clamp,
  cos,
  div,
  equal,
  erf,
  erfc,
  exp,
  expm1,
  floor,
  greater,
  greaterEqual,
  isFinite,
  isNaN,
  less,
  lessEqual,
  log,
  log1p,
  maximum,
  minimum,
  mul,
  neg,
  not,
  notEqual,
  or,
  pow,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  where,
  xor,
} from './elementwise.ts';
export {
  broadcastTo,
  concat,
  expandDims,
  flip,
  pad,
  repeat,
  reshape,
  slice,
  split,
  squeeze,
  stack,
  tile,
  transpose,
  type PadOptions,
  type Range,
} from './layout.ts';
export {
  all,
  any,
  argMax,
  argMin,
  cumulativeSum,
  dot,
  logSoftmax,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  softmax,
  sum,
  variance,
  type CumulativeOptions,
  type NormOptions,
  type ReduceOptions,
  type VarianceOptions,
} from './reduce.ts';
export {
  argSort,
  gather,
  oneHot,
  scatterAdd,
  scatterAlong,
  sort,
  takeAlong,
  takeRows,
  topK,
  type SortOptions,
} from './gather.ts';
export { einsum } from './einsum.ts';
export { matmul, outer, type MatmulOptions } from './matmul.ts';
export { conv2d, conv2dTranspose, type Conv2dOptions, type Conv2dTransposeOptions } from './conv.ts';
export {
  avgPool2d,
  globalAvgPool2d,
  globalMaxPool2d,
  maxPool2d,
  type AvgPoolOptions,
  type PoolOptions,
} from './pool.ts';
export {
  batchNorm,
  batchNormInference,
  groupNorm,
  instanceNorm,
  layerNorm,
  lrnAcross,
  lrnWithin,
  type BatchNormOptions,
  type LayerNormOptions,
  type LrnOptions,
} from './norm.ts';
export { resize2d, type ResizeOptions } from './resize.ts';
export {
  celu,
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  silu,
  softplus,
  type GeluOptions,
} from './activation.ts';
export {
  binaryCrossEntropyRows,
  correct,
  crossEntropyRows,
  diceRows,
  focalRows,
  huberRows,
  klDivergenceRows,
  meanSquaredErrorRows,
  softmaxCrossEntropy,
  type CrossEntropyOptions,
} from './loss.ts';
export { customGradient, type CustomOperation } from './custom.ts';
export { dropout, randomBernoulli, randomNormal, randomPermutation, randomUniform } from './random.ts';
export { normalizeImages } from './images.ts';
