/**
 * gpu.js kernels called one after the other, each result memory of its own: for gpu.js's `cpu` mode, which is correct on
 * every machine, and WebGL. A kernel never writes where it reads.
 */
import type { GPU, IGPUKernelSettings, IKernelRunShortcut, Input } from 'gpu.js';
import { BackendError, EngineError } from '../../errors.ts';
import type { HostTensor } from '../../types.ts';
import type { Device, Memory, Runner, RunResult } from './device.ts';
import { countOf, functionOf, isModule, type BufferId, type Dims, type KernelSource } from './kernel.ts';
import { libraryOf } from './library.ts';
import { Codec, WORD, type Layout } from './memory.ts';
import type { GpuJs } from './packages.ts';
import { errorOf, REPORT, type Program } from './program.ts';

/** The most kernels in a cache. */
const CACHE_SIZE = 4096;

/** A cache of gpu.js's kernels, which executables of the same shapes share; the one used least recently goes first. */
class KernelCache {
  readonly #gpu: GPU;
  readonly #settings: Readonly<IGPUKernelSettings>;
  readonly #cache = new Map<string, IKernelRunShortcut>();

  constructor(gpu: GPU, settings: IGPUKernelSettings) {
    this.#gpu = gpu;
    this.#settings = settings;
  }

  /** The kernel of a source; `memory` describes how its arguments lie in memory. */
  of(source: KernelSource, memory: string): IKernelRunShortcut {
    const { output, args } = source;
    const text = functionOf(source);
    const key = JSON.stringify([text, output, Object.values(args).map(({ dims }) => dims), memory]);
    let kernel = this.#cache.get(key);
    this.#cache.delete(key);
    kernel ??= this.#gpu.createKernel(text, {
      ...this.#settings,
      output: [...output] as number[],
      functions: libraryOf(text) as never,
    });
    this.#cache.set(key, kernel);
    if (this.#cache.size > CACHE_SIZE) {
      const [oldest] = this.#cache.keys();
      this.#cache.get(oldest)!.destroy();
      this.#cache.delete(oldest);
    }
    return kernel;
  }

  async close(): Promise<void> {
    this.#cache.clear();
    await this.#gpu.destroy();
  }
}

export abstract class PortableDevice<M extends Memory> implements Device {
  abstract readonly mode: 'cpu' | 'webgl';
  abstract readonly executor: string;
  abstract readonly adapter: string | null;
  abstract readonly maxArguments: number;
  abstract readonly vectors: boolean;
  readonly runsPerCall = 1;
  /** gpu.js reads floats. */
  readonly codec = new Codec(false);
  readonly module: GpuJs;
  readonly kernels: KernelCache;

  constructor(module: GpuJs, gpu: GPU, settings: IGPUKernelSettings) {
    this.module = module;
    this.kernels = new KernelCache(gpu, settings);
  }

  override = (): null => null;

  abstract upload(floats: Float32Array): M;
  abstract fetch(memory: M, floats: number): Float32Array;
  abstract free(memory: M): void;
  abstract execute(source: KernelSource, args: readonly M[]): M;

  read(memories: readonly (readonly [Memory, number])[]): Promise<readonly Float32Array[]> {
    return Promise.resolve(
      memories.map(([memory, floats]) =>
        floats === 0 ? new Float32Array(0) : this.fetch(memory as M, floats),
      ),
    );
  }

  write(state: Map<string, Memory>, name: string, floats: Float32Array): void {
    this.free(state.get(name) as M);
    state.set(name, this.upload(floats));
  }

  prepare(program: Program, state: Map<string, Memory>, feeds: Layout, outputs: Layout): Promise<Runner> {
    return Promise.resolve(new PortableRunner(this, program, state as Map<string, M>, feeds, outputs));
  }

  close(): Promise<void> {
    return this.kernels.close();
  }

  /** Floats as an argument of a kernel. */
  input(floats: Float32Array, dims: Dims): Input {
    // Its types want plain arrays, but it expects typed ones.
    return new this.module.Input(floats as unknown as number[], [...dims] as never);
  }
}

/** gpu.js's cpu mode: memory is an array of floats. */
export class CpuDevice extends PortableDevice<Float32Array> {
  readonly mode = 'cpu';
  readonly executor = "gpu.js kernels on the caller's thread";
  readonly adapter = null;
  /** WebGPU's lowest limit, so that every machine tests it. */
  readonly maxArguments = 6;
  readonly vectors = false;

  constructor(module: GpuJs) {
    super(module, new module.GPU({ mode: 'cpu' }), {});
  }

  upload(floats: Float32Array): Float32Array {
    return floats.slice();
  }

  fetch(memory: Float32Array, floats: number): Float32Array {
    return memory.slice(0, floats);
  }

  free(): void {
    // the garbage collector frees it
  }

  execute(source: KernelSource, args: readonly Float32Array[]): Float32Array {
    const views = Object.values(source.args).map(({ dims }) => dims);
    const inputs = args.map((floats, i) => this.input(floats, views[i]));
    return flatten(this.kernels.of(source, '')(...(inputs as never[])) as Rows, countOf(source.output));
  }
}

type Rows = Float32Array | readonly Rows[];

/** Nested rows as one array. */
function flatten(rows: Rows, count: number): Float32Array {
  if (rows instanceof Float32Array) return rows;
  const floats = new Float32Array(count);
  let at = 0;
  const add = (part: Rows): void => {
    if (part instanceof Float32Array) {
      floats.set(part, at);
      at += part.length;
    } else {
      part.forEach(add);
    }
  };
  add(rows);
  return floats;
}

class PortableRunner<M extends Memory> implements Runner {
  readonly bytes: number;
  readonly kernels: Runner['kernels'];
  readonly #device: PortableDevice<M>;
  readonly #program: Program;
  readonly #state: Map<string, M>;
  readonly #feeds: Layout;
  readonly #outputs: Layout;
  /** The memory of each buffer that is not the store's. */
  readonly #memory: (M | undefined)[];

  constructor(
    device: PortableDevice<M>,
    program: Program,
    state: Map<string, M>,
    feeds: Layout,
    outputs: Layout,
  ) {
    this.#device = device;
    this.#program = program;
    this.#state = state;
    this.#feeds = feeds;
    this.#outputs = outputs;
    const { plan, bufferWords, steps } = program;
    this.#memory = bufferWords.map(() => undefined);
    for (const [v, value] of plan.constants) this.#put(plan.bufferOf[v], this.#upload(value));
    this.bytes = bufferWords.reduce(
      (sum, words, buffer) => sum + (plan.buffers[buffer]?.kind === 'state' ? 0 : words * WORD),
      0,
    );
    const kernels = steps.flatMap((step) => step.kernels);
    const vec4 = kernels.filter((kernel) => !isModule(kernel) && kernel.vectors !== undefined).length;
    this.kernels = { gpujs: kernels.length, wgsl: 0, ...(device.vectors ? { vec4 } : {}) };
  }

  async run(feeds: Float32Array, count: number): Promise<RunResult> {
    const results: Float32Array[] = [];
    try {
      for (let k = 0; k < count; k++) {
        const feedsOfRun = feeds.subarray(k * this.#feeds.length, (k + 1) * this.#feeds.length);
        // oxlint-disable-next-line no-await-in-loop -- runs depend on each other through the state
        results.push(await this.#runOnce(feedsOfRun, () => undefined));
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return { results, error };
    }
    return { results, error: null };
  }

  async profile(feeds: Float32Array): Promise<readonly number[]> {
    const times: number[] = [];
    let last = performance.now();
    await this.#runOnce(feeds, () => {
      const now = performance.now();
      times.push(now - last);
      last = now;
    });
    return times;
  }

  async #runOnce(feeds: Float32Array, onStep: () => void): Promise<Float32Array> {
    const { plan, steps } = this.#program;
    for (const { v, offset, length } of this.#feeds.at.values()) {
      this.#put(plan.bufferOf[v], this.#device.upload(feeds.subarray(offset, offset + length)));
    }
    for (const [i, { kernels }] of steps.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- state is written after the checks
      if (i === plan.commitStep) await this.#checkReports();
      for (const kernel of kernels) {
        if (isModule(kernel)) throw new BackendError(`gpu: ${kernel.name} needs WebGPU`);
        const args = Object.values(kernel.args).map(({ buffer }) => this.#at(buffer));
        this.#put(kernel.to, this.#device.execute(kernel, args));
      }
      onStep();
    }
    if (plan.commitStep >= steps.length) await this.#checkReports();
    const results = new Float32Array(this.#outputs.length);
    const wanted = [...this.#outputs.at.values()];
    const read = await this.#device.read(wanted.map(({ v, length }) => [this.#at(plan.bufferOf[v]), length]));
    wanted.forEach(({ offset }, i) => results.set(read[i], offset));
    return results;
  }

  async #checkReports(): Promise<void> {
    const { checks } = this.#program;
    if (checks.length === 0) return;
    const reports = await this.#device.read(checks.map(({ buffer }) => [this.#at(buffer), REPORT]));
    checks.forEach((check, i) => {
      const error = errorOf(check, reports[i]);
      if (error !== null) throw error;
    });
  }

  close(): void {
    for (const memory of this.#memory) if (memory !== undefined) this.#device.free(memory);
    this.#memory.fill(undefined);
  }

  #upload(value: HostTensor): M {
    return this.#device.upload(this.#device.codec.encoded(value));
  }

  #stateName(buffer: BufferId): string | null {
    const spec = this.#program.plan.buffers[buffer];
    return spec?.kind === 'state' ? spec.name : null;
  }

  #at(buffer: BufferId): M {
    const name = this.#stateName(buffer);
    // Nothing was written for a value without elements.
    return (
      (name === null ? this.#memory[buffer] : this.#state.get(name)) ??
      this.#device.upload(new Float32Array(0))
    );
  }

  #put(buffer: BufferId, memory: M): void {
    const name = this.#stateName(buffer);
    const former = name === null ? this.#memory[buffer] : this.#state.get(name);
    if (name === null) this.#memory[buffer] = memory;
    else this.#state.set(name, memory);
    if (former !== undefined) this.#device.free(former);
  }
}
