/** The interface of an optimizer: a pure function of all parameters at once, written with operations. The folder `optim` has some. */
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

/** Plain data that identifies an optimizer. */
export interface OptimizerConfig {
  readonly kind: string;
  /** Numbers, and configs of schedules. A resumed run may change only these. */
  readonly hyper: Readonly<Record<string, Json>>;
  readonly [option: string]: Json;
}

/**
 * A wrapper such as `clipGradients` returns the members of the inner optimizer with its own in their place. It needs only the
 * members below, so wrappers can be nested in any order that their `stepsPerUpdate` allows.
 */
export interface Optimizer {
  readonly config: OptimizerConfig;
  /** The hyper-parameters as schedules. */
  readonly schedules: Readonly<Record<string, Schedule>>;
  /** Steps between changes of the parameters. Default 1: every step changes them. */
  readonly stepsPerUpdate?: number;
  /** The hyper-parameters of an update, to be fed to the compiled step. Step 0 is the first update. */
  at(step: number): Hyper;
  /** The arrays of the optimizer before the first update, by name. */
  init(specs: Specs): State;
  /** The new parameters and arrays, under the same names. */
  update(at: {
    readonly grads: Tree;
    readonly params: Tree;
    readonly state: Tree;
    readonly hyper: Hyper<Tensor>;
    readonly specs: Specs;
    /** Whether this is the last update of the run, u8 []. Undefined where that is not known. */
    readonly last?: Tensor;
  }): { readonly params: Tree; readonly state: Tree };
}
