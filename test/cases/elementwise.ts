import {
  abs,
  add,
  and,
  atan,
  atan2,
  cast,
  ceil,
  checkFinite,
  clamp,
  cos,
  cosh,
  div,
  equal,
  erf,
  erfc,
  exp,
  exp2,
  expm1,
  floor,
  greater,
  greaterEqual,
  isFinite,
  isInfinite,
  isNaN,
  less,
  lessEqual,
  log,
  log10,
  log1p,
  log2,
  maximum,
  minimum,
  mul,
  neg,
  not,
  notEqual,
  or,
  pow,
  reciprocal,
  relu,
  remainder,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sinh,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  trunc,
  where,
  xor,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { DType, Shape } from '../../engine/types.ts';
import { away, bytes, define, distinct, given, integers, uniform, type Case, type Draw } from './case.ts';

import {
  SHAPES,
  isLarge,
  binaryCases,
  unaryCases,
  special,
  specialPairs,
  range,
  power,
  signed,
  integerCases,
  comparisonCases,
  few,
  logicCases,
  STEPS,
  steps,
  CHOICES,
} from './elementwise-inputs.ts';

export const elementwise = {
  add: [...binaryCases(add, uniform, uniform, 0), specialPairs(add, 0), ...integerCases(add)],
  sub: [...binaryCases(sub, uniform, uniform, 0), specialPairs(sub, 0), ...integerCases(sub)],
  maximum: [...binaryCases(maximum, uniform, uniform, 0), specialPairs(maximum, 0), ...integerCases(maximum)],
  minimum: [...binaryCases(minimum, uniform, uniform, 0), specialPairs(minimum, 0), ...integerCases(minimum)],
  equal: comparisonCases(equal),
  less: comparisonCases(less),
  lessEqual: comparisonCases(lessEqual),
  and: logicCases(and),
  or: logicCases(or),
  xor: logicCases(xor),
  where: CHOICES.flatMap(([condition, a, b]) =>
    (
      [
        ['f32', uniform],
        ['i32', signed],
        ['u8', bytes],
      ] as const satisfies readonly (readonly [string, (shape: Shape) => Draw])[]
    ).map(([dtype, draw]) =>
      define(
        `${dtype}, ${formatShape(condition)} chooses ${formatShape(a)} or ${formatShape(b)}`,
        { condition: few(condition, 'u8'), a: draw(a), b: draw(b) },
        (t) => where(t.condition, t.a, t.b),
        { tolerance: 0, tags: isLarge(a) ? ['large'] : [] },
      ),
    ),
  ),
  abs: [...unaryCases(abs, away, 0), special(abs, STEPS, 0)],
  sign: steps(sign),
  floor: steps(floor),
  ceil: steps(ceil),
  trunc: steps(trunc),
  round: steps(round),
  expm1: [
    ...unaryCases(expm1, uniform, 1e-6),
    range(expm1, 'around 0', -1e-3, 1e-3),
    range(expm1, 'very near 0', -1e-20, 1e-20),
    range(expm1, 'before the end', -1, -0.2),
    range(expm1, 'large results', 60, 88),
    range(expm1, 'where the 1 stops to count', 15, 25),
    special(expm1, [NaN, Infinity, -Infinity, 0, 89, 1000, -150, -1000, 20, -30], 1e-6),
  ],
  log1p: [
    ...unaryCases(log1p, (shape) => uniform(shape, -0.9, 4), 1e-6),
    range(log1p, 'around 0', -1e-3, 1e-3),
    range(log1p, 'very near 0', -1e-20, 1e-20),
    range(log1p, 'large arguments', 1e28, 1e30),
    special(log1p, [NaN, Infinity, -Infinity, 0, -1, -2, 1e-40, -0.99999994], 1e-6),
  ],
  sin: [
    ...unaryCases(sin, uniform, 1e-6),
    range(sin, 'around 0', -1e-3, 1e-3),
    range(sin, 'many turns', -1000, 1000, 2e-6),
    range(sin, 'up to where single numbers begin', 7000, 9000, 2e-6),
    range(sin, 'far away', 1e6, 1e9, 2e-6),
    special(sin, [NaN, Infinity, -Infinity, 0, 1e30], 1e-6),
  ],
  cos: [
    ...unaryCases(cos, uniform, 1e-6),
    range(cos, 'around 0', -1e-3, 1e-3),
    range(cos, 'many turns', -1000, 1000, 2e-6),
    range(cos, 'up to where single numbers begin', 7000, 9000, 2e-6),
    range(cos, 'far away', 1e6, 1e9, 2e-6),
    special(cos, [NaN, Infinity, -Infinity, 0, 1e30], 1e-6),
  ],
  atan: [
    ...unaryCases(atan, uniform, 1e-6),
    range(atan, 'around 0', -1e-3, 1e-3),
    range(atan, 'far out', -1e3, 1e3),
    special(atan, [NaN, Infinity, -Infinity, 0, 1, -2.4142137, 0.41421357], 1e-6),
  ],
  sinh: [
    ...unaryCases(sinh, uniform, 1e-6),
    range(sinh, 'around 0', -1e-3, 1e-3),
    range(sinh, 'where the series ends', 0.9, 1.1),
    range(sinh, 'up to the largest number', 80, 89.4),
    special(sinh, [NaN, Infinity, -Infinity, 0, -0, 88, 89.4, 90, -1000], 1e-6),
  ],
  cosh: [
    ...unaryCases(cosh, uniform, 1e-6),
    range(cosh, 'around 0', -1e-3, 1e-3),
    range(cosh, 'up to the largest number', 80, 89.4),
    special(cosh, [NaN, Infinity, -Infinity, 0, -0, 88, 89.4, 90, -1000], 1e-6),
  ],
  atan2: [
    // Around (0, 0) the angle jumps.
    ...binaryCases(atan2, away, away, 1e-6),
    specialPairs(atan2, 1e-6),
    define(
      'large and small numbers',
      {
        a: given([6, 1], [1e30, -1e30, 1e-30, 1e-42, 3e38, 1]),
        b: given([5], [-1e30, 1e-30, 3e38, -1, 1e-42]),
      },
      ({ a, b }) => atan2(a, b),
      { wrt: [], tags: ['special'] },
    ),
  ],
  remainder: [
    ...binaryCases(remainder, uniform, (shape) => away(shape, 0.5), 0),
    specialPairs(remainder, 0),
    define(
      'quotients of every size',
      {
        a: given([7, 1], [1e30, -1e30, 5, -5, 16777215, 1e-30, -3e38]),
        b: given([6], [3, -3, 0.1, 1e-40, 7e29, 1e-6]),
      },
      ({ a, b }) => remainder(a, b),
      { wrt: [], tolerance: 0, tags: ['special'] },
    ),
  ],
  erf: [
    ...unaryCases(erf, uniform, 1e-6),
    range(erf, 'around 0', -1e-3, 1e-3),
    range(erf, 'saturating', 2, 6),
    range(erf, 'where the polynomials meet', 0.9, 1.1),
    special(erf, [NaN, Infinity, -Infinity, 0, 50, -50, 4, -1], 1e-6),
  ],
  erfc: [
    ...unaryCases(erfc, uniform, 1e-6),
    range(erfc, 'around 0', -1e-3, 1e-3),
    range(erfc, 'small results', 3, 6, 3e-6),
    special(erfc, [NaN, Infinity, -Infinity, 0, 50, -50, 4, -1], 1e-6),
  ],
  stopGradient: unaryCases((x) => mul(stopGradient(x), 1), uniform, 0).map((item) => ({ ...item, wrt: [] })),
  mul: [
    ...binaryCases(mul, uniform, uniform, 0),
    specialPairs(mul, 0),
    ...integerCases(mul),
    define('a value with itself', { x: uniform([3, 5]) }, ({ x }) => mul(x, x), { tolerance: 0 }),
  ],
  div: [...binaryCases(div, uniform, (shape) => away(shape, 0.5), 0), specialPairs(div, 0)],
  pow: [
    ...binaryCases(
      pow,
      (shape) => uniform(shape, 0.3, 3),
      (shape) => uniform(shape, -2, 2),
      2e-6,
    ),
    power(2, -3, 3),
    power(3, -3, 3),
    power(0.75, 0.2, 4),
    power(-0.75, 0.2, 4),
    power(0.5, 0.2, 4),
    power(1, -3, 3),
    power(-1, 0.2, 4),
    define(
      'special values',
      {
        a: given([15], [0, 0, 0, 0, -8, -2, -2, NaN, NaN, Infinity, Infinity, 2, 0, 1, -1]),
        b: given([15], [0, 2, -1, 0.5, 1 / 3, 3, -2, 0, 1, -1, 2, Infinity, NaN, NaN, Infinity]),
      },
      ({ a, b }) => pow(a, b),
      { wrt: [], tags: ['special'] },
    ),
  ],
  neg: [...unaryCases(neg, uniform, 0), special(neg, [NaN, Infinity, -Infinity, 0, -0], 0)],
  exp: [
    ...unaryCases(exp, uniform, 1e-6),
    range(exp, 'small results', -20, -10),
    range(exp, 'large results', 60, 88),
    range(exp, 'around 1', -1e-3, 1e-3),
    special(exp, [NaN, Infinity, -Infinity, 0, 89, 1000, -150, -1000], 1e-6),
  ],
  exp2: [
    ...unaryCases(exp2, uniform, 1e-6),
    range(exp2, 'around 0', -1e-3, 1e-3),
    range(exp2, 'large results', 100, 127.9),
    special(exp2, [NaN, Infinity, -Infinity, 0, 10, -126, 128, -140, -149, -1000], 1e-6),
  ],
  log2: [
    ...unaryCases(log2, (shape) => uniform(shape, 0.1, 4), 1e-6),
    range(log2, 'around 1', 0.99, 1.01, 2e-6),
    range(log2, 'where the exponent changes', 1.4, 1.43),
    range(log2, 'small arguments', 1e-30, 1e-28),
    special(log2, [0.25, 1024, 2 ** -149, 2 ** 127, 1], 0),
    special(log2, [NaN, Infinity, -Infinity, 0, -0, -1, 1e-40], 1e-6),
  ],
  log10: [
    ...unaryCases(log10, (shape) => uniform(shape, 0.1, 4), 1e-6),
    range(log10, 'around 1', 0.99, 1.01, 2e-6),
    range(log10, 'large arguments', 1e28, 1e30),
    special(log10, [1000, 1e10, 1, 10, 100], 0),
    special(log10, [NaN, Infinity, -Infinity, 0, -0, -1, 1e-40], 1e-6),
  ],
  log: [
    ...unaryCases(log, (shape) => uniform(shape, 0.1, 4), 1e-6),
    range(log, 'around 1', 0.99, 1.01, 2e-6),
    range(log, 'small arguments', 1e-30, 1e-28),
    range(log, 'large arguments', 1e28, 1e30),
    special(log, [NaN, Infinity, -Infinity, 0, -1, 1, 1e-40], 1e-6),
  ],
  sqrt: [
    ...unaryCases(sqrt, (shape) => uniform(shape, 0.1, 4), 0),
    special(sqrt, [NaN, Infinity, 0, -1, 1e-30, 1e30], 0),
  ],
  tanh: [
    ...unaryCases(tanh, uniform, 1e-6),
    range(tanh, 'around 0', -1e-3, 1e-3, 2e-6),
    range(tanh, 'saturating', 4, 12),
    special(tanh, [NaN, Infinity, -Infinity, 0, 50, -50], 1e-6),
  ],
  sigmoid: [
    ...unaryCases(sigmoid, uniform, 1e-6),
    range(sigmoid, 'small results', -20, -10),
    range(sigmoid, 'saturating', 4, 30),
    special(sigmoid, [NaN, Infinity, -Infinity, 0, 100, -100], 1e-6),
  ],
  relu: [...unaryCases(relu, away, 0), special(relu, [NaN, Infinity, -Infinity, 0, -0, -1, 1], 0)],
  sigmoidSlope: SHAPES.flatMap((shape) =>
    [
      [-4, 1.9],
      [2.1, 6],
    ].map(([low, high]) =>
      define(
        `${formatShape(shape)}, x from ${low} to ${high}`,
        { y: uniform(shape, 0, 1), x: uniform(shape, low, high) },
        ({ y, x }) => ops.sigmoidSlope([y, x], {}),
        { tags: isLarge(shape) ? ['large'] : [] },
      ),
    ),
  ),
  reluGrad: SHAPES.map((shape) =>
    define(
      formatShape(shape),
      { g: uniform(shape), y: away(shape) },
      ({ g, y }) => ops.reluGrad([g, y], {}),
      {
        wrt: ['g'],
        tolerance: 0,
        tags: isLarge(shape) ? ['large'] : [],
      },
    ),
  ),
  cast: [
    ...SHAPES.flatMap((shape) =>
      (
        [
          ['u8', bytes],
          ['i32', (own) => integers(own, 1000)],
          ['f32', (own) => uniform(own, -300, 300)],
        ] as const satisfies readonly (readonly [DType, (own: Shape) => Draw])[]
      ).flatMap(([from, draw]) =>
        (['f32', 'i32', 'u8'] as const)
          .filter((to) => to !== from)
          .map((to) =>
            define(`${from} ${formatShape(shape)} to ${to}`, { x: draw(shape) }, ({ x }) => cast(x, to), {
              wrt: [],
              tolerance: 0,
            }),
          ),
      ),
    ),
    ...(['i32', 'u8'] as const).map((to) =>
      define(
        `special values of f32 to ${to}`,
        {
          x: given(
            [13],
            [NaN, Infinity, -Infinity, -0, 0.99, -0.99, 255.9, 256, -1, 3e9, -3e9, 2147483520, 16777217],
          ),
        },
        ({ x }) => cast(x, to),
        { wrt: [], tags: ['special'] },
      ),
    ),
    define(
      'i32 at the ends of its range to f32',
      { x: given([5], [-(2 ** 31), 2 ** 31 - 128, -1, 2 ** 24, -(2 ** 24)], 'i32') },
      ({ x }) => cast(x),
      { tolerance: 0 },
    ),
    define(
      'i32 out of range to u8',
      { x: given([6], [-(2 ** 31), 2 ** 31 - 1, -1, 256, 255, 70000], 'i32') },
      ({ x }) => cast(x, 'u8'),
    ),
  ],
  checkFinite: SHAPES.map((shape) =>
    define(formatShape(shape), { x: distinct(shape) }, ({ x }) => checkFinite(x, 'x'), {
      tolerance: 0,
      tags: isLarge(shape) ? ['large'] : [],
    }),
  ),
} satisfies Record<string, readonly Case[]>;

/** Functions made of these. */
export const compositeElementwise = {
  notEqual: comparisonCases(notEqual),
  greater: comparisonCases(greater),
  greaterEqual: comparisonCases(greaterEqual),
  not: SHAPES.map((shape) => define(formatShape(shape), { x: few(shape, 'u8') }, ({ x }) => not(x))),
  isNaN: [special(isNaN, STEPS, 0)],
  isFinite: [special(isFinite, STEPS, 0)],
  isInfinite: [special(isInfinite, STEPS, 0)],
  rsqrt: [
    ...unaryCases(rsqrt, (shape) => uniform(shape, 0.1, 4), 1e-6),
    special(rsqrt, [NaN, 0, -1, Infinity], 0),
  ],
  reciprocal: [...unaryCases(reciprocal, (shape) => away(shape, 0.5), 0), special(reciprocal, STEPS, 0)],
  square: [...unaryCases(square, uniform, 0), special(square, STEPS, 0)],
  clamp: [
    ...unaryCases((x) => clamp(x, -1, 0.5), uniform, 0),
    special((x) => clamp(x, -1, 0.5), STEPS, 0),
    define('from below alone', { x: uniform([7]) }, ({ x }) => clamp(x, 0.1), { tolerance: 0 }),
    define(
      'by tensors',
      { x: uniform([3, 4]), low: uniform([4], -1, 0), high: uniform([3, 1], 0.2, 1) },
      (t) => clamp(t.x, t.low, t.high),
    ),
  ],
} satisfies Record<string, readonly Case[]>;
