/** The limits of this machine: multiply-adds in registers, and a copy of memory. */
import type { Worker } from 'node:worker_threads';
import { chooseSimd, isFused, SIMD_KINDS, type Simd } from '../backends/wasm/simd.ts';
import { BackendError } from '../errors.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';

/** The arithmetic and memory limits of a number of threads together. */
export interface MachineLimits {
  /** Number of threads. */
  readonly threads: number;
  /** The SIMD instructions: 'wide' (256 bits, relaxed multiply-add), 'relaxed' (128 bits, relaxed multiply-add) or 'plain'. */
  readonly simd: Simd;
  /** Whether multiply-adds are fused. Missing in measurements of earlier versions. */
  readonly fused?: boolean;
  /** GFLOP/s of a loop with operands in registers. A multiply-add counts as two operations. */
  readonly gflopPerSecond: number;
  /** GB/s of a copy of arrays that are too large for most caches. Reads and writes both count. */
  readonly gbPerSecond: number;
}

export interface LimitOptions {
  /** Number of threads. Default 1. */
  readonly threads?: number;
  /** SIMD instructions. 'auto' takes those of the wasm backend. Default 'auto'. */
  readonly simd?: Simd | 'auto';
}

/** Accumulators of the loop: enough to hide four cycles of latency on two units, few enough for 16 registers. */
const ACCUMULATORS = 12;
/** Arithmetic operations of one iteration of `fma`. */
const flopsATurn = (simd: Simd): number => ACCUMULATORS * (simd === 'wide' ? 8 : 4) * 2;
/** Bytes that each thread copies from one array to another. The arrays exceed the caches of most machines. */
const COPY_BYTES = 2 ** 25;

/**
 * Measures the limits of this machine in WebAssembly: the arithmetic of multiply-adds in registers, and the bandwidth of a memory copy.
 * It takes about half a second. The result is the best of many short measurements, because other processes only slow them down.
 *
 * Units: GFLOP/s and GB/s.
 * Throws RangeError unless `threads` is an integer >= 1, and BackendError without Node's worker threads or the SIMD instructions.
 *
 * @example
 * const { gflopPerSecond, gbPerSecond } = await measureLimits({ threads: 1 });
 */
export async function measureLimits(options: LimitOptions = {}): Promise<MachineLimits> {
  const { threads, simd } = limitOptions('measureLimits', options);
  const Worker = await workerClass('measureLimits');
  const chosen = await chooseLimit('measureLimits', simd);
  const module = await WebAssembly.compile(limitModule(chosen));
  // The workers wait for each other before every measurement, so all measure at the same time.
  const meeting = new Int32Array(new SharedArrayBuffer(8));
  const measured = await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(MEASURE, {
        eval: true,
        execArgv: [],
        env: {},
        workerData: { module, meeting, threads, bytes: COPY_BYTES },
      });
      try {
        return await new Promise<{ readonly turnsPerMs: number; readonly bytesPerMs: number }>(
          (resolve, reject) => {
            worker.once('message', resolve);
            worker.once('error', reject);
          },
        );
      } finally {
        await worker.terminate();
      }
    }),
  );
  const sum = (pick: (one: (typeof measured)[number]) => number): number =>
    measured.reduce((total, one) => total + pick(one), 0);
  return {
    threads,
    simd: chosen,
    fused: chosen !== 'plain' && isFused(),
    gflopPerSecond: (sum(({ turnsPerMs }) => turnsPerMs) * flopsATurn(chosen)) / 1e6,
    gbPerSecond: sum(({ bytesPerMs }) => bytesPerMs) / 1e6,
  };
}

/** Threads that only compute multiply-adds. Their time is a lower bound for anything with as much arithmetic. */
export interface LimitTeam {
  /** Number of threads. */
  readonly threads: number;
  /** The SIMD instructions of the threads. */
  readonly simd: Simd;
  /**
   * Computes this many arithmetic operations, rounded to pieces of about a million, and returns the time in milliseconds. The threads
   * share the pieces dynamically, like those of the wasm backend. Throws BackendError during another run.
   */
  run(flops: number): Promise<number>;
  /** Waits for the current run and ends the threads. */
  close(): Promise<void>;
}

/**
 * Starts threads that run at the arithmetic limit of this machine, for comparisons that alternate with another program: other processes
 * then slow down both. Returns after a warmup.
 *
 * Throws RangeError unless `threads` is an integer >= 1, and BackendError without Node's worker threads or the SIMD instructions.
 *
 * @example
 * const team = await startLimit({ threads: 1 });
 * const ms = await team.run(1e8);
 * await team.close();
 */
export async function startLimit(options: LimitOptions = {}): Promise<LimitTeam> {
  const { threads, simd } = limitOptions('startLimit', options);
  const Worker = await workerClass('startLimit');
  const chosen = await chooseLimit('startLimit', simd);
  const piece = PIECE_TURNS * flopsATurn(chosen);
  const module = await WebAssembly.compile(limitModule(chosen));
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  const workers = Array.from(
    { length: threads },
    () =>
      new Worker(SHARE, {
        eval: true,
        execArgv: [],
        env: {},
        workerData: { module, control, turns: PIECE_TURNS, words: { BEGUN, PIECES, WORKING, ENDED } },
      }),
  );
  const close = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  };
  const warm = (worker: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', () => {
        // An error after the warmup ends the process.
        worker.off('error', reject);
        resolve();
      });
    });
  try {
    await Promise.all(workers.map(warm));
  } catch (error) {
    await close();
    throw error;
  }
  // Only a run keeps the process alive, as in the wasm backend.
  for (const worker of workers) worker.unref();
  let runs = 0;
  let closed = false;
  /** The end of the current run. */
  let ending: Promise<unknown> | null = null;
  return {
    threads,
    simd: chosen,
    async run(flops) {
      if (closed) throw new BackendError('startLimit: run: the team is closed');
      if (ending !== null)
        throw new BackendError('startLimit: run: the team is already running (await the previous run)');
      const pieces = Math.max(1, Math.round(flops / piece));
      if (!(flops > 0 && pieces < 2 ** 31))
        throw new RangeError(
          `startLimit: run: flops must be above 0 and below ${2 ** 31 * piece}, got ${flops}`,
        );
      workers[0].ref();
      Atomics.store(control, PIECES, pieces);
      Atomics.store(control, WORKING, threads);
      const begin = performance.now();
      Atomics.store(control, BEGUN, ++runs);
      Atomics.notify(control, BEGUN);
      ending = Promise.resolve(Atomics.waitAsync(control, ENDED, runs - 1).value);
      await ending;
      const ms = performance.now() - begin;
      workers[0].unref();
      ending = null;
      return ms;
    },
    async close() {
      closed = true;
      await ending;
      await close();
    },
  };
}

/** About 16 µs of work. */
const PIECE_TURNS = 10_000;
/** Words of the memory that the threads of a LimitTeam share. */
const [BEGUN, PIECES, WORKING, ENDED, CONTROL_WORDS] = [0, 1, 2, 3, 4];

/** The program of the workers of a LimitTeam. Like a thread of the backend, it spins for a while before it sleeps. */
const SHARE = `
const { parentPort, workerData: { module, control, turns, words } } = require('node:worker_threads');
const { BEGUN, PIECES, WORKING, ENDED } = words;
const { fma } = new WebAssembly.Instance(module).exports;
const multiplyAdd = () => fma(turns, 0.001, 0.001);
for (const end = performance.now() + 60; performance.now() < end; ) multiplyAdd();
parentPort.postMessage('warm');
for (let run = 1; ; run++) {
  for (let look = 0; look < 20000 && Atomics.load(control, BEGUN) < run; look++);
  while (Atomics.load(control, BEGUN) < run) Atomics.wait(control, BEGUN, run - 1);
  while (Atomics.sub(control, PIECES, 1) > 0) multiplyAdd();
  if (Atomics.sub(control, WORKING, 1) === 1) {
    Atomics.store(control, ENDED, run);
    Atomics.notify(control, ENDED);
  }
}
`;

function limitOptions(caller: string, options: LimitOptions): Required<LimitOptions> {
  checkOptions(caller, options, ['threads', 'simd']);
  const { threads = 1, simd = 'auto' } = options;
  checkInteger(caller, 'threads', threads, 1);
  checkOneOf(caller, 'simd', simd, ['auto', ...SIMD_KINDS]);
  return { threads, simd };
}

async function workerClass(caller: string): Promise<typeof Worker> {
  try {
    return (await import('node:worker_threads')).Worker;
  } catch (cause) {
    throw new BackendError(`${caller}: needs Node's worker threads`, { cause });
  }
}

/** The SIMD instructions to use. Throws BackendError if the JavaScript engine lacks them. */
async function chooseLimit(caller: string, wanted: Simd | 'auto'): Promise<Simd> {
  const simd = await chooseSimd(caller, wanted);
  if (WebAssembly.validate(limitModule(simd))) return simd;
  throw new BackendError(`${caller}: this JavaScript engine has no WebAssembly SIMD`);
}

/** The program of the workers of measureLimits: a warmup for the optimizing compiler, then the best of short measurements. */
const MEASURE = `
const { parentPort, workerData: { module, meeting, threads, bytes } } = require('node:worker_threads');
const { fma, copy } = new WebAssembly.Instance(module).exports;
let meetings = 0;
const meet = () => {
  meetings++;
  if (Atomics.add(meeting, 0, 1) + 1 === threads * meetings) Atomics.notify(meeting, 0);
  for (let seen; (seen = Atomics.load(meeting, 0)) < threads * meetings; ) Atomics.wait(meeting, 0, seen);
};
const best = (units, turns, act) => {
  let least = Infinity;
  for (let i = 0; i < turns; i++) {
    const begin = performance.now();
    act();
    least = Math.min(least, performance.now() - begin);
  }
  return units / least;
};
const TURNS = 100000;
const multiplyAdd = () => fma(TURNS, 0.001, 0.001);
for (const end = performance.now() + 60; performance.now() < end; ) multiplyAdd();
meet();
const turnsPerMs = best(TURNS, 400, multiplyAdd);
const move = () => copy(bytes, 0, bytes);
for (let i = 0; i < 3; i++) move();
meet();
const bytesPerMs = best(2 * bytes, 15, move);
parentPort.postMessage({ turnsPerMs, bytesPerMs });
`;

/**
 * The WebAssembly module, written by hand. `fma(turns, a, b)` adds a · b to each of 12 accumulators per iteration. With plain SIMD, it
 * multiplies each by a, then adds b, because a constant product could be moved out of the loop. `copy(to, from, end)` copies 64 bytes
 * per iteration. Accumulators are loaded from memory and stored there, because V8 would merge accumulators that start with the same
 * constant, and because it joins pairs of vectors (wide SIMD) at their stores.
 */
function limitModule(simd: Simd): Uint8Array<ArrayBuffer> {
  const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
  const get = (local: number): number[] => [0x20, ...leb(local)];
  const set = (local: number): number[] => [0x21, ...leb(local)];
  const vector = (code: number): number[] => [0xfd, ...leb(code)];
  const constant = (value: number): number[] => [0x41, ...signedLeb(value)];
  const loop = (...body: readonly number[][]): number[] => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b];
  const [splat, add, mul, madd, load, store] = [0x13, 0xe4, 0xe6, 0x105, 0x00, 0x0b];

  const [turns, a, b, va, vb, first] = [0, 1, 2, 3, 4, 5];
  const count = simd === 'wide' ? 2 * ACCUMULATORS : ACCUMULATORS;
  const accumulators = Array.from({ length: count }, (_, i) => first + i);
  const update = (acc: number): number[] =>
    simd === 'plain'
      ? [...get(acc), ...get(va), ...vector(mul), ...get(vb), ...vector(add), ...set(acc)]
      : [...get(va), ...get(vb), ...get(acc), ...vector(madd), ...set(acc)];
  // For wide SIMD, V8 must join adjacent vectors. Otherwise it must not.
  const apart = simd === 'wide' ? 16 : 32;
  const place = (acc: number): number[] => [4, ...leb(apart * (acc - first))];
  const fma = [
    [1, ...leb(2 + count), V128],
    [...get(a), ...vector(splat), ...set(va)],
    [...get(b), ...vector(splat), ...set(vb)],
    ...accumulators.map((acc) => [...constant(0), ...vector(load), ...place(acc), ...set(acc)]),
    // local.tee leaves the count for the branch.
    loop(...accumulators.map(update), get(turns), constant(1), [0x6b, 0x22, turns]),
    ...accumulators.map((acc) => [...constant(0), ...get(acc), ...vector(store), ...place(acc)]),
    [0x0b],
  ].flat();
  const [to, from, end] = [0, 1, 2];
  const move = (offset: number): number[] =>
    [get(to), get(from), vector(load), [4, offset], vector(store), [4, offset]].flat();
  const advance = (local: number): number[] => [...get(local), ...constant(64), 0x6a, ...set(local)];
  const copy = [
    0,
    ...loop(...[0, 16, 32, 48].map(move), advance(to), advance(from), [...get(from), ...get(end), 0x49]),
    0x0b,
  ];

  const vec = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()];
  const sized = (content: readonly number[]): number[] => [...leb(content.length), ...content];
  const section = (id: number, content: readonly number[]): number[] => [id, ...sized(content)];
  const name = (text: string): number[] => sized([...new TextEncoder().encode(text)]);
  const types = vec([
    [0x60, ...vec([[I32], [F32], [F32]]), 0],
    [0x60, ...vec([[I32], [I32], [I32]]), 0],
  ]);
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, types),
    ...section(3, vec([[0], [1]])),
    ...section(5, vec([[0, ...leb((2 * COPY_BYTES) / 65536)]])),
    ...section(
      7,
      vec([
        [...name('fma'), 0, 0],
        [...name('copy'), 0, 1],
      ]),
    ),
    ...section(10, vec([sized(fma), sized(copy)])),
  ]);
}

/** '\0asm', version 1. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

/** For small non-negative values: bit 6 of the last byte is the sign. */
function signedLeb(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signedLeb(value >> 7)];
}
