/** The public API of the optimizers. */
export type {
  Hyper,
  Optimizer,
  OptimizerConfig,
  Specs,
  Tree,
  UpdateArguments,
  Updated,
} from '../engine/nn/optimizer.ts';
export { accumulateGradients } from './accumulate.ts';
export { adam, adamw, type AdamOptions } from './adam.ts';
export {
  adadelta,
  adagrad,
  rmsprop,
  type AdadeltaOptions,
  type AdagradOptions,
  type RmspropOptions,
} from './adaptive.ts';
export { averagedState, averageWeights, swa, type AverageOptions, type SwaOptions } from './average.ts';
export { clipAdaptively, clipGradients, type AdaptiveClipOptions, type ClipOptions } from './clip.ts';
export { lookahead, type LookaheadOptions } from './lookahead.ts';
export {
  lamb,
  lion,
  nadam,
  radam,
  type LambOptions,
  type LionOptions,
  type NadamOptions,
  type RadamOptions,
} from './momentum.ts';
export { muon, type MuonOptions } from './muon.ts';
export {
  addWeightDecay,
  belowOne,
  hyperParameter,
  notNegative,
  perParameter,
  type HyperParameter,
  type ParamUpdate,
  type PerParameter,
} from './optimizer.ts';
export { partition, type Group, type PartOptions } from './partition.ts';
export { sgd, type SgdOptions } from './sgd.ts';
