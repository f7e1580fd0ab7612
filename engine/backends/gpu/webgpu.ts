/**
 * WebGPU: everything stays on the device. Buffers, pipelines and bind groups are made when a plan is loaded; a run, or many,
 * is one submission, in which the state is written in place. Steps that write state look first whether a check has failed.
 */
import { BackendError } from '../../errors.ts';
import type { Step } from '../../plan/plan.ts';
import type { Device, Memory, Runner, RunResult } from './device.ts';
import { isModule, type BufferId, type BufferPart, type KernelModule } from './kernel.ts';
import { BINDING_BYTES, Codec, WORD, type Layout } from './memory.ts';
import { errorOf, REPORT, type Override, type Program } from './program.ts';
import type { Translator } from './translate.ts';

// The numbers of GPUBufferUsage and GPUMapMode, which Node has no globals for.
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const STORAGE = 0x80;
const QUERY_RESOLVE = 0x200;
const RESIDENT = STORAGE | COPY_SRC | COPY_DST;
const COMPUTE = 0x4;

/** Bytes written to a device at a time, so that its staging memory stays small beside a data set. */
const WRITE_BYTES = 2 ** 26;

/** A module that is ready to run. */
interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: KernelModule['workgroups'];
}

type BufferRange = Required<GPUBufferBinding>;

const bytesFor = (words: number): number => Math.max(16, Math.ceil(words / 4) * 16);

const whole = (buffer: BufferId): BufferPart => ({ buffer, part: 0 });

const at = ({ op, path }: Step): string => (path === '' ? op : `${path} / ${op}`);

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
  /** The most words in one binding. */
  readonly #partWords: number;
  readonly #translator: Translator;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #broken: string | null = null;

  constructor(gpu: GPUDevice, adapter: string, translator: Translator, override: Override) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.#translator = translator;
    this.override = override;
    const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize } = gpu.limits;
    this.maxArguments = maxStorageBuffersPerShaderStage - 2; // the result, and the guard's flag
    this.#partWords = Math.floor(maxStorageBufferBindingSize / BINDING_BYTES) * (BINDING_BYTES / WORD);
    void gpu.lost.then(({ reason, message }) => {
      this.#broken ??= `the device was lost (${reason}): ${message}`;
    });
    gpu.onuncapturederror = ({ error }) => {
      this.#broken ??= error.message;
    };
  }

  /** Throws BackendError once the device has failed. */
  check(what: string): void {
    if (this.#broken !== null) {
      throw new BackendError(
        `gpu: ${what}: ${this.#broken} (make a new backend, and load the last checkpoint)`,
      );
    }
  }

  async upload(words: Float32Array, name: string): Promise<GPUBuffer> {
    this.check('createStore');
    const size = bytesFor(words.length);
    // A kernel that gathers from it binds it in parts, beside an index and its result.
    const most = this.#partWords * WORD * (this.maxArguments - 1);
    this.#expectRoom(size, Math.min(most, this.gpu.limits.maxBufferSize), `the array '${name}'`);
    this.gpu.pushErrorScope('out-of-memory');
    const buffer = this.gpu.createBuffer({ size, usage: RESIDENT });
    const error = await this.gpu.popErrorScope();
    if (error !== null) {
      buffer.destroy();
      throw new BackendError(
        `gpu: ${this.adapter} has no room for the array '${name}' of ${size} bytes: ${error.message}`,
      );
    }
    this.fill(buffer, words);
    return buffer;
  }

  fill(buffer: GPUBuffer, words: Float32Array): void {
    for (let begin = 0; begin < words.byteLength; begin += WRITE_BYTES) {
      const bytes = Math.min(WRITE_BYTES, words.byteLength - begin);
      this.gpu.queue.writeBuffer(buffer, begin, words.buffer, words.byteOffset + begin, bytes);
    }
  }

  /** Throws BackendError where a kernel could not write so many bytes. */
  expectBindable(bytes: number, what: string): void {
    this.#expectRoom(bytes, Math.min(this.#partWords * WORD, this.gpu.limits.maxBufferSize), what);
  }

  #expectRoom(bytes: number, most: number, what: string): void {
    if (bytes <= most) return;
    throw new BackendError(
      `gpu: ${what} needs ${bytes} bytes in one buffer, but ${this.adapter} allows ${most}`,
    );
  }

  write(state: Map<string, Memory>, name: string, words: Float32Array): void {
    this.check('store.write');
    this.fill(state.get(name) as GPUBuffer, words);
  }

  async read(memories: readonly (readonly [Memory, number])[]): Promise<readonly Float32Array[]> {
    this.check('store.read');
    const staged = memories.map(([memory, words]) => {
      const size = bytesFor(words);
      const buffer = this.gpu.createBuffer({ size, usage: MAP_READ | COPY_DST });
      return { memory: memory as GPUBuffer, words, size, buffer };
    });
    const encoder = this.gpu.createCommandEncoder();
    for (const { memory, buffer, size } of staged) encoder.copyBufferToBuffer(memory, 0, buffer, 0, size);
    this.gpu.queue.submit([encoder.finish()]);
    try {
      await Promise.all(staged.map(({ buffer }) => this.map(buffer, 'store.read')));
      return staged.map(
        ({ buffer, words }) => new Float32Array(buffer.getMappedRange().slice(0, words * WORD)),
      );
    } finally {
      for (const { buffer } of staged) buffer.destroy();
    }
  }

  /** Waits for the work before, whose errors are known when this returns. */
  async map(buffer: GPUBuffer, what: string): Promise<void> {
    try {
      await buffer.mapAsync(MAP_READ);
    } catch (error) {
      this.check(what);
      throw new BackendError(`gpu: ${what}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    this.check(what);
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
    this.check('compile');
    const { plan } = program;
    const buffers = this.#allocate(program, state, feeds);
    const guarded = program.checks.length > 0;
    const steps = program.steps.map(({ step, kernels }, i) => ({
      step,
      modules: kernels.map((kernel) => {
        const module = isModule(kernel)
          ? kernel
          : this.#translator.translate(step.op, kernel, this.#partWords);
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
          Promise.all(modules.map((module) => this.#dispatchOf(module, step, buffers.ranges))),
        ),
      );
      return new WebGpuRunner(this, program, dispatches, buffers, feeds, outputs);
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
      this.expectBindable(size, what);
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
      return all(allocate(words, step === undefined ? 'a constant' : at(step)));
    });
    for (const [v, value] of plan.constants) {
      this.fill(ranges[plan.bufferOf[v]].buffer, this.codec.encoded(value));
    }
    const failed = ranges.push(all(allocate(1, 'a flag'))) - 1;
    return { ranges, owned, fed, failed };
  }

  async #dispatchOf(
    { name, code, bindings, workgroups }: KernelModule,
    step: Step,
    ranges: readonly BufferRange[],
  ): Promise<Dispatch> {
    const access = accessOf(code, bindings.length);
    const most = this.gpu.limits.maxStorageBuffersPerShaderStage;
    if (bindings.length > most) {
      throw new BackendError(
        `gpu: ${at(step)}: a kernel needs ${bindings.length} buffers, but ${this.adapter} allows ${most}`,
      );
    }
    const layout = this.#layout(access);
    const key = `${access}\n${code}`;
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.#compile(code, layout, `${at(step)}: ${name}`);
      this.#pipelines.set(key, pipeline);
      pipeline.catch(() => this.#pipelines.delete(key));
    }
    const entries = bindings.map(({ buffer, part }, binding) => {
      if (access[binding] === 'w') this.expectBindable(ranges[buffer].size, at(step));
      return { binding, resource: this.#partOf(ranges[buffer], part) };
    });
    return { pipeline: await pipeline, group: this.gpu.createBindGroup({ layout, entries }), workgroups };
  }

  #partOf({ buffer, offset, size }: BufferRange, part: number): BufferRange {
    const most = this.#partWords * WORD;
    return { buffer, offset: offset + part * most, size: Math.min(size - part * most, most) };
  }

  #layout(access: string): GPUBindGroupLayout {
    let layout = this.#layouts.get(access);
    if (layout === undefined) {
      const entries = Array.from(access, (letter, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type: letter === 'w' ? ('storage' as const) : ('read-only-storage' as const) },
      }));
      layout = this.gpu.createBindGroupLayout({ entries });
      this.#layouts.set(access, layout);
    }
    return layout;
  }

  async #compile(code: string, layout: GPUBindGroupLayout, what: string): Promise<GPUComputePipeline> {
    this.gpu.pushErrorScope('validation');
    const module = this.gpu.createShaderModule({ code });
    const faulty = this.gpu.popErrorScope();
    const pipeline = this.gpu.createComputePipelineAsync({
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
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

  async close(): Promise<void> {
    this.#pipelines.clear();
    await this.#translator.close();
    this.gpu.destroy();
  }
}

/** The buffers of a program on the device. */
interface ProgramBuffers {
  /** By BufferId. */
  readonly ranges: readonly BufferRange[];
  /** The buffers that are destroyed with the program. */
  readonly owned: readonly GPUBuffer[];
  /** The feeds of one run. */
  readonly fed: GPUBuffer;
  /** A flag: −1, or the number of the check that failed first. */
  readonly failed: BufferId;
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

/** The same module, which does nothing once a check has failed. */
function withGuard(module: KernelModule, failed: BufferId): KernelModule {
  const binding = `@group(0) @binding(${module.bindings.length}) var<storage, read> failed : array<f32>;\n`;
  const code = module.code.replace(
    /fn main\([^{]*\{/,
    (head) => `${head}\n  if (failed[0] >= 0.0) { return; }`,
  );
  if (code === module.code) throw new BackendError(`gpu: there is no 'fn main(' to guard:\n${module.code}`);
  return { ...module, code: binding + code, bindings: [...module.bindings, whole(failed)] };
}

/** Modules that write the number of the first failed check to the flag. */
function gatesOf(reports: readonly BufferId[], failed: BufferId, most: number): KernelModule[] {
  const each = most - 1;
  return Array.from({ length: Math.ceil(reports.length / each) }, (_, i) => {
    const group = reports.slice(i * each, (i + 1) * each);
    const code = [
      ...group.map((__, j) => `@group(0) @binding(${j}) var<storage, read> report${j} : array<f32>;`),
      `@group(0) @binding(${group.length}) var<storage, read_write> failed : array<f32>;`,
      '@compute @workgroup_size(1)',
      'fn main() {',
      '  if (failed[0] >= 0.0) { return; }',
      ...group.map((__, j) => `  if (report${j}[0] >= 0.0) { failed[0] = ${i * each + j}.0; return; }`),
      '}',
    ].join('\n');
    return { name: 'gate', code, bindings: [...group, failed].map(whole), workgroups: [1, 1, 1] };
  });
}

/** A copy from a buffer to the results of a run. */
interface Copy {
  readonly from: BufferRange;
  readonly bytes: number;
  readonly to: number;
}

class WebGpuRunner implements Runner {
  readonly bytes: number;
  readonly kernels: Runner['kernels'];
  readonly #device: WebGpuDevice;
  readonly #program: Program;
  /** The dispatches of each step, the gates' as a step of their own. */
  readonly #steps: readonly (readonly Dispatch[])[];
  readonly #buffers: ProgramBuffers;
  readonly #feeds: Layout;
  readonly #outputs: Layout;
  readonly #copies: readonly Copy[];
  /** Bytes that each run copies to the results: outputs, then reports. */
  readonly #resultBytes: number;
  #many: GPUBuffer | null = null;
  #results: GPUBuffer | null = null;

  constructor(
    device: WebGpuDevice,
    program: Program,
    steps: readonly (readonly Dispatch[])[],
    buffers: ProgramBuffers,
    feeds: Layout,
    outputs: Layout,
  ) {
    this.#device = device;
    this.#program = program;
    this.#steps = steps;
    this.#buffers = buffers;
    this.#feeds = feeds;
    this.#outputs = outputs;
    const { plan, checks } = program;
    const wanted = [...outputs.at.values()].map(({ v, offset, length }) => ({
      from: buffers.ranges[plan.bufferOf[v]],
      bytes: length * WORD,
      to: offset * WORD,
    }));
    const reports = checks.map(({ buffer }, i) => ({
      from: buffers.ranges[buffer],
      bytes: REPORT * WORD,
      to: outputs.length * WORD + i * REPORT * WORD,
    }));
    this.#copies = [...wanted, ...reports].filter(({ bytes }) => bytes > 0);
    this.#resultBytes = Math.max(
      BINDING_BYTES,
      Math.ceil((outputs.length * WORD + checks.length * REPORT * WORD) / BINDING_BYTES) * BINDING_BYTES,
    );
    this.bytes = buffers.owned.reduce((sum, buffer) => sum + buffer.size, 0);
    const kernels = program.steps.flatMap((step) => step.kernels);
    const wgsl = kernels.filter(isModule).length;
    this.kernels = { gpujs: kernels.length - wgsl, wgsl };
  }

  async run(feeds: Float32Array, count: number): Promise<RunResult> {
    const encoder = this.#begin(feeds, count);
    for (let k = 0; k < count; k++) {
      if (count > 1 && this.#feeds.length > 0) {
        const bytes = this.#feeds.length * WORD;
        encoder.copyBufferToBuffer(this.#many!, k * bytes, this.#buffers.fed, 0, bytes);
      }
      const pass = encoder.beginComputePass();
      for (const step of this.#steps) dispatch(pass, step);
      pass.end();
      this.#copyResults(encoder, k);
    }
    this.#device.gpu.queue.submit([encoder.finish()]);
    return this.#finish(count);
  }

  async profile(feeds: Float32Array): Promise<readonly number[]> {
    const { gpu } = this.#device;
    const encoder = this.#begin(feeds, 1);
    if (!gpu.features.has('timestamp-query')) return this.#profileByWaiting(encoder);
    const count = 2 * this.#steps.length;
    const querySet = gpu.createQuerySet({ type: 'timestamp', count: Math.max(count, 2) });
    const resolved = gpu.createBuffer({ size: Math.max(count, 2) * 8, usage: QUERY_RESOLVE | COPY_SRC });
    const read = gpu.createBuffer({ size: resolved.size, usage: MAP_READ | COPY_DST });
    try {
      this.#steps.forEach((step, i) => {
        const timestampWrites = {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        };
        const pass = encoder.beginComputePass({ timestampWrites });
        dispatch(pass, step);
        pass.end();
      });
      if (count > 0) encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, read, 0, resolved.size);
      this.#copyResults(encoder, 0);
      gpu.queue.submit([encoder.finish()]);
      this.#expectNoError(await this.#finish(1));
      await this.#device.map(read, 'profile');
      const stamps = new BigUint64Array(read.getMappedRange());
      return this.#withoutGates((i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6);
    } finally {
      querySet.destroy();
      resolved.destroy();
      read.destroy();
    }
  }

  /** Without timestamps: one submission for each step, whose latency is part of its time. */
  async #profileByWaiting(encoder: GPUCommandEncoder): Promise<readonly number[]> {
    const { queue } = this.#device.gpu;
    queue.submit([encoder.finish()]);
    const times: number[] = [];
    for (const step of this.#steps) {
      const stepEncoder = this.#device.gpu.createCommandEncoder();
      const pass = stepEncoder.beginComputePass();
      dispatch(pass, step);
      pass.end();
      const begin = performance.now();
      queue.submit([stepEncoder.finish()]);
      // oxlint-disable-next-line no-await-in-loop -- one after the other is what is measured
      await queue.onSubmittedWorkDone();
      times.push(performance.now() - begin);
    }
    const last = this.#device.gpu.createCommandEncoder();
    this.#copyResults(last, 0);
    queue.submit([last.finish()]);
    this.#expectNoError(await this.#finish(1));
    return this.#withoutGates((i) => times[i]);
  }

  /** Times of the program's steps: that of the gates is added to the step before them. */
  #withoutGates(timeOf: (i: number) => number): number[] {
    const times = this.#steps.map((_, i) => timeOf(i));
    if (this.#program.checks.length > 0) {
      const gate = this.#program.plan.commitStep;
      const [time] = times.splice(gate, 1);
      times[gate - 1] += time;
    }
    return times;
  }

  /** Writes the feeds and clears the flag. */
  #begin(feeds: Float32Array, count: number): GPUCommandEncoder {
    const { gpu } = this.#device;
    this.#device.check('run');
    if (count === 1) {
      this.#device.fill(this.#buffers.fed, feeds);
    } else if (feeds.length > 0) {
      this.#many = this.#grown(this.#many, feeds.byteLength, COPY_SRC | COPY_DST);
      this.#device.fill(this.#many, feeds);
    }
    this.#results = this.#grown(this.#results, count * this.#resultBytes, MAP_READ | COPY_DST);
    this.#device.fill(this.#buffers.ranges[this.#buffers.failed].buffer, Float32Array.of(-1));
    return gpu.createCommandEncoder();
  }

  #grown(buffer: GPUBuffer | null, size: number, usage: number): GPUBuffer {
    if (buffer !== null && buffer.size >= size) return buffer;
    buffer?.destroy();
    return this.#device.gpu.createBuffer({ size, usage });
  }

  #copyResults(encoder: GPUCommandEncoder, run: number): void {
    for (const { from, bytes, to } of this.#copies) {
      encoder.copyBufferToBuffer(
        from.buffer,
        from.offset,
        this.#results!,
        run * this.#resultBytes + to,
        bytes,
      );
    }
  }

  async #finish(count: number): Promise<RunResult> {
    const { checks } = this.#program;
    const buffer = this.#results!;
    await this.#device.map(buffer, 'run');
    try {
      const words = new Float32Array(buffer.getMappedRange().slice(0, count * this.#resultBytes));
      const results: Float32Array[] = [];
      for (let k = 0; k < count; k++) {
        const result = words.subarray((k * this.#resultBytes) / WORD);
        for (const [i, check] of checks.entries()) {
          const begin = this.#outputs.length + i * REPORT;
          const error = errorOf(check, result.subarray(begin, begin + REPORT));
          if (error !== null) return { results, error };
        }
        results.push(result.subarray(0, this.#outputs.length));
      }
      return { results, error: null };
    } finally {
      buffer.unmap();
    }
  }

  #expectNoError({ error }: RunResult): void {
    if (error !== null) throw error;
  }

  close(): void {
    for (const buffer of this.#buffers.owned) buffer.destroy();
    this.#many?.destroy();
    this.#results?.destroy();
  }
}

function dispatch(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
  for (const { pipeline, group, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
  }
}
