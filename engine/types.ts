/** Types that all parts of the project share. */

/** Sizes of the axes, outermost first. A scalar has the shape `[]`. */
export type Shape = readonly number[];

/** The type of the elements: single-precision floats, 32-bit integers, or bytes. */
export type DType = 'f32' | 'i32' | 'u8';

/** Shape and dtype. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Data on the host. A Float64Array holds `f32` values in double precision (reference backend in f64 mode). */
export type HostData = Float32Array | Float64Array | Int32Array | Uint8Array;

/** A value on the host, dense and row-major. */
export interface HostTensor extends TensorType {
  /** All elements, flat. */
  readonly data: HostData;
}

/** Arrays by name: the parameters, statistics and optimizer slots of a run. */
export type State = Readonly<Record<string, HostTensor>>;

/** How an executable runs. It makes every fallback visible. */
export interface CommonReport {
  /** For instance 'team of 2 workers' or 'caller'. */
  readonly executor: string;
  /** Number of threads that compute. */
  readonly threads: number;
  /** Why the executable does not use the fast executor. Null if it does. */
  readonly fallback: string | null;
  /** Memory of this executable in bytes, without its store. */
  readonly bytes: number;
}
