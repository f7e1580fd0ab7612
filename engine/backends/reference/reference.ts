/** The reference backend: runs anywhere JavaScript runs, on the caller's thread, in f64 or f32. The oracle of the others. */
import ndarray from 'ndarray';
import { BackendError } from '../../errors.ts';
import { checkArrays } from '../../host.ts';
import { allocate } from '../../ops/create.ts';
import type { Plan } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { DType, HostData, HostTensor, State, TensorType } from '../../types.ts';
import {
  checkFeeds,
  checkWrite,
  runEach,
  type Backend,
  type Executable,
  type Feeds,
  type Outputs,
  type StepTime,
  type Store,
} from '../backend.ts';
import type { ReferenceReport } from '../report.ts';
import { kernels, type Call, type Nd } from './kernels.ts';

export interface ReferenceOptions {
  /** How `f32` values are held. 'f64' is for gradient checks. Default 'f32'. */
  readonly precision?: 'f32' | 'f64';
}

/** Makes a reference backend. */
export function reference(options: ReferenceOptions = {}): Backend {
  const { precision = 'f32' } = options;
  if (precision !== 'f32' && precision !== 'f64') {
    throw new RangeError(`reference: precision must be 'f32' or 'f64', got ${JSON.stringify(precision)}`);
  }
  return new ReferenceBackend(precision);
}

class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly fusions = new Set<never>();
  readonly runsPerCall = 1;
  readonly precision: 'f32' | 'f64';
  openStores = 0;

  constructor(precision: 'f32' | 'f64') {
    this.precision = precision;
  }

  createStore(initial: State): Promise<Store> {
    try {
      checkArrays('createStore', initial);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return Promise.resolve(new ReferenceStore(this, initial));
  }

  load(plan: Plan, store: Store): Promise<Executable> {
    if (!(store instanceof ReferenceStore) || store.backend !== this) {
      return Promise.reject(
        new BackendError('reference: the store belongs to another backend (create one on this backend)'),
      );
    }
    return Promise.resolve(new ReferenceExecutable(plan, store));
  }

  close(): Promise<void> {
    if (this.openStores > 0) {
      return Promise.reject(
        new BackendError(`reference: ${this.openStores} stores are still open (close them first)`),
      );
    }
    return Promise.resolve();
  }

  allocate(dtype: DType, size: number): HostData {
    return dtype === 'f32' && this.precision === 'f64' ? new Float64Array(size) : allocate(dtype, size);
  }
}

class ReferenceStore implements Store {
  readonly backend: ReferenceBackend;
  readonly types = new Map<string, TensorType>();
  readonly arrays = new Map<string, HostData>();
  users = 0;

  constructor(backend: ReferenceBackend, initial: State) {
    this.backend = backend;
    for (const [name, { shape, dtype, data }] of Object.entries(initial)) {
      const own = backend.allocate(dtype, sizeOf(shape));
      own.set(data);
      this.types.set(name, { shape, dtype });
      this.arrays.set(name, own);
    }
    backend.openStores++;
  }

  read(names: readonly string[] = [...this.types.keys()]): Promise<State> {
    const state: Record<string, HostTensor> = {};
    for (const name of names) {
      const type = this.types.get(name);
      if (type === undefined)
        return Promise.reject(new BackendError(`store.read: there is no array called '${name}'`));
      state[name] = { ...type, data: this.arrays.get(name)!.slice() };
    }
    return Promise.resolve(state);
  }

  write(state: State): Promise<void> {
    try {
      checkWrite(this.types, state);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    for (const [name, { data }] of Object.entries(state)) this.arrays.get(name)!.set(data);
    return Promise.resolve();
  }

  close(): Promise<void> {
    if (this.users > 0) {
      return Promise.reject(
        new BackendError(`store.close: ${this.users} executables still use the store (close them first)`),
      );
    }
    this.backend.openStores--;
    this.arrays.clear();
    return Promise.resolve();
  }
}

/** After what else waits; browsers have no setImmediate. */
const later: (act: () => void) => unknown = globalThis.setImmediate ?? ((act) => setTimeout(act));

class ReferenceExecutable implements Executable {
  readonly plan: Plan;
  readonly notes: Executable['notes'] = new Map();
  readonly report: ReferenceReport;
  readonly #store: ReferenceStore;
  readonly #values: readonly Nd[];
  readonly #calls: readonly (Call & { readonly run: (call: Call) => void })[];
  #closed = false;

  constructor(plan: Plan, store: ReferenceStore) {
    this.plan = plan;
    this.#store = store;
    store.users++;
    const widening = store.backend.precision === 'f64' ? 2 : 1;
    const memory = plan.buffers.map((spec) =>
      spec.kind === 'state' ? null : new ArrayBuffer(Math.ceil(spec.bytes / 4) * 4 * widening),
    );
    this.#values = plan.values.map((type, v) => {
      const spec = plan.buffers[plan.bufferOf[v]];
      const size = sizeOf(type.shape);
      const buffer = memory[plan.bufferOf[v]]!;
      const data =
        spec.kind === 'state'
          ? store.arrays.get(spec.name)!
          : viewOf(store.backend.allocate(type.dtype, 0), buffer, size);
      return ndarray(data, [...type.shape]);
    });
    for (const [v, constant] of plan.constants) (this.#values[v].data as HostData).set(constant.data);
    this.#calls = plan.steps.map(({ op, inputs, outputs, attrs, path }) => ({
      inputs: inputs.map((v) => this.#values[v]),
      outputs: outputs.map((v) => this.#values[v]),
      attrs,
      path,
      run: kernelOf(op),
    }));
    this.report = {
      backend: 'reference',
      executor: `caller, ${store.backend.precision}`,
      threads: 1,
      fallback: null,
      bytes: memory.reduce((sum, buffer) => sum + (buffer?.byteLength ?? 0), 0),
    };
  }

  run(feeds: Feeds): Promise<Outputs> {
    // Synchronous inside, so runs are in call order by nature; errors still arrive as rejections. Between two runs signals and
    // timers have their turn: one may take seconds.
    try {
      const outputs = this.#runNow(feeds, () => undefined);
      return new Promise((resolve) => later(() => resolve(outputs)));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #runNow(feeds: Feeds, ran: (index: number) => void): Outputs {
    if (this.#closed) throw new BackendError('run: the executable is closed');
    for (const [name, data] of checkFeeds(this.plan, feeds)) {
      (this.#values[this.plan.inputs.get(name)!].data as HostData).set(data);
    }
    this.#calls.forEach((call, i) => {
      call.run(call);
      ran(i);
    });
    const outputs: Record<string, HostTensor> = {};
    for (const [name, v] of this.plan.outputs) {
      outputs[name] = { ...this.plan.values[v], data: (this.#values[v].data as HostData).slice() };
    }
    return outputs;
  }

  profile(feeds: Feeds): Promise<readonly StepTime[]> {
    const times: StepTime[] = [];
    let last = performance.now();
    try {
      this.#runNow(feeds, (i) => {
        const now = performance.now();
        times.push({ step: this.plan.steps[i], ms: now - last });
        last = now;
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return Promise.resolve(times);
  }

  runMany(feeds: Feeds): Promise<Outputs> {
    return runEach(this, feeds);
  }

  close(): Promise<void> {
    if (!this.#closed) this.#store.users--;
    this.#closed = true;
    return Promise.resolve();
  }
}

function kernelOf(op: Plan['steps'][number]['op']): (call: Call) => void {
  if (!Object.hasOwn(kernels, op))
    throw new BackendError(`reference: there is no kernel for ${op} (it fuses nothing)`);
  return kernels[op as keyof typeof kernels];
}

/** A view of a buffer, of the kind of `like`. */
function viewOf(like: HostData, buffer: ArrayBuffer, size: number): HostData {
  return new (like.constructor as Float32ArrayConstructor)(buffer, 0, size) as HostData;
}
