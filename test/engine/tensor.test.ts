// Making tensors, exploring with them, and what is said when shapes or dtypes do not fit.

import ndarray from 'ndarray';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { setDefaultBackend } from '../../engine/select.ts';
import { PlanError, ShapeError } from '../../engine/errors.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  avgPool2d,
  batchNorm,
  batchNormInference,
  broadcastTo,
  cast,
  checkFinite,
  conv2d,
  correct,
  crossEntropyRows,
  div,
  dropout,
  exp,
  f32,
  full,
  i32,
  lrnWithin,
  matmul,
  max,
  maxPool2d,
  mean,
  mul,
  normalizeImages,
  ones,
  ops,
  pow,
  relu,
  reshape,
  scalar,
  softmaxCrossEntropy,
  sub,
  sum,
  takeRows,
  tensor,
  transpose,
  u8,
  zeros,
  type Nested,
} from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import { input, type Tensor } from '../../engine/tensor.ts';
import type { DType } from '../../engine/types.ts';

beforeEach(() => setDefaultBackend(reference()));

describe('creation', () => {
  it('from nested arrays', async () => {
    const t = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([t.shape, t.dtype, t.rank]).toEqual([[2, 3], 'f32', 2]);
    expect(await t.array()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(tensor([[[1]], [[2]]]).shape).toEqual([2, 1, 1]);
  });

  it('from a number, a scalar and nothing', async () => {
    expect(await tensor(4).array()).toBe(4);
    expect(tensor(4).shape).toEqual([]);
    expect([tensor([]).shape, tensor([[], []]).shape]).toEqual([[0], [2, 0]]);
    expect(await tensor([[], []]).array()).toEqual([[], []]);
    expect([scalar(3).dtype, scalar(3, 'i32').dtype]).toEqual(['f32', 'i32']);
  });

  it.each([
    [new Float32Array([1, 2]), 'f32'],
    [new Float64Array([1, 2]), 'f32'],
    [new Int32Array([1, 2]), 'i32'],
    [new Uint8Array([1, 2]), 'u8'],
    [Buffer.from([1, 2]), 'u8'],
    [new Uint8ClampedArray([1, 2]), 'u8'],
    [new Int8Array([1, 2]), 'i32'],
    [new Int16Array([1, 2]), 'i32'],
    [new Uint16Array([1, 2]), 'i32'],
    [new Uint32Array([1, 2]), 'i32'],
  ] as const)('from %o', async (data, dtype) => {
    const t = tensor(data);
    expect([t.shape, t.dtype]).toEqual([[2], dtype]);
    expect(await t.array()).toEqual([1, 2]);
  });

  it('from typed arrays in another shape or dtype', async () => {
    const t = tensor(new Uint8Array([1, 2, 3, 4, 5, 6]), { shape: [3, 2], dtype: 'f32' });
    expect(t.dtype).toBe('f32');
    expect(await t.array()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
  });

  it('copies: later changes to the data do not matter', async () => {
    const data = Float32Array.of(1, 2);
    const double = Float64Array.of(1, 2);
    const [t, d] = [tensor(data), tensor(double)];
    data.fill(9);
    double.fill(9);
    expect([await t.array(), await d.array()]).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it('from ndarrays: transposed, reversed, with an offset and a step', async () => {
    const base = ndarray(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [3, 4],
    );
    const flat = (a: Parameters<typeof tensor>[0]) => tensor(a).array();
    expect(await flat(base)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
    ]);
    expect(await flat(base.transpose(1, 0))).toEqual([
      [0, 4, 8],
      [1, 5, 9],
      [2, 6, 10],
      [3, 7, 11],
    ]);
    expect(await flat(base.step(-1, 1))).toEqual([
      [8, 9, 10, 11],
      [4, 5, 6, 7],
      [0, 1, 2, 3],
    ]);
    expect(await flat(base.lo(1, 1).hi(2, 2))).toEqual([
      [5, 6],
      [9, 10],
    ]);
    expect(await flat(base.lo(0, 1).step(2, -2))).toEqual([
      [3, 1],
      [11, 9],
    ]);
    expect(await flat(base.pick(1, null))).toEqual([4, 5, 6, 7]);
    expect(await flat(base.pick(2, 3))).toBe(11);
    expect(await flat(base.hi(0, 4))).toEqual([]);
  });

  it('from ndarrays of every kind of data', async () => {
    const bytes = tensor(ndarray(Uint8Array.of(1, 255), [2]));
    expect([bytes.dtype, await bytes.array()]).toEqual(['u8', [1, 255]]);
    const integers = tensor(ndarray(Int32Array.of(-1, 2), [2]).step(-1));
    expect([integers.dtype, await integers.array()]).toEqual(['i32', [2, -1]]);
    const numbers = tensor(ndarray([0.5, 2], [2]));
    expect([numbers.dtype, await numbers.array()]).toEqual(['f32', [0.5, 2]]);
    const short = tensor(ndarray(Int16Array.of(-3, 4, 5), [3]).step(-1));
    expect([short.dtype, await short.array()]).toEqual(['i32', [5, 4, -3]]);
    expect(() => tensor(ndarray(Uint32Array.of(2 ** 31), [1]))).toThrow(
      "tensor: value 2147483648 at position 0 does not fit i32 (use dtype 'f32')",
    );
    const file = tensor(ndarray(Buffer.from([3, 4]) as Uint8Array, [2]).step(-1));
    expect([file.dtype, await file.array()]).toEqual(['u8', [4, 3]]);
  });

  it('filled', async () => {
    expect(await zeros([2, 2]).array()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(await ones([2], 'u8').array()).toEqual([1, 1]);
    expect(await full([2, 1], -3, 'i32').array()).toEqual([[-3], [-3]]);
    expect(await full([], 7).array()).toBe(7);
  });

  it('of types for compile', () => {
    expect([f32(2, 3), i32(), u8(0)]).toEqual([
      { shape: [2, 3], dtype: 'f32' },
      { shape: [], dtype: 'i32' },
      { shape: [0], dtype: 'u8' },
    ]);
  });

  it.each<[string, () => unknown, string]>([
    [
      'a short row',
      () => tensor([[1, 2], [3]]),
      'tensor: ragged data: [1] has length 1 where length 2 is expected',
    ],
    [
      'a number among rows',
      () => tensor([[1, 2], 3]),
      'tensor: ragged data: [1] is 3 where length 2 is expected',
    ],
    [
      'a row among numbers',
      () =>
        tensor([
          [1, 2],
          [3, [4]],
        ]),
      'tensor: ragged data: [1][1] is an array where its neighbours are numbers',
    ],
    [
      'a deep short row',
      () =>
        tensor([
          [[1], [2]],
          [[3], []],
        ]),
      'tensor: ragged data: [1][1] has length 0 where length 1 is expected',
    ],
    [
      'a hole',
      () => tensor([1, undefined as unknown as number]),
      'tensor: ragged data: [1] is undefined where its neighbours are numbers',
    ],
    [
      'text',
      () => tensor([[1], ['2' as unknown as number]]),
      'tensor: ragged data: [1][0] is "2" where its neighbours are numbers',
    ],
    [
      'text alone',
      () => tensor('abc' as unknown as Nested),
      "tensor: expects numbers, arrays of numbers or typed arrays, got 'abc'",
    ],
    [
      'null',
      () => tensor(null as unknown as Nested),
      'tensor: expects numbers, arrays of numbers or typed arrays, got null',
    ],
    [
      'another kind of typed array',
      () => tensor(BigInt64Array.of(1n, 2n) as unknown as Nested),
      'tensor: expects numbers, arrays of numbers or typed arrays, got a BigInt64Array',
    ],
    [
      'a shape that the values do not fill',
      () => tensor([1, 2, 3], { shape: [2, 2] }),
      'tensor: 3 values do not fill the shape [2,2] (which holds 4)',
    ],
    [
      'an impossible shape',
      () => tensor([1, 2], { shape: [-1, -2] }),
      'tensor: sizes must be non-negative integers, got -1 in [-1,-2]',
    ],
    [
      'a byte too large',
      () => tensor([1, 300], { dtype: 'u8' }),
      "tensor: value 300 at position 1 does not fit u8 (use dtype 'f32')",
    ],
    [
      'a negative byte',
      () => tensor([[-1]], { dtype: 'u8' }),
      "tensor: value -1 at position 0 does not fit u8 (use dtype 'f32')",
    ],
    [
      'a fraction for an integer',
      () => tensor(Float32Array.of(1, 1.5), { dtype: 'i32' }),
      "tensor: value 1.5 at position 1 does not fit i32 (use dtype 'f32')",
    ],
    [
      'NaN for an integer',
      () => tensor([NaN], { dtype: 'i32' }),
      "tensor: value NaN at position 0 does not fit i32 (use dtype 'f32')",
    ],
    [
      'an integer too large',
      () => scalar(2 ** 31, 'i32'),
      "tensor: value 2147483648 at position 0 does not fit i32 (use dtype 'f32')",
    ],
    [
      'filling with a fraction',
      () => full([2], 1.5, 'i32'),
      "full: value 1.5 at position 0 does not fit i32 (use dtype 'f32')",
    ],
    [
      'filling with too much',
      () => full([2], 256, 'u8'),
      "full: value 256 at position 0 does not fit u8 (use dtype 'f32')",
    ],
    [
      'filling an impossible shape',
      () => zeros([2.5]),
      'full: sizes must be non-negative integers, got 2.5 in [2.5]',
    ],
    [
      'a type of an impossible shape',
      () => f32(3, -1),
      'f32: sizes must be non-negative integers, got -1 in [3,-1]',
    ],
  ])('%s is an error that names the place', (_, make, message) => {
    expect(make).toThrow(new ShapeError(message));
  });

  it('an unknown dtype is an error', () => {
    expect(() => tensor([1], { dtype: 'f64' as DType })).toThrow(
      new TypeError(`dtype: must be 'f32', 'i32' or 'u8', got "f64"`),
    );
  });
});

describe('exploring', () => {
  it('methods chain', async () => {
    const x = tensor([
      [1, -2],
      [3, 4],
    ]);
    const y = x
      .matmul([[1], [1]])
      .add(1)
      .relu()
      .mul(2)
      .sub([0.5])
      .div(2)
      .neg();
    expect(await y.array()).toEqual([[0.25], [-7.75]]);
    expect(await x.sum().array()).toBe(6);
    expect(await x.mean(0).array()).toEqual([2, 1]);
    expect(await x.max(1, { keepDims: true }).array()).toEqual([[1], [4]]);
    expect(await x.transpose().array()).toEqual([
      [1, 3],
      [-2, 4],
    ]);
    expect(await x.reshape([4]).array()).toEqual([1, -2, 3, 4]);
    expect(await tensor([1, 2]).broadcastTo([2, 2]).array()).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect(await tensor([4]).sqrt().log().exp().pow(3).array()).toEqual([expect.closeTo(8, 5)]);
    expect(await tensor([0]).sigmoid().array()).toEqual([0.5]);
    expect(await tensor([0]).tanh().array()).toEqual([0]);
    expect(await tensor(Uint8Array.of(200)).cast().mul(2).array()).toEqual([400]);
  });

  it('data, array and ndarray give the same values', async () => {
    const t = tensor([
      [1, 2],
      [3, 4],
    ]).mul(2);
    expect(await t.data()).toEqual(Float32Array.of(2, 4, 6, 8));
    const nd = await t.ndarray();
    expect([nd.shape, nd.get(1, 0)]).toEqual([[2, 2], 6]);
    expect(await t.array()).toEqual([
      [2, 4],
      [6, 8],
    ]);
  });

  describe('print', () => {
    afterEach(() => vi.restoreAllMocks());

    it.each<[string, () => Tensor, string]>([
      ['a scalar', () => tensor(1 / 3), 'f32 []\n0.333333'],
      ['a row', () => tensor([1, 2.5, -3]), 'f32 [3]\n[1, 2.5, -3]'],
      [
        'a matrix',
        () =>
          tensor([
            [1, 2],
            [3, 4],
          ]),
        'f32 [2,2]\n[[1, 2],\n [3, 4]]',
      ],
      ['integers', () => tensor(Int32Array.of(1, -2)), 'i32 [2]\n[1, -2]'],
      ['nothing', () => zeros([0, 3]), 'f32 [0,3]\n[]'],
      [
        'values that are no numbers',
        () => tensor([NaN, Infinity, -Infinity]),
        'f32 [3]\n[NaN, Infinity, -Infinity]',
      ],
      ['eight values, in full', () => tensor([1, 2, 3, 4, 5, 6, 7, 8]), 'f32 [8]\n[1, 2, 3, 4, 5, 6, 7, 8]'],
      [
        'a long row, shortened',
        () => tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        'f32 [10]\n[1, 2, 3, 4, …, 8, 9, 10]',
      ],
      ['a cube', () => tensor([[[1, 2]], [[3, 4]]]), 'f32 [2,1,2]\n[[[1, 2]],\n [[3, 4]]]'],
    ])('%s', async (_, make, text) => {
      const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
      await make().print();
      expect(log.mock.calls).toEqual([[text]]);
    });
  });

  /** A reference backend that counts what is compiled and what is open. */
  function counting(): { backend: Backend; loads: () => number; open: () => number } {
    const inner = reference();
    let loads = 0;
    let open = 0;
    const backend: Backend = {
      name: 'counting',
      fusions: inner.fusions,
      runsPerCall: 1,
      createStore: (state) => inner.createStore(state),
      async load(plan, store) {
        loads++;
        open++;
        const executable = await inner.load(plan, store);
        const close = executable.close.bind(executable);
        executable.close = () => {
          open--;
          return close();
        };
        return executable;
      },
      close: () => inner.close(),
    };
    return { backend, loads: () => loads, open: () => open };
  }

  it('compiles the same structure once: x.mul(i) in a loop', async () => {
    const { backend, loads } = counting();
    const evaluator = new Evaluator(backend);
    const x = tensor([1, 2, 3]);
    for (let i = 0; i < 10; i++) {
      // oxlint-disable-next-line no-await-in-loop -- the loop that users write
      const [value] = await evaluator.evaluate([add(mul(x, i), tensor([i, 0, 0]))]);
      expect([...value.data]).toEqual([2 * i, 2 * i, 3 * i]);
    }
    expect(loads()).toBe(1);
    await evaluator.evaluate([mul(add(x, 1), tensor([1, 0, 0]))]); // another structure
    await evaluator.evaluate([add(mul(x, 1), tensor([[1], [0], [0]]))]); // other shapes
    await evaluator.evaluate([sum(x, 0)]);
    await evaluator.evaluate([max(reshape(x, [1, 3]), 1)]);
    expect(loads()).toBe(5);
    await evaluator.close();
    await backend.close();
  });

  it('tells structures apart by attributes, sharing and order', async () => {
    const { backend, loads } = counting();
    const evaluator = new Evaluator(backend);
    const [a, b] = [tensor([[1, 2]]), tensor([[5, 7]])];
    const run = async (t: Tensor) => [...(await evaluator.evaluate([t]))[0].data];
    expect(await run(matmul(a, b, { transB: true }))).toEqual([19]);
    expect(await run(matmul(a, b, { transA: true }))).toEqual([5, 7, 10, 14]);
    expect(await run(sub(a, b))).toEqual([-4, -5]);
    expect(await run(sub(b, a))).toEqual([4, 5]); // the same structure with other constants
    expect(await run(sub(a, a))).toEqual([0, 0]); // one constant instead of two
    const c = exp(mul(a, 0));
    expect(await run(add(c, c))).toEqual([2, 2]);
    expect(loads()).toBe(5);
    await evaluator.close();
  });

  it('refuses a gradient through a value that was evaluated: zeros would be silently wrong', async () => {
    const a = tensor([1, 2, 3]);
    const x = mul(a, a);
    expect(await grad(sum(x), [a])[0].array()).toEqual([2, 4, 6]);
    await x.data();
    expect(() => grad(sum(x), [a])).toThrow(
      'grad: the loss does not depend on tensor 0 of wrt (f32 [3]), but it contains a f32 [3] that was evaluated and so ' +
        'dropped how it was computed (take gradients before data(), array(), ndarray() or print())',
    );
    expect(await grad(sum(x), [x])[0].array()).toEqual([1, 1, 1]);
    expect(await grad(sum(tensor([1])), [a])[0].array()).toEqual([0, 0, 0]);
  });

  it('an evaluated tensor becomes a constant and drops its history', async () => {
    const { backend, loads } = counting();
    const evaluator = new Evaluator(backend);
    const x = mul(tensor([1, 2]), 3);
    expect(x.source.kind).toBe('node');
    await evaluator.evaluate([x]);
    expect(x.source.kind).toBe('constant');
    await evaluator.evaluate([x]);
    expect(loads()).toBe(1);
    expect([...(await evaluator.evaluate([add(x, 1)]))[0].data]).toEqual([4, 7]);
    await evaluator.close();
  });

  it('evaluates several tensors, constants among them, in one run', async () => {
    const { backend, loads } = counting();
    const evaluator = new Evaluator(backend);
    const x = tensor([4]);
    const h = mul(x, 2);
    const results = await evaluator.evaluate([h, x, add(h, 1), h]);
    expect(results.map(({ data }) => data[0])).toEqual([8, 4, 9, 8]);
    expect(loads()).toBe(1);
    await evaluator.close();
  });

  it('keeps a bounded number of executables and closes the others', async () => {
    const { backend, open } = counting();
    const evaluator = new Evaluator(backend);
    for (let n = 1; n <= 100; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one structure after the other
      await evaluator.evaluate([sum(ones([n]))]);
    }
    expect(open()).toBeLessThanOrEqual(64);
    await evaluator.close();
    expect(open()).toBe(0);
    await backend.close(); // its stores are closed too
  });

  it('many structures at the same time', async () => {
    const { backend } = counting();
    const evaluator = new Evaluator(backend);
    const sums = await Promise.all(
      Array.from({ length: 150 }, (_, n) => evaluator.evaluate([sum(ones([n + 1]))])),
    );
    expect(sums.map(([value]) => value.data[0])).toEqual(Array.from({ length: 150 }, (_, n) => n + 1));
    await evaluator.close();
    await backend.close();
  });

  it('an error in a run says so and leaves the evaluator usable', async () => {
    const logits = tensor([[1, 2]]);
    const labelled = (label: number, path = '') =>
      withPath(path, () => crossEntropyRows(logits, tensor(Int32Array.of(label)))).data();
    await expect(labelled(5)).rejects.toThrow('softmaxCrossEntropy: label 5 at row 0 is outside 0 … 1');
    expect([...(await labelled(1))]).toEqual([expect.closeTo(Math.log(1 + Math.exp(-1)), 6)]);
    await expect(labelled(6)).rejects.toThrow(/^softmaxCrossEntropy: label 6/);
    // The path is the one of the tensor that is asked for, not of another with the same structure.
    await expect(labelled(7, 'head')).rejects.toThrow(/^head \/ softmaxCrossEntropy: label 7/);
  });

  it('a structure that failed to load is loaded again', async () => {
    const inner = reference();
    let failures = 1;
    const evaluator = new Evaluator({
      name: 'flaky',
      fusions: inner.fusions,
      runsPerCall: 1,
      createStore: (state) => inner.createStore(state),
      load: (plan, store) =>
        failures-- > 0 ? Promise.reject(new Error('no memory')) : inner.load(plan, store),
      close: () => inner.close(),
    });
    const x = tensor([1, 2]);
    await expect(evaluator.evaluate([sum(x)])).rejects.toThrow('no memory');
    expect((await evaluator.evaluate([sum(x)]))[0].data[0]).toBe(3);
    await evaluator.close();
    await inner.close(); // also the store of the load that failed
  });

  it('a symbolic input has no value', async () => {
    const x = input('images', { shape: [2, 3], dtype: 'u8' });
    const message =
      "evaluate: 'images' (u8 [2,3]) is a symbolic input without a value " +
      '(run the compiled step, with this among its outputs)';
    await expect(x.data()).rejects.toThrow(new PlanError(message));
    await expect(cast(x).mul(2).array()).rejects.toThrow(new PlanError(message));
  });

  it('another default backend can be chosen', async () => {
    const { backend, loads } = counting();
    await setDefaultBackend(backend);
    await tensor([1]).mul(2).data();
    expect(loads()).toBe(1);
    await setDefaultBackend(reference());
    await backend.close(); // the former one's executables are closed
  });
});

describe('shapes and dtypes that do not fit are named, all of them', () => {
  const t = (...shape: number[]) => zeros(shape);
  const ints = (...shape: number[]) => zeros(shape, 'i32');
  const bytes = (...shape: number[]) => zeros(shape, 'u8');
  const CAST = ' (convert it with cast(x))';

  it.each<[string, () => unknown, string]>([
    // elementwise
    [
      'add',
      () => add(t(2, 3), t(2, 4)),
      'add: shapes [2,3] and [2,4] do not broadcast: axis -1 has sizes 3 and 4 (they must be equal, or one of them 1)',
    ],
    [
      'sub',
      () => sub(t(4, 2, 3), t(5, 1, 3)),
      'sub: shapes [4,2,3] and [5,1,3] do not broadcast: axis -3 has sizes 4 and 5 (they must be equal, or one of them 1)',
    ],
    [
      'mul',
      () => mul(t(0), t(2)),
      'mul: shapes [0] and [2] do not broadcast: axis -1 has sizes 0 and 2 (they must be equal, or one of them 1)',
    ],
    ['div of bytes', () => div(t(2), bytes(2)), `div: expects f32 but got u8 [2]${CAST}`],
    ['pow of integers', () => pow(ints(2), 2), `pow: expects f32 but got i32 [2]${CAST}`],
    ['exp of integers', () => exp(ints(2)), `exp: expects f32 but got i32 [2]${CAST}`],
    ['relu of bytes', () => relu(bytes(2, 2)), `relu: expects f32 but got u8 [2,2]${CAST}`],
    ['reluGrad', () => ops.reluGrad([t(2), t(3)], {}), 'reluGrad: gradient [2] and result [3] differ'],
    [
      'checkFinite of integers',
      () => checkFinite(ints(1), 'x'),
      `checkFinite: expects f32 but got i32 [1]${CAST}`,
    ],
    // layout
    ['reshape', () => reshape(t(2, 3), [4, 2]), 'reshape: [2,3] holds 6 elements but [4,2] holds 8'],
    [
      'reshape with two holes',
      () => reshape(t(2, 3), [-1, -1]),
      'reshape: only one size may be -1, got [-1,-1]',
    ],
    [
      'reshape with a hole that does not divide',
      () => reshape(t(2, 3), [4, -1]),
      'reshape: [2,3] holds 6 elements, not a multiple of the 4 that [4,-1] fixes',
    ],
    [
      'reshape of nothing with a hole',
      () => reshape(t(0, 3), [0, -1]),
      'reshape: [0,3] holds 0 elements, not a multiple of the 0 that [0,-1] fixes',
    ],
    [
      'reshape to an impossible size',
      () => reshape(t(6), [-2, -3]),
      'reshape: sizes must be non-negative integers, got -2 in [-2,-3]',
    ],
    [
      'transpose with a missing axis',
      () => transpose(t(2, 3), [0]),
      'transpose: [0] must name each of the 2 axes of [2,3] once',
    ],
    [
      'transpose with an axis twice',
      () => transpose(t(2, 3), [1, 1]),
      'transpose: [1,1] must name each of the 2 axes of [2,3] once',
    ],
    [
      'transpose with an axis too many',
      () => transpose(t(2, 3), [0, 2]),
      'transpose: axis 2 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'broadcastTo',
      () => broadcastTo(t(2, 3), [2, 4]),
      'broadcastTo: f32 [2,3] does not broadcast to [2,4] (each axis must be equal, or 1 in the tensor)',
    ],
    [
      'broadcastTo fewer axes',
      () => broadcastTo(t(1, 3), [3]),
      'broadcastTo: f32 [1,3] does not broadcast to [3] (each axis must be equal, or 1 in the tensor)',
    ],
    // reductions
    [
      'sum over an axis that is not there',
      () => sum(t(2, 3), 2),
      'sum: axis 2 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'sum over half an axis',
      () => sum(t(2, 3), 0.5),
      'sum: axis 0.5 does not exist in a tensor of rank 2 (axes go from -2 to 1)',
    ],
    [
      'sum over an axis twice',
      () => sum(t(2, 3), [1, -1]),
      'sum: axis 1 is given twice (name each axis once)',
    ],
    ['sum of bytes', () => sum(bytes(2, 3)), `sum: expects f32 but got u8 [2,3]${CAST}`],
    ['max over nothing', () => max(t(2, 0), 1), 'max: no elements along the reduced axis of [2,0,1]'],
    ['max of integers', () => max(ints(3)), `max: expects f32 but got i32 [3]${CAST}`],
    ['mean over nothing', () => mean(t(2, 0), 1), 'mean: no elements along the reduced axes of [2,0]'],
    [
      'mean over an axis that is not there',
      () => mean(t(2), 3),
      'mean: axis 3 does not exist in a tensor of rank 1 (axes go from -1 to 0)',
    ],
    // products
    ['matmul', () => matmul(t(2, 3), t(4, 5)), 'matmul: inner sizes 3 and 4 differ: f32 [2,3] and f32 [4,5]'],
    [
      'matmul, transposed',
      () => matmul(t(2, 3), t(4, 5), { transA: true, transB: true }),
      'matmul: inner sizes 2 and 5 differ: f32 [2,3] transposed and f32 [4,5] transposed',
    ],
    [
      'matmul of a vector',
      () => matmul(t(3), t(3, 2)),
      'matmul: expects two matrices [m, k] and [k, n], or two batches of them, got f32 [3] and f32 [3,2]',
    ],
    [
      'matmul of a matrix and a vector',
      () => matmul(t(3, 4), t(4)),
      'matmul: expects two matrices [m, k] and [k, n], or two batches of them, got f32 [3,4] and f32 [4]',
    ],
    [
      'matmul of batches',
      () => matmul(t(2, 3, 4), t(3, 4, 5)),
      'matmul of f32 [2,3,4] and f32 [3,4,5]: batch: shapes [2] and [3] do not broadcast: axis -1 has sizes 2 and 3 (they must be equal, or one of them 1)',
    ],
    ['matmul of bytes', () => matmul(bytes(2, 3), t(3, 2)), `matmul: expects f32 but got u8 [2,3]${CAST}`],
    // convolution
    [
      'conv2d channels',
      () => conv2d(t(1, 8, 8, 16), t(5, 5, 32, 4)),
      'conv2d: input has 16 channels but weight expects 32: x [1,8,8,16], w f32 [5,5,32,4]',
    ],
    [
      'conv2d of no images',
      () => conv2d(t(8, 8, 3), t(5, 5, 3, 4)),
      'conv2d: expects images [N, H, W, C] but got f32 [8,8,3]',
    ],
    [
      'conv2d without filters',
      () => conv2d(t(1, 8, 8, 3), t(5, 5, 3)),
      'conv2d: expects filters [KH, KW, C, O] but got f32 [5,5,3]',
    ],
    [
      'conv2d of bytes',
      () => conv2d(bytes(1, 8, 8, 3), t(5, 5, 3, 4)),
      `conv2d: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    [
      'conv2d window',
      () => conv2d(t(1, 4, 9, 3), t(5, 5, 3, 4)),
      'conv2d: a window of 5×5 does not fit an image of 4×9 with padding [0,0,0,0] (make the window smaller or pad more)',
    ],
    [
      'conv2d stride',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { stride: [1, 0] }),
      'conv2d: stride must be a positive integer, got [1,0]',
    ],
    [
      'conv2d padding',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { padding: -1 }),
      `conv2d: padding must be 'same', 'valid', a non-negative integer, [vertical, horizontal] or [top, bottom, left, right], got -1`,
    ],
    [
      'conv2d padding by name',
      () => conv2d(t(1, 8, 8, 3), t(3, 3, 3, 4), { padding: 'full' as 'same' }),
      `conv2d: padding must be 'same', 'valid', a non-negative integer, [vertical, horizontal] or [top, bottom, left, right], got "full"`,
    ],
    // pooling
    [
      'maxPool2d of no images',
      () => maxPool2d(t(8, 8, 3), 2),
      'maxPool2d: expects images [N, H, W, C] but got f32 [8,8,3]',
    ],
    [
      'maxPool2d window',
      () => maxPool2d(t(1, 2, 8, 3), [3, 2]),
      'maxPool2d: a window of 3×2 does not fit an image of 2×8 with padding [0,0,0,0] (make the window smaller or pad more)',
    ],
    [
      'maxPool2d kernel',
      () => maxPool2d(t(1, 8, 8, 3), 0),
      'maxPool2d: kernel must be a positive integer, got [0,0]',
    ],
    [
      'maxPool2d padding',
      () => maxPool2d(t(1, 8, 8, 3), 2, { padding: 2 }),
      "maxPool2d: padding [2,2,2,2] reaches the window's size 2×2, so a window could lie outside the image (pad less than the kernel)",
    ],
    [
      'maxPool2d padding, vertical alone',
      () => maxPool2d(t(1, 8, 8, 3), [2, 3], { padding: [0, 2, 1, 1] }),
      "maxPool2d: padding [0,2,1,1] reaches the window's size 2×3, so a window could lie outside the image (pad less than the kernel)",
    ],
    [
      'avgPool2d padding, horizontal alone',
      () => avgPool2d(t(1, 8, 8, 3), [3, 2], { padding: [1, 1, 2, 0] }),
      "avgPool2d: padding [1,1,2,0] reaches the window's size 3×2, so a window could lie outside the image (pad less than the kernel)",
    ],
    [
      'maxPool2d of bytes',
      () => maxPool2d(bytes(1, 8, 8, 3), 2),
      `maxPool2d: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    [
      'avgPool2d stride',
      () => avgPool2d(t(1, 8, 8, 3), 2, { stride: 1.5 }),
      'avgPool2d: stride must be a positive integer, got [1.5,1.5]',
    ],
    // normalisation
    [
      'lrnWithin of no images',
      () => lrnWithin(t(8, 8)),
      'lrnWithin: expects images [N, H, W, C] but got f32 [8,8]',
    ],
    [
      'lrnWithin of bytes',
      () => lrnWithin(bytes(1, 8, 8, 3)),
      `lrnWithin: expects f32 but got u8 [1,8,8,3]${CAST}`,
    ],
    ['batchNorm of a vector', () => batchNorm(t(3)), 'batchNorm: expects [..., channels] but got f32 [3]'],
    [
      'batchNorm of nothing',
      () => batchNorm(t(0, 3)),
      'batchNorm: no elements to take statistics of in f32 [0,3]',
    ],
    [
      'batchNorm gamma',
      () => batchNorm(t(2, 3), { gamma: t(4), beta: t(3) }),
      'batchNorm: input has 3 channels but a parameter has shape [4]: x f32 [2,3]',
    ],
    [
      'batchNorm beta',
      () => batchNorm(t(2, 3), { gamma: t(3), beta: t(1, 3) }),
      'batchNorm: input has 3 channels but a parameter has shape [1,3]: x f32 [2,3]',
    ],
    [
      'batchNorm without beta',
      () => batchNorm(t(2, 3), { gamma: t(3) }),
      'batchNorm: gamma and beta come together (give both or neither)',
    ],
    ['batchNorm of integers', () => batchNorm(ints(2, 3)), `batchNorm: expects f32 but got i32 [2,3]${CAST}`],
    [
      'batchNorm with integer parameters',
      () => batchNorm(t(2, 3), { gamma: ints(3), beta: t(3) }),
      `batchNorm: expects f32 but got i32 [3]${CAST}`,
    ],
    [
      'batchNormInference',
      () => batchNormInference(t(2, 3), t(3), t(2)),
      'batchNormInference: input has 3 channels but a parameter has shape [2]: x f32 [2,3]',
    ],
    [
      'batchNormInference gamma',
      () => batchNormInference(t(2, 3), t(3), t(3), { gamma: t(4), beta: t(4) }),
      'batchNormInference: input has 3 channels but a parameter has shape [4]: x f32 [2,3]',
    ],
    [
      'batchNormInference without gamma',
      () => batchNormInference(t(2, 3), t(3), t(3), { beta: t(3) }),
      'batchNormInference: gamma and beta come together (give both or neither)',
    ],
    // losses
    [
      'softmaxCrossEntropy labels',
      () => softmaxCrossEntropy(t(4, 3), ints(5)),
      'softmaxCrossEntropy: logits f32 [4,3] need labels i32 [4] but got i32 [5]',
    ],
    [
      'softmaxCrossEntropy float labels',
      () => crossEntropyRows(t(4, 3), t(4)),
      'softmaxCrossEntropy: logits f32 [4,3] need labels i32 [4] but got f32 [4]',
    ],
    [
      'softmaxCrossEntropy of a vector',
      () => softmaxCrossEntropy(t(3), ints(3)),
      'softmaxCrossEntropy: expects logits [N, classes] but got f32 [3]',
    ],
    [
      'softmaxCrossEntropy without classes',
      () => softmaxCrossEntropy(t(3, 0), ints(3)),
      'softmaxCrossEntropy: there are no classes in logits f32 [3,0]',
    ],
    [
      'correct',
      () => correct(t(4, 3), ints(4, 1)),
      'correct: logits f32 [4,3] need labels i32 [4] but got i32 [4,1]',
    ],
    ['correct of bytes', () => correct(bytes(4, 3), ints(4)), `correct: expects f32 but got u8 [4,3]${CAST}`],
    // data
    [
      'dropout step',
      () => dropout(t(3), 0.5, key(1, 'm'), scalar(1)),
      'dropout: step must be i32 [] but got f32 []',
    ],
    [
      'dropout of bytes',
      () => dropout(bytes(3), 0.5, key(1, 'm'), scalar(1, 'i32')),
      `dropout: expects f32 but got u8 [3]${CAST}`,
    ],
    ['takeRows index', () => takeRows(t(3, 2), t(2)), `takeRows: expects i32 but got f32 [2]`],
    [
      'takeRows index rank',
      () => takeRows(t(3, 2), ints(2, 1)),
      'takeRows: expects an index i32 [N] but got i32 [2,1]',
    ],
    [
      'takeRows of a scalar',
      () => takeRows(scalar(1), ints(2)),
      'takeRows: expects at least one axis but got f32 []',
    ],
    [
      'normalizeImages rank',
      () => normalizeImages(bytes(3, 3, 1), 0, 1),
      'normalizeImages: expects images [N, H, W, C] but got u8 [3,3,1]',
    ],
    [
      'normalizeImages of integers',
      () => normalizeImages(ints(1, 3, 3, 1), 0, 1),
      'normalizeImages: expects u8 or f32 images but got i32 [1,3,3,1]',
    ],
    [
      'normalizeImages mean',
      () => normalizeImages(bytes(1, 3, 3, 2), t(3), 1),
      'normalizeImages: mean: shapes [3,3,2] and [3] do not broadcast: axis -1 has sizes 2 and 3 (they must be equal, or one of them 1)',
    ],
    [
      'normalizeImages scale',
      () => normalizeImages(bytes(1, 1, 3, 2), 0, t(3, 1, 1)),
      'normalizeImages: scale f32 [3,1,1] does not broadcast to images u8 [1,1,3,2]',
    ],
    [
      'normalizeImages integer mean',
      () => normalizeImages(bytes(1, 3, 3, 2), ints(2), 1),
      `normalizeImages: mean: expects f32 but got i32 [2]${CAST}`,
    ],
    [
      'normalizeImages draws',
      () => normalizeImages(bytes(4, 3, 3, 2), 0, 1, ints(4, 2)),
      'normalizeImages: draws must be i32 [4,3] but got i32 [4,2]',
    ],
    [
      'normalizeImages float draws',
      () => normalizeImages(bytes(4, 3, 3, 2), 0, 1, t(4, 3)),
      'normalizeImages: draws must be i32 [4,3] but got f32 [4,3]',
    ],
  ])('%s', (_, build, message) => {
    expect(build).toThrow(new ShapeError(message));
  });

  it.each<[string, () => unknown, string]>([
    [
      'lrnWithin even size',
      () => lrnWithin(t(1, 3, 3, 1), { size: 4 }),
      'lrnWithin: size must be a positive odd integer, got 4',
    ],
    [
      'lrnWithin zero size',
      () => lrnWithin(t(1, 3, 3, 1), { size: -1 }),
      'lrnWithin: size must be a positive odd integer, got -1',
    ],
    ['dropout rate', () => dropout(t(3), 1, key(1, 'm'), 0), 'dropout: rate must lie in [0, 1), got 1'],
    ['dropout NaN', () => dropout(t(3), NaN, key(1, 'm'), 0), 'dropout: rate must lie in [0, 1), got NaN'],
    [
      'avgPool2d divisor',
      () => avgPool2d(t(1, 4, 4, 1), 2, { divisor: 'all' as 'inside' }),
      `avgPool2d: divisor must be 'clipped' or 'inside', got "all"`,
    ],
  ])('%s, a plain argument mistake', (_, build, message) => {
    expect(build).toThrow(new RangeError(message));
  });

  it('the layer that asked is named, the innermost', () => {
    const build = () => withPath('block', () => withPath('block/fc', () => matmul(t(2, 3), t(4, 5))));
    const message = 'matmul: inner sizes 3 and 4 differ: f32 [2,3] and f32 [4,5]';
    const expected = withPath('block/fc', () => new ShapeError(message));
    expect(build).toThrow(expected);
    expect([expected.path, expected.message]).toEqual(['block/fc', `block/fc / ${message}`]);
    expect(expected.stack).toMatch(/^ShapeError: block\/fc \/ matmul: /);
  });

  it('a path ends with the function that set it, also when it throws', () => {
    expect(() => withPath('a', () => add(t(2), t(3)))).toThrow(/^a \/ add/);
    expect(() => add(t(2), t(3))).toThrow(/^add/);
    expect(withPath('a', () => relu(t(1))).source).toMatchObject({ node: { path: 'a' } });
    expect(relu(t(1)).source).toMatchObject({ node: { path: '' } });
  });

  it('the path is named where a function checks its arguments itself, too', () => {
    expect(() => withPath('conv1', () => conv2d(t(1, 8, 8, 16), t(5, 5, 32, 4)))).toThrow(
      'conv1 / conv2d: input has 16 channels but weight expects 32: x [1,8,8,16], w f32 [5,5,32,4]',
    );
    expect(() => withPath('pool1', () => maxPool2d(t(8, 8, 3), 2))).toThrow(
      /^pool1 \/ maxPool2d: expects images/,
    );
    expect(() => withPath('head', () => withPath('head.fc', () => sum(t(6), 4)))).toThrow(
      /^head\.fc \/ sum: axis 4 does not exist/,
    );
  });
});
