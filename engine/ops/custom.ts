/** Operations of one's own: a composition of others with a derivative that is given instead of derived. */
import { PlanError } from '../errors.ts';
import { defineOp, expectTensor, type Grads, type Vjp } from '../op.ts';
import { checkFunction, checkOptions, checkText, show } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';

type None = Record<never, never>;

export interface CustomOperation {
  /** For error messages. */
  readonly name: string;
  /** The value, made of operations. */
  readonly forward: (...inputs: Tensor[]) => Tensor;
  /**
   * The gradient of each input, made of operations and of the input's shape; null for an input that has none. `grad` is the
   * gradient of the output. Second derivatives are derived from what is written here.
   */
  readonly gradient: (at: {
    readonly inputs: readonly Tensor[];
    readonly output: Tensor;
    readonly grad: Tensor;
  }) => Grads;
}

/**
 * An operation from a composition and its derivative: for a derivative that is cheaper or more accurate than what would be
 * derived, for straight-through estimators, and for clipping gradients. It costs nothing at run time.
 *
 * Using it throws PlanError in `grad` when `gradient` does not give one gradient for each input, of its shape.
 *
 * @example
 * const roundThrough = customGradient({
 *   name: 'roundThrough',
 *   forward: (x) => x.round(),
 *   gradient: ({ grad }) => [grad],
 * });
 */
export function customGradient(operation: CustomOperation): (...inputs: TensorLike[]) => Tensor {
  checkOptions('customGradient', operation, ['name', 'forward', 'gradient']);
  const { name, forward, gradient } = operation;
  checkText('customGradient', 'name', name);
  checkFunction('customGradient', 'forward', forward);
  checkFunction('customGradient', 'gradient', gradient);
  const op = defineOp({
    name: `custom ${name}`,
    alias: true,
    infer: ([y]: readonly TensorType[]) => [y],
    vjp({ inputs: [, ...inputs], outputs, grads }: Vjp<None>): Grads {
      const made = gradient({ inputs, output: outputs[0], grad: grads[0]! });
      if (!Array.isArray(made)) {
        throw new PlanError(`grad: the gradient of ${name} must be an array of gradients, got ${show(made)}`);
      }
      if (made.length !== inputs.length) {
        throw new PlanError(
          `grad: the gradient of ${name} gave ${made.length} gradients for ${inputs.length} inputs ` +
            `(one each; null where there is none)`,
        );
      }
      return [null, ...made];
    },
  });
  return (...inputs) => {
    const tensors = inputs.map((value) => toTensor(name, value));
    const value = forward(...tensors);
    expectTensor(`${name}: forward`, value);
    return op([value, ...tensors], {})[0];
  };
}
