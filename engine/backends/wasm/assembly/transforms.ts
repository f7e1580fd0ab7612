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

/**
 * Where the next of the vectors lies that are `stride` bytes apart. A known stride becomes part of the instruction; one that is
 * not is added to the place before, as multiples would be kept in registers that there are not.
 */
// @ts-ignore: decorator
@inline function next(first: usize, before: usize, index: usize, stride: usize, known: bool): usize {
  return known ? first + index * stride : before + stride;
}

// The lines go by in two passes: the columns of a tile into `half`, whose stride is known, and the rows of that.

/** One line of Bᵀ on tiles of 8. Strides in bytes. */
// @ts-ignore: decorator
@inline function inputLine8(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const d6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const d7 = v128.load(x7);
  const e1 = fma(d4, splat(-4.25), add(d2, d6));
  const o1 = fma(d3, splat(-4.25), add(d1, d5));
  const e2 = fma(d4, splat(-1.25), fma(d2, splat(0.25), d6));
  const o2 = fma(d5, splat(2), fma(d3, splat(-2.5), f32x4.mul(d1, splat(0.5))));
  const e3 = fma(d4, splat(-5), fma(d2, splat(4), d6));
  const o3 = fma(d5, splat(0.5), fma(d3, splat(-2.5), add(d1, d1)));
  v128.store(y, fma(sub(d4, d2), splat(5.25), sub(d0, d6)));
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, add(e1, o1));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, sub(e1, o1));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, add(e2, o2));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, sub(e2, o2));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, add(e3, o3));
  const y6 = next(y, y5, 6, sy, !last);
  v128.store(y6, sub(e3, o3));
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y7, fma(sub(d3, d5), splat(5.25), sub(d7, d1)));
}

/** One line of Bᵀ on tiles of 6. */
// @ts-ignore: decorator
@inline function inputLine6(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const e1 = fma(d2, splat(-4), d4);
  const o1 = fma(d1, splat(-4), d3);
  const e2 = sub(d4, d2);
  const o = sub(d3, d1);
  const o2 = add(o, o);
  v128.store(y, fma(d2, splat(-5), fma(d0, splat(4), d4)));
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, add(e1, o1));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, sub(e1, o1));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, add(e2, o2));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, sub(e2, o2));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, fma(d3, splat(-5), fma(d1, splat(4), d5)));
}

/** Stores a value of a line of Aᵀ; in the last pass with bias, and no less than `floor`: 0 for relu. */
// @ts-ignore: decorator
@inline function finish(to: usize, value: v128, last: bool, shift: v128, floor: v128): void {
  if (last) {
    // Keeps NaN, which is not below the floor.
    value = f32x4.pmax(add(value, shift), floor);
  }
  v128.store(to, value);
}

/** One line of Aᵀ: 8 -> 4. */
// @ts-ignore: decorator
@inline function outputLine84(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, fma(s3, splat(8), add(add(m0, s1), s2)), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d3, splat(4), fma(d2, splat(2), d1)), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s3, splat(2), fma(s2, splat(4), s1)), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, add(fma(d2, splat(8), add(d1, d3)), m7), last, shift, floor);
}

/** One line of Aᵀ: 8 -> 6. */
// @ts-ignore: decorator
@inline function outputLine86(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const x6 = next(x, x5, 6, sx, last);
  const m6 = v128.load(x6);
  const x7 = next(x, x6, 7, sx, last);
  const m7 = v128.load(x7);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  finish(y, fma(s3, splat(32), add(add(m0, s1), s2)), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d3, splat(16), fma(d2, splat(2), d1)), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s3, splat(8), fma(s2, splat(4), s1)), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, fma(d3, splat(4), fma(d2, splat(8), d1)), last, shift, floor);
  const y4 = next(y, y3, 4, sy, !last);
  finish(y4, fma(s3, splat(2), fma(s2, splat(16), s1)), last, shift, floor);
  const y5 = next(y, y4, 5, sy, !last);
  finish(y5, add(fma(d2, splat(32), add(d1, d3)), m7), last, shift, floor);
}

/** One line of Aᵀ: 6 -> 4. */
// @ts-ignore: decorator
@inline function outputLine64(
  x: usize,
  sx: usize,
  y: usize,
  sy: usize,
  last: bool,
  shift: v128,
  floor: v128,
): void {
  const m0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const m1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const m2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const m3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const m4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const m5 = v128.load(x5);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  finish(y, add(add(m0, s1), s2), last, shift, floor);
  const y1 = next(y, y, 1, sy, !last);
  finish(y1, fma(d2, splat(2), d1), last, shift, floor);
  const y2 = next(y, y1, 2, sy, !last);
  finish(y2, fma(s2, splat(4), s1), last, shift, floor);
  const y3 = next(y, y2, 3, sy, !last);
  finish(y3, add(fma(d2, splat(8), d1), m5), last, shift, floor);
}

/** One line of A: 4 -> 8, the adjoint of outputLine84. */
// @ts-ignore: decorator
@inline function gradLine48(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const e1 = add(d0, d2);
  const o1 = add(d1, d3);
  const e2 = fma(d2, splat(4), d0);
  const o2 = fma(d3, splat(8), add(d1, d1));
  const e3 = fma(d0, splat(8), add(d2, d2));
  const o3 = fma(d1, splat(4), d3);
  v128.store(y, d0);
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, add(e1, o1));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, sub(e1, o1));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, add(e2, o2));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, sub(e2, o2));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, add(e3, o3));
  const y6 = next(y, y5, 6, sy, !last);
  v128.store(y6, sub(e3, o3));
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y7, d3);
}

/** One line of A: 6 -> 8. */
// @ts-ignore: decorator
@inline function gradLine68(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const x4 = next(x, x3, 4, sx, last);
  const d4 = v128.load(x4);
  const x5 = next(x, x4, 5, sx, last);
  const d5 = v128.load(x5);
  const e1 = add(add(d0, d2), d4);
  const o1 = add(add(d1, d3), d5);
  const e2 = fma(d4, splat(16), fma(d2, splat(4), d0));
  const o2 = fma(d5, splat(32), fma(d3, splat(8), add(d1, d1)));
  const e3 = fma(d0, splat(32), fma(d2, splat(8), add(d4, d4)));
  const o3 = fma(d1, splat(16), fma(d3, splat(4), d5));
  v128.store(y, d0);
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, add(e1, o1));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, sub(e1, o1));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, add(e2, o2));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, sub(e2, o2));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, add(e3, o3));
  const y6 = next(y, y5, 6, sy, !last);
  v128.store(y6, sub(e3, o3));
  const y7 = next(y, y6, 7, sy, !last);
  v128.store(y7, d5);
}

/** One line of A: 4 -> 6, the adjoint of outputLine64. */
// @ts-ignore: decorator
@inline function gradLine46(x: usize, sx: usize, y: usize, sy: usize, last: bool): void {
  const d0 = v128.load(x);
  const x1 = next(x, x, 1, sx, last);
  const d1 = v128.load(x1);
  const x2 = next(x, x1, 2, sx, last);
  const d2 = v128.load(x2);
  const x3 = next(x, x2, 3, sx, last);
  const d3 = v128.load(x3);
  const e1 = add(d0, d2);
  const o1 = add(d1, d3);
  const e2 = fma(d2, splat(4), d0);
  const o2 = fma(d3, splat(8), add(d1, d1));
  v128.store(y, d0);
  const y1 = next(y, y, 1, sy, !last);
  v128.store(y1, add(e1, o1));
  const y2 = next(y, y1, 2, sy, !last);
  v128.store(y2, sub(e1, o1));
  const y3 = next(y, y2, 3, sy, !last);
  v128.store(y3, add(e2, o2));
  const y4 = next(y, y3, 4, sy, !last);
  v128.store(y4, sub(e2, o2));
  const y5 = next(y, y4, 5, sy, !last);
  v128.store(y5, d3);
}

/**
 * Bᵀ d B of one tile. Pixels of the tile are `pixel` bytes and its rows `row` bytes apart; the result (i, j) goes
 * to + (i · T + j) · step. `half` holds T² vectors.
 */
export function inputTile(from: usize, row: usize, pixel: usize, half: usize, to: usize, step: usize, size: i32): void {
  const end = from + pixel;
  if (size == 8) {
    for (; from < end; from += 16, to += 16) {
      let x = from;
      let y = to;
      for (let j: usize = 0; j < 128; j += 16, x += pixel) inputLine8(x, row, half + j, 128, false);
      for (let i: usize = 0; i < 1024; i += 128, y += step << 3) inputLine8(half + i, 16, y, step, true);
    }
  } else {
    for (; from < end; from += 16, to += 16) {
      let x = from;
      let y = to;
      for (let j: usize = 0; j < 96; j += 16, x += pixel) inputLine6(x, row, half + j, 96, false);
      for (let i: usize = 0; i < 576; i += 96, y += 6 * step) inputLine6(half + i, 16, y, step, true);
    }
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
  const floor = splat(relu ? 0 : -Infinity);
  if (size == 8) {
    if (m == 4) {
      for (let j: usize = 0; j < 128; j += 16, from += step) outputLine84(from, step << 3, half + j, 128, false, none, none);
      for (let i: usize = 0; i < 512; i += 128, y += row) outputLine84(half + i, 16, y, pixel, true, shift, floor);
    } else {
      for (let j: usize = 0; j < 128; j += 16, from += step) outputLine86(from, step << 3, half + j, 128, false, none, none);
      for (let i: usize = 0; i < 768; i += 128, y += row) outputLine86(half + i, 16, y, pixel, true, shift, floor);
    }
  } else {
    for (let j: usize = 0; j < 96; j += 16, from += step) outputLine64(from, 6 * step, half + j, 96, false, none, none);
    for (let i: usize = 0; i < 384; i += 96, y += row) outputLine64(half + i, 16, y, pixel, true, shift, floor);
  }
}

/** A dy Aᵀ of one tile, laid out like inputTile's result. */
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
  const end = from + pixel;
  for (; from < end; from += 16, to += 16) {
    let x = from;
    let y = to;
    if (size == 8) {
      if (m == 4) {
        for (let j: usize = 0; j < 64; j += 16, x += pixel) gradLine48(x, row, half + j, 64, false);
        for (let i: usize = 0; i < 512; i += 64, y += step << 3) gradLine48(half + i, 16, y, step, true);
      } else {
        for (let j: usize = 0; j < 96; j += 16, x += pixel) gradLine68(x, row, half + j, 96, false);
        for (let i: usize = 0; i < 768; i += 96, y += step << 3) gradLine68(half + i, 16, y, step, true);
      }
    } else {
      for (let j: usize = 0; j < 64; j += 16, x += pixel) gradLine46(x, row, half + j, 64, false);
      for (let i: usize = 0; i < 384; i += 64, y += 6 * step) gradLine46(half + i, 16, y, step, true);
    }
  }
}
