/** One pass of a convolution, as all ways to compute it see it. */
import type { StructOf } from '../call.ts';

/** The shape of one pass: a convolution, or an input gradient seen as one. */
export interface Geometry {
  readonly images: number;
  readonly input: readonly [number, number];
  readonly channels: number;
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** top, left */
  readonly pad: readonly [number, number];
  readonly output: readonly [number, number];
}

export interface Pass extends Geometry {
  readonly x: number;
  readonly w: number;
  /** The filters are to be rotated by 180 degrees, with channels and filters exchanged. */
  readonly rotated: boolean;
  readonly y: number;
  /** Address of one value a filter to add, or 0. */
  readonly bias: number;
  readonly relu: boolean;
}

/** The sizes of a pass as kernels have them. */
export function convolutionOf({
  images,
  input: [height, width],
  channels,
  filters,
  kernel: [kernelY, kernelX],
  stride: [strideY, strideX],
  pad: [padTop, padLeft],
  output: [outHeight, outWidth],
}: Geometry): StructOf<'Convolution'> {
  const sizes = { images, height, width, channels, filters, kernelY, kernelX };
  return { ...sizes, strideY, strideX, padTop, padLeft, outHeight, outWidth };
}

/** n, up to the next multiple. */
export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
