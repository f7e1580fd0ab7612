/** What each operator of ONNX computes, written with our operations. */
import { DataError } from '../errors.ts';
import * as nn from '../nn/index.ts';
import type { Scope } from '../nn/layer.ts';
import * as ops from '../ops/index.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { DType, Shape } from '../types.ts';
import { reshapedTo, scatterBlocks, sliceRanges, squeezed, unsqueezed } from './onnx-host.ts';
import { dtypeOf, type Attribute, type HostArray } from './onnx-read.ts';
import {
  aligned,
  axisOf,
  channelsLast,
  dtypeOfValue,
  filters,
  identity,
  inOrder,
  isHost,
  known,
  permuted,
  plain,
  rankOf,
  shapeOf,
  toPlain,
  type Permuted,
  type Value,
} from './onnx-value.ts';

/** A node while the graph is built. */
export interface Application {
  readonly opset: number;
  /** Null for an input that is left out. */
  readonly inputs: readonly (Value | null)[];
  /** Names of the results. */
  readonly outputs: readonly string[];
  /** The names of the parameters that are inputs. Null for other inputs. */
  readonly params: readonly (string | null)[];
  readonly scope: Scope;
  attribute(name: string): Attribute | undefined;
}

export interface Operator {
  /** The smallest and the largest number of inputs. */
  readonly inputs: readonly [number, number];
  /** The attributes it knows. */
  readonly attributes: readonly string[];
  readonly apply: (at: Application) => Value | readonly Value[];
}

const MANY = 1000;

const integer = (at: Application, name: string, usual: number): number => {
  const value = at.attribute(name) ?? usual;
  if (typeof value === 'number') return value;
  throw new DataError(`attribute ${name} must be a number`);
};

const integers = (at: Application, name: string): readonly number[] | null => {
  const value = at.attribute(name);
  if (value === undefined) return null;
  if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value;
  throw new DataError(`attribute ${name} must be a list of numbers`);
};

const text = (at: Application, name: string, usual: string): string => {
  const value = at.attribute(name) ?? usual;
  if (typeof value === 'string') return value;
  throw new DataError(`attribute ${name} must be a text`);
};

/** Throws DataError unless an attribute has a value that is supported. */
function only(name: string, value: Attribute, supported: readonly Attribute[]): void {
  if (supported.includes(value)) return;
  throw new DataError(
    `attribute ${name} must be ${supported.map((each) => JSON.stringify(each)).join(' or ')}, got ${JSON.stringify(value)} (others are not supported)`,
  );
}

/** The first input, which every operator but Constant has. */
const first = (at: Application): Value => at.inputs[0]!;

/** An input that may be an attribute in older operator sets, or null. */
function listOf(at: Application, index: number, name: string): readonly number[] | null {
  const input = at.inputs[index];
  return input ? known(name, input) : integers(at, name);
}

/** A number that may be an attribute in older operator sets, or undefined. */
function numberOf(at: Application, index: number, name: string): number | undefined {
  const input = at.inputs[index];
  if (input) return known(name, input)[0];
  return at.attribute(name) === undefined ? undefined : integer(at, name, 0);
}

const elementwise = (
  compute: (...x: Tensor[]) => Tensor,
  count = 1,
  attributes: readonly string[] = [],
): Operator => ({
  inputs: [count, count],
  attributes,
  apply: ({ inputs }) => {
    const { tensors, perm } = aligned(inputs as readonly Value[]);
    return { tensor: compute(...tensors), perm };
  },
});

/** An operation on elements with numbers as attributes. */
const shaped = (
  usual: Readonly<Record<string, number>>,
  compute: (x: Tensor, numbers: Readonly<Record<string, number>>) => Tensor,
): Operator => ({
  inputs: [1, 1],
  attributes: Object.keys(usual),
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const numbers = Object.fromEntries(
      Object.entries(usual).map(([name, value]) => [name, integer(at, name, value)]),
    );
    return { tensor: compute(tensors[0], numbers), perm };
  },
});

const variadic = (compute: (a: Tensor, b: Tensor) => Tensor): Operator => ({
  inputs: [1, MANY],
  attributes: [],
  apply: ({ inputs }) => {
    const { tensors, perm } = aligned(inputs as readonly Value[]);
    return { tensor: tensors.reduce(compute), perm };
  },
});

/** Padding as [begin…, end…] of the axes of an image, from `pads` or `auto_pad`. */
function padsOf(
  at: Application,
  sizes: readonly number[],
  spans: readonly number[],
  strides: readonly number[],
): number[] {
  const mode = text(at, 'auto_pad', 'NOTSET');
  only('auto_pad', mode, ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER']);
  if (mode === 'VALID') return sizes.flatMap(() => [0, 0]);
  if (mode === 'NOTSET') return [...(integers(at, 'pads') ?? sizes.flatMap(() => [0, 0]))];
  const totals = sizes.map((size, i) =>
    Math.max(0, (Math.ceil(size / strides[i]) - 1) * strides[i] + spans[i] - size),
  );
  const less = totals.map((total) => Math.floor(total / 2));
  const more = totals.map((total, i) => total - less[i]);
  return mode === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less];
}

type Four = readonly [number, number, number, number];
type Two = readonly [number, number];

/** [top, bottom, left, right] from ONNX's [top, left, bottom, right]. */
const sides = ([top, left, bottom, right]: readonly number[]): Four => [top, bottom, left, right];

interface Windows {
  readonly stride: Two;
  readonly padding: Four;
  readonly dilation: Two;
  readonly kernel: Two;
}

/** The windows of a convolution or pooling over images, or over rows, which are images of height 1. */
function windowsOf(at: Application, sizes: readonly number[], kernel: readonly number[]): Windows {
  if (kernel.length !== sizes.length || sizes.length < 1 || sizes.length > 2) {
    throw new DataError(
      `the input must be [N, C, L] or [N, C, H, W], got ${sizes.length} axes after the channels for a kernel of ${formatShape(kernel)}`,
    );
  }
  const strides = integers(at, 'strides') ?? sizes.map(() => 1);
  const dilations = integers(at, 'dilations') ?? sizes.map(() => 1);
  const pads = padsOf(
    at,
    sizes,
    kernel.map((size, i) => (size - 1) * dilations[i] + 1),
    strides,
  );
  if (sizes.length === 1) {
    return {
      stride: [1, strides[0]],
      padding: [0, 0, pads[0], pads[1]],
      dilation: [1, dilations[0]],
      kernel: [1, kernel[0]],
    };
  }
  return { stride: strides as Two, padding: sides(pads), dilation: dilations as Two, kernel: kernel as Two };
}

/** Images [N, H, W, C] of a value [N, C, H, W], or [N, 1, L, C] of [N, C, L], and back. */
function imagesOf(value: Value): { readonly images: Tensor; readonly back: (y: Tensor) => Permuted } {
  const rank = rankOf(value);
  const perm = channelsLast(rank);
  const x = inOrder(value, perm);
  if (rank !== 3) return { images: x, back: (tensor) => ({ tensor, perm }) };
  return { images: ops.expandDims(x, 1), back: (tensor) => ({ tensor: ops.squeeze(tensor, [1]), perm }) };
}

/** Filters [KH, KW, I, O] of weights [O, I, KH, KW], or [1, K, I, O] of [O, I, K]. */
function filtersOf(value: Value): Tensor {
  const weight = inOrder(value, filters(rankOf(value)));
  return rankOf(value) === 3 ? ops.expandDims(weight, 0) : weight;
}

const withBias = (y: Tensor, bias: Value | null | undefined): Tensor =>
  bias ? ops.add(y, toPlain(bias)) : y;

const WINDOWS = ['auto_pad', 'dilations', 'kernel_shape', 'pads', 'strides'] as const;

const conv: Operator = {
  inputs: [2, 3],
  attributes: [...WINDOWS, 'group'],
  apply(at) {
    const [x, w, bias] = at.inputs as [Value, Value, Value | null | undefined];
    const { kernel: _, ...windows } = windowsOf(at, shapeOf(x).slice(2), shapeOf(w).slice(2));
    const { images, back } = imagesOf(x);
    const y = ops.conv2d(images, filtersOf(w), { ...windows, groups: integer(at, 'group', 1) });
    return back(withBias(y, bias));
  },
};

const convTranspose: Operator = {
  inputs: [2, 3],
  attributes: [...WINDOWS, 'group', 'output_padding', 'output_shape'],
  apply(at) {
    const [x, w, bias] = at.inputs as [Value, Value, Value | null | undefined];
    only('auto_pad', text(at, 'auto_pad', 'NOTSET'), ['NOTSET', 'VALID']);
    if (at.attribute('output_shape') !== undefined)
      throw new DataError('attribute output_shape is not supported (export with pads and output_padding)');
    const sizes = shapeOf(x).slice(2);
    const { kernel: _, ...windows } = windowsOf(at, sizes, shapeOf(w).slice(2));
    const extra = integers(at, 'output_padding') ?? sizes.map(() => 0);
    const { images, back } = imagesOf(x);
    const y = ops.conv2dTranspose(images, filtersOf(w), {
      ...windows,
      groups: integer(at, 'group', 1),
      outputPadding: sizes.length === 1 ? [0, extra[0]] : (extra as Two),
    });
    return back(withBias(y, bias));
  },
};

const pool = (kind: 'max' | 'average'): Operator => ({
  inputs: [1, 1],
  attributes: [...WINDOWS, 'ceil_mode', ...(kind === 'max' ? ['storage_order'] : ['count_include_pad'])],
  apply(at) {
    if (at.outputs.length > 1)
      throw new DataError('the positions of the maxima are not supported (use one output)');
    const x = first(at);
    const { dilation, kernel, stride, padding } = windowsOf(
      at,
      shapeOf(x).slice(2),
      integers(at, 'kernel_shape') ?? [],
    );
    only('dilations', Math.max(...dilation), [1]);
    const { images, back } = imagesOf(x);
    const options = { stride, padding, ceil: integer(at, 'ceil_mode', 0) === 1 };
    if (kind === 'max') return back(ops.maxPool2d(images, kernel, options));
    const divisor = integer(at, 'count_include_pad', 0) === 1 ? 'clipped' : 'inside';
    return back(ops.avgPool2d(images, kernel, { ...options, divisor }));
  },
});

/** Reduces all axes after the channels. */
const globalPool = (reduce: typeof ops.mean | typeof ops.max): Operator => ({
  inputs: [1, 1],
  attributes: [],
  apply(at) {
    const x = first(at);
    const perm = channelsLast(rankOf(x));
    const axes = identity(rankOf(x)).slice(1, -1);
    return { tensor: reduce(inOrder(x, perm), axes, { keepDims: true }), perm };
  },
});

/** Batch normalization as a layer, so that training uses the statistics of the batch and updates the running ones. */
const batchNormalization: Operator = {
  inputs: [5, 5],
  attributes: ['epsilon', 'momentum', 'spatial', 'training_mode'],
  apply(at) {
    const { params, scope } = at;
    const [x, scale, shift, mean, variance] = at.inputs as [Value, Value, Value, Value, Value];
    only('spatial', integer(at, 'spatial', 1), [1]);
    const epsilon = integer(at, 'epsilon', 1e-5);
    const rank = rankOf(x);
    const perm = rank > 2 ? channelsLast(rank) : identity(rank);
    const input = inOrder(x, perm);
    const [, , meanName, varianceName] = params.slice(1);
    if (meanName === null || varianceName === null) {
      const [gamma, beta] = [toPlain(scale), toPlain(shift)];
      return {
        tensor: ops.batchNormInference(input, toPlain(mean), toPlain(variance), { gamma, beta, epsilon }),
        perm,
      };
    }
    // ONNX weighs the old statistics with the momentum, and PyTorch the new ones.
    const momentum = 1 - integer(at, 'momentum', 0.9);
    const layer = nn.batchNorm(input.shape[input.rank - 1], { epsilon, momentum });
    const values: Readonly<Record<string, Value>> = { gamma: scale, beta: shift, mean, variance };
    const names: Readonly<Record<string, string>> = { mean: meanName, variance: varianceName };
    return {
      tensor: layer.apply(input, {
        ...scope,
        param: (name) => (Object.hasOwn(names, name) ? scope.param(names[name]) : toPlain(values[name])),
        update: (name, value) => scope.update(names[name], value),
        isFixed: (name) => scope.isFixed(names[name]),
      }),
      perm,
    };
  },
};

const instanceNormalization: Operator = {
  inputs: [3, 3],
  attributes: ['epsilon'],
  apply(at) {
    const [x, scale, shift] = at.inputs as [Value, Value, Value];
    const perm = channelsLast(rankOf(x));
    const [gamma, beta] = [toPlain(scale), toPlain(shift)];
    const epsilon = integer(at, 'epsilon', 1e-5);
    return { tensor: ops.instanceNorm(inOrder(x, perm), { gamma, beta, epsilon }), perm };
  },
};

const layerNormalization: Operator = {
  inputs: [2, 3],
  attributes: ['axis', 'epsilon', 'stash_type'],
  apply(at) {
    if (at.outputs.length > 1)
      throw new DataError('the mean and deviation as outputs are not supported (use one output)');
    const [x, scale, shift] = at.inputs as [Value, Value, Value | null | undefined];
    const rank = rankOf(x);
    const axes = rank - axisOf(integer(at, 'axis', -1), rank);
    const gamma = toPlain(scale);
    const beta = shift ? toPlain(shift) : ops.zeros(gamma.shape);
    return plain(ops.layerNorm(toPlain(x), { axes, gamma, beta, epsilon: integer(at, 'epsilon', 1e-5) }));
  },
};

const gemm: Operator = {
  inputs: [2, 3],
  attributes: ['alpha', 'beta', 'transA', 'transB'],
  apply(at) {
    const [a, b, c] = at.inputs as [Value, Value, Value | null | undefined];
    const operand = (value: Value, name: string): Tensor =>
      inOrder(value, integer(at, name, 0) === 1 ? [1, 0] : [0, 1]);
    const scaled = (x: Tensor, name: string): Tensor => {
      const factor = integer(at, name, 1);
      return factor === 1 ? x : ops.mul(x, factor);
    };
    const product = scaled(ops.matmul(operand(a, 'transA'), operand(b, 'transB')), 'alpha');
    return plain(c ? ops.add(product, scaled(toPlain(c), 'beta')) : product);
  },
};

const flatten: Operator = {
  inputs: [1, 1],
  attributes: ['axis'],
  apply(at) {
    const x = toPlain(first(at));
    const axis = integer(at, 'axis', 1);
    const split = axis === x.rank ? axis : axisOf(axis, x.rank);
    return plain(ops.reshape(x, [sizeOf(x.shape.slice(0, split)), sizeOf(x.shape.slice(split))]));
  },
};

const softmax = (compute: (x: Tensor, axis: number) => Tensor): Operator => ({
  inputs: [1, 1],
  attributes: ['axis'],
  apply(at) {
    const x = first(at);
    const { tensors, perm } = aligned([x]);
    if (at.opset >= 13) {
      return {
        tensor: compute(tensors[0], perm.indexOf(axisOf(integer(at, 'axis', -1), perm.length))),
        perm,
      };
    }
    // Before operator set 13, all axes from this one on are normalized together.
    const axis = axisOf(integer(at, 'axis', 1), perm.length);
    if (axis === perm.length - 1) return { tensor: compute(tensors[0], perm.indexOf(axis)), perm };
    const flat = toPlain(x);
    const rows = ops.reshape(flat, [sizeOf(flat.shape.slice(0, axis)), sizeOf(flat.shape.slice(axis))]);
    return plain(ops.reshape(compute(rows, 1), flat.shape));
  },
});

type Reduce = (x: Tensor, axes: readonly number[], options: { readonly keepDims: boolean }) => Tensor;

const reduction = (reduce: Reduce): Operator => ({
  inputs: [1, 2],
  attributes: ['axes', 'keepdims', 'noop_with_empty_axes'],
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const given = listOf(at, 1, 'axes');
    if ((given === null || given.length === 0) && integer(at, 'noop_with_empty_axes', 0) === 1)
      return { tensor: tensors[0], perm };
    const axes = given === null || given.length === 0 ? identity(perm.length) : given;
    const gone = axes.map((axis) => axisOf(axis, perm.length));
    const keepDims = integer(at, 'keepdims', 1) === 1;
    const tensor = reduce(
      tensors[0],
      gone.map((axis) => perm.indexOf(axis)),
      { keepDims },
    );
    if (keepDims) return { tensor, perm };
    const left = perm.filter((axis) => !gone.includes(axis));
    const ranks = left.toSorted((a, b) => a - b);
    return { tensor, perm: left.map((axis) => ranks.indexOf(axis)) };
  },
});

const arg = (find: typeof ops.argMax): Operator => ({
  inputs: [1, 1],
  attributes: ['axis', 'keepdims', 'select_last_index'],
  apply(at) {
    only('select_last_index', integer(at, 'select_last_index', 0), [0]);
    const x = toPlain(first(at));
    return plain(
      find(x, axisOf(integer(at, 'axis', 0), x.rank), { keepDims: integer(at, 'keepdims', 1) === 1 }),
    );
  },
});

const concat: Operator = {
  inputs: [1, MANY],
  attributes: ['axis'],
  apply(at) {
    const { tensors, perm } = aligned(at.inputs as readonly Value[]);
    const axis = axisOf(integer(at, 'axis', at.opset < 4 ? 1 : 0), perm.length);
    return { tensor: ops.concat(tensors, perm.indexOf(axis)), perm };
  },
};

const split: Operator = {
  inputs: [1, 2],
  attributes: ['axis', 'num_outputs', 'split'],
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const axis = perm.indexOf(axisOf(integer(at, 'axis', 0), perm.length));
    const count = at.outputs.length;
    const size = tensors[0].shape[axis];
    const part = Math.ceil(size / count);
    const sizes =
      listOf(at, 1, 'split') ??
      Array.from({ length: count }, (_, i) => Math.min(part, Math.max(0, size - i * part)));
    return ops.split(tensors[0], sizes, axis).map((tensor) => ({ tensor, perm }));
  },
};

const slice: Operator = {
  inputs: [1, 5],
  attributes: ['axes', 'ends', 'starts'],
  apply(at) {
    const x = first(at);
    const { tensors, perm } = aligned([x]);
    const [starts, ends] = [listOf(at, 1, 'starts'), listOf(at, 2, 'ends')];
    if (starts === null || ends === null) throw new DataError('starts and ends must be given');
    const ranges = sliceRanges(shapeOf(x), starts, ends, listOf(at, 3, 'axes'), listOf(at, 4, 'steps'));
    const each = perm.map((axis) => {
      const { begin, step, count } = ranges[axis];
      const end = begin + count * step;
      return end < 0 ? { begin, step } : { begin, end, step };
    });
    return { tensor: ops.slice(tensors[0], each), perm };
  },
};

const gather: Operator = {
  inputs: [2, 2],
  attributes: ['axis'],
  apply(at) {
    const [data, index] = at.inputs as [Value, Value];
    const x = toPlain(data);
    const axis = axisOf(integer(at, 'axis', 0), x.rank);
    if (!isHost(index)) {
      const positions = toPlain(index);
      return plain(
        ops.gather(x, ops.where(ops.less(positions, 0), ops.add(positions, x.shape[axis]), positions), axis),
      );
    }
    const positions = Array.from(index.data, (i) => axisOf(i, x.shape[axis]));
    if (index.shape.length === 0)
      return plain(
        ops.slice(
          x,
          identity(x.rank).map((i) => (i === axis ? positions[0] : null)),
        ),
      );
    return plain(ops.gather(x, ops.tensor(Int32Array.from(positions), { shape: index.shape }), axis));
  },
};

/** Only a value with all axes in order can have its sizes of 1 added and removed. */
const reshaping = (
  shapeFrom: (at: Application, shape: Shape) => Shape,
  count: number,
  attributes: readonly string[],
): Operator => ({
  inputs: [1, count],
  attributes,
  apply(at) {
    const x = toPlain(first(at));
    return plain(ops.reshape(x, shapeFrom(at, x.shape)));
  },
});

const pad: Operator = {
  inputs: [1, 4],
  attributes: ['mode', 'pads', 'value'],
  apply(at) {
    const x = first(at);
    const { tensors, perm } = aligned([x]);
    const pads = listOf(at, 1, 'pads');
    if (pads === null) throw new DataError('pads must be given');
    const mode = text(at, 'mode', 'constant');
    only('mode', mode, ['constant', 'reflect', 'edge']);
    const rank = perm.length;
    const axes = at.inputs[3]
      ? known('axes', at.inputs[3]).map((axis) => axisOf(axis, rank))
      : identity(rank);
    const amounts = perm.map((axis) => {
      const i = axes.indexOf(axis);
      return i < 0 ? ([0, 0] as const) : ([pads[i], pads[i + axes.length]] as const);
    });
    // Negative padding crops.
    const cropped = ops.slice(
      tensors[0],
      amounts.map(([before, after], axis) => ({
        begin: Math.max(0, -before),
        end: tensors[0].shape[axis] + Math.min(0, after),
      })),
    );
    const value = numberOf(at, 2, 'value') ?? 0;
    const options = mode === 'constant' ? { value } : { mode: mode as 'reflect' | 'edge' };
    const tensor = ops.pad(
      amounts.some((pair) => pair.some((amount) => amount < 0)) ? cropped : tensors[0],
      amounts.map(([before, after]) => [Math.max(0, before), Math.max(0, after)]),
      options,
    );
    return { tensor, perm };
  },
};

/** Images of another size. Of the coordinate systems, those that `resize2d` has. */
const resize: Operator = {
  inputs: [1, 4],
  attributes: [
    'antialias',
    'axes',
    'coordinate_transformation_mode',
    'cubic_coeff_a',
    'exclude_outside',
    'extrapolation_value',
    'keep_aspect_ratio_policy',
    'mode',
    'nearest_mode',
    'scales',
  ],
  apply(at) {
    const x = first(at);
    const shape = shapeOf(x);
    if (shape.length !== 4) throw new DataError(`the input must be [N, C, H, W], got ${formatShape(shape)}`);
    const { scales, sizes } = resizeTargets(at);
    if (at.attribute('axes') !== undefined)
      throw new DataError('attribute axes is not supported (give sizes of all axes)');
    const target = sizes ?? scales!.map((scale, axis) => Math.floor(shape[axis] * scale));
    if (target.length !== 4 || target[0] !== shape[0] || target[1] !== shape[1])
      throw new DataError(
        `${formatShape(shape)} cannot become ${formatShape(target)} (expected another height and width alone)`,
      );
    const size = [target[2], target[3]] as const;
    const mode = text(at, 'mode', 'nearest');
    only('mode', mode, ['nearest', 'linear', 'cubic']);
    only('exclude_outside', integer(at, 'exclude_outside', 0), [0]);
    const isWhole = [2, 3].every((axis) => target[axis] % shape[axis] === 0);
    const upsample = at.opset < 11; // Upsample, and the first Resize: asymmetric, and the floor of positions
    const system = text(at, 'coordinate_transformation_mode', upsample ? 'asymmetric' : 'half_pixel');
    const { images, back } = imagesOf(x);
    if (mode === 'nearest') {
      const rounding = text(at, 'nearest_mode', upsample ? 'floor' : 'round_prefer_floor');
      // Repeated pixels are the same in these systems.
      const repeats = isWhole && system === 'half_pixel' && rounding === 'round_prefer_floor';
      if (!repeats) {
        only('coordinate_transformation_mode', system, ['asymmetric']);
        only('nearest_mode', rounding, ['floor']);
      }
      return back(ops.resize2d(images, size));
    }
    only('coordinate_transformation_mode', system, ['half_pixel', 'pytorch_half_pixel', 'align_corners']);
    if (system === 'pytorch_half_pixel' && Math.min(...size) === 1)
      throw new DataError(
        'pytorch_half_pixel is not supported for images of one row or column (use half_pixel)',
      );
    const antialias = integer(at, 'antialias', 0) === 1;
    if (mode === 'cubic')
      only('cubic_coeff_a', integer(at, 'cubic_coeff_a', -0.75), [antialias ? -0.5 : -0.75]);
    return back(
      ops.resize2d(images, size, {
        mode: mode === 'linear' ? 'bilinear' : 'bicubic',
        alignCorners: system === 'align_corners',
        antialias,
      }),
    );
  },
};

/** The scales or the sizes of Resize, whose inputs changed with operator set 11, and of Upsample. */
function resizeTargets(at: Application): {
  readonly scales: readonly number[] | null;
  readonly sizes: readonly number[] | null;
} {
  const { inputs } = at;
  const read = (index: number, name: string): readonly number[] | null => {
    const list = inputs[index] ? known(name, inputs[index]) : null;
    return list === null || list.length === 0 ? null : list;
  };
  const scales = inputs.length > 2 ? read(2, 'scales') : (read(1, 'scales') ?? integers(at, 'scales'));
  const sizes = read(3, 'sizes');
  if (scales === null && sizes === null) throw new DataError('scales or sizes must be given');
  return { scales, sizes };
}

const depthToSpace: Operator = {
  inputs: [1, 1],
  attributes: ['blocksize', 'mode'],
  apply(at) {
    const { images, back } = imagesOf(first(at));
    const [n, h, w, c] = images.shape;
    const b = integer(at, 'blocksize', 1);
    const mode = text(at, 'mode', 'DCR');
    only('mode', mode, ['DCR', 'CRD']);
    const depth = c / (b * b);
    const parts =
      mode === 'DCR'
        ? ops.transpose(ops.reshape(images, [n, h, w, b, b, depth]), [0, 1, 3, 2, 4, 5])
        : ops.transpose(ops.reshape(images, [n, h, w, depth, b, b]), [0, 1, 4, 2, 5, 3]);
    return back(ops.reshape(parts, [n, h * b, w * b, depth]));
  },
};

const spaceToDepth: Operator = {
  inputs: [1, 1],
  attributes: ['blocksize'],
  apply(at) {
    const { images, back } = imagesOf(first(at));
    const [n, h, w, c] = images.shape;
    const b = integer(at, 'blocksize', 1);
    const parts = ops.transpose(ops.reshape(images, [n, h / b, b, w / b, b, c]), [0, 1, 3, 2, 4, 5]);
    return back(ops.reshape(parts, [n, h / b, w / b, b * b * c]));
  },
};

const constant: Operator = {
  inputs: [0, 0],
  attributes: ['value', 'value_float', 'value_floats', 'value_int', 'value_ints'],
  apply(at) {
    const value = at.attribute('value') as HostArray | undefined;
    if (value !== undefined) return value;
    const of = (name: string, dtype: DType): HostArray | null => {
      const given = at.attribute(name);
      if (given === undefined) return null;
      const list = typeof given === 'number' ? [given] : (given as readonly number[]);
      return { shape: typeof given === 'number' ? [] : [list.length], dtype, data: list };
    };
    const found =
      of('value_float', 'f32') ??
      of('value_floats', 'f32') ??
      of('value_int', 'i32') ??
      of('value_ints', 'i32');
    if (found !== null) return found;
    throw new DataError('the value must be a tensor or numbers');
  },
};

/** The sizes from axis `start` to `end`. */
const shape: Operator = {
  inputs: [1, 1],
  attributes: ['end', 'start'],
  apply(at) {
    const rank = rankOf(first(at));
    const sizes = shapeOf(first(at)).slice(integer(at, 'start', 0), integer(at, 'end', rank));
    return { shape: [sizes.length], dtype: 'i32', data: [...sizes] };
  },
};

const cast: Operator = {
  inputs: [1, 1],
  attributes: ['saturate', 'to'],
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const to = integer(at, 'to', 0);
    const tensor = to === 9 ? ops.notEqual(tensors[0], 0) : ops.cast(tensors[0], dtypeOf('the result', to));
    return { tensor: tensors[0].dtype === 'u8' && to === 9 ? tensors[0] : tensor, perm };
  },
};

const clip: Operator = {
  inputs: [1, 3],
  attributes: ['max', 'min'],
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const [low, high] = [numberOf(at, 1, 'min'), numberOf(at, 2, 'max')];
    const above = low === undefined ? tensors[0] : ops.maximum(tensors[0], low);
    return { tensor: high === undefined ? above : ops.minimum(above, high), perm };
  },
};

const dropout: Operator = {
  inputs: [1, 3],
  attributes: ['ratio', 'seed'],
  apply(at) {
    if (at.outputs.length > 1)
      throw new DataError('the mask of dropout as an output is not supported (use one output)');
    const { tensors, perm } = aligned([first(at)]);
    const rate = numberOf(at, 1, 'ratio') ?? 0.5;
    return { tensor: nn.dropout(rate).apply(tensors[0], at.scope), perm };
  },
};

const transpose: Operator = {
  inputs: [1, 1],
  attributes: ['perm'],
  apply(at) {
    const x = first(at);
    const rank = rankOf(x);
    const perm = integers(at, 'perm') ?? identity(rank).toReversed();
    if (perm.length !== rank || new Set(perm).size !== rank)
      throw new DataError(`perm ${formatShape(perm)} must order ${rank} axes`);
    perm.forEach((axis) => axisOf(axis, rank));
    return permuted(isHost(x) ? plain(toPlain(x)) : x, perm);
  },
};

const expand: Operator = {
  inputs: [2, 2],
  attributes: [],
  apply(at) {
    const x = toPlain(first(at));
    const target = known('shape', at.inputs[1]!);
    const rank = Math.max(x.rank, target.length);
    const own = [...Array.from({ length: rank - x.rank }, () => 1), ...x.shape];
    const wanted = [...Array.from({ length: rank - target.length }, () => 1), ...target];
    return plain(
      ops.broadcastTo(
        x,
        own.map((size, axis) => (wanted[axis] === 1 ? size : wanted[axis])),
      ),
    );
  },
};

const prelu: Operator = {
  inputs: [2, 2],
  attributes: [],
  apply: ({ inputs }) => {
    const { tensors, perm } = aligned(inputs as readonly Value[]);
    const [x, slope] = tensors;
    return { tensor: ops.where(ops.less(x, 0), ops.mul(x, slope), x), perm };
  },
};

const lrn: Operator = {
  inputs: [1, 1],
  attributes: ['alpha', 'beta', 'bias', 'size'],
  apply(at) {
    only('bias', integer(at, 'bias', 1), [1]);
    const { images, back } = imagesOf(first(at));
    const [alpha, beta] = [integer(at, 'alpha', 1e-4), integer(at, 'beta', 0.75)];
    return back(ops.lrnAcross(images, { size: integer(at, 'size', 1), alpha, beta }));
  },
};

const cumSum: Operator = {
  inputs: [2, 2],
  attributes: ['exclusive', 'reverse'],
  apply(at) {
    const { tensors, perm } = aligned([first(at)]);
    const axis = perm.indexOf(axisOf(known('axis', at.inputs[1]!)[0], perm.length));
    const [exclusive, reverse] = [integer(at, 'exclusive', 0) === 1, integer(at, 'reverse', 0) === 1];
    return { tensor: ops.cumsum(tensors[0], axis, { exclusive, reverse }), perm };
  },
};

const gatherElements: Operator = {
  inputs: [2, 2],
  attributes: ['axis'],
  apply(at) {
    const [x, index] = (at.inputs as [Value, Value]).map(toPlain);
    const axis = axisOf(integer(at, 'axis', 0), x.rank);
    const positions = ops.where(ops.less(index, 0), ops.add(index, x.shape[axis]), index);
    return plain(ops.takeAlongAxis(x, positions, axis));
  },
};

/** Blocks of the data are replaced at indices that are known while the graph is built. The last of several wins. */
const scatterND: Operator = {
  inputs: [3, 3],
  attributes: ['reduction'],
  apply(at) {
    only('reduction', text(at, 'reduction', 'none'), ['none']);
    const [data, indices, updates] = at.inputs as [Value, Value, Value];
    const x = toPlain(data);
    const { starts, block } = scatterBlocks(x.shape, {
      shape: shapeOf(indices),
      data: known('indices', indices),
    });
    const size = sizeOf(x.shape);
    const source = Int32Array.from({ length: size }, (_, i) => i);
    starts.forEach((start, row) => {
      for (let i = 0; i < block; i++) source[start + i] = size + row * block + i;
    });
    const all = ops.concat([ops.reshape(x, [-1]), ops.reshape(toPlain(updates), [-1])], 0);
    return plain(ops.reshape(ops.gather(all, source), x.shape));
  },
};

const topK: Operator = {
  inputs: [1, 2],
  attributes: ['axis', 'k', 'largest', 'sorted'],
  apply(at) {
    const x = toPlain(first(at));
    const k = numberOf(at, 1, 'k');
    if (k === undefined) throw new DataError('k must be given');
    const axis = axisOf(integer(at, 'axis', -1), x.rank);
    if (integer(at, 'largest', 1) === 1) {
      const { values, indices } = ops.topK(x, k, axis);
      return [plain(values), plain(indices)];
    }
    const { values, indices } = ops.topK(ops.neg(x), k, axis);
    return [plain(ops.neg(values)), plain(indices)];
  },
};

const constantOfShape: Operator = {
  inputs: [1, 1],
  attributes: ['value'],
  apply(at) {
    const value = at.attribute('value') as HostArray | undefined;
    return plain(ops.full(known('shape', first(at)), value?.data[0] ?? 0, value?.dtype ?? 'f32'));
  },
};

const mod: Operator = {
  inputs: [2, 2],
  attributes: ['fmod'],
  apply(at) {
    const { tensors, perm } = aligned(at.inputs as readonly Value[]);
    const [a, b] = tensors;
    const quotient = ops.div(a, b);
    const tensor =
      integer(at, 'fmod', 0) === 1 ? ops.sub(a, ops.mul(ops.trunc(quotient), b)) : ops.remainder(a, b);
    return { tensor, perm };
  },
};

/** Short ranges are known while the graph is built (see HOST_OPERATORS). */
const range: Operator = {
  inputs: [3, 3],
  attributes: [],
  apply(at) {
    const [start, limit, delta] = ['start', 'limit', 'delta'].map((name, i) => known(name, at.inputs[i]!)[0]);
    const count = Math.ceil((limit - start) / delta);
    if (!(count < 1e8))
      throw new DataError(`a range of ${count} numbers is not supported (expected fewer than 10⁸)`);
    return plain(ops.arange(start, limit, delta, dtypeOfValue(first(at))));
  },
};

const squareSum: Reduce = (x, axes, options) => ops.sum(ops.square(x), axes, options);

export const OPERATORS: Readonly<Record<string, Operator>> = {
  Abs: elementwise(ops.abs),
  Acos: elementwise(ops.acos),
  Acosh: elementwise(ops.acosh),
  Add: elementwise(ops.add, 2),
  And: elementwise(ops.and, 2),
  ArgMax: arg(ops.argMax),
  ArgMin: arg(ops.argMin),
  Asin: elementwise(ops.asin),
  Asinh: elementwise(ops.asinh),
  Atan: elementwise(ops.atan),
  Atanh: elementwise(ops.atanh),
  AveragePool: pool('average'),
  BatchNormalization: batchNormalization,
  Cast: cast,
  Ceil: elementwise(ops.ceil),
  Celu: shaped({ alpha: 1 }, (x, { alpha }) => ops.celu(x, alpha)),
  Clip: clip,
  Concat: concat,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Conv: conv,
  ConvTranspose: convTranspose,
  Cos: elementwise(ops.cos),
  Cosh: elementwise(ops.cosh),
  CumSum: cumSum,
  DepthToSpace: depthToSpace,
  Div: elementwise(ops.div, 2),
  Dropout: dropout,
  Elu: shaped({ alpha: 1 }, (x, { alpha }) => ops.elu(x, alpha)),
  Equal: elementwise(ops.equal, 2),
  Erf: elementwise(ops.erf),
  Exp: elementwise(ops.exp),
  Expand: expand,
  Flatten: flatten,
  Floor: elementwise(ops.floor),
  Gather: gather,
  GatherElements: gatherElements,
  Gemm: gemm,
  GlobalAveragePool: globalPool(ops.mean),
  GlobalMaxPool: globalPool(ops.max),
  Greater: elementwise(ops.greater, 2),
  GreaterOrEqual: elementwise(ops.greaterEqual, 2),
  HardSigmoid: shaped({ alpha: 0.2, beta: 0.5 }, (x, { alpha, beta }) =>
    ops.clamp(ops.add(ops.mul(x, alpha), beta), 0, 1),
  ),
  HardSwish: elementwise(ops.hardSwish),
  Identity: elementwise((x) => x),
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LeakyRelu: shaped({ alpha: 0.01 }, (x, { alpha }) => ops.leakyRelu(x, alpha)),
  Less: elementwise(ops.less, 2),
  LessOrEqual: elementwise(ops.lessEqual, 2),
  Log: elementwise(ops.log),
  LogSoftmax: softmax(ops.logSoftmax),
  LRN: lrn,
  MatMul: {
    inputs: [2, 2],
    attributes: [],
    apply: ({ inputs: [a, b] }) => plain(ops.matmul(toPlain(a!), toPlain(b!))),
  },
  Max: variadic(ops.maximum),
  MaxPool: pool('max'),
  Min: variadic(ops.minimum),
  Mish: elementwise(ops.mish),
  Mod: mod,
  Mul: elementwise(ops.mul, 2),
  Neg: elementwise(ops.neg),
  Not: elementwise(ops.not),
  Or: elementwise(ops.or, 2),
  Pad: pad,
  Pow: elementwise(ops.pow, 2),
  PRelu: prelu,
  Range: range,
  Reciprocal: elementwise(ops.reciprocal),
  ReduceL1: reduction((x, axes, options) => ops.sum(ops.abs(x), axes, options)),
  ReduceL2: reduction((x, axes, options) => ops.sqrt(squareSum(x, axes, options))),
  ReduceLogSumExp: reduction(ops.logSumExp),
  ReduceMax: reduction(ops.max),
  ReduceMean: reduction(ops.mean),
  ReduceMin: reduction(ops.min),
  ReduceProd: reduction(ops.prod),
  ReduceSum: reduction(ops.sum),
  ReduceSumSquare: reduction(squareSum),
  Relu: elementwise(ops.relu),
  Reshape: reshaping(
    (at, from) => reshapedTo(from, known('shape', at.inputs[1]!), integer(at, 'allowzero', 0) === 1),
    2,
    ['allowzero'],
  ),
  Resize: resize,
  Round: elementwise(ops.round),
  ScatterND: scatterND,
  Selu: shaped({ alpha: 1.6732632423543772, gamma: 1.0507009873554805 }, (x, { alpha, gamma }) =>
    ops.mul(ops.elu(x, alpha), gamma),
  ),
  Shape: shape,
  Sigmoid: elementwise(ops.sigmoid),
  Sign: elementwise(ops.sign),
  Sin: elementwise(ops.sin),
  Sinh: elementwise(ops.sinh),
  Slice: slice,
  Softmax: softmax(ops.softmax),
  Softplus: elementwise(ops.softplus),
  Softsign: elementwise((x) => ops.div(x, ops.add(ops.abs(x), 1))),
  SpaceToDepth: spaceToDepth,
  Split: split,
  Sqrt: elementwise(ops.sqrt),
  Squeeze: reshaping((at, from) => squeezed(from, listOf(at, 1, 'axes')), 2, ['axes']),
  Sub: elementwise(ops.sub, 2),
  Sum: variadic(ops.add),
  Tan: elementwise(ops.tan),
  Tanh: elementwise(ops.tanh),
  Tile: {
    inputs: [2, 2],
    attributes: [],
    apply: (at) => plain(ops.tile(toPlain(first(at)), known('repeats', at.inputs[1]!))),
  },
  TopK: topK,
  Transpose: transpose,
  Unsqueeze: reshaping((at, from) => unsqueezed(from, listOf(at, 1, 'axes') ?? []), 2, ['axes']),
  Upsample: resize,
  Where: elementwise(ops.where, 3),
  Xor: elementwise(ops.xor, 2),
};
