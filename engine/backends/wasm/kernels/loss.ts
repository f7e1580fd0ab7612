// Losses, metrics, and what turns resident bytes into a batch.
import { Correct, CrossEntropy, CrossEntropyGrad } from "./calls.generated";
import { arg, ptr } from "./elementwise";
import { exp4, log1p4, splat, storeLanes, sumLanes } from "./simd";
import { ERROR_LABEL, fail, scratch, share } from "./team";

/** The loss of each row of logits, and its softmax for the gradient. */
export function crossEntropy(call: CrossEntropy, slice: i32, slices: i32): void {
  const classes = call.classes;
  const rows = call.rows;
  const end = share(rows, slice + 1, slices);
  for (let row = share(rows, slice, slices); row < end; row++) {
    const z = call.logits + ((<usize>row * <usize>classes) << 2);
    const p = call.softmax + ((<usize>row * <usize>classes) << 2);
    const label = load<i32>(call.labels + (<usize>row << 2));
    if (<u32>label >= <u32>classes) {
      fail(ERROR_LABEL, label, row);
      return;
    }
    let top = load<f32>(z);
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const value = load<f32>(z + (<usize>c << 2));
      if (value > top || (value != value && top == top)) {
        top = value;
        best = c;
      }
    }
    // Adding small terms to the 1 of the largest logit would lose their digits. The sum leaves it out; log1p adds it.
    let others: f64 = 0;
    for (let c = 0; c < classes; c += 4) {
      const e = exp4(f32x4.sub(v128.load(z + (<usize>c << 2)), splat(top)));
      storeLanes(p + (<usize>c << 2), e, classes - c);
      const at = i32x4.add(i32x4.splat(c), i32x4(0, 1, 2, 3));
      const counts = v128.andnot(i32x4.lt_s(at, i32x4.splat(classes)), i32x4.eq(at, i32x4.splat(best)));
      others += <f64>sumLanes(v128.and(e, counts));
    }
    const inverse = splat(<f32>(1 / (1 + others)));
    for (let c = 0; c < classes; c += 4) {
      storeLanes(p + (<usize>c << 2), f32x4.mul(v128.load(p + (<usize>c << 2)), inverse), classes - c);
    }
    const logarithm = f32x4.extract_lane(log1p4(splat(<f32>others)), 0);
    store<f32>(call.losses + (<usize>row << 2), logarithm + (top - load<f32>(z + (<usize>label << 2))));
  }
}

/** dx = dy · (softmax − 1 at the label) */
export function crossEntropyGrad(call: CrossEntropyGrad, slice: i32, slices: i32): void {
  const rows = call.rows;
  const classes = call.classes;
  const end = share(rows, slice + 1, slices);
  for (let row = share(rows, slice, slices); row < end; row++) {
    const at = (<usize>row * <usize>classes) << 2;
    const g = load<f32>(call.dy + (<usize>row << 2));
    const label = load<i32>(call.labels + (<usize>row << 2));
    let others: f64 = 0;
    for (let c = 0; c < classes; c++) {
      const p = load<f32>(call.softmax + at + (<usize>c << 2));
      store<f32>(call.dx + at + (<usize>c << 2), g * p);
      if (c != label) others += <f64>p;
    }
    const own = load<f32>(call.softmax + at + (<usize>label << 2));
    store<f32>(call.dx + at + (<usize>label << 2), g * (own > 0.5 ? 0 - <f32>others : own - 1));
  }
}

/** 1 for each row whose first largest logit is that of the label, else 0; 0 where it is a NaN. */
export function correct(call: Correct, slice: i32, slices: i32): void {
  const rows = call.rows;
  const classes = call.classes;
  const end = share(rows, slice + 1, slices);
  for (let row = share(rows, slice, slices); row < end; row++) {
    const z = call.logits + ((<usize>row * <usize>classes) << 2);
    const label = load<i32>(call.labels + (<usize>row << 2));
    if (<u32>label >= <u32>classes) {
      fail(ERROR_LABEL, label, row);
      return;
    }
    let best = load<f32>(z);
    let where = 0;
    for (let c = 1; c < classes; c++) {
      const value = load<f32>(z + (<usize>c << 2));
      if (value > best || (value != value && best == best)) {
        best = value;
        where = c;
      }
    }
    store<f32>(call.y + (<usize>row << 2), where == label && best == best ? 1 : 0);
  }
}

// @ts-ignore: decorator
@inline function runsAlong(strideX: i32, strideC: i32, channels: i32): bool {
  return (strideX == 0 && strideC == 0) || (strideX == channels && (strideC == 1 || channels == 1));
}

/** y = (x − mean) · scale along one row; mean and scale move with it or repeat one value. */
function normalizeRow(x: usize, bytes: bool, mean: usize, meanMoves: bool, scale: usize, scaleMoves: bool, y: usize, n: i32): void {
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2;
    let value: v128;
    if (bytes) {
      const wide = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(x + <usize>i)));
      value = f32x4.convert_i32x4_s(wide);
    } else {
      value = v128.load(x + at);
    }
    const center = meanMoves ? v128.load(mean + at) : v128.load32_splat(mean);
    const factor = scaleMoves ? v128.load(scale + at) : v128.load32_splat(scale);
    storeLanes(y + at, f32x4.mul(f32x4.sub(value, center), factor), n - i);
  }
}

/** A row of a value that every pixel has, or one for each channel. */
function repeatPixel(value: usize, strideC: i32, channels: i32, count: i32, to: usize): void {
  for (let i = 0, c = 0; i < count; i++, to += 4) {
    store<f32>(to, load<f32>(value + (<usize>(c * strideC) << 2)));
    if (++c == channels) c = 0;
  }
}

/**
 * x, mean, scale, draws or 0, y, images, height, width, channels, element bytes (1 or 4), then the strides (elements) of
 * mean along height, width, channels, and of scale likewise; scratch for two rows, scratch bytes per thread
 */
export function normalizeImages(a: usize, slice: i32, slices: i32): void {
  const draws = ptr(a, 3);
  const height = arg(a, 6);
  const width = arg(a, 7);
  const channels = arg(a, 8);
  const bytes = arg(a, 9) == 1;
  // Mean and scale each run along a row as the image does, or stay the same: then a row is one vector loop.
  const rowWise = runsAlong(arg(a, 11), arg(a, 12), channels) && runsAlong(arg(a, 14), arg(a, 15), channels);
  // Where they are the same for all pixels, rows of them are made, and any part of a row is one loop.
  const alike = arg(a, 10) == 0 && arg(a, 11) == 0 && arg(a, 13) == 0 && arg(a, 14) == 0;
  const row = width * channels;
  const means = scratch(ptr(a, 16), arg(a, 17));
  const scales = means + (<usize>row << 2);
  if (alike) {
    repeatPixel(ptr(a, 1), arg(a, 12), channels, row, means);
    repeatPixel(ptr(a, 2), arg(a, 15), channels, row, scales);
  }
  const tasks = arg(a, 5) * height;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / height;
    let dy = 0;
    let dx = 0;
    let flip = false;
    if (draws != 0) {
      const own = draws + <usize>(image * 12);
      dy = load<i32>(own);
      dx = load<i32>(own, 4);
      flip = load<i32>(own, 8) != 0;
    }
    const sy = task - image * height + dy;
    let to = ptr(a, 4) + (<usize>(task * width) * <usize>channels << 2);
    if (rowWise && dx == 0 && !flip && sy >= 0 && sy < height) {
      const first = <usize>((image * height + sy) * width) * <usize>channels;
      normalizeRow(
        ptr(a, 0) + (bytes ? first : first << 2),
        bytes,
        ptr(a, 1) + (<usize>(sy * arg(a, 10)) << 2),
        arg(a, 11) != 0,
        ptr(a, 2) + (<usize>(sy * arg(a, 13)) << 2),
        arg(a, 14) != 0,
        to,
        width * channels,
      );
      continue;
    }
    if (alike && !flip && sy >= 0 && sy < height) {
      const skip = min(max(-dx, 0), width) * channels;
      const count = max(width - abs(dx), 0) * channels;
      const first = <usize>((image * height + sy) * width + max(dx, 0)) * <usize>channels;
      memory.fill(to, 0, <usize>skip << 2);
      normalizeRow(ptr(a, 0) + (bytes ? first : first << 2), bytes, means, true, scales, true, to + (<usize>skip << 2), count);
      memory.fill(to + (<usize>(skip + count) << 2), 0, <usize>(row - skip - count) << 2);
      continue;
    }
    for (let j = 0; j < width; j++, to += <usize>channels << 2) {
      const sx = (flip ? width - 1 - j : j) + dx;
      if (sy < 0 || sy >= height || sx < 0 || sx >= width) {
        memory.fill(to, 0, <usize>channels << 2);
        continue;
      }
      const from = <usize>((image * height + sy) * width + sx) * <usize>channels;
      const mean = ptr(a, 1) + (<usize>(sy * arg(a, 10) + sx * arg(a, 11)) << 2);
      const scale = ptr(a, 2) + (<usize>(sy * arg(a, 13) + sx * arg(a, 14)) << 2);
      for (let c = 0; c < channels; c++) {
        const at = from + <usize>c;
        const value = bytes ? <f32>load<u8>(ptr(a, 0) + at) : load<f32>(ptr(a, 0) + (at << 2));
        const center = load<f32>(mean + (<usize>(c * arg(a, 12)) << 2));
        store<f32>(to + (<usize>c << 2), (value - center) * load<f32>(scale + (<usize>(c * arg(a, 15)) << 2)));
      }
    }
  }
}
