/**
 * WebGL: memory is a texture of four floats a texel, of which products read and write all at once. Correct first: it is what
 * browsers without WebGPU have, and slower than the wasm backend on small networks.
 */
import type { Kernel, Texture } from 'gpu.js';
import { BackendError } from '../../errors.ts';
import { countOf, type Dims, type KernelSource } from './kernel.ts';
import type { GpuJs } from './packages.ts';
import { PortableDevice } from './portable.ts';
import { EXACT } from './text.ts';

/** What is used of gpu.js's textures beyond their types. */
interface FloatTexture extends Texture {
  readonly context: unknown;
  readonly size: readonly [number, number];
  readonly type: string;
  /** Four floats for each texel. */
  renderValues(): Float32Array;
}

/** What is used of gpu.js's builder of sources. */
export interface FunctionBuilder {
  readonly functionMap: Readonly<
    Record<string, { readonly calledFunctions: readonly string[]; toString(): string }>
  >;
  getPrototypesFromFunctionNames(names: readonly string[]): string[];
}

/**
 * The kernel and the functions it calls, each after those that it calls itself, as GLSL requires. gpu.js 2.24.1 moves a
 * function that is called again before its other callers, but not the functions that this one calls.
 */
export function calleesFirst({ functionMap }: Pick<FunctionBuilder, 'functionMap'>): readonly string[] {
  const ordered = new Set<string>();
  const visit = (name: string): void => {
    const node = functionMap[name];
    if (node === undefined || ordered.has(name)) return;
    node.toString(); // gpu.js finds the calls while it writes the function
    for (const called of node.calledFunctions) visit(called);
    ordered.add(name);
  };
  visit('kernel');
  return [...ordered];
}

/** What is used of gpu.js's kernels for WebGL. */
export interface GlKernel {
  readonly returnType: string;
  /** The functions as GLSL. */
  translatedSource: string;
  /** Called once `translatedSource` is written. */
  setupReturnTypes(builder: FunctionBuilder): void;
  /** Adds the lines that run the kernel for some channels of a texel. */
  getMainResultKernelMemoryOptimizedFloats(lines: string[], channels: string): void;
  /** The end of `main` where texels hold four results. */
  getMainResultMemoryOptimizedFloats(): string;
}

/**
 * The end of `main` for a texel of four results: a loop, since gpu.js's four copies of the kernel take longer to compile, or one
 * call of a kernel that returns all four, which gpu.js has not.
 * Throws BackendError where gpu.js's lines are not as expected.
 */
export function mainOf(kernel: GlKernel): string {
  const lines: string[] = [];
  kernel.getMainResultKernelMemoryOptimizedFloats(lines, 'rgba');
  const [, texel] = /^ *(\S+)\.rgba = kernelResult$/.exec(lines.at(-1) ?? '') ?? [];
  if (lines.length !== 3 || texel === undefined)
    throw new BackendError(
      `gpu: gpu.js's GLSL is not as expected (is it version 2.24.1?):\n${lines.join('\n')}`,
    );
  if (kernel.returnType === 'Array(4)') {
    return `  threadId = indexTo3D(4 * index, uOutputDim);
  threadId.x /= 4;
  kernel();
  ${texel} = kernelResult;
`;
  }
  return `  vec4 results;
  for (int i = 0; i < 4; i++) {
    threadId = indexTo3D(4 * index + i, uOutputDim);
    kernel();
    results[i] = kernelResult;
  }
  ${texel} = results;
`;
}

/**
 * WebGL 2 where there is one, else headless-gl.
 * Throws BackendError without either, with what headless-gl needs.
 */
export function openWebGl(module: GpuJs, vectors: boolean): WebGlDevice {
  const { GPU } = module;
  if (GPU.isWebGL2Supported) return new WebGlDevice(module, 'webgl2', vectors);
  if (GPU.isHeadlessGLSupported) return new WebGlDevice(module, 'headlessgl', vectors);
  throw new BackendError(
    'gpu: there is no WebGL here (in Node: npm install gl@9.0.0-rc.10, and an X server, ' +
      'for instance apt-get install xvfb && xvfb-run -a node …)',
  );
}

export class WebGlDevice extends PortableDevice<FloatTexture> {
  readonly mode = 'webgl';
  readonly executor: string;
  readonly adapter: string;
  /** WebGL has at least 8 textures, of which gpu.js keeps one. */
  readonly maxArguments = 6;
  readonly vectors: boolean;
  /** The prototype of all arguments: gpu.js compiles a kernel again for an argument of another class. */
  #texture: object | null = null;

  constructor(module: GpuJs, mode: 'webgl2' | 'headlessgl', vectors: boolean) {
    const gpu = new module.GPU({ mode });
    const Base = gpu.Kernel as unknown as new (source: string, settings: object) => GlKernel;
    // A subclass for this context alone: other users of gpu.js in the process keep its own kernels.
    const OwnKernel = class extends Base {
      override setupReturnTypes(builder: FunctionBuilder): void {
        this.translatedSource = builder.getPrototypesFromFunctionNames(calleesFirst(builder)).join('\n');
        super.setupReturnTypes(builder);
      }

      override getMainResultMemoryOptimizedFloats(): string {
        return mainOf(this);
      }
    };
    gpu.Kernel = OwnKernel as unknown as typeof Kernel;
    super(module, gpu, {
      pipeline: true,
      immutable: true,
      precision: 'single',
      tactic: 'precision', // small results would have `lowp`, which is what it says on phones
      optimizeFloatMemory: true,
    });
    this.vectors = vectors;
    this.executor = `gpu.js pipelines over float textures (${mode})`;
    // gpu.js makes its context with the first kernel.
    const first = this.upload(new Float32Array(1));
    const gl = first.context as WebGLRenderingContext;
    this.adapter = `${String(gl.getParameter(gl.VERSION))}, ${String(gl.getParameter(gl.RENDERER))}`;
    first.delete();
  }

  upload(floats: Float32Array): FloatTexture {
    // A texture has at least one texel.
    const data = floats.length === 0 ? new Float32Array(1) : floats;
    const dims = [data.length] as const;
    const source: KernelSource = {
      body: 'return x[X];',
      args: { x: { buffer: -1, dims } },
      output: dims,
      to: -1,
    };
    return this.#run(source, 'upload', [this.input(data, dims)]);
  }

  fetch(memory: FloatTexture, floats: number): Float32Array {
    return memory.renderValues().slice(0, floats);
  }

  free(memory: FloatTexture): void {
    memory.delete();
  }

  execute(source: KernelSource, args: readonly FloatTexture[]): FloatTexture {
    const views = Object.entries(source.args).map(([name, { dims }], i) =>
      this.#viewOf(args[i], dims, source.vectors?.args.has(name) === true),
    );
    const memory = views.map(({ size, type }) => `${type} ${size.join('x')}`).join(',');
    return this.#run(source, memory, views);
  }

  #run(source: KernelSource, memory: string, args: readonly unknown[]): FloatTexture {
    const count = countOf(source.output);
    if (count > EXACT) {
      throw new BackendError(
        `gpu: WebGL indexes with floats, which count to ${EXACT}, but a value has ${count} elements`,
      );
    }
    return this.kernels.of(source, memory)(...(args as never[])) as unknown as FloatTexture;
  }

  /** The same texture with other dimensions, each element of it one float or four. */
  #viewOf(texture: FloatTexture, [x, y = 1, z = 1]: Dims, vectors: boolean): FloatTexture {
    this.#texture ??= Object.getPrototypeOf(texture) as object;
    const view = Object.assign(Object.create(this.#texture) as object, texture);
    const dims = [vectors ? x / 4 : x, y, z];
    const type = vectors ? 'ArrayTexture(4)' : 'MemoryOptimizedNumberTexture';
    return Object.assign(view, { output: dims, dimensions: dims, type });
  }
}
