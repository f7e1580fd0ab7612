// Batch normalisation over rows of C channels. Statistics are taken chunk by chunk (two passes over a chunk that is in
// cache) and merged in the order of the chunks, so that they neither cancel nor depend on the number of threads.
import { arg, ptr, real } from "./elementwise";
import { fma, splat, storeLanes } from "./simd";
import { share } from "./team";

/** Means and sums of squared deviations of each chunk: x, partial [chunks, 2, C], rows, C, chunks */
export function chunkMoments(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 2);
  const channels = arg(a, 3);
  const chunks = arg(a, 4);
  const stride = <usize>channels << 2;
  const end = share(chunks, slice + 1, slices);
  for (let chunk = share(chunks, slice, slices); chunk < end; chunk++) {
    const begin = share(rows, chunk, chunks);
    const count = share(rows, chunk + 1, chunks) - begin;
    const from = ptr(a, 0) + <usize>begin * stride;
    const to = ptr(a, 1) + <usize>(2 * chunk) * stride;
    for (let c = 0; c < channels; c += 4) {
      // Four sums at a time: one alone would wait for each addition before the next.
      const column = from + (<usize>c << 2);
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
      s0 = splat(0);
      s1 = splat(0);
      s2 = splat(0);
      s3 = splat(0);
      p = column;
      r = 4;
      for (; r <= count; r += 4, p += 4 * stride) {
        const d0 = f32x4.sub(v128.load(p), mean);
        const d1 = f32x4.sub(v128.load(p + stride), mean);
        const d2 = f32x4.sub(v128.load(p + 2 * stride), mean);
        const d3 = f32x4.sub(v128.load(p + 3 * stride), mean);
        s0 = fma(d0, d0, s0);
        s1 = fma(d1, d1, s1);
        s2 = fma(d2, d2, s2);
        s3 = fma(d3, d3, s3);
      }
      for (r -= 4; r < count; r++, p += stride) {
        const d = f32x4.sub(v128.load(p), mean);
        s0 = fma(d, d, s0);
      }
      storeLanes(to + (<usize>c << 2), mean, channels - c);
      storeLanes(to + stride + (<usize>c << 2), f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), channels - c);
    }
  }
}

/** Merges the moments of the chunks (Chan's formula): partial, mean, variance, rows, C, chunks */
export function mergeMoments(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 3);
  const channels = arg(a, 4);
  const chunks = arg(a, 5);
  const end = share(channels, slice + 1, slices);
  for (let c = share(channels, slice, slices); c < end; c++) {
    let count: f64 = 0;
    let mean: f64 = 0;
    let squares: f64 = 0;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const n = <f64>(share(rows, chunk + 1, chunks) - share(rows, chunk, chunks));
      const at = ptr(a, 0) + (<usize>(2 * chunk * channels + c) << 2);
      const delta = <f64>load<f32>(at) - mean;
      const total = count + n;
      mean += (delta * n) / total;
      squares += <f64>load<f32>(at + (<usize>channels << 2)) + (delta * delta * count * n) / total;
      count = total;
    }
    store<f32>(ptr(a, 1) + (<usize>c << 2), <f32>mean);
    store<f32>(ptr(a, 2) + (<usize>c << 2), <f32>(squares / count));
  }
}

/** Rows that are walked for one group of channels after another while they are in the first-level cache. */
const BLOCK_BYTES: i32 = 12 * 1024;

// @ts-ignore: decorator
@inline function blockRows(channels: i32): i32 {
  return max(BLOCK_BYTES / (channels << 2), 1);
}

/**
 * y = (x − mean) · scale + beta, plus a residual, then relu: x, y, mean, variance, gamma or 0, beta or 0, rows, C, epsilon,
 * residual or 0, relu
 */
export function normalise(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 6);
  const end = share(rows, slice + 1, slices);
  const block = blockRows(arg(a, 7));
  for (let begin = share(rows, slice, slices); begin < end; begin += block) {
    normaliseRows(a, begin, min(block, end - begin));
  }
}

function normaliseRows(a: usize, begin: i32, count: i32): void {
  const channels = arg(a, 7);
  const epsilon = splat(real(a, 8));
  const gamma = ptr(a, 4);
  const beta = ptr(a, 5);
  const residual = ptr(a, 9);
  const mask = i32x4.splat(arg(a, 10) != 0 ? -1 : 0);
  const stride = <usize>channels << 2;
  for (let c = 0; c < channels; c += 4) {
    const offset = <usize>c << 2;
    const mean = v128.load(ptr(a, 2) + offset);
    const deviation = f32x4.sqrt(f32x4.add(v128.load(ptr(a, 3) + offset), epsilon));
    const scale = f32x4.div(gamma != 0 ? v128.load(gamma + offset) : splat(1), deviation);
    const shift = beta != 0 ? v128.load(beta + offset) : splat(0);
    let p = ptr(a, 0) + <usize>begin * stride + offset;
    let q = ptr(a, 1) + <usize>begin * stride + offset;
    const left = channels - c;
    if (residual == 0) {
      for (let r = 0; r < count; r++, p += stride, q += stride) {
        storeLanes(q, finish(fma(f32x4.sub(v128.load(p), mean), scale, shift), mask), left);
      }
    } else {
      let s = residual + <usize>begin * stride + offset;
      for (let r = 0; r < count; r++, p += stride, q += stride, s += stride) {
        const value = fma(f32x4.sub(v128.load(p), mean), scale, shift);
        storeLanes(q, finish(f32x4.add(value, v128.load(s)), mask), left);
      }
    }
  }
}

/** relu where the mask is set. */
// @ts-ignore: decorator
@inline function finish(value: v128, mask: v128): v128 {
  return v128.andnot(value, v128.and(mask, f32x4.lt(value, splat(0))));
}

/** Sums of g and of g · normalised x of each chunk: g, x, mean, variance, partial [chunks, 2, C], rows, C, chunks, epsilon */
export function chunkGradSums(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 5);
  const channels = arg(a, 6);
  const chunks = arg(a, 7);
  const epsilon = splat(real(a, 8));
  const stride = <usize>channels << 2;
  const end = share(chunks, slice + 1, slices);
  for (let chunk = share(chunks, slice, slices); chunk < end; chunk++) {
    const begin = share(rows, chunk, chunks);
    const count = share(rows, chunk + 1, chunks) - begin;
    const to = ptr(a, 4) + <usize>(2 * chunk) * stride;
    for (let c = 0; c < channels; c += 4) {
      const offset = <usize>c << 2;
      const mean = v128.load(ptr(a, 2) + offset);
      const inverse = f32x4.div(splat(1), f32x4.sqrt(f32x4.add(v128.load(ptr(a, 3) + offset), epsilon)));
      let s0 = splat(0);
      let s1 = splat(0);
      let t0 = splat(0);
      let t1 = splat(0);
      let p = ptr(a, 0) + <usize>begin * stride + offset;
      let q = ptr(a, 1) + <usize>begin * stride + offset;
      let r = 2;
      for (; r <= count; r += 2, p += 2 * stride, q += 2 * stride) {
        const g0 = v128.load(p);
        const g1 = v128.load(p + stride);
        s0 = f32x4.add(s0, g0);
        s1 = f32x4.add(s1, g1);
        t0 = fma(g0, f32x4.sub(v128.load(q), mean), t0);
        t1 = fma(g1, f32x4.sub(v128.load(q + stride), mean), t1);
      }
      if (r - 2 < count) {
        const g = v128.load(p);
        s0 = f32x4.add(s0, g);
        t0 = fma(g, f32x4.sub(v128.load(q), mean), t0);
      }
      storeLanes(to + offset, f32x4.add(s0, s1), channels - c);
      storeLanes(to + stride + offset, f32x4.mul(f32x4.add(t0, t1), inverse), channels - c);
    }
  }
}

/** Adds the sums of the chunks: partial, dBeta, dGamma, C, chunks */
export function mergeGradSums(a: usize, slice: i32, slices: i32): void {
  const channels = arg(a, 3);
  const chunks = arg(a, 4);
  const end = share(channels, slice + 1, slices);
  for (let c = share(channels, slice, slices); c < end; c++) {
    let sum: f64 = 0;
    let product: f64 = 0;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const at = ptr(a, 0) + (<usize>(2 * chunk * channels + c) << 2);
      sum += <f64>load<f32>(at);
      product += <f64>load<f32>(at + (<usize>channels << 2));
    }
    store<f32>(ptr(a, 1) + (<usize>c << 2), <f32>sum);
    store<f32>(ptr(a, 2) + (<usize>c << 2), <f32>product);
  }
}

/** dx: g, x, mean, variance, gamma or 0, dBeta, dGamma, dx, rows, C, epsilon */
export function normaliseGrad(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 8);
  const end = share(rows, slice + 1, slices);
  const block = blockRows(arg(a, 9));
  for (let begin = share(rows, slice, slices); begin < end; begin += block) {
    normaliseGradRows(a, rows, begin, min(block, end - begin));
  }
}

function normaliseGradRows(a: usize, rows: i32, begin: i32, count: i32): void {
  const channels = arg(a, 9);
  const epsilon = splat(real(a, 10));
  const gamma = ptr(a, 4);
  const stride = <usize>channels << 2;
  const share1 = splat(<f32>1 / <f32>rows);
  for (let c = 0; c < channels; c += 4) {
    const offset = <usize>c << 2;
    const mean = v128.load(ptr(a, 2) + offset);
    const inverse = f32x4.div(splat(1), f32x4.sqrt(f32x4.add(v128.load(ptr(a, 3) + offset), epsilon)));
    const scale = gamma != 0 ? f32x4.mul(v128.load(gamma + offset), inverse) : inverse;
    const sum = f32x4.mul(v128.load(ptr(a, 5) + offset), share1);
    const product = f32x4.mul(v128.load(ptr(a, 6) + offset), share1);
    const slope = f32x4.mul(inverse, product);
    let g = ptr(a, 0) + <usize>begin * stride + offset;
    let x = ptr(a, 1) + <usize>begin * stride + offset;
    let dx = ptr(a, 7) + <usize>begin * stride + offset;
    for (let r = 0; r < count; r++, g += stride, x += stride, dx += stride) {
      const centred = f32x4.sub(v128.load(x), mean);
      const d = f32x4.sub(f32x4.sub(v128.load(g), sum), f32x4.mul(centred, slope));
      storeLanes(dx, f32x4.mul(scale, d), channels - c);
    }
  }
}
