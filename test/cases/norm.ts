import {
  batchNorm,
  batchNormInference,
  groupNorm,
  instanceNorm,
  layerNorm,
  lrnAcross,
  lrnWithin,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import type { LrnAttrs } from '../../engine/ops/primitives/norm.ts';
import { formatShape, sizeOf } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { define, uniform, type Case } from './case.ts';

type Images = readonly [number, number, number, number];

const LRN: readonly (readonly [string, Images, LrnAttrs, number])[] = [
  ["Caffe's CIFAR-10 constants", [2, 5, 6, 3], { size: 3, alpha: 5e-5, beta: 0.75 }, 100],
  ['size 3, strong', [1, 6, 5, 4], { size: 3, alpha: 1, beta: 0.75 }, 2],
  ['size 5', [1, 7, 6, 2], { size: 5, alpha: 0.5, beta: 0.75 }, 3],
  ['size 1', [1, 3, 4, 5], { size: 1, alpha: 0.5, beta: 0.75 }, 2],
  ['beta 0.5', [2, 4, 3, 5], { size: 3, alpha: 0.7, beta: 0.5 }, 2],
  ['beta 1', [1, 4, 4, 1], { size: 3, alpha: 0.7, beta: 1 }, 2],
  ['image smaller than the square', [1, 2, 3, 3], { size: 5, alpha: 1, beta: 0.75 }, 2],
  ['a single pixel', [3, 1, 1, 1], { size: 3, alpha: 1, beta: 0.75 }, 2],
  ['16x16, 32 channels', [1, 16, 16, 32], { size: 3, alpha: 5e-5, beta: 0.75 }, 100],
  ['no images', [0, 3, 3, 2], { size: 3, alpha: 1, beta: 0.75 }, 2],
];

const BATCHES: readonly Shape[] = [
  [7, 5],
  [1, 3],
  [3, 1],
  [2, 3, 4, 3],
  [1, 5, 5, 8],
  [2, 2, 3, 33],
  [2, 5, 4],
  [2503, 3],
  [3, 16, 16, 32],
];

/** [N, positions, groups, channels of a group] */
const GROUPS: readonly Shape[] = [
  [1, 1, 1, 1],
  [3, 1, 1, 7],
  [2, 6, 5, 1],
  [2, 5, 3, 2],
  [1, 9, 2, 4],
  [4, 3, 1, 6],
  [2, 4, 3, 5],
  [0, 3, 2, 2],
  [2, 3, 0, 2],
  [2, 64, 8, 4],
  [1, 1, 1, 1030],
];

const tags = (shape: Shape) => (sizeOf(shape) > 1000 ? (['large'] as const) : []);
const channels = (shape: Shape): Shape => [shape.at(-1)!];

export const norm = {
  lrnWithin: LRN.map(([what, shape, attrs, high]) =>
    define(what, { x: uniform(shape, -high, high) }, ({ x }) => lrnWithin(x, attrs), {
      tolerance: 3e-6,
      tags: tags(shape),
    }),
  ),
  lrnWithinGrad: LRN.map(([what, shape, attrs, high]) =>
    define(
      what,
      { g: uniform(shape), x: uniform(shape, -high, high), s: uniform(shape, 1, 3) },
      ({ g, x, s }) => ops.lrnWithinGrad([g, x, s], attrs),
      { tolerance: 3e-6, tags: tags(shape) },
    ),
  ),
  batchNorm: [
    ...BATCHES.map((shape) =>
      define(
        formatShape(shape),
        { x: uniform(shape) },
        ({ x }) => [...ops.batchNorm([x], { epsilon: 1e-5 })],
        // Over a single row the result is 0 / √epsilon, which magnifies every rounding.
        { tolerance: 1e-5, tags: tags(shape) },
      ),
    ),
    ...BATCHES.map((shape) =>
      define(
        `${formatShape(shape)}, scaled and shifted`,
        { x: uniform(shape), gamma: uniform(channels(shape), 0.5, 2), beta: uniform(channels(shape)) },
        ({ x, gamma, beta }) => [...ops.batchNorm([x, gamma, beta], { epsilon: 1e-3 })],
        { tolerance: 1e-5, tags: tags(shape) },
      ),
    ),
    define('a mean far from 0', { x: uniform([200, 3], 300, 302) }, ({ x }) => Object.values(batchNorm(x)), {
      tolerance: 1e-4,
      tags: ['large'],
    }),
  ],
  batchNormGrad: BATCHES.flatMap((shape) =>
    [false, true].map((scaled) =>
      define(
        `${formatShape(shape)}${scaled ? ', scaled' : ''}`,
        {
          g: uniform(shape),
          x: uniform(shape),
          mean: uniform(channels(shape), -0.5, 0.5),
          variance: uniform(channels(shape), 0.5, 2),
          gamma: uniform(channels(shape), 0.5, 2),
        },
        ({ g, x, mean, variance, gamma }) => [
          ...ops.batchNormGrad([g, x, mean, variance, ...(scaled ? [gamma] : [])], { epsilon: 1e-3 }),
        ],
        {
          wrt: ['g', 'x', 'mean', 'variance', ...(scaled ? (['gamma'] as const) : [])],
          tolerance: 1e-5,
          tags: tags(shape),
        },
      ),
    ),
  ),
  standardize: [
    ...GROUPS.map((shape) =>
      define(
        formatShape(shape),
        { x: uniform(shape) },
        ({ x }) => [...ops.standardize([x], { epsilon: 1e-3 })],
        { tolerance: 1e-5, tags: tags(shape) },
      ),
    ),
    define(
      'a mean far from 0',
      { x: uniform([2, 40, 2, 3], 300, 302) },
      ({ x }) => [...ops.standardize([x], { epsilon: 1e-5 })],
      { tolerance: 1e-4, tags: ['large'] },
    ),
  ],
  standardizeGrad: GROUPS.map((shape) =>
    define(
      formatShape(shape),
      { g: uniform(shape), y: uniform(shape), variance: uniform([shape[0], shape[2]], 0.5, 2) },
      ({ g, y, variance }) => ops.standardizeGrad([g, y, variance], { epsilon: 1e-3 }),
      { tolerance: 1e-5, tags: tags(shape) },
    ),
  ),
} satisfies Record<string, readonly Case[]>;

/** Functions made of `standardize`, and normalisation across channels. */
export const groups = {
  layerNorm: [
    [1, 3],
    [4, 7],
    [2, 3, 8],
    [3, 2, 2, 5],
    [0, 4],
    [33, 18],
  ].flatMap((shape) => [
    define(formatShape(shape), { x: uniform(shape) }, ({ x }) => layerNorm(x, { epsilon: 1e-3 }), {
      tolerance: 1e-5,
    }),
    define(
      `${formatShape(shape)}, scaled and shifted`,
      { x: uniform(shape), gamma: uniform(channels(shape), 0.5, 2), beta: uniform(channels(shape)) },
      ({ x, gamma, beta }) => layerNorm(x, { gamma, beta, epsilon: 1e-3 }),
      { tolerance: 1e-5, tags: tags(shape) },
    ),
    ...(sizeOf(shape) === 0
      ? [] // no statistics over no elements
      : [
          define(
            `${formatShape(shape)}, over all axes`,
            { x: uniform(shape), gamma: uniform(shape, 0.5, 2), beta: uniform(shape) },
            ({ x, gamma, beta }) => layerNorm(x, { axes: shape.length, gamma, beta, epsilon: 1e-3 }),
            { tolerance: 1e-5, tags: tags(shape) },
          ),
        ]),
  ]),
  groupNorm: (
    [
      [[2, 3, 4, 6], 2],
      [[1, 5, 5, 8], 4],
      [[3, 9], 3],
      [[2, 2, 3, 5], 1],
      [[1, 1, 1, 6], 2],
      [[0, 3, 3, 4], 2],
      [[2, 7, 7, 32], 8],
    ] as const
  ).map(([shape, count]) =>
    define(
      `${formatShape(shape)} in ${count}`,
      { x: uniform(shape), gamma: uniform(channels(shape), 0.5, 2), beta: uniform(channels(shape)) },
      ({ x, gamma, beta }) => groupNorm(x, count, { gamma, beta, epsilon: 1e-3 }),
      { tolerance: 1e-5, tags: tags(shape) },
    ),
  ),
  instanceNorm: [
    [2, 3, 4, 3],
    [1, 5, 2, 8],
    [2, 7, 5],
    [1, 1, 3, 2],
    [0, 2, 2, 3],
  ].map((shape) =>
    define(formatShape(shape), { x: uniform(shape) }, ({ x }) => instanceNorm(x, { epsilon: 1e-3 }), {
      tolerance: 1e-5,
    }),
  ),
  lrnAcross: (
    [
      ['size 5', [2, 3, 2, 7], { size: 5, alpha: 1, beta: 0.75 }],
      ['size 3, beta 0.5', [1, 2, 3, 4], { size: 3, alpha: 0.5, beta: 0.5 }],
      ['an even size', [3, 6], { size: 4, alpha: 2, beta: 0.75 }],
      ['size 1', [2, 2, 5], { size: 1, alpha: 1, beta: 1 }],
      ['wider than the channels', [2, 3], { size: 9, alpha: 1, beta: 0.75 }],
      ['one channel', [2, 2, 2, 1], { size: 5, alpha: 1, beta: 0.75 }],
      ['no images', [0, 2, 2, 3], { size: 3, alpha: 1, beta: 0.75 }],
      ['33 channels', [1, 6, 6, 33], { size: 5, alpha: 1e-2, beta: 0.75 }],
    ] as const
  ).map(([what, shape, attrs]) =>
    define(what, { x: uniform(shape) }, ({ x }) => lrnAcross(x, attrs), {
      tolerance: 3e-6,
      tags: tags(shape),
    }),
  ),
} satisfies Record<string, readonly Case[]>;

export const inference = BATCHES.flatMap((shape) => {
  const statistics = {
    x: uniform(shape),
    mean: uniform(channels(shape)),
    variance: uniform(channels(shape), 0.3, 2),
  };
  return [
    define(formatShape(shape), statistics, ({ x, mean, variance }) => batchNormInference(x, mean, variance), {
      tolerance: 3e-6,
      tags: tags(shape),
    }),
    define(
      `${formatShape(shape)}, scaled and shifted`,
      { ...statistics, gamma: uniform(channels(shape), 0.5, 2), beta: uniform(channels(shape)) },
      ({ x, mean, variance, gamma, beta }) =>
        batchNormInference(x, mean, variance, { gamma, beta, epsilon: 1e-3 }),
      { tolerance: 3e-6, tags: tags(shape) },
    ),
  ];
});
