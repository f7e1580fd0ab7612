// Order, elements by index, borders and random numbers: the rules that hold on every backend.
import { describe, expect, it } from 'vitest';
import { compile } from '../../engine/compile.ts';
import { DataError } from '../../engine/errors.ts';
import { grad } from '../../engine/grad.ts';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor } from '../../engine/ops/index.ts';
import { key, normalOf } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { describeEachBackend, ints } from './each-backend.ts';

describeEachBackend(({ backend, values, gradient }) => {
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

  it('cumsum: inclusive, exclusive, from the end', async () => {
    expect(await values(ops.cumsum([1, 2, 3], 0))).toEqual([1, 3, 6]);
    expect(await values(ops.cumsum([1, 2, 3], 0, { exclusive: true }))).toEqual([0, 1, 3]);
    expect(await values(ops.cumsum([1, 2, 3], 0, { reverse: true }))).toEqual([6, 5, 3]);
    expect(await values(ops.cumsum([1, 2, 3], 0, { reverse: true, exclusive: true }))).toEqual([5, 3, 0]);
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
    ['gather', () => ops.gather([1, 2, 3], ints(0, 3)), 'gatherRows: index 3 at position 1 is outside 0 … 2'],
    [
      'gather of -1',
      () => ops.gather([1, 2, 3], ints(-1)),
      'gatherRows: index -1 at position 0 is outside 0 … 2',
    ],
    [
      'scatterAdd',
      () => ops.scatterAdd([1, 2], ints(0, 5), 4),
      'scatterAddRows: index 5 at position 1 is outside 0 … 3',
    ],
    [
      'takeAlongAxis',
      () => ops.takeAlongAxis([[1, 2]], tensor([[0, 2]], { dtype: 'i32' }), 1),
      'takeAlongAxis: index 2 at position 1 is outside 0 … 1',
    ],
    [
      'oneHot',
      () => ops.oneHot(ints(1, 4), 4),
      'scatterAddAlongAxis: index 4 at position 1 is outside 0 … 3',
    ],
  ])('%s refuses an index out of range', async (_, build, message) => {
    await expect(values(build())).rejects.toThrow(new DataError(message));
  });

  it('random draws inside a compiled step follow the reserved step', async () => {
    const noise = key(3, 'noise');
    const step = await compile(await backend(), {
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
