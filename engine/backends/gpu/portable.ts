/**
 * gpu.js kernels called one after the other, each result memory of its own: for gpu.js's `cpu` mode, which is correct on
 * every machine, and WebGL. A kernel never writes where it reads.
 */
import type { GPU, IKernelRunShortcut, Input } from 'gpu.js';
import { BackendError } from '../../errors.ts';
import type { HostTensor } from '../../types.ts';
import type { Device, Memory, Runner } from './device.ts';
import { countOf, libraryOf, sourceOf, type Call, type Dims, type Place } from './kernel.ts';
import { encoded, type Layout } from './memory.ts';
import type { GpuJs } from './packages.ts';
import { errorOf, isDispatch, type Program } from './program.ts';

/** Kernels kept, so that executables of the same shapes share them; the one used least recently goes first. */
const KEPT = 512;

/** gpu.js's cpu mode: memory is an array of floats. */
export class CpuDevice implements Device {
  readonly mode = 'cpu';
  readonly executor = "gpu.js kernels on the caller's thread";
  readonly adapter = null;
  /** As few as on the least WebGPU device, so that what they mean is tested on any machine. */
  readonly mostArguments = 6;
  readonly #gpu: GPU;
  readonly #module: GpuJs;
  readonly #kernels = new Map<string, IKernelRunShortcut>();

  constructor(module: GpuJs) {
    this.#module = module;
    this.#gpu = new module.GPU({ mode: 'cpu' });
  }

  override = (): null => null;

  upload(floats: Float32Array): Memory {
    return floats.slice();
  }

  read(memories: readonly (readonly [Memory, number])[]): Promise<readonly Float32Array[]> {
    return Promise.resolve(memories.map(([memory, floats]) => (memory as Float32Array).slice(0, floats)));
  }

  write(state: Map<string, Memory>, name: string, floats: Float32Array): void {
    state.set(name, floats);
  }

  free(): void {
    // the garbage collector's
  }

  prepare(program: Program, state: Map<string, Memory>, feeds: Layout, outputs: Layout): Promise<Runner> {
    return Promise.resolve(new PortableRunner(this, program, state, feeds, outputs));
  }

  call(call: Call, args: readonly Memory[]): Memory {
    const source = sourceOf(call);
    const views = Object.values(call.args).map(({ dims }) => dims);
    const key = JSON.stringify([source, call.output, views]);
    let kernel = this.#kernels.get(key);
    this.#kernels.delete(key);
    kernel ??= this.#gpu.createKernel(source, {
      output: [...call.output] as number[],
      functions: libraryOf(source) as never,
    });
    this.#kernels.set(key, kernel);
    if (this.#kernels.size > KEPT) this.#kernels.delete(this.#kernels.keys().next().value!);
    const inputs = args.map((memory, i) => this.#input(memory as Float32Array, views[i]));
    return flat(kernel(...(inputs as never[])) as Rows, countOf(call.output));
  }

  #input(floats: Float32Array, dims: Dims): Input {
    // Its types say plain arrays, but floats are what it wants.
    return new this.#module.Input(floats as unknown as number[], [...dims] as never);
  }

  async close(): Promise<void> {
    this.#kernels.clear();
    await this.#gpu.destroy();
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

interface PortableDevice extends Device {
  call(call: Call, args: readonly Memory[]): Memory;
}

class PortableRunner implements Runner {
  readonly bytes: number;
  readonly kernels: Runner['kernels'];
  readonly #device: PortableDevice;
  readonly #program: Program;
  readonly #state: Map<string, Memory>;
  readonly #feeds: Layout;
  readonly #outputs: Layout;
  /** What lies at each place that is not the store's. */
  readonly #memory: (Memory | undefined)[];

  constructor(
    device: PortableDevice,
    program: Program,
    state: Map<string, Memory>,
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
    this.kernels = { gpujs: parts.reduce((sum, { work }) => sum + work.length, 0), wgsl: 0 };
  }

  async run(feeds: Float32Array, count: number): Promise<Float32Array> {
    const results = new Float32Array(count * this.#outputs.length);
    for (let k = 0; k < count; k++) {
      const own = feeds.subarray(k * this.#feeds.length, (k + 1) * this.#feeds.length);
      // oxlint-disable-next-line no-await-in-loop -- runs depend on each other through the state
      await this.#runOnce(own, results.subarray(k * this.#outputs.length), () => undefined);
    }
    return results;
  }

  async profile(feeds: Float32Array): Promise<readonly number[]> {
    const times: number[] = [];
    let last = performance.now();
    await this.#runOnce(feeds, new Float32Array(this.#outputs.length), () => {
      const now = performance.now();
      times.push(now - last);
      last = now;
    });
    return times;
  }

  async #runOnce(feeds: Float32Array, results: Float32Array, ran: () => void): Promise<void> {
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
    const wanted = [...this.#outputs.at.values()];
    const read = await this.#device.read(wanted.map(({ v, length }) => [this.#at(plan.bufferOf[v]), length]));
    wanted.forEach(({ offset }, i) => results.set(read[i], offset));
  }

  async #checkReports(): Promise<void> {
    const { plan, checks } = this.#program;
    if (checks.length === 0) return;
    const reports = await this.#device.read(checks.map(({ place }) => [this.#at(place), 4]));
    checks.forEach((check, i) => {
      const error = errorOf(check, plan, reports[i]);
      if (error !== null) throw error;
    });
  }

  close(): void {
    for (const memory of this.#memory) if (memory !== undefined) this.#device.free(memory);
    this.#memory.fill(undefined);
  }

  #upload(value: HostTensor): Memory {
    return this.#device.upload(encoded(value));
  }

  #stateName(place: Place): string | null {
    const spec = this.#program.plan.buffers[place];
    return spec?.kind === 'state' ? spec.name : null;
  }

  #at(place: Place): Memory {
    const name = this.#stateName(place);
    // Nothing was written where a value has no elements.
    return (name === null ? this.#memory[place] : this.#state.get(name)) ?? new Float32Array(0);
  }

  #put(place: Place, memory: Memory): void {
    const name = this.#stateName(place);
    const former = name === null ? this.#memory[place] : this.#state.get(name);
    if (name === null) this.#memory[place] = memory;
    else this.#state.set(name, memory);
    if (former !== undefined) this.#device.free(former);
  }
}
