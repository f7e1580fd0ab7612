// Is the mathematics right? Every derivative rule against central differences, in double precision.
/* oxlint-disable vitest/expect-expect -- gradcheck throws */

import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { PlanError } from '../../engine/errors.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import { gradcheck, type GradcheckReport } from '../../engine/tools/gradcheck.ts';
import {
  add,
  avgPool2d,
  batchNorm,
  cast,
  conv2d,
  accuracy,
  crossEntropy,
  div,
  exp,
  groupNorm,
  instanceNorm,
  layerNorm,
  log,
  lrnWithin,
  matmul,
  max,
  maxPool2d,
  mean,
  mul,
  neg,
  pow,
  relu,
  reshape,
  scalar,
  sqrt,
  sum,
  gather,
  tanh,
  tensor,
  variance,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { sizeOf } from '../../engine/shape.ts';
import { buildCase, cases, drawInputs, lossOf, weightsFor, type Case } from '../cases/index.ts';
import { leftOut, LONG } from '../forms.ts';

const backend = reference({ precision: 'f64' });
const evaluator = new Evaluator(backend);
afterAll(() => evaluator.close());

type Loss = (inputs: Readonly<Record<string, Tensor>>) => Tensor;

/** Compares grad(loss) with central differences of the loss, at the inputs of the case. */
const check = (item: Case, loss: Loss): Promise<GradcheckReport> =>
  gradcheck(loss, drawInputs(item), { wrt: item.wrt, ...(item.tags.includes('large') && { elements: 0 }) });

const differentiable = cases.filter((item) => item.wrt.length > 0);

describe('first derivatives agree with central differences', () => {
  it.each(differentiable)('$name', async (item) => {
    await check(item, (t) => lossOf(item, buildCase(item, t)));
  });
});

describe('second derivatives agree with central differences', () => {
  const skipped = leftOut();
  it.for(differentiable.filter((item) => !item.tags.includes('large')))('$name', async (item, { skip }) => {
    skip(item.name in skipped, LONG);
    // Σ over inputs of Σ weight · gradient: a scalar whose own gradient needs every second derivative.
    const second: Loss = (t) => {
      const wrt = item.wrt.map((name) => t[name]);
      const gradients = grad(lossOf(item, buildCase(item, t)), wrt);
      return gradients.reduce(
        (total, g, i) => add(total, sum(mul(g, weightsFor(`${item.name} / second ${i}`, g.shape)))),
        scalar(0),
      );
    };
    await check(item, second);
  });
});

// ---- conventions where the derivative does not exist or could be defined otherwise

const values = async (t: Tensor): Promise<number[]> => {
  const [value] = await evaluator.evaluate([t]);
  return [...value.data];
};
const gradientOf = (f: (x: Tensor) => Tensor, x: Tensor): Promise<number[]> => {
  const y = f(x);
  return values(grad(y.rank === 0 ? y : sum(y), [x])[0]);
};

describe('conventions', () => {
  it('relu: the derivative at 0 and at -0 is 0', async () => {
    expect(await gradientOf(relu, tensor([-1, -0, 0, 1]))).toEqual([0, 0, 0, 1]);
  });

  it('relu: NaN stays NaN, and its derivative is 0', async () => {
    expect(await values(relu([NaN, -Infinity, Infinity]))).toEqual([NaN, 0, Infinity]);
    expect(await gradientOf(relu, tensor([NaN, 1]))).toEqual([0, 1]);
  });

  it('max: a tie sends the whole gradient to the first, in row order', async () => {
    expect(await gradientOf((x) => max(x), tensor([1, 3, 3, 2]))).toEqual([0, 1, 0, 0]);
    const x = tensor([
      [5, 1],
      [5, 5],
    ]);
    expect(await gradientOf((t) => max(t), x)).toEqual([1, 0, 0, 0]);
    expect(await gradientOf((t) => max(t, 0), x)).toEqual([1, 0, 0, 1]);
    expect(await gradientOf((t) => max(t, 1), x)).toEqual([1, 0, 1, 0]);
  });

  it('max over axes that do not touch: a tie goes to the first in row order', async () => {
    const x = tensor([
      [
        [1, 7],
        [0, 0],
      ],
      [
        [7, 7],
        [0, 0],
      ],
    ]);
    expect(await gradientOf((t) => max(t, [0, 2]), x)).toEqual([0, 1, 1, 0, 0, 0, 0, 0]);
  });

  it('max: NaN wins, the first NaN gets the gradient', async () => {
    expect(await values(max([1, NaN, 3]))).toEqual([NaN]);
    expect(await gradientOf((x) => max(x), tensor([9, NaN, NaN, 10]))).toEqual([0, 1, 0, 0]);
  });

  it('max of values that are all -Infinity is -Infinity', async () => {
    expect(await values(max([-Infinity, -Infinity]))).toEqual([-Infinity]);
  });

  const image = (rows: readonly (readonly number[])[]) =>
    reshape(tensor(rows), [1, rows.length, rows[0].length, 1]);

  it('maxPool2d: a tie goes to the first in row order of each window', async () => {
    const x = image([
      [1, 1, 0],
      [1, 1, 1],
    ]);
    expect(await gradientOf((t) => maxPool2d(t, 2, { stride: 1 }), x)).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it('maxPool2d: NaN wins over every number and the first NaN gets the gradient', async () => {
    const x = image([
      [9, NaN],
      [NaN, 10],
    ]);
    expect(await values(maxPool2d(x, 2))).toEqual([NaN]);
    expect(await gradientOf((t) => maxPool2d(t, 2), x)).toEqual([0, 1, 0, 0]);
  });

  it('maxPool2d: padding never wins, also over negative values and -Infinity', async () => {
    const x = image([
      [-5, -6],
      [-7, -Infinity],
    ]);
    expect(await values(maxPool2d(x, 2, { stride: 1, padding: 1 }))).toEqual([
      -5,
      -5,
      -6,
      -5,
      -5,
      -6,
      -7,
      -7,
      -Infinity,
    ]);
  });

  it('maxPool2d: an element that wins several windows gets the sum of their gradients', async () => {
    const x = image([
      [0, 1, 2],
      [3, 9, 4],
      [5, 6, 7],
    ]);
    expect(await gradientOf((t) => maxPool2d(t, 2, { stride: 1 }), x)).toEqual([0, 0, 0, 0, 4, 0, 0, 0, 0]);
  });

  it("avgPool2d at a clipped border divides by the window's clipped size, as Caffe", async () => {
    const x = image([
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ]);
    expect(await values(avgPool2d(x, 3, { stride: 2, ceil: true }))).toEqual(
      [1, 1, 1, 1].map((v) => expect.closeTo(v, 12)),
    );
    const g = await gradientOf((t) => avgPool2d(t, 3, { stride: 2, ceil: true }), x);
    const expected = [1 / 9, 1 / 9, 1 / 9 + 1 / 6, 1 / 6];
    expect(g.slice(0, 4)).toEqual(expected.map((v) => expect.closeTo(v, 12)));
    expect(g[15]).toBeCloseTo(1 / 4, 12);
  });

  it("avgPool2d: 'clipped' counts padding as zeros, 'inside' leaves it out", async () => {
    const x = image([
      [4, 8],
      [12, 16],
    ]);
    const options = { stride: 1, padding: 1 } as const;
    expect(await values(avgPool2d(x, 2, { ...options, divisor: 'clipped' }))).toEqual([
      1, 3, 2, 4, 10, 6, 3, 7, 4,
    ]);
    expect(await values(avgPool2d(x, 2, { ...options, divisor: 'inside' }))).toEqual([
      4, 6, 8, 8, 10, 12, 12, 14, 16,
    ]);
  });

  it('avgPool2d with ceil and padding: positions beyond the padding count in neither divisor', async () => {
    const x = reshape(tensor([1, 1, 1, 1]), [1, 1, 4, 1]);
    // Padded row: 0 1 1 1 1 0, windows of 3 at 0, 2, 4: the last has two positions, one of them padding.
    const options = { stride: [1, 2], padding: [0, 1], ceil: true } as const;
    expect(await values(avgPool2d(x, [1, 3], options))).toEqual([2 / 3, 1, 1 / 2]);
    expect(await values(avgPool2d(x, [1, 3], { ...options, divisor: 'inside' }))).toEqual([1, 1, 1]);
  });

  it('pow: the derivative of x^2 at 0 is 0, of x^1 is 1', async () => {
    expect(await gradientOf((x) => pow(x, 2), tensor([0, 3]))).toEqual([0, 6]);
    expect(await gradientOf((x) => pow(x, 1), tensor([0, 3]))).toEqual([1, 1]);
  });

  it('sqrt and log at 0 have infinite derivatives', async () => {
    expect(await gradientOf(sqrt, tensor([0]))).toEqual([Infinity]);
    expect(await gradientOf(log, tensor([0]))).toEqual([Infinity]);
  });

  it('cast: the gradient stops, integers have none', async () => {
    const w = tensor([2, 3]);
    const y = mul(cast(tensor(Int32Array.of(5, 7))), w);
    expect(await values(grad(sum(y), [w])[0])).toEqual([5, 7]);
  });

  it('dropout: the gradient passes where the value passed, with the same scale', async () => {
    const x = tensor(Float32Array.from({ length: 40 }, () => 1));
    const y = ops.dropout([x, scalar(4, 'i32')], { rate: 0.5, key0: 1, key1: 2 })[0];
    const g = grad(sum(y), [x])[0];
    expect(await values(g)).toEqual(await values(y));
    expect(new Set(await values(y))).toEqual(new Set([0, 2]));
  });

  it('softmax cross-entropy of extreme logits has the exact derivative 0 or ±1', async () => {
    const logits = tensor([[1e4, 0, -1e4]]);
    const at = (label: number) =>
      values(grad(crossEntropy(logits, tensor(Int32Array.of(label))), [logits])[0]);
    expect(await at(0)).toEqual([0, 0, 0]);
    expect(await at(2)).toEqual([1, 0, -1]);
  });

  it('lrn: the divisor is size squared at the border too', async () => {
    const x = reshape(tensor([2]), [1, 1, 1, 1]);
    expect((await values(lrnWithin(x, { size: 3, alpha: 9, beta: 1 })))[0]).toBeCloseTo(2 / (1 + 4), 12);
  });

  it('normalizing by the statistics of a single value is refused', () => {
    const row = tensor([[3, 4]]);
    const pixels = tensor([[[[3, 4]]], [[[5, 6]]]]);
    const one = 'expects more than one value per';
    expect(() => batchNorm(row)).toThrow(
      `batchNorm: ${one} channel for its statistics, got 1 in f32 [1,2] (use larger batches, or batchNormInference with running statistics)`,
    );
    expect(() => layerNorm([[3], [4]])).toThrow(
      `layerNorm: ${one} group for its statistics, got 1 in f32 [2,1] (normalize over more axes or channels, or remove the normalization)`,
    );
    expect(() => groupNorm(pixels, 2)).toThrow(
      `groupNorm: ${one} group for its statistics, got 1 in f32 [2,1,1,2]`,
    );
    expect(() => instanceNorm(pixels)).toThrow(`instanceNorm: ${one} group`);
    expect(() => variance([3], 0, { correction: 1 })).toThrow(
      'variance: needs more elements than the correction 1, got 1 in [1]',
    );
  });

  it('the gradient of a variance of equal elements is 0', async () => {
    expect(await gradientOf((t) => variance(t), tensor([3, 3, 3]))).toEqual([0, 0, 0]);
    expect(await gradientOf((t) => variance(t), tensor([3]))).toEqual([0]);
  });
});

// ---- the rewrite itself

describe('grad', () => {
  it('adds up where a value is used several times', async () => {
    const x = tensor([3]);
    // x·x + x + x/x, and x·x again through a shared intermediate
    const square = mul(x, x);
    const y = add(add(square, x), add(div(x, x), mul(square, square)));
    expect(await values(grad(sum(y), [x])[0])).toEqual([2 * 3 + 1 + 0 + 4 * 27]);
  });

  it('adds up over both operands of one operation', async () => {
    const x = tensor([[1, 2]]);
    expect(await values(grad(sum(matmul(x, x, { transB: true })), [x])[0])).toEqual([2, 4]);
    expect(await gradientOf((t) => mul(t, t), tensor([5]))).toEqual([10]);
    expect(await gradientOf((t) => add(t, t), tensor([5]))).toEqual([2]);
  });

  it('survives a chain too deep for a recursive walk', async () => {
    const x = tensor([1]);
    let y = x;
    for (let i = 0; i < 20_000; i++) y = mul(y, 1);
    expect(await values(grad(sum(y), [x])[0])).toEqual([1]);
  });

  it('of a diamond of doublings visits every node once', async () => {
    const x = tensor([1]);
    let y = x;
    for (let i = 0; i < 60; i++) y = add(y, y);
    expect(await values(grad(sum(y), [x])[0])).toEqual([2 ** 60]);
  });

  it('takes intermediates and the loss itself', async () => {
    const x = tensor([2, 3]);
    const h = mul(x, x);
    const loss = sum(mul(h, 5));
    const [dh, dx, dLoss] = grad(loss, [h, x, loss]);
    expect(await values(dh)).toEqual([5, 5]);
    expect(await values(dx)).toEqual([20, 30]);
    expect(await values(dLoss)).toEqual([1]);
  });

  it('gives zeros for a tensor that the loss does not depend on', async () => {
    const x = tensor([1, 2]);
    const unrelated = tensor([[1], [2]]);
    const [g] = grad(sum(x), [unrelated]);
    expect(g.shape).toEqual([2, 1]);
    expect(await values(g)).toEqual([0, 0]);
  });

  it('gives the same tensor twice when asked twice', async () => {
    const x = tensor([4]);
    const [a, b] = grad(sum(mul(x, x)), [x, x]);
    expect([await values(a), await values(b)]).toEqual([[8], [8]]);
  });

  it('does not need rules on the way to other inputs', async () => {
    // The labels' path, and an operation without a rule that the wanted tensor does not pass.
    const table = tensor([[1, 2, 3]]);
    const w = tensor([[0.5, 0.5, 0.5]]);
    const rows = gather(table, tensor(Int32Array.of(0)));
    expect(await values(grad(sum(mul(rows, w)), [w])[0])).toEqual([1, 2, 3]);
  });

  it('needs a scalar f32 loss', () => {
    const x = tensor([[1, 2]]);
    expect(() => grad(x, [x])).toThrow(
      new PlanError('grad: the loss must be a scalar f32 but is f32 [1,2] (reduce it with sum() or mean())'),
    );
    expect(() => grad(scalar(1, 'i32'), [x])).toThrow(
      'grad: the loss must be a scalar f32 but is i32 [] (reduce it with sum() or mean())',
    );
  });

  it('names the operation that has no derivative', () => {
    const logits = tensor([[1, 2]]);
    expect(() => grad(accuracy(logits, tensor(Int32Array.of(0)), { reduction: 'sum' }), [logits])).toThrow(
      new PlanError(
        'grad: operation correct has no derivative (differentiate another expression, or use stopGradient on its inputs)',
      ),
    );
  });

  it('refuses integers', () => {
    const i = tensor(Int32Array.of(1, 2));
    expect(() => grad(sum(cast(i)), [i])).toThrow(
      new PlanError('grad: cannot differentiate with respect to i32 [2] (only f32 has derivatives)'),
    );
  });

  it('goes through the statistics of batchNorm and the softmax of the loss', async () => {
    const x = tensor([
      [1, 2],
      [3, 5],
    ]);
    expect(await values(grad(sum(batchNorm(x).mean), [x])[0])).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(await values(grad(sum(batchNorm(x).variance), [x])[0])).toEqual([-1, -1.5, 1, 1.5]);
    const even = tensor([[0, 0]]);
    const softmax = ops.softmaxCrossEntropy([even, tensor(Int32Array.of(0))], {})[1];
    expect(await values(grad(sum(mul(softmax, [[1, 0]])), [even])[0])).toEqual([0.25, -0.25]);
  });

  it('of a gradient: the third derivative of x^4 is 24x', async () => {
    const x = tensor([2]);
    const [d1] = grad(sum(pow(x, 4)), [x]);
    const [d2] = grad(sum(d1), [x]);
    const [d3] = grad(sum(d2), [x]);
    expect((await values(d3))[0]).toBeCloseTo(48, 9);
  });

  it('of exp, tanh and neg composed, twice', async () => {
    const x = tensor([0.25]);
    const y = exp(neg(tanh(x)));
    const [d1] = grad(sum(y), [x]);
    const [d2] = grad(sum(d1), [x]);
    const t = Math.tanh(0.25);
    const s = 1 - t * t;
    expect((await values(d2))[0]).toBeCloseTo(Math.exp(-t) * (s * s + 2 * t * s), 12);
  });

  it('weights per row reach every logit', async () => {
    const logits = tensor([
      [0, 0],
      [0, 0],
    ]);
    const loss = mean(mul(crossEntropy(logits, tensor(Int32Array.of(0, 1)), { reduction: 'none' }), [1, 0]));
    expect(await values(grad(loss, [logits])[0])).toEqual([-0.25, 0.25, 0, -0]);
  });

  it('through a convolution, pooling and a reshape, keeps each shape', () => {
    const x = tensor(new Float32Array(2 * 5 * 4 * 3), { shape: [2, 5, 4, 3] });
    const w = tensor(new Float32Array(3 * 3 * 3 * 2), { shape: [3, 3, 3, 2] });
    const y = avgPool2d(conv2d(x, w, { padding: 1 }), 2);
    const [dx, dw] = grad(sum(mul(reshape(y, [-1]), 2)), [x, w]);
    expect([dx.shape, dw.shape]).toEqual([x.shape, w.shape]);
    expect(sizeOf(dx.shape)).toBe(120);
  });
});
