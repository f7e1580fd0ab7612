/** The driver of the GPU backend: what all modes share. What differs between modes is a Device. */
import { BackendError } from '../../errors.ts';
import { checkEval } from '../../eval.ts';
import { formatPlan, type Plan, type Step, type StepNote } from '../../plan/plan.ts';
import type { HostTensor } from '../../types.ts';
import type { Backend, Outputs } from '../backend.ts';
import type { CheckedFeeds, Ran } from '../runs.ts';
import { openShell, type Driver, type Placed, type Program as LoadedProgram } from '../shell.ts';
import type { Device, Memory, Runner } from './device.ts';
import type { GpuOptions } from './gpu.ts';
import { isModule } from './kernel.ts';
import { fusions } from './lower.ts';
import type { Codec, Layout } from './memory.ts';
import { overridesFor } from './overrides.ts';
import { loadGpuJs } from './packages.ts';
import { CpuDevice } from './portable.ts';
import { buildProgram, type Program } from './program.ts';
import type { GpuReport } from './report.ts';
import { Translator } from './translate.ts';
import { openWebGl } from './webgl.ts';
import { expectHardware, openWebGpu } from './webgpu/adapter.ts';
import { WebGpuDevice } from './webgpu/device.ts';

/** A GPU backend on a device. It closes the device. */
export const gpuOn = (device: Device): Backend => openShell(new GpuDriver(device));

/** The device of a GPU backend. Throws as `gpu` does. */
export async function openDevice(options: GpuOptions): Promise<Device> {
  const { mode = 'hardware', overrides = true, dawn = [] } = options;
  switch (mode) {
    case 'cpu':
      checkEval(
        (cause) =>
          new BackendError(
            "gpu: the mode 'cpu' of gpu.js compiles kernels from text, and this environment forbids it (allow 'unsafe-eval', or use the wasm backend)",
            { cause },
          ),
      );
      return new CpuDevice(await loadGpuJs());
    case 'webgl':
      return openWebGl(await loadGpuJs(), overrides);
    case 'webgpu':
      return webGpuDevice(overrides, dawn, true);
    case 'hardware':
      await expectHardware();
      return webGpuDevice(overrides, dawn, false);
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

/** The feeds of `count` runs, one after another. */
interface Packed {
  readonly feeds: Float32Array;
  readonly count: number;
}

class GpuDriver implements Driver<Memory, Packed> {
  readonly name = 'gpu';
  readonly fusions = fusions;
  readonly runsPerCall: number;
  readonly #device: Device;

  constructor(device: Device) {
    this.#device = device;
    this.runsPerCall = device.runsPerCall;
  }

  place(value: HostTensor, name: string): Memory | Promise<Memory> {
    return this.#device.upload(this.#device.codec.encoded(value), name);
  }

  free(memory: Memory): void {
    this.#device.free(memory);
  }

  async read(arrays: readonly Placed<Memory>[]): Promise<readonly HostTensor[]> {
    const { codec } = this.#device;
    const read = await this.#device.read(arrays.map(({ type, memory }) => [memory, codec.words(type)]));
    return arrays.map(({ type }, i) => codec.decode(type, read[i]));
  }

  write(memory: Map<string, Memory>, name: string, value: HostTensor): void {
    this.#device.write(memory, name, this.#device.codec.encoded(value));
  }

  async load(plan: Plan, memory: Map<string, Memory>): Promise<GpuProgram> {
    const device = this.#device;
    const program = buildProgram(plan, device);
    const feeds = device.codec.layoutOf(plan, plan.inputs);
    const outputs = device.codec.layoutOf(plan, plan.outputs);
    const runner = await device.prepare(program, memory, feeds, outputs);
    return new GpuProgram(program, device, runner, feeds, outputs);
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}

class GpuProgram implements LoadedProgram<Packed> {
  readonly plan: Plan;
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly report: GpuReport;
  readonly #codec: Codec;
  readonly #runner: Runner;
  readonly #feeds: Layout;
  readonly #outputs: Layout;

  constructor(program: Program, device: Device, runner: Runner, feeds: Layout, outputs: Layout) {
    const { plan } = program;
    this.notes = notesOf(program);
    this.plan = { ...plan, toString: () => formatPlan(plan, this.notes) };
    this.#codec = device.codec;
    this.#runner = runner;
    this.#feeds = feeds;
    this.#outputs = outputs;
    const { mode, executor, adapter } = device;
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

  stage(runs: readonly CheckedFeeds[]): Packed {
    const { length, at } = this.#feeds;
    const feeds = new Float32Array(runs.length * length);
    runs.forEach((run, k) => {
      for (const [name, data] of run) {
        const { v, offset, length: words } = at.get(name)!;
        const begin = k * length + offset;
        this.#codec.encode(this.plan.values[v], data, feeds.subarray(begin, begin + words));
      }
    });
    return { feeds, count: runs.length };
  }

  async run({ feeds, count }: Packed): Promise<Ran> {
    const { results, error } = await this.#runner.run(feeds, count);
    return { results: results.map((words) => this.#decode(words)), error };
  }

  profile({ feeds }: Packed): Promise<readonly number[]> {
    return this.#runner.profile(feeds);
  }

  close(): void {
    this.#runner.close();
  }

  #decode(words: Float32Array): Outputs {
    const outputs: Record<string, HostTensor> = {};
    for (const [name, { v, offset, length }] of this.#outputs.at) {
      outputs[name] = this.#codec.decode(this.plan.values[v], words.subarray(offset, offset + length));
    }
    return outputs;
  }
}

/** Notes about steps with optimized kernels. */
function notesOf({ steps }: Program): ReadonlyMap<Step, StepNote> {
  return new Map(
    steps.flatMap(({ step, kernels }) => {
      const names = kernels.flatMap((kernel) =>
        isModule(kernel) ? kernel.name : (kernel.vectors?.note ?? []),
      );
      const method = names.join(', ');
      return method === '' ? [] : [[step, { method, toString: () => method }] as const];
    }),
  );
}
