/**
 * The interface of optimizers: pure functions of all parameters, written with operations. The folder `optim` has the
 * implementations.
 */
import type { Json, Schedule } from '../../schedulers/index.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import type { ParamSpec } from './layer.ts';

/** Tensors by name. */
export type Tree = Readonly<Record<string, Tensor>>;
/** The parameters to train, by name. */
export type Specs = Readonly<Record<string, ParamSpec>>;
/** Hyperparameters by name: numbers on the host, scalars in a graph. */
export type Hyper<T = number> = Readonly<Record<string, T>>;

/** Plain data that identifies an optimizer. */
export interface OptimizerConfig {
  readonly kind: string;
  /** Numbers and configs of schedules. Only these may differ in a resumed run. */
  readonly hyper: Readonly<Record<string, Json>>;
  readonly [option: string]: Json;
}

/**
 * An optimizer. Wrappers such as `clipGradients` replace some members of the inner optimizer. They can be nested in any
 * order that their `stepsPerUpdate` allows.
 */
export interface Optimizer {
  readonly config: OptimizerConfig;
  /** Hyperparameters as schedules. */
  readonly schedules: Readonly<Record<string, Schedule>>;
  /** Whether `update` needs the statistics of the model. Default false. */
  readonly usesStatistics?: boolean;
  /** Training steps for each change of the parameters. Default 1. */
  readonly stepsPerUpdate?: number;
  /** Hyperparameters of an update, which are fed to the compiled step. Step 0 is the first update. */
  at(step: number): Hyper;
  /** Arrays of the optimizer before the first update, by name. `statistics` are those of batch normalization. Default: none. */
  init(specs: Specs, statistics?: Specs): State;
  /** New parameters and arrays, under the same names. */
  update(at: UpdateArguments): Updated;
}

/** The arguments of an update. */
export interface UpdateArguments {
  readonly grads: Tree;
  readonly params: Tree;
  readonly state: Tree;
  readonly hyper: Hyper<Tensor>;
  readonly specs: Specs;
  /** The statistics that the step updates, such as those of batch normalization. Undefined if they are not known. */
  readonly statistics?: { readonly before: Tree; readonly after: Tree };
  /** The parameters and statistics that are frozen. Arrays of the optimizer may be left from before. Default: none. */
  readonly frozen?: Tree;
  /** 1 in the last update of the run, else 0, `u8` []. Undefined if the last update is not known. */
  readonly last?: Tensor;
}

/** The results of an update. */
export interface Updated {
  readonly params: Tree;
  readonly state: Tree;
  /** Statistics to store in place of those that the step computed. Default: none. */
  readonly statistics?: Tree;
}
