/** What a mode of the GPU backend provides: memory of words, and programs that run on it. The rest is shared (gpu.ts). */
import type { EngineError } from '../../errors.ts';
import type { Layout } from './memory.ts';
import type { Program, Target } from './program.ts';
import type { KernelCounts } from './report.ts';

/** Memory of a device. */
export type Memory = object;

export interface Device extends Target {
  readonly mode: 'cpu' | 'webgl' | 'webgpu';
  /** How programs run. */
  readonly executor: string;
  /** The GPU with its driver; null without one. */
  readonly adapter: string | null;
  readonly runsPerCall: number;
  /** Memory for the array of a store with this name. Throws BackendError where there is no room. */
  upload(words: Float32Array, name: string): Memory | Promise<Memory>;
  /** The first words of each memory, so many as asked for. */
  read(memories: readonly (readonly [memory: Memory, words: number])[]): Promise<readonly Float32Array[]>;
  /** Replaces the words of a store's memory. */
  write(state: Map<string, Memory>, name: string, words: Float32Array): void;
  free(memory: Memory): void;
  /** Makes a program runnable. `state` is the store's: a run writes to its memory, or puts other memory there. */
  prepare(program: Program, state: Map<string, Memory>, feeds: Layout, outputs: Layout): Promise<Runner>;
  close(): Promise<void>;
}

/** What runs left. */
export interface Ran {
  /** The outputs of each run, up to the first that a check has stopped. */
  readonly results: readonly Float32Array[];
  /** Of the run that a check has stopped: neither it nor those after it have written state. */
  readonly error: EngineError | null;
}

/** A program on a device. */
export interface Runner {
  /** Bytes held, without the store's. */
  readonly bytes: number;
  readonly kernels: KernelCounts;
  /** So many runs, one after the other, with their feeds one after the other. */
  run(feeds: Float32Array, count: number): Promise<Ran>;
  /** One run; milliseconds of every part of the program. */
  profile(feeds: Float32Array): Promise<readonly number[]>;
  close(): void;
}
