/**
 * Activation functions composed of elementwise operations. Backends fuse each of them, and its derivative, into one pass.
 */
import { ShapeError } from '../errors.ts';
import { checkNumber, checkOptions } from '../options.ts';
import { broadcastShapes, formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, type TensorLike } from './convert.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  div,
  erfc,
  exp,
  expm1,
  greater,
  log1p,
  maximum,
  minimum,
  mul,
  neg,
  sigmoid,
  tanh,
  where,
} from './elementwise.ts';
import { gated, gatedBy } from './gate.ts';

export interface GeluOptions {
  /** 'tanh': the approximation ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). Default: the exact function. */
  readonly approximate?: 'tanh';
}

/**
 * Gaussian error linear unit: x · Φ(x), where Φ is the cumulative distribution function of the standard normal
 * distribution.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
 * Throws ShapeError if x is not `f32`.
 * Throws RangeError if `approximate` is not 'tanh'.
 * Throws TypeError for an unknown option.
 *
 * @example gelu([-1, 0, 1]) // [-0.1587, 0, 0.8413]
 */
export function gelu(x: TensorLike, options: GeluOptions = {}): Tensor {
  checkOptions('gelu', options, ['approximate']);
  const { approximate } = options;
  const t = floats('gelu', x);
  if (approximate === undefined) {
    return gated(
      'gate of gelu',
      t,
      (u) => mul(erfc(mul(u, -Math.SQRT1_2)), 0.5),
      (u) => mul(exp(mul(mul(u, u), -0.5)), 1 / Math.sqrt(2 * Math.PI)),
    );
  }
  if (approximate !== 'tanh') {
    throw new RangeError(`gelu: approximate must be 'tanh' or omitted, got ${JSON.stringify(approximate)}`);
  }
  // ½ (1 + tanh z) equals sigmoid(2z), which is accurate where tanh z is near −1.
  const [linear, cubic] = [Math.sqrt(8 / Math.PI), 0.044715 * Math.sqrt(8 / Math.PI)];
  const inner = (u: Tensor): Tensor => mul(u, add(mul(mul(u, u), cubic), linear));
  return gated(
    'gate of gelu by tanh',
    t,
    (u) => sigmoid(inner(u)),
    (u, y) => mul(mul(y, sigmoid(neg(inner(u)))), add(mul(mul(u, u), 3 * cubic), linear)),
  );
}

/**
 * Sigmoid linear unit, also called swish: x · sigmoid(x).
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Elfwing et al., Sigmoid-Weighted Linear Units, 2017.
 * Throws ShapeError if x is not `f32`.
 *
 * @example silu([-1, 0, 1]) // [-0.2689, 0, 0.7311]
 */
export function silu(x: TensorLike): Tensor {
  return gated('gate of silu', floats('silu', x), sigmoid, (u, y) => mul(y, sigmoid(neg(u))));
}

const softplusOf = customGradient({
  name: 'softplus',
  forward: (x) => add(maximum(x, 0), log1p(exp(neg(abs(x))))),
  // The terms have kinks at 0. Their sum is smooth.
  gradient: ({ inputs: [x], grad }) => [mul(grad, sigmoid(x))],
});

/**
 * Softplus: log(1 + e^x), without overflow for large x and accurate where the result is near 0. Its derivative is the
 * sigmoid.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example softplus([-1, 0, 1]) // [0.3133, 0.6931, 1.313]
 */
export const softplus = (x: TensorLike): Tensor => softplusOf(floats('softplus', x));

/**
 * Leaky ReLU: x where x > 0, else slope · x. The gradient at 0 is the slope, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws RangeError if the slope is not a finite number.
 * Throws ShapeError if x is not `f32`.
 *
 * @example leakyRelu([-1, 0, 2], 0.1) // [-0.1, 0, 2]
 */
export function leakyRelu(x: TensorLike, slope = 0.01): Tensor {
  checkNumber('leakyRelu', 'slope', slope);
  const t = floats('leakyRelu', x);
  return where(greater(t, 0), t, mul(t, slope));
}

/**
 * Exponential linear unit: x where x > 0, else alpha · (e^x − 1). The gradient at 0 is alpha, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Clevert et al., Exponential Linear Units, 2015.
 * Throws RangeError if alpha is not a finite number.
 * Throws ShapeError if x is not `f32`.
 *
 * @example elu([-1, 0, 2]) // [-0.6321, 0, 2]
 */
export function elu(x: TensorLike, alpha = 1): Tensor {
  checkNumber('elu', 'alpha', alpha);
  const t = floats('elu', x);
  return belowZero(t, (negative) => mul(expm1(negative), alpha));
}

/**
 * Continuously differentiable ELU: x where x > 0, else alpha · (e^(x / alpha) − 1).
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Barron, Continuously Differentiable Exponential Linear Units, 2017.
 * Throws RangeError if alpha is 0 or not a finite number.
 * Throws ShapeError if x is not `f32`.
 *
 * @example celu([-1, 0, 2], 0.5) // [-0.4323, 0, 2]
 */
export function celu(x: TensorLike, alpha = 1): Tensor {
  checkNumber('celu', 'alpha', alpha, 'a number other than 0', (a) => a !== 0);
  const t = floats('celu', x);
  return belowZero(t, (negative) => mul(expm1(div(negative, alpha)), alpha));
}

/** x where x > 0, else f(x). f gets 0 in place of positive elements, so it cannot overflow there. */
function belowZero(x: Tensor, f: (negative: Tensor) => Tensor): Tensor {
  const positive = greater(x, 0);
  return where(positive, x, f(where(positive, 0, x)));
}

/** Constants with which activations keep mean 0 and variance 1. */
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 };

/**
 * Scaled exponential linear unit: scale · (x where x > 0, else alpha · (e^x − 1)), with alpha 1.6733 and scale 1.0507, which keep the
 * mean 0 and the variance 1 of activations. The gradient at 0 is scale · alpha, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Klambauer et al., Self-Normalizing Neural Networks, 2017.
 * Throws ShapeError if x is not `f32`.
 *
 * @example selu([-1, 0, 2]) // [-1.111, 0, 2.101]
 */
export function selu(x: TensorLike): Tensor {
  const { alpha, scale } = SELU;
  return mul(
    belowZero(floats('selu', x), (negative) => mul(expm1(negative), alpha)),
    scale,
  );
}

/**
 * Mish: x · tanh(softplus(x)).
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019.
 * Throws ShapeError if x is not `f32`.
 *
 * @example mish([-1, 0, 1]) // [-0.3034, 0, 0.8651]
 */
export function mish(x: TensorLike): Tensor {
  const t = floats('mish', x);
  return gatedBy(t, tanh(softplus(t)));
}

/**
 * Parametric ReLU: x where x > 0, else slope · x, with one slope or one for each channel. The gradient at 0 is the slope, as in
 * PyTorch.
 *
 * Shapes: x `f32` [..., channels], slope `f32` [] or [channels] -> `f32` [..., channels].
 * Source: He et al., Delving Deep into Rectifiers, 2015.
 * Throws ShapeError if x or the slope is not `f32`, or the slope does not broadcast to x.
 *
 * @example prelu([[-1, -1], [2, 3]], [0.25, 0.5]) // [[-0.25, -0.5], [2, 3]]
 */
export function prelu(x: TensorLike, slope: TensorLike): Tensor {
  const [t, a] = [floats('prelu', x), floats('prelu', slope)];
  if (!sameShape(broadcastShapes('prelu', t.shape, a.shape), t.shape)) {
    throw new ShapeError(`prelu: slope ${formatType(a)} does not broadcast to x ${formatType(t)}`);
  }
  return where(greater(t, 0), t, mul(t, a));
}

/** `clamp` with gradient 0 at the bounds. */
const between = (low: number, x: Tensor, high: number): Tensor => minimum(high, maximum(low, x));

/**
 * Piecewise linear sigmoid: x / 6 + ½, clamped to [0, 1]. The gradient at −3 and 3 is 0, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example hardSigmoid([-4, 0, 1.5]) // [0, 0.5, 0.75]
 */
export const hardSigmoid = (x: TensorLike): Tensor =>
  // Clamped first: x + 3 may round to a bound where x does not reach it, and the gradient would be 0.
  mul(add(between(-3, floats('hardSigmoid', x), 3), 3), 1 / 6);

/**
 * Hard swish: x · hardSigmoid(x). The gradient is 0 at −3 and 1 at 3.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Source: Howard et al., Searching for MobileNetV3, 2019.
 * Throws ShapeError if x is not `f32`.
 *
 * @example hardSwish([-4, 1, 4]) // [0, 0.6667, 4]
 */
export function hardSwish(x: TensorLike): Tensor {
  const t = floats('hardSwish', x);
  return mul(t, hardSigmoid(t));
}

/**
 * Clamps x to [−1, 1]. The gradient at −1 and 1 is 0, as in PyTorch.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example hardTanh([-2, 0.5, 3]) // [-1, 0.5, 1]
 */
export const hardTanh = (x: TensorLike): Tensor => between(-1, floats('hardTanh', x), 1);
