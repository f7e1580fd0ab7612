import {
  broadcastTo,
  concat,
  expandDims,
  flip,
  pad,
  repeat,
  reshape,
  slice,
  split,
  squeeze,
  stack,
  tile,
  transpose,
  type Range,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
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

const SLICED: readonly (readonly [string, Shape, readonly Range[]])[] = [
  ['1:4', [7], [{ begin: 1, end: 4 }]],
  ['::2', [7], [{ step: 2 }]],
  ['::-1', [7], [{ step: -1 }]],
  ['-2::-2', [7], [{ begin: -2, step: -2 }]],
  ['one position', [5], [3]],
  ['the last of the second axis', [3, 4], [null, -1]],
  ['1:, 5:1:-2', [3, 7], [{ begin: 1 }, { begin: 5, end: 1, step: -2 }]],
  ['nothing', [3, 4], [{ begin: 2, end: 2 }]],
  [
    'beyond both ends',
    [3, 4],
    [
      { begin: -9, end: 9 },
      { begin: 9, end: -9, step: -3 },
    ],
  ],
  [':, 1:3, ::2', [2, 5, 6], [null, { begin: 1, end: 3 }, { step: 2 }]],
  ['of four axes', [2, 3, 4, 5], [1, { step: -1 }, null, { begin: 1, end: -1, step: 3 }]],
  ['of nothing', [0, 3], [null, { begin: 1 }]],
  ['a long one', [3, 1030], [null, { begin: 1, step: 3 }]],
];

const CONCATENATED: readonly (readonly [readonly Shape[], number])[] = [
  [[[3], [4]], 0],
  [
    [
      [2, 3],
      [5, 3],
    ],
    0,
  ],
  [
    [
      [2, 3],
      [2, 1],
      [2, 4],
    ],
    1,
  ],
  [
    [
      [2, 3, 5],
      [2, 4, 5],
    ],
    -2,
  ],
  [
    [
      [2, 0],
      [2, 3],
    ],
    1,
  ],
  [
    [
      [1, 3],
      [1, 3],
      [1, 3],
      [1, 3],
    ],
    0,
  ],
  [
    [
      [7, 33],
      [7, 31],
    ],
    1,
  ],
];

const PADDED: readonly (readonly [Shape, readonly (readonly [number, number])[]])[] = [
  [[3], [[1, 2]]],
  [[1], [[0, 0]]],
  [
    [3, 4],
    [
      [0, 2],
      [3, 0],
    ],
  ],
  [
    [2, 4, 5, 3],
    [
      [0, 0],
      [1, 1],
      [2, 1],
      [0, 0],
    ],
  ],
];

export const layout = {
  slice: SLICED.flatMap(([what, shape, ranges]) =>
    eachDType((dtype, draw) =>
      define(`${dtype} ${formatShape(shape)}, ${what}`, { x: draw(shape) }, ({ x }) => slice(x, ranges), {
        tolerance: 0,
        tags: shape.includes(1030) ? ['large'] : [],
      }),
    ),
  ),
  pad: [
    ...PADDED.flatMap(([shape, amounts]) =>
      eachDType((dtype, draw) =>
        define(
          `${dtype} ${formatShape(shape)} by ${JSON.stringify(amounts)}`,
          { x: draw(shape) },
          ({ x }) => pad(x, amounts, { value: 7 }),
          { tolerance: 0 },
        ),
      ),
    ),
    ...[NaN, Infinity, -Infinity].map((value) =>
      define(
        `by ${value}`,
        { x: uniform([2, 3]) },
        ({ x }) =>
          pad(
            x,
            [
              [1, 0],
              [0, 2],
            ],
            { value },
          ),
        {
          wrt: [],
          tolerance: 0,
          tags: ['special'],
        },
      ),
    ),
    ...(['reflect', 'edge'] as const).flatMap((mode) =>
      PADDED.map(([shape, amounts]) =>
        define(
          `${mode}, ${formatShape(shape)} by ${JSON.stringify(amounts)}`,
          { x: uniform(shape) },
          ({ x }) => pad(x, amounts, { mode }),
          { tolerance: 0 },
        ),
      ),
    ),
    define('an edge much longer than the axis', { x: uniform([2, 1]) }, ({ x }) =>
      pad(
        x,
        [
          [5, 0],
          [0, 9],
        ],
        { mode: 'edge' },
      ),
    ),
    define('backwards and with gaps', { x: uniform([3, 4]) }, ({ x }) =>
      ops.pad([x], { shape: [7, 6], begin: [6, 1], step: [-3, 1], value: 0 }),
    ),
  ],
  concat: CONCATENATED.flatMap(([shapes, axis]) =>
    eachDType((dtype, draw) =>
      define(
        `${dtype} ${shapes.map(formatShape).join(', ')} along ${axis}`,
        Object.fromEntries(shapes.map((shape, i): [string, Draw] => [`x${i}`, draw(shape)])),
        (inputs) =>
          concat(
            shapes.map((_, i) => inputs[`x${i}`]),
            axis,
          ),
        { tolerance: 0 },
      ),
    ),
  ),
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

/** Functions made of these. */
export const compositeLayout = {
  stack: [0, 1, -1].map((axis) =>
    define(
      `three along ${axis}`,
      { a: uniform([2, 3]), b: uniform([2, 3]), c: uniform([2, 3]) },
      ({ a, b, c }) => stack([a, b, c], axis),
      { tolerance: 0 },
    ),
  ),
  split: [
    define('in three equal parts', { x: uniform([2, 6]) }, ({ x }) => split(x, 3, 1), { tolerance: 0 }),
    define('by sizes', { x: uniform([5, 3]) }, ({ x }) => split(x, [1, 0, 4]), { tolerance: 0 }),
  ],
  squeeze: [
    define('all', { x: uniform([1, 3, 1, 2]) }, ({ x }) => squeeze(x), { tolerance: 0 }),
    define('one of two', { x: uniform([1, 3, 1, 2]) }, ({ x }) => squeeze(x, -2), { tolerance: 0 }),
  ],
  expandDims: [0, 1, -1].map((axis) =>
    define(`${axis}`, { x: uniform([3, 2]) }, ({ x }) => expandDims(x, axis), { tolerance: 0 }),
  ),
  flip: ([undefined, 0, [1, -1]] as const).map((axes) =>
    define(`axes ${JSON.stringify(axes)}`, { x: uniform([2, 3, 5]) }, ({ x }) => flip(x, axes), {
      tolerance: 0,
    }),
  ),
  tile: ([[2], [2, 1, 3], [1, 2, 1, 2], [0, 1]] as const).map((counts) =>
    define(formatShape(counts), { x: uniform([2, 3]) }, ({ x }) => tile(x, counts), { tolerance: 1e-6 }),
  ),
  repeat: [0, 1, -1].map((axis) =>
    define(`along ${axis}`, { x: uniform([2, 3, 2]) }, ({ x }) => repeat(x, 3, axis), { tolerance: 1e-6 }),
  ),
} satisfies Record<string, readonly Case[]>;
