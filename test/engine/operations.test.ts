// What elementwise operations do with ties, NaN, ends of ranges and kinks. Backends are compared with each other elsewhere
// (conformance.ts, with the cases' special values); here the rules themselves are pinned.
import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { compile } from '../../engine/compile.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor } from '../../engine/ops/index.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { bytes, describeEachBackend, ints } from './each-backend.ts';

describeEachBackend(({ backend, values, gradient }) => {
  it('comparisons with NaN are false, but notEqual; zeros are equal', async () => {
    const [a, b] = [tensor([NaN, 1, 0, 2, Infinity]), tensor([NaN, NaN, -0, 1, Infinity])];
    expect(await values(ops.equal(a, b))).toEqual([0, 0, 1, 0, 1]);
    expect(await values(ops.notEqual(a, b))).toEqual([1, 1, 0, 1, 0]);
    expect(await values(ops.less(a, b))).toEqual([0, 0, 0, 0, 0]);
    expect(await values(ops.lessEqual(a, b))).toEqual([0, 0, 1, 0, 1]);
    expect(await values(ops.greater(a, b))).toEqual([0, 0, 0, 1, 0]);
    expect(await values(ops.greaterEqual(a, b))).toEqual([0, 0, 1, 1, 1]);
    expect(ops.equal(a, b).dtype).toBe('u8');
  });

  it('integers that floats do not tell apart are compared exactly', async () => {
    const a = ints(2 ** 24, 2 ** 31 - 1);
    const b = ints(2 ** 24 + 1, 2 ** 31 - 2);
    expect(await values(ops.equal(a, b))).toEqual([0, 0]);
    expect(await values(ops.less(a, b))).toEqual([1, 0]);
  });

  it('logic: everything but 0 is true, results are 0 or 1', async () => {
    const [a, b] = [bytes(0, 0, 3, 255), bytes(0, 2, 0, 1)];
    expect(await values(ops.and(a, b))).toEqual([0, 0, 0, 1]);
    expect(await values(ops.or(a, b))).toEqual([0, 1, 1, 1]);
    expect(await values(ops.xor(a, b))).toEqual([0, 1, 1, 0]);
    expect(await values(ops.not(a))).toEqual([1, 1, 0, 0]);
  });

  it('maximum and minimum: NaN wins; at a tie the gradient goes to the first operand', async () => {
    const [a, b] = [
      [1, NaN, 2, -Infinity],
      [1, 5, NaN, -Infinity],
    ];
    expect(await values(ops.maximum(a, b))).toEqual([1, NaN, NaN, -Infinity]);
    expect(await values(ops.minimum(a, b))).toEqual([1, NaN, NaN, -Infinity]);
    expect(await gradient((x) => ops.maximum(x, [1, 1, 1]), [0, 1, 2])).toEqual([0, 1, 1]);
    expect(await gradient((x) => ops.maximum([1, 1, 1], x), [0, 1, 2])).toEqual([0, 0, 1]);
    expect(await gradient((x) => ops.minimum(x, [1, 1, 1]), [0, 1, 2])).toEqual([1, 1, 0]);
    expect(await gradient((x) => ops.minimum([1, 1, 1], x), [0, 1, 2])).toEqual([1, 0, 0]);
  });

  it('relu: NaN stays, and the derivative at 0 and at NaN is 0', async () => {
    expect(await values(ops.relu([NaN, -1, 0, 2]))).toEqual([NaN, 0, 0, 2]);
    expect(await gradient((x) => ops.relu(x), [NaN, -1, 0, 2])).toEqual([0, 0, 0, 1]);
  });

  it('derivatives at kinks: outside for hard activations, below for leakyRelu and elu', async () => {
    expect(await gradient((x) => ops.hardTanh(x), [-1, 1])).toEqual([0, 0]);
    expect(await gradient((x) => ops.hardSigmoid(x), [-3, 3])).toEqual([0, 0]);
    // x + 3 rounds to 6 here, but x is below 3.
    expect(await gradient((x) => ops.hardSigmoid(x), [2.9999998])).toEqual([Math.fround(1 / 6)]);
    expect(await gradient((x) => ops.hardSwish(x), [-3, 3])).toEqual([0, 1]);
    expect(await gradient((x) => ops.leakyRelu(x, 0.25), [0, -0])).toEqual([0.25, 0.25]);
    expect(await gradient((x) => ops.elu(x, 0.5), [0, -0])).toEqual([0.5, 0.5]);
  });

  it('clamp: NaN stays, the derivative at a bound is 1', async () => {
    expect(await values(ops.clamp([-5, 0.5, 5, NaN], -1, 1))).toEqual([-1, 0.5, 1, NaN]);
    expect(await gradient((x) => ops.clamp(x, -1, 1), [-2, -1, 0, 1, 2])).toEqual([0, 1, 1, 1, 0]);
  });

  it('where: a gradient reaches only what was chosen', async () => {
    const condition = bytes(1, 0, 7);
    expect(await values(ops.where(condition, [1, 2, 3], [4, 5, 6]))).toEqual([1, 5, 3]);
    expect(await gradient((x) => ops.where(condition, x, ops.mul(x, 10)), [1, 2, 3])).toEqual([1, 10, 1]);
    expect(await values(ops.where(condition, ints(1, 2, 3), 9))).toEqual([1, 9, 3]);
  });

  it('round: of two nearest integers the even one; sign keeps zeros and NaN', async () => {
    expect(await values(ops.round([0.5, 1.5, 2.5, -0.5, -1.5, 2.4]))).toEqual([0, 2, 2, -0, -2, 2]);
    expect(await values(ops.sign([-3, -0, 0, 2, NaN]))).toEqual([-1, -0, 0, 1, NaN]);
    expect(await gradient(ops.abs, [-2, 0, 3])).toEqual([-1, 0, 1]);
    expect(await gradient(ops.round, [0.2, 0.7])).toEqual([0, 0]);
  });

  it('pow: special values as in C, zeros with their signs', async () => {
    const rows: readonly (readonly [a: number, b: number, power: number])[] = [
      ...[NaN, Infinity, -Infinity, 0, -0, 2, -2].flatMap((x) => [
        [x, 0, 1] as const,
        [x, -0, 1] as const,
        [1, x, 1] as const,
      ]),
      ...[Infinity, -Infinity].map((x) => [-1, x, 1] as const),
      ...[0, -0, 2, -2, -1, Infinity, -Infinity].flatMap((x) => [
        [NaN, x === 0 ? 1 : x, NaN] as const,
        [x, NaN, NaN] as const,
      ]),
      ...[3, 2, 0.5, Infinity].map((b) => [0, b, 0] as const),
      ...[-3, -2, -0.5, -Infinity].map((b) => [0, b, Infinity] as const),
      [-0, 3, -0],
      [-0, 2, 0],
      [-0, 0.5, 0],
      [-0, Infinity, 0],
      [-0, -1, -Infinity],
      [-0, -2, Infinity],
      [-0, -0.5, Infinity],
      [-0, -Infinity, Infinity],
      [2, Infinity, Infinity],
      [-2, Infinity, Infinity],
      [0.5, Infinity, 0],
      [-0.5, Infinity, 0],
      [2, -Infinity, 0],
      [-2, -Infinity, 0],
      [0.5, -Infinity, Infinity],
      [-0.5, -Infinity, Infinity],
      [Infinity, 0.5, Infinity],
      [Infinity, -0.5, 0],
      [-Infinity, 3, -Infinity],
      [-Infinity, 2, Infinity],
      [-Infinity, 0.5, Infinity],
      [-Infinity, -3, -0],
      [-Infinity, -2, 0],
      [-Infinity, -0.5, 0],
      [-2, 3, -8],
      [-2, -2, 0.25],
      [-8, 0.5, NaN],
    ];
    const [a, b] = [0, 1].map((i) => tensor(rows.map((row) => row[i])));
    expect(await values(ops.pow(a, b))).toEqual(rows.map(([, , power]) => power));
  });

  it('maximum and minimum of zeros: -0 is the smaller one', async () => {
    const [a, b] = [tensor([0, -0, 0, -0]), tensor([-0, 0, 0, -0])];
    expect(await values(ops.maximum(a, b))).toEqual([0, 0, 0, -0]);
    expect(await values(ops.minimum(a, b))).toEqual([-0, -0, 0, -0]);
  });

  it('pow: x^0 has the derivative 0, also at 0, and so have the second ones', async () => {
    expect(await gradient((x) => ops.pow(x, 0), [0, 2])).toEqual([0, 0]);
    expect(await gradient((x) => ops.pow(x, [0, 0, 2]), [0, -1, 3])).toEqual([0, -0, 6]);
    expect(await gradient((x) => ops.pow([0, 0, 2], x), [0, 2, 1])).toEqual([
      0,
      0,
      expect.closeTo(2 * Math.LN2, 6),
    ]);
    const x = tensor([0, 2]);
    const [first] = grad(ops.sum(ops.pow(x, [0, 3])), [x]);
    expect(await values(grad(ops.sum(first), [x])[0])).toEqual([0, 12]);
  });

  it('pow: a constant exponent can be differentiated again', async () => {
    // By hand: d²(aᵇ)/da db = aᵇ⁻¹ (1 + b ln a), d³(aᵇ)/da² db = aᵇ⁻² (2b − 1 + b (b − 1) ln a).
    for (const [x, y] of [
      [2, 3],
      [2, 1],
      [2, 0],
      [0.5, -1.5],
    ] as const) {
      const [a, b] = [tensor(x), tensor(y)];
      const [da, db] = grad(ops.pow(a, b), [a, b]);
      const [daa, dab] = grad(da, [a, b]);
      const mixed = x ** (y - 1) * (1 + y * Math.log(x));
      for (const t of [dab, grad(db, [a])[0]]) expect((await values(t))[0]).toBeCloseTo(mixed, 5);
      expect((await values(grad(daa, [b])[0]))[0]).toBeCloseTo(
        x ** (y - 2) * (2 * y - 1 + y * (y - 1) * Math.log(x)),
        5,
      );
    }
  });

  it('casts drop the fraction, stay in range, and make NaN 0', async () => {
    const x = tensor([1.9, -1.9, 300, -7, NaN, Infinity, -Infinity]);
    expect(await values(ops.cast(x, 'u8'))).toEqual([1, 0, 255, 0, 0, 255, 0]);
    expect(await values(ops.cast(x, 'i32'))).toEqual([1, -1, 300, -7, 0, 2 ** 31 - 1, -(2 ** 31)]);
    expect(await values(ops.cast(ints(-1, 256, 7), 'u8'))).toEqual([0, 255, 7]);
    expect(await values(ops.cast(ints(2 ** 24 + 1)))).toEqual([2 ** 24]);
  });

  it('integers wrap around, and numbers beside them are integers', async () => {
    expect(await values(ops.add(ints(2 ** 31 - 1), 1))).toEqual([-(2 ** 31)]);
    expect(await values(ops.mul(ints(65537, -3), ints(65537, 7)))).toEqual([131073, -21]);
    expect(await values(ops.sub(5, ints(7)))).toEqual([-2]);
  });

  it('stopGradient is the identity with the derivative 0, and costs no step', async () => {
    expect(await gradient((x) => ops.mul(x, ops.stopGradient(x)), [3, 4])).toEqual([3, 4]);
    const step = await compile(await backend(), {
      inputs: { x: ops.f32(3) },
      build: ({ x }) => ({ outputs: { y: ops.stopGradient(x) } }),
    });
    expect(step.plan.steps).toEqual([]);
    await step.close();
  });
});

describe('methods', () => {
  const evaluator = new Evaluator(reference());
  afterAll(() => evaluator.close());

  it('are the functions with the tensor as their first argument', async () => {
    const x = tensor([
      [3, 1, 2],
      [-1, 0, 5],
    ]);
    const pairs: readonly (readonly [Tensor, Tensor])[] = [
      [x.maximum(1), ops.maximum(x, 1)],
      [x.greater(1), ops.greater(x, 1)],
      [x.greater(1).not(), ops.not(ops.greater(x, 1))],
      [x.clamp(0, 2), ops.clamp(x, 0, 2)],
      [x.cast('i32').add(2), ops.add(ops.cast(x, 'i32'), 2)],
      [x.variance(0, { correction: 1 }), ops.variance(x, 0, { correction: 1 })],
      [x.argMax(1), ops.argMax(x, 1)],
      [x.softmax(), ops.softmax(x)],
      [x.slice([null, { step: -1 }]), ops.slice(x, [null, { step: -1 }])],
      [x.split(3, 1)[2], ops.split(x, 3, 1)[2]],
      [x.sort(1).indices, ops.sort(x, 1).indices],
      [
        x.pad(
          [
            [1, 0],
            [0, 1],
          ],
          { value: 9 },
        ),
        ops.pad(
          x,
          [
            [1, 0],
            [0, 1],
          ],
          { value: 9 },
        ),
      ],
      [x.gather(ints(1)), ops.gather(x, ints(1))],
    ];
    const values = await evaluator.evaluate(pairs.flat());
    for (let i = 0; i < values.length; i += 2) expect(values[i]).toEqual(values[i + 1]);
  });
});
