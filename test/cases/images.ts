import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool1d,
  conv1d,
  dropout2d,
  maxPool1d,
  pixelShuffle,
  pixelUnshuffle,
  type Conv1dOptions,
  type Pool1dOptions,
} from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import { formatShape } from '../../engine/shape.ts';
import { bytes, define, distinct, given, uniform, type Case } from './case.ts';

/** An image and a grid. */
const GRIDS: readonly (readonly [
  readonly [number, number, number, number],
  number | readonly [number, number],
])[] = [
  [
    [2, 6, 4, 3],
    [3, 2],
  ],
  [
    [1, 5, 7, 2],
    [3, 4],
  ],
  [[2, 3, 4, 1], 1],
  [
    [1, 3, 2, 2],
    [5, 3],
  ],
  [
    [1, 7, 6, 2],
    [7, 4],
  ],
];

const SEQUENCES: readonly (readonly [string, readonly [number, number, number], number, Pool1dOptions])[] = [
  ['2/2', [2, 6, 3], 2, {}],
  ['3/2, ceil', [1, 8, 2], 3, { stride: 2, ceil: true }],
  ['3/1, pad [1,0]', [2, 5, 1], 3, { stride: 1, padding: [1, 0] }],
  ['2/1, same', [1, 4, 5], 2, { stride: 1, padding: 'same' }],
  ['the whole sequence', [3, 7, 2], 7, {}],
];

const CONVOLUTIONS: readonly (readonly [string, number, Conv1dOptions])[] = [
  ['3', 3, {}],
  ['3, stride 2, pad 1', 3, { stride: 2, padding: 1 }],
  ['4, same', 4, { padding: 'same' }],
  ['2, dilation 3, pad [2,1]', 2, { dilation: 3, padding: [2, 1] }],
  ['3, 2 groups', 3, { groups: 2 }],
];

/** Layers of images and sequences that are compositions. */
export const images = {
  pixelShuffle: [1, 2, 3].flatMap((factor) => [
    define(`by ${factor}`, { x: uniform([2, 3, 2, 2 * factor ** 2]) }, ({ x }) => pixelShuffle(x, factor), {
      tolerance: 0,
    }),
    define(`u8 by ${factor}`, { x: bytes([1, 2, 3, factor ** 2]) }, ({ x }) => pixelShuffle(x, factor)),
  ]),
  pixelUnshuffle: [1, 2, 3].map((factor) =>
    define(
      `by ${factor}`,
      { x: uniform([2, 3 * factor, 2 * factor, 2]) },
      ({ x }) => pixelUnshuffle(x, factor),
      {
        tolerance: 0,
      },
    ),
  ),
  adaptiveAvgPool2d: GRIDS.map(([shape, size]) =>
    define(`${formatShape(shape)} to ${String(size)}`, { x: uniform(shape) }, ({ x }) =>
      adaptiveAvgPool2d(x, size),
    ),
  ),
  adaptiveMaxPool2d: GRIDS.map(([shape, size]) =>
    define(
      `${formatShape(shape)} to ${String(size)}`,
      { x: distinct(shape) },
      ({ x }) => adaptiveMaxPool2d(x, size),
      {
        tolerance: 0,
      },
    ),
  ),
  maxPool1d: SEQUENCES.map(([what, shape, kernel, options]) =>
    define(what, { x: distinct(shape) }, ({ x }) => maxPool1d(x, kernel, options), { tolerance: 0 }),
  ),
  avgPool1d: SEQUENCES.flatMap(([what, shape, kernel, options]) =>
    (['clipped', 'inside'] as const).map((divisor) =>
      define(`${what}, ${divisor}`, { x: uniform(shape) }, ({ x }) =>
        avgPool1d(x, kernel, { ...options, divisor }),
      ),
    ),
  ),
  conv1d: CONVOLUTIONS.map(([what, kernel, options]) =>
    define(
      what,
      { x: uniform([2, 9, 4]), w: uniform([kernel, 4 / (options.groups ?? 1), 6], -0.5, 0.5) },
      ({ x, w }) => conv1d(x, w, options),
      { tolerance: 1e-5 },
    ),
  ),
  dropout2d: [0, 0.3, 0.9].map((rate) =>
    define(`rate ${rate}`, { x: uniform([3, 2, 4, 5]), at: given([], [12], 'i32') }, ({ x, at }) =>
      dropout2d(x, rate, key(7, 'mask'), at),
    ),
  ),
} satisfies Record<string, readonly Case[]>;
