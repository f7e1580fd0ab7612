/** Layers that multiply by weights: dense and convolution. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import { add } from '../ops/elementwise.ts';
import { conv2d as convolve } from '../ops/conv.ts';
import { matmul } from '../ops/matmul.ts';
import { formatType, pair, type Padding, type Pair } from '../shape.ts';
import type { Shape } from '../types.ts';
import { he, zeros, type Initializer } from './initializers.ts';
import type { Layer, ParamSpec } from './layer.ts';

export interface ParamOptions {
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
  /** Default 'same': the output is as large as the input over the stride. */
  readonly padding?: Padding;
}

const PARAM = ['init', 'lrMult', 'decayMult'];

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
    throw new TypeError(`${where}: init must be an initialiser, for instance normal(0.01) or given(data)`);
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
 * @example dense(1024, 10, { init: normal(0.01), bias: { lrMult: 2 } })
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
            (x.rank > 2 ? ' (put flatten() before it)' : ''),
        );
      }
      const product = matmul(x, scope.param('weight'));
      return 'bias' in params ? add(product, scope.param('bias')) : product;
    },
  };
}

/**
 * Convolution of images, channels last.
 *
 * Shapes: x [N, H, W, in] -> [N, H', W', out]; weight [KH, KW, in, out], bias [out]. With padding 'same'
 * H' = ceil(H / stride); else H' = floor((H + pads − KH) / stride) + 1.
 *
 * @example conv2d(3, 32, 5, { init: normal(1e-4), bias: { lrMult: 2 } })
 */
export function conv2d(inputs: number, outputs: number, kernel: Pair, options: ConvOptions = {}): Layer {
  checkInteger('conv2d', 'inputs', inputs, 1);
  checkInteger('conv2d', 'outputs', outputs, 1);
  checkOptions('conv2d', options, [...PARAM, 'bias', 'stride', 'padding']);
  const { stride = 1, padding = 'same' } = options;
  const [height, width] = pair(kernel);
  checkInteger('conv2d', 'kernel', height, 1);
  checkInteger('conv2d', 'kernel', width, 1);
  const params = weights('conv2d', [height, width, inputs, outputs], outputs, options);
  return {
    params,
    config: { kind: 'conv2d', stride, padding },
    apply(x, scope) {
      const y = convolve(x, scope.param('weight'), { stride, padding });
      return 'bias' in params ? add(y, scope.param('bias')) : y;
    },
  };
}
