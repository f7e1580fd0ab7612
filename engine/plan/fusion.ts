/** What a fusion is: a step that stands for several, declared once with `defineFusion`. */
import type { Attrs } from '../op.ts';
import type { Rewrite, StepGraph } from './step-graph.ts';
import type { AnyStep, StepOf } from './step.ts';

/** A fused step and the steps that it stands for. */
export interface Fused<A extends Attrs> extends Omit<Rewrite, 'op' | 'attrs'> {
  readonly attrs: A;
  /** Steps that change together with it. */
  readonly along?: readonly Rewrite[];
}

export interface FusionDef<N extends string, A extends Attrs> {
  readonly name: N;
  /**
   * Inputs whose buffer the first result may overwrite when they are used no more: element by element in the end. 'all': any
   * result, the buffer of any input.
   */
  readonly mayReuse?: readonly number[] | 'all';
  /** The fused step of a pattern that ends with `step`; null where there is none. It changes nothing. */
  match?(step: AnyStep, graph: StepGraph): Fused<A> | null;
}

export interface Fusion<N extends string, A extends Attrs> extends FusionDef<N, A> {
  /** Whether a step is of this fusion. */
  is(step: AnyStep | null): step is StepOf<N, A>;
}

/** Declares a fusion. Backends that have a kernel of its name get its steps. */
export function defineFusion<const N extends string, A extends Attrs>(def: FusionDef<N, A>): Fusion<N, A> {
  return { ...def, is: (step): step is StepOf<N, A> => step?.op === def.name };
}
