/** WebGPU: everything stays on the device, and a plan is compiled when it is loaded. */
import type { Step } from '../../../plan/plan.ts';
import type { Device, Memory, Runner } from '../device.ts';
import { isModule, type BufferId } from '../kernel.ts';
import { Codec, WORD, type Layout } from '../memory.ts';
import type { Override, Program } from '../program.ts';
import type { Translator } from '../translate.ts';
import { bytesFor, DeviceBuffers, RESIDENT, type BufferRange } from './buffers.ts';
import { gatesOf, withGuard } from './guard.ts';
import { nameOf, Pipelines } from './pipelines.ts';
import { WebGpuRunner, type ProgramBuffers } from './runner.ts';

export class WebGpuDevice implements Device {
  readonly mode = 'webgpu';
  readonly executor = 'resident buffers, one submission for all steps of a call';
  readonly adapter: string;
  readonly override: Override;
  readonly maxArguments: number;
  /** gpu.js's WGSL takes no vectors from memory. */
  readonly vectors = false;
  readonly codec = new Codec(true);
  /** Enough that waiting for a submission does not matter beside the work in it. */
  readonly runsPerCall = 32;
  readonly gpu: GPUDevice;
  readonly #buffers: DeviceBuffers;
  readonly #pipelines: Pipelines;
  readonly #translator: Translator;

  constructor(gpu: GPUDevice, adapter: string, translator: Translator, override: Override) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.override = override;
    this.maxArguments = gpu.limits.maxStorageBuffersPerShaderStage - 2; // the result, and the guard's flag
    this.#buffers = new DeviceBuffers(gpu, adapter);
    this.#pipelines = new Pipelines(this.#buffers);
    this.#translator = translator;
  }

  upload(words: Float32Array, name: string): Promise<GPUBuffer> {
    // A kernel that gathers from it binds its parts beside an index.
    return this.#buffers.upload(words, name, this.maxArguments - 1);
  }

  read(memories: readonly (readonly [Memory, number])[]): Promise<readonly Float32Array[]> {
    return this.#buffers.read(memories.map(([memory, words]) => [memory as GPUBuffer, words]));
  }

  write(state: Map<string, Memory>, name: string, words: Float32Array): void {
    this.#buffers.expectHealthy('store.write');
    this.#buffers.fill(state.get(name) as GPUBuffer, words);
  }

  free(memory: Memory): void {
    (memory as GPUBuffer).destroy();
  }

  async prepare(
    program: Program,
    state: Map<string, Memory>,
    feeds: Layout,
    outputs: Layout,
  ): Promise<Runner> {
    this.#buffers.expectHealthy('compile');
    const { plan } = program;
    const buffers = this.#allocate(program, state, feeds);
    const guarded = program.checks.length > 0;
    const steps = program.steps.map(({ step, kernels }, i) => ({
      step,
      modules: kernels.map((kernel) => {
        const module = isModule(kernel)
          ? kernel
          : this.#translator.translate(step.op, kernel, this.#buffers.partWords);
        return guarded && i >= plan.commitStep ? withGuard(module, buffers.failed) : module;
      }),
    }));
    if (guarded) {
      const reports = program.checks.map(({ buffer }) => buffer);
      const gates = gatesOf(reports, buffers.failed, this.gpu.limits.maxStorageBuffersPerShaderStage);
      const last = program.checks.at(-1)!.step;
      steps.splice(plan.commitStep, 0, { step: last, modules: gates });
    }
    try {
      const dispatches = await Promise.all(
        steps.map(({ step, modules }) =>
          Promise.all(modules.map((module) => this.#pipelines.dispatchOf(module, step, buffers.ranges))),
        ),
      );
      return new WebGpuRunner(this.#buffers, program, dispatches, buffers, feeds, outputs);
    } catch (error) {
      for (const buffer of buffers.owned) buffer.destroy();
      throw error;
    }
  }

  /** Allocates every buffer that is not the store's. Feeds share one, since they are only read. */
  #allocate(program: Program, state: Map<string, Memory>, feeds: Layout): ProgramBuffers {
    const { plan, bufferWords } = program;
    const owned: GPUBuffer[] = [];
    const allocate = (words: number, what: string): GPUBuffer => {
      const size = bytesFor(words);
      this.#buffers.expectBindable(size, what);
      const buffer = this.gpu.createBuffer({ size, usage: RESIDENT });
      owned.push(buffer);
      return buffer;
    };
    const all = (buffer: GPUBuffer): BufferRange => ({ buffer, offset: 0, size: buffer.size });
    const fed = allocate(feeds.length, 'the feeds');
    const offsets = new Map([...feeds.at.values()].map(({ v, offset }) => [plan.bufferOf[v], offset * WORD]));
    const firstUse = new Map<BufferId, Step>();
    for (const { step, kernels } of program.steps) {
      for (const kernel of kernels) {
        const used = isModule(kernel) ? kernel.bindings.map(({ buffer }) => buffer) : [kernel.to];
        for (const buffer of used) if (!firstUse.has(buffer)) firstUse.set(buffer, step);
      }
    }
    const ranges = bufferWords.map((words, buffer): BufferRange => {
      const spec = plan.buffers[buffer];
      if (spec?.kind === 'state') return all(state.get(spec.name) as GPUBuffer);
      if (spec?.kind === 'feed') {
        return { buffer: fed, offset: offsets.get(buffer)!, size: bytesFor(words) };
      }
      const step = firstUse.get(buffer);
      return all(allocate(words, step === undefined ? 'a constant' : nameOf(step)));
    });
    for (const [v, value] of plan.constants) {
      this.#buffers.fill(ranges[plan.bufferOf[v]].buffer, this.codec.encoded(value));
    }
    const failed = ranges.push(all(allocate(1, 'a flag'))) - 1;
    return { ranges, owned, fed, failed };
  }

  async close(): Promise<void> {
    this.#pipelines.clear();
    await this.#translator.close();
    this.gpu.destroy();
  }
}
