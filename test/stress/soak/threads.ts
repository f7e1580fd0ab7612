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

const TEAM = fileURLToPath(new URL('team.js', import.meta.url));
const KINDS = ['train', 'evaluate', 'sort'] as const;
const MOST_SECONDS = 180;

interface Condition {
  readonly name: string;
  readonly threads: number;
  /** The command before node. */
  readonly prefix?: readonly string[];
  /** Whether the process is stopped and continued in its first seconds. */
  readonly stops?: boolean;
  /** Processes that compute beside it. */
  readonly burners?: number;
}

const cores = availableParallelism();

const hasTaskset = spawnSync('taskset', ['-c', '0', 'true']).status === 0;
const canStop = process.platform !== 'win32';

const CONDITIONS: readonly Condition[] = [
  { name: 'as many threads as cores', threads: cores },
  { name: 'cores + 1 threads', threads: cores + 1 },
  { name: '2 × cores threads', threads: 2 * cores },
  ...(hasTaskset ? [{ name: 'one core', threads: cores, prefix: ['taskset', '-c', '0'] }] : []),
  { name: 'a loaded machine', threads: cores, burners: cores },
  ...(canStop
    ? [
        { name: 'stopped and continued', threads: cores, stops: true },
        { name: 'stopped and continued, 2 × cores threads', threads: 2 * cores, stops: true },
      ]
    : []),
];

/** What a process prints, or how it failed. */
async function outputOf(kind: string, condition: Condition, seed: number): Promise<string> {
  const { threads, prefix = [], stops = false } = condition;
  const [program, ...args] = [...prefix, process.execPath, TEAM, kind, String(threads)];
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

async function rowOf(
  condition: Condition,
  expected: Readonly<Record<string, string>>,
  processes: number,
): Promise<Row> {
  const burners = Array.from({ length: condition.burners ?? 0 }, burner);
  const faults: string[] = [];
  try {
    for (let seed = 1; seed <= processes; seed++) {
      for (const kind of KINDS) {
        const found = await outputOf(kind, condition, seed);
        if (found !== expected[kind])
          faults.push(`${kind}, seed ${seed}: ${found}, expected ${expected[kind]}`);
      }
    }
  } finally {
    for (const one of burners) one.kill('SIGKILL');
  }
  return noneOf(condition.name, faults, processes * KINDS.length);
}

export const threads: Part = async ({ processes }, log) => {
  const expected: Record<string, string> = {};
  for (const kind of KINDS) expected[kind] = await outputOf(kind, { name: 'one thread', threads: 1 }, 0);
  const rows: Row[] = [];
  for (const condition of CONDITIONS) {
    const row = await rowOf(condition, expected, processes);
    rows.push(row);
    log(`${row.what}: ${row.measured}`);
  }
  return rows;
};
