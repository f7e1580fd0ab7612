/** The table of lowerings to gpu.js's language: every operation, and the fusions that have kernels of their own. */
import type { Attrs } from '../../op.ts';
import type { FusedName } from '../../plan/fuse.ts';
import type { Step } from '../../plan/plan.ts';
import type { KernelTable } from '../backend.ts';

import { elementwise, elementwiseKernels } from './kernels/elementwise.ts';
import { normalizeImages, resize2d, resize2dGrad } from './kernels/images.ts';
import {
  broadcastTo,
  checkFinite,
  concat,
  copy,
  pad,
  slice,
  takeAlong,
  takeRows,
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
import { cumulativeSum, scatterAlong, scatterRows, sort } from './kernels/order.ts';
import { avgPool2d, avgPoolGrad, maxPool, maxPoolGrad } from './kernels/pool.ts';
import { conv2d, conv2dGradInput, conv2dGradWeight, matmul } from './kernels/products.ts';
import { dropout, random } from './kernels/random.ts';
import { max, sum } from './kernels/reduce.ts';
import type { FusedAttrs, Lowering, LoweringContext } from './lowering.ts';

const lowerings: KernelTable<LoweringContext> & {
  readonly [N in keyof FusedAttrs]: Lowering<FusedAttrs[N]>;
} = {
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
  cumulativeSum,
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
  takeRows,
  scatterRows,
  takeAlong,
  scatterAlong,
  normalizeImages,
};

/** The fusions that have kernels. */
export const fusions: ReadonlySet<FusedName> = new Set<keyof FusedAttrs>([
  'elementwise',
  'conv2dBias',
  'conv2dGradWeightBias',
  'batchNormAct',
  'maxPool2dRelu',
  'maxPool2dReluGrad',
  'avgPool2dReluGrad',
]);

/** The lowering of an operation or fusion. The attributes of a step are those of its name, which no type can say here. */
export const loweringOf = (op: Step['op']): Lowering<Attrs> =>
  lowerings[op as keyof typeof lowerings] as Lowering<Attrs>;
