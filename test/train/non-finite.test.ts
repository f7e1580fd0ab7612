/** Errors for numbers that are not finite. */
import { describe, expect, test } from 'vitest';
import { fit, reference, type State, type TrainOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { averageWeights, sgd } from 'cyclegrad/optim';
import { eventsOf, folder, held, images, tinyRun } from './fixture.ts';

describe('numbers that stop being finite', () => {
  const explode = (changes: Partial<TrainOptions>) =>
    eventsOf(tinyRun({ optimizer: sgd({ lr: 1e30 }), ...changes }));

  test('name step, rate and first bad tensor, and end the run', async () => {
    const { events, error } = await explode({});
    expect(String(error)).toMatch(
      /^EngineError: train: the loss is not finite at step 1 \(lr 1e\+30\): first bad tensor: the output of fc is not finite: -?(Infinity|NaN) at element \d+.* \(lower the learning rate; the state is as it was before the step\)$/,
    );
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'error', step: 1, error });
  });

  test('a layer inside is named by its path', async () => {
    const model = nn.sequential({
      input: nn.normalize(0),
      block: nn.sequential({ bad: nn.activation((x) => x.sub(1e9).log()), relu: nn.relu() }),
      flat: nn.flatten(),
      fc: nn.dense(72, 3),
    });
    const data = loader(images, { batchSize: 8 });
    const { error } = await explode({ model, data });
    expect(String(error)).toContain(
      'at step 0 (lr 1e+30): first bad tensor: the output of block.bad is not finite: NaN',
    );
  });

  test('an evaluation of averages names the average that is not finite', async () => {
    const optimizer = averageWeights(sgd({ lr: 0 }));
    const options = tinyRun({ optimizer, steps: 1 });
    const { state } = await fit(options);
    const name = Object.keys(state).find((each) => each.endsWith('average/fc.weight'))!;
    const weight = Object.keys(state).find((each) => each.endsWith('averageWeight'))!;
    const initial = {
      ...state,
      [name]: { ...state[name], data: state[name].data.map(() => NaN) },
      [weight]: { ...state[weight], data: Float32Array.of(1) },
    } as State;
    const { error } = await eventsOf({ ...options, initial, eval: { data: held, every: 1, averaged: true } });
    expect(String(error)).toContain(
      'eval: the loss is not finite after 0 steps: first bad tensor: the average of fc.weight is not finite: NaN at element 0',
    );
  });

  test('an array that an update spoiled is named, and not saved', async () => {
    const dir = folder();
    const optimizer = sgd({ lr: 1e38 });
    const model = nn.sequential({
      input: nn.normalize(0, { scale: 1e3 }),
      flat: nn.flatten(),
      fc: nn.dense(72, 3),
    });
    const data = loader(images, { batchSize: 8 });
    const { error } = await eventsOf(tinyRun({ model, data, optimizer, checkpoint: { dir, every: 1 } }));
    expect(String(error)).toMatch(
      /the state is not finite after 1 steps: fc\.weight has -?Infinity at element \d+ .*no checkpoint was written/,
    );
    const later = await eventsOf(tinyRun({ model, data, optimizer }));
    expect(String(later.error)).toMatch(
      /at step 1 \(lr 1e\+38\): first bad tensor: fc\.weight has -?Infinity at element \d+ \(since an earlier update\)/,
    );
    const evaluated = await eventsOf(tinyRun({ model, data, optimizer, eval: { data: held, every: 1 } }));
    expect(String(evaluated.error)).toMatch(
      /^EngineError: train: eval: the loss is not finite after 1 steps: first bad tensor: fc\.weight/,
    );
  });
});

test('a state that was not finite to begin with is not blamed on an update', async () => {
  const model = nn.mlp([2, 3]);
  const weight = { shape: [2, 3], dtype: 'f32', data: new Float32Array(6).fill(NaN, 2, 3) } as const;
  const options = {
    model,
    backend: reference(),
    steps: 1,
    data: loader(synthetic({ kind: 'blobs', n: 12 }), { batchSize: 4 }),
    optimizer: sgd({ lr: 0.1 }),
    initial: { 'fc1.weight': weight },
  };
  await expect(fit(options)).rejects.toThrow(
    'fit: the loss is not finite at step 0 (lr 0.1): first bad tensor: fc1.weight has NaN at element 2 (from the start) ' +
      '(check the data, the initial state and the loss: there was no update yet; the state is as it was before the step)',
  );
});
