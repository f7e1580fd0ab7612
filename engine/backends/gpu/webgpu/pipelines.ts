/** Pipelines and bind groups, made when a plan is loaded. */
import { BackendError } from '../../../errors.ts';
import type { Step } from '../../../plan/plan.ts';
import type { KernelModule } from '../kernel.ts';
import type { BufferRange, DeviceBuffers } from './buffers.ts';

/** GPUShaderStage.COMPUTE, for which Node has no global. */
const COMPUTE = 0x4;

/** A module that is ready to run. */
export interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: KernelModule['workgroups'];
}

/** A step's name in error messages. */
export const nameOf = ({ op, path }: Step): string => (path === '' ? op : `${path} / ${op}`);

/** Compiles modules to dispatches; modules with the same code share a pipeline. */
export class Pipelines {
  readonly #buffers: DeviceBuffers;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(buffers: DeviceBuffers) {
    this.#buffers = buffers;
  }

  /** A module with pipeline and bind group. `ranges` are the buffers of the program by BufferId. */
  async dispatchOf(
    { name, code, bindings, workgroups }: KernelModule,
    step: Step,
    ranges: readonly BufferRange[],
  ): Promise<Dispatch> {
    const access = accessOf(code, bindings.length);
    const most = this.#buffers.gpu.limits.maxStorageBuffersPerShaderStage;
    if (bindings.length > most) {
      throw new BackendError(
        `gpu: ${nameOf(step)}: a kernel needs ${bindings.length} buffers, but ${this.#buffers.adapter} allows ${most}`,
      );
    }
    const layout = this.#layout(access);
    const key = `${access}\n${code}`;
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.#compile(code, layout, `${nameOf(step)}: ${name}`);
      this.#pipelines.set(key, pipeline);
      pipeline.catch(() => this.#pipelines.delete(key));
    }
    const entries = bindings.map(({ buffer, part }, binding) => {
      if (access[binding] === 'w') this.#buffers.expectBindable(ranges[buffer].size, nameOf(step));
      return { binding, resource: this.#buffers.partOf(ranges[buffer], part) };
    });
    return {
      pipeline: await pipeline,
      group: this.#buffers.gpu.createBindGroup({ layout, entries }),
      workgroups,
    };
  }

  #layout(access: string): GPUBindGroupLayout {
    let layout = this.#layouts.get(access);
    if (layout === undefined) {
      const entries = Array.from(access, (letter, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type: letter === 'w' ? ('storage' as const) : ('read-only-storage' as const) },
      }));
      layout = this.#buffers.gpu.createBindGroupLayout({ entries });
      this.#layouts.set(access, layout);
    }
    return layout;
  }

  async #compile(code: string, layout: GPUBindGroupLayout, what: string): Promise<GPUComputePipeline> {
    this.#buffers.gpu.pushErrorScope('validation');
    const module = this.#buffers.gpu.createShaderModule({ code });
    const faulty = this.#buffers.gpu.popErrorScope();
    const pipeline = this.#buffers.gpu.createComputePipelineAsync({
      layout: this.#buffers.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    try {
      const [, error] = await Promise.all([pipeline, faulty]);
      if (error !== null) throw new Error(error.message);
      return await pipeline;
    } catch (error) {
      throw new BackendError(
        `gpu: ${what}: the kernel does not compile: ${error instanceof Error ? error.message : String(error)}\n${code}`,
        { cause: error },
      );
    }
  }

  clear(): void {
    this.#pipelines.clear();
  }
}

/** 'r' or 'w' for each binding of a module. */
function accessOf(code: string, bindings: number): string {
  return Array.from({ length: bindings }, (_, i) => {
    const declaration = new RegExp(
      `@group\\(0\\)\\s*@binding\\(${i}\\)\\s*var<storage,\\s*(read_write|read)\\s*>`,
    ).exec(code);
    if (declaration === null)
      throw new BackendError(`gpu: a kernel does not declare its binding ${i}:\n${code}`);
    return declaration[1] === 'read' ? 'r' : 'w';
  }).join('');
}
