/** Operators on values that are known while the graph is built: the arithmetic of shapes. */
import { DataError } from '../errors.ts';
import { broadcastShapes, formatShape, sizeOf } from '../shape.ts';
import type { DType, Shape } from '../types.ts';
import type { Attribute, HostArray } from './onnx-read.ts';
import { axisOf } from './onnx-value.ts';

/** Larger results are tensors. */
const LIMIT = 100_000;

export type HostOperator = (
  inputs: readonly (HostArray | null)[],
  attribute: (name: string) => Attribute | undefined,
) => HostArray | null;

const stridesOf = (shape: Shape): number[] => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

/** An array whose element at `index` is `at(index)`. Null if it is large. */
function built(shape: Shape, dtype: DType, at: (index: readonly number[]) => number): HostArray | null {
  const size = sizeOf(shape);
  if (!shape.every((length) => Number.isSafeInteger(length) && length >= 0))
    throw new DataError(`a result has the shape ${formatShape(shape)} (expected sizes of 0 or more)`);
  if (size > LIMIT) return null;
  const strides = stridesOf(shape);
  const data = Array.from({ length: size }, (_, i) =>
    at(shape.map((length, axis) => Math.floor(i / strides[axis]) % length)),
  );
  return { shape, dtype, data };
}

/** The element at an index of a shape to which the array is broadcast. */
function element({ shape, data }: HostArray, index: readonly number[]): number {
  const strides = stridesOf(shape);
  const skipped = index.length - shape.length;
  return data[
    shape.reduce((sum, length, axis) => sum + (length === 1 ? 0 : index[skipped + axis]) * strides[axis], 0)
  ];
}

const broadcasting =
  (
    compute: (values: readonly number[], dtype: DType) => number,
    result?: DType,
    typeFrom = 0,
  ): HostOperator =>
  (inputs) => {
    const arrays = inputs as readonly HostArray[];
    const shape = arrays.map((each) => each.shape).reduce((a, b) => broadcastShapes('operands', a, b));
    const { dtype } = arrays[typeFrom];
    return built(shape, result ?? dtype, (index) =>
      rounded(
        result ?? dtype,
        compute(
          arrays.map((each) => element(each, index)),
          dtype,
        ),
      ),
    );
  };

const rounded = (dtype: DType, x: number): number => (dtype === 'f32' ? Math.fround(x) : x);

const unary = (compute: (x: number) => number): HostOperator => broadcasting(([x]) => compute(x));
const binary = (compute: (a: number, b: number) => number, result?: DType): HostOperator =>
  broadcasting(([a, b]) => compute(a, b), result);

const isInteger = (dtype: DType): boolean => dtype !== 'f32';

const reshaped = (array: HostArray, shape: Shape): HostArray => ({ ...array, shape });

const axesOf = (inputs: readonly (HostArray | null)[], attribute: Attribute | undefined): number[] | null => {
  const list = inputs[1]?.data ?? (attribute as readonly number[] | undefined);
  return list === undefined ? null : Array.from(list);
};

const gather: HostOperator = ([data, index], attribute) => {
  const { shape } = data!;
  const axis = axisOf((attribute('axis') as number | undefined) ?? 0, shape.length);
  const rank = index!.shape.length;
  return built([...shape.slice(0, axis), ...index!.shape, ...shape.slice(axis + 1)], data!.dtype, (at) => {
    const position = axisOf(element(index!, at.slice(axis, axis + rank)), shape[axis]);
    return element(data!, [...at.slice(0, axis), position, ...at.slice(axis + rank)]);
  });
};

const concat: HostOperator = (inputs, attribute) => {
  const arrays = inputs as readonly HostArray[];
  const axis = axisOf(attribute('axis') as number, arrays[0].shape.length);
  const owners = arrays.flatMap((array) =>
    Array.from({ length: array.shape[axis] }, (_, position) => ({ array, position })),
  );
  const shape = arrays[0].shape.map((size, i) => (i === axis ? owners.length : size));
  return built(shape, arrays[0].dtype, (at) => {
    const { array, position } = owners[at[axis]];
    return element(array, at.with(axis, position));
  });
};

const slice: HostOperator = ([data, starts, ends, axes, steps], attribute) => {
  const { shape } = data!;
  const read = (given: HostArray | null | undefined, name: string): number[] | null => {
    const list = given?.data ?? (attribute(name) as readonly number[] | undefined);
    return list === undefined ? null : Array.from(list);
  };
  const ranges = sliceRanges(
    shape,
    read(starts, 'starts')!,
    read(ends, 'ends')!,
    read(axes, 'axes'),
    read(steps, 'steps'),
  );
  return built(
    ranges.map(({ count }) => count),
    data!.dtype,
    (at) =>
      element(
        data!,
        at.map((i, axis) => ranges[axis].begin + i * ranges[axis].step),
      ),
  );
};

export interface SliceRange {
  readonly begin: number;
  readonly step: number;
  readonly count: number;
}

/** What Slice takes of each axis. */
export function sliceRanges(
  shape: Shape,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] | null,
  steps: readonly number[] | null,
): SliceRange[] {
  const ranges: SliceRange[] = shape.map((count) => ({ begin: 0, step: 1, count }));
  starts.forEach((start, i) => {
    const axis = axisOf(axes?.[i] ?? i, shape.length);
    const [size, step] = [shape[axis], steps?.[i] ?? 1];
    if (!Number.isSafeInteger(step) || step === 0) throw new DataError(`steps must not be 0, got ${step}`);
    const clipped = (at: number): number => {
      const from = at < 0 ? at + size : at;
      return step > 0 ? Math.min(Math.max(from, 0), size) : Math.min(Math.max(from, -1), size - 1);
    };
    const [begin, end] = [clipped(start), clipped(ends[i])];
    ranges[axis] = { begin, step, count: Math.max(0, Math.ceil((end - begin) / step)) };
  });
  return ranges;
}

/** The shape that Squeeze leaves. Without axes, all axes of size 1 go. */
export function squeezed(shape: Shape, axes: readonly number[] | null): Shape {
  const gone =
    axes?.map((axis) => axisOf(axis, shape.length)) ?? shape.flatMap((size, i) => (size === 1 ? [i] : []));
  const wide = gone.find((axis) => shape[axis] !== 1);
  if (wide !== undefined) throw new DataError(`axis ${wide} of ${formatShape(shape)} must have size 1`);
  return shape.filter((_, axis) => !gone.includes(axis));
}

/** The shape with axes of size 1, whose positions count in the result. */
export function unsqueezed(shape: Shape, axes: readonly number[]): Shape {
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => axisOf(axis, rank)));
  const rest = shape[Symbol.iterator]();
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.next().value as number)));
}

/** The shape of Reshape: 0 keeps a size, and -1 is what is left. */
export function reshapedTo(shape: Shape, target: readonly number[], allowZero: boolean): Shape {
  const sizes = target.map((size, axis) => (size === 0 && !allowZero ? (shape[axis] ?? 0) : size));
  const size = sizeOf(shape);
  const others = sizes.filter((each) => each !== -1).reduce((a, b) => a * b, 1);
  const result = sizes.map((each) => (each === -1 ? size / others : each));
  if (result.every((each) => Number.isSafeInteger(each) && each >= 0) && sizeOf(result) === size)
    return result;
  throw new DataError(
    `${formatShape(shape)} cannot become ${formatShape(target)} (expected as many elements; ` +
      'if the file has a fixed batch size, export it with dynamic_axes)',
  );
}

/** Where the blocks of ScatterND go in the data: the flat position of the first element of each, and their size. */
export function scatterBlocks(
  shape: Shape,
  indices: { readonly shape: Shape; readonly data: ArrayLike<number> },
): { readonly starts: readonly number[]; readonly block: number } {
  const width = indices.shape.at(-1)!;
  const strides = stridesOf(shape);
  const starts = Array.from({ length: sizeOf(indices.shape.slice(0, -1)) }, (_, row) =>
    strides
      .slice(0, width)
      .reduce((at, stride, axis) => at + stride * axisOf(indices.data[row * width + axis], shape[axis]), 0),
  );
  return { starts, block: sizeOf(shape.slice(width)) };
}

export const HOST_OPERATORS: Readonly<Record<string, HostOperator>> = {
  Identity: ([x]) => x,
  Cast: ([x], attribute) => {
    const to = attribute('to') as number;
    const dtype = [1, 10, 11, 16].includes(to) ? 'f32' : to === 9 || to === 2 ? 'u8' : 'i32';
    const convert = (value: number): number =>
      to === 9 ? Number(value !== 0) : dtype === 'f32' ? Math.fround(value) : Math.trunc(value);
    return { shape: x!.shape, dtype, data: Array.from(x!.data, convert) };
  },
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: broadcasting(([a, b], dtype) => (isInteger(dtype) ? Math.trunc(a / b) : a / b)),
  Mod: (inputs, attribute) =>
    binary((a, b) => (attribute('fmod') === 1 ? a % b : a - Math.floor(a / b) * b))(inputs, attribute),
  Pow: binary((a, b) => a ** b),
  Min: broadcasting((values) => Math.min(...values)),
  Max: broadcasting((values) => Math.max(...values)),
  Equal: binary((a, b) => Number(a === b), 'u8'),
  Less: binary((a, b) => Number(a < b), 'u8'),
  LessOrEqual: binary((a, b) => Number(a <= b), 'u8'),
  Greater: binary((a, b) => Number(a > b), 'u8'),
  GreaterOrEqual: binary((a, b) => Number(a >= b), 'u8'),
  And: binary((a, b) => Number(a !== 0 && b !== 0)),
  Or: binary((a, b) => Number(a !== 0 || b !== 0)),
  Not: unary((x) => Number(x === 0)),
  Where: broadcasting(([condition, a, b]) => (condition === 0 ? b : a), undefined, 1),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Gather: gather,
  Concat: concat,
  Slice: slice,
  Squeeze: (inputs, attribute) =>
    reshaped(inputs[0]!, squeezed(inputs[0]!.shape, axesOf(inputs, attribute('axes')))),
  Unsqueeze: (inputs, attribute) =>
    reshaped(inputs[0]!, unsqueezed(inputs[0]!.shape, axesOf(inputs, attribute('axes')) ?? [])),
  Reshape: ([x, shape], attribute) =>
    reshaped(x!, reshapedTo(x!.shape, Array.from(shape!.data), attribute('allowzero') === 1)),
  Transpose: ([x], attribute) => {
    const rank = x!.shape.length;
    const perm =
      (attribute('perm') as readonly number[] | undefined) ??
      Array.from({ length: rank }, (_, i) => rank - 1 - i);
    return built(
      perm.map((axis) => x!.shape[axisOf(axis, rank)]),
      x!.dtype,
      (at) =>
        element(
          x!,
          x!.shape.map((_, axis) => at[perm.indexOf(axis)]),
        ),
    );
  },
  Expand: ([x, shape]) =>
    built(broadcastShapes('Expand', x!.shape, Array.from(shape!.data)), x!.dtype, (at) => element(x!, at)),
  Range: ([start, limit, delta]) => {
    const [from, to, step] = [start!.data[0], limit!.data[0], delta!.data[0]];
    return built([Math.max(0, Math.ceil((to - from) / step))], start!.dtype, ([i]) => from + i * step);
  },
  ConstantOfShape: ([shape], attribute) => {
    const value = attribute('value') as HostArray | undefined;
    return built(Array.from(shape!.data), value?.dtype ?? 'f32', () => value?.data[0] ?? 0);
  },
  ScatterND: ([data, indices, updates]) => {
    const { starts, block } = scatterBlocks(data!.shape, indices!);
    const result = Array.from(data!.data);
    starts.forEach((start, row) => {
      for (let i = 0; i < block; i++) result[start + i] = updates!.data[row * block + i];
    });
    return { ...data!, data: result };
  },
  ReduceProd: ([x], attribute) => {
    const rank = x!.shape.length;
    const axes = attribute('axes') as readonly number[] | undefined;
    if (rank > 1 || (axes !== undefined && axes.length !== rank)) return null;
    const shape = attribute('keepdims') === 0 ? [] : x!.shape.map(() => 1);
    return { shape, dtype: x!.dtype, data: [Array.from(x!.data).reduce((a, b) => a * b, 1)] };
  },
};
