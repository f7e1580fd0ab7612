import {
  argSort,
  gather,
  oneHot,
  scatterAdd,
  scatterAddAlongAxis,
  sort,
  takeAlongAxis,
  topK,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { bytes, define, distinct, given, integers, uniform, type Case, type Draw } from './case.ts';

const KINDS = [
  ['u8', bytes],
  ['i32', (shape) => integers(shape, 1000)],
  ['f32', uniform],
] as const satisfies readonly (readonly [string, (shape: Shape) => Draw])[];

/** [outer, n, inner] and how many are taken of each line. */
const LINES: readonly (readonly [Shape, number])[] = [
  [[1, 1, 1], 1],
  [[1, 7, 1], 4],
  [[3, 4, 1], 9],
  [[2, 5, 3], 5],
  [[1, 3, 300], 2],
  [[4, 6, 5], 1],
  [[2, 3, 0], 2],
  [[0, 3, 2], 2],
  [[2, 3, 4], 0],
];

const TAKEN: readonly (readonly [Shape, Shape, number])[] = [
  [[5], [3], 0],
  [[5, 3], [2, 4], 0],
  [[2, 5, 3], [4], 1],
  [[2, 3, 5], [2, 2], -1],
  [[4, 2], [], 0],
  [[3, 4, 2], [], 1],
  [[3, 4], [0], 1],
];

export const gathering = {
  gatherRows: [
    ...KINDS.flatMap(([dtype, draw]) =>
      ([[5], [7, 3], [6, 2, 3, 3], [3, 5, 1]] as const).map((shape: Shape) =>
        define(
          `${dtype} ${formatShape(shape)}, rows repeat`,
          { x: draw(shape), index: integers([11], shape[0]) },
          ({ x, index }) => gather(x, index),
          { tolerance: 0 },
        ),
      ),
    ),
    define('no rows', { x: bytes([4, 3]), index: given([0], [], 'i32') }, ({ x, index }) => gather(x, index)),
  ],
  scatterAddRows: ([[5], [7, 3], [6, 2, 3, 3], [3, 5, 1], [0, 2], [300, 2]] as const).map((shape: Shape) =>
    define(
      formatShape(shape),
      { g: uniform(shape), index: integers([shape[0]], 4) },
      ({ g, index }) => ops.scatterAddRows([g, index], { n: 4 }),
      { tolerance: shape[0] === 300 ? 1e-5 : 1e-6, tags: shape[0] === 300 ? ['large'] : [] },
    ),
  ),
  takeAlongAxis: LINES.flatMap(([shape, m]) =>
    KINDS.map(([dtype, draw]) =>
      define(
        `${dtype} ${formatShape(shape)}, ${m} of each line`,
        { x: draw(shape), index: integers([shape[0], m, shape[2]], shape[1]) },
        ({ x, index }) => ops.takeAlongAxis([x, index], {}),
        { tolerance: 0 },
      ),
    ),
  ),
  scatterAddAlongAxis: [...LINES, [[2, 5, 3], 200] as const].map(([[outer, n, inner], m]) =>
    define(
      `${m} into each line of ${formatShape([outer, n, inner])}`,
      { g: uniform([outer, m, inner]), index: integers([outer, m, inner], n) },
      ({ g, index }) => ops.scatterAddAlongAxis([g, index], { n }),
      { tolerance: m === 200 ? 1e-5 : 1e-6, tags: m === 200 ? ['large'] : [] },
    ),
  ),
  sort: [
    ...(
      [
        [1, 1],
        [1, 2],
        [3, 7],
        [5, 8],
        [2, 33],
        [1, 1000],
        [4, 0],
        [0, 3],
      ] as const
    ).flatMap((shape: Shape) =>
      [false, true].map((descending) =>
        define(
          `${formatShape(shape)}${descending ? ', descending' : ''}`,
          { x: distinct(shape) },
          ({ x }) => ops.sort([x], { descending }),
          { tolerance: 0, tags: shape[1] === 1000 ? ['large'] : [] },
        ),
      ),
    ),
    ...[0, 1, -1].map((axis) =>
      define(
        `axis ${axis} of [3,4,5]`,
        { x: distinct([3, 4, 5]) },
        ({ x }) => {
          const { values, indices } = sort(x, axis);
          return [values, indices];
        },
        { tolerance: 0 },
      ),
    ),
    ...[false, true].map((descending) =>
      define(
        `ties and special values${descending ? ', descending' : ''}`,
        { x: given([2, 9], [1, NaN, 0, -0, 1, Infinity, -Infinity, NaN, 1, 3, 3, 3, 2, 2, 2, 3, 1, 1]) },
        ({ x }) => ops.sort([x], { descending }),
        { wrt: [], tags: ['special'] },
      ),
    ),
    ...[false, true].map((descending) =>
      define(
        `many ties${descending ? ', descending' : ''}`,
        { x: given([2, 700], [1, NaN, 0, -0, 1, Infinity, -Infinity, 2, 3, 2, 1]) },
        ({ x }) => ops.sort([x], { descending }),
        { wrt: [], tags: ['special'] },
      ),
    ),
  ],
} satisfies Record<string, readonly Case[]>;

/** Functions made of these. */
export const compositeGathering = {
  gather: TAKEN.map(([shape, index, axis]) =>
    define(
      `${formatShape(index)} of axis ${axis} of ${formatShape(shape)}`,
      { x: uniform(shape), index: integers(index, shape.at(axis)!) },
      (t) => gather(t.x, t.index, axis),
      { tolerance: 0 },
    ),
  ),
  scatterAdd: TAKEN.map(([shape, index, axis]) => {
    const at = axis < 0 ? axis + shape.length : axis;
    const values = [...shape.slice(0, at), ...index, ...shape.slice(at + 1)];
    return define(
      `${formatShape(values)} by ${formatShape(index)} from axis ${at}`,
      { x: uniform(values), index: integers(index, 6) },
      (t) => scatterAdd(t.x, t.index, 6, at),
    );
  }),
  oneHot: ([[], [4], [2, 3], [0]] as const).map((shape) =>
    define(formatShape(shape), { index: integers(shape, 5) }, ({ index }) => oneHot(index, 5)),
  ),
  argSort: [
    define(
      'axis 0 of [4,3], descending',
      { x: distinct([4, 3]) },
      ({ x }) => argSort(x, 0, { descending: true }),
      {
        wrt: [],
      },
    ),
  ],
  topK: [0, 1, 3, 5].map((k) =>
    define(
      `${k} of axis 1 of [2,5,3]`,
      { x: distinct([2, 5, 3]) },
      ({ x }) => {
        const { values, indices } = topK(x, k, 1);
        return [values, indices];
      },
      { tolerance: 0 },
    ),
  ),
} satisfies Record<string, readonly Case[]>;

/** The same along any axis; they have the names of the operations above. */
export const along: readonly Case[] = [
  define(
    'takeAlongAxis axis -1 of [3,4,5]',
    { x: uniform([3, 4, 5]), index: integers([3, 4, 2], 5) },
    ({ x, index }) => takeAlongAxis(x, index, -1),
  ),
  define(
    'scatterAddAlongAxis axis 0 of [3,4]',
    { x: uniform([3, 4]), index: integers([3, 4], 6) },
    ({ x, index }) => scatterAddAlongAxis(x, index, 6, 0),
  ),
];
