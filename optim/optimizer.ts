/** `perParameter` makes an optimizer from the rule for a single parameter. */
import type { Hyper, Optimizer, OptimizerConfig, Tree } from '../engine/nn/optimizer.ts';
import {
  checkFunction,
  checkNumber,
  checkOptions,
  checkText,
  isPromise,
  isRecord,
  refusePromise,
  show,
} from '../engine/options.ts';
import { add, mul } from '../engine/ops/index.ts';
import { withPath } from '../engine/path.ts';
import { sizeOf } from '../engine/shape.ts';
import { Tensor } from '../engine/tensor.ts';
import type { HostTensor, Shape } from '../engine/types.ts';
import { constant, isSchedule, type Json, type Schedule } from '../schedulers/index.ts';

/** The arguments of the rule for one parameter. */
export interface ParamUpdate {
  /** The gradient, with the shape of the parameter. */
  readonly grad: Tensor;
  /** The value before the update. */
  readonly param: Tensor;
  /** The arrays of the optimizer for this parameter, with its shape. */
  readonly slots: Tree;
  /** The learning rate of this parameter: lr · lrMult. */
  readonly lr: Tensor;
  /** weightDecay · decayMult. Null without decay. */
  readonly decay: Tensor | null;
  /** All hyperparameters of this step, f32 [] each. */
  readonly hyper: Hyper<Tensor>;
  /** The results of `scalars.next` for this step. */
  readonly shared: Tree;
}

/** An update rule, for `perParameter`. */
export interface PerParameter {
  /** The name of the optimizer in its config and in error messages. */
  readonly kind: string;
  /** Names the optimizer in error messages. Default: `kind`. */
  readonly where?: string;
  /** The options that cannot change during a run. */
  readonly options: Readonly<Record<string, Json>>;
  /** By name. `lr` is required. The rule receives `lr` and `weightDecay` multiplied by the factors of the parameter. */
  readonly hyper: Readonly<Record<string, HyperParameter>>;
  /** Names of arrays with the shape of each parameter, initially zero. */
  readonly slots: readonly string[];
  /** Scalars shared by all parameters, initially zero, and their update. */
  readonly scalars?: {
    readonly names: readonly string[];
    next(scalars: Tree, hyper: Hyper<Tensor>): Tree;
  };
  /** The new value and arrays of one parameter. */
  update(at: ParamUpdate): { readonly param: Tensor; readonly slots: Tree };
}

/** The schedule of a hyperparameter, and its valid values. */
export interface HyperParameter {
  readonly schedule: Schedule;
  /** Describes the valid values in error messages. */
  readonly words: string;
  /** Whether a value is valid. */
  readonly holds: (x: number) => boolean;
}

/** The range of learning rates and weight decays, for `hyperParameter`. */
export const notNegative = { words: 'a number >= 0', holds: (x: number): boolean => x >= 0 };
/** The range of momentum and of other decays, for `hyperParameter`. */
export const belowOne = { words: 'a number >= 0 and < 1', holds: (x: number): boolean => x >= 0 && x < 1 };

/**
 * A hyperparameter from an option that is a number or a schedule. A number is checked here, the value of a schedule at each step.
 *
 * Throws RangeError for a number out of range, and TypeError for anything but a number or a schedule.
 *
 * @example hyperParameter('sgd', 'momentum', 0.9, belowOne).schedule(0) // 0.9
 */
export function hyperParameter(
  where: string,
  name: string,
  value: number | Schedule,
  range: { readonly words: string; readonly holds: (x: number) => boolean },
): HyperParameter {
  if (typeof where !== 'string' || typeof name !== 'string') {
    throw new TypeError(
      `hyperParameter: where and name must be texts, got ${show(where)} and ${show(name)} (write hyperParameter('adam', 'lr', 0.001, notNegative))`,
    );
  }
  checkRange('hyperParameter', 'range', range);
  if (isSchedule(value)) return { schedule: value, ...range };
  if (typeof value !== 'number') {
    const hint = typeof value === 'function' ? ' (wrap it: custom({ name, fn }))' : '';
    throw new TypeError(`${where}: ${name} must be a number or a schedule, got ${show(value)}${hint}`);
  }
  checkNumber(where, name, value, range.words, range.holds);
  return { schedule: constant(value), ...range };
}

/** Throws TypeError unless `range` has words and a function. */
function checkRange(where: string, name: string, range: unknown): void {
  if (isRecord(range) && typeof range['words'] === 'string' && typeof range['holds'] === 'function') return;
  throw new TypeError(
    `${where}: ${name} must be { words, holds }, for instance notNegative, got ${show(range)}`,
  );
}

/** Throws TypeError unless `rule` has the parts of an update rule. */
function checkRule(rule: PerParameter): void {
  const where = 'perParameter';
  checkOptions(where, rule, ['kind', 'where', 'options', 'hyper', 'slots', 'scalars', 'update']);
  checkText(where, 'kind', rule.kind, 'a name');
  if (rule.where !== undefined) checkText(where, 'where', rule.where, 'a text for messages');
  checkFunction(where, 'update', rule['update'], 'the update rule of one parameter, a function');
  if (!Array.isArray(rule.slots))
    throw new TypeError(`${where}: slots must be an array of names, got ${show(rule.slots)}`);
  for (const name of ['options', 'hyper'] as const) {
    if (!isRecord(rule[name]) || isPromise(rule[name])) {
      throw new TypeError(`${where}: ${name} must be an object by name, got ${show(rule[name])}`);
    }
  }
  for (const [name, part] of Object.entries(rule.hyper)) {
    checkRange(where, `hyper.${name}`, part);
    if (!isSchedule(part.schedule)) {
      throw new TypeError(
        `${where}: hyper.${name} must be made by hyperParameter, got ${show(part.schedule)} as its schedule`,
      );
    }
  }
}

/** Whether a hyperparameter is the number 0, so its term can be omitted from the graph. */
export const isOff = (value: number | Schedule): boolean => value === 0;

/**
 * Makes an optimizer from the update rule for one parameter. It applies the `lrMult` and `decayMult` of each parameter to the
 * learning rate and the weight decay.
 *
 * Names in the state: '<slot>/<parameter>' for arrays. Scalars have their own names.
 *
 * Throws RangeError when a schedule leaves the range of its hyperparameter, and TypeError if `update` returns a promise.
 *
 * @example
 * const signSgd = perParameter({
 *   kind: 'signSgd',
 *   options: {},
 *   hyper: { lr: hyperParameter('signSgd', 'lr', 0.001, notNegative) },
 *   slots: [],
 *   update: ({ param, grad, lr }) => ({ param: param.sub(grad.sign().mul(lr)), slots: {} }),
 * });
 * await fit({ ...options, optimizer: signSgd });
 */
export function perParameter(rule: PerParameter): Optimizer {
  checkRule(rule);
  const { kind, where = kind, options, hyper, slots, scalars } = rule;
  const ranges = Object.entries(hyper);
  const schedules = Object.fromEntries(ranges.map(([name, { schedule }]) => [name, schedule]));
  const configs = Object.entries(schedules).map(([name, { config }]) => [
    name,
    config.kind === 'constant' ? config['value'] : config,
  ]);
  return {
    config: { kind, ...options, hyper: Object.fromEntries(configs) as Record<string, Json> },
    schedules,
    at(step) {
      const values: Record<string, number> = {};
      for (const [name, { schedule, words, holds }] of ranges) {
        const value = schedule(step);
        // The message is made only if it is needed: a run evaluates every step before the first update.
        if (!Number.isFinite(value) || !holds(value)) {
          checkNumber(where, `${name} at step ${step}`, value, words, holds);
        }
        values[name] = value;
      }
      return values;
    },
    init(specs) {
      const state: Record<string, HostTensor> = {};
      for (const slot of slots) {
        for (const [name, { shape }] of Object.entries(specs)) state[`${slot}/${name}`] = zero(shape);
      }
      for (const name of scalars?.names ?? []) state[name] = zero([]);
      return state;
    },
    update({ grads, params, state, hyper: at, specs }) {
      const shared = scalars?.next(state, at) ?? {};
      const rates = multiples(at['lr']);
      const decays = 'weightDecay' in at ? multiples(at['weightDecay']) : null;
      const nextParams: Record<string, Tensor> = {};
      const nextState: Record<string, Tensor> = {};
      for (const name of scalars?.names ?? []) nextState[name] = shared[name];
      for (const [name, { lrMult, decayMult }] of Object.entries(specs)) {
        const updated = withPath(`update ${name}`, () =>
          rule.update({
            grad: grads[name],
            param: params[name],
            slots: Object.fromEntries(slots.map((slot) => [slot, state[`${slot}/${name}`]])),
            lr: rates(lrMult),
            decay: decays === null || decayMult === 0 ? null : decays(decayMult),
            hyper: at,
            shared,
          }),
        );
        refusePromise(`${where}: the update of '${name}'`, updated, 'return { param, slots }');
        nextParams[name] = updated.param;
        for (const slot of slots) nextState[`${slot}/${name}`] = updated.slots[slot];
      }
      return { params: nextParams, state: nextState };
    },
  };
}

/** An array of zeros. */
export const zero = (shape: Shape): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(sizeOf(shape)),
});

/** Multiples of a scalar. The graph computes each factor once. */
function multiples(scalar: Tensor): (factor: number) => Tensor {
  const products = new Map<number, Tensor>([[1, scalar]]);
  return (factor) => {
    const product = products.get(factor) ?? mul(scalar, factor);
    products.set(factor, product);
    return product;
  };
}

/**
 * The gradient with the L2 penalty: g + decay · w. Without weight decay, the gradient itself. For the `update` of `perParameter`.
 *
 * Shapes: that of the parameter.
 *
 * @example
 * perParameter({
 *   kind: 'plainSgd',
 *   options: {},
 *   hyper: {
 *     lr: hyperParameter('plainSgd', 'lr', 0.01, notNegative),
 *     weightDecay: hyperParameter('plainSgd', 'weightDecay', 5e-4, notNegative),
 *   },
 *   slots: [],
 *   update: (at) => ({ param: at.param.sub(addWeightDecay(at).mul(at.lr)), slots: {} }),
 * });
 */
export function addWeightDecay(at: ParamUpdate): Tensor {
  if (!isRecord(at))
    throw new TypeError(`addWeightDecay: the argument must be that of update, got ${show(at)}`);
  const { grad, param, decay } = at;
  for (const [name, tensor] of Object.entries({ grad, param, ...(decay !== null && { decay }) })) {
    if (!(tensor instanceof Tensor)) {
      throw new TypeError(
        `addWeightDecay: ${name} must be a tensor, got ${show(tensor)} (pass the argument of update)`,
      );
    }
  }
  return decay === null ? grad : add(grad, mul(param, decay));
}

/**
 * The config of a wrapped optimizer: the inner config and the options of the wrapper. Undefined options are omitted.
 *
 * Throws RangeError if the inner config already has one of these options. The arrays of two equal wrappers would have the same names.
 */
export function wrapConfig(
  where: string,
  { config }: Optimizer,
  options: Readonly<Record<string, Json | undefined>>,
  fix: string,
): OptimizerConfig {
  const wrapped: { kind: string; hyper: OptimizerConfig['hyper']; [option: string]: Json } = { ...config };
  for (const [name, value] of Object.entries(options)) {
    if (name in config) {
      throw new RangeError(
        `${where}: the optimizer is already wrapped in ${where}, with ${name} ${show(config[name])} (${fix})`,
      );
    }
    if (value !== undefined) wrapped[name] = value;
  }
  return wrapped;
}
