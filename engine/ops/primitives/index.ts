/** All primitive operations. A backend must have a kernel for each of them: kernel tables are typed by the keys of this table. */
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

/** Attributes of an operation, as its kernels receive them. */
export type AttrsOf<N extends OpName> = Parameters<(typeof ops)[N]>[1];
