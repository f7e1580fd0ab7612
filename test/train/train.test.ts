/** Learning, determinism, and training without the trainer. */
import { describe, expect, test, vi } from 'vitest';
import {
  BackendError,
  compile,
  crossEntropy,
  f32,
  fit,
  i32,
  reference,
  u8,
  type Backend,
  type Listener,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { arrays, loader, synthetic, type Dataset } from 'cyclegrad/datasets';
import { adam, sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import { bytes, eventsOf, held, images, tinyModel, tinyRun, types } from './fixture.ts';

describe('learning', () => {
  test('memorises 64 images', async () => {
    const data = synthetic({ kind: 'images', n: 64, classes: 4, height: 8, channels: 1 });
    const model = nn.sequential({
      input: nn.normalize(127.5, { std: 64 }),
      conv: nn.conv2d(1, 8, 3, { padding: 'same' }),
      relu: nn.relu(),
      pool: nn.maxPool2d(2),
      flat: nn.flatten(),
      fc: nn.dense(128, 4),
    });
    const { accuracy, best } = await fit({
      model,
      backend: reference(),
      steps: 150,
      data: loader(data, { batchSize: 16 }),
      eval: { data, every: 50 },
      optimizer: adam({ lr: 0.01 }),
    });
    expect(accuracy).toBe(1);
    expect(best!.metrics['accuracy']).toBe(1);
  });

  test('separates spirals under a cyclical rate', async () => {
    const data = synthetic({ kind: 'spirals', n: 90, noise: 0.05 });
    const { accuracy } = await fit({
      model: nn.mlp([2, 24, 24, 3]),
      backend: reference(),
      steps: 400,
      seed: 1,
      data: loader(data, { batchSize: 30 }),
      eval: { data, every: 400 },
      optimizer: sgd({ lr: cyclicLR({ base: 0.05, max: 0.3, stepSize: 100 }), momentum: 0.9 }),
    });
    expect(accuracy).toBeGreaterThan(0.95);
  });

  test('other targets: a loss of rows of the user’s own, without labels', async () => {
    const x = Float32Array.from({ length: 16 }, (_, i) => i / 8 - 1);
    const data = arrays({ shape: [16, 1], data: x }, { shape: [16, 1], data: x.map((v) => 3 * v - 1) });
    const options: TrainOptions = {
      model: nn.dense(1, 1),
      backend: reference(),
      steps: 200,
      data: loader(data, { batchSize: 8 }),
      eval: { data, every: 100 },
      optimizer: sgd({ lr: 0.3 }),
    };
    await expect(async () => fit(options)).rejects.toThrow(
      /^fit: loss is missing: the targets of arrays are f32 \[1\]/,
    );
    const squares: TrainOptions['loss'] = (output, y) => output.sub(y).pow(2).mean(1);
    const { loss, accuracy, state } = await fit({ ...options, loss: squares });
    expect(loss).toBeLessThan(1e-6);
    expect(accuracy).toBeNull();
    expect(state['weight'].data[0]).toBeCloseTo(3, 3);
    await expect(fit({ ...options, loss: (output, y) => output.sub(y).pow(2) })).rejects.toThrow(
      'fit: loss must return one number per example, f32 [8], got f32 [8,1]',
    );
  });
});

test('a model with nothing to train is noticed', async () => {
  const { events } = await eventsOf(tinyRun({ model: nn.freeze(tinyModel()), steps: 1 }));
  expect(events.find((event) => event.type === 'notice')).toMatchObject({ code: 'nothing-trained' });
});

test('a loss of the user’s own on labels: accuracy where the output is one number for each class', async () => {
  const loss: TrainOptions['loss'] = (output, y) =>
    crossEntropy(output, y, { labelSmoothing: 0.1, reduction: 'none' });
  const own = await fit(tinyRun({ steps: 2, loss, eval: { data: held, every: 2 } }));
  expect(Object.keys(own.last!.metrics)).toEqual(['accuracy']);
  const none = await fit(tinyRun({ steps: 2, loss, metrics: {}, eval: { data: held, every: 2 } }));
  expect(none.last!.metrics).toEqual({});
  const embedding = nn.sequential({ input: nn.normalize(0), flat: nn.flatten(), fc: nn.dense(72, 5) });
  const rows: TrainOptions['loss'] = (output) => output.pow(2).mean(1);
  const { last } = await fit(
    tinyRun({
      steps: 2,
      model: embedding,
      data: loader(images, { batchSize: 8 }),
      loss: rows,
      eval: { data: held, every: 2 },
    }),
  );
  expect(last!.metrics).toEqual({});
});

describe('determinism', () => {
  test('one seed decides everything: the same bytes again, other bytes for another seed', async () => {
    const first = bytes((await fit(tinyRun())).state);
    expect(bytes((await fit(tinyRun())).state)).toEqual(first);
    const other = bytes((await fit(tinyRun({ seed: 6 }))).state);
    expect(other['conv.weight']).not.toBe(first['conv.weight']);
    const loaderOf = (seed: number) =>
      loader(images, { batchSize: 8, augment: { crop: 1, flip: true }, seed });
    expect(bytes((await fit(tinyRun({ data: loaderOf(5) }))).state)).toEqual(first);
    await expect(fit(tinyRun({ data: loaderOf(99) }))).rejects.toThrow(
      'fit: the loader has seed 99, but the seed of training, which determines the order of the data, is 5',
    );
  });

  test('resident and fed data give the same bytes and evaluations', async () => {
    const evaluation = { data: held, every: 5, batchSize: 4 };
    const a = await fit(tinyRun({ resident: true, eval: evaluation }));
    const b = await fit(tinyRun({ resident: false, eval: evaluation }));
    expect(bytes(a.state)).toEqual(bytes(b.state));
    expect(a.last!.loss).toBe(b.last!.loss);
  });

  test('data that the backend has no room for is fed, with a notice, unless it must be resident', async () => {
    const backend = reference();
    const own: Backend['createStore'] = backend.createStore.bind(backend);
    const create = vi.spyOn(backend, 'createStore').mockImplementation((initial) => {
      if ('data/train/x' in initial) return Promise.reject(new BackendError('gpu: too many bytes'));
      return own(initial);
    });
    const notices: string[] = [];
    const listen: Listener = (event) => void (event.type === 'notice' && notices.push(event.message));
    const { state } = await fit(tinyRun({ backend, listeners: [listen] }));
    expect(create).toHaveBeenCalledTimes(2);
    expect(notices).toEqual([
      'gpu: too many bytes, so batches are fed one by one (resident: true keeps the data in the memory of the backend, or throws if it does not fit)',
    ]);
    expect(bytes(state)).toEqual(bytes((await fit(tinyRun({ resident: true }))).state));
    await expect(fit(tinyRun({ backend, resident: true }))).rejects.toThrow('gpu: too many bytes');
    create.mockRejectedValue(new TypeError('not a matter of room'));
    await expect(fit(tinyRun({ backend }))).rejects.toThrow('not a matter of room');
  });

  test('more than 1 GiB of data is fed, with a notice', async () => {
    const data: Dataset = {
      name: 'large',
      length: 2 ** 20,
      x: f32(300),
      y: i32(),
      classes: [],
      read(indices, x, y) {
        x.forEach((_, i) => (x[i] = Math.sin(i)));
        indices.forEach((index, i) => (y[i] = index % 3));
      },
    };
    const { events } = await eventsOf({
      model: nn.dense(300, 3),
      backend: reference(),
      steps: 1,
      data: loader(data, { batchSize: 2, shuffle: false }),
      optimizer: sgd({ lr: 0.1 }),
    });
    expect(types(events)).toEqual(['start', 'notice', 'step', 'end']);
    expect(events[1]).toMatchObject({
      code: 'data-fed',
      message: expect.stringContaining('the data takes 1.2 GiB, so batches are fed one by one') as string,
    });
  });

  test('evaluating changes nothing', async () => {
    const plain = await fit(tinyRun());
    const evaluated = await fit(tinyRun({ eval: { data: held, every: 1 } }));
    expect(bytes(evaluated.state)).toEqual(bytes(plain.state));
  });
});

describe('without the trainer', () => {
  test('compile, bind and applyGradients give the same bytes as fit', async () => {
    const seed = 5;
    const data = loader(images, { batchSize: 8, seed });
    const optimizer = sgd({ lr: 0.01, momentum: 0.9 });
    const model = tinyModel();
    const step = await compile(reference(), {
      inputs: { x: u8(8, 6, 6, 2), y: i32(8) },
      hyper: Object.keys(optimizer.at(0)),
      state: nn.initState(model, optimizer, seed),
      build({ x, y, step: at, hyper }, state) {
        const { output, updates } = nn.bind(model, state, { training: true, step: at, seed })(x);
        const loss = crossEntropy(output, y);
        const next = { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) };
        return { outputs: { loss }, next };
      },
    });
    const [x, y] = [new Uint8Array(8 * 72), new Int32Array(8)];
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) {
      images.read(data.batch(i).indices, x, y);
      const { loss } = await step.run({ x, y, step: i, ...optimizer.at(i) });
      losses.push(loss.data[0]);
    }
    const fitted: number[] = [];
    const listeners = [(event: TrainEvent) => void (event.type === 'step' && fitted.push(event.loss))];
    const { state } = await fit(tinyRun({ steps: 5, data, optimizer, listeners }));
    expect(losses).toEqual(fitted);
    expect(bytes(await step.store.read())).toEqual(bytes(state));
    await step.close();
  });
});
