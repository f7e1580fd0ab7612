/**
 * What templates of hand-written WGSL have in common: pure functions of shapes that return modules. An f32 is one word of a
 * buffer, an i32 two (see memory.ts). Buffers may be longer than the values in them.
 */

/** What a binding of a template refers to: an operand or a result of the plan's step by position, or scratch memory by its own number. */
export type Binding =
  | { readonly input: number }
  | { readonly output: number }
  /** `elements` counts f32; the same number in several modules of a step is the same memory. */
  | { readonly scratch: number; readonly elements: number };

/** The limits of a device that templates respect. */
export interface WgslLimits {
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
}

/** A storage buffer as a module declares it. */
export interface Variable {
  readonly name: string;
  readonly binding: Binding;
  readonly access: 'read' | 'read_write';
  /** The type of an element. */
  readonly type: 'f32' | 'vec2<f32>' | 'vec4<f32>';
}

/** The declarations of a module's buffers: binding i is variable i. */
export const declarationsOf = (variables: readonly Variable[]): string =>
  variables
    .map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;`,
    )
    .join('\n');

export const bindingsOf = (variables: readonly Variable[]): readonly Binding[] =>
  variables.map(({ binding }) => binding);
