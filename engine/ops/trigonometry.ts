/**
 * The tangent and the inverses of trigonometric and hyperbolic functions, composed of elementwise operations. Derivatives are given,
 * because those of the formulas lose digits or overflow.
 *
 * Measured over all binades, in units in the last place of single precision: tan 2.7, asin 2.9, acos 2.6, asinh 2.3, acosh 2.4,
 * atanh 2.4 on wasm, and less on the other backends.
 */
import type { Tensor } from '../tensor.ts';
import { floats, type TensorLike } from './convert.ts';
import { customGradient } from './custom.ts';
import {
  abs,
  add,
  atan,
  cos,
  div,
  greater,
  log,
  log1p,
  maximum,
  mul,
  sign,
  sin,
  sqrt,
  square,
  stopGradient,
  sub,
  where,
} from './elementwise.ts';

/** An operation of one input, and its gradient from that of the output, the input and the output. */
function unary(
  name: string,
  forward: (x: Tensor) => Tensor,
  gradient: (g: Tensor, x: Tensor, y: Tensor) => Tensor,
): (x: TensorLike) => Tensor {
  const apply = customGradient({
    name,
    forward,
    gradient: ({ inputs: [x], output, grad }) => [gradient(grad, x, output)],
  });
  return (x) => apply(floats(name, x));
}

/**
 * Tangent of x in radians. NaN at ±Infinity.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example tan([0, Math.PI / 4]) // [0, 1]
 */
export const tan = unary(
  'tan',
  (x) => div(sin(x), cos(x)),
  (g, _, y) => mul(g, add(square(y), 1)),
);

/** 1 − x². The factors are exact near ±1, where the difference would lose its digits. Their own derivatives cancel near 0. */
const below1 = customGradient({
  name: '1 - square',
  forward: (x) => mul(sub(1, x), add(1, x)),
  gradient: ({ inputs: [x], grad }) => [mul(grad, mul(x, -2))],
});

/**
 * Arcsine in radians, between −π/2 and π/2. NaN where |x| > 1. The gradient at ±1 is infinite.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example asin([-1, 0, 0.5]) // [-1.571, 0, 0.5236]
 */
export const asin = unary(
  'asin',
  (x) => atan(div(x, sqrt(below1(x)))),
  (g, x) => div(g, sqrt(below1(x))),
);

/**
 * Arccosine in radians, between 0 and π. NaN where |x| > 1. The gradient at ±1 is infinite.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example acos([-1, 0, 0.5]) // [3.142, 1.571, 1.047]
 */
export const acos = unary(
  'acos',
  (x) => mul(atan(sqrt(div(sub(1, x), add(1, x)))), 2),
  (g, x) => div(g, mul(sqrt(below1(x)), -1)),
);

/** Beyond this x² + 1 and x² − 1 equal x² also in double precision. */
const FAR = 1e9;

/** f(x), but log(2x) beyond FAR, where f may overflow. */
const orLog = (x: Tensor, f: Tensor): Tensor => where(greater(x, FAR), add(log(x), Math.LN2), f);

/**
 * Inverse hyperbolic sine, accurate near 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example asinh([-1, 0, 1]) // [-0.8814, 0, 0.8814]
 */
export const asinh = unary(
  'asinh',
  (x) => {
    const a = abs(x);
    const rest = mul(a, div(a, add(sqrt(add(square(a), 1)), 1)));
    return mul(sign(x), orLog(a, log1p(add(a, rest))));
  },
  // g / √(x² + 1) without overflow of the square. The scale cancels, so a second derivative may treat it as a constant.
  (g, x) => {
    const scale = stopGradient(maximum(abs(x), 1));
    return div(div(g, scale), sqrt(add(square(div(x, scale)), square(div(1, scale)))));
  },
);

/**
 * Inverse hyperbolic cosine. NaN where x < 1. The gradient at 1 is infinite.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example acosh([1, 2]) // [0, 1.317]
 */
export const acosh = unary(
  'acosh',
  (x) => {
    const above = sub(x, 1);
    return orLog(x, log1p(add(above, mul(sqrt(above), sqrt(add(above, 2))))));
  },
  (g, x) => div(g, mul(sqrt(sub(x, 1)), sqrt(add(x, 1)))),
);

/** y / (1 − x²). The derivatives of the factors cancel near 0, and the square overflows. */
const overBelow1: (y: Tensor, x: Tensor) => Tensor = customGradient({
  name: '1 / (1 - square)',
  forward: (y, x) => div(div(y, sub(1, x)), add(1, x)),
  gradient: ({ inputs: [, x], output, grad }) => [
    overBelow1(grad, x),
    overBelow1(mul(grad, mul(mul(output, x), 2)), x),
  ],
});

/**
 * Inverse hyperbolic tangent, accurate near 0. ±Infinity at ±1, NaN where |x| > 1.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example atanh([-0.5, 0, 0.5]) // [-0.5493, 0, 0.5493]
 */
export const atanh = unary(
  'atanh',
  (x) => {
    const a = abs(x);
    return mul(sign(x), mul(log1p(div(mul(a, 2), sub(1, a))), 0.5));
  },
  (g, x) => overBelow1(g, x),
);
