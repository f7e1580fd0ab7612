/** Text in gpu.js's language, and the values that its floats hold exactly. */
import { BackendError } from '../../errors.ts';
import { sizeOf } from '../../shape.ts';
import type { DType, Shape, TensorType } from '../../types.ts';

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
