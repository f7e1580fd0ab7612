// Local response normalisation with β = ¾, on stretches of floats: whole vectors (T = v128), or what is left (T = f32).
import { fma, powNegThreeQuarters, splat } from "../simd";
import { V } from "../width";
import { put } from "./columns";

/** Bytes from one vector to the next. */
// @ts-ignore: decorator
@inline function step<T>(): usize {
  return isVector<T>() ? V : 16;
}

/**
 * Box sums along a row of pixels: sums[j] = Σ of f(x[j − radius … j + radius]), f the square or the value. Pixels lie `pixel` bytes
 * apart in both. Writes up to a vector past the end.
 */
// @ts-ignore: decorator
@inline function rowSums(x: usize, sums: usize, width: i32, pixel: usize, radius: i32, squares: bool): void {
  for (let j = 0; j < width; j++, sums += pixel) {
    const first = max(j - radius, 0);
    const count = min(j + radius + 1, width) - first;
    const from = x + <usize>first * pixel;
    for (let c: usize = 0; c < pixel; c += V) {
      let p = from + c;
      let sum = v128.load(p);
      if (squares) sum = f32x4.mul(sum, sum);
      if (count == 3) {
        // The usual case, without a loop; the same sums in the same order.
        const next = v128.load(p + pixel);
        const last = v128.load(p + (pixel << 1));
        sum = squares ? fma(last, last, fma(next, next, sum)) : f32x4.add(f32x4.add(sum, next), last);
      } else {
        for (let i = 1; i < count; i++) {
          p += pixel;
          const value = v128.load(p);
          sum = squares ? fma(value, value, sum) : f32x4.add(sum, value);
        }
      }
      v128.store(sums + c, sum);
    }
  }
}

export function rowSumsOfSquares(x: usize, sums: usize, width: i32, pixel: usize, radius: i32): void {
  rowSums(x, sums, width, pixel, radius, true);
}

export function rowSumsOfValues(x: usize, sums: usize, width: i32, pixel: usize, radius: i32): void {
  rowSums(x, sums, width, pixel, radius, false);
}

/** s = 1 + α Σ over `count` row sums, `row` bytes apart, and y = x s^−¾. */
export function lrnSpan<T>(x: usize, y: usize, s: usize, sums: usize, row: usize, count: i32, alpha: f32, bytes: usize): void {
  for (const end = x + bytes; x < end; x += step<T>(), y += step<T>(), s += step<T>(), sums += step<T>()) {
    let p = sums;
    let sum = v128.load(p);
    for (let j = 1; j < count; j++) {
      p += row;
      sum = f32x4.add(sum, v128.load(p));
    }
    const scale = fma(sum, splat(alpha), splat(1));
    const value = f32x4.mul(v128.load(x), powNegThreeQuarters(scale));
    const left = <i32>((end - x) >> 2);
    put<T>(s, scale, left);
    put<T>(y, value, left);
  }
}

/** dx = g s^−¾, from which the rest is still to be taken, and inner = dx x / s, which may be written past its end. */
export function lrnGradSpan<T>(g: usize, x: usize, s: usize, dx: usize, inner: usize, bytes: usize): void {
  for (const end = x + bytes; x < end; g += step<T>(), x += step<T>(), s += step<T>(), dx += step<T>(), inner += step<T>()) {
    const scale = v128.load(s);
    const own = f32x4.mul(v128.load(g), powNegThreeQuarters(scale));
    const product = f32x4.div(f32x4.mul(own, v128.load(x)), scale);
    put<T>(dx, own, <i32>((end - x) >> 2));
    v128.store(inner, product);
  }
}

/** dx −= factor x Σ over `count` row sums, `row` bytes apart. */
export function lrnGradRest<T>(x: usize, dx: usize, sums: usize, row: usize, count: i32, factor: f32, bytes: usize): void {
  for (const end = x + bytes; x < end; x += step<T>(), dx += step<T>(), sums += step<T>()) {
    let p = sums;
    let sum = v128.load(p);
    for (let j = 1; j < count; j++) {
      p += row;
      sum = f32x4.add(sum, v128.load(p));
    }
    const rest = f32x4.mul(f32x4.mul(splat(factor), v128.load(x)), sum);
    put<T>(dx, f32x4.sub(v128.load(dx), rest), <i32>((end - x) >> 2));
  }
}
