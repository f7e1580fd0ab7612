import {
  all,
  any,
  argMax,
  argMin,
  cumsum,
  dot,
  logSoftmax,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  softmax,
  sum,
  variance,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { formatShape, sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Shape } from '../../engine/types.ts';
import { away, define, distinct, given, uniform, type Case, type Draw } from './case.ts';

/** [outer, n, inner]: the form in which backends reduce. */
const GROUPS: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [1, 7, 1],
  [5, 1, 3],
  [3, 4, 1],
  [3, 33, 1],
  [2, 7, 2],
  [2, 9, 3],
  [3, 6, 5],
  [2, 13, 17],
  [1, 5, 17],
  [7, 2, 4],
  [0, 4, 2],
  [2, 3, 0],
  [1, 10_007, 1],
  [2, 10_007, 3],
  [3, 10_001, 1],
  [1, 3001, 5],
  [1, 2, 10_007],
  [10_007, 3, 1],
];

const AXES: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [2],
  [3],
  [-1],
  [0, 1],
  [1, 2],
  [0, 2],
  [1, 3],
  [0, 3],
  [0, 1, 2],
  [0, 2, 3],
  [0, 1, 2, 3],
];

const tags = (shape: Shape) => (sizeOf(shape) > 1000 ? (['large'] as const) : []);

export const reduce = {
  sum: [
    ...GROUPS.map((shape) =>
      define(formatShape(shape), { x: uniform(shape) }, ({ x }) => ops.sum([x], {}), {
        tolerance: 1e-5,
        tags: tags(shape),
      }),
    ),
    define('over nothing: 0', { x: uniform([2, 0, 3]) }, ({ x }) => sum(x, 1), { tolerance: 0 }),
    define('one sign, which hides no error', { x: uniform([1, 10_007], 0.5, 1.5) }, ({ x }) => sum(x), {
      tolerance: 1e-5,
      tags: ['large'],
    }),
    ...AXES.map((axes) =>
      define(
        `axes ${formatShape(axes)} of [2,3,4,5]`,
        { x: uniform([2, 3, 4, 5]) },
        ({ x }) => sum(x, axes),
        {
          tolerance: 1e-5,
        },
      ),
    ),
    define(
      'axes [0,2] of [2,3,4], kept',
      { x: uniform([2, 3, 4]) },
      ({ x }) => sum(x, [0, 2], { keepDims: true }),
      { tolerance: 1e-5 },
    ),
    define('all of a scalar', { x: uniform([]) }, ({ x }) => sum(x), { tolerance: 0 }),
  ],
  max: [
    ...GROUPS.map((shape) =>
      define(formatShape(shape), { x: distinct(shape) }, ({ x }) => [...ops.max([x], {})], {
        tolerance: 0,
        tags: tags(shape),
      }),
    ),
    ...AXES.map((axes) =>
      define(
        `axes ${formatShape(axes)} of [2,3,4,5]`,
        { x: distinct([2, 3, 4, 5]) },
        ({ x }) => max(x, axes),
        {
          tolerance: 0,
        },
      ),
    ),
    define('axis 1 of [3,5,2], kept', { x: distinct([3, 5, 2]) }, ({ x }) => max(x, 1, { keepDims: true }), {
      tolerance: 0,
    }),
    ...[1, 2].flatMap((inner) =>
      [3, NaN].map((best) =>
        define(
          `the first of many times ${best}, ${inner} columns`,
          {
            x: given([2, 701, inner], [...Array<number>(300).fill(-1), best, 2, best, -Infinity]),
          },
          ({ x }) => [...ops.max([x], {})],
          { wrt: [], tolerance: 0, tags: ['special'] },
        ),
      ),
    ),
  ],
  cumsum: [
    ...GROUPS.flatMap((shape) =>
      [0, 1, 2, 3].map((way) => {
        const [exclusive, reverse] = [way % 2 === 1, way >= 2];
        const how = `${exclusive ? ', exclusive' : ''}${reverse ? ', reverse' : ''}`;
        return define(
          `${formatShape(shape)}${how}`,
          { x: uniform(shape) },
          ({ x }) => ops.cumsum([x], { exclusive, reverse }),
          { tolerance: 3e-5, tags: tags(shape) },
        );
      }),
    ),
    ...[0, 1, -1].map((axis) =>
      define(`axis ${axis} of [3,4,5]`, { x: uniform([3, 4, 5]) }, ({ x }) => cumsum(x, axis)),
    ),
    define(
      'blocks of blocks, exclusive, reverse',
      { x: uniform([17_000]) },
      ({ x }) => cumsum(x, 0, { exclusive: true, reverse: true }),
      { tolerance: 3e-5, tags: ['large'] },
    ),
    define('NaN and infinities', { x: given([5], [1, Infinity, 2, -Infinity, 3]) }, ({ x }) => cumsum(x, 0), {
      wrt: [],
      tags: ['special'],
    }),
  ],
} satisfies Record<string, readonly Case[]>;

export const means = [
  ...AXES.map((axes) =>
    define(`axes ${formatShape(axes)} of [2,3,4,5]`, { x: uniform([2, 3, 4, 5]) }, ({ x }) => mean(x, axes), {
      tolerance: 1e-5,
    }),
  ),
  define('all of [7,33]', { x: uniform([7, 33]) }, ({ x }) => mean(x), { tolerance: 1e-5 }),
  define('axis 0 of [5,3], kept', { x: uniform([5, 3]) }, ({ x }) => mean(x, 0, { keepDims: true }), {
    tolerance: 1e-5,
  }),
];

/** 0 and 1, mostly 1. */
const truths = (shape: Shape): Draw => ({
  shape,
  dtype: 'u8',
  values: (draws, size) => Array.from({ length: size }, () => Number(draws.below(4) > 0)),
});

const overAxes = (
  apply: (x: Tensor, axes: readonly number[]) => Tensor,
  draw: (shape: Shape) => Draw,
  tolerance = 1e-5,
): Case[] => [
  ...AXES.map((axes) =>
    define(`axes ${formatShape(axes)} of [2,3,4,5]`, { x: draw([2, 3, 4, 5]) }, ({ x }) => apply(x, axes), {
      tolerance,
    }),
  ),
  define('one element', { x: draw([1, 1]) }, ({ x }) => apply(x, [0, 1]), { tolerance }),
  define('[3,0,2] over what is there', { x: draw([3, 0, 2]) }, ({ x }) => apply(x, [2]), { tolerance }),
];

/** Functions made of these. */
export const compositeReduce = {
  min: [...overAxes(min, distinct, 0), special('min', min)],
  argMax: [
    ...[undefined, 0, 1, -1].map((axis) =>
      define(`axis ${axis} of [3,4,5]`, { x: distinct([3, 4, 5]) }, ({ x }) => argMax(x, axis), { wrt: [] }),
    ),
    define(
      'kept',
      { x: distinct([3, 4]) },
      ({ x }) => [argMax(x, 0, { keepDims: true }), argMax(x, undefined, { keepDims: true })],
      {
        wrt: [],
      },
    ),
    special('argMax', (x) => argMax(x, -1)),
  ],
  argMin: [
    ...[undefined, 0, 1, -1].map((axis) =>
      define(`axis ${axis} of [3,4,5]`, { x: distinct([3, 4, 5]) }, ({ x }) => argMin(x, axis), { wrt: [] }),
    ),
    special('argMin', (x) => argMin(x, -1)),
  ],
  any: [...overAxes(any, truths, 0), define('of nothing', { x: truths([2, 0]) }, ({ x }) => any(x, 1))],
  all: [...overAxes(all, truths, 0), define('of nothing', { x: truths([2, 0]) }, ({ x }) => all(x, 1))],
  prod: [
    ...overAxes(prod, (shape) => away(shape, 0.5, 1.5)),
    ...[1, 2, 3, 5, 8, 13].map((n) =>
      define(`of ${n}, with zeros`, { x: given([3, n], [0.5, 2, -1.5, 0, 1, 3, -0.75]) }, ({ x }) =>
        prod(x, 1),
      ),
    ),
    define('of nothing', { x: uniform([2, 0]) }, ({ x }) => prod(x, 1)),
  ],
  variance: [
    ...overAxes(variance, uniform),
    define('with Bessel’s correction, kept', { x: uniform([4, 3]) }, ({ x }) =>
      variance(x, 0, { correction: 1, keepDims: true }),
    ),
  ],
  norm: [
    ...overAxes(norm, away),
    ...[1, 1.5, 3, Infinity].map((order) =>
      define(
        `order ${order}`,
        { x: distinctAway([3, 4]) },
        ({ x }) => norm(x, 1, { order, keepDims: true }),
        {
          tolerance: 1e-5,
        },
      ),
    ),
    define('of zeros, forward', { x: given([2, 3], [0]) }, ({ x }) => norm(x, 1), { wrt: [] }),
  ],
  logSumExp: [
    ...overAxes(logSumExp, (shape) => uniform(shape, -3, 3)),
    define('large values', { x: uniform([3, 4], 900, 1000) }, ({ x }) => logSumExp(x, 1, { keepDims: true })),
    special('logSumExp', (x) => logSumExp(x, -1)),
  ],
  softmax: [
    ...[0, 1, -1].map((axis) =>
      define(`axis ${axis} of [3,4,5]`, { x: uniform([3, 4, 5], -3, 3) }, ({ x }) => softmax(x, axis)),
    ),
    define('[33,17]', { x: uniform([33, 17], -5, 5) }, ({ x }) => softmax(x)),
    define('large values', { x: uniform([3, 4], 900, 910) }, ({ x }) => softmax(x), { tolerance: 1e-5 }),
    special('softmax', (x) => softmax(x)),
  ],
  logSoftmax: [
    ...[0, 1, -1].map((axis) =>
      define(`axis ${axis} of [3,4,5]`, { x: uniform([3, 4, 5], -3, 3) }, ({ x }) => logSoftmax(x, axis)),
    ),
    define('large values', { x: uniform([3, 4], 900, 910) }, ({ x }) => logSoftmax(x), { tolerance: 1e-5 }),
    special('logSoftmax', (x) => logSoftmax(x)),
  ],
  dot: [
    define('[7]', { a: uniform([7]), b: uniform([7]) }, ({ a, b }) => dot(a, b), { tolerance: 1e-5 }),
    define('[0]', { a: uniform([0]), b: uniform([0]) }, ({ a, b }) => dot(a, b)),
  ],
} satisfies Record<string, readonly Case[]>;

/** No two elements with nearly the same absolute value. */
function distinctAway(shape: Shape): Draw {
  return {
    shape,
    dtype: 'f32',
    values: (draws, size) =>
      Array.from({ length: size }, (_, i) =>
        Math.fround((0.25 + ((i * 5) % size) / 8) * (draws.below(2) === 0 ? -1 : 1)),
      ),
  };
}

/** Ties, infinities and NaN along the last axis. */
function special(what: string, apply: (x: Tensor, axes: readonly number[]) => Tensor): Case {
  const rows = [
    1,
    3,
    3,
    2,
    Infinity,
    1,
    -Infinity,
    Infinity,
    -Infinity,
    -Infinity,
    -Infinity,
    -Infinity,
    1,
    NaN,
    5,
    NaN,
  ];
  return define(`ties and special values of ${what}`, { x: given([4, 4], rows) }, ({ x }) => apply(x, [1]), {
    wrt: [],
    tags: ['special'],
  });
}
