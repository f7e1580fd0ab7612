// Local response normalization within channels, channels last.
import { Lrn, LrnGrad } from "./calls.generated";
import { fma, powNeg4, splat, storeLanes } from "./simd";
import { ownScratch, firstTask } from "./team";
import { lrnGradRest, lrnGradSpan, lrnSpan, rowSumsOfSquares, rowSumsOfValues } from "./vectors/lrn";
import { V } from "./width";

/** The sum of `count` vectors, `row` bytes apart. */
// @ts-ignore: decorator
@inline function columnSum(p: usize, row: usize, count: i32): v128 {
  let sum = v128.load(p);
  if (count == 3) return f32x4.add(f32x4.add(sum, v128.load(p + row)), v128.load(p + (row << 1)));
  for (let j = 1; j < count; j++) {
    p += row;
    sum = f32x4.add(sum, v128.load(p));
  }
  return sum;
}

/**
 * scales = 1 + alpha · (the sum of x² over a window), y = x · scales^−beta. The scratch holds the sums along the
 * rows of one image.
 */
// @ts-ignore: decorator
@words(
  "*x", "*y", "*scales", "images", "height", "width", "channels", "size", "~alpha", "~beta",
  "scratch: Scratch"
)
export function lrn(call: Lrn, slice: i32, slices: i32): void {
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const radius = (call.size - 1) >> 1;
  const alpha = call.alpha;
  const beta = call.beta;
  const usual = beta == 0.75;
  const sums = ownScratch(call.scratch);
  const pixel = <usize>channels << 2;
  const row = <usize>width * pixel;
  const whole = row & ~(V - 1);
  const floats = height * width * channels;
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    const base = <usize>image * <usize>floats << 2;
    const from = call.x + base;
    const y = call.y + base;
    const scales = call.scales + base;
    for (let i = 0; i < height; i++) rowSumsOfSquares(from + <usize>i * row, sums + <usize>i * row, width, pixel, radius);
    for (let i = 0; i < height; i++) {
      const first = max(i - radius, 0);
      const count = min(i + radius + 1, height) - first;
      const column = sums + <usize>first * row;
      const at = <usize>i * row;
      if (usual) {
        lrnSpan<v128>(from + at, y + at, scales + at, column, row, count, alpha, whole);
        const rest = at + whole;
        lrnSpan<f32>(from + rest, y + rest, scales + rest, column + whole, row, count, alpha, row - whole);
        continue;
      }
      for (let k: usize = 0; k < row; k += 16) {
        const scale = fma(columnSum(column + k, row, count), splat(alpha), splat(1));
        const left = <i32>((row - k) >> 2);
        const value = f32x4.mul(v128.load(from + at + k), powNeg4(scale, beta));
        storeLanes(scales + at + k, scale, left);
        storeLanes(y + at + k, value, left);
      }
    }
  }
}

/**
 * dx = dy · scales^−beta − factor · x · (the sum over the window of dy · x · scales^(−beta−1)), factor = 2 · alpha · beta / size². The
 * scratch holds these products for one image, and after productBytes their sums along the rows.
 */
// @ts-ignore: decorator
@words(
  "*dy", "*x", "*scales", "*dx", "images", "height", "width", "channels", "size", "~factor", "~beta",
  "productBytes", "scratch: Scratch"
)
export function lrnGrad(call: LrnGrad, slice: i32, slices: i32): void {
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const radius = (call.size - 1) >> 1;
  const factor = call.factor;
  const beta = call.beta;
  const usual = beta == 0.75;
  const products = ownScratch(call.scratch);
  const pixel = <usize>channels << 2;
  const row = <usize>width * pixel;
  const floats = height * width * channels;
  const bytes = <usize>floats << 2;
  const whole = bytes & ~(V - 1);
  const wholeOfRow = row & ~(V - 1);
  const sums = products + <usize>call.productBytes;
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    const base = <usize>image * <usize>floats << 2;
    const dy = call.dy + base;
    const x = call.x + base;
    const scales = call.scales + base;
    const dx = call.dx + base;
    if (usual) {
      lrnGradSpan<v128>(dy, x, scales, dx, products, whole);
      lrnGradSpan<f32>(dy + whole, x + whole, scales + whole, dx + whole, products + whole, bytes - whole);
    } else {
      for (let at: usize = 0; at < bytes; at += 16) {
        const scale = v128.load(scales + at);
        const own = f32x4.mul(v128.load(dy + at), powNeg4(scale, beta));
        const product = f32x4.div(f32x4.mul(own, v128.load(x + at)), scale);
        storeLanes(dx + at, own, <i32>((bytes - at) >> 2)); // the rest is subtracted below: no second power
        v128.store(products + at, product);
      }
    }
    for (let i = 0; i < height; i++) rowSumsOfValues(products + <usize>i * row, sums + <usize>i * row, width, pixel, radius);
    for (let i = 0; i < height; i++) {
      const first = max(i - radius, 0);
      const count = min(i + radius + 1, height) - first;
      const column = sums + <usize>first * row;
      const at = <usize>i * row;
      const rest = at + wholeOfRow;
      lrnGradRest<v128>(x + at, dx + at, column, row, count, factor, wholeOfRow);
      lrnGradRest<f32>(x + rest, dx + rest, column + wholeOfRow, row, count, factor, row - wholeOfRow);
    }
  }
}
