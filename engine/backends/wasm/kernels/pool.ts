// Pooling, channels last, four channels at a time.
import { AvgPool, AvgPoolGrad, MaxPool, MaxPoolGrad, MaxPoolSpread, Pooling } from "./calls.generated";
import { fma, relu4, selectLanes, splat, storeLanes } from "./simd";
import { firstTask } from "./team";

/** In place of the argmax of a window: relu set the maximum to 0, so that the window has no gradient. */
const NONE: i32 = 255;

/**
 * The maximum of each window and its position. The first maximum wins, and the first NaN. An argmax of four bytes is
 * y · width + x in the image. One of a byte is y · kernelX + x in the window, or NONE.
 */
// @ts-ignore: decorator
@words("...Pooling", "*x", "*y", "*argmax", "?relu", "argmaxBytes")
export function maxPool(call: MaxPool, slice: i32, slices: i32): void {
  const x = call.x;
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const top = call.padTop;
  const left = call.padLeft;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const relu = call.relu;
  const bytes = <usize>call.argmaxBytes;
  const stops = relu && bytes == 1;
  const down = bytes == 1 ? kernelX : width;
  const pixel = <usize>channels << 2;
  const tasks = images * outHeight;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / outHeight;
    const oy = task - image * outHeight;
    const wy = oy * strideY - top;
    const y0 = max(wy, 0);
    const y1 = min(wy + kernelY, height);
    const from = x + <usize>(image * height * width) * pixel;
    let cell = <usize>(task * outWidth * channels);
    for (let ox = 0; ox < outWidth; ox++, cell += channels) {
      const wx = ox * strideX - left;
      const x0 = max(wx, 0);
      const x1 = min(wx + kernelX, width);
      const corner = bytes == 1 ? (y0 - wy) * kernelX + x0 - wx : y0 * width + x0;
      const window = from + <usize>(y0 * width + x0) * pixel;
      const maxima = call.y + (cell << 2);
      const argmax = call.argmax + cell * bytes;
      // Sixteen channels at a time: the comparisons of four would wait for each other.
      let c = 0;
      for (; c + 16 <= channels; c += 16) {
        const offset = <usize>c << 2;
        let row = window + offset;
        let best0 = v128.load(row);
        let best1 = v128.load(row, 16);
        let best2 = v128.load(row, 32);
        let best3 = v128.load(row, 48);
        let where0 = i32x4.splat(corner);
        let where1 = where0;
        let where2 = where0;
        let where3 = where0;
        let first = corner;
        for (let iy = y0; iy < y1; iy++, first += down, row += <usize>width * pixel) {
          let p = row;
          for (let at = first; at < first + x1 - x0; at++, p += pixel) {
            const here = i32x4.splat(at);
            const value0 = v128.load(p);
            const wins0 = winner(value0, best0);
            best0 = selectLanes(value0, best0, wins0);
            where0 = selectLanes(here, where0, wins0);
            const value1 = v128.load(p, 16);
            const wins1 = winner(value1, best1);
            best1 = selectLanes(value1, best1, wins1);
            where1 = selectLanes(here, where1, wins1);
            const value2 = v128.load(p, 32);
            const wins2 = winner(value2, best2);
            best2 = selectLanes(value2, best2, wins2);
            where2 = selectLanes(here, where2, wins2);
            const value3 = v128.load(p, 48);
            const wins3 = winner(value3, best3);
            best3 = selectLanes(value3, best3, wins3);
            where3 = selectLanes(here, where3, wins3);
          }
        }
        if (stops) {
          where0 = passing(where0, best0);
          where1 = passing(where1, best1);
          where2 = passing(where2, best2);
          where3 = passing(where3, best3);
        }
        if (relu) {
          best0 = relu4(best0);
          best1 = relu4(best1);
          best2 = relu4(best2);
          best3 = relu4(best3);
        }
        v128.store(maxima + offset, best0);
        v128.store(maxima + offset, best1, 16);
        v128.store(maxima + offset, best2, 32);
        v128.store(maxima + offset, best3, 48);
        if (bytes == 1) {
          const low = i16x8.narrow_i32x4_s(where0, where1);
          const high = i16x8.narrow_i32x4_s(where2, where3);
          v128.store(argmax + c, i8x16.narrow_i16x8_u(low, high));
        } else {
          v128.store(argmax + offset, where0);
          v128.store(argmax + offset, where1, 16);
          v128.store(argmax + offset, where2, 32);
          v128.store(argmax + offset, where3, 48);
        }
      }
      for (; c < channels; c += 4) {
        const offset = <usize>c << 2;
        let best = v128.load(window + offset);
        let where = i32x4.splat(corner);
        let first = corner;
        for (let iy = y0; iy < y1; iy++, first += down) {
          let p = from + <usize>(iy * width + x0) * pixel + offset;
          for (let at = first; at < first + x1 - x0; at++, p += pixel) {
            const value = v128.load(p);
            const wins = winner(value, best);
            best = selectLanes(value, best, wins);
            where = selectLanes(i32x4.splat(at), where, wins);
          }
        }
        if (stops) where = passing(where, best);
        if (relu) best = relu4(best);
        storeLanes(maxima + offset, best, channels - c);
        if (bytes == 1) storeBytes(argmax + c, where, channels - c);
        else storeLanes(argmax + offset, where, channels - c);
      }
    }
  }
}

/** The argmax where the maximum is positive, NONE elsewhere. */
// @ts-ignore: decorator
@inline function passing(argmax: v128, maxima: v128): v128 {
  return selectLanes(argmax, i32x4.splat(NONE), f32x4.gt(maxima, splat(0)));
}

/** Stores the low bytes of the first n (1 … 4) lanes. */
// @ts-ignore: decorator
@inline function storeBytes(to: usize, x: v128, n: i32): void {
  store<u8>(to, i32x4.extract_lane(x, 0));
  if (n > 1) store<u8>(to, i32x4.extract_lane(x, 1), 1);
  if (n > 2) store<u8>(to, i32x4.extract_lane(x, 2), 2);
  if (n > 3) store<u8>(to, i32x4.extract_lane(x, 3), 3);
}

/** Where a value replaces the best so far: larger, or the first NaN. */
// @ts-ignore: decorator
@inline function winner(value: v128, best: v128): v128 {
  // Not (value <= best), unless the best is a NaN already.
  return v128.andnot(f32x4.eq(best, best), f32x4.le(value, best));
}

/** Adds dy at the argmax of each window. With a mask (or 0), the relu of the maxima, dy counts where it is positive. */
// @ts-ignore: decorator
@words("...Pooling", "*dy", "*argmax", "*dx", "*mask")
export function maxPoolGrad(call: MaxPoolGrad, slice: i32, slices: i32): void {
  const images = call.images;
  const imageSize = call.height * call.width * call.channels;
  const channels = call.channels;
  const cells = call.outHeight * call.outWidth;
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    const dx = call.dx + (<usize>image * <usize>imageSize << 2);
    memory.fill(dx, 0, <usize>imageSize << 2);
    let at = <usize>image * <usize>(cells * channels) << 2;
    const dy = call.dy;
    const argmax = call.argmax;
    const mask = call.mask;
    for (let cell = 0; cell < cells; cell++) {
      for (let c = 0; c < channels; c++, at += 4) {
        const to = dx + (<usize>(load<i32>(argmax + at) * channels + c) << 2);
        let value = load<f32>(dy + at);
        // A select: a branch would be mispredicted.
        if (mask != 0) value = select<f32>(value, 0, load<f32>(mask + at) > 0);
        store<f32>(to, load<f32>(to) + value);
      }
    }
  }
}

/** The same for an argmax of one byte. */
// @ts-ignore: decorator
@words("...Pooling", "*dy", "*argmax", "*dx")
export function maxPoolSpread(call: MaxPoolSpread, slice: i32, slices: i32): void {
  const height = call.height;
  const width = call.width;
  const image = <usize>(height * width * call.channels) << 2;
  const end = firstTask(call.images, slice + 1, slices);
  for (let i = firstTask(call.images, slice, slices); i < end; i++) {
    spreadRows(call, call.dy, call.argmax, i, 0, height, call.dx + <usize>i * image, width);
  }
}

/**
 * `rows` rows of the gradient of a max pool's input, from `top` on: each element of dy is added at the argmax of its window. Rows
 * have `columns` pixels, zeros where these are outside the image.
 */
export function spreadRows(pool: Pooling, dy: usize, argmax: usize, image: i32, top: i32, rows: i32, to: usize, columns: i32): void {
  const height = pool.height;
  const width = pool.width;
  const channels = pool.channels;
  const kernelY = pool.kernelY;
  const kernelX = pool.kernelX;
  const strideY = pool.strideY;
  const strideX = pool.strideX;
  const padTop = pool.padTop;
  const padLeft = pool.padLeft;
  const outHeight = pool.outHeight;
  const outWidth = pool.outWidth;
  const pixel = <usize>channels << 2;
  const row = <usize>columns * pixel;
  memory.fill(to, 0, <usize>rows * row);
  const bottom = min(top + rows, height);
  const last = min((bottom - 1 + padTop) / strideY + 1, outHeight);
  for (let oy = firstWindow(top + padTop, kernelY, strideY); oy < last; oy++) {
    const wy = oy * strideY - padTop;
    const y0 = max(wy, top);
    const y1 = min(wy + kernelY, bottom);
    let cell = <usize>(((image * outHeight + oy) * outWidth) * channels);
    for (let ox = 0; ox < outWidth; ox++, cell += channels) {
      const wx = ox * strideX - padLeft;
      const x0 = max(wx, 0);
      const x1 = min(wx + kernelX, width);
      const corner = to + <usize>((y0 - top) * columns + x0) * pixel;
      const first = (y0 - wy) * kernelX + x0 - wx;
      let c = 0;
      for (; c + 16 <= channels; c += 16) {
        const from = dy + ((cell + c) << 2);
        const g0 = v128.load(from);
        const g1 = v128.load(from, 16);
        const g2 = v128.load(from, 32);
        const g3 = v128.load(from, 48);
        const bytes = v128.load(argmax + cell + c);
        const low = i16x8.extend_low_i8x16_u(bytes);
        const high = i16x8.extend_high_i8x16_u(bytes);
        const where0 = i32x4.extend_low_i16x8_u(low);
        const where1 = i32x4.extend_high_i16x8_u(low);
        const where2 = i32x4.extend_low_i16x8_u(high);
        const where3 = i32x4.extend_high_i16x8_u(high);
        let line = corner + (<usize>c << 2);
        let start = first;
        for (let iy = y0; iy < y1; iy++, line += row, start += kernelX) {
          let p = line;
          for (let at = start; at < start + x1 - x0; at++, p += pixel) {
            const here = i32x4.splat(at);
            // Stores come last: V8 does not join vectors past one.
            const sum0 = f32x4.add(v128.load(p), v128.and(g0, i32x4.eq(where0, here)));
            const sum1 = f32x4.add(v128.load(p, 16), v128.and(g1, i32x4.eq(where1, here)));
            const sum2 = f32x4.add(v128.load(p, 32), v128.and(g2, i32x4.eq(where2, here)));
            const sum3 = f32x4.add(v128.load(p, 48), v128.and(g3, i32x4.eq(where3, here)));
            v128.store(p, sum0);
            v128.store(p, sum1, 16);
            v128.store(p, sum2, 32);
            v128.store(p, sum3, 48);
          }
        }
      }
      for (; c < channels; c += 4) {
        const value = v128.load(dy + ((cell + c) << 2));
        const where = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(argmax + cell + c)));
        let line = corner + (<usize>c << 2);
        let start = first;
        for (let iy = y0; iy < y1; iy++, line += row, start += kernelX) {
          let p = line;
          for (let at = start; at < start + x1 - x0; at++, p += pixel) {
            const sum = f32x4.add(v128.load(p), v128.and(value, i32x4.eq(where, i32x4.splat(at))));
            storeLanes(p, sum, channels - c);
          }
        }
      }
    }
  }
}

/** 1 / what the window with its corner at (y0, x0), before clipping, is divided by. */
// @ts-ignore: decorator
@inline function inverseDivisor(pool: Pooling, y0: i32, x0: i32): f32 {
  const height = pool.height;
  const width = pool.width;
  let y1 = min(y0 + pool.kernelY, height + pool.padBottom);
  let x1 = min(x0 + pool.kernelX, width + pool.padRight);
  if (pool.insideOnly) {
    y1 = min(y1, height) - max(y0, 0);
    x1 = min(x1, width) - max(x0, 0);
  } else {
    y1 -= y0;
    x1 -= x0;
  }
  return <f32>1 / <f32>(y1 * x1);
}

/** The mean of each window, clipped to the padded image or, with insideOnly, to the image. */
// @ts-ignore: decorator
@words("...Pooling", "*x", "*y")
export function avgPool(call: AvgPool, slice: i32, slices: i32): void {
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const pixel = <usize>channels << 2;
  const tasks = call.images * outHeight;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / outHeight;
    const wy = (task - image * outHeight) * call.strideY - call.padTop;
    const y0 = max(wy, 0);
    const y1 = min(wy + kernelY, height);
    const from = call.x + <usize>(image * height * width) * pixel;
    let to = call.y + <usize>(task * outWidth) * pixel;
    for (let ox = 0; ox < outWidth; ox++, to += pixel) {
      const wx = ox * call.strideX - call.padLeft;
      const x0 = max(wx, 0);
      const x1 = min(wx + kernelX, width);
      const factor = splat(inverseDivisor(call, wy, wx));
      let c = 0;
      for (; c + 8 <= channels; c += 8) {
        let sum0 = splat(0);
        let sum1 = splat(0);
        let row = from + <usize>(y0 * width + x0) * pixel + (<usize>c << 2);
        for (let iy = y0; iy < y1; iy++, row += <usize>width * pixel) {
          let p = row;
          for (let ix = x0; ix < x1; ix++, p += pixel) {
            sum0 = f32x4.add(sum0, v128.load(p));
            sum1 = f32x4.add(sum1, v128.load(p, 16));
          }
        }
        v128.store(to + (<usize>c << 2), f32x4.mul(sum0, factor));
        v128.store(to + (<usize>c << 2), f32x4.mul(sum1, factor), 16);
      }
      for (; c < channels; c += 4) {
        let sum = splat(0);
        for (let iy = y0; iy < y1; iy++) {
          let p = from + <usize>(iy * width + x0) * pixel + (<usize>c << 2);
          for (let ix = x0; ix < x1; ix++, p += pixel) sum = f32x4.add(sum, v128.load(p));
        }
        storeLanes(to + (<usize>c << 2), f32x4.mul(sum, factor), channels - c);
      }
    }
  }
}

/**
 * Each input pixel gathers from the windows that cover it. With a mask (or 0), the relu that was pooled, dx is 0 where that is not
 * positive.
 */
// @ts-ignore: decorator
@words("...Pooling", "*dy", "*dx", "*mask")
export function avgPoolGrad(call: AvgPoolGrad, slice: i32, slices: i32): void {
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const top = call.padTop;
  const left = call.padLeft;
  const mask = call.mask;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const pixel = <usize>channels << 2;
  const tasks = call.images * height;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / height;
    const iy = task - image * height;
    const oy0 = firstWindow(iy + top, kernelY, strideY);
    const oy1 = min((iy + top) / strideY + 1, outHeight);
    const dy = call.dy + <usize>(image * outHeight * outWidth) * pixel;
    let to = call.dx + <usize>(task * width) * pixel;
    for (let ix = 0; ix < width; ix++, to += pixel) {
      const ox0 = firstWindow(ix + left, kernelX, strideX);
      const ox1 = min((ix + left) / strideX + 1, outWidth);
      let fresh = true; // every pixel lies in some window, but for strides larger than the kernel
      for (let oy = oy0; oy < oy1; oy++) {
        for (let ox = ox0; ox < ox1; ox++) {
          const factor = splat(inverseDivisor(call, oy * strideY - top, ox * strideX - left));
          const from = dy + <usize>(oy * outWidth + ox) * pixel;
          if (fresh) {
            for (let c = 0; c < channels; c += 4) {
              const at = <usize>c << 2;
              storeLanes(to + at, f32x4.mul(v128.load(from + at), factor), channels - c);
            }
          } else {
            for (let c = 0; c < channels; c += 4) {
              const at = <usize>c << 2;
              storeLanes(to + at, fma(v128.load(from + at), factor, v128.load(to + at)), channels - c);
            }
          }
          fresh = false;
        }
      }
      if (fresh) {
        memory.fill(to, 0, pixel);
      } else if (mask != 0) {
        const from = mask + (to - call.dx);
        for (let c = 0; c < channels; c += 4) {
          const at = <usize>c << 2;
          const passed = f32x4.gt(v128.load(from + at), splat(0));
          storeLanes(to + at, v128.and(v128.load(to + at), passed), channels - c);
        }
      }
    }
  }
}

/** The first window along an axis that covers padded position p. */
// @ts-ignore: decorator
@inline function firstWindow(p: i32, kernel: i32, stride: i32): i32 {
  return p < kernel ? 0 : (p - kernel) / stride + 1;
}
