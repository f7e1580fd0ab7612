/** Training through messages. Both sides run in this thread; test/browser has a real worker. */
import { afterEach, describe, expect, test } from 'vitest';
import { EngineError, fit, reference, ShapeError, type Result, type TrainEvent } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR, scheduleFromJSON, type ScheduleConfig } from 'cyclegrad/schedulers';
import { serveTraining, trainInWorker, type TrainingFor } from 'cyclegrad/worker';
import { bytes } from './fixture.ts';

interface Input {
  readonly lr: ScheduleConfig | number;
  readonly steps: number;
}

const points = synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 });
const backend = reference();
const options = ({ lr, steps }: Input) => ({
  optimizer: sgd({ lr: scheduleFromJSON(lr), momentum: 0.9 }),
  model: nn.mlp([2, 8, 3]),
  backend,
  data: loader(points, { batchSize: 8 }),
  eval: { data: points, every: 5 },
  steps,
});
const input: Input = { lr: 0.1, steps: 10 };

const open: MessagePort[] = [];
afterEach(() => {
  for (const port of open.splice(0)) port.close();
});
/** The page's end of a channel whose other end serves. */
function worker(served: TrainingFor<Input> = options): MessagePort {
  const { port1, port2 } = new MessageChannel();
  open.push(port1, port2);
  serveTraining(served, { port: port2 });
  return port1;
}
/** Events without wall times. */
const untimed = (events: readonly TrainEvent[]): unknown =>
  JSON.parse(JSON.stringify(events, (name, value: unknown) => (name === 'ms' ? 0 : value)));

describe('trainInWorker', () => {
  test('gives the events and the result of fit', async () => {
    const expected: TrainEvent[] = [];
    const here = await fit({
      ...options(input),
      listeners: [(event) => void expected.push(event)],
    });
    const heard: TrainEvent[] = [];
    const run = trainInWorker(worker(), { input, listeners: [(event) => void heard.push(event)] });
    const looped: TrainEvent[] = [];
    for await (const event of run) looped.push(event);
    const result = await run.result;
    expect(untimed(heard)).toEqual(untimed(expected));
    expect(untimed(looped)).toEqual(untimed(expected));
    const summary = (one: Result) => ({ ...one, state: bytes(one.state), ms: 0, last: null, best: null });
    expect(summary(result)).toEqual(summary(here));
  });

  test('pauses, changes the schedule, saves, evaluates, goes on and stops', async () => {
    const rates: number[] = [];
    const run = trainInWorker(worker(), {
      input: { ...input, steps: 20_000 },
      listeners: [(event) => void (event.type === 'step' && rates.push(event.hyper['lr']))],
    });
    await run.pause();
    const before = rates.length;
    const lr = cyclicLR({ base: 0.01, max: 0.05, stepSize: 10 });
    await run.reschedule('lr', lr);
    await expect(run.reschedule('rate', lr)).rejects.toThrow(RangeError);
    expect(() => run.reschedule('lr', 0.1 as never)).toThrow(
      /^trainInWorker: reschedule: it must be a schedule/,
    );
    const evaluation = await run.evaluate();
    expect(evaluation).toMatchObject({ type: 'eval', step: before });
    const state = await run.state();
    await run.write({ 'fc2.bias': state['fc2.bias'] });
    const checkpoint = await run.checkpoint();
    expect(rates).toHaveLength(before);
    await run.scale('lr', 0.5);
    await run.freeze(/^fc1/);
    await run.unfreeze('fc1.bias');
    await run.resume();
    while (rates.length < before + 5) await new Promise((resolve) => setTimeout(resolve, 1));
    await run.stop('enough');
    expect(await run.result).toMatchObject({ reason: 'stop', stopped: 'enough' });
    expect(rates.slice(before, before + 5)).toEqual([0, 1, 2, 3, 4].map((i) => lr(before + i) * 0.5));
    const rest = trainInWorker(worker(), { input: { lr: 0.1, steps: before + 1 }, resumeFrom: checkpoint });
    const events: TrainEvent[] = [];
    for await (const event of rest) events.push(event);
    expect(events[0]).toMatchObject({ type: 'start', step: before });
  });

  test('trains one run after another, and one at a time', async () => {
    const port = worker();
    const first = trainInWorker(port, { input });
    expect(() => trainInWorker(port, { input })).toThrow(
      'trainInWorker: the worker is training another run (await its result, or start another worker)',
    );
    const results: Result[] = [await first.result, await trainInWorker(port, { input }).result];
    expect(bytes(results[0].state)).toEqual(bytes(results[1].state));
    await expect(first.pause()).rejects.toThrow('trainInWorker: pause: the run has ended');
  });

  test('ends when the signal aborts, also while it is paused', async () => {
    const controller = new AbortController();
    const run = trainInWorker(worker(), { input: { ...input, steps: 20_000 }, signal: controller.signal });
    await run.pause();
    controller.abort();
    expect(await run.result).toMatchObject({ reason: 'abort' });
  });

  test('rejects with the error of the run and its class', async () => {
    const wide = (one: Input) => ({ ...options(one), model: nn.mlp([5, 3]) });
    const run = trainInWorker(worker(wide), { input });
    const events: TrainEvent[] = [];
    const loop = async () => {
      for await (const event of run) events.push(event);
    };
    await expect(loop()).rejects.toThrow(ShapeError);
    const error = await run.result.catch((one: unknown) => one);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error).toMatchObject({ name: 'ShapeError', path: 'fc1' });
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'error', error: { name: 'ShapeError' } });
  });

  test('rejects with the error of a listener', async () => {
    for (const listener of [
      () => {
        throw new Error('listener');
      },
      () => Promise.reject(new Error('listener')),
    ]) {
      await expect(trainInWorker(worker(), { input, listeners: [listener] }).result).rejects.toThrow(
        'listener',
      );
    }
  });

  test('rejects for options that are missing, or that the page has', async () => {
    const { signal } = new AbortController();
    const twice = (one: Input) => ({ ...options(one), signal });
    await expect(trainInWorker(worker(twice), { input }).result).rejects.toThrow(
      'serveTraining: training must not return signal (pass it to trainInWorker)',
    );
    await expect(
      trainInWorker(
        worker(() => undefined as never),
        { input },
      ).result,
    ).rejects.toThrow('serveTraining: training must return the options of train, got undefined');
  });

  test('refuses an input that cannot be sent', () => {
    const lr = cyclicLR({ base: 0.01, max: 0.1, stepSize: 10 });
    expect(() => trainInWorker(worker(), { input: { lr, steps: 1 } as never })).toThrow(
      /^trainInWorker: input\.lr is a function, which cannot be sent to a worker \(send plain data, for instance the config/,
    );
  });

  test('rejects after terminate', async () => {
    const run = trainInWorker(worker(), { input });
    run.terminate();
    await expect(run.result).rejects.toThrow(new EngineError('trainInWorker: the worker was terminated'));
  });
});

test('serveTraining needs a worker', () => {
  expect(() => serveTraining(options)).toThrow(/^serveTraining: this is not a worker/);
  expect(() => serveTraining({ options } as never)).toThrow('serveTraining: training must be a function');
});
