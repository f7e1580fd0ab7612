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

/** What every executable reports about itself, so that no fallback is silent. */
export interface CommonReport {
  /** How it runs, for instance 'team of 2 workers' or 'caller'. */
  readonly executor: string;
  readonly threads: number;
  /** Why the fast executor is not in use; null when it is. */
  readonly fallback: string | null;
  /** Memory held by this executable, without the store's. */
  readonly bytes: number;
}
