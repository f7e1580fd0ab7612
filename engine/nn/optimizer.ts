/** What an optimizer is: a pure map over all parameters at once, written with operations. The folder `optim` has some. */
import type { Json, Schedule } from '../../schedulers/index.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import type { ParamSpec } from './layer.ts';

/** Tensors by name. */
export type Tree = Readonly<Record<string, Tensor>>;
/** The parameters to train, by name. */
export type Specs = Readonly<Record<string, ParamSpec>>;
/** Hyper-parameters by name: numbers on the host, scalars in a graph. */
export type Hyper<T = number> = Readonly<Record<string, T>>;

/** Plain data that says what an optimizer is. */
export interface OptimizerConfig {
  readonly kind: string;
  /** Numbers, and configs of schedules. A resumed run may change these, and nothing else. */
  readonly hyper: Readonly<Record<string, Json>>;
  readonly [option: string]: Json;
}

export interface Optimizer {
  readonly config: OptimizerConfig;
  /** The hyper-parameters over time. */
  readonly schedules: Readonly<Record<string, Schedule>>;
  /** The hyper-parameters of an update, step 0 being the first: feed them to the compiled step. */
  at(step: number): Hyper;
  /** Its arrays before the first update, by names of its own. */
  init(specs: Specs): State;
  /** New parameters and arrays, with the names of the old ones. */
  update(at: {
    readonly grads: Tree;
    readonly params: Tree;
    readonly state: Tree;
    readonly hyper: Hyper<Tensor>;
    readonly specs: Specs;
    /** Whether it is the last update of the run, u8 []; left out where that is not known. */
    readonly last?: Tensor;
  }): { readonly params: Tree; readonly state: Tree };
}
