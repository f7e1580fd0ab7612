/**
 * The thread team in processes of their own: more threads than cores, one core, long steps, idle pauses, a loaded machine, and
 * processes that are stopped and continued, as a suspended laptop or a throttled container is. Results must have the same bytes as those
 * of one thread.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stream } from 'cyclegrad';
import { noneOf, type Part, type Row } from './part.ts';

/** The program of each process, as the build compiles it. */
const TEAM = fileURLToPath(new URL('team.js', import.meta.url));
const MOST_SECONDS = 180;

/** What a process computes: many short steps, an evaluation, and long steps with idle pauses between them. */
export const KINDS = ['train', 'evaluate', 'sort'] as const;
export type Kind = (typeof KINDS)[number];

export interface Condition {
  readonly name: string;
  readonly threads: number;
  /** The command before node. */
  readonly prefix?: readonly string[];
  /** Whether the process is stopped and continued in its first seconds. */
  readonly stops?: boolean;
  /** Processes that compute beside it. */
  readonly burners?: number;
  /** Why the condition cannot be had here. */
  readonly missing?: string | undefined;
}

const cores = availableParallelism();
const noTaskset = spawnSync('taskset', ['-c', '0', 'true']).status === 0 ? undefined : 'there is no taskset';
const noSignals = process.platform === 'win32' ? 'Windows cannot stop a process' : undefined;

export const CONDITIONS: readonly Condition[] = [
  { name: 'as many threads as cores', threads: cores },
  { name: 'cores + 1 threads', threads: cores + 1 },
  { name: '2 × cores threads', threads: 2 * cores },
  { name: 'one core', threads: cores, prefix: ['taskset', '-c', '0'], missing: noTaskset },
  { name: 'a loaded machine', threads: cores, burners: cores },
  { name: 'stopped and continued', threads: cores, stops: true, missing: noSignals },
  { name: 'stopped and continued, 2 × cores threads', threads: 2 * cores, stops: true, missing: noSignals },
];

/** What a process prints, or how it failed. */
async function outputOf(team: string, kind: Kind, condition: Condition, seed: number): Promise<string> {
  const { threads, prefix = [], stops = false } = condition;
  const [program, ...args] = [...prefix, process.execPath, team, kind, String(threads)];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const killer = setTimeout(() => child.kill('SIGKILL'), MOST_SECONDS * 1000);
  const ended = once(child, 'close');
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  await Promise.race([once(child.stdout, 'data'), ended]);
  if (stops) await stopAndContinue(child, seed);
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  clearTimeout(killer);
  if (code === 0) return out.replace('ready\n', '').trim();
  return `${signal === 'SIGKILL' ? `no end within ${MOST_SECONDS} s` : `exit ${code ?? signal}`}: ${err.slice(0, 200)}`;
}

/** Stops the process for 150 ms up to 15 times, at moments drawn from the seed. */
async function stopAndContinue(child: ChildProcess, seed: number): Promise<void> {
  const draws = stream(seed, 'pauses');
  for (let i = 0; i < 15 && child.exitCode === null && child.signalCode === null; i++) {
    await pause(2 + 28 * draws.uniform());
    child.kill('SIGSTOP');
    await pause(150);
    child.kill('SIGCONT');
  }
}

const burner = (): ChildProcess => spawn(process.execPath, ['--eval', 'for (;;) {}'], { stdio: 'ignore' });

/** What each kind of work gives with one thread and nothing beside it. */
export async function undisturbed(team: string): Promise<Readonly<Record<Kind, string>>> {
  const results = { train: '', evaluate: '', sort: '' };
  for (const kind of KINDS) results[kind] = await outputOf(team, kind, { name: 'one thread', threads: 1 }, 0);
  return results;
}

/** Runs processes under a condition, one after another. Returns a line for each whose result is not the expected one. */
export async function faultsUnder(
  team: string,
  condition: Condition,
  expected: Readonly<Record<Kind, string>>,
  kinds: readonly Kind[],
  processes: number,
): Promise<readonly string[]> {
  const burners = Array.from({ length: condition.burners ?? 0 }, burner);
  const faults: string[] = [];
  try {
    for (let seed = 1; seed <= processes; seed++) {
      for (const kind of kinds) {
        const found = await outputOf(team, kind, condition, seed);
        if (found !== expected[kind]) {
          faults.push(`${kind}, seed ${seed}: ${found}, expected ${expected[kind]}`);
        }
      }
    }
  } finally {
    for (const one of burners) one.kill('SIGKILL');
  }
  return faults;
}

export const threads: Part = async ({ processes }, log) => {
  const expected = await undisturbed(TEAM);
  const rows: Row[] = [];
  for (const condition of CONDITIONS) {
    if (condition.missing !== undefined) {
      log(`${condition.name}: skipped (${condition.missing})`);
      continue;
    }
    const faults = await faultsUnder(TEAM, condition, expected, KINDS, processes);
    const row = noneOf(condition.name, faults, processes * KINDS.length);
    rows.push(row);
    log(`${row.what}: ${row.measured}`);
  }
  return rows;
};
