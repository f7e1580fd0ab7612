// Reductions of [outer, n, inner]. Long sums are cut into chunks by shape, so that the number of threads changes nothing.
import { MaxOf, Sum } from "./calls.generated";
import { four, lower2, storeLanes, sumLanes, upper2 } from "./simd";
import { firstTask } from "./team";

/** Columns of one task. */
const STRIP: i32 = 256;

/** Sums over n, or over each of its chunks: x [outer, n, inner] -> y [outer, chunks, inner]. */
// @ts-ignore: decorator
@words("*x", "*y", "outer", "n", "inner", "chunks")
export function sum(call: Sum, slice: i32, slices: i32): void {
  const x = call.x;
  const y = call.y;
  const outer = call.outer;
  const n = call.n;
  const inner = call.inner;
  const chunks = call.chunks;
  const strips = (inner + STRIP - 1) / STRIP;
  const tasks = outer * chunks * strips;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const strip = task % strips;
    const part = task / strips;
    const chunk = part % chunks;
    const o = part / chunks;
    const begin = firstTask(n, chunk, chunks);
    const rows = firstTask(n, chunk + 1, chunks) - begin;
    const from = x + ((<usize>(o * n + begin) * <usize>inner) << 2);
    const to = y + ((<usize>part * <usize>inner) << 2);
    if (inner == 1) {
      store<f32>(to, sumRun(from, rows));
    } else {
      const last = min((strip + 1) * STRIP, inner);
      sumColumns(from, to, rows, inner, strip * STRIP, last);
    }
  }
}

/**
 * Elements that one accumulator adds in single precision before its sum is added in double precision. This keeps rounding
 * errors from growing with the length.
 */
export const RUN: i32 = 64;

/** The sum of n neighbours, in four vectors of partial sums. */
export function sumRun(x: usize, n: i32): f32 {
  let total: f64 = 0;
  let left = n;
  while (left >= 16) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    const run = min(left >> 4, RUN);
    for (let r = run; r > 0; r--, x += 64) {
      s0 = f32x4.add(s0, v128.load(x));
      s1 = f32x4.add(s1, v128.load(x, 16));
      s2 = f32x4.add(s2, v128.load(x, 32));
      s3 = f32x4.add(s3, v128.load(x, 48));
    }
    total += <f64>sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
    left -= run << 4;
  }
  for (; left > 0; left--, x += 4) total += <f64>load<f32>(x);
  return <f32>total;
}

/** Column sums for columns begin … end − 1 of rows of `inner` floats. */
export function sumColumns(x: usize, y: usize, rows: i32, inner: i32, begin: i32, end: i32): void {
  const stride = <usize>inner << 2;
  let c = begin;
  for (; c + 16 <= end; c += 16) {
    let t0 = f64x2.splat(0), t1 = t0, t2 = t0, t3 = t0, t4 = t0, t5 = t0, t6 = t0, t7 = t0;
    let p = x + (<usize>c << 2);
    for (let left = rows; left > 0; left -= RUN) {
      let s0 = f32x4.splat(0);
      let s1 = f32x4.splat(0);
      let s2 = f32x4.splat(0);
      let s3 = f32x4.splat(0);
      for (let r = min(left, RUN); r > 0; r--, p += stride) {
        s0 = f32x4.add(s0, v128.load(p));
        s1 = f32x4.add(s1, v128.load(p, 16));
        s2 = f32x4.add(s2, v128.load(p, 32));
        s3 = f32x4.add(s3, v128.load(p, 48));
      }
      t0 = f64x2.add(t0, lower2(s0));
      t1 = f64x2.add(t1, upper2(s0));
      t2 = f64x2.add(t2, lower2(s1));
      t3 = f64x2.add(t3, upper2(s1));
      t4 = f64x2.add(t4, lower2(s2));
      t5 = f64x2.add(t5, upper2(s2));
      t6 = f64x2.add(t6, lower2(s3));
      t7 = f64x2.add(t7, upper2(s3));
    }
    const q = y + (<usize>c << 2);
    v128.store(q, four(t0, t1));
    v128.store(q, four(t2, t3), 16);
    v128.store(q, four(t4, t5), 32);
    v128.store(q, four(t6, t7), 48);
  }
  for (; c < end; c += 4) {
    let t0 = f64x2.splat(0), t1 = t0;
    let p = x + (<usize>c << 2);
    for (let left = rows; left > 0; left -= RUN) {
      let s0 = f32x4.splat(0);
      let s1 = f32x4.splat(0);
      let r = min(left, RUN);
      for (; r > 1; r -= 2, p += 2 * stride) {
        s0 = f32x4.add(s0, v128.load(p));
        s1 = f32x4.add(s1, v128.load(p + stride));
      }
      if (r > 0) {
        s0 = f32x4.add(s0, v128.load(p));
        p += stride;
      }
      const s = f32x4.add(s0, s1);
      t0 = f64x2.add(t0, lower2(s));
      t1 = f64x2.add(t1, upper2(s));
    }
    storeLanes(y + (<usize>c << 2), four(t0, t1), end - c);
  }
}

/** The position of the first maximum, or of the first NaN, of n >= 16 neighbours. */
function firstMaximum(x: usize, n: i32): i32 {
  const last = x + (<usize>(n - 16) << 2);
  let b0 = f32x4.splat(-f32.MAX_VALUE * 2), b1 = b0, b2 = b0, b3 = b0;
  let odd = f32x4.splat(0);
  for (let i = 0; i < n; i += 16) {
    const p = min(x + (<usize>i << 2), last);
    const v0 = v128.load(p);
    const v1 = v128.load(p, 16);
    const v2 = v128.load(p, 32);
    const v3 = v128.load(p, 48);
    // pmax is one instruction; max also checks for NaN and is several.
    b0 = f32x4.pmax(b0, v0);
    b1 = f32x4.pmax(b1, v1);
    b2 = f32x4.pmax(b2, v2);
    b3 = f32x4.pmax(b3, v3);
    odd = v128.or(odd, v128.or(v128.or(f32x4.ne(v0, v0), f32x4.ne(v1, v1)), v128.or(f32x4.ne(v2, v2), f32x4.ne(v3, v3))));
  }
  const best = f32x4.pmax(f32x4.pmax(b0, b1), f32x4.pmax(b2, b3));
  const top = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  const hasNaN = v128.any_true(odd);
  const all = f32x4.splat(top);
  for (let i = 0; i < n; i += 4) {
    const from = min(i, n - 4);
    const value = v128.load(x + (<usize>from << 2));
    const found = hasNaN ? f32x4.ne(value, value) : f32x4.eq(value, all);
    if (v128.any_true(found)) return from + ctz(i32x4.bitmask(found));
  }
  return unreachable();
}

/** Maxima over n and their positions: x [outer, n, inner]. The first maximum wins; so does the first NaN. */
// @ts-ignore: decorator
@words("*x", "*y", "*positions", "outer", "n", "inner")
export function maxOf(call: MaxOf, slice: i32, slices: i32): void {
  const x = call.x;
  const y = call.y;
  const positions = call.positions;
  const n = call.n;
  const inner = call.inner;
  const cells = call.outer * inner;
  const end = firstTask(cells, slice + 1, slices);
  for (let cell = firstTask(cells, slice, slices); cell < end; cell++) {
    if (inner == 1 && n >= 16) {
      const row = x + ((<usize>cell * <usize>n) << 2);
      const first = firstMaximum(row, n);
      store<f32>(y + (<usize>cell << 2), load<f32>(row + (<usize>first << 2)));
      store<i32>(positions + (<usize>cell << 2), first);
      continue;
    }
    const o = cell / inner;
    let p = x + ((<usize>(o * n) * <usize>inner + <usize>(cell - o * inner)) << 2);
    let best = load<f32>(p);
    let where = 0;
    for (let r = 1; r < n; r++) {
      p += <usize>inner << 2;
      const value = load<f32>(p);
      if (value > best || (value != value && best == best)) {
        best = value;
        where = r;
      }
    }
    store<f32>(y + (<usize>cell << 2), best);
    store<i32>(positions + (<usize>cell << 2), where);
  }
}
