// Vector helpers and elementary functions on four floats. A lane never depends on its neighbours, so results do not
// depend on where an array is split.

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
/** 2^n for whole n in −126 … 127. */
// @ts-ignore: decorator
@inline function pow2(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** e^x, about 1 ulp. Argument reduction and polynomial after Cephes' expf. Denormal results are kept. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  // pmax and pmin are one instruction each; max and min also check for NaN, which the last line handles.
  const clamped = f32x4.pmin(f32x4.pmax(x, splat(-104.0)), splat(89.0));
  const n = f32x4.nearest(f32x4.mul(clamped, splat(1.44269504088896341)));
  let r = f32x4.sub(clamped, f32x4.mul(n, splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, splat(-2.12194440e-4)));
  let p = splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), splat(1.0));
  // Two factors, because 2^n alone leaves the range of normal numbers before the result does.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  p = f32x4.mul(f32x4.mul(p, pow2(half)), pow2(i32x4.sub(whole, half)));
  p = v128.bitselect(splat(f32.MAX_VALUE * 2), p, f32x4.gt(x, splat(88.7228390)));
  return v128.bitselect(x, p, f32x4.ne(x, x));
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

/** tanh x: a polynomial near 0 (Cephes' tanhf), else through e^2|x|. */
// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  const a = f32x4.abs(x);
  const z = f32x4.mul(x, x);
  let p = splat(-5.70498872745e-3);
  p = f32x4.add(f32x4.mul(p, z), splat(2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, z), splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, z), splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, z), splat(-3.33332819422e-1));
  const near = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x);
  const e = exp4(f32x4.add(a, a));
  const far = f32x4.sub(splat(1), f32x4.div(splat(2), f32x4.add(e, splat(1))));
  const y = v128.bitselect(near, far, f32x4.lt(a, splat(0.625)));
  return v128.or(y, v128.and(x, i32x4.splat(0x80000000)));
}

/** 1 / (1 + e^−x). It uses e^−|x|, which does not overflow, so small results are not flushed to 0. */
// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(x)));
  return f32x4.div(v128.bitselect(e, splat(1), f32x4.lt(x, splat(0))), f32x4.add(e, splat(1)));
}

/** The derivative of y, the sigmoid of x: y (1 − y), but y e^−x / (1 + e^−x) for x > 2, where 1 − y loses its digits. */
export function sigmoidSlope4(y: v128, x: v128): v128 {
  const near = f32x4.mul(y, f32x4.sub(splat(1), y));
  const far = f32x4.gt(x, splat(2));
  if (!v128.any_true(far)) return near;
  const e = exp4(f32x4.neg(x));
  return v128.bitselect(f32x4.mul(y, f32x4.div(e, f32x4.add(e, splat(1)))), near, far);
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

/** −1, 1, or x itself where it is ±0 or NaN. */
// @ts-ignore: decorator
@inline export function sign4(x: v128): v128 {
  const one = v128.or(splat(1), v128.and(x, i32x4.splat(0x80000000)));
  return v128.bitselect(one, x, v128.or(f32x4.lt(x, splat(0)), f32x4.gt(x, splat(0))));
}

/** e^x − 1, about 2 ulp, also near 0. */
export function expm14(x: v128): v128 {
  const clamped = f32x4.pmin(f32x4.pmax(x, splat(-30)), splat(30));
  const n = f32x4.nearest(f32x4.mul(clamped, splat(1.44269504088896341)));
  let r = f32x4.sub(clamped, f32x4.mul(n, splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, splat(-2.12194440e-4)));
  let p = splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), splat(5.0000001201e-1));
  p = f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r);
  const scale = pow2(i32x4.trunc_sat_f32x4_s(n));
  const near = f32x4.add(f32x4.mul(scale, p), f32x4.sub(scale, splat(1)));
  // Beyond 20 the 1 is less than half a unit in the last place.
  const y = v128.bitselect(exp4(x), near, f32x4.gt(x, splat(20)));
  return v128.bitselect(x, y, v128.or(f32x4.ne(x, x), f32x4.eq(x, splat(0))));
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

/** Beyond this the three parts of π/2 that are subtracted have not enough digits. */
const FAR: f32 = 8192;

/** 2/π: 64 zero bits, then the bits after the binary point. */
const TWO_OVER_PI: usize = memory.data<u64>([
  0,
  0xa2f9836e4e441529,
  0xfc2757d1f534ddc0,
  0xdb6295993c439041,
  0xfe5163abdebbc561,
]);

/**
 * x · 2/π modulo 4 as a fixed-point number with 62 bits after the point, for |x| > 8192. x is a multiple of 2^e. Bits of 2/π with a
 * weight above 2 / 2^e contribute multiples of 4 and are skipped. Source: Payne and Hanek, Radian Reduction for Trigonometric Functions, 1983.
 */
function quarterTurns(x: f32): u64 {
  const bits = reinterpret<u32>(x);
  const significand = <u64>((bits & 0x007fffff) | 0x00800000);
  const first = max(<i32>((bits >> 23) & 255) - 88, 0); // e + 62; the result of a lane with a small x is not used
  const from = TWO_OVER_PI + <usize>((first >> 6) << 3);
  const shift = <u64>(first & 63);
  // Two shifts, because a shift by 64 is a shift by 0.
  const high = (load<u64>(from) << shift) | ((load<u64>(from, 8) >> 1) >> (63 - shift));
  const low = (load<u64>(from, 8) << shift) | ((load<u64>(from, 16) >> 1) >> (63 - shift));
  const turns = significand * high + ((significand * (low >> 32)) >> 32);
  return x < 0 ? 0 - turns : turns;
}

/** The nearest whole number of quarter turns, modulo 4. */
// @ts-ignore: decorator
@inline function nearestQuarter(turns: u64): i32 {
  return <i32>((turns + (1 << 61)) >> 62);
}

/** The angle from the nearest quarter turn; NaN where x is infinite. */
// @ts-ignore: decorator
@inline function angleBeyond(turns: u64, x: f32): f32 {
  return <f32>(<f64>(<i64>(turns << 2)) * 8.515303950216386e-20) + (x - x); // π/2 · 2^−64
}

/** sin (quadrant 0) or cos (1) x, after Cephes' sinf. Large arguments are reduced lane by lane. */
// @ts-ignore: decorator
@inline function circular(x: v128, quadrant: i32): v128 {
  const n = f32x4.nearest(f32x4.mul(x, splat(0.636619772367581343)));
  let q = i32x4.trunc_sat_f32x4_s(n);
  let r = f32x4.sub(x, f32x4.mul(n, splat(1.5703125)));
  r = f32x4.sub(r, f32x4.mul(n, splat(4.837512969970703125e-4)));
  r = f32x4.sub(r, f32x4.mul(n, splat(7.54978995489188216e-8)));
  const far = f32x4.gt(f32x4.abs(x), splat(FAR));
  if (v128.any_true(far)) {
    const x0 = f32x4.extract_lane(x, 0);
    const x1 = f32x4.extract_lane(x, 1);
    const x2 = f32x4.extract_lane(x, 2);
    const x3 = f32x4.extract_lane(x, 3);
    const t0 = quarterTurns(x0);
    const t1 = quarterTurns(x1);
    const t2 = quarterTurns(x2);
    const t3 = quarterTurns(x3);
    let farQ = i32x4.splat(nearestQuarter(t0));
    farQ = i32x4.replace_lane(farQ, 1, nearestQuarter(t1));
    farQ = i32x4.replace_lane(farQ, 2, nearestQuarter(t2));
    farQ = i32x4.replace_lane(farQ, 3, nearestQuarter(t3));
    let farR = f32x4.splat(angleBeyond(t0, x0));
    farR = f32x4.replace_lane(farR, 1, angleBeyond(t1, x1));
    farR = f32x4.replace_lane(farR, 2, angleBeyond(t2, x2));
    farR = f32x4.replace_lane(farR, 3, angleBeyond(t3, x3));
    q = v128.bitselect(farQ, q, far);
    r = v128.bitselect(farR, r, far);
  }
  const z = f32x4.mul(r, r);
  let s = splat(-1.9515295891e-4);
  s = f32x4.add(f32x4.mul(s, z), splat(8.3321608736e-3));
  s = f32x4.add(f32x4.mul(s, z), splat(-1.6666654611e-1));
  s = f32x4.add(f32x4.mul(f32x4.mul(s, z), r), r);
  let c = splat(2.443315711809948e-5);
  c = f32x4.add(f32x4.mul(c, z), splat(-1.388731625493765e-3));
  c = f32x4.add(f32x4.mul(c, z), splat(4.166664568298827e-2));
  c = f32x4.sub(f32x4.mul(f32x4.mul(c, z), z), f32x4.mul(z, splat(0.5)));
  c = f32x4.add(c, splat(1));
  q = i32x4.add(q, i32x4.splat(quadrant));
  const y = v128.bitselect(c, s, i32x4.ne(v128.and(q, i32x4.splat(1)), i32x4.splat(0)));
  return v128.xor(y, i32x4.shl(v128.and(q, i32x4.splat(2)), 30));
}

export function sin4(x: v128): v128 {
  return v128.bitselect(x, circular(x, 0), f32x4.eq(x, splat(0)));
}

export function cos4(x: v128): v128 {
  return circular(x, 1);
}

/** The error function, about 2 ulp: polynomials of Cephes' erff up to 1, of its erfcf beyond. */
export function erf4(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let t = splat(7.853861353153693e-5);
  t = f32x4.add(f32x4.mul(t, z), splat(-8.010193625184903e-4));
  t = f32x4.add(f32x4.mul(t, z), splat(5.188327685732524e-3));
  t = f32x4.add(f32x4.mul(t, z), splat(-2.685381193529856e-2));
  t = f32x4.add(f32x4.mul(t, z), splat(1.128358514861418e-1));
  t = f32x4.add(f32x4.mul(t, z), splat(-3.761262582423300e-1));
  t = f32x4.add(f32x4.mul(t, z), splat(1.128379165726710));
  const near = f32x4.mul(x, t);
  const a = f32x4.abs(x);
  const q = f32x4.div(splat(1), a);
  const y = f32x4.mul(q, q);
  let p = splat(2.326819970068386e-2);
  p = f32x4.add(f32x4.mul(p, y), splat(-1.387039388740657e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(3.687424674597105e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(-5.824733027278666e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(6.210004621745983e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(-4.944515323274145e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(3.404879937665872e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(-2.741127028184656e-1));
  p = f32x4.add(f32x4.mul(p, y), splat(5.638259427386472e-1));
  const tail = f32x4.mul(f32x4.mul(exp4(f32x4.neg(z)), q), p);
  // Beyond 4 the tail is less than half a unit in the last place of 1.
  const far = v128.bitselect(splat(1), f32x4.sub(splat(1), tail), f32x4.gt(a, splat(4)));
  const signed = v128.or(far, v128.and(x, i32x4.splat(0x80000000)));
  const result = v128.bitselect(near, signed, f32x4.lt(a, splat(1)));
  return v128.bitselect(x, result, f32x4.ne(x, x));
}

/**
 * 1 − erf x: e^−x² t p(t) for x >= 0, with t = 1 / (1 + 0.4 x) and a polynomial of relative error 6e-9. The error is about 4 ulp
 * plus x² / 2 ulp from the rounding of x².
 */
export function erfc4(x: v128): v128 {
  const a = f32x4.abs(x);
  const t = f32x4.div(splat(1), f32x4.add(splat(1), f32x4.mul(a, splat(0.4))));
  let p = splat(-0.029217302577308146);
  p = f32x4.add(f32x4.mul(p, t), splat(0.14045817186161003));
  p = f32x4.add(f32x4.mul(p, t), splat(-0.23555301856310962));
  p = f32x4.add(f32x4.mul(p, t), splat(0.13759388203591527));
  p = f32x4.add(f32x4.mul(p, t), splat(-0.04692030355543331));
  p = f32x4.add(f32x4.mul(p, t), splat(0.08392870202000502));
  p = f32x4.add(f32x4.mul(p, t), splat(0.11900452722781307));
  p = f32x4.add(f32x4.mul(p, t), splat(0.17173997649589923));
  p = f32x4.add(f32x4.mul(p, t), splat(0.20761366127817266));
  p = f32x4.add(f32x4.mul(p, t), splat(0.22567586280316765));
  p = f32x4.add(f32x4.mul(p, t), splat(0.22567583479155576));
  const tail = f32x4.mul(exp4(f32x4.neg(f32x4.mul(a, a))), f32x4.mul(p, t));
  return v128.bitselect(f32x4.sub(splat(2), tail), tail, f32x4.lt(x, splat(0)));
}

/** The arc tangent, about 2 ulp: after Cephes' atanf, reduced to |x| <= tan(π/8). */
export function atan4(x: v128): v128 {
  const a = f32x4.abs(x);
  const far = f32x4.gt(a, splat(2.414213562373095));
  const near = f32x4.le(a, splat(0.4142135623730950));
  const middle = f32x4.div(f32x4.sub(a, splat(1)), f32x4.add(a, splat(1)));
  const r = v128.bitselect(f32x4.div(splat(-1), a), v128.bitselect(a, middle, near), far);
  const offset = v128.bitselect(splat(1.5707963267948966), v128.andnot(splat(0.7853981633974483), near), far);
  const z = f32x4.mul(r, r);
  let p = splat(8.05374449538e-2);
  p = f32x4.add(f32x4.mul(p, z), splat(-1.38776856032e-1));
  p = f32x4.add(f32x4.mul(p, z), splat(1.99777106478e-1));
  p = f32x4.add(f32x4.mul(p, z), splat(-3.33329491539e-1));
  const y = f32x4.add(offset, f32x4.add(f32x4.mul(f32x4.mul(p, z), r), r));
  return v128.or(y, v128.and(x, i32x4.splat(0x80000000)));
}
