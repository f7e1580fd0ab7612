/** Activation functions made of elementwise operations: backends compute each, and its derivative, in one pass. */
import { checkNumber } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './create.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  clamp,
  erf,
  exp,
  expm1,
  greater,
  log1p,
  maximum,
  mul,
  neg,
  sigmoid,
  tanh,
  where,
} from './elementwise.ts';

export interface GeluOptions {
  /** 'tanh' is the approximation ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). Default: exact. */
  readonly approximate?: 'tanh';
}

/**
 * x · Φ(x), Φ the standard normal distribution's function: ½ x (1 + erf(x / √2)).
 * Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
 */
export function gelu(x: TensorLike, { approximate }: GeluOptions = {}): Tensor {
  const t = toTensor(x);
  if (approximate === undefined) return mul(mul(t, 0.5), add(erf(mul(t, Math.SQRT1_2)), 1));
  if (approximate !== 'tanh') {
    throw new RangeError(`gelu: approximate must be 'tanh' or left out, got ${JSON.stringify(approximate)}`);
  }
  const inner = mul(add(t, mul(mul(mul(t, t), t), 0.044715)), Math.sqrt(2 / Math.PI));
  return mul(mul(t, 0.5), add(tanh(inner), 1));
}

/** x · sigmoid(x), also called swish. */
export function silu(x: TensorLike): Tensor {
  const t = toTensor(x);
  return mul(t, sigmoid(t));
}

const softplusOf = customGradient({
  name: 'softplus',
  forward: (x) => add(maximum(x, 0), log1p(exp(neg(abs(x))))),
  // The parts have kinks at 0 that the whole has not.
  gradient: ({ inputs: [x], grad }) => [mul(grad, sigmoid(x!))],
});

/** log(1 + e^x), without overflow and without losing small values. Its derivative is the sigmoid. */
export const softplus = (x: TensorLike): Tensor => softplusOf(x);

/** x where it is positive, else slope · x, also at 0. */
export function leakyRelu(x: TensorLike, slope = 0.01): Tensor {
  checkNumber('leakyRelu', 'slope', slope);
  const t = toTensor(x);
  return where(greater(t, 0), t, mul(t, slope));
}

/**
 * x where it is positive, else alpha · (e^x − 1).
 * Source: Clevert et al., Exponential Linear Units, 2015.
 */
export function elu(x: TensorLike, alpha = 1): Tensor {
  checkNumber('elu', 'alpha', alpha);
  const t = toTensor(x);
  return belowZero(t, (negative) => mul(expm1(negative), alpha));
}

/**
 * x where it is positive, else alpha · (e^(x / alpha) − 1): smooth for every alpha. Throws RangeError for alpha 0.
 * Source: Barron, Continuously Differentiable Exponential Linear Units, 2017.
 */
export function celu(x: TensorLike, alpha = 1): Tensor {
  checkNumber('celu', 'alpha', alpha, 'a number other than 0', (a) => a !== 0);
  const t = toTensor(x);
  return belowZero(t, (negative) => mul(expm1(mul(negative, 1 / alpha)), alpha));
}

/** x where it is positive, else f(x). What f gives for the positive ones, infinities perhaps, is never computed. */
function belowZero(x: Tensor, f: (negative: Tensor) => Tensor): Tensor {
  const positive = greater(x, 0);
  return where(positive, x, f(where(positive, 0, x)));
}

/** x / 6 + ½ within 0 … 1. */
export const hardSigmoid = (x: TensorLike): Tensor => clamp(add(mul(x, 1 / 6), 0.5), 0, 1);

/** x · hardSigmoid(x). Source: Howard et al., Searching for MobileNetV3, 2019. */
export function hardSwish(x: TensorLike): Tensor {
  const t = toTensor(x);
  return mul(t, hardSigmoid(t));
}

/** x within −1 … 1. */
export const hardTanh = (x: TensorLike): Tensor => clamp(x, -1, 1);
