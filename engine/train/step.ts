/** A training step of the user's own, in the graph: what it gets, what it returns, and its identity in checkpoints. */
import { checkArrays } from '../host.ts';
import type { Named } from '../named.ts';
import type { Tree } from '../nn/optimizer.ts';
import { isJson } from './check-data.ts';
import { checkFunction, checkOptions, checkText, isPromise, isRecord, show } from '../options.ts';
import type { Key } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';

/** What a step gets. All tensors are symbolic: the function runs once, before the first update. */
export interface StepContext<X = Tensor, Y = Tensor, O = Tensor> {
  /** The inputs of the batch, [N, ...] each; several are an object of tensors by name. The model augments them; mixup of the loader was applied. */
  readonly x: X;
  /** The targets of the batch, [N, ...]. */
  readonly y: Y;
  /**
   * The model in training mode. `params` replace trained parameters. As in PyTorch, each call updates the statistics of batch
   * normalization and draws other dropout masks.
   */
  readonly model: (x: X, params?: Tree) => O;
  /**
   * The loss of the run, f32 []: its mean over the batch, and what layers added to it for this output. Default targets: `y`. The
   * metrics of the step are those of the first call.
   */
  readonly loss: (output: O, targets?: Y) => Tensor;
  /** The gradients of a scalar by the names of the parameters. Default parameters: `params`. */
  readonly gradients: (loss: Tensor, params?: Tree) => Tree;
  /** The trained parameters by name. Frozen ones are in `state`. */
  readonly params: Tree;
  /** All arrays of the run by name: parameters, statistics, `optimizer/…`, and those of the step. */
  readonly state: Tree;
  /** The hyperparameters of this step, f32 [] each. */
  readonly hyper: Tree;
  /** The number of updates done, i32 []. */
  readonly step: Tensor;
  /** The key of a random stream of the step, which the seed of the run determines. */
  readonly key: (purpose: string) => Key;
}

/** What a step returns if it has more than a loss. */
export interface StepResult {
  /** The loss, f32 []. Its gradients are those of the update, unless `gradients` are given. */
  readonly loss: Tensor;
  /** Numbers of the step by name, f32 [] each. Default: the metrics of the first call of `loss`. */
  readonly metrics?: Tree;
  /** A gradient for each trained parameter, in place of those of the loss. */
  readonly gradients?: Tree;
  /**
   * New values of arrays by name, in place of the usual ones: those of the step's own arrays, or a parameter that is to stay as it is.
   * Gets what the update wrote: parameters, statistics and arrays of the optimizer.
   */
  readonly next?: (updated: Tree) => Tree;
}

/** Computes the loss of a step. It runs once: an `if` on a value is not traced. */
export type StepFunction<X = Tensor, Y = Tensor, O = Tensor> = (
  context: StepContext<X, Y, O>,
) => Tensor | StepResult;

/** A step for any inputs, targets and outputs. */
export type AnyStepFunction = StepFunction<Named<Tensor>, Named<Tensor>, Named<Tensor>>;

/** A named step for any inputs, targets and outputs. */
export type AnyNamedStep = NamedStep<Named<Tensor>, Named<Tensor>, Named<Tensor>>;

/** A step with arrays of its own, or with a name by which checkpoints know it. */
export interface NamedStep<X = Tensor, Y = Tensor, O = Tensor> {
  /** Checkpoints store it: a run resumes only with a step of the same name and config. */
  readonly name: string;
  /** Plain data that distinguishes steps of the same name, for instance `{ rho: 0.05 }`. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Initial values of arrays that belong to the step. They are part of `Result.state` and of checkpoints. Default: none. */
  readonly state?: State;
  readonly run: StepFunction<X, Y, O>;
}

/** What a checkpoint stores of a step. The code of the function cannot be compared. */
export interface StepConfig {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** The checked option. */
export type StepSettings = Required<AnyNamedStep>;

/** The name of a step that is only a function. */
const UNNAMED = 'custom';

/** Throws TypeError or DataError unless the option is a function or a named step. */
export function stepOf(where: string, step: AnyStepFunction | AnyNamedStep | undefined): StepSettings | null {
  if (step === undefined) return null;
  if (typeof step === 'function') return { name: UNNAMED, config: {}, state: {}, run: step };
  const given: unknown = step;
  if (!isRecord(given) || isPromise(given)) {
    throw new TypeError(`${where}: step must be a function, or { name, run }, got ${show(given)}`);
  }
  const here = `${where}: step`;
  checkOptions(here, step, ['name', 'config', 'state', 'run']);
  const { name, config = {}, state = {}, run } = step;
  checkText(here, 'name', name);
  if (!isRecord(config) || !isJson(config)) {
    throw new TypeError(`${here}: config must be an object of plain data, got ${show(config)}`);
  }
  checkArrays(`${here}: state`, state);
  checkFunction(here, 'run', run, 'a function that returns the loss');
  return { name, config, state, run };
}

/** What checkpoints store of the step. Null for the step of the trainer. */
export const configOf = (step: StepSettings | null): StepConfig | null =>
  step && { name: step.name, config: step.config };
