/** Metrics and losses of several outputs and targets, and their messages. */
import { describe, expect, it } from 'vitest';
import {
  accuracy,
  crossEntropy,
  evaluate,
  meanSquaredError,
  reference,
  zeros,
  type LossFunction,
  type Metric,
  type Tensor,
} from 'cyclegrad';
import { arrays } from 'cyclegrad/datasets';
import {
  auc,
  averagePrecision,
  confusionMatrix,
  f1,
  meanAveragePrecision,
  meanIoU,
  onTarget,
  topKAccuracy,
} from 'cyclegrad/metrics';
import * as nn from 'cyclegrad/nn';
import { labelsOf, scoresOf, tensorOf } from './fixture.ts';

const waves = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i));
const x = { shape: [6, 4], data: waves(24) };
const kinds = Int32Array.of(0, 1, 2, 2, 1, 0);
const data = arrays(x, { kind: kinds, size: { shape: [6, 1], data: waves(6) } });
const heads = nn.module(
  { kind: nn.dense(4, 3), size: nn.dense(4, 1) },
  (input, { kind, size }) => ({ kind: kind(input), size: size(input) }),
  'heads',
);
const state = nn.initState(heads, null, 1);

type Both = Readonly<Record<string, Tensor>>;
type AnyMetric = Metric<Both, Both>;
const kindLoss: LossFunction<Both, Both> = (output, targets, options) =>
  crossEntropy(output['kind'], targets['kind'], options);

const scores = (metrics: Readonly<Record<string, AnyMetric>>, loss = kindLoss) =>
  evaluate({ model: heads, state, data, backend: reference(), loss, metrics, batchSize: 4 });

describe('onTarget', () => {
  it('gives the metrics of the one target', async () => {
    const named = await scores({
      f1: onTarget('kind', f1()),
      accuracy: onTarget('kind', accuracy),
      other: onTarget('size', meanSquaredError, { output: 'size' }),
    });
    const alone = await evaluate({
      model: nn.module({ kind: nn.dense(4, 3) }, (input, { kind }) => kind(input)),
      state: { 'kind.weight': state['kind.weight'], 'kind.bias': state['kind.bias'] },
      data: arrays(x, kinds),
      backend: reference(),
      metrics: { f1: f1(), accuracy },
    });
    expect(named.metrics['f1']).toBe(alone.metrics['f1']);
    expect(named.details['f1']).toEqual(alone.details['f1']);
    expect(named.metrics['accuracy']).toBe(alone.metrics['accuracy']);
    expect(named.metrics['other']).toBeGreaterThan(0);
  });

  it('is a loss too', async () => {
    const { loss } = await scores({}, onTarget('kind', crossEntropy));
    expect(loss).toBe((await scores({})).loss);
  });

  it('rejects names that do not exist', async () => {
    await expect(scores({ m: onTarget('kinds', f1()) })).rejects.toThrow(
      "evaluate: metric m: onTarget: there is no output called 'kinds' (did you mean 'kind'? known: kind, size); there are " +
        'outputs kind f32 [4,3], size f32 [4,1] and targets kind i32 [4], size f32 [4,1]',
    );
    await expect(scores({ m: onTarget('age', f1(), { output: 'kind' }) })).rejects.toThrow(
      "metric m: onTarget: there is no target called 'age' (known: kind, size)",
    );
  });

  it('rejects what is no name and no metric', () => {
    expect(() => onTarget(f1() as never, f1())).toThrow(
      "onTarget: target must be a name, got an object (write onTarget('kind', f1()))",
    );
    expect(() => onTarget('kind', 'f1' as never)).toThrow(
      "onTarget: the second argument must be a metric or a loss, for instance f1() or accuracy, got 'f1'",
    );
  });
});

describe('messages name the metric, the tensors and the fix', () => {
  const detector = meanAveragePrecision({ detections: (output) => ({ boxes: output, scores: output }) });
  it.each<readonly [string, Metric]>([
    ['confusionMatrix', confusionMatrix()],
    ['f1', f1()],
    ['meanIoU', meanIoU()],
    ['auc', auc()],
    ['averagePrecision', averagePrecision()],
    ['topKAccuracy', topKAccuracy(2)],
    ['meanAveragePrecision', detector],
  ])('%s of several targets', async (kind, metric) => {
    await expect(scores({ mine: metric as never })).rejects.toThrow(
      `evaluate: metric mine: ${kind}: takes one output and one target but got outputs kind f32 [4,3], size f32 [4,1] and ` +
        `targets kind i32 [4], size f32 [4,1] (choose them: onTarget('kind', ${kind}(…)))`,
    );
  });

  it('functions of several targets', async () => {
    await expect(
      scores({ mine: (output, targets, options) => accuracy(output['kind'], targets['size'], options) }),
    ).rejects.toThrow(
      'evaluate: metric mine: accuracy: logits f32 [4,3] need labels i32 [4] but got f32 [4,1] (reshape the labels to [4], as integers); ' +
        'there are outputs kind f32 [4,3], size f32 [4,1] and targets kind i32 [4], size f32 [4,1]',
    );
  });

  it('losses of several targets', async () => {
    const wrong: typeof kindLoss = (output, targets, options) =>
      meanSquaredError(output['kind'], targets['size'], options);
    await expect(scores({}, wrong)).rejects.toThrow(
      'evaluate: loss: meanSquaredError: expects an output and a target f32 of the same shape [N, ...] but got f32 [4,3] and f32 [4,1] ' +
        '(the last axis of the output must have 1 elements, or that of the target 3); there are outputs',
    );
  });

  it.each<readonly [string, Metric]>([
    ['f1', f1()],
    ['auc', auc()],
    ['topKAccuracy', topKAccuracy(2)],
  ])('%s of other shapes', async (kind, metric) => {
    const outputs = tensorOf([3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    await expect(scoresOf(outputs, labelsOf([3, 2], [1, 0, 0, 0, 1, 0]), { mine: metric })).rejects.toThrow(
      new RegExp(
        String.raw`^evaluate: metric mine: ${kind}: expects logits .* but got f32 \[3,3\] and i32 \[3,2\] ` +
          String.raw`\(give each of the \[3\] rows one label\)$`,
      ),
    );
  });

  it.each<readonly [string, Metric]>([
    ['f1', f1()],
    ['auc', auc()],
    ['averagePrecision', averagePrecision()],
  ])('%s of labels that are no classes', async (kind, metric) => {
    const outputs = tensorOf([3, 2], [1, 0, 0, 1, 0, 1]);
    await expect(scoresOf(outputs, labelsOf([3], [0, 1, 2]), { mine: metric })).rejects.toThrow(
      `evaluate: metric mine: ${kind}: a label is 2, but the output has 2 classes: 0 … 1 (count classes from 0`,
    );
    await expect(
      scoresOf(tensorOf([3], [1, 2, 3]), tensorOf([3], [0, 0.9, 1]), { mine: metric }),
    ).rejects.toThrow(`${kind}: a label is 0.8999999761581421, but the output has 2 classes`);
  });
});

describe('losses say what to do', () => {
  it.each<readonly [readonly number[], readonly number[], 'f32' | 'i32', string]>([
    [[4, 1], [4], 'f32', '(reshape the target to [4,1])'],
    [[4], [4, 1], 'f32', '(reshape the output to [4,1])'],
    [[4, 3], [4, 3], 'i32', '(write cast(target))'],
    [[4, 3], [4], 'i32', '(for class labels, use crossEntropy, or oneHot(target, 3))'],
    [[4, 3], [4, 2], 'f32', '(the last axis of the output must have 2 elements, or that of the target 3)'],
  ])('meanSquaredError of %j and %j %s', (output, target, dtype, fix) => {
    expect(() => meanSquaredError(zeros(output), zeros(target, dtype))).toThrow(
      `but got f32 [${output.join()}] and ${dtype} [${target.join()}] ${fix}`,
    );
  });

  it.each<readonly [readonly number[], readonly number[], 'f32' | 'i32', string]>([
    [
      [4, 3],
      [4, 1],
      'i32',
      'logits f32 [4,3] need labels i32 [4] but got i32 [4,1] (reshape the labels to [4])',
    ],
    [
      [4, 1],
      [4],
      'f32',
      '(for one output and targets 0 and 1, use binaryCrossEntropy; for class labels, an Int32Array)',
    ],
    [
      [4],
      [4],
      'f32',
      'expects logits [N, classes] but got f32 [4] and targets f32 [4] (for one output and targets 0 and 1, use binaryCrossEntropy)',
    ],
    [[4, 3], [5], 'i32', '(give each of the [4] rows one label)'],
  ])('crossEntropy of %j and %j %s', (output, target, dtype, message) => {
    expect(() => crossEntropy(zeros(output), zeros(target, dtype))).toThrow(message);
  });
});
