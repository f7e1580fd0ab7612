/** The reference backend: runs anywhere JavaScript runs, on the caller's thread, in f64 or f32. The oracle of the others. */
import ndarray from 'ndarray';
import { BackendError } from '../../errors.ts';
import { allocate } from '../../ops/convert.ts';
import type { Plan } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { DType, HostData, HostTensor } from '../../types.ts';
import type { Backend } from '../backend.ts';
import { kernelOf } from '../kernel-table.ts';
import { Pacer } from '../pause.ts';
import type { ReferenceReport } from '../report.ts';
import { runInOrder, stageFeeds, type CheckedFeeds, type Ran, type StagedFeeds } from '../runs.ts';
import { openShell, type Driver, type Placed, type Program } from '../shell.ts';
import type { Call, Nd } from './kernels/call.ts';
import type { kernels } from './kernels/index.ts';
import { checkOptions, show } from '../../options.ts';

type Kernels = typeof kernels;

export interface ReferenceOptions {
  /** The precision of `f32` values. 'f64' is for gradient checks. Default 'f32'. */
  readonly precision?: 'f32' | 'f64';
}

/**
 * Makes a reference backend. It is slow, but runs everywhere and can compute in double precision.
 *
 * Throws RangeError for an unknown precision.
 *
 * @example const backend = reference({ precision: 'f64' });
 */
export function reference(options: ReferenceOptions = {}): Backend {
  checkOptions('reference', options, ['precision']);
  const { precision = 'f32' } = options;
  if (precision !== 'f32' && precision !== 'f64') {
    throw new RangeError(`reference: precision must be 'f32' or 'f64', got ${show(precision)}`);
  }
  return openShell(new ReferenceDriver(precision));
}

class ReferenceDriver implements Driver<HostData, readonly StagedFeeds[]> {
  readonly name = 'reference';
  readonly fusions = new Set<never>();
  readonly runsPerCall = 1;
  readonly precision: 'f32' | 'f64';

  constructor(precision: 'f32' | 'f64') {
    this.precision = precision;
  }

  place({ shape, dtype, data }: HostTensor): HostData {
    const own = this.allocate(dtype, sizeOf(shape));
    own.set(data);
    return own;
  }

  free(): void {
    // garbage collected
  }

  read(arrays: readonly Placed<HostData>[]): readonly HostTensor[] {
    return arrays.map(({ type, memory }) => ({ ...type, data: memory.slice() }));
  }

  write(memory: ReadonlyMap<string, HostData>, name: string, { data }: HostTensor): void {
    memory.get(name)!.set(data);
  }

  async load(plan: Plan, memory: ReadonlyMap<string, HostData>): Promise<ReferenceProgram> {
    return new ReferenceProgram(plan, await loadKernels(), this, memory);
  }

  close(): void {
    // it has no workers
  }

  allocate(dtype: DType, size: number): HostData {
    return dtype === 'f32' && this.precision === 'f64' ? new Float64Array(size) : allocate(dtype, size);
  }
}

/**
 * The kernels, loaded on first use: ndarray-ops compiles its loops with `new Function` while it loads, which a content security
 * policy may forbid.
 */
async function loadKernels(): Promise<Kernels> {
  try {
    // On its own first: Node reports a package that throws below a module as an unhandled rejection, too.
    await import('ndarray-ops');
    return (await import('./kernels/index.ts')).kernels;
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    throw new BackendError(
      "reference: ndarray-ops compiles loops from text, and this environment forbids it (allow 'unsafe-eval', or use the wasm backend)",
      { cause: error },
    );
  }
}

class ReferenceProgram implements Program<readonly StagedFeeds[]> {
  readonly plan: Plan;
  readonly notes = new Map<never, never>();
  readonly report: ReferenceReport;
  readonly #pacer = new Pacer();
  readonly #values: readonly Nd[];
  readonly #calls: readonly (Call & { readonly run: (call: Call) => void })[];

  constructor(plan: Plan, kernels: Kernels, driver: ReferenceDriver, state: ReadonlyMap<string, HostData>) {
    this.plan = plan;
    const widening = driver.precision === 'f64' ? 2 : 1;
    const memory = plan.buffers.map((spec) =>
      spec.kind === 'state' ? null : new ArrayBuffer(Math.ceil(spec.bytes / 4) * 4 * widening),
    );
    this.#values = plan.values.map((type, v) => {
      const spec = plan.buffers[plan.bufferOf[v]];
      const size = sizeOf(type.shape);
      const buffer = memory[plan.bufferOf[v]]!;
      const data =
        spec.kind === 'state' ? state.get(spec.name)! : viewOf(driver.allocate(type.dtype, 0), buffer, size);
      return ndarray(data, [...type.shape]);
    });
    for (const [v, constant] of plan.constants) (this.#values[v].data as HostData).set(constant.data);
    this.#calls = plan.steps.map(({ op, inputs, outputs, attrs, path }) => ({
      inputs: inputs.map((v) => this.#values[v]),
      outputs: outputs.map((v) => this.#values[v]),
      results: outputs.map((v) => plan.values[v]),
      attrs,
      path,
      run: kernelOf('reference', kernels, op),
    }));
    this.report = {
      backend: 'reference',
      executor: `caller, ${driver.precision}`,
      threads: 1,
      fallback: null,
      bytes: memory.reduce((sum, buffer) => sum + (buffer?.byteLength ?? 0), 0),
    };
  }

  stage(runs: readonly CheckedFeeds[], idle: boolean): readonly StagedFeeds[] {
    return stageFeeds(runs, idle, (feeds) => this.#feed(feeds));
  }

  run(runs: readonly StagedFeeds[]): Promise<Ran> {
    return runInOrder(runs, async (feeds) => {
      this.#compute(feeds, () => undefined);
      const outputs: Record<string, HostTensor> = {};
      for (const [name, v] of this.plan.outputs) {
        outputs[name] = { ...this.plan.values[v], data: (this.#values[v].data as HostData).slice() };
      }
      // A run may take seconds. Signals and timers get their turn before the next one.
      await this.#pacer.pause();
      return outputs;
    });
  }

  profile([feeds]: readonly StagedFeeds[]): readonly number[] {
    const times: number[] = [];
    let last = performance.now();
    this.#compute(feeds, () => {
      const now = performance.now();
      times.push(now - last);
      last = now;
    });
    return times;
  }

  close(): void {
    // garbage collected
  }

  #feed(feeds: CheckedFeeds): void {
    for (const [name, data] of feeds) (this.#values[this.plan.inputs.get(name)!].data as HostData).set(data);
  }

  #compute(feeds: StagedFeeds, onStep: () => void): void {
    if (feeds !== null) this.#feed(feeds);
    for (const call of this.#calls) {
      call.run(call);
      onStep();
    }
  }
}

/** A view of a buffer, of the kind of `like`. */
function viewOf(like: HostData, buffer: ArrayBuffer, size: number): HostData {
  return new (like.constructor as Float32ArrayConstructor)(buffer, 0, size);
}
