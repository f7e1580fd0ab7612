/** What lowering an operation works with: addresses, types, and a place to put kernel calls. */
import type { Attrs } from '../../op.ts';
import { sizeOf } from '../../shape.ts';
import type { TensorType } from '../../types.ts';
import { K } from './kernels.generated.ts';

/** One plan step with addresses. */
export interface Site {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  readonly attrs: Attrs;
  readonly threads: number;
  /** Appends a kernel call; arguments are 32-bit words. */
  readonly emit: (kernel: number, ...words: readonly number[]) => void;
  /** Address of a table of constants, which the backend keeps. The array's identity is its name. */
  readonly table: (values: Float32Array) => number;
  /** Address of scratch memory that lasts until the step ends. */
  readonly scratch: (bytes: number) => number;
}

export type Lower = (site: Site) => void;

const bits = new DataView(new ArrayBuffer(4));
/** A float argument as the word that holds it. */
export function word(x: number): number {
  bits.setFloat32(0, x);
  return bits.getInt32(0);
}

export const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
/** A full register tile: where results at an edge are computed before their valid corner is stored. */
export const TILE_BYTES = K.MR * K.NR * 4;

/** Zeros, as the sum of nothing. */
export function fillZero({ outputs: [y], results: [type], emit }: Site): void {
  emit(K.K_SUM, y, y, 1, 0, sizeOf(type.shape), 1);
}
