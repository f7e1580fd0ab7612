/** Ends `cyclegrad train` with SIGKILL at random moments, resumes it until it is done, and compares the result with that of a run left alone. */
import { spawn } from 'node:child_process';
import { deepStrictEqual } from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadMetadata, loadTensors, stream } from 'cyclegrad';

const MAIN = fileURLToPath(new URL('../../../cli/main.js', import.meta.url));
const STEPS = 400;
/** Steps between checkpoints, one length for each run in turn. */
const EVERY = [1, 5, 20];

/** The arguments of a run. Evaluations take longest, so there are only those of the start and the end. */
const trainArguments = (dir: string, every: number): string[] =>
  `train --net quick --batch-size 4 --threads 1 --steps ${STEPS} --eval-every ${STEPS} --checkpoint-every ${every}`
    .split(' ')
    .concat('--run', dir);

/** When a process is killed: milliseconds after its start, or after it saved its next checkpoint. */
interface Moment {
  readonly after: 'start' | 'checkpoint';
  readonly ms: number;
}

/** The exit status of a process, null after SIGKILL. Without `moment`, it is left alone. */
function start(
  args: readonly string[],
  dir: string,
  moment: Moment | null,
): Promise<{ code: number | null; errors: string }> {
  return new Promise((resolve) => {
    const before = checkpointsIn(dir).at(-1);
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text));
    const killSoon = (): void => void setTimeout(() => child.kill('SIGKILL'), moment?.ms).unref();
    const poll = setInterval(() => {
      if (checkpointsIn(dir).at(-1) === before) return;
      clearInterval(poll);
      killSoon();
    }, 20);
    if (moment?.after !== 'checkpoint') clearInterval(poll);
    if (moment?.after === 'start') killSoon();
    child.on('close', (code) => {
      clearInterval(poll);
      resolve({ code, errors });
    });
  });
}

interface LoggedEvent {
  readonly type: string;
  readonly step: number;
}

/** Step records and evaluations without times, and the final arrays with their metadata. */
async function resultOf(dir: string): Promise<unknown> {
  const path = join(dir, `step-${String(STEPS).padStart(8, '0')}.safetensors`);
  const events = readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LoggedEvent)
    .filter(({ type }) => type === 'step' || type === 'eval')
    .map((event) => ({ ...event, ms: 0 }));
  return { tensors: await loadTensors(path), metadata: await loadMetadata(path), events };
}

const checkpointsIn = (dir: string): string[] =>
  namesIn(dir)
    .filter((name) => name.endsWith('.safetensors'))
    .sort();

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // the first process did not get to create it
  }
}

export async function kill(
  seed: number,
  kills: number,
  log: (line: string) => void,
): Promise<{ runs: number; done: number; failures: number }> {
  const draws = stream(seed, 'kills');
  const root = mkdtempSync(join(tmpdir(), 'cyclegrad-kills-'));
  let [runs, done, failures] = [0, 0, 0];
  try {
    const dir = join(root, 'whole');
    const { code, errors } = await start(trainArguments(dir, 50), dir, null);
    if (code !== 0) throw new Error(`the run that is left alone ended with ${code}: ${errors}`);
    const whole = await resultOf(dir);
    for (; done < kills; runs++) {
      const killed = join(root, `killed-${runs}`);
      const every = EVERY[runs % EVERY.length];
      try {
        for (;;) {
          const args = trainArguments(killed, every);
          if (checkpointsIn(killed).length > 0) args.push('--resume');
          const moment: Moment | null =
            done === kills
              ? null
              : draws.below(4) === 0
                ? { after: 'start', ms: draws.below(3000) }
                : { after: 'checkpoint', ms: draws.below(800) };
          const end = await start(args, killed, moment);
          if (end.code === 0) break;
          if (end.code !== null) throw new Error(`exit status ${end.code}: ${end.errors}`);
          log(`run ${runs}: kill ${++done} of ${kills}, ${checkpointsIn(killed).at(-1) ?? 'no checkpoint'}`);
        }
        deepStrictEqual(await resultOf(killed), whole);
        const leftovers = namesIn(killed).filter((name) => /\.(tmp|lock)$|damaged/.test(name));
        deepStrictEqual(leftovers, [], 'files of killed processes');
      } catch (error) {
        failures++;
        log(`FAILED: --seed ${seed}, run ${runs} (checkpoints every ${every}): ${(error as Error).message}`);
      }
      rmSync(killed, { recursive: true, force: true });
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return { runs, done, failures };
}
