/**
 * The team: worker threads that walk an encoded plan together. The calling thread never computes and never blocks; it
 * starts a run with one store and waits asynchronously for its end. Where workers are missing, the caller walks the plan.
 */
import { BackendError } from '../../errors.ts';
import { Pacer } from '../pause.ts';
import type { Heap } from './heap.ts';
import { K } from './kernels.generated.ts';
import { instantiate, type KernelExports } from './module.ts';
import { PATIENCE, watch, type Patience } from './patience.ts';

/** What went wrong inside a run: an ERROR_ code of the module, the kernel's position in the program, two details. */
export interface Failure {
  readonly code: number;
  readonly kernel: number;
  readonly a: number;
  readonly b: number;
}

export interface Team {
  /** Threads that compute. */
  readonly threads: number;
  /** Why there are no workers; null when there are. */
  readonly fallback: string | null;
  /** Walks the program at an address once; `times` is the address of time stamps, or 0. One run at a time. */
  run(program: number, times: number): Promise<Failure | null>;
  close(): Promise<void>;
}

/** How a thread waits for the others. */
export interface Waiting {
  /** Looks at the shared word before the thread sleeps. */
  readonly spins: number;
  /** The longest sleep in microseconds. A thread that wakes up checks whether the team was given up, then sleeps again. */
  readonly nap: number;
}

/**
 * 100,000 looks take about 0.06 ms. Threads rarely arrive later than that, and a sleep takes longer than most kernels of a small
 * network. Longer spins would take the core from other programs.
 */
const SPIN_THEN_SLEEP: Waiting = { spins: 100_000, nap: 100_000 };
/** For more threads than cores: a spinning thread keeps the others from arriving. */
const SLEEP_AT_ONCE: Waiting = { ...SPIN_THEN_SLEEP, spins: 0 };

export function callerTeam(heap: Heap, module: WebAssembly.Module, fallback: string): Team {
  const control = makeControl(heap, 1, SLEEP_AT_ONCE);
  const exports: KernelExports = instantiate(module, heap.memory);
  const pacer = new Pacer();
  return {
    threads: 1,
    fallback,
    async run(program, times) {
      prepare(heap, control, program, times);
      exports.runPlan(control, 0);
      await pacer.pause();
      return failureOf(heap, control);
    },
    close() {
      heap.free(control);
      return Promise.resolve();
    },
  };
}

/**
 * Starts `threads` workers. Throws when this environment has none, or if one does not start in time; the caller then falls back. A run
 * without progress throws BackendError, see `Patience`.
 */
export async function workerTeam(
  heap: Heap,
  module: WebAssembly.Module,
  threads: number,
  cores: number,
  waiting: Waiting = threads > cores ? SLEEP_AT_ONCE : SPIN_THEN_SLEEP,
  patience: Patience = PATIENCE,
): Promise<Team> {
  const control = makeControl(heap, threads, waiting);
  const words = heap.i32(0, (control + K.CONTROL_BYTES) / 4);
  const word = (offset: number): number => (control + offset) / 4;
  let broken: BackendError | null = null;
  let failRun: ((error: BackendError) => void) | null = null;

  const giveUp = (error: BackendError): void => {
    broken ??= error;
    Atomics.store(words, word(K.CONTROL_ABORT), 1);
    Atomics.notify(words, word(K.CONTROL_START));
    // The others may still write: whoever hears of the failure may give memory back.
    void end().finally(() => failRun?.(broken!));
  };
  const workers: TeamWorker[] = [];
  const end = (): Promise<unknown> => Promise.all(workers.map((worker) => worker.end()));
  try {
    const started = Promise.all(
      Array.from({ length: threads }, async (_, thread) => {
        const worker = await startWorker((reason) =>
          giveUp(
            new BackendError(`wasm: worker ${thread} of ${threads} ended: ${reason} (make a new backend)`),
          ),
        );
        workers.push(worker);
        await worker.begin({ module, memory: heap.memory, control, thread });
      }),
    );
    await inTime(started, patience.tick, patience.start);
  } catch (error) {
    await end();
    heap.free(control);
    throw error;
  }

  return {
    threads,
    fallback: null,
    async run(program, times) {
      if (broken !== null) throw broken;
      prepare(heap, control, program, times);
      const done = Atomics.load(words, word(K.CONTROL_DONE));
      const ended = Atomics.waitAsync(words, word(K.CONTROL_DONE), done);
      let endWatch: (() => void) | null = null;
      // A pending wait alone does not keep Node alive.
      workers[0].ref();
      try {
        Atomics.add(words, word(K.CONTROL_START), 1);
        Atomics.notify(words, word(K.CONTROL_START));
        const failed = new Promise<never>((_, reject) => {
          failRun = reject;
        });
        const progress = (): number => progressOf(heap, control, threads);
        endWatch = watch(patience.tick, patience.run, progress, () => giveUp(noProgress(patience)));
        await Promise.race([ended.value, failed]);
        const error = barrierError(heap, control, threads);
        if (error !== null) {
          giveUp(error);
          await failed;
        }
      } finally {
        endWatch?.();
        failRun = null;
        workers[0].unref();
      }
      return failureOf(heap, control);
    },
    async close() {
      broken = new BackendError('wasm: the backend is closed');
      Atomics.store(words, word(K.CONTROL_ABORT), 1);
      Atomics.notify(words, word(K.CONTROL_START));
      await end();
      heap.free(control);
    },
  };
}

/** Throws BackendError if the workers have not started after `ticks` ticks. */
async function inTime(started: Promise<unknown>, tick: number, ticks: number): Promise<void> {
  let end = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    end = watch(
      tick,
      ticks,
      () => 0,
      () => {
        reject(new BackendError(`wasm: the workers have not started within ${(tick * ticks) / 1000} s`));
      },
    );
  });
  try {
    await Promise.race([started, late]);
  } finally {
    end();
  }
}

/** A number that changes when a thread arrives at a barrier or takes a part of a kernel. */
function progressOf(heap: Heap, control: number, threads: number): number {
  const shares = heap.i32(control + K.CONTROL_SHARES, (threads * K.SHARE_BYTES) / 4);
  return shares.reduce((sum, word, i) => (sum * 31 + word + i) | 0, 0);
}

const noProgress = ({ tick, run }: Patience): BackendError =>
  new BackendError(
    `wasm: a run made no progress within ${(tick * run) / 1000} s (make a new backend, with threads: 1 if it happens again, and report this)`,
  );

function makeControl(heap: Heap, threads: number, { spins, nap }: Waiting): number {
  const bytes = K.CONTROL_BYTES + threads * K.SHARE_BYTES;
  const control = heap.allocate(bytes);
  heap.u8(control, bytes).fill(0);
  const view = heap.i32(control, K.CONTROL_BYTES / 4);
  view[K.CONTROL_THREADS / 4] = threads;
  view[K.CONTROL_SPINS / 4] = spins;
  view[K.CONTROL_NAP / 4] = nap;
  return control;
}

function prepare(heap: Heap, control: number, program: number, times: number): void {
  const view = heap.i32(control, K.CONTROL_BYTES / 4);
  view[K.CONTROL_PROGRAM / 4] = program;
  view[K.CONTROL_TIMES / 4] = times;
  view[K.CONTROL_ERROR / 4] = 0;
  view[K.CONTROL_ERROR_STEP / 4] = -1;
}

/**
 * Returns an error if a thread still waits at a barrier after the run, or has not arrived at the last one. The results are then
 * wrong: some thread read what another had not written yet.
 */
function barrierError(heap: Heap, control: number, threads: number): BackendError | null {
  const view = heap.i32(control, (K.CONTROL_SHARES + threads * K.SHARE_BYTES) / 4);
  const passed = view[K.CONTROL_GENERATION / 4];
  const waiting = view[K.CONTROL_ARRIVED / 4];
  const arrivals = Array.from(
    { length: threads },
    (_, thread) => view[(K.CONTROL_SHARES + thread * K.SHARE_BYTES + K.SHARE_ARRIVALS) / 4],
  );
  if (waiting === 0 && arrivals.every((count) => count === passed)) return null;
  return new BackendError(
    `wasm: a run ended after ${passed} barriers, but its threads have arrived at ${arrivals.join(', ')} and ${waiting} wait: ` +
      'its results are wrong (make a new backend with threads: 1, and report this defect of the engine)',
  );
}

function failureOf(heap: Heap, control: number): Failure | null {
  const view = heap.i32(control, K.CONTROL_BYTES / 4);
  const code = view[K.CONTROL_ERROR / 4];
  if (code === 0) return null;
  return {
    code,
    kernel: view[K.CONTROL_ERROR_STEP / 4],
    a: view[K.CONTROL_ERROR_A / 4],
    b: view[K.CONTROL_ERROR_B / 4],
  };
}

interface Assignment {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly thread: number;
}

interface TeamWorker {
  /** Returns when the worker has its own instance of the module. */
  begin(assignment: Assignment): Promise<void>;
  end(): Promise<void>;
  ref(): void;
  unref(): void;
}

/**
 * The worker's whole program, as text: a worker file of its own is found neither in every bundle nor under every test
 * runner. `post` and `receive` differ between Node and browsers.
 */
const BODY = `
receive(({ module, memory, control, thread }) => {
  const words = new Int32Array(memory.buffer);
  const env = {
    memory,
    now: () => performance.now(),
    sleep: (word, value, microseconds) => void Atomics.wait(words, word >>> 2, value, microseconds / 1000),
  };
  const { turn } = new WebAssembly.Instance(module, { env }).exports;
  post('ready');
  for (let seen = 0; turn(control, thread, seen) !== 0; seen++);
});`;

async function startWorker(onEnd: (reason: string) => void): Promise<TeamWorker> {
  return typeof process !== 'undefined' && process.versions?.node !== undefined
    ? startNodeWorker(onEnd)
    : startBrowserWorker(onEnd);
}

async function startNodeWorker(onEnd: (reason: string) => void): Promise<TeamWorker> {
  const { Worker } = await import('node:worker_threads');
  const body = `
const { parentPort } = require('node:worker_threads');
const post = (message) => parentPort.postMessage(message);
const receive = (act) => parentPort.once('message', act);
${BODY}`;
  // Not the parent's flags and environment: a test runner's loader has no business in a kernel thread.
  const worker = new Worker(body, { eval: true, execArgv: [], env: {}, stdin: false });
  let ending = false;
  let lastError = '';
  worker.on('error', (error) => {
    lastError = error instanceof Error ? error.message : String(error);
  });
  worker.on('exit', (code) => {
    if (!ending) onEnd(lastError === '' ? `exit code ${code}` : lastError);
  });
  return {
    begin: (assignment) =>
      new Promise((resolve, reject) => {
        worker.once('message', () => {
          worker.unref();
          resolve();
        });
        worker.once('error', reject);
        worker.once('exit', () => reject(new BackendError('wasm: a worker ended before it was ready')));
        worker.postMessage(assignment);
      }),
    async end() {
      ending = true;
      await worker.terminate();
    },
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}

function startBrowserWorker(onEnd: (reason: string) => void): TeamWorker {
  if (typeof Worker === 'undefined') throw new BackendError('wasm: this environment has no workers');
  const body = `
const post = (message) => postMessage(message);
const receive = (act) => { onmessage = ({ data }) => act(data); };
${BODY}`;
  const url = URL.createObjectURL(new Blob([body], { type: 'text/javascript' }));
  const worker = new Worker(url);
  return {
    begin: (assignment) =>
      new Promise((resolve, reject) => {
        worker.addEventListener(
          'message',
          () => {
            URL.revokeObjectURL(url);
            resolve();
          },
          { once: true },
        );
        worker.addEventListener('error', (event) => {
          // A worker that a policy refuses ends with a plain Event, which has no message.
          const message =
            (event as Partial<ErrorEvent>).message ??
            "no reason given; a content security policy must allow 'worker-src blob:'";
          reject(new BackendError(`wasm: a worker does not start: ${message}`));
          onEnd(message);
        });
        worker.postMessage(assignment);
      }),
    end() {
      worker.terminate();
      return Promise.resolve();
    },
    ref: () => undefined,
    unref: () => undefined,
  };
}
