// Matrix products: operands packed into panels of MR rows and NR columns.
import { Gemm, GemmEach, Pack, Packing } from "./calls.generated";
import { copyLine } from "./simd";
import { ownScratch, firstTask } from "./team";
import { convTile, gemmTile } from "./vectors/products";
import { MR, NR, V } from "./width";

/** Depth of one pass over packed operands: a panel of b (16 KiB, 22 in the wide binary) and one of a (12, 8) stay in a first-level cache of 32. */
export const KC: i32 = WIDE ? 344 : 512;

/** Packs b [k, n] into panels of NR columns, each k-major, the last one filled with zeros. */
// @ts-ignore: decorator
@words("...Packing")
export function packB(b: Packing, slice: i32, slices: i32): void {
  packBTo(b.packed, b, slice, slices);
}

function packBTo(packed: usize, b: Packing, slice: i32, slices: i32): void {
  const k = b.rows;
  const n = b.columns;
  const rowStride = <usize>b.rowStride << 2;
  const columnStride = <usize>b.columnStride << 2;
  const batch = b.batch;
  const panels = (n + NR - 1) / NR;
  // As many panels at a time as fill a cache line.
  const together = 16 / NR;
  const groups = (panels + together - 1) / together;
  const depth = 64;
  const slabs = (k + depth - 1) / depth;
  const tasks = batch * groups * slabs;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    // Neighbouring panels come one after the other: they share pages, and what the processor fetches ahead.
    const panel = (task % groups) * together;
    const slab = (task / groups) % slabs;
    const item = task / (slabs * groups);
    const first = slab * depth;
    const rows = min(depth, k - first);
    const from = b.from + ((<usize>item * <usize>b.fromStride) << 2) + <usize>first * rowStride + <usize>(panel * NR) * columnStride;
    const to = packed + ((<usize>item * <usize>b.packedStride + <usize>panel * <usize>k * NR + <usize>first * NR) << 2);
    const next = <usize>(k * NR) << 2;
    const columns = n - panel * NR;
    if (columns >= 16 && columnStride == 4) {
      let p = from;
      let q = to;
      for (let i = 0; i < rows; i++, p += rowStride, q += NR * 4) copyLine(q, p, NR == 8 ? q + next : q + 32);
      continue;
    }
    packPanel(from, to, rows, min(columns, NR), rowStride, columnStride);
    if (together > 1 && columns > NR) {
      packPanel(from + NR * columnStride, to + next, rows, min(columns - NR, NR), rowStride, columnStride);
    }
  }
}

export function packPanel(from: usize, to: usize, rows: i32, columns: i32, rowStride: usize, columnStride: usize): void {
  let i = 0;
  if (columns == NR && columnStride == 4) {
    for (; i < rows; i++, from += rowStride, to += NR * 4) copyRow(to, from);
    return;
  }
  if (columns == NR && rowStride == 4) {
    for (; i + 4 <= rows; i += 4, from += 16, to += NR * 16) {
      for (let j = 0; j < NR; j += 4) transpose4(from + <usize>j * columnStride, columnStride, to + (<usize>j << 2));
    }
  }
  for (; i < rows; i++, from += rowStride, to += NR * 4) {
    for (let j = 0; j < NR; j++) {
      store<f32>(to + (<usize>j << 2), j < columns ? load<f32>(from + <usize>j * columnStride) : 0);
    }
  }
}

/** Copies a row of a panel. (A call of the engine's copy costs more than a few vectors do.) */
// @ts-ignore: decorator
@inline export function copyRow(to: usize, from: usize): void {
  for (let at: usize = 0; at < 2 * V; at += 16) v128.store(to + at, v128.load(from + at));
}

/** Four columns of four neighbours, `stride` bytes apart, become four rows of a panel. */
// @ts-ignore: decorator
@inline function transpose4(from: usize, stride: usize, to: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + stride);
  const c = v128.load(from + 2 * stride);
  const d = v128.load(from + 3 * stride);
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const AB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const CD = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
  v128.store(to, v128.shuffle<i64>(ab, cd, 1, 3), NR * 4);
  v128.store(to, v128.shuffle<i64>(AB, CD, 0, 2), NR * 8);
  v128.store(to, v128.shuffle<i64>(AB, CD, 1, 3), NR * 12);
}

/** Packs a [m, k] into panels of MR rows, each k-major, the last one filled with zeros. */
function packATo(packed: usize, a: Packing, slice: i32, slices: i32): void {
  const m = a.rows;
  const k = a.columns;
  const rowStride = <usize>a.rowStride << 2;
  const columnStride = <usize>a.columnStride << 2;
  const panels = (m + MR - 1) / MR;
  const depth = 128;
  const slabs = (k + depth - 1) / depth;
  const tasks = a.batch * panels * slabs;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    // Neighbouring panels share cache lines where columns are contiguous: they come one after the other.
    const panel = task % panels;
    const slab = (task / panels) % slabs;
    const item = task / (slabs * panels);
    const first = slab * depth;
    const count = min(depth, k - first);
    const valid = min(MR, m - panel * MR);
    let from = a.from + ((<usize>item * <usize>a.fromStride) << 2) + <usize>(panel * MR) * rowStride + <usize>first * columnStride;
    let to = packed + ((<usize>item * <usize>a.packedStride + <usize>panel * <usize>k * MR + <usize>first * MR) << 2);
    if (columnStride == 4) {
      packRows(from, to, count, rowStride, valid);
    } else if (valid == MR && rowStride == 4) {
      for (let i = 0; i < count; i++, from += columnStride, to += MR * 4) {
        v128.store(to, v128.load(from));
        v128.store64_lane(to, v128.load64_zero(from, 16), 0, 16);
      }
    } else {
      for (let i = 0; i < count; i++, from += columnStride, to += MR * 4) {
        for (let j = 0; j < MR; j++) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from + <usize>j * rowStride) : 0);
        }
      }
    }
  }
}

/** Packs both operands of a product. */
// Both operands of a product in one call, so that threads meet once after them.
// @ts-ignore: decorator
@words("a: Packing", "b: Packing")
export function pack(call: Pack, slice: i32, slices: i32): void {
  packB(call.b, slice, slices);
  packATo(call.a.packed, call.a, slice, slices);
}

/** Six rows of contiguous elements, interleaved four columns at a time. If fewer are valid, the last one is repeated: nobody reads its results. */
export function packRows(base: usize, to: usize, depth: i32, rowStride: usize, valid: i32): void {
  let p0 = base;
  let p1 = valid > 1 ? p0 + rowStride : p0;
  let p2 = valid > 2 ? p1 + rowStride : p1;
  let p3 = valid > 3 ? p2 + rowStride : p2;
  let p4 = valid > 4 ? p3 + rowStride : p3;
  let p5 = valid > 5 ? p4 + rowStride : p4;
  let i = 0;
  for (; i + 4 <= depth; i += 4) {
    const a = v128.load(p0);
    const b = v128.load(p1);
    const c = v128.load(p2);
    const d = v128.load(p3);
    const e = v128.load(p4);
    const f = v128.load(p5);
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const AB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const CD = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    const ef = v128.shuffle<i32>(e, f, 0, 4, 1, 5);
    const EF = v128.shuffle<i32>(e, f, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
    v128.store(to, v128.shuffle<i64>(ef, ab, 0, 3), 16);
    v128.store(to, v128.shuffle<i64>(cd, ef, 1, 3), 32);
    v128.store(to, v128.shuffle<i64>(AB, CD, 0, 2), 48);
    v128.store(to, v128.shuffle<i64>(EF, AB, 0, 3), 64);
    v128.store(to, v128.shuffle<i64>(CD, EF, 1, 3), 80);
    p0 += 16;
    p1 += 16;
    p2 += 16;
    p3 += 16;
    p4 += 16;
    p5 += 16;
    to += 96;
  }
  for (; i < depth; i++, to += 24) {
    store<f32>(to, load<f32>(p0));
    store<f32>(to, load<f32>(p1), 4);
    store<f32>(to, load<f32>(p2), 8);
    store<f32>(to, load<f32>(p3), 12);
    store<f32>(to, load<f32>(p4), 16);
    store<f32>(to, load<f32>(p5), 20);
    p0 += 4;
    p1 += 4;
    p2 += 4;
    p3 += 4;
    p4 += 4;
    p5 += 4;
  }
}

/** Copies the valid corner of a full tile (MR × NR floats) to its place. */
export function storeCorner(tile: usize, c: usize, ldc: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++, tile += NR * 4, c += ldc) {
    if (columns == NR) copyRow(c, tile);
    else memory.copy(c, tile, <usize>columns << 2);
  }
}

/** The reverse, for a tile that goes on accumulating. */
export function loadCorner(tile: usize, c: usize, ldc: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++, tile += NR * 4, c += ldc) memory.copy(tile, c, <usize>columns << 2);
}

/** c = a · b, b packed, a packed or in rows of contiguous elements. Tasks are blocks of rows × columns, fixed by shape. */
// a [m, k] · b [k, n]: blocks of rows (a multiple of MR) × columns (one of NR), strides in elements. aRow is k where a is packed.
// @ts-ignore: decorator
@words(
  "*a", "*b", "*c", "m", "n", "k", "blockRows", "blockColumns", "batch", "aRow", "aStride", "bStride", "cStride",
  "?packedLeft", "corner: Scratch"
)
export function gemm(call: Gemm, slice: i32, slices: i32): void {
  const m = call.m;
  const n = call.n;
  const k = call.k;
  const blockRows = call.blockRows;
  const blockColumns = call.blockColumns;
  const corner = ownScratch(call.corner);
  const rowBlocks = (m + blockRows - 1) / blockRows;
  const columnBlocks = (n + blockColumns - 1) / blockColumns;
  const tasks = call.batch * rowBlocks * columnBlocks;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const columnBlock = task % columnBlocks;
    const rowBlock = (task / columnBlocks) % rowBlocks;
    const item = task / (columnBlocks * rowBlocks);
    const row = rowBlock * blockRows;
    const rows = min(blockRows, m - row);
    const firstColumn = columnBlock * blockColumns;
    const lastColumn = min(firstColumn + blockColumns, n);
    const left = call.a + ((<usize>item * <usize>call.aStride + <usize>row * <usize>call.aRow) << 2);
    const right = call.b + ((<usize>item * <usize>call.bStride) << 2);
    const to = call.c + ((<usize>item * <usize>call.cStride) << 2) + ((<usize>row * <usize>n) << 2);
    if (call.packedLeft) multiplyBlock(left, right, to, rows, n, k, firstColumn, lastColumn, corner);
    else multiplyRows(left, <usize>call.aRow << 2, right, to, rows, n, k, firstColumn, lastColumn, corner);
  }
}

/** The same as multiplyBlock for a left operand whose rows are `stride` bytes apart. Sums have the same order. */
function multiplyRows(
  left: usize, stride: usize, right: usize, to: usize, rows: i32, n: i32, k: i32, first: i32, last: i32, corner: usize,
): void {
  const ldc = <usize>n << 2;
  for (let depth = 0; depth < k; depth += KC) {
    const kc = min(KC, k - depth);
    const fresh = depth == 0;
    for (let j = first; j < last; j += NR) {
      const panel = right + ((<usize>(j / NR) * <usize>k * NR + <usize>depth * NR) << 2);
      const columns = min(NR, n - j);
      let p = left + (<usize>depth << 2);
      let c = to + (<usize>j << 2);
      for (let i = 0; i < rows; i += MR, p += MR * stride, c += MR * ldc) {
        const valid = min(MR, rows - i);
        const p1 = valid > 1 ? p + stride : p;
        const p2 = valid > 2 ? p1 + stride : p;
        const p3 = valid > 3 ? p2 + stride : p;
        const p4 = valid > 4 ? p3 + stride : p;
        const p5 = valid > 5 ? p4 + stride : p;
        if (columns == NR && valid == MR) {
          convTile(p, p1, p2, p3, p4, p5, kc, panel, c, ldc, fresh);
        } else {
          if (!fresh) loadCorner(corner, c, ldc, valid, columns);
          convTile(p, p1, p2, p3, p4, p5, kc, panel, corner, NR * 4, fresh);
          storeCorner(corner, c, ldc, valid, columns);
        }
      }
    }
  }
}

/** The columns from `first` to `last` of `rows` rows of a product, whose rows have n columns. */
function multiplyBlock(
  left: usize, right: usize, to: usize, rows: i32, n: i32, k: i32, first: i32, last: i32, corner: usize,
): void {
  const ldc = <usize>n << 2;
  for (let depth = 0; depth < k; depth += KC) {
    const kc = min(KC, k - depth);
    for (let j = first; j < last; j += NR) {
      const panel = right + ((<usize>(j / NR) * <usize>k * NR + <usize>depth * NR) << 2);
      const columns = min(NR, n - j);
      for (let i = 0; i < rows; i += MR) {
        const rowsOfA = left + ((<usize>i * <usize>k + <usize>depth * MR) << 2);
        const c = to + <usize>i * ldc + (<usize>j << 2);
        const valid = min(MR, rows - i);
        if (columns == NR && valid == MR) {
          gemmTile(rowsOfA, panel, c, ldc, kc, depth == 0);
        } else {
          if (depth > 0) loadCorner(corner, c, ldc, valid, columns);
          gemmTile(rowsOfA, panel, corner, NR * 4, kc, depth == 0);
          storeCorner(corner, c, ldc, valid, columns);
        }
      }
    }
  }
}

/** The products of a batch, each packed by the thread that computes it, so that packed operands stay in its cache. */
// The scratch holds a tile, packed a and packed b.
// @ts-ignore: decorator
@words("a: Packing", "b: Packing", "*c", "cornerBytes", "aBytes", "scratch: Scratch")
export function gemmEach(call: GemmEach, slice: i32, slices: i32): void {
  const a = call.a;
  const b = call.b;
  const m = a.rows;
  const n = b.columns;
  const k = a.columns;
  const batch = a.batch;
  const corner = ownScratch(call.scratch);
  const left = corner + <usize>call.cornerBytes;
  const right = left + <usize>call.aBytes;
  const end = firstTask(batch, slice + 1, slices);
  for (let item = firstTask(batch, slice, slices); item < end; item++) {
    packATo(left, a, item, batch);
    packBTo(right, b, item, batch);
    multiplyBlock(left, right, call.c + ((<usize>item * <usize>(m * n)) << 2), m, n, k, 0, n, corner);
  }
}
