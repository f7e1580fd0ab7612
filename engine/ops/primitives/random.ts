/** Random numbers inside a graph: pure functions of a key, the step and the position of the element (see rng.ts). */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
import { checkShape, formatType } from '../../shape.ts';
import type { Shape, TensorType } from '../../types.ts';

export type DropoutAttrs = {
  readonly rate: number;
  readonly key0: number;
  readonly key1: number;
};

/**
 * x [...], step i32 [] -> [...]. Element i is kept if word i mod 4 of the Philox block (counter (⌊i/4⌋, 0, step, 0), key) is at least
 * rate · 2^32, and then multiplied by 1 / (1 − rate).
 */
export const dropoutOp = defineOp({
  name: 'dropout',
  infer([x, step]: readonly TensorType[], _attrs: DropoutAttrs) {
    expectDType('dropout', 'f32', x);
    expectStep('dropout', step);
    return [x];
  },
  vjp: ({ inputs, grads, attrs }: Vjp<DropoutAttrs>): Grads => [
    dropoutOp([grads[0]!, inputs[1]], attrs)[0],
    null,
  ],
  mayReuse: [0],
});

export type RandomAttrs = {
  readonly distribution: 'uniform' | 'normal';
  readonly shape: Shape;
  readonly key0: number;
  readonly key1: number;
};

/**
 * step i32 [] -> f32 of `shape`. Element i depends only on word i mod 4 of the Philox block (counter (⌊i/4⌋, 0, step, 0), key).
 * Uniform: ⌊word / 2^8⌋ / 2^24. Normal: `normalOf(word)` of rng.ts, computed in double precision and rounded to single.
 */
export const randomOp = defineOp({
  name: 'random',
  infer([step]: readonly TensorType[], { shape }: RandomAttrs): readonly TensorType[] {
    expectStep('random', step);
    checkShape('random', shape);
    return [{ shape, dtype: 'f32' }];
  },
  vjp: () => [null],
});

/** Throws ShapeError unless the step is i32 []. */
export function expectStep(where: string, step: TensorType): void {
  if (step.dtype !== 'i32' || step.shape.length !== 0) {
    throw new ShapeError(`${where}: step must be i32 [] but got ${formatType(step)}`);
  }
}

export const randomOps = {
  dropout: dropoutOp,
  random: randomOp,
};
