/** What a training run does with its folder, in the order of engine/train/train.ts, with a state that is a function of the step. */
import type { Files } from '../../../engine/files.ts';
import type { Checkpoint } from '../../../engine/train/checkpoint.ts';
import { EventLog, replaceText } from '../../../engine/train/listeners/files.ts';
import { RunFolder, type Newest } from '../../../engine/train/run-folder.ts';

export const DIR = '/runs/simulated';
export const LOG = `${DIR}/events.jsonl`;

export interface Scenario {
  readonly steps: number;
  /** Steps between checkpoints. */
  readonly every: number;
  readonly keep: number;
  /** Elements of the arrays of the state. */
  readonly sizes: readonly number[];
  readonly chunkBytes: number;
}

const NONE = {} as never;

/** The checkpoint of a step. */
export function checkpointOf({ steps, sizes }: Scenario, step: number): Checkpoint {
  const state = Object.fromEntries(
    sizes.map((size, i) => {
      const data = Float32Array.from({ length: size }, (_, k) => step * 1000 + i * 100 + k);
      return [`w${i}`, { shape: [size], dtype: 'f32', data }] as const;
    }),
  );
  const plain = { model: NONE, optimizer: NONE, data: NONE, report: NONE };
  return { ...plain, step, steps, seed: 1, state, examples: null, last: null, best: null };
}

/** What the caller of a run gets to know. */
export interface Progress {
  /** The run resumes from `newest`, or starts. */
  onStart(newest: Newest | null, log: EventLog): void;
  /** A checkpoint was reported as saved. */
  onSaved(step: number): void;
}

/** A process that runs until it is finished, or until its disk fails. */
export async function runProcess(files: Files, scenario: Scenario, progress: Progress): Promise<void> {
  const { steps, every, keep } = scenario;
  const folder = await RunFolder.open(files, DIR, keep);
  const newest = await folder.newest();
  if (newest !== null) await folder.settle(newest);
  const resumed = newest?.checkpoint.step ?? 0;
  const existing = resumed > 0 ? 'keep' : 'discard';
  const log = await EventLog.open(files, 'simulation', LOG, { resumed, existing });
  progress.onStart(newest, log);
  await log.write({ type: 'start', step: resumed });
  for (let step = resumed; step < steps; step++) {
    await log.write({ type: 'step', step, steps, loss: 1 / (step + 1), metrics: {}, hyper: {}, ms: 0 });
    const done = step + 1;
    if (done % every !== 0 && done !== steps) continue;
    await log.flush();
    const path = await folder.save(checkpointOf(scenario, done));
    progress.onSaved(done);
    await log.write({ type: 'checkpoint', step: done, path });
    await folder.prune(done);
  }
  await replaceText(files, 'simulation', `${DIR}/summary.json`, `{"step":${steps}}\n`);
  await log.write({ type: 'end', step: steps });
  await log.flush();
  await folder.close();
}
