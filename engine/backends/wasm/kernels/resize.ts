// Resizing images. The tables of rows and columns are part of the arguments: from, to and the weight of `to` for each.
import { arg, ptr, real } from "./elementwise";
import { fma, splat, storeLanes } from "./simd";
import { share } from "./team";

/** x, y, images, height, width, channels, output height and width, then the tables of rows and of columns */
export function resize(a: usize, slice: i32, slices: i32): void {
  const width = arg(a, 4);
  const channels = arg(a, 5);
  const outHeight = arg(a, 6);
  const outWidth = arg(a, 7);
  const pixel = <usize>channels << 2;
  const tasks = arg(a, 2) * outHeight;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / outHeight;
    const oy = task - image * outHeight;
    const rows = a + (<usize>(8 + 3 * oy) << 2);
    const down = real(rows, 2);
    const from = ptr(a, 0) + <usize>(image * arg(a, 3) * width) * pixel;
    const upper = from + <usize>(arg(rows, 0) * width) * pixel;
    const lower = from + <usize>(arg(rows, 1) * width) * pixel;
    let to = ptr(a, 1) + <usize>(task * outWidth) * pixel;
    for (let ox = 0; ox < outWidth; ox++, to += pixel) {
      const columns = a + (<usize>(8 + 3 * (outHeight + ox)) << 2);
      const across = real(columns, 2);
      const left = <usize>arg(columns, 0) * pixel;
      const right = <usize>arg(columns, 1) * pixel;
      for (let c = 0; c < channels; c += 4) {
        const at = <usize>c << 2;
        let value = mix(upper + left + at, upper + right + at, across);
        if (down != 0) {
          const below = mix(lower + left + at, lower + right + at, across);
          value = fma(splat(down), below, f32x4.mul(splat(<f32>1 - down), value));
        }
        storeLanes(to + at, value, channels - c);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function mix(from: usize, to: usize, weight: f32): v128 {
  const value = v128.load(from);
  return weight == 0 ? value : fma(splat(weight), v128.load(to), f32x4.mul(splat(<f32>1 - weight), value));
}

/** The adjoint, row by row of dx: g, dx, and the words of `resize` */
export function resizeGrad(a: usize, slice: i32, slices: i32): void {
  const height = arg(a, 3);
  const width = arg(a, 4);
  const channels = arg(a, 5);
  const outHeight = arg(a, 6);
  const outWidth = arg(a, 7);
  const pixel = <usize>channels << 2;
  const tasks = arg(a, 2) * height;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / height;
    const iy = task - image * height;
    const to = ptr(a, 1) + <usize>(task * width) * pixel;
    memory.fill(to, 0, <usize>width * pixel);
    for (let oy = 0; oy < outHeight; oy++) {
      const rows = a + (<usize>(8 + 3 * oy) << 2);
      const down = real(rows, 2);
      const isUpper = arg(rows, 0) == iy;
      if (!isUpper && (down == 0 || arg(rows, 1) != iy)) continue;
      const share1 = isUpper ? <f32>1 - down : down;
      const g = ptr(a, 0) + <usize>((image * outHeight + oy) * outWidth) * pixel;
      for (let ox = 0; ox < outWidth; ox++) {
        const columns = a + (<usize>(8 + 3 * (outHeight + ox)) << 2);
        const across = real(columns, 2);
        const from = g + <usize>ox * pixel;
        accumulate(from, to + <usize>arg(columns, 0) * pixel, channels, share1 * (<f32>1 - across));
        if (across != 0) accumulate(from, to + <usize>arg(columns, 1) * pixel, channels, share1 * across);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function accumulate(g: usize, to: usize, channels: i32, factor: f32): void {
  for (let c = 0; c < channels; c += 4) {
    const at = <usize>c << 2;
    storeLanes(to + at, fma(v128.load(g + at), splat(factor), v128.load(to + at)), channels - c);
  }
}
