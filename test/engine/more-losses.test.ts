// Weights, ignored labels, probabilities and losses of embeddings: values written out, and messages.
/* oxlint-disable vitest/expect-expect -- close asserts */
import { describe, expect, it } from 'vitest';
import * as ops from '../../engine/ops/index.ts';
import { tensor, zeros } from '../../engine/ops/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { describeEachBackend, ints } from './each-backend.ts';

const even = tensor([
  [0, 0],
  [0, 0],
  [0, 0],
]);
const LN2 = Math.LN2;

describeEachBackend(({ values, gradient }) => {
  const close = async (got: Promise<number[]>, want: readonly number[]): Promise<void> => {
    const list = await got;
    expect(list.length).toBe(want.length);
    list.forEach((value, i) => expect(value).toBeCloseTo(want[i], 6));
  };

  it('the mean of weighted classes divides by the weights of the labels', async () => {
    const logits = tensor([
      [0, 0],
      [0, Math.log(3)],
    ]);
    const options = { weight: [1, 3] };
    await close(values(ops.crossEntropy(logits, ints(0, 1), options)), [(LN2 + 3 * Math.log(4 / 3)) / 4]);
    await close(values(ops.crossEntropy(logits, ints(0, 1), { ...options, reduction: 'none' })), [
      LN2,
      3 * Math.log(4 / 3),
    ]);
  });

  it('ignored labels may be no class, and have no gradient', async () => {
    const loss = (x: ops.TensorLike): ReturnType<typeof ops.crossEntropy> =>
      ops.crossEntropy(ops.reshape(x, [3, 2]), ints(0, 255, 1), { ignoreIndex: 255 });
    await close(values(loss(even)), [LN2]);
    await close(gradient(loss, [0, 0, 5, 1, 0, 0]), [-0.25, 0.25, 0, 0, 0.25, -0.25]);
    await close(
      values(ops.crossEntropy(even, ints(-1, -1, -1), { ignoreIndex: -1, reduction: 'none' })),
      [0, 0, 0],
    );
    expect(await values(ops.crossEntropy(even, ints(-1, -1, -1), { ignoreIndex: -1 }))).toEqual([NaN]);
  });

  it('the loss of an image is the mean over its pixels that count', async () => {
    const logits = zeros([2, 1, 3, 2]);
    const labels = tensor([[[0, 1, 9]], [[9, 9, 9]]], { dtype: 'i32' });
    await close(values(ops.crossEntropy(logits, labels, { ignoreIndex: 9, reduction: 'none' })), [LN2, 0]);
    await close(values(ops.crossEntropy(logits, labels, { ignoreIndex: 9 })), [LN2]);
  });

  it('a label is the probability 1', async () => {
    const logits = tensor([[2, -1, 0.5]]);
    const [hard, soft] = [ints(2), tensor([[0, 0, 1]])];
    const options = { weight: [1, 2, 3], labelSmoothing: 0.3, reduction: 'none' } as const;
    await close(
      values(ops.crossEntropy(logits, soft, options)),
      await values(ops.crossEntropy(logits, hard, options)),
    );
  });

  it('posWeight multiplies the loss of positive targets', async () => {
    await close(values(ops.binaryCrossEntropy([0, 0], [1, 0], { posWeight: 3, reduction: 'none' })), [
      3 * LN2,
      LN2,
    ]);
    await close(
      gradient((x) => ops.binaryCrossEntropy(x, [1, 0], { posWeight: 3 }), [0, 0]),
      [-0.75, 0.25],
    );
  });

  it('distances of output and target', async () => {
    expect(await values(ops.meanAbsoluteError([1, 2], [3, 2], { reduction: 'sum' }))).toEqual([2]);
    expect(await gradient((x) => ops.meanAbsoluteError(x, [3, 2]), [1, 2])).toEqual([-0.5, 0]);
    expect(await values(ops.smoothL1Loss([0.25, 3], [0, 0], { beta: 0.5, reduction: 'none' }))).toEqual([
      0.0625, 2.75,
    ]);
  });

  it('a cosine with a zero vector is 0', async () => {
    expect(await values(ops.cosineSimilarity([[0, 0]], [[1, 2]]))).toEqual([0]);
    await close(values(ops.cosineSimilarity([[1e30, 0]], [[1e30, 1e30]])), [Math.SQRT1_2]);
  });

  it('a cosine counts its axis in the broadcast shape', async () => {
    await close(
      values(
        ops.cosineSimilarity(
          [
            [1, 0],
            [0, 1],
          ],
          [1, 3],
          0,
        ),
      ),
      [Math.SQRT1_2, Math.SQRT1_2],
    );
  });

  it('the gradient of a cosine is that of its formula where a vector is shorter than epsilon', async () => {
    await close(
      gradient((x) => ops.cosineSimilarity(x, [1, 0], 0, { epsilon: 1 }), [0.3, 0.4]),
      [1, 0],
    );
  });

  it('triplets that are far enough apart cost nothing', async () => {
    const [anchor, near, far] = [tensor([[0, 0]]), tensor([[3, 4]]), tensor([[0, 8]])];
    await close(values(ops.tripletMarginLoss(anchor, near, far)), [0]);
    expect((await values(ops.tripletMarginLoss(anchor, near, far, { margin: 4 })))[0]).toBeCloseTo(1, 5);
    expect(
      (await values(ops.tripletMarginLoss(anchor, near, far, { margin: 4, swap: true })))[0],
    ).toBeCloseTo(4, 5);
  });
});

describe('losses for the trainer', () => {
  it.each([
    [
      nn.binaryCrossEntropyLoss({ posWeight: 3 })([0], [1]),
      ops.binaryCrossEntropy([0], [1], { posWeight: 3 }),
    ],
    [nn.smoothL1Loss({ beta: 0.5 })([3], [0]), ops.smoothL1Loss([3], [0], { beta: 0.5 })],
    [
      nn.crossEntropyLoss({ weight: [1, 2, 3] })([[1, 2, 3]], [[0, 0, 1]]),
      ops.crossEntropy([[1, 2, 3]], [[0, 0, 1]], { weight: [1, 2, 3] }),
    ],
  ])('have the value of the operation', async (layer, operation) => {
    expect(await layer.data()).toEqual(await operation.data());
  });
});

describe('messages', () => {
  it.each<readonly [() => unknown, string]>([
    [
      () => ops.crossEntropy(even, ints(0, 1, 0), { weight: [1, 2, 3] }),
      'crossEntropy: weight must have one number for each of the 2 classes but got f32 [3]',
    ],
    [
      () => ops.crossEntropy(even, ints(0, 1, 0), { classWeights: [1, 2] } as object),
      "did you mean 'weight'?",
    ],
    [
      () => ops.crossEntropy(even, ints(0, 1, 0), { ignoreIndex: 0.5 }),
      'crossEntropy: ignoreIndex must be an integer',
    ],
    [
      () => ops.crossEntropy(even, even, { ignoreIndex: 1 }),
      'crossEntropy: ignoreIndex is for class labels, but the target f32 [3,2] is probabilities',
    ],
    [
      () => ops.crossEntropy(zeros([2, 3, 4, 5]), zeros([2, 4, 5], 'i32')),
      'crossEntropy: logits f32 [2,3,4,5] need labels i32 [2,3,4] but got i32 [2,4,5] ' +
        '(classes come last; this looks like [N, classes, ...]: transpose the logits)',
    ],
    [() => ops.crossEntropy([1, 2], ints(0)), 'crossEntropy: expects logits [N, classes] but got f32 [2]'],
    [() => ops.crossEntropy(ints(0), even), 'logits come first and labels second'],
    [
      () => ops.binaryCrossEntropy([1, 2], [0, 1], { posWeight: [[1], [2]] }),
      'binaryCrossEntropy: posWeight f32 [2,1] does not broadcast to logits f32 [2]',
    ],
    [() => ops.smoothL1Loss([1], [1], { beta: 0 }), 'smoothL1Loss: beta must be a number > 0, got 0'],
    [() => ops.smoothL1Loss([1], [1], { delta: 1 } as object), "smoothL1Loss: unknown option 'delta'"],
    [
      () => ops.meanAbsoluteError([1], [1, 2]),
      'meanAbsoluteError: expects an output and a target f32 of the same shape',
    ],
    [() => ops.cosineSimilarity([[1]], [[1]], 2), 'cosineSimilarity: axis 2 does not exist'],
    [
      () => ops.cosineSimilarity([1], [1], 0, { epsilon: 0 }),
      'cosineSimilarity: epsilon must be a number > 0, got 0',
    ],
    [
      () => ops.cosineSimilarity([[1, 2]], [1, 2, 3]),
      'cosineSimilarity: shapes [1,2] and [3] do not broadcast',
    ],
    [() => nn.crossEntropyLoss({ ignoreIndex: 0.5 }), 'crossEntropyLoss: ignoreIndex must be an integer'],
    [() => nn.crossEntropyLoss({ weight: 'all' } as object), 'crossEntropyLoss: weight: expects numbers'],
    [
      () => ops.cosineEmbeddingLoss(even, even, [1, 1]),
      'cosineEmbeddingLoss: pairs f32 [3,2] need labels [3] but got f32 [2]',
    ],
    [
      () => ops.cosineEmbeddingLoss(even, even, [1, 1, 1], { margin: 2 }),
      'margin must be a number from -1 to 1, got 2',
    ],
    [
      () => ops.tripletMarginLoss(even, even, [[1, 2]]),
      'tripletMarginLoss: expects vectors [N, D] of one shape but got f32 [3,2] and f32 [3,2] and f32 [1,2]',
    ],
    [
      () => ops.tripletMarginLoss(even, even, even, { order: 0.5 }),
      'tripletMarginLoss: order must be an integer >= 1',
    ],
  ])('%s', (call, message) => {
    expect(call).toThrow(message);
  });
});
