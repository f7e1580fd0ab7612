import { batchNorm, batchNormInference, lrnWithin, ops } from '../../engine/ops/index.ts';
import type { LrnAttrs } from '../../engine/ops/norm.ts';
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
      { wrt: [], tolerance: 3e-6 },
    ),
  ),
  batchNorm: [
    ...BATCHES.map((shape) =>
      define(
        formatShape(shape),
        { x: uniform(shape) },
        ({ x }) => Object.values(batchNorm(x)),
        // Over a single row the result is 0 / √epsilon, which magnifies every rounding.
        { through: [0], tolerance: 1e-5, tags: tags(shape) },
      ),
    ),
    ...BATCHES.map((shape) =>
      define(
        `${formatShape(shape)}, scaled and shifted`,
        { x: uniform(shape), gamma: uniform(channels(shape), 0.5, 2), beta: uniform(channels(shape)) },
        ({ x, gamma, beta }) => Object.values(batchNorm(x, { gamma, beta, epsilon: 1e-3 })),
        { through: [0], tolerance: 1e-5, tags: tags(shape) },
      ),
    ),
    define('a mean far from 0', { x: uniform([200, 3], 300, 302) }, ({ x }) => Object.values(batchNorm(x)), {
      through: [0],
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
        { wrt: [], tolerance: 1e-5 },
      ),
    ),
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
