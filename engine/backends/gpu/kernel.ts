/**
 * A kernel in gpu.js's language, with the memory it works on. Sizes are literals of the source: gpu.js cuts every loop
 * without a literal bound after 1000 turns, and what it keeps in a local becomes a float.
 */
import { BackendError } from '../../errors.ts';
import type { Attrs } from '../../op.ts';
import type { FusedAttrs, FusedName } from '../../plan/fusions/index.ts';
import type { KernelName, Step } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { DType, Shape, TensorType } from '../../types.ts';
import type { KernelAttrs } from '../backend.ts';

/** A number of some memory of a program: a buffer of the plan, scratch memory, or the report of a check. */
export type Place = number;

/** Sizes of up to three axes, the fastest first, as gpu.js has them: `a[z][y][x]`. */
export type Dims = readonly [x: number, y?: number, z?: number];

/** Memory as a kernel sees it. */
export interface View {
  readonly place: Place;
  readonly dims: Dims;
}

/** One kernel call: every element of `output` is what the body returns. */
export interface Call {
  /** Statements of a function with the names of `args` as parameters; `X`, `Y`, `Z` are the thread's position. */
  readonly body: string;
  readonly args: Readonly<Record<string, View>>;
  readonly output: Dims;
  readonly to: Place;
  /** Places of packed bytes among those above (memory.ts). Default: none. */
  readonly bytes?: ReadonlySet<Place>;
  /**
   * Of a kernel that returns an array of four neighbours along the innermost axis, of which X counts the fours. It finds four
   * of them in each element of these arguments, whose innermost axis is a multiple of four like its own.
   */
  readonly vectors?: { readonly args: ReadonlySet<string>; readonly note: string };
}

/** What makes an element stop a run: a label or an index out of range, `n` being the end of it, or a value that is not finite. */
export type Failure =
  | { readonly kind: 'label' | 'index'; readonly n: number }
  | { readonly kind: 'not finite'; readonly label: string };

/** What can stop a run: a kernel that looks for the first offender among `count`. */
export interface Check {
  readonly failure: Failure;
  readonly count: number;
  readonly args: Readonly<Record<string, View>>;
  /** A condition on element `i`. */
  readonly wrong: string;
  /** What to tell of the offender: an i32 as its two halves, or a float. Expressions of `i`. */
  readonly value: readonly [low: string, high: string];
}

/** One plan step with places. */
export interface Site {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  /** Arguments of one kernel at the most. */
  readonly mostArguments: number;
  /** Whether kernels may work on vectors. */
  readonly vectors: boolean;
  readonly emit: (call: Call) => void;
  readonly check: (check: Check) => void;
  /** Memory for so many floats, until the step ends. */
  readonly scratch: (elements: number) => Place;
}

/** Emits the kernels of a step whose attributes are `A`. */
export type Lower<A = unknown> = (site: Site & { readonly attrs: A }) => void;

/** The attributes of a step by its name. */
export type StepAttrs<N extends Step['op']> = N extends FusedName
  ? FusedAttrs<N>
  : N extends KernelName
    ? KernelAttrs<N>
    : Attrs;

/** Floats on the device for one element: an i32 is its low 16 bits and its high ones, since a float holds 24. */
export const floatsPer = (dtype: DType): number => (dtype === 'i32' ? 2 : 1);

export const floatsOf = ({ shape, dtype }: TensorType): number => sizeOf(shape) * floatsPer(dtype);

/** Elements up to which a float counts exactly. */
export const EXACT = 2 ** 24;

/** Throws BackendError where an index kept in a float would not be exact. */
export function expectExact(what: string, elements: number): void {
  if (elements > EXACT) {
    throw new BackendError(
      `gpu: ${what} needs an index of ${elements} in a float, which counts to ${EXACT} (make it smaller)`,
    );
  }
}

/** The source of gpu.js's function for a call. */
export function sourceOf({ body, args }: Call): string {
  const text = body.replace(/\b([XYZ])\b/g, (_, axis: string) => `this.thread.${axis.toLowerCase()}`);
  return `function kernel(${Object.keys(args).join(', ')}) {\n${text}\n}`;
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

/** Functions that kernels may call. Their arguments and results are floats. */
const library: Readonly<Record<string, readonly [parameters: readonly string[], body: string]>> = {
  // a / b rounded down, for whole a from 0 to 2^24 and b: WGSL's division may be off by 2.5 units in the last place.
  quotient: [
    ['a', 'b'],
    `let q = Math.floor(a / b);
     const r = a - q * b;
     if (r < 0) { q = q - 1; }
     if (r >= b) { q = q + 1; }
     return q;`,
  ],
  remainder: [['a', 'b'], 'return a - quotient(a, b) * b;'],
  // 1 for NaN, else 0: compilers take a === a for granted.
  nan: [
    ['a'],
    `if (a > 0) { return 0; }
     if (a <= 0) { return 0; }
     return 1;`,
  ],
  // Whether a sorts before b: NaN is larger than every number.
  before: [
    ['a', 'b'],
    `if (a < b) { return 1; }
     if (nan(b) > nan(a)) { return 1; }
     return 0;`,
  ],
  // The largest float, so that nothing but an infinity or NaN is not finite.
  finite: [
    ['a'],
    `if (a >= -3.4028234663852886e38 && a <= 3.4028234663852886e38) { return 1; }
     return 0;`,
  ],
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
  // a · 2^n for a whole n from -252 to 252: in two steps, neither of which loses bits unless the result does.
  scaled: [
    ['a', 'n'],
    `const half = Math.floor(n * 0.5);
     return a * powerOfTwo(half) * powerOfTwo(n - half);`,
  ],
  // 2^n for a whole n from -126 to 126, exactly: a driver's own power may be off.
  powerOfTwo: [
    ['n'],
    `let left = n;
     if (n < 0) { left = -n; }
     let result = 1;
     if (left >= 64) { result = result * (n < 0 ? 5.421010862427522e-20 : 18446744073709551616); left = left - 64; }
     if (left >= 32) { result = result * (n < 0 ? 2.3283064365386963e-10 : 4294967296); left = left - 32; }
     if (left >= 16) { result = result * (n < 0 ? 0.0000152587890625 : 65536); left = left - 16; }
     if (left >= 8) { result = result * (n < 0 ? 0.00390625 : 256); left = left - 8; }
     if (left >= 4) { result = result * (n < 0 ? 0.0625 : 16); left = left - 4; }
     if (left >= 2) { result = result * (n < 0 ? 0.25 : 4); left = left - 2; }
     if (left >= 1) { result = result * (n < 0 ? 0.5 : 2); }
     return result;`,
  ],
  // WGSL allows exp an error that grows with its argument: this takes out the power of two first, the logarithm of 2 in two
  // parts so that its multiples are exact, and sums the series for the rest, at most 0.35.
  exponential: [
    ['a'],
    `if (nan(a) > 0) { return a; }
     if (a > 89) { return Math.exp(a); }
     if (a < -104) { return 0; }
     const n = Math.floor(a * 1.4426950408889634 + 0.5);
     const r = a - n * 0.693359375 + n * 0.00021219444005469057;
     const series = 1 + r * (1 + r * 0.5 * (1 + r * 0.3333333333333333 * (1 + r * 0.25 * (1 + r * 0.2 * (1 +
       r * 0.16666666666666666 * (1 + r * 0.14285714285714285))))));
     return scaled(series, n);`,
  ],
  // WGSL allows log an error of 2^-21 around 1: this brings the argument near 1 by a power of two and sums the series of
  // 2·artanh((m - 1) / (m + 1)).
  logarithm: [
    ['a'],
    `if (nan(a) > 0 || a <= 0 || a > 3.4028234663852886e38) { return Math.log(a); }
     let m = a;
     let n = 0;
     if (m < 1e-30) { m = m * 1267650600228229401496703205376.0; n = -100; }
     const e = Math.floor(Math.log2(m) + 0.5);
     m = scaled(m, -e);
     n = n + e;
     const f = (m - 1) / (m + 1);
     const s = f * f;
     const series = 2 * f * (1 + s * (0.3333333333333333 + s * (0.2 + s * (0.14285714285714285 + s * (0.1111111111111111 +
       s * 0.09090909090909091)))));
     return n * 0.693359375 + (series - n * 0.00021219444005469057);`,
  ],
  // 1 / (1 + e^-a). It uses e^-|a|, which does not overflow, so small results are not flushed to 0.
  logistic: [
    ['a'],
    `if (nan(a) > 0) { return a; }
     const e = exponential(-Math.abs(a));
     if (a < 0) { return e / (1 + e); }
     return 1 / (1 + e);`,
  ],
  // The derivative of y, the logistic function of x, where 1 - y loses its digits for x > 2.
  logisticSlope: [
    ['y', 'x'],
    `if (x > 2) { return y * logistic(-x); }
     return y * (1 - y);`,
  ],
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
  larger: [
    ['a', 'b'],
    `if (nan(a) > 0) { return a; }
     if (nan(b) > 0) { return b; }
     if (a === 0 && b === 0) { return a + b; }
     if (a > b) { return a; }
     return b;`,
  ],
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
  // Towards 0, within -2^31 and 2^31, where NaN is 0.
  truncated: [
    ['a'],
    `if (nan(a) > 0) { return 0; }
     if (a >= 2147483648) { return 2147483648; }
     if (a <= -2147483648) { return -2147483648; }
     if (a < 0) { return -Math.floor(-a); }
     return Math.floor(a);`,
  ],
  exponentialLess1: [
    ['a'],
    `if (a > -0.35 && a < 0.35) {
       return a * (1 + a * 0.5 * (1 + a * 0.3333333333333333 * (1 + a * 0.25 * (1 + a * 0.2 * (1 +
         a * 0.16666666666666666 * (1 + a * 0.14285714285714285 * (1 + a * 0.125)))))));
     }
     return exponential(a) - 1;`,
  ],
  logarithmOf1Plus: [
    ['a'],
    `if (a > -0.4 && a < 0.4) {
       const f = a / (2 + a);
       const s = f * f;
       return 2 * f * (1 + s * (0.3333333333333333 + s * (0.2 + s * (0.14285714285714285 + s * (0.1111111111111111 +
         s * (0.09090909090909091 + s * 0.07692307692307693))))));
     }
     return logarithm(1 + a);`,
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
  // 1 - erf a: e^-a^2 t p(t) for a >= 0, with t = 1 / (1 + 0.4 a) and a polynomial of relative error 6e-9.
  errorComplement: [
    ['a'],
    `if (nan(a) > 0) { return a; }
     const x = Math.abs(a);
     if (a > 30) { return 0; }
     if (a < -30) { return 2; }
     const t = 1 / (1 + 0.4 * x);
     const p = ${ERFC.reduce((rest, c) => `(${c} + t * ${rest})`, '0')};
     const tail = exponential(-x * x) * t * p;
     if (a < 0) { return 2 - tail; }
     return tail;`,
  ],
  // A sum of high halves as the high half of an i32 that wraps around.
  wrapped: [['a'], 'return a - 65536 * Math.floor((a + 32768) * 0.0000152587890625);'],
  nonNegative: [['a'], 'if (a < 0) { return a + 65536; }\n return a;'],
  // Whether one i32, given by its halves, is less than another.
  below: [
    ['aHigh', 'aLow', 'bHigh', 'bLow'],
    `if (aHigh < bHigh) { return 1; }
     if (aHigh === bHigh && aLow < bLow) { return 1; }
     return 0;`,
  ],
  // Low and high half of a product of 16-bit numbers, every step below 2^24.
  low16: [
    ['a', 'b'],
    `const high = Math.floor(b * 0.00390625);
     const p = a * (b - high * 256);
     const q = a * high;
     const s = p - Math.floor(p * 0.0000152587890625) * 65536 + (q - Math.floor(q * 0.00390625) * 256) * 256;
     return s - Math.floor(s * 0.0000152587890625) * 65536;`,
  ],
  high16: [
    ['a', 'b'],
    `const high = Math.floor(b * 0.00390625);
     const p = a * (b - high * 256);
     const q = a * high;
     const top = Math.floor(p * 0.0000152587890625);
     const s = p - top * 65536 + (q - Math.floor(q * 0.00390625) * 256) * 256;
     return top + Math.floor(q * 0.00390625) + Math.floor(s * 0.0000152587890625);`,
  ],
};

export interface LibraryFunction {
  readonly name: string;
  readonly source: string;
  readonly settings: {
    readonly argumentTypes: Readonly<Record<string, 'Number'>>;
    readonly returnType: 'Number';
  };
}

/** The functions that a source calls, and those that these call. */
export function libraryOf(source: string): readonly LibraryFunction[] {
  const found = new Set<string>();
  const visit = (text: string): void => {
    for (const [name, [, body]] of Object.entries(library)) {
      if (found.has(name) || !new RegExp(`\\b${name}\\(`).test(text)) continue;
      found.add(name);
      visit(body);
    }
  };
  visit(source);
  return [...found].map((name) => {
    const [parameters, body] = library[name];
    return {
      name,
      source: `function ${name}(${parameters.join(', ')}) {\n${body}\n}`,
      settings: {
        argumentTypes: Object.fromEntries(parameters.map((parameter) => [parameter, 'Number' as const])),
        returnType: 'Number',
      },
    };
  });
}

/** Where the two halves of an i32 are, at the position `at` of the innermost axis. */
export function halvesAt(at: string): readonly [low: string, high: string] {
  // WebGL's texture lookups take no product of two literals.
  if (/^\d+$/.test(at)) return [`${2 * Number(at)}`, `${2 * Number(at) + 1}`];
  return [`2 * (${at})`, `2 * (${at}) + 1`];
}

/** The exact value of an i32 as a float: its halves in `name`, at the position `at` of the innermost axis. */
export function int(name: string, at: string): string {
  const [low, high] = halvesAt(at);
  return `(${name}[${low}] + ${name}[${high}] * 65536)`;
}

/** Statements that return the half of an i32 that this thread is to write, along an axis of twice as many. */
export const returnHalf = (value: string, half: string): string =>
  `const high = Math.floor((${value}) * 0.0000152587890625);
   if (${half} < 1) { return (${value}) - high * 65536; }
   return high;`;

/** The number of elements of dims. */
export const countOf = ([x, y = 1, z = 1]: Dims): number => x * y * z;

/**
 * A number in gpu.js's language: whole numbers stay integers, others have all their digits. NaN and infinities have no literal
 * and are computed. They depend on the position because compilers reject constant expressions that are not finite.
 */
export function literal(value: number): string {
  if (Number.isNaN(value)) return 'Math.sqrt(-1.5 - X)';
  if (Math.abs(value) === Infinity) return `(${value < 0 ? '-' : ''}Math.exp(1000.5 + X))`;
  return value < 0 || Object.is(value, -0) ? `(-${-value})` : `${value}`;
}

/** The last axis, and all others as one. */
export function rowsAndColumns(shape: Shape): readonly [rows: number, columns: number] {
  const columns = shape.at(-1) ?? 1;
  return [sizeOf(shape.slice(0, -1)), columns];
}
