/** What turns plan steps into kernels: a lowering for each operation, typed by its attributes. */
import type { Attrs } from '../../op.ts';
import type { AttrsOf, OpName } from '../../ops/primitives/index.ts';
import type { FusedAttrs, FusedName } from '../../plan/fusions/index.ts';
import type { KernelName, Step } from '../../plan/plan.ts';
import type { TensorType } from '../../types.ts';
import type { KernelAttrs } from '../backend.ts';
import type { BufferId, BufferView, KernelSource } from './kernel.ts';

/** Inputs and results of a plan step, with their buffers. */
export interface Operands {
  readonly inputs: readonly BufferId[];
  readonly outputs: readonly BufferId[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
}

/** What a lowering works with, besides the attributes of the step. */
export interface LoweringContext extends Operands {
  /** The most arguments that one kernel may have. */
  readonly maxArguments: number;
  /** Whether kernels may work on vectors. */
  readonly vectors: boolean;
  readonly emit: (source: KernelSource) => void;
  readonly check: (check: Check) => void;
  /** Allocates a buffer of this many floats for the rest of the step. */
  readonly scratch: (elements: number) => BufferId;
}

/** Emits the kernels of a step whose attributes are `A`. */
export type Lowering<A = unknown> = (context: LoweringContext & { readonly attrs: A }) => void;

/** Why an element stops a run: a label or an index outside 0 … n − 1, or a value that is not finite. */
export type Failure =
  | { readonly kind: 'label' | 'index'; readonly n: number }
  | { readonly kind: 'not finite'; readonly label: string };

/** Stops a run at the first of `count` elements for which `wrong` holds. */
export interface Check {
  readonly failure: Failure;
  readonly count: number;
  readonly args: Readonly<Record<string, BufferView>>;
  /** A condition on element `i`. */
  readonly wrong: string;
  /** The value for the error message: an i32 as its two halves, or a float. Expressions of `i`. */
  readonly value: readonly [low: string, high: string];
}

/** The attributes of operation N, which one lowering computes with or without what fusion F adds. */
export type FusableAttrs<N extends OpName, F extends FusedName> = AttrsOf<N> & Partial<FusedAttrs<F>>;

/** The attributes of a step by its name. */
export type StepAttrs<N extends Step['op']> = N extends FusedName
  ? FusedAttrs<N>
  : N extends KernelName
    ? KernelAttrs<N>
    : Attrs;
