// Batch normalization over rows of C channels. Statistics are taken chunk by chunk (two passes over a chunk that is in
// cache) and merged in the order of the chunks, so that they neither cancel nor depend on the number of threads.
import {
  BatchNorm, ChunkGradSums, ChunkMoments, MergeGradSums, MergeMoments, Normalize, NormalizeGrad,
} from "./calls.generated";
import { four, lower2, storeLanes, upper2 } from "./simd";
import { firstTask, ownScratch } from "./team";
import {
  gradFactors, gradSums, moments, normalizeGradReluRows, normalizeGradRows, normalizeRows, normalScale,
} from "./vectors/columns";
import { LANES } from "./width";

/** Means and sums of squared deviations of each chunk: partial [chunks, 2, channels]. */
// @ts-ignore: decorator
@words("*x", "*partial", "rows", "channels", "chunks")
export function chunkMoments(call: ChunkMoments, slice: i32, slices: i32): void {
  const rows = call.rows;
  const channels = call.channels;
  const chunks = call.chunks;
  const stride = <usize>channels << 2;
  const end = firstTask(chunks, slice + 1, slices);
  for (let chunk = firstTask(chunks, slice, slices); chunk < end; chunk++) {
    const begin = firstTask(rows, chunk, chunks);
    const count = firstTask(rows, chunk + 1, chunks) - begin;
    const from = call.x + <usize>begin * stride;
    const to = call.partial + <usize>(2 * chunk) * stride;
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

/** The moments of all rows from those of the chunks, in their order. */
// @ts-ignore: decorator
@words("*partial", "*mean", "*variance", "rows", "channels", "chunks")
export function mergeMoments(call: MergeMoments, slice: i32, slices: i32): void {
  const rows = call.rows;
  const channels = call.channels;
  const chunks = call.chunks;
  const stride = <usize>channels << 2;
  const groups = (channels + 3) / 4;
  const all = f64x2.splat(<f64>rows);
  const end = firstTask(groups, slice + 1, slices);
  for (let group = firstTask(groups, slice, slices); group < end; group++) {
    const offset = <usize>group << 4;
    const from = call.partial + offset;
    let mean0 = f64x2.splat(0);
    let mean1 = mean0;
    for (let chunk = 0, p = from, begin = 0; chunk < chunks; chunk++, p += 2 * stride) {
      const next = firstTask(rows, chunk + 1, chunks);
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
      const next = firstTask(rows, chunk + 1, chunks);
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
    storeLanes(call.mean + offset, four(mean0, mean1), left);
    storeLanes(call.variance + offset, four(f64x2.div(squares0, all), f64x2.div(squares1, all)), left);
  }
}

/** Bytes of the channels that whole vectors hold. */
// @ts-ignore: decorator
@inline function vectorBytes(channels: i32): usize {
  return <usize>(channels - channels % LANES) << 2;
}

/** The factors of all columns: gamma / the standard deviation. */
function fillScales(call: BatchNorm, to: usize): void {
  const channels = call.channels;
  let c = 0;
  for (; c + LANES <= channels; c += LANES) {
    const at = <usize>c << 2;
    normalScale<v128>(call.variance + at, within(call.gamma, at), call.epsilon, to + at, LANES);
  }
  for (; c < channels; c += 4) {
    const at = <usize>c << 2;
    normalScale<f32>(call.variance + at, within(call.gamma, at), call.epsilon, to + at, channels - c);
  }
}

/** y = (x − mean) · gamma / √(variance + epsilon) + beta, plus a residual (or 0), then relu. The scratch holds a row. */
// @ts-ignore: decorator
@words("...BatchNorm", "*x", "*y", "*residual", "scratch: Scratch")
export function normalize(call: Normalize, slice: i32, slices: i32): void {
  const rows = call.rows;
  const channels = call.channels;
  const stride = <usize>channels << 2;
  const begin = firstTask(rows, slice, slices);
  const count = firstTask(rows, slice + 1, slices) - begin;
  const scales = ownScratch(call.scratch);
  if (count > 0) fillScales(call, scales);
  const offset = <usize>begin * stride;
  const x = call.x + offset;
  const y = call.y + offset;
  const residual = within(call.residual, offset);
  const bytes = vectorBytes(channels);
  if (bytes > 0) {
    normalizeRows<v128>(x, y, residual, stride, count, bytes, call.mean, scales, call.beta, call.relu, LANES);
  }
  for (let c = <i32>(bytes >> 2); c < channels; c += 4) {
    const at = <usize>c << 2;
    normalizeRows<f32>(
      x + at, y + at, within(residual, at), stride, count, 16, call.mean + at, scales + at, within(call.beta, at), call.relu,
      channels - c,
    );
  }
}

/** An address in an array that may be missing (0). */
// @ts-ignore: decorator
@inline function within(array: usize, offset: usize): usize {
  return array != 0 ? array + offset : 0;
}

/**
 * Sums of dy and of dy · normalized x over each chunk: partial [chunks, 2, channels]. With relu, dy counts where the result was
 * positive.
 */
// @ts-ignore: decorator
@words("...BatchNorm", "*dy", "*x", "*partial", "chunks")
export function chunkGradSums(call: ChunkGradSums, slice: i32, slices: i32): void {
  const rows = call.rows;
  const channels = call.channels;
  const chunks = call.chunks;
  const stride = <usize>channels << 2;
  const end = firstTask(chunks, slice + 1, slices);
  for (let chunk = firstTask(chunks, slice, slices); chunk < end; chunk++) {
    const begin = firstTask(rows, chunk, chunks);
    const count = firstTask(rows, chunk + 1, chunks) - begin;
    const to = call.partial + <usize>(2 * chunk) * stride;
    let c = 0;
    for (; c + LANES <= channels; c += LANES) gradSumsAt<v128>(call, begin, count, c, to, LANES);
    for (; c < channels; c += 4) gradSumsAt<f32>(call, begin, count, c, to, channels - c);
  }
}

// @ts-ignore: decorator
@inline function gradSumsAt<T>(call: ChunkGradSums, begin: i32, count: i32, c: i32, to: usize, left: i32): void {
  const stride = <usize>call.channels << 2;
  const at = <usize>c << 2;
  const offset = <usize>begin * stride + at;
  gradSums<T>(
    call.dy + offset, call.x + offset, stride, count, call.mean + at, call.variance + at,
    within(call.gamma, at), within(call.beta, at), call.epsilon, call.relu, to + at, left,
  );
}

/** Adds the sums of the chunks. */
// @ts-ignore: decorator
@words("*partial", "*dBeta", "*dGamma", "channels", "chunks")
export function mergeGradSums(call: MergeGradSums, slice: i32, slices: i32): void {
  const channels = call.channels;
  const chunks = call.chunks;
  const stride = <usize>channels << 2;
  const groups = (channels + 3) / 4;
  const end = firstTask(groups, slice + 1, slices);
  for (let group = firstTask(groups, slice, slices); group < end; group++) {
    const offset = <usize>group << 4;
    let sum0 = f64x2.splat(0);
    let sum1 = sum0;
    let product0 = sum0;
    let product1 = sum0;
    for (let chunk = 0, p = call.partial + offset; chunk < chunks; chunk++, p += 2 * stride) {
      const sums = v128.load(p);
      const products = v128.load(p + stride);
      sum0 = f64x2.add(sum0, lower2(sums));
      sum1 = f64x2.add(sum1, upper2(sums));
      product0 = f64x2.add(product0, lower2(products));
      product1 = f64x2.add(product1, upper2(products));
    }
    storeLanes(call.dBeta + offset, four(sum0, sum1), channels - 4 * group);
    storeLanes(call.dGamma + offset, four(product0, product1), channels - 4 * group);
  }
}

/** dx from dy and the sums over all rows, with relu as in chunkGradSums. The scratch holds four rows of factors, `rowBytes` apart. */
// @ts-ignore: decorator
@words("...BatchNorm", "*dy", "*x", "*dx", "*dGamma", "*dBeta", "rowBytes", "scratch: Scratch")
export function normalizeGrad(call: NormalizeGrad, slice: i32, slices: i32): void {
  const rows = call.rows;
  const channels = call.channels;
  const begin = firstTask(rows, slice, slices);
  const count = firstTask(rows, slice + 1, slices) - begin;
  if (count <= 0) return;
  const apart = <usize>call.rowBytes;
  const factors = ownScratch(call.scratch);
  if (call.relu) fillScales(call, factors + 3 * apart);
  let c = 0;
  for (; c + LANES <= channels; c += LANES) {
    const at = <usize>c << 2;
    gradFactors<v128>(
      rows, call.variance + at, within(call.gamma, at), call.dBeta + at, call.dGamma + at, call.epsilon, factors + at, apart, LANES,
    );
  }
  gradRowsAt<v128>(call, begin, count, 0, vectorBytes(channels), factors, apart, LANES);
  for (; c < channels; c += 4) {
    const at = <usize>c << 2;
    gradFactors<f32>(
      rows, call.variance + at, within(call.gamma, at), call.dBeta + at, call.dGamma + at, call.epsilon, factors + at, apart,
      channels - c,
    );
    gradRowsAt<f32>(call, begin, count, at, 16, factors, apart, channels - c);
  }
}

// @ts-ignore: decorator
@inline function gradRowsAt<T>(
  call: NormalizeGrad, begin: i32, count: i32, at: usize, bytes: usize, factors: usize, apart: usize, left: i32,
): void {
  const stride = <usize>call.channels << 2;
  const offset = <usize>begin * stride + at;
  const g = call.dy + offset;
  const x = call.x + offset;
  const dx = call.dx + offset;
  const own = factors + at;
  if (bytes == 0) return;
  if (call.relu) {
    const beta = within(call.beta, at);
    normalizeGradReluRows<T>(g, x, dx, stride, count, bytes, call.mean + at, own, apart, own + 3 * apart, beta, left);
  } else {
    normalizeGradRows<T>(g, x, dx, stride, count, bytes, call.mean + at, own, apart, left);
  }
}
