/**
 * gpu.js kernels called one after the other, each result memory of its own: for gpu.js's `cpu` mode, which is correct on
 * every machine, and WebGL. A kernel never writes where it reads.
 */
import type { GPU, IGPUKernelSettings, IKernelRunShortcut, Input } from 'gpu.js';
import { BackendError, EngineError } from '../../errors.ts';
import type { HostTensor } from '../../types.ts';
import type { Device, Memory, Ran, Runner } from './device.ts';
import { countOf, sourceOf, type Call, type Dims, type Place } from './kernel.ts';
import { libraryOf } from './library.ts';
import { Codec, type Layout } from './memory.ts';
import type { GpuJs } from './packages.ts';
import { errorOf, isDispatch, type Program } from './program.ts';

const KEPT = 4096;

/** Kernels kept, so that executables of the same shapes share them; the one used least recently goes first. */
class Kernels {
  readonly #gpu: GPU;
  readonly #settings: Readonly<IGPUKernelSettings>;
  readonly #kept = new Map<string, IKernelRunShortcut>();

  constructor(gpu: GPU, settings: IGPUKernelSettings) {
    this.#gpu = gpu;
    this.#settings = settings;
  }

  /** The kernel of a call; `memory` says what else its arguments must agree in. */
  of(call: Call, memory: string): IKernelRunShortcut {
    const source = sourceOf(call);
    const key = JSON.stringify([
      source,
      call.output,
      Object.values(call.args).map(({ dims }) => dims),
      memory,
    ]);
    let kernel = this.#kept.get(key);
    this.#kept.delete(key);
    kernel ??= this.#gpu.createKernel(source, {
      ...this.#settings,
      output: [...call.output] as number[],
      functions: libraryOf(source) as never,
    });
    this.#kept.set(key, kernel);
    if (this.#kept.size > KEPT) {
      const [oldest] = this.#kept.keys();
      this.#kept.get(oldest)!.destroy();
      this.#kept.delete(oldest);
    }
    return kernel;
  }

  async close(): Promise<void> {
    this.#kept.clear();
    await this.#gpu.destroy();
  }
}

export abstract class PortableDevice<M extends Memory> implements Device {
  abstract readonly mode: 'cpu' | 'webgl';
  abstract readonly executor: string;
  abstract readonly adapter: string | null;
  abstract readonly mostArguments: number;
  abstract readonly vectors: boolean;
  readonly runsPerCall = 1;
  /** gpu.js reads floats. */
  readonly codec = new Codec(false);
  readonly module: GpuJs;
  readonly kernels: Kernels;

  constructor(module: GpuJs, gpu: GPU, settings: IGPUKernelSettings) {
    this.module = module;
    this.kernels = new Kernels(gpu, settings);
  }

  override = (): null => null;

  abstract upload(floats: Float32Array): M;
  abstract fetch(memory: M, floats: number): Float32Array;
  abstract free(memory: M): void;
  abstract call(call: Call, args: readonly M[]): M;

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
    // Its types say plain arrays, but floats are what it wants.
    return new this.module.Input(floats as unknown as number[], [...dims] as never);
  }
}

/** gpu.js's cpu mode: memory is an array of floats. */
export class CpuDevice extends PortableDevice<Float32Array> {
  readonly mode = 'cpu';
  readonly executor = "gpu.js kernels on the caller's thread";
  readonly adapter = null;
  /** As few as on the least WebGPU device, so that what they mean is tested on any machine. */
  readonly mostArguments = 6;
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
    // the garbage collector's
  }

  call(call: Call, args: readonly Float32Array[]): Float32Array {
    const views = Object.values(call.args).map(({ dims }) => dims);
    const inputs = args.map((floats, i) => this.input(floats, views[i]));
    return flat(this.kernels.of(call, '')(...(inputs as never[])) as Rows, countOf(call.output));
  }
}

type Rows = Float32Array | readonly Rows[];

/** Rows of rows, one after the other. */
function flat(rows: Rows, count: number): Float32Array {
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
  /** What lies at each place that is not the store's. */
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
    const { plan, places, parts } = program;
    this.#memory = places.map(() => undefined);
    for (const [v, value] of plan.constants) this.#put(plan.bufferOf[v], this.#upload(value));
    this.bytes = places.reduce(
      (sum, floats, p) => sum + (plan.buffers[p]?.kind === 'state' ? 0 : floats * 4),
      0,
    );
    const work = parts.flatMap((part) => part.work);
    const vec4 = work.filter((call) => !isDispatch(call) && call.vectors !== undefined).length;
    this.kernels = { gpujs: work.length, wgsl: 0, ...(device.vectors ? { vec4 } : {}) };
  }

  async run(feeds: Float32Array, count: number): Promise<Ran> {
    const results: Float32Array[] = [];
    try {
      for (let k = 0; k < count; k++) {
        const own = feeds.subarray(k * this.#feeds.length, (k + 1) * this.#feeds.length);
        // oxlint-disable-next-line no-await-in-loop -- runs depend on each other through the state
        results.push(await this.#runOnce(own, () => undefined));
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

  async #runOnce(feeds: Float32Array, ran: () => void): Promise<Float32Array> {
    const { plan, parts } = this.#program;
    for (const { v, offset, length } of this.#feeds.at.values()) {
      this.#put(plan.bufferOf[v], this.#device.upload(feeds.subarray(offset, offset + length)));
    }
    for (const [i, { work }] of parts.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- state is written after the checks
      if (i === plan.commitStep) await this.#checkReports();
      for (const call of work) {
        if (isDispatch(call)) throw new BackendError(`gpu: ${call.name} needs WebGPU`);
        const args = Object.values(call.args).map(({ place }) => this.#at(place));
        this.#put(call.to, this.#device.call(call, args));
      }
      ran();
    }
    if (plan.commitStep >= parts.length) await this.#checkReports();
    const results = new Float32Array(this.#outputs.length);
    const wanted = [...this.#outputs.at.values()];
    const read = await this.#device.read(wanted.map(({ v, length }) => [this.#at(plan.bufferOf[v]), length]));
    wanted.forEach(({ offset }, i) => results.set(read[i], offset));
    return results;
  }

  async #checkReports(): Promise<void> {
    const { checks } = this.#program;
    if (checks.length === 0) return;
    const reports = await this.#device.read(checks.map(({ place }) => [this.#at(place), 4]));
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

  #stateName(place: Place): string | null {
    const spec = this.#program.plan.buffers[place];
    return spec?.kind === 'state' ? spec.name : null;
  }

  #at(place: Place): M {
    const name = this.#stateName(place);
    // Where a value has no elements, nothing was written.
    return (
      (name === null ? this.#memory[place] : this.#state.get(name)) ??
      this.#device.upload(new Float32Array(0))
    );
  }

  #put(place: Place, memory: M): void {
    const name = this.#stateName(place);
    const former = name === null ? this.#memory[place] : this.#state.get(name);
    if (name === null) this.#memory[place] = memory;
    else this.#state.set(name, memory);
    if (former !== undefined) this.#device.free(former);
  }
}
