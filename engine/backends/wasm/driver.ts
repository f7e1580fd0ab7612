/** The driver of the CPU backend: places arrays, encodes plans as kernel calls, and runs them on a team. */
import { BackendError, DataError, NonFiniteError, type EngineError } from '../../errors.ts';
import type { AttrsOf } from '../../ops/primitives/index.ts';
import { declarationOf } from '../../plan/fusions/index.ts';
import { formatPlan, type Plan, type Step, type StepNote } from '../../plan/plan.ts';
import { bytesOf, sizeOf } from '../../shape.ts';
import type { HostData, HostTensor, TensorType } from '../../types.ts';
import type { Backend, Executable } from '../backend.ts';
import { indexError, labelError } from '../failures.ts';
import { runInOrder, stageFeeds, type CheckedFeeds, type Ran, type StagedFeeds } from '../runs.ts';
import { openShell, type Driver, type Placed, type Program } from '../shell.ts';
import { formatProgram } from './call.ts';
import { encode, type Machine } from './encode.ts';
import { Heap, RESERVED } from './heap.ts';
import { K } from './kernels.generated.ts';
import { fusions } from './lower/index.ts';
import { instantiate, loadKernels, type Kernels } from './module.ts';
import type { WasmReport } from './report.ts';
import { Layout, Scratch } from './scratch.ts';
import type { Simd } from './simd.ts';
import { callerTeam, workerTeam, type Failure, type Team, type Waiting } from './team.ts';

/** Options that have been checked. */
interface Settings extends DriverOptions {
  readonly simd: Simd | 'auto';
  readonly threads: number;
  readonly workers: boolean;
  readonly waiting: Waiting | undefined;
}

let heap: Heap | null = null;

/** Opens the backend. All backends of a process share one memory. */
export async function openWasm({ simd, threads, workers, waiting, ...options }: Settings): Promise<Backend> {
  const own = await loadKernels(simd);
  heap ??= new Heap();
  const base = instantiate(own.module, heap.memory).heapBase();
  if (base > RESERVED)
    throw new BackendError(`wasm: static data ends at ${base}, past the reserved ${RESERVED} bytes`);
  const team = await makeTeam(heap, own.module, threads, options.cores, workers, waiting);
  return openShell(new WasmDriver(heap, team, own, options));
}

async function makeTeam(
  memory: Heap,
  module: WebAssembly.Module,
  threads: number,
  cores: number,
  workers: boolean,
  waiting: Waiting | undefined,
): Promise<Team> {
  if (!workers) return callerTeam(memory, module, 'workers are switched off (workers: false)');
  if (globalThis.crossOriginIsolated === false) {
    return callerTeam(
      memory,
      module,
      'a page without cross-origin isolation cannot share memory with workers ' +
        '(serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)',
    );
  }
  if (typeof Atomics.waitAsync !== 'function') {
    return callerTeam(
      memory,
      module,
      'this JavaScript engine has no Atomics.waitAsync, which waits for workers',
    );
  }
  try {
    return await workerTeam(memory, module, threads, cores, waiting);
  } catch (error) {
    return callerTeam(
      memory,
      module,
      `no workers here: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

interface DriverOptions {
  readonly cores: number;
  readonly convolution: 'auto' | 'direct';
  readonly noGpu: string | null;
}

class WasmDriver implements Driver<number, readonly StagedFeeds[]> {
  readonly name = 'wasm';
  readonly fusions = fusions;
  readonly runsPerCall = 1;
  readonly heap: Heap;
  readonly scratch: Scratch;
  readonly team: Team;
  readonly kernels: Kernels;
  readonly cores: number;
  readonly convolution: 'auto' | 'direct';
  readonly noGpu: string | null;
  readonly #tables = new Map<Float32Array, number>();

  constructor(memory: Heap, team: Team, own: Kernels, { cores, convolution, noGpu }: DriverOptions) {
    this.heap = memory;
    this.scratch = new Scratch(memory);
    this.team = team;
    this.kernels = own;
    this.cores = cores;
    this.convolution = convolution;
    this.noGpu = noGpu;
  }

  /** Address of a table of constants, which lives as long as the backend. */
  table(values: Float32Array): number {
    let at = this.#tables.get(values);
    if (at === undefined) {
      at = this.heap.allocate(values.byteLength);
      this.heap.f32(at, values.length).set(values);
      this.#tables.set(values, at);
    }
    return at;
  }

  /** What the encoding of a plan depends on. */
  get machine(): Machine {
    const { team, kernels, convolution } = this;
    return {
      threads: team.threads,
      lanes: kernels.lanes,
      convolution,
      table: (values) => this.table(values),
    };
  }

  place(value: HostTensor): number {
    const at = this.heap.allocate(bytesOf(value));
    this.view(value, at).set(value.data);
    return at;
  }

  free(at: number): void {
    this.heap.free(at);
  }

  read(arrays: readonly Placed<number>[]): readonly HostTensor[] {
    return arrays.map(({ type, memory }) => this.copyOut(type, memory));
  }

  write(memory: ReadonlyMap<string, number>, name: string, value: HostTensor): void {
    this.view(value, memory.get(name)!).set(value.data);
  }

  load(plan: Plan, memory: ReadonlyMap<string, number>): WasmProgram {
    return new WasmProgram(plan, this, memory);
  }

  close(): Promise<void> {
    for (const at of this.#tables.values()) this.heap.free(at);
    this.#tables.clear();
    return this.team.close();
  }

  view({ dtype, shape }: TensorType, at: number): Float32Array | Int32Array | Uint8Array {
    const size = sizeOf(shape);
    switch (dtype) {
      case 'f32':
        return this.heap.f32(at, size);
      case 'i32':
        return this.heap.i32(at, size);
      case 'u8':
        return this.heap.u8(at, size);
      default:
        throw new BackendError(`wasm: unknown dtype ${JSON.stringify(dtype satisfies never)}`);
    }
  }

  /** A copy outside the shared memory. */
  copyOut(type: TensorType, at: number): HostTensor {
    const view = this.view(type, at);
    const data = new (view.constructor as Float32ArrayConstructor)(view.length) as HostData;
    data.set(view);
    return { ...type, data };
  }
}

/** Where a buffer lies: at an address, or in the scratch memory. */
type Place = { readonly at: number } | { readonly offset: number };

/** Where scratch memory begins until it is acquired. Its size does not depend on it. It is not 0, which means that there is no array. */
const PROVISIONAL = 64;

/** The address of each value. */
function addresses(plan: Plan, places: readonly Place[], scratch: number): Float64Array {
  const of = places.map((place) => ('at' in place ? place.at : scratch + place.offset));
  return Float64Array.from(plan.bufferOf, (buffer) => (buffer < 0 ? 0 : of[buffer]));
}

class WasmProgram implements Program<readonly StagedFeeds[]> {
  readonly plan: WasmPlan;
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly report: WasmReport;
  readonly #driver: WasmDriver;
  /** Address of each value. */
  #at: Float64Array;
  readonly #program: number;
  /** The calls of the first run alone; 0 if there are none, or once they are done. */
  #once = 0;
  /** The plan step that each kernel call belongs to. */
  readonly #stepOf: readonly Step[];
  readonly #owned: number[] = [];
  #scratch: ReturnType<Scratch['acquire']> | null = null;

  constructor(plan: Plan, driver: WasmDriver, memory: ReadonlyMap<string, number>) {
    this.#driver = driver;
    let bytes = 0;
    const own = (size: number): number => {
      const at = driver.heap.allocate(size);
      this.#owned.push(at);
      bytes += size;
      return at;
    };
    try {
      const layout = new Layout();
      const places = plan.buffers.map((spec): Place => {
        if (spec.kind === 'scratch') return { offset: layout.place(spec.bytes) };
        return { at: spec.kind === 'state' ? memory.get(spec.name)! : own(spec.bytes) };
      });
      this.#at = addresses(plan, places, PROVISIONAL);
      for (const [v, value] of plan.constants) driver.view(value, this.#at[v]).set(value.data);
      const provisional = { scratch: PROVISIONAL, derived: PROVISIONAL };
      const { scratchBytes, derivedBytes } = encode(plan, this.#at, driver.machine, provisional);
      const inKernels = layout.place(scratchBytes);
      const derived = derivedBytes === 0 ? PROVISIONAL : own(derivedBytes);
      this.#scratch = driver.scratch.acquire(layout.bytes);
      bytes += layout.bytes;
      const { at } = this.#scratch;
      this.#at = addresses(plan, places, at);
      const bases = { scratch: at + inKernels, derived };
      const { once, words, stepOf, notes } = encode(plan, this.#at, driver.machine, bases);
      this.#stepOf = stepOf;
      this.notes = notes;
      const place = (calls: Int32Array): number => {
        const start = own(calls.byteLength);
        driver.heap.i32(start, calls.length).set(calls);
        return start;
      };
      this.#program = place(words);
      if (once.length > 0) this.#once = place(once);
      const program = (): Int32Array => driver.heap.i32(this.#program, words.length);
      this.plan = {
        ...plan,
        toString: () => formatPlan(plan, notes),
        kernelCalls: () =>
          (once.length === 0 ? '' : `${formatProgram(once)}\n-- every run --\n`) + formatProgram(program()),
      };
    } catch (error) {
      this.close();
      throw error;
    }
    const { threads, fallback } = driver.team;
    this.report = {
      backend: 'wasm',
      executor: fallback === null ? `team of ${threads} worker${threads === 1 ? '' : 's'}` : 'caller',
      simd: driver.kernels.simd,
      fused: driver.kernels.fused,
      threads,
      cores: driver.cores,
      fallback,
      bytes,
      ...(driver.noGpu !== null && { noGpu: driver.noGpu }),
    };
  }

  stage(runs: readonly CheckedFeeds[], idle: boolean): readonly StagedFeeds[] {
    return stageFeeds(runs, idle, (feeds) => this.#feed(feeds));
  }

  run(runs: readonly StagedFeeds[]): Promise<Ran> {
    return runInOrder(runs, async (feeds) => {
      await this.#walk(feeds, 0);
      const outputs: Record<string, HostTensor> = {};
      for (const [name, v] of this.plan.outputs) {
        outputs[name] = this.#driver.copyOut(this.plan.values[v], this.#at[v]);
      }
      return outputs;
    });
  }

  async profile([feeds]: readonly StagedFeeds[]): Promise<readonly number[]> {
    const { heap } = this.#driver;
    const kernelCount = this.#stepOf.length;
    const stamps = heap.allocate((kernelCount + 1) * 8);
    try {
      await this.#walk(feeds, stamps);
      const times = heap.f64(stamps, kernelCount + 1);
      const msOf = new Map<Step, number>(this.plan.steps.map((step) => [step, 0]));
      this.#stepOf.forEach((step, i) => msOf.set(step, msOf.get(step)! + times[i + 1] - times[i]));
      return [...msOf.values()];
    } finally {
      heap.free(stamps);
    }
  }

  close(): void {
    for (const at of this.#owned) this.#driver.heap.free(at);
    if (this.#scratch !== null) this.#driver.scratch.release(this.#scratch);
  }

  #feed(feeds: CheckedFeeds): void {
    for (const [name, data] of feeds) {
      const v = this.plan.inputs.get(name)!;
      this.#driver.view(this.plan.values[v], this.#at[v]).set(data);
    }
  }

  /** Runs the program once. `stamps` is the address of time stamps, or 0. */
  async #walk(feeds: StagedFeeds, stamps: number): Promise<void> {
    if (this.#once !== 0) {
      await this.#driver.team.run(this.#once, 0); // no constant step can fail
      this.#once = 0;
    }
    if (feeds !== null) this.#feed(feeds);
    const failure = await this.#driver.team.run(this.#program, stamps);
    if (failure !== null) throw this.#error(failure);
  }

  #error({ code, kernel, a, b }: Failure): EngineError {
    const { op, path, attrs, inputs, outputs } = this.#stepOf[kernel];
    const [types, results] = [inputs, outputs].map((list) => list.map((v) => this.plan.values[v]));
    switch (code) {
      case K.ERROR_LABEL:
        return labelError(path, op, a, b, types[0].shape[1]);
      case K.ERROR_INDEX:
        return indexError(path, op, a, b, declarationOf(op).indexRange!(types, results));
      case K.ERROR_NOT_FINITE: {
        const value = new Float32Array(Int32Array.of(a).buffer)[0];
        return new NonFiniteError((attrs as AttrsOf<'checkFinite'>).label, value, b);
      }
      default:
        return new DataError(`${op}: failed with code ${code} (${a}, ${b})`);
    }
  }
}

/** A plan on this backend, which also shows its kernel calls. */
interface WasmPlan extends Plan {
  readonly kernelCalls: () => string;
}

const isWasmPlan = (plan: Plan): plan is WasmPlan => 'kernelCalls' in plan;

/** The kernel calls of an executable, one a line. Throws BackendError unless it is one of a CPU backend. */
export function kernelCalls({ plan, report }: Executable): string {
  if (!isWasmPlan(plan)) {
    throw new BackendError(
      `kernelCalls: the executable belongs to the ${report.backend} backend (load its plan on a wasm backend)`,
    );
  }
  return plan.kernelCalls();
}
