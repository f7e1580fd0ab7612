// Parts of standardization over contiguous floats. `bytes` is a multiple of V. Each statement makes one vector, as in loops.ts.
import { splat } from "../simd";
import { V } from "../width";

/** out = (x − mean)² */
export function squaredDeviations(out: usize, x: usize, bytes: usize, mean: f32): void {
  const m = splat(mean);
  for (const end = x + bytes; x < end; x += V, out += V) {
    const d = f32x4.sub(v128.load(x), m);
    const y = f32x4.mul(d, d);
    v128.store(out, y);
  }
}

/** out = (x − mean) · scale */
export function scaleDeviations(out: usize, x: usize, bytes: usize, mean: f32, scale: f32): void {
  const m = splat(mean);
  const s = splat(scale);
  for (const end = x + bytes; x < end; x += V, out += V) {
    const y = f32x4.mul(f32x4.sub(v128.load(x), m), s);
    v128.store(out, y);
  }
}

/** out = a · b */
export function multiply(out: usize, a: usize, b: usize, bytes: usize): void {
  for (const end = a + bytes; a < end; a += V, b += V, out += V) {
    const y = f32x4.mul(v128.load(a), v128.load(b));
    v128.store(out, y);
  }
}

/** dx = (dy − mean − y · product) · scale */
export function scaleGradients(
  dx: usize, dy: usize, y: usize, bytes: usize, mean: f32, product: f32, scale: f32,
): void {
  const m = splat(mean);
  const p = splat(product);
  const s = splat(scale);
  for (const end = dy + bytes; dy < end; dy += V, y += V, dx += V) {
    const rest = f32x4.sub(v128.load(dy), m);
    const value = f32x4.sub(rest, f32x4.mul(v128.load(y), p));
    const result = f32x4.mul(value, s);
    v128.store(dx, result);
  }
}
