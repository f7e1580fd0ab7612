/** What each mode of the GPU backend implements: memory of words, and programs that run on it. gpu.ts has the rest. */
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
  /** Allocates memory for the array of a store with this name. Throws BackendError if there is not enough. */
  upload(words: Float32Array, name: string): Memory | Promise<Memory>;
  /** The first `words` words of each memory. */
  read(memories: readonly (readonly [memory: Memory, words: number])[]): Promise<readonly Float32Array[]>;
  /** Replaces the words of a store's memory. */
  write(state: Map<string, Memory>, name: string, words: Float32Array): void;
  free(memory: Memory): void;
  /** Makes a program runnable. `state` is the store's: a run writes to its memory or replaces it. */
  prepare(program: Program, state: Map<string, Memory>, feeds: Layout, outputs: Layout): Promise<Runner>;
  close(): Promise<void>;
}

/** What a call of one or several runs returns. */
export interface RunResult {
  /** The outputs of each run before the first that a check stopped. */
  readonly results: readonly Float32Array[];
  /** The error of the run that a check stopped: neither it nor those after it have written state. */
  readonly error: EngineError | null;
}

/** A program on a device. */
export interface Runner {
  /** Bytes held, the store's not counted. */
  readonly bytes: number;
  readonly kernels: KernelCounts;
  /** `count` runs in order; their feeds lie one after the other. */
  run(feeds: Float32Array, count: number): Promise<RunResult>;
  /** One run; milliseconds of every step of the program. */
  profile(feeds: Float32Array): Promise<readonly number[]>;
  close(): void;
}
