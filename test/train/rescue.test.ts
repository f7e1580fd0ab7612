/** Errors in a run: what is saved, what is thrown, and which hyperparameters are refused before the first update. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  checkpointPath,
  fit,
  jsonLines,
  report,
  train,
  type Listener,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import type { Loader } from 'cyclegrad/datasets';
import { accumulateGradients, adam, clipGradients, sgd } from 'cyclegrad/optim';
import { custom, cyclicLR, type Schedule } from 'cyclegrad/schedulers';
import { bytes, eventsOf, folder, held, tinyRun, types } from './fixture.ts';

const failing =
  (type: TrainEvent['type'], step: number): Listener =>
  (event) => {
    if (event.type === type && event.step === step) throw new Error(`no ${type} ${step}`);
  };

/** A loader whose batch `step` cannot be made. */
const without = (whole: Loader, step: number): Loader => ({
  ...whole,
  withSeed: (seed) => without(whole.withSeed(seed), step),
  batch(at) {
    if (at === step) throw new Error(`no batch ${at}`);
    return whole.batch(at);
  },
});

describe('an error in a run leaves a checkpoint of the last good state', () => {
  test.each<readonly [string, number, Partial<TrainOptions>]>([
    ['no step 3', 4, { listeners: [failing('step', 3)] }],
    ['no eval 4', 4, { listeners: [failing('eval', 4)], eval: { data: held, every: 4 } }],
    ['no batch 7', 7, { data: without(tinyRun().data, 7) }],
    ['no batch 6', 6, { data: without(tinyRun().data, 6), stepsPerCall: 4 }],
  ])('%s', async (message, step, options) => {
    const dir = folder();
    const checkpoint = { dir, every: 100, resume: true };
    const { events, error } = await eventsOf(tinyRun({ ...options, checkpoint }));
    expect((error as Error).message).toBe(message);
    expect(types(events).slice(-2)).toEqual(['checkpoint', 'end']);
    expect(events.at(-2)).toMatchObject({ step, path: checkpointPath(dir, step) });
    expect(events.at(-1)).toMatchObject({ reason: 'error', step });
    const { eval: evaluation } = options;
    const rest = await fit(tinyRun({ ...(evaluation && { eval: evaluation }), checkpoint }));
    expect(bytes(rest.state)).toEqual(bytes((await fit(tinyRun())).state));
    expect(readdirSync(dir)).not.toContain('run.lock');
  });

  test('but none without checkpoints, before the first step, or of a state that diverged', async () => {
    const plain = await eventsOf(tinyRun({ listeners: [failing('step', 3)] }));
    expect(types(plain.events).slice(-2)).toEqual(['step', 'end']);
    const dir = folder();
    const checkpoint = { dir, every: 100, resume: true };
    const early = await eventsOf(tinyRun({ listeners: [failing('start', 0)], checkpoint }));
    expect(types(early.events)).toEqual(['end']);
    const lr = custom({ name: 'cliff', fn: (step) => (step < 3 ? 1e-6 : 1e30) });
    const { error } = await eventsOf(tinyRun({ optimizer: sgd({ lr }), checkpoint }));
    expect((error as Error).message).toContain('the loss is not finite at step 4');
    expect(readdirSync(dir)).toEqual([]);
  });

  test('if that fails too, the first error is thrown and a notice has the second', async () => {
    const dir = folder();
    const blocked = await eventsOf(
      tinyRun({
        listeners: [
          (event) => {
            if (event.type !== 'step' || event.step !== 4) return;
            mkdirSync(join(checkpointPath(dir, 5), 'in the way'), { recursive: true });
            throw new Error('no step 4');
          },
        ],
        checkpoint: { dir: dir, every: 100 },
      }),
    );
    expect((blocked.error as Error).message).toBe('no step 4');
    expect(blocked.events.at(-2)).toMatchObject({ type: 'notice', code: 'checkpoint-failed' });
    expect(blocked.events.at(-1)).toMatchObject({ type: 'end', reason: 'error', error: blocked.error });
  });

  test('and a consumer that leaves at its event ends the run', async () => {
    const dir = folder();
    const seen: string[] = [];
    const listeners = [failing('step', 3), (event: TrainEvent) => void seen.push(event.type)];
    for await (const event of train(tinyRun({ listeners, checkpoint: { dir, every: 100 } }))) {
      if (event.type === 'checkpoint') break;
    }
    expect(seen.slice(-2)).toEqual(['checkpoint', 'end']);
    expect(readdirSync(dir)).toEqual(['step-00000004.safetensors']);
  });
});

describe('a damaged log', () => {
  test('does not keep a run from resuming: the lines that are no events are left out with a notice', async () => {
    const dir = folder();
    const path = join(dir, 'all.jsonl');
    const log = join(dir, 'events.jsonl');
    const run = (steps: number): TrainOptions =>
      tinyRun({
        steps,
        listeners: [report(dir), jsonLines({ path })],
        checkpoint: { dir, every: 5, resume: true },
      });
    await fit(run(5));
    for (const file of [path, log])
      appendFileSync(file, '{"type":"step","st{"type":"end","step":5}\n\u0000\u0000\n');
    const { events, error } = await eventsOf(run(10));
    expect(error).toBeNull();
    const notices = events.filter((event) => event.type === 'notice' && event.code === 'log-damaged');
    expect(notices.map((event) => event.type === 'notice' && event.message.split(': ')[0])).toEqual([
      log,
      log,
      path,
      path,
    ]);
    expect(notices[0]).toMatchObject({
      message: expect.stringMatching(
        /events\.jsonl: a line that is no event was left out: line \d+ is "\{\\"type\\":\\"step\\",\\"st\{/,
      ) as string,
    });
    for (const file of [path, log]) {
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
      const logged = lines.map((line) => JSON.parse(line) as TrainEvent);
      expect(logged.filter(({ type }) => type === 'step').map(({ step }) => step)).toEqual([
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
      ]);
    }
  });
});

describe('hyperparameters of every step are checked before the first update', () => {
  const cliff = (value: number): Schedule =>
    custom({ name: 'cliff', fn: (step) => (step === 50 ? value : 0.5) });

  test.each([
    [
      sgd({ lr: 0.1, momentum: cliff(1.5) }),
      'sgd: momentum at step 50 must be a number >= 0 and < 1, got 1.5',
    ],
    [adam({ beta1: cliff(1) }), 'adam: beta1 at step 50 must be a number >= 0 and < 1, got 1'],
    [sgd({ lr: cliff(-1) }), 'sgd: lr at step 50 must be a number >= 0, got -1'],
    [sgd({ lr: cliff(NaN) }), 'custom: the value at step 50 must be a finite number, got NaN'],
    [
      clipGradients(accumulateGradients(sgd({ lr: 0.1, weightDecay: cliff(-2) }), 2), { norm: 1 }),
      'sgd: weightDecay at step 50 must be a number >= 0, got -2',
    ],
  ])('%#', (optimizer, message) => {
    const dir = folder();
    expect(() => train(tinyRun({ optimizer, steps: 51, checkpoint: { dir, every: 5 } }))).toThrow(message);
    expect(() => train(tinyRun({ optimizer, steps: 50 }))).not.toThrow();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('once each, and constants once', () => {
    const lr = cyclicLR({ base: 0.1, max: 0.5, stepSize: 3 });
    const moving = sgd({ lr, momentum: 0.9 });
    const constant = sgd({ lr: 0.1, momentum: 0.9 });
    const calls = [moving, constant].map((optimizer) => {
      const steps: number[] = [];
      const counting = { ...optimizer, at: (step: number) => (steps.push(step), optimizer.at(step)) };
      train(tinyRun({ optimizer: counting, steps: 4 }));
      return steps;
    });
    expect(calls).toEqual([[0, 1, 2, 3], [0]]);
  });
});
