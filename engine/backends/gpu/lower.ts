/** Which kernels of gpu.js's language compute an operation: the whole table, and the fusions that have kernels of their own. */
import type { FusedName } from '../../plan/fuse.ts';
import type { KernelTable } from '../backend.ts';
import type { Lower } from './kernel.ts';
import { elementwise, elementwiseKernels } from './kernels/elementwise.ts';
import { broadcastTo, cast, checkFinite, copy, takeRows, transpose } from './kernels/layout.ts';
import {
  correct,
  dropout,
  normalizeImages,
  softmaxCrossEntropy,
  softmaxCrossEntropyGrad,
} from './kernels/loss.ts';
import { batchNorm, batchNormGrad, lrnWithin, lrnWithinGrad } from './kernels/norm.ts';
import { avgPool2d, avgPoolGrad, maxPool, maxPoolGrad } from './kernels/pool.ts';
import { conv2d, conv2dGradInput, conv2dGradWeight, matmul } from './kernels/products.ts';
import { max, maxGrad, sum } from './kernels/reduce.ts';

/** The fusions that have kernels. */
export const fusions: ReadonlySet<FusedName> = new Set([
  'elementwise',
  'conv2dBias',
  'conv2dGradWeightBias',
  'maxPool2dRelu',
  'maxPool2dReluGrad',
  'avgPool2dReluGrad',
]);

export const kernels: KernelTable<Lower> & { readonly [N in FusedName]: Lower } = {
  copy,
  ...elementwiseKernels,
  elementwise,
  cast,
  checkFinite,
  transpose,
  broadcastTo,
  sum,
  max,
  maxGrad,
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
  batchNormGrad,
  softmaxCrossEntropy,
  softmaxCrossEntropyGrad,
  correct,
  dropout,
  takeRows,
  normalizeImages,
};
