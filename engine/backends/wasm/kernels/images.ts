// Turns resident bytes into a batch: crop, flip and normalization of images.
import { NormalizeImages, PixelStrides } from "./calls.generated";
import { storeLanes } from "./simd";
import { ownScratch, firstTask } from "./team";

/** Whether a value changes along a row as the image does, or not at all. */
// @ts-ignore: decorator
@inline function runsAlong(strides: PixelStrides, channels: i32): bool {
  const alongX = strides.width;
  const alongC = strides.channels;
  return (alongX == 0 && alongC == 0) || (alongX == channels && (alongC == 1 || channels == 1));
}

/** Whether a value is the same for all pixels. */
// @ts-ignore: decorator
@inline function isAlike(strides: PixelStrides): bool {
  return strides.height == 0 && strides.width == 0;
}

/** y = (x − mean) · scale along one row. Mean and scale move with it or are one value. */
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
 * y = (x − mean) · scale, then shifted and mirrored by draws (or 0): vertical shift, horizontal shift and flip of each image. y is 0
 * outside the image. The scratch holds two rows.
 */
// @ts-ignore: decorator
@words(
  "*x", "*mean", "*scale", "*draws", "*y", "images", "height", "width", "channels", "?bytes",
  "meanStrides: PixelStrides", "scaleStrides: PixelStrides", "scratch: Scratch"
)
export function normalizeImages(call: NormalizeImages, slice: i32, slices: i32): void {
  const draws = call.draws;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const bytes = call.bytes;
  const meanStrides = call.meanStrides;
  const scaleStrides = call.scaleStrides;
  // When mean and scale each run along a row as the image does, or stay the same, a row is one vector loop.
  const rowWise = runsAlong(meanStrides, channels) && runsAlong(scaleStrides, channels);
  // When both are the same for all pixels, any part of a row is one loop over rows made of them.
  const alike = isAlike(meanStrides) && isAlike(scaleStrides);
  const row = width * channels;
  const means = ownScratch(call.scratch);
  const scales = means + (<usize>row << 2);
  if (alike) {
    repeatPixel(call.mean, meanStrides.channels, channels, row, means);
    repeatPixel(call.scale, scaleStrides.channels, channels, row, scales);
  }
  const tasks = call.images * height;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
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
    let to = call.y + (<usize>(task * width) * <usize>channels << 2);
    if (rowWise && dx == 0 && !flip && sy >= 0 && sy < height) {
      const first = <usize>((image * height + sy) * width) * <usize>channels;
      normalizeRow(
        call.x + (bytes ? first : first << 2),
        bytes,
        call.mean + (<usize>(sy * meanStrides.height) << 2),
        meanStrides.width != 0,
        call.scale + (<usize>(sy * scaleStrides.height) << 2),
        scaleStrides.width != 0,
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
      normalizeRow(call.x + (bytes ? first : first << 2), bytes, means, true, scales, true, to + (<usize>skip << 2), count);
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
      const mean = call.mean + (<usize>(sy * meanStrides.height + sx * meanStrides.width) << 2);
      const scale = call.scale + (<usize>(sy * scaleStrides.height + sx * scaleStrides.width) << 2);
      for (let c = 0; c < channels; c++) {
        const at = from + <usize>c;
        const value = bytes ? <f32>load<u8>(call.x + at) : load<f32>(call.x + (at << 2));
        const center = load<f32>(mean + (<usize>(c * meanStrides.channels) << 2));
        store<f32>(to + (<usize>c << 2), (value - center) * load<f32>(scale + (<usize>(c * scaleStrides.channels) << 2)));
      }
    }
  }
}
