// Kernels that move elements without computing: copies, strided copies, gathering by index and its adjoint, which adds.
import { Copy, Fill, ScatterAddAlongAxis, ScatterAddRows, Strided, TakeAlongAxis, GatherRows } from "./calls.generated";
import { copyLine } from "./simd";
import { ERROR_INDEX, fail, firstTask } from "./team";

/** Elements of one task. */
const TASK: i32 = 4096;

/** y = x */
// @ts-ignore: decorator
@words("*x", "*y", "bytes")
export function copy(call: Copy, slice: i32, slices: i32): void {
  const bytes = call.bytes;
  const lines = (bytes + 63) >> 6;
  const begin = firstTask(lines, slice, slices) << 6;
  const end = min(firstTask(lines, slice + 1, slices) << 6, bytes);
  if (begin < end) memory.copy(call.y + <usize>begin, call.x + <usize>begin, <usize>(end - begin));
}

/** n elements of 1 or 4 bytes with the same bits. */
// @ts-ignore: decorator
@words("*y", "n", "elementBytes", "bits")
export function fill(call: Fill, slice: i32, slices: i32): void {
  const value = call.bits;
  const y = call.y;
  const n = call.n;
  const lines = (n + 63) >> 6;
  const begin = firstTask(lines, slice, slices) << 6;
  const end = min(firstTask(lines, slice + 1, slices) << 6, n);
  if (begin >= end) return;
  if (call.elementBytes == 1) {
    memory.fill(y + <usize>begin, <u8>value, <usize>(end - begin));
  } else if (value == 0) {
    memory.fill(y + (<usize>begin << 2), 0, <usize>(end - begin) << 2);
  } else {
    for (let i = begin; i < end; i++) store<i32>(y + (<usize>i << 2), value);
  }
}

/** A strided copy of elements of 1 or 4 bytes. Axes begin with the outermost one, strides may be negative. */
// @ts-ignore: decorator
@words("*x", "*y", "elementBytes", "axes: CopyAxis[]")
export function strided(call: Strided, slice: i32, slices: i32): void {
  const shift: usize = call.elementBytes == 4 ? 2 : 0;
  const axes = call.axes;
  const rank = axes.length;
  const inner = axes[rank - 1];
  const n = inner.size;
  const sx = inner.xStride;
  const sy = inner.yStride;
  const dx = <usize>sx << shift;
  const dy = <usize>sy << shift;
  const parts = (n + TASK - 1) / TASK;
  let rows = 1;
  for (let d = 0; d < rank - 1; d++) rows *= axes[d].size;
  const end = firstTask(rows * parts, slice + 1, slices);
  for (let task = firstTask(rows * parts, slice, slices); task < end; task++) {
    const row = task / parts;
    const first = (task - row * parts) * TASK;
    const count = min(TASK, n - first);
    let rest = row;
    let ox = first * sx;
    let oy = first * sy;
    for (let d = rank - 2; d >= 0; d--) {
      const axis = axes[d];
      const size = axis.size;
      const q = rest / size;
      const i = rest - q * size;
      ox += i * axis.xStride;
      oy += i * axis.yStride;
      rest = q;
    }
    let from = call.x + (<usize>ox << shift);
    let to = call.y + (<usize>oy << shift);
    if (sx == 1 && sy == 1) {
      copyRun(to, from, <usize>count << shift);
    } else if (sx == 0 && sy == 1) {
      if (shift == 2) repeat(to, v128.load32_splat(from), count);
      else memory.fill(to, load<u8>(from), <usize>count);
    } else if (shift == 2) {
      for (let i = 0; i < count; i++, from += dx, to += dy) store<u32>(to, load<u32>(from));
    } else {
      for (let i = 0; i < count; i++, from += dx, to += dy) store<u8>(to, load<u8>(from));
    }
  }
}

/** Copies bytes. A call of the engine's copy costs more than a few vectors do. */
// @ts-ignore: decorator
@inline function copyRun(to: usize, from: usize, bytes: usize): void {
  if (bytes > 512 || (bytes & 63) != 0) {
    memory.copy(to, from, bytes);
    return;
  }
  for (const end = from + bytes; from < end; from += 64, to += 64) copyLine(to, from);
}

/** The first lane, n times. */
function repeat(to: usize, value: v128, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, to += 16) v128.store(to, value);
  for (; i < n; i++, to += 4) v128.store_lane<u32>(to, value, 0);
}

/** The rows of x that the index names. */
// @ts-ignore: decorator
@words("*x", "*index", "*y", "rows", "count", "rowBytes")
export function gatherRows(call: GatherRows, slice: i32, slices: i32): void {
  const rows = call.rows;
  const count = call.count;
  const bytes = <usize>call.rowBytes;
  const end = firstTask(count, slice + 1, slices);
  for (let i = firstTask(count, slice, slices); i < end; i++) {
    const row = load<i32>(call.index + (<usize>i << 2));
    if (<u32>row >= <u32>rows) {
      fail(ERROR_INDEX, row, i);
      return;
    }
    memory.copy(call.y + <usize>i * bytes, call.x + <usize>row * bytes, bytes);
  }
}

/**
 * Adds each row of dy to the row of dx that the index names, in order. Every slice reads all indices and adds to its own rows of
 * dx.
 */
// @ts-ignore: decorator
@words("*dy", "*index", "*dx", "rows", "count", "width")
export function scatterAddRows(call: ScatterAddRows, slice: i32, slices: i32): void {
  const dx = call.dx;
  const rows = call.rows;
  const count = call.count;
  const width = call.width;
  const bytes = <usize>width << 2;
  const begin = firstTask(rows, slice, slices);
  const end = firstTask(rows, slice + 1, slices);
  memory.fill(dx + <usize>begin * bytes, 0, <usize>(end - begin) * bytes);
  for (let i = 0; i < count; i++) {
    const row = load<i32>(call.index + (<usize>i << 2));
    if (<u32>row >= <u32>rows) {
      fail(ERROR_INDEX, row, i);
      return;
    }
    if (row < begin || row >= end) continue;
    addRun(call.dy + <usize>i * bytes, dx + <usize>row * bytes, width);
  }
}

function addRun(x: usize, y: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16, y += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
  for (; i < n; i++, x += 4, y += 4) store<f32>(y, load<f32>(y) + load<f32>(x));
}

/** Columns of one task. */
const STRIP: i32 = 256;

/** y[o, j, i] = x[o, index[o, j, i], i]: x is [outer, n, inner], the index [outer, m, inner]. */
// @ts-ignore: decorator
@words("*x", "*index", "*y", "elementBytes", "outer", "n", "inner", "m")
export function takeAlongAxis(call: TakeAlongAxis, slice: i32, slices: i32): void {
  const bytes = call.elementBytes == 1;
  const x = call.x;
  const y = call.y;
  const n = call.n;
  const inner = call.inner;
  const m = call.m;
  const end = firstTask(call.outer * m, slice + 1, slices);
  for (let row = firstTask(call.outer * m, slice, slices); row < end; row++) {
    const from = (row / m) * n;
    for (let i = 0; i < inner; i++) {
      const at = row * inner + i;
      const position = load<i32>(call.index + (<usize>at << 2));
      if (<u32>position >= <u32>n) {
        fail(ERROR_INDEX, position, at);
        return;
      }
      const source = (from + position) * inner + i;
      if (bytes) store<u8>(y + <usize>at, load<u8>(x + <usize>source));
      else store<u32>(y + (<usize>at << 2), load<u32>(x + (<usize>source << 2)));
    }
  }
}

/** dx[o, index[o, j, i], i] += dy[o, j, i] for j in order: dx is [outer, n, inner], dy [outer, m, inner]. */
// @ts-ignore: decorator
@words("*dy", "*index", "*dx", "outer", "n", "inner", "m")
export function scatterAddAlongAxis(call: ScatterAddAlongAxis, slice: i32, slices: i32): void {
  const n = call.n;
  const inner = call.inner;
  const m = call.m;
  const strips = (inner + STRIP - 1) / STRIP;
  const end = firstTask(call.outer * strips, slice + 1, slices);
  for (let task = firstTask(call.outer * strips, slice, slices); task < end; task++) {
    const o = task / strips;
    const first = (task - o * strips) * STRIP;
    const width = min(STRIP, inner - first);
    const to = call.dx + (<usize>(o * n * inner + first) << 2);
    for (let r = 0; r < n; r++) memory.fill(to + (<usize>(r * inner) << 2), 0, <usize>width << 2);
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < width; i++) {
        const at = (o * m + j) * inner + first + i;
        const position = load<i32>(call.index + (<usize>at << 2));
        if (<u32>position >= <u32>n) {
          fail(ERROR_INDEX, position, at);
          return;
        }
        const target = to + (<usize>(position * inner + i) << 2);
        store<f32>(target, load<f32>(target) + load<f32>(call.dy + (<usize>at << 2)));
      }
    }
  }
}
