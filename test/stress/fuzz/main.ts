/**
 * `npm run fuzz`: gives random and damaged input to everything that reads files, configurations and command lines. Each target runs in
 * a process of its own, which this one watches for crashes and hangs.
 */
import { fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { randomOf } from '../random.ts';
import type { Message, Totals } from './child.ts';
import { MAX_FAILURES, type FuzzTarget } from './target.ts';
import { targets } from './targets.ts';

/** A case may take this much processor time, or wait this long for something other than a processor. */
const HANG_CPU_MS = 2000;
const HANG_WAIT_MS = 20_000;

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly cases: number;
  readonly only?: number;
  readonly json?: string;
  readonly list?: boolean;
}

interface Failure {
  readonly target: string;
  readonly seed: number;
  readonly case: number;
  readonly what: string;
}

interface Summary extends Totals {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  /** Processes one after another: a new one follows a crash, a hang, or memory that is not given back. */
  readonly processes: number;
  readonly failures: readonly Failure[];
}

function whole(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a whole number of 0 or more.');
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

/** What a process did with its time, in milliseconds. On systems without /proc, only the time that passes shows a hang. */
interface Use {
  readonly cpu: number;
  /** The time in which its main thread was ready but had no processor. */
  readonly starved: number;
}

function useOf(pid: number | undefined): Use {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    const [, starvedNs] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
    return { cpu: (Number(user) + Number(system)) * 10, starved: Number(starvedNs) / 1e6 };
  } catch {
    return { cpu: 0, starved: 0 };
  }
}

interface Stretch {
  /** The case after the last one. */
  readonly next: number;
  readonly totals: Totals | null;
  readonly failures: readonly { readonly case: number; readonly what: string }[];
}

/** Runs cases in one process until they are done, or the process ends or hangs. */
function runStretch(
  target: FuzzTarget,
  seed: number,
  first: number,
  end: number,
  minutes: number,
): Promise<Stretch> {
  const child = fork(
    fileURLToPath(new URL('child.js', import.meta.url)),
    [target.name, ...[seed, first, end, minutes].map(String)],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    },
  );
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors = `${errors}${String(chunk)}`.slice(-2000)));
  const failures: { case: number; what: string }[] = [];
  let current = first;
  let startedAt = performance.now();
  let before = useOf(child.pid);
  let totals: Totals | null = null;
  let silent = 0;
  child.on('message', (message: Message) => {
    if ('start' in message) [current, startedAt, silent] = [message.start, performance.now(), 0];
    else if ('done' in message) totals = message.done;
    else failures.push({ case: message.case, what: message.failure });
  });
  const watch = setInterval(() => {
    const now = useOf(child.pid);
    if (silent === 0) before = now;
    // After a pause of this process, its timer comes before the messages that wait for it.
    silent++;
    const used = now.cpu - before.cpu;
    const waited = performance.now() - startedAt - (now.starved - before.starved);
    const isHanging = silent > 4 && (used > HANG_CPU_MS || waited > HANG_WAIT_MS);
    if (totals !== null || !isHanging) return;
    clearInterval(watch); // a killed process may need some time to end
    failures.push({
      case: current,
      what: `hangs: ${used} ms of processor time, waits ${Math.round(waited)} ms`,
    });
    child.kill('SIGKILL');
  }, 250);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearInterval(watch);
      if (totals === null && !failures.some((failure) => failure.case === current)) {
        failures.push({ case: current, what: `the process ended (${signal ?? code}): ${errors}` });
      }
      resolve({ next: current + 1, totals, failures });
    });
  });
}

const NONE: Totals = { cases: 0, refused: 0, worstMs: 0, worstCase: 0, growth: 0, cpuMs: 0 };

const sum = (a: Totals, b: Totals): Totals => ({
  cases: a.cases + b.cases,
  refused: a.refused + b.refused,
  worstMs: Math.max(a.worstMs, b.worstMs),
  worstCase: a.worstMs > b.worstMs ? a.worstCase : b.worstCase,
  growth: Math.max(a.growth, b.growth),
  cpuMs: a.cpuMs + b.cpuMs,
});

async function runTarget(target: FuzzTarget, { seed, cases, minutes }: Options): Promise<Summary> {
  const started = performance.now();
  const left = (): number => minutes - (performance.now() - started) / 60_000;
  const failures: Failure[] = [];
  let totals = NONE;
  let next = 0;
  let processes = 0;
  while (next < cases && left() > 0 && failures.length < MAX_FAILURES) {
    const stretch = await runStretch(target, seed, next, cases, left());
    processes++;
    for (const { case: number, what } of stretch.failures) {
      failures.push({ target: target.name, seed, case: number, what });
      process.stderr.write(
        `${target.name}: case ${number} of seed ${seed} failed: ${what}\n` +
          `  repeat it with: npm run fuzz -- ${target.name} --seed ${seed} --only ${number}\n`,
      );
    }
    const done = stretch.totals ?? { ...NONE, cases: stretch.next - next };
    totals = sum(totals, done);
    next += done.cases;
  }
  const seconds = (performance.now() - started) / 1000;
  return { target: target.name, seed, seconds, processes, failures, ...totals };
}

function printTable(summaries: readonly Summary[]): void {
  const row = (cells: readonly (string | number)[]): string =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(14) : String(cell).padStart(11))).join('');
  console.log(
    row([
      'target',
      'cases',
      'failures',
      'errors',
      'cases/s',
      'worst, ms',
      'memory, MB',
      'processes',
      'seconds',
      'CPU, s',
    ]),
  );
  for (const one of summaries) {
    console.log(
      row([
        one.target,
        one.cases,
        one.failures.length,
        one.refused,
        Math.round(one.cases / one.seconds),
        Math.round(one.worstMs),
        Math.round(one.growth / 1e6),
        one.processes,
        Math.round(one.seconds),
        Math.round(one.cpuMs / 1000),
      ]),
    );
  }
}

const program = new Command('npm run fuzz --')
  .description(
    'Gives random and damaged input to the readers of files, configurations and command lines.\n' +
      'Each case must end with a right answer or a clear error: no crash, no hang, no message of V8.',
  )
  .argument('[targets...]', 'targets (default: all)')
  .option('--minutes <n>', 'minutes for each target', positive, 1)
  .option('--cases <n>', 'cases of each target, at most', whole, Number.MAX_SAFE_INTEGER)
  .option('--seed <n>', 'seed of all cases', whole, 1)
  .option('--only <case>', 'run one case of one target in this process', whole)
  .option('--json <file>', 'write a summary as JSON')
  .option('--list', 'list the targets')
  .showHelpAfterError('(--help lists the options)')
  .action(async (names: string[], options: Options) => {
    const unknown = names.find((name) => targets.every((target) => target.name !== name));
    if (unknown !== undefined) {
      program.error(
        `error: unknown target '${unknown}' (targets: ${targets.map(({ name }) => name).join(', ')})`,
      );
    }
    const chosen = targets.filter(({ name }) => names.length === 0 || names.includes(name));
    if (options.list === true) {
      for (const { name } of targets) console.log(name);
      return;
    }
    if (options.only !== undefined) {
      if (chosen.length !== 1) program.error('error: --only needs one target');
      await chosen[0].run(randomOf(options.seed, chosen[0].name, options.only));
      console.log('passed');
      return;
    }
    const summaries: Summary[] = [];
    for (const target of chosen) {
      process.stderr.write(`${target.name} …\n`);
      summaries.push(await runTarget(target, options));
    }
    printTable(summaries);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(summaries, null, 2)}\n`);
    if (summaries.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
  });

await program.parseAsync();
