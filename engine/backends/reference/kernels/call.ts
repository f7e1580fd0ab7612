/** What a reference kernel is, and what several of them need. */
import ndarray, { type NdArray, type TypedArray } from 'ndarray';
import type { Attrs } from '../../../op.ts';
import { broadcastStrides } from '../../../shape.ts';
import type { TensorType } from '../../../types.ts';

export type Nd = NdArray<TypedArray>;

export interface Call {
  readonly inputs: readonly Nd[];
  readonly outputs: readonly Nd[];
  readonly results: readonly TensorType[];
  readonly attrs: Attrs;
  readonly path: string;
}

export type ReferenceKernel = (call: Call) => void;

/** A view of `x` that repeats along the axes along which it broadcasts to `shape`. */
export function broadcast(x: Nd, shape: readonly number[]): Nd {
  return ndarray(x.data, [...shape], broadcastStrides(x.shape, shape), x.offset);
}

/**
 * Sums of products are kept in double precision and rounded once, in every mode: the oracle must be closer to the truth
 * than what it judges.
 */
export function accumulate(
  out: Nd,
  fill: (add: (index: number, value: number) => void) => void,
  finish = (sum: number, _index: number): number => sum,
): void {
  const sums = new Float64Array(out.size);
  fill((index, value) => {
    sums[index] += value;
  });
  for (let i = 0; i < sums.length; i++) out.data[i] = finish(sums[i], i);
}

/** Whether `value` replaces `best` as a maximum: strictly larger, or the first NaN. */
export const wins = (value: number, best: number): boolean =>
  value > best || (Number.isNaN(value) && !Number.isNaN(best));
