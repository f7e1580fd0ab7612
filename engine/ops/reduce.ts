/**
 * Reductions over axes. Free reshapes bring adjacent axes to the form [outer, n, inner], so a backend needs one kernel for
 * each kind of reduction. Groups of axes that are not adjacent are reduced one after the other.
 */
import { ShapeError } from '../errors.ts';
import { withDType } from '../op.ts';
import { checkNumber, checkOptions, show } from '../options.ts';
import { countOver, formatShape, formatType, resolveAxes, resolveAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
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
import { broadcastTo, flip, pad, reshape, slice } from './layout.ts';
import { reduceOps, runningSum } from './primitives/reduce.ts';

type None = Record<never, never>;
const none: None = {};

export interface ReduceOptions {
  /** Keep reduced axes with size 1. Default false. */
  readonly keepDims?: boolean;
}

type Axes = number | readonly number[];

function reduce(
  where: string,
  op: (inputs: readonly Tensor[], attrs: None) => readonly Tensor[],
  x: TensorLike,
  axes: Axes | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  const t = floats(where, x); // checked here, because errors should show the caller's shape
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

/** [outer, n, inner], where axes begin … end − 1 form the middle axis. */
const grouped = (shape: Shape, begin: number, end = begin + 1): number[] =>
  [shape.slice(0, begin), shape.slice(begin, end), shape.slice(end)].map(sizeOf);

const withoutAxes = (shape: Shape, axes: ReadonlySet<number>): Shape => shape.filter((_, i) => !axes.has(i));

/**
 * Sum over `axes`, or over all axes if omitted. An empty sum is 0.
 *
 * Long sums are added in parts, which keeps rounding errors small. The order of additions depends on the shape only.
 *
 * Shapes: x `f32` -> `f32` without the reduced axes, or with size 1 in their place if `keepDims`.
 * Throws ShapeError if x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example sum([[1, 2], [3, 4]], 0) // [4, 6]
 */
export function sum(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('sum', options, ['keepDims']);
  return reduce('sum', reduceOps.sum, x, axes, options);
}

/**
 * Arithmetic mean over `axes`, or over all axes if omitted.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no elements to average, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example mean([[1, 2], [3, 4]], 1) // [1.5, 3.5]
 */
export function mean(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('mean', options, ['keepDims']);
  const t = floats('mean', x);
  const n = countOver('mean', t.shape, axes);
  return div(sum(t, axes, options), n);
}

/**
 * Maximum over `axes`, or over all axes if omitted. The result is NaN if any element is.
 *
 * The gradient goes to the first maximum only.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no elements, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example max([[1, 5], [7, 2]], 1) // [5, 7]
 */
export function max(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('max', options, ['keepDims']);
  const t = floats('max', x);
  countOver('max', t.shape, axes);
  return reduce('max', reduceOps.max, t, axes, options);
}

/**
 * Minimum over `axes`, or over all axes if omitted. The result is NaN if any element is.
 *
 * The gradient goes to the first minimum only.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no elements, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example min([[1, 5], [7, 2]], 1) // [1, 2]
 */
export function min(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('min', options, ['keepDims']);
  const t = floats('min', x);
  countOver('min', t.shape, axes);
  return neg(max(neg(t), axes, options));
}

/**
 * Position of the maximum along an axis, or in the flattened tensor (row-major) if the axis is omitted.
 *
 * Ties go to the first maximum. NaN counts as larger than every number.
 *
 * Shapes: x `f32` -> `i32` without the axis, or with size 1 in its place if `keepDims`.
 * Throws ShapeError if there are no elements, x is not `f32`, or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example argMax([[1, 5], [7, 2]], 1) // [1, 0]
 */
export function argMax(x: TensorLike, axis?: number, options: ReduceOptions = {}): Tensor {
  checkOptions('argMax', options, ['keepDims']);
  return position('argMax', floats('argMax', x), axis, options.keepDims);
}

function position(where: string, t: Tensor, axis: number | undefined, keepDims = false): Tensor {
  countOver(where, t.shape, axis);
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

/**
 * Position of the minimum along an axis, or in the flattened tensor (row-major) if the axis is omitted.
 *
 * Ties go to the first minimum. NaN counts as smaller than every number.
 *
 * Shapes: x `f32` -> `i32` without the axis, or with size 1 in its place if `keepDims`.
 * Throws ShapeError if there are no elements, x is not `f32`, or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example argMin([[1, 5], [7, 2]], 1) // [0, 1]
 */
export function argMin(x: TensorLike, axis?: number, options: ReduceOptions = {}): Tensor {
  checkOptions('argMin', options, ['keepDims']);
  return position('argMin', neg(floats('argMin', x)), axis, options.keepDims);
}

/**
 * 1 where at least one element over `axes` is nonzero, else 0. Over no elements: 0.
 *
 * Shapes: x `u8` -> `u8`, otherwise as in `sum`.
 * Throws ShapeError if x is not `u8`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example any(greater([[1, 5], [1, 2]], 3), 1) // [1, 0]
 */
export function any(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('any', options, ['keepDims']);
  const t = withDType('any', 'u8', toTensor('any', x));
  resolveAxes('any', axes, t.rank); // errors name this function, not sum
  return greater(sum(cast(not(not(t))), axes, options), 0);
}

/**
 * 1 where every element over `axes` is nonzero, else 0. Over no elements: 1.
 *
 * Shapes: x `u8` -> `u8`, otherwise as in `sum`.
 * Throws ShapeError if x is not `u8`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example all(greater([[4, 5], [1, 2]], 3), 1) // [1, 0]
 */
export function all(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('all', options, ['keepDims']);
  const t = withDType('all', 'u8', toTensor('all', x));
  resolveAxes('all', axes, t.rank);
  return not(any(not(t), axes, options));
}

/**
 * Product over `axes`, or over all axes if omitted. An empty product is 1.
 *
 * Elements are multiplied in pairs, and the results again, so gradients are correct where elements are 0.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example prod([[1, 2], [3, 4]], 1) // [2, 12]
 */
export function prod(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('prod', options, ['keepDims']);
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
  return product ?? broadcastTo(toTensor('prod', 1), [outer, inner]);
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements. 1 is Bessel's correction, PyTorch's default. Default 0, as in NumPy. */
  readonly correction?: number;
}

/**
 * Variance over `axes`, or over all axes if omitted.
 *
 *   Σ (x − mean)² / (n − correction)
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no more elements than `correction`, x is not `f32`, or an axis does not exist or is given
 * twice.
 * Throws TypeError for an unknown option.
 *
 * @example variance([1, 2, 3, 4]) // 1.25
 */
export function variance(x: TensorLike, axes?: Axes, options: VarianceOptions = {}): Tensor {
  checkOptions('variance', options, ['correction', 'keepDims']);
  return varianceOf('variance', x, axes, options);
}

function varianceOf(where: string, x: TensorLike, axes: Axes | undefined, options: VarianceOptions): Tensor {
  const t = floats(where, x);
  const { correction = 0, ...reduction } = options;
  checkNumber(where, 'correction', correction);
  const n = countOver(where, t.shape, axes);
  if (!(n > correction)) {
    throw new ShapeError(
      `${where}: needs more elements than the correction ${correction}, got ${n} in ${formatShape(t.shape)}`,
    );
  }
  const distance = sub(t, mean(t, axes, { keepDims: true }));
  return div(sum(square(distance), axes, reduction), n - correction);
}

const deviation = customGradient({
  name: 'std',
  forward: (x) => sqrt(x),
  gradient({ output, grad }) {
    const isZero = equal(output, 0);
    return [where(isZero, 0, div(mul(grad, 0.5), where(isZero, 1, output)))];
  },
});

/**
 * Standard deviation over `axes`, or over all axes if omitted: the square root of `variance`.
 *
 * The default correction is 0, as in NumPy. PyTorch's `std` has 1. The gradient is 0 where all elements are equal, as in PyTorch.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no more elements than `correction`, x is not `f32`, or an axis does not exist or is given
 * twice.
 * Throws TypeError for an unknown option.
 *
 * @example std([1, 2, 3, 4]) // 1.118
 * @example std([1, 2, 3, 4], 0, { correction: 1 }) // 1.291
 */
export function std(x: TensorLike, axes?: Axes, options: VarianceOptions = {}): Tensor {
  checkOptions('std', options, ['correction', 'keepDims']);
  return deviation(varianceOf('std', x, axes, options));
}

export interface NormOptions extends ReduceOptions {
  /** Order of the norm: a positive number, or Infinity for the largest |x|. Default 2. */
  readonly order?: number;
}

/**
 * Vector norm over `axes`, or over all axes if omitted.
 *
 *   (Σ |x|^order)^(1 / order)
 *
 * Elements are first divided by the largest |x|, so powers neither overflow nor underflow. The gradient is 0 where all
 * elements are 0.
 *
 * Shapes: as in `sum`.
 * Throws RangeError if the order is not positive.
 * Throws ShapeError if x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example norm([3, 4]) // 5
 */
export function norm(x: TensorLike, axes?: Axes, options: NormOptions = {}): Tensor {
  checkOptions('norm', options, ['order', 'keepDims']);
  const { order = 2, ...reduction } = options;
  if (typeof order !== 'number' || !(order > 0)) {
    throw new RangeError(`norm: order must be positive, got ${show(order)}`);
  }
  const t = floats('norm', x);
  resolveAxes('norm', axes, t.rank);
  if (order === Infinity) return max(abs(t), axes, reduction);
  if (order === 1) return sum(abs(t), axes, reduction);
  if (sizeOf(t.shape) === 0) return sum(t, axes, reduction);
  const top = largest(abs(t), axes);
  const scale = where(and(greater(top, 0), isFinite(top)), top, 1);
  const part = div(t, scale);
  const total = sum(order === 2 ? square(part) : pow(abs(part), order), axes, { keepDims: true });
  const length = order === 2 ? sqrt(total) : pow(total, 1 / order);
  const result = customGradient({
    name: 'norm',
    forward: () => mul(scale, length),
    gradient({ grad }) {
      // The scaled length is finite even where the norm overflows. If all elements are 0, this is 0 / 1.
      const share = div(part, where(equal(length, 0), 1, length));
      return [mul(grad, order === 2 ? share : mul(sign(share), pow(abs(share), order - 1)))];
    },
  })(t);
  return withoutKept('norm', result, axes, reduction);
}

/** Removes the reduced axes of a result that kept them, unless `keepDims` is set. */
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
 * Natural logarithm of Σ e^x over `axes`, or over all axes if omitted, without overflow.
 *
 * The result is −Infinity if all elements are, and Infinity if one is.
 *
 * Shapes: as in `sum`.
 * Throws ShapeError if there are no elements, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example logSumExp([1000, 1000]) // 1000.69
 */
export function logSumExp(x: TensorLike, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkOptions('logSumExp', options, ['keepDims']);
  const t = floats('logSumExp', x);
  countOver('logSumExp', t.shape, axes);
  const result = customGradient({
    name: 'logSumExp',
    forward(u) {
      const top = largest(u, axes);
      // Infinity − Infinity would be NaN.
      const finite = where(isFinite(top), top, 0);
      return add(logTotal(sub(u, finite), axes), finite);
    },
    gradient: ({ inputs: [u], grad }) => [mul(grad, normalizedExp(u, axes))],
  })(t);
  return withoutKept('logSumExp', result, axes, options);
}

/** The maximum as a constant, with the reduced axes kept. */
const largest = (t: Tensor, axes: Axes | undefined): Tensor => stopGradient(max(t, axes, { keepDims: true }));

/**
 * ln Σ e^x of elements whose maximum is 0, with the reduced axes kept. Small terms would lose digits next to the 1 of the
 * maximum, so the sum leaves out one maximum and log1p adds it. Callers define the derivative, which is not that of the
 * formula.
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
 * Softmax along an axis, the last by default: e^x / Σ e^x, without overflow.
 *
 * −Infinity gives 0. If a row has an Infinity, or consists of −Infinity, all its results are NaN, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 *
 * @example softmax([[0, 1], [2, 2]]) // [[0.2689, 0.7311], [0.5, 0.5]]
 */
export function softmax(x: TensorLike, axis = -1): Tensor {
  const t = floats('softmax', x);
  const at = resolveAxis('softmax', axis, t.rank);
  countOver('softmax', t.shape, at);
  return normalizedExp(t, at);
}

/**
 * Natural logarithm of the softmax along an axis, the last by default. It is accurate where the softmax is near 0 or 1.
 *
 * If a row has an Infinity, or consists of −Infinity, all its results are NaN, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 *
 * @example logSoftmax([[0, 1], [2, 2]]) // [[-1.313, -0.3133], [-0.6931, -0.6931]]
 */
export function logSoftmax(x: TensorLike, axis = -1): Tensor {
  const t = floats('logSoftmax', x);
  const at = resolveAxis('logSoftmax', axis, t.rank);
  countOver('logSoftmax', t.shape, at);
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
  /** Exclude the element itself, so the first sum is 0, and the first product 1. Default false. */
  readonly exclusive?: boolean;
  /** Start at the end of the axis. Default false. */
  readonly reverse?: boolean;
}

/**
 * Cumulative sum along an axis, added in order.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example cumsum([1, 2, 3], 0) // [1, 3, 6]
 */
export function cumsum(x: TensorLike, axis: number, options: CumsumOptions = {}): Tensor {
  checkOptions('cumsum', options, ['exclusive', 'reverse']);
  const { exclusive = false, reverse = false } = options;
  const t = floats('cumsum', x);
  const at = resolveAxis('cumsum', axis, t.rank);
  return reshape(runningSum(reshape(t, grouped(t.shape, at)), { exclusive, reverse }), t.shape);
}

/**
 * Cumulative product along an axis. Gradients are correct where elements are 0.
 *
 * Products are combined in pairs at distances 1, 2, 4, …, so the order of multiplications depends on the shape only.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32` or the axis does not exist.
 * Throws TypeError for an unknown option.
 *
 * @example cumprod([1, 2, 3, 4], 0) // [1, 2, 6, 24]
 * @example cumprod([1, 2, 3, 4], 0, { exclusive: true }) // [1, 1, 2, 6]
 */
export function cumprod(x: TensorLike, axis: number, options: CumsumOptions = {}): Tensor {
  checkOptions('cumprod', options, ['exclusive', 'reverse']);
  const { exclusive = false, reverse = false } = options;
  const t = floats('cumprod', x);
  const at = resolveAxis('cumprod', axis, t.rank);
  const n = t.shape[at];
  /** The elements `distance` earlier along the axis, and 1 where there are none. */
  const earlier = (y: Tensor, distance: number): Tensor =>
    pad(
      slice(
        y,
        y.shape.map((_, i) => (i === at ? { end: n - distance } : null)),
      ),
      y.shape.map((_, i) => [i === at ? distance : 0, 0]),
      { value: 1 },
    );
  let y = reverse ? flip(t, at) : t;
  if (exclusive && n > 0) y = earlier(y, 1);
  for (let distance = 1; distance < n; distance *= 2) y = mul(y, earlier(y, distance));
  return reverse ? flip(y, at) : y;
}

/**
 * Dot product of two vectors.
 *
 * Shapes: a `f32` [n], b `f32` [n] -> `f32` [].
 * Throws ShapeError unless a and b are `f32` vectors of the same length.
 *
 * @example dot([1, 2, 3], [4, 5, 6]) // 32
 */
export function dot(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [toTensor('dot', a), toTensor('dot', b)];
  if (x.rank !== 1 || y.rank !== 1 || x.shape[0] !== y.shape[0]) {
    throw new ShapeError(
      `dot: expects two vectors of the same length but got ${formatType(x)} and ${formatType(y)}`,
    );
  }
  return sum(mul(withDType('dot', 'f32', x), withDType('dot', 'f32', y)));
}
