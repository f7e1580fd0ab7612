// Batch normalisation over rows of C channels. Statistics are taken chunk by chunk (two passes over a chunk that is in
// cache) and merged in the order of the chunks, so that they neither cancel nor depend on the number of threads.
import { arg, ptr, real } from "./elementwise";
import { four, lower2, storeLanes, upper2 } from "./simd";
import { share } from "./team";
import { gradSums, moments, normaliseColumn, normaliseGradColumn } from "./vectors/columns";
import { LANES } from "./width";

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
    let c = 0;
    for (; c + LANES <= channels; c += LANES) {
      const offset = <usize>c << 2;
      moments<v128>(from + offset, stride, count, to + offset, LANES);
    }
    for (; c < channels; c += 4) {
      const offset = <usize>c << 2;
      moments<f32>(from + offset, stride, count, to + offset, channels - c);
    }
  }
}

// @ts-ignore: decorator
@inline function addScaled(x: v128, by: v128, sum: v128): v128 {
  return f64x2.add(sum, f64x2.mul(x, by));
}

/** The moments of all rows from those of the chunks, in their order: partial, mean, variance, rows, C, chunks */
export function mergeMoments(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 3);
  const channels = arg(a, 4);
  const chunks = arg(a, 5);
  const stride = <usize>channels << 2;
  const groups = (channels + 3) / 4;
  const all = f64x2.splat(<f64>rows);
  const end = share(groups, slice + 1, slices);
  for (let group = share(groups, slice, slices); group < end; group++) {
    const offset = <usize>group << 4;
    const from = ptr(a, 0) + offset;
    let mean0 = f64x2.splat(0);
    let mean1 = mean0;
    for (let chunk = 0, p = from, begin = 0; chunk < chunks; chunk++, p += 2 * stride) {
      const next = share(rows, chunk + 1, chunks);
      const n = f64x2.splat(<f64>(next - begin));
      const means = v128.load(p);
      mean0 = addScaled(lower2(means), n, mean0);
      mean1 = addScaled(upper2(means), n, mean1);
      begin = next;
    }
    mean0 = f64x2.div(mean0, all);
    mean1 = f64x2.div(mean1, all);
    let squares0 = f64x2.splat(0);
    let squares1 = squares0;
    for (let chunk = 0, p = from, begin = 0; chunk < chunks; chunk++, p += 2 * stride) {
      const next = share(rows, chunk + 1, chunks);
      const n = f64x2.splat(<f64>(next - begin));
      const means = v128.load(p);
      const squares = v128.load(p + stride);
      const delta0 = f64x2.sub(lower2(means), mean0);
      const delta1 = f64x2.sub(upper2(means), mean1);
      squares0 = f64x2.add(squares0, addScaled(f64x2.mul(delta0, delta0), n, lower2(squares)));
      squares1 = f64x2.add(squares1, addScaled(f64x2.mul(delta1, delta1), n, upper2(squares)));
      begin = next;
    }
    const left = channels - 4 * group;
    storeLanes(ptr(a, 1) + offset, four(mean0, mean1), left);
    storeLanes(ptr(a, 2) + offset, four(f64x2.div(squares0, all), f64x2.div(squares1, all)), left);
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
  let c = 0;
  for (; c + LANES <= channels; c += LANES) normaliseAt<v128>(a, begin, count, c, LANES);
  for (; c < channels; c += 4) normaliseAt<f32>(a, begin, count, c, channels - c);
}

// @ts-ignore: decorator
@inline function normaliseAt<T>(a: usize, begin: i32, count: i32, c: i32, left: i32): void {
  const stride = <usize>arg(a, 7) << 2;
  const at = <usize>c << 2;
  const offset = <usize>begin * stride + at;
  normaliseColumn<T>(
    ptr(a, 0) + offset, ptr(a, 1) + offset, within(ptr(a, 9), offset), stride, count,
    ptr(a, 2) + at, ptr(a, 3) + at, within(ptr(a, 4), at), within(ptr(a, 5), at), real(a, 8), arg(a, 10) != 0, left,
  );
}

/** A place in an array that may be missing (0). */
// @ts-ignore: decorator
@inline function within(array: usize, offset: usize): usize {
  return array != 0 ? array + offset : 0;
}

/**
 * Sums of g and of g · normalised x of each chunk: g, x, mean, variance, partial [chunks, 2, C], rows, C, chunks, epsilon, gamma or 0,
 * beta or 0, whether a relu followed, which g has to pass
 */
export function chunkGradSums(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 5);
  const channels = arg(a, 6);
  const chunks = arg(a, 7);
  const stride = <usize>channels << 2;
  const end = share(chunks, slice + 1, slices);
  for (let chunk = share(chunks, slice, slices); chunk < end; chunk++) {
    const begin = share(rows, chunk, chunks);
    const count = share(rows, chunk + 1, chunks) - begin;
    const to = ptr(a, 4) + <usize>(2 * chunk) * stride;
    let c = 0;
    for (; c + LANES <= channels; c += LANES) gradSumsAt<v128>(a, begin, count, c, to, LANES);
    for (; c < channels; c += 4) gradSumsAt<f32>(a, begin, count, c, to, channels - c);
  }
}

// @ts-ignore: decorator
@inline function gradSumsAt<T>(a: usize, begin: i32, count: i32, c: i32, to: usize, left: i32): void {
  const stride = <usize>arg(a, 6) << 2;
  const at = <usize>c << 2;
  const offset = <usize>begin * stride + at;
  gradSums<T>(
    ptr(a, 0) + offset, ptr(a, 1) + offset, stride, count, ptr(a, 2) + at, ptr(a, 3) + at,
    within(ptr(a, 9), at), within(ptr(a, 10), at), real(a, 8), arg(a, 11) != 0, to + at, left,
  );
}

/** Adds the sums of the chunks: partial, dBeta, dGamma, C, chunks */
export function mergeGradSums(a: usize, slice: i32, slices: i32): void {
  const channels = arg(a, 3);
  const chunks = arg(a, 4);
  const stride = <usize>channels << 2;
  const groups = (channels + 3) / 4;
  const end = share(groups, slice + 1, slices);
  for (let group = share(groups, slice, slices); group < end; group++) {
    const offset = <usize>group << 4;
    let sum0 = f64x2.splat(0);
    let sum1 = sum0;
    let product0 = sum0;
    let product1 = sum0;
    for (let chunk = 0, p = ptr(a, 0) + offset; chunk < chunks; chunk++, p += 2 * stride) {
      const sums = v128.load(p);
      const products = v128.load(p + stride);
      sum0 = f64x2.add(sum0, lower2(sums));
      sum1 = f64x2.add(sum1, upper2(sums));
      product0 = f64x2.add(product0, lower2(products));
      product1 = f64x2.add(product1, upper2(products));
    }
    storeLanes(ptr(a, 1) + offset, four(sum0, sum1), channels - 4 * group);
    storeLanes(ptr(a, 2) + offset, four(product0, product1), channels - 4 * group);
  }
}

/** dx: g, x, mean, variance, gamma or 0, dBeta, dGamma, dx, rows, C, epsilon, beta or 0, relu */
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
  let c = 0;
  for (; c + LANES <= channels; c += LANES) normaliseGradAt<v128>(a, rows, begin, count, c, LANES);
  for (; c < channels; c += 4) normaliseGradAt<f32>(a, rows, begin, count, c, channels - c);
}

// @ts-ignore: decorator
@inline function normaliseGradAt<T>(a: usize, rows: i32, begin: i32, count: i32, c: i32, left: i32): void {
  const stride = <usize>arg(a, 9) << 2;
  const at = <usize>c << 2;
  const offset = <usize>begin * stride + at;
  normaliseGradColumn<T>(
    ptr(a, 0) + offset, ptr(a, 1) + offset, ptr(a, 7) + offset, stride, count, rows,
    ptr(a, 2) + at, ptr(a, 3) + at, within(ptr(a, 4), at), within(ptr(a, 11), at), ptr(a, 5) + at, ptr(a, 6) + at,
    real(a, 10), arg(a, 12) != 0, left,
  );
}
