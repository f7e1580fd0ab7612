/**
 * What the steps of a plan took, what they achieved, and what this machine can do at most. Times come from
 * `compiled.profile(feeds)`; nothing here runs a plan.
 */
import type { StepTime } from './backends/backend.ts';
import { BackendError } from './errors.ts';
import type { Plan, Step } from './plan/plan.ts';
import { bytesOf } from './shape.ts';

/** The most that can be asked of a number of threads together. */
export interface MachineLimits {
  readonly threads: number;
  /** What the arithmetic was made of: 'relaxed' (fused multiply-add) or 'plain'. */
  readonly simd: 'plain' | 'relaxed';
  /** Multiply and add counted separately, operands in registers. */
  readonly gflopPerSecond: number;
  /** Bytes read plus bytes written by a copy of arrays too large for most caches. */
  readonly gbPerSecond: number;
}

/** One step of a plan: its mean time, and what that makes of its work. */
export interface ProfileRow {
  /** Position in the plan. */
  readonly step: number;
  readonly op: Step['op'];
  readonly path: string;
  readonly ms: number;
  /** Of the total, 0 … 1. */
  readonly share: number;
  /** Arithmetic operations of the direct computation, whatever the kernel does instead. */
  readonly flops: number;
  /** Inputs and outputs. */
  readonly bytes: number;
  /** What the step is measured by: arithmetic, or traffic where there is little arithmetic for each byte. */
  readonly bound: 'compute' | 'memory';
  /** GFLOP/s or GB/s, as `bound` says; 0 for a step that took no time that the clock could see. */
  readonly rate: number;
  /** `rate` over the machine's limit; above 1 where an algorithm needs less than the direct one. Null without limits. */
  readonly ofLimit: number | null;
}

export interface ProfileSummary {
  readonly rows: readonly ProfileRow[];
  /** All steps together. */
  readonly ms: number;
  readonly gflopPerSecond: number;
  /** How many profiles the times are the mean of. */
  readonly runs: number;
  readonly limits: MachineLimits | null;
}

/** Operations for each byte from which on arithmetic is what takes time, where the machine's limits are not known. */
const USUAL_BALANCE = 4;

/**
 * The mean of several profiles of one plan, step by step, with what each achieved.
 * Throws RangeError without profiles, and for profiles of another plan.
 *
 * @example summarizeProfile(compiled.plan, [await compiled.profile(feeds)])
 */
export function summarizeProfile(
  plan: Plan,
  profiles: readonly (readonly StepTime[])[],
  limits: MachineLimits | null = null,
): ProfileSummary {
  if (profiles.length === 0)
    throw new RangeError('summarizeProfile: there are no profiles (give at least one)');
  for (const profile of profiles) {
    if (profile.length !== plan.steps.length || profile.some(({ step }, i) => step !== plan.steps[i])) {
      throw new RangeError(
        `summarizeProfile: a profile has ${profile.length} steps of another plan; this one has ${plan.steps.length}`,
      );
    }
  }
  const runs = profiles.length;
  const times = plan.steps.map((_, i) => profiles.reduce((sum, profile) => sum + profile[i].ms, 0) / runs);
  const ms = times.reduce((sum, time) => sum + time, 0);
  const balance = limits === null ? USUAL_BALANCE : limits.gflopPerSecond / limits.gbPerSecond;
  const rows = plan.steps.map((step, i): ProfileRow => {
    const { op, path, flops } = step;
    const bytes = trafficOf(plan, step);
    const bound = flops > balance * bytes ? 'compute' : 'memory';
    const work = bound === 'compute' ? flops : bytes;
    const rate = times[i] > 0 ? work / (times[i] * 1e6) : 0;
    const limit = bound === 'compute' ? limits?.gflopPerSecond : limits?.gbPerSecond;
    const share = ms > 0 ? times[i] / ms : 0;
    const ofLimit = limit === undefined ? null : rate / limit;
    return { step: i, op, path, ms: times[i], share, flops, bytes, bound, rate, ofLimit };
  });
  const flops = rows.reduce((sum, row) => sum + row.flops, 0);
  return { rows, ms, gflopPerSecond: ms > 0 ? flops / (ms * 1e6) : 0, runs, limits };
}

function trafficOf(plan: Plan, { op, inputs, outputs }: Step): number {
  const bytes = (values: readonly number[]): number =>
    values.reduce((sum, v) => sum + bytesOf(plan.values[v]), 0);
  // Of all rows it reads as many as it writes.
  if (op === 'takeRows') return 2 * bytes(outputs) + bytes(inputs.slice(1));
  return bytes(inputs) + bytes(outputs);
}

/** The summary as a table, one line a step in the plan's order, and the totals. */
export function formatProfile({ rows, ms, gflopPerSecond, runs, limits }: ProfileSummary): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const head = [
    'step',
    'operation',
    'layer',
    'ms',
    'share',
    'achieved',
    ...(limits === null ? [] : ['of limit']),
  ];
  const lines = rows.map((row) => [
    String(row.step),
    row.op,
    row.path,
    row.ms.toFixed(3),
    percent(row.share),
    row.ms > 0 ? `${row.rate.toFixed(1)} ${row.bound === 'compute' ? 'GFLOP/s' : 'GB/s   '}` : '',
    ...(row.ofLimit === null ? [] : [row.ms > 0 ? percent(row.ofLimit) : '']),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((line) => line[i].length)));
  const left = (i: number): boolean => i === 1 || i === 2;
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (left(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    line(head),
    ...lines.map(line),
    '',
    `total ${ms.toFixed(3)} ms, ${gflopPerSecond.toFixed(1)} GFLOP/s of the direct count, mean of ${runs} run${runs === 1 ? '' : 's'}`,
    ...(limits === null
      ? []
      : [
          `limit ${limits.gflopPerSecond.toFixed(1)} GFLOP/s (${limits.simd === 'relaxed' ? 'fused multiply-add' : 'multiply and add'} ` +
            `in registers) and ${limits.gbPerSecond.toFixed(1)} GB/s (a copy), ${limits.threads} thread${limits.threads === 1 ? '' : 's'}; ` +
            'Winograd and caches go beyond',
        ]),
  ].join('\n');
}

export interface LimitOptions {
  /** Threads that work at once. Default 1. */
  readonly threads?: number;
  /** Default 'auto': relaxed (fused multiply-add) where the engine has it. */
  readonly simd?: 'auto' | 'plain' | 'relaxed';
}

/** Accumulators of the loop: enough to hide four cycles of latency on two units, few enough for 16 registers. */
const ACCUMULATORS = 12;
const FLOPS_A_TURN = ACCUMULATORS * 4 * 2;
/** What each thread copies, from one array to another: together more than the caches of most machines. */
const COPY_BYTES = 2 ** 25;

/**
 * Measures what the machine can do at most, in WebAssembly of 128 bits: a loop of multiply-adds on registers alone,
 * and a copy of memory. Takes about half a second. The best of many short turns counts, as anything else that
 * runs on the machine only takes away.
 *
 * Throws BackendError where there are no worker threads of Node, or no such SIMD.
 */
export async function measureLimits(options: LimitOptions = {}): Promise<MachineLimits> {
  const { threads = 1, simd = 'auto' } = options;
  const { Worker } = await import('node:worker_threads').catch((cause: unknown) => {
    throw new BackendError("measureLimits: needs Node's worker threads", { cause });
  });
  const chosen = await chooseSimd(simd);
  const module = await WebAssembly.compile(limitModule(chosen));
  // The workers meet before every measurement, so that each runs beside all others.
  const meeting = new Int32Array(new SharedArrayBuffer(8));
  const measured = await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(WORKER, {
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
    gflopPerSecond: (sum(({ turnsPerMs }) => turnsPerMs) * FLOPS_A_TURN) / 1e6,
    gbPerSecond: sum(({ bytesPerMs }) => bytesPerMs) / 1e6,
  };
}

async function chooseSimd(wanted: 'auto' | 'plain' | 'relaxed'): Promise<'plain' | 'relaxed'> {
  if (wanted !== 'plain') {
    const bytes = limitModule('relaxed');
    if (WebAssembly.validate(bytes)) return 'relaxed';
    // Node 20 has it behind a flag that may be set at run time.
    (await import('node:v8')).setFlagsFromString('--experimental-wasm-relaxed-simd');
    if (WebAssembly.validate(bytes)) return 'relaxed';
    if (wanted === 'relaxed') {
      throw new BackendError("measureLimits: this JavaScript engine has no relaxed SIMD (use simd: 'plain')");
    }
  }
  if (WebAssembly.validate(limitModule('plain'))) return 'plain';
  throw new BackendError('measureLimits: this JavaScript engine has no WebAssembly SIMD');
}

/** A worker's whole program. Warm until the optimising compiler has long taken over, then the best of short turns. */
const WORKER = `
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
 * and `copy(to, from, end)` of 64 bytes a turn.
 */
function limitModule(simd: 'plain' | 'relaxed'): Uint8Array<ArrayBuffer> {
  const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
  const get = (local: number): number[] => [0x20, ...leb(local)];
  const set = (local: number): number[] => [0x21, ...leb(local)];
  const vector = (code: number): number[] => [0xfd, ...leb(code)];
  const constant = (value: number): number[] => [0x41, ...signedLeb(value)];
  const loop = (...body: readonly number[][]): number[] => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b];
  const [splat, extract, add, mul, madd, load, store] = [0x13, 0x1f, 0xe4, 0xe6, 0x105, 0x00, 0x0b];

  const [turns, a, b, va, vb, first] = [0, 1, 2, 3, 4, 5];
  const accumulators = Array.from({ length: ACCUMULATORS }, (_, i) => first + i);
  const update = (acc: number): number[] =>
    simd === 'relaxed'
      ? [...get(va), ...get(vb), ...get(acc), ...vector(madd), ...set(acc)]
      : [...get(acc), ...get(va), ...vector(mul), ...get(vb), ...vector(add), ...set(acc)];
  const fma = [
    [1, ...leb(2 + ACCUMULATORS), V128],
    [...get(a), ...vector(splat), ...set(va)],
    [...get(b), ...vector(splat), ...set(vb)],
    // local.tee leaves the count for the branch.
    loop(...accumulators.map(update), get(turns), constant(1), [0x6b, 0x22, turns]),
    // Consumed, or the loop would be nothing.
    get(first),
    ...accumulators.slice(1).map((acc) => [...get(acc), ...vector(add)]),
    [...vector(extract), 0, 0x0b],
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
    [0x60, ...vec([[I32], [F32], [F32]]), ...vec([[F32]])],
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
