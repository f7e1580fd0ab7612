import { dropout, normalizeImages, takeRows } from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { bytes, define, given, integers, uniform, type Case, type Draw } from './case.ts';

/** Vertical shift, horizontal shift, flip. */
const DRAWS = [0, 0, 0, 1, -2, 0, -1, 1, 1, 0, 0, 1, 4, 0, 0, 9, -9, 1, -3, 3, 0];

export const data = {
  dropout: [
    ...([[], [1], [5], [3, 4], [2, 3, 5, 7], [1027], [0]] as const).map((shape: Shape) =>
      define(
        `half of ${formatShape(shape)}`,
        { x: uniform(shape), at: given([], [12], 'i32') },
        ({ x, at }) => dropout(x, 0.5, key(7, 'mask'), at),
        { tags: shape[0] === 1027 ? ['large'] : [] },
      ),
    ),
    ...[0, 0.1, 0.9].map((rate) =>
      define(`rate ${rate}`, { x: uniform([17, 5]), at: given([], [2 ** 31 - 1], 'i32') }, ({ x, at }) =>
        dropout(x, rate, key(2 ** 40 + 3, 'mask'), at),
      ),
    ),
  ],
  takeRows: [
    ...(
      [
        ['u8', (shape: Shape) => bytes(shape)],
        ['i32', (shape: Shape) => integers(shape, 1000)],
        ['f32', (shape: Shape) => uniform(shape)],
      ] as const satisfies readonly (readonly [string, (shape: Shape) => Draw])[]
    ).flatMap(([dtype, draw]) =>
      ([[5], [7, 3], [6, 2, 3, 3], [3, 5, 1]] as const).map((shape: Shape) =>
        define(
          `${dtype} ${formatShape(shape)}, rows repeat`,
          { x: draw(shape), index: integers([11], shape[0]) },
          ({ x, index }) => takeRows(x, index),
          { wrt: [], tolerance: 0 },
        ),
      ),
    ),
    define(
      'no rows',
      { x: bytes([4, 3]), index: given([0], [], 'i32') },
      ({ x, index }) => takeRows(x, index),
      {
        wrt: [],
        tolerance: 0,
      },
    ),
  ],
  normalizeImages: [
    ...(
      [
        [[1], [3]],
        [[3], []],
        [
          [5, 4, 3],
          [5, 4, 3],
        ],
        [[5, 4, 3], [1]],
        [
          [5, 1, 1],
          [4, 3],
        ],
      ] as const
    ).flatMap(([mean, scale]: readonly [Shape, Shape]) =>
      [false, true].map((augmented) =>
        define(
          `u8, mean ${formatShape(mean)}, scale ${formatShape(scale)}${augmented ? ', shifted and flipped' : ''}`,
          {
            x: bytes([7, 5, 4, 3]),
            mean: uniform(mean, 100, 140),
            scale: uniform(scale, 0.5, 2),
            draws: given([7, 3], DRAWS, 'i32'),
          },
          ({ x, mean: m, scale: s, draws }) =>
            augmented ? normalizeImages(x, m, s, draws) : normalizeImages(x, m, s),
          { wrt: [] },
        ),
      ),
    ),
    define(
      'f32, shifted and flipped',
      {
        x: uniform([7, 3, 5, 1]),
        mean: uniform([1]),
        scale: uniform([]),
        draws: given([7, 3], DRAWS, 'i32'),
      },
      ({ x, mean, scale, draws }) => normalizeImages(x, mean, scale, draws),
      { wrt: [] },
    ),
  ],
} satisfies Record<string, readonly Case[]>;
