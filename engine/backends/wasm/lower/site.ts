/** What lowering an operation works with: addresses, types, and a place to put kernel calls. */
import type { Attrs } from '../../../op.ts';
import { elementBytes, sizeOf } from '../../../shape.ts';
import type { TensorType } from '../../../types.ts';
import { K } from '../kernels.generated.ts';

/** One plan step with addresses. */
export interface Site {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  readonly attrs: Attrs;
  readonly threads: number;
  /** Floats of a vector in the binary that runs. Chooses no arithmetic: all binaries make the same decisions. */
  readonly lanes: number;
  /** How convolutions are to be computed: as the cost model says, or always directly. */
  readonly convolution: 'auto' | 'direct';
  /** Tells, for people, which of several ways was taken. */
  readonly note: (text: string) => void;
  /** Appends a kernel call; arguments are 32-bit words. The kernel shares its work in pieces too small to matter. */
  readonly emit: (kernel: number, ...words: readonly number[]) => void;
  /** The same for a kernel that shares `pieces` indivisible pieces, all of about the same size. */
  readonly emitPieces: (pieces: number, kernel: number, ...words: readonly number[]) => void;
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
/** Columns of a panel of packed operands: two vectors. */
export const panelOf = ({ lanes }: Pick<Site, 'lanes'>): number => 2 * lanes;

/** Bytes of a full register tile: where results at an edge are computed before their valid corner is stored. */
export const tileBytes = (site: Pick<Site, 'lanes'>): number => K.MR * panelOf(site) * 4;

/** One value in all elements of a result. */
export function fill({ outputs, results, emit }: Site, result = 0, value = 0): void {
  const { shape, dtype } = results[result];
  const bits = dtype === 'f32' ? word(value) : value;
  emit(K.K_FILL, elementBytes(dtype), bits, outputs[result], sizeOf(shape));
}

/** Pieces into which a long axis is cut when there are too few independent results to share. */
function chunksOf(independent: number, length: number): number {
  if (independent >= 64 || length < 128) return 1;
  return Math.max(1, Math.min(Math.ceil(64 / Math.max(independent, 1)), Math.floor(length / 64)));
}

/** Sums of [outer, n, inner] over n. */
export function emitSum(
  { emit, scratch }: Site,
  x: number,
  y: number,
  outer: number,
  n: number,
  inner: number,
): void {
  const strips = Math.ceil(inner / 256);
  const chunks = chunksOf(outer * strips, n);
  if (chunks === 1) {
    emit(K.K_SUM, x, y, outer, n, inner, 1);
    return;
  }
  const partial = scratch(outer * chunks * inner * 4);
  emit(K.K_SUM, x, partial, outer, n, inner, chunks);
  emit(K.K_SUM, partial, y, outer, chunks, inner, 1);
}
