// The reference backend: single precision against double, and the contract that every backend keeps.
/* oxlint-disable vitest/expect-expect -- expectClose asserts */

import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import {
  batchNorm,
  batchNormInference,
  broadcastTo,
  cast,
  accuracy,
  dropout,
  matmul,
  normalizeImages,
  reshape,
  scalar,
  sum,
  gather,
  tensor,
  transpose,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { key, philox } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { cases, runCase } from '../cases/index.ts';
import { expectClose } from './compare.ts';
import { describeContractOf } from './conformance.ts';

// Its kernels are what conformance compares others with: here they are compared with double precision instead.
describeContractOf('reference f32', () => reference());

describe('reference: single precision agrees with double', () => {
  const single = new Evaluator(reference());
  const double = new Evaluator(reference({ precision: 'f64' }));
  afterAll(() => Promise.all([single.close(), double.close()]));

  // Where single precision overflows, underflows or has no digits left, double does not.
  const differs = /special values|large logits|small arguments|mean far from 0/;
  it.each(cases.filter((item) => !differs.test(item.name)))('$name', async (item) => {
    const [got, want] = [await runCase(single, item), await runCase(double, item)];
    const tolerance = Math.max(item.tolerance, 2e-6);
    want.results.forEach((value, i) => expectClose(`result ${i}`, got.results[i], value, tolerance));
    for (const [name, value] of want.gradients) {
      expectClose(`gradient of ${name}`, got.gradients.get(name)!, value, 2 * tolerance);
    }
  });
});

describe('reference', () => {
  it('keeps double precision in f64 mode, and rounds once in f32 mode', async () => {
    const third = Float64Array.of(1 / 3);
    const [double] = await new Evaluator(reference({ precision: 'f64' })).evaluate([sum(tensor(third))]);
    expect(double.data).toEqual(third);
    const [single] = await new Evaluator(reference()).evaluate([sum(tensor(third))]);
    expect([...single.data]).toEqual([Math.fround(1 / 3)]);
    // 1 + 2^-24 · 2 in sequence would stay 1 in single precision.
    const terms = tensor([[1, 2 ** -24, 2 ** -24]]);
    const [dot] = await new Evaluator(reference()).evaluate([matmul(terms, [[1], [1], [1]])]);
    expect(dot.data[0]).toBe(1 + 2 ** -23);
  });

  it('says which precision it runs in and refuses others', () => {
    expect(() => reference({ precision: 'f16' as 'f32' })).toThrow(
      new RangeError(`reference: precision must be 'f32' or 'f64', got 'f16'`),
    );
  });
});

// PyTorch covers the rest (pytorch.test.ts); these have no counterpart there.
describe('the specification, by hand', () => {
  const evaluator = new Evaluator(reference());
  afterAll(() => evaluator.close());
  const values = async (t: Tensor): Promise<number[]> => [...(await evaluator.evaluate([t]))[0].data];

  it('transpose and broadcastTo', async () => {
    const x = tensor([
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    expect(transpose(x, [2, 0, 1]).shape).toEqual([3, 1, 2]);
    expect(await values(transpose(x, [2, 0, 1]))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(await values(transpose(x))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(await values(broadcastTo([[1], [2]], [2, 2, 3]))).toEqual([1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
  });

  it('a batch of products multiplies matrix by matrix', async () => {
    const a = tensor([[[1, 2]], [[3, 4]]]);
    const b = tensor([
      [[5], [6]],
      [[7], [8]],
    ]);
    expect(await values(matmul(a, b))).toEqual([17, 53]);
    expect(await values(matmul(a, b, { transA: true, transB: true }))).toEqual([
      5, 6, 10, 12, 21, 24, 28, 32,
    ]);
  });

  it('max gives the position along the reduced axis', async () => {
    const [y, at] = ops.max(
      [
        tensor([
          [
            [1, 9],
            [5, 9],
            [5, 2],
          ],
        ]),
      ],
      {},
    );
    expect([await values(y), await values(at)]).toEqual([
      [5, 9],
      [1, 0],
    ]);
  });

  it('maxPool2d gives the position in the image as y · W + x', async () => {
    const x = reshape(tensor([1, 2, 3, 4, 9, 6, 7, 8, 5]), [1, 3, 3, 1]);
    const attrs = {
      kernel: [2, 2],
      stride: [1, 1],
      pad: [0, 0, 0, 0],
      input: [3, 3],
      output: [2, 2],
      insideOnly: false,
    } as const;
    const [y, at] = ops.maxPool2d([x], attrs);
    expect([await values(y), await values(at)]).toEqual([
      [9, 9, 9, 9],
      [4, 4, 4, 4],
    ]);
  });

  it('batchNorm without scale and shift, in training and at inference', async () => {
    const x = tensor([
      [1, 10],
      [3, 30],
    ]);
    const { y, mean, variance } = batchNorm(x, { epsilon: 0 });
    expect([await values(y), await values(mean), await values(variance)]).toEqual([
      [-1, -1, 1, 1],
      [2, 20],
      [1, 100],
    ]);
    expect(await values(batchNormInference(x, [1, 20], [4, 25], { epsilon: 0 }))).toEqual([0, -2, 1, 2]);
  });

  it('softmax cross-entropy gives the softmax, too', async () => {
    const [loss, softmax] = ops.softmaxCrossEntropy(
      [tensor([[0, Math.log(3)]]), tensor(Int32Array.of(0))],
      {},
    );
    expect(await values(loss)).toEqual([expect.closeTo(Math.log(4), 6)]);
    expect(await values(softmax)).toEqual([expect.closeTo(0.25, 6), expect.closeTo(0.75, 6)]);
  });

  it('correct: the first largest logit counts, a row with NaN is wrong', async () => {
    const logits = tensor([
      [1, 5, 5],
      [1, 5, 5],
      [5, NaN, 1],
      [NaN, 1, 1],
    ]);
    expect(await values(accuracy(logits, tensor(Int32Array.of(1, 2, 0, 0)), { reduction: 'none' }))).toEqual([
      1, 0, 0, 0,
    ]);
  });

  it('dropout keeps by the words of the Philox block of (element, step) and scales what it keeps', async () => {
    const k = key(5, 'mask');
    const step = 9;
    const block = new Uint32Array(4);
    for (const rate of [0, 0.2, 0.5, 0.9]) {
      const expected = Array.from({ length: 10 }, (_, i) => {
        philox(k, Math.floor(i / 4), 0, step, 0, block);
        return block[i % 4] >= rate * 2 ** 32 ? Math.fround((i + 1) / (1 - rate)) : 0;
      });
      const x = tensor(Float32Array.from({ length: 10 }, (_, i) => i + 1));
      // oxlint-disable-next-line no-await-in-loop -- one rate after the other
      expect(await values(dropout(x, rate, k, scalar(step, 'i32')))).toEqual(expected);
    }
  });

  it('dropout keeps the share and the mean', async () => {
    const kept = await values(
      dropout(tensor(new Float32Array(40_000).fill(1)), 0.3, key(1, 'm'), scalar(0, 'i32')),
    );
    expect(kept.filter((v) => v === 0).length / kept.length).toBeCloseTo(0.3, 2);
    expect(kept.reduce((a, b) => a + b) / kept.length).toBeCloseTo(1, 2);
  });

  it('gather takes rows of every dtype', async () => {
    const index = tensor(Int32Array.of(2, 0, 2));
    const bytes = tensor(Uint8Array.of(1, 2, 3, 4, 5, 6), { shape: [3, 2] });
    expect(gather(bytes, index).dtype).toBe('u8');
    expect(await values(gather(bytes, index))).toEqual([5, 6, 1, 2, 5, 6]);
    expect(await values(gather(tensor(Int32Array.of(7, 8, -9)), index))).toEqual([-9, 7, -9]);
  });

  it('normalizeImages: (x − mean) · scale, then moved by the draws, with 0 outside', async () => {
    // prettier-ignore
    const image = reshape(tensor(Uint8Array.of(
      1, 2, 3,
      4, 5, 6,
    )), [1, 2, 3, 1]);
    const moved = (dy: number, dx: number, flip: number) =>
      values(normalizeImages(image, 1, 10, tensor(Int32Array.of(dy, dx, flip), { shape: [1, 3] })));
    expect(await values(normalizeImages(image, 1, 10))).toEqual([0, 10, 20, 30, 40, 50]);
    expect(await moved(0, 0, 0)).toEqual([0, 10, 20, 30, 40, 50]);
    expect(await moved(0, 0, 1)).toEqual([20, 10, 0, 50, 40, 30]);
    expect(await moved(1, 0, 0)).toEqual([30, 40, 50, 0, 0, 0]);
    expect(await moved(0, -1, 0)).toEqual([0, 0, 10, 0, 30, 40]);
    // Mirrored, then shifted: output column j shows source column (2 − j) + 1.
    expect(await moved(-1, 1, 1)).toEqual([0, 0, 0, 0, 20, 10]);
    expect(await moved(5, 0, 0)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('normalizeImages: mean and scale per channel and per pixel belong to the source pixel', async () => {
    const images = tensor(Uint8Array.of(10, 20, 30, 40), { shape: [1, 1, 2, 2] }); // two pixels of two channels
    expect(await values(normalizeImages(images, [1, 2], [1, 10]))).toEqual([9, 180, 29, 380]);
    const flip = tensor(Int32Array.of(0, 0, 1), { shape: [1, 3] });
    const mean = tensor([
      [
        [1, 2],
        [3, 4],
      ],
    ]);
    expect(await values(normalizeImages(images, mean, 1, flip))).toEqual([27, 36, 9, 18]);
  });

  it('cast keeps every byte and integers up to 2^24', async () => {
    expect(await values(cast(tensor(Uint8Array.of(0, 255))))).toEqual([0, 255]);
    expect(await values(cast(tensor(Int32Array.of(-3, 2 ** 24))))).toEqual([-3, 2 ** 24]);
    const x = tensor([1]);
    expect(cast(x)).toBe(x);
  });
});
