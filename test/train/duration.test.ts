/** The length of runs and the times of their events, in steps and in epochs. */
import { describe, expect, test } from 'vitest';
import { crossEntropy, fit, mean, reference, square, sub, sum } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { bytes, eventsOf, folder, tinyRun } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 22, classes: 3, seed: 1 });
const held = synthetic({ kind: 'blobs', n: 5, classes: 3, seed: 2 });
const run = {
  model: nn.mlp([2, 3]),
  backend: reference(),
  optimizer: sgd({ lr: 0.1 }),
  data: loader(points, { batchSize: 4, partial: 'drop' }),
} as const;

describe('epochs', () => {
  test.each([
    [3, 'drop', 15],
    [0.5, 'drop', 3],
    [1.7, 'drop', 9],
    [2, 'wrap', 12], // 5.5 batches an epoch, rounded to 6
  ] as const)('%d epochs, %s: %d steps', async (epochs, partial, steps) => {
    const data = loader(points, { batchSize: 4, partial });
    expect((await fit({ ...run, data, epochs })).step).toBe(steps);
  });

  test('give the same bytes as their number of steps', async () => {
    const [a, b] = [await fit({ ...run, epochs: 2 }), await fit({ ...run, steps: 10 })];
    expect(bytes(a.state)).toEqual(bytes(b.state));
  });

  test('evaluations and checkpoints are due at the ends of epochs', async () => {
    const every = { epochs: 0.5 };
    const { events } = await eventsOf({
      ...run,
      epochs: 2,
      eval: { data: held, every },
      checkpoint: { dir: folder(), every: { epochs: 1 } },
    });
    const steps = (type: string) => events.flatMap((event) => (event.type === type ? [event.step] : []));
    expect(steps('eval')).toEqual([0, 3, 5, 8, 10]);
    expect(steps('checkpoint')).toEqual([5, 10]);
  });
});

describe('the loss and the metrics of evaluations', () => {
  const twice = (output: Parameters<typeof crossEntropy>[0], targets: typeof output) =>
    crossEntropy(output, targets, { reduction: 'none' }).mul(2);

  test('are their own, and training keeps its bytes', async () => {
    const data = { data: held, every: 5 };
    const plain = await fit({ ...run, steps: 5, eval: data });
    const own = await fit({
      ...run,
      steps: 5,
      eval: {
        ...data,
        loss: twice,
        metrics: { spread: (output) => sum(square(sub(output, mean(output))), 1) },
      },
    });
    expect(own.last!.loss).toBeCloseTo(2 * plain.last!.loss, 5);
    expect(Object.keys(own.last!.metrics)).toEqual(['spread']);
    expect(bytes(own.state)).toEqual(bytes(plain.state));
  });

  test('default to those of training', async () => {
    const { events } = await eventsOf({ ...run, steps: 1, loss: twice, eval: { data: held, every: 1 } });
    const plain = await eventsOf({ ...run, steps: 1, eval: { data: held, every: 1 } });
    const first = (all: typeof events) => all.find((event) => event.type === 'eval')!.loss;
    expect(first(events)).toBeCloseTo(2 * first(plain.events), 5);
  });
});

test('checkpoints by epochs resume to the same bytes', async () => {
  const dir = folder();
  const { steps: _, ...rest } = tinyRun();
  const whole = await fit({ ...rest, epochs: 3 });
  const checkpoint = { dir, every: { epochs: 1.5 }, resume: true };
  await fit({ ...rest, epochs: 2, checkpoint });
  const { state, step } = await fit({ ...rest, epochs: 3, checkpoint });
  expect(step).toBe(9);
  expect(bytes(state)).toEqual(bytes(whole.state));
});
