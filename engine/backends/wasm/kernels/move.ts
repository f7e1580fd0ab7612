// Kernels that move elements without computing: copies, strided walks, gathering by index and its adjoint, which adds.
import { arg, ptr } from "./elementwise";
import { ERROR_INDEX, fail, share } from "./team";

/** Elements of one task. */
const PIECE: i32 = 4096;

/** x, y, bytes */
export function copy(a: usize, slice: i32, slices: i32): void {
  const bytes = arg(a, 2);
  const lines = (bytes + 63) >> 6;
  const begin = share(lines, slice, slices) << 6;
  const end = min(share(lines, slice + 1, slices) << 6, bytes);
  if (begin < end) memory.copy(ptr(a, 1) + <usize>begin, ptr(a, 0) + <usize>begin, <usize>(end - begin));
}

/** One element, over and over: element bytes (1 or 4), bits of the element, y, n */
export function fill(a: usize, slice: i32, slices: i32): void {
  const value = arg(a, 1);
  const y = ptr(a, 2);
  const n = arg(a, 3);
  const lines = (n + 63) >> 6;
  const begin = share(lines, slice, slices) << 6;
  const end = min(share(lines, slice + 1, slices) << 6, n);
  if (begin >= end) return;
  if (arg(a, 0) == 1) {
    memory.fill(y + <usize>begin, <u8>value, <usize>(end - begin));
  } else if (value == 0) {
    memory.fill(y + (<usize>begin << 2), 0, <usize>(end - begin) << 2);
  } else {
    for (let i = begin; i < end; i++) store<i32>(y + (<usize>i << 2), value);
  }
}

/**
 * y from x, both walked through with strides: element bytes (1 or 4), x, y, rank, then for each axis from the outermost
 * one its size and the strides of x and y in elements, which may be negative.
 */
export function strided(a: usize, slice: i32, slices: i32): void {
  const shift: usize = arg(a, 0) == 4 ? 2 : 0;
  const rank = arg(a, 3);
  const axes = a + 16;
  const inner = axes + <usize>(rank - 1) * 12;
  const n = load<i32>(inner);
  const sx = load<i32>(inner, 4);
  const sy = load<i32>(inner, 8);
  const dx = <usize>sx << shift;
  const dy = <usize>sy << shift;
  const pieces = (n + PIECE - 1) / PIECE;
  let rows = 1;
  for (let d = 0; d < rank - 1; d++) rows *= load<i32>(axes + <usize>d * 12);
  const end = share(rows * pieces, slice + 1, slices);
  for (let task = share(rows * pieces, slice, slices); task < end; task++) {
    const row = task / pieces;
    const first = (task - row * pieces) * PIECE;
    const count = min(PIECE, n - first);
    let rest = row;
    let ox = first * sx;
    let oy = first * sy;
    for (let d = rank - 2; d >= 0; d--) {
      const axis = axes + <usize>d * 12;
      const size = load<i32>(axis);
      const q = rest / size;
      const i = rest - q * size;
      ox += i * load<i32>(axis, 4);
      oy += i * load<i32>(axis, 8);
      rest = q;
    }
    let from = ptr(a, 1) + (<usize>ox << shift);
    let to = ptr(a, 2) + (<usize>oy << shift);
    if (sx == 1 && sy == 1) {
      memory.copy(to, from, <usize>count << shift);
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

/** The first lane, n times. */
function repeat(to: usize, value: v128, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, to += 16) v128.store(to, value);
  for (; i < n; i++, to += 4) v128.store_lane<u32>(to, value, 0);
}

/** x, index, y, rows of x, count, bytes per row */
export function takeRows(a: usize, slice: i32, slices: i32): void {
  const rows = arg(a, 3);
  const count = arg(a, 4);
  const bytes = <usize>arg(a, 5);
  const end = share(count, slice + 1, slices);
  for (let i = share(count, slice, slices); i < end; i++) {
    const row = load<i32>(ptr(a, 1) + (<usize>i << 2));
    if (<u32>row >= <u32>rows) {
      fail(ERROR_INDEX, row, i);
      return;
    }
    memory.copy(ptr(a, 2) + <usize>i * bytes, ptr(a, 0) + <usize>row * bytes, bytes);
  }
}

/**
 * Adds rows of g to the rows of y that the index names, in order: g, index, y, rows of y, count, elements of a row. Every
 * slice looks at all indices and adds to its own rows of y.
 */
export function scatterRows(a: usize, slice: i32, slices: i32): void {
  const y = ptr(a, 2);
  const rows = arg(a, 3);
  const count = arg(a, 4);
  const width = arg(a, 5);
  const bytes = <usize>width << 2;
  const begin = share(rows, slice, slices);
  const end = share(rows, slice + 1, slices);
  memory.fill(y + <usize>begin * bytes, 0, <usize>(end - begin) * bytes);
  for (let i = 0; i < count; i++) {
    const row = load<i32>(ptr(a, 1) + (<usize>i << 2));
    if (<u32>row >= <u32>rows) {
      fail(ERROR_INDEX, row, i);
      return;
    }
    if (row < begin || row >= end) continue;
    addRun(ptr(a, 0) + <usize>i * bytes, y + <usize>row * bytes, width);
  }
}

function addRun(x: usize, y: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16, y += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
  for (; i < n; i++, x += 4, y += 4) store<f32>(y, load<f32>(y) + load<f32>(x));
}

/** Columns of one task. */
const STRIP: i32 = 256;

/** y[o, j, i] = x[o, index[o, j, i], i]: element bytes, x, index, y, outer, n (of x), inner, m (of the index) */
export function takeAlong(a: usize, slice: i32, slices: i32): void {
  const bytes = arg(a, 0) == 1;
  const x = ptr(a, 1);
  const y = ptr(a, 3);
  const n = arg(a, 5);
  const inner = arg(a, 6);
  const m = arg(a, 7);
  const end = share(arg(a, 4) * m, slice + 1, slices);
  for (let row = share(arg(a, 4) * m, slice, slices); row < end; row++) {
    const from = (row / m) * n;
    for (let i = 0; i < inner; i++) {
      const at = row * inner + i;
      const position = load<i32>(ptr(a, 2) + (<usize>at << 2));
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

/** y[o, index[o, j, i], i] += g[o, j, i] for j in order: g, index, y, outer, n (of y), inner, m (of g) */
export function scatterAlong(a: usize, slice: i32, slices: i32): void {
  const n = arg(a, 4);
  const inner = arg(a, 5);
  const m = arg(a, 6);
  const strips = (inner + STRIP - 1) / STRIP;
  const end = share(arg(a, 3) * strips, slice + 1, slices);
  for (let task = share(arg(a, 3) * strips, slice, slices); task < end; task++) {
    const o = task / strips;
    const first = (task - o * strips) * STRIP;
    const width = min(STRIP, inner - first);
    const to = ptr(a, 2) + (<usize>(o * n * inner + first) << 2);
    for (let r = 0; r < n; r++) memory.fill(to + (<usize>(r * inner) << 2), 0, <usize>width << 2);
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < width; i++) {
        const at = (o * m + j) * inner + first + i;
        const position = load<i32>(ptr(a, 1) + (<usize>at << 2));
        if (<u32>position >= <u32>n) {
          fail(ERROR_INDEX, position, at);
          return;
        }
        const target = to + (<usize>(position * inner + i) << 2);
        store<f32>(target, load<f32>(target) + load<f32>(ptr(a, 0) + (<usize>at << 2)));
      }
    }
  }
}
