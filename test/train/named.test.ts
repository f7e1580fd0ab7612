/** Several inputs, targets and outputs by name. */
import { expect, test, describe } from 'vitest';
import {
  augmentedBatch,
  concat,
  crossEntropy,
  evaluate,
  fit,
  forward,
  meanSquaredError,
  predict,
  reference,
  type Tensor,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { confusionMatrix } from 'cyclegrad/metrics';
import { arrays, channelStats, loader, meanImage, split, subset, take, targets } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';

const backend = reference();
const values = (n: number, from = 0): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i + from));
const labels = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i % 3);

const a = { shape: [12, 2], data: values(24) };
const b = { shape: [12, 3], data: values(36, 5) };
/** The rows of a and b side by side. */
const joined = {
  shape: [12, 5],
  data: Array.from({ length: 12 }, (_, i) => [
    ...a.data.subarray(2 * i, 2 * i + 2),
    ...b.data.subarray(3 * i, 3 * i + 3),
  ]).flat(),
};
const weight = Float32Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 1 : 0));

const head = () => ({ fc: nn.dense(5, 3) });
const twoInputs = nn.module(head(), (x: { a: Tensor; b: Tensor }, { fc }) => fc(concat([x.a, x.b], 1)), 'm');
const oneInput = nn.module(head(), (x, { fc }) => fc(x), 'm');
const twoOutputs = nn.module(
  { label: nn.dense(5, 3), box: nn.dense(5, 2) },
  (x, { label, box }) => ({ label: label(x), box: box(x) }),
  'heads',
);
const run = { backend, optimizer: sgd({ lr: 0.1 }), steps: 4 };

describe('several inputs', () => {
  const named = arrays({ a, b }, labels(12));
  const single = arrays(joined, labels(12));

  test.each([true, false])('train as one input of both does, resident: %s', async (resident) => {
    const evaluation = { every: 2, batchSize: 5 };
    const ours = await fit({
      ...run,
      resident,
      model: twoInputs,
      data: loader(named, { batchSize: 5 }),
      eval: { ...evaluation, data: take(named, 7) },
    });
    const theirs = await fit({
      ...run,
      model: oneInput,
      data: loader(single, { batchSize: 5 }),
      eval: { ...evaluation, data: take(single, 7) },
    });
    expect(ours.state).toEqual(theirs.state);
    expect(ours.accuracy).toBe(theirs.accuracy);
    expect(ours.loss).toBe(theirs.loss);

    const { state } = ours;
    const shared = { model: twoInputs, state, backend, batchSize: 5 };
    const expected = await predict({ ...shared, model: oneInput, data: single });
    expect(await predict({ ...shared, data: named })).toEqual(expected);
    const host = { a: { ...a, dtype: 'f32' }, b: { ...b, dtype: 'f32' } } as const;
    expect(await predict({ ...shared, data: host })).toEqual(expected);
    const measured = await evaluate({ ...shared, data: named });
    expect(measured.loss).toBe((await evaluate({ ...shared, model: oneInput, data: single })).loss);
  });

  test('parts of data sets read the same rows', () => {
    const part = subset(split(named, 8)[0], [3, 1]);
    const [inner] = [split(single, 8)[0]];
    const [ax, bx, xs, y] = [
      new Float32Array(4),
      new Float32Array(6),
      new Float32Array(10),
      new Int32Array(2),
    ];
    part.read(Uint32Array.of(0, 1), { a: ax, b: bx }, y);
    subset(inner, [3, 1]).read(Uint32Array.of(0, 1), xs, new Int32Array(2));
    expect([...ax.subarray(0, 2), ...bx.subarray(0, 3), ...ax.subarray(2), ...bx.subarray(3)]).toEqual([
      ...xs,
    ]);
    expect(targets(part)).toEqual(y);
  });

  test('statistics are those of the input with the name', () => {
    expect(channelStats(named, 'b')).toEqual(channelStats(arrays(b, labels(12))));
    expect(meanImage(named, 'a')).toEqual(meanImage(arrays(a, labels(12))));
    expect(() => meanImage(named)).toThrow(
      "meanImage: arrays has the inputs a, b, got undefined (write meanImage(dataset, 'a'))",
    );
    expect(() => channelStats(single, 'a')).toThrow(
      "channelStats: arrays has a single input without a name, got 'a' (omit it)",
    );
  });

  test('a loss that is not finite names the layer', async () => {
    const initial = {
      'fc.bias': { shape: [3], dtype: 'f32', data: Float32Array.of(1e38, 0, -3e38) },
    } as const;
    const explode = nn.module(head(), (x: { a: Tensor; b: Tensor }, { fc }) =>
      fc(concat([x.a, x.b], 1)).mul(1e5),
    );
    await expect(
      fit({ ...run, model: explode, initial, data: loader(named, { batchSize: 4 }) }),
    ).rejects.toThrow(
      "fit: the loss is not finite at step 0 (lr 0.1): first bad tensor: the model's output is not finite: Infinity",
    );
  });

  test('augmentations change the only image', async () => {
    const image = { shape: [4, 6, 6, 1], data: Uint8Array.from({ length: 144 }, (_, i) => i) };
    const meta = { shape: [4, 2], data: values(8) };
    const make = (
      input: nn.Layer<{ image: Tensor; meta: Tensor }> | nn.Layer,
      x: typeof image | { image: typeof image; meta: typeof meta },
    ) =>
      fit({
        ...run,
        model: input,
        data: loader(arrays(x, labels(4)), { batchSize: 4, augment: { crop: 2, flip: true } }),
      });
    const layers = () => ({ input: nn.normalize(9, { std: 40 }), flat: nn.flatten(), fc: nn.dense(36, 3) });
    const ours = await make(
      nn.module(layers(), (x: { image: Tensor; meta: Tensor }, { input, flat, fc }) =>
        fc(flat(input(x.image))),
      ),
      { image, meta },
    );
    const theirs = await make(nn.sequential(layers()), image);
    expect(ours.state).toEqual(theirs.state);
  });
});

describe('several targets', () => {
  const weighted = arrays(joined, { label: labels(12), weight });
  const loss = (
    output: Tensor,
    t: { label: Tensor; weight: Tensor },
    options: { reduction: 'none' },
  ): Tensor => crossEntropy(output, t.label, options).mul(t.weight);

  test.each([true, false])('weigh the examples, resident: %s', async (resident) => {
    const kept = Array.from({ length: 6 }, (_, i) => 2 * i);
    const all = { batchSize: 12, shuffle: false };
    const ours = await fit({ ...run, resident, model: oneInput, data: loader(weighted, all), loss });
    // Half of the examples have the weight 0: the mean of the others is twice as large.
    const half = loader(subset(arrays(joined, labels(12)), kept), { batchSize: 6, shuffle: false });
    const theirs = await fit({ ...run, optimizer: sgd({ lr: 0.05 }), model: oneInput, data: half });
    const [ourWeights, theirWeights] = [ours.state['fc.weight'].data, theirs.state['fc.weight'].data];
    ourWeights.forEach((value, i) => expect(value).toBeCloseTo(theirWeights[i], 5));
    const { state } = ours;
    const { loss: mean, metrics } = await evaluate({
      model: oneInput,
      state,
      backend,
      data: weighted,
      loss,
      batchSize: 5,
      metrics: { plain: (output, t, options) => crossEntropy(output, t.label, options) },
    });
    const plain = await evaluate({
      model: oneInput,
      state,
      backend,
      data: subset(arrays(joined, labels(12)), kept),
    });
    expect(mean).toBeCloseTo(plain.loss / 2, 6);
    expect(metrics['plain']).toBeGreaterThan(mean);
  });

  test('a metric of a data set takes one of them', async () => {
    const state = nn.initState(oneInput, null, 1);
    const counts = confusionMatrix();
    const named = await evaluate({
      model: oneInput,
      state,
      backend,
      data: weighted,
      loss,
      metrics: {
        confusion: {
          ...counts,
          measure: (output: Tensor, t: { label: Tensor }) => counts.measure(output, t.label),
        },
      },
    });
    const single = await evaluate({
      model: oneInput,
      state,
      backend,
      data: arrays(joined, labels(12)),
      metrics: { confusion: counts },
    });
    expect(named.details).toEqual(single.details);
  });

  test('mixup mixes the losses for all of them', async () => {
    const data = loader(weighted, { batchSize: 12, augment: { mixup: 0.4 } });
    const result = await fit({ ...run, model: oneInput, data, loss });
    expect(result.loss).toBeGreaterThan(0);
  });

  test('are read by name', () => {
    expect(targets(weighted)).toEqual({ label: labels(12), weight });
    expect(targets(take(weighted, 2))).toEqual({ label: labels(2), weight: weight.slice(0, 2) });
  });
});

describe('several outputs', () => {
  const data = arrays(joined, { label: labels(12), box: a });

  test('have a loss of all of them, and forward returns each', async () => {
    const { state } = await fit({
      ...run,
      model: twoOutputs,
      data: loader(data, { batchSize: 5 }),
      loss: (output, t, options) =>
        crossEntropy(output.label, t.label, options).add(meanSquaredError(output.box, t.box, options)),
      metrics: { box: (output, t, options) => meanSquaredError(output.box, t.box, options) },
      eval: { data, every: 2 },
    });
    const outputs = await forward({ model: twoOutputs, state, backend, data, batchSize: 5 });
    for (const name of ['label', 'box'] as const) {
      const part = nn.module({ [name]: twoOutputs }, (x, layers) => layers[name](x)[name]);
      const own = Object.fromEntries(Object.entries(state).map(([key, value]) => [`${name}.${key}`, value]));
      expect(outputs[name]).toEqual(await forward({ model: part, state: own, backend, data, batchSize: 5 }));
    }
    expect(outputs.box.shape).toEqual([12, 2]);
  });

  test('a loss that is not finite names the output', async () => {
    const explode = nn.module({ heads: twoOutputs }, (x, { heads }) => {
      const { label, box } = heads(x);
      return { label, box: box.mul(3e38).mul(3e38) };
    });
    await expect(
      fit({
        ...run,
        model: explode,
        data: loader(data, { batchSize: 4 }),
        loss: (output, t, options) => meanSquaredError(output.box, t.box, options),
      }),
    ).rejects.toThrow("first bad tensor: the model's output 'box' is not finite");
  });

  test('predict refuses them', async () => {
    const state = nn.initState(twoOutputs, null, 1);
    await expect(predict({ model: twoOutputs as never, state, backend, data })).rejects.toThrow(
      'predict: the model must have one output, logits [N, classes], but it has outputs by name, such as label ' +
        '(forward returns several outputs)',
    );
  });
});

describe('messages', () => {
  const image = { shape: [4, 6, 6, 1], data: new Uint8Array(144) };
  const meta = { shape: [4, 2], data: values(8) };
  const y = labels(4);
  test.each<[() => unknown, string]>([
    [
      () => arrays({ image, meta: { shape: [3, 2], data: values(6) } }, y),
      'arrays: x.image and x.meta differ in length: x.image [4, 6, 6, 1], x.meta [3, 2] (both need one row per example)',
    ],
    [
      () => arrays({ image }, { label: y.slice(1) }),
      'arrays: x.image and y.label differ in length: x.image [4, 6, 6, 1], y.label [3]',
    ],
    [
      () => arrays({ image, meta: values(8) as never }, y),
      'arrays: x.meta: inputs need their shape, got Float32Array (8)',
    ],
    [
      () => arrays({ image, 'a b': meta }, y),
      "arrays: x: 'a b' cannot be a name (use a letter or _, then letters, digits, _ and -)",
    ],
    [
      () => arrays({ image, meta: { ...meta, data: values(8).fill(NaN, 3, 4) } }, y),
      'arrays: x.meta: a number is not finite: NaN in example 1, element 1',
    ],
    [() => arrays(image, { label: y }, { classes: 3 }), 'arrays: classes: given for targets by name'],
    [
      () => arrays(image, { label: y, mask: y }, { targets: 'mask' }),
      "arrays: targets: must be 'labels' for targets by name, which augmentations cannot move, got 'mask'",
    ],
    [
      () => loader(arrays({ a: meta, b: meta }, y), { batchSize: 2, augment: { flip: true } }),
      'loader: augment: needs exactly one input that is an image [height, width, channels], but arrays has 0 (a f32 [2], b f32 [2]; omit augment, or augment in the model)',
    ],
    [
      () => loader(arrays({ image, meta }, y), { batchSize: 2, augment: { mixup: 1 } }),
      'loader: augment: mixup needs a single input, but arrays has image, meta (omit it)',
    ],
    [
      () =>
        loader(arrays(image, { label: y, mask: { shape: [4, 6, 6], data: new Int32Array(144) } }), {
          batchSize: 2,
          augment: { flip: true },
        }),
      "loader: augment: augmentations cannot move targets by name: arrays has label, mask, and mask is i32 [6,6] (declare targets: 'labels' if they do not depend on positions in the image; else omit augment)",
    ],
    [
      () =>
        arrays({ image, meta }, y).read(
          Uint32Array.of(0),
          { image: new Uint8Array(36) } as never,
          new Int32Array(1),
        ),
      'arrays: read: x.meta must be a typed array for the items, got undefined (pass arrays with the names of the types)',
    ],
    [
      () => targets({ ...arrays(image, y), x: {} }),
      'targets: the argument must be a data set, got an object whose x or y is not a type',
    ],
  ])('%s', (act, message) => {
    expect(act).toThrow(message);
  });

  test('of training and forward', async () => {
    const named = arrays({ a, b }, labels(12));
    const model = twoInputs;
    await expect(
      fit({
        ...run,
        model,
        data: loader(named, { batchSize: 4 }),
        eval: { every: 2, data: arrays({ a, b: a }, labels(12)) },
      }),
    ).rejects.toThrow('fit: eval: x.b is f32 [2] in arrays but f32 [3] in arrays');
    await expect(
      fit({
        ...run,
        model,
        data: loader(named, { batchSize: 4 }),
        eval: { every: 2, data: arrays({ a }, labels(12)) as never },
      }),
    ).rejects.toThrow('fit: eval: x.b is missing in arrays but f32 [3] in arrays');
    await expect(
      fit({
        ...run,
        model: oneInput,
        data: loader(arrays(joined, { label: labels(12), weight }), { batchSize: 4 }),
      }),
    ).rejects.toThrow(
      'fit: loss is missing: arrays has targets by name, label, weight (pass a loss that uses them, for instance ' +
        '(output, targets, options) => crossEntropy(output, targets.label, options))',
    );
    const state = nn.initState(model, null, 1);
    const host = { a: { ...a, dtype: 'f32' }, b: { shape: [2, 3], dtype: 'f32', data: values(6) } } as const;
    await expect(forward({ model, state, backend, data: host })).rejects.toThrow(
      'forward: data: a and b differ in length: f32 [12,2] and f32 [2,3] (both need one row per example)',
    );
    await expect(augmentedBatch({ data: loader(named, { batchSize: 4 }) as never, backend })).rejects.toThrow(
      'augmentedBatch: arrays has inputs or targets by name',
    );
    await expect(
      fit({
        ...run,
        model: nn.module<Record<string, nn.Layer>, { a: Tensor; b: Tensor }, never>(
          head(),
          () => ({}) as never,
        ),
        data: loader(named, { batchSize: 4 }),
      }),
    ).rejects.toThrow("bind: the model's apply must return a tensor, got an object without any");
  });
});
