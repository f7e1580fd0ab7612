/** Elementwise layers. */
import { checkFunction, checkInteger, checkNumber, checkOneOf, checkOptions, checkText } from '../options.ts';
import * as ops from '../ops/index.ts';
import type { GeluOptions } from '../ops/index.ts';
import type { Tensor } from '../tensor.ts';
import { constant } from './initializers.ts';
import { checkScope, type Layer, type LayerConfig } from './layer.ts';
import { trained, type ParamOptions } from './linear.ts';

/**
 * Makes a layer from a function of a tensor. Checkpoints identify the function by `name`.
 *
 * Shapes: those of the function.
 *
 * @example nn.activation((x) => x.mul(x.sigmoid()), 'swish')
 */
export function activation(fn: (x: Tensor) => Tensor, name = 'activation'): Layer {
  checkFunction('activation', 'fn', fn, 'a function of a tensor');
  checkText('activation', 'name', name);
  return { params: {}, config: { kind: name }, apply: (x) => fn(x) };
}

/**
 * ReLU: max(x, 0).
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.sequential({ fc1: nn.dense(4, 8), relu1: nn.relu(), fc2: nn.dense(8, 3) })
 */
export const relu = (): Layer => activation(ops.relu, 'relu');

/**
 * Logistic sigmoid: 1 / (1 + e^−x).
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.sequential({ fc: nn.dense(4, 1), sigmoid: nn.sigmoid() })
 */
export const sigmoid = (): Layer => activation(ops.sigmoid, 'sigmoid');

/**
 * Hyperbolic tangent.
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.sequential({ fc: nn.dense(4, 8), tanh: nn.tanh() })
 */
export const tanh = (): Layer => activation(ops.tanh, 'tanh');

/** An activation whose options are part of its config. */
const configured = (config: LayerConfig, apply: (x: Tensor) => Tensor): Layer => ({
  params: {},
  config,
  apply,
});

/**
 * Gaussian error linear unit: x · Φ(x), exact or approximated with tanh.
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
 * Throws TypeError for an unknown option.
 * Throws RangeError, when the layer is applied, if `approximate` is not 'tanh'.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.gelu({ approximate: 'tanh' })
 */
export function gelu(options: GeluOptions = {}): Layer {
  checkOptions('gelu', options, ['approximate']);
  if (options.approximate !== undefined) checkOneOf('gelu', 'approximate', options.approximate, ['tanh']);
  return configured({ kind: 'gelu', ...options }, (x) => ops.gelu(x, options));
}

/**
 * Sigmoid linear unit, also called swish: x · sigmoid(x).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Elfwing et al., Sigmoid-Weighted Linear Units, 2017.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.silu()
 */
export const silu = (): Layer => activation(ops.silu, 'silu');

/**
 * Softplus: log(1 + e^x).
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.softplus()
 */
export const softplus = (): Layer => activation(ops.softplus, 'softplus');

/**
 * Leaky ReLU: x where x > 0, else slope · x.
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws RangeError, when the layer is applied, if the slope is not a finite number.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.leakyRelu(0.1)
 */
export function leakyRelu(slope = 0.01): Layer {
  checkNumber('leakyRelu', 'slope', slope);
  return configured({ kind: 'leakyRelu', slope }, (x) => ops.leakyRelu(x, slope));
}

/**
 * Exponential linear unit: x where x > 0, else alpha · (e^x − 1).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Clevert et al., Exponential Linear Units, 2015.
 * Throws RangeError, when the layer is applied, if alpha is not a finite number.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.elu()
 */
export function elu(alpha = 1): Layer {
  checkNumber('elu', 'alpha', alpha);
  return configured({ kind: 'elu', alpha }, (x) => ops.elu(x, alpha));
}

/**
 * Continuously differentiable ELU: x where x > 0, else alpha · (e^(x / alpha) − 1).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Barron, Continuously Differentiable Exponential Linear Units, 2017.
 * Throws RangeError, when the layer is applied, if alpha is 0 or not a finite number.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.celu(0.5)
 */
export function celu(alpha = 1): Layer {
  checkNumber('celu', 'alpha', alpha, 'a number other than 0', (a) => a !== 0);
  return configured({ kind: 'celu', alpha }, (x) => ops.celu(x, alpha));
}

/**
 * Scaled exponential linear unit, which keeps the mean 0 and the variance 1 of activations: 1.0507 · (x where x > 0, else
 * 1.6733 · (e^x − 1)).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Klambauer et al., Self-Normalizing Neural Networks, 2017.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.selu()
 */
export const selu = (): Layer => activation(ops.selu, 'selu');

/**
 * Mish: x · tanh(softplus(x)).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.mish()
 */
export const mish = (): Layer => activation(ops.mish, 'mish');

/**
 * Parametric ReLU: x where x > 0, else weight · x, with one trained slope, or one for each channel.
 *
 * Shapes: x `f32` [..., channels] -> the same; weight [channels], 0.25 by default. With one channel, x is `f32` [...].
 * Source: He et al., Delving Deep into Rectifiers, 2015; torch.nn.PReLU.
 * Throws RangeError if `channels` is not a positive integer, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is not `f32` or has another number of channels.
 *
 * @example nn.countParameters(nn.prelu(32)) // 32
 */
export function prelu(channels = 1, options: ParamOptions = {}): Layer {
  checkInteger('prelu', 'channels', channels, 1);
  checkOptions('prelu', options, ['init', 'lrMult', 'decayMult']);
  return {
    params: { weight: trained('prelu', [channels], constant(0.25), options) },
    config: { kind: 'prelu' },
    apply(x, scope) {
      checkScope('prelu', scope);
      return ops.prelu(x, scope.param('weight'));
    },
  };
}

/**
 * Piecewise linear sigmoid: x / 6 + ½, clamped to [0, 1].
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.hardSigmoid()
 */
export const hardSigmoid = (): Layer => activation(ops.hardSigmoid, 'hardSigmoid');

/**
 * Hard swish: x · hardSigmoid(x).
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Howard et al., Searching for MobileNetV3, 2019.
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.hardSwish()
 */
export const hardSwish = (): Layer => activation(ops.hardSwish, 'hardSwish');

/**
 * Clamps x to [−1, 1].
 *
 * Shapes: x `f32` [...] -> [...].
 * Throws ShapeError, when the layer is applied, if x is not `f32`.
 *
 * @example nn.hardTanh()
 */
export const hardTanh = (): Layer => activation(ops.hardTanh, 'hardTanh');

/**
 * Dropout. In training, it zeroes each element with probability `rate` and multiplies the others by 1 / (1 − rate). In
 * inference, it is the identity.
 *
 * The mask is a pure function of the seed, the path of the layer and the step.
 *
 * Shapes: x `f32` [...] -> [...].
 * Source: Srivastava et al., Dropout, 2014.
 * Throws RangeError unless 0 <= rate < 1 and, when the layer is applied in training, ShapeError if x is not `f32`.
 *
 * @example nn.sequential({ fc1: nn.dense(4, 8), drop: nn.dropout(0.5), fc2: nn.dense(8, 3) })
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

/**
 * Dropout of channels. In training, it zeroes each channel of each image with probability `rate` and multiplies the others by
 * 1 / (1 − rate). In inference, it is the identity.
 *
 * The mask is a pure function of the seed, the path of the layer and the step.
 *
 * Shapes: x `f32` [N, H, W, C] -> the same.
 * Source: Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015; torch.nn.Dropout2d.
 * Throws RangeError unless 0 <= rate < 1 and, when the layer is applied in training, ShapeError if x is not `f32` [N, H, W, C].
 *
 * @example nn.sequential({ conv1: nn.conv2d(3, 8, 3), drop: nn.dropout2d(0.2), conv2: nn.conv2d(8, 8, 3) })
 */
export function dropout2d(rate: number): Layer {
  checkNumber('dropout2d', 'rate', rate, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  return {
    params: {},
    config: { kind: 'dropout2d', rate },
    apply: (x, scope) =>
      scope.training && rate > 0 ? ops.dropout2d(x, rate, scope.key('dropout'), scope.step()) : x,
  };
}
