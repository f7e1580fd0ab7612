/** Layers that act on each element alone. */
import { checkNumber, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import type { GeluOptions } from '../ops/index.ts';
import type { Tensor } from '../tensor.ts';
import type { Layer, LayerConfig } from './layer.ts';

/**
 * A layer from a function of a tensor. `name` stands for it in checkpoints.
 *
 * @example nn.activation((x) => x.mul(x.sigmoid()), 'swish')
 */
export function activation(fn: (x: Tensor) => Tensor, name = 'activation'): Layer {
  return { params: {}, config: { kind: name }, apply: (x) => fn(x) };
}

/** max(x, 0) */
export const relu = (): Layer => activation(ops.relu, 'relu');
/** 1 / (1 + e^−x) */
export const sigmoid = (): Layer => activation(ops.sigmoid, 'sigmoid');
/** The hyperbolic tangent. */
export const tanh = (): Layer => activation(ops.tanh, 'tanh');

/** An activation with options, which its config has. */
const configured = (config: LayerConfig, apply: (x: Tensor) => Tensor): Layer => ({
  params: {},
  config,
  apply,
});

/** x · Φ(x), exact or by its approximation with tanh. */
export function gelu(options: GeluOptions = {}): Layer {
  checkOptions('gelu', options, ['approximate']);
  return configured({ kind: 'gelu', ...options }, (x) => ops.gelu(x, options));
}

/** x · sigmoid(x), also called swish. */
export const silu = (): Layer => activation(ops.silu, 'silu');
/** log(1 + e^x) */
export const softplus = (): Layer => activation(ops.softplus, 'softplus');
/** x where it is positive, else slope · x. */
export const leakyRelu = (slope = 0.01): Layer =>
  configured({ kind: 'leakyRelu', slope }, (x) => ops.leakyRelu(x, slope));
/** x where it is positive, else alpha · (e^x − 1). */
export const elu = (alpha = 1): Layer => configured({ kind: 'elu', alpha }, (x) => ops.elu(x, alpha));
/** x where it is positive, else alpha · (e^(x / alpha) − 1). */
export const celu = (alpha = 1): Layer => configured({ kind: 'celu', alpha }, (x) => ops.celu(x, alpha));
/** x / 6 + ½ within 0 … 1. */
export const hardSigmoid = (): Layer => activation(ops.hardSigmoid, 'hardSigmoid');
/** x · hardSigmoid(x) */
export const hardSwish = (): Layer => activation(ops.hardSwish, 'hardSwish');
/** x within −1 … 1. */
export const hardTanh = (): Layer => activation(ops.hardTanh, 'hardTanh');

/**
 * In training, zeroes each element with probability `rate` and scales the others by 1 / (1 − rate); else the identity.
 * The mask is pure in (seed, path, step). Throws RangeError unless 0 <= rate < 1.
 */
export function dropout(rate: number): Layer {
  checkNumber('dropout', 'rate', rate, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  return {
    params: {},
    config: { kind: 'dropout', rate },
    apply: (x, scope) =>
      scope.training && rate > 0 ? ops.dropout(x, rate, scope.key('dropout'), scope.step()) : x,
  };
}
