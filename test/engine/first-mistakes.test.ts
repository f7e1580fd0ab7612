/** The first mistakes of people who come from NumPy, PyTorch and Keras: each has a message that names the fix. */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { suggest } from '../../engine/suggest.ts';
import * as c from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { arrays, channelStats, loader, meanImage } from 'cyclegrad/datasets';
import { adam, sgd } from 'cyclegrad/optim';
import { custom, cyclicLR } from 'cyclegrad/schedulers';

const t = c.tensor([1, 2, 3, 4]);
/** Calls from JavaScript, which no compiler checks. */
const loose = c as unknown as Record<string, (...given: unknown[]) => unknown>;
const method = t as unknown as Record<string, (...given: unknown[]) => unknown>;
const targets = (shape: number[]) =>
  arrays(
    { shape: [4, 2], data: Float32Array.from({ length: 8 }, (_, i) => i) },
    { shape, data: new Float32Array(shape.reduce((n, d) => n * d, 1)) },
  );
const counted = arrays({ shape: [4, 2], data: [0, 1, 2, 3, 4, 5, 6, 7] }, Int32Array.of(0, 1, 0, 1));
const bytes = arrays({ shape: [4, 2, 2, 3], data: new Uint8Array(48) }, Int32Array.of(0, 1, 0, 1));
const image = c.ones([1, 4, 4, 2]);
const data = arrays({ shape: [4, 2], data: new Float32Array(8) }, Int32Array.of(0, 1, 0, 1));
const fit = (changes: Readonly<Record<string, unknown>>): Promise<unknown> =>
  c.fit({
    model: nn.mlp([2, 4, 2]),
    backend: c.reference(),
    steps: 1,
    data: loader(data, { batchSize: 2 }),
    optimizer: sgd({ lr: 0.1 }),
    ...changes,
  });

describe('a call', () => {
  it.each<[string, () => unknown, string]>([
    [
      'sizes as arguments',
      () => method['reshape'](2, 2),
      'reshape: shape must be an array, got 2 (write [2, …])',
    ],
    ['zeros(2, 3)', () => loose['zeros'](2, 3), 'zeros: shape must be an array, got 2 (write [2, …])'],
    [
      'transpose(0, 1)',
      () => method['transpose'](0, 1),
      'transpose: perm must be an array, got 0 (write [0, …])',
    ],
    [
      'an axis by keyword',
      () => method['sum']({ axis: 0 }),
      'sum: axes must be an integer or an array of integers, got an object (write sum(x, 0))',
    ],
    [
      'axes and options by keyword',
      () => method['mean']({ dim: [0], keepdim: true }),
      'mean: axes must be an integer or an array of integers, got an object (write mean(x, [0], { keepDims: true }))',
    ],
    [
      'options before the axes',
      () => method['sum']({ keepDims: true }),
      'sum: axes must be an integer or an array of integers, got an object (options come after the axes)',
    ],
    [
      'concat({ dim })',
      () => loose['concat']([t, t], { dim: 1 }),
      'concat: an axis must be an integer, got an object (write concat(tensors, 1))',
    ],
    [
      'topK({ sorted })',
      () => method['topK'](1, { sorted: true }),
      'topK: an axis must be an integer, got an object (topK takes the axis as a number)',
    ],
    [
      'slice(0, 1)',
      () => method['slice'](0, 1),
      'slice: ranges must be an array with one range for each axis, got 0 (write [{ begin: 0, end: 1 }], or [0] for one position)',
    ],
    [
      'slice([[0, 1]])',
      () => method['slice']([[0, 1]]),
      'slice: the range of axis 0 must be a position, null or { begin, end, step }, got an array (write { begin: 0, end: 1 })',
    ],
    [
      "slice([':'])",
      () => method['slice']([':']),
      "slice: the range of axis 0 must be a position, null or { begin, end, step }, got ':' (write { begin: 0, end: 1 })",
    ],
    [
      'slice([{ start }])',
      () => method['slice']([{ start: 1 }]),
      "slice: the range of axis 0: unknown option 'start' (did you mean 'begin'? known: begin, end, step)",
    ],
    [
      'sum(0, { keepdim })',
      () => method['sum'](0, { keepdim: true }),
      "sum: unknown option 'keepdim' (did you mean 'keepDims'? known: keepDims)",
    ],
    ['mean(0, true)', () => method['mean'](0, true), 'mean: options must be an object (keepDims), got true'],
    [
      'pad(x, [1, 2])',
      () => method['pad']([1, 2]),
      'pad: amounts must be an array with one pair [before, after] for each axis, got [1,2] (write [[1, 2]])',
    ],
    [
      'pad(x, 1)',
      () => method['pad'](1),
      'pad: amounts must be an array with one pair [before, after] for each axis, got 1 (write [[1, 1], …])',
    ],
    [
      'pad with a negative amount',
      () => t.pad([[0, -1]]),
      'pad: amounts of axis 0 must be two non-negative integers [before, after], got [0,-1] (use slice to crop)',
    ],
    [
      'oneHot without the number of classes',
      () => loose['oneHot'](Int32Array.of(0, 1)),
      'oneHot: n must be an integer >= 0, got undefined',
    ],
    [
      'maxPool2d(2, { stride })',
      () => nn.maxPool2d(2, { stride: 2 } as never),
      "maxPool2d: stride must be an integer or [vertical, horizontal], got an object (the stride comes before the options: maxPool2d(2, 2, { padding: 'same' }))",
    ],
    [
      'a kernel that is no pair',
      () => loose['maxPool2d'](c.zeros([1, 4, 4, 1]), '2'),
      "maxPool2d: kernel must be an integer or [vertical, horizontal], got '2'",
    ],
    [
      'softmax({ dim })',
      () => method['softmax']({ dim: 0 }),
      'softmax: an axis must be an integer, got an object (write softmax(x, 0))',
    ],
    [
      'concat(a, b)',
      () => loose['concat'](t, t),
      'concat: tensors must be an array, got an object (write […])',
    ],
    ['stack(a, b)', () => loose['stack'](t, t), 'stack: tensors must be an array, got an object (write […])'],
    [
      'grad(loss, w)',
      () => loose['grad'](t.sum(), t),
      'grad: wrt must be an array of tensors, got a tensor (write grad(loss, [w]))',
    ],
    [
      'grad([w], loss)',
      () => loose['grad']([t], t.sum()),
      'grad: loss must be a tensor, got an array (the loss comes first: grad(loss, [w]))',
    ],
    [
      'the product of vectors',
      () => t.matmul(t),
      'matmul: expects two matrices [m, k] and [k, n], or two batches of matrices, but got f32 [4] and f32 [4] (use dot for vectors)',
    ],
    [
      'a layer without its kernel size',
      () => nn.conv2d(3, 8, undefined as never),
      'conv2d: kernel must be an integer or [vertical, horizontal], got undefined',
    ],
    [
      'mlp(2, 16, 3)',
      () => nn.mlp(2 as never),
      'mlp: sizes must be an array, got 2 (write mlp([784, 128, 10]))',
    ],
    [
      'arrays({ x, y })',
      () => arrays({ x: [], y: [] } as never, undefined as never),
      'arrays: takes inputs and targets as two arguments, got an object and undefined (write arrays({ shape: [4, 2], data }, labels))',
    ],
    [
      'labels as text',
      () => arrays({ shape: [2, 1], data: new Float32Array(2) }, ['cat', 'dog'] as never),
      "arrays: y: element 0 is not a number: 'cat' (labels are indices of classes: names.map((name) => classes.indexOf(name)))",
    ],
    [
      'numbers without a shape',
      () => arrays(new Float32Array(4) as never, ['cat'] as never),
      'arrays: x: inputs need their shape, got Float32Array (4) (write { shape: [N, …], data: x })',
    ],
    [
      'a promise as inputs',
      () => arrays(Promise.resolve() as never, [0]),
      'arrays: x: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got a promise (is an await missing?)',
    ],
    [
      'a text as labels',
      () => arrays({ shape: [1, 1], data: [1] }, 'cat' as never),
      "arrays: y: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got 'cat'",
    ],
    [
      'meanImage without await',
      () => meanImage(undefined as never),
      'meanImage: the argument must be a data set, got undefined (await the call that loads it: const { train } = await cifar10())',
    ],
    [
      'channelStats without await',
      () => channelStats(Promise.resolve() as never),
      'channelStats: the argument must be a data set, got a promise (is an await missing?) (await the call that loads it',
    ],
    [
      'summary(model, [1, 8])',
      () => nn.summary(nn.mlp([8, 2]), [1, 8] as never),
      'summary: inputs must be a type, or an object of types by name, got an array (write summary(model, f32(1, 8)))',
    ],
    [
      'summary(model, { a: [1, 8] })',
      () => nn.summary(nn.mlp([8, 2]), { a: [1, 8] } as never),
      "summary: input 'a' must be a type, for instance f32(1, 32, 32, 3), got an array",
    ],
    [
      'a model as a function',
      () => nn.mlp([2, 2]).apply(t, undefined as never),
      'sequential: apply needs the parameters of the model, in a scope (write nn.bind(model, state, { training: false })(x).output, or await forward({ model, state, data, backend }))',
    ],
    [
      'a layer as a function',
      () => nn.dense(4, 2).apply(c.ones([1, 4]), undefined as never),
      'dense: apply needs the parameters of the model, in a scope',
    ],
    [
      'a transposed convolution as a function',
      () => nn.conv2dTranspose(1, 1, 2).apply(c.ones([1, 2, 2, 1]), undefined as never),
      'conv2dTranspose: apply needs the parameters of the model, in a scope',
    ],
    [
      'labels before logits',
      () => c.crossEntropy(Int32Array.of(0, 1), c.ones([2, 3])),
      'crossEntropy: logits come first and labels second, but got i32 [2] and f32 [2,3] (write crossEntropy(logits, labels))',
    ],
    [
      'images in NCHW',
      () => c.conv2d(c.ones([2, 3, 8, 8]), c.ones([3, 3, 3, 4])),
      'conv2d: input has 8 channels but weight expects 3: x [2,3,8,8], w f32 [3,3,3,4] (images are [N, H, W, C]; this looks like [N, C, H, W]: transpose(x, [0, 2, 3, 1]))',
    ],
    [
      'options as arguments',
      () => cyclicLR(0.001 as never),
      'cyclicLR: options must be an object (base, max, stepSize, stepSizeDown, mode, gamma, decays, window, scale, scaleBy), got 0.001',
    ],
    [
      'custom(f)',
      () => custom(((step: number) => step) as never),
      "custom: the argument must be { name, fn }, got a function (write { name: 'my function', fn }; JSON stores the function by its name)",
    ],
    [
      'betas',
      () => adam({ betas: [0.9, 0.999] } as never),
      "adam: unknown option 'betas' (did you mean 'beta1' and 'beta2'? known: lr, beta1, beta2, epsilon, weightDecay, form, amsgrad, groups)",
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});

it.each<[string, readonly unknown[]]>([
  ['sum', [t, 0]],
  ['mean', [t, 0]],
  ['max', [t, 0]],
  ['min', [t, 0]],
  ['prod', [t, 0]],
  ['any', [c.greater(t, 0), 0]],
  ['all', [c.greater(t, 0), 0]],
  ['argMax', [t, 0]],
  ['argMin', [t, 0]],
  ['variance', [t, 0]],
  ['norm', [t, 0]],
  ['logSumExp', [t, 0]],
  ['cumsum', [t, 0]],
  ['sort', [t, 0]],
  ['argSort', [t, 0]],
  ['gelu', [t]],
  ['pad', [t, [[1, 1]]]],
  ['tensor', [[1, 2]]],
  ['matmul', [c.ones([2, 2]), c.ones([2, 2])]],
  ['conv2d', [image, c.ones([1, 1, 2, 2])]],
  ['conv2dTranspose', [image, c.ones([1, 1, 2, 2])]],
  ['maxPool2d', [image, 2]],
  ['avgPool2d', [image, 2]],
  ['resize2d', [image, 2]],
  ['lrnWithin', [image]],
  ['lrnAcross', [image]],
  ['batchNorm', [image]],
  ['batchNormInference', [image, [0, 0], [1, 1]]],
  ['layerNorm', [image]],
  ['groupNorm', [image, 1]],
  ['instanceNorm', [image]],
])('%s rejects unknown options', (name, given) => {
  expect(() => loose[name](...given, {})).not.toThrow();
  expect(() => loose[name](...given, { extra: 1 })).toThrow(`${name}: unknown option 'extra' (known: `);
});

describe('fit', () => {
  it.each([
    [
      'both steps and epochs',
      { epochs: 3 },
      'fit: steps and epochs cannot be combined',
    ],
    [
      'one output for integer labels',
      { model: nn.mlp([2, 4, 1]), loss: c.binaryCrossEntropy },
      'the last layer needs 2 outputs; for one output and binaryCrossEntropy, pass the targets as floats [N, 1]: arrays(x, { shape: [N, 1], data: Float32Array.from(labels) })',
    ],
    [
      'labels as floats',
      { data: loader(targets([4]), { batchSize: 2 }) },
      'fit: loss is missing: the targets of arrays are f32 [], not class labels (use integers for class labels: an Int32Array [N]; else pass a loss',
    ],
    [
      'labels as floats with a loss',
      { data: loader(targets([4]), { batchSize: 2 }), loss: c.crossEntropy },
      'crossEntropy: logits f32 [2,2] need labels i32 [2] but got f32 [2] (use integers for class labels: an Int32Array)',
    ],
    [
      'the accuracy of one-hot targets',
      {
        data: loader(targets([4, 2]), { batchSize: 2 }),
        loss: c.crossEntropy,
        metrics: { accuracy: c.accuracy },
      },
      'accuracy: logits f32 [2,2] need labels i32 [2] but got f32 [2,2] (labels are indices of classes: convert one-hot targets with argMax(targets, 1))',
    ],
    [
      'targets [N] for an output [N, 1]',
      {
        model: nn.mlp([2, 4, 1]),
        data: loader(targets([4]), { batchSize: 2 }),
        loss: c.meanSquaredError,
      },
      'but got f32 [2,1] and f32 [2] (reshape the target to [2,1])',
    ],
    [
      'images in bytes without normalization',
      {
        model: nn.sequential({ flat: nn.flatten(), fc: nn.dense(12, 2) }),
        data: loader(bytes, { batchSize: 2 }),
      },
      'fc / matmul: expects f32 but got u8 [2,12] (convert it with cast(x), or begin the model with nn.normalize(…))',
    ],
    [
      'a rate that diverges',
      {
        model: nn.dense(2, 2),
        data: loader(counted, { batchSize: 2 }),
        optimizer: sgd({ lr: 0.7 * 0.01 * 1e39 }),
        steps: 3,
      },
      /^fit: the loss is not finite at step \d \(lr 7e\+36\): /,
    ],
    [
      'a misspelled option',
      { optimiser: sgd({ lr: 0.1 }) },
      "fit: unknown option 'optimiser' (did you mean 'optimizer'? known: ",
    ],
    [
      'a loss by name',
      { loss: 'mse' },
      "fit: loss must be a function of outputs and targets, for instance crossEntropy or meanSquaredError, got 'mse'",
    ],
    [
      'a data set as eval',
      { eval: data },
      'fit: eval must be options, got a data set (write eval: { data: test, every: 1000 })',
    ],
    [
      'a listener that is not called',
      { listeners: [c.progressBar] },
      "progressBar: unknown option 'type' (this is an event: is a call missing, progressBar()?)",
    ],
  ])('%s', async (_, changes, message) => {
    await expect(fit(changes)).rejects.toThrow(message);
  });

  it('a plain array in place of a typed one', async () => {
    const backend = c.reference();
    const step = await c.compile(backend, {
      inputs: { x: c.f32(3) },
      build: ({ x }) => ({ outputs: { x } }),
    });
    await expect(step.run({ x: [1, 2, 3] as never })).rejects.toThrow(
      "run: input 'x' is f32 [3], 3 elements, but an array was fed (expected: Float32Array (3))",
    );
    await expect(backend.close()).rejects.toThrow(
      'reference: close: a compiled step or store is still open (close it first: await compiled.close())',
    );
    await step.close();
    await backend.close();
  });
});

describe('predict', () => {
  const model = nn.mlp([2, 4, 2]);
  const state = nn.initState(model, null, 1);
  const inputs = { shape: [1, 2], dtype: 'f32', data: new Float32Array(2) };
  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    [
      'the promise of a state',
      { state: Promise.resolve(state) },
      'predict: state must be the arrays of the model by name, for instance result.state; got a promise (is an await missing?)',
    ],
    [
      'the promise of data',
      { data: Promise.resolve(inputs) },
      'predict: data must be a data set; got a promise (is an await missing?)',
    ],
    [
      'a result as the state',
      { state: { loss: 0, state } },
      "predict: the state has no 'fc1.weight' (it has: loss, state; pass its member: result.state)",
    ],
    [
      'the state of another model',
      { state: nn.initState(nn.dense(2, 2), null, 1) },
      "predict: the state has no 'fc1.weight' (it has: weight, bias; pass the state of this model, for instance result.state of fit)",
    ],
    [
      'an empty state',
      { state: {} },
      "predict: the state has no 'fc1.weight' (it is empty; pass the state of this model, for instance result.state of fit)",
    ],
    [
      'numbers without a shape',
      { data: new Float32Array(2) },
      "predict: data must be a data set, or inputs with their shape, got Float32Array (2) (write { shape: [N, …], dtype: 'f32', data })",
    ],
    [
      'nested arrays',
      { data: [[1, 2]] },
      "predict: data must be a data set, or inputs with their shape, got an array (write { shape: [N, …], dtype: 'f32', data })",
    ],
    [
      'one output',
      { model: nn.dense(2, 1), state: nn.initState(nn.dense(2, 1), null, 1) },
      "predict: the model's output must be logits [N, classes] of at least 2 classes, got f32 [1,1] (forward returns outputs of any shape)",
    ],
  ])('%s', async (_, changes, message) => {
    const given = { model, state, data: inputs, backend: c.reference(), ...changes };
    await expect(c.predict(given as unknown as c.PredictOptions)).rejects.toThrow(message);
  });
});

describe('a tensor as a value', () => {
  const message = /^a tensor \(f32 \[4\]\) is not a number or a text: use operations .* or its value /;
  it.each<[string, () => unknown]>([
    ['if (t > 0)', () => (t as never) > 0],
    ['a + b', () => (t as never) + (t as never)],
    ['`${t}`', () => `${t as unknown as string}`],
  ])('%s throws', (_, use) => {
    expect(use).toThrow(message);
  });

  it('prints its type and origin', () => {
    expect(inspect(t)).toBe('Tensor f32 [4] (constant; await t.print() shows its values)');
    expect(inspect(t.relu())).toBe('Tensor f32 [4] (result of relu; await t.print() shows its values)');
  });

  it('has item() where it has one element', async () => {
    expect(await t.sum().item()).toBe(10);
    await expect(t.item()).rejects.toThrow(
      'item: expects a tensor with one element, got f32 [4] (use data() or array())',
    );
  });
});

it.each([
  ['Epochs', ['steps'], ['steps']],
  ['weight_decay', ['weightDecay', 'lr'], ['weightDecay']],
  ['max_lr', ['base', 'max'], ['max']],
  ['momentun', ['momentum', 'lr'], ['momentum']],
  ['sepal', ['steps', 'seed'], []],
  ['x', ['a', 'b'], []],
])('suggest: %s of %j is %j', (name, known, names) => {
  expect(suggest(name, known)).toEqual(names);
});
