/** Resuming: the same bytes as an uninterrupted run, or an error with the difference. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CheckpointError,
  checkpointPath,
  fit,
  loadCheckpoint,
  saveCheckpoint,
  train,
  type NoticeEvent,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic, take } from 'cyclegrad/datasets';
import { accumulateGradients, adam, sgd } from 'cyclegrad/optim';
import { bytes, eventsOf, folder, held, images, tinyRun, types } from './fixture.ts';

const augment = { crop: 1, flip: true };

const names = (dir: string): string[] => readdirSync(dir).sort();

const straight = fit(tinyRun()).then(({ state }) => bytes(state));

describe('stopping and resuming gives the same bytes as running through', () => {
  test.each([1, 4, 9])('left after %i steps', async (stop) => {
    const dir = folder();
    const checkpoint = { dir, every: 100, resume: true };
    for await (const event of train(tinyRun({ checkpoint }))) {
      if (event.type === 'step' && event.step === stop - 1) break;
    }
    expect(names(dir)).toEqual([`step-0000000${stop}.safetensors`]);
    const { state, step } = await fit(tinyRun({ checkpoint }));
    expect(step).toBe(10);
    expect(bytes(state)).toEqual(await straight);
  });

  test('between two updates of accumulated gradients, with evaluations in between', async () => {
    const [through, stopped] = [folder(), folder()];
    const run = (dir: string) =>
      tinyRun({
        steps: 12,
        optimizer: accumulateGradients(sgd({ lr: 0.1, momentum: 0.9 }), 4),
        eval: { data: held, every: 1 },
        checkpoint: { dir, every: 100, resume: true },
      });
    const { events } = await eventsOf(run(through));
    for (const stop of [5, 6]) {
      for await (const event of train(run(stopped))) if (event.type === 'step' && event.step === stop) break;
    }
    expect((await loadCheckpoint(checkpointPath(stopped, 7))).state['optimizer/gradientsHeld'].data[0]).toBe(
      3,
    );
    await fit(run(stopped));
    const [one, other] = [through, stopped].map((dir) => readFileSync(checkpointPath(dir, 12)));
    expect(other.equals(one)).toBe(true);
    expect(events.filter(({ type }) => type === 'eval')).toHaveLength(13);
  });

  test('in the whole file too, evaluations and all', async () => {
    const [through, stopped] = [folder(), folder()];
    const run = (dir: string) =>
      tinyRun({ eval: { data: held, every: 4 }, checkpoint: { dir, every: 100, resume: true } });
    await fit(run(through));
    for await (const event of train(run(stopped))) if (event.type === 'step' && event.step === 5) break;
    await fit(run(stopped));
    const [one, other] = [through, stopped].map((dir) => readFileSync(checkpointPath(dir, 10)));
    expect(other.equals(one)).toBe(true);
  });

  test('aborted at every step, one after another', async () => {
    const dir = folder();
    const checkpoint = { dir, every: 100, resume: true };
    for (let stop = 1; stop <= 10; stop++) {
      const control = new AbortController();
      const listeners = [(event: { type: string }) => void (event.type === 'step' && control.abort())];
      const { reason, step } = await fit(tinyRun({ checkpoint, listeners, signal: control.signal }));
      expect([reason, step]).toEqual([stop < 10 ? 'abort' : 'done', stop]);
    }
    const { state } = await loadCheckpoint(checkpointPath(dir, 10));
    expect(bytes(state)).toEqual(await straight);
  });

  test('killed between two checkpoints: the steps after the last one are done again', async () => {
    const [whole, killed] = [folder(), folder()];
    await fit(tinyRun({ checkpoint: { dir: whole, every: 4, keep: 9 } }));
    expect(names(whole)).toEqual([
      'step-00000004.safetensors',
      'step-00000008.safetensors',
      'step-00000010.safetensors',
    ]);
    const [first] = names(whole);
    writeFileSync(join(killed, first), readFileSync(join(whole, first)));
    writeFileSync(join(killed, 'step-00000008.safetensors.123.tmp'), 'half a file');
    const { events } = await eventsOf(
      tinyRun({ checkpoint: { dir: killed, every: 4, resume: true, keep: 9 } }),
    );
    expect(types(events)).toEqual([
      'start',
      'step',
      'step',
      'step',
      'step',
      'checkpoint',
      'step',
      'step',
      'checkpoint',
      'end', // prettier-ignore
    ]);
    expect(events[0]).toMatchObject({ step: 4, steps: 10 });
    for (const name of names(whole)) {
      expect(readFileSync(join(killed, name)).equals(readFileSync(join(whole, name)))).toBe(true);
    }
  });

  test('momentum, residency and evaluations do not matter', async () => {
    const optimizer = sgd({ lr: 0.01, momentum: 0.9, form: 'caffe' });
    const { state } = await fit(tinyRun({ optimizer }));
    const dir = folder();
    const part = tinyRun({ optimizer, checkpoint: { dir, every: 3, resume: true }, resident: false });
    for await (const event of train(part)) if (event.type === 'step' && event.step === 6) break;
    const evaluated = { ...part, resident: true, eval: { data: held, every: 3 } };
    expect(bytes((await fit(evaluated)).state)).toEqual(bytes(state));
  });
});

test('mixing goes on as if there had been no stop, resident or fed', async () => {
  const data = loader(images, { batchSize: 8, augment: { ...augment, mixup: 0.5 } });
  const { state } = await fit(tinyRun({ data }));
  expect(bytes(state)).not.toEqual(bytes((await fit(tinyRun())).state));
  const dir = folder();
  const run = tinyRun({ data, checkpoint: { dir, every: 3, resume: true } });
  for await (const event of train({ ...run, resident: false }))
    if (event.type === 'step' && event.step === 6) break;
  expect(bytes((await fit({ ...run, stepsPerCall: 2 })).state)).toEqual(bytes(state));
});

describe('resuming something else is refused, saying what differs', () => {
  const variant = (changes: Record<string, nn.Layer>): nn.Layer =>
    nn.sequential({
      input: nn.normalize(120),
      conv: nn.conv2d(2, 3, 3, { padding: 'same' }),
      norm: nn.batchNorm(3),
      relu: nn.relu(),
      pool: nn.maxPool2d(2),
      flat: nn.flatten(),
      drop: nn.dropout(0.3),
      fc: nn.dense(27, 3),
      ...changes,
    });
  const optimizer = sgd({ lr: 0.01, momentum: 0.9 });
  const data = loader(images, { batchSize: 8, augment });
  const resumeWith = async (changes: Partial<TrainOptions>) => {
    const dir = folder();
    const original = tinyRun({ model: variant({}), optimizer, data, steps: 4 });
    await fit({ ...original, checkpoint: { dir, every: 4 } });
    const before = names(dir);
    const { events, error } = await eventsOf({
      ...original,
      ...changes,
      checkpoint: { dir, every: 4, resume: true },
    });
    if (error !== null) {
      expect(error).toBeInstanceOf(CheckpointError);
      expect(names(dir)).toEqual(before);
      expect(types(events)).toEqual(['end']);
    }
    return {
      error: String(error),
      notices: events.filter((event): event is NoticeEvent => event.type === 'notice'),
    };
  };

  test.each<readonly [string, Partial<TrainOptions>, string]>([
    ['seed', { seed: 6 }, 'it was saved with seed 5, but the run has seed 6 (use the same seed)'],
    [
      'order',
      { data: loader(images, { batchSize: 8, augment, shuffle: false }) },
      'the order of the data differs: shuffle is true in the file, false now (use the same data set and loader)',
    ],
    [
      'batch size',
      { data: loader(images, { batchSize: 4, augment }) },
      'the order of the data differs: batchSize is 8 in the file, 4 now',
    ],
    [
      'data set',
      { data: loader(take(images, 19), { batchSize: 8, augment }) },
      'the order of the data differs: dataset is "synthetic/images" in the file, "synthetic/images/first 19" now',
    ],
    [
      'augmentation',
      { data: loader(images, { batchSize: 8 }) },
      'the order of the data differs: augment is {"crop":1,"flip":true} in the file, null now',
    ],
    [
      'parameter shape',
      { model: variant({ conv: nn.conv2d(2, 3, 5, { padding: 'same' }) }) },
      "'conv.weight' is f32 [3,3,2,3] in it but f32 [5,5,2,3] in the run (resume with the model and optimizer that it was saved from)",
    ],
    [
      'missing parameter',
      { model: variant({ extra: nn.dense(3, 3) }) },
      "it lacks 'extra.weight', which is f32 [3,3] in the run",
    ],
    [
      'extra parameter',
      { model: variant({ norm: nn.relu() }) },
      "it has 'norm.gamma', f32 [3], which the run does not have",
    ],
    [
      'activation',
      { model: variant({ relu: nn.tanh() }) },
      'the model differs: layers.relu.kind is "relu" in the file, "tanh" now (resume with the model that it was saved from)',
    ],
    [
      'other examples of the same name and number',
      {
        data: loader(synthetic({ kind: 'images', n: 20, classes: 3, height: 6, channels: 2, seed: 9 }), {
          batchSize: 8,
          augment,
        }),
      },
      'the data differs: its examples have the digest ',
    ],
    [
      'rate of dropout',
      { model: variant({ drop: nn.dropout(0.5) }) },
      'the model differs: layers.drop.rate is 0.3 in the file, 0.5 now',
    ],
    ['optimizer', { optimizer: adam() }, 'the optimizer differs: kind is "sgd" in the file, "adam" now'],
    [
      'no momentum',
      { optimizer: sgd({ lr: 0.01 }) },
      "it has 'optimizer/velocity/conv.weight', f32 [3,3,2,3], which the run does not have",
    ],
    [
      'momentum form',
      { optimizer: sgd({ lr: 0.01, momentum: 0.9, form: 'caffe' }) },
      'the optimizer differs: form is "pytorch" in the file, "caffe" now (use the same optimizer)',
    ],
    [
      'fewer steps',
      { steps: 3 },
      'it has done 4 steps, but the run has only 3 (use more steps, or another folder)',
    ],
  ])('%s', async (_, changes, message) => {
    const { error } = await resumeWith(changes);
    expect(error).toMatch(/^CheckpointError: .*step-00000004\.safetensors: cannot resume: /);
    expect(error).toContain(message);
  });

  test('a checkpoint of before there was a digest is gone on from', async () => {
    const dir = folder();
    await fit(tinyRun({ steps: 4, checkpoint: { dir, every: 4 } }));
    const path = checkpointPath(dir, 4);
    const saved = await loadCheckpoint(path);
    expect(saved.examples).toMatch(/^[0-9a-f]{16}$/);
    await saveCheckpoint(path, { ...saved, examples: null });
    expect((await loadCheckpoint(path)).examples).toBeNull();
    await expect(fit(tinyRun({ checkpoint: { dir, every: 5, resume: true } }))).resolves.toMatchObject({
      step: 10,
    });
  });

  test('the order of layers', async () => {
    const { drop, fc, ...rest } = { input: nn.normalize(120), conv: nn.conv2d(2, 3, 3, { padding: 'same' }), norm: nn.batchNorm(3), relu: nn.relu(), pool: nn.maxPool2d(2), flat: nn.flatten(), drop: nn.dropout(0.3), fc: nn.dense(27, 3) }; // prettier-ignore
    const { error } = await resumeWith({ model: nn.sequential({ ...rest, fc, drop }) });
    expect(error).toContain(
      'the model differs: layers has the order input, conv, norm, relu, pool, flat, drop, fc in the file',
    );
  });

  test('another schedule or number of steps is told, not refused', async () => {
    const { error, notices } = await resumeWith({
      steps: 6,
      optimizer: sgd({ lr: 0.02, momentum: 0.9, weightDecay: 0.1 }),
    });
    expect(error).toBe('null');
    expect(notices.map(({ code }) => code)).toEqual(['schedule-changed', 'steps-changed']);
    expect(notices[0].message).toMatch(
      /^a hyperparameter differs from .*: lr is 0.01 in the file, 0.02 now$/,
    );
    expect(notices[1].message).toMatch(/^this run has 6 steps; the checkpoint .* was saved from a run of 4$/);
  });

  test('a folder with checkpoints is not written into by another run', async () => {
    const dir = folder();
    await fit(tinyRun({ checkpoint: { dir, every: 5 } }));
    await expect(fit(tinyRun({ checkpoint: { dir, every: 5 } }))).rejects.toThrow(
      /the folder has checkpoints of an earlier run, the latest is .*step-00000010\.safetensors \(resume it with resume: true, or use another folder\)/,
    );
  });
});
