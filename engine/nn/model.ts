/** Models and their state: initial values, forward pass and update. A model is a layer. */
import { PlanError, ShapeError } from '../errors.ts';
import { grad } from '../grad.ts';
import { checkArrays, holds, showData } from '../host.ts';
import { expectTensor } from '../op.ts';
import { add } from '../ops/elementwise.ts';
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOptimizer,
  checkOptions,
  isPromise,
  isRecord,
  show,
} from '../options.ts';
import { checkReturned, mapParts, tensorsOf, type Named } from '../named.ts';
import { normalizeImages } from '../ops/images.ts';
import { withPath } from '../path.ts';
import { key, stream } from '../rng.ts';
import { formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { HostTensor, State } from '../types.ts';
import type { Augment, Described, Layer, Scope } from './layer.ts';
import type { Hyper, Optimizer, Specs, Tree } from './optimizer.ts';
import { checkLayer } from './layer.ts';
import { torchShapeAdvice } from './torch-layout.ts';
import { isUnder, patternsOf, patternText, select, type NamedParameter, type Pattern } from '../match.ts';

/** Prefix of the names of an optimizer's arrays. Names of parameters have dots and no slashes. */
const SLOTS = 'optimizer/';

/** The parameters that an optimizer changes. */
function trainedSpecs(model: Described): Specs {
  return Object.fromEntries(Object.entries(model.params).filter(([, spec]) => spec.frozen !== true));
}

/** The statistics that training updates. */
function statisticSpecs(model: Described): Specs {
  return Object.fromEntries(
    Object.entries(model.params).filter(([, spec]) => spec.statistic === true && spec.fixed !== true),
  );
}

/** The parameters and statistics of a state that training does not change. */
function frozenIn(model: Described, state: Tree): Tree {
  return Object.fromEntries(
    Object.entries(model.params).flatMap(([name, { frozen, statistic, fixed }]) =>
      frozen === true && (statistic !== true || fixed === true) && state[name] !== undefined
        ? [[name, state[name]]]
        : [],
    ),
  );
}

/** The names of the parameters that an optimizer changes. */
export const trainedNames = (model: Described): readonly string[] => Object.keys(trainedSpecs(model));

/**
 * The number of trained values of a model. Frozen parameters do not count.
 *
 * @example nn.countParameters(nn.mlp([2, 32, 3])) // 195
 */
export function countParameters(model: Described): number {
  checkLayer('countParameters', model, true);
  return Object.values(trainedSpecs(model)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/**
 * The parameters of a model in order, or those under a path: 'block1' or 'block1.conv1'. The state of a run has their
 * values under the same names.
 * Throws RangeError if there are no parameters under the path.
 *
 * @example nn.parameters(nn.mlp([2, 32, 3]), 'fc1').map(({ name }) => name) // ['fc1.weight', 'fc1.bias']
 */
export function parameters(model: Described, path = ''): readonly NamedParameter[] {
  checkLayer('parameters', model, true);
  if (typeof path !== 'string') throw new TypeError(`parameters: path must be a text, got ${show(path)}`);
  const found = Object.entries(model.params).filter(([name]) => isUnder(name, path));
  if (found.length === 0) {
    throw new RangeError(
      `parameters: no parameters under '${path}' (the model has: ${Object.keys(model.params).join(', ')})`,
    );
  }
  return found.map(([name, spec]) => ({ name, size: sizeOf(spec.shape), ...spec }));
}

export interface FreezeOptions {
  /** Whether the statistics of batch normalization that the patterns match are fixed too. Default false. */
  readonly statistics?: boolean;
}

/**
 * The same layer with some parameters frozen: those that a pattern matches, or all of them. A pattern is a path ('block1'), a regular
 * expression for the name, or a function with a name.
 *
 * Frozen parameters have no gradients and no arrays in the optimizer. They are saved with the others. Statistics of batch
 * normalization still follow the data, as in PyTorch. With `statistics: true` they are fixed: training normalizes with them, as
 * inference does and as a frozen layer of Keras does. Pass trained values as `initial` to `train`.
 * Throws TypeError if `patterns` is not an array of patterns.
 * Throws RangeError if a pattern matches no parameter.
 *
 * @example nn.countParameters(nn.freeze(nn.mlp([2, 32, 3]), ['fc1'])) // 99
 * @example nn.countParameters(nn.freeze(nn.mlp([2, 32, 3]), [/weight$/])) // 35
 * @example nn.freeze(model, [/^conv/], { statistics: true })
 */
export function freeze<X, Y extends Named<Tensor>>(
  layer: Layer<X, Y>,
  patterns: readonly Pattern[] = [''],
  options: FreezeOptions = {},
): Layer<X, Y> {
  checkLayer('freeze', layer);
  checkOptions('freeze', options, ['statistics']);
  const { statistics = false } = options;
  checkBoolean('freeze', 'statistics', statistics);
  if (!Array.isArray(patterns)) {
    throw new TypeError(`freeze: paths must be an array of paths, got ${show(patterns)}`);
  }
  const selected = new Set(
    patterns.length === 0
      ? []
      : select(patternsOf('freeze: each pattern', patterns), layer.params, (pattern) => {
          const found = typeof pattern === 'string' ? `under '${pattern}'` : `match ${patternText(pattern)}`;
          throw new RangeError(
            `freeze: no parameters ${found} (the layer has: ${Object.keys(layer.params).join(', ')})`,
          );
        }),
  );
  const params = Object.entries(layer.params).map(([name, spec]) => [
    name,
    selected.has(name)
      ? { ...spec, frozen: true, ...(statistics && spec.statistic === true && { fixed: true }) }
      : spec,
  ]);
  return {
    params: Object.fromEntries(params) as Described['params'],
    config: {
      kind: 'frozen',
      paths: patterns.map(patternText),
      ...(statistics && { statistics }),
      layer: layer.config ?? { kind: 'custom' },
    },
    apply: (x, scope) => layer.apply(x, scope),
  };
}

/**
 * Initial state: every parameter of the model under its path, and the arrays of the optimizer under 'optimizer/'. With
 * `null` for the optimizer, it has what evaluation needs.
 *
 * The values are a pure function of the seed and the path.
 * Throws ShapeError if an initializer gives the wrong number or type of values.
 * Throws TypeError if the optimizer's `init` does not return arrays.
 *
 * @example Object.keys(nn.initState(nn.dense(4, 2), null, 1)) // ['weight', 'bias']
 */
export function initState(model: Described, optimizer: Optimizer | null, seed: number): State {
  checkLayer('initState', model, true);
  if (optimizer !== null) checkOptimizer('initState', optimizer);
  checkInteger('initState', 'seed', seed, 0);
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
  const slots = optimizer?.init(trainedSpecs(model), statisticSpecs(model)) ?? {};
  checkArrays("the optimizer's init", slots);
  for (const [name, value] of Object.entries(slots)) state[SLOTS + name] = value;
  return state;
}

export interface BindOptions {
  /**
   * Whether layers are applied for training: dropout is active, and batch normalization uses and updates statistics of the
   * batch.
   */
  readonly training: boolean;
  /** The number of updates done, `i32` []. Dropout masks depend on it. */
  readonly step?: Tensor;
  /** Seed of random streams such as dropout masks. Default 0. */
  readonly seed?: number;
  /** Augmentation for `normalize`: shift and flip of each image, `i32` [N, 3], or a function. */
  readonly augmentation?: Tensor | Augment;
  /**
   * The number of batches that statistics of this model are the mean of, `f32` []. They become the mean over these batches and this
   * one, whatever their momentum. `updateBatchNorm` uses it. Default: statistics follow the data.
   */
  readonly batches?: Tensor;
  /** Called with the output of each nested layer. The tensor that it returns takes the place of the output. */
  readonly observe?: (path: string, value: Tensor, layer: Described) => Tensor;
}

export interface BoundOutput<Y = Tensor> {
  /** Output of the model. */
  readonly output: Y;
  /** New values of statistics, which `next` needs besides those of the optimizer. Empty unless training. */
  readonly updates: Tree;
  /** The sum of what layers add to the loss (`scope.addLoss`), f32 []. Null if they add nothing, and unless training. */
  readonly addedLoss: Tensor | null;
}

/**
 * The model as a function of its input, with the parameters in `state`. `state` may hold other arrays too.
 *
 * Shapes: those of the model. Parameters in `state` have the shapes of the model.
 * Throws PlanError if `state` lacks a parameter, dropout has no `step`, or no layer uses the augmentation.
 * Throws ShapeError if a parameter has another shape or dtype, or a layer rejects its input. The message begins with the
 * path of the layer.
 *
 * @example
 * const state = { weight: tensor([[1], [2]]), bias: tensor([10]) };
 * nn.bind(nn.dense(2, 1), state, { training: false })(tensor([[3, 4]])).output // [[21]]
 */
export function bind<X = Tensor, Y extends Named<Tensor> = Tensor>(
  model: Layer<X, Y>,
  state: Tree,
  options: BindOptions,
): (x: X) => BoundOutput<Y> {
  checkLayer('bind', model);
  checkTree('bind', 'state', state);
  checkOptions('bind', options, ['training', 'step', 'seed', 'augmentation', 'batches', 'observe']);
  const { training, step, seed = 0, augmentation, batches, observe = (_, value) => value } = options;
  checkBoolean('bind', 'training', training);
  checkInteger('bind', 'seed', seed, 0);
  checkFunction('bind', 'observe', observe);
  for (const [name, given] of Object.entries({ step, batches })) {
    if (given !== undefined && !(given instanceof Tensor)) {
      throw new TypeError(`bind: ${name} must be a tensor, got ${show(given)}`);
    }
  }
  const augment = augmentOf(augmentation);
  for (const [path, spec] of Object.entries(model.params)) {
    const { shape } = spec;
    const own = state[path];
    if (own === undefined) {
      throw new PlanError(
        `bind: the state has no '${path}' (create it with nn.initState(model, optimizer, seed))`,
      );
    }
    if (own.dtype !== 'f32' || !sameShape(own.shape, shape)) {
      throw new ShapeError(
        `bind: '${path}' is ${formatShape(shape)} in the model but ${formatType(own)} in the state` +
          torchShapeAdvice(spec, own.shape),
      );
    }
  }
  return (x) => {
    const updates: Record<string, Tensor> = {};
    const uses = new Map<string, number>();
    let augmentationUsed = false;
    let addedLoss: Tensor | null = null;

    const scopeAt = (path: string): Scope => {
      const earlier = uses.get(path) ?? 0;
      uses.set(path, earlier + 1);
      const inside = (name: string): string => (path === '' ? name : `${path}.${name}`);
      return {
        path,
        training,
        param(name) {
          if (model.params[inside(name)] === undefined) {
            throw new PlanError(`${path || 'bind'}: the layer has no parameter '${name}' in its params`);
          }
          return updates[inside(name)] ?? state[inside(name)];
        },
        update(name, value) {
          if (model.params[inside(name)]?.frozen !== true) {
            throw new PlanError(`${path || 'bind'}: only frozen parameters can be updated, got '${name}'`);
          }
          if (training) updates[inside(name)] = value;
        },
        isFixed: (name) => model.params[inside(name)]?.fixed === true,
        batches: () => batches ?? null,
        addLoss(term) {
          const where = `${path || 'bind'}: addLoss`;
          expectTensor(where, term);
          if (term.dtype !== 'f32' || term.rank !== 0) {
            throw new ShapeError(
              `${where}: the term must be f32 [], got ${formatType(term)} (sum or average it)`,
            );
          }
          if (training) addedLoss = addedLoss === null ? term : add(addedLoss, term);
        },
        step() {
          if (step !== undefined) return step;
          throw new PlanError(`${path || 'bind'}: needs the step (pass it to bind: { training, step })`);
        },
        key: (purpose) => key(seed, `${purpose} ${path}${earlier === 0 ? '' : ` use ${earlier}`}`),
        augmentation() {
          augmentationUsed = true;
          return augment;
        },
        child(name, layer, value) {
          const at = inside(name);
          return withPath(at, () => {
            const result = layer.apply(value, scopeAt(at));
            checkReturned(`${at}: apply`, result);
            return mapParts(tensorsOf(result), (value) => observe(at, value, layer)) as typeof result;
          });
        },
      };
    };

    const output = model.apply(x, scopeAt(''));
    checkReturned("bind: the model's apply", output);
    if (augment !== null && !augmentationUsed) {
      throw new PlanError(
        'bind: got an augmentation, but no layer applies it (begin the model with nn.normalize(...))',
      );
    }
    augment?.check?.();
    return { output, updates, addedLoss };
  };
}

/** The augmentation as a function. Throws TypeError for anything else. */
function augmentOf(augmentation: unknown): Augment | null {
  if (augmentation === undefined) return null;
  if (typeof augmentation === 'function') return augmentation as Augment;
  if (augmentation instanceof Tensor) {
    return (images, mean, scale) => normalizeImages(images, mean, scale, augmentation);
  }
  throw new TypeError(`bind: augmentation must be a tensor, got ${show(augmentation)}`);
}

/**
 * Differentiates the loss and applies one update of the optimizer. Returns new values of the parameters, of the optimizer's arrays
 * and of the statistics in `updates`, for `next`. Other frozen parameters do not change. With gradients by name in place of the loss,
 * it only applies the update: one gradient for each trained parameter.
 *
 * Shapes: loss `f32` []; gradients those of the parameters; `last`, `u8` [], is 1 in the last update of a run, which
 * `accumulateGradients` and `lookahead` need; `updates` are those of `bind`, which averages of statistics need.
 * Throws TypeError if the optimizer's `update` does not return `{ params, state }` with tensors.
 * Throws PlanError if the loss is not `f32` [] or cannot be differentiated.
 *
 * @example
 * const params = { weight: tensor([[1], [2]]), bias: tensor([0]) };
 * const loss = mean(nn.bind(nn.dense(2, 1), params, { training: false })(tensor([[1, 1]])).output);
 * nn.applyGradients(sgd({ lr: 0.1 }), nn.dense(2, 1), params, loss, { lr: scalar(0.1) })['weight'] // [[0.9], [1.9]]
 */
export function applyGradients(
  optimizer: Optimizer,
  model: Described,
  state: Tree,
  loss: Tensor | Tree,
  hyper: Hyper<Tensor>,
  last?: Tensor,
  updates: Tree = {},
): Tree {
  checkOptimizer('applyGradients', optimizer);
  checkLayer('applyGradients', model, true);
  checkTree('applyGradients', 'state', state);
  checkTree('applyGradients', 'hyper', hyper);
  checkTree('applyGradients', 'updates', updates);
  if (!(loss instanceof Tensor) && (!isRecord(loss) || isPromise(loss))) {
    throw new TypeError(`applyGradients: loss must be a tensor, or gradients by name, got ${show(loss)}`);
  }
  const specs = trainedSpecs(model);
  const names = Object.keys(specs);
  const missing = names.find((name) => state[name] === undefined);
  if (missing !== undefined) {
    throw new PlanError(
      `applyGradients: the state has no '${missing}' (pass the state that compile gives to build)`,
    );
  }
  const params = Object.fromEntries(names.map((name) => [name, state[name]]));
  const grads = loss instanceof Tensor ? gradientsOf(loss, params) : checkGradients(loss, params);
  const slots = Object.fromEntries(
    Object.entries(state).flatMap(([name, value]) =>
      name.startsWith(SLOTS) ? [[name.slice(SLOTS.length), value]] : [],
    ),
  );
  const updated = optimizer.update({
    grads,
    params,
    state: slots,
    hyper,
    specs,
    statistics: {
      before: Object.fromEntries(Object.keys(updates).map((name) => [name, state[name]])),
      after: updates,
    },
    frozen: frozenIn(model, state),
    ...(last !== undefined && { last }),
  });
  if (isPromise(updated) || typeof updated?.params !== 'object' || typeof updated.state !== 'object') {
    throw new TypeError(
      `applyGradients: the optimizer's update must return { params, state }, got ${show(updated)}`,
    );
  }
  for (const name of names)
    expectTensor(`applyGradients: the optimizer's update of '${name}'`, updated.params[name]);
  const next: Record<string, Tensor> = { ...updates, ...updated.statistics, ...updated.params };
  for (const [name, value] of Object.entries(updated.state)) next[SLOTS + name] = value;
  return next;
}

/** The gradients of a loss by the names of the parameters. */
export function gradientsOf(loss: Tensor, params: Tree): Tree {
  const gradients = grad(loss, Object.values(params));
  return Object.fromEntries(Object.keys(params).map((name, i) => [name, gradients[i]]));
}

/** Throws TypeError or ShapeError unless each parameter has a gradient of its shape, and nothing else has one. */
function checkGradients(grads: Tree, params: Tree): Tree {
  checkTree('applyGradients', 'gradients', grads);
  for (const [name, param] of Object.entries(params)) {
    const given = grads[name];
    if (given === undefined) throw new TypeError(`applyGradients: gradients: '${name}' is missing`);
    if (given.dtype === 'f32' && sameShape(given.shape, param.shape)) continue;
    throw new ShapeError(
      `applyGradients: gradients: '${name}' must be ${formatType(param)}, got ${formatType(given)}`,
    );
  }
  const unknown = Object.keys(grads).find((name) => params[name] === undefined);
  if (unknown === undefined) return grads;
  throw new TypeError(
    `applyGradients: gradients: '${unknown}' is no trained parameter (they are: ${Object.keys(params).join(', ')})`,
  );
}

/** Throws TypeError unless `tree` is an object of tensors by name. */
function checkTree(where: string, name: string, tree: unknown): void {
  if (!isRecord(tree) || isPromise(tree)) {
    throw new TypeError(`${where}: ${name} must be an object of tensors by name, got ${show(tree)}`);
  }
  for (const [key, value] of Object.entries(tree)) {
    if (value instanceof Tensor) continue;
    throw new TypeError(`${where}: ${name}: '${key}' must be a tensor, got ${show(value)}`);
  }
}
