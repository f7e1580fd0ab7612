/** Invalid options, data sets and loaders. */
import { describe, expect, test } from 'vitest';
import {
  evaluate,
  fit,
  forward,
  type EvaluateOptions,
  predict,
  reference,
  train,
  type Report,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import {
  arrays,
  channelStats,
  loader,
  meanImage,
  synthetic,
  targets,
  type Dataset,
  type Loader,
} from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { custom } from 'cyclegrad/schedulers';
import { eventsOf, held, images, tinyRun } from './fixture.ts';

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
    [{ steps: undefined }, 'train: steps is missing (pass steps or epochs)'],
    [
      { epochs: 3 },
      'train: steps and epochs cannot be combined, got steps 10 and epochs 3 (omit one of them)',
    ],
    [{ steps: undefined, epochs: 0 }, 'train: epochs must be a number above 0, got 0'],
    [
      { steps: undefined, epochs: 0.1 },
      'train: epochs: 0.1 epochs of 3 steps are 0 steps (use from 1 to 2147483647 steps)',
    ],
    [
      { eval: { data: held, every: { epochs: 0.2 } } },
      'train: eval: every: 0.2 epochs of 3 steps are 0.6000000000000001 steps (use at least 1 step)',
    ],
    [
      { checkpoint: { dir: 'x', every: { epoch: 1 } } },
      "train: checkpoint: every: unknown option 'epoch' (did you mean 'epochs'? known: epochs)",
    ],
    [
      { eval: { data: held, every: 1, loss: 'mse' } },
      "train: eval: loss must be a function of outputs and targets, for instance crossEntropy or meanSquaredError, got 'mse'",
    ],
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
    [
      { loss: 'mse' },
      "train: loss must be a function of outputs and targets, for instance crossEntropy or meanSquaredError, got 'mse'",
    ],
    [{ metrics: ['accuracy'] }, 'train: metrics must be an object of functions by name, got an array'],
    [
      { metrics: { accuracy: 'accuracy' } },
      "train: metric accuracy must be a function of outputs and targets, for instance accuracy, got 'accuracy'",
    ],
    [{ listeners: () => undefined }, 'train: listeners must be an array of functions, got a function'],
    [
      { eval: { data: loader(held, { batchSize: 3 }), every: 1 } },
      'train: eval: data must be a data set; got an',
    ],
    [{ eval: { every: 1 } }, 'train: eval: data must be a data set; got undefined'],
    [{ resident: 'yes' }, "train: resident must be 'auto' or true or false, got 'yes'"],
    [{ listeners: [{}] }, 'train: listeners must be functions, got an object'],
    [{ eval: { data: held, every: 0 } }, 'train: eval: every must be an integer >= 1, got 0'],
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
    const model = nn.sequential({
      cast: nn.activation((x) => x.cast()),
      flat: nn.flatten(),
      fc: nn.dense(72, 3),
    });
    expect(String((await eventsOf(tinyRun({ model }))).error)).toContain(
      'bind: got an augmentation, but no layer applies it (begin the model with nn.normalize(...))',
    );
    const narrow = nn.sequential({ input: nn.normalize(0), flat: nn.flatten(), fc: nn.dense(72, 2) });
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
  const later = (): Promise<never> => Promise.reject(new Error('nobody handles this'));
  const base = { model: nn.mlp([2, 3]), steps: 2, optimizer: sgd({ lr: 0.1 }) };
  const loaded = loader(points, { batchSize: 4 });
  const errorOf = async (changes: object): Promise<string> => {
    const backend = reference();
    const outcome = await fit({ ...base, data: loaded, backend, ...changes }).then(() => 'trained', String);
    await backend.close(); // nothing stays open
    return outcome;
  };

  const { whole: _, ...described } = points;
  const lazy: Dataset = { ...described, name: 'lazy', read: later };
  test('data, and statistics of a data set that reads asynchronously', async () => {
    const backend = reference();
    const state = nn.initState(base.model, null, 0);
    const calls: ((options: EvaluateOptions) => Promise<unknown>)[] = [evaluate, predict, forward];
    for (const act of calls) {
      await expect(act({ model: base.model, state, backend, data: later() as never })).rejects.toThrow(
        /: data must be .*[,;] got a promise \(is an await missing\?\)/,
      );
    }
    for (const act of [targets, meanImage, channelStats]) {
      expect(() => act(lazy)).toThrow(
        'lazy: read must be synchronous, got a promise (is an await missing?) ' +
          '(this function does not wait: pass await inMemory(dataset), or await inMemory(take(dataset, n)) for a part)',
      );
    }
    await backend.close();
  });

  test.each<[string, object, string]>([
    ['loss', { loss: later }, 'fit: loss must return a tensor, got a promise'],
    ['loss', { loss: () => undefined }, 'fit: loss must return a tensor, got undefined'],
    ['loss', { loss: () => 0.5 }, 'fit: loss must return a tensor, got 0.5'],
    ['metric', { metrics: { hits: later } }, 'fit: metric hits must return a tensor, got a promise'],
    [
      'loss under mixup',
      { loss: later, data: loader(points, { batchSize: 4, augment: { mixup: 1 } }) },
      'fit: loss must return a tensor, got a promise',
    ],
    [
      'layer',
      { model: nn.sequential({ d: { ...nn.dense(2, 3), apply: later } as never }) },
      'd: apply must return a tensor, got a promise',
    ],
    [
      'model',
      { model: { ...nn.dense(2, 3), apply: () => undefined } },
      "bind: the model's apply must return a tensor",
    ],
    [
      'initializer',
      { model: nn.sequential({ d: nn.dense(2, 3, { init: later as never }) }) },
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
      'custom: the value at step 0 must be a finite number, got a promise (is an await missing?)',
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
  const where = "fit: the loader's batch(0)";
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
        model: nn.mlp([2, 3]),
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
      'train: augment: the images of masks would move, and whether its targets must move with them is unknown: x is u8 [2,3,1], y is f32 [2,3]',
    );
  });

  test('may leave out what they have not', async () => {
    const own = loader(points, { batchSize: 3 });
    const data: Loader = { ...own, batch: () => ({ indices }) as never, withSeed: () => data };
    const options = { model: nn.mlp([2, 3]), steps: 1, optimizer: sgd({ lr: 0.1 }), backend: reference() };
    expect((await fit({ ...options, data })).step).toBe(1);
  });
});
