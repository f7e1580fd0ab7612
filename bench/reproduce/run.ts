/** Runs arms. Each resumes from its last checkpoint, and writes one JSON file when it is finished. */
import { join } from 'node:path';
import { channelStats, loader, meanImage, type Dataset } from '../../datasets/index.ts';
import { fit, formatPercent, report, type Backend, type Listener } from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import type { Arm } from './arm.ts';
import { recordOf } from './record.ts';
import { hasResult, RUN, writeResult } from './results.ts';

/** An arm with a seed. */
export interface Piece {
  readonly arm: Arm;
  readonly seed: number;
}

export interface RunOptions {
  /** The runs in the order in which they are made. */
  readonly pieces: readonly Piece[];
  /** The largest number of runs that are made. Default: all. */
  readonly atMost?: number;
  readonly backend: Backend;
  readonly data: { readonly train: Dataset; readonly test: Dataset };
  /** The folder of checkpoints and events, with a folder for each run. */
  readonly runs: string;
  /** The folder of finished runs, with a JSON file for each. */
  readonly results: string;
  readonly signal: AbortSignal;
  /** Listeners of every run. */
  readonly listeners: readonly Listener[];
  readonly log: (line: string) => void;
}

export const resultFile = (results: string, { experiment, name }: Arm, seed: number): string =>
  join(results, experiment, `${name}-seed${seed}.json`);

/** Makes the runs that have no result yet. False if it was stopped. */
export async function runArms(options: RunOptions): Promise<boolean> {
  const { pieces, atMost = Infinity, results, signal, log } = options;
  let made = 0;
  for (const { arm, seed } of pieces) {
    if (hasResult(resultFile(results, arm, seed), RUN, log)) {
      log(`${arm.title}, seed ${seed}: already finished`);
      continue;
    }
    if (made === atMost) {
      log(`stopped after ${made} ${made === 1 ? 'run' : 'runs'}; next: ${arm.title}, seed ${seed}`);
      return true;
    }
    if (signal.aborted || !(await runArm(arm, seed, options))) return false;
    made++;
  }
  return true;
}

async function runArm(
  arm: Arm,
  seed: number,
  { backend, data, runs, results, signal, listeners, log }: RunOptions,
): Promise<boolean> {
  const title = `${arm.title}, seed ${seed}`;
  const dir = join(runs, arm.experiment, `${arm.name}-seed${seed}`);
  const model = arm.model(meanImage(data.train), channelStats(data.train));
  const optimizer = arm.optimizer();
  const examples = loader(data.train, { batchSize: arm.batchSize, shuffle: false, ...arm.images });
  log(title);
  const { reason, step, accuracy } = await fit({
    model,
    backend,
    steps: arm.steps,
    seed,
    data: examples,
    eval: { data: data.test, every: arm.evalEvery },
    optimizer,
    checkpoint: { dir, every: 1000, resume: true },
    listeners: [
      ...listeners,
      report(dir, {
        title,
        config: {
          net: arm.experiment,
          parameters: nn.countParameters(model),
          optimizer: optimizer.config,
          data: examples.config,
        },
      }),
    ],
    signal,
  });
  if (reason !== 'done') {
    log(`${title}: saved at step ${step} of ${arm.steps}; the same command resumes it`);
    return false;
  }
  const file = resultFile(results, arm, seed);
  await writeResult(file, recordOf(dir, arm, seed));
  log(`${title}: ${formatPercent(accuracy ?? NaN)}, written to ${file}`);
  return true;
}
