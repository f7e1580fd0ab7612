/** What the tables of operations hold: how a case of one operation is drawn, and how its graph is built. */
import type { DType, Shape, Tensor } from 'cyclegrad';
import type { Attrs, Budget, Order, Values } from '../case.ts';
import type { Draws } from '../draws.ts';

/** An input without its role, which is drawn for all operations in the same way. */
export interface Drawn {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: Values;
}

export interface Sketch {
  readonly inputs: readonly Drawn[];
  readonly attrs?: Attrs;
  /** Default: 2. */
  readonly order?: Order;
  /** The inputs to differentiate by. Default: every `f32` input. */
  readonly wrt?: readonly number[];
  /** Default: 'tensor'. */
  readonly budget?: Budget;
  /** Default: true. */
  readonly perturbed?: boolean;
  /** Results to compare, by position. Default: all. */
  readonly results?: readonly number[];
}

// Attributes are drawn by the same table that reads them, so their types need no checks at run time.
// oxlint-disable-next-line typescript/no-explicit-any -- see above
export type Given = any;

export interface Operation {
  draw(draws: Draws): Sketch;
  build(inputs: readonly Tensor[], attrs: Given): Tensor | readonly Tensor[];
  /** The number of results. Default: 1. */
  readonly results?: number;
}

export type Operations = Readonly<Record<string, Operation>>;

export const f32 = (shape: Shape, values: Values): Drawn => ({ shape, dtype: 'f32', values });
export const i32 = (shape: Shape, below: number): Drawn => ({
  shape,
  dtype: 'i32',
  values: { kind: 'integers', below },
});
export const u8 = (shape: Shape, below: number): Drawn => ({
  shape,
  dtype: 'u8',
  values: { kind: 'integers', below },
});

export const normal = (deviation = 1, mean = 0): Values => ({ kind: 'normal', mean, deviation });
export const uniform = (low: number, high: number): Values => ({ kind: 'uniform', low, high });
export const distinct: Values = { kind: 'distinct' };
export const ties: Values = { kind: 'ties', values: [-1, 0, 0.5, 2] };

/** Ordinary data, sometimes scaled or far from 0. */
export function ordinary(draws: Draws): Values {
  if (draws.chance(0.7)) return normal();
  return draws.chance(0.5)
    ? normal(draws.pick([1e-6, 1e-3, 30, 1e4]))
    : normal(1, draws.pick([-300, 10, 1000]));
}
