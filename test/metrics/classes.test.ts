/** The confusion matrix and what follows from it. */
import { describe, expect, it } from 'vitest';
import { accuracy, evaluate, fit, reference, wasm } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import { confusionMatrix, f1, meanIoU, precision, recall, type Accumulator } from 'cyclegrad/metrics';
import { mlp } from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { labelsOf, scoresOf, tensorOf } from './fixture.ts';

const LABELS = [0, 0, 0, 1, 1, 2, 2];
const PREDICTED = [0, 0, 1, 1, 2, 2, 0];
const oneHot = (classes: number, predicted: readonly number[]): number[] =>
  predicted.flatMap((p) => Array.from({ length: classes }, (_, c) => Number(c === p)));
const logits = tensorOf([7, 4], oneHot(4, PREDICTED));
const labels = labelsOf([7], LABELS);

describe('the confusion matrix', () => {
  it('has labels in rows and predictions in columns', async () => {
    const { metrics, details } = await scoresOf(logits, labels, { confusion: confusionMatrix() });
    expect(details['confusion']).toEqual({
      matrix: [
        [2, 1, 0, 0],
        [0, 1, 1, 0],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
      ],
    });
    expect(metrics['confusion']).toBeCloseTo(4 / 7, 12);
  });

  it.each([1, 2, 7, 100])('does not depend on batches of %i', async (batchSize) => {
    const shared = { confusion: confusionMatrix() };
    const { details } = await scoresOf(logits, labels, shared, batchSize);
    expect(details).toEqual((await scoresOf(logits, labels, shared)).details);
  });

  it('leaves out the ignored label', async () => {
    const metrics = { confusion: confusionMatrix({ ignoreIndex: 2 }) };
    expect((await scoresOf(logits, labels, metrics)).details['confusion'].matrix).toEqual([
      [2, 1, 0, 0],
      [0, 1, 1, 0],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
  });

  it('takes one logit for labels 0 and 1, as floats too', async () => {
    const single = tensorOf([4, 1], [-1, 2, 0, -3]);
    const matrix = [
      [1, 0],
      [1, 2],
    ];
    for (const y of [labelsOf([4], [0, 1, 1, 1]), tensorOf([4, 1], [0, 1, 1, 1])]) {
      const { details } = await scoresOf(single, y, { confusion: confusionMatrix() });
      expect(details['confusion'].matrix).toEqual(matrix);
    }
  });

  it('refuses other shapes', async () => {
    await expect(
      scoresOf(tensorOf([2, 2, 3], Array(12).fill(0)), labelsOf([2], [0, 1]), { f1: f1() }),
    ).rejects.toThrow(
      'f1: expects logits [N, …, classes] and labels i32 [N, …], or one logit for each label 0 or 1, but got f32 [3,2,3] and i32 [3]',
    );
  });
});

describe('precision, recall, F1 and intersection over union', () => {
  // Class 0: 2 hits of 3 labels and 3 predictions. Class 1: 1 of 2 and 2. Class 2: 1 of 2 and 2. Class 3 does not occur.
  const THIRDS = [2 / 3, 1 / 2, 1 / 2, NaN];
  it.each([
    ['precision', precision, THIRDS, 4 / 7],
    ['recall', recall, THIRDS, 4 / 7],
    ['f1', f1, THIRDS, 4 / 7],
    ['meanIoU', meanIoU, [2 / 4, 1 / 3, 1 / 3, NaN], 4 / 10],
  ] as const)('%s', async (_, metric, perClass, micro) => {
    const macro = perClass.slice(0, 3).reduce((a, b) => a + b) / 3;
    const { metrics, details } = await scoresOf(logits, labels, {
      macro: metric(),
      micro: metric({ average: 'micro' }),
      binary: metric({ average: 'binary' }),
    });
    expect(details['macro'].perClass).toEqual(perClass);
    expect(metrics['macro']).toBeCloseTo(macro, 12);
    expect(metrics['micro']).toBeCloseTo(micro, 12);
    expect(metrics['binary']).toBeCloseTo(perClass[1], 12);
  });

  it('a class that is never predicted has precision 0, and one without examples recall 0', async () => {
    const { details } = await scoresOf(tensorOf([2, 3], oneHot(3, [0, 2])), labelsOf([2], [0, 1]), {
      p: precision(),
      r: recall(),
    });
    expect(details['p'].perClass).toEqual([1, 0, 0]);
    expect(details['r'].perClass).toEqual([1, 0, 0]);
  });

  it('counts the pixels of masks', async () => {
    const pixels = tensorOf([2, 1, 3, 2], oneHot(2, [0, 1, 1, 0, 0, 1]));
    const masks = labelsOf([2, 1, 3], [0, 1, 0, 0, 1, 1]);
    const { metrics, details } = await scoresOf(pixels, masks, { iou: meanIoU() }, 1);
    expect(details['iou'].perClass).toEqual([2 / 4, 2 / 4]);
    expect(metrics['iou']).toBe(0.5);
  });

  it('rejects unknown averages', () => {
    expect(() => f1({ average: 'weighted' as never })).toThrow(
      "f1: average must be 'macro' or 'micro' or 'binary', got 'weighted'",
    );
  });
});

it('fit evaluates accumulators beside means, and trains without them', async () => {
  const data = synthetic({ kind: 'spirals', n: 60, seed: 1 });
  const model = mlp([2, 8, 3]);
  const backend = await wasm({ threads: 2 });
  const seen: object[] = [];
  const { state, last } = await fit({
    model,
    backend,
    steps: 4,
    data: loader(data, { batchSize: 16 }),
    eval: { data, every: 2, batchSize: 13 },
    optimizer: sgd({ lr: 0.1 }),
    metrics: { f1: f1(), accuracy, confusion: confusionMatrix() },
    listeners: [(event) => void (event.type === 'step' && seen.push(Object.keys(event.metrics)))],
  });
  await backend.close();
  expect(seen).toEqual([['accuracy'], ['accuracy'], ['accuracy'], ['accuracy']]);
  const again = await evaluate({
    model,
    state,
    data,
    backend: reference(),
    metrics: { f1: f1(), confusion: confusionMatrix() },
  });
  expect(Object.keys(last!.metrics)).toEqual(['accuracy', 'f1', 'confusion']);
  expect(last!.metrics['f1']).toBe(again.metrics['f1']);
  expect(last!.metrics['confusion']).toBeCloseTo(last!.metrics['accuracy'], 12);
  expect(again.details['confusion'].matrix!.flat().reduce((a, b) => a + b)).toBe(60);
});

it('an accumulator needs a row for each example', async () => {
  const broken: Accumulator = {
    kind: 'broken',
    measure: (output) => ({
      rows: { all: output.sum() },
      start: () => ({ add: () => undefined, result: () => ({ value: 0 }) }),
    }),
  };
  await expect(scoresOf(logits, labels, { broken })).rejects.toThrow(
    'evaluate: metric broken: all must have one row per example, [3, …], got f32 [] (do not reduce the first axis)',
  );
});
