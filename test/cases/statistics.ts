import {
  cumprod,
  diag,
  median,
  quantile,
  roll,
  std,
  tril,
  triu,
  type CumsumOptions,
  type QuantileOptions,
  type TensorLike,
} from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Shape } from '../../engine/types.ts';
import { away, bytes, define, distinct, given, integers, uniform, type Case, type Draw } from './case.ts';

/** A shape and the axes to reduce. */
const REDUCTIONS: readonly (readonly [Shape, number | readonly number[] | undefined])[] = [
  [[1], undefined],
  [[7], 0],
  [[3, 5], 1],
  [[4, 3, 2], 1],
  [
    [4, 3, 5],
    [0, 2],
  ],
  [[2, 6, 3], undefined],
];

const overAxes = (
  fn: (x: Tensor, axes?: number | readonly number[]) => Tensor,
  draw: (shape: Shape) => Draw,
  what = '',
): Case[] =>
  REDUCTIONS.map(([shape, axes]) =>
    define(`${formatShape(shape)} over ${String(axes)}${what}`, { x: draw(shape) }, ({ x }) => fn(x, axes), {
      tolerance: 2e-6,
    }),
  );

const INTERPOLATIONS = [
  'linear',
  'lower',
  'higher',
  'nearest',
  'midpoint',
] as const satisfies readonly NonNullable<QuantileOptions['interpolation']>[];

const WAYS: readonly CumsumOptions[] = [
  {},
  { exclusive: true },
  { reverse: true },
  { exclusive: true, reverse: true },
];

const MATRICES: readonly Shape[] = [
  [3, 3],
  [2, 5],
  [4, 2],
  [1, 1],
  [0, 3],
];
const OFFSETS = [0, 1, -1, 2, -9];

type Move = (x: TensorLike) => Tensor;

const movedFloats = (what: string, shape: Shape, fn: Move): Case =>
  define(what, { x: uniform(shape) }, ({ x }) => fn(x), { tolerance: 0 });

/** Of every dtype. */
const moved = (what: string, shape: Shape, fn: Move): Case[] => [
  movedFloats(what, shape, fn),
  define(`${what}, i32`, { x: integers(shape, 100) }, ({ x }) => fn(x)),
  define(`${what}, u8`, { x: bytes(shape) }, ({ x }) => fn(x)),
];

const triangles = (fn: (x: TensorLike, offset?: number) => Tensor): Case[] => [
  ...MATRICES.flatMap((shape) =>
    OFFSETS.map((offset) =>
      movedFloats(`${formatShape(shape)}, offset ${offset}`, shape, (x) => fn(x, offset)),
    ),
  ),
  ...moved('a batch', [2, 3, 4, 3], (x) => fn(x)),
  define('NaN outside', { x: given([2, 2], [1, NaN, NaN, 2]) }, ({ x }) => fn(x), {
    wrt: [],
    tags: ['special'],
  }),
];

export const statistics = {
  std: [
    ...overAxes(std, distinct),
    define('by n - 1, with the axis kept', { x: uniform([5, 3]) }, ({ x }) =>
      std(x, 0, { correction: 1, keepDims: true }),
    ),
    define('a large mean', { x: uniform([9], 1000, 1001) }, ({ x }) => std(x), { tolerance: 1e-4 }),
  ],
  median: [
    ...overAxes(median, distinct),
    ...overAxes((x, axes) => median(x, axes, { interpolation: 'lower' }), distinct, ', lower'),
    define('NaN wins', { x: given([2, 3], [1, NaN, 2, Infinity, 3, -Infinity]) }, ({ x }) => median(x, 1), {
      wrt: [],
      tags: ['special'],
    }),
  ],
  quantile: [
    ...overAxes((x, axes) => quantile(x, 0.3, axes), distinct, ', 0.3'),
    ...INTERPOLATIONS.map((interpolation) =>
      define(`several, ${interpolation}`, { x: distinct([4, 6]) }, ({ x }) =>
        quantile(x, [0, 0.1, 0.5, 0.9, 1], 1, { interpolation, keepDims: true }),
      ),
    ),
  ],
  cumprod: [
    ...WAYS.flatMap((options) =>
      ([[7], [3, 4, 5], [1], [0], [2, 33]] as const).map((shape: Shape) =>
        define(`${formatShape(shape)} ${JSON.stringify(options)}`, { x: away(shape, 0.7, 1.3) }, ({ x }) =>
          cumprod(x, -1, options),
        ),
      ),
    ),
    define('zeros', { x: given([3, 4], [2, 0, 3, 4, 0, 0, 5, 6, 1, 2, 3, 0]) }, ({ x }) => cumprod(x, 1)),
    define('the first axis', { x: away([5, 3], 0.7, 1.3) }, ({ x }) => cumprod(x, 0)),
  ],
  roll: [
    ...[0, 1, -1, 3, 7, -9].map((shift) => movedFloats(`[5] by ${shift}`, [5], (x) => roll(x, shift))),
    ...moved('flattened', [3, 4], (x) => roll(x, 5)),
    ...moved('two axes', [3, 4, 2], (x) => roll(x, [1, -1], [0, 2])),
    ...moved('an axis twice as far', [3, 4], (x) => roll(x, 2, -1)),
    ...moved('nothing', [0, 3], (x) => roll(x, 1, 0)),
  ],
  diag: [
    ...MATRICES.flatMap((shape) =>
      OFFSETS.map((offset) =>
        movedFloats(`${formatShape(shape)}, offset ${offset}`, shape, (x) => diag(x, offset)),
      ),
    ),
    ...[0, 1, 3].flatMap((n) =>
      [0, 2, -1].map((offset) => movedFloats(`[${n}], offset ${offset}`, [n], (x) => diag(x, offset))),
    ),
    ...moved('a diagonal below', [4, 3], (x) => diag(x, -1)),
  ],
  triu: triangles(triu),
  tril: triangles(tril),
} satisfies Record<string, readonly Case[]>;
