/** The table of all operations. Every backend's kernel table is typed by its keys. */
import {
  addOp,
  castOp,
  checkFiniteOp,
  divOp,
  expOp,
  logOp,
  mulOp,
  negOp,
  powOp,
  reluGradOp,
  reluOp,
  sigmoidOp,
  sqrtOp,
  subOp,
  tanhOp,
} from './elementwise.ts';
import { broadcastToOp, reshapeOp, transposeOp } from './layout.ts';
import { maxGradOp, maxOp, sumOp } from './reduce.ts';
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
import { dropoutOp } from './random.ts';
import { normalizeImagesOp, takeRowsOp } from './images.ts';

export const ops = {
  add: addOp,
  sub: subOp,
  mul: mulOp,
  div: divOp,
  pow: powOp,
  neg: negOp,
  exp: expOp,
  log: logOp,
  sqrt: sqrtOp,
  tanh: tanhOp,
  sigmoid: sigmoidOp,
  relu: reluOp,
  reluGrad: reluGradOp,
  cast: castOp,
  checkFinite: checkFiniteOp,
  reshape: reshapeOp,
  transpose: transposeOp,
  broadcastTo: broadcastToOp,
  sum: sumOp,
  max: maxOp,
  maxGrad: maxGradOp,
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
  takeRows: takeRowsOp,
  normalizeImages: normalizeImagesOp,
} as const;

export type OpName = keyof typeof ops;

/** The attributes of an operation, as its kernels receive them. */
export type AttrsOf<N extends OpName> = Parameters<(typeof ops)[N]>[1];

export * from './create.ts';
export {
  add,
  cast,
  checkFinite,
  div,
  exp,
  log,
  mul,
  neg,
  pow,
  relu,
  sigmoid,
  sqrt,
  sub,
  tanh,
} from './elementwise.ts';
export { broadcastTo, reshape, transpose } from './layout.ts';
export { max, mean, sum, type ReduceOptions } from './reduce.ts';
export { matmul, type MatmulOptions } from './matmul.ts';
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
export { correct, crossEntropyRows, softmaxCrossEntropy } from './loss.ts';
export { customGradient, stopGradient, type CustomOperation } from './custom.ts';
export { dropout } from './random.ts';
export { normalizeImages, takeRows } from './images.ts';
