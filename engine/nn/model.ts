/** A model is a layer; this is how its description meets named state: initial values, forward pass, update. */
import { PlanError, ShapeError } from '../errors.ts';
import { grad } from '../grad.ts';
import { checkArrays, holds, showData } from '../host.ts';
import { expectTensor } from '../op.ts';
import { isPromise, show } from '../options.ts';
import { withPath } from '../path.ts';
import { key, stream } from '../rng.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor, State } from '../types.ts';
import type { Described, Layer, ParamSpec, Scope } from './layer.ts';
import type { Hyper, Optimizer, Specs, Tree } from './optimizer.ts';

/** Before the names of an optimizer's arrays. Parameters have dots in their names and no slashes. */
const SLOTS = 'optimizer/';

/** The parameters that an optimizer changes. */
function trainedSpecs(model: Described): Specs {
  return Object.fromEntries(Object.entries(model.params).filter(([, spec]) => spec.frozen !== true));
}

/** The number of trained values. */
export function countParameters(model: Described): number {
  return Object.values(trainedSpecs(model)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/** A parameter of a model, as its description has it. */
export interface NamedParameter extends ParamSpec {
  readonly name: string;
  /** The number of its values. */
  readonly size: number;
}

/**
 * The parameters of a model in order, or those of one of its layers: 'block1' or 'block1.conv1'. Their values are under
 * the same names in a run's state. Throws RangeError where there are none.
 *
 * @example nn.parameters(model, 'conv1').map(({ name }) => result.state[name])
 */
export function parameters(model: Described, path = ''): readonly NamedParameter[] {
  const found = Object.entries(model.params).filter(([name]) => isUnder(name, path));
  if (found.length === 0) {
    throw new RangeError(
      `parameters: there are none under '${path}' (the model has: ${Object.keys(model.params).join(', ')})`,
    );
  }
  return found.map(([name, spec]) => ({ name, size: sizeOf(spec.shape), ...spec }));
}

/** Whether a parameter belongs to a layer, or is the one that is named. */
const isUnder = (name: string, path: string): boolean =>
  path === '' || name === path || name.startsWith(`${path}.`);

/**
 * The same layer with its parameters, or those under some paths, left as they are by training: they take no part in
 * gradients and have no arrays of an optimizer, and they are saved with the others. Statistics still follow the data.
 * Throws RangeError for a path under which there is nothing.
 *
 * @example nn.freeze(model, ['conv1', 'conv2.weight']) // give trained values as `initial` to train()
 */
export function freeze<X>(layer: Layer<X>, paths: readonly string[] = ['']): Layer<X> {
  if (!Array.isArray(paths)) {
    throw new TypeError(`freeze: paths must be an array of paths, got ${show(paths)}`);
  }
  for (const path of paths) {
    if (path === '' || Object.keys(layer.params).some((name) => isUnder(name, path))) continue;
    throw new RangeError(
      `freeze: there are no parameters under '${path}' (the layer has: ${Object.keys(layer.params).join(', ')})`,
    );
  }
  const params = Object.entries(layer.params).map(([name, spec]) => [
    name,
    paths.some((path) => isUnder(name, path)) ? { ...spec, frozen: true } : spec,
  ]);
  return {
    params: Object.fromEntries(params) as Described['params'],
    config: { kind: 'frozen', paths, layer: layer.config ?? { kind: 'custom' } },
    apply: (x, scope) => layer.apply(x, scope),
  };
}

/**
 * Initial state: every parameter of the model under its path, pure in (seed, path), and the optimizer's arrays under
 * 'optimizer/'. Without an optimizer (null), what evaluation needs.
 *
 * @example await compile(backend, { state: nn.initState(model, optimizer, 1), ... })
 */
export function initState(model: Described, optimizer: Optimizer | null, seed: number): State {
  const state: Record<string, HostTensor> = {};
  for (const [path, { shape, init }] of Object.entries(model.params)) {
    const data = withPath(path, () => init(shape, stream(seed, `weights ${path}`)));
    if (!holds('f32', data) || data.length !== sizeOf(shape)) {
      throw new ShapeError(
        `${path}: its initializer gave ${showData(data)}, but f32 ${formatShape(shape)} needs a Float32Array (${sizeOf(shape)})`,
      );
    }
    state[path] = { shape, dtype: 'f32', data };
  }
  const slots = optimizer?.init(trainedSpecs(model)) ?? {};
  checkArrays("the optimizer's init", slots);
  for (const [name, value] of Object.entries(slots)) state[SLOTS + name] = value;
  return state;
}

export interface BindOptions {
  /** Whether layers behave as in training: dropout drops, and statistics follow the batch. */
  readonly training: boolean;
  /** The number of updates done, i32 []: what dropout masks derive from. */
  readonly step?: Tensor;
  /** Default 0. */
  readonly seed?: number;
  /** Augmentation of each image, i32 [N, 3], for the model's `normalize`. */
  readonly augmentation?: Tensor;
  /** Sees, and may replace, what each layer inside the model gives: for looking inside. */
  readonly observe?: (path: string, value: Tensor, layer: Described) => Tensor;
}

export interface BoundOutput {
  readonly output: Tensor;
  /** New values of statistics, for `next` beside the optimizer's. Empty unless training. */
  readonly updates: Tree;
}

/**
 * The model as a function of what it takes, with its parameters taken from `state`, which may hold other arrays too.
 *
 * Throws ShapeError that begins with the layer's path; PlanError for a parameter that `state` lacks, for dropout
 * without `step`, and for an augmentation that no layer uses.
 *
 * @example const { output, updates } = nn.bind(model, state, { training: true, step })(x);
 */
export function bind<X = Tensor>(model: Layer<X>, state: Tree, options: BindOptions): (x: X) => BoundOutput {
  const { training, step, seed = 0, augmentation, observe = (_, value) => value } = options;
  for (const [path, { shape }] of Object.entries(model.params)) {
    const own = state[path];
    if (own === undefined) {
      throw new PlanError(
        `bind: the state lacks '${path}' (make it with nn.initState(model, optimizer, seed))`,
      );
    }
    if (own.dtype !== 'f32' || !sameShape(own.shape, shape)) {
      throw new ShapeError(
        `bind: '${path}' is ${formatShape(shape)} in the model but ${formatType(own)} in the state`,
      );
    }
  }
  return (x) => {
    const updates: Record<string, Tensor> = {};
    const uses = new Map<string, number>();
    let augmentationUsed = false;

    const scopeAt = (path: string): Scope => {
      const earlier = uses.get(path) ?? 0;
      uses.set(path, earlier + 1);
      const inside = (name: string): string => (path === '' ? name : `${path}.${name}`);
      return {
        path,
        training,
        param(name) {
          if (model.params[inside(name)] === undefined) {
            throw new PlanError(`${path}: the layer has no parameter called '${name}' in its params`);
          }
          return updates[inside(name)] ?? state[inside(name)];
        },
        update(name, value) {
          if (model.params[inside(name)]?.frozen !== true) {
            throw new PlanError(`${path}: update of '${name}', which is not a frozen parameter`);
          }
          if (training) updates[inside(name)] = value;
        },
        step() {
          if (step !== undefined) return step;
          throw new PlanError(`${path}: needs the step (give it to bind: { training, step })`);
        },
        key: (purpose) => key(seed, `${purpose} ${path}${earlier === 0 ? '' : ` use ${earlier}`}`),
        augmentation() {
          augmentationUsed = true;
          return augmentation ?? null;
        },
        child(name, layer, value) {
          const at = inside(name);
          return withPath(at, () => {
            const result = layer.apply(value, scopeAt(at));
            expectTensor(`${at}: apply`, result);
            return observe(at, result, layer);
          });
        },
      };
    };

    const output = model.apply(x, scopeAt(''));
    expectTensor("bind: the model's apply", output);
    if (augmentation !== undefined && !augmentationUsed) {
      throw new PlanError(
        'bind: images are to be augmented but no layer does it (begin the model with nn.normalize(...))',
      );
    }
    return { output, updates };
  };
}

/**
 * New values of parameters and of the optimizer's arrays, for `next`: differentiates `loss` and applies the update.
 * Frozen parameters are left alone. `last`, a u8 [], says whether it is the last update of the run, for `accumulateGradients`.
 */
export function applyGradients(
  optimizer: Optimizer,
  model: Described,
  state: Tree,
  loss: Tensor,
  hyper: Hyper<Tensor>,
  last?: Tensor,
): Tree {
  const specs = trainedSpecs(model);
  const names = Object.keys(specs);
  const params = Object.fromEntries(names.map((name) => [name, state[name]]));
  const gradients = grad(loss, Object.values(params));
  const slots = Object.fromEntries(
    Object.entries(state).flatMap(([name, value]) =>
      name.startsWith(SLOTS) ? [[name.slice(SLOTS.length), value]] : [],
    ),
  );
  const updated = optimizer.update({
    grads: Object.fromEntries(names.map((name, i) => [name, gradients[i]])),
    params,
    state: slots,
    hyper,
    specs,
    ...(last !== undefined && { last }),
  });
  if (isPromise(updated) || typeof updated?.params !== 'object' || typeof updated.state !== 'object') {
    throw new TypeError(`the optimizer's update must return { params, state }, got ${show(updated)}`);
  }
  for (const name of names) expectTensor(`the optimizer's update of '${name}'`, updated.params[name]);
  const next: Record<string, Tensor> = { ...updated.params };
  for (const [name, value] of Object.entries(updated.state)) next[SLOTS + name] = value;
  return next;
}
