/** Public surface of the optimizers. */
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
export { averagedState, averageWeights, type AverageOptions } from './average.ts';
export { clipGradients, type ClipOptions } from './clip.ts';
export {
  belowOne,
  decayed,
  hyperParameter,
  notNegative,
  perParameter,
  type Hyper,
  type HyperParameter,
  type Optimizer,
  type OptimizerConfig,
  type ParamUpdate,
  type PerParameter,
  type Specs,
  type Tree,
} from './optimizer.ts';
export { sgd, type SgdOptions } from './sgd.ts';
