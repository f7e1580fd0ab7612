/** Data sets whose `read` returns a promise, and batches that are read ahead. */
import { describe, expect, test } from 'vitest';
import { evaluate, fit, predict, reference, train, updateBatchNorm, type TrainOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import {
  channelStats,
  inMemory,
  loader,
  split,
  synthetic,
  take,
  targets,
  type Dataset,
} from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { expectSameBitsByName } from '../engine/compare.ts';
import { bytes, eventsOf, folder } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 50 });

/** The same data set, whose reads end later and in another order than they begin. Calls `onRead` with the indices of each. */
function later(
  dataset: Dataset = points,
  onRead: (indices: Uint32Array) => void | Promise<void> = () => undefined,
): Dataset {
  const { whole: _, ...described } = dataset;
  let calls = 0;
  return {
    ...described,
    async read(indices, x, y) {
      for (let turn = 3 - (calls++ % 3); turn > 0; turn--) await new Promise(setImmediate);
      await onRead(indices);
      await dataset.read(indices, x, y);
    },
  };
}

const model = nn.mlp([2, 8, 3]);
const runOf = (dataset: Dataset, changes: Partial<TrainOptions> = {}): TrainOptions => ({
  model,
  backend: reference(),
  data: loader(dataset, { batchSize: 8 }),
  steps: 20,
  optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  eval: { data: dataset, every: 7, batchSize: 16 },
  ...changes,
});

describe('training', () => {
  test.each([{}, { resident: true }, { resident: false }, { stepsPerCall: 3 }] as const)(
    'gives the same state and the same events with %j',
    async (changes) => {
      const [want, got] = [await eventsOf(runOf(points)), await eventsOf(runOf(later(), changes))];
      const values = (events: typeof want.events) =>
        events.flatMap((event) =>
          event.type === 'step' || event.type === 'eval' ? [[event.type, event.step, event.loss]] : [],
        );
      expect(values(got.events)).toEqual(values(want.events));
      const results = [await fit(runOf(points)), await fit(runOf(later(), changes))];
      expectSameBitsByName('state', results[1].state, results[0].state);
    },
  );

  test('resumes with the same bytes', async () => {
    const whole = await fit(runOf(points));
    const checkpoint = { dir: folder(), every: 5 };
    for await (const event of train(runOf(later(), { checkpoint }))) {
      if (event.type === 'step' && event.step === 12) break;
    }
    const { state } = await fit(runOf(later(), { checkpoint: { ...checkpoint, resume: true } }));
    expect(bytes(state)).toEqual(bytes(whole.state));
  });

  test('reads two batches ahead, each once and none after the end', async () => {
    const started: string[] = [];
    const source = later();
    const dataset: Dataset = {
      ...source,
      read(indices, x, y) {
        if (indices.length === 8) started.push(indices.join(' '));
        return source.read(indices, x, y);
      },
    };
    const data = loader(dataset, { batchSize: 8, shuffle: false });
    const { eval: _, ...run } = runOf(dataset, { data, steps: 5 });
    const counts: number[] = [];
    for await (const event of train(run)) if (event.type === 'step') counts.push(started.length);
    expect(counts).toEqual([3, 4, 5, 5, 5]);
    expect(started).toEqual([0, 1, 2, 3, 4].map((step) => data.batch(step).indices.join(' ')));
  });

  test('an error of a batch that was read ahead ends the run at its step, which can be resumed', async () => {
    const order = { batchSize: 8, shuffle: false };
    const data = loader(points, order);
    const bad = data.batch(4).indices.join(' ');
    let isBroken = true;
    const dataset = later(points, (indices) => {
      if (isBroken && indices.join(' ') === bad) throw new Error('picture 32 is gone');
    });
    const checkpoint = { dir: folder(), every: 100 };
    const run = (source: Dataset): TrainOptions =>
      runOf(source, { data: loader(source, order), checkpoint: { ...checkpoint, resume: true } });
    const seen: (readonly [string, number])[] = [];
    const failing = async (): Promise<void> => {
      for await (const event of train(run(dataset))) {
        if (event.type === 'step' || event.type === 'checkpoint') seen.push([event.type, event.step]);
      }
    };
    await expect(failing()).rejects.toThrow('picture 32 is gone');
    expect(seen).toEqual([...[0, 1, 2, 3].map((step) => ['step', step]), ['checkpoint', 4]]);
    isBroken = false;
    const { state } = await fit(run(dataset));
    const want = await fit(runOf(points, { data }));
    expectSameBitsByName('state', state, want.state);
  });
});

test('evaluation, prediction and statistics of batch normalization wait for the examples', async () => {
  const backend = reference();
  const net = nn.sequential({ fc: nn.dense(2, 4), norm: nn.batchNorm(4), out: nn.dense(4, 3) });
  const state = nn.initState(net, null, 1);
  const [a, b] = [points, later()].map((data) => ({ model: net, state, backend, data, batchSize: 8 }));
  const { ms: _, ...evaluation } = await evaluate(a);
  expect(await evaluate(b)).toMatchObject(evaluation);
  expect(await predict(b)).toEqual(await predict(a));
  const batches = [points, later()].map((dataset) => loader(dataset, { batchSize: 8 }));
  const [want, got] = await Promise.all(
    batches.map((data) => updateBatchNorm({ model: net, state, backend, data })),
  );
  expect(got).toEqual(want);
  await backend.close();
});

test('inMemory reads all examples of a part', async () => {
  const [part] = split(later(), 20, { seed: 3 });
  const [same] = split(points, 20, { seed: 3 });
  const read = await inMemory(part);
  expect(read).toMatchObject({ name: part.name, length: 20, classes: points.classes });
  expect(channelStats(read)).toEqual(channelStats(same));
  expect([...targets(read)]).toEqual([...targets(same)]);
  expect(await inMemory(read)).toBe(read);
  await expect(inMemory(Promise.resolve(part) as never)).rejects.toThrow('inMemory: the argument must be');
  const large: Dataset = { ...later(), name: 'large', length: 2 ** 30 };
  await expect(inMemory(large)).rejects.toThrow(
    'inMemory: large: 1073741824 examples take 8.00 GiB, more than 4 (pass a part: inMemory(take(dataset, n)))',
  );
  await expect(fit(runOf(large, { eval: undefined, resident: true } as never))).rejects.toThrow(
    /fit: resident: true: the data takes 12\.00 GiB, more than 4 \(omit resident/,
  );
  const labels: Dataset = { ...later(), readTargets: (indices, y) => y.set(indices.map((i) => i % 3)) };
  expect([...targets(take(labels, 4))]).toEqual([0, 1, 2, 0]);
});
