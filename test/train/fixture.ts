/** A run small enough for the reference backend that has everything which could depend on history. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { reference, train, type State, type TrainEvent, type TrainOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, meanImage, synthetic } from 'cyclegrad/datasets';
import { adam } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';

export const images = synthetic({ kind: 'images', n: 20, classes: 3, height: 6, channels: 2, seed: 1 });
export const held = synthetic({ kind: 'images', n: 7, classes: 3, height: 6, channels: 2, seed: 2 });

export const tinyModel = () =>
  nn.sequential({
    input: nn.normalize(meanImage(images), { std: 64 }),
    conv: nn.conv2d(2, 3, 3, { padding: 'same' }),
    norm: nn.batchNorm(3),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
    flat: nn.flatten(),
    drop: nn.dropout(0.3),
    fc: nn.dense(27, 3),
  });

/** Ten steps with augmentation, dropout, batch statistics and Adam under a moving rate. */
export const tinyRun = (changes: Partial<TrainOptions> = {}): TrainOptions => ({
  model: tinyModel(),
  backend: reference(),
  steps: 10,
  seed: 5,
  data: loader(images, { batchSize: 8, augment: { crop: 1, flip: true } }),
  optimizer: adam({ lr: cyclicLR({ base: 0.001, max: 0.01, stepSize: 5 }), weightDecay: 0.01 }),
  ...changes,
});

/** A folder that the test leaves no trace of. */
export function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-train-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** All events of a run, and the error that it ended with. */
export async function eventsOf(
  options: TrainOptions,
): Promise<{ readonly events: readonly TrainEvent[]; readonly error: unknown }> {
  const events: TrainEvent[] = [];
  try {
    for await (const event of train(options)) events.push(event);
  } catch (error) {
    return { events, error };
  }
  return { events, error: null };
}

export const types = (events: readonly TrainEvent[]): string[] => events.map(({ type }) => type);

/** A digest of the exact bytes of every array. */
export const bytes = (state: State): Record<string, string> =>
  Object.fromEntries(
    Object.entries(state).map(([name, { data }]) => [
      name,
      createHash('sha1')
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest('hex'),
    ]),
  );
