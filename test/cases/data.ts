import {
  dropout,
  normalizeImages,
  randomBernoulli,
  randomNormal,
  randomPermutation,
  randomUniform,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { key } from '../../engine/rng.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { bytes, define, given, uniform, type Case } from './case.ts';

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
  random: (['uniform', 'normal'] as const).flatMap((distribution) =>
    ([[], [1], [5], [3, 4], [2, 3, 5, 7], [1027], [0]] as const).map((shape: Shape) =>
      define(
        `${distribution} ${formatShape(shape)}`,
        { step: given([], [12], 'i32') },
        ({ step }) => ops.random([step], { distribution, shape, key0: 1, key1: 2 ** 32 - 3 }),
        { tolerance: 0 },
      ),
    ),
  ),
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

/** Functions made of these. */
export const compositeRandom = {
  randomUniform: [define('[7]', {}, () => randomUniform([7], key(1, 'uniform')), { tolerance: 0 })],
  randomNormal: [
    define(
      '[3,5]',
      { step: given([], [3], 'i32') },
      ({ step }) => randomNormal([3, 5], key(1, 'normal'), step),
      {
        tolerance: 0,
      },
    ),
  ],
  randomBernoulli: [0, 0.3, 1].map((p) =>
    define(`probability ${p}`, {}, () => randomBernoulli([37], p, key(1, 'bernoulli'), 4)),
  ),
  randomPermutation: [0, 1, 2, 100].map((n) =>
    define(`of ${n}`, {}, () => randomPermutation(n, key(1, 'permutation'))),
  ),
} satisfies Record<string, readonly Case[]>;
