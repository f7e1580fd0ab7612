// Parts of attention on panels: rows of 2 V bytes, one for each key, with a query in each lane. `half` is a column of vectors of a panel.
import { expNegative4, fma } from "../simd";
import { V, ZEROS } from "../width";

/** Bytes of a row of a panel. */
const ROW: usize = 2 * V;

/** The largest elements of both columns and of what is at `to`. */
export function panelMaxima(panel: usize, rows: i32, to: usize): void {
  let m0 = v128.load(to);
  let m1 = v128.load(to, V);
  for (const end = panel + <usize>rows * ROW; panel != end; panel += ROW) {
    m0 = f32x4.pmax(m0, v128.load(panel));
    m1 = f32x4.pmax(m1, v128.load(panel, V));
  }
  v128.store(to, m0);
  v128.store(to, m1, V);
}

/** Replaces scores by exp(score − largest) and adds them to the sums. */
export function exponentials(half: usize, rows: i32, largest: usize, sums: usize): void {
  const m = v128.load(largest);
  let sum = v128.load(sums);
  for (const end = half + <usize>rows * ROW; half != end; half += ROW) {
    const d = f32x4.sub(v128.load(half), m);
    const y = expNegative4(d);
    sum = f32x4.add(sum, y);
    v128.store(half, y);
  }
  v128.store(sums, sum);
}

/** Replaces scores by exp(score − largest) · inverse. */
export function weightsOf(half: usize, rows: i32, largest: usize, inverse: usize): void {
  const m = v128.load(largest);
  const r = v128.load(inverse);
  for (const end = half + <usize>rows * ROW; half != end; half += ROW) {
    const d = f32x4.sub(v128.load(half), m);
    const y = f32x4.mul(expNegative4(d), r);
    v128.store(half, y);
  }
}

/** Sums of weights · gradients over the rows, an even and an odd one at a time. */
export function meansOf(half: usize, weights: usize, rows: i32, to: usize): void {
  let even = f32x4.mul(v128.load(half), v128.load(weights));
  let odd = v128.load(ZEROS);
  for (let left = rows; left > 2; left -= 2) {
    half += 2 * ROW;
    weights += 2 * ROW;
    odd = fma(v128.load(half - ROW), v128.load(weights - ROW), odd);
    even = fma(v128.load(half), v128.load(weights), even);
  }
  if (rows % 2 == 0) odd = fma(v128.load(half + ROW), v128.load(weights + ROW), odd);
  const sum = f32x4.add(even, odd);
  v128.store(to, sum);
}

/** Replaces the gradients of weights by those of scores: weight · (gradient − mean). */
export function scoreGradients(half: usize, weights: usize, rows: i32, means: usize): void {
  const mean = v128.load(means);
  for (const end = half + <usize>rows * ROW; half != end; half += ROW, weights += ROW) {
    const d = f32x4.sub(v128.load(half), mean);
    const y = f32x4.mul(d, v128.load(weights));
    v128.store(half, y);
  }
}

/** What sums so far count for, when the largest score rises from `before` to `largest`: exp(before − largest). Scales the sums by it. */
export function correctSums(before: usize, largest: usize, sums: usize): void {
  const d = f32x4.sub(v128.load(before), v128.load(largest));
  const y = expNegative4(d);
  const sum = f32x4.mul(v128.load(sums), y);
  v128.store(before, y);
  v128.store(sums, sum);
}

/** Multiplies each row of a column by the factors. */
export function scaleHalf(half: usize, rows: i32, factors: usize): void {
  const f = v128.load(factors);
  for (const end = half + <usize>rows * ROW; half != end; half += ROW) {
    const y = f32x4.mul(v128.load(half), f);
    v128.store(half, y);
  }
}

/** Multiplies `bytes` of floats by the number at `factor`. */
export function scaleVectors(at: usize, bytes: usize, factor: usize): void {
  const f = v128.load32_splat(factor);
  for (const end = at + bytes; at != end; at += V) {
    const y = f32x4.mul(v128.load(at), f);
    v128.store(at, y);
  }
}
