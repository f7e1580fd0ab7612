import { avgPool2d, globalAvgPool2d, globalMaxPool2d, type AvgPoolOptions } from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import type { PoolAttrs } from '../../engine/ops/primitives/pool.ts';
import { pair, placeWindow, type Padding, type Pair } from '../../engine/shape.ts';
import { define, distinct, uniform, type Case } from './case.ts';

interface Geometry {
  readonly what: string;
  /** [N, H, W, C] */
  readonly x: readonly [number, number, number, number];
  readonly kernel: Pair;
  readonly stride?: Pair;
  readonly padding?: Padding;
  readonly ceil?: boolean;
}

const GEOMETRIES: readonly Geometry[] = [
  { what: 'a single pixel', x: [1, 1, 1, 1], kernel: 1 },
  { what: "Caffe's 3/2, ceil, even size, clipped", x: [2, 6, 8, 3], kernel: 3, stride: 2, ceil: true },
  { what: "Caffe's 3/2, ceil, odd size", x: [1, 7, 5, 2], kernel: 3, stride: 2, ceil: true },
  { what: '3/2 on 32x32, 32 channels', x: [1, 32, 32, 32], kernel: 3, stride: 2, ceil: true },
  { what: '3/2, floor', x: [1, 6, 7, 5], kernel: 3, stride: 2 },
  { what: '2/2, 4 channels', x: [2, 4, 6, 4], kernel: 2 },
  { what: '2/2, border left over', x: [1, 5, 3, 8], kernel: 2 },
  { what: '2/2, ceil, odd size', x: [1, 5, 3, 2], kernel: 2, ceil: true },
  { what: '3/2, pad 1, ceil', x: [1, 6, 5, 2], kernel: 3, stride: 2, padding: 1, ceil: true },
  { what: '3/1, same', x: [2, 4, 5, 3], kernel: 3, stride: 1, padding: 'same' },
  { what: '2/1, same', x: [1, 3, 4, 5], kernel: 2, stride: 1, padding: 'same' },
  { what: '3x2/1, pad [1,0]', x: [1, 4, 5, 2], kernel: [3, 2], stride: 1, padding: [1, 0] },
  {
    what: 'padding [0,1,1,0], stride [2,1]',
    x: [2, 5, 4, 3],
    kernel: 2,
    stride: [2, 1],
    padding: [0, 1, 1, 0],
  },
  { what: '2/3: windows leave gaps', x: [1, 7, 6, 1], kernel: 2, stride: 3 },
  { what: '2/3, ceil', x: [1, 7, 7, 3], kernel: 2, stride: 3, ceil: true },
  { what: 'the whole image', x: [3, 4, 5, 7], kernel: [4, 5] },
  {
    what: 'window larger than the image, padded',
    x: [1, 2, 2, 3],
    kernel: 3,
    stride: 2,
    padding: 1,
    ceil: true,
  },
  { what: 'window larger than the image, ceil', x: [1, 2, 2, 3], kernel: 3, stride: 2, ceil: true },
  { what: 'a row', x: [1, 1, 17, 3], kernel: [1, 3], stride: [1, 2], ceil: true },
  { what: 'batch of 5', x: [5, 3, 3, 13], kernel: 2, stride: 1 },
  { what: 'no images', x: [0, 4, 4, 2], kernel: 2 },
];

function attrsOf(geometry: Geometry, insideOnly: boolean): PoolAttrs {
  const { x, kernel, stride = kernel, padding = 'valid', ceil = false } = geometry;
  const window = placeWindow('case', [x[1], x[2]], pair(kernel, 'kernel'), stride, padding, ceil);
  return {
    kernel: window.kernel,
    stride: window.stride,
    pad: window.pad,
    input: [x[1], x[2]],
    output: window.out,
    insideOnly,
  };
}

const tags = ({ x }: Geometry) => (x[1] * x[2] * x[3] > 1000 ? (['large'] as const) : []);

const outputShape = ({ x }: Geometry, { output }: PoolAttrs) => [x[0], output[0], output[1], x[3]] as const;

const DIVISORS = ['clipped', 'inside'] as const;

export const pool = {
  maxPool2d: GEOMETRIES.map((geometry) =>
    define(
      geometry.what,
      { x: distinct(geometry.x) },
      ({ x }) => [...ops.maxPool2d([x], attrsOf(geometry, false))],
      { tolerance: 0, tags: tags(geometry) },
    ),
  ),
  maxPool2dGrad: GEOMETRIES.map((geometry) => {
    const attrs = attrsOf(geometry, false);
    return define(
      geometry.what,
      { x: distinct(geometry.x), g: uniform(outputShape(geometry, attrs)) },
      ({ x, g }) => ops.maxPool2dGrad([g, ops.maxPool2d([x], attrs)[1]], attrs),
      { wrt: ['g'], tags: tags(geometry) },
    );
  }),
  avgPool2d: DIVISORS.flatMap((divisor) =>
    GEOMETRIES.map((geometry) =>
      define(
        `${geometry.what}, divisor ${divisor}`,
        { x: uniform(geometry.x) },
        ({ x }) => {
          const { kernel, stride = kernel, padding = 'valid', ceil = false } = geometry;
          const options: AvgPoolOptions = { stride, padding, ceil, divisor };
          return avgPool2d(x, kernel, options);
        },
        { tags: tags(geometry) },
      ),
    ),
  ),
  avgPool2dGrad: DIVISORS.flatMap((divisor) =>
    GEOMETRIES.map((geometry) => {
      const attrs = attrsOf(geometry, divisor === 'inside');
      return define(
        `${geometry.what}, divisor ${divisor}`,
        { g: uniform(outputShape(geometry, attrs)) },
        ({ g }) => ops.avgPool2dGrad([g], attrs),
        { tags: tags(geometry) },
      );
    }),
  ),
} satisfies Record<string, readonly Case[]>;

const WHOLE = [
  [1, 1, 1, 1],
  [2, 3, 4, 5],
  [1, 1, 6, 3],
  [3, 5, 1, 8],
  [0, 2, 2, 3],
] as const;

export const globals = {
  globalAvgPool2d: WHOLE.map((shape) =>
    define(shape.join('x'), { x: uniform(shape) }, ({ x }) => globalAvgPool2d(x)),
  ),
  globalMaxPool2d: WHOLE.map((shape) =>
    define(shape.join('x'), { x: distinct(shape) }, ({ x }) => globalMaxPool2d(x), { tolerance: 0 }),
  ),
} satisfies Record<string, readonly Case[]>;
