/** Runs that crash again and again on a simulated disk, and the checks of what is left after each crash. */
import { deepStrictEqual } from 'node:assert/strict';
import { stream } from 'cyclegrad';
import { checkpointPath } from '../../../engine/train/checkpoint.ts';
import type { LoggedEvent } from '../../../engine/train/listeners/files.ts';
import type { Newest } from '../../../engine/train/run-folder.ts';
import { Disk, ProcessEnded, type Below, type Fault } from './disk.ts';
import { checkpointOf, DIR, LOG, runProcess, type Progress, type Scenario } from './writer.ts';

/** What the cases of a simulation did. */
export interface Tally {
  cases: number;
  /** Crashes, each at an operation and with losses of its own. */
  points: number;
  /** Crashes with losses: of power, not only of the process. */
  powerFailures: number;
  /** Checkpoints damaged after a crash, of which the one before must be found. */
  damaged: number;
  operations: number;
}

export const emptyTally = (): Tally => ({ cases: 0, points: 0, powerFailures: 0, damaged: 0, operations: 0 });

const ENDS: readonly Fault[] = ['end before', 'end in', 'end after'];
const MAX_CRASHES = 8;
/** The operations among which the one of a crash is drawn. A run has up to about 250. */
const REACH = 120;

/** Case `index` of a seed: a run that crashes up to `MAX_CRASHES` times and is resumed until it ends. Throws if anything is lost. */
export async function simulate(seed: number, index: number, tally: Tally): Promise<void> {
  const draws = stream(seed, 'crashes', index);
  const below: Below = (n) => draws.below(n);
  const scenario: Scenario = {
    steps: 1 + below(6),
    every: 1 + below(3),
    keep: 1 + below(3),
    sizes: Array.from({ length: below(3) }, () => below(12)),
    chunkBytes: 4 << below(8),
  };
  const checks = new Checks(scenario);
  let disk = new Disk();
  tally.cases++;
  for (let pid = 1; ; pid++) {
    if (pid <= MAX_CRASHES) disk.failAt(below(REACH), ENDS[below(ENDS.length)]);
    const end = await runProcess(disk.files(pid, scenario.chunkBytes), scenario, checks).then(
      () => null,
      (error: unknown) => error,
    );
    tally.operations += disk.operations;
    if (end === null) break;
    if (!isCrash(end)) throw end;
    tally.points++;
    const hasPower = below(4) === 0;
    if (hasPower) {
      disk.restart();
    } else {
      tally.powerFailures++;
      disk = disk.afterPowerFailure(below);
    }
    await checks.afterCrash(disk);
    if (below(16) === 0 && checks.damageNewest(disk, below)) tally.damaged++;
  }
  checks.atEnd(disk);
}

/** Whether an error is the end of the process, also inside the errors of the engine. */
function isCrash(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) if (e instanceof ProcessEnded) return true;
  return false;
}

/** What must hold at each start, after each crash and at the end. */
class Checks {
  /** The step of the newest checkpoint that was reported as saved and that nobody damaged. */
  #saved = 0;
  /** The checkpoint that `damageNewest` damaged, until the run saved it again. */
  #damaged: string | null = null;
  readonly #scenario: Scenario;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
  }

  onSaved(step: number): void {
    this.#saved = step;
    if (this.#damaged !== null && stepOf(this.#damaged) === step) this.#damaged = null;
  }

  /** A process starts: it finds at least what was reported, and every event up to there. */
  onStart(newest: Newest | null, { earlier }: { readonly earlier: readonly LoggedEvent[] }): void {
    const step = newest?.checkpoint.step ?? 0;
    check(step >= this.#saved, `step ${this.#saved} was reported as saved, but the run resumes from ${step}`);
    if (newest !== null) {
      const expected = checkpointOf(this.#scenario, step);
      deepStrictEqual(newest.checkpoint, expected, 'the checkpoint has other contents');
    }
    for (const { path } of newest?.damaged ?? []) check(path === this.#damaged, `${path} is damaged`);
    deepStrictEqual(newest?.misnamed ?? [], [], 'misnamed checkpoints');
    const logged = earlier.filter(({ type }) => type === 'step').map((event) => event.step);
    deepStrictEqual(logged, range(step), 'steps in the log');
  }

  /** Starts the next process on a copy of the disk, so that every crash is checked even if that process crashes before its start. */
  async afterCrash(disk: Disk): Promise<void> {
    const copy = disk.copy();
    let leftovers: string[] | null = null;
    const progress: Progress = {
      onStart: (newest, log) => {
        this.onStart(newest, log);
        leftovers = [...copy.contents().keys()].filter((path) => path.endsWith('.tmp'));
        throw new ProcessEnded('checked');
      },
      onSaved: () => undefined,
    };
    try {
      await runProcess(copy.files(-1, this.#scenario.chunkBytes), this.#scenario, progress);
    } catch (error) {
      if (!isCrash(error)) throw error;
    }
    deepStrictEqual(leftovers, [], 'temporary files');
  }

  /** Changes a byte of the newest checkpoint, if there is another one. Returns whether it did. */
  damageNewest(disk: Disk, below: Below): boolean {
    const [previous, newest] = checkpointsIn(disk).slice(-2);
    if (newest === undefined) return false;
    disk.damage(newest, (bytes) => void (bytes[below(bytes.length)] ^= 1 << below(8)));
    this.#damaged = newest;
    this.#saved = Math.min(this.#saved, stepOf(previous));
    return true;
  }

  /** The run is finished: its folder is that of a run without crashes. */
  atEnd(disk: Disk): void {
    const { steps, keep } = this.#scenario;
    const contents = disk.contents();
    check(contents.has(checkpointPath(DIR, steps)), 'the last checkpoint is missing');
    check(checkpointsIn(disk).length <= keep, `there are more than ${keep} checkpoints`);
    const temporary = [...contents.keys()].filter((path) => path.endsWith('.tmp') || path.endsWith('.lock'));
    deepStrictEqual(temporary, [], 'temporary files');
    const text = new TextDecoder().decode(contents.get(LOG));
    const events = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LoggedEvent);
    const logged = events.filter(({ type }) => type === 'step').map(({ step }) => step);
    deepStrictEqual(logged, range(steps), 'steps in the log');
    check(contents.has(`${DIR}/summary.json`), 'there is no summary');
  }
}

const checkpointsIn = (disk: Disk): string[] =>
  [...disk.contents().keys()].filter((path) => /step-\d+\.safetensors$/.test(path)).sort();

const stepOf = (path: string): number => Number(/step-(\d+)/.exec(path)?.[1]);

const range = (end: number): number[] => Array.from({ length: end }, (_, step) => step);

function check(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}
