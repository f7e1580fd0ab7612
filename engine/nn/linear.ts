/** Layers that multiply by weights: dense and convolution. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import { formatType, pair, type Padding, type Pair } from '../shape.ts';
import type { Shape } from '../types.ts';
import { he, zeros, type Initializer } from './initializers.ts';
import type { Layer, ParamSpec } from './layer.ts';

export interface ParamOptions {
  /** Default: that of the layer. */
  readonly init?: Initializer;
  /** Factor on the learning rate. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay. Default 1. */
  readonly decayMult?: number;
}

/** Options of the weights themselves (`init` defaults to `he()`), and of the bias. */
export interface WeightOptions extends ParamOptions {
  /** `false` leaves it out. Default: zeros, trained and decayed like the weights. */
  readonly bias?: false | ParamOptions;
}

export interface ConvOptions extends WeightOptions {
  /** Default 1. */
  readonly stride?: Pair;
  /** Default 0, as in PyTorch and in the operation. With 'same' the output is as large as the input over the stride. */
  readonly padding?: Padding;
  /** Pixels from one tap to the next. Default 1. */
  readonly dilation?: Pair;
  /** Parts of the channels that do not see each other. Default 1. */
  readonly groups?: number;
}

const PARAM = ['init', 'lrMult', 'decayMult'] as const;

/** One trained parameter. */
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

function weights(
  where: string,
  shape: Shape,
  out: number,
  options: WeightOptions,
): Readonly<Record<string, ParamSpec>> {
  const { bias = {} } = options;
  const weight = trained(where, shape, he(), options);
  if (bias === false) return { weight };
  checkOptions(`${where}: bias`, bias, PARAM);
  return { weight, bias: trained(`${where}: bias`, [out], zeros, bias) };
}

/**
 * Fully connected: y = x · weight + bias.
 *
 * Shapes: x [N, in] -> [N, out]; weight [in, out], bias [out]. Throws ShapeError for inputs of another rank.
 *
 * @example nn.dense(1024, 10, { init: nn.init.normal(0.01), bias: { lrMult: 2 } })
 */
export function dense(inputs: number, outputs: number, options: WeightOptions = {}): Layer {
  checkInteger('dense', 'inputs', inputs, 1);
  checkInteger('dense', 'outputs', outputs, 1);
  checkOptions('dense', options, [...PARAM, 'bias']);
  const params = weights('dense', [inputs, outputs], outputs, options);
  return {
    params,
    config: { kind: 'dense' },
    apply(x, scope) {
      if (x.rank !== 2 || x.shape[1] !== inputs) {
        throw new ShapeError(
          `dense: expects [N, ${inputs}] but got ${formatType(x)}` +
            (x.rank > 2 ? ' (put nn.flatten() before it)' : ''),
        );
      }
      const product = ops.matmul(x, scope.param('weight'));
      return 'bias' in params ? ops.add(product, scope.param('bias')) : product;
    },
  };
}

/**
 * Convolution of images, channels last.
 *
 * Shapes: x [N, H, W, in] -> [N, H', W', out]; weight [KH, KW, in / groups, out], bias [out]. With padding 'same'
 * H' = ceil(H / stride); else H' = floor((H + pads − span) / stride) + 1, span = (KH − 1) · dilation + 1.
 * Throws RangeError for groups that do not divide the channels.
 *
 * @example nn.conv2d(3, 32, 5, { padding: 'same', init: nn.init.normal(1e-4), bias: { lrMult: 2 } })
 */
export function conv2d(inputs: number, outputs: number, kernel: Pair, options: ConvOptions = {}): Layer {
  checkOptions('conv2d', options, CONV);
  const { groups = 1, stride = 1, padding = 0, dilation = 1 } = options;
  const size = checkConv('conv2d', inputs, outputs, kernel, groups);
  const params = weights('conv2d', [...size, inputs / groups, outputs], outputs, options);
  return {
    params,
    config: { kind: 'conv2d', stride, padding, ...unusual(dilation, groups) },
    apply(x, scope) {
      const y = ops.conv2d(x, scope.param('weight'), { stride, padding, dilation, groups });
      return 'bias' in params ? ops.add(y, scope.param('bias')) : y;
    },
  };
}

export interface DepthwiseOptions extends Omit<ConvOptions, 'groups'> {
  /** Filters of each channel. Default 1. */
  readonly multiplier?: number;
}

/**
 * Convolution of each channel by itself.
 *
 * Shapes: x [N, H, W, channels] -> [N, H', W', channels · multiplier], sizes as in `conv2d`; weight
 * [KH, KW, 1, channels · multiplier].
 *
 * @example nn.sequential({ spatial: nn.depthwiseConv2d(64, 3, { padding: 1 }), mix: nn.conv2d(64, 128, 1) })
 */
export function depthwiseConv2d(channels: number, kernel: Pair, options: DepthwiseOptions = {}): Layer {
  const { multiplier = 1, ...rest } = options;
  checkInteger('depthwiseConv2d', 'multiplier', multiplier, 1);
  return conv2d(channels, channels * multiplier, kernel, { ...rest, groups: channels });
}

export interface ConvTransposeOptions extends ConvOptions {
  /** Rows and columns of output at the end that no whole stride reaches. Default 0. */
  readonly outputPadding?: Pair;
}

/**
 * Transposed convolution: enlarges images by the stride.
 *
 * Shapes: x [N, H, W, in] -> [N, H', W', out]; weight [KH, KW, out / groups, in], bias [out]. With padding 'same'
 * H' = H · stride; else H' = (H − 1) · stride + span − pads + outputPadding, span = (KH − 1) · dilation + 1.
 * Throws RangeError for groups that do not divide the channels.
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
  const params = weights(where, [...size, outputs / groups, inputs], outputs, options);
  return {
    params,
    config: { kind: where, stride, padding, outputPadding, ...unusual(dilation, groups) },
    apply(x, scope) {
      const geometry = { stride, padding, dilation, groups, outputPadding };
      const y = ops.conv2dTranspose(x, scope.param('weight'), geometry);
      return 'bias' in params ? ops.add(y, scope.param('bias')) : y;
    },
  };
}

const CONV = [...PARAM, 'bias', 'stride', 'padding', 'dilation', 'groups'] as const;

/** What a config says only where it is not 1: checkpoints of plain convolutions do not have it. */
const unusual = (dilation: Pair, groups: number) => ({
  ...(Math.max(...pair(dilation)) > 1 && { dilation }),
  ...(groups > 1 && { groups }),
});

/** The kernel as a pair. */
function checkConv(
  where: string,
  inputs: number,
  outputs: number,
  kernel: Pair,
  groups: number,
): [number, number] {
  checkInteger(where, 'inputs', inputs, 1);
  checkInteger(where, 'outputs', outputs, 1);
  const size = pair(kernel);
  for (const side of size) checkInteger(where, 'kernel', side, 1);
  const words = `a positive integer that divides ${inputs} inputs and ${outputs} outputs`;
  const divides = (n: number): boolean =>
    Number.isSafeInteger(n) && n > 0 && inputs % n === 0 && outputs % n === 0;
  checkNumber(where, 'groups', groups, words, divides);
  return size;
}
