/** Quantiles: elements at given positions of the sorted elements. */
import { checkNumber, checkOneOf, checkOptions } from '../options.ts';
import { checkList, countOver, resolveAxes } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, type TensorLike } from './convert.ts';
import { add, isNaN, mul, sub, where } from './elementwise.ts';
import { sort } from './gather.ts';
import { reshape, slice, stack, transpose } from './layout.ts';
import { roundToEven } from './primitives/values.ts';
import type { ReduceOptions } from './reduce.ts';

export interface QuantileOptions extends ReduceOptions {
  /**
   * The value between two elements: on the line through them ('linear'), the lower, the higher or the nearest one, or their mean
   * ('midpoint'). Default 'linear'.
   */
  readonly interpolation?: 'linear' | 'lower' | 'higher' | 'nearest' | 'midpoint';
}

type Interpolation = NonNullable<QuantileOptions['interpolation']>;

/** The place between position floor(p) and the next, from 0 to 1. */
const PLACES: Readonly<Record<Interpolation, (p: number) => number>> = {
  linear: (p) => p - Math.floor(p),
  lower: () => 0,
  higher: (p) => Math.ceil(p) - Math.floor(p),
  nearest: (p) => roundToEven(p) - Math.floor(p),
  midpoint: (p) => (Math.ceil(p) - Math.floor(p)) / 2,
};

/**
 * Quantiles over `axes`, or over all axes if omitted: the value below which the share q of the elements lies, between two elements on
 * the line through them.
 *
 *   position = q · (n − 1) in the sorted elements
 *
 * The result is NaN if any element is. The gradient goes to the one or two elements that the value depends on.
 *
 * Shapes: as in `sum`, with a first axis of size k in front if q is a list of k shares.
 * Source: torch.quantile; numpy.quantile.
 * Throws RangeError if there are no shares, a share is not in [0, 1], or the interpolation is unknown.
 * Throws ShapeError if there are no elements, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example quantile([1, 2, 3, 4], 0.25) // 1.75
 * @example quantile([[1, 2], [3, 5]], [0, 0.5, 1], 1) // [[1, 3], [1.5, 4], [2, 5]]
 */
export function quantile(
  x: TensorLike,
  q: number | readonly number[],
  axes?: number | readonly number[],
  options: QuantileOptions = {},
): Tensor {
  checkOptions('quantile', options, ['interpolation', 'keepDims']);
  return quantileOf('quantile', x, q, axes, options);
}

/**
 * Median over `axes`, or over all axes if omitted. Of an even number of elements it is the mean of the two in the middle, as in NumPy.
 * PyTorch's `median` takes the lower one: `{ interpolation: 'lower' }`.
 *
 * The result is NaN if any element is.
 *
 * Shapes: as in `sum`.
 * Throws RangeError if the interpolation is unknown.
 * Throws ShapeError if there are no elements, x is not `f32`, or an axis does not exist or is given twice.
 * Throws TypeError for an unknown option.
 *
 * @example median([[3, 1, 2], [7, 5, 9]], 1) // [2, 7]
 * @example median([4, 1, 2, 3], 0, { interpolation: 'lower' }) // 2
 */
export function median(
  x: TensorLike,
  axes?: number | readonly number[],
  options: QuantileOptions = {},
): Tensor {
  checkOptions('median', options, ['interpolation', 'keepDims']);
  return quantileOf('median', x, 0.5, axes, options);
}

function quantileOf(
  name: string,
  x: TensorLike,
  q: number | readonly number[],
  axes: number | readonly number[] | undefined,
  { interpolation = 'linear', keepDims = false }: QuantileOptions,
): Tensor {
  checkOneOf(name, 'interpolation', interpolation, Object.keys(PLACES));
  if (typeof q !== 'number') checkList(name, 'q', q);
  const shares = typeof q === 'number' ? [q] : q;
  if (shares.length === 0) throw new RangeError(`${name}: q must have at least one share, got none`);
  for (const share of shares) checkNumber(name, 'q', share, 'a number from 0 to 1', (p) => p >= 0 && p <= 1);
  const t = floats(name, x);
  const n = countOver(name, t.shape, axes);
  const reduced = resolveAxes(name, axes, t.rank);
  const kept = t.shape.map((_, i) => i).filter((i) => !reduced.includes(i));
  const rest = kept.map((i) => t.shape[i]);
  const sorted = sort(reshape(transpose(t, [...kept, ...reduced]), [...rest, n])).values;
  const at = (position: number): Tensor => slice(sorted, [...kept.map(() => null), position]);
  const last = at(n - 1); // NaN sorts last
  const shape = keepDims ? t.shape.map((d, i) => (reduced.includes(i) ? 1 : d)) : rest;
  const results = shares.map((share) => {
    const position = share * (n - 1);
    const [lower, upper] = [at(Math.floor(position)), at(Math.ceil(position))];
    const value = add(lower, mul(sub(upper, lower), PLACES[interpolation](position)));
    return reshape(where(isNaN(last), last, value), shape);
  });
  return typeof q === 'number' ? results[0] : stack(results);
}
