// The transforms of Winograd's minimal filtering, on four channels at a time: Bᵀ d B, Aᵀ M A and A dy Aᵀ for tiles of 8
// (points 0, ±1, ±2, ±½, ∞) and of 6 (0, ±1, ±2, ∞). A line is one row or column of a tile; a tile is T lines, then T more.
import { fma, splat } from "./simd";

// @ts-ignore: decorator
@inline function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

/** One line of Bᵀ on tiles of 8. Strides in bytes. */
// @ts-ignore: decorator
@inline function inputLine8(x: usize, sx: usize, y: usize, sy: usize): void {
  const d0 = v128.load(x);
  x += sx;
  const d1 = v128.load(x);
  x += sx;
  const d2 = v128.load(x);
  x += sx;
  const d3 = v128.load(x);
  x += sx;
  const d4 = v128.load(x);
  x += sx;
  const d5 = v128.load(x);
  x += sx;
  const d6 = v128.load(x);
  x += sx;
  const d7 = v128.load(x);
  const e1 = fma(d4, splat(-4.25), add(d2, d6));
  const o1 = fma(d3, splat(-4.25), add(d1, d5));
  const e2 = fma(d4, splat(-1.25), fma(d2, splat(0.25), d6));
  const o2 = fma(d5, splat(2), fma(d3, splat(-2.5), f32x4.mul(d1, splat(0.5))));
  const e3 = fma(d4, splat(-5), fma(d2, splat(4), d6));
  const o3 = fma(d5, splat(0.5), fma(d3, splat(-2.5), add(d1, d1)));
  v128.store(y, fma(sub(d4, d2), splat(5.25), sub(d0, d6)));
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, fma(sub(d3, d5), splat(5.25), sub(d7, d1)));
}

/** One line of Bᵀ on tiles of 6. */
// @ts-ignore: decorator
@inline function inputLine6(x: usize, sx: usize, y: usize, sy: usize): void {
  const d0 = v128.load(x);
  x += sx;
  const d1 = v128.load(x);
  x += sx;
  const d2 = v128.load(x);
  x += sx;
  const d3 = v128.load(x);
  x += sx;
  const d4 = v128.load(x);
  x += sx;
  const d5 = v128.load(x);
  const e1 = fma(d2, splat(-4), d4);
  const o1 = fma(d1, splat(-4), d3);
  const e2 = sub(d4, d2);
  const o = sub(d3, d1);
  const o2 = add(o, o);
  v128.store(y, fma(d2, splat(-5), fma(d0, splat(4), d4)));
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, fma(d3, splat(-5), fma(d1, splat(4), d5)));
}

/** Stores a value of a line of Aᵀ; in the last pass with bias and relu (where mask is set). */
// @ts-ignore: decorator
@inline function finish(to: usize, value: v128, last: bool, shift: v128, mask: v128): void {
  if (last) {
    value = add(value, shift);
    value = v128.andnot(value, v128.and(mask, f32x4.lt(value, splat(0))));
  }
  v128.store(to, value);
}

/** One line of Aᵀ: 8 -> 4. */
// @ts-ignore: decorator
@inline function outputs84(
  m0: v128,
  m1: v128,
  m2: v128,
  m3: v128,
  m4: v128,
  m5: v128,
  m6: v128,
  m7: v128,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, fma(s3, splat(8), add(add(m0, s1), s2)), last, shift, mask);
  y += sy;
  finish(y, fma(d3, splat(4), fma(d2, splat(2), d1)), last, shift, mask);
  y += sy;
  finish(y, fma(s3, splat(2), fma(s2, splat(4), s1)), last, shift, mask);
  y += sy;
  finish(y, add(fma(d2, splat(8), add(d1, d3)), m7), last, shift, mask);
}

// @ts-ignore: decorator
@inline function outputLine84(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  x += sx;
  const m6 = v128.load(x);
  x += sx;
  const m7 = v128.load(x);
  outputs84(m0, m1, m2, m3, m4, m5, m6, m7, y, sy, last, shift, mask);
}

/** One line of Aᵀ: 8 -> 6. */
// @ts-ignore: decorator
@inline function outputs86(
  m0: v128,
  m1: v128,
  m2: v128,
  m3: v128,
  m4: v128,
  m5: v128,
  m6: v128,
  m7: v128,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, fma(s3, splat(32), add(add(m0, s1), s2)), last, shift, mask);
  y += sy;
  finish(y, fma(d3, splat(16), fma(d2, splat(2), d1)), last, shift, mask);
  y += sy;
  finish(y, fma(s3, splat(8), fma(s2, splat(4), s1)), last, shift, mask);
  y += sy;
  finish(y, fma(d3, splat(4), fma(d2, splat(8), d1)), last, shift, mask);
  y += sy;
  finish(y, fma(s3, splat(2), fma(s2, splat(16), s1)), last, shift, mask);
  y += sy;
  finish(y, add(fma(d2, splat(32), add(d1, d3)), m7), last, shift, mask);
}

// @ts-ignore: decorator
@inline function outputLine86(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  x += sx;
  const m6 = v128.load(x);
  x += sx;
  const m7 = v128.load(x);
  outputs86(m0, m1, m2, m3, m4, m5, m6, m7, y, sy, last, shift, mask);
}

/** One line of Aᵀ: 6 -> 4. */
// @ts-ignore: decorator
@inline function outputs64(
  m0: v128,
  m1: v128,
  m2: v128,
  m3: v128,
  m4: v128,
  m5: v128,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  finish(y, add(add(m0, s1), s2), last, shift, mask);
  y += sy;
  finish(y, fma(d2, splat(2), d1), last, shift, mask);
  y += sy;
  finish(y, fma(s2, splat(4), s1), last, shift, mask);
  y += sy;
  finish(y, add(fma(d2, splat(8), d1), m5), last, shift, mask);
}

// @ts-ignore: decorator
@inline function outputLine64(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  mask: v128,
): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  outputs64(m0, m1, m2, m3, m4, m5, y, sy, last, shift, mask);
}

/** One line of A: 4 -> 8, the adjoint of outputLine84. */
// @ts-ignore: decorator
@inline function gradLine48(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  const e1 = add(x0, x2);
  const o1 = add(x1, x3);
  const e2 = fma(x2, splat(4), x0);
  const o2 = fma(x3, splat(8), add(x1, x1));
  const e3 = fma(x0, splat(8), add(x2, x2));
  const o3 = fma(x1, splat(4), x3);
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, x3);
}

/** One line of A: 6 -> 8. */
// @ts-ignore: decorator
@inline function gradLine68(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  x += sx;
  const x4 = v128.load(x);
  x += sx;
  const x5 = v128.load(x);
  const e1 = add(add(x0, x2), x4);
  const o1 = add(add(x1, x3), x5);
  const e2 = fma(x4, splat(16), fma(x2, splat(4), x0));
  const o2 = fma(x5, splat(32), fma(x3, splat(8), add(x1, x1)));
  const e3 = fma(x0, splat(32), fma(x2, splat(8), add(x4, x4)));
  const o3 = fma(x1, splat(16), fma(x3, splat(4), x5));
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, x5);
}

/** One line of A: 4 -> 6, the adjoint of outputLine64. */
// @ts-ignore: decorator
@inline function gradLine46(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  const e1 = add(x0, x2);
  const o1 = add(x1, x3);
  const e2 = fma(x2, splat(4), x0);
  const o2 = fma(x3, splat(8), add(x1, x1));
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, x3);
}

/**
 * Bᵀ d B of one tile and four channels. Pixels of the tile lie `pixel` bytes apart and its rows `row`; the result (i, j) goes
 * to + (i · T + j) · step. `half` holds T² vectors.
 */
export function inputTile(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize, size: i32): void {
  if (size == 8) {
    for (let j: usize = 0; j < 128; j += 16, from += pixel) inputLine8(from, row, half + j, 128);
    for (let i: usize = 0; i < 1024; i += 128, to += step << 3) inputLine8(half + i, 16, to, step);
  } else {
    for (let j: usize = 0; j < 96; j += 16, from += pixel) inputLine6(from, row, half + j, 96);
    for (let i: usize = 0; i < 576; i += 96, to += 6 * step) inputLine6(half + i, 16, to, step);
  }
}

/**
 * Aᵀ M A of one tile and four filters, from values `step` bytes apart to m × m pixels, plus the four values at
 * `bias` (0 for none), then relu if asked for.
 */
export function outputTile(
  from: usize,
  step: usize,
  half: usize,
  y: usize,
  row: usize,
  pixel: usize,
  size: i32,
  m: i32,
  bias: usize,
  relu: bool,
): void {
  const none = splat(0);
  const shift = bias != 0 ? v128.load(bias) : none;
  const mask = i32x4.splat(relu ? -1 : 0);
  if (size == 8) {
    if (m == 4) {
      for (let j: usize = 0; j < 128; j += 16, from += step) outputLine84(from, step << 3, half + j, 128, false, none, none);
      for (let i: usize = 0; i < 512; i += 128, y += row) outputLine84(half + i, 16, y, pixel, true, shift, mask);
    } else {
      for (let j: usize = 0; j < 128; j += 16, from += step) outputLine86(from, step << 3, half + j, 128, false, none, none);
      for (let i: usize = 0; i < 768; i += 128, y += row) outputLine86(half + i, 16, y, pixel, true, shift, mask);
    }
  } else {
    for (let j: usize = 0; j < 96; j += 16, from += step) outputLine64(from, 6 * step, half + j, 96, false, none, none);
    for (let i: usize = 0; i < 384; i += 96, y += row) outputLine64(half + i, 16, y, pixel, true, shift, mask);
  }
}

/** A dy Aᵀ of one tile and four filters, laid out like inputTile's result. */
export function gradTile(
  from: usize,
  row: usize,
  pixel: usize,
  half: usize,
  to: usize,
  step: usize,
  size: i32,
  m: i32,
): void {
  if (size == 8) {
    if (m == 4) {
      for (let j: usize = 0; j < 64; j += 16, from += pixel) gradLine48(from, row, half + j, 64);
      for (let i: usize = 0; i < 512; i += 64, to += step << 3) gradLine48(half + i, 16, to, step);
    } else {
      for (let j: usize = 0; j < 96; j += 16, from += pixel) gradLine68(from, row, half + j, 96);
      for (let i: usize = 0; i < 768; i += 96, to += step << 3) gradLine68(half + i, 16, to, step);
    }
  } else {
    for (let j: usize = 0; j < 64; j += 16, from += pixel) gradLine46(from, row, half + j, 64);
    for (let i: usize = 0; i < 384; i += 64, to += 6 * step) gradLine46(half + i, 16, to, step);
  }
}
