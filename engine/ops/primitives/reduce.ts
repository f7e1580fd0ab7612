/**
 * Reductions of [outer, n, inner] over the middle axis, so a backend needs one kernel for each kind of reduction. The functions in
 * ../reduce.ts bring any set of axes to this form with free reshapes.
 */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank, type Vjp } from '../../op.ts';
import { formatShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { scatterAddAlongAxis } from '../gather.ts';
import { broadcastTo, reshape } from '../layout.ts';

type None = Record<never, never>;

/** `exclusive` leaves out the element itself. `reverse` sums from the end. */
type Running = { readonly exclusive: boolean; readonly reverse: boolean };

const FORM = '[outer, n, inner]';

export const reduceOps = {
  sum: defineOp({
    name: 'sum',
    infer([x]: readonly TensorType[]): readonly TensorType[] {
      expectDType('sum', 'f32', x);
      expectRank('sum', x, 3, FORM);
      return [{ shape: [x.shape[0], x.shape[2]], dtype: 'f32' }];
    },
    vjp({ inputs, grads }: Vjp<None>) {
      const [outer, , inner] = inputs[0].shape as [number, number, number];
      return [broadcastTo(reshape(grads[0]!, [outer, 1, inner]), inputs[0].shape)];
    },
    flops: ([x]) => sizeOf(x.shape),
  }),

  /** Maxima, and their positions along the reduced axis, i32, both [outer, inner]. The first maximum wins, or the first NaN. */
  max: defineOp({
    name: 'max',
    infer([x]: readonly TensorType[]): readonly TensorType[] {
      expectDType('max', 'f32', x);
      expectRank('max', x, 3, FORM);
      if (x.shape[1] === 0)
        throw new ShapeError(`max: no elements along the reduced axis of ${formatShape(x.shape)}`);
      const shape = [x.shape[0], x.shape[2]];
      return [
        { shape, dtype: 'f32' },
        { shape, dtype: 'i32' },
      ];
    },
    vjp({ inputs, outputs, grads }: Vjp<None>) {
      const [outer, n, inner] = inputs[0].shape as [number, number, number];
      const one = [outer, 1, inner];
      return [scatterAddAlongAxis(reshape(grads[0]!, one), reshape(outputs[1], one), n, 1)];
    },
  }),

  cumsum: defineOp({
    name: 'cumsum',
    infer([x]: readonly TensorType[], _attrs: Running): readonly TensorType[] {
      expectDType('cumsum', 'f32', x);
      expectRank('cumsum', x, 3, FORM);
      return [x];
    },
    vjp: ({ grads, attrs: { exclusive, reverse } }: Vjp<Running>) => [
      runningSum(grads[0]!, { exclusive, reverse: !reverse }),
    ],
    mayReuse: [0],
    flops: ([x]) => sizeOf(x.shape),
  }),
};

/** Cumulative sum along the middle axis of [outer, n, inner]. */
export const runningSum = (x: Tensor, attrs: Running): Tensor => reduceOps.cumsum([x], attrs)[0];
