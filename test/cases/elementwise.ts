import { add, cast, checkFinite, div, exp, log, mul, neg, ops, pow } from '../../engine/ops/index.ts';
import { relu, sigmoid, sqrt, sub, tanh, type TensorLike } from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Shape } from '../../engine/types.ts';
import { away, bytes, define, distinct, given, integers, uniform, type Case, type Draw } from './case.ts';

/** Scalars, one element, odd sizes, nothing at all, and more than one thread's share. */
const SHAPES: readonly Shape[] = [[], [1], [5], [3, 4], [2, 3, 1, 5], [0], [3, 0], [1027]];

/** Every kind of broadcasting: scalars, rows, columns, middle axes, both sides at once, nothing at all. */
const PAIRS: readonly (readonly [Shape, Shape])[] = [
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

const isLarge = (shape: Shape): boolean => shape.some((d) => d > 256);

function binaryCases(
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

function unaryCases(
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
const special = (apply: (x: TensorLike) => Tensor, list: readonly number[], tolerance: number): Case =>
  define(`special values ${list.join(', ')}`, { x: given([list.length], list) }, ({ x }) => apply(x), {
    wrt: [],
    tolerance,
    tags: ['special'],
  });

const specialPairs = (apply: (a: TensorLike, b: TensorLike) => Tensor, tolerance: number): Case => {
  const list = [NaN, Infinity, -Infinity, 0, -0, 1.5, -2];
  return define(
    'special values against each other',
    { a: given([7, 1], list), b: given([7], list) },
    ({ a, b }) => apply(a, b),
    { wrt: [], tolerance, tags: ['special'] },
  );
};

/** A range of inputs in which accuracy is easily lost. */
const range = (
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

const power = (exponent: number, low: number, high: number): Case =>
  define(`x to the ${exponent}, x from ${low} to ${high}`, { x: uniform([3, 7], low, high) }, ({ x }) =>
    pow(x, exponent),
  );

export const elementwise = {
  add: [...binaryCases(add, uniform, uniform, 0), specialPairs(add, 0)],
  sub: [...binaryCases(sub, uniform, uniform, 0), specialPairs(sub, 0)],
  mul: [
    ...binaryCases(mul, uniform, uniform, 0),
    specialPairs(mul, 0),
    define('a value with itself', { x: uniform([3, 5]) }, ({ x }) => mul(x, x), { tolerance: 0 }),
  ],
  div: [...binaryCases(div, uniform, (shape) => away(shape, 0.5), 0), specialPairs(div, 0)],
  pow: [
    ...binaryCases(
      pow,
      (shape) => uniform(shape, 0.3, 3),
      (shape) => uniform(shape, -2, 2),
      2e-6,
    ),
    power(2, -3, 3),
    power(3, -3, 3),
    power(0.75, 0.2, 4),
    power(-0.75, 0.2, 4),
    power(0.5, 0.2, 4),
    power(1, -3, 3),
    power(-1, 0.2, 4),
    define(
      'special values',
      {
        a: given([12], [0, 0, 0, 0, -8, -2, -2, NaN, NaN, Infinity, Infinity, 2]),
        b: given([12], [0, 2, -1, 0.5, 1 / 3, 3, -2, 0, 1, -1, 2, Infinity]),
      },
      ({ a, b }) => pow(a, b),
      { wrt: [], tags: ['special'] },
    ),
  ],
  neg: [...unaryCases(neg, uniform, 0), special(neg, [NaN, Infinity, -Infinity, 0, -0], 0)],
  exp: [
    ...unaryCases(exp, uniform, 1e-6),
    range(exp, 'small results', -20, -10),
    range(exp, 'large results', 60, 88),
    range(exp, 'around 1', -1e-3, 1e-3),
    special(exp, [NaN, Infinity, -Infinity, 0, 89, 1000, -150, -1000], 1e-6),
  ],
  log: [
    ...unaryCases(log, (shape) => uniform(shape, 0.1, 4), 1e-6),
    range(log, 'around 1', 0.99, 1.01, 2e-6),
    range(log, 'small arguments', 1e-30, 1e-28),
    range(log, 'large arguments', 1e28, 1e30),
    special(log, [NaN, Infinity, -Infinity, 0, -1, 1, 1e-40], 1e-6),
  ],
  sqrt: [
    ...unaryCases(sqrt, (shape) => uniform(shape, 0.1, 4), 0),
    special(sqrt, [NaN, Infinity, 0, -1, 1e-30, 1e30], 0),
  ],
  tanh: [
    ...unaryCases(tanh, uniform, 1e-6),
    range(tanh, 'around 0', -1e-3, 1e-3, 2e-6),
    range(tanh, 'saturating', 4, 12),
    special(tanh, [NaN, Infinity, -Infinity, 0, 50, -50], 1e-6),
  ],
  sigmoid: [
    ...unaryCases(sigmoid, uniform, 1e-6),
    range(sigmoid, 'small results', -20, -10),
    range(sigmoid, 'saturating', 4, 30),
    special(sigmoid, [NaN, Infinity, -Infinity, 0, 100, -100], 1e-6),
  ],
  relu: [...unaryCases(relu, away, 0), special(relu, [NaN, Infinity, -Infinity, 0, -0, -1, 1], 0)],
  reluGrad: SHAPES.map((shape) =>
    define(
      formatShape(shape),
      { g: uniform(shape), y: away(shape) },
      ({ g, y }) => ops.reluGrad([g, y], {}),
      {
        wrt: ['g'],
        tolerance: 0,
        tags: isLarge(shape) ? ['large'] : [],
      },
    ),
  ),
  cast: [
    ...SHAPES.map((shape) =>
      define(`u8 ${formatShape(shape)}`, { x: bytes(shape) }, ({ x }) => cast(x), { tolerance: 0 }),
    ),
    define('i32 [11]', { x: integers([11], 1000) }, ({ x }) => cast(x), { tolerance: 0 }),
    define(
      'i32 at the ends of its range',
      { x: given([5], [-(2 ** 31), 2 ** 31 - 128, -1, 2 ** 24, -(2 ** 24)], 'i32') },
      ({ x }) => cast(x),
      { tolerance: 0 },
    ),
  ],
  checkFinite: SHAPES.map((shape) =>
    define(formatShape(shape), { x: distinct(shape) }, ({ x }) => checkFinite(x, 'x'), {
      tolerance: 0,
      tags: isLarge(shape) ? ['large'] : [],
    }),
  ),
} satisfies Record<string, readonly Case[]>;
