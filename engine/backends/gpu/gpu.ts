/**
 * The GPU backend: kernels in gpu.js's language, run by WebGPU, WebGL or, to check them on any machine, gpu.js's own cpu mode.
 * What the modes share is here: stores, feeds and outputs, the queue of runs. What they differ in is a Device.
 */
import { BackendError, type EngineError } from '../../errors.ts';
import { checkArrays } from '../../host.ts';
import { checkOneOf, checkOptions } from '../../options.ts';
import { formatPlan, type Plan, type Step, type StepNote } from '../../plan/plan.ts';
import type { HostTensor, State, TensorType } from '../../types.ts';
import { checkFeeds, checkWrite, splitRuns, stackRuns, stopRuns } from '../backend.ts';
import type { Backend, Executable, Feeds, Outputs, StepTime, Store } from '../backend.ts';
import { expectHardware, openWebGpu } from './adapter.ts';
import type { Device, Memory, Runner } from './device.ts';
import { fusions } from './lower.ts';
import type { Layout } from './memory.ts';
import { overridesFor } from './overrides.ts';
import { loadGpuJs } from './packages.ts';
import { CpuDevice } from './portable.ts';
import { buildProgram, isDispatch, type Program } from './program.ts';
import type { GpuReport } from './report.ts';
import { Translator } from './translate.ts';
import { openWebGl } from './webgl.ts';
import { WebGpuDevice } from './webgpu.ts';

const MODES = ['hardware', 'webgpu', 'webgl', 'cpu'] as const;

export interface GpuOptions {
  /**
   * What runs the kernels.
   * - 'hardware': WebGPU, never on a software adapter. The default.
   * - 'webgpu': WebGPU, also on a software adapter.
   * - 'webgl': WebGL: WebGL 2 in browsers, gpu.js's headless-gl in Node (the package gl, and an X server).
   * - 'cpu': gpu.js's own interpreter of them, for checking; it is slower than the wasm backend.
   */
  readonly mode?: (typeof MODES)[number];
  /** False computes everything with the portable kernels, one result a thread, for comparisons. Default true. */
  readonly overrides?: boolean;
  /** Flags of Dawn, in Node: for instance 'backend=null', which runs nothing, to measure what submitting costs. */
  readonly dawn?: readonly string[];
}

/**
 * Makes a GPU backend. Needs the package gpu.js, and `webgpu` for WebGPU in Node.
 * Throws BackendError where a package or the GPU is missing, with the command that helps.
 *
 * @example const backend = await gpu();
 */
export async function gpu(options: GpuOptions = {}): Promise<Backend> {
  const { mode = 'hardware', overrides = true, dawn = [] } = options;
  checkOptions('gpu', options, ['mode', 'overrides', 'dawn']);
  checkOneOf('gpu', 'mode', mode, MODES);
  switch (mode) {
    case 'cpu':
      return new GpuBackend(new CpuDevice(await loadGpuJs()));
    case 'webgl':
      return new GpuBackend(openWebGl(await loadGpuJs(), overrides));
    case 'webgpu':
      return new GpuBackend(await webGpuDevice(overrides, dawn, true));
    case 'hardware':
      await expectHardware();
      return new GpuBackend(await webGpuDevice(overrides, dawn, false));
    default:
      return mode satisfies never;
  }
}

async function webGpuDevice(
  overrides: boolean,
  dawn: readonly string[],
  softwareToo: boolean,
): Promise<Device> {
  const module = await loadGpuJs();
  const { adapter, device, description, software } = await openWebGpu(dawn);
  if (software && !softwareToo) {
    device.destroy();
    throw new BackendError(
      `gpu: the only adapter is software: ${description} (use the wasm backend, or mode 'webgpu' to accept it)`,
    );
  }
  const override = overrides ? overridesFor(device.limits) : () => null;
  return new WebGpuDevice(device, description, new Translator(module, adapter, device), override);
}

class GpuBackend implements Backend {
  readonly name = 'gpu';
  readonly fusions = fusions;
  readonly runsPerCall: number;
  readonly device: Device;
  openStores = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(device: Device) {
    this.device = device;
    this.runsPerCall = device.runsPerCall;
  }

  /** Runs `act` after everything queued before it. */
  queue<T>(act: () => T | Promise<T>): Promise<T> {
    const turn = this.#tail.then(act);
    this.#tail = turn.catch(() => undefined); // its caller gets the error; the next one's turn comes all the same
    return turn;
  }

  createStore(initial: State): Promise<Store> {
    return this.queue(async () => {
      checkArrays('createStore', initial);
      const store = new GpuStore(this);
      await store.fill(initial);
      return store;
    });
  }

  load(plan: Plan, store: Store): Promise<Executable> {
    return this.queue(async () => {
      if (!(store instanceof GpuStore) || store.backend !== this) {
        throw new BackendError('gpu: the store belongs to another backend (create one on this backend)');
      }
      const { device } = this;
      const program = buildProgram(plan, device);
      const feeds = device.codec.layoutOf(plan, plan.inputs);
      const outputs = device.codec.layoutOf(plan, plan.outputs);
      const runner = await device.prepare(program, store.memory, feeds, outputs);
      return new GpuExecutable(program, store, runner, feeds, outputs);
    });
  }

  close(): Promise<void> {
    return this.queue(async () => {
      if (this.openStores > 0) {
        throw new BackendError(`gpu: ${this.openStores} stores are still open (close them first)`);
      }
      if (this.#closed) return;
      this.#closed = true;
      await this.device.close();
    });
  }
}

class GpuStore implements Store {
  readonly backend: GpuBackend;
  readonly types = new Map<string, TensorType>();
  readonly memory = new Map<string, Memory>();
  users = 0;
  #closed = false;

  constructor(backend: GpuBackend) {
    this.backend = backend;
  }

  /** Begins with these arrays, or throws and keeps none. */
  async fill(initial: State): Promise<void> {
    const { device } = this.backend;
    try {
      for (const [name, value] of Object.entries(initial)) {
        // oxlint-disable-next-line no-await-in-loop -- the staging memory of one array is that of the next
        this.memory.set(name, await device.upload(device.codec.encoded(value), name));
        this.types.set(name, { shape: value.shape, dtype: value.dtype });
      }
    } catch (error) {
      this.#free();
      throw error;
    }
    this.backend.openStores++;
  }

  read(names: readonly string[] = [...this.types.keys()]): Promise<State> {
    return this.backend.queue(async () => {
      const types = names.map((name) => {
        const type = this.types.get(name);
        if (type === undefined || this.#closed)
          throw new BackendError(`store.read: there is no array called '${name}'`);
        return type;
      });
      const { device } = this.backend;
      const read = await device.read(
        names.map((name, i) => [this.memory.get(name)!, device.codec.words(types[i])]),
      );
      return Object.fromEntries(names.map((name, i) => [name, device.codec.decode(types[i], read[i])]));
    });
  }

  write(state: State): Promise<void> {
    const { device } = this.backend;
    let values: [string, Float32Array][];
    try {
      checkWrite(this.types, state);
      // A copy, since the caller may change its own before this one's turn.
      values = Object.entries(state).map(([name, value]) => [name, device.codec.encoded(value).slice()]);
    } catch (error) {
      return Promise.reject(error as EngineError);
    }
    return this.backend.queue(() => {
      for (const [name, words] of values) device.write(this.memory, name, words);
    });
  }

  close(): Promise<void> {
    return this.backend.queue(() => {
      if (this.users > 0) {
        throw new BackendError(
          `store.close: ${this.users} executables still use the store (close them first)`,
        );
      }
      if (this.#closed) return;
      this.#closed = true;
      this.#free();
      this.backend.openStores--;
    });
  }

  #free(): void {
    for (const memory of this.memory.values()) this.backend.device.free(memory);
    this.memory.clear();
  }
}

class GpuExecutable implements Executable {
  readonly plan: Plan;
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly report: GpuReport;
  readonly #store: GpuStore;
  readonly #runner: Runner;
  readonly #feeds: Layout;
  readonly #outputs: Layout;
  #closed = false;

  constructor(program: Program, store: GpuStore, runner: Runner, feeds: Layout, outputs: Layout) {
    const { plan } = program;
    this.notes = notesOf(program);
    this.plan = { ...plan, toString: () => formatPlan(plan, this.notes) };
    this.#store = store;
    this.#runner = runner;
    this.#feeds = feeds;
    this.#outputs = outputs;
    store.users++;
    const { mode, executor, adapter } = store.backend.device;
    this.report = {
      backend: 'gpu',
      executor: `${mode}: ${executor}`,
      ...(adapter === null ? {} : { adapter }),
      kernels: runner.kernels,
      threads: 1,
      fallback: null,
      bytes: runner.bytes,
    };
  }

  run(feeds: Feeds): Promise<Outputs> {
    return this.#queue(
      1,
      () => feeds,
      (packed) => this.#runPacked(packed, 1),
    ).then(([outputs]) => outputs);
  }

  runMany(feeds: Feeds): Promise<Outputs> {
    let runs: ReturnType<typeof splitRuns>;
    try {
      runs = splitRuns(this.plan, feeds);
    } catch (error) {
      return Promise.reject(error as EngineError);
    }
    return this.#queue(runs.count, runs.feedsOf, (packed) => this.#runPacked(packed, runs.count)).then(
      stackRuns,
    );
  }

  profile(feeds: Feeds): Promise<readonly StepTime[]> {
    return this.#queue(
      1,
      () => feeds,
      async (packed) => {
        const times = await this.#runner.profile(packed);
        return this.plan.steps.map((step, i) => ({ step, ms: times[i] }));
      },
    );
  }

  close(): Promise<void> {
    return this.#store.backend.queue(() => {
      if (this.#closed) return;
      this.#closed = true;
      this.#runner.close();
      this.#store.users--;
    });
  }

  /** Copies the feeds of some runs, then acts in turn. */
  #queue<T>(
    count: number,
    feedsOf: (run: number) => Feeds,
    act: (packed: Float32Array) => Promise<T>,
  ): Promise<T> {
    const packed = new Float32Array(count * this.#feeds.length);
    const { codec } = this.#store.backend.device;
    try {
      for (let k = 0; k < count; k++) {
        for (const [name, data] of checkFeeds(this.plan, feedsOf(k))) {
          const { v, offset, length } = this.#feeds.at.get(name)!;
          const begin = k * this.#feeds.length + offset;
          codec.encode(this.plan.values[v], data, packed.subarray(begin, begin + length));
        }
      }
    } catch (error) {
      return Promise.reject(error as EngineError);
    }
    return this.#store.backend.queue(() => {
      if (this.#closed) throw new BackendError('run: the executable is closed');
      return act(packed);
    });
  }

  async #runPacked(packed: Float32Array, count: number): Promise<Outputs[]> {
    const { results, error } = await this.#runner.run(packed, count);
    const { codec } = this.#store.backend.device;
    const runs = results.map((words) => {
      const outputs: Record<string, HostTensor> = {};
      for (const [name, { v, offset, length }] of this.#outputs.at) {
        outputs[name] = codec.decode(this.plan.values[v], words.subarray(offset, offset + length));
      }
      return outputs;
    });
    return error === null ? runs : stopRuns(runs, error);
  }
}

/** Which steps have other kernels than the portable ones. */
function notesOf({ parts }: Program): ReadonlyMap<Step, StepNote> {
  return new Map(
    parts.flatMap(({ step, work }) => {
      const names = work.flatMap((item) => (isDispatch(item) ? item.name : (item.vectors?.note ?? [])));
      const method = names.join(', ');
      return method === '' ? [] : [[step, { method, toString: () => method }] as const];
    }),
  );
}
