/** All operations that the test draws, and the public names that it leaves out. */
import * as cyclegrad from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { elementwise } from './elementwise.ts';
import { images } from './images.ts';
import { layers } from './layers.ts';
import { layout } from './layout.ts';
import { losses } from './losses.ts';
import type { Operation, Operations } from './operation.ts';
import { reduce } from './reduce.ts';
import { tokens } from './tokens.ts';

export const families = { elementwise, layout, reduce, images, losses, layers, tokens } as const;

const all: Operations = Object.assign({}, ...Object.values(families)) as Operations;

export function operationOf(name: string): Operation {
  if (!Object.hasOwn(all, name)) throw new Error(`unknown operation '${name}'`);
  return all[name];
}

const own = (names: string, reason: string): [string, string][] =>
  names.split(' ').map((name) => [name, reason]);

/** Public functions without cases of their own, with the reason. */
const leftOut: ReadonlyMap<string, string> = new Map([
  ...own('tensor scalar full zeros ones eye f32 i32 u8', 'makes inputs, without arithmetic'),
  ...own(
    'arange linspace',
    'makes constants in double precision, which test/engine/more-layout.test.ts compares',
  ),
  ...own(
    'dropout dropout2d randomUniform randomNormal randomBernoulli randomPermutation',
    'has a random generator of its own, whose bits test/engine/rng.test.ts checks',
  ),
  ...own('warpBoxes warpPoints', 'is not in PyTorch; test/augment/geometric.test.ts has its values'),
  ...own('customGradient', 'has the derivative that its caller writes'),
  ...own('grad hessianVector valueAndGrad compile', 'is how every case is computed'),
  ...own('key permutation stream', 'is the random generator'),
  ...own('reference wasm gpu openBackend setDefaultBackend', 'opens backends'),
  ...own(
    'fit train evaluate predict predictor forward augmentedBatch lrRangeTest',
    'trains or evaluates a model',
  ),
  ...own(
    'cycleBounds lossTrend meanCurve rangeBand rangeWarnings suggestBounds',
    'reads curves of a range test',
  ),
  ...own('memoryOf', 'plans a step without running it'),
  ...own('earlyStopping freezing reduceOnPlateau snapshots updateBatchNorm', 'acts on a training run'),
  ...own('nn.ensemble nn.withViews', 'averages the layers that it is given'),
  ...own(
    'curveSvg rangeSvg formatDuration formatPercent jsonLines progressBar report csvLog tensorboard htmlReport tracker',
    'reports a run',
  ),
  ...own(
    'bestPath checkpointPath latestCheckpoint loadCheckpoint loadMetadata loadTensors saveCheckpoint saveTensors',
    'reads or writes files',
  ),
  ...own(
    'nn.activation nn.branches nn.module nn.recompute nn.residual nn.sequential',
    'applies the layers that it is given',
  ),
  ...own(
    'nn.celu nn.elu nn.gelu nn.hardSigmoid nn.hardSwish nn.hardTanh nn.leakyRelu nn.mish nn.relu nn.selu nn.sigmoid nn.silu nn.softplus nn.tanh',
    'applies the operation of its name',
  ),
  ...own(
    'nn.adaptiveAvgPool2d nn.adaptiveMaxPool2d nn.flatten nn.globalAvgPool2d nn.globalMaxPool2d nn.pixelShuffle nn.pixelUnshuffle',
    'applies the operation of its name',
  ),
  ...own(
    'nn.binaryCrossEntropyLoss nn.crossEntropyLoss nn.diceLoss nn.focalLoss nn.huberLoss nn.smoothL1Loss',
    'fixes options of the operation',
  ),
  ...own('nn.dropout nn.dropout2d nn.stochasticDepth', 'has a random generator of its own'),
  ...own(
    'nn.applyGradients nn.bind nn.countParameters nn.freeze nn.initState nn.parameters nn.summary',
    'has no values of its own',
  ),
  ...own('nn.caffeFull nn.caffeQuick nn.caffeSigmoidBn nn.mlp', 'is a model of these layers'),
]);

const functionsOf = (module: Readonly<Record<string, unknown>>, prefix: string): readonly string[] =>
  Object.keys(module)
    .filter((name) => typeof module[name] === 'function' && /^[a-z]/.test(name))
    .map((name) => prefix + name);

/** Public functions that have neither cases nor a reason, and reasons for functions that do not exist. */
export function uncovered(): readonly string[] {
  const names = [...functionsOf(cyclegrad, ''), ...functionsOf(nn, 'nn.')];
  return [
    ...names.filter((name) => !Object.hasOwn(all, name) && !leftOut.has(name)),
    ...[...leftOut.keys()].filter((name) => !names.includes(name)),
  ];
}
