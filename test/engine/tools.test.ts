// The tools around derivatives: gradcheck, valueAndGrad, hessianVector, operations with derivatives of their own.

import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { GradientError, PlanError, ShapeError } from '../../engine/errors.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad, hessianVector, valueAndGrad } from '../../engine/grad.ts';
import { gradcheck } from '../../engine/tools/gradcheck.ts';
import {
  add,
  batchNorm,
  conv2d,
  accuracy,
  customGradient,
  exp,
  lrnWithin,
  matmul,
  maxPool2d,
  mul,
  pow,
  reshape,
  crossEntropy,
  stopGradient,
  sum,
  tanh,
  tensor,
} from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';

const evaluator = new Evaluator(reference({ precision: 'f64' }));
afterAll(() => evaluator.close());
const values = async (t: Tensor | undefined): Promise<number[]> => {
  const [value] = await evaluator.evaluate([t!]);
  return [...value.data];
};

/** An operation whose derivative is wrong by a factor. */
const wrong = customGradient({
  name: 'wrong',
  forward: (x) => mul(x, x),
  gradient: ({ inputs: [x], grad: g }) => [mul(mul(x, 3), g)],
});

describe('gradcheck', () => {
  const w = [[0.5], [-1]];

  it('reports how many derivatives agree, of inputs in any form', async () => {
    const report = await gradcheck(({ x, w: weights }) => tanh(matmul(x, weights)), {
      x: Float32Array.of(0.25, 0.5).length === 2 ? [[0.25, 0.5]] : [],
      w,
    });
    expect(report.rows.map(({ place }) => place).sort()).toEqual(['w[0,0]', 'w[1,0]', 'x[0,0]', 'x[0,1]']);
    expect(report.worst).toBeLessThan(1e-9);
    expect(String(report)).toMatch(
      /^gradcheck: 4 of 4 derivatives agree within 0\.000001; the largest error is \S+$/,
    );
  });

  it('throws a table of what is wrong, worst first', async () => {
    const failure = await gradcheck(({ x }) => sum(wrong(x)), { x: [0, 1, 2] }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(GradientError);
    const lines = (failure as Error).message.split('\n');
    expect(lines[0]).toMatch(
      /^gradcheck: 1 of 3 derivatives agree within 0\.000001; the largest error is 0\.333$/,
    );
    expect(lines[1]).toMatch(
      /^ {2}x\[2\]: (4|3\.99\d*|4\.00\d*) by differences but 6 by grad \(error 0\.333\)$/,
    );
    expect(lines[2]).toMatch(/^ {2}x\[1\]: /);
    expect(lines).toHaveLength(3);
  });

  it('notices a wrong derivative of a large input along random directions alone', async () => {
    const x = Float64Array.from({ length: 200 }, (_, i) => i / 100);
    await expect(gradcheck((t) => wrong(t.x), { x }, { elements: 0 })).rejects.toThrow(
      'along random direction',
    );
    const report = await gradcheck((t) => mul(t.x, t.x), { x }, { elements: 5, directions: 3 });
    expect(report.rows).toHaveLength(8);
  });

  it('notices NaN', async () => {
    await expect(gradcheck(({ x }) => pow(x, 0.5), { x: [-1] })).rejects.toThrow('0 of 1 derivatives agree');
  });

  it('checks what it is asked to differentiate by', async () => {
    const inputs = { x: [1, 2], labels: Int32Array.of(0, 1) };
    await expect(gradcheck(({ x }) => exp(x), inputs, { wrt: ['labels'] })).rejects.toThrow(
      "gradcheck: 'labels' is not an f32 input (inputs: x f32 [2], labels i32 [2])",
    );
    await expect(gradcheck(({ x }) => exp(x), inputs, { stp: 1 } as never)).rejects.toThrow(
      "gradcheck: unknown option 'stp' (did you mean 'step'? known: wrt, step,",
    );
    const { rows } = await gradcheck(({ x }) => exp(x), inputs);
    expect(rows).toHaveLength(2);
  });
});

describe('valueAndGrad', () => {
  it('gives the value with the gradients of the arguments', async () => {
    const { value, gradients } = valueAndGrad((x, y) => sum(mul(mul(x, x), y)))([1, 2], [3, 4]);
    expect([await values(value), await values(gradients[0]), await values(gradients[1])]).toEqual([
      [19],
      [6, 16],
      [1, 4],
    ]);
  });
});

describe('hessianVector', () => {
  it('of a quadratic form is the symmetric matrix times the vector', async () => {
    const a = tensor([
      [2, 1],
      [0, 3],
    ]);
    const x = tensor([[1], [2]]);
    const loss = sum(mul(x, matmul(a, x)));
    // (A + Aᵀ) v
    expect(await values(hessianVector(loss, [x], [[[1], [-1]]])[0])).toEqual([3, -5]);
  });

  it('crosses from one tensor to another', async () => {
    const [x, y] = [tensor([2]), tensor([5])];
    const loss = sum(mul(mul(x, x), y));
    const [hx, hy] = hessianVector(loss, [x, y], [[1], [0]]);
    expect([await values(hx), await values(hy)]).toEqual([[10], [4]]);
  });

  it('does not differentiate the vector, and stopGradient stops', async () => {
    const x = tensor([1, 2]);
    expect(await values(hessianVector(sum(mul(x, x)), [x], [x])[0])).toEqual([2, 4]);
    expect(await values(grad(sum(mul(stopGradient(x), x)), [x])[0])).toEqual([1, 2]);
    expect(await values(grad(sum(stopGradient(mul(x, x))), [x])[0])).toEqual([0, 0]);
  });

  it('goes through a whole network: convolution, normalisation, pooling and the loss', async () => {
    const draws = stream(1, 'hessian');
    const random = (...shape: number[]): Tensor =>
      tensor(
        Float64Array.from({ length: sizeOf(shape) }, () => draws.normal()),
        { shape },
      );
    const [images, w, v] = [random(3, 4, 4, 2), random(3, 3, 2, 3), random(3, 3, 2, 3)];
    const gradient = (weight: Tensor): Tensor => {
      const h = lrnWithin(batchNorm(conv2d(images, weight, { padding: 'same' })).y, { size: 3 });
      const logits = reshape(maxPool2d(h, 2), [3, 12]);
      return grad(crossEntropy(logits, tensor(Int32Array.of(0, 5, 11))), [weight])[0];
    };
    const at = async (h: number): Promise<number[]> => values(gradient(add(w, mul(v, h))));
    // The derivative of the gradient along v, by differences and by rules.
    const [right, left] = [await at(1e-5), await at(-1e-5)];
    const x = add(w, 0);
    const h = lrnWithin(batchNorm(conv2d(images, x, { padding: 'same' })).y, { size: 3 });
    const loss = crossEntropy(reshape(maxPool2d(h, 2), [3, 12]), tensor(Int32Array.of(0, 5, 11)));
    const got = await values(hessianVector(loss, [x], [v])[0]);
    right.forEach((value, i) => expect(got[i]).toBeCloseTo((value - left[i]) / 2e-5, 6));
  });

  it('is zero for what is linear', async () => {
    const x = tensor([2, 3]);
    expect(await values(hessianVector(sum(x), [x], [[1, 1]])[0])).toEqual([0, 0]);
  });

  it('refuses vectors that do not fit, and names the operation without a second derivative', () => {
    const x = tensor(new Float32Array(16), { shape: [1, 4, 4, 1] });
    expect(() => hessianVector(sum(x), [x], [])).toThrow(
      new ShapeError(
        'hessianVector: there are 1 tensors but 0 parts of the vector (pass one part per tensor)',
      ),
    );
    expect(() => hessianVector(sum(x), [x], [[1]])).toThrow(
      new ShapeError(
        'hessianVector: part 0 of the vector is f32 [1] but its tensor is f32 [1,4,4,1] (both must be equal)',
      ),
    );
    // The derivative that is given here is an operation without one.
    const stepped = customGradient({
      name: 'stepped',
      forward: (t) => t,
      gradient: ({ inputs: [t], grad: g }) => {
        const logits = reshape(t, [4, 4]);
        const right = accuracy(logits, tensor(Int32Array.of(0, 1, 2, 3)), { reduction: 'none' });
        return [mul(g, reshape(right, [1, 4, 1, 1]))];
      },
    });
    expect(() => hessianVector(sum(stepped(x)), [x], [x])).toThrow(
      new PlanError(
        'grad: operation correct has no derivative (differentiate another expression, or use stopGradient on its inputs)',
      ),
    );
  });
});

describe('customGradient', () => {
  it('refuses what its functions promise', async () => {
    const later = (): Promise<never> => Promise.reject(new Error('nobody handles this'));
    const forward = customGradient({ name: 'late', forward: later as never, gradient: () => [] });
    expect(() => forward([1])).toThrow(
      'late: forward must return a tensor, got a promise (is an await missing?)',
    );
    const backward = customGradient({ name: 'late', forward: (t) => t, gradient: later as never });
    const x = tensor([1, 2]);
    expect(() => grad(sum(backward(x)), [x])).toThrow(
      'grad: the gradient of late must be an array of gradients, got a promise (is an await missing?)',
    );
    await expect(gradcheck(later as never, { x: [1] })).rejects.toThrow(
      'gradcheck: the function must return a tensor, got a promise (is an await missing?)',
    );
  });

  it('takes the derivative that it is given, also where it is not the true one', async () => {
    const x = tensor([1, 2]);
    const [g] = grad(sum(mul(wrong(x), 10)), [x]);
    expect([await values(wrong(x)), await values(g)]).toEqual([
      [1, 4],
      [30, 60],
    ]);
    const reversed = customGradient({
      name: 'reversed',
      forward: (t) => t,
      gradient: (at) => [mul(at.grad, -1)],
    });
    const [r] = grad(sum(mul(reversed(x), [3, 4])), [x]);
    expect([await values(reversed(x)), await values(r)]).toEqual([
      [1, 2],
      [-3, -4],
    ]);
  });

  it('null is no gradient; the derivative of the derivative is derived', async () => {
    const [x, y] = [tensor([2]), tensor([3])];
    const half = customGradient({
      name: 'half',
      forward: (a, b) => mul(a, b),
      gradient: ({ inputs: [a, b], grad: g }) => [mul(mul(g, b), a), null],
    });
    const [dx, dy] = grad(sum(half(x, y)), [x, y]);
    expect([await values(dx), await values(dy)]).toEqual([[6], [0]]);
    const x2 = tensor([2]);
    const [d] = grad(sum(half(x2, y)), [x2]);
    expect(await values(grad(sum(d), [x2])[0])).toEqual([3]);
  });

  it('does not differentiate the forward pass', async () => {
    const x = tensor(
      new Float32Array(4).map((_, i) => i),
      { shape: [1, 2, 2, 1] },
    );
    const through = customGradient({
      name: 'through',
      forward: (t) => add(maxPool2d(t, 1), 0),
      gradient: ({ grad: g }) => [g],
    });
    const [g] = grad(sum(mul(through(x), through(x))), [x]);
    expect(await values(hessianVector(sum(mul(through(x), through(x))), [x], [x])[0])).toEqual([0, 2, 4, 6]);
    expect(await values(g)).toEqual([0, 2, 4, 6]);
  });

  it('says which gradients are missing or do not fit', () => {
    const x = tensor([1, 2]);
    const none = customGradient({ name: 'none', forward: (t) => mul(t, 2), gradient: () => [] });
    expect(() => grad(sum(none(x)), [x])).toThrow(
      new PlanError(
        'grad: the gradient of none gave 0 gradients for 1 inputs (one each; null where there is none)',
      ),
    );
    const scalar = customGradient({ name: 'scalar', forward: (t) => t, gradient: (at) => [sum(at.grad)] });
    expect(() => grad(sum(scalar(x)), [x])).toThrow(
      'grad: the derivative rule of custom scalar returned f32 [] for input 1, which is f32 [2]',
    );
  });
});
