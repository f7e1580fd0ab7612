/** The callbacks of the package: early stopping, lower rates on a plateau, snapshots and freezing. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  earlyStopping,
  fit,
  freezing,
  loadTensors,
  max,
  mean,
  mul,
  reduceOnPlateau,
  reference,
  snapshots,
  type CallbackFunction,
  type State,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { averagedState, averageWeights, lookahead, sgd, type Optimizer } from 'cyclegrad/optim';
import { bytes, eventsOf, folder } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 8, classes: 2, seed: 1 });
const scores: TrainOptions = {
  model: nn.sequential({ fc: nn.dense(2, 2, { init: nn.init.zeros }) }),
  backend: reference(),
  optimizer: sgd({ lr: 0, momentum: 0.9 }),
  data: loader(points, { batchSize: 8 }),
  steps: 10,
  eval: { data: points, every: 1, metrics: { value: (output) => max(output, 1) } },
};

/** Makes evaluations after k updates measure the k-th value. */
const measuring =
  (values: readonly number[]): CallbackFunction =>
  async (event, run) => {
    if (event.type !== 'step' && event.type !== 'start') return;
    const value = values[run.step];
    await run.write({ 'fc.bias': { shape: [2], dtype: 'f32', data: Float32Array.of(value, 0) } });
  };
const biasOf = (state: State) => state['fc.bias'].data[0];

describe('earlyStopping', () => {
  const VALUES = [1, 2, 3, 3, 2.5, 3, 4, 5, 6, 7, 8];
  const watch = { monitor: 'value', mode: 'max' } as const;

  test.each([
    [{ ...watch, patience: 3 }, 5, 'no better value in 3 evaluations: the best is 3 at step 2'],
    [{ ...watch, patience: 1 }, 3, 'no better value in 1 evaluations: the best is 3 at step 2'],
    [{ ...watch, patience: 2, minDelta: 1 }, 4, 'no better value in 2 evaluations: the best is 3 at step 2'],
    [{ ...watch, patience: 2, mode: 'min' }, 2, 'no better value in 2 evaluations: the best is 1 at step 0'],
  ] as const)('%j stops after %d steps', async (options, step, reason) => {
    const result = await fit({ ...scores, callbacks: [measuring(VALUES), earlyStopping(options)] });
    expect([result.reason, result.step, result.stopped]).toEqual(['stop', step, reason]);
  });

  test('lets a run end that improves', async () => {
    const { reason } = await fit({
      ...scores,
      callbacks: [measuring(VALUES), earlyStopping({ ...watch, patience: 4 })],
    });
    expect(reason).toBe('done');
  });

  test('watches the accuracy or the loss without `monitor`', async () => {
    const values = Array.from({ length: 11 }, (_, i) => i);
    const { metrics: _, ...plain } = scores.eval!;
    const byAccuracy = await fit({
      ...scores,
      eval: plain,
      callbacks: [measuring(values), earlyStopping({ patience: 2 })],
    });
    expect(byAccuracy.stopped).toContain('no better accuracy in 2 evaluations');
    const byLoss = await fit({ ...scores, callbacks: [measuring(values), earlyStopping({ patience: 2 })] });
    expect(byLoss.stopped).toContain('no better loss in 2 evaluations');
  });

  test('ends with the best state, and resumes as if it had not stopped in between', async () => {
    const stopping = (patience: number) => [
      measuring(VALUES),
      earlyStopping({ ...watch, patience, restoreBest: true }),
    ];
    const whole = await fit({ ...scores, callbacks: stopping(3) });
    expect([whole.step, biasOf(whole.state), whole.last!.metrics['value']]).toEqual([5, 3, 3]);
    const checkpoint = { dir: folder(), every: 2, resume: true };
    const first = await fit({ ...scores, steps: 4, callbacks: stopping(3), checkpoint });
    expect([first.reason, biasOf(first.state)]).toEqual(['done', 3]);
    const resumed = await fit({ ...scores, callbacks: stopping(3), checkpoint });
    expect(bytes(resumed.state)).toEqual(bytes(whole.state));
    expect([resumed.step, resumed.stopped]).toEqual([5, whole.stopped]);

    // A run that was stopped stays stopped.
    const again = await eventsOf({ ...scores, callbacks: stopping(3), checkpoint });
    expect(again.events.filter(({ type }) => type === 'step')).toEqual([]);
    expect(again.events).toContainEqual({
      type: 'notice',
      step: 5,
      code: 'stopped',
      message:
        'earlyStopping stopped the run at step 5: no better value in 3 evaluations: the best is 3 at step 2 ' +
        '(to continue it, omit this callback or change its options)',
    });
    // It goes on with more patience.
    const longer = await eventsOf({ ...scores, callbacks: stopping(9), checkpoint });
    const codes = longer.events.flatMap((event) => (event.type === 'notice' ? [event.code] : []));
    expect(codes).toEqual(expect.arrayContaining(['stop-lifted', 'callback-changed']));
    expect(longer.events.at(-1)).toMatchObject({ reason: 'done', step: 10 });
  });
});

test('reduceOnPlateau lowers the rate, and resumes with its count', async () => {
  const lower = (): TrainOptions => ({
    ...scores,
    optimizer: sgd({ lr: 0.5 }),
    step: ({ x, model }) => mean(mul(model(x), 0)),
    callbacks: [
      measuring([9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]),
      reduceOnPlateau({ monitor: 'value', mode: 'min', factor: 0.5, patience: 1 }),
    ],
  });
  const rates = async (options: TrainOptions) =>
    (await eventsOf(options)).events.flatMap((event) => (event.type === 'step' ? [event.hyper['lr']] : []));
  // Better at 1; the second evaluation in a row that is not better lowers the rate: after 3, 5, 7, 9.
  const expected = [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, 0.03125];
  expect(await rates(lower())).toEqual(expected);
  const checkpoint = { dir: folder(), every: 2, resume: true };
  expect(await rates({ ...lower(), steps: 4, checkpoint })).toEqual(expected.slice(0, 4));
  expect(await rates({ ...lower(), checkpoint })).toEqual(expected.slice(4));
});

describe('snapshots', () => {
  const values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  test('keep the states at the ends of cycles, also of a run that resumes', async () => {
    const ends = snapshots({ at: 3, keep: 2 });
    const take = { ...scores, callbacks: [measuring(values), ends] };
    await fit(take);
    const seen = () => ends.taken.map(({ step, state }) => [step, biasOf(state)]);
    expect(seen()).toEqual([
      [6, 6],
      [9, 9],
    ]);
    const checkpoint = { dir: folder(), every: 4, resume: true };
    await fit({ ...take, steps: 7, checkpoint });
    expect(seen()).toEqual([
      [3, 3],
      [6, 6],
    ]);
    ends.open({} as never, null);
    expect(seen()).toEqual([]);
    await fit({ ...take, checkpoint });
    expect(seen()).toEqual([
      [6, 6],
      [9, 9],
    ]);
  });

  test('go to files', async () => {
    const dir = join(folder(), 'cycle');
    const ends = snapshots({ at: [2, 7], dir });
    await fit({ ...scores, callbacks: [measuring(values), ends] });
    expect(ends.taken.map(({ step, path, state }) => [step, path, state])).toEqual([
      [2, join(dir, 'snapshot-00000002.safetensors'), {}],
      [7, join(dir, 'snapshot-00000007.safetensors'), {}],
    ]);
    expect(readdirSync(dir)).toHaveLength(2);
    expect(biasOf(await loadTensors(ends.taken[1].path!))).toBe(7);
  });
});

test('freezing in phases, which resume', async () => {
  const blobs = synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 });
  const options: TrainOptions = {
    model: nn.mlp([2, 4, 4, 3]),
    backend: reference(),
    optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
    data: loader(blobs, { batchSize: 8 }),
    steps: 8,
  };
  const gradual = freezing([
    { match: ['fc1', 'fc2'], until: 2 },
    { match: 'fc1', from: 1, until: 4 },
    { match: /^fc3/, from: 6 },
  ]);
  const moved: Record<string, number[]> = {};
  let before: State = {};
  const watch: CallbackFunction = async (event, run) => {
    if (event.type !== 'start' && event.type !== 'step') return;
    const state = await run.state();
    for (const name of ['fc1.weight', 'fc2.weight', 'fc3.weight']) {
      if (before[name] === undefined || bytes(before)[name] === bytes(state)[name]) continue;
      (moved[name] ??= []).push(run.step);
    }
    before = state;
  };
  const whole = await fit({ ...options, callbacks: [gradual, watch] });
  expect(moved).toEqual({
    'fc3.weight': [1, 2, 3, 4, 5, 6],
    'fc2.weight': [3, 4, 5, 6, 7, 8],
    'fc1.weight': [5, 6, 7, 8],
  });
  for (const stop of [1, 2, 3, 5, 6, 7]) {
    const checkpoint = { dir: folder(), every: 8, resume: true };
    await fit({ ...options, callbacks: [gradual], steps: stop, checkpoint });
    const { state } = await fit({ ...options, callbacks: [gradual], checkpoint });
    expect(bytes(state)).toEqual(bytes(whole.state));
  }
});

test('freezing leaves slow weights and averages of statistics in place', async () => {
  const model = nn.sequential({ fc1: nn.dense(2, 4), norm: nn.batchNorm(4), fc2: nn.dense(4, 3) });
  const options: TrainOptions = {
    model,
    backend: reference(),
    optimizer: sgd({ lr: 0.1 }),
    data: loader(synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 }), { batchSize: 8 }),
    steps: 6,
    callbacks: [freezing([{ match: ['fc1', 'norm'], from: 3 }])],
  };
  const run = async (optimizer: Optimizer) => {
    const weights: number[][] = [];
    const watch: CallbackFunction = async (event, handle) => {
      if (event.type === 'step') weights.push([...(await handle.state())['fc1.weight'].data]);
    };
    const { state } = await fit({ ...options, optimizer, callbacks: [...options.callbacks!, watch] });
    return { state, weights };
  };
  const ahead = await run(lookahead(sgd({ lr: 0.1 }), { every: 2 }));
  expect(ahead.weights[1]).not.toEqual(ahead.weights[2]);
  expect(ahead.weights[2]).toEqual(ahead.weights[5]);
  const { state, weights } = await run(averageWeights(sgd({ lr: 0.1 }), { decay: 0.5, statistics: true }));
  const average = averagedState(state)['fc1.weight'].data;
  for (const i of average.keys()) {
    const sum = weights.reduce((total, weight) => (total + weight[i]) / 2, 0);
    expect(average[i]).toBeCloseTo(sum / (1 - 0.5 ** 6), 6);
  }
});

test.each<[() => unknown, string]>([
  [() => earlyStopping({} as never), 'earlyStopping: patience must be an integer >= 1, got undefined'],
  [
    () => earlyStopping({ patience: 1, minDelta: -1 }),
    'earlyStopping: minDelta must be a number >= 0, got -1',
  ],
  [() => earlyStopping({ patience: 1, monitor: 'iou' }), "earlyStopping: mode must be 'min' or 'max'"],
  [() => reduceOnPlateau({ factor: 2 }), 'plateau: factor must be'],
  [
    () => reduceOnPlateau({ hyper: '' }),
    "reduceOnPlateau: hyper must be the name of a hyperparameter, got ''",
  ],
  [() => snapshots({ at: 0 }), 'snapshots: at must be an integer >= 1, got 0'],
  [() => snapshots({ at: 1, keep: 0 }), 'snapshots: keep must be an integer >= 1, got 0'],
  [() => freezing({} as never), 'freezing: phases must be an array, got an object'],
  [
    () => freezing([{ match: 'a', from: 2, until: 2 }]),
    'freezing: phases[0]: until must be an integer >= 3, got 2',
  ],
  [() => freezing([{ match: 3 as never }]), 'freezing: phases[0]: match must be a path'],
])('wrong options throw %#', (call, message) => {
  expect(call).toThrow(message);
});
