/** Second derivatives of operations that have a kernel for their first one. */
import { grad } from '../grad.ts';
import { defineOp, type Attrs, type Grads, type Vjp } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { add, mul } from './elementwise.ts';
import { sum } from './reduce.ts';

const copyOp = defineOp({
  name: 'copy of an input',
  alias: true,
  infer: ([x]: readonly TensorType[]) => [x],
  vjp: ({ grads }: Vjp<Record<never, never>>): Grads => [grads[0]!],
});

/**
 * The derivative rule of an operation, derived from a composition that computes the same. For operations whose kernel has no
 * derivative written by hand. `compose` must compute every result.
 */
export function composed<A extends Attrs>(
  compose: (inputs: readonly Tensor[], attrs: A) => readonly Tensor[],
): (at: Vjp<A>) => Grads {
  return ({ inputs, grads, attrs, needs }) => {
    // Copies: the incoming gradients may depend on the inputs too, and must not be differentiated here.
    const copies = inputs.map((x) => copyOp([x], {})[0]);
    const parts = compose(copies, attrs).flatMap((result, i) =>
      grads[i] === null || grads[i] === undefined ? [] : [sum(mul(result, grads[i]))],
    );
    const wanted = copies.filter((_, i) => needs(i));
    const gradients = grad(
      parts.reduce((total, part) => add(total, part)),
      wanted,
    );
    return copies.map((copy) => (wanted.includes(copy) ? gradients[wanted.indexOf(copy)] : null));
  };
}
