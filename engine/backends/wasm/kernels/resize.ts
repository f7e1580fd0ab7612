// Resizing images. A call has the rows and columns of the result, each a blend of two of the input.
import { Resize, ResizeGrad } from "./calls.generated";
import { fma, splat, storeLanes } from "./simd";
import { firstTask } from "./team";

// @ts-ignore: decorator
@words("*x", "*y", "images", "height", "width", "channels", "rows: Blend[]", "columns: Blend[]")
export function resize(call: Resize, slice: i32, slices: i32): void {
  const width = call.width;
  const channels = call.channels;
  const rows = call.rows;
  const columns = call.columns;
  const outHeight = rows.length;
  const outWidth = columns.length;
  const pixel = <usize>channels << 2;
  const tasks = call.images * outHeight;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / outHeight;
    const oy = task - image * outHeight;
    const row = rows[oy];
    const down = row.weight;
    const from = call.x + <usize>(image * call.height * width) * pixel;
    const upper = from + <usize>(row.from * width) * pixel;
    const lower = from + <usize>(row.to * width) * pixel;
    let to = call.y + <usize>(task * outWidth) * pixel;
    for (let ox = 0; ox < outWidth; ox++, to += pixel) {
      const column = columns[ox];
      const across = column.weight;
      const left = <usize>column.from * pixel;
      const right = <usize>column.to * pixel;
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

/** The adjoint, row by row of dx. */
// @ts-ignore: decorator
@words("*dy", "*dx", "images", "height", "width", "channels", "rows: Blend[]", "columns: Blend[]")
export function resizeGrad(call: ResizeGrad, slice: i32, slices: i32): void {
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const rows = call.rows;
  const columns = call.columns;
  const outHeight = rows.length;
  const outWidth = columns.length;
  const pixel = <usize>channels << 2;
  const tasks = call.images * height;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / height;
    const iy = task - image * height;
    const to = call.dx + <usize>(task * width) * pixel;
    memory.fill(to, 0, <usize>width * pixel);
    for (let oy = 0; oy < outHeight; oy++) {
      const row = rows[oy];
      const down = row.weight;
      const isUpper = row.from == iy;
      if (!isUpper && (down == 0 || row.to != iy)) continue;
      const factor = isUpper ? <f32>1 - down : down;
      const dy = call.dy + <usize>((image * outHeight + oy) * outWidth) * pixel;
      for (let ox = 0; ox < outWidth; ox++) {
        const column = columns[ox];
        const across = column.weight;
        const from = dy + <usize>ox * pixel;
        accumulate(from, to + <usize>column.from * pixel, channels, factor * (<f32>1 - across));
        if (across != 0) accumulate(from, to + <usize>column.to * pixel, channels, factor * across);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function accumulate(dy: usize, to: usize, channels: i32, factor: f32): void {
  for (let c = 0; c < channels; c += 4) {
    const at = <usize>c << 2;
    storeLanes(to + at, fma(v128.load(dy + at), splat(factor), v128.load(to + at)), channels - c);
  }
}
