// Wrong use of operations is named: the operation, what is wrong, and both values.
import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../engine/errors.ts';
import '../../engine/methods.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor, zeros, type TensorLike } from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { bytes, ints } from './each-backend.ts';

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
      "add: value 0.5 at position 0 does not fit i32 (use dtype 'f32')",
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
    ['concat of nothing', () => ops.concat([]), 'concat: expects at least one tensor, got none'],
    [
      'stack',
      () => ops.stack([t(2), t(3)]),
      'stack: f32 [2] and f32 [3] differ (shapes and dtypes must be equal)',
    ],
    [
      'split in parts that do not fit',
      () => ops.split(t(7), 2),
      'split: axis 0 of [7] has size 7, which does not split into 2 equal parts',
    ],
    [
      'split by sizes',
      () => ops.split(t(7), [3, 3]),
      'split: axis 0 of [7] has size 7, which does not split into parts [3,3]',
    ],
    ['squeeze', () => ops.squeeze(t(1, 3), 1), 'squeeze: axis 1 of [1,3] has size 3, not 1'],
    [
      'a mirror that is too long',
      () => ops.pad(t(3), [[3, 0]], { mode: 'reflect' }),
      "pad: mode 'reflect' allows at most 2 on each side of axis 0 of f32 [3], got [3,0]",
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
      'variance: needs more elements than the correction 1, got 1 in [1]',
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
      'takeAlongAxis',
      () => ops.takeAlongAxis(t(2, 3), zeros([3, 1], 'i32'), 1),
      'takeAlongAxis: f32 [2,3] and index i32 [3,1] differ in more than axis 1 (broadcast the index first)',
    ],
    ['gather by floats', () => ops.gather(t(2), t(1)), 'gather: expects i32 but got f32 [1]'],
    [
      'dot',
      () => ops.dot(t(2), t(3)),
      'dot: expects two vectors of the same length but got f32 [2] and f32 [3]',
    ],
    [
      'einsum, operands',
      () => ops.einsum('ij,jk', t(2, 3)),
      "einsum 'ij,jk': names 2 operands but got 1 tensors",
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
      "einsum 'ii->i': 'i' occurs twice in 'ii' (diagonals are not supported: multiply by an identity matrix)",
    ],
    [
      'einsum, result',
      () => ops.einsum('ij->ik', t(2, 2)),
      "einsum 'ij->ik': the result 'ik' must name axes of the operands, each once, which is not so for 'k'",
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
      'randomBernoulli: probability must be in [0, 1], got 1.5',
    ],
  ])('%s out of range', (_, build, message) => {
    expect(build).toThrow(new RangeError(message));
  });

  // Each is made of other operations, which would name themselves.
  it.each<[string, () => unknown]>([
    ['gelu', () => ops.gelu(ints(1))],
    ['silu', () => ops.silu(ints(1))],
    ['softplus', () => ops.softplus(ints(1))],
    ['leakyRelu', () => ops.leakyRelu(ints(1))],
    ['elu', () => ops.elu(ints(1))],
    ['celu', () => ops.celu(ints(1))],
    ['hardSigmoid', () => ops.hardSigmoid(ints(1))],
    ['hardSwish', () => ops.hardSwish(ints(1))],
    ['hardTanh', () => ops.hardTanh(ints(1))],
    ['mean', () => ops.mean(ints(1))],
    ['dot', () => ops.dot(ints(1), ints(1))],
    ['logSumExp', () => ops.logSumExp(t(0))],
    ['stack', () => ops.stack([t(1), ints(1)])],
    ['scatterAdd', () => ops.scatterAdd([1], [0], 2)],
    ['scatterAddAlongAxis', () => ops.scatterAddAlongAxis(ints(1), ints(0), 2, 0)],
    ['takeAlongAxis', () => ops.takeAlongAxis([[1]], [[0]], 1)],
    ['oneHot', () => ops.oneHot([0], 2)],
    ['topK', () => ops.topK(ints(1), 1)],
    ['argSort', () => ops.argSort(ints(1))],
    ['lrnAcross', () => ops.lrnAcross(ints(1))],
    ['layerNorm', () => ops.layerNorm(ints(1, 2))],
    ['groupNorm', () => ops.groupNorm(ints(1, 2), 1)],
    ['instanceNorm', () => ops.instanceNorm(ints(1, 2))],
    ['globalAvgPool2d', () => ops.globalAvgPool2d(t(1, 0, 2, 3))],
    ['randomUniform', () => ops.randomUniform([-1], key(1, 'x'))],
    ['randomNormal', () => ops.randomNormal([1], key(1, 'x'), t())],
    ['randomBernoulli', () => ops.randomBernoulli([0.5], 0.5, key(1, 'x'))],
    ['randomPermutation', () => ops.randomPermutation(-1, key(1, 'x'))],
    ['ones', () => ops.ones([-1])],
  ])('%s names itself', (name, build) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(new RegExp(`^${name}: `));
  });

  it('a number that single precision does not hold is refused, an infinity is not', () => {
    const message = (where: string, value: string, position: number): string =>
      `${where}: value ${value} at position ${position} does not fit f32, whose largest number is 3.4028235e+38 ` +
      '(scale it, or give Infinity)';
    expect(() => tensor([1, 1e40])).toThrow(new ShapeError(message('tensor', '1e+40', 1)));
    expect(() => tensor(Float64Array.of(-1e39))).toThrow(new ShapeError(message('tensor', '-1e+39', 0)));
    expect(() => ops.full([2], 1e39)).toThrow(new ShapeError(message('full', '1e+39', 0)));
    expect(() => ops.mul([1], 1e39)).toThrow(new ShapeError(message('mul', '1e+39', 0)));
    const held: TensorLike = [Infinity, -Infinity, NaN, 3.4e38];
    expect([...(tensor(held).source as { value: { data: Float32Array } }).value.data].slice(0, 3)).toEqual([
      Infinity,
      -Infinity,
      NaN,
    ]);
  });
});
