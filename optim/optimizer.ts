/** `perParameter` makes an optimizer from the rule for a single parameter. */
import type { Hyper, Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkNumber, refusePromise, show } from '../engine/options.ts';
import { add, mul } from '../engine/ops/index.ts';
import { withPath } from '../engine/path.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor, Shape } from '../engine/types.ts';
import { constant, isSchedule, type Json, type Schedule } from '../schedulers/index.ts';

/** What the rule for one parameter sees. */
export interface ParamUpdate {
  readonly grad: Tensor;
  readonly param: Tensor;
  /** Its own arrays, of its shape. */
  readonly slots: Tree;
  /** The rate of this parameter: lr · lrMult. */
  readonly lr: Tensor;
  /** weightDecay · decayMult; null where there is no decay. */
  readonly decay: Tensor | null;
  readonly hyper: Hyper<Tensor>;
  /** What `shared` computed for this step. */
  readonly shared: Tree;
}

export interface PerParameter {
  readonly kind: string;
  /** What cannot change during a run. */
  readonly options: Readonly<Record<string, Json>>;
  /** `lr`, and `weightDecay` where there is any, have their meaning here; the rest is the rule's. */
  readonly hyper: Readonly<Record<string, HyperParameter>>;
  /** Arrays of each parameter's shape, zero at first. */
  readonly slots: readonly string[];
  /** Scalars that all parameters share, zero at first, and how they move. */
  readonly scalars?: {
    readonly names: readonly string[];
    next(scalars: Tree, hyper: Hyper<Tensor>): Tree;
  };
  update(at: ParamUpdate): { readonly param: Tensor; readonly slots: Tree };
}

/** A hyper-parameter's value over time, and the values that make sense. */
export interface HyperParameter {
  readonly schedule: Schedule;
  readonly words: string;
  readonly holds: (x: number) => boolean;
}

export const notNegative = { words: 'a number >= 0', holds: (x: number): boolean => x >= 0 };
export const belowOne = { words: 'a number >= 0 and < 1', holds: (x: number): boolean => x >= 0 && x < 1 };

/** A hyper-parameter from an option: a number or a schedule. Throws TypeError or RangeError for anything else. */
export function hyperParameter(
  where: string,
  name: string,
  value: number | Schedule,
  range: { readonly words: string; readonly holds: (x: number) => boolean },
): HyperParameter {
  if (isSchedule(value)) return { schedule: value, ...range };
  if (typeof value !== 'number') {
    const hint = typeof value === 'function' ? ' (wrap it: custom({ name, fn }))' : '';
    throw new TypeError(`${where}: ${name} must be a number or a schedule, got ${show(value)}${hint}`);
  }
  checkNumber(where, name, value, range.words, range.holds);
  return { schedule: constant(value), ...range };
}

/** Whether a hyper-parameter is the number 0, so that what it multiplies can be left out of the graph. */
export const isOff = (value: number | Schedule): boolean => value === 0;

/**
 * An optimizer from the rule for one parameter. Multipliers of the learning rate and the weight decay are applied here.
 *
 * State names: '<slot>/<parameter>' for arrays, and the scalars under their own names.
 */
export function perParameter(rule: PerParameter): Optimizer {
  const { kind, options, hyper, slots, scalars } = rule;
  const schedules = Object.fromEntries(Object.entries(hyper).map(([name, { schedule }]) => [name, schedule]));
  const plain = Object.entries(schedules).map(([name, { config }]) => [
    name,
    config.kind === 'constant' ? config['value'] : config,
  ]);
  return {
    config: { kind, ...options, hyper: Object.fromEntries(plain) as Record<string, Json> },
    schedules,
    at(step) {
      const values: Record<string, number> = {};
      for (const [name, { schedule, words, holds }] of Object.entries(hyper)) {
        values[name] = schedule(step);
        checkNumber(kind, `${name} at step ${step}`, values[name], words, holds);
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
        refusePromise(`${kind}: the update of '${name}'`, updated, 'return { param, slots }');
        nextParams[name] = updated.param;
        for (const slot of slots) nextState[`${slot}/${name}`] = updated.slots[slot];
      }
      return { params: nextParams, state: nextState };
    },
  };
}

/** An array of zeros, as most of an optimizer's are at first. */
export const zero = (shape: Shape): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(sizeOf(shape)),
});

/** Multiples of a scalar, each computed once in a graph. */
function multiples(scalar: Tensor): (factor: number) => Tensor {
  const known = new Map<number, Tensor>([[1, scalar]]);
  return (factor) => {
    const made = known.get(factor) ?? mul(scalar, factor);
    known.set(factor, made);
    return made;
  };
}

/** The gradient with weight decay in it: g + decay · w. */
export function decayed({ grad, param, decay }: ParamUpdate): Tensor {
  return decay === null ? grad : add(grad, mul(param, decay));
}

/**
 * A wrapper's arrays and its part of the config have fixed names: around an optimizer that has them already, one of the two would
 * be lost.
 */
export function refuseTwice(
  where: string,
  { config }: Optimizer,
  keys: readonly string[],
  instead: string,
): void {
  const there = keys.find((key) => key in config);
  if (there === undefined) return;
  throw new RangeError(
    `${where}: the optimizer is wrapped in ${where} already, with ${there} ${show(config[there])} (${instead})`,
  );
}
