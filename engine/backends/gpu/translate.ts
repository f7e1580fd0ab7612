/**
 * gpu.js as a translator: from a kernel in its language to a WGSL module that stands alone. gpu.js's own module is rewritten
 * in three places: sizes become constants instead of uniforms, threads are numbered along one axis (its 8 × 8 groups leave
 * lanes idle on small images, and stop at 65,535 groups), and an argument in the result's own memory is read from there.
 */
import type { GPU, Kernel } from 'gpu.js';
import { BackendError } from '../../errors.ts';
import { countOf, libraryOf, sourceOf, type Call } from './kernel.ts';
import type { GpuJs } from './packages.ts';

/** Threads of a workgroup. */
const GROUP = 64;

/** Workgroups along one axis: WebGPU's least limit, which no device exceeds. */
const MOST_GROUPS = 65_535;

export interface Wgsl {
  readonly code: string;
  /** Names of the arguments bound, in order; the result comes after them. */
  readonly bound: readonly string[];
  readonly workgroups: readonly [x: number, y: number, z: number];
}

/** What is used of gpu.js's WebGPU kernel beyond its types. */
interface Internals {
  readonly paramsLayout: {
    readonly arrayArgs: readonly { readonly name: string }[];
    readonly scalarArgs: readonly unknown[];
  };
  compiledSource: string;
  built: boolean;
  assembleWGSL(): string;
  build(...args: readonly unknown[]): Promise<void>;
  destroy(): void;
}

export class Translator {
  readonly #module: GpuJs;
  readonly #gpu: GPU;

  /** `device` is what gpu.js would compile for, were it asked to run a kernel. */
  constructor(module: GpuJs, adapter: GPUAdapter, device: GPUDevice) {
    this.#module = module;
    this.#gpu = withNavigatorGpu(shim(adapter, device), () => new module.GPU({ mode: 'webgpu' }));
    const Base = this.#gpu.Kernel as unknown as new (source: string, settings: object) => Internals;
    // The engine makes its own pipelines, so gpu.js's is never built.
    const Untethered = class extends Base {
      _buildAsync(): Promise<void> {
        this.built = true;
        return Promise.resolve();
      }
    };
    this.#gpu.Kernel = Untethered as unknown as typeof Kernel;
  }

  /** Throws BackendError where gpu.js's module is not as expected. */
  translate(call: Call): Wgsl {
    const source = sourceOf(call);
    const shortcut = this.#gpu.createKernel(source, {
      output: [...call.output] as number[],
      functions: libraryOf(source) as never,
    });
    const kernel = (shortcut as unknown as { readonly kernel: Internals }).kernel;
    const dims = Object.values(call.args).map((view) => [...view.dims, 1, 1].slice(0, 3) as number[]);
    const inputs = dims.map((size) =>
      Object.assign(new this.#module.Input(new Float32Array(1) as unknown as number[], [1]), { size }),
    );
    void kernel.build(...inputs);
    const names = kernel.paramsLayout.arrayArgs.map(({ name }) => name);
    const code = kernel.compiledSource;
    kernel.destroy();
    return rewrite(code, names, dims, call);
  }

  close(): Promise<void> {
    return this.#gpu.destroy();
  }
}

function rewrite(
  code: string,
  names: readonly string[],
  dims: readonly (readonly number[])[],
  { args, output, to }: Call,
): Wgsl {
  const replace = (what: string | RegExp, by: string): void => {
    const replaced = code.replace(what, () => by);
    if (replaced === code)
      throw new BackendError(`gpu: gpu.js's WGSL has no ${String(what)} (is it version 2.24.1?):\n${code}`);
    code = replaced;
  };
  const [x, y = 1, z = 1] = output;
  const total = countOf(output);
  const vectors = dims.map((size) => `vec4<u32>(${size.join('u, ')}u, ${size.reduce((a, b) => a * b, 1)}u)`);
  replace(
    '@group(0) @binding(0) var<uniform> params : Params;',
    `const params = Params(${[`${x}u`, `${y}u`, `${z}u`, '0u', ...vectors].join(', ')});`,
  );

  const places = Object.values(args).map(({ place }) => place);
  const bound: string[] = [];
  names.forEach((name, i) => {
    const declaration = `@group(0) @binding(${1 + i}) var<storage, read> user_${name} : array<f32>;`;
    if (places[i] === to) {
      replace(declaration, '');
      replace(`return user_${name}[`, 'return result[');
    } else {
      replace(
        declaration,
        `@group(0) @binding(${bound.length}) var<storage, read> user_${name} : array<f32>;`,
      );
      bound.push(name);
    }
  });
  replace(
    `@group(0) @binding(${1 + names.length}) var<storage, read_write>`,
    `@group(0) @binding(${bound.length}) var<storage, read_write>`,
  );

  const groups = Math.ceil(total / GROUP);
  const rows = Math.ceil(groups / MOST_GROUPS);
  const columns = Math.ceil(groups / rows);
  const axes = [`flat % ${x}u`, `(flat / ${x}u) % ${y}u`, `flat / ${x * y}u`];
  replace(
    /@compute @workgroup_size[^]*?let data_index : i32 = [^;]*;/,
    `@compute @workgroup_size(${GROUP})
fn main(@builtin(global_invocation_id) gid : vec3<u32>) {
  let flat = gid.x + gid.y * ${columns * GROUP}u;
  if (flat >= ${total}u) { return; }
  threadGid = vec3<u32>(${axes.join(', ')});
  let data_index : i32 = i32(flat);`,
  );
  return { code, bound, workgroups: [columns, rows, 1] };
}

/** As much of `navigator.gpu` as gpu.js looks at: it gets this device, with the limits that were asked of it. */
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

/** Node 20 has no navigator, newer ones have one without `gpu`: both are as before when `act` returns. */
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
