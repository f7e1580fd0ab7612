/** Activation functions made of elementwise operations: backends compute each, and its derivative, in one pass. */
import { checkNumber } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
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
  where,
} from './elementwise.ts';
import { gated } from './gate.ts';

export interface GeluOptions {
  /** 'tanh' is the approximation ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). Default: exact. */
  readonly approximate?: 'tanh';
}

/**
 * x · Φ(x), Φ the standard normal distribution's function: ½ x erfc(−x / √2).
 * Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
 */
export function gelu(x: TensorLike, { approximate }: GeluOptions = {}): Tensor {
  const t = toTensor(x);
  if (approximate === undefined) {
    return gated(
      'gate of gelu',
      t,
      (u) => mul(erfc(mul(u, -Math.SQRT1_2)), 0.5),
      (u) => mul(exp(mul(mul(u, u), -0.5)), 1 / Math.sqrt(2 * Math.PI)),
    );
  }
  if (approximate !== 'tanh') {
    throw new RangeError(`gelu: approximate must be 'tanh' or left out, got ${JSON.stringify(approximate)}`);
  }
  // ½ (1 + tanh z) is sigmoid(2z), which keeps its digits where tanh is near −1.
  const [linear, cubic] = [Math.sqrt(8 / Math.PI), 0.044715 * Math.sqrt(8 / Math.PI)];
  const inner = (u: Tensor): Tensor => mul(u, add(mul(mul(u, u), cubic), linear));
  return gated(
    'gate of gelu by tanh',
    t,
    (u) => sigmoid(inner(u)),
    (u, y) => mul(mul(y, sigmoid(neg(inner(u)))), add(mul(mul(u, u), 3 * cubic), linear)),
  );
}

/** x · sigmoid(x), also called swish. */
export function silu(x: TensorLike): Tensor {
  return gated('gate of silu', toTensor(x), sigmoid, (u, y) => mul(y, sigmoid(neg(u))));
}

const softplusOf = customGradient({
  name: 'softplus',
  forward: (x) => add(maximum(x, 0), log1p(exp(neg(abs(x))))),
  // The parts have kinks at 0 that the whole has not.
  gradient: ({ inputs: [x], grad }) => [mul(grad, sigmoid(x))],
});

/** log(1 + e^x), without overflow and without losing small values. Its derivative is the sigmoid. */
export const softplus = (x: TensorLike): Tensor => softplusOf(x);

/** x where it is positive, else slope · x. The derivative at 0 is the slope, as in PyTorch. */
export function leakyRelu(x: TensorLike, slope = 0.01): Tensor {
  checkNumber('leakyRelu', 'slope', slope);
  const t = toTensor(x);
  return where(greater(t, 0), t, mul(t, slope));
}

/**
 * x where it is positive, else alpha · (e^x − 1). The derivative at 0 is alpha, as in PyTorch.
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
  return belowZero(t, (negative) => mul(expm1(div(negative, alpha)), alpha));
}

/** x where it is positive, else f(x). What f gives for the positive ones, infinities perhaps, is never computed. */
function belowZero(x: Tensor, f: (negative: Tensor) => Tensor): Tensor {
  const positive = greater(x, 0);
  return where(positive, x, f(where(positive, 0, x)));
}

/** `clamp` with the derivative 0 at the bounds. */
const between = (low: number, x: TensorLike, high: number): Tensor => minimum(high, maximum(low, x));

/** x / 6 + ½ within 0 … 1. The derivative at −3 and 3 is 0, as in PyTorch. */
export const hardSigmoid = (x: TensorLike): Tensor => between(0, mul(add(x, 3), 1 / 6), 1);

/**
 * x · hardSigmoid(x). The derivative is 0 at −3 and 1 at 3.
 * Source: Howard et al., Searching for MobileNetV3, 2019.
 */
export function hardSwish(x: TensorLike): Tensor {
  const t = toTensor(x);
  return mul(t, hardSigmoid(t));
}

/** x within −1 … 1. The derivative at −1 and 1 is 0, as in PyTorch. */
export const hardTanh = (x: TensorLike): Tensor => between(-1, x, 1);
