/**
 * The process that runs the cases of one target. It reports the number of each case before it starts, so that the parent knows which
 * case a crash or a hang belongs to.
 */
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
  /** The highest resident memory above that of the first case, in bytes. */
  readonly growth: number;
  readonly cpuMs: number;
}

const MAX_GROWTH = 500e6;

const [name, seed, first, end, minutes] = process.argv.slice(2);
const target = targets.find((one) => one.name === name)!;
/** Waits until the message is written: a message that is only queued would be lost in a crash. */
const send = (message: Message): Promise<void> =>
  new Promise((resolve) => {
    process.send!(message, () => resolve());
  });
const residentBytes = (): number => process.resourceUsage().maxRSS * 1024;

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
let [worstMs, worstCase, before] = [0, current, 0];
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
  if (before === 0) before = residentBytes();
  if (residentBytes() - before > MAX_GROWTH) {
    await fail(new Error(`memory grew by ${Math.round((residentBytes() - before) / 1e6)} MB`));
    break;
  }
}
const { user, system } = process.cpuUsage();
const done: Totals = {
  cases: current - Number(first),
  refused: outcomes.refused,
  worstMs,
  worstCase,
  growth: Math.max(0, residentBytes() - before),
  cpuMs: (user + system) / 1000,
};
await send({ done });
process.disconnect();
