import { expect, test } from 'vitest';
import { evaluate, fit, reference } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { arrays, loader, type Loader } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { custom } from 'cyclegrad/schedulers';
import { oracle, toHost } from '../oracle/load.ts';

test("the oracle's training run: Caffe's layers and solver, five updates with a moving rate", async () => {
  const known = oracle.trajectory;
  const from = (name: string) => ({
    init: nn.init.fromArray(toHost(known.initial[name])),
    ...known.specs[name],
  });
  const conv = (name: string, inputs: number, outputs: number) =>
    nn.conv2d(inputs, outputs, 5, { padding: 'same', ...from(`${name}.weight`), bias: from(`${name}.bias`) });
  const norm = nn.lrn({ region: 'within-channel', ...known.lrn });
  const model = nn.sequential({
    input: nn.normalize(128),
    conv1: conv('conv1', 3, 4),
    pool1: nn.maxPool2d(3, 2, { ceil: true }),
    relu1: nn.relu(),
    norm1: norm, // prettier-ignore
    conv2: conv('conv2', 4, 5),
    relu2: nn.relu(),
    pool2: nn.avgPool2d(3, 2, { ceil: true }),
    norm2: norm, // prettier-ignore
    conv3: conv('conv3', 5, 6),
    relu3: nn.relu(),
    pool3: nn.avgPool2d(3, 2, { ceil: true }),
    flat: nn.flatten(), // prettier-ignore
    fc: nn.dense(6, 4, { ...from('fc.weight'), bias: from('fc.bias') }),
  });
  const data = arrays(
    { shape: known.images.shape, data: Uint8Array.from(known.images.data, (value) => value + 128) },
    Int32Array.from(known.labels.data),
    { classes: 4 },
  );
  const inOrder = loader(data, { batchSize: 4, shuffle: false });
  const batches: Loader = {
    ...inOrder,
    withSeed: () => batches,
    batch: (step) => ({ indices: Uint32Array.from(known.batches[step]), augmentation: null }),
  };
  const losses: number[] = [];
  const backend = reference({ precision: 'f64' });
  const { state } = await fit({
    model,
    backend,
    steps: known.losses.length,
    data: batches,
    optimizer: sgd({
      lr: custom({ name: 'oracle', fn: (step) => known.lr[step] }),
      momentum: known.momentum,
      weightDecay: known.weightDecay,
      form: 'caffe',
    }),
    listeners: [(event) => void (event.type === 'step' && losses.push(event.loss))],
  });
  losses.forEach((loss, step) => expect(loss).toBeCloseTo(known.losses[step], 7));
  for (const [name, expected] of Object.entries(known.final)) {
    expected.data.forEach((value, i) => {
      expect(Math.abs(state[name].data[i] - value), `${name}[${i}]`).toBeLessThan(1e-7);
    });
  }
  const { loss } = await evaluate({ model, state, data, backend });
  expect(Number.isFinite(loss)).toBe(true);
});
