/** Arithmetic on shapes: sizes, broadcasting, windows, and their checks. */
import { ShapeError } from './errors.ts';
import { isPromise, isRecord, show } from './options.ts';
import type { DType, Shape, TensorType } from './types.ts';

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

const BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, u8: 1 };

export const elementBytes = (dtype: DType): number => BYTES[dtype];

/** Bytes of a dense value on a device. The reference backend in f64 mode needs twice as many for f32. */
export function bytesOf(type: TensorType): number {
  return sizeOf(type.shape) * BYTES[type.dtype];
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** The format of types in messages and plans: `f32 [2,3]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype} ${formatShape(type.shape)}`;
}

export function formatShape(shape: Shape): string {
  return `[${shape.map((d) => (typeof d === 'number' ? d : show(d))).join(',')}]`;
}

/** Throws ShapeError unless every axis is a non-negative integer. */
export function checkShape(where: string, shape: Shape, name = 'shape'): void {
  checkList(where, name, shape);
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0) {
      throw new ShapeError(
        `${where}: sizes must be non-negative integers, got ${show(d)} in ${formatShape(shape)}`,
      );
    }
  }
}

/** Throws TypeError unless `list` is an array: sizes and axes are one argument, not several. */
export function checkList(where: string, name: string, list: unknown): void {
  if (Array.isArray(list)) return;
  const fix = typeof list === 'number' ? `[${list}, …]` : '[…]';
  throw new TypeError(`${where}: ${name} must be an array, got ${show(list)} (write ${fix})`);
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = Array.from({ length: shape.length }, () => 0);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** The shape of the result of an elementwise operation, by the broadcasting rules of NumPy. Throws ShapeError with both shapes. */
export function broadcastShapes(where: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const out = Array.from({ length: rank }, () => 0);
  for (let i = 0; i < rank; i++) {
    const da = a[i - rank + a.length] ?? 1;
    const db = b[i - rank + b.length] ?? 1;
    if (da !== db && da !== 1 && db !== 1) {
      throw new ShapeError(
        `${where}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast: ` +
          `axis ${i - rank} has sizes ${da} and ${db} (they must be equal, or one of them 1)`,
      );
    }
    out[i] = da === 1 ? db : da;
  }
  return out;
}

/** Strides, in elements, that read a value of shape `from` with the broadcast shape `to`. 0 for repeated axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = stridesOf(from);
  return to.map((_, i) => {
    const j = i - to.length + from.length;
    return j < 0 || from[j] === 1 ? 0 : own[j];
  });
}

/**
 * How often each element of a value of shape `from` is repeated before the next one in the broadcast shape `to`. 1 if its axes are the
 * last axes of `to`. Null if the elements do not come in order.
 */
export function repeats(from: Shape, to: Shape): number | null {
  const aligned = to.map((_, i) => from[i - to.length + from.length] ?? 1);
  const first = aligned.findIndex((n, i) => n !== 1 && n === to[i]);
  const last = aligned.findLastIndex((n) => n !== 1);
  if (first < 0) return null;
  const same = aligned.slice(first, last + 1).every((n, i) => n === to[first + i]);
  return same ? sizeOf(to.slice(last + 1)) : null;
}

/**
 * The axes of a strided iteration, [size, stride, stride, …] each. Axes of size 1 are dropped. Adjacent axes are merged if they are
 * contiguous in every operand.
 */
export function mergeAxes(shape: Shape, strides: readonly (readonly number[])[]): number[][] {
  const axes: number[][] = [];
  shape.forEach((size, d) => {
    if (size === 1) return;
    const axis = [size, ...strides.map((own) => own[d])];
    const outer = axes.at(-1);
    if (outer !== undefined && strides.every((_, i) => outer[i + 1] === axis[i + 1] * size)) {
      axes[axes.length - 1] = [outer[0] * size, ...axis.slice(1)];
    } else {
      axes.push(axis);
    }
  });
  return axes.length === 0 ? [[1, ...strides.map(() => 0)]] : axes;
}

/** Operations with options after the axes. The others take the axis alone. */
const WITH_OPTIONS: ReadonlySet<string> = new Set([
  'sum',
  'mean',
  'max',
  'min',
  'prod',
  'any',
  'all',
  'argMax',
  'argMin',
  'variance',
  'std',
  'median',
  'quantile',
  'norm',
  'logSumExp',
  'cumsum',
  'cumprod',
  'sort',
  'argSort',
]);

/** The fix for an object in place of axes: `{ axis: 0 }`, or `{ dim: 0 }` of PyTorch. */
function axisFix(where: string, given: unknown): string {
  if (isPromise(given)) return '';
  const named = isRecord(given) ? (given['axis'] ?? given['dim'] ?? given['axes']) : undefined;
  if (typeof named === 'number' || Array.isArray(named)) {
    const first = where === 'concat' || where === 'stack' ? 'tensors' : 'x';
    const axes = typeof named === 'number' ? String(named) : `[${named.join(', ')}]`;
    const keep = isRecord(given) && (given['keepDims'] ?? given['keepdim'] ?? given['keepdims']) === true;
    return ` (write ${where}(${first}, ${LEADING[where] ?? ''}${axes}${keep ? ', { keepDims: true }' : ''}))`;
  }
  return WITH_OPTIONS.has(where)
    ? ' (options come after the axes)'
    : ` (${where} takes the axis as a number)`;
}

/** Arguments between the tensor and the axis. */
const LEADING: Readonly<Record<string, string>> = {
  gather: 'index, ',
  quantile: 'q, ',
  repeat: 'count, ',
  roll: 'shifts, ',
  scatterAdd: 'index, n, ',
  scatterAddAlongAxis: 'index, n, ',
  split: 'parts, ',
  takeAlongAxis: 'index, ',
  topK: 'k, ',
};

/** The axis counted from the front. Throws ShapeError if it does not exist. */
export function resolveAxis(where: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (typeof axis !== 'number') {
    throw new TypeError(`${where}: an axis must be an integer, got ${show(axis)}${axisFix(where, axis)}`);
  }
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ShapeError(
      `${where}: axis ${axis} does not exist in a tensor of rank ${rank} ` +
        `(axes go from ${-rank} to ${rank - 1})`,
    );
  }
  return resolved;
}

/** The axes counted from the front, ascending. Without `axes`, all of them. Throws ShapeError for a repeated axis. */
export function resolveAxes(
  where: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  if (typeof axes !== 'number' && !Array.isArray(axes)) {
    throw new TypeError(
      `${where}: axes must be an integer or an array of integers, got ${show(axes)}${axisFix(where, axes)}`,
    );
  }
  const list = (typeof axes === 'number' ? [axes] : [...axes]).map((a) => resolveAxis(where, a, rank));
  list.sort((a, b) => a - b);
  for (let i = 1; i < list.length; i++) {
    if (list[i] === list[i - 1]) {
      throw new ShapeError(`${where}: axis ${list[i]} is given twice (name each axis once)`);
    }
  }
  return list;
}

/** The number of elements in each reduction over `axes`. Throws ShapeError if it is 0. */
export function countOver(where: string, shape: Shape, axes: number | readonly number[] | undefined): number {
  const n = sizeOf(resolveAxes(where, axes, shape.length).map((axis) => shape[axis]));
  if (n === 0) throw new ShapeError(`${where}: no elements along the reduced axes of ${formatShape(shape)}`);
  return n;
}

/** Padding in pixels: 'same', 'valid', one number for all sides, `[vertical, horizontal]`, or `[top, bottom, left, right]`. */
export type Padding =
  'same' | 'valid' | number | readonly [number, number] | readonly [number, number, number, number];
/** One number for both image axes, or `[vertical, horizontal]`. */
export type Pair = number | readonly [number, number];

/** A sliding window over the two image axes, with resolved padding. */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** top, bottom, left, right */
  readonly pad: readonly [number, number, number, number];
  readonly out: readonly [number, number];
}

export function pair(value: Pair, name: string): [number, number] {
  if (typeof value !== 'number' && !Array.isArray(value)) {
    throw new TypeError(`${name} must be an integer or [vertical, horizontal], got ${show(value)}`);
  }
  return typeof value === 'number' ? [value, value] : [value[0], value[1]];
}

/**
 * Places windows on an image of `height` × `width`.
 *
 *   out = floor((in + pads − kernel) / stride) + 1
 *   ceil: rounded up, without a last window that would start after the image and its leading padding (Caffe, PyTorch)
 *   same: out = ceil(in / stride); an odd number of padding pixels has one more at the end (TensorFlow)
 *
 * Throws ShapeError with both sizes if no window fits.
 */
export function placeWindow(
  where: string,
  [height, width]: readonly [number, number],
  kernel: readonly [number, number],
  strideOption: Pair,
  padding: Padding,
  ceil = false,
): Window {
  const stride = pair(strideOption, `${where}: stride`);
  for (const [name, values] of [
    ['kernel', kernel],
    ['stride', stride],
  ] as const) {
    if (values.some((v) => !Number.isSafeInteger(v) || v < 1)) {
      throw new ShapeError(`${where}: ${name} must be a positive integer, got ${formatShape(values)}`);
    }
  }
  const sizes = [height, width] as const;
  const pad = resolvePadding(where, sizes, kernel, stride, padding);
  const out = [0, 1].map((i) => {
    const before = pad[2 * i];
    const room = sizes[i] + before + pad[2 * i + 1] - kernel[i];
    // With `ceil`, a single window may exceed the image. It is clipped.
    if (room < 0 && !(ceil && room > -stride[i])) {
      throw new ShapeError(
        `${where}: a window of ${kernel.join('×')} does not fit an image of ${height}×${width} ` +
          `with padding ${formatShape(pad)} (make the window smaller or pad more)`,
      );
    }
    let n = (ceil ? Math.ceil(room / stride[i]) : Math.floor(room / stride[i])) + 1;
    if (ceil && (n - 1) * stride[i] >= sizes[i] + before) n--;
    return n;
  });
  return { kernel: [kernel[0], kernel[1]], stride, pad, out: [out[0], out[1]] };
}

/** Throws ShapeError unless `padding` has one of its forms. */
export function checkPadding(where: string, padding: Padding): void {
  if (padding === 'same' || padding === 'valid') return;
  const list: unknown = typeof padding === 'number' ? [padding, padding] : padding;
  const isSize = (p: unknown): boolean => Number.isSafeInteger(p) && (p as number) >= 0;
  if (Array.isArray(list) && (list.length === 2 || list.length === 4) && list.every(isSize)) return;
  throw new ShapeError(
    `${where}: padding must be 'same', 'valid', a non-negative integer, [vertical, horizontal] or ` +
      `[top, bottom, left, right], got ${Array.isArray(padding) ? JSON.stringify(padding) : show(padding)}`,
  );
}

function resolvePadding(
  where: string,
  sizes: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number],
  padding: Padding,
): [number, number, number, number] {
  if (padding === 'valid') return [0, 0, 0, 0];
  if (padding === 'same') {
    const [v, h] = [0, 1].map((i) => {
      const total = Math.max((Math.ceil(sizes[i] / stride[i]) - 1) * stride[i] + kernel[i] - sizes[i], 0);
      return [Math.floor(total / 2), Math.ceil(total / 2)] as const;
    });
    return [v[0], v[1], h[0], h[1]];
  }
  checkPadding(where, padding);
  const [top, bottom, left = bottom, right = bottom] =
    typeof padding === 'number' ? [padding, padding] : padding;
  const isPair = typeof padding === 'number' || padding.length === 2;
  return isPair ? [top, top, bottom, bottom] : [top, bottom, left, right];
}
