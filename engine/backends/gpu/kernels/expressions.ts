/** Operations on each element as text: expressions of gpu.js's language, and of WGSL where it is exact enough. */
import { BackendError } from '../../../errors.ts';
import type { DType } from '../../../types.ts';

/** Functions by name. Their arguments and results are floats. */
export type Functions = Readonly<Record<string, readonly [parameters: readonly string[], body: string]>>;

/** Names of a value in a kernel: one, or the low and the high half of an i32. */
export type Names = readonly [name: string] | readonly [low: string, high: string];

/** The two halves of an i32. */
interface Halves {
  /** Statements that come first. */
  readonly before?: string;
  /** Expressions. */
  readonly low: string;
  readonly high: string;
}

/** 2/π after the binary point, 12 bits at a time. */
const TWO_OVER_PI = [
  2607, 2435, 1764, 3652, 338, 2556, 629, 2001, 3923, 1245, 3085, 2914, 2393, 2364, 1081, 65, 4069,
] as const;

/** Coefficients of the polynomial in erfc, highest power first. */
const ERFC = [
  -0.029217302577308146, 0.14045817186161003, -0.23555301856310962, 0.13759388203591527, -0.04692030355543331,
  0.08392870202000502, 0.11900452722781307, 0.17173997649589923, 0.20761366127817266, 0.22567586280316765,
  0.22567583479155576,
] as const;

/** One line of text for each of the first `count` digits. */
const digits = (count: number, line: (k: number) => string): string =>
  Array.from({ length: count }, (_, k) => line(k)).join('\n');

/** How one operation computes an element. */
interface Elementwise {
  /** The expression of floats and bytes in gpu.js's language. Operands are names: they may be used more than once. */
  readonly float: (...operands: readonly string[]) => string;
  /** The same of i32, exactly; `t` begins the names of what it declares. Without it there is no kernel for them. */
  readonly i32?: (t: string, ...operands: readonly Names[]) => Halves | string;
  /** WGSL as exact as IEEE 754 asks or nearly so, of floats or vectors of them, `zero` being 0. Default: by gpu.js alone. */
  readonly wgsl?: (...operands: readonly string[]) => string;
  /** Functions that `float` calls besides those of library.ts. */
  readonly functions?: Functions;
}

/** The operations on each element: all that the GPU backend has to know of one is its entry here. */
export const expressions = {
  add: {
    float: (a, b) => `${a} + ${b}`,
    i32: (t, [a0, a1], [b0, b1]) => carried(t, `${a0} + ${b0}`, `${a1} + ${b1}`),
    wgsl: (a, b) => `${a} + ${b}`,
  },
  sub: {
    float: (a, b) => `${a} - ${b}`,
    i32: (t, [a0, a1], [b0, b1]) => carried(t, `${a0} - ${b0}`, `${a1} - ${b1}`),
    wgsl: (a, b) => `${a} - ${b}`,
  },
  mul: {
    float: (a, b) => `${a} * ${b}`,
    i32: (_, [a0, a1], [b0, b1]) => ({
      low: `low16(${a0}, ${b0})`,
      high: `wrapped(high16(${a0}, ${b0}) + low16(nonNegative(${a1}), ${b0}) + low16(${a0}, nonNegative(${b1})))`,
    }),
    wgsl: (a, b) => `${a} * ${b}`,
  },
  div: { float: (a, b) => `${a} / ${b}`, wgsl: (a, b) => `${a} / ${b}` },
  pow: {
    float: (a, b) => `power(${a}, ${b})`,
    functions: {
      // a to the power b with the special values of C. A driver's pow is undefined for a <= 0 and for infinities and NaN.
      power: [
        ['a', 'b'],
        `if (b === 0 || a === 1) { return 1; }
         if (nan(a) > 0) { return a; }
         if (nan(b) > 0) { return b; }
         const size = Math.abs(a);
         const whole = Math.floor(b);
         let odd = 0;
         if (finite(b) > 0 && whole === b && whole - 2 * Math.floor(whole * 0.5) === 1) { odd = 1; }
         if (finite(b) < 1) {
           if (size === 1) { return 1; }
           if (size > 1 && b > 0) { return b; }
           if (size < 1 && b < 0) { return -b; }
           return 0;
         }
         if (a === 0) {
           let zero = size;
           if (odd > 0) { zero = a; }
           if (b < 0) { return 1 / zero; }
           return zero;
         }
         let result = size;
         if (finite(a) > 0) { result = Math.pow(size, b); } else if (b < 0) { result = 0; }
         if (a > 0) { return result; }
         if (finite(a) > 0 && whole !== b) { return Math.sqrt(a) + b; }
         if (odd > 0) { return -result; }
         return result;`,
      ],
    },
  },
  remainder: {
    float: (a, b) => `remainderOf(${a}, ${b})`,
    functions: {
      // Long division, exact at every step: subtracts b times falling powers of two.
      remainderOf: [
        ['a', 'b'],
        `if (nan(a) > 0) { return a; }
         if (nan(b) > 0) { return b; }
         if (b === 0 || finite(a) < 1) { return Math.sqrt(-1 - b * b); }
         const y = Math.abs(b);
         let rest = Math.abs(a);
         let part = y;
         for (let i = 0; i < 280; i++) {
           if (part > rest * 0.5) { break; }
           part = part * 2;
         }
         for (let i = 0; i < 281; i++) {
           if (part < y) { break; }
           if (rest >= part) { rest = rest - part; }
           part = part * 0.5;
         }
         if (a < 0) { rest = -rest; }
         if (rest < 0 && b > 0) { return rest + b; }
         if (rest > 0 && b < 0) { return rest + b; }
         return rest;`,
      ],
    },
  },
  atan2: {
    float: (y, x) => `angle(${y}, ${x})`,
    functions: {
      // A zero below 0 is known by its reciprocal.
      angle: [
        ['y', 'x'],
        `if (nan(y) > 0) { return y; }
         if (nan(x) > 0) { return x; }
         const a = Math.abs(y);
         const b = Math.abs(x);
         let r = 0;
         if (a > b) { r = 1.5707963267948966 - arcTangent(b / a); }
         if (a <= b && b > 0) { r = arcTangent(a / b); }
         if (finite(a) + finite(b) === 0) { r = 0.7853981633974483; }
         if (x < 0) { r = 3.141592653589793 - r; }
         if (x === 0 && b === a && 1 / x < 0) { r = 3.141592653589793; }
         if (y < 0) { return -r; }
         if (y === 0 && 1 / y < 0) { return -r; }
         return r;`,
      ],
    },
  },
  maximum: {
    float: (a, b) => `larger(${a}, ${b})`,
    i32: (t, a, b) => chosen(t, isBelow(a, b), b, a),
    functions: {
      larger: [
        ['a', 'b'],
        `if (nan(a) > 0) { return a; }
         if (nan(b) > 0) { return b; }
         if (a === 0 && b === 0) { return a + b; }
         if (a > b) { return a; }
         return b;`,
      ],
    },
  },
  minimum: {
    float: (a, b) => `-larger(-${a}, -${b})`,
    i32: (t, a, b) => chosen(t, isBelow(b, a), b, a),
  },
  neg: { float: (x) => `-${x}`, wgsl: (x) => `-${x}` },
  abs: { float: (x) => `Math.abs(${x})` },
  sign: { float: (x) => `${x} > 0 ? 1 : (${x} < 0 ? -1 : ${x})` },
  floor: { float: (x) => `Math.floor(${x})` },
  ceil: { float: (x) => `Math.ceil(${x})` },
  round: {
    float: (x) => `rounded(${x})`,
    functions: {
      rounded: [
        ['a'],
        `if (finite(a) < 1) { return a; }
         const below = Math.floor(a);
         const rest = a - below;
         let nearest = below + (below - 2 * Math.floor(below * 0.5));
         if (rest < 0.5) { nearest = below; }
         if (rest > 0.5) { nearest = below + 1; }
         if (nearest === 0 && a < 0) { return Math.ceil(a); }
         return nearest;`,
      ],
    },
  },
  trunc: { float: (x) => `${x} < 0 ? Math.ceil(${x}) : Math.floor(${x})` },
  exp: { float: (x) => `exponential(${x})` },
  exp2: {
    float: (x) => `exponentialOf2(${x})`,
    functions: {
      exponentialOf2: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         if (a >= 128) { return Math.exp(a); }
         if (a < -151) { return 0; }
         const n = Math.floor(a + 0.5);
         return scaled(exponential((a - n) * 0.6931471805599453), n);`,
      ],
    },
  },
  expm1: {
    float: (x) => `exponentialLess1(${x})`,
    functions: {
      exponentialLess1: [
        ['a'],
        `if (a > -0.35 && a < 0.35) {
           return a * (1 + a * 0.5 * (1 + a * 0.3333333333333333 * (1 + a * 0.25 * (1 + a * 0.2 * (1 +
             a * 0.16666666666666666 * (1 + a * 0.14285714285714285 * (1 + a * 0.125)))))));
         }
         return exponential(a) - 1;`,
      ],
    },
  },
  log: { float: (x) => `logarithm(${x})` },
  log2: { float: (x) => `logarithmTo(${x}, 1, 0, 1.4426950408889634)` },
  log10: { float: (x) => `logarithmTo(${x}, 0.30078125, 0.0002487456639811952, 0.4342944819032518)` },
  log1p: { float: (x) => `logarithmOf1Plus(${x})` },
  sqrt: { float: (x) => `Math.sqrt(${x})`, wgsl: (x) => `sqrt(${x})` },
  sin: {
    float: (x) => `sine(${x}, 0)`,
    functions: {
      // WGSL promises 2^-11 for sine and cosine between -pi and pi, and nothing beyond. Quarter turns are taken out in three
      // parts of pi / 2, whose multiples are exact to 8192 or so; `turn` 1 makes it a cosine.
      sine: [
        ['a', 'turn'],
        `if (a === 0 && turn === 0) { return a; }
         if (finite(a) < 1) { return Math.sqrt(-Math.abs(a)); }
         let n = Math.floor(a * 0.6366197723675814 + 0.5);
         let r = a - n * 1.5703125 - n * 0.0004837512969970703 - n * 7.549789954891886e-8;
         if (Math.abs(a) > 8192) {
           n = quarterTurns(a, 0);
           r = quarterTurns(a, 1) * 1.5707963267948966;
           if (a < 0) { n = -n; r = -r; }
         }
         const s = r * r;
         const quarter = n + turn - 4 * Math.floor((n + turn) * 0.25);
         let value = r * (1 - s * 0.16666666666666666 * (1 - s * 0.05 * (1 - s * 0.023809523809523808 * (1 - s * 0.013888888888888888))));
         if (quarter === 1 || quarter === 3) {
           value = 1 - s * 0.5 * (1 - s * 0.08333333333333333 * (1 - s * 0.03333333333333333 * (1 - s * 0.017857142857142856 *
             (1 - s * 0.011111111111111112))));
         }
         if (quarter >= 2) { return -value; }
         return value;`,
      ],
      // a * 2 / pi modulo 4 for |a| > 8192: the nearest whole number (`part` 0) or the remainder (`part` 1). Here a is m * 2^s with
      // a 24-bit m. Products of 12-bit digits are exact, and digits of 2 / pi that contribute multiples of 4 are skipped.
      // Source: Payne and Hanek, Radian Reduction for Trigonometric Functions, 1983.
      quarterTurns: [
        ['a', 'part'],
        `const x = Math.abs(a);
         let e = Math.min(Math.floor(Math.log2(x) + 0.5), 127);
         if (powerOfTwo(e) > x) { e = e - 1; }
         const m = scaled(x, 23 - e);
         const m1 = high12(m);
         const m0 = m - m1 * 4096;
         const first = Math.floor((e - 25) * 0.08333333333333333 + 0.01) + 1;
         const unit = powerOfTwo(e - 23 - 12 * first);
         ${digits(8, (k) => `const l${k} = bitsOfTwoOverPi(first + ${k});`)}
         ${digits(6, (k) => `let d${k} = low12(m0 * l${k}) + low12(m1 * l${k + 1}) + high12(m0 * l${k + 1}) + high12(m1 * l${k + 2});`)}
         ${digits(5, (i) => `d${4 - i} = d${4 - i} + high12(d${5 - i});\nd${5 - i} = low12(d${5 - i});`)}
         d0 = low12(d0);
         let head = (d0 + d1 * 0.000244140625) * unit;
         head = head - 4 * Math.floor(head * 0.25);
         const n = Math.floor(head + 0.5);
         if (part === 0) { return n; }
         const low = (d4 + d5 * 0.000244140625) * 5.960464477539063e-8;
         return head - n + (d2 + d3 * 0.000244140625 + low) * 5.960464477539063e-8 * unit;`,
      ],
      // The j-th digit of 2 / pi in base 4096 after the point, counted from 1.
      bitsOfTwoOverPi: [
        ['j'],
        'if (j < 0.5) { return 0; }\n' +
          TWO_OVER_PI.map((bits, i) => `if (j < ${i + 1.5}) { return ${bits}; }`).join('\n') +
          '\nreturn 0;',
      ],
      high12: [['a'], 'return Math.floor(a * 0.000244140625);'],
      low12: [['a'], 'return a - Math.floor(a * 0.000244140625) * 4096;'],
    },
  },
  cos: { float: (x) => `sine(${x}, 1)` },
  sinh: {
    float: (x) => `hyperbolicSine(${x})`,
    functions: {
      hyperbolicSine: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         if (a > -1 && a < 1) {
           const s = a * a;
           return a * (1 + s * 0.16666666666666666 * (1 + s * 0.05 * (1 + s * 0.023809523809523808 * (1 + s * 0.013888888888888888))));
         }
         if (a < 0) { return -hyperbolicSum(-a, -0.5); }
         return hyperbolicSum(a, -0.5);`,
      ],
      // e^a / 2 + other / e^a for a >= 0. Beyond 88 e^a would overflow before the result does.
      hyperbolicSum: [
        ['a', 'other'],
        `if (a > 88) {
           const root = exponential(a * 0.5);
           return root * (root * 0.5);
         }
         const e = exponential(a);
         return e * 0.5 + other / e;`,
      ],
    },
  },
  cosh: { float: (x) => `hyperbolicSum(Math.abs(${x}), 0.5)` },
  tanh: {
    float: (x) => `hyperbolic(${x})`,
    functions: {
      // Lambert's continued fraction near 0, where the exponentials cancel.
      hyperbolic: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         if (a > 10) { return 1; }
         if (a < -10) { return -1; }
         if (a > -0.6 && a < 0.6) {
           const s = a * a;
           return a / (1 + s / (3 + s / (5 + s / (7 + s / 9))));
         }
         return 1 - 2 / (exponential(2 * a) + 1);`,
      ],
    },
  },
  sigmoid: {
    float: (x) => `logistic(${x})`,
    functions: {
      // 1 / (1 + e^-a). It uses e^-|a|, which does not overflow, so small results are not flushed to 0.
      logistic: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         const e = exponential(-Math.abs(a));
         if (a < 0) { return e / (1 + e); }
         return 1 / (1 + e);`,
      ],
    },
  },
  sigmoidSlope: {
    float: (y, x) => `logisticSlope(${y}, ${x})`,
    functions: {
      // The derivative of y, the logistic function of x, where 1 - y loses its digits for x > 2.
      logisticSlope: [
        ['y', 'x'],
        `if (x > 2) { return y * logistic(-x); }
         return y * (1 - y);`,
      ],
    },
  },
  erfc: {
    float: (x) => `errorComplement(${x})`,
    functions: {
      // 1 - erf a: e^-a^2 t p(t) for a >= 0, with t = 1 / (1 + 0.4 a) and a polynomial of relative error 6e-9. The square of x is
      // high^2 + (x - high) (x + high), because its rounding error would be an error of a^2 / 2 ulp. high^2 is exact.
      errorComplement: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         const x = Math.abs(a);
         if (a > 30) { return 0; }
         if (a < -30) { return 2; }
         const t = 1 / (1 + 0.4 * x);
         const p = ${ERFC.reduce((rest, c) => `(${c} + t * ${rest})`, '0')};
         const high = Math.floor(x * 128) / 128;
         const tail = exponential(-high * high) * exponential(-(x - high) * (x + high)) * t * p;
         if (a < 0) { return 2 - tail; }
         return tail;`,
      ],
    },
  },
  erf: {
    float: (x) => `errorFunction(${x})`,
    functions: {
      // The error function: Maclaurin's series near 0, beyond it 1 less the continued fraction of its complement.
      errorFunction: [
        ['a'],
        `if (nan(a) > 0) { return a; }
         if (a > 4) { return 1; }
         if (a < -4) { return -1; }
         const s = a * a;
         if (s < 1) {
           let term = 1;
           let sum = 1;
           for (let k = 1; k < 13; k++) {
             term = -term * s / k;
             sum = sum + term / (2 * k + 1);
           }
           return a * (sum * 1.1283791670955126);
         }
         const x = Math.abs(a);
         let f = x;
         for (let k = 0; k < 60; k++) { f = x + (60 - k) * 0.5 / f; }
         const rest = exponential(-s) * 0.5641895835477563 / f;
         if (a < 0) { return rest - 1; }
         return 1 - rest;`,
      ],
    },
  },
  atan: {
    float: (x) => `arcTangent(${x})`,
    functions: {
      // WGSL promises 2^-12 for atan. Brought within tan(pi / 8), then Cephes' polynomial.
      arcTangent: [
        ['a'],
        `if (nan(a) > 0 || a === 0) { return a; }
         const x = Math.abs(a);
         let r = x;
         let offset = 0;
         if (x > 2.414213562373095) {
           r = -1 / x;
           offset = 1.5707963267948966;
         } else if (x > 0.4142135623730950) {
           r = (x - 1) / (x + 1);
           offset = 0.7853981633974483;
         }
         const z = r * r;
         const series = -0.333329491539 + z * (0.199777106478 + z * (-0.138776856032 + z * 0.0805374449538));
         const y = offset + (r + r * z * series);
         if (a < 0) { return -y; }
         return y;`,
      ],
    },
  },
  // Not max(x, 0), which is 0 for NaN; WGSL's max may lose a NaN too.
  relu: {
    float: (x) => `${x} < 0 ? 0 : ${x}`,
    wgsl: (x) => `select(${x}, zero, ${x} < zero)`,
  },
  reluGrad: {
    float: (g, y) => `${y} > 0 ? ${g} : 0`,
    wgsl: (g, y) => `select(zero, ${g}, ${y} > zero)`,
  },
  equal: {
    float: (a, b) => `${a} === ${b} ? 1 : 0`,
    i32: (_, [a0, a1], [b0, b1]) => `${a0} === ${b0} ? (${a1} === ${b1} ? 1 : 0) : 0`,
  },
  less: {
    float: (a, b) => `${a} < ${b} ? 1 : 0`,
    i32: (_, a, b) => isBelow(a, b),
  },
  lessEqual: {
    float: (a, b) => `${a} <= ${b} ? 1 : 0`,
    i32: (_, a, b) => `1 - ${isBelow(b, a)}`,
  },
  and: { float: (a, b) => `${a} !== 0 ? (${b} !== 0 ? 1 : 0) : 0` },
  or: { float: (a, b) => `${a} !== 0 ? 1 : (${b} !== 0 ? 1 : 0)` },
  xor: { float: (a, b) => `${a} !== 0 ? (${b} !== 0 ? 0 : 1) : (${b} !== 0 ? 1 : 0)` },
  where: {
    float: (c, a, b) => `${c} !== 0 ? ${a} : ${b}`,
    i32: (t, [c], a, b) => chosen(t, c, a, b),
  },
  // Between two dtypes: see castTo.
  cast: { float: (x) => x },
} as const satisfies Readonly<Record<string, Elementwise>>;

export type ElementwiseName = keyof typeof expressions;

/** The entry of an operation, if it acts on each element. */
export const expressionOf = (op: string): Elementwise | undefined =>
  Object.hasOwn(expressions, op) ? expressions[op as ElementwiseName] : undefined;

function isBelow([a0, a1]: Names, [b0, b1]: Names): string {
  return `below(${a1}, ${a0}, ${b1}, ${b0})`;
}

const carried = (t: string, low: string, high: string): Halves => ({
  before: `const ${t}s = ${low};\nconst ${t}c = Math.floor(${t}s * 0.0000152587890625);`,
  low: `${t}s - ${t}c * 65536`,
  high: `wrapped(${high} + ${t}c)`,
});

const chosen = (t: string, condition: string, [a0, a1]: Names, [b0, b1]: Names): Halves => ({
  before: `const ${t}c = ${condition};`,
  low: `${t}c !== 0 ? ${a0} : ${b0}`,
  high: `${t}c !== 0 ? ${a1} : ${b1}`,
});

/** What a number becomes as another dtype: towards 0, the nearest in range, and 0 for NaN. */
function castTo(t: string, to: DType, from: DType, [x, high]: Names): Halves | string {
  switch (to) {
    case 'f32':
      return from === 'i32' ? `${x} + ${high} * 65536` : x;
    case 'u8':
      if (from === 'i32') return `${high} < 0 ? 0 : (${high} > 0 ? 255 : Math.min(${x}, 255))`;
      return from === 'u8' ? x : `Math.min(Math.max(truncated(${x}), 0), 255)`;
    case 'i32':
      if (from === 'i32') return { low: x, high: high! };
      if (from === 'u8') return { low: x, high: '0' };
      return {
        before: `const ${t}t = truncated(${x});\nconst ${t}c = Math.floor(${t}t * 0.0000152587890625);`,
        low: `${t}c > 32767 ? 65535 : ${t}t - ${t}c * 65536`,
        high: `Math.min(${t}c, 32767)`,
      };
    default:
      throw new BackendError(`gpu: unknown dtype ${JSON.stringify(to satisfies never)}`);
  }
}

/** Statements that leave the result of an operation in names that begin with `t`, and these names. */
export function compute(
  op: string,
  t: string,
  dtype: DType,
  operands: readonly Names[],
  from: readonly DType[],
): { readonly lines: string; readonly names: Names } {
  const one = (expression: string) => ({ lines: `const ${t} = ${expression};`, names: [t] as const });
  const two = ({ before = '', low, high }: Halves) => ({
    lines: `${before}\nconst ${t}l = ${low};\nconst ${t}h = ${high};`,
    names: [`${t}l`, `${t}h`] as const,
  });
  if (op === 'cast') {
    const result = castTo(t, dtype, from[0], operands[0]);
    return typeof result === 'string' ? one(result) : two(result);
  }
  const entry = expressionOf(op);
  const result =
    dtype === 'i32' || from.includes('i32')
      ? entry?.i32?.(t, ...operands)
      : entry?.float(...operands.map(([name]) => name));
  if (result === undefined)
    throw new BackendError(`gpu: there is no kernel for '${op}' of ${from.join(', ')}`);
  return typeof result === 'string' ? one(result) : two(result);
}
