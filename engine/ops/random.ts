/** Randomness inside a graph: a pure function of a key, the step and the element's position (see rng.ts). */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, type Grads, type Vjp } from '../op.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import type { Key } from '../rng.ts';
import { toTensor, type TensorLike } from './create.ts';

export interface DropoutAttrs extends Readonly<Record<string, number>> {
  readonly rate: number;
  readonly key0: number;
  readonly key1: number;
}

/**
 * Inputs x and step (i32 scalar). Element i is kept when word i mod 4 of the Philox block
 * (counter (⌊i/4⌋, 0, step, 0), key) is at least rate · 2^32, and then multiplied by 1 / (1 − rate).
 */
export const dropoutOp = defineOp({
  name: 'dropout',
  infer([x, step]: readonly TensorType[], _attrs: DropoutAttrs) {
    expectDType('dropout', 'f32', x!);
    if (step!.dtype !== 'i32' || step!.shape.length !== 0) {
      throw new ShapeError(`dropout: step must be i32 [] but got ${formatType(step!)}`);
    }
    return [x!];
  },
  vjp: ({ inputs, grads, attrs }: Vjp<DropoutAttrs>): Grads => [
    dropoutOp([grads[0]!, inputs[1]], attrs)[0],
    null,
  ],
  mayReuse: [0],
});

/**
 * Zeroes each element with probability `rate` and scales the others by 1 / (1 − rate), so that the mean stays.
 * The mask is a pure function of (key, step, position). Throws RangeError unless 0 <= rate < 1.
 */
export function dropout(x: TensorLike, rate: number, key: Key, step: TensorLike): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`dropout: rate must lie in [0, 1), got ${rate}`);
  return dropoutOp([toTensor(x), toTensor(step)], { rate, key0: key[0], key1: key[1] })[0];
}
