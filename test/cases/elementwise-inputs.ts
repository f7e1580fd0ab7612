/** Inputs of elementwise operations, and cases that many of them share. */
import { pow, type TensorLike } from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { DType, Shape } from '../../engine/types.ts';
import { define, given, integers, uniform, type Case, type Draw } from './case.ts';

/** Scalars, one element, odd sizes, nothing at all, and more than one thread's share. */
export const SHAPES: readonly Shape[] = [[], [1], [5], [3, 4], [2, 3, 1, 5], [0], [3, 0], [1027]];

/** Every kind of broadcasting: scalars, rows, columns, middle axes, both sides at once, nothing at all. */
export const PAIRS: readonly (readonly [Shape, Shape])[] = [
  [
    [3, 4],
    [3, 4],
  ],
  [[], []],
  [[1], [1]],
  [[2, 3], []],
  [[], [2, 3]],
  [[1], [7]],
  [[2, 3, 4], [4]],
  [[5], [3, 2, 5]],
  [
    [3, 1],
    [1, 4],
  ],
  [
    [1, 4],
    [3, 4],
  ],
  [
    [3, 4],
    [3, 1],
  ],
  [
    [5, 1, 3],
    [4, 1],
  ],
  [
    [2, 1, 5],
    [2, 3, 5],
  ],
  [
    [2, 3, 5],
    [2, 1, 5],
  ],
  [
    [2, 1, 3, 1, 2],
    [1, 4, 1, 5, 1],
  ],
  [
    [2, 3, 1, 4],
    [1, 1, 2, 1],
  ],
  [[2, 3, 3, 5], [5]],
  [
    [1, 1, 1],
    [2, 1, 3],
  ],
  [[0, 3], [3]],
  [
    [0, 1],
    [1, 4],
  ],
  [[3, 0], [1]],
  [[7, 33], [33]],
  [
    [7, 33],
    [7, 1],
  ],
  [[1031], [1031]],
  [[61, 17], [17]],
];

export const isLarge = (shape: Shape): boolean => shape.some((d) => d > 256);

export function binaryCases(
  apply: (a: TensorLike, b: TensorLike) => Tensor,
  a: (shape: Shape) => Draw,
  b: (shape: Shape) => Draw,
  tolerance: number,
): Case[] {
  return PAIRS.map(([left, right]) =>
    define(
      `${formatShape(left)} and ${formatShape(right)}`,
      { a: a(left), b: b(right) },
      (t) => apply(t.a, t.b),
      { tolerance, tags: isLarge(left) ? ['large'] : [] },
    ),
  );
}

export function unaryCases(
  apply: (x: TensorLike) => Tensor,
  draw: (shape: Shape) => Draw,
  tolerance: number,
): Case[] {
  return SHAPES.map((shape) =>
    define(formatShape(shape), { x: draw(shape) }, ({ x }) => apply(x), {
      tolerance,
      tags: isLarge(shape) ? ['large'] : [],
    }),
  );
}

/** What IEEE 754 says about the values that are no ordinary numbers: forward only. */
export const special = (apply: (x: TensorLike) => Tensor, list: readonly number[], tolerance: number): Case =>
  define(`special values ${list.join(', ')}`, { x: given([list.length], list) }, ({ x }) => apply(x), {
    wrt: [],
    tolerance,
    tags: ['special'],
  });

export const specialPairs = (apply: (a: TensorLike, b: TensorLike) => Tensor, tolerance: number): Case => {
  const list = [NaN, Infinity, -Infinity, 0, -0, 1.5, -2];
  return define(
    'special values against each other',
    { a: given([7, 1], list), b: given([7], list) },
    ({ a, b }) => apply(a, b),
    { wrt: [], tolerance, tags: ['special'] },
  );
};

/** A range of inputs in which accuracy is easily lost. */
export const range = (
  apply: (x: TensorLike) => Tensor,
  what: string,
  low: number,
  high: number,
  tolerance = 1e-6,
): Case =>
  define(`${what}, ${low} to ${high}`, { x: uniform([257], low, high) }, ({ x }) => apply(x), {
    wrt: [],
    tolerance,
  });

export const power = (exponent: number, low: number, high: number): Case =>
  define(`x to the ${exponent}, x from ${low} to ${high}`, { x: uniform([3, 7], low, high) }, ({ x }) =>
    pow(x, exponent),
  );

/** Integers in −7 … 7, and at the ends of the range, where arithmetic wraps around. */
export const signed = (shape: Shape): Draw => ({
  ...integers(shape, 15),
  values: (draws, size) => Array.from({ length: size }, () => draws.below(15) - 7),
});
export const EXTREMES = [2 ** 31 - 1, -(2 ** 31), -1, 2, 65537, 123456789];
export const integerCases = (apply: (a: TensorLike, b: TensorLike) => Tensor): Case[] => [
  ...PAIRS.map(([left, right]) =>
    define(
      `i32 ${formatShape(left)} and ${formatShape(right)}`,
      { a: signed(left), b: signed(right) },
      ({ a, b }) => apply(a, b),
    ),
  ),
  define(
    'i32 at the ends of the range',
    { a: given([6, 1], EXTREMES, 'i32'), b: given([6], EXTREMES, 'i32') },
    ({ a, b }) => apply(a, b),
  ),
];

/** Of every kind of broadcasting, and with many ties. */
export const comparisonCases = (apply: (a: TensorLike, b: TensorLike) => Tensor): Case[] => [
  ...PAIRS.flatMap(([left, right]) =>
    (['f32', 'i32', 'u8'] as const).map((dtype) =>
      define(
        `${dtype} ${formatShape(left)} and ${formatShape(right)}`,
        { a: few(left, dtype), b: few(right, dtype) },
        ({ a, b }) => apply(a, b),
        { wrt: [] },
      ),
    ),
  ),
  specialPairs(apply, 0),
];

/** 0, 1 or 2. */
export const few = (shape: Shape, dtype: DType): Draw => ({
  shape,
  dtype,
  values: (draws, size) => Array.from({ length: size }, () => draws.below(3)),
});

export const logicCases = (apply: (a: TensorLike, b: TensorLike) => Tensor): Case[] =>
  PAIRS.map(([left, right]) =>
    define(
      `${formatShape(left)} and ${formatShape(right)}`,
      { a: few(left, 'u8'), b: few(right, 'u8') },
      ({ a, b }) => apply(a, b),
    ),
  );

export const STEPS = [
  NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  0.5,
  1.5,
  2.5,
  -0.5,
  -1.5,
  0.49999997,
  8388609,
  -3.7,
  3.7,
];
/** Away from the jumps of rounding and from 0. */
export const between = (shape: Shape): Draw => ({
  shape,
  dtype: 'f32',
  values: (draws, size) =>
    Array.from({ length: size }, () => Math.fround(draws.below(8) - 4 + 0.1 + 0.3 * draws.uniform())),
});
export const steps = (apply: (x: TensorLike) => Tensor): Case[] => [
  ...unaryCases(apply, between, 0),
  special(apply, STEPS, 0),
];

/** Condition, a and b. */
export const CHOICES: readonly (readonly [Shape, Shape, Shape])[] = [
  [
    [3, 5],
    [3, 5],
    [3, 5],
  ],
  [[3, 5], [], [3, 5]],
  [[3, 5], [3, 5], []],
  [[], [3, 5], [5]],
  [[5], [3, 1], [3, 5]],
  [[3, 1], [5], [2, 1, 1]],
  [[1], [1], [1]],
  [[], [], []],
  [[2, 1, 7], [3, 1], [7]],
  [[0, 3], [3], [1]],
  [[1031], [1031], [1]],
  [
    [4, 1, 6],
    [4, 5, 6],
    [5, 1],
  ],
];
