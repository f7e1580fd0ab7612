/**
 * What a layer is: a description with named parameters and a function of a tensor. It holds no data; a model is a layer,
 * and its parameters live in named state (see model.ts).
 */
import { isRecord } from '../options.ts';
import type { Key } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import type { Initializer } from './initializers.ts';

/** What a layer is but for what it computes. */
export interface Described {
  /** By name; those of a layer inside another under its path: 'block1.conv1.weight'. */
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** What the layer computes, as plain data: a checkpoint is not resumed by a model that says something else. */
  readonly config?: LayerConfig;
}

/** `X` is what it takes: a tensor, or an object of tensors by name. */
export interface Layer<X = Tensor> extends Described {
  apply(x: X, scope: Scope): Tensor;
}

export interface LayerConfig {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** An array that a layer owns. */
export interface ParamSpec {
  readonly shape: Shape;
  readonly init: Initializer;
  /** Factors on the optimizer's learning rate and weight decay. */
  readonly lrMult: number;
  readonly decayMult: number;
  /** Not trained: statistics, which change through `scope.update` only, and constants such as a mean image. */
  readonly frozen?: boolean;
}

/** What a layer sees of the graph that it is being built into. */
export interface Scope {
  /** Where the layer is: 'block1.conv1'; '' for the model itself. */
  readonly path: string;
  readonly training: boolean;
  /** The layer's own parameter. */
  param(name: string): Tensor;
  /**
   * Records the new value of a frozen parameter, which `param` gives from then on; it is written when the training step
   * has succeeded.
   */
  update(name: string, value: Tensor): void;
  /** The number of updates done, i32 []. Throws PlanError where `bind` was given none. */
  step(): Tensor;
  /** The key of a stream of random numbers of this layer, another one at each of its uses. */
  key(purpose: string): Key;
  /** The augmentation of each image of the batch, i32 [N, 3]; null without. */
  augmentation(): Tensor | null;
  /** Applies a layer inside this one; errors inside it begin with its path. Twice under one name, it shares its parameters. */
  child<X>(name: string, layer: Layer<X>, x: X): Tensor;
}

/** Names of layers appear in paths, and integers would be moved to the front by JavaScript. */
const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

const isLayer = (x: unknown): boolean =>
  isRecord(x) && isRecord(x['params']) && isRecord(x['config']) && typeof x['apply'] === 'function';

/**
 * The parameters of layers inside another, under their paths. Throws TypeError unless `layers` has layers by name, and
 * RangeError for a name that cannot be part of a path.
 */
export function childParams(
  where: string,
  layers: Readonly<Record<string, Described>>,
): Readonly<Record<string, ParamSpec>> {
  if (!isRecord(layers) || isLayer(layers)) {
    const found = isLayer(layers) ? 'a layer' : Array.isArray(layers) ? 'an array' : typeof layers;
    throw new TypeError(
      `${where}: takes one object that names its layers, got ${found} (write ${where}({ conv1: …, relu1: … }))`,
    );
  }
  const params: Record<string, ParamSpec> = {};
  for (const [name, layer] of Object.entries(layers)) {
    if (!isLayer(layer))
      throw new TypeError(`${where}: '${name}' is not a layer (call nn.conv2d(…), nn.relu(), …)`);
    if (!NAME.test(name)) {
      throw new RangeError(
        `${where}: '${name}' cannot name a layer (begin with a letter; letters, digits, _ and - only)`,
      );
    }
    for (const [inner, spec] of Object.entries(layer.params)) params[`${name}.${inner}`] = spec;
  }
  return params;
}

/** The configs of layers inside another. */
export function childConfigs(
  layers: Readonly<Record<string, Described>>,
): Readonly<Record<string, LayerConfig>> {
  return Object.fromEntries(
    Object.entries(layers).map(([name, layer]) => [name, layer.config ?? { kind: 'custom' }]),
  );
}
