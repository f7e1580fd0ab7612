/** The listener tracker. */
import { expect, test } from 'vitest';
import { fit, reference, tracker } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { end, evalEvent, play, start, steps } from './listener-fixture.ts';

test('init, log and finish are called in order, and awaited', async () => {
  const calls: unknown[] = [];
  const later = async (call: unknown): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    calls.push(call);
  };
  const client = {
    init: ({ config, step }: { config: object; step: number }) => later(['init', config, step]),
    log: (values: object, step: number) => later([step, values]),
    finish: ({ reason }: { reason: string }) => later(['finish', reason]),
  };
  const listener = tracker(client, { every: 2, config: { net: 'mlp' } });
  await play(listener, [start(0, 4), evalEvent(0, 0.1), ...steps(0, 3, 4), evalEvent(3, 0.5), end(3, 4)]);
  const { report } = start(0, 4);
  expect(calls).toEqual([
    ['init', { steps: 4, stepsPerEpoch: 10, batchSize: 100, seed: 7, report, net: 'mlp' }, 0],
    [0, { 'eval/loss': 0.9, 'eval/accuracy': 0.1 }],
    [2, { 'train/loss': 1.875, 'train/accuracy': 0.125, lr: 0.00101, momentum: 0.9 }],
    [3, { 'train/loss': 1.5, 'train/accuracy': 0.5, lr: 0.00102, momentum: 0.9 }],
    [3, { 'eval/loss': 0.5, 'eval/accuracy': 0.5 }],
    ['finish', 'done'],
  ]);
});

test('log alone is enough, with its own this, and its error ends the run', async () => {
  class Client {
    seen = 0;
    log(values: Readonly<Record<string, number>>): void {
      if (++this.seen === 3) throw new Error(`no space for ${Object.keys(values).join()}`);
    }
  }
  const points = synthetic({ kind: 'blobs', n: 8, seed: 1 });
  const client = new Client();
  const running = fit({
    model: nn.mlp([2, 4, 3]),
    backend: reference(),
    optimizer: sgd({ lr: 0.1 }),
    data: loader(points, { batchSize: 4 }),
    steps: 5,
    listeners: [tracker(client)],
  });
  await expect(running).rejects.toThrow('no space for train/loss,train/accuracy,lr');
});

test('wrong use', () => {
  expect(() => tracker(3 as never)).toThrow(
    'tracker: the client must be an object with the functions init, log and finish, got 3',
  );
  expect(() => tracker({} as never)).toThrow('tracker: log must be a function, got undefined');
  expect(() => tracker({ log: () => null, finish: 3 as never })).toThrow(
    'tracker: finish must be a function, got 3',
  );
  expect(() => tracker({ log: () => null }, { every: 0 })).toThrow(
    'tracker: every must be an integer >= 1, got 0',
  );
});
