/**
 * The interface of layers. A layer describes named parameters and applies a function to a tensor. It holds no data. A model
 * is a layer, and its parameters live in named state (see model.ts).
 */
import type { Named } from '../named.ts';
import { isPromise, isRecord, show } from '../options.ts';
import type { Key } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import type { Initializer } from './initializers.ts';

/** A layer without its function. */
export interface Described {
  /** Parameters by name. Parameters of nested layers have their path in front: 'block1.conv1.weight'. */
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** What the layer computes, as plain data. A checkpoint resumes only with a model of the same config. */
  readonly config?: LayerConfig;
}

/** A layer whose input is an `X` and whose output is a `Y`: a tensor each, or an object of tensors by name. */
export interface Layer<X = Tensor, Y extends Named<Tensor> = Tensor> extends Described {
  /** The output for an input. Parameters and random keys come from `scope`. */
  apply(x: X, scope: Scope): Y;
}

/** A model with any inputs and outputs. */
export type AnyModel = Layer<Named<Tensor>, Named<Tensor>>;

/** Kind and options of a layer, as plain data. */
export interface LayerConfig {
  /** Kind of the layer: 'conv2d'. */
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** An array that a layer owns. */
export interface ParamSpec {
  /** Shape of the parameter. */
  readonly shape: Shape;
  /** Initial values. */
  readonly init: Initializer;
  /** Factor on the learning rate of the optimizer. */
  readonly lrMult: number;
  /** Factor on the weight decay of the optimizer. */
  readonly decayMult: number;
  /** Not trained: statistics, which change through `scope.update` only, and constants such as a mean image. */
  readonly frozen?: boolean;
  /** A frozen parameter that training updates, as batch normalization its mean. Averages of the state can include it. */
  readonly statistic?: boolean;
  /** A statistic that training uses as it is (see `freeze`). */
  readonly fixed?: boolean;
  /** The parameter in PyTorch. Null: PyTorch's model has none. Default: the same name and layout. */
  readonly torch?: TorchLayout | null;
}

/** Name and layout of a parameter in PyTorch, for `toTorch` and `fromTorch`. */
export interface TorchLayout {
  /** Last part of the name. Default: that of the parameter. */
  readonly name?: string;
  /** How many of the last parts of our name `name` replaces. Default 1. */
  readonly replaces?: number;
  /** Our axes in PyTorch's order: [3, 2, 0, 1] for filters. Default: the same order. */
  readonly axes?: readonly number[];
  /** Shape in PyTorch, if it has axes of size 1 that the parameter lacks. */
  readonly shape?: Shape;
}

/**
 * Augments images [N, H, W, C] in the units of the data and then normalizes them: (x − mean) · scale. Pixels from outside of an image
 * become 0.
 */
export interface Augment {
  (images: Tensor, mean: Tensor, scale: Tensor | number): Tensor;
  /** Called after the model was applied. Throws PlanError if images were not augmented. */
  readonly check?: () => void;
}

/** The context in which a layer is applied. */
export interface Scope {
  /** Path of the layer: 'block1.conv1', or '' for the model itself. */
  readonly path: string;
  /** Whether the layer is applied for training. */
  readonly training: boolean;
  /** A parameter of the layer. */
  param(name: string): Tensor;
  /**
   * Records the new value of a frozen parameter. Later calls of `param` return it. It is written when the training step
   * succeeds.
   */
  update(name: string, value: Tensor): void;
  /** Whether a statistic of the layer is fixed: training uses it as inference does. */
  isFixed(name: string): boolean;
  /** The number of batches whose statistics are averaged, `f32` [], while statistics are estimated again. Else null. */
  batches(): Tensor | null;
  /**
   * Adds a term to the training loss, `f32` []: a regularizer of weights or activations. It is ignored unless training. Throws
   * ShapeError unless the term is a scalar.
   */
  addLoss(term: Tensor): void;
  /** The number of updates done, `i32` []. Throws PlanError if `bind` got no step. */
  step(): Tensor;
  /** The key of a random stream of this layer. Each use of the layer has its own. */
  key(purpose: string): Key;
  /** What augments and normalizes the images of the batch, or null. */
  augmentation(): Augment | null;
  /** Applies a nested layer. Errors inside it begin with its path. Uses under the same name share parameters. */
  child<X, Y extends Named<Tensor>>(name: string, layer: Layer<X, Y>, x: X): Y;
}

/** Names of layers are parts of paths. Integers are excluded because JavaScript would move such keys to the front. */
const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

const isLayer = (x: unknown): boolean =>
  isRecord(x) && isRecord(x['params']) && isRecord(x['config']) && typeof x['apply'] === 'function';

/**
 * The parameters of nested layers, by path. Throws TypeError unless `layers` is an object of layers by name, and RangeError
 * for a name that cannot be part of a path.
 */
export function childParams(
  where: string,
  layers: Readonly<Record<string, Described>>,
): Readonly<Record<string, ParamSpec>> {
  if (!isRecord(layers) || isPromise(layers) || isLayer(layers)) {
    const found = isLayer(layers) ? 'a layer' : show(layers);
    throw new TypeError(
      `${where}: expects an object of layers by name, got ${found} (write ${where}({ conv1: …, relu1: … }))`,
    );
  }
  const params: Record<string, ParamSpec> = {};
  for (const [name, layer] of Object.entries(layers)) {
    if (!isLayer(layer))
      throw new TypeError(`${where}: '${name}' is not a layer (create one with nn.conv2d(…), nn.relu(), …)`);
    if (!NAME.test(name)) {
      throw new RangeError(
        `${where}: '${name}' cannot name a layer (use a letter or _, then letters, digits, _ and -)`,
      );
    }
    for (const [inner, spec] of Object.entries(layer.params)) params[`${name}.${inner}`] = spec;
  }
  return params;
}

/** Throws TypeError unless `layer` has parameters by name and, unless it is only described, a function. */
export function checkLayer(where: string, layer: unknown, isDescribed = false): void {
  const isWhole =
    isRecord(layer) && isRecord(layer['params']) && (isDescribed || typeof layer['apply'] === 'function');
  if (isWhole && Object.values(layer['params'] as object).every(isRecord)) return;
  throw new TypeError(
    `${where}: the model must be a layer, for instance nn.sequential({ … }), got ${show(layer)}` +
      (isRecord(layer) && !isPromise(layer) ? ' without params or apply' : ''),
  );
}

/** Throws TypeError unless `apply` got a scope, which only bound models have. */
export function checkScope(where: string, scope: unknown): void {
  if (isRecord(scope) && typeof scope['param'] === 'function') return;
  throw new TypeError(
    `${where}: apply needs the parameters of the model, in a scope ` +
      '(write nn.bind(model, state, { training: false })(x).output, or await forward({ model, state, data, backend }))',
  );
}

/** The configs of nested layers. */
export function childConfigs(
  layers: Readonly<Record<string, Described>>,
): Readonly<Record<string, LayerConfig>> {
  return Object.fromEntries(
    Object.entries(layers).map(([name, layer]) => [name, layer.config ?? { kind: 'custom' }]),
  );
}

/** Parameters with other names in PyTorch, which take the place of their whole path. */
export const renamed = (
  params: Readonly<Record<string, ParamSpec>>,
  names: Readonly<Record<string, string>>,
): Readonly<Record<string, ParamSpec>> =>
  Object.fromEntries(
    Object.entries(params).map(([path, spec]) => {
      const name = names[path];
      const torch = { ...spec.torch, name, replaces: path.split('.').length };
      return [path, name === undefined ? spec : { ...spec, torch }];
    }),
  );
