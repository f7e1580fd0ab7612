/**
 * The process that runs the cases of one target. It reports the number of each case before it starts, so that the parent knows which
 * case a crash or a hang belongs to.
 */
import { writeFileSync } from 'node:fs';
import { randomOf } from '../random.ts';
import { MAX_FAILURES, outcomes } from './target.ts';
import { targets } from './targets.ts';

/** A message to the parent. */
export type Message =
  | { readonly start: number }
  | { readonly failure: string; readonly case: number }
  | { readonly done: Totals };

export interface Totals {
  readonly cases: number;
  readonly refused: number;
  /** The longest case, in milliseconds. */
  readonly worstMs: number;
  readonly worstCase: number;
  /** The largest growth of the resident memory in one case, in bytes, up to `PEAK_STEP` too high. */
  readonly growth: number;
  readonly cpuMs: number;
}

/** What a case may need, in bytes. */
const MAX_GROWTH = 500e6;
/** What an allocator may keep after many cases, in bytes. Then another process goes on. */
const MAX_RETAINED = 200e6;
/** Growth after which the peak is measured anew, in bytes. */
const PEAK_STEP = 20e6;

const [name, seed, first, end, minutes] = process.argv.slice(2);
const target = targets.find((one) => one.name === name)!;
/** Waits until the message is written: a message that is only queued would be lost in a crash. */
const send = (message: Message): Promise<void> =>
  new Promise((resolve) => {
    process.send!(message, () => resolve());
  });
const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;
/** Sets the peak back to what the process holds now. Only Linux can. Elsewhere the peak is that of the whole process. */
function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // There is no /proc.
  }
}

let current = Number(first);
let failures = 0;
const fail = (error: unknown): Promise<void> => {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  failures++;
  return send({ failure: text, case: current });
};
for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(event, (error) => {
    void fail(new Error(`${event}: ${String(error)}`, { cause: error })).then(() => process.exit(1));
  });
}

const until = performance.now() + Number(minutes) * 60_000;
let [worstMs, worstCase, growth] = [0, current, 0];
/** Resident memory after the first case, and when the peak was last reset. */
let memory: { readonly first: number; base: number } | null = null;
for (; current < Number(end) && performance.now() < until && failures < MAX_FAILURES; current++) {
  await send({ start: current });
  const started = performance.now();
  try {
    await target.run(randomOf(Number(seed), name, current));
  } catch (error) {
    await fail(error);
  }
  const ms = performance.now() - started;
  if (ms > worstMs) [worstMs, worstCase] = [ms, current];
  if (memory === null) {
    resetPeak();
    memory = { first: peakBytes(), base: peakBytes() };
    continue;
  }
  const grown = peakBytes() - memory.base;
  growth = Math.max(growth, grown);
  if (grown > MAX_GROWTH) await fail(new Error(`memory grew by ${Math.round(grown / 1e6)} MB`));
  if (grown < PEAK_STEP) continue;
  resetPeak();
  memory.base = peakBytes();
  if (memory.base - memory.first > MAX_RETAINED) {
    current++;
    break;
  }
}
const { user, system } = process.cpuUsage();
const done: Totals = {
  cases: current - Number(first),
  refused: outcomes.refused,
  worstMs,
  worstCase,
  growth,
  cpuMs: (user + system) / 1000,
};
await send({ done });
process.disconnect();
