// What the operations say about ties, NaN, ends of ranges and derivatives at kinks, and about use that is wrong. Backends are
// compared with each other elsewhere (conformance.ts, with the cases' special values); here the rules themselves are pinned.
/* oxlint-disable vitest/expect-expect -- expectRelative asserts */
import { afterAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile } from '../../engine/compile.ts';
import { DataError, ShapeError } from '../../engine/errors.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor, zeros, type TensorLike } from '../../engine/ops/index.ts';
import { key, normalOf } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';

const backends: readonly (readonly [string, () => Promise<Backend> | Backend])[] = [
  ['reference', () => reference()],
  ['wasm', () => wasm({ threads: 2 })],
  ['gpu.js cpu', () => gpu({ mode: 'cpu' })],
];
const ints = (...values: number[]): Tensor => tensor(Int32Array.from(values));
const bytes = (...values: number[]): Tensor => tensor(Uint8Array.from(values));

describe.each(backends)('%s', (_name, make) => {
  let evaluator: Promise<Evaluator> | null = null;
  const evaluators = (): Promise<Evaluator> =>
    (evaluator ??= Promise.resolve(make()).then((backend) => new Evaluator(backend)));
  afterAll(async () => {
    const own = await evaluators();
    await own.close();
    await own.backend.close();
  });
  const values = async (t: Tensor): Promise<number[]> => [
    ...(await (await evaluators()).evaluate([t]))[0].data,
  ];
  const gradient = (f: (x: Tensor) => Tensor, x: readonly number[]): Promise<number[]> => {
    const t = tensor(x);
    return values(grad(ops.sum(f(t)), [t])[0]);
  };

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
    const own = await evaluators();
    const step = await compile(own.backend, {
      inputs: { x: ops.f32(3) },
      build: ({ x }) => ({ outputs: { y: ops.stopGradient(x) } }),
    });
    expect(step.plan.steps).toEqual([]);
    await step.close();
  });

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
    expect(await values(ops.crossEntropyRows(rows, ints(0, 0, 1)))).toEqual([NaN, NaN, 0]);
  });

  /** Relative to each value. */
  const expectRelative = async (t: Tensor, want: readonly number[], tolerance = 1e-6): Promise<void> => {
    const got = await values(t);
    got.forEach((value, i) => expect(value / want[i]).toBeCloseTo(1, -Math.log10(2 * tolerance)));
  };

  it('losses of sure and right predictions keep their digits, and so do the gradients', async () => {
    // log(1 + e^-15), and −1 / (1 + e^15): the loss and the gradient of a logit 15 whose target is 1.
    const [tiny, slope] = [3.0590227e-7, -3.0590222e-7];
    const bce = (z: TensorLike, t: TensorLike): Tensor => ops.binaryCrossEntropyRows(z, t);
    await expectRelative(bce([15, -15], [1, 0]), [tiny, tiny]);
    const z = tensor([15, -15]);
    await expectRelative(grad(ops.sum(bce(z, [1, 0])), [z])[0], [slope, -slope]);
    await expectRelative(bce([60, 2], [1, 0.25]), [8.756510763e-27, 1.626928011]);
    await expectRelative(ops.focalRows([5, -5], [1, 0], { alpha: 0.5 }), [1.504045113e-7, 1.504045113e-7]);
    await expectRelative(
      ops.diceRows(
        [
          [20, -20],
          [-30, -30],
        ],
        [
          [1, 0],
          [0, 0],
        ],
      ),
      [1.374102414e-9, 1.871524594e-13],
    );

    const labels = ints(0, 1);
    const logits = tensor([
      [15, 0],
      [0, 30],
    ]);
    const losses = [tiny, 9.357622969e-14];
    await expectRelative(ops.crossEntropyRows(logits, labels), losses);
    await expectRelative(grad(ops.softmaxCrossEntropy(logits, labels), [logits])[0], [
      slope / 2,
      -slope / 2,
      9.357622969e-14 / 2,
      -9.357622969e-14 / 2,
    ]);
    await expectRelative(
      ops.neg(ops.takeAlong(ops.logSoftmax(logits), ops.reshape(labels, [2, 1]), 1)),
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
      ops.klDivergenceRows(logits, [
        [1, 0],
        [0, 1],
      ]),
      losses,
    );
    // (1 − ε) of the loss, and ε of the mean over the classes.
    await expectRelative(ops.crossEntropyRows([[0, -15]], ints(0), { labelSmoothing: 0.1 }), [
      0.9 * tiny + 0.1 * (7.5 + tiny),
    ]);
  });

  it('cross-entropy of the largest logits is that of equal ones', async () => {
    const logits = [
      [3e38, 3e38],
      [-3e38, -3e38],
    ];
    await expectRelative(ops.crossEntropyRows(logits, ints(0, 1)), [Math.LN2, Math.LN2]);
    await expectRelative(ops.neg(ops.logSoftmax(logits)), [Math.LN2, Math.LN2, Math.LN2, Math.LN2]);
  });

  it.each<[string, (x: Tensor, t: Tensor) => Tensor]>([
    ['huberRows', (x, t) => ops.huberRows(x, t)],
    ['meanSquaredErrorRows', (x, t) => ops.meanSquaredErrorRows(x, t)],
    ['binaryCrossEntropyRows', (x, t) => ops.binaryCrossEntropyRows(x, t)],
    ['focalRows', (x, t) => ops.focalRows(x, t, { gamma: 1.5 })],
    ['diceRows', (x, t) => ops.diceRows(x, t)],
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
    const found = await (await evaluators()).evaluate(both());
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

  it('sort: stable, -0 equals 0, NaN is larger than every number', async () => {
    const x = tensor([2, NaN, -0, 1, 0, Infinity, 1]);
    const up = ops.sort(x);
    expect(await values(up.values)).toEqual([-0, 0, 1, 1, 2, Infinity, NaN]);
    expect(await values(up.indices)).toEqual([2, 4, 3, 6, 0, 5, 1]);
    const down = ops.sort(x, 0, { descending: true });
    expect(await values(down.indices)).toEqual([1, 5, 0, 3, 6, 2, 4]);
    const top = ops.topK([3, 1, 3, 2], 2);
    expect([await values(top.values), await values(top.indices)]).toEqual([
      [3, 3],
      [0, 2],
    ]);
    expect(await gradient((t) => ops.mul(ops.sort(t).values, [1, 2, 3]), [30, 10, 20])).toEqual([3, 1, 2]);
  });

  it('cumulativeSum: inclusive, exclusive, from the end', async () => {
    expect(await values(ops.cumulativeSum([1, 2, 3], 0))).toEqual([1, 3, 6]);
    expect(await values(ops.cumulativeSum([1, 2, 3], 0, { exclusive: true }))).toEqual([0, 1, 3]);
    expect(await values(ops.cumulativeSum([1, 2, 3], 0, { reverse: true }))).toEqual([6, 5, 3]);
    expect(await values(ops.cumulativeSum([1, 2, 3], 0, { reverse: true, exclusive: true }))).toEqual([
      5, 3, 0,
    ]);
  });

  it('pad: constant, mirrored without the border, the border itself', async () => {
    expect(await values(ops.pad([1, 2, 3], [[1, 2]], { value: 9 }))).toEqual([9, 1, 2, 3, 9, 9]);
    expect(await values(ops.pad([1, 2, 3], [[2, 2]], { mode: 'reflect' }))).toEqual([3, 2, 1, 2, 3, 2, 1]);
    expect(await values(ops.pad([1, 2, 3], [[2, 1]], { mode: 'edge' }))).toEqual([1, 1, 1, 2, 3, 3]);
  });

  it('pad by infinities, which are not the same plan', async () => {
    expect(await values(ops.pad([1], [[0, 1]], { value: Infinity }))).toEqual([1, Infinity]);
    expect(await values(ops.pad([1], [[0, 1]], { value: -Infinity }))).toEqual([1, -Infinity]);
    expect(await values(ops.pad([1], [[0, 1]], { value: NaN }))).toEqual([1, NaN]);
    expect(await values(ops.pad([1], [[0, 1]], { value: 0 }))).toEqual([1, 0]);
    expect(await values(ops.pad([1], [[0, 1]], { value: -0 }))).toEqual([1, -0]);
  });

  it('gathering twice adds up on the way back, in order', async () => {
    const x = tensor([1, 2, 3]);
    const g = grad(ops.sum(ops.mul(ops.gather(x, ints(2, 0, 2)), [1, 10, 100])), [x])[0];
    expect(await values(g)).toEqual([10, 0, 101]);
    expect(await values(ops.scatterAdd([1, 2, 4], ints(1, 1, 0), 3))).toEqual([4, 3, 0]);
    expect(await values(ops.oneHot(ints(2, 0), 3))).toEqual([0, 0, 1, 1, 0, 0]);
  });

  it.each<[string, () => Tensor, string]>([
    ['gather', () => ops.gather([1, 2, 3], ints(0, 3)), 'takeRows: index 3 at position 1 is outside 0 … 2'],
    [
      'gather of -1',
      () => ops.gather([1, 2, 3], ints(-1)),
      'takeRows: index -1 at position 0 is outside 0 … 2',
    ],
    [
      'scatterAdd',
      () => ops.scatterAdd([1, 2], ints(0, 5), 4),
      'scatterRows: index 5 at position 1 is outside 0 … 3',
    ],
    [
      'takeAlong',
      () => ops.takeAlong([[1, 2]], tensor([[0, 2]], { dtype: 'i32' }), 1),
      'takeAlong: index 2 at position 1 is outside 0 … 1',
    ],
    ['oneHot', () => ops.oneHot(ints(1, 4), 4), 'scatterAlong: index 4 at position 1 is outside 0 … 3'],
  ])('%s refuses an index out of range', async (_, build, message) => {
    await expect(values(build())).rejects.toThrow(new DataError(message));
  });

  it('random draws inside a compiled step follow the reserved step', async () => {
    const own = await evaluators();
    const noise = key(3, 'noise');
    const step = await compile(own.backend, {
      build: ({ step: at }) => ({ outputs: { y: ops.randomNormal([5], noise, at) } }),
    });
    const draws = [await step.run({ step: 0 }), await step.run({ step: 1 }), await step.run({ step: 0 })];
    const [a, b, c] = draws.map(({ y }) => [...y.data]);
    expect(a).toEqual(c);
    expect(a).not.toEqual(b);
    expect(b).toEqual(await values(ops.randomNormal([5], noise, 1)));
    await step.close();
  });

  it('random draws: pure in key, step and position', async () => {
    const k = key(7, 'test');
    const uniform = await values(ops.randomUniform([1000], k, 3));
    expect(await values(ops.randomUniform([10, 100], k, 3))).toEqual(uniform);
    expect(await values(ops.randomUniform([1000], k, 4))).not.toEqual(uniform);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    const normal = await values(ops.randomNormal([4000], k));
    const mean = normal.reduce((a, b) => a + b, 0) / 4000;
    const square = normal.reduce((a, b) => a + b * b, 0) / 4000;
    expect(Math.abs(mean)).toBeLessThan(0.06);
    expect(Math.abs(square - 1)).toBeLessThan(0.09);
    const heads = await values(ops.randomBernoulli([4000], 0.25, k));
    expect(Math.abs(heads.reduce((a, b) => a + b, 0) / 4000 - 0.25)).toBeLessThan(0.03);
    const order = await values(ops.randomPermutation(500, k));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(order).not.toEqual([...order].sort((a, b) => a - b));
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

describe('normalOf', () => {
  it('is the inverse of the distribution function', () => {
    // Φ⁻¹ at a few points, to ten digits (tables of the standard normal distribution).
    const at = (p: number): number => normalOf(p * 2 ** 32 - 0.5);
    expect(at(0.5)).toBe(0);
    expect(at(0.975)).toBeCloseTo(1.959963985, 9);
    expect(at(0.025)).toBeCloseTo(-1.959963985, 9);
    expect(at(0.999)).toBeCloseTo(3.090232306, 9);
    expect(at(0.9)).toBeCloseTo(1.281551566, 9);
    expect(normalOf(0)).toBeCloseTo(-6.338, 2);
    expect(normalOf(2 ** 32 - 1)).toBe(-normalOf(0));
  });
});

describe('wrong use is named', () => {
  const t = (...shape: number[]): Tensor => zeros(shape);

  it.each<[string, () => unknown, string]>([
    [
      'arithmetic of two dtypes',
      () => ops.add(t(2), ints(1, 2)),
      'add: expects operands of one dtype, f32 or i32, but got f32 [2] and i32 [2] (convert with cast(x, dtype))',
    ],
    [
      'arithmetic of bytes',
      () => ops.mul(bytes(1), bytes(2)),
      'mul: expects operands of one dtype, f32 or i32, but got u8 [1] and u8 [1] (convert with cast(x, dtype))',
    ],
    [
      'division of integers',
      () => ops.div(ints(4), ints(2)),
      'div: expects f32 but got i32 [1] (convert it with cast(x))',
    ],
    ['logic of floats', () => ops.and(t(2), t(2)), 'and: expects u8 but got f32 [2]'],
    ['a condition of floats', () => ops.where(t(2), 1, 2), 'where: expects u8 but got f32 [2]'],
    [
      'where with two dtypes',
      () => ops.where(bytes(1), t(1), ints(1)),
      'where: expects operands of one dtype, f32 or i32 or u8, but got f32 [1] and i32 [1] (convert with cast(x, dtype))',
    ],
    [
      'a fraction beside integers',
      () => ops.add(ints(1), 0.5),
      "tensor: value 0.5 at position 0 does not fit i32 (use dtype 'f32')",
    ],
    ['too many ranges', () => ops.slice(t(2), [null, null]), 'slice: 2 ranges for f32 [2], which has 1 axes'],
    [
      'a position that is not there',
      () => ops.slice(t(2, 3), [null, 3]),
      'slice: position 3 does not exist along axis 1 of size 3 (positions go from -3 to 2)',
    ],
    [
      'a step of 0',
      () => ops.slice(t(2), [{ step: 0 }]),
      'slice: step of axis 0 must be an integer other than 0, got 0',
    ],
    [
      'concat of other sizes',
      () => ops.concat([t(2, 3), t(3, 2)], 0),
      'concat: f32 [2,3] and f32 [3,2] differ in more than axis 0 (dtypes and all other sizes must be equal)',
    ],
    ['concat of nothing', () => ops.concat([]), 'concat: there are no tensors (give at least one)'],
    ['stack', () => ops.stack([t(2), t(3)]), 'stack: shapes [2] and [3] differ (all must be equal)'],
    [
      'split in parts that do not fit',
      () => ops.split(t(7), 2),
      'split: 2 equal parts do not fill axis 0 of [7], which has size 7',
    ],
    [
      'split by sizes',
      () => ops.split(t(7), [3, 3]),
      'split: parts [3,3] do not fill axis 0 of [7], which has size 7',
    ],
    ['squeeze', () => ops.squeeze(t(1, 3), 1), 'squeeze: axis 1 of [1,3] has size 3, not 1'],
    [
      'a mirror that is too long',
      () => ops.pad(t(3), [[3, 0]], { mode: 'reflect' }),
      'pad: reflect by [3,0] needs more than the 3 elements of axis 0 of f32 [3]',
    ],
    [
      'pad without amounts',
      () => ops.pad(t(2, 2), [[1, 1]]),
      'pad: 1 amounts for f32 [2,2], which has 2 axes',
    ],
    [
      'a pad value that bytes do not hold',
      () => ops.pad(bytes(1), [[1, 0]], { value: -1 }),
      "pad: value -1 at position 0 does not fit u8 (use dtype 'f32')",
    ],
    [
      'variance of too few',
      () => ops.variance(t(1), 0, { correction: 1 }),
      'variance: 1 elements of [1] are too few for the correction 1',
    ],
    ['argMax of nothing', () => ops.argMax(t(0)), 'argMax: no elements along the reduced axes of [0]'],
    ['min of nothing', () => ops.min(t(2, 0), 1), 'min: no elements along the reduced axes of [2,0]'],
    ['min of integers', () => ops.min(ints(1)), 'min: expects f32 but got i32 [1] (convert it with cast(x))'],
    ['any of floats', () => ops.any(t(2)), 'any: expects u8 but got f32 [2]'],
    ['all of integers', () => ops.all(ints(1)), 'all: expects u8 but got i32 [1]'],
    ['not of floats', () => ops.not(t(2)), 'not: expects u8 but got f32 [2]'],
    [
      'softmax of bytes',
      () => ops.softmax(bytes(1, 2)),
      'softmax: expects f32 but got u8 [2] (convert it with cast(x))',
    ],
    ['topK', () => ops.topK(t(3), 4), 'topK: k must be from 0 to the 3 elements of axis 0, got 4'],
    [
      'takeAlong',
      () => ops.takeAlong(t(2, 3), zeros([3, 1], 'i32'), 1),
      'takeAlong: f32 [2,3] and index i32 [3,1] differ in more than axis 1 (broadcast the index first)',
    ],
    ['gather by floats', () => ops.gather(t(2), t(1)), 'gather: expects i32 but got f32 [1]'],
    ['dot', () => ops.dot(t(2), t(3)), 'dot: expects two vectors of one length, got f32 [2] and f32 [3]'],
    [
      'einsum, operands',
      () => ops.einsum('ij,jk', t(2, 3)),
      "einsum 'ij,jk': has 2 operands but 1 tensors were given",
    ],
    [
      'einsum, rank',
      () => ops.einsum('ij->i', t(2)),
      "einsum 'ij->i': 'ij' names 2 axes but the operand is f32 [2]",
    ],
    [
      'einsum, sizes',
      () => ops.einsum('ij,jk->ik', t(2, 3), t(4, 5)),
      "einsum 'ij,jk->ik': 'j' has sizes 3 and 4 (they must be equal)",
    ],
    [
      'einsum, a diagonal',
      () => ops.einsum('ii->i', t(2, 2)),
      "einsum 'ii->i': 'i' occurs twice in 'ii' (a diagonal: multiply with an identity matrix)",
    ],
    [
      'einsum, result',
      () => ops.einsum('ij->ik', t(2, 2)),
      "einsum 'ij->ik': the result 'ik' must name axes of the operands, each once (look at 'k')",
    ],
    [
      'einsum, letters',
      () => ops.einsum('i1->i', t(2, 2)),
      "einsum 'i1->i': 'i1' is not letters with at most one ellipsis (...)",
    ],
    [
      'einsum, ellipsis',
      () => ops.einsum('...i->i', t(2, 2)),
      "einsum '...i->i': the operands have an ellipsis but the result 'i' has none (add ... to it)",
    ],
  ])('%s', (_, build, message) => {
    expect(build).toThrow(new ShapeError(message));
  });

  it.each<[string, () => unknown, string]>([
    ['clamp', () => ops.clamp([1], 2, 1), 'clamp: low must not be above high, got 2 and 1'],
    ['norm', () => ops.norm([1], 0, { order: 0 }), 'norm: order must be positive, got 0'],
    [
      'randomBernoulli',
      () => ops.randomBernoulli([1], 1.5, key(1, 'x')),
      'randomBernoulli: probability must lie in [0, 1], got 1.5',
    ],
  ])('%s out of range', (_, build, message) => {
    expect(build).toThrow(new RangeError(message));
  });

  it('a number that single precision does not hold is refused, an infinity is not', () => {
    const message = (where: string, value: string, position: number): string =>
      `${where}: value ${value} at position ${position} does not fit f32, whose largest number is 3.4028235e+38 ` +
      '(scale it, or give Infinity)';
    expect(() => tensor([1, 1e40])).toThrow(new ShapeError(message('tensor', '1e+40', 1)));
    expect(() => tensor(Float64Array.of(-1e39))).toThrow(new ShapeError(message('tensor', '-1e+39', 0)));
    expect(() => ops.full([2], 1e39)).toThrow(new ShapeError(message('full', '1e+39', 0)));
    expect(() => ops.mul([1], 1e39)).toThrow(new ShapeError(message('tensor', '1e+39', 0)));
    const held: TensorLike = [Infinity, -Infinity, NaN, 3.4e38];
    expect([...(tensor(held).source as { value: { data: Float32Array } }).value.data].slice(0, 3)).toEqual([
      Infinity,
      -Infinity,
      NaN,
    ]);
  });
});
