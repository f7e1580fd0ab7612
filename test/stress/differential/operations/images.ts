/** Convolutions, pooling, normalization and resizing. */
import * as cg from 'cyclegrad';
import type { Tensor } from 'cyclegrad';
import type { Json, Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import {
  distinct,
  f32,
  normal,
  ordinary,
  ties,
  uniform,
  type Operation,
  type Operations,
} from './operation.ts';

type Geometry = { readonly [name in 'stride' | 'padding' | 'dilation']: Json };

function paddingOf(draws: Draws, most: number): Json {
  const way = draws.below(6);
  if (way === 0) return 'valid';
  if (way === 1) return 'same';
  if (way === 2) return [0, 1, 2, 3].map(() => draws.integer(0, most));
  return way === 3 ? draws.integer(0, most) : [draws.integer(0, most), draws.integer(0, most)];
}

const pairOf = (draws: Draws, choices: readonly number[]): Json =>
  draws.chance(0.7) ? draws.pick(choices) : [draws.pick(choices), draws.pick(choices)];

function geometry(draws: Draws): Geometry {
  return {
    stride: pairOf(draws, [1, 1, 1, 2, 3]),
    padding: paddingOf(draws, 3),
    dilation: pairOf(draws, [1, 1, 1, 1, 2]),
  };
}

const kernelOf = (draws: Draws): readonly [number, number] => {
  const k = draws.pick([1, 2, 3, 3, 3, 5, 5, 7]);
  return draws.chance(0.7) ? [k, k] : [k, draws.pick([1, 2, 3, 5])];
};

/** A length of images that the kernel fits into, whatever the padding. */
const sideOf = (draws: Draws, kernel: number): number => 2 * (kernel - 1) + draws.integer(1, 14);

const conv2d: Operation = {
  draw(draws) {
    const [kh, kw] = kernelOf(draws);
    const groups = draws.pick([1, 1, 1, 1, 2, 3]);
    const depthwise = draws.chance(0.1);
    const channels = depthwise ? draws.integer(1, 12) : groups * draws.pick([1, 2, 3, 4, 5, 8, 9, 16]);
    const count = depthwise ? channels : groups;
    const filters = count * draws.pick(depthwise ? [1, 2] : [1, 2, 3, 4, 5, 7, 8, 9, 16]);
    const x = [draws.integer(1, 3), sideOf(draws, kh), sideOf(draws, kw), channels];
    return {
      inputs: [f32(x, normal()), f32([kh, kw, channels / count, filters], normal(0.5))],
      attrs: { ...geometry(draws), groups: count },
    };
  },
  build: ([x, w], options) => cg.conv2d(x, w, options),
};

const paddingOf1d = (draws: Draws, most: number): Json =>
  draws.pick(['same', 'valid', draws.integer(0, most), [draws.integer(0, most), draws.integer(0, most)]]);

const conv1d: Operation = {
  draw(draws) {
    const [kernel, groups] = [draws.pick([1, 2, 3, 3, 5, 7]), draws.pick([1, 1, 1, 2, 3])];
    const channels = groups * draws.pick([1, 2, 3, 4, 5, 8, 9, 16]);
    const filters = groups * draws.pick([1, 2, 3, 4, 5, 7, 8, 9, 16]);
    const length = draws.chance(0.1) ? draws.longLength() : sideOf(draws, kernel);
    return {
      inputs: [
        f32([draws.integer(1, 3), length, channels], normal()),
        f32([kernel, channels / groups, filters], normal(0.5)),
      ],
      attrs: {
        stride: draws.pick([1, 1, 1, 2, 3]),
        padding: paddingOf1d(draws, 3),
        dilation: draws.pick([1, 1, 1, 2]),
        groups,
      },
    };
  },
  build: ([x, w], options) => cg.conv1d(x, w, options),
};

const conv2dTranspose: Operation = {
  draw(draws) {
    const [kh, kw] = kernelOf(draws);
    const groups = draws.pick([1, 1, 1, 2, 3]);
    const [channels, filters] = [groups * draws.integer(1, 6), groups * draws.integer(1, 6)];
    const stride = draws.pick([1, 2, 3]);
    const padding = draws.chance(0.3) ? 'same' : draws.integer(0, Math.min(2, Math.min(kh, kw) - 1));
    const x = [draws.integer(1, 3), draws.integer(3, 9), draws.integer(3, 9), channels];
    return {
      inputs: [f32(x, normal()), f32([kh, kw, filters / groups, channels], normal(0.5))],
      attrs: {
        stride,
        padding,
        dilation: draws.pick([1, 1, 2]),
        groups,
        outputPadding: padding === 'same' ? 0 : draws.below(stride),
      },
    };
  },
  build: ([x, w], options) => cg.conv2dTranspose(x, w, options),
};

function pooled(draws: Draws) {
  const kernel = draws.integer(1, 5);
  const x = [
    draws.integer(1, 3),
    kernel + draws.integer(0, 12),
    kernel + draws.integer(0, 12),
    draws.pick([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]),
  ];
  const padding = draws.chance(0.2)
    ? draws.pick(['same', 'valid'])
    : draws.chance(0.3)
      ? [0, 1, 2, 3].map(() => draws.below(Math.min(kernel, 3)))
      : draws.below(Math.min(kernel, 3));
  return { x, attrs: { kernel, stride: draws.integer(1, 4), padding, ceil: draws.chance(0.4) } };
}

const maxPool2d: Operation = {
  draw(draws) {
    const { x, attrs } = pooled(draws);
    const special: Values = { kind: 'listed', values: ['NaN', 'Infinity', -3e38, 0, 1] };
    const way = draws.below(6);
    return {
      budget: 'exact',
      perturbed: false,
      order: way === 0 ? 0 : 2,
      inputs: [f32(x, way === 0 ? special : way < 3 ? ties : distinct)],
      attrs,
    };
  },
  build: ([x], { kernel, ...options }) => cg.maxPool2d(x, kernel, options),
};

const avgPool2d: Operation = {
  draw(draws) {
    const { x, attrs } = pooled(draws);
    return {
      inputs: [f32(x, ordinary(draws))],
      attrs: { ...attrs, divisor: draws.pick(['clipped', 'inside']) },
    };
  },
  build: ([x], { kernel, ...options }) => cg.avgPool2d(x, kernel, options),
};

function pooled1d(draws: Draws) {
  const kernel = draws.integer(1, 5);
  const length = draws.chance(0.1) ? draws.longLength() : kernel + draws.integer(0, 20);
  const x = [draws.integer(1, 3), length, draws.pick([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33])];
  const padding = paddingOf1d(draws, Math.min(kernel, 3) - 1);
  return { x, attrs: { kernel, stride: draws.integer(1, 4), padding, ceil: draws.chance(0.4) } };
}

const maxPool1d: Operation = {
  draw(draws) {
    const { x, attrs } = pooled1d(draws);
    return {
      budget: 'exact',
      perturbed: false,
      inputs: [f32(x, draws.pick([ties, distinct]))],
      attrs,
    };
  },
  build: ([x], { kernel, ...options }) => cg.maxPool1d(x, kernel, options),
};

const avgPool1d: Operation = {
  draw(draws) {
    const { x, attrs } = pooled1d(draws);
    return {
      inputs: [f32(x, ordinary(draws))],
      attrs: { ...attrs, divisor: draws.pick(['clipped', 'inside']) },
    };
  },
  build: ([x], { kernel, ...options }) => cg.avgPool1d(x, kernel, options),
};

/** Grids that divide the image, that do not, and that are finer than it. */
const adaptive = (
  apply: (x: Tensor, size: number | readonly [number, number]) => Tensor,
  values: (draws: Draws) => Values,
): Operation => ({
  draw(draws) {
    const size = draws.chance(0.3) ? draws.integer(1, 9) : [draws.integer(1, 9), draws.integer(1, 9)];
    return { inputs: [f32(imagesOf(draws), values(draws))], perturbed: false, attrs: { size } };
  },
  build: ([x], { size }) => apply(x, size),
});

const imagesOf = (draws: Draws): number[] => [
  draws.integer(1, 4),
  draws.integer(1, 12),
  draws.integer(1, 12),
  draws.pick([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]),
];

const whole = (apply: (x: Tensor) => Tensor, values: (draws: Draws) => Values): Operation => ({
  draw: (draws) => ({ inputs: [f32(imagesOf(draws), values(draws))], perturbed: false }),
  build: ([x]) => apply(x),
});

const resize2d: Operation = {
  draw(draws) {
    const mode = draws.pick(['nearest', 'bilinear', 'bicubic']);
    return {
      inputs: [f32(imagesOf(draws), ordinary(draws))],
      attrs: {
        size: draws.chance(0.2) ? draws.integer(1, 20) : [draws.integer(1, 20), draws.integer(1, 20)],
        mode,
        alignCorners: mode !== 'nearest' && draws.chance(0.4),
        antialias: mode !== 'nearest' && draws.chance(0.4),
      },
    };
  },
  build: ([x], { size, ...options }) => cg.resize2d(x, size, options),
};

/** Mode 'nearest' jumps between two pixels where single precision rounds, so that one is tested with whole pixels elsewhere. */
const warpAffine: Operation = {
  draw(draws) {
    const images = imagesOf(draws);
    return {
      inputs: [f32(images, ordinary(draws)), f32([images[0], 2, 3], normal(1.5))],
      wrt: [0],
      order: 1,
    };
  },
  build: ([x, matrix]) => cg.warpAffine(x, matrix),
};

/** Data for statistics: ordinary, far from 0, constant, or large. */
function measured(draws: Draws): Values {
  const way = draws.below(8);
  if (way === 0) return normal(1, draws.pick([1e3, -1e4]));
  if (way === 1) return normal(1e-3, 1);
  if (way === 2) return { kind: 'ties', values: [3] };
  if (way === 3) return normal(draws.pick([1e12, 1e-12]));
  return normal(draws.pick([1, 1, 5]), draws.pick([0, 2]));
}

const epsilonOf = (draws: Draws): number => draws.pick([1e-5, 1e-3, 1e-8, 0.1]);
const positive = uniform(0.5, 1.5);

/** Gamma and beta, or neither. */
function affine(draws: Draws, shape: readonly number[]) {
  return draws.chance(0.6) ? [f32(shape, positive), f32(shape, normal())] : [];
}
const options = ([gamma, beta]: readonly Tensor[], epsilon: number) =>
  gamma === undefined || beta === undefined ? { epsilon } : { gamma, beta, epsilon };

const batchNorm: Operation = {
  draw(draws) {
    const shape = draws.chance(0.5) ? imagesOf(draws) : [draws.integer(2, 300), draws.length(40)];
    if (shape.slice(0, -1).every((n) => n === 1)) shape[0] = 2;
    const [channels] = shape.slice(-1) as [number];
    return {
      inputs: [f32(shape, measured(draws)), ...affine(draws, [channels])],
      attrs: { epsilon: epsilonOf(draws) },
    };
  },
  build([x, ...given], { epsilon }) {
    const { y, mean, variance } = cg.batchNorm(x, options(given, epsilon));
    return [y, mean, variance];
  },
  results: 3,
};

const batchNormInference: Operation = {
  draw(draws) {
    const shape = draws.chance(0.5) ? imagesOf(draws) : [draws.integer(1, 30), draws.length(40)];
    const statistics = shape.slice(-1);
    return {
      inputs: [
        f32(shape, normal()),
        f32(statistics, normal()),
        f32(statistics, positive),
        ...affine(draws, statistics),
      ],
      attrs: { epsilon: epsilonOf(draws) },
    };
  },
  build: ([x, mean, variance, ...given], { epsilon }) =>
    cg.batchNormInference(x, mean, variance, options(given, epsilon)),
};

const layerNorm: Operation = {
  draw(draws) {
    const shape = draws.shape(draws.integer(1, 4), 2500);
    const axes = draws.integer(1, shape.length);
    const inner = shape.slice(-axes);
    if (inner.every((n) => n === 1)) shape[shape.length - 1] = draws.integer(2, 9);
    return {
      inputs: [f32(shape, measured(draws)), ...affine(draws, shape.slice(-axes))],
      attrs: { axes, epsilon: epsilonOf(draws) },
    };
  },
  build: ([x, ...given], { axes, epsilon }) => cg.layerNorm(x, { axes, ...options(given, epsilon) }),
};

const groupNorm: Operation = {
  draw(draws) {
    const groups = draws.integer(1, 5);
    const channels = groups * draws.integer(1, 6);
    const shape = [draws.integer(1, 4), ...draws.shape(draws.integer(0, 2), 60), channels];
    if (channels === groups && shape.slice(1, -1).every((n) => n === 1)) shape.splice(1, 0, 5);
    return {
      inputs: [f32(shape, measured(draws)), ...affine(draws, [channels])],
      attrs: { groups, epsilon: epsilonOf(draws) },
    };
  },
  build: ([x, ...given], { groups, epsilon }) => cg.groupNorm(x, groups, options(given, epsilon)),
};

const instanceNorm: Operation = {
  draw(draws) {
    const shape = [draws.integer(1, 4), draws.integer(2, 9), draws.integer(1, 9), draws.integer(1, 17)];
    return {
      inputs: [f32(shape, measured(draws)), ...affine(draws, shape.slice(-1))],
      attrs: { epsilon: epsilonOf(draws) },
    };
  },
  build: ([x, ...given], { epsilon }) => cg.instanceNorm(x, options(given, epsilon)),
};

const responses = (draws: Draws) => ({
  alpha: draws.pick([1, 5e-5, 0.1, 3]),
  beta: draws.pick([0.75, 0.5, 1, 2]),
});

const lrnWithin: Operation = {
  draw: (draws) => ({
    inputs: [f32(imagesOf(draws), normal(draws.pick([1, 1, 100])))],
    attrs: { size: draws.pick([1, 3, 5, 7]), ...responses(draws) },
  }),
  build: ([x], given) => cg.lrnWithin(x, given),
};

const lrnAcross: Operation = {
  draw: (draws) => ({
    inputs: [f32(imagesOf(draws), normal(draws.pick([1, 1, 100])))],
    attrs: { size: draws.integer(1, 6), ...responses(draws) },
  }),
  build: ([x], given) => cg.lrnAcross(x, given),
};

export const images: Operations = {
  conv2d,
  conv2dTranspose,
  maxPool2d,
  avgPool2d,
  conv1d,
  maxPool1d,
  avgPool1d,
  adaptiveAvgPool2d: adaptive(cg.adaptiveAvgPool2d, ordinary),
  adaptiveMaxPool2d: adaptive(cg.adaptiveMaxPool2d, (draws) => draws.pick([ties, distinct])),
  globalAvgPool2d: whole(cg.globalAvgPool2d, ordinary),
  globalMaxPool2d: whole(cg.globalMaxPool2d, (draws) => draws.pick([ties, distinct])),
  resize2d,
  warpAffine,
  batchNorm,
  batchNormInference,
  layerNorm,
  groupNorm,
  instanceNorm,
  lrnWithin,
  lrnAcross,
};
