// Kernels on columns of a matrix of rows of channels: a whole vector of channels at a time (T = v128), or what is left, four channels
// at most (T = f32), of which the first `left` are stored. Only the former are widened.
import { fma, splat, storeLanes } from "../simd";
import { ONES, V, ZEROS } from "../width";

/** Stores a vector, or, of what is left, the first `left` floats. */
// @ts-ignore: decorator
@inline export function put<T>(to: usize, value: v128, left: i32): void {
  if (isVector<T>()) v128.store(to, value);
  else storeLanes(to, value, left);
}

/** Bytes of a vector, or of four channels. */
// @ts-ignore: decorator
@inline export function bytesOf<T>(): usize {
  return isVector<T>() ? V : 16;
}

/** Mean and sum of squared deviations of `count` rows: to, and a row further. */
export function moments<T>(column: usize, stride: usize, count: i32, to: usize, left: i32): void {
  // Four sums at a time: one alone would wait for each addition before the next.
  let p = column;
  let s0 = splat(0);
  let s1 = splat(0);
  let s2 = splat(0);
  let s3 = splat(0);
  let r = 4;
  for (; r <= count; r += 4, p += 4 * stride) {
    s0 = f32x4.add(s0, v128.load(p));
    s1 = f32x4.add(s1, v128.load(p + stride));
    s2 = f32x4.add(s2, v128.load(p + 2 * stride));
    s3 = f32x4.add(s3, v128.load(p + 3 * stride));
  }
  for (r -= 4; r < count; r++, p += stride) s0 = f32x4.add(s0, v128.load(p));
  const mean = f32x4.div(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), splat(<f32>count));
  let t0 = splat(0);
  let t1 = splat(0);
  let t2 = splat(0);
  let t3 = splat(0);
  p = column;
  r = 4;
  for (; r <= count; r += 4, p += 4 * stride) {
    const d0 = f32x4.sub(v128.load(p), mean);
    const d1 = f32x4.sub(v128.load(p + stride), mean);
    const d2 = f32x4.sub(v128.load(p + 2 * stride), mean);
    const d3 = f32x4.sub(v128.load(p + 3 * stride), mean);
    t0 = fma(d0, d0, t0);
    t1 = fma(d1, d1, t1);
    t2 = fma(d2, d2, t2);
    t3 = fma(d3, d3, t3);
  }
  for (r -= 4; r < count; r++, p += stride) {
    const d = f32x4.sub(v128.load(p), mean);
    t0 = fma(d, d, t0);
  }
  put<T>(to, mean, left);
  put<T>(to + stride, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)), left);
}

/** 1 / the standard deviation. */
// @ts-ignore: decorator
@inline function inverseOf(variance: usize, epsilon: f32): v128 {
  return f32x4.div(splat(1), f32x4.sqrt(f32x4.add(v128.load(variance), splat(epsilon))));
}

/** gamma / the standard deviation: what normalized values are multiplied by. */
// @ts-ignore: decorator
@inline function scaleOf(gamma: usize, variance: usize, epsilon: f32): v128 {
  const deviation = f32x4.sqrt(f32x4.add(v128.load(variance), splat(epsilon)));
  return f32x4.div(v128.load(gamma != 0 ? gamma : ONES), deviation);
}

/** The factors of a column: gamma / deviation, to `to`. Addresses of gamma or 0. */
export function normalScale<T>(variance: usize, gamma: usize, epsilon: f32, to: usize, left: i32): void {
  const scale = scaleOf(gamma, variance, epsilon);
  put<T>(to, scale, left);
}

/**
 * y = (x − mean) · scale + beta, plus a residual, then relu, row by row: what is read and written is contiguous, as fetching ahead
 * needs. `bytes` are those of whole vectors, or of four channels; rows are `stride` bytes apart. Addresses of beta and residual or 0.
 */
export function normalizeRows<T>(
  x: usize, y: usize, residual: usize, stride: usize, count: i32, bytes: usize,
  mean: usize, scale: usize, beta: usize, relu: bool, left: i32,
): void {
  const mask = i32x4.splat(relu ? -1 : 0);
  const shifts = beta != 0 ? beta : ZEROS;
  const next = beta != 0 ? bytesOf<T>() : 0;
  for (; count > 0; count--, x += stride, y += stride) {
    let shift = shifts;
    if (residual == 0) {
      for (let at: usize = 0; at < bytes; at += bytesOf<T>(), shift += next) {
        const value = fma(f32x4.sub(v128.load(x + at), v128.load(mean + at)), v128.load(scale + at), v128.load(shift));
        const result = rectify(value, mask);
        put<T>(y + at, result, left);
      }
    } else {
      for (let at: usize = 0; at < bytes; at += bytesOf<T>(), shift += next) {
        const value = fma(f32x4.sub(v128.load(x + at), v128.load(mean + at)), v128.load(scale + at), v128.load(shift));
        const total = f32x4.add(value, v128.load(residual + at));
        const result = rectify(total, mask);
        put<T>(y + at, result, left);
      }
      residual += stride;
    }
  }
}

/** relu where the mask is set. */
// @ts-ignore: decorator
@inline export function rectify(value: v128, mask: v128): v128 {
  return v128.andnot(value, v128.and(mask, f32x4.lt(value, splat(0))));
}

/** g where the relu after a normalisation passed: where (x − mean) · scale + shift is positive. */
// @ts-ignore: decorator
@inline function passed(g: v128, centred: v128, scale: v128, shift: v128): v128 {
  return v128.and(g, f32x4.gt(fma(centred, scale, shift), splat(0)));
}

/** Sums of g (where relu passed, if there is one) and of g · normalized x: to, and a row further. Addresses of gamma and beta or 0. */
export function gradSums<T>(
  g: usize, x: usize, stride: usize, count: i32, at: usize, variance: usize, gamma: usize, beta: usize,
  epsilon: f32, relu: bool, to: usize, left: i32,
): void {
  const mean = v128.load(at);
  const inverse = inverseOf(variance, epsilon);
  let s0 = splat(0);
  let s1 = splat(0);
  let t0 = splat(0);
  let t1 = splat(0);
  let r = 2;
  if (relu) {
    const scale = scaleOf(gamma, variance, epsilon);
    const shift = v128.load(beta != 0 ? beta : ZEROS);
    for (; r <= count; r += 2, g += 2 * stride, x += 2 * stride) {
      const c0 = f32x4.sub(v128.load(x), mean);
      const c1 = f32x4.sub(v128.load(x + stride), mean);
      const g0 = passed(v128.load(g), c0, scale, shift);
      const g1 = passed(v128.load(g + stride), c1, scale, shift);
      s0 = f32x4.add(s0, g0);
      s1 = f32x4.add(s1, g1);
      t0 = fma(g0, c0, t0);
      t1 = fma(g1, c1, t1);
    }
    for (r -= 2; r < count; r++) {
      const c0 = f32x4.sub(v128.load(x), mean);
      const g0 = passed(v128.load(g), c0, scale, shift);
      s0 = f32x4.add(s0, g0);
      t0 = fma(g0, c0, t0);
    }
  } else {
    for (; r <= count; r += 2, g += 2 * stride, x += 2 * stride) {
      const g0 = v128.load(g);
      const g1 = v128.load(g + stride);
      s0 = f32x4.add(s0, g0);
      s1 = f32x4.add(s1, g1);
      t0 = fma(g0, f32x4.sub(v128.load(x), mean), t0);
      t1 = fma(g1, f32x4.sub(v128.load(x + stride), mean), t1);
    }
    for (r -= 2; r < count; r++) {
      const g0 = v128.load(g);
      s0 = f32x4.add(s0, g0);
      t0 = fma(g0, f32x4.sub(v128.load(x), mean), t0);
    }
  }
  put<T>(to, f32x4.add(s0, s1), left);
  put<T>(to + stride, f32x4.mul(f32x4.add(t0, t1), inverse), left);
}

/** The factors of a column of dx: the mean of dy, that of dy · normalized x over the deviation, and gamma / deviation; each `apart` bytes further. */
export function gradFactors<T>(
  rows: i32, variance: usize, gamma: usize, sums: usize, products: usize, epsilon: f32, to: usize, apart: usize, left: i32,
): void {
  const inverse = inverseOf(variance, epsilon);
  const share = splat(<f32>1 / <f32>rows);
  const sum = f32x4.mul(v128.load(sums), share);
  const slope = f32x4.mul(inverse, f32x4.mul(v128.load(products), share));
  const scale = f32x4.mul(v128.load(gamma != 0 ? gamma : ONES), inverse);
  put<T>(to, sum, left);
  put<T>(to + apart, slope, left);
  put<T>(to + 2 * apart, scale, left);
}

/** dx of a batch normalization, row by row, from gradFactors. */
export function normalizeGradRows<T>(
  g: usize, x: usize, dx: usize, stride: usize, count: i32, bytes: usize, mean: usize, factors: usize, apart: usize, left: i32,
): void {
  for (; count > 0; count--, g += stride, x += stride, dx += stride) {
    let f = factors;
    for (let at: usize = 0; at < bytes; at += bytesOf<T>(), f += bytesOf<T>()) {
      const centred = f32x4.sub(v128.load(x + at), v128.load(mean + at));
      const d = f32x4.sub(f32x4.sub(v128.load(g + at), v128.load(f)), f32x4.mul(centred, v128.load(f + apart)));
      const result = f32x4.mul(v128.load(f + 2 * apart), d);
      put<T>(dx + at, result, left);
    }
  }
}

/** The same where relu comes after it: `forward` has the scales of normalScale, `beta` is an address or 0. */
export function normalizeGradReluRows<T>(
  g: usize, x: usize, dx: usize, stride: usize, count: i32, bytes: usize, mean: usize, factors: usize, apart: usize,
  forward: usize, beta: usize, left: i32,
): void {
  const shifts = beta != 0 ? beta : ZEROS;
  const next = beta != 0 ? bytesOf<T>() : 0;
  for (; count > 0; count--, g += stride, x += stride, dx += stride) {
    let f = factors;
    let shift = shifts;
    for (let at: usize = 0; at < bytes; at += bytesOf<T>(), f += bytesOf<T>(), shift += next) {
      const centred = f32x4.sub(v128.load(x + at), v128.load(mean + at));
      const own = passed(v128.load(g + at), centred, v128.load(forward + at), v128.load(shift));
      const d = f32x4.sub(f32x4.sub(own, v128.load(f)), f32x4.mul(centred, v128.load(f + apart)));
      const result = f32x4.mul(v128.load(f + 2 * apart), d);
      put<T>(dx + at, result, left);
    }
  }
}
