// Standardization of [images, positions, groups, channels of a group] over positions and a group's channels. Sums run down
// the columns first, four at a time, and a group's columns are added then: so every size of group is one kernel. Groups of one position
// (layer normalization) whose channels fill vectors are rows of contiguous floats, and have kernels of their own.
import { Standardize, StandardizeGrad } from "./calls.generated";
import { RUN, sumColumns, sumRun } from "./reduce";
import { fma, four, lower2, splat, storeLanes, upper2 } from "./simd";
import { ownScratch, firstTask } from "./team";
import { multiply, scaleDeviations, scaleGradients, squaredDeviations } from "./vectors/rows";

/** Replaces each group's column sums by their mean over `count`, and stores the means at `to` unless that is 0. */
function spreadMeans(sums: usize, groups: i32, each: i32, count: f32, to: usize): void {
  for (let group = 0; group < groups; group++, sums += <usize>each << 2) {
    const mean = sumRun(sums, each) / count;
    if (to != 0) store<f32>(to + (<usize>group << 2), mean);
    fill(sums, each, mean);
  }
}

// @ts-ignore: decorator
@inline function fill(to: usize, n: i32, value: f32): void {
  for (let i = 0; i < n; i += 4) storeLanes(to + (<usize>i << 2), splat(value), n - i);
}

/** 1 / √(variance + epsilon) of each group, for each of its columns. */
function spreadScales(variance: usize, scales: usize, groups: i32, each: i32, epsilon: f32): void {
  for (let group = 0; group < groups; group++, scales += <usize>each << 2) {
    fill(scales, each, <f32>1 / sqrt(load<f32>(variance + (<usize>group << 2)) + epsilon));
  }
}

/** Whether the groups are rows that fill vectors of every binary. */
// @ts-ignore: decorator
@inline function areRows(positions: i32, each: i32): bool {
  return positions == 1 && each % 8 == 0;
}

function standardizeRows(call: Standardize, slice: i32, slices: i32): void {
  const n = call.channels;
  const bytes = <usize>n << 2;
  const squares = ownScratch(call.scratch);
  const rows = call.images * call.groups;
  const end = firstTask(rows, slice + 1, slices);
  for (let row = firstTask(rows, slice, slices); row < end; row++) {
    const x = call.x + <usize>row * bytes;
    const at = <usize>row << 2;
    const mean = sumRun(x, n) / <f32>n;
    squaredDeviations(squares, x, bytes, mean);
    const variance = sumRun(squares, n) / <f32>n;
    store<f32>(call.mean + at, mean);
    store<f32>(call.variance + at, variance);
    scaleDeviations(call.y + <usize>row * bytes, x, bytes, mean, <f32>1 / sqrt(variance + call.epsilon));
  }
}

function standardizeRowsGrad(call: StandardizeGrad, slice: i32, slices: i32): void {
  const n = call.channels;
  const bytes = <usize>n << 2;
  const products = ownScratch(call.scratch);
  const rows = call.images * call.groups;
  const end = firstTask(rows, slice + 1, slices);
  for (let row = firstTask(rows, slice, slices); row < end; row++) {
    const offset = <usize>row * bytes;
    const dy = call.dy + offset;
    const y = call.y + offset;
    multiply(products, dy, y, bytes);
    const scale = <f32>1 / sqrt(load<f32>(call.variance + (<usize>row << 2)) + call.epsilon);
    scaleGradients(call.dx + offset, dy, y, bytes, sumRun(dy, n) / <f32>n, sumRun(products, n) / <f32>n, scale);
  }
}

/** y = (x − mean) / √(variance + epsilon) by group. The scratch holds two rows: means and scales. */
// @ts-ignore: decorator
@words(
  "*x", "*y", "*mean", "*variance", "images", "positions", "groups", "channels", "~epsilon", "rowBytes",
  "scratch: Scratch"
)
export function standardize(call: Standardize, slice: i32, slices: i32): void {
  const positions = call.positions;
  const groups = call.groups;
  const each = call.channels;
  if (areRows(positions, each)) {
    standardizeRows(call, slice, slices);
    return;
  }
  const columns = groups * each;
  const count = <f32>(positions * each);
  const row = <usize>columns << 2;
  const means = ownScratch(call.scratch);
  const scales = means + <usize>call.rowBytes;
  const images = call.images;
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    const x = call.x + <usize>(image * positions) * row;
    const y = call.y + <usize>(image * positions) * row;
    const statistics = <usize>(image * groups) << 2;
    sumColumns(x, means, positions, columns, 0, columns);
    spreadMeans(means, groups, each, count, call.mean + statistics);
    for (let c = 0; c < columns; c += 4) {
      const mean = v128.load(means + (<usize>c << 2));
      let p = x + (<usize>c << 2);
      let t0 = f64x2.splat(0), t1 = t0;
      for (let left = positions; left > 0; left -= RUN) {
        let s0 = splat(0), s1 = s0;
        let i = min(left, RUN);
        for (; i > 1; i -= 2, p += 2 * row) {
          const d0 = f32x4.sub(v128.load(p), mean);
          const d1 = f32x4.sub(v128.load(p + row), mean);
          s0 = fma(d0, d0, s0);
          s1 = fma(d1, d1, s1);
        }
        if (i > 0) {
          const d = f32x4.sub(v128.load(p), mean);
          s0 = fma(d, d, s0);
          p += row;
        }
        const s = f32x4.add(s0, s1);
        t0 = f64x2.add(t0, lower2(s));
        t1 = f64x2.add(t1, upper2(s));
      }
      storeLanes(scales + (<usize>c << 2), four(t0, t1), columns - c);
    }
    spreadMeans(scales, groups, each, count, call.variance + statistics);
    spreadScales(call.variance + statistics, scales, groups, each, call.epsilon);
    for (let i = 0; i < positions; i++) {
      const at = <usize>i * row;
      for (let c = 0; c < columns; c += 4) {
        const k = <usize>c << 2;
        const value = f32x4.sub(v128.load(x + at + k), v128.load(means + k));
        storeLanes(y + at + k, f32x4.mul(value, v128.load(scales + k)), columns - c);
      }
    }
  }
}

/**
 * dx = (dy − mean of dy − y · mean of dy · y) / √(variance + epsilon). The scratch holds three rows: means of dy, of dy · y, and
 * scales.
 */
// @ts-ignore: decorator
@words(
  "*dy", "*y", "*variance", "*dx", "images", "positions", "groups", "channels", "~epsilon", "rowBytes",
  "scratch: Scratch"
)
export function standardizeGrad(call: StandardizeGrad, slice: i32, slices: i32): void {
  const positions = call.positions;
  const groups = call.groups;
  const each = call.channels;
  if (areRows(positions, each)) {
    standardizeRowsGrad(call, slice, slices);
    return;
  }
  const columns = groups * each;
  const count = <f32>(positions * each);
  const row = <usize>columns << 2;
  const rowBytes = <usize>call.rowBytes;
  const means = ownScratch(call.scratch);
  const products = means + rowBytes;
  const scales = products + rowBytes;
  const images = call.images;
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    const base = <usize>(image * positions) * row;
    const dy = call.dy + base;
    const y = call.y + base;
    const dx = call.dx + base;
    for (let c = 0; c < columns; c += 4) {
      const k = <usize>c << 2;
      let sum0 = f64x2.splat(0), sum1 = sum0, product0 = sum0, product1 = sum0;
      for (let left = positions, at = k; left > 0; left -= RUN) {
        let sum = splat(0);
        let product = splat(0);
        for (let i = min(left, RUN); i > 0; i--, at += row) {
          const value = v128.load(dy + at);
          sum = f32x4.add(sum, value);
          product = fma(value, v128.load(y + at), product);
        }
        sum0 = f64x2.add(sum0, lower2(sum));
        sum1 = f64x2.add(sum1, upper2(sum));
        product0 = f64x2.add(product0, lower2(product));
        product1 = f64x2.add(product1, upper2(product));
      }
      storeLanes(means + k, four(sum0, sum1), columns - c);
      storeLanes(products + k, four(product0, product1), columns - c);
    }
    spreadMeans(means, groups, each, count, 0);
    spreadMeans(products, groups, each, count, 0);
    spreadScales(call.variance + (<usize>(image * groups) << 2), scales, groups, each, call.epsilon);
    for (let i = 0; i < positions; i++) {
      const at = <usize>i * row;
      for (let c = 0; c < columns; c += 4) {
        const k = <usize>c << 2;
        const rest = f32x4.sub(v128.load(dy + at + k), v128.load(means + k));
        const value = f32x4.sub(rest, f32x4.mul(v128.load(y + at + k), v128.load(products + k)));
        storeLanes(dx + at + k, f32x4.mul(value, v128.load(scales + k)), columns - c);
      }
    }
  }
}
