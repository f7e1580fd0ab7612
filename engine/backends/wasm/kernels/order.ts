// Running sums and sorting.
import { Cumsum, Sort } from "./calls.generated";
import { ownScratch, firstTask } from "./team";

/** Columns of one task. */
const STRIP: i32 = 256;

/**
 * Running sums along the middle axis of [outer, n, inner], without the element itself when exclusive, from the end when reverse.
 * y may be x. The sum is kept in double precision: it may be long.
 */
// @ts-ignore: decorator
@words("*x", "*y", "outer", "n", "inner", "?exclusive", "?reverse")
export function cumsum(call: Cumsum, slice: i32, slices: i32): void {
  const n = call.n;
  const inner = call.inner;
  const exclusive = call.exclusive;
  const strips = (inner + STRIP - 1) / STRIP;
  const stride: isize = (call.reverse ? -inner : inner) << 2;
  const end = firstTask(call.outer * strips, slice + 1, slices);
  for (let task = firstTask(call.outer * strips, slice, slices); task < end; task++) {
    const o = task / strips;
    const first = (task - o * strips) * STRIP;
    const last = min(first + STRIP, inner);
    const start = o * n * inner + (stride < 0 ? (n - 1) * inner : 0);
    for (let i = first; i < last; i++) {
      let x = call.x + (<usize>(start + i) << 2);
      let y = call.y + (<usize>(start + i) << 2);
      let sum: f64 = 0;
      for (let r = 0; r < n; r++, x += stride, y += stride) {
        const value = load<f32>(x);
        if (exclusive) store<f32>(y, <f32>sum);
        sum += <f64>value;
        if (!exclusive) store<f32>(y, <f32>sum);
      }
    }
  }
}

/** Whether a comes strictly before b: NaN counts as larger than every number. */
// @ts-ignore: decorator
@inline function before(a: f32, b: f32, descending: bool): bool {
  if (descending) return a > b || (a != a && b == b);
  return a < b || (a == a && b != b);
}

/** Stable merge sort of each row. The scratch holds two orders of a row. */
// @ts-ignore: decorator
@words("*x", "*values", "*indices", "rows", "n", "?descending", "scratch: Scratch")
export function sort(call: Sort, slice: i32, slices: i32): void {
  const n = call.n;
  const descending = call.descending;
  const space = ownScratch(call.scratch);
  const end = firstTask(call.rows, slice + 1, slices);
  for (let row = firstTask(call.rows, slice, slices); row < end; row++) {
    const x = call.x + (<usize>(row * n) << 2);
    let from = space;
    let to = space + (<usize>n << 2);
    for (let i = 0; i < n; i++) store<i32>(from + (<usize>i << 2), i);
    for (let width = 1; width < n; width <<= 1) {
      for (let first = 0; first < n; first += width << 1) {
        merge(x, from, to, first, min(first + width, n), min(first + (width << 1), n), descending);
      }
      const swapped = from;
      from = to;
      to = swapped;
    }
    const values = call.values + (<usize>(row * n) << 2);
    memory.copy(call.indices + (<usize>(row * n) << 2), from, <usize>n << 2);
    for (let i: usize = 0; i < <usize>n << 2; i += 4) {
      store<f32>(values + i, load<f32>(x + (<usize>load<i32>(from + i) << 2)));
    }
  }
}

/** Merges two neighbouring runs of indices; of equals, the left one comes first. */
function merge(x: usize, from: usize, to: usize, begin: i32, middle: i32, end: i32, descending: bool): void {
  let left = begin;
  let right = middle;
  for (let i = begin; i < end; i++) {
    let index: i32;
    if (left >= middle) {
      index = load<i32>(from + (<usize>(right++) << 2));
    } else if (right >= end) {
      index = load<i32>(from + (<usize>(left++) << 2));
    } else {
      const l = load<i32>(from + (<usize>left << 2));
      const r = load<i32>(from + (<usize>right << 2));
      const second = before(load<f32>(x + (<usize>r << 2)), load<f32>(x + (<usize>l << 2)), descending);
      index = second ? r : l;
      if (second) right++;
      else left++;
    }
    store<i32>(to + (<usize>i << 2), index);
  }
}
