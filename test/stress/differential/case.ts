/** What a case is. A case is plain JSON: the values of its inputs are drawn from its seed and their distributions. */
import type { DType, Shape } from 'cyclegrad';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Attrs = Readonly<Record<string, Json>>;

/** How the elements of an input are drawn. Numbers that JSON lacks are strings: 'NaN', 'Infinity', '-Infinity', '-0'. */
export type Values =
  | { readonly kind: 'normal'; readonly mean: number; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  /** A shuffled grid: no two elements are equal or close. */
  | { readonly kind: 'distinct' }
  /** Few small values, so many elements are equal. */
  | { readonly kind: 'ties'; readonly values: readonly number[] }
  /** A uniform exponent of 2 from `low` to `high`, and a uniform significand. */
  | {
      readonly kind: 'binades';
      readonly low: number;
      readonly high: number;
      readonly signs: 'both' | 'positive';
    }
  /** The points and their neighbors in single precision. */
  | { readonly kind: 'near'; readonly points: readonly number[] }
  | { readonly kind: 'listed'; readonly values: readonly (number | string)[] }
  /** Integers from 0 to below - 1. */
  | { readonly kind: 'integers'; readonly below: number }
  /** Rows of positive numbers that sum to 1. */
  | { readonly kind: 'probabilities' };

/** A fed input, a constant of the graph, or an array of the state. */
export type Role = 'input' | 'constant' | 'state';

export interface Input {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: Values;
  readonly role: Role;
}

export interface Node {
  readonly op: string;
  /** Values by number: inputs come first, then the results of each node. */
  readonly args: readonly number[];
  readonly attrs: Attrs;
}

/** Derivatives to compare besides the values: none, the gradient, or also the product of the Hessian and a vector. */
export type Order = 0 | 1 | 2;

/**
 * What the error of an element is compared with: `element` its own budget, `tensor` the largest budget of the tensor, `exact`
 * nothing, because values are only moved.
 */
export type Budget = 'element' | 'tensor' | 'exact';

/** A graph of operations. Its gradient is that of the sum of all outputs, each element with a random weight. */
export interface GraphCase {
  readonly kind: 'graph';
  readonly family: string;
  readonly seed: number;
  readonly inputs: readonly Input[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly number[];
  /** The inputs to differentiate by. */
  readonly wrt: readonly number[];
  readonly order: Order;
  readonly budget: Budget;
  /** Whether the effect of rounding the inputs is part of the budget. It is not where such a change changes a choice. */
  readonly perturbed: boolean;
}

export interface OptimizerCase {
  readonly kind: 'optimizer';
  readonly family: string;
  readonly seed: number;
  readonly optimizer: string;
  readonly options: Attrs;
  readonly clip: { readonly norm?: number; readonly value?: number } | null;
  readonly accumulate: number;
  readonly average: number | null;
  readonly shapes: readonly (readonly number[])[];
  readonly multipliers: readonly { readonly lrMult: number; readonly decayMult: number }[];
  /** The standard deviation of the gradients. */
  readonly scale: number;
  /** The learning rate of each update. */
  readonly rates: readonly number[];
}

export interface ScheduleCase {
  readonly kind: 'schedule';
  readonly family: string;
  readonly seed: number;
  readonly schedule: string;
  readonly options: Attrs;
  readonly steps: number;
}

export type Case = GraphCase | OptimizerCase | ScheduleCase;
