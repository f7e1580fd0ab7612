// What reductions and losses do with infinities, NaN, ties and nothing at all.
/* oxlint-disable vitest/expect-expect -- expectRelative asserts */
import { expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor, zeros, type TensorLike } from '../../engine/ops/index.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { bytes, describeEachBackend, ints } from './each-backend.ts';

describeEachBackend(({ evaluate, values, gradient }) => {
  it('argMax and argMin: the first of equals, NaN before every number', async () => {
    expect(await values(ops.argMax([1, 3, 3, 2]))).toEqual([1]);
    expect(await values(ops.argMax([1, NaN, 3, NaN]))).toEqual([1]);
    expect(await values(ops.argMin([2, 1, 1, 5]))).toEqual([1]);
    expect(await values(ops.argMin([2, 1, NaN]))).toEqual([2]);
    expect(await values(ops.min([2, NaN, 1]))).toEqual([NaN]);
    expect(await gradient((x) => ops.min(x), [2, 1, 1])).toEqual([-0, 1, -0]);
  });

  it('means are sums that are divided, and exact where sums are', async () => {
    expect(await values(ops.avgPool2d(ops.reshape([7, -3, -4], [1, 1, 3, 1]), [1, 3]))).toEqual([0]);
    // 49 · (1 / 49) is not 1 in single precision, nor in double.
    expect(await values(ops.mean(ops.ones([49])))).toEqual([1]);
    expect(await values(ops.variance(Array.from({ length: 98 }, (_, i) => i % 2)))).toEqual([0.25]);
    expect(await values(ops.globalAvgPool2d(ops.ones([1, 7, 7, 1])))).toEqual([1]);
  });

  it('any and all of nothing are false and true', async () => {
    expect(await values(ops.any(zeros([0], 'u8')))).toEqual([0]);
    expect(await values(ops.all(zeros([0], 'u8')))).toEqual([1]);
    expect(await values(ops.any(bytes(0, 9)))).toEqual([1]);
    expect(await values(ops.all(bytes(0, 9)))).toEqual([0]);
  });

  it('prod: exact derivatives where elements are 0', async () => {
    expect(await gradient((x) => ops.prod(x), [0, 2, 3])).toEqual([6, 0, 0]);
    expect(await gradient((x) => ops.prod(x), [0, 0, 3])).toEqual([0, 0, 0]);
    expect(await values(ops.prod(zeros([0])))).toEqual([1]);
  });

  it('norm of zeros is 0 with the derivative 0', async () => {
    expect(await values(ops.norm([0, 0]))).toEqual([0]);
    expect(await gradient((x) => ops.norm(x), [0, 0])).toEqual([0, 0]);
    expect(await values(ops.norm([3, -4]))).toEqual([5]);
    expect(await values(ops.norm([3, NaN]))).toEqual([NaN]);
  });

  it('norm of the largest and of the smallest numbers neither overflows nor vanishes', async () => {
    for (const scale of [2 ** 126, 1, 2 ** -126]) {
      expect(await values(ops.norm([3 * (scale / 2), -4 * (scale / 2)]))).toEqual([5 * (scale / 2)]);
      const slopes = await gradient((x) => ops.mul(ops.norm(x), 2), [3 * (scale / 2), -4 * (scale / 2)]);
      expect(slopes).toEqual([expect.closeTo(1.2, 6), expect.closeTo(-1.6, 6)]);
      const cubic = (x: TensorLike): Tensor => ops.norm(x, undefined, { order: 3 });
      const [value] = await values(cubic([scale, scale]));
      expect(value / scale).toBeCloseTo(2 ** (1 / 3), 6);
      expect(await gradient(cubic, [scale, scale])).toEqual([
        expect.closeTo(2 ** (-2 / 3), 6),
        expect.closeTo(2 ** (-2 / 3), 6),
      ]);
    }
    expect(await values(ops.norm([1, -Infinity]))).toEqual([Infinity]);
    expect(await gradient((x) => ops.norm(x), [3e38, 3e38])).toEqual([
      expect.closeTo(Math.SQRT1_2, 6),
      expect.closeTo(Math.SQRT1_2, 6),
    ]);
  });

  it('logSumExp, softmax and logSoftmax of infinities', async () => {
    expect(await values(ops.logSumExp([-Infinity, -Infinity]))).toEqual([-Infinity]);
    expect(await values(ops.logSumExp([1, Infinity]))).toEqual([Infinity]);
    expect(await values(ops.logSumExp([1000, 1000]))).toEqual([expect.closeTo(1000 + Math.LN2, 3)]);
    expect(await values(ops.softmax([-Infinity, 0, 0]))).toEqual([0, 0.5, 0.5]);
    expect(await values(ops.softmax([-Infinity, -Infinity]))).toEqual([NaN, NaN]);
    expect(await values(ops.logSoftmax([-Infinity, 0]))).toEqual([-Infinity, 0]);
    // As PyTorch: the difference of two infinities is everywhere in the row.
    for (const f of [ops.softmax, ops.logSoftmax]) {
      expect(await values(f([Infinity, 0]))).toEqual([NaN, NaN]);
      expect(await values(f([-Infinity, -Infinity]))).toEqual([NaN, NaN]);
    }
    const rows = [
      [Infinity, 0],
      [-Infinity, -Infinity],
      [-Infinity, 0],
    ];
    expect(await values(ops.crossEntropy(rows, ints(0, 0, 1), { reduction: 'none' }))).toEqual([NaN, NaN, 0]);
  });

  /** Relative to each value. */
  const expectRelative = async (t: Tensor, want: readonly number[], tolerance = 1e-6): Promise<void> => {
    const got = await values(t);
    got.forEach((value, i) => expect(value / want[i]).toBeCloseTo(1, -Math.log10(2 * tolerance)));
  };

  it('losses of sure and right predictions keep their digits, and so do the gradients', async () => {
    // log(1 + e^-15), and −1 / (1 + e^15): the loss and the gradient of a logit 15 whose target is 1.
    const [tiny, slope] = [3.0590227e-7, -3.0590222e-7];
    const bce = (z: TensorLike, t: TensorLike): Tensor => ops.binaryCrossEntropy(z, t, { reduction: 'none' });
    await expectRelative(bce([15, -15], [1, 0]), [tiny, tiny]);
    const z = tensor([15, -15]);
    await expectRelative(grad(ops.sum(bce(z, [1, 0])), [z])[0], [slope, -slope]);
    await expectRelative(bce([60, 2], [1, 0.25]), [8.756510763e-27, 1.626928011]);
    await expectRelative(
      ops.focalLoss([5, -5], [1, 0], { alpha: 0.5, reduction: 'none' }),
      [1.504045113e-7, 1.504045113e-7],
    );
    await expectRelative(
      ops.diceLoss(
        [
          [20, -20],
          [-30, -30],
        ],
        [
          [1, 0],
          [0, 0],
        ],
        { reduction: 'none' },
      ),
      [1.374102414e-9, 1.871524594e-13],
    );

    const labels = ints(0, 1);
    const logits = tensor([
      [15, 0],
      [0, 30],
    ]);
    const losses = [tiny, 9.357622969e-14];
    await expectRelative(ops.crossEntropy(logits, labels, { reduction: 'none' }), losses);
    await expectRelative(grad(ops.crossEntropy(logits, labels), [logits])[0], [
      slope / 2,
      -slope / 2,
      9.357622969e-14 / 2,
      -9.357622969e-14 / 2,
    ]);
    await expectRelative(
      ops.neg(ops.takeAlongAxis(ops.logSoftmax(logits), ops.reshape(labels, [2, 1]), 1)),
      losses,
    );
    await expectRelative(
      ops.logSumExp(
        [
          [0, -15],
          [-30, 0],
        ],
        1,
      ),
      losses,
    );
    await expectRelative(
      ops.klDivergence(
        logits,
        [
          [1, 0],
          [0, 1],
        ],
        { reduction: 'none' },
      ),
      losses,
    );
    // (1 − ε) of the loss, and ε of the mean over the classes.
    await expectRelative(ops.crossEntropy([[0, -15]], ints(0), { labelSmoothing: 0.1, reduction: 'none' }), [
      0.9 * tiny + 0.1 * (7.5 + tiny),
    ]);
  });

  it('cross-entropy of the largest logits is that of equal ones', async () => {
    const logits = [
      [3e38, 3e38],
      [-3e38, -3e38],
    ];
    await expectRelative(ops.crossEntropy(logits, ints(0, 1), { reduction: 'none' }), [Math.LN2, Math.LN2]);
    await expectRelative(ops.neg(ops.logSoftmax(logits)), [Math.LN2, Math.LN2, Math.LN2, Math.LN2]);
  });

  it.each<[string, (x: Tensor, t: Tensor) => Tensor]>([
    ['huberLoss', (x, t) => ops.huberLoss(x, t, { reduction: 'none' })],
    ['meanSquaredError', (x, t) => ops.meanSquaredError(x, t, { reduction: 'none' })],
    ['binaryCrossEntropy', (x, t) => ops.binaryCrossEntropy(x, t, { reduction: 'none' })],
    ['focalLoss', (x, t) => ops.focalLoss(x, t, { gamma: 1.5, reduction: 'none' })],
    ['diceLoss', (x, t) => ops.diceLoss(x, t, { reduction: 'none' })],
    ['logSumExp', (x, t) => ops.logSumExp(ops.stack([x, t], 1), 1)],
    ['softmax', (x, t) => ops.slice(ops.softmax(ops.stack([x, t], 1)), [null, 0])],
    ['logSoftmax', (x, t) => ops.slice(ops.logSoftmax(ops.stack([x, t], 1)), [null, 0])],
    ['norm', (x, t) => ops.norm(ops.stack([x, t], 1), 1)],
  ])('%s at the ends of the range, and its gradient, as in double precision', async (what, f) => {
    const [largest, least] = [3.4028234663852886e38, 2 ** -126];
    // The gradient of a softmax is a difference of numbers around 1.
    const rounding = what.endsWith('oftmax') ? 3e-7 : least;
    const magnitudes = [largest, 1e20, 100, 1, least, 2 ** -140, 0];
    const ends = magnitudes.flatMap((v) => [v, -v]).flatMap((v) => [v, v]);
    const targets = ends.map((_value, i) => i % 2);
    const both = (): readonly Tensor[] => {
      const x = tensor(Float32Array.from(ends));
      const y = f(x, tensor(targets));
      return [y, ...grad(ops.mul(ops.sum(y), 2), [x])];
    };
    const exact = new Evaluator(reference({ precision: 'f64' }));
    const wanted = await exact.evaluate(both());
    const found = await evaluate(both());
    await exact.close();
    found.forEach(({ data }, k) =>
      data.forEach((value, i) => {
        const want = wanted[k].data[i];
        const close = Math.abs(value - want) <= 2e-6 * Math.abs(want) + rounding;
        const overflows = Math.abs(want) > largest && value === Math.sign(want) * Infinity;
        expect([close || overflows, value, want]).toEqual([true, value, want]);
      }),
    );
  });

  it('logSumExp and logSoftmax: derivatives at ties', async () => {
    await expectRelative(ops.logSumExp([2, 2, 2]), [2 + Math.log(3)]);
    expect((await gradient((x) => ops.logSumExp(x), [1, 1, 1, -Infinity])).map((v) => v.toFixed(6))).toEqual([
      '0.333333',
      '0.333333',
      '0.333333',
      '0.000000',
    ]);
    const slopes = await gradient((x) => ops.logSoftmax(x).slice([{ end: 1 }]), [1, 1, 1, 1]);
    expect(slopes).toEqual([0.75, -0.25, -0.25, -0.25]);
  });
});
