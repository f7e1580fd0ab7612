// Values of trigonometric functions, logarithms and remainders that IEEE 754, C and Python prescribe, and their messages.
import { describe, expect, it } from 'vitest';
import * as ops from '../../engine/ops/index.ts';
import { grad } from '../../engine/grad.ts';
import { tensor } from '../../engine/ops/index.ts';
import { describeEachBackend } from './each-backend.ts';

const π = Math.fround(Math.PI);
const integers = Int32Array.of(1, 2);

describeEachBackend(({ values }) => {
  it('remainder has the sign of the divisor, as in Python', async () => {
    const a = [5, -5, 5, -5, 7.5, -1, 1, -4];
    const b = [3, 3, -3, -3, 2, Infinity, Infinity, 2];
    expect((await values(ops.remainder(a, b))).map((x) => x + 0)).toEqual([
      2,
      1,
      -1,
      -2,
      1.5,
      Infinity,
      1,
      0,
    ]);
    expect(await values(ops.remainder([1, Infinity, NaN], [0, 2, 2]))).toEqual([NaN, NaN, NaN]);
  });

  it('remainder is exact for large quotients', async () => {
    expect(await values(ops.remainder([2 ** 30 + 128, 1e30], [3, 7]))).toEqual([
      (2 ** 30 + 128) % 3,
      Math.fround(1e30) % 7,
    ]);
  });

  it('atan2 is in the right quadrant, also for infinities', async () => {
    const y = [1, 1, -1, 0, 0, 2, -2, Infinity, Infinity, -Infinity, 1, -1];
    const x = [1, -1, -1, 1, -1, 0, 0, Infinity, -Infinity, 5, Infinity, -Infinity];
    const want = [1 / 4, 3 / 4, -3 / 4, 0, 1, 1 / 2, -1 / 2, 1 / 4, 3 / 4, -1 / 2, 0, -1];
    (await values(ops.atan2(y, x))).forEach((angle, i) => expect(angle).toBeCloseTo(want[i] * π, 6));
  });

  it('powers of two and ten have exact logarithms', async () => {
    expect(await values(ops.log2([2 ** -126, 0.5, 1, 8, 2 ** 127]))).toEqual([-126, -1, 0, 3, 127]);
    expect(await values(ops.log10([0.001, 1, 1000, 1e10]))).toEqual([-3, 0, 3, 10]);
    expect(await values(ops.exp2([-126, -1, 0, 10, 127]))).toEqual([2 ** -126, 0.5, 1, 1024, 2 ** 127]);
  });

  it('inverse functions are NaN outside their domain, and exact at its ends', async () => {
    const outside = [ops.asin([1.5]), ops.acos([-1.5]), ops.acosh([0.5]), ops.atanh([2])];
    expect((await Promise.all(outside.map(values))).flat()).toEqual([NaN, NaN, NaN, NaN]);
    expect(await values(ops.asin([-1, 0, 1]))).toEqual([-π / 2, 0, π / 2]);
    expect(await values(ops.acos([-1, 1]))).toEqual([π, 0]);
    expect(await values(ops.acosh([1, Infinity]))).toEqual([0, Infinity]);
    expect(await values(ops.atanh([-1, 0, 1]))).toEqual([-Infinity, 0, Infinity]);
  });

  it('trunc drops the fraction', async () => {
    expect((await values(ops.trunc([1.9, -1.9, 0.5, -0.5]))).map((x) => x + 0)).toEqual([1, -1, 0, 0]);
  });

  it('the gradient of remainder by its divisor is the negative quotient', async () => {
    const [a, b] = [tensor([7, -7]), tensor([2, 2])];
    const [da, db] = grad(ops.sum(ops.remainder(a, b)), [a, b]);
    expect(await values(da)).toEqual([1, 1]);
    expect(await values(db)).toEqual([-3, 4]);
  });
});

describe('messages', () => {
  it.each([
    ['tan', () => ops.tan(integers)],
    ['asin', () => ops.asin(integers)],
    ['atanh', () => ops.atanh(integers)],
    ['log2', () => ops.log2(integers)],
    ['sinh', () => ops.sinh(integers)],
    ['isInfinite', () => ops.isInfinite(integers)],
    ['remainder', () => ops.remainder(integers, integers)],
    ['atan2', () => ops.atan2(integers, integers)],
  ])('%s names itself and the conversion', (name, call) => {
    expect(call).toThrow(`${name}: expects f32 but got i32 [2] (convert it with cast(x))`);
  });
});
