/** Accumulated gradients in training. */
import { describe, expect, test } from 'vitest';
import { fit, reference, train, type TrainOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, subset, synthetic } from 'cyclegrad/datasets';
import { accumulateGradients, adam, averageWeights, clipGradients, sgd } from 'cyclegrad/optim';
import { bytes, folder } from './fixture.ts';

describe('accumulated gradients of a run whose steps are no multiple of the batches of an update', () => {
  const points = synthetic({ kind: 'blobs', n: 12 });
  const model = nn.mlp([2, 3]);
  const data = (batchSize: number) => loader(points, { batchSize, shuffle: false });
  const run = (changes: Partial<TrainOptions>) =>
    fit({
      model,
      backend: reference(),
      steps: 6,
      seed: 1,
      data: data(2),
      optimizer: sgd({ lr: 0.1 }),
      ...changes,
    });

  test('the last update is the mean of the batches that are left', async () => {
    const { state } = await run({ optimizer: accumulateGradients(sgd({ lr: 0.1 }), 4) });
    // The same as an update from examples 0 to 7, and one from 8 to 11.
    const first = await run({ steps: 1, data: data(8) });
    const rest = subset(points, [8, 9, 10, 11]);
    const second = await run({
      steps: 1,
      data: loader(rest, { batchSize: 4, shuffle: false }),
      initial: first.state,
    });
    for (const name of Object.keys(second.state)) {
      const expected = second.state[name].data;
      state[name].data.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 6));
      expect(state[name].data).not.toEqual(first.state[name].data);
    }
    expect([...state['optimizer/gradientsHeld'].data]).toEqual([0]);
    expect(state['optimizer/gradients/fc1.weight'].data.every((value) => value === 0)).toBe(true);
  });

  test.each([
    ['fewer steps than batches', 3, accumulateGradients(sgd({ lr: 0.1 }), 4), data(6)],
    [
      'wrapped',
      6,
      clipGradients(accumulateGradients(averageWeights(sgd({ lr: 0.1 })), 4), { norm: 100 }),
      data(2),
    ],
  ])('%s', async (_, steps, optimizer, batches) => {
    const { state } = await run({ steps, optimizer, data: batches });
    expect([...state['optimizer/gradientsHeld'].data]).toEqual([0]);
    const before = await run({ steps: 1, optimizer: sgd({ lr: 0 }) });
    expect(state['fc1.weight'].data).not.toEqual(before.state['fc1.weight'].data);
  });

  test('stopping and resuming between the last two updates gives the same bytes; so do calls of several', async () => {
    const optimizer = accumulateGradients(adam({ lr: 0.1 }), 4);
    const expected = bytes((await run({ optimizer, steps: 7 })).state);
    const checkpoint = { dir: folder(), every: 100, resume: true };
    const options = { model, backend: reference(), steps: 7, seed: 1, data: data(2), optimizer, checkpoint };
    for await (const event of train(options)) if (event.type === 'step' && event.step === 4) break;
    expect(bytes((await fit(options)).state)).toEqual(expected);
    expect(bytes((await run({ optimizer, steps: 7, stepsPerCall: 3 })).state)).toEqual(expected);
    // A finished run with more steps accumulates anew from there, and loses nothing either.
    const longer = { dir: folder(), every: 100, resume: true };
    await run({ optimizer, steps: 6, checkpoint: longer });
    const { state } = await run({ optimizer, steps: 8, checkpoint: longer });
    expect([...state['optimizer/gradientsHeld'].data]).toEqual([0]);
  });
});
