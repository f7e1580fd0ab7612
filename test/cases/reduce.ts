import { max, mean, ops, sum } from '../../engine/ops/index.ts';
import { formatShape, sizeOf } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { define, distinct, integers, uniform, type Case } from './case.ts';

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
  ],
  maxGrad: GROUPS.filter(([outer, , inner]) => outer * inner > 0).map(([outer, n, inner]) =>
    define(
      formatShape([outer, n, inner]),
      { g: uniform([outer, inner]), at: integers([outer, inner], n) },
      ({ g, at }) => ops.maxGrad([g, at], { n }),
      { wrt: [], tolerance: 0 },
    ),
  ),
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
