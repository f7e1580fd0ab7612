/**
 * gpu.js as a translator: from a source to a WGSL module that stands alone. gpu.js's own module is rewritten: sizes become
 * constants instead of uniforms; threads are numbered along one axis (its 8 × 8 groups leave lanes idle on small images, and
 * stop at 65,535 groups); an argument in the result's own buffer is read from there, one that is larger than a binding may be
 * from several; and packed bytes become floats where they are read, and words, four at a time, where they are written.
 */
import type { GPU, Kernel } from 'gpu.js';
import { BackendError } from '../../errors.ts';
import {
  countOf,
  functionOf,
  type BufferId,
  type BufferPart,
  type KernelModule,
  type KernelSource,
} from './kernel.ts';
import { libraryOf } from './library.ts';
import { WORD } from './memory.ts';
import type { GpuJs } from './packages.ts';

/** Threads of a workgroup. */
const GROUP = 64;

/** The most workgroups along one axis: WebGPU's lowest limit, which no device exceeds. */
const MAX_GROUPS = 65_535;

/** What is used of gpu.js's WebGPU kernel beyond its types. */
interface Internals {
  compiledSource: string;
  built: boolean;
  assembleWGSL(): string;
  build(...args: readonly unknown[]): Promise<void>;
  destroy(): void;
}

export class Translator {
  readonly #module: GpuJs;
  readonly #gpu: GPU;

  /** gpu.js would compile for `device` if it ran a kernel. */
  constructor(module: GpuJs, adapter: GPUAdapter, device: GPUDevice) {
    this.#module = module;
    this.#gpu = withNavigatorGpu(shim(adapter, device), () => new module.GPU({ mode: 'webgpu' }));
    const Base = this.#gpu.Kernel as unknown as new (source: string, settings: object) => Internals;
    // The engine makes its own pipelines, so gpu.js's is never built.
    const Unbuilt = class extends Base {
      _buildAsync(): Promise<void> {
        this.built = true;
        return Promise.resolve();
      }
    };
    this.#gpu.Kernel = Unbuilt as unknown as typeof Kernel;
  }

  /**
   * A module of this name, with at most `partWords` words in one binding.
   * Throws BackendError where gpu.js's module is not as expected.
   */
  translate(name: string, source: KernelSource, partWords: number): KernelModule {
    const text = functionOf(source);
    const shortcut = this.#gpu.createKernel(text, {
      output: [...source.output] as number[],
      functions: libraryOf(text) as never,
    });
    const kernel = (shortcut as unknown as { readonly kernel: Internals }).kernel;
    const dims = Object.values(source.args).map((view) => [...view.dims, 1, 1].slice(0, 3) as number[]);
    const inputs = dims.map((size) =>
      Object.assign(new this.#module.Input(new Float32Array(1) as unknown as number[], [1]), { size }),
    );
    void kernel.build(...inputs);
    const code = kernel.compiledSource;
    kernel.destroy();
    return { name, ...rewrite(code, dims, source, partWords) };
  }

  close(): Promise<void> {
    return this.#gpu.destroy();
  }
}

/** How a module reads a word of an argument: from its binding, or with a function from that of the right part. */
function loadOf(
  name: string,
  parts: number,
  partWords: number,
  type: 'f32' | 'u32',
): { readonly source: string; readonly word: (at: string) => string } {
  if (parts === 1) return { source: '', word: (at) => `user_${name}[${at}]` };
  const branches = Array.from({ length: parts }, (_, p) => {
    const load = `return ${partName(name, p)}[at - ${p * partWords}u];`;
    return p === parts - 1 ? `  ${load}` : `  if (at < ${(p + 1) * partWords}u) { ${load} }`;
  });
  return {
    source: `fn load_${name}(at : u32) -> ${type} {\n${branches.join('\n')}\n}\n`,
    word: (at) => `load_${name}(${at})`,
  };
}

const partName = (name: string, part: number): string => `user_${name}${part === 0 ? '' : `_part${part}`}`;

/** A byte of a word of packed bytes, as a float. */
const byteOf = (word: string): string => `f32((${word} >> (8u * (at % 4u))) & 255u)`;

function rewrite(
  code: string,
  dims: readonly (readonly number[])[],
  { args, output, to, bytes }: KernelSource,
  partWords: number,
): Omit<KernelModule, 'name'> {
  const replace = (pattern: string | RegExp, by: string | ((...groups: string[]) => string)): void => {
    if (typeof pattern === 'string' ? !code.includes(pattern) : code.search(pattern) < 0)
      throw new BackendError(
        `gpu: gpu.js's WGSL has no ${String(pattern)} (is it version 2.24.1?):\n${code}`,
      );
    code = code.replace(pattern, typeof by === 'string' ? () => by : by);
  };
  const isPacked = (buffer: BufferId): boolean => bytes?.has(buffer) === true;
  const wordsOf = (buffer: BufferId, count: number): number =>
    isPacked(buffer) ? Math.ceil(count / WORD) : count;
  const [x, y = 1, z = 1] = output;
  const total = countOf(output);
  const vectors = dims.map((size) => `vec4<u32>(${size.join('u, ')}u, ${size.reduce((a, b) => a * b, 1)}u)`);
  replace(
    '@group(0) @binding(0) var<uniform> params : Params;',
    `const params = Params(${[`${x}u`, `${y}u`, `${z}u`, '0u', ...vectors].join(', ')});`,
  );

  const bindings: BufferPart[] = [];
  Object.entries(args).forEach(([name, view], i) => {
    const { buffer } = view;
    const declaration = `@group(0) @binding(${1 + i}) var<storage, read> user_${name} : array<f32>;\n`;
    const packed = isPacked(buffer);
    const type = packed ? 'u32' : 'f32';
    const words = wordsOf(buffer, countOf(view.dims));
    const inPlace = buffer === to;
    const parts = inPlace ? 1 : Math.max(1, Math.ceil(words / partWords));
    const load = loadOf(name, parts, partWords, type);
    const declared = Array.from({ length: inPlace ? 0 : parts }, (_, part) => {
      const binding = bindings.push({ buffer, part }) - 1;
      return `@group(0) @binding(${binding}) var<storage, read> ${partName(name, part)} : array<${type}>;\n`;
    });
    const word = (at: string): string => (inPlace ? `result[${at}]` : load.word(at));
    replace(new RegExp(`return user_${name}\\[(.*)\\];`), (_, at) =>
      packed ? `let at = ${at};\n  return ${byteOf(word('at / 4u'))};` : `return ${word(at)};`,
    );
    replace(declaration, declared.join('') + load.source);
  });
  const packs = isPacked(to);
  replace(
    `@group(0) @binding(${1 + dims.length}) var<storage, read_write> result : array<f32>;`,
    `@group(0) @binding(${bindings.length}) var<storage, read_write> result : array<${packs ? 'u32' : 'f32'}>;`,
  );
  bindings.push({ buffer: to, part: 0 });

  const threads = wordsOf(to, total);
  const groups = Math.ceil(threads / GROUP);
  const rows = Math.ceil(groups / MAX_GROUPS);
  const columns = Math.ceil(groups / rows);
  const main = `@compute @workgroup_size(${GROUP})
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let flat = gid.x + gid.y * ${columns * GROUP}u;
  if (flat >= ${threads}u) { return; }`;
  const axes = [`flat % ${x}u`, `(flat / ${x}u) % ${y}u`, `flat / ${x * y}u`];
  const head = packs ? 'var<private> element : f32;\nfn compute(flat : u32) {' : main;
  replace(
    /@compute @workgroup_size[^]*?let data_index : i32 = [^;]*;/,
    `${head}\n  threadGid = vec3<u32>(${axes.join(', ')});\n  let data_index : i32 = i32(flat);`,
  );
  if (packs) {
    replace(/result\[data_index\] =/g, 'element =');
    code += `
${main}
  var packed = 0u;
  for (var i = 0u; i < 4u && 4u * flat + i < ${total}u; i++) {
    compute(4u * flat + i);
    packed |= u32(element) << (8u * i);
  }
  result[flat] = packed;
}
`;
  }
  return { code, bindings, workgroups: [columns, rows, 1] };
}

/** The part of `navigator.gpu` that gpu.js uses, with this device. */
function shim(adapter: GPUAdapter, device: GPUDevice): object {
  return {
    requestAdapter: () =>
      Promise.resolve({
        limits: adapter.limits,
        features: adapter.features,
        info: adapter.info,
        requestDevice: () => Promise.resolve(device),
      }),
  };
}

/** Runs `act` with this `navigator.gpu`, then restores the navigator: Node 20 has none, newer versions one without `gpu`. */
function withNavigatorGpu<T>(gpu: object, act: () => T): T {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  if (globalThis.navigator === undefined) {
    Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  }
  const { navigator } = globalThis;
  const own = Object.getOwnPropertyDescriptor(navigator, 'gpu');
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
  try {
    return act();
  } finally {
    if (own === undefined) delete (navigator as { gpu?: unknown }).gpu;
    else Object.defineProperty(navigator, 'gpu', own);
    if (before === undefined) delete (globalThis as { navigator?: unknown }).navigator;
  }
}
