/** Layers of cyclegrad/nn, in training and in inference. Their parameters are inputs of the case. */
import * as cg from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import type { Attrs, Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import {
  distinct,
  f32,
  i32,
  normal,
  u8,
  uniform,
  type Drawn,
  type Given,
  type Operation,
  type Operations,
} from './operation.ts';

interface LayerDraw {
  readonly x: Drawn;
  readonly attrs: Attrs;
  readonly training?: boolean;
  readonly order?: 0 | 1 | 2;
  readonly perturbed?: boolean;
}

/** Scales and variances are positive. */
const valuesFor = (name: string): Values =>
  /gamma|variance|count|scale/.test(name) ? uniform(0.5, 1.5) : normal(0.5);

/** The layer's output, and the new values of its statistics. */
export function layer(
  draw: (draws: Draws) => LayerDraw,
  make: (attrs: Given) => nn.Layer,
  results = 1,
): Operation {
  return {
    draw(draws) {
      const { x, attrs, training = false, ...rest } = draw(draws);
      const params = Object.entries(make(attrs).params);
      return {
        ...rest,
        inputs: [x, ...params.map(([name, { shape }]) => f32(shape, valuesFor(name)))],
        attrs: { ...attrs, training },
      };
    },
    build([x, ...values], { training, ...attrs }) {
      const model = make(attrs);
      const state = Object.fromEntries(Object.keys(model.params).map((name, i) => [name, values[i]]));
      const { output, updates } = nn.bind(model, state, { training })(x);
      // Statistics are the last parameters. Without training they keep their values.
      const statistics = results === 1 ? [] : Object.keys(model.params).slice(1 - results);
      return [output, ...statistics.map((name) => updates[name] ?? cg.add(state[name], 0))];
    },
    results,
  };
}

const imagesOf = (draws: Draws, channels: number): Drawn =>
  f32([draws.integer(1, 3), draws.integer(5, 12), draws.integer(5, 12), channels], normal());

const sequencesOf = (draws: Draws, channels: number): Drawn =>
  f32([draws.integer(1, 3), draws.integer(5, 40), channels], normal());

const paddingOf = (draws: Draws): number | string => draws.pick([0, 1, 2, 'same', 'valid']);

const paddingModeOf = (draws: Draws): string => draws.pick(['zeros', 'zeros', 'reflect', 'edge']);

/** The sizes and options of a convolution of one or two axes. */
function convolutionOf(draws: Draws) {
  const groups = draws.pick([1, 1, 2]);
  return {
    inputs: groups * draws.integer(1, 6),
    outputs: groups * draws.integer(1, 9),
    kernel: draws.pick([1, 3, 3, 5]),
    stride: draws.pick([1, 1, 2]),
    padding: paddingOf(draws),
    dilation: 1,
    groups,
    bias: draws.chance(0.7),
  };
}

const convolutions: Operations = {
  'nn.dense': layer(
    (draws) => {
      const [inputs, outputs] = [draws.length(65), draws.length(40)];
      return {
        x: f32([...draws.shape(draws.pick([1, 1, 2, 3]), 33), inputs], normal()),
        attrs: { inputs, outputs, bias: draws.chance(0.7) },
      };
    },
    ({ inputs, outputs, bias }) => nn.dense(inputs, outputs, bias ? {} : { bias: false }),
  ),
  'nn.conv2d': layer(
    (draws) => {
      const attrs = { ...convolutionOf(draws), paddingMode: paddingModeOf(draws) };
      return { x: imagesOf(draws, attrs.inputs), attrs };
    },
    ({ inputs, outputs, kernel, bias, ...options }) =>
      nn.conv2d(inputs, outputs, kernel, { ...options, ...(!bias && { bias: false }) }),
  ),
  'nn.conv1d': layer(
    (draws) => {
      const attrs = convolutionOf(draws);
      return { x: sequencesOf(draws, attrs.inputs), attrs };
    },
    ({ inputs, outputs, kernel, bias, ...options }) =>
      nn.conv1d(inputs, outputs, kernel, { ...options, ...(!bias && { bias: false }) }),
  ),
  'nn.prelu': layer(
    (draws) => {
      const channels = draws.chance(0.3) ? 1 : draws.length(17);
      return { x: imagesOf(draws, channels), attrs: { channels } };
    },
    ({ channels }) => nn.prelu(channels),
  ),
  'nn.depthwiseConv2d': layer(
    (draws) => {
      const inputs = draws.integer(1, 12);
      const attrs = {
        inputs,
        kernel: draws.pick([1, 3, 5]),
        multiplier: draws.pick([1, 1, 2, 3]),
        stride: draws.pick([1, 1, 2]),
        padding: paddingOf(draws),
        paddingMode: paddingModeOf(draws),
        dilation: 1,
        bias: draws.chance(0.7),
      };
      return { x: imagesOf(draws, inputs), attrs };
    },
    ({ inputs, kernel, bias, ...options }) =>
      nn.depthwiseConv2d(inputs, kernel, { ...options, ...(!bias && { bias: false }) }),
  ),
  'nn.conv2dTranspose': layer(
    (draws) => {
      const groups = draws.pick([1, 1, 2]);
      const [inputs, outputs, stride] = [
        groups * draws.integer(1, 5),
        groups * draws.integer(1, 5),
        draws.integer(1, 3),
      ];
      const attrs = {
        inputs,
        outputs,
        kernel: draws.integer(2, 4),
        stride,
        padding: draws.integer(0, 1),
        dilation: 1,
        groups,
        outputPadding: draws.below(stride),
        bias: draws.chance(0.7),
      };
      return { x: imagesOf(draws, inputs), attrs };
    },
    ({ inputs, outputs, kernel, bias, ...options }) =>
      nn.conv2dTranspose(inputs, outputs, kernel, { ...options, ...(!bias && { bias: false }) }),
  ),
  'nn.embedding': layer(
    (draws) => {
      const [count, width] = [draws.integer(1, 30), draws.length(20)];
      return { x: i32(draws.shape(draws.integer(1, 2), 60), count), attrs: { count, width } };
    },
    ({ count, width }) => nn.embedding(count, width),
  ),
};

const norms: Operations = {
  'nn.batchNorm': layer(
    (draws) => {
      const channels = draws.length(33);
      const x = draws.chance(0.5)
        ? imagesOf(draws, channels)
        : f32([draws.integer(2, 40), channels], normal(2, 1));
      const attrs = {
        channels,
        affine: draws.chance(0.6),
        momentum: draws.pick([0.1, 0, 1, 0.37]),
        epsilon: 1e-5,
      };
      return { x, attrs, training: draws.chance(0.6) };
    },
    ({ channels, ...options }) => nn.batchNorm(channels, options),
    3,
  ),
  'nn.caffeBatchNorm': layer(
    (draws) => {
      const channels = draws.length(33);
      const attrs = {
        channels,
        affine: draws.chance(0.4),
        fraction: draws.pick([0.999, 0.5, 1]),
        epsilon: 1e-5,
      };
      return { x: imagesOf(draws, channels), attrs, training: draws.chance(0.6) };
    },
    ({ channels, ...options }) => nn.batchNorm(channels, { form: 'caffe', ...options }),
    4,
  ),
  'nn.layerNorm': layer(
    (draws) => {
      const shape = draws.shape(draws.integer(1, 2), 60).map((n) => n + 1);
      return {
        x: f32([draws.integer(1, 20), ...shape], normal()),
        attrs: { shape, affine: draws.chance(0.6) },
      };
    },
    ({ shape, affine }) => nn.layerNorm(shape, { affine }),
  ),
  'nn.groupNorm': layer(
    (draws) => {
      const groups = draws.integer(1, 4);
      const channels = groups * draws.integer(1, 5);
      return { x: imagesOf(draws, channels), attrs: { groups, channels, affine: draws.chance(0.6) } };
    },
    ({ groups, channels, affine }) => nn.groupNorm(groups, channels, { affine }),
  ),
  'nn.instanceNorm': layer(
    (draws) => {
      const channels = draws.integer(1, 17);
      return { x: imagesOf(draws, channels), attrs: { channels, affine: draws.chance(0.6) } };
    },
    ({ channels, affine }) => nn.instanceNorm(channels, { affine }),
  ),
  'nn.lrn': layer(
    (draws) => ({
      x: imagesOf(draws, draws.length(17)),
      attrs: {
        region: draws.pick(['within-channel', 'across-channels']),
        size: draws.pick([1, 3, 5]),
        alpha: draws.pick([1, 0.01]),
        beta: 0.75,
      },
    }),
    (options) => nn.lrn(options),
  ),
};

const clipping = (draws: Draws) => ({ padding: draws.integer(0, 1), ceil: draws.chance(0.4) });

const shapes: Operations = {
  'nn.maxPool2d': layer(
    (draws) => {
      const x = { ...imagesOf(draws, draws.length(17)), values: distinct };
      const kernel = draws.integer(2, 3);
      const attrs = {
        kernel,
        stride: draws.integer(1, 3),
        padding: draws.integer(0, 1),
        ceil: draws.chance(0.4),
      };
      return { x, attrs, perturbed: false };
    },
    ({ kernel, stride, ...options }) => nn.maxPool2d(kernel, stride, options),
  ),
  'nn.avgPool2d': layer(
    (draws) => ({
      x: imagesOf(draws, draws.length(17)),
      attrs: {
        kernel: draws.integer(2, 3),
        stride: draws.integer(1, 3),
        padding: draws.integer(0, 1),
        ceil: draws.chance(0.4),
        divisor: draws.pick(['clipped', 'inside']),
      },
    }),
    ({ kernel, stride, ...options }) => nn.avgPool2d(kernel, stride, options),
  ),
  'nn.maxPool1d': layer(
    (draws) => ({
      x: { ...sequencesOf(draws, draws.length(17)), values: distinct },
      attrs: { kernel: draws.integer(2, 3), stride: draws.integer(1, 3), ...clipping(draws) },
      perturbed: false,
    }),
    ({ kernel, stride, ...options }) => nn.maxPool1d(kernel, stride, options),
  ),
  'nn.avgPool1d': layer(
    (draws) => ({
      x: sequencesOf(draws, draws.length(17)),
      attrs: {
        kernel: draws.integer(2, 3),
        stride: draws.integer(1, 3),
        ...clipping(draws),
        divisor: draws.pick(['clipped', 'inside']),
      },
    }),
    ({ kernel, stride, ...options }) => nn.avgPool1d(kernel, stride, options),
  ),
  'nn.upsample2d': layer(
    (draws) => ({
      x: imagesOf(draws, draws.integer(1, 9)),
      attrs: { factor: draws.pick([1, 2, 3]), mode: draws.pick(['nearest', 'bilinear', 'bicubic']) },
    }),
    ({ factor, mode }) => nn.upsample2d(factor, { mode }),
  ),
  'nn.normalize': layer(
    (draws) => {
      const [h, w, c] = [draws.integer(1, 9), draws.integer(1, 9), draws.integer(1, 4)];
      const shape = [draws.integer(1, 4), h, w, c];
      return {
        order: 0,
        x: draws.chance(0.6) ? u8(shape, 256) : f32(shape, normal(50, 100)),
        attrs: { shape: draws.pick([[c], [h, w, c]]) },
      };
    },
    ({ shape }) => nn.normalize(zerosOf(shape), { scale: zerosOf(shape) }),
  ),
};

const zerosOf = (shape: readonly number[]) =>
  ({ shape, dtype: 'f32', data: new Float32Array(shape.reduce((n, d) => n * d, 1)) }) as const;

const activations = { tanh: nn.tanh, silu: nn.silu, sigmoid: nn.sigmoid, gelu: nn.gelu };

/** A convolutional network in training: what batch normalization, pooling and fusions compute together. */
const network = layer(
  (draws) => {
    const channels = draws.integer(1, 4);
    const side = draws.integer(8, 12);
    const attrs = {
      channels,
      side,
      filters: draws.pick([3, 4, 8]),
      norm: draws.pick(['batch', 'group', 'none']),
      activation: draws.pick(Object.keys(activations)),
      pool: draws.pick(['max', 'average']),
    };
    return {
      x: f32([draws.integer(2, 5), side, side, channels], normal()),
      attrs,
      training: draws.chance(0.8),
    };
  },
  ({ channels, side, filters, norm, activation, pool }) => {
    const half = Math.floor((side - 2) / 2) + 1;
    return nn.sequential({
      conv1: nn.conv2d(channels, filters, 3, { padding: 1 }),
      ...(norm === 'batch' && { norm1: nn.batchNorm(filters) }),
      ...(norm === 'group' && { norm1: nn.groupNorm(1, filters) }),
      act1: activations[activation as keyof typeof activations](),
      pool1: pool === 'max' ? nn.maxPool2d(2, 2) : nn.avgPool2d(2, 2),
      conv2: nn.conv2d(filters, filters, 5, { padding: 2, bias: false }),
      act2: activations[activation as keyof typeof activations](),
      flatten: nn.flatten(),
      fc: nn.dense(half * half * filters, 3),
    });
  },
);

export const layers: Operations = { ...convolutions, ...norms, ...shapes, 'nn.network': network };
