// Depthwise convolutions: a whole vector of channels at a time (T = v128), or what is left, four channels at most (T = f32), of which the
// first `left` are stored. `bytes` is a multiple of the vector's. Only the former are widened.
import { fma } from "../simd";
import { ZEROS } from "../width";
import { bytesOf, put, rectify } from "./columns";

/**
 * Four neighboring outputs: sums over `rows` × `columns` taps. Inputs of neighboring taps are `down` and `right` bytes apart, filters
 * `filterDown` and `filterRight`, and outputs `apart`, which see inputs `across` bytes apart. Then the bias (or 0) and the relu.
 */
export function depthwise4<T>(
  x: usize, down: usize, right: usize, across: usize, w: usize, filterDown: usize, filterRight: usize, rows: i32, columns: i32,
  y: usize, apart: usize, bias: usize, relu: bool, bytes: usize, left: i32,
): void {
  const mask = i32x4.splat(relu ? -1 : 0);
  for (const end = x + bytes; x < end; x += bytesOf<T>(), w += bytesOf<T>(), y += bytesOf<T>()) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    let line = x;
    let filters = w;
    for (let i = rows; i > 0; i--, line += down, filters += filterDown) {
      let p = line;
      let f = filters;
      for (let j = columns; j > 0; j--, p += right, f += filterRight) {
        const p1 = p + across;
        const p2 = p1 + across;
        const p3 = p2 + across;
        const t = v128.load(f);
        s0 = fma(v128.load(p), t, s0);
        s1 = fma(v128.load(p1), t, s1);
        s2 = fma(v128.load(p2), t, s2);
        s3 = fma(v128.load(p3), t, s3);
      }
    }
    const shift = v128.load(bias != 0 ? bias : ZEROS);
    if (bias != 0) bias += bytesOf<T>();
    s0 = f32x4.add(s0, shift);
    s1 = f32x4.add(s1, shift);
    s2 = f32x4.add(s2, shift);
    s3 = f32x4.add(s3, shift);
    s0 = rectify(s0, mask);
    s1 = rectify(s1, mask);
    s2 = rectify(s2, mask);
    s3 = rectify(s3, mask);
    put<T>(y, s0, left);
    put<T>(y + apart, s1, left);
    put<T>(y + 2 * apart, s2, left);
    put<T>(y + 3 * apart, s3, left);
  }
}

/** One output. */
export function depthwise1<T>(
  x: usize, down: usize, right: usize, w: usize, filterDown: usize, filterRight: usize, rows: i32, columns: i32,
  y: usize, bias: usize, relu: bool, bytes: usize, left: i32,
): void {
  const mask = i32x4.splat(relu ? -1 : 0);
  for (const end = x + bytes; x < end; x += bytesOf<T>(), w += bytesOf<T>(), y += bytesOf<T>()) {
    let s = f32x4.splat(0);
    let line = x;
    let filters = w;
    for (let i = rows; i > 0; i--, line += down, filters += filterDown) {
      let p = line;
      let f = filters;
      for (let j = columns; j > 0; j--, p += right, f += filterRight) s = fma(v128.load(p), v128.load(f), s);
    }
    s = f32x4.add(s, v128.load(bias != 0 ? bias : ZEROS));
    if (bias != 0) bias += bytesOf<T>();
    s = rectify(s, mask);
    put<T>(y, s, left);
  }
}

/** Adds x · g over `count` pixels to the sums of three neighboring taps, which are `apart` bytes apart and see inputs `right` bytes apart. */
export function tapSums3<T>(
  x: usize, right: usize, across: usize, g: usize, pixel: usize, count: i32, sums: usize, apart: usize, bytes: usize, left: i32,
): void {
  const right2 = right << 1;
  for (const end = x + bytes; x < end; x += bytesOf<T>(), g += bytesOf<T>(), sums += bytesOf<T>()) {
    let s0 = v128.load(sums);
    let s1 = v128.load(sums + apart);
    let s2 = v128.load(sums + 2 * apart);
    let p = x;
    let q = g;
    for (let i = count; i > 0; i--, p += across, q += pixel) {
      const t = v128.load(q);
      s0 = fma(v128.load(p), t, s0);
      s1 = fma(v128.load(p + right), t, s1);
      s2 = fma(v128.load(p + right2), t, s2);
    }
    put<T>(sums, s0, left);
    put<T>(sums + apart, s1, left);
    put<T>(sums + 2 * apart, s2, left);
  }
}

/** The same for one tap. */
export function tapSum<T>(
  x: usize, across: usize, g: usize, pixel: usize, count: i32, sums: usize, bytes: usize, left: i32,
): void {
  for (const end = x + bytes; x < end; x += bytesOf<T>(), g += bytesOf<T>(), sums += bytesOf<T>()) {
    let s = v128.load(sums);
    let p = x;
    let q = g;
    for (let i = count; i > 0; i--, p += across, q += pixel) s = fma(v128.load(p), v128.load(q), s);
    put<T>(sums, s, left);
  }
}
