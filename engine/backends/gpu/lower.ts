/** The table of lowerings to gpu.js's language: every operation, and the fusions that have kernels of their own. */
import type { Step } from '../../plan/plan.ts';
import type { FusedTable, KernelTable } from '../backend.ts';
import { fusionsOf, kernelOf } from '../kernel-table.ts';

import { elementwise, elementwiseKernels } from './kernels/elementwise.ts';
import { normalizeImages, resize2d, resize2dGrad } from './kernels/images.ts';
import {
  broadcastTo,
  checkFinite,
  concat,
  copy,
  pad,
  slice,
  takeAlongAxis,
  gatherRows,
  transpose,
} from './kernels/layout.ts';
import { correct, softmaxCrossEntropy, softmaxCrossEntropyGrad } from './kernels/loss.ts';
import {
  batchNorm,
  batchNormGrad,
  lrnWithin,
  lrnWithinGrad,
  standardize,
  standardizeGrad,
} from './kernels/norm.ts';
import { cumsum, scatterAddAlongAxis, scatterAddRows, sort } from './kernels/order.ts';
import { avgPool2d, avgPoolGrad, maxPool, maxPoolGrad } from './kernels/pool.ts';
import { conv2d, conv2dGradInput, conv2dGradWeight, matmul } from './kernels/products.ts';
import { dropout, random } from './kernels/random.ts';
import { max, sum } from './kernels/reduce.ts';
import type { LoweringContext } from './lowering.ts';

const lowerings: KernelTable<LoweringContext> & Partial<FusedTable<LoweringContext>> = {
  copy,
  ...elementwiseKernels,
  elementwise,
  checkFinite,
  transpose,
  broadcastTo,
  slice,
  pad,
  concat,
  sum,
  max,
  cumsum,
  sort,
  matmul,
  conv2d,
  conv2dBias: conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  conv2dGradWeightBias: conv2dGradWeight,
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dGrad: maxPoolGrad,
  maxPool2dReluGrad: maxPoolGrad,
  avgPool2d,
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
  lrnWithin,
  lrnWithinGrad,
  batchNorm,
  batchNormAct: batchNorm,
  batchNormGrad,
  standardize,
  standardizeGrad,
  resize2d,
  resize2dGrad,
  softmaxCrossEntropy,
  softmaxCrossEntropyGrad,
  correct,
  dropout,
  random,
  gatherRows,
  scatterAddRows,
  takeAlongAxis,
  scatterAddAlongAxis,
  normalizeImages,
};

/** The fusions that have kernels. */
export const fusions = fusionsOf(lowerings);

/** The lowering of an operation or fusion. */
export const loweringOf = (op: Step['op']) => kernelOf<LoweringContext>('gpu', lowerings, op);
