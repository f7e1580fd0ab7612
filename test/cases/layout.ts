import { broadcastTo, reshape, transpose } from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { bytes, define, integers, uniform, type Case, type Draw } from './case.ts';

const TRANSPOSED: readonly (readonly [Shape, readonly number[]])[] = [
  [
    [3, 5],
    [1, 0],
  ],
  [
    [1, 7],
    [1, 0],
  ],
  [
    [33, 17],
    [1, 0],
  ],
  [
    [2, 3, 4],
    [2, 0, 1],
  ],
  [
    [2, 3, 4],
    [0, 2, 1],
  ],
  [
    [2, 3, 5],
    [1, 0, 2],
  ],
  [
    [2, 3, 4, 5],
    [0, 3, 1, 2],
  ],
  [
    [2, 3, 4, 5],
    [3, 1, 2, 0],
  ],
  [
    [2, 1, 3, 1, 2],
    [4, 2, 0, 3, 1],
  ],
  [
    [0, 3],
    [1, 0],
  ],
];

const REPEATED: readonly (readonly [Shape, Shape])[] = [
  [[], [3]],
  [[], [2, 3, 4]],
  [[1], [1027]],
  [[4], [3, 4]],
  [
    [3, 1],
    [3, 5],
  ],
  [
    [2, 1, 3],
    [2, 4, 3],
  ],
  [
    [1, 4, 1, 2],
    [3, 4, 5, 2],
  ],
  [
    [2, 1, 3, 1, 2],
    [2, 4, 3, 5, 2],
  ],
  [
    [1, 3],
    [0, 3],
  ],
];

/** The same case for each dtype; only floats have gradients. */
const eachDType = (make: (what: string, draw: (shape: Shape) => Draw) => Case): Case[] => [
  make('f32', uniform),
  make('i32', (shape) => integers(shape, 1000)),
  make('u8', bytes),
];

export const layout = {
  reshape: [
    define('[2,3,4] to [6,4]', { x: uniform([2, 3, 4]) }, ({ x }) => reshape(x, [6, 4]), { tolerance: 0 }),
    define('[6] to [1,6,1]', { x: uniform([6]) }, ({ x }) => reshape(x, [1, 6, 1]), { tolerance: 0 }),
    define('[2,6] to [3,-1]', { x: uniform([2, 6]) }, ({ x }) => reshape(x, [3, -1]), { tolerance: 0 }),
    define('[1,1] to []', { x: uniform([1, 1]) }, ({ x }) => reshape(x, []), { tolerance: 0 }),
    define('[0,3] to [3,0]', { x: uniform([0, 3]) }, ({ x }) => reshape(x, [3, 0]), { tolerance: 0 }),
  ],
  transpose: TRANSPOSED.flatMap(([shape, perm]) =>
    eachDType((dtype, draw) =>
      define(
        `${dtype} ${formatShape(shape)} by ${formatShape(perm)}`,
        { x: draw(shape) },
        ({ x }) => transpose(x, perm),
        { tolerance: 0 },
      ),
    ),
  ),
  broadcastTo: REPEATED.flatMap(([from, to]) =>
    eachDType((dtype, draw) =>
      define(
        `${dtype} ${formatShape(from)} to ${formatShape(to)}`,
        { x: draw(from) },
        ({ x }) => broadcastTo(x, to),
        { tolerance: 0 },
      ),
    ),
  ),
} satisfies Record<string, readonly Case[]>;
