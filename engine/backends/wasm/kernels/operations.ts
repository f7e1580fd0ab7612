// The elementwise operations. An operation is a class whose method `apply` computes four elements, and a loop (loops.ts) that is exported
// under the operation's name. A new operation needs no other file of the backend: the host finds loops by their names. Where one loop
// does not serve all dtypes, a name ends in the dtype of the last operand, or in that and the dtype of the result.
import { binary, ternary, unary, wideBinary, wideTernary, wideUnary } from "./loops";
import { constant, exp4, expDown4, fma, log1p4, log4, logOf4, pow2, relu4, scale4, splat } from "./simd";

// One operand.

class Neg { @inline apply(x: v128): v128 { return f32x4.neg(x); } }
export const OP_neg = wideUnary<Neg>();

class Abs { @inline apply(x: v128): v128 { return f32x4.abs(x); } }
export const OP_abs = wideUnary<Abs>();

/** −1, 1, or x itself where it is ±0 or NaN. */
class Sign {
  @inline apply(x: v128): v128 {
    const one = v128.or(splat(1), v128.and(x, i32x4.splat(0x80000000)));
    return v128.bitselect(one, x, v128.or(f32x4.lt(x, splat(0)), f32x4.gt(x, splat(0))));
  }
}
export const OP_sign = unary<Sign>();

class Floor { @inline apply(x: v128): v128 { return f32x4.floor(x); } }
export const OP_floor = unary<Floor>();

class Ceil { @inline apply(x: v128): v128 { return f32x4.ceil(x); } }
export const OP_ceil = unary<Ceil>();

class Round { @inline apply(x: v128): v128 { return f32x4.nearest(x); } }
export const OP_round = unary<Round>();

class Trunc { @inline apply(x: v128): v128 { return f32x4.trunc(x); } }
export const OP_trunc = unary<Trunc>();

class Sqrt { @inline apply(x: v128): v128 { return f32x4.sqrt(x); } }
export const OP_sqrt = wideUnary<Sqrt>();

class Relu { @inline apply(x: v128): v128 { return relu4(x); } }
export const OP_relu = wideUnary<Relu>();

class Exp { @inline apply(x: v128): v128 { return exp4(x); } }
export const OP_exp = wideUnary<Exp>();

/** 2^x, about 1 ulp, exact for whole x. Denormal results are kept. */
class Exp2 {
  apply(x: v128): v128 {
    const clamped = f32x4.pmin(f32x4.pmax(x, splat(-151)), splat(129));
    const n = f32x4.nearest(clamped);
    const rest = exp4(f32x4.mul(f32x4.sub(clamped, n), splat(0.693147180559945309)));
    return v128.bitselect(x, scale4(rest, i32x4.trunc_sat_f32x4_s(n)), f32x4.ne(x, x));
  }
}
export const OP_exp2 = unary<Exp2>();

/** e^x − 1, about 2 ulp, also near 0. */
class Expm1 {
  apply(x: v128): v128 {
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
}
export const OP_expm1 = unary<Expm1>();

class Log { @inline apply(x: v128): v128 { return log4(x); } }
export const OP_log = unary<Log>();

class Log2 { apply(x: v128): v128 { return logOf4(x, 1, 0, 1.44269504088896341); } }
export const OP_log2 = unary<Log2>();

class Log10 { apply(x: v128): v128 { return logOf4(x, 0.30078125, 2.48745663981195214e-4, 0.434294481903251828); } }
export const OP_log10 = unary<Log10>();

class Log1p { @inline apply(x: v128): v128 { return log1p4(x); } }
export const OP_log1p = unary<Log1p>();

/** The sign of a float. */
const SIGN: usize = memory.data<u32>([0x80000000]);

/** Constants of tanh. */
const TANH: usize = memory.data<f32>([
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1, 1, 2, 0.625,
]);

/** tanh x: a polynomial near 0 (Cephes' tanhf), else through e^2|x|. */
class Tanh {
  @inline apply(x: v128): v128 {
    const a = f32x4.abs(x);
    const z = f32x4.mul(x, x);
    let p = constant(TANH, 0);
    p = f32x4.add(f32x4.mul(p, z), constant(TANH, 1));
    p = f32x4.add(f32x4.mul(p, z), constant(TANH, 2));
    p = f32x4.add(f32x4.mul(p, z), constant(TANH, 3));
    p = f32x4.add(f32x4.mul(p, z), constant(TANH, 4));
    const near = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x);
    const e = exp4(f32x4.add(a, a));
    const far = f32x4.sub(constant(TANH, 5), f32x4.div(constant(TANH, 6), f32x4.add(e, constant(TANH, 5))));
    const y = v128.bitselect(near, far, f32x4.lt(a, constant(TANH, 7)));
    return v128.or(y, v128.and(x, constant(SIGN, 0)));
  }
}
export const OP_tanh = wideUnary<Tanh>();

/** (e^x ± e^−x) / 2 for x >= 0, the sign that of `other`. Beyond 88 e^x would overflow before the result does. */
// @ts-ignore: decorator
@inline function hyperbolic(x: v128, other: f32): v128 {
  const e = exp4(x);
  const y = f32x4.add(f32x4.mul(e, splat(0.5)), f32x4.div(splat(other), e));
  const far = f32x4.gt(x, splat(88));
  if (!v128.any_true(far)) return y;
  const root = exp4(f32x4.mul(x, splat(0.5)));
  return v128.bitselect(f32x4.mul(root, f32x4.mul(root, splat(0.5))), y, far);
}

/** sinh x, about 2 ulp: its series up to 1, else through e^|x|. */
class Sinh {
  apply(x: v128): v128 {
    const a = f32x4.abs(x);
    const z = f32x4.mul(x, x);
    let p = splat(2.7557319223985893e-6);
    p = f32x4.add(f32x4.mul(p, z), splat(1.984126984126984e-4));
    p = f32x4.add(f32x4.mul(p, z), splat(8.333333333333333e-3));
    p = f32x4.add(f32x4.mul(p, z), splat(0.16666666666666667));
    const near = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x);
    const far = v128.or(hyperbolic(a, -0.5), v128.and(x, i32x4.splat(0x80000000)));
    return v128.bitselect(near, far, f32x4.lt(a, splat(1)));
  }
}
export const OP_sinh = unary<Sinh>();

class Cosh { apply(x: v128): v128 { return hyperbolic(f32x4.abs(x), 0.5); } }
export const OP_cosh = unary<Cosh>();

/** Constants of the sigmoid. */
const SIGMOID: usize = memory.data<f32>([1, 0]);

/** 1 / (1 + e^−x). It uses e^−|x|, which does not overflow, so small results are not flushed to 0. */
class Sigmoid {
  @inline apply(x: v128): v128 {
    const e = exp4(f32x4.neg(f32x4.abs(x)));
    const one = constant(SIGMOID, 0);
    return f32x4.div(v128.bitselect(e, one, f32x4.lt(x, constant(SIGMOID, 1))), f32x4.add(e, one));
  }
}
export const OP_sigmoid = wideUnary<Sigmoid>();

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

class Sin { apply(x: v128): v128 { return v128.bitselect(x, circular(x, 0), f32x4.eq(x, splat(0))); } }
export const OP_sin = unary<Sin>();

class Cos { apply(x: v128): v128 { return circular(x, 1); } }
export const OP_cos = unary<Cos>();

/** Constants of erf. */
const ERF: usize = memory.data<f32>([
  7.853861353153693e-5, -8.010193625184903e-4, 5.188327685732524e-3, -2.685381193529856e-2, 1.128358514861418e-1,
  -3.761262582423300e-1, 1.128379165726710, 1, 2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1,
  -5.824733027278666e-1, 6.210004621745983e-1, -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1,
  5.638259427386472e-1, 4,
]);

/** The error function, about 2 ulp: polynomials of Cephes' erff up to 1, of its erfcf beyond. */
class Erf {
  @inline apply(x: v128): v128 {
    const z = f32x4.mul(x, x);
    let t = constant(ERF, 0);
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 1));
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 2));
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 3));
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 4));
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 5));
    t = f32x4.add(f32x4.mul(t, z), constant(ERF, 6));
    const near = f32x4.mul(x, t);
    const a = f32x4.abs(x);
    const q = f32x4.div(constant(ERF, 7), a);
    const y = f32x4.mul(q, q);
    let p = constant(ERF, 8);
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 9));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 10));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 11));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 12));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 13));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 14));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 15));
    p = f32x4.add(f32x4.mul(p, y), constant(ERF, 16));
    const tail = f32x4.mul(f32x4.mul(exp4(f32x4.neg(z)), q), p);
    // Beyond 4 the tail is less than half a unit in the last place of 1.
    const far = v128.bitselect(constant(ERF, 7), f32x4.sub(constant(ERF, 7), tail), f32x4.gt(a, constant(ERF, 17)));
    const signed = v128.or(far, v128.and(x, constant(SIGN, 0)));
    const result = v128.bitselect(near, signed, f32x4.lt(a, constant(ERF, 7)));
    return v128.bitselect(x, result, f32x4.ne(x, x));
  }
}
export const OP_erf = wideUnary<Erf>();

/** The bits of a float without the last 12. */
const UPPER_BITS: usize = memory.data<u32>([0xfffff000]);

/** Constants of erfc. */
const ERFC: usize = memory.data<f32>([
  16, 2, 1, 0.4, -0.029217302577308146, 0.14045817186161003, -0.23555301856310962, 0.13759388203591527,
  -0.04692030355543331, 0.08392870202000502, 0.11900452722781307, 0.17173997649589923, 0.20761366127817266,
  0.22567586280316765, 0.22567583479155576, 0,
]);

/**
 * 1 − erf x: e^−x² t p(t) for x >= 0, with t = 1 / (1 + 0.4 x) and a polynomial of relative error 6e-9. The rounding error of x²
 * would be an error of x² / 2 ulp, so a factor corrects it. The result has about 4 ulp.
 */
class Erfc {
  @inline apply(x: v128): v128 {
    // Beyond 16 the result is 0. An infinity minus itself would be NaN.
    const a = f32x4.min(f32x4.abs(x), constant(ERFC, 0));
    const z = f32x4.mul(a, a);
    // The products of two halves of 12 bits are exact.
    const high = v128.and(a, constant(UPPER_BITS, 0));
    const low = f32x4.sub(a, high);
    const cross = f32x4.mul(f32x4.mul(high, constant(ERFC, 1)), low);
    const rest = f32x4.add(f32x4.add(f32x4.sub(f32x4.mul(high, high), z), cross), f32x4.mul(low, low));
    const power = f32x4.mul(expDown4(f32x4.neg(z)), f32x4.sub(constant(ERFC, 2), rest));
    const t = f32x4.div(constant(ERFC, 2), fma(a, constant(ERFC, 3), constant(ERFC, 2)));
    let p = constant(ERFC, 4);
    p = fma(p, t, constant(ERFC, 5));
    p = fma(p, t, constant(ERFC, 6));
    p = fma(p, t, constant(ERFC, 7));
    p = fma(p, t, constant(ERFC, 8));
    p = fma(p, t, constant(ERFC, 9));
    p = fma(p, t, constant(ERFC, 10));
    p = fma(p, t, constant(ERFC, 11));
    p = fma(p, t, constant(ERFC, 12));
    p = fma(p, t, constant(ERFC, 13));
    p = fma(p, t, constant(ERFC, 14));
    const tail = f32x4.mul(power, f32x4.mul(p, t));
    return v128.bitselect(f32x4.sub(constant(ERFC, 1), tail), tail, f32x4.lt(x, constant(ERFC, 15)));
  }
}
export const OP_erfc = wideUnary<Erfc>();

/** The arc tangent of |x| <= tan(π/8), after Cephes' atanf. */
// @ts-ignore: decorator
@inline function nearAtan(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let p = splat(8.05374449538e-2);
  p = f32x4.add(f32x4.mul(p, z), splat(-1.38776856032e-1));
  p = f32x4.add(f32x4.mul(p, z), splat(1.99777106478e-1));
  p = f32x4.add(f32x4.mul(p, z), splat(-3.33329491539e-1));
  return f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x);
}

/** The arc tangent, about 2 ulp. */
class Atan {
  apply(x: v128): v128 {
    const a = f32x4.abs(x);
    const far = f32x4.gt(a, splat(2.414213562373095));
    const near = f32x4.le(a, splat(0.4142135623730950));
    const middle = f32x4.div(f32x4.sub(a, splat(1)), f32x4.add(a, splat(1)));
    const r = v128.bitselect(f32x4.div(splat(-1), a), v128.bitselect(a, middle, near), far);
    const offset = v128.bitselect(splat(1.5707963267948966), v128.andnot(splat(0.7853981633974483), near), far);
    const y = f32x4.add(offset, nearAtan(r));
    return v128.or(y, v128.and(x, i32x4.splat(0x80000000)));
  }
}
export const OP_atan = unary<Atan>();

// One operand, to another dtype.

class ToFloat { @inline apply(x: v128): v128 { return f32x4.convert_i32x4_s(x); } }
export const OP_cast_u8_f32 = unary<ToFloat, u8, f32>();
export const OP_cast_i32_f32 = unary<ToFloat, i32, f32>();

class Truncate { @inline apply(x: v128): v128 { return i32x4.trunc_sat_f32x4_s(x); } }
export const OP_cast_f32_i32 = unary<Truncate, f32, i32>();
export const OP_cast_f32_u8 = unary<Truncate, f32, u8>();

class Same { @inline apply(x: v128): v128 { return x; } }
export const OP_cast_u8_i32 = unary<Same, u8, i32>();
export const OP_cast_i32_u8 = unary<Same, i32, u8>();

// Two operands.

class Add { @inline apply(x: v128, y: v128): v128 { return f32x4.add(x, y); } }
export const OP_add = wideBinary<Add>();
class AddI32 { @inline apply(x: v128, y: v128): v128 { return i32x4.add(x, y); } }
export const OP_add_i32 = binary<AddI32, i32, i32>();

class Sub { @inline apply(x: v128, y: v128): v128 { return f32x4.sub(x, y); } }
export const OP_sub = wideBinary<Sub>();
class SubI32 { @inline apply(x: v128, y: v128): v128 { return i32x4.sub(x, y); } }
export const OP_sub_i32 = binary<SubI32, i32, i32>();

class Mul { @inline apply(x: v128, y: v128): v128 { return f32x4.mul(x, y); } }
export const OP_mul = wideBinary<Mul>();
class MulI32 { @inline apply(x: v128, y: v128): v128 { return i32x4.mul(x, y); } }
export const OP_mul_i32 = binary<MulI32, i32, i32>();

class Div { @inline apply(x: v128, y: v128): v128 { return f32x4.div(x, y); } }
export const OP_div = wideBinary<Div>();

/** x to the power y as in C. AssemblyScript follows JavaScript, which gives NaN for 1 ** NaN and (±1) ** ±Infinity. */
class Pow {
  apply(x: v128, y: v128): v128 {
    let r = f32x4.splat(NativeMathf.pow(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
    r = f32x4.replace_lane(r, 1, NativeMathf.pow(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
    r = f32x4.replace_lane(r, 2, NativeMathf.pow(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
    r = f32x4.replace_lane(r, 3, NativeMathf.pow(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
    const infinite = f32x4.eq(f32x4.abs(y), splat(f32.MAX_VALUE * 2));
    const one = v128.or(f32x4.eq(x, splat(1)), v128.and(f32x4.eq(x, splat(-1)), infinite));
    return v128.bitselect(splat(1), r, one);
  }
}
export const OP_pow = binary<Pow>();

/** x modulo y, exactly, with the sign of y. */
// @ts-ignore: decorator
@inline function remainder(x: f32, y: f32): f32 {
  const rest = NativeMathf.mod(x, y);
  return rest != 0 && rest < 0 != y < 0 ? rest + y : rest;
}

class Remainder {
  apply(x: v128, y: v128): v128 {
    let r = f32x4.splat(remainder(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
    r = f32x4.replace_lane(r, 1, remainder(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
    r = f32x4.replace_lane(r, 2, remainder(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
    return f32x4.replace_lane(r, 3, remainder(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
  }
}
export const OP_remainder = binary<Remainder>();

/** The angle of (x, y), about 2 ulp: the arc tangent of the smaller by the larger, moved to its octant. */
class Atan2 {
  apply(y: v128, x: v128): v128 {
    const a = f32x4.abs(y);
    const b = f32x4.abs(x);
    const larger = f32x4.max(a, b);
    const smaller = f32x4.min(a, b);
    // 0 / 0 counts as 0, and Infinity / Infinity as 1.
    let t = f32x4.div(smaller, larger);
    t = v128.bitselect(smaller, t, f32x4.eq(larger, splat(0)));
    t = v128.bitselect(splat(1), t, f32x4.eq(smaller, splat(f32.MAX_VALUE * 2)));
    const near = f32x4.le(t, splat(0.4142135623730950));
    const middle = f32x4.div(f32x4.sub(t, splat(1)), f32x4.add(t, splat(1)));
    let r = f32x4.add(v128.andnot(splat(0.7853981633974483), near), nearAtan(v128.bitselect(t, middle, near)));
    r = v128.bitselect(f32x4.sub(splat(1.5707963267948966), r), r, f32x4.gt(a, b));
    r = v128.bitselect(f32x4.sub(splat(3.141592653589793), r), r, i32x4.lt_s(x, i32x4.splat(0)));
    const nan = v128.or(f32x4.ne(x, x), f32x4.ne(y, y));
    return v128.bitselect(f32x4.add(x, y), v128.or(r, v128.and(y, i32x4.splat(0x80000000))), nan);
  }
}
export const OP_atan2 = binary<Atan2>();

class Maximum { @inline apply(x: v128, y: v128): v128 { return f32x4.max(x, y); } }
export const OP_maximum = wideBinary<Maximum>();
class MaximumI32 { @inline apply(x: v128, y: v128): v128 { return i32x4.max_s(x, y); } }
export const OP_maximum_i32 = binary<MaximumI32, i32, i32>();

class Minimum { @inline apply(x: v128, y: v128): v128 { return f32x4.min(x, y); } }
export const OP_minimum = wideBinary<Minimum>();
class MinimumI32 { @inline apply(x: v128, y: v128): v128 { return i32x4.min_s(x, y); } }
export const OP_minimum_i32 = binary<MinimumI32, i32, i32>();

/** dy where the result y of relu is positive, else 0. */
class ReluGrad { @inline apply(dy: v128, y: v128): v128 { return v128.and(dy, f32x4.gt(y, splat(0))); } }
export const OP_reluGrad = wideBinary<ReluGrad>();

/** The derivative of y, the sigmoid of x: y (1 − y), but y e^−x / (1 + e^−x) for x > 2, where 1 − y loses its digits. */
class SigmoidSlope {
  apply(y: v128, x: v128): v128 {
    const near = f32x4.mul(y, f32x4.sub(splat(1), y));
    const far = f32x4.gt(x, splat(2));
    if (!v128.any_true(far)) return near;
    const e = exp4(f32x4.neg(x));
    return v128.bitselect(f32x4.mul(y, f32x4.div(e, f32x4.add(e, splat(1)))), near, far);
  }
}
export const OP_sigmoidSlope = binary<SigmoidSlope>();

// Two operands, to bytes: 1 is true.

/** 1 where the mask is set, else 0. */
// @ts-ignore: decorator
@inline function one(mask: v128): v128 {
  return v128.and(mask, i32x4.splat(1));
}

/** A mask: set where the element is not 0. */
// @ts-ignore: decorator
@inline function isTrue(x: v128): v128 {
  return i32x4.ne(x, i32x4.splat(0));
}

class Equal { @inline apply(x: v128, y: v128): v128 { return one(f32x4.eq(x, y)); } }
export const OP_equal = binary<Equal, f32, u8>();
class EqualI32 { @inline apply(x: v128, y: v128): v128 { return one(i32x4.eq(x, y)); } }
export const OP_equal_i32 = binary<EqualI32, i32, u8>();

class Less { @inline apply(x: v128, y: v128): v128 { return one(f32x4.lt(x, y)); } }
export const OP_less = binary<Less, f32, u8>();
class LessI32 { @inline apply(x: v128, y: v128): v128 { return one(i32x4.lt_s(x, y)); } }
export const OP_less_i32 = binary<LessI32, i32, u8>();

class LessEqual { @inline apply(x: v128, y: v128): v128 { return one(f32x4.le(x, y)); } }
export const OP_lessEqual = binary<LessEqual, f32, u8>();
class LessEqualI32 { @inline apply(x: v128, y: v128): v128 { return one(i32x4.le_s(x, y)); } }
export const OP_lessEqual_i32 = binary<LessEqualI32, i32, u8>();

class And { @inline apply(x: v128, y: v128): v128 { return one(v128.and(isTrue(x), isTrue(y))); } }
export const OP_and = binary<And, u8, u8>();

class Or { @inline apply(x: v128, y: v128): v128 { return one(isTrue(v128.or(x, y))); } }
export const OP_or = binary<Or, u8, u8>();

class Xor { @inline apply(x: v128, y: v128): v128 { return one(v128.xor(isTrue(x), isTrue(y))); } }
export const OP_xor = binary<Xor, u8, u8>();

// Bytes that choose between two operands.

class Where { @inline apply(condition: v128, x: v128, y: v128): v128 { return v128.bitselect(x, y, isTrue(condition)); } }
export const OP_where = ternary<Where, f32>();
export const OP_where_u8 = ternary<Where, u8>();

// Comparisons of floats whose results are masks of 32 bits, and the choice by a mask: inside chains. V8 joins no vectors that are made
// narrower or wider.

class EqualMask { @inline apply(x: v128, y: v128): v128 { return f32x4.eq(x, y); } }
export const OP_equal_mask = wideBinary<EqualMask>();

class LessMask { @inline apply(x: v128, y: v128): v128 { return f32x4.lt(x, y); } }
export const OP_less_mask = wideBinary<LessMask>();

class LessEqualMask { @inline apply(x: v128, y: v128): v128 { return f32x4.le(x, y); } }
export const OP_lessEqual_mask = wideBinary<LessEqualMask>();

class WhereMask { @inline apply(mask: v128, x: v128, y: v128): v128 { return v128.bitselect(x, y, mask); } }
export const OP_where_mask = wideTernary<WhereMask>();
