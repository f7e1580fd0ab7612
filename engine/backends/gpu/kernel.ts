/**
 * What a kernel is, on its way from a plan step to the device. The words of this folder:
 *
 * - source: a kernel in gpu.js's language, with the buffers it reads and writes (KernelSource). Sizes are literals of its text.
 * - module: a kernel in WGSL, translated from a source or written by hand (KernelModule). Only WebGPU has them.
 * - dispatch: a module that is ready to run: pipeline, bind group, workgroups (webgpu/pipelines.ts).
 * - buffer: memory of a program by its number (BufferId): first those of the plan, then scratch buffers and the reports of checks.
 * - word: 4 bytes of a buffer (memory.ts says which values take how many).
 * - part: one of the pieces in which a buffer that is larger than a binding may be is bound.
 * - lowering: what turns a plan step into kernels (lowering.ts, kernels/); a template does the same in WGSL (wgsl/, overrides.ts).
 * - check: a kernel that looks for an element that must stop the run, and leaves a report.
 * - program: all kernels of a plan (program.ts); a runner is a program on a device.
 * - tap: one position of a convolution's filter or of a pool's window.
 */
/** The number of a buffer of a program. */
export type BufferId = number;

/** Sizes of up to three axes, the fastest first, as gpu.js has them: `a[z][y][x]`. */
export type Dims = readonly [x: number, y?: number, z?: number];

/** A buffer as an array of a kernel. */
export interface BufferView {
  readonly buffer: BufferId;
  readonly dims: Dims;
}

/**
 * A kernel in gpu.js's language: every element of `output` is what the body returns. gpu.js cuts every loop without a literal
 * bound after 1000 turns, and what it keeps in a local becomes a float.
 */
export interface KernelSource {
  /** Statements of a function with the names of `args` as parameters; `X`, `Y`, `Z` are the thread's position. */
  readonly body: string;
  readonly args: Readonly<Record<string, BufferView>>;
  readonly output: Dims;
  /** The buffer of the output. */
  readonly to: BufferId;
  /** The buffers of packed bytes among those above (memory.ts). Default: none. */
  readonly bytes?: ReadonlySet<BufferId>;
  /**
   * Set where the body returns an array of four neighbors along the innermost axis: X counts groups of four, and each element
   * of the arguments named here is such a group. The innermost axis of these arguments and of the output is a multiple of four.
   */
  readonly vectors?: { readonly args: ReadonlySet<string>; readonly note: string };
}

/** A buffer, or one part of it. */
export interface BufferPart {
  readonly buffer: BufferId;
  readonly part: number;
}

/** A kernel in WGSL. `B` is what its bindings refer to: buffers of a program, or operands of a step (wgsl/template.ts). */
export interface KernelModule<B = BufferPart> {
  /** For reports and profiles: 'matmul 64×64×16'. */
  readonly name: string;
  /**
   * A whole module with all sizes as constants, no uniforms, and one entry point written `fn main(`. The name `failed` is
   * reserved: a guard may be added to the module (webgpu/guard.ts).
   */
  readonly code: string;
  /** Binding i is @group(0) @binding(i), declared `var<storage, read>` or `var<storage, read_write>`. */
  readonly bindings: readonly B[];
  /** At most 65,535 each. */
  readonly workgroups: readonly [x: number, y: number, z: number];
}

export const isModule = (kernel: KernelSource | KernelModule): kernel is KernelModule => 'code' in kernel;

/** The function of a source, as gpu.js takes it. */
export function functionOf({ body, args }: KernelSource): string {
  const text = body.replace(/\b([XYZ])\b/g, (_, axis: string) => `this.thread.${axis.toLowerCase()}`);
  return `function kernel(${Object.keys(args).join(', ')}) {\n${text}\n}`;
}

/** The number of elements of dims. */
export const countOf = ([x, y = 1, z = 1]: Dims): number => x * y * z;
