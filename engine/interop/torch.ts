/** Weights in and out of PyTorch: names, layouts, and the order of flattened images. */
import { ShapeError } from '../errors.ts';
import { nodesOf } from '../graph.ts';
import { checkArrays } from '../host.ts';
import * as nn from '../nn/index.ts';
import { checkLayer } from '../nn/layer.ts';
import { checkOptions, isPromise, isRecord, show } from '../options.ts';
import { formatShape, sameShape, sizeOf } from '../shape.ts';
import { input, type Tensor } from '../tensor.ts';
import type { HostTensor, Shape, State } from '../types.ts';

export interface TorchOptions {
  /**
   * Shape of an example: [32, 32, 3]. Models with a flatten layer need it, because PyTorch flattens [C, H, W] and we flatten [H, W, C],
   * which changes the order of the inputs of the next dense layer.
   */
  readonly input?: Shape;
}

/** A parameter in both libraries. */
interface Pair {
  readonly ours: string;
  readonly theirs: string;
  readonly spec: nn.ParamSpec;
  /** The shape in which axes are exchanged, and their order in PyTorch. */
  readonly view: Shape;
  readonly axes: readonly number[];
  /** The shape in PyTorch. */
  readonly shape: Shape;
}

/**
 * The weights of a model under the names and in the layouts of PyTorch, for `load_state_dict`. Layers `_0`, `_1`, … are called 0, 1, ….
 *
 * Filters become [out, in, KH, KW], weights of dense layers [out, in], and gamma and beta weight and bias. Batch normalization gets
 * `num_batches_tracked`, which is 0. The constants of `nn.normalize` are left out: PyTorch normalizes before the model.
 * Throws TypeError for an unknown option, or a model with a flatten layer without `input`.
 * Throws RangeError if the state lacks a parameter.
 *
 * @example toTorch(nn.dense(4, 2), nn.initState(nn.dense(4, 2), null, 1))['weight']?.shape // [2, 4]
 */
export function toTorch(model: nn.Layer, state: State, options: TorchOptions = {}): State {
  checkArguments('toTorch', model, state);
  const result: Record<string, HostTensor> = {};
  for (const { ours, theirs, view, axes, shape } of pairs('toTorch', model, options)) {
    const value = state[ours];
    if (value === undefined)
      throw new RangeError(`toTorch: the state has no '${ours}' (pass the state of a run)`);
    result[theirs] = { shape, dtype: 'f32', data: exchanged(value, view, axes) };
    if (!theirs.endsWith('running_var')) continue;
    const counter = theirs.replace(/running_var$/, 'num_batches_tracked');
    result[counter] = { shape: [], dtype: 'i32', data: new Int32Array(1) };
  }
  return result;
}

/**
 * The state of a model from the weights of a PyTorch model, for `initial`, `forward` and `evaluate`. The inverse of `toTorch`.
 *
 * The constants of `nn.normalize` keep the values of the model.
 * Throws TypeError for an unknown option, or a model with a flatten layer without `input`.
 * Throws RangeError if an array is missing or unknown, and ShapeError if one has another shape.
 *
 * @example
 * const tensors = { weight: { shape: [2, 4], dtype: 'f32', data: new Float32Array(8) }, bias: { shape: [2], dtype: 'f32', data: new Float32Array(2) } } as const;
 * fromTorch(nn.dense(4, 2), tensors)['weight']?.shape // [4, 2]
 */
export function fromTorch(model: nn.Layer, tensors: State, options: TorchOptions = {}): State {
  checkArguments('fromTorch', model, tensors);
  const state: Record<string, HostTensor> = { ...constants(model) };
  const known = new Set<string>();
  for (const { ours, theirs, spec, view, axes, shape } of pairs('fromTorch', model, options)) {
    known.add(theirs);
    const value = tensors[theirs];
    if (value === undefined) {
      throw new RangeError(
        `fromTorch: there is no '${theirs}' for '${ours}' (the file has: ${Object.keys(tensors).slice(0, 8).join(', ')}, …)`,
      );
    }
    if (!sameShape(value.shape, shape)) {
      throw new ShapeError(
        `fromTorch: '${theirs}' must be ${formatShape(shape)} for '${ours}' ${formatShape(spec.shape)}, got ${formatShape(value.shape)}`,
      );
    }
    const inverse = axes.map((_, axis) => axes.indexOf(axis));
    const data = exchanged(
      value,
      axes.map((axis) => view[axis]),
      inverse,
    );
    state[ours] = { shape: spec.shape, dtype: 'f32', data };
  }
  const extra = Object.keys(tensors).filter(
    (name) => !known.has(name) && !name.endsWith('num_batches_tracked'),
  );
  if (extra.length > 0) {
    throw new RangeError(
      `fromTorch: the model has no place for ${extra.slice(0, 8).join(', ')} (remove them)`,
    );
  }
  return state;
}

/** The constants of the model that PyTorch's models do not have. */
function constants(model: nn.Layer): State {
  const own = Object.entries(model.params).filter(([, spec]) => spec.torch === null);
  return nn.initState({ params: Object.fromEntries(own) }, null, 0);
}

function pairs(where: string, model: nn.Layer, options: TorchOptions): Pair[] {
  checkOptions(where, options, ['input']);
  const flattened = channelsOfFlattened(where, model, options);
  return Object.entries(model.params).flatMap(([ours, spec]) => {
    if (spec.torch === null) return [];
    const { name, replaces = 1, axes = spec.shape.map((_, axis) => axis), shape } = spec.torch ?? {};
    const theirs = ours.split('.').map((part) => part.replace(/^_(?=\d+$)/, ''));
    if (name !== undefined) theirs.splice(-replaces, replaces, name);
    const channels = flattened.get(ours);
    const permuted = shape ?? axes.map((axis) => spec.shape[axis]);
    if (channels === undefined)
      return [{ ours, theirs: theirs.join('.'), spec, view: spec.shape, axes, shape: permuted }];
    const [inputs, outputs] = spec.shape;
    const view = [inputs / channels, channels, outputs];
    return [{ ours, theirs: theirs.join('.'), spec, view, axes: [2, 1, 0], shape: permuted }];
  });
}

/** The number of channels of flattened images, by the weight of the dense layer that takes them. */
function channelsOfFlattened(
  where: string,
  model: nn.Layer,
  { input: shape }: TorchOptions,
): Map<string, number> {
  const found = new Map<string, number>();
  if (shape === undefined) {
    if (!JSON.stringify(model.config ?? {}).includes('"kind":"flatten"')) return found;
    throw new TypeError(
      `${where}: the model flattens images, which PyTorch does in another order (pass the shape of an example: { input: [32, 32, 3] })`,
    );
  }
  const state = Object.entries(model.params).map(([name, spec]) => [
    name,
    input(name, { shape: spec.shape, dtype: 'f32' }, 'state'),
  ]);
  const tree = Object.fromEntries(state) as Record<string, Tensor>;
  const x = input('x', { shape: [2, ...shape], dtype: 'f32' });
  const { output } = nn.bind(model, tree, { training: false })(x);
  for (const { op, inputs } of nodesOf([output])) {
    const weight = inputs[1]?.source;
    if (op.name !== 'matmul' || weight?.kind !== 'input' || weight.role !== 'state') continue;
    const channels = flattenedChannels(inputs[0]);
    if (channels !== null) found.set(weight.name, channels);
  }
  return found;
}

/** Throws TypeError or DataError unless the arguments are a layer and arrays by name. */
function checkArguments(where: string, model: unknown, arrays: unknown): void {
  checkLayer(where, model);
  if (!isRecord(arrays) || isPromise(arrays)) {
    throw new TypeError(`${where}: the second argument must be arrays by name, got ${show(arrays)}`);
  }
  checkArrays(where, arrays as State);
}

/** The channels of the images [N, H, W, C] that became x [N, H · W · C], through operations on elements. Null if it has others. */
function flattenedChannels(x: Tensor): number | null {
  if (x.source.kind !== 'node') return null;
  const { op, inputs } = x.source.node;
  const [from] = inputs;
  if (op.name === 'reshape' && from.rank > 2 && from.shape[0] === x.shape[0]) return from.shape.at(-1)!;
  if (op.name !== 'reshape' && op.elementwise === undefined) return null;
  for (const operand of inputs) {
    const channels = sameShape(operand.shape, x.shape) ? flattenedChannels(operand) : null;
    if (channels !== null) return channels;
  }
  return null;
}

/** The elements of a tensor of shape `view` with its axes in another order. */
function exchanged({ data }: HostTensor, view: Shape, axes: readonly number[]): Float32Array {
  const strides = view.map((_, axis) => sizeOf(view.slice(axis + 1)));
  const result = new Float32Array(data.length);
  const sizes = axes.map((axis) => view[axis]);
  const steps = axes.map((axis) => strides[axis]);
  const at = sizes.map(() => 0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = data[from];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++at[axis] < sizes[axis]) break;
      from -= steps[axis] * sizes[axis];
      at[axis] = 0;
    }
  }
  return result;
}
