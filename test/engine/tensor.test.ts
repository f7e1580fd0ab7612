// Making tensors.

import ndarray from 'ndarray';
import { beforeEach, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { setDefaultBackend } from '../../engine/select.ts';
import { ShapeError } from '../../engine/errors.ts';
import '../../engine/methods.ts';
import { f32, full, i32, ones, scalar, tensor, u8, zeros, type Nested } from '../../engine/ops/index.ts';
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
      'tensor: ragged data: [1][1] is an array where its neighbors are numbers',
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
      'tensor: ragged data: [1] is undefined where its neighbors are numbers',
    ],
    [
      'text',
      () => tensor([[1], ['2' as unknown as number]]),
      'tensor: ragged data: [1][0] is "2" where its neighbors are numbers',
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
      "scalar: value 2147483648 at position 0 does not fit i32 (use dtype 'f32')",
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
      'zeros: sizes must be non-negative integers, got 2.5 in [2.5]',
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
      new TypeError("tensor: dtype must be 'f32', 'i32' or 'u8', got 'f64'"),
    );
  });
});
