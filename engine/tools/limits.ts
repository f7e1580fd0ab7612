/** What this machine can do at most: multiply-adds on registers alone, and a copy of memory. */
import type { Worker } from 'node:worker_threads';
import { chooseSimd, isFused, SIMD_KINDS, type Simd } from '../backends/wasm/simd.ts';
import { BackendError } from '../errors.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';

/** The most that can be asked of a number of threads together. */
export interface MachineLimits {
  readonly threads: number;
  /** What the arithmetic was made of: 'wide' (256 bits, relaxed multiply-add), 'relaxed' (128 bits, with it too) or 'plain'. */
  readonly simd: Simd;
  /** Whether multiply-adds were fused; measurements of earlier versions do not have it. */
  readonly fused?: boolean;
  /** Multiply and add counted separately, operands in registers. */
  readonly gflopPerSecond: number;
  /** Bytes read plus bytes written by a copy of arrays too large for most caches. */
  readonly gbPerSecond: number;
}

export interface LimitOptions {
  /** Threads that work at once. Default 1. */
  readonly threads?: number;
  /** Default 'auto': what the CPU backend would take. */
  readonly simd?: Simd | 'auto';
}

/** Accumulators of the loop: enough to hide four cycles of latency on two units, few enough for 16 registers. */
const ACCUMULATORS = 12;
/** Arithmetic operations of one turn of `fma`. */
const flopsATurn = (simd: Simd): number => ACCUMULATORS * (simd === 'wide' ? 8 : 4) * 2;
/** What each thread copies, from one array to another: together more than the caches of most machines. */
const COPY_BYTES = 2 ** 25;

/**
 * Measures what the machine can do at most, in WebAssembly: a loop of multiply-adds on registers alone,
 * and a copy of memory. Takes about half a second. The best of many short turns counts, as anything else that
 * runs on the machine only takes away.
 *
 * Throws RangeError for a number of threads that is none, BackendError where there are no worker threads of Node, or no such SIMD.
 */
export async function measureLimits(options: LimitOptions = {}): Promise<MachineLimits> {
  const { threads, simd } = limitOptions('measureLimits', options);
  const Worker = await workerClass('measureLimits');
  const chosen = await chooseLimit('measureLimits', simd);
  const module = await WebAssembly.compile(limitModule(chosen));
  // The workers meet before every measurement, so that each runs beside all others.
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

/** Threads that can do nothing but multiply-adds: what they take is the least that anything of as much arithmetic can take. */
export interface LimitTeam {
  readonly threads: number;
  readonly simd: Simd;
  /**
   * The threads share this many arithmetic operations (rounded to pieces of about a million), as a plan's steps are shared:
   * who is held up leaves the rest to the others. Returns the time in milliseconds. One run at a time.
   */
  run(flops: number): Promise<number>;
  /** Once a run that goes on has ended. */
  close(): Promise<void>;
}

/**
 * The limit of the machine as a rival, for comparisons that alternate: what else runs on the machine slows both.
 * Starts the threads and lets them run warm.
 *
 * Throws RangeError for a number of threads that is none, BackendError where there are no worker threads of Node, or no such SIMD.
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
        // From now on an error is nobody's to catch: it ends the process.
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
  // As with the backend's, only a run keeps the process alive.
  for (const worker of workers) worker.unref();
  let runs = 0;
  let closed = false;
  /** The end of the run that goes on. */
  let ending: Promise<unknown> | null = null;
  return {
    threads,
    simd: chosen,
    async run(flops) {
      if (closed) throw new BackendError('startLimit: run: the team is closed');
      if (ending !== null)
        throw new BackendError('startLimit: run: the team is running already (wait for it)');
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

/** Some 16 µs of work. */
const PIECE_TURNS = 10_000;
/** Words of what the threads of a LimitTeam share. */
const [BEGUN, PIECES, WORKING, ENDED, CONTROL_WORDS] = [0, 1, 2, 3, 4];

/** The program of a LimitTeam's worker. Like a thread of the backend it spins a while for the next run before it sleeps. */
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

/** The kind of the kernels. Throws BackendError where it is not to be had. */
async function chooseLimit(caller: string, wanted: Simd | 'auto'): Promise<Simd> {
  const simd = await chooseSimd(caller, wanted);
  if (WebAssembly.validate(limitModule(simd))) return simd;
  throw new BackendError(`${caller}: this JavaScript engine has no WebAssembly SIMD`);
}

/** The program of measureLimits' workers. Warm until the optimising compiler has long taken over, then the best of short turns. */
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
 * The module, put together here as it is too small for a compiler: `fma(turns, a, b)`, where each of 12 accumulators
 * gets a · b (plain SIMD: is multiplied by a, then gets b, so that nothing can be moved out of the loop) once a turn,
 * and `copy(to, from, end)` of 64 bytes a turn. Accumulators come from memory and go there: V8 would make one of those that begin
 * with the same constant, and joins neighbours (wide SIMD: two for each) where they are stored.
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
  // Where V8 joins neighbours, those of 128 bits must not be any.
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
