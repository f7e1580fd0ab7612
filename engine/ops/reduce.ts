/**
 * Reductions over axes. Any set of axes is brought to the form [outer, n, inner] by free reshapes, so a backend has
 * one kernel for each kind of reduction; axes that do not touch are reduced one group after the other.
 */
import { ShapeError } from '../errors.ts';
import { withDType } from '../op.ts';
import { formatShape, formatType, resolveAxes, resolveAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  and,
  cast,
  div,
  equal,
  exp,
  greater,
  isFinite,
  log1p,
  mul,
  neg,
  not,
  pow,
  sign,
  sqrt,
  square,
  stopGradient,
  sub,
  where,
} from './elementwise.ts';
import { broadcastTo, reshape, slice } from './layout.ts';
import { reduceOps, runningSum } from './primitives/reduce.ts';

type None = Record<never, never>;
const none: None = {};

export interface ReduceOptions {
  /** Keep reduced axes with size 1. */
  readonly keepDims?: boolean;
}

type Axes = number | readonly number[];

/** A tensor of floats, for the functions made of several operations. */
const floats = (where: string, x: TensorLike): Tensor => withDType(where, 'f32', toTensor(x));

function reduce(
  where: string,
  op: (inputs: readonly Tensor[], attrs: None) => readonly Tensor[],
  x: TensorLike,
  axes: Axes | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  const t = floats(where, x); // here, where the shape is still the caller's
  const reduced = new Set(resolveAxes(where, axes, t.rank));
  let result = t;
  let end = t.rank;
  while (end > 0) {
    if (!reduced.has(end - 1)) {
      end--;
      continue;
    }
    let begin = end - 1;
    while (begin > 0 && reduced.has(begin - 1)) begin--;
    const { shape } = result;
    const [flat] = op([reshape(result, grouped(shape, begin, end))], none);
    const kept = shape.map((d, i) => (i >= begin && i < end ? 1 : d));
    result = reshape(flat, kept);
    end = begin;
  }
  return keepDims ? result : reshape(result, withoutAxes(t.shape, reduced));
}

/** [outer, n, inner] with axes begin … end − 1 in the middle. */
const grouped = (shape: Shape, begin: number, end = begin + 1): number[] =>
  [shape.slice(0, begin), shape.slice(begin, end), shape.slice(end)].map(sizeOf);

const withoutAxes = (shape: Shape, axes: ReadonlySet<number>): Shape => shape.filter((_, i) => !axes.has(i));

/**
 * Sum over `axes` (all of them when left out). An empty sum is 0. Long sums are added in parts, so that rounding errors stay
 * small. The order depends on the shape alone.
 */
export function sum(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce('sum', reduceOps.sum, x, axes, options);
}

/** Elements over which a reduction goes; throws ShapeError when there are none. */
function countOver(where: string, t: Tensor, axes: Axes | undefined): number {
  const n = sizeOf(resolveAxes(where, axes, t.rank).map((axis) => t.shape[axis]));
  if (n === 0)
    throw new ShapeError(`${where}: no elements along the reduced axes of ${formatShape(t.shape)}`);
  return n;
}

/** Mean over `axes` (all of them when left out). Throws ShapeError over no elements. */
export function mean(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const t = toTensor(x);
  const n = countOver('mean', t, axes);
  return div(sum(t, axes, options), n);
}

/**
 * Largest element over `axes` (all of them when left out). NaN wins over every number. The gradient goes to the first
 * maximum alone. Throws ShapeError over no elements.
 */
export function max(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce('max', reduceOps.max, x, axes, options);
}

/** Smallest element over `axes`, as `max`: NaN wins, and the gradient goes to the first minimum alone. */
export function min(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const t = floats('min', x);
  countOver('min', t, axes);
  return neg(max(neg(t), axes, options));
}

/**
 * Position of the largest element along an axis, or among all in row order when it is left out: `i32`. Of equals the first;
 * the first NaN wins over every number. Throws ShapeError over no elements.
 */
export function argMax(x: TensorLike, axis?: number, { keepDims = false }: ReduceOptions = {}): Tensor {
  return position('argMax', floats('argMax', x), axis, keepDims);
}

function position(where: string, t: Tensor, axis: number | undefined, keepDims: boolean): Tensor {
  countOver(where, t, axis);
  const at = axis === undefined ? null : resolveAxis(where, axis, t.rank);
  const [, index] = reduceOps.max(
    [reshape(t, at === null ? [1, sizeOf(t.shape), 1] : grouped(t.shape, at))],
    none,
  );
  if (keepDims)
    return reshape(
      index,
      t.shape.map((d, i) => (at === null || i === at ? 1 : d)),
    );
  return reshape(index, at === null ? [] : withoutAxes(t.shape, new Set([at])));
}

/** Position of the smallest element, as `argMax`: the first of equals, NaN before every number. */
export function argMin(x: TensorLike, axis?: number, { keepDims = false }: ReduceOptions = {}): Tensor {
  return position('argMin', neg(floats('argMin', x)), axis, keepDims);
}

/** Whether any element over `axes` is true: `u8` to `u8`. Of nothing: false. */
export function any(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return greater(sum(cast(not(not(withDType('any', 'u8', toTensor(x))))), axes, options), 0);
}

/** Whether all elements over `axes` are true: `u8` to `u8`. Of nothing: true. */
export function all(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return not(any(not(withDType('all', 'u8', toTensor(x))), axes, options));
}

/**
 * Product over `axes` (all of them when left out). An empty product is 1. Halves are multiplied by each other until one
 * element is left, so that derivatives are right where elements are 0.
 */
export function prod(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce('prod', ([t]) => [productOf(t)], floats('prod', x), axes, options);
}

/** The product over the middle axis of [outer, n, inner]. */
function productOf(t: Tensor): Tensor {
  const [outer, , inner] = t.shape as [number, number, number];
  let rest = t;
  let product: Tensor | null = null;
  for (let n = t.shape[1]; n > 0; n = n >> 1) {
    if (n % 2 === 1) {
      const last = reshape(slice(rest, [null, -1]), [outer, inner]);
      product = product === null ? last : mul(product, last);
    }
    if (n === 1) break;
    const half = n >> 1;
    rest = mul(slice(rest, [null, { end: half }]), slice(rest, [null, { begin: half, end: 2 * half }]));
  }
  return product ?? broadcastTo(toTensor(1), [outer, inner]);
}

export interface VarianceOptions extends ReduceOptions {
  /** What is subtracted from the count: 1 is Bessel's correction (PyTorch's default). Default 0, as NumPy. */
  readonly correction?: number;
}

/**
 * Mean square distance from the mean over `axes` (all of them when left out).
 *
 *   Σ (x − mean)² / (n − correction)
 *
 * Its root, the standard deviation, has an infinite derivative where all elements are equal: `sqrt` then gives NaN, so add an epsilon.
 * Throws ShapeError unless more elements than `correction` are reduced.
 */
export function variance(x: TensorLike, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const t = floats('variance', x);
  const { correction = 0 } = options;
  const n = countOver('variance', t, axes);
  if (!(n > correction)) {
    throw new ShapeError(
      `variance: ${n} elements of ${formatShape(t.shape)} are too few for the correction ${correction}`,
    );
  }
  const distance = sub(t, mean(t, axes, { keepDims: true }));
  return div(sum(square(distance), axes, options), n - correction);
}

export interface NormOptions extends ReduceOptions {
  /** The order: 1, 2, any other positive number, or Infinity. Default 2. */
  readonly order?: number;
}

/**
 * The norm of a vector, (Σ |x|^order)^(1/order), over `axes` (all of them when left out); order Infinity: the largest |x|.
 * Elements are divided by the largest |x| first, so that no power of one overflows or vanishes. The derivative where all elements
 * are 0 is 0. Throws RangeError for an order that is not positive.
 */
export function norm(x: TensorLike, axes?: Axes, { order = 2, ...options }: NormOptions = {}): Tensor {
  if (!(order > 0)) throw new RangeError(`norm: order must be positive, got ${order}`);
  const t = floats('norm', x);
  if (order === Infinity) return max(abs(t), axes, options);
  if (order === 1) return sum(abs(t), axes, options);
  if (sizeOf(t.shape) === 0) return sum(t, axes, options);
  const top = largest(abs(t), axes);
  const scale = where(and(greater(top, 0), isFinite(top)), top, 1);
  const part = div(t, scale);
  const total = sum(order === 2 ? square(part) : pow(abs(part), order), axes, { keepDims: true });
  const length = order === 2 ? sqrt(total) : pow(total, 1 / order);
  const result = customGradient({
    name: 'norm',
    forward: () => mul(scale, length),
    gradient({ grad }) {
      // The scaled length is finite where the norm overflows. Where all elements are 0, this is 0 / 1.
      const share = div(part, where(equal(length, 0), 1, length));
      return [mul(grad, order === 2 ? share : mul(sign(share), pow(abs(share), order - 1)))];
    },
  })(t);
  return withoutKept('norm', result, axes, options);
}

/** Removes the reduced axes of a value that kept them, unless keepDims is set. */
function withoutKept(
  where: string,
  kept: Tensor,
  axes: Axes | undefined,
  { keepDims }: ReduceOptions,
): Tensor {
  if (keepDims === true) return kept;
  return reshape(kept, withoutAxes(kept.shape, new Set(resolveAxes(where, axes, kept.rank))));
}

/**
 * ln Σ e^x over `axes` (all of them when left out), without overflow: the largest element is taken out first. −Infinity
 * where all elements are, Infinity where one is. Throws ShapeError over no elements.
 */
export function logSumExp(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const t = floats('logSumExp', x);
  const result = customGradient({
    name: 'logSumExp',
    forward(u) {
      const top = largest(u, axes);
      // An infinite element must not be subtracted from itself.
      const finite = where(isFinite(top), top, 0);
      return add(logTotal(sub(u, finite), axes), finite);
    },
    gradient: ({ inputs: [u], grad }) => [mul(grad, normalizedExp(u, axes))],
  })(t);
  return withoutKept('logSumExp', result, axes, options);
}

/** The largest element as a constant, with the reduced axes kept. */
const largest = (t: Tensor, axes: Axes | undefined): Tensor => stopGradient(max(t, axes, { keepDims: true }));

/**
 * ln Σ e^x of elements whose maximum is 0, with the reduced axes kept. Adding small terms to a 1 would lose their digits, so
 * the sum leaves out one maximum and log1p adds it. The derivative is not that of the formula; callers define it.
 */
function logTotal(x: Tensor, axes: Axes | undefined): Tensor {
  const isLargest = equal(x, 0);
  const total = (t: Tensor): Tensor => sum(t, axes, { keepDims: true });
  return log1p(add(total(where(isLargest, 0, exp(x))), sub(total(cast(isLargest)), 1)));
}

function normalizedExp(t: Tensor, axes: Axes | undefined): Tensor {
  const e = exp(sub(t, largest(t, axes)));
  return div(e, sum(e, axes, { keepDims: true }));
}

/**
 * e^x / Σ e^x along an axis, without overflow. Default: the last axis. −Infinity gives 0. A row with Infinity, or of −Infinity
 * alone, gives NaN everywhere, as in PyTorch.
 */
export function softmax(x: TensorLike, axis = -1): Tensor {
  const t = floats('softmax', x);
  return normalizedExp(t, resolveAxis('softmax', axis, t.rank));
}

/**
 * The logarithm of `softmax`, without the loss of digits where it is near 0 or 1. A row with Infinity, or of −Infinity alone,
 * gives NaN everywhere, as in PyTorch.
 */
export function logSoftmax(x: TensorLike, axis = -1): Tensor {
  const t = floats('logSoftmax', x);
  const at = resolveAxis('logSoftmax', axis, t.rank);
  return customGradient({
    name: 'logSoftmax',
    forward(u) {
      const shifted = sub(u, largest(u, at));
      return sub(shifted, logTotal(shifted, at));
    },
    gradient: ({ output, grad }) => [sub(grad, mul(exp(output), sum(grad, at, { keepDims: true })))],
  })(t);
}

export interface CumsumOptions {
  /** Leave out the element itself: the first sum is 0. Default false. */
  readonly exclusive?: boolean;
  /** Begin at the end of the axis. Default false. */
  readonly reverse?: boolean;
}

/** Sums of all elements up to each one along an axis, added in order. */
export function cumsum(
  x: TensorLike,
  axis: number,
  { exclusive = false, reverse = false }: CumsumOptions = {},
): Tensor {
  const t = floats('cumsum', x);
  const at = resolveAxis('cumsum', axis, t.rank);
  return reshape(runningSum(reshape(t, grouped(t.shape, at)), { exclusive, reverse }), t.shape);
}

/** The sum of products of two vectors. Throws ShapeError unless both are [n]. */
export function dot(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [toTensor(a), toTensor(b)];
  if (x.rank !== 1 || y.rank !== 1 || x.shape[0] !== y.shape[0]) {
    throw new ShapeError(`dot: expects two vectors of one length, got ${formatType(x)} and ${formatType(y)}`);
  }
  return sum(mul(x, y));
}
