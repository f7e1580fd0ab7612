/** What lowering an operation works with: addresses, types, and a place to put kernel calls. */
import { elementBytes, sizeOf } from '../../../shape.ts';
import type { TensorType } from '../../../types.ts';
import { floatWord, type CallName, type CallOf, type StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';

/** A plan step with addresses, without its attributes. */
export interface LoweringContext {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  readonly threads: number;
  /** Floats of a vector in the binary that runs. Chooses no arithmetic: all binaries make the same decisions. */
  readonly lanes: number;
  /** How convolutions are to be computed: as the cost model says, or always directly. */
  readonly convolution: 'auto' | 'direct';
  /** Records the chosen method for the text of the plan. */
  readonly note: (text: string) => void;
  /**
   * Appends a call of a kernel. `tasks` is the number of indivisible parts of its work, all of about the same size; without it they
   * are too small to matter.
   */
  readonly emit: <N extends CallName>(name: N, words: CallOf<N>, tasks?: number) => void;
  /** Address of a table of constants, which the backend keeps. The array's identity is its name. */
  readonly table: (values: Float32Array) => number;
  /** Address of scratch memory that lasts until the step ends. */
  readonly scratch: (bytes: number) => number;
  /** The same for each thread. */
  readonly scratchPerThread: (bytes: number) => StructOf<'Scratch'>;
  /** Memory for what a call makes of one input of the step alone, for instance packed filters. */
  readonly derived: (input: number, bytes: number) => Derived;
}

/** Where a derived array lies, and how to emit the call that computes it: once before the first run if the input is constant, else in every run. */
export interface Derived extends Pick<LoweringContext, 'emit'> {
  readonly at: number;
}

/** The same with the attributes. */
export type ContextWith<A> = LoweringContext & { readonly attrs: A };

/** Emits the kernel calls of a step with such attributes. */
export type Lower<A = unknown> = (context: ContextWith<A>) => void;

export const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
/** Columns of a panel of packed operands: two vectors. */
export const panelOf = ({ lanes }: Pick<LoweringContext, 'lanes'>): number => 2 * lanes;

/** Bytes of a full register tile: where results at an edge are computed before their valid corner is stored. */
export const tileBytes = (context: Pick<LoweringContext, 'lanes'>): number => K.MR * panelOf(context) * 4;

/** One value in all elements of a result. */
export function fill({ outputs, results, emit }: LoweringContext, result = 0, value = 0): void {
  const { shape, dtype } = results[result];
  const bits = dtype === 'f32' ? floatWord(value) : value;
  emit('fill', { y: outputs[result], n: sizeOf(shape), elementBytes: elementBytes(dtype), bits });
}

/** Into how many chunks a long axis is cut, when there are too few independent sums to share. */
function chunksOf(independent: number, length: number): number {
  if (independent >= 64 || length < 128) return 1;
  return Math.max(1, Math.min(Math.ceil(64 / Math.max(independent, 1)), Math.floor(length / 64)));
}

/** Sums of [outer, n, inner] over n. */
export function emitSum(
  { emit, scratch }: LoweringContext,
  x: number,
  y: number,
  outer: number,
  n: number,
  inner: number,
): void {
  const strips = Math.ceil(inner / 256);
  const chunks = chunksOf(outer * strips, n);
  if (chunks === 1) {
    emit('sum', { x, y, outer, n, inner, chunks });
    return;
  }
  const partial = scratch(outer * chunks * inner * 4);
  emit('sum', { x, y: partial, outer, n, inner, chunks });
  emit('sum', { x: partial, y, outer, n: chunks, inner, chunks: 1 });
}
