/** What a hand-written WGSL template makes: dispatches of whole modules, with all sizes baked in. No device, no buffers. */

/** What a binding is bound to: an operand or a result of the plan's step by position, or scratch memory by its own number. */
export type Binding =
  | { readonly input: number }
  | { readonly output: number }
  /** `elements` floats; the same number in several dispatches of a step is the same memory. */
  | { readonly scratch: number; readonly elements: number };

/** One dispatch of hand-written WGSL. */
export interface WgslDispatch {
  /** For reports and profiles: 'matmul 64×64×16'. */
  readonly name: string;
  /** A whole module, all sizes baked in as constants. One entry point, written `fn main(`. No uniforms. */
  readonly code: string;
  /** Binding i is `@group(0) @binding(i)`, declared `var<storage, read>` or `var<storage, read_write>` in the code. */
  readonly bindings: readonly Binding[];
  /** Each at most 65535. */
  readonly workgroups: readonly [x: number, y: number, z: number];
}

/** What the device offers to templates. */
export interface WgslLimits {
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxStorageBufferBindingSize: number;
}
