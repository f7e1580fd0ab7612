/** Derivatives of operations that have a composition of other operations with the same result. */
import { grad } from '../../grad.ts';
import { defineOp, type Attrs, type Grads, type Vjp } from '../../op.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { add, mul } from '../elementwise.ts';
import { sum } from '../reduce.ts';

type None = Record<never, never>;

const copyOp = defineOp({
  name: 'copy of an input',
  alias: true,
  infer: ([x]: readonly TensorType[]) => [x],
  vjp: ({ grads }: Vjp<None>): Grads => [grads[0]!],
});

/**
 * Returns the derivative rule of an operation. It differentiates `compose`, a composition of other operations that must return all
 * results of the operation. Gradient operations with their own kernels get their derivatives from it.
 */
export function composed<A extends Attrs>(
  compose: (inputs: readonly Tensor[], attrs: A) => readonly Tensor[],
): (at: Vjp<A>) => Grads {
  return ({ inputs, grads, attrs, needs }) => {
    // Differentiate by copies of the inputs: the incoming gradients may depend on the inputs too.
    const copies = inputs.map((x) => copyOp([x], {})[0]);
    const parts = compose(copies, attrs).flatMap((result, i) =>
      grads[i] === null || grads[i] === undefined ? [] : [sum(mul(result, grads[i]))],
    );
    const wanted = copies.filter((_, i) => needs(i));
    const found = grad(
      parts.reduce((total, part) => add(total, part)),
      wanted,
    );
    return copies.map((copy) => (wanted.includes(copy) ? found[wanted.indexOf(copy)] : null));
  };
}
