// Resizing of one line at a time, in AssemblyScript. Sums are computed in double precision and in the order of the taps, so the result
// does not depend on the number of lanes.

/** The first address that is free. */
export function heapBase(): usize {
  return __heap_base;
}

/** Converts `n` bytes to f64. Writes up to 7 values more. */
export function convert(from: usize, to: usize, n: i32): void {
  for (let i = 0; i < n; i += 8) {
    const words = v128.load_ext<u8>(from + i);
    const low = i32x4.extend_low_i16x8_u(words);
    const high = i32x4.extend_high_i16x8_u(words);
    const at = to + ((<usize>i) << 3);
    v128.store(at, f64x2.convert_low_i32x4_u(low));
    v128.store(at, f64x2.convert_low_i32x4_u(v128.shuffle<i64>(low, low, 1, 1)), 16);
    v128.store(at, f64x2.convert_low_i32x4_u(high), 32);
    v128.store(at, f64x2.convert_low_i32x4_u(v128.shuffle<i64>(high, high, 1, 1)), 48);
  }
}

/** Gray of `n` RGB pixels with the weights of ITU-R BT.601, rounded, as f64. */
export function gray(from: usize, to: usize, n: i32): void {
  for (let i = 0; i < n; i++, from += 3, to += 8) {
    const sum = 0.299 * <f64>load<u8>(from) + 0.587 * <f64>load<u8>(from, 1) + 0.114 * <f64>load<u8>(from, 2);
    const whole = Math.floor(sum);
    store<f64>(to, sum - whole >= 0.5 ? whole + 1 : whole);
  }
}

/** Filters a line of RGB pixels: pixel i of `width` is the sum of `taps` pixels from firsts[i] on, times weights[i · taps …]. */
export function filterColor(
  line: usize,
  to: usize,
  firsts: usize,
  weights: usize,
  width: i32,
  taps: i32,
): void {
  for (let x = 0; x < width; x++, to += 24) {
    let from = line + <usize>load<u32>(firsts + ((<usize>x) << 2)) * 24;
    let redGreen = f64x2.splat(0);
    let blue = f64x2.splat(0);
    for (let k = 0; k < taps; k++, from += 24, weights += 8) {
      const weight = v128.load_splat<f64>(weights);
      redGreen = f64x2.add(redGreen, f64x2.mul(weight, v128.load(from)));
      blue = f64x2.add(blue, f64x2.mul(weight, v128.load(from, 16)));
    }
    v128.store(to, redGreen);
    v128.store_lane<u64>(to, blue, 0, 16);
  }
}

/** The same for gray pixels. */
export function filterGray(
  line: usize,
  to: usize,
  firsts: usize,
  weights: usize,
  width: i32,
  taps: i32,
): void {
  for (let x = 0; x < width; x++, to += 8) {
    let from = line + ((<usize>load<u32>(firsts + ((<usize>x) << 2))) << 3);
    let sum: f64 = 0;
    for (let k = 0; k < taps; k++, from += 8, weights += 8) sum += load<f64>(weights) * load<f64>(from);
    store<f64>(to, sum);
  }
}

/** The sum of `taps` lines, at the addresses `lines`, times their weights, rounded to bytes. Writes up to 7 bytes more than `n`. */
export function combine(lines: usize, weights: usize, taps: i32, to: usize, n: i32): void {
  for (let i = 0; i < n; i += 8) {
    let a = f64x2.splat(0);
    let b = f64x2.splat(0);
    let c = f64x2.splat(0);
    let d = f64x2.splat(0);
    for (let k = 0; k < taps; k++) {
      const from = <usize>load<u32>(lines + ((<usize>k) << 2)) + ((<usize>i) << 3);
      const weight = v128.load_splat<f64>(weights + ((<usize>k) << 3));
      a = f64x2.add(a, f64x2.mul(weight, v128.load(from)));
      b = f64x2.add(b, f64x2.mul(weight, v128.load(from, 16)));
      c = f64x2.add(c, f64x2.mul(weight, v128.load(from, 32)));
      d = f64x2.add(d, f64x2.mul(weight, v128.load(from, 48)));
    }
    const low = i16x8.narrow_i32x4_u(joined(a, b), joined(c, d));
    v128.store_lane<u64>(to + i, i8x16.narrow_i16x8_u(low, low), 0);
  }
}

/** Four nonnegative numbers, rounded to the nearest integers, half upwards. */
function joined(low: v128, high: v128): v128 {
  return v128.shuffle<i64>(rounded(low), rounded(high), 0, 2);
}

function rounded(sums: v128): v128 {
  const whole = f64x2.floor(sums);
  const up = v128.and(f64x2.ge(f64x2.sub(sums, whole), f64x2.splat(0.5)), f64x2.splat(1));
  return i32x4.trunc_sat_f64x2_u_zero(f64x2.add(whole, up));
}
