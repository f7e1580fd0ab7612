// The transforms of Winograd's minimal filtering, on a vector of channels at a time: Bᵀ d B, Aᵀ M A and A dy Aᵀ. A line is one row
// or column of a tile: of 12 values (points 0, ±1, ±¾, ±4/3, ±2/5, ±5/2, ∞), 10 (0, ±½, ±5/6, ±6/5, ±2, ∞), 8 (0, ±1, ±2, ±½, ∞)
// or 6 (0, ±2/3, ±3/2, ∞). They are those of the least rounding error among pairs of small fractions (convolution.ts).
import { fma, fnma, splat } from "../simd";
import { V, ZEROS } from "../width";

// @ts-ignore: decorator
@inline function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

/**
 * Where the next of the vectors lies that are `stride` bytes apart. A known stride becomes part of the instruction; one that is
 * not is added to the place before, as multiples would be kept in registers that there are not.
 */
// @ts-ignore: decorator
@inline function next(first: usize, before: usize, index: usize, stride: usize, known: bool): usize {
  return known ? first + index * stride : before + stride;
}

/** even ± p · odd: what the lines of two points ±p give. */
// @ts-ignore: decorator
@inline function storePair(plus: usize, minus: usize, even: v128, odd: v128, p: v128): void {
  v128.store(plus, fma(odd, p, even));
  v128.store(minus, fnma(odd, p, even));
}

/**
 * The factors of lines of eight and of six: Q21_4 is the address of 21 / 4. Like those of longer lines they come from memory, since
 * V8 makes a constant of 256 bits anew wherever it is used (transforms took up to twice as long).
 */
const QUOTIENTS: usize = memory.data<f32>([
  21.0 / 4, 17.0 / 4, 5.0 / 4, 1.0 / 4, 2, 5, 4, 1.0 / 2, 1.0 / 8, 8, 1.0 / 16, 16, 1.0 / 32, 32,
  97.0 / 36, 9.0 / 4, 4.0 / 9, 2.0 / 3, 3.0 / 2, 27.0 / 8, 8.0 / 27,
]);
const Q21_4: usize = QUOTIENTS;
const Q17_4: usize = QUOTIENTS + 4;
const Q5_4: usize = QUOTIENTS + 8;
const Q1_4: usize = QUOTIENTS + 12;
const Q2: usize = QUOTIENTS + 16;
const Q5: usize = QUOTIENTS + 20;
const Q4: usize = QUOTIENTS + 24;
const Q1_2: usize = QUOTIENTS + 28;
const Q1_8: usize = QUOTIENTS + 32;
const Q8: usize = QUOTIENTS + 36;
const Q1_16: usize = QUOTIENTS + 40;
const Q16: usize = QUOTIENTS + 44;
const Q1_32: usize = QUOTIENTS + 48;
const Q32: usize = QUOTIENTS + 52;
const Q97_36: usize = QUOTIENTS + 56;
const Q9_4: usize = QUOTIENTS + 60;
const Q4_9: usize = QUOTIENTS + 64;
const Q2_3: usize = QUOTIENTS + 68;
const Q3_2: usize = QUOTIENTS + 72;
const Q27_8: usize = QUOTIENTS + 76;
const Q8_27: usize = QUOTIENTS + 80;

// @ts-ignore: decorator
@inline function quotient(at: usize): v128 {
  return v128.load32_splat(at);
}

// The lines go by in two passes: the columns of a tile into `half`, whose stride is known, and the rows of that.

/** One line of Bᵀ on tiles of 8. Strides in bytes. */
// @ts-ignore: decorator
@inline function inputLine8(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y, fma(sub(d4, d2), quotient(Q21_4), sub(d0, d6)));
  const e1 = fnma(d4, quotient(Q17_4), add(d2, d6));
  const o1 = fnma(d3, quotient(Q17_4), add(d1, d5));
  v128.store(y1, add(e1, o1));
  v128.store(y2, sub(e1, o1));
  const e2 = fnma(d4, quotient(Q5_4), fma(d2, quotient(Q1_4), d6));
  const o2 = fnma(d3, quotient(Q5_4), fma(d1, quotient(Q1_4), d5));
  storePair(y3, y4, e2, o2, quotient(Q2));
  const e3 = fnma(d4, quotient(Q5), fma(d2, quotient(Q4), d6));
  const o3 = fnma(d3, quotient(Q5), fma(d1, quotient(Q4), d5));
  storePair(y5, y6, e3, o3, quotient(Q1_2));
  v128.store(y7, fma(sub(d3, d5), quotient(Q21_4), sub(d7, d1)));
}

// Of twelve values: R(z) is the product over the squares of all pairs but one's own, and the line of ±p is x (x ± p) R(x²), so
// that the even and the odd values meet the same four numbers. There are more numbers than registers: they are in a table,
// `numbers`, made where the points are (convolution.ts): four for the lines of 0, ∞ and ±1, then for every other pair the four of
// its R and its powers 1 to 7. Of ten values, without ±1: two for the lines of 0 and ∞, then for every pair three and its powers.

/** Bytes of the numbers before those of the pairs, of those of one pair, and of those before its powers. */
const HEAD_OF_12: usize = 16;
const PAIR_OF_12: usize = 44;
const POWERS_OF_12: usize = 16;
const HEAD_OF_10: usize = 8;
const PAIR_OF_10: usize = 40;
const POWERS_OF_10: usize = 12;

// @ts-ignore: decorator
@inline function number(numbers: usize, index: usize): v128 {
  return v128.load32_splat(numbers + (index << 2));
}

/** Rows ±p of a line: the factors of R for d1 … d6 lie at `factors`, p at `point`; `even` and `odd` hold what comes after. */
// @ts-ignore: decorator
@inline function inputPair(
  factors: usize, point: usize,
  d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, d6: v128, even: v128, odd: v128,
  plus: usize, minus: usize,
): void {
  const r2 = number(factors, 2);
  even = fma(d6, r2, even);
  odd = fma(d5, r2, odd);
  const r1 = number(factors, 1);
  even = fma(d4, r1, even);
  odd = fma(d3, r1, odd);
  const r0 = number(factors, 0);
  even = fma(d2, r0, even);
  odd = fma(d1, r0, odd);
  storePair(plus, minus, even, odd, number(point, 0));
}

/** Rows ±p of a line of twelve. */
// @ts-ignore: decorator
@inline function inputPair12(
  numbers: usize,
  d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, d6: v128, d7: v128, d8: v128, d9: v128, d10: v128,
  plus: usize, minus: usize,
): void {
  const r3 = number(numbers, 3);
  const even = fma(d8, r3, d10);
  const odd = fma(d7, r3, d9);
  inputPair(numbers, numbers + POWERS_OF_12, d1, d2, d3, d4, d5, d6, even, odd, plus, minus);
}

/** One line of Bᵀ on twelve values. */
// @ts-ignore: decorator
@inline function inputLine12(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const x8 = next(x, x7, 8, sx, last);
  const d8 = v128.load(x8);
  const x9 = next(x, x8, 9, sx, last);
  const d9 = v128.load(x9);
  const x10 = next(x, x9, 10, sx, last);
  const d10 = v128.load(x10);
  const x11 = next(x, x10, 11, sx, last);
  const d11 = v128.load(x11);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  const y8 = next(y, y7, 8, sy, !last);
  const y9 = next(y, y8, 9, sy, !last);
  const y10 = next(y, y9, 10, sy, !last);
  const y11 = next(y, y10, 11, sy, !last);
  const g = number(numbers, 0);
  const h = number(numbers, 1);
  v128.store(y, fma(sub(d4, d6), h, fma(sub(d8, d2), g, sub(d0, d10))));
  v128.store(y11, fma(sub(d7, d5), h, fma(sub(d3, d9), g, sub(d11, d1))));
  const even = fma(d6, number(numbers, 3), fma(add(d4, d8), number(numbers, 2), add(d2, d10)));
  const odd = fma(d5, number(numbers, 3), fma(add(d3, d7), number(numbers, 2), add(d1, d9)));
  v128.store(y1, add(even, odd));
  v128.store(y2, sub(even, odd));
  inputPair12(numbers + HEAD_OF_12, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, y3, y4);
  inputPair12(numbers + HEAD_OF_12 + PAIR_OF_12, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, y5, y6);
  inputPair12(numbers + HEAD_OF_12 + 2 * PAIR_OF_12, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, y7, y8);
  inputPair12(numbers + HEAD_OF_12 + 3 * PAIR_OF_12, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, y9, y10);
}

/** Rows ±p of a line of ten. */
// @ts-ignore: decorator
@inline function inputPair10(
  numbers: usize,
  d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, d6: v128, d7: v128, d8: v128,
  plus: usize, minus: usize,
): void {
  inputPair(numbers, numbers + POWERS_OF_10, d1, d2, d3, d4, d5, d6, d8, d7, plus, minus);
}

/** One line of Bᵀ on ten values. */
// @ts-ignore: decorator
@inline function inputLine10(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const x8 = next(x, x7, 8, sx, last);
  const d8 = v128.load(x8);
  const x9 = next(x, x8, 9, sx, last);
  const d9 = v128.load(x9);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  const y8 = next(y, y7, 8, sy, !last);
  const y9 = next(y, y8, 9, sy, !last);
  const g = number(numbers, 0);
  const h = number(numbers, 1);
  v128.store(y, fma(d4, h, fma(add(d2, d6), g, add(d0, d8))));
  v128.store(y9, fma(d5, h, fma(add(d3, d7), g, add(d1, d9))));
  inputPair10(numbers + HEAD_OF_10, d1, d2, d3, d4, d5, d6, d7, d8, y1, y2);
  inputPair10(numbers + HEAD_OF_10 + PAIR_OF_10, d1, d2, d3, d4, d5, d6, d7, d8, y3, y4);
  inputPair10(numbers + HEAD_OF_10 + 2 * PAIR_OF_10, d1, d2, d3, d4, d5, d6, d7, d8, y5, y6);
  inputPair10(numbers + HEAD_OF_10 + 3 * PAIR_OF_10, d1, d2, d3, d4, d5, d6, d7, d8, y7, y8);
}

/** One line of Bᵀ on tiles of 6. */
// @ts-ignore: decorator
@inline function inputLine6(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y, fnma(d2, quotient(Q97_36), add(d0, d4)));
  const e1 = fnma(d2, quotient(Q9_4), d4);
  const o1 = fnma(d1, quotient(Q9_4), d3);
  storePair(y1, y2, e1, o1, quotient(Q2_3));
  const e2 = fnma(d2, quotient(Q4_9), d4);
  const o2 = fnma(d1, quotient(Q4_9), d3);
  storePair(y3, y4, e2, o2, quotient(Q3_2));
  v128.store(y5, fnma(d3, quotient(Q97_36), add(d1, d5)));
}

/** Stores a value of a line of Aᵀ; in the last pass with bias, and no less than `floor`: 0 for relu. */
// @ts-ignore: decorator
@inline function finish(to: usize, value: v128, last: bool, shift: v128, floor: v128): void {
  if (last) {
    // Keeps NaN, which is not below the floor.
    value = f32x4.pmax(add(value, shift), floor);
  }
  v128.store(to, value);
}

/** One line of Aᵀ: 8 -> 4. */
// @ts-ignore: decorator
@inline function outputLine84(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, add(add(m0, s1), add(s2, s3)), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d3, quotient(Q1_2), fma(d2, quotient(Q2), d1)), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s3, quotient(Q1_4), fma(s2, quotient(Q4), s1)), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, fma(d3, quotient(Q1_8), fma(d2, quotient(Q8), add(d1, m7))), last, shift, floor);
}

/** One line of Aᵀ: 8 -> 6. */
// @ts-ignore: decorator
@inline function outputLine86(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, add(add(m0, s1), add(s2, s3)), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d3, quotient(Q1_2), fma(d2, quotient(Q2), d1)), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s3, quotient(Q1_4), fma(s2, quotient(Q4), s1)), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, fma(d3, quotient(Q1_8), fma(d2, quotient(Q8), d1)), last, shift, floor);
  const y4 = next(y, y3, 4, sy, !last);
  finish(y4, fma(s3, quotient(Q1_16), fma(s2, quotient(Q16), s1)), last, shift, floor);
  const y5 = next(y, y4, 5, sy, !last);
  finish(y5, fma(d3, quotient(Q1_32), fma(d2, quotient(Q32), add(d1, m7))), last, shift, floor);
}

/** One line of Aᵀ: 6 -> 4. */
// @ts-ignore: decorator
@inline function outputLine64(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  finish(y, add(add(m0, s1), s2), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d2, quotient(Q3_2), f32x4.mul(d1, quotient(Q2_3))), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s2, quotient(Q9_4), f32x4.mul(s1, quotient(Q4_9))), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, fma(d2, quotient(Q27_8), fma(d1, quotient(Q8_27), m5)), last, shift, floor);
}

/** sum + Σ p^k v over three pairs of points: p^k of the first lies at `power`, those of the others `pair` bytes apart. */
// @ts-ignore: decorator
@inline function addPowers(power: usize, pair: usize, a: v128, b: v128, c: v128, sum: v128): v128 {
  return fma(c, number(power + 2 * pair, 0), fma(b, number(power + pair, 0), fma(a, number(power, 0), sum)));
}

/** Row k of Aᵀ on sums or differences of five pairs, the first being ±1. */
// @ts-ignore: decorator
@inline function outputRow12(numbers: usize, k: usize, v1: v128, v2: v128, v3: v128, v4: v128, v5: v128): v128 {
  const power = numbers + HEAD_OF_12 + POWERS_OF_12 + 4 * (k - 1);
  return addPowers(power + PAIR_OF_12, PAIR_OF_12, v3, v4, v5, fma(v2, number(power, 0), v1));
}

/** Row k of Aᵀ on sums or differences of four pairs. */
// @ts-ignore: decorator
@inline function outputRow10(numbers: usize, k: usize, v1: v128, v2: v128, v3: v128, v4: v128): v128 {
  const power = numbers + HEAD_OF_10 + POWERS_OF_10 + 4 * (k - 1);
  return addPowers(power + PAIR_OF_10, PAIR_OF_10, v2, v3, v4, f32x4.mul(v1, number(power, 0)));
}

/** One line of Aᵀ: 12 -> 8. */
// @ts-ignore: decorator
@inline function outputLine128(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const x8 = next(x, x7, 8, sx, last);
  const m8 = v128.load(x8);
  const x9 = next(x, x8, 9, sx, last);
  const m9 = v128.load(x9);
  const x10 = next(x, x9, 10, sx, last);
  const m10 = v128.load(x10);
  const x11 = next(x, x10, 11, sx, last);
  const m11 = v128.load(x11);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  const s4 = add(m7, m8);
  const d4 = sub(m7, m8);
  const s5 = add(m9, m10);
  const d5 = sub(m9, m10);
  v128.store(y, add(add(add(m0, s1), add(s2, s3)), add(s4, s5)));
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, outputRow12(numbers, 1, d1, d2, d3, d4, d5));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, outputRow12(numbers, 2, s1, s2, s3, s4, s5));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, outputRow12(numbers, 3, d1, d2, d3, d4, d5));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, outputRow12(numbers, 4, s1, s2, s3, s4, s5));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, outputRow12(numbers, 5, d1, d2, d3, d4, d5));
  const y6 = next(y, y5, 6, sy, !last);
  v128.store(y6, outputRow12(numbers, 6, s1, s2, s3, s4, s5));
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y7, add(outputRow12(numbers, 7, d1, d2, d3, d4, d5), m11));
}

/** One line of Aᵀ: 10 -> 8. */
// @ts-ignore: decorator
@inline function outputLine108(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const x8 = next(x, x7, 8, sx, last);
  const m8 = v128.load(x8);
  const x9 = next(x, x8, 9, sx, last);
  const m9 = v128.load(x9);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  const s4 = add(m7, m8);
  const d4 = sub(m7, m8);
  v128.store(y, add(add(m0, add(s1, s2)), add(s3, s4)));
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, outputRow10(numbers, 1, d1, d2, d3, d4));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, outputRow10(numbers, 2, s1, s2, s3, s4));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, outputRow10(numbers, 3, d1, d2, d3, d4));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, outputRow10(numbers, 4, s1, s2, s3, s4));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, outputRow10(numbers, 5, d1, d2, d3, d4));
  const y6 = next(y, y5, 6, sy, !last);
  v128.store(y6, outputRow10(numbers, 6, s1, s2, s3, s4));
  const y7 = next(y, y6, 7, sy, !last);
  const power = numbers + HEAD_OF_10 + POWERS_OF_10 + 4 * 6;
  v128.store(y7, addPowers(power + PAIR_OF_10, PAIR_OF_10, d2, d3, d4, fma(d1, number(power, 0), m9)));
}

/** One line of A: 4 -> 8, the adjoint of outputLine84. */
// @ts-ignore: decorator
@inline function gradLine48(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y, d0);
  const e1 = add(d0, d2);
  const o1 = add(d1, d3);
  v128.store(y1, add(e1, o1));
  v128.store(y2, sub(e1, o1));
  storePair(y3, y4, fma(d2, quotient(Q4), d0), fma(d3, quotient(Q4), d1), quotient(Q2));
  storePair(y5, y6, fma(d2, quotient(Q1_4), d0), fma(d3, quotient(Q1_4), d1), quotient(Q1_2));
  v128.store(y7, d3);
}

/** One line of A: 6 -> 8. */
// @ts-ignore: decorator
@inline function gradLine68(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y, d0);
  const e1 = add(add(d0, d2), d4);
  const o1 = add(add(d1, d3), d5);
  v128.store(y1, add(e1, o1));
  v128.store(y2, sub(e1, o1));
  const e2 = fma(d4, quotient(Q16), fma(d2, quotient(Q4), d0));
  const o2 = fma(d5, quotient(Q16), fma(d3, quotient(Q4), d1));
  storePair(y3, y4, e2, o2, quotient(Q2));
  const e3 = fma(d4, quotient(Q1_16), fma(d2, quotient(Q1_4), d0));
  const o3 = fma(d5, quotient(Q1_16), fma(d3, quotient(Q1_4), d1));
  storePair(y5, y6, e3, o3, quotient(Q1_2));
  v128.store(y7, d5);
}

/** One line of A: 4 -> 6, the adjoint of outputLine64. */
// @ts-ignore: decorator
@inline function gradLine46(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y, d0);
  storePair(y1, y2, fma(d2, quotient(Q4_9), d0), fma(d3, quotient(Q4_9), d1), quotient(Q2_3));
  storePair(y3, y4, fma(d2, quotient(Q9_4), d0), fma(d3, quotient(Q9_4), d1), quotient(Q3_2));
  v128.store(y5, d3);
}

/** Rows ±p of a line of A on eight values; p, p² … lie at `powers`. */
// @ts-ignore: decorator
@inline function gradPair(
  powers: usize,
  d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, d6: v128, d7: v128,
  plus: usize, minus: usize,
): void {
  const square = number(powers, 1);
  let even = fma(d6, square, d4);
  let odd = fma(d7, square, d5);
  even = fma(even, square, d2);
  odd = fma(odd, square, d3);
  even = fma(even, square, d0);
  odd = fma(odd, square, d1);
  storePair(plus, minus, even, odd, number(powers, 0));
}

/** One line of A: 8 -> 10, the adjoint of outputLine108. */
// @ts-ignore: decorator
@inline function gradLine810(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  const y8 = next(y, y7, 8, sy, !last);
  const y9 = next(y, y8, 9, sy, !last);
  const powers = numbers + HEAD_OF_10 + POWERS_OF_10;
  v128.store(y, d0);
  gradPair(powers, d0, d1, d2, d3, d4, d5, d6, d7, y1, y2);
  gradPair(powers + PAIR_OF_10, d0, d1, d2, d3, d4, d5, d6, d7, y3, y4);
  gradPair(powers + 2 * PAIR_OF_10, d0, d1, d2, d3, d4, d5, d6, d7, y5, y6);
  gradPair(powers + 3 * PAIR_OF_10, d0, d1, d2, d3, d4, d5, d6, d7, y7, y8);
  v128.store(y9, d7);
}

/** One line of A: 8 -> 12, the adjoint of outputLine128. */
// @ts-ignore: decorator
@inline function gradLine812(x: usize, sx: usize, y: usize, sy: usize, last: bool, numbers: usize): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const y1 = next(y, y, 1, sy, !last);
  const y2 = next(y, y1, 2, sy, !last);
  const y3 = next(y, y2, 3, sy, !last);
  const y4 = next(y, y3, 4, sy, !last);
  const y5 = next(y, y4, 5, sy, !last);
  const y6 = next(y, y5, 6, sy, !last);
  const y7 = next(y, y6, 7, sy, !last);
  const y8 = next(y, y7, 8, sy, !last);
  const y9 = next(y, y8, 9, sy, !last);
  const y10 = next(y, y9, 10, sy, !last);
  const y11 = next(y, y10, 11, sy, !last);
  const powers = numbers + HEAD_OF_12 + POWERS_OF_12;
  const even = add(add(d0, d2), add(d4, d6));
  const odd = add(add(d1, d3), add(d5, d7));
  v128.store(y, d0);
  v128.store(y1, add(even, odd));
  v128.store(y2, sub(even, odd));
  gradPair(powers, d0, d1, d2, d3, d4, d5, d6, d7, y3, y4);
  gradPair(powers + PAIR_OF_12, d0, d1, d2, d3, d4, d5, d6, d7, y5, y6);
  gradPair(powers + 2 * PAIR_OF_12, d0, d1, d2, d3, d4, d5, d6, d7, y7, y8);
  gradPair(powers + 3 * PAIR_OF_12, d0, d1, d2, d3, d4, d5, d6, d7, y9, y10);
  v128.store(y11, d7);
}

// Every form of tile has functions of its own: with several in one, V8 keeps the constants of all of them.

/**
 * Bᵀ d B of one tile, `tall` × `wide`. Pixels of the tile are `pixel` bytes and its rows `row` bytes apart; the result (i, j) goes
 * to + (i · wide + j) · step. `half` holds as many vectors as the tile has values.
 */
export function inputTile(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize, tall: i32, wide: i32, numbers: usize): void {
  if (tall == 12) inputTile12(from, row, pixel, half, to, step, numbers);
  else if (tall == 10) inputTile10(from, row, pixel, half, to, step, numbers);
  else if (wide == 8) inputTile8(from, row, pixel, half, to, step);
  else inputTile6(from, row, pixel, half, to, step);
}

export function inputTile12(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  numbers: usize,
): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 8 * V; j += V, x += pixel) inputLine12(x, row, half + j, 8 * V, false, numbers);
    for (let i: usize = 0; i < 96 * V; i += 8 * V, y += 8 * step) inputLine8(half + i, V, y, step, true);
  }
}

export function inputTile10(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  numbers: usize,
): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 6 * V; j += V, x += pixel) inputLine10(x, row, half + j, 6 * V, false, numbers);
    for (let i: usize = 0; i < 60 * V; i += 6 * V, y += 6 * step) inputLine6(half + i, V, y, step, true);
  }
}

export function inputTile8(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 8 * V; j += V, x += pixel) inputLine8(x, row, half + j, 8 * V, false);
    for (let i: usize = 0; i < 64 * V; i += 8 * V, y += 8 * step) inputLine8(half + i, V, y, step, true);
  }
}

export function inputTile6(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 6 * V; j += V, x += pixel) inputLine6(x, row, half + j, 6 * V, false);
    for (let i: usize = 0; i < 36 * V; i += 6 * V, y += 6 * step) inputLine6(half + i, V, y, step, true);
  }
}

/**
 * Aᵀ M A of one tile and `bytes` of filters (whole vectors), from values `step` bytes apart to m × n pixels, plus the values at
 * `bias` (0 for none), and no less than `lowest`: 0 for relu.
 */
export function outputTile(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  tall: i32,
  wide: i32,
  n: i32,
  bias: usize,
  lowest: f32,
  numbers: usize,
): void {
  // Without a bias zeros are added, the same for all filters.
  const shifts: usize = bias != 0 ? V : 0;
  if (bias == 0) bias = ZEROS;
  if (tall == 12) outputTile12(from, bytes, step, half, y, row, pixel, bias, shifts, lowest, numbers);
  else if (tall == 10) outputTile10(from, bytes, step, half, y, row, pixel, bias, shifts, lowest, numbers);
  else if (wide == 6) outputTile6(from, bytes, step, half, y, row, pixel, bias, shifts, lowest);
  else if (n == 4) outputTile84(from, bytes, step, half, y, row, pixel, bias, shifts, lowest);
  else outputTile86(from, bytes, step, half, y, row, pixel, bias, shifts, lowest);
}

export function outputTile12(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  bias: usize,
  shifts: usize,
  lowest: f32,
  numbers: usize,
): void {
  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < 8 * V; j += V, x += step) outputLine128(x, 8 * step, half + j, 8 * V, false, numbers);
    for (let i: usize = 0; i < 64 * V; i += 8 * V, z += row) outputLine84(half + i, V, z, pixel, true, shift, floor);
  }
}

export function outputTile10(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  bias: usize,
  shifts: usize,
  lowest: f32,
  numbers: usize,
): void {
  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < 6 * V; j += V, x += step) outputLine108(x, 6 * step, half + j, 6 * V, false, numbers);
    for (let i: usize = 0; i < 48 * V; i += 6 * V, z += row) outputLine64(half + i, V, z, pixel, true, shift, floor);
  }
}

export function outputTile84(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  bias: usize,
  shifts: usize,
  lowest: f32,
): void {
  const none = splat(0);
  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < 8 * V; j += V, x += step) outputLine84(x, 8 * step, half + j, 8 * V, false, none, none);
    for (let i: usize = 0; i < 32 * V; i += 8 * V, z += row) outputLine84(half + i, V, z, pixel, true, shift, floor);
  }
}

export function outputTile86(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  bias: usize,
  shifts: usize,
  lowest: f32,
): void {
  const none = splat(0);
  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < 8 * V; j += V, x += step) outputLine86(x, 8 * step, half + j, 8 * V, false, none, none);
    for (let i: usize = 0; i < 48 * V; i += 8 * V, z += row) outputLine86(half + i, V, z, pixel, true, shift, floor);
  }
}

export function outputTile6(
  from: usize,
  bytes: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  bias: usize,
  shifts: usize,
  lowest: f32,
): void {
  const none = splat(0);
  const floor = splat(lowest);
  for (const end = from + bytes; from < end; from += V, y += V, bias += shifts) {
    const shift = v128.load(bias);
    let x = from;
    let z = y;
    for (let j: usize = 0; j < 6 * V; j += V, x += step) outputLine64(x, 6 * step, half + j, 6 * V, false, none, none);
    for (let i: usize = 0; i < 24 * V; i += 6 * V, z += row) outputLine64(half + i, V, z, pixel, true, shift, floor);
  }
}

/** A dy Aᵀ of one tile, laid out like inputTile's result. */
export function gradTile(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  tall: i32,
  wide: i32,
  n: i32,
  numbers: usize,
): void {
  if (tall == 12) gradTile12(from, row, pixel, half, to, step, numbers);
  else if (tall == 10) gradTile10(from, row, pixel, half, to, step, numbers);
  else if (wide == 6) gradTile6(from, row, pixel, half, to, step);
  else if (n == 4) gradTile48(from, row, pixel, half, to, step);
  else gradTile68(from, row, pixel, half, to, step);
}

export function gradTile48(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 4 * V; j += V, x += pixel) gradLine48(x, row, half + j, 4 * V, false);
    for (let i: usize = 0; i < 32 * V; i += 4 * V, y += 8 * step) gradLine48(half + i, V, y, step, true);
  }
}

export function gradTile68(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 6 * V; j += V, x += pixel) gradLine68(x, row, half + j, 6 * V, false);
    for (let i: usize = 0; i < 48 * V; i += 6 * V, y += 8 * step) gradLine68(half + i, V, y, step, true);
  }
}

export function gradTile6(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 4 * V; j += V, x += pixel) gradLine46(x, row, half + j, 4 * V, false);
    for (let i: usize = 0; i < 24 * V; i += 4 * V, y += 6 * step) gradLine46(half + i, V, y, step, true);
  }
}

export function gradTile10(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  numbers: usize,
): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 4 * V; j += V, x += pixel) gradLine810(x, row, half + j, 4 * V, false, numbers);
    for (let i: usize = 0; i < 40 * V; i += 4 * V, y += 6 * step) gradLine46(half + i, V, y, step, true);
  }
}

export function gradTile12(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  numbers: usize,
): void {
  for (const end = from + pixel; from < end; from += V, to += V) {
    let x = from;
    let y = to;
    for (let j: usize = 0; j < 4 * V; j += V, x += pixel) gradLine812(x, row, half + j, 4 * V, false, numbers);
    for (let i: usize = 0; i < 48 * V; i += 4 * V, y += 8 * step) gradLine48(half + i, V, y, step, true);
  }
}
