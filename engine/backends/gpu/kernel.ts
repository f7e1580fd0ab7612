/**
 * A kernel in gpu.js's language, with the memory it works on. Sizes are literals of the source: gpu.js cuts every loop
 * without a literal bound after 1000 turns, and what it keeps in a local becomes a float.
 */
import { BackendError } from '../../errors.ts';
import type { Attrs } from '../../op.ts';
import type { FusedAttrs, FusedName } from '../../plan/fusions/index.ts';
import type { KernelName, Step } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { DType, Shape, TensorType } from '../../types.ts';
import type { KernelAttrs } from '../backend.ts';

/** A number of some memory of a program: a buffer of the plan, scratch memory, or the report of a check. */
export type Place = number;

/** Sizes of up to three axes, the fastest first, as gpu.js has them: `a[z][y][x]`. */
export type Dims = readonly [x: number, y?: number, z?: number];

/** Memory as a kernel sees it. */
export interface View {
  readonly place: Place;
  readonly dims: Dims;
}

/** One kernel call: every element of `output` is what the body returns. */
export interface Call {
  /** Statements of a function with the names of `args` as parameters; `X`, `Y`, `Z` are the thread's position. */
  readonly body: string;
  readonly args: Readonly<Record<string, View>>;
  readonly output: Dims;
  readonly to: Place;
  /** Places of packed bytes among those above (memory.ts). Default: none. */
  readonly bytes?: ReadonlySet<Place>;
  /**
   * Of a kernel that returns an array of four neighbours along the innermost axis, of which X counts the fours. It finds four
   * of them in each element of these arguments, whose innermost axis is a multiple of four like its own.
   */
  readonly vectors?: { readonly args: ReadonlySet<string>; readonly note: string };
}

/** What makes an element stop a run: a label or an index out of range, `n` being the end of it, or a value that is not finite. */
export type Failure =
  | { readonly kind: 'label' | 'index'; readonly n: number }
  | { readonly kind: 'not finite'; readonly label: string };

/** What can stop a run: a kernel that looks for the first offender among `count`. */
export interface Check {
  readonly failure: Failure;
  readonly count: number;
  readonly args: Readonly<Record<string, View>>;
  /** A condition on element `i`. */
  readonly wrong: string;
  /** What to tell of the offender: an i32 as its two halves, or a float. Expressions of `i`. */
  readonly value: readonly [low: string, high: string];
}

/** One plan step with places. */
export interface Site {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  /** Arguments of one kernel at the most. */
  readonly mostArguments: number;
  /** Whether kernels may work on vectors. */
  readonly vectors: boolean;
  readonly emit: (call: Call) => void;
  readonly check: (check: Check) => void;
  /** Memory for so many floats, until the step ends. */
  readonly scratch: (elements: number) => Place;
}

/** Emits the kernels of a step whose attributes are `A`. */
export type Lower<A = unknown> = (site: Site & { readonly attrs: A }) => void;

/** The attributes of a step by its name. */
export type StepAttrs<N extends Step['op']> = N extends FusedName
  ? FusedAttrs<N>
  : N extends KernelName
    ? KernelAttrs<N>
    : Attrs;

/** Floats on the device for one element: an i32 is its low 16 bits and its high ones, since a float holds 24. */
export const floatsPer = (dtype: DType): number => (dtype === 'i32' ? 2 : 1);

export const floatsOf = ({ shape, dtype }: TensorType): number => sizeOf(shape) * floatsPer(dtype);

/** Elements up to which a float counts exactly. */
export const EXACT = 2 ** 24;

/** Throws BackendError where an index kept in a float would not be exact. */
export function expectExact(what: string, elements: number): void {
  if (elements > EXACT) {
    throw new BackendError(
      `gpu: ${what} needs an index of ${elements} in a float, which counts to ${EXACT} (make it smaller)`,
    );
  }
}

/** The source of gpu.js's function for a call. */
export function sourceOf({ body, args }: Call): string {
  const text = body.replace(/\b([XYZ])\b/g, (_, axis: string) => `this.thread.${axis.toLowerCase()}`);
  return `function kernel(${Object.keys(args).join(', ')}) {\n${text}\n}`;
}

/** Where the two halves of an i32 are, at the position `at` of the innermost axis. */
export function halvesAt(at: string): readonly [low: string, high: string] {
  // WebGL's texture lookups take no product of two literals.
  if (/^\d+$/.test(at)) return [`${2 * Number(at)}`, `${2 * Number(at) + 1}`];
  return [`2 * (${at})`, `2 * (${at}) + 1`];
}

/** The exact value of an i32 as a float: its halves in `name`, at the position `at` of the innermost axis. */
export function int(name: string, at: string): string {
  const [low, high] = halvesAt(at);
  return `(${name}[${low}] + ${name}[${high}] * 65536)`;
}

/** Statements that return the half of an i32 that this thread is to write, along an axis of twice as many. */
export const returnHalf = (value: string, half: string): string =>
  `const high = Math.floor((${value}) * 0.0000152587890625);
   if (${half} < 1) { return (${value}) - high * 65536; }
   return high;`;

/** The number of elements of dims. */
export const countOf = ([x, y = 1, z = 1]: Dims): number => x * y * z;

/**
 * A number in gpu.js's language: whole numbers stay integers, others have all their digits. NaN and infinities have no literal
 * and are computed. They depend on the position because compilers reject constant expressions that are not finite.
 */
export function literal(value: number): string {
  if (Number.isNaN(value)) return 'Math.sqrt(-1.5 - X)';
  if (Math.abs(value) === Infinity) return `(${value < 0 ? '-' : ''}Math.exp(1000.5 + X))`;
  return value < 0 || Object.is(value, -0) ? `(-${-value})` : `${value}`;
}

/** The last axis, and all others as one. */
export function rowsAndColumns(shape: Shape): readonly [rows: number, columns: number] {
  const columns = shape.at(-1) ?? 1;
  return [sizeOf(shape.slice(0, -1)), columns];
}
