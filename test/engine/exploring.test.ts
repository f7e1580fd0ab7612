// Exploring with tensors: evaluation, printing, conversion.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { setDefaultBackend } from '../../engine/select.ts';
import { PlanError } from '../../engine/errors.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  cast,
  crossEntropy,
  exp,
  matmul,
  max,
  mul,
  ones,
  reshape,
  sub,
  sum,
  tensor,
  zeros,
} from '../../engine/ops/index.ts';
import { input, type Tensor } from '../../engine/tensor.ts';

beforeEach(() => setDefaultBackend(reference()));

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
      'grad: the loss does not depend on tensor 0 of wrt (f32 [3]), but it contains a f32 [3] that was evaluated and ' +
        'dropped its history (compute gradients before data(), array(), ndarray() or print())',
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
      withPath(path, () => crossEntropy(logits, tensor(Int32Array.of(label)), { reduction: 'none' })).data();
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
      '(add the tensor to the outputs of the compiled step, and run it)';
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
