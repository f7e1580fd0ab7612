// Statistics, diagonals, triangles and ranges: values written out, and messages.
import { describe, expect, it } from 'vitest';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor } from '../../engine/ops/index.ts';
import { describeEachBackend } from './each-backend.ts';

const square = tensor([
  [1, 2],
  [3, 4],
]);

describeEachBackend(({ values, gradient }) => {
  it('std is 0 with gradient 0 where all elements are equal', async () => {
    expect(await values(ops.std([2, 2, 2]))).toEqual([0]);
    expect(await gradient((x) => ops.std(x), [2, 2, 2])).toEqual([0, 0, 0]);
  });

  it('quantiles of an even number lie between two elements, and a NaN wins', async () => {
    expect(await values(ops.quantile([4, 1, 3, 2], [0, 0.25, 0.5, 1]))).toEqual([1, 1.75, 2.5, 4]);
    expect(await values(ops.median([4, 1, 3, 2]))).toEqual([2.5]);
    expect(await values(ops.median([4, NaN, 3]))).toEqual([NaN]);
    expect(await gradient((x) => ops.median(x), [4, 1, 3, 2])).toEqual([0, 0, 0.5, 0.5]);
    expect(await gradient((x) => ops.quantile(x, 0.5, 0, { interpolation: 'higher' }), [4, 1, 3, 2])).toEqual(
      [0, 0, 1, 0],
    );
  });

  it('the gradient of cumprod is right beside zeros', async () => {
    expect(await values(ops.cumprod([2, 0, 3], 0))).toEqual([2, 0, 0]);
    expect(await gradient((x) => ops.cumprod(x, 0), [2, 0, 3])).toEqual([1, 8, 0]);
  });

  it('roll returns elements at the other end', async () => {
    expect(await values(ops.roll([1, 2, 3, 4, 5], 7))).toEqual([4, 5, 1, 2, 3]);
    expect(await values(ops.roll(square, 1))).toEqual([4, 1, 2, 3]);
    expect(await values(ops.roll(square, [1, 1], [0, 1]))).toEqual([4, 3, 2, 1]);
  });

  it('diagonals above and below the main one', async () => {
    expect(await values(ops.diag([5, 6], -1))).toEqual([0, 0, 0, 5, 0, 0, 0, 6, 0]);
    expect(await values(ops.diag(square, -1))).toEqual([3]);
    expect(ops.diag(square, 2).shape).toEqual([0]);
    expect(ops.diag(tensor([], { shape: [0] }), 2).shape).toEqual([2, 2]);
  });
});

describe('ranges', () => {
  it('hold the values of PyTorch', async () => {
    expect(await ops.arange(0, 1, 0.25).array()).toEqual([0, 0.25, 0.5, 0.75]);
    expect(await ops.arange(5, 0, -2).array()).toEqual([5, 3, 1]);
    expect(ops.arange(3, 3).shape).toEqual([0]);
    expect(ops.arange(3, undefined, 1, 'i32').dtype).toBe('i32');
    expect(await ops.linspace(-1, 1, 3).array()).toEqual([-1, 0, 1]);
    expect(await ops.linspace(7, 9, 1).array()).toEqual([7]);
    expect((await ops.linspace(0, 0.3, 11).data())[10]).toBe(Math.fround(0.3));
    expect(await ops.eye(2, 3).array()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ]);
  });
});

describe('messages', () => {
  it.each<readonly [() => unknown, string]>([
    [
      () => ops.std([1], 0, { correction: 1 }),
      'std: needs more elements than the correction 1, got 1 in [1]',
    ],
    [
      () => ops.std([1, 2], 0, { unbiased: true } as object),
      "std: unknown option 'unbiased' (did you mean 'correction'?",
    ],
    [() => ops.quantile([1, 2], 1.5), 'quantile: q must be a number from 0 to 1, got 1.5'],
    [() => ops.quantile([1, 2], [0.5, 2]), 'quantile: q must be a number from 0 to 1, got 2'],
    [() => ops.median([], 0), 'median: no elements along the reduced axes of [0]'],
    [
      () => ops.median([1], 0, { interpolation: 'middle' as 'lower' }),
      "median: interpolation must be 'linear' or 'lower' or 'higher' or 'nearest' or 'midpoint', got 'middle'",
    ],
    [
      () => ops.cumprod([1], 1),
      'cumprod: axis 1 does not exist in a tensor of rank 1 (axes go from -1 to 0)',
    ],
    [() => ops.roll([1, 2], 0.5), 'roll: shift must be an integer, got 0.5'],
    [() => ops.roll(square, [1, 2], 0), 'roll: 2 shifts for 1 axes (give one shift for each axis)'],
    [() => ops.diag(3), 'diag: expects a vector [n] or a matrix [rows, columns] but got f32 []'],
    [() => ops.diag(square, 0.5), 'diag: offset must be an integer, got 0.5'],
    [() => ops.triu([1, 2]), 'triu: expects matrices [..., rows, columns] but got f32 [2]'],
    [() => ops.tril([1, 2]), 'tril: expects matrices [..., rows, columns] but got f32 [2]'],
    [() => ops.eye(-1), 'eye: sizes must be non-negative integers, got -1 in [-1,-1]'],
    [() => ops.arange(3, 0), 'arange: step must be a number that leads from 3 to 0, got 1'],
    [() => ops.arange(0, 3, 0), 'arange: step must be a number that leads from 0 to 3, got 0'],
    [
      () => ops.arange(0, 1, 0.5, 'i32'),
      "arange: value 0.5 at position 1 does not fit i32 (use dtype 'f32')",
    ],
    [() => ops.linspace(0, 1, 2.5), 'linspace: count must be an integer >= 0, got 2.5'],
  ])('%s', (call, message) => {
    expect(call).toThrow(message);
  });
});
