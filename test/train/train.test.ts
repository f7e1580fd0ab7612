import { describe, expect, test, vi } from 'vitest';
import {
  activation,
  applyGradients,
  BackendError,
  bind,
  compile,
  conv2d,
  crossEntropyRows,
  dense,
  evaluate,
  f32,
  fit,
  flatten,
  forward,
  freeze,
  i32,
  initState,
  maxPool2d,
  mlp,
  normalize,
  predict,
  reference,
  relu,
  sequential,
  softmaxCrossEntropy,
  train,
  u8,
  type Backend,
  type Listener,
  type Report,
  type Tensor,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import {
  arrays,
  channelStats,
  loader,
  meanImage,
  subset,
  synthetic,
  take,
  targets,
  type Dataset,
  type Loader,
} from 'cyclegrad/datasets';
import { accumulateGradients, adam, averageWeights, clipGradients, sgd } from 'cyclegrad/optim';
import { custom, cyclicLR } from 'cyclegrad/schedulers';
import { bytes, eventsOf, folder, held, images, tinyModel, tinyRun, types } from './fixture.ts';

test('mixup mixes the losses against the masks of both examples', async () => {
  const x = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const y = Float32Array.of(0, 1, 1, 0, 1, 1, 0, 0);
  const masks = arrays({ shape: [2, 2, 2, 1], data: x }, { shape: [2, 2, 2, 1], data: y });
  const data = loader(masks, { batchSize: 2, shuffle: false, augment: { mixup: 1 } });
  const seed = [...Array(20).keys()].find((s) => data.withSeed(s).batch(0).mix!.partners[0] === 1)!;
  const loss = (output: Tensor, target: Tensor): Tensor => output.sub(target).pow(2).mean([1, 2, 3]);
  const model = sequential({ same: activation((t) => t.mul(1)) });
  const options = { model, backend: reference(), steps: 1, seed, data, loss, optimizer: sgd({ lr: 0 }) };
  const { weight: w } = data.withSeed(seed).batch(0).mix!;
  // Each example is the other's partner: its output is the mixed image, its loss the mixed sum of both squares.
  const squares = [0, 1].map((i) => {
    const at = (of: Float32Array, k: number, j: number): number => of[4 * (k === 0 ? i : 1 - i) + j];
    return [0, 1, 2, 3].reduce((total, j) => {
      const output = w * at(x, 0, j) + (1 - w) * at(x, 1, j);
      return total + (w * (output - at(y, 0, j)) ** 2 + (1 - w) * (output - at(y, 1, j)) ** 2) / 4;
    }, 0);
  });
  expect((await fit(options)).loss).toBeCloseTo((squares[0] + squares[1]) / 2, 4);
});

test('mixup mixes examples, losses and metrics by the weight of the batch', async () => {
  const points = arrays({ shape: [4, 2], data: Float32Array.of(1, 2, -3, 4, 0.5, -1, 2, 2) }, [0, 1, 2, 1]);
  const data = loader(points, { batchSize: 4, shuffle: false, augment: { mixup: 1 } });
  const model = sequential({ fc: dense(2, 3) });
  const options = { model, backend: reference(), steps: 1, seed: 3, data, optimizer: sgd({ lr: 0 }) };
  const { events } = await eventsOf(options);
  const told = events.find((event) => event.type === 'step')!;
  const { partners, weight } = data.withSeed(3).batch(0).mix!;
  const { x, y } = points.whole!;
  const mixed = Float32Array.from(
    x,
    (value, i) => weight * value + (1 - weight) * x[2 * partners[i >> 1] + (i & 1)],
  );
  const { state } = await fit(options);
  const logits = (
    await forward({ model, state, backend: reference(), data: { shape: [4, 2], dtype: 'f32', data: mixed } })
  ).data;
  const rows = [...y.keys()].map((i) => {
    const row = [...logits.subarray(3 * i, 3 * i + 3)];
    const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const best = row.indexOf(Math.max(...row));
    const of = (label: number): [number, number] => [total - row[label], best === label ? 1 : 0];
    const [own, other] = [of(y[i]), of(y[partners[i]])];
    return own.map((value, k) => weight * value + (1 - weight) * other[k]);
  });
  const mean = (k: number): number => rows.reduce((sum, row) => sum + row[k], 0) / 4;
  expect(told.loss).toBeCloseTo(mean(0), 5);
  expect(told.metrics['accuracy']).toBeCloseTo(mean(1), 5);
  expect([...partners.keys()]).not.toEqual([...partners]);
});

describe('learning', () => {
  test('memorises 64 images', async () => {
    const data = synthetic({ kind: 'images', n: 64, classes: 4, height: 8, channels: 1 });
    const model = sequential({
      input: normalize(127.5, { std: 64 }),
      conv: conv2d(1, 8, 3),
      relu: relu(),
      pool: maxPool2d(2),
      flat: flatten(),
      fc: dense(128, 4),
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
      model: mlp([2, 24, 24, 3]),
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
      model: dense(1, 1),
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
      'train: loss must return one number per example, f32 [8], got f32 [8,1]',
    );
  });
});

test('a model with nothing to train is noticed', async () => {
  const { events } = await eventsOf(tinyRun({ model: freeze(tinyModel()), steps: 1 }));
  expect(events.find((event) => event.type === 'notice')).toMatchObject({ code: 'nothing-trained' });
});

test('a loss of the user’s own on labels: accuracy where the output is one number for each class', async () => {
  const loss: TrainOptions['loss'] = (output, y) => crossEntropyRows(output, y, { labelSmoothing: 0.1 });
  const own = await fit(tinyRun({ steps: 2, loss, eval: { data: held, every: 2 } }));
  expect(Object.keys(own.last!.metrics)).toEqual(['accuracy']);
  const none = await fit(tinyRun({ steps: 2, loss, metrics: {}, eval: { data: held, every: 2 } }));
  expect(none.last!.metrics).toEqual({});
  const embedding = sequential({ input: normalize(0), flat: flatten(), fc: dense(72, 5) });
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
      model: dense(300, 3),
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
      hyper: optimizer.at(0),
      state: initState(model, optimizer, seed),
      build({ x, y, step: at, hyper }, state) {
        const { output, updates } = bind(model, state, { training: true, step: at, seed })(x);
        const loss = softmaxCrossEntropy(output, y);
        const next = { ...updates, ...applyGradients(optimizer, model, state, loss, hyper) };
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

describe('events', () => {
  test('are start, an evaluation before the first step, steps with their rates, one end', async () => {
    const { events } = await eventsOf(tinyRun({ steps: 5, eval: { data: held, every: 2 } }));
    expect(types(events)).toEqual([
      'start',
      'notice',
      'eval',
      'step',
      'step',
      'eval',
      'step',
      'step',
      'eval',
      'step',
      'eval',
      'end', // prettier-ignore
    ]);
    const [start, notice] = events as [TrainEvent, TrainEvent];
    expect(start).toMatchObject({ step: 0, steps: 5, stepsPerEpoch: 3, batchSize: 8, seed: 5 });
    expect(notice).toMatchObject({
      code: 'stops-mid-cycle',
      message: 'lr: training stops at step 5, inside a cycle (complete cycles: 10 steps)',
    });
    const step = events.find(({ type }) => type === 'step')!;
    expect(step).toMatchObject({ step: 0, hyper: { lr: 0.001, beta1: 0.9 } });
    const evals = events.filter((event) => event.type === 'eval');
    expect(evals.map((event) => event.step)).toEqual([0, 2, 4, 5]);
    expect(evals[0]).toMatchObject({ examples: 7 });
    const end = events.at(-1)!;
    expect(end).toMatchObject({ type: 'end', reason: 'done', step: 5, last: evals[3] });
    const accuracies = evals.map((event) => event.metrics['accuracy']);
    expect(end.type === 'end' && end.best!.metrics['accuracy']).toBe(Math.max(...accuracies));
  });

  test('reach every listener, awaited, before the loop', async () => {
    const log: string[] = [];
    const slow: Listener = async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      log.push(`slow ${event.type}`);
    };
    const fast: Listener = (event) => void log.push(`fast ${event.type}`);
    for await (const event of train(tinyRun({ steps: 1, listeners: [slow, fast] })))
      log.push(`loop ${event.type}`);
    expect(log.slice(0, 3)).toEqual(['slow start', 'fast start', 'loop start']);
    expect(log.slice(-3)).toEqual(['slow end', 'fast end', 'loop end']);
  });

  /** Runs with a listener that counts ends, on a backend that must be free of stores afterwards. */
  async function watched(changes: Partial<TrainOptions>, use: (options: TrainOptions) => Promise<void>) {
    const ends: TrainEvent[] = [];
    const backend = reference();
    const listeners = [
      ...(changes.listeners ?? []),
      (event: TrainEvent) => void (event.type === 'end' && ends.push(event)),
    ];
    await use(tinyRun({ ...changes, backend, listeners }));
    await backend.close(); // throws while a store is open
    expect(ends.length).toBe(1);
    return ends[0];
  }

  test('break: one end, everything is given back', async () => {
    const end = await watched({}, async (options) => {
      for await (const event of train(options)) if (event.type === 'step' && event.step === 3) break;
    });
    expect(end).toMatchObject({ reason: 'break', step: 4 });
  });

  test('an error in the loop is a break', async () => {
    const end = await watched({}, async (options) => {
      const loop = async () => {
        for await (const event of train(options)) if (event.type === 'step') throw new Error('mine');
      };
      await expect(loop()).rejects.toThrow('mine');
    });
    expect(end).toMatchObject({ reason: 'break', step: 1 });
  });

  test('abort: ends between two steps and resolves', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 2 && control.abort());
    const end = await watched({ listeners: [abort], signal: control.signal }, async (options) => {
      expect(await fit(options)).toMatchObject({ reason: 'abort', step: 3 });
    });
    expect(end).toMatchObject({ reason: 'abort', step: 3 });
    const { events } = await eventsOf(tinyRun({ signal: AbortSignal.abort() }));
    expect(types(events)).toEqual(['start', 'end']);
  });

  test('abort during an evaluation: no half evaluation', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 1 && control.abort());
    const { events } = await eventsOf(
      tinyRun({ listeners: [abort], signal: control.signal, eval: { data: held, every: 2 } }),
    );
    expect(types(events)).toEqual(['start', 'eval', 'step', 'step', 'end']);
  });

  test('abort during the last evaluation: the run is not done', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 9 && control.abort());
    const options = { listeners: [abort], signal: control.signal, eval: { data: held, every: 5 } };
    const { reason, step, last } = await fit(tinyRun(options));
    expect([reason, step, last?.step]).toEqual(['abort', 10, 5]);
  });

  test.each(['start', 'step', 'eval'] as const)('a listener that throws at %s ends the run', async (type) => {
    const bad: Listener = (event) => {
      if (event.type === type) throw new Error(`listener at ${type}`);
    };
    const end = await watched({ listeners: [bad], eval: { data: held, every: 4 } }, async (options) => {
      await expect(fit(options)).rejects.toThrow(`listener at ${type}`);
    });
    expect(end).toMatchObject({ reason: 'error', error: new Error(`listener at ${type}`) });
  });

  test('a listener that throws at the end rejects, after the others got theirs', async () => {
    const bad: Listener = (event) => {
      if (event.type === 'end') throw new Error('cannot close');
    };
    const end = await watched({ listeners: [bad] }, async (options) => {
      await expect(fit(options)).rejects.toThrow('cannot close');
    });
    expect(end).toMatchObject({ reason: 'done', step: 10 });
    await watched({ listeners: [bad] }, async (options) => {
      const leave = async () => {
        for await (const event of train(options)) if (event.type === 'step') break;
      };
      await expect(leave()).rejects.toThrow('cannot close');
    });
  });

  test('what fails before the start has an end too', async () => {
    const end = await watched({ model: sequential({ fc: dense(5, 3) }) }, async (options) => {
      await expect(fit(options)).rejects.toThrow('fc / dense: expects [N, 5] but got u8 [8,6,6,2]');
    });
    expect(end).toMatchObject({ reason: 'error', step: 0 });
  });

  test('a generator that nobody starts does nothing', async () => {
    const events = train(tinyRun({ listeners: [() => expect.unreachable()] }));
    await events.return();
  });
});

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
    const model = sequential({
      input: normalize(0),
      block: sequential({ bad: activation((x) => x.sub(1e9).log()), relu: relu() }),
      flat: flatten(),
      fc: dense(72, 3),
    });
    const data = loader(images, { batchSize: 8 });
    const { error } = await explode({ model, data });
    expect(String(error)).toContain(
      'at step 0 (lr 1e+30): first bad tensor: the output of block.bad is not finite: NaN',
    );
  });

  test('an array that an update spoiled is named, and not saved', async () => {
    const dir = folder();
    const optimizer = sgd({ lr: 1e38 });
    const model = sequential({ input: normalize(0, { scale: 1e3 }), flat: flatten(), fc: dense(72, 3) });
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
      /^EngineError: eval: the loss is not finite after 1 steps: first bad tensor: fc\.weight/,
    );
  });
});

describe('evaluation and prediction', () => {
  test('padded examples do not count: any batch size gives the same means', async () => {
    const { state } = await fit(tinyRun());
    const shared = { model: tinyModel(), state, data: held, backend: reference() };
    const whole = await evaluate({ ...shared, batchSize: 7 });
    for (const batchSize of [1, 2, 3, 4, 100]) {
      const part = await evaluate({ ...shared, batchSize });
      expect(part.examples).toBe(7);
      expect(part.loss).toBeCloseTo(whole.loss, 6);
      expect(part.metrics).toEqual(whole.metrics);
    }
    const one = await evaluate({ ...shared, data: take(held, 1), batchSize: 5 });
    expect(one.examples).toBe(1);
  });

  test('predicts 7 images with batches of 4, from a data set or an array, as evaluate counts', async () => {
    const { state } = await fit(tinyRun());
    const shared = { model: tinyModel(), state, backend: reference() };
    const { classes, probabilities, logits } = await predict({ ...shared, data: held, batchSize: 4 });
    expect(logits.shape).toEqual([7, 3]);
    expect(classes.length).toBe(7);
    for (let i = 0; i < 7; i++) {
      const row = [...probabilities.data.subarray(3 * i, 3 * i + 3)];
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      expect(row.indexOf(Math.max(...row))).toBe(classes[i]);
    }
    const x = new Uint8Array(7 * 72);
    const y = new Int32Array(7);
    held.read(
      Uint32Array.from({ length: 7 }, (_, i) => i),
      x,
      y,
    );
    const again = await predict({
      ...shared,
      data: { shape: [7, 6, 6, 2], dtype: 'u8', data: x },
      batchSize: 3,
    });
    expect(again.classes).toEqual(classes);
    const { metrics } = await evaluate({ ...shared, data: held });
    expect(metrics['accuracy']).toBeCloseTo(classes.filter((c, i) => c === y[i]).length / 7, 12);
    const none = await predict({
      ...shared,
      data: { shape: [0, 6, 6, 2], dtype: 'u8', data: new Uint8Array() },
    });
    expect(none.logits.shape).toEqual([0, 3]);
  });

  test('a row with a logit that is not a number is of that class, as argMax has it', async () => {
    const model = sequential({ input: normalize(0), rest: relu() });
    const rows = Float32Array.of(1, 3, 3, NaN, 7, 1, 5, NaN, 9, Infinity, 1, 1);
    const data = { shape: [4, 3], dtype: 'f32', data: rows } as const;
    const state = initState(model, null, 0);
    const { classes } = await predict({ model, state, backend: reference(), data });
    expect([...classes]).toEqual([1, 0, 1, 0]);
  });

  test('forward gives outputs as they are, of any shape; a single example is a batch of one', async () => {
    const { state } = await fit(tinyRun({ steps: 2 }));
    const shared = { model: tinyModel(), state, backend: reference(), data: held };
    expect((await forward(shared)).data).toEqual((await predict(shared)).logits.data);
    const maps = sequential({ input: normalize(0), pool: maxPool2d(2) });
    const asState = initState(maps, null, 0);
    const { shape, data } = await forward({
      model: maps,
      state: asState,
      backend: reference(),
      data: held,
      batchSize: 3,
    });
    expect(shape).toEqual([7, 3, 3, 2]);
    const one = await forward({ model: maps, state: asState, backend: reference(), data: take(held, 1) });
    expect(one.data).toEqual(data.slice(0, 18));
    const all = sequential({ input: normalize(0), total: activation((x) => x.mean()) });
    await expect(
      forward({ model: all, state: initState(all, null, 0), backend: reference(), data: held }),
    ).rejects.toThrow("forward: the model's output must have one row per example, [7, ...], got f32 []");
    await expect(predict({ model: maps, state: asState, backend: reference(), data: held })).rejects.toThrow(
      "predict: the model's output must be logits [N, classes], got f32 [7,3,3,2] (forward returns outputs of any shape)",
    );
  });

  test('say what does not fit', async () => {
    const backend = reference();
    const shared = { model: tinyModel(), state: {}, data: held, backend };
    for (const act of [predict, evaluate, forward]) {
      const bad = (change: object, message: string) =>
        expect(act({ ...shared, ...change })).rejects.toThrow(message);
      await bad(
        { backend: Promise.resolve(backend) },
        'backend must be a backend, for instance await wasm(); got a promise (is an await missing?)',
      );
      await bad({ state: undefined }, 'state must be the arrays of the model by name');
      await bad({ data: null }, 'data must be a data set; got null');
      await bad({ model: 3 }, 'model must be a layer');
    }
    await expect(fit(tinyRun({ initial: null as never }))).rejects.toThrow(
      'initial: must be a plain object of arrays by name, got null',
    );
    await expect(fit(tinyRun({ initial: { foo: 1 } as never }))).rejects.toThrow(
      "initial: 'foo' must be an array { shape, dtype, data }, got 1",
    );
    await expect(predict({ model: tinyModel(), state: {}, data: held, backend })).rejects.toThrow(
      "bind: the state lacks 'input.mean'",
    );
    const data = { shape: [2, 6, 6, 2], dtype: 'u8', data: new Uint8Array(3) } as const;
    await expect(predict({ model: tinyModel(), state: {}, data, backend })).rejects.toThrow(
      'predict: data is u8 [2,6,6,2], 144 elements, but its data is Uint8Array (3)',
    );
    await backend.close();
  });
});

describe('options', () => {
  const relabelled = arrays({ shape: [1, 6, 6, 2], data: new Uint8Array(72) }, [1], {
    classes: ['0', 'one'],
    name: 'relabelled',
  });
  test.each([
    [{ steps: 0 }, 'train: steps must be an integer from 1 to 2147483647, got 0'],
    [
      { eval: { data: relabelled, every: 1 } },
      "train: eval: class 1 is '1' in the training data but 'one' in relabelled (use the same classes in the same order)",
    ],
    [{ seed: -1 }, 'train: seed must be an integer >= 0, got -1'],
    [{ epochs: 3 }, "train: unknown option 'epochs' (known: model, backend, steps"],
    [
      { optimizer: 'sgd' },
      "train: optimizer must be an optimizer, for instance sgd({ lr: 0.01 }); got 'sgd'",
    ],
    [{ backend: reference }, 'train: backend must be a backend, for instance await wasm(); got a function'],
    [
      { backend: Promise.resolve(reference()) },
      'train: backend must be a backend, for instance await wasm(); got a promise (is an await missing?)',
    ],
    [
      { data: held },
      'train: data must be a loader, for instance loader(dataset, { batchSize: 100 }); got an object',
    ],
    [
      { signal: {} },
      "train: signal must be an AbortSignal, for instance an AbortController's signal; got an object",
    ],
    [{ loss: 'mse' }, "train: loss must be a function (output, targets) => rows [N], got 'mse'"],
    [
      { metrics: ['accuracy'] },
      "train: metric 0 must be a function (output, targets) => rows [N], got 'accuracy'",
    ],
    [{ listeners: () => undefined }, 'train: listeners must be an array of functions, got a function'],
    [
      { eval: { data: loader(held, { batchSize: 3 }), every: 1 } },
      'train: eval: data must be a data set; got an',
    ],
    [{ eval: { every: 1 } }, 'train: eval: data must be a data set; got undefined'],
    [{ resident: 'yes' }, "train: resident must be 'auto' or true or false, got 'yes'"],
    [{ listeners: [{}] }, 'train: listeners must be functions, got an object'],
    [{ eval: { data: held } }, 'train: eval: every must be an integer >= 1, got undefined'],
    [{ eval: { data: held, every: 1, batch: 3 } }, "train: eval: unknown option 'batch'"],
    [
      { eval: { data: synthetic({ kind: 'spirals', n: 9 }), every: 1 } },
      'train: eval: x is f32 [2] in synthetic/spirals but u8 [6,6,2] in synthetic/images',
    ],
    [{ checkpoint: { dir: '', every: 1 } }, "train: checkpoint: dir must be the path of a folder, got ''"],
    [{ checkpoint: { dir: 'x', every: 0 } }, 'train: checkpoint: every must be an integer >= 1, got 0'],
  ])('wrong ones throw %#', (changes, message) => {
    expect(() => train(tinyRun(changes as Partial<TrainOptions>))).toThrow(message);
  });

  test('augmenting a model that cannot, and fewer outputs than classes', async () => {
    const model = sequential({ cast: activation((x) => x.cast()), flat: flatten(), fc: dense(72, 3) });
    expect(String((await eventsOf(tinyRun({ model }))).error)).toContain(
      'bind: images are to be augmented but no layer does it (begin the model with normalize(...))',
    );
    const narrow = sequential({ input: normalize(0), flat: flatten(), fc: dense(72, 2) });
    expect(String((await eventsOf(tinyRun({ model: narrow }))).error)).toContain(
      "train: the data has 3 classes but the model's output is f32 [8,2] (the last layer needs 3 outputs)",
    );
  });

  test('the start tells how the backend runs', async () => {
    const { events } = await eventsOf(tinyRun({ steps: 1 }));
    const start = events[0] as TrainEvent & { readonly report: Report };
    expect(start.report).toMatchObject({ backend: 'reference', threads: 1, fallback: null });
  });
});

describe('what is promised is refused: nobody would wait for it', () => {
  const points = synthetic({ kind: 'blobs', n: 12 });
  const later = (): unknown => Promise.reject(new Error('nobody handles this'));
  const base = { model: mlp([2, 3]), steps: 2, optimizer: sgd({ lr: 0.1 }) };
  const loaded = loader(points, { batchSize: 4 });
  const errorOf = async (changes: object): Promise<string> => {
    const backend = reference();
    const outcome = await fit({ ...base, data: loaded, backend, ...changes }).then(() => 'trained', String);
    await backend.close(); // nothing stays open
    return outcome;
  };

  const { whole: _, ...described } = points;
  const lazy: Dataset = { ...described, name: 'lazy', read: later };
  const reading =
    'lazy: read must be done when it returns, got a promise (is an await missing?) (load the examples beforehand, ' +
    'for instance into arrays(x, y): reading asynchronously is not supported yet)';

  test.each([true, false, 'auto'] as const)('reading a data set, resident: %s', async (resident) => {
    expect(await errorOf({ data: loader(lazy, { batchSize: 4 }), resident })).toContain(reading);
    expect(await errorOf({ data: loader(take(lazy, 8), { batchSize: 4 }), resident })).toContain(reading);
    expect(await errorOf({ eval: { data: lazy, every: 1 }, resident })).toContain(reading);
    expect(
      await errorOf({ data: loader(lazy, { batchSize: 4 }), checkpoint: { dir: folder(), every: 1 } }),
    ).toContain(reading);
  });

  test('reading a data set elsewhere', async () => {
    const backend = reference();
    const state = initState(base.model, null, 0);
    for (const act of [evaluate, predict, forward]) {
      await expect(act({ model: base.model, state, backend, data: lazy })).rejects.toThrow(reading);
      await expect(act({ model: base.model, state, backend, data: later() as never })).rejects.toThrow(
        /: data must be .*[,;] got a promise \(is an await missing\?\)/,
      );
    }
    for (const act of [targets, meanImage, channelStats]) expect(() => act(lazy)).toThrow(reading);
    await backend.close();
  });

  test.each<[string, object, string]>([
    ['loss', { loss: later }, 'train: loss must return a tensor, got a promise'],
    ['loss', { loss: () => undefined }, 'train: loss must return a tensor, got undefined'],
    ['loss', { loss: () => 0.5 }, 'train: loss must return a tensor, got 0.5'],
    ['metric', { metrics: { hits: later } }, 'train: metric hits must return a tensor, got a promise'],
    [
      'loss under mixup',
      { loss: later, data: loader(points, { batchSize: 4, augment: { mixup: 1 } }) },
      'train: loss must return a tensor, got a promise',
    ],
    [
      'layer',
      { model: sequential({ d: { ...dense(2, 3), apply: later } as never }) },
      'd: apply must return a tensor, got a promise',
    ],
    [
      'model',
      { model: { ...dense(2, 3), apply: () => undefined } },
      "bind: the model's apply must return a tensor",
    ],
    [
      'initializer',
      { model: sequential({ d: dense(2, 3, { init: later as never }) }) },
      'd.weight: its initializer gave a promise (is an await missing?), but f32 [2,3] needs a Float32Array (6)',
    ],
    ['optimizer', { optimizer: { ...sgd({ lr: 1 }), at: later } }, "the optimizer's at(0) must return"],
    [
      'optimizer',
      { optimizer: { ...sgd({ lr: 1 }), init: later } },
      "the optimizer's init: must be a plain object",
    ],
    ['optimizer', { optimizer: { ...sgd({ lr: 1 }), update: later } }, "the optimizer's update must return"],
    [
      'optimizer that leaves a parameter out',
      { optimizer: { ...sgd({ lr: 1 }), update: () => ({ params: {}, state: {} }) } },
      "the optimizer's update of 'fc1.weight' must return a tensor, got undefined",
    ],
    [
      'schedule',
      { optimizer: sgd({ lr: custom({ name: 'later', fn: later as never }) }) },
      'custom: the value at step 0 is a promise',
    ],
    [
      'loader',
      { data: { ...loaded, withSeed: later } },
      "the loader's withSeed(seed) must be a loader; got a promise",
    ],
  ])('%s: %#', async (_name, changes, message) => {
    expect(await errorOf(changes)).toContain(message);
  });
});

describe("batches of a loader of the user's own", () => {
  const points = synthetic({ kind: 'blobs', n: 12 });
  const indices = Uint32Array.of(1, 2, 3);
  const where = "train: the loader's batch(0)";
  const cases: [unknown, string][] = [
    [
      () => Promise.reject(new Error('nobody handles this')),
      `${where} must return a batch { indices, augmentation }, got a promise`,
    ],
    [undefined, `${where} must return a batch { indices, augmentation }, got undefined`],
    [{ augmentation: null }, `${where}: indices must be Uint32Array (3), got undefined`],
    [{ indices: [1, 2, 3], augmentation: null }, `${where}: indices must be Uint32Array (3), got an array`],
    [
      { indices: Float32Array.from(indices) },
      `${where}: indices must be Uint32Array (3), got Float32Array (3)`,
    ],
    [{ indices: Uint32Array.of(1, 2) }, `${where}: indices must be Uint32Array (3), got Uint32Array (2)`],
    [
      { indices: Uint32Array.of(1, 4_000_000_000, 3) },
      `${where}: index out of range: 4000000000 at position 1, but synthetic/blobs has 12 examples (0 to 11)`,
    ],
    [
      { indices, augmentation: new Int32Array(9) },
      `${where}: augmentation is present, but the loader's augments is false`,
    ],
    [
      { indices, mix: { partners: new Int32Array(3), weight: 0.5 } },
      `${where}: mix is present, but the loader's mixes is false`,
    ],
  ];
  test.each([true, false])('are checked, resident: %s', async (resident) => {
    for (const [batch, message] of cases) {
      const own = loader(points, { batchSize: 3 });
      const data: Loader = {
        ...own,
        batch: () => (typeof batch === 'function' ? batch() : batch) as never,
        withSeed: () => data,
      };
      const options = {
        model: mlp([2, 3]),
        steps: 1,
        optimizer: sgd({ lr: 0.1 }),
        backend: reference(),
        resident,
      };
      await expect(fit({ ...options, data })).rejects.toThrow(message);
    }
    const own = loader(images, { batchSize: 3, augment: { flip: true } });
    const data: Loader = { ...own, batch: () => ({ indices, augmentation: null }), withSeed: () => data };
    await expect(fit(tinyRun({ data, resident }))).rejects.toThrow(
      `${where}: augmentation is missing, but the loader's augments is true (batches must have augmentation if and only if augments is true)`,
    );
  });

  test('do not move images away from their masks', () => {
    const x = { shape: [4, 2, 3, 1], data: new Uint8Array(24) };
    const masks = arrays(x, { shape: [4, 2, 3], data: new Float32Array(24) }, { name: 'masks' });
    const own: Loader = { ...loader(masks, { batchSize: 2 }), augments: true };
    expect(() => train(tinyRun({ data: own, loss: (out) => out.mean([1, 2, 3]) }))).toThrow(
      'train: augment: crop and flip would move x but not y: in masks x is u8 [2,3,1] and y is f32 [2,3]',
    );
  });

  test('may leave out what they have not', async () => {
    const own = loader(points, { batchSize: 3 });
    const data: Loader = { ...own, batch: () => ({ indices }) as never, withSeed: () => data };
    const options = { model: mlp([2, 3]), steps: 1, optimizer: sgd({ lr: 0.1 }), backend: reference() };
    expect((await fit({ ...options, data })).step).toBe(1);
  });
});

test('a state that was not finite to begin with is not blamed on an update', async () => {
  const model = mlp([2, 3]);
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
    'train: the loss is not finite at step 0 (lr 0.1): first bad tensor: fc1.weight has NaN at element 2 (from the start) ' +
      '(check the data, the initial state and the loss: there was no update yet; the state is as it was before the step)',
  );
});

describe('accumulated gradients of a run whose steps are no multiple of the batches of an update', () => {
  const points = synthetic({ kind: 'blobs', n: 12 });
  const model = mlp([2, 3]);
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
