/** What the trainer asks of a loss and of a metric: one number per example. */
import { expect, it } from 'vitest';
import {
  accuracy,
  crossEntropy,
  evaluate,
  meanSquaredError,
  reference,
  type EvaluateOptions,
  type Evaluation,
} from 'cyclegrad';
import { arrays } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';

const x = Float32Array.from({ length: 16 }, (_, i) => Math.sin(i));
const labels = arrays({ shape: [8, 2], data: x }, [0, 1, 2, 0, 1, 2, 0, 1]);
const dense = arrays({ shape: [8, 2], data: x }, { shape: [8, 3], data: new Float32Array(24) });
const model = nn.mlp([2, 3]);

const run = (options: Partial<EvaluateOptions>): Promise<Evaluation> =>
  evaluate({
    model,
    state: nn.initState(model, null, 1),
    data: labels,
    backend: reference({ precision: 'f64' }),
    batchSize: 3, // the last batch is padded
    ...options,
  });

it('crossEntropy and accuracy are what classifiers get by default', async () => {
  const named = await run({ loss: crossEntropy, metrics: { accuracy } });
  expect({ ...named, ms: 0 }).toEqual({ ...(await run({})), ms: 0 });
});

it('a loss with options is made by nn, or by passing the third argument on', async () => {
  const { loss } = await run({ loss: nn.crossEntropyLoss({ labelSmoothing: 0.1 }) });
  const passed = await run({
    loss: (output, targets, options) => crossEntropy(output, targets, { ...options, labelSmoothing: 0.1 }),
  });
  expect(loss).toBe(passed.loss);
  expect(loss).not.toBe((await run({})).loss);
});

it('every loss of targets as large as the output can be given by its name', async () => {
  const all = [meanSquaredError, nn.huberLoss({ delta: 0.5 }), nn.focalLoss({ gamma: 1 }), nn.diceLoss()];
  const losses = await Promise.all(all.map((loss) => run({ data: dense, loss })));
  expect(losses.every(({ loss }) => loss > 0)).toBe(true);
  expect(new Set(losses.map(({ loss }) => loss)).size).toBe(all.length);
});

it('a scalar is refused, and the error names the fix', async () => {
  await expect(run({ loss: (output, targets) => crossEntropy(output, targets) })).rejects.toThrow(
    'loss must return one number per example, f32 [3], got f32 [] ' +
      '(pass the third argument on, for instance crossEntropy(output, targets, options))',
  );
  await expect(run({ metrics: { right: (output, targets) => accuracy(output, targets) } })).rejects.toThrow(
    'metric right must return one number per example',
  );
});
