/** Mixup in training. */
import { expect, test } from 'vitest';
import { augmentedBatch, fit, forward, reference, type HostTensor, type Tensor } from 'cyclegrad';
import { crop, mixup, rotate } from 'cyclegrad/augment';
import * as nn from 'cyclegrad/nn';
import { arrays, loader } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { eventsOf } from './fixture.ts';

test('mixup mixes the losses against the masks of both examples', async () => {
  const x = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const y = Float32Array.of(0, 1, 1, 0, 1, 1, 0, 0);
  const masks = arrays({ shape: [2, 2, 2, 1], data: x }, { shape: [2, 2, 2, 1], data: y });
  const data = loader(masks, { batchSize: 2, shuffle: false, augment: { mixup: 1 } });
  const seed = [...Array(20).keys()].find((s) => data.withSeed(s).batch(0).mix!.partners[0] === 1)!;
  const loss = (output: Tensor, target: Tensor): Tensor => output.sub(target).pow(2).mean([1, 2, 3]);
  const model = nn.sequential({ same: nn.activation((t) => t.mul(1)) });
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
  const model = nn.sequential({ fc: nn.dense(2, 3) });
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

test.each([
  // The draws of augmentations depend on their position, so those without mixup are the same.
  ['the short form', { crop: 1, flip: true, mixup: 1 }, { crop: 1, flip: true }],
  [
    'a list',
    [rotate(40), crop(2, { fill: 'reflect' }), mixup(1)],
    [rotate(40), crop(2, { fill: 'reflect' })],
  ],
] as const)('mixup mixes images with moved masks: %s', async (_, augment, unmixed) => {
  const n = 4;
  const pixels = Uint8Array.from({ length: n * 25 }, (__, i) => (i * 37) % 251);
  const masks = Float32Array.from(pixels, (value) => value / 8);
  const dataset = arrays(
    { shape: [n, 5, 5, 1], data: pixels },
    { shape: [n, 5, 5], data: masks },
    { targets: 'mask' },
  );
  const data = loader(dataset, { batchSize: n, shuffle: false, seed: 6, augment });
  const still = loader(dataset, { batchSize: n, shuffle: false, seed: 6, augment: unmixed });
  const { x, y } = await augmentedBatch({ data: still, backend: reference() });
  expect(y.data).not.toEqual(masks);
  const loss = (output: Tensor, target: Tensor): Tensor =>
    output.slice([null, null, null, 0]).sub(target).pow(2).mean([1, 2]);
  const model = nn.sequential({ input: nn.normalize(0) });
  const options = { model, backend: reference(), steps: 1, seed: 6, data, loss, optimizer: sgd({ lr: 0 }) };
  const { partners, weight: w } = data.batch(0).mix!;
  expect([...partners]).not.toEqual([0, 1, 2, 3]);
  const expected = [...partners].reduce((total, other, i) => {
    const at = (of: HostTensor, k: number, j: number): number => of.data[25 * k + j];
    for (let j = 0; j < 25; j++) {
      const output = w * at(x, i, j) + (1 - w) * at(x, other, j);
      total += w * (output - at(y, i, j)) ** 2 + (1 - w) * (output - at(y, other, j)) ** 2;
    }
    return total;
  }, 0);
  const { loss: actual } = await fit(options);
  expect(Math.abs(actual! / (expected / (25 * n)) - 1)).toBeLessThan(1e-5);
});
