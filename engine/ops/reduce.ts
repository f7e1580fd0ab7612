/**
 * Reductions over axes. Any set of axes is brought to the form [outer, n, inner] by free reshapes, so a backend has
 * one kernel for each kind of reduction; axes that do not touch are reduced one group after the other.
 */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, expectRank, type Vjp } from '../op.ts';
import { formatShape, resolveAxes, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { mul } from './elementwise.ts';
import { broadcastTo, reshape } from './layout.ts';

type None = Record<never, never>;
const none: None = {};

export const sumOp = defineOp({
  name: 'sum',
  infer([x]: readonly TensorType[]) {
    expectDType('sum', 'f32', x!);
    expectRank('sum', x!, 3, '[outer, n, inner]');
    return [{ shape: [x!.shape[0], x!.shape[2]], dtype: 'f32' }];
  },
  vjp({ inputs, grads }: Vjp<None>) {
    const [outer, , inner] = inputs[0].shape as [number, number, number];
    return [broadcastTo(reshape(grads[0]!, [outer, 1, inner]), inputs[0].shape)];
  },
  flops: ([x]) => sizeOf(x!.shape),
});

/** Results: the maxima, and the position of each along the reduced axis. The first maximum wins; so does the first NaN. */
export const maxOp = defineOp({
  name: 'max',
  infer([x]: readonly TensorType[]) {
    expectDType('max', 'f32', x!);
    expectRank('max', x!, 3, '[outer, n, inner]');
    if (x!.shape[1] === 0)
      throw new ShapeError(`max: no elements along the reduced axis of ${formatShape(x!.shape)}`);
    const shape = [x!.shape[0], x!.shape[2]];
    return [
      { shape, dtype: 'f32' },
      { shape, dtype: 'i32' },
    ];
  },
  vjp: ({ inputs, outputs, grads }: Vjp<None>) => [
    maxGradOp([grads[0]!, outputs[1]], { n: inputs[0].shape[1] })[0],
  ],
});

/** Puts each gradient at the position of its maximum. */
export const maxGradOp = defineOp({
  name: 'maxGrad',
  infer([g, at]: readonly TensorType[], { n }: { readonly n: number }) {
    expectDType('maxGrad', 'f32', g!);
    expectDType('maxGrad', 'i32', at!);
    return [{ shape: [g!.shape[0], n, g!.shape[1]], dtype: 'f32' }];
  },
  vjp: null,
});

export interface ReduceOptions {
  /** Keep reduced axes with size 1. */
  readonly keepDims?: boolean;
}

function reduce(
  where: string,
  op: (inputs: readonly Tensor[], attrs: None) => readonly Tensor[],
  x: TensorLike,
  axes: number | readonly number[] | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  const t = toTensor(x);
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
    const [outer, n, inner] = [shape.slice(0, begin), shape.slice(begin, end), shape.slice(end)].map(sizeOf);
    const [flat] = op([reshape(result, [outer!, n!, inner!])], none);
    const kept = shape.map((d, i) => (i >= begin && i < end ? 1 : d));
    result = reshape(flat!, kept);
    end = begin;
  }
  return keepDims
    ? result
    : reshape(
        result,
        t.shape.filter((_, i) => !reduced.has(i)),
      );
}

/** Sum over `axes` (all of them when left out). An empty sum is 0. */
export function sum(x: TensorLike, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  return reduce('sum', sumOp, x, axes, options);
}

/** Mean over `axes` (all of them when left out). Throws ShapeError over no elements. */
export function mean(x: TensorLike, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  const t = toTensor(x);
  const n = sizeOf(resolveAxes('mean', axes, t.rank).map((axis) => t.shape[axis]));
  if (n === 0) throw new ShapeError(`mean: no elements along the reduced axes of ${formatShape(t.shape)}`);
  return mul(sum(t, axes, options), 1 / n);
}

/**
 * Largest element over `axes` (all of them when left out). NaN wins over every number. The gradient goes to the first
 * maximum alone. Throws ShapeError over no elements.
 */
export function max(x: TensorLike, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  return reduce('max', maxOp, x, axes, options);
}
