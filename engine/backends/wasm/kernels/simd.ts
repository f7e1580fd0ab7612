// Vector helpers on four floats, and the elementary functions that several files use. A lane never depends on its neighbors, so
// results do not depend on where an array is split.

/** a · b + c: fused where the binary may, else rounded twice. */
// @ts-ignore: decorator
@inline export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c − a · b, likewise. */
// @ts-ignore: decorator
@inline export function fnma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** a where the mask is set, else b. Masks are all ones or zeros in each lane, as comparisons give them. */
// @ts-ignore: decorator
@inline export function selectLanes(a: v128, b: v128, mask: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_laneselect(a, b, mask);
  return v128.bitselect(a, b, mask);
}

/** Stores the first n (1 … 4) lanes. */
// @ts-ignore: decorator
@inline export function storeLanes(to: usize, x: v128, n: i32): void {
  if (n >= 4) {
    v128.store(to, x);
  } else {
    v128.store_lane<f32>(to, x, 0);
    if (n > 1) v128.store_lane<f32>(to, x, 1, 4);
    if (n > 2) v128.store_lane<f32>(to, x, 2, 8);
  }
}

/** Copies 64 bytes, the second half to a place of its own. Loads come first: V8 does not join vectors past a store. */
// @ts-ignore: decorator
@inline export function copyLine(to: usize, from: usize, half: usize = to + 32): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  const c = v128.load(from, 32);
  const d = v128.load(from, 48);
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(half, c);
  v128.store(half, d, 16);
}

/** Sum of the four lanes, in a fixed order. */
// @ts-ignore: decorator
@inline export function sumLanes(x: v128): f32 {
  return (
    (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 2)) + (f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 3))
  );
}

/** Two of four floats as numbers of 64 bits: sums of many chunks neither cancel nor drift. */
// @ts-ignore: decorator
@inline export function lower2(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}
// @ts-ignore: decorator
@inline export function upper2(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
}
// @ts-ignore: decorator
@inline export function four(lower: v128, upper: v128): v128 {
  return v128.shuffle<i64>(v128.demote_zero<f64>(lower), v128.demote_zero<f64>(upper), 0, 2);
}

/**
 * The constants of exp4 and of the other functions that the wide binary computes in vectors of 256 bits. V8 makes a constant of 256 bits
 * anew at every use, so they come from memory.
 */
const EXP: usize = memory.data<f32>([
  -104, 89, 1.44269504088896341, 0.693359375, -2.12194440e-4, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
  4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, f32.MAX_VALUE * 2, 88.7228390,
  // 1.5 · 2^23: a sum with it is rounded to a whole number, which is in its last bits. V8 joins no vectors that `nearest` rounds.
  12582912,
  // For expNegative4: its smallest argument, and 1.5 · 2^23 + 127, with which the last bits are the exponent of a float.
  -87, 12583039,
]);
/** The exponent of 2^0 in its place. */
const BIAS: usize = memory.data<i32>([127]);

/** The i-th constant of a table in all lanes. */
// @ts-ignore: decorator
@inline export function constant(table: usize, i: usize): v128 {
  return v128.load32_splat(table + (i << 2));
}

/** 2^n for whole n in −126 … 127. */
// @ts-ignore: decorator
@inline export function pow2(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, constant(BIAS, 0)), 23);
}

/** e^x, about 1 ulp. Argument reduction and polynomial after Cephes' expf. Denormal results are kept. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  // pmax and pmin are one instruction each; max and min also check for NaN, which the last line handles.
  const clamped = f32x4.pmin(f32x4.pmax(x, constant(EXP, 0)), constant(EXP, 1));
  const rounding = constant(EXP, 14);
  const rounded = f32x4.add(f32x4.mul(clamped, constant(EXP, 2)), rounding);
  const n = f32x4.sub(rounded, rounding);
  let r = f32x4.sub(clamped, f32x4.mul(n, constant(EXP, 3)));
  r = f32x4.sub(r, f32x4.mul(n, constant(EXP, 4)));
  let p = f32x4.add(f32x4.mul(constant(EXP, 5), r), constant(EXP, 6));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP, 7));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP, 8));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP, 9));
  p = f32x4.add(f32x4.mul(p, r), constant(EXP, 10));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), constant(EXP, 11));
  p = scale4(p, i32x4.sub(rounded, rounding));
  p = v128.bitselect(constant(EXP, 12), p, f32x4.gt(x, constant(EXP, 13)));
  return v128.bitselect(x, p, f32x4.ne(x, x));
}

/** e^x for x <= 0, about 1 ulp. Below −87 it is e^−87. */
// @ts-ignore: decorator
@inline export function expNegative4(x: v128): v128 {
  const clamped = f32x4.pmax(x, constant(EXP, 15));
  const rounding = constant(EXP, 16);
  const rounded = fma(clamped, constant(EXP, 2), rounding);
  const n = f32x4.sub(rounded, rounding);
  return f32x4.mul(reducedExp4(clamped, n), i32x4.shl(rounded, 23));
}

/** e^x for x <= 0, about 1 ulp. Denormal results are kept. */
// @ts-ignore: decorator
@inline export function expDown4(x: v128): v128 {
  const clamped = f32x4.pmax(x, constant(EXP, 0));
  const rounding = constant(EXP, 14);
  const rounded = fma(clamped, constant(EXP, 2), rounding);
  const n = f32x4.sub(rounded, rounding);
  return scale4(reducedExp4(clamped, n), i32x4.sub(rounded, rounding));
}

/** e^(x − n ln 2) by a polynomial. */
// @ts-ignore: decorator
@inline function reducedExp4(x: v128, n: v128): v128 {
  let r = fnma(n, constant(EXP, 3), x);
  r = fnma(n, constant(EXP, 4), r);
  let p = fma(constant(EXP, 5), r, constant(EXP, 6));
  p = fma(p, r, constant(EXP, 7));
  p = fma(p, r, constant(EXP, 8));
  p = fma(p, r, constant(EXP, 9));
  p = fma(p, r, constant(EXP, 10));
  return f32x4.add(fma(p, f32x4.mul(r, r), r), constant(EXP, 11));
}

/** ln x, about 1 ulp. −Infinity at 0, NaN below. After Cephes' logf. */
// @ts-ignore: decorator
@inline export function log4(x: v128): v128 {
  const tiny = f32x4.lt(x, splat(1.17549435e-38));
  const scaled = v128.bitselect(f32x4.mul(x, splat(8388608.0)), x, tiny);
  let e = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_s(scaled, 23), i32x4.splat(126)));
  e = f32x4.sub(e, v128.and(tiny, splat(23.0)));
  // Mantissa in [0.5, 1)
  let m = v128.or(v128.and(scaled, i32x4.splat(0x007fffff)), splat(0.5));
  const low = f32x4.lt(m, splat(0.707106781186547524));
  e = f32x4.sub(e, v128.and(low, splat(1.0)));
  m = f32x4.sub(f32x4.add(m, v128.and(low, m)), splat(1.0));
  const z = f32x4.mul(m, m);
  let p = splat(7.0376836292e-2);
  p = f32x4.add(f32x4.mul(p, m), splat(-1.1514610310e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(1.1676998740e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(-1.2420140846e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(1.4249322787e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(-1.6668057665e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(2.0000714765e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(-2.4999993993e-1));
  p = f32x4.add(f32x4.mul(p, m), splat(3.3333331174e-1));
  let y = f32x4.mul(f32x4.mul(m, z), p);
  y = f32x4.add(y, f32x4.mul(e, splat(-2.12194440e-4)));
  y = f32x4.sub(y, f32x4.mul(z, splat(0.5)));
  y = f32x4.add(f32x4.add(m, y), f32x4.mul(e, splat(0.693359375)));
  const infinity = splat(f32.MAX_VALUE * 2);
  y = v128.bitselect(infinity, y, f32x4.eq(x, infinity));
  y = v128.bitselect(f32x4.neg(infinity), y, f32x4.eq(x, splat(0)));
  return v128.bitselect(splat(f32.NaN), y, v128.or(f32x4.lt(x, splat(0)), f32x4.ne(x, x)));
}

/** The whole n with x / 2^n in [√½, √2), for x > 0. */
// @ts-ignore: decorator
@inline function binade4(x: v128): v128 {
  const tiny = f32x4.lt(x, splat(1.17549435e-38));
  const scaled = v128.bitselect(f32x4.mul(x, splat(8388608.0)), x, tiny);
  const n = i32x4.sub(i32x4.shr_s(scaled, 23), i32x4.splat(127));
  const m = v128.or(v128.and(scaled, i32x4.splat(0x007fffff)), splat(1));
  // A comparison is −1 where it is true.
  const above = i32x4.sub(n, f32x4.ge(m, splat(1.41421356237309505)));
  return i32x4.sub(above, v128.and(tiny, i32x4.splat(23)));
}

/** x · 2^n for whole n in −252 … 254: in two factors, because 2^n alone may leave the range of normal numbers. */
// @ts-ignore: decorator
@inline export function scale4(x: v128, n: v128): v128 {
  const half = i32x4.shr_s(n, 1);
  return f32x4.mul(f32x4.mul(x, pow2(half)), pow2(i32x4.sub(n, half)));
}

/**
 * A logarithm to another base, about 2 ulp: n (high + low) + `factor` ln m for x = 2^n m. high + low is the logarithm of 2, and
 * multiples of `high` are exact. So are results for powers of two if the base is 2.
 */
// @ts-ignore: decorator
@inline export function logOf4(x: v128, high: f32, low: f32, factor: f32): v128 {
  const whole = binade4(x);
  const n = f32x4.convert_i32x4_s(whole);
  const rest = f32x4.mul(log4(scale4(x, i32x4.neg(whole))), splat(factor));
  const y = f32x4.add(f32x4.mul(n, splat(high)), f32x4.add(f32x4.mul(n, splat(low)), rest));
  // 0, infinities, NaN and what is below 0
  const ordinary = v128.and(f32x4.gt(x, splat(0)), f32x4.lt(x, splat(f32.MAX_VALUE * 2)));
  return v128.all_true<i32>(ordinary) ? y : v128.bitselect(y, log4(x), ordinary);
}

/** max(x, 0); NaN stays NaN. */
// @ts-ignore: decorator
@inline export function relu4(x: v128): v128 {
  return v128.andnot(x, f32x4.lt(x, splat(0)));
}

/** s^−¾ for s >= 1. */
// @ts-ignore: decorator
@inline export function powNegThreeQuarters(s: v128): v128 {
  const root = f32x4.sqrt(s);
  return f32x4.div(splat(1), f32x4.mul(root, f32x4.sqrt(root)));
}

/** s^−beta for s >= 1. The common 0.75 needs only roots. */
// @ts-ignore: decorator
@inline export function powNeg4(s: v128, beta: f32): v128 {
  if (beta == 0.75) return powNegThreeQuarters(s);
  return exp4(f32x4.mul(splat(-beta), log4(s)));
}

/**
 * ln(1 + x), about 2 ulp, also near 0: ln u · x / (u − 1) with u = 1 + x rounded, whose errors cancel.
 * Source: W. Kahan; HP-15C Advanced Functions Handbook, 1982, appendix.
 */
export function log1p4(x: v128): v128 {
  const u = f32x4.add(splat(1), x);
  const y = f32x4.mul(log4(u), f32x4.div(x, f32x4.sub(u, splat(1))));
  const plain = v128.bitselect(u, y, f32x4.eq(u, splat(f32.MAX_VALUE * 2)));
  return v128.bitselect(x, plain, f32x4.eq(u, splat(1)));
}
