/** Weights in and out of PyTorch: names, layouts, and the order of flattened images. */
import { ShapeError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import * as nn from '../nn/index.ts';
import { checkLayer } from '../nn/layer.ts';
import { torchName, torchShape } from '../nn/torch-layout.ts';
import { checkOptions, isPromise, isRecord, show } from '../options.ts';
import { formatShape, sameShape, sizeOf } from '../shape.ts';
import type { HostTensor, Shape, State } from '../types.ts';
import { channelsOfFlattened, mayFlatten } from './flattened.ts';

export interface TorchOptions {
  /**
   * Shape of an example: [32, 32, 3]. Models with a flatten layer, or with convolutions and dense layers, need it, because PyTorch
   * flattens [C, H, W] and we flatten [H, W, C], which changes the order of the inputs of the next dense layer.
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
 * Throws TypeError for an unknown option, or without `input` if the model needs it.
 * Throws ShapeError if flattened images go into anything but operations on elements and dense layers.
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
 * Throws TypeError for an unknown option, or without `input` if the model needs it.
 * Throws ShapeError if flattened images go into anything but operations on elements and dense layers.
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
        `fromTorch: '${theirs}' must be ${formatShape(shape)} for '${ours}' ${formatShape(spec.shape)}, got ${formatShape(value.shape)}` +
          (sameShape(value.shape, spec.shape) ? ": cyclegrad's layout; use the arrays as they are" : ''),
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
  if (options.input === undefined && mayFlatten(model)) {
    throw new TypeError(
      `${where}: PyTorch flattens images in another order, so the shape of an example must be known (pass it: { input: [32, 32, 3] })`,
    );
  }
  const flattened =
    options.input === undefined
      ? new Map<string, number>()
      : channelsOfFlattened(where, model, options.input);
  return Object.entries(model.params).flatMap(([ours, spec]) => {
    if (spec.torch === null) return [];
    const { axes = spec.shape.map((_, axis) => axis) } = spec.torch ?? {};
    const pair = { ours, theirs: torchName(ours, spec), spec, shape: torchShape(spec) };
    const channels = flattened.get(ours);
    if (channels === undefined) return [{ ...pair, view: spec.shape, axes }];
    const [inputs, outputs] = spec.shape;
    return [{ ...pair, view: [inputs / channels, channels, outputs], axes: [2, 1, 0] }];
  });
}

/** Throws TypeError or DataError unless the arguments are a layer and arrays by name. */
function checkArguments(where: string, model: unknown, arrays: unknown): void {
  checkLayer(where, model);
  if (!isRecord(arrays) || isPromise(arrays)) {
    throw new TypeError(`${where}: the second argument must be arrays by name, got ${show(arrays)}`);
  }
  checkArrays(where, arrays as State);
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
