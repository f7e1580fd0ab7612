/**
 * Functions in gpu.js's language that several kernels call: arithmetic that is exact, or as near as single precision allows,
 * where drivers are loose. A function that one operation alone needs stands in its entry of kernels/expressions.ts.
 */
import { expressions, type Functions } from './kernels/expressions.ts';

const shared: Functions = {
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
  // The largest float, so that nothing but an infinity or NaN is not finite.
  finite: [
    ['a'],
    `if (a >= -3.4028234663852886e38 && a <= 3.4028234663852886e38) { return 1; }
     return 0;`,
  ],
  // Whether a sorts before b: NaN is larger than every number.
  before: [
    ['a', 'b'],
    `if (a < b) { return 1; }
     if (nan(b) > nan(a)) { return 1; }
     return 0;`,
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
  // 2·artanh((m - 1) / (m + 1)). `high` and `low` are the two parts of the logarithm of 2, and `factor` converts from base e.
  logarithm: [['a'], 'return logarithmTo(a, 0.693359375, -0.00021219444005469057, 1);'],
  logarithmTo: [
    ['a', 'high', 'low', 'factor'],
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
     return n * high + (series * factor + n * low);`,
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
  // Towards 0, within -2^31 and 2^31, where NaN is 0.
  truncated: [
    ['a'],
    `if (nan(a) > 0) { return 0; }
     if (a >= 2147483648) { return 2147483648; }
     if (a <= -2147483648) { return -2147483648; }
     if (a < 0) { return -Math.floor(-a); }
     return Math.floor(a);`,
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

const library: Functions = Object.assign(
  {},
  shared,
  ...Object.values(expressions).map((entry) => ('functions' in entry ? entry.functions : {})),
) as Functions;

/** A function as gpu.js takes it. */
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
  const called = new Set<string>();
  const visit = (text: string): void => {
    for (const [name, [, body]] of Object.entries(library)) {
      if (called.has(name) || !new RegExp(`\\b${name}\\(`).test(text)) continue;
      called.add(name);
      visit(body);
    }
  };
  visit(source);
  return [...called].map((name) => {
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
