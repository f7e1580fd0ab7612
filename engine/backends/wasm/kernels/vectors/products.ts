// The micro-kernels of products: register tiles of 6 rows × 2 vectors. Every multiply-add of a convolution or a matrix product
// happens here.
import { fma } from "../simd";
import { V, ZEROS } from "../width";

/** Bytes of a row of a panel. */
const PANEL: usize = 2 * V;

/** c (MR × NR, rows ldc bytes apart) = (first ? 0 : c) + a · b over `depth` steps of packed panels. */
export function gemmTile(a: usize, b: usize, c: usize, ldc: usize, depth: i32, first: bool): void {
  const r1 = c + ldc;
  const r2 = r1 + ldc;
  const r3 = r2 + ldc;
  const r4 = r3 + ldc;
  const r5 = r4 + ldc;
  let from = first ? ZEROS : c;
  const step = first ? <usize>0 : ldc;
  let c00 = v128.load(from), c01 = v128.load(from, V);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, V);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, V);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, V);
  from += step;
  let c40 = v128.load(from), c41 = v128.load(from, V);
  from += step;
  let c50 = v128.load(from), c51 = v128.load(from, V);
  // Not unrolled: V8 keeps all accumulators in registers here, and twice the body ran at two thirds of the speed. Pointers
  // advance before they are used, which spares V8 two instructions a step, and b counts.
  const last = b + <usize>(depth - 1) * PANEL;
  a -= 24;
  b -= PANEL;
  while (b != last) {
    a += 24;
    b += PANEL;
    const b0 = v128.load(b);
    const b1 = v128.load(b, V);
    let x = v128.load32_splat(a);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(a, 16);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(a, 20);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
  }
  v128.store(c, c00); v128.store(c, c01, V);
  v128.store(r1, c10); v128.store(r1, c11, V);
  v128.store(r2, c20); v128.store(r2, c21, V);
  v128.store(r3, c30); v128.store(r3, c31, V);
  v128.store(r4, c40); v128.store(r4, c41, V);
  v128.store(r5, c50); v128.store(r5, c51, V);
}

/**
 * Adds one filter row to a tile: MR output pixels × NR filters over `run` taps. (One loop over all rows, with a wrap at the
 * end of each, ran at two thirds of the speed: its counters and pointers do not fit the registers.)
 */
export function convTile(
  p0: usize,
  p1: usize,
  p2: usize,
  p3: usize,
  p4: usize,
  p5: usize,
  run: i32,
  b: usize,
  c: usize,
  ldc: usize,
  first: bool,
): void {
  let from = first ? ZEROS : c;
  const step = first ? <usize>0 : ldc;
  let c00 = v128.load(from), c01 = v128.load(from, V);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, V);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, V);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, V);
  from += step;
  let c40 = v128.load(from), c41 = v128.load(from, V);
  from += step;
  let c50 = v128.load(from), c51 = v128.load(from, V);
  const last = b + <usize>(run - 1) * PANEL;
  p0 -= 4; p1 -= 4; p2 -= 4; p3 -= 4; p4 -= 4; p5 -= 4;
  b -= PANEL;
  while (b != last) {
    p0 += 4; p1 += 4; p2 += 4; p3 += 4; p4 += 4; p5 += 4;
    b += PANEL;
    const b0 = v128.load(b);
    const b1 = v128.load(b, V);
    let x = v128.load32_splat(p0);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(p1);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(p2);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(p3);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(p4);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(p5);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
  }
  v128.store(c, c00); v128.store(c, c01, V);
  c += ldc; v128.store(c, c10); v128.store(c, c11, V);
  c += ldc; v128.store(c, c20); v128.store(c, c21, V);
  c += ldc; v128.store(c, c30); v128.store(c, c31, V);
  c += ldc; v128.store(c, c40); v128.store(c, c41, V);
  c += ldc; v128.store(c, c50); v128.store(c, c51, V);
}

/** MR rows (tiles) × NR columns (filters): c = a · b, rows of a and c ld bytes apart, b packed. */
export function product(a: usize, lda: usize, b: usize, c: usize, ldc: usize, depth: i32): void {
  const down = lda << 1;
  const last = b + <usize>(depth - 1) * PANEL;
  a -= 4;
  b -= PANEL;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  while (b != last) {
    a += 4;
    b += PANEL;
    const b0 = v128.load(b);
    const b1 = v128.load(b, V);
    const a2 = a + down;
    const a4 = a2 + down;
    let x = v128.load32_splat(a);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(a + lda);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(a2);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(a2 + lda);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(a4);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(a4 + lda);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
  }
  v128.store(c, c00); v128.store(c, c01, V);
  c += ldc; v128.store(c, c10); v128.store(c, c11, V);
  c += ldc; v128.store(c, c20); v128.store(c, c21, V);
  c += ldc; v128.store(c, c30); v128.store(c, c31, V);
  c += ldc; v128.store(c, c40); v128.store(c, c41, V);
  c += ldc; v128.store(c, c50); v128.store(c, c51, V);
}

/** `rows` rows × NR columns of a product of depth 3: so little depth that the operand b stays in registers. */
export function productOf3(a: usize, lda: usize, b: usize, c: usize, ldc: usize, rows: i32): void {
  const b00 = v128.load(b);
  const b01 = v128.load(b, V);
  const b10 = v128.load(b, 2 * V);
  const b11 = v128.load(b, 3 * V);
  const b20 = v128.load(b, 4 * V);
  const b21 = v128.load(b, 5 * V);
  for (; rows > 0; rows--) {
    const x = v128.load32_splat(a);
    const y = v128.load32_splat(a, 4);
    const z = v128.load32_splat(a, 8);
    v128.store(c, fma(z, b20, fma(y, b10, f32x4.mul(x, b00))));
    v128.store(c, fma(z, b21, fma(y, b11, f32x4.mul(x, b01))), V);
    a += lda;
    c += ldc;
  }
}

/** Adds x ⊗ g over `count` pixels to a tile of MR taps × NR filters. */
export function weightTile(
  x: usize,
  g: usize,
  count: i32,
  xStep: usize,
  gStep: usize,
  c: usize,
  ldc: usize,
  first: bool,
): void {
  const r1 = c + ldc;
  const r2 = r1 + ldc;
  const r3 = r2 + ldc;
  const r4 = r3 + ldc;
  const r5 = r4 + ldc;
  let from = first ? ZEROS : c;
  const step = first ? <usize>0 : ldc;
  let c00 = v128.load(from), c01 = v128.load(from, V);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, V);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, V);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, V);
  from += step;
  let c40 = v128.load(from), c41 = v128.load(from, V);
  from += step;
  let c50 = v128.load(from), c51 = v128.load(from, V);
  const last = g + <usize>(count - 1) * gStep;
  x -= xStep;
  g -= gStep;
  while (g != last) {
    x += xStep;
    g += gStep;
    const b0 = v128.load(g);
    const b1 = v128.load(g, V);
    let t = v128.load32_splat(x);
    c00 = fma(t, b0, c00); c01 = fma(t, b1, c01);
    t = v128.load32_splat(x, 4);
    c10 = fma(t, b0, c10); c11 = fma(t, b1, c11);
    t = v128.load32_splat(x, 8);
    c20 = fma(t, b0, c20); c21 = fma(t, b1, c21);
    t = v128.load32_splat(x, 12);
    c30 = fma(t, b0, c30); c31 = fma(t, b1, c31);
    t = v128.load32_splat(x, 16);
    c40 = fma(t, b0, c40); c41 = fma(t, b1, c41);
    t = v128.load32_splat(x, 20);
    c50 = fma(t, b0, c50); c51 = fma(t, b1, c51);
  }
  v128.store(c, c00); v128.store(c, c01, V);
  v128.store(r1, c10); v128.store(r1, c11, V);
  v128.store(r2, c20); v128.store(r2, c21, V);
  v128.store(r3, c30); v128.store(r3, c31, V);
  v128.store(r4, c40); v128.store(r4, c41, V);
  v128.store(r5, c50); v128.store(r5, c51, V);
}

/** Adds x ⊗ g over tiles to three rows × NR columns. (Accumulators of their own for odd tiles were slower: V8 spills.) */
export function weightTileOf3(x: usize, g: usize, count: i32, lda: usize, ldb: usize, c: usize, ldc: usize, first: bool): void {
  const r1 = c + ldc;
  const r2 = r1 + ldc;
  let from = first ? ZEROS : c;
  const step = first ? <usize>0 : ldc;
  let c00 = v128.load(from), c01 = v128.load(from, V);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, V);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, V);
  for (; count > 0; count--) {
    const b0 = v128.load(g);
    const b1 = v128.load(g, V);
    let t = v128.load32_splat(x);
    c00 = fma(t, b0, c00); c01 = fma(t, b1, c01);
    t = v128.load32_splat(x, 4);
    c10 = fma(t, b0, c10); c11 = fma(t, b1, c11);
    t = v128.load32_splat(x, 8);
    c20 = fma(t, b0, c20); c21 = fma(t, b1, c21);
    x += lda;
    g += ldb;
  }
  v128.store(c, c00); v128.store(c, c01, V);
  v128.store(r1, c10); v128.store(r1, c11, V);
  v128.store(r2, c20); v128.store(r2, c21, V);
}

/** The last four rows or fewer of a product of weight gradients: a whole tile would take half as long again. */
export function weightTileOf4(x: usize, g: usize, count: i32, lda: usize, ldb: usize, c: usize, ldc: usize, first: bool): void {
  const r1 = c + ldc;
  const r2 = r1 + ldc;
  const r3 = r2 + ldc;
  let from = first ? ZEROS : c;
  const step = first ? <usize>0 : ldc;
  let c00 = v128.load(from), c01 = v128.load(from, V);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, V);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, V);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, V);
  const last = g + <usize>(count - 1) * ldb;
  x -= lda;
  g -= ldb;
  while (g != last) {
    x += lda;
    g += ldb;
    const b0 = v128.load(g);
    const b1 = v128.load(g, V);
    let t = v128.load32_splat(x);
    c00 = fma(t, b0, c00); c01 = fma(t, b1, c01);
    t = v128.load32_splat(x, 4);
    c10 = fma(t, b0, c10); c11 = fma(t, b1, c11);
    t = v128.load32_splat(x, 8);
    c20 = fma(t, b0, c20); c21 = fma(t, b1, c21);
    t = v128.load32_splat(x, 12);
    c30 = fma(t, b0, c30); c31 = fma(t, b1, c31);
  }
  v128.store(c, c00); v128.store(c, c01, V);
  v128.store(r1, c10); v128.store(r1, c11, V);
  v128.store(r2, c20); v128.store(r2, c21, V);
  v128.store(r3, c30); v128.store(r3, c31, V);
}

/** One line of a filter transform for a panel: the sum of `count` rows, `stride` bytes apart, each times a factor. */
export function filterLine(factors: usize, count: i32, from: usize, stride: usize, to: usize): void {
  let s0 = f32x4.splat(0), s1 = s0;
  for (; count > 0; count--, factors += 4, from += stride) {
    const factor = v128.load32_splat(factors);
    s0 = fma(factor, v128.load(from), s0);
    s1 = fma(factor, v128.load(from, V), s1);
  }
  v128.store(to, s0);
  v128.store(to, s1, V);
}

/**
 * Of one channel and a vector of filters: adds the sums of all chunks, T S matrices each, and leaves the transformed domain,
 * Gᵀ dU G, with r² vectors. `work` holds T S + r S vectors.
 */
export function finishTile(
  from: usize,
  frequency: usize,
  chunks: i32,
  tall: i32,
  wide: i32,
  r: i32,
  gDown: usize,
  gAcross: usize,
  work: usize,
  to: usize,
): void {
  const half = work + <usize>(tall * wide) * V;
  const chunkBytes = <usize>(tall * wide) * frequency;
  for (let at = work; at < half; at += V, from += frequency) {
    let p = from;
    let sum = v128.load(p);
    for (let chunk = 1; chunk < chunks; chunk++) {
      p += chunkBytes;
      sum = f32x4.add(sum, v128.load(p));
    }
    v128.store(at, sum);
  }
  let next = half;
  for (let y = 0; y < r; y++) {
    for (let v = 0; v < wide; v++, next += V) {
      let sum = f32x4.splat(0);
      let factor = gDown + (<usize>y << 2);
      for (let p = work + <usize>v * V; p < half; p += <usize>wide * V, factor += <usize>r << 2) {
        sum = fma(v128.load32_splat(factor), v128.load(p), sum);
      }
      v128.store(next, sum);
    }
  }
  for (let y = 0; y < r; y++) {
    for (let x = 0; x < r; x++, to += V) {
      let sum = f32x4.splat(0);
      let factor = gAcross + (<usize>x << 2);
      const row = half + <usize>(y * wide) * V;
      for (let p = row; p < row + <usize>wide * V; p += V, factor += <usize>r << 2) {
        sum = fma(v128.load32_splat(factor), v128.load(p), sum);
      }
      v128.store(to, sum);
    }
  }
}
