import { add, conv2d, conv2dTranspose, relu, type Conv2dTransposeOptions } from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import type { ConvAttrs } from '../../engine/ops/primitives/conv.ts';
import { pair, placeWindow, type Padding, type Pair } from '../../engine/shape.ts';
import { define, uniform, type Case } from './case.ts';

export interface ConvGeometry {
  /** [N, H, W, C] */
  readonly x: readonly [number, number, number, number];
  readonly kernel: readonly [number, number];
  readonly filters: number;
  readonly stride?: Pair;
  readonly padding?: Padding;
  readonly dilation?: Pair;
  readonly groups?: number;
}

interface Geometry extends ConvGeometry {
  readonly what: string;
}

const GEOMETRIES: readonly Geometry[] = [
  { what: 'a single pixel', x: [1, 1, 1, 1], kernel: [1, 1], filters: 1 },
  { what: '1 channel to 1', x: [2, 5, 6, 1], kernel: [3, 3], filters: 1, padding: 1 },
  { what: '1 channel to 3', x: [1, 6, 5, 1], kernel: [3, 3], filters: 3 },
  { what: '3 channels to 5', x: [2, 7, 6, 3], kernel: [3, 3], filters: 5, padding: 'same' },
  { what: '5 channels to 8', x: [1, 5, 7, 5], kernel: [3, 3], filters: 8, padding: 1 },
  { what: '8 channels to 13', x: [1, 4, 5, 8], kernel: [3, 3], filters: 13, padding: 1 },
  { what: '13 channels to 1', x: [2, 4, 4, 13], kernel: [3, 3], filters: 1, padding: 1 },
  { what: '4 channels to 4, 12x12', x: [1, 12, 12, 4], kernel: [3, 3], filters: 4, padding: 1 },
  { what: '8 channels to 8, 3x3, 11x10', x: [3, 11, 10, 8], kernel: [3, 3], filters: 8, padding: 1 },
  { what: '16 channels to 16, 3x3 valid', x: [2, 10, 9, 16], kernel: [3, 3], filters: 16 },
  { what: '32 channels to 32, 3x3', x: [1, 8, 8, 32], kernel: [3, 3], filters: 32, padding: 1 },
  { what: '5x5 pad 2, 3 channels to 32, 9x7', x: [2, 9, 7, 3], kernel: [5, 5], filters: 32, padding: 2 },
  { what: '5x5 pad 2, 3 channels to 32, 32x32', x: [1, 32, 32, 3], kernel: [5, 5], filters: 32, padding: 2 },
  { what: '5x5 pad 2, 32 channels to 32, 8x8', x: [1, 8, 8, 32], kernel: [5, 5], filters: 32, padding: 2 },
  { what: '5x5 pad 2, 32 channels to 64, 6x5', x: [1, 6, 5, 32], kernel: [5, 5], filters: 64, padding: 2 },
  { what: '5x5 valid, 2 channels to 3', x: [1, 7, 6, 2], kernel: [5, 5], filters: 3 },
  { what: '5x5 stride 2 pad 2', x: [2, 7, 8, 4], kernel: [5, 5], filters: 4, stride: 2, padding: 2 },
  {
    what: '7x7 stride 2 pad 3, 3 channels to 8',
    x: [1, 13, 11, 3],
    kernel: [7, 7],
    filters: 8,
    stride: 2,
    padding: 3,
  },
  { what: '1x1, 6 channels to 3', x: [2, 3, 4, 6], kernel: [1, 1], filters: 3 },
  { what: '1x1, 32 channels to 13', x: [2, 5, 5, 32], kernel: [1, 1], filters: 13 },
  { what: '1x1 stride 2', x: [1, 5, 4, 3], kernel: [1, 1], filters: 2, stride: 2 },
  { what: '1x1 pad 1', x: [1, 2, 3, 2], kernel: [1, 1], filters: 2, padding: 1 },
  {
    what: '2x2 same: the odd pixel at the end',
    x: [2, 5, 4, 3],
    kernel: [2, 2],
    filters: 3,
    padding: 'same',
  },
  {
    what: '3x3 same stride 2, even size',
    x: [2, 6, 8, 3],
    kernel: [3, 3],
    filters: 4,
    stride: 2,
    padding: 'same',
  },
  {
    what: '3x3 same stride 2, odd size',
    x: [1, 7, 5, 3],
    kernel: [3, 3],
    filters: 4,
    stride: 2,
    padding: 'same',
  },
  { what: '3x2 stride 3, border left over', x: [1, 8, 9, 5], kernel: [3, 2], filters: 7, stride: 3 },
  { what: '2x2 stride 3: windows leave gaps', x: [2, 8, 7, 3], kernel: [2, 2], filters: 2, stride: 3 },
  { what: '3x3 stride 3: windows touch', x: [1, 9, 6, 2], kernel: [3, 3], filters: 3, stride: 3 },
  {
    what: '3x5 stride [1,2] pad [1,2]',
    x: [1, 4, 7, 2],
    kernel: [3, 5],
    filters: 3,
    stride: [1, 2],
    padding: [1, 2],
  },
  { what: '4x4 stride 2 pad 1', x: [2, 6, 6, 3], kernel: [4, 4], filters: 5, stride: 2, padding: 1 },
  { what: 'padding [0,1,2,0]', x: [2, 5, 6, 3], kernel: [3, 3], filters: 4, padding: [0, 1, 2, 0] },
  {
    what: 'padding [1,2,0,1] stride 2',
    x: [1, 6, 5, 2],
    kernel: [3, 2],
    filters: 3,
    stride: 2,
    padding: [1, 2, 0, 1],
  },
  { what: 'padding wider than the kernel', x: [1, 3, 2, 2], kernel: [2, 2], filters: 3, padding: 3 },
  { what: 'kernel as large as the padded image', x: [1, 3, 2, 2], kernel: [5, 4], filters: 3, padding: 1 },
  { what: '1x5 on a row', x: [1, 1, 33, 2], kernel: [1, 5], filters: 3, padding: [0, 2] },
  { what: '5x1 on a column', x: [1, 33, 1, 2], kernel: [5, 1], filters: 3, padding: [2, 0] },
  { what: 'batch of 5, one row each', x: [5, 1, 4, 3], kernel: [1, 3], filters: 4 },
  { what: 'no images', x: [0, 4, 4, 2], kernel: [3, 3], filters: 3 },
  { what: 'dilation 2', x: [2, 7, 8, 3], kernel: [3, 3], filters: 5, dilation: 2 },
  {
    what: 'dilation 2, pad 2, 16 to 16',
    x: [1, 9, 8, 16],
    kernel: [3, 3],
    filters: 16,
    padding: 2,
    dilation: 2,
  },
  {
    what: 'dilation [1,3], stride 2, same',
    x: [2, 9, 10, 2],
    kernel: [2, 3],
    filters: 3,
    stride: 2,
    padding: 'same',
    dilation: [1, 3],
  },
  {
    what: 'dilation 2, stride 3, gaps',
    x: [1, 11, 9, 2],
    kernel: [2, 2],
    filters: 4,
    stride: 3,
    dilation: 2,
  },
  { what: '2 groups', x: [2, 5, 6, 4], kernel: [3, 3], filters: 6, padding: 1, groups: 2 },
  { what: '3 groups, 1x1', x: [1, 4, 3, 9], kernel: [1, 1], filters: 3, groups: 3 },
  {
    what: '2 groups of 5, to 11, stride 2',
    x: [3, 6, 5, 10],
    kernel: [3, 2],
    filters: 22,
    stride: 2,
    padding: [1, 0, 0, 1],
    groups: 2,
  },
  {
    what: '4 groups of 8, 12x12, dilation 2',
    x: [2, 12, 12, 32],
    kernel: [3, 3],
    filters: 32,
    padding: 'same',
    dilation: 2,
    groups: 4,
  },
  { what: 'depthwise, 5 channels', x: [2, 5, 6, 5], kernel: [3, 3], filters: 5, padding: 1, groups: 5 },
  {
    what: 'depthwise, 18 channels, stride 2',
    x: [1, 7, 6, 18],
    kernel: [3, 3],
    filters: 18,
    stride: 2,
    padding: 1,
    groups: 18,
  },
  {
    what: 'depthwise, 32 channels, same',
    x: [2, 9, 9, 32],
    kernel: [5, 5],
    filters: 32,
    padding: 'same',
    groups: 32,
  },
  {
    what: 'depthwise, dilation 2',
    x: [1, 6, 9, 3],
    kernel: [2, 3],
    filters: 3,
    padding: [1, 2],
    dilation: 2,
    groups: 3,
  },
  {
    what: 'depthwise, stride above the kernel',
    x: [1, 9, 8, 4],
    kernel: [2, 2],
    filters: 4,
    stride: 3,
    groups: 4,
  },
  {
    what: 'depthwise, two filters a channel',
    x: [2, 5, 4, 3],
    kernel: [3, 3],
    filters: 6,
    padding: 1,
    groups: 3,
  },
  { what: 'groups, no images', x: [0, 4, 4, 2], kernel: [3, 3], filters: 4, groups: 2 },
  { what: 'depthwise, no images', x: [0, 4, 4, 2], kernel: [3, 3], filters: 2, groups: 2 },
];

export function attrsOf(geometry: ConvGeometry): ConvAttrs {
  const { x, kernel, stride = 1, padding = 'valid', groups = 1 } = geometry;
  const dilation = pair(geometry.dilation ?? 1, 'dilation');
  const span = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1] as const;
  const { stride: steps, pad, out } = placeWindow('case', [x[1], x[2]], span, stride, padding);
  return { stride: steps, pad, input: [x[1], x[2]], kernel, output: out, dilation, groups };
}

const options = (geometry: Geometry, attrs: ConvAttrs) => {
  const { x, kernel, filters, groups = 1 } = geometry;
  const work = x[0] * attrs.output[0] * attrs.output[1] * x[3] * (filters / groups) * kernel[0] * kernel[1];
  // Winograd's transforms cost a few bits.
  return { tolerance: 3e-5, tags: work > 10_000 ? (['large'] as const) : [] };
};

const cases = (make: (geometry: Geometry, attrs: ConvAttrs) => Case): Case[] =>
  GEOMETRIES.map((geometry) => make(geometry, attrsOf(geometry)));

export const outputShape = ({ x, filters }: ConvGeometry, { output }: ConvAttrs) =>
  [x[0], output[0], output[1], filters] as const;
export const weightShape = ({ x, kernel, filters, groups = 1 }: ConvGeometry) =>
  [...kernel, x[3] / groups, filters] as const;

/** Bias and relu, which backends may compute with the convolution, and the bias gradient with the weight gradient. */
const biased = (what: string, groups: number, filters: number, dilation: number): Case =>
  define(
    `${what}, bias and relu`,
    {
      x: uniform([2, 6, 5, 4]),
      w: uniform([3, 3, 4 / groups, filters], -1, 1),
      b: uniform([filters]),
    },
    ({ x, w, b }) => relu(add(conv2d(x, w, { padding: 'same', groups, dilation }), b)),
    { tolerance: 3e-5 },
  );

export const conv = {
  conv2d: [
    biased('2 groups', 2, 6, 1),
    biased('depthwise', 4, 4, 1),
    biased('dilation 2', 1, 5, 2),
    ...cases((geometry, attrs) =>
      define(
        geometry.what,
        { x: uniform(geometry.x), w: uniform(weightShape(geometry), -1, 1) },
        ({ x, w }) => {
          const { stride = 1, padding = 'valid', dilation = 1, groups = 1 } = geometry;
          return conv2d(x, w, { stride, padding, dilation, groups });
        },
        options(geometry, attrs),
      ),
    ),
  ],
  conv2dGradInput: cases((geometry, attrs) =>
    define(
      geometry.what,
      { g: uniform(outputShape(geometry, attrs)), w: uniform(weightShape(geometry), -1, 1) },
      ({ g, w }) => ops.conv2dGradInput([g, w], attrs),
      options(geometry, attrs),
    ),
  ),
  conv2dGradWeight: cases((geometry, attrs) =>
    define(
      geometry.what,
      { x: uniform(geometry.x), g: uniform(outputShape(geometry, attrs), -1, 1) },
      ({ x, g }) => ops.conv2dGradWeight([x, g], attrs),
      options(geometry, attrs),
    ),
  ),
} satisfies Record<string, readonly Case[]>;

const TRANSPOSED = [
  ['stride 2', [2, 3, 4, 3], [3, 3, 5, 3], { stride: 2 }],
  ['stride 2, pad 1, one more', [1, 4, 3, 2], [3, 3, 4, 2], { stride: 2, padding: 1, outputPadding: 1 }],
  ['same, stride 2', [2, 3, 5, 4], [4, 4, 3, 4], { stride: 2, padding: 'same' }],
  ['stride 1', [1, 5, 4, 3], [3, 2, 2, 3], { padding: [1, 0] }],
  ['stride 3, 2x2: gaps', [1, 3, 2, 2], [2, 2, 3, 2], { stride: 3, outputPadding: [0, 2] }],
  ['dilation 2', [1, 4, 5, 2], [2, 3, 3, 2], { stride: [2, 1], dilation: 2 }],
  ['2 groups', [2, 3, 3, 6], [3, 3, 2, 6], { stride: 2, groups: 2, padding: 1 }],
  ['depthwise', [1, 4, 3, 5], [3, 3, 1, 5], { stride: 2, groups: 5, padding: 'same' }],
  ['a single pixel', [1, 1, 1, 1], [1, 1, 1, 1], {}],
  ['no images', [0, 3, 3, 2], [3, 3, 4, 2], { stride: 2 }],
] as const satisfies readonly (readonly [
  string,
  readonly number[],
  readonly number[],
  Conv2dTransposeOptions,
])[];

export const transpose = TRANSPOSED.map(([what, x, w, geometry]) =>
  define(what, { x: uniform(x), w: uniform(w, -1, 1) }, (t) => conv2dTranspose(t.x, t.w, geometry), {
    tolerance: 3e-5,
  }),
);
