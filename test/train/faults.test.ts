/** Training runs whose file system fails at every position, and what is left of them. */
import { describe, expect, test } from 'vitest';
import { CheckpointError, DataError, reference, stream, type TrainEvent, type TrainOptions } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { linesTo } from '../../engine/train/listeners/json-lines.ts';
import { reportTo } from '../../engine/train/listeners/report.ts';
import { settingsOf } from '../../engine/train/settings.ts';
import { run } from '../../engine/train/train.ts';
import { isLong, LONG } from '../forms.ts';
import { Disk, type Fault } from '../stress/crashes/disk.ts';

const DIR = '/runs/tiny';
const backend = reference();
const data = synthetic({ kind: 'images', n: 4, classes: 2, height: 2, channels: 1, seed: 1 });

const options: TrainOptions = {
  model: nn.sequential({ input: nn.normalize(128), flat: nn.flatten(), fc: nn.dense(4, 2) }),
  backend,
  steps: 4,
  data: loader(data, { batchSize: 2 }),
  eval: { data, every: 2 },
  optimizer: sgd({ lr: 0.01, momentum: 0.9 }),
  checkpoint: { dir: DIR, every: 2, keep: 1, resume: true, best: true },
};

/** A process of the run, and the error that it ended with. */
async function runOn(disk: Disk, pid: number): Promise<{ events: TrainEvent[]; error: unknown }> {
  const files = disk.files(pid, 256);
  const listeners = [reportTo(files, DIR, {}), linesTo(files, `${DIR}/all.jsonl`)];
  const events: TrainEvent[] = [];
  try {
    const settings = { ...settingsOf('fit', options), files, listeners };
    for await (const event of run(settings)) events.push(event);
  } catch (error) {
    return { events, error };
  }
  return { events, error: null };
}

/** The last checkpoint, and the steps and evaluations of both logs without their times. */
function resultOf(disk: Disk): unknown {
  const contents = disk.contents();
  const logs = ['events', 'all'].map((name) =>
    new TextDecoder()
      .decode(contents.get(`${DIR}/${name}.jsonl`))
      .trimEnd()
      .split('\n')
      .map((line) => ({ ...(JSON.parse(line) as TrainEvent), ms: 0 }))
      .filter(({ type }) => type === 'step' || type === 'eval'),
  );
  const names = [...contents.keys()].filter((path) => !path.endsWith('.jsonl')).sort();
  return { names, logs, checkpoint: contents.get(`${DIR}/step-00000004.safetensors`) };
}

const whole = (async () => {
  const disk = new Disk();
  const { error } = await runOn(disk, 1);
  if (error !== null) throw error;
  return { operations: disk.operations, result: resultOf(disk) };
})();

const FAULTS: readonly Fault[] = ['ENOSPC', 'end in', 'EIO', 'end after', 'short write', 'end before'];

/** Fails once at `at`, resumes, and compares. */
async function tryFault(at: number, fault: Fault, powerSeed: number | null): Promise<void> {
  const disk = new Disk();
  disk.failAt(at, fault);
  const { events, error } = await runOn(disk, 1);
  if (fault === 'short write') expect(error).toBeNull();
  if (fault === 'ENOSPC' || fault === 'EIO') {
    if (error !== null) expect([CheckpointError, DataError]).toContain((error as Error).constructor);
    expect(events.at(-1)?.type).toBe('end');
  }
  const draws = stream(powerSeed ?? 0, 'power', at);
  const next = powerSeed === null ? disk.copy() : disk.afterPowerFailure((n) => draws.below(n));
  const resumed = await runOn(next, 2);
  expect(resumed.error).toBeNull();
  const reported = events.filter((event) => event.type === 'checkpoint' && event.path.includes('/step-'));
  const saved = reported.at(-1)?.step ?? 0;
  expect(resumed.events[0].step).toBeGreaterThanOrEqual(saved);
  expect(resultOf(next), `operation ${at}, ${fault}`).toEqual((await whole).result);
}

describe('after a failure at any operation, a resumed run ends with the same bytes and events', () => {
  /** Every `stride`th operation with one kind of failure each. */
  async function tryEvery(stride: number, first: number): Promise<void> {
    const { operations } = await whole;
    for (let at = first; at < operations; at += stride) {
      const fault = FAULTS[at % FAULTS.length];
      await tryFault(at, fault, fault.startsWith('end') && at % 4 < 2 ? at : null);
    }
  }

  test('some operations', async () => {
    expect((await whole).operations).toBeGreaterThan(150);
    await tryEvery(7, 3);
  });

  test.runIf(isLong)(`all operations (${LONG})`, async () => {
    await expect(tryEvery(1, 0)).resolves.toBeUndefined();
  });
});
