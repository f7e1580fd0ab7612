/** Layers with weights: dense layers and convolutions. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import { checkPadding1d, type Padding1d } from '../ops/row.ts';
import { checkPadding, formatType, pair, placeWindow, sizeOf, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { he, zeros, type Initializer } from './initializers.ts';
import { checkScope, type Layer, type ParamSpec, type TorchLayout } from './layer.ts';

export interface ParamOptions {
  /** Initial values. The default depends on the layer. */
  readonly init?: Initializer;
  /** Factor on the learning rate. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay. Default 1. */
  readonly decayMult?: number;
}

/** Options of the weight, whose `init` defaults to `he()`, and of the bias. */
export interface WeightOptions extends ParamOptions {
  /**
   * Options of the bias, or `false` for no bias. Default: zeros, with the same learning rate and weight decay as the weight.
   */
  readonly bias?: false | ParamOptions;
}

export interface ConvOptions extends WeightOptions {
  /** Pixels between windows: one number, or [vertical, horizontal]. Default 1. */
  readonly stride?: Pair;
  /** Padding around the image in pixels, or 'same' or 'valid'. Default 0, as in PyTorch. */
  readonly padding?: Padding;
  /** Distance between taps of the kernel in pixels. Default 1. */
  readonly dilation?: Pair;
  /** Number of groups into which input and output channels are divided. Default 1. */
  readonly groups?: number;
  /**
   * What surrounds the image: zeros, a mirror image that does not repeat the edge ('reflect'), or the edge itself ('edge', PyTorch's
   * 'replicate'). Default 'zeros'.
   */
  readonly paddingMode?: PaddingMode;
}

export type PaddingMode = 'zeros' | 'reflect' | 'edge';

const PARAM = ['init', 'lrMult', 'decayMult'] as const;

/** The description of a trained parameter. */
export function trained(
  where: string,
  shape: Shape,
  usual: Initializer,
  { init = usual, lrMult = 1, decayMult = 1 }: ParamOptions,
): ParamSpec {
  checkNumber(where, 'lrMult', lrMult, 'a number >= 0', (x) => x >= 0);
  checkNumber(where, 'decayMult', decayMult, 'a number >= 0', (x) => x >= 0);
  if (typeof init !== 'function') {
    throw new TypeError(
      `${where}: init must be an initializer, for instance nn.init.normal(0.01) or nn.init.fromArray(data)`,
    );
  }
  return { shape, init, lrMult, decayMult };
}

/** PyTorch has the channels of a weight first: [out, in, KH, KW]. Ours come last: [KH, KW, in, out]. */
function channelsFirst(rank: number): TorchLayout {
  const taps = Array.from({ length: rank - 2 }, (_, axis) => axis);
  return { axes: [rank - 1, rank - 2, ...taps] };
}

/** The descriptions of a weight and, unless it is left out, of a bias. */
export function weights(
  where: string,
  shape: Shape,
  out: number,
  options: WeightOptions,
): Readonly<Record<string, ParamSpec>> {
  const { bias = {} } = options;
  const weight = { ...trained(where, shape, he(), options), torch: channelsFirst(shape.length) };
  if (bias === false) return { weight };
  checkOptions(`${where}: bias`, bias, PARAM);
  return { weight, bias: trained(`${where}: bias`, [out], zeros, bias) };
}

/**
 * Fully connected layer: y = x · weight + bias. Axes between the first and the last, such as those of tokens, are kept.
 *
 * Shapes: x `f32` [N, ..., in] -> [N, ..., out]; weight [in, out], bias [out].
 * Throws RangeError if a size is not a positive integer, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, ..., in].
 *
 * @example nn.countParameters(nn.dense(1024, 10)) // 10250
 * @example nn.dense(1024, 10, { init: nn.init.normal(0.01), bias: { lrMult: 2 } })
 */
export function dense(inputs: number, outputs: number, options: WeightOptions = {}): Layer {
  checkInteger('dense', 'inputs', inputs, 1);
  checkInteger('dense', 'outputs', outputs, 1);
  checkOptions('dense', options, [...PARAM, 'bias']);
  return linear('dense', inputs, outputs, options);
}

/** A dense layer of a layer that checks the sizes and is named in errors. */
export function linear(where: string, inputs: number, outputs: number, options: WeightOptions): Layer {
  const params = weights(where, [inputs, outputs], outputs, options);
  return {
    params,
    config: { kind: 'dense' },
    apply(x, scope) {
      checkScope('dense', scope);
      if (x.rank < 2 || x.shape.at(-1) !== inputs) {
        const isUnflattened = x.rank > 2 && sizeOf(x.shape.slice(1)) === inputs;
        throw new ShapeError(
          `dense: expects [N, ..., ${inputs}] but got ${formatType(x)}` +
            (isUnflattened ? ' (put nn.flatten() before it)' : ''),
        );
      }
      const rows = x.rank === 2 ? x : ops.reshape(x, [sizeOf(x.shape) / inputs, inputs]);
      const product = ops.matmul(rows, scope.param('weight'));
      const y = 'bias' in params ? ops.add(product, scope.param('bias')) : product;
      return x.rank === 2 ? y : ops.reshape(y, [...x.shape.slice(0, -1), outputs]);
    },
  };
}

/**
 * 2-D convolution of images in NHWC with filters in HWIO.
 *
 *   span = (KH − 1) · dilation + 1
 *   H' = floor((H + pads − span) / stride) + 1
 *   H' = ceil(H / stride) with padding 'same', where an odd pixel of padding goes to the end
 *
 * Shapes: x `f32` [N, H, W, in] -> [N, H', W', out]; weight [KH, KW, in / groups, out], bias [out].
 * Throws RangeError if a size is not a positive integer, `groups` does not divide the channels, or `lrMult` or `decayMult`
 * is negative, or the padding mode is unknown.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or no window fits, or mirrored padding is as long
 * as the image.
 *
 * @example nn.countParameters(nn.conv2d(3, 32, 5)) // 2432
 * @example nn.conv2d(3, 32, 5, { padding: 'same', init: nn.init.normal(1e-4), bias: { lrMult: 2 } })
 * @example nn.conv2d(3, 32, 3, { padding: 1, paddingMode: 'reflect' })
 */
export function conv2d(inputs: number, outputs: number, kernel: Pair, options: ConvOptions = {}): Layer {
  checkOptions('conv2d', options, [...CONV, 'paddingMode']);
  return convolution('conv2d', inputs, outputs, kernel, options);
}

/** A convolution for the function `where`, which errors name. */
function convolution(
  where: string,
  inputs: number,
  outputs: number,
  kernel: Pair,
  options: ConvOptions,
): Layer {
  const { groups = 1, stride = 1, padding = 0, dilation = 1, paddingMode = 'zeros' } = options;
  checkOneOf(where, 'paddingMode', paddingMode, PADDING_MODES);
  const size = checkConv(where, inputs, outputs, kernel, groups);
  checkGeometry(where, { stride, dilation }, padding);
  const params = weights(where, [...size, inputs / groups, outputs], outputs, options);
  return {
    params,
    config: { kind: 'conv2d', stride, padding, ...unusual(where, dilation, groups, paddingMode) },
    apply(x, scope) {
      checkScope('conv2d', scope);
      const geometry = { stride, padding, dilation, groups };
      const y =
        paddingMode === 'zeros'
          ? ops.conv2d(x, scope.param('weight'), geometry)
          : ops.conv2d(surrounded(x, size, geometry, paddingMode), scope.param('weight'), {
              ...geometry,
              padding: 0,
            });
      return 'bias' in params ? ops.add(y, scope.param('bias')) : y;
    },
  };
}

const PADDING_MODES: readonly PaddingMode[] = ['zeros', 'reflect', 'edge'];

/** Images with the border that a convolution needs. */
function surrounded(
  x: Tensor,
  [height, width]: readonly [number, number],
  { stride, padding, dilation }: Required<Pick<ConvOptions, 'stride' | 'padding' | 'dilation'>>,
  mode: 'reflect' | 'edge',
): Tensor {
  if (x.rank !== 4) throw new ShapeError(`conv2d: expects images [N, H, W, C] but got ${formatType(x)}`);
  const [down, right] = pair(dilation, 'conv2d: dilation');
  const spans = [(height - 1) * down + 1, (width - 1) * right + 1] as const;
  const { pad } = placeWindow('conv2d', [x.shape[1], x.shape[2]], spans, stride, padding);
  return ops.pad(
    x,
    [
      [0, 0],
      [pad[0], pad[1]],
      [pad[2], pad[3]],
      [0, 0],
    ],
    { mode },
  );
}

export interface Conv1dLayerOptions extends WeightOptions {
  /** Positions between windows. Default 1. */
  readonly stride?: number;
  /** Zeros on both sides, [before, after], or 'same' or 'valid'. Default 0, as in PyTorch. */
  readonly padding?: Padding1d;
  /** Distance between taps of the kernel. Default 1. */
  readonly dilation?: number;
  /** Number of groups into which input and output channels are divided. Default 1. */
  readonly groups?: number;
}

/**
 * 1-D convolution of sequences.
 *
 *   span = (K − 1) · dilation + 1
 *   L' = floor((L + pads − span) / stride) + 1
 *   L' = ceil(L / stride) with padding 'same', where an odd position of padding goes to the end
 *
 * Shapes: x `f32` [N, L, in] -> [N, L', out]; weight [K, in / groups, out], bias [out].
 * Source: torch.nn.Conv1d.
 * Throws RangeError if a size is not a positive integer, `groups` does not divide the channels, or `lrMult` or `decayMult`
 * is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or no window fits.
 *
 * @example nn.countParameters(nn.conv1d(3, 32, 5)) // 512
 */
export function conv1d(
  inputs: number,
  outputs: number,
  kernel: number,
  options: Conv1dLayerOptions = {},
): Layer {
  checkOptions('conv1d', options, CONV);
  const { groups = 1, stride = 1, padding = 0, dilation = 1 } = options;
  checkInteger('conv1d', 'kernel', kernel, 1);
  checkConv('conv1d', inputs, outputs, [1, kernel], groups);
  checkInteger('conv1d', 'stride', stride, 1);
  checkInteger('conv1d', 'dilation', dilation, 1);
  checkPadding1d('conv1d', padding);
  const params = weights('conv1d', [kernel, inputs / groups, outputs], outputs, options);
  return {
    params,
    config: { kind: 'conv1d', stride, padding, ...unusual('conv1d', dilation, groups) },
    apply(x, scope) {
      checkScope('conv1d', scope);
      const y = ops.conv1d(x, scope.param('weight'), { stride, padding, dilation, groups });
      return 'bias' in params ? ops.add(y, scope.param('bias')) : y;
    },
  };
}

export interface DepthwiseOptions extends Omit<ConvOptions, 'groups'> {
  /** Filters for each channel. Default 1. */
  readonly multiplier?: number;
}

/**
 * Depthwise 2-D convolution: each channel has its own filters.
 *
 * Shapes: x `f32` [N, H, W, channels] -> [N, H', W', channels · multiplier], sizes as in `conv2d`; weight
 * [KH, KW, 1, channels · multiplier], bias [channels · multiplier].
 * Throws RangeError if a size is not a positive integer, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or no window fits.
 *
 * @example nn.sequential({ spatial: nn.depthwiseConv2d(64, 3, { padding: 1 }), mix: nn.conv2d(64, 128, 1) })
 */
export function depthwiseConv2d(channels: number, kernel: Pair, options: DepthwiseOptions = {}): Layer {
  checkOptions('depthwiseConv2d', options, [
    ...PARAM,
    'bias',
    'stride',
    'padding',
    'paddingMode',
    'dilation',
    'multiplier',
  ]);
  const { multiplier = 1, ...rest } = options;
  checkInteger('depthwiseConv2d', 'channels', channels, 1);
  checkInteger('depthwiseConv2d', 'multiplier', multiplier, 1);
  return convolution('depthwiseConv2d', channels, channels * multiplier, kernel, {
    ...rest,
    groups: channels,
  });
}

export interface ConvTransposeOptions extends Omit<ConvOptions, 'paddingMode'> {
  /** Extra rows and columns at the end of the output, from 0 to stride − 1. Default 0. */
  readonly outputPadding?: Pair;
}

/**
 * Transposed 2-D convolution, which enlarges images by the stride.
 *
 *   span = (KH − 1) · dilation + 1
 *   H' = (H − 1) · stride + span − pads + outputPadding
 *   H' = H · stride with padding 'same'
 *
 * Shapes: x `f32` [N, H, W, in] -> [N, H', W', out]; weight [KH, KW, out / groups, in], bias [out].
 * Throws RangeError if a size is not a positive integer, `groups` does not divide the channels, or `lrMult` or `decayMult`
 * is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or the output would be empty.
 *
 * @example nn.conv2dTranspose(64, 32, 4, { stride: 2, padding: 1 })
 */
export function conv2dTranspose(
  inputs: number,
  outputs: number,
  kernel: Pair,
  options: ConvTransposeOptions = {},
): Layer {
  const where = 'conv2dTranspose';
  checkOptions(where, options, [...CONV, 'outputPadding']);
  const { groups = 1, stride = 1, padding = 0, dilation = 1, outputPadding = 0 } = options;
  const size = checkConv(where, inputs, outputs, kernel, groups);
  checkGeometry(where, { stride, dilation, outputPadding }, padding);
  const params = weights(where, [...size, outputs / groups, inputs], outputs, options);
  return {
    params,
    config: { kind: where, stride, padding, outputPadding, ...unusual(where, dilation, groups) },
    apply(x, scope) {
      checkScope(where, scope);
      const geometry = { stride, padding, dilation, groups, outputPadding };
      const y = ops.conv2dTranspose(x, scope.param('weight'), geometry);
      return 'bias' in params ? ops.add(y, scope.param('bias')) : y;
    },
  };
}

const CONV = [...PARAM, 'bias', 'stride', 'padding', 'dilation', 'groups'] as const;

/** Options that are part of a config only if they are not the default. Checkpoints of plain convolutions do not have them. */
const unusual = (where: string, dilation: Pair, groups: number, paddingMode: PaddingMode = 'zeros') => ({
  ...(Math.max(...pair(dilation, `${where}: dilation`)) > 1 && { dilation }),
  ...(groups > 1 && { groups }),
  ...(paddingMode !== 'zeros' && { paddingMode }),
});

/** Checks the options that the operation would only check when the layer is applied. */
function checkGeometry(where: string, pairs: Readonly<Record<string, Pair>>, padding: Padding): void {
  for (const [name, value] of Object.entries(pairs)) {
    const lowest = name === 'outputPadding' ? 0 : 1;
    for (const side of pair(value, `${where}: ${name}`)) checkInteger(where, name, side, lowest);
  }
  checkPadding(where, padding);
}

/** Checks the sizes and returns the kernel as a pair. */
function checkConv(
  where: string,
  inputs: number,
  outputs: number,
  kernel: Pair,
  groups: number,
): [number, number] {
  checkInteger(where, 'inputs', inputs, 1);
  checkInteger(where, 'outputs', outputs, 1);
  const size = pair(kernel, `${where}: kernel`);
  for (const side of size) checkInteger(where, 'kernel', side, 1);
  const words = `a positive integer that divides ${inputs} inputs and ${outputs} outputs`;
  const divides = (n: number): boolean =>
    Number.isSafeInteger(n) && n > 0 && inputs % n === 0 && outputs % n === 0;
  checkNumber(where, 'groups', groups, words, divides);
  return size;
}
