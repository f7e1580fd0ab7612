/** Types that every part of the project speaks. No code. */

/** Sizes of the axes, outermost first. A scalar has the shape `[]`. */
export type Shape = readonly number[];

export type DType = 'f32' | 'i32' | 'u8';

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Data on the host. An `f32` value may be held in double precision (the reference backend's f64 mode). */
export type HostData = Float32Array | Float64Array | Int32Array | Uint8Array;

/** A value on the host, dense and row-major. */
export interface HostTensor extends TensorType {
  readonly data: HostData;
}

/** Named arrays: the parameters, statistics and optimizer slots of a run. */
export type State = Readonly<Record<string, HostTensor>>;

/** What an executable reports about itself, so that no fallback is silent. */
export interface Report {
  /** 'wasm', 'gpu' or 'reference'. */
  readonly backend: string;
  /** How it runs, for instance 'team of 2 workers' or 'caller'. */
  readonly executor: string;
  /** Which SIMD binary runs: 'wide' (256 bits, relaxed multiply-add), 'relaxed' (128 bits, with it too) or 'plain'. */
  readonly simd?: string;
  /**
   * With `simd`: whether multiply-adds are fused, that is rounded once. Never of 'plain'; of the others where processor and JavaScript
   * engine do so, which JavaScriptCore does not on x64.
   */
  readonly fused?: boolean;
  /** Of a GPU: which, with its driver. */
  readonly adapter?: string;
  /**
   * Of the GPU backend: kernels made by gpu.js, those written by hand in WGSL, and, on WebGL, how many of gpu.js's are products
   * that fetch and compute four numbers at once.
   */
  readonly kernels?: { readonly gpujs: number; readonly wgsl: number; readonly vec4?: number };
  readonly threads: number;
  /** Why the fast executor is not in use; null when it is. */
  readonly fallback: string | null;
  /** Memory held by this executable, without the store's. */
  readonly bytes: number;
}
