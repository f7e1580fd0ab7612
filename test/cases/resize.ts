import { ops } from '../../engine/ops/primitives/index.ts';
import { resize2d, type ResizeOptions } from '../../engine/ops/index.ts';
import type { ResizeAttrs } from '../../engine/ops/primitives/resize.ts';
import { define, given, uniform, type Case } from './case.ts';

type Images = readonly [number, number, number, number];

const SIZES: readonly (readonly [string, Images, readonly [number, number]])[] = [
  ['a single pixel', [1, 1, 1, 1], [1, 1]],
  ['from a single pixel', [2, 1, 1, 3], [3, 2]],
  ['to a single pixel', [1, 4, 3, 2], [1, 1]],
  ['twice as large', [2, 3, 4, 5], [6, 8]],
  ['3 to 7, 4 to 5', [1, 3, 4, 4], [7, 5]],
  ['smaller', [2, 5, 7, 3], [3, 4]],
  ['taller and narrower', [1, 2, 6, 1], [5, 3]],
  ['the same size', [1, 3, 2, 8], [3, 2]],
  ['9 channels to 16x16', [1, 8, 8, 9], [16, 16]],
  ['many times as large', [1, 9, 7, 2], [40, 33]],
  ['many times as small', [1, 40, 33, 1], [15, 5]],
  ['no images', [0, 3, 3, 2], [6, 6]],
];

const MODES: readonly (readonly [string, ResizeOptions])[] = [
  ['nearest', {}],
  ['bilinear', { mode: 'bilinear' }],
  ['bilinear, corners aligned', { mode: 'bilinear', alignCorners: true }],
];

/** Products with matrices of weights: half of them at each size. */
const COMPOSED: readonly (readonly [string, ResizeOptions])[] = [
  ['bicubic', { mode: 'bicubic' }],
  ['bicubic, corners aligned', { mode: 'bicubic', alignCorners: true }],
  ['bilinear, antialiased', { mode: 'bilinear', antialias: true }],
  ['bicubic, antialiased', { mode: 'bicubic', antialias: true }],
];

const each = (
  make: (what: string, x: Images, size: readonly [number, number], mode: ResizeOptions) => Case,
) =>
  SIZES.flatMap(([what, x, size]) =>
    MODES.map(([mode, options]) => make(`${what}, ${mode}`, x, size, options)),
  );

const attrsOf = (x: Images, output: readonly [number, number], options: ResizeOptions): ResizeAttrs => ({
  input: [x[1], x[2]],
  output,
  bilinear: options.mode === 'bilinear',
  alignCorners: options.alignCorners ?? false,
});

export const resize = {
  resize2d: [
    ...each((what, x, size, options) =>
      define(what, { x: uniform(x) }, (t) => resize2d(t.x, size, options), {
        tolerance: options.mode === undefined ? 0 : 1e-6,
        tags: x[1] * x[2] * x[3] > 500 ? ['large'] : [],
      }),
    ),
    ...SIZES.flatMap(([what, x, size], i) =>
      COMPOSED.filter((_, k) => k % 2 === i % 2).map(([mode, options]) =>
        define(`${what}, ${mode}`, { x: uniform(x) }, (t) => resize2d(t.x, size, options), {
          tolerance: 2e-6,
          tags: x[1] * x[2] * x[3] > 500 ? ['large'] : [],
        }),
      ),
    ),
    define(
      'a neighbour of weight 0 does not count',
      { x: given([1, 1, 3, 1], [1, NaN, Infinity]) },
      ({ x }) => resize2d(x, [1, 5], { mode: 'bilinear', alignCorners: true }),
      { wrt: [], tags: ['special'] },
    ),
  ],
  resize2dGrad: each((what, x, size, options) =>
    define(
      what,
      { g: uniform([x[0], ...size, x[3]]) },
      ({ g }) => ops.resize2dGrad([g], attrsOf(x, size, options)),
      {
        tags: x[1] * x[2] * x[3] > 500 ? ['large'] : [],
      },
    ),
  ),
};
