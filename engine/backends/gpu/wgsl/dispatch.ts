/**
 * What hand-written WGSL looks like to the executor. An f32 is one word of a device's memory, an i32 two (see memory.ts).
 * Buffers may be longer than the values in them.
 */

/** What a binding is bound to: an operand or a result of the plan's step by position, or scratch memory by its own number. */
export type Binding =
  | { readonly input: number }
  | { readonly output: number }
  /** `elements` counts f32; the same number in several dispatches of a step is the same memory. */
  | { readonly scratch: number; readonly elements: number };

/** One dispatch of hand-written WGSL. */
export interface WgslDispatch {
  /** For reports and profiles: 'matmul 64×64×16'. */
  readonly name: string;
  /**
   * A whole module with all sizes as constants, no uniforms, and one entry point written `fn main(`. The name `failed` is
   * the executor's, which may add a guard to it.
   */
  readonly code: string;
  /** Binding i is @group(0) @binding(i), declared `var<storage, read>` or `var<storage, read_write>`. */
  readonly bindings: readonly Binding[];
  /** At most 65,535 each. */
  readonly workgroups: readonly [x: number, y: number, z: number];
}

/** What the device offers to templates. */
export interface WgslLimits {
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
}
