// Winograd's minimal filtering for convolutions of stride 1: tiles of T × S inputs give m × n outputs of an r × r filter,
// T = m + r − 1 and S = n + r − 1, with T S products in place of m n r². F(4×4, 5×5) and F(6×6, 3×3) on tiles of 8 share
// their points and so the input transform; F(4×4, 3×3) has tiles of 6, F(8×4, 3×3) ten rows of 6 and F(8×4, 5×5) twelve of 8
// (winograd-points.js has the points).
//
//   forward          y  = Aᵀ [ Σ_c (G g Gᵀ) ⊙ (Bᵀ d B) ] A        one matrix product per tile element: tiles × channels
//   input gradient   the same with rotated filters
//   weight gradient  dg = Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ) ] G   one product per tile element: channels × filters
//
// A vector holds four channels or eight, so the transforms are straight lines of vector arithmetic. Rows of a product are tiles
// and do not touch each other: how tiles are grouped into blocks and slices changes no bit of the result.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
//
// The values of a tile lie together: T S rows of its channels, `ld` bytes from one tile to the next (an odd number of cache
// lines, or the tiles would share a few sets of the cache).
import {
  Pooled,
  Tiles,
  TransformFilters,
  Winograd,
  WinogradFinishWeight,
  WinogradGradProduct,
  WinogradGradTransform,
  WinogradGradWeight,
} from "./calls.generated";
import { padRows } from "./conv";
import { List } from "./list";
import { spreadRows } from "./pool";
import { splat, storeLanes } from "./simd";
import { ownScratch, firstTask } from "./team";
import { filterLine, finishTile, product, productOf3, weightTile, weightTileOf3, weightTileOf4 } from "./vectors/products";
import { gradTile, inputTile, outputTile, TILE_CORNER } from "./vectors/transforms.generated";
import { LANES, MR, NR, V } from "./width";

/**
 * Filters into the transformed domain, packed in panels of NR columns for each tile element: G g Gᵀ. Rotation by 180 degrees
 * exchanges C and O, for the input gradient: rows are O, columns C.
 */
// Filters [r, r, channels, filters] to packed panels for each tile element, by the transforms of columns and rows. Rotated
// filters exchange channels and filters.
// @ts-ignore: decorator
@words(
  "*w", "*packed", "tall", "wide", "r", "channels", "filters", "*gDown", "*gAcross", "?rotated", "tapsBytes",
  "scratch: Scratch"
)
export function transformFilters(call: TransformFilters, slice: i32, slices: i32): void {
  const packed = call.packed;
  const tall = call.tall;
  const wide = call.wide;
  const r = call.r;
  const channels = call.channels;
  const filters = call.filters;
  const gDown = call.gDown;
  const gAcross = call.gAcross;
  const rotated = call.rotated;
  const taps = ownScratch(call.scratch); // r × r panels
  const half = taps + <usize>call.tapsBytes; // T × r panels
  const rows = rotated ? filters : channels;
  const columns = rotated ? channels : filters;
  const panels = (columns + NR - 1) / NR;
  const element = <usize>(panels * rows * NR) << 2;
  const end = firstTask(rows * panels, slice + 1, slices);
  for (let task = firstTask(rows * panels, slice, slices); task < end; task++) {
    const panel = task / rows;
    const row = task - panel * rows;
    const first = panel * NR;
    const valid = min(NR, columns - first);
    for (let tap = 0; tap < r * r; tap++) {
      const to = taps + (<usize>(tap * NR) << 2);
      if (rotated) {
        let from = call.w + (<usize>(((r * r - 1 - tap) * channels + first) * filters + row) << 2);
        for (let j = 0; j < NR; j++, from += <usize>filters << 2) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from) : 0);
        }
      } else {
        const from = call.w + (<usize>((tap * channels + row) * filters + first) << 2);
        if (valid < NR) memory.fill(to, 0, NR << 2);
        memory.copy(to, from, <usize>valid << 2);
      }
    }
    for (let u = 0; u < tall; u++) {
      for (let x = 0; x < r; x++) {
        const from = taps + (<usize>(x * NR) << 2);
        const to = half + (<usize>((u * r + x) * NR) << 2);
        filterLine(gDown + (<usize>(u * r) << 2), r, from, <usize>(r * NR) << 2, to);
      }
    }
    let to = packed + (<usize>(task * NR) << 2);
    for (let u = 0; u < tall; u++) {
      for (let v = 0; v < wide; v++, to += element) {
        filterLine(gAcross + (<usize>(v * r) << 2), r, half + (<usize>(u * r * NR) << 2), NR * 4, to);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function ceilDiv(a: i32, b: i32): i32 {
  return (a + b - 1) / b;
}

/** Vectors that hold so many channels. */
// @ts-ignore: decorator
@inline function vectorsOf(channels: i32): i32 {
  return ceilDiv(channels, LANES);
}

/** Elements of a tile. */
// @ts-ignore: decorator
@inline function elementsOf(call: Tiles): i32 {
  return call.tall * call.wide;
}

/** Tiles of all images. */
function tilesOf(call: Tiles): i32 {
  return call.images * ceilDiv(call.outHeight, call.m) * ceilDiv(call.outWidth, call.n);
}

/** Bᵀ d B of `count` tiles, `ld` bytes apart and their elements `step`, by way of the padded rows that a row of tiles covers. */
function transformInputs(call: Tiles, begin: i32, count: i32, to: usize, ld: usize, step: usize, work: usize): void {
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const wide = call.wide;
  const n = call.n;
  const tall = call.tall;
  const m = call.m;
  const tileRows = ceilDiv(call.outHeight, m);
  const tileColumns = ceilDiv(call.outWidth, n);
  const columns = (tileColumns - 1) * n + wide;
  const pixel = <usize>channels << 2;
  const row = <usize>columns * pixel;
  const padded = work + <usize>call.workBytes;
  let filled = -1;
  for (let tile = begin; tile < begin + count; tile++, to += ld) {
    const place = tile / tileColumns;
    if (place != filled) {
      const image = place / tileRows;
      const top = (place - image * tileRows) * m - call.padTop;
      const from = call.x + <usize>(image * height * width) * pixel;
      padRows(from, padded, height, width, channels, top, -call.padLeft, tall, columns);
      filled = place;
    }
    const from = padded + <usize>((tile - place * tileColumns) * n) * pixel;
    inputTile(from, row, pixel, work, to, step, tall, call.factors);
  }
}

/**
 * A dy Aᵀ of `count` tiles, laid out in the same way; zeros where a tile overhangs. Where dy is the gradient of a max pool's
 * result, `pools` has the pool, and dy is spread here. Adds the pixels of all tiles to `total` (0 for none).
 */
function transformGrads(
  call: Tiles,
  dy: usize,
  pools: List<Pooled>,
  begin: i32,
  count: i32,
  to: usize,
  ld: usize,
  step: usize,
  work: usize,
  total: usize,
  fresh: bool,
): void {
  const filters = call.filters;
  const height = call.outHeight;
  const width = call.outWidth;
  const wide = call.wide;
  const n = call.n;
  const tall = call.tall;
  const m = call.m;
  const tileRows = ceilDiv(height, m);
  const tileColumns = ceilDiv(width, n);
  const pixel = <usize>filters << 2;
  const pooled = pools.length > 0;
  const whole = !pooled && tileRows * m == height && tileColumns * n == width;
  const columns = whole ? width : tileColumns * n;
  const row = <usize>columns * pixel;
  const padded = work + <usize>call.workBytes;
  let filled = -1;
  for (let tile = begin; tile < begin + count; tile++, to += ld) {
    const place = tile / tileColumns;
    const image = place / tileRows;
    const top = (place - image * tileRows) * m;
    let from = dy + <usize>(image * height * width) * pixel;
    if (whole) {
      from += <usize>top * row;
    } else {
      if (place != filled) {
        if (pooled) spreadRows(pools[0], dy, pools[0].argmax, image, top, m, padded, columns);
        else padRows(from, padded, height, width, filters, top, 0, m, columns);
      }
      filled = place;
      from = padded;
    }
    from += <usize>((tile - place * tileColumns) * n) * pixel;
    gradTile(from, row, pixel, work, to, step, tall, n, call.factors);
    if (total == 0) continue;
    // The sum of a tile's pixels is its element of point 1, which transforms of eight have.
    const first = fresh && tile == begin;
    if (wide == 8) addValues(to + 9 * step, total, filters, first);
    else addPixels(from, row, pixel, m, total, filters, first);
  }
}

/** The forward pass, and with rotated filters the input gradient. */
// A bias of 0 is none. The filters are cut into so many parts.
// @ts-ignore: decorator
@words("...Tiles", "*packed", "*y", "*bias", "?relu", "parts")
export function winograd(call: Winograd, slice: i32, slices: i32): void {
  const block = call.blockTiles;
  const panels = (call.filters + NR - 1) / NR;
  const tiles = tilesOf(call);
  // Where there are few tiles, the filters are shared too, and each part transforms its tiles anew.
  const groups = (tiles + MR - 1) / MR;
  const parts = call.parts;
  const end = firstTask(groups * parts, slice + 1, slices);
  let task = firstTask(groups * parts, slice, slices);
  while (task < end) {
    const part = task / groups;
    const begin = (task - part * groups) * MR;
    const next = min(end, (part + 1) * groups);
    const last = min((next - part * groups) * MR, tiles);
    const first = firstTask(panels, part, parts);
    const count = firstTask(panels, part + 1, parts) - first;
    for (let tile = begin; tile < last; tile += block) {
      winogradBlock(call, tile, min(block, last - tile), first, count);
    }
    task = next;
  }
}

/** A block of tiles, for `count` panels of filters from `first` on. */
function winogradBlock(call: Winograd, begin: i32, tiles: i32, first: i32, count: i32): void {
  const channels = call.channels;
  const elements = elementsOf(call);
  const lda = <usize>call.inputStep;
  const ldc = <usize>call.outputStep;
  const work = ownScratch(call.scratch);
  const inputs = work + <usize>call.workBytes + <usize>call.paddedBytes;
  const outputs = inputs + <usize>call.blockTiles * lda;
  const panels = (call.filters + NR - 1) / NR;
  const panelBytes = <usize>(channels * NR) << 2;
  const step = <usize>vectorsOf(channels) * V;
  const outStep = <usize>(panels * NR) << 2;
  transformInputs(call, begin, tiles, inputs, lda, step, work);
  for (let f = 0; f < elements; f++) {
    const left = inputs + <usize>f * step;
    let right = call.packed + <usize>(f * panels + first) * panelBytes;
    let to = outputs + <usize>f * outStep + <usize>(first * NR << 2);
    for (let panel = 0; panel < count; panel++, right += panelBytes, to += NR * 4) {
      if (channels == 3) {
        productOf3(left, lda, right, to, ldc, tiles);
        continue;
      }
      for (let t = 0; t < tiles; t += MR) {
        product(left + <usize>t * lda, lda, right, to + <usize>t * ldc, ldc, channels);
      }
    }
  }
  const last = min((first + count) * NR, call.filters);
  transformOutputs(call, begin, tiles, outputs, ldc, first * NR, last, work);
}

/** Aᵀ M A of `count` tiles from their products, `ld` bytes apart, for the filters `first` … `last`. */
function transformOutputs(
  call: Winograd,
  begin: i32,
  count: i32,
  from: usize,
  ld: usize,
  first: i32,
  last: i32,
  work: usize,
): void {
  const filters = call.filters;
  const height = call.outHeight;
  const width = call.outWidth;
  const n = call.n;
  const tall = call.tall;
  const m = call.m;
  const bias = call.bias;
  const lowest: f32 = call.relu ? 0 : -Infinity;
  const factors = call.factors;
  const tileRows = ceilDiv(height, m);
  const tileColumns = ceilDiv(width, n);
  const pixel = <usize>filters << 2;
  const row = <usize>width * pixel;
  const panels = (filters + NR - 1) / NR;
  const step = <usize>(panels * NR) << 2;
  const corner = work + TILE_CORNER * V;
  for (let tile = begin; tile < begin + count; tile++, from += ld) {
    const place = tile / tileColumns;
    const image = place / tileRows;
    const oy = (place - image * tileRows) * m;
    const ox = (tile - place * tileColumns) * n;
    const rows = min(m, height - oy);
    const columns = min(n, width - ox);
    const whole = rows == m && columns == n;
    const origin = call.y + <usize>((image * height + oy) * width + ox) * pixel;
    // Whole vectors of whole tiles go to their places at once, the rest by way of a corner.
    const direct = whole ? (last - first) / LANES : 0;
    if (direct > 0) {
      const at = <usize>first << 2;
      const shift = bias != 0 ? bias + at : 0;
      outputTile(from + at, <usize>direct * V, step, work, origin + at, row, pixel, tall, n, shift, lowest, factors);
    }
    for (let o = first + direct * LANES; o < last; o += LANES) {
      const at = <usize>o << 2;
      const shift = bias != 0 ? bias + at : 0;
      outputTile(from + at, V, step, work, corner, <usize>n * V, V, tall, n, shift, lowest, factors);
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          storeFloats(origin + at + <usize>i * row + <usize>j * pixel, corner + <usize>(i * n + j) * V, min(LANES, filters - o));
        }
      }
    }
  }
}

/**
 * Partial weight gradients in the transformed domain, one for each chunk of tiles: T S matrices of C (padded to a multiple
 * of MR, or 3) × O (padded to one of NR).
 */
// Partial gradients of chunks of tiles, and the sums of dy over them [chunks, filters], or 0.
// @ts-ignore: decorator
@words("...Tiles", "*dy", "*partial", "chunks", "*totals", "pools: Pooled[]")
export function winogradGradWeight(call: WinogradGradWeight, slice: i32, slices: i32): void {
  const channels = call.channels;
  const filters = call.filters;
  const elements = elementsOf(call);
  const block = call.blockTiles;
  const lda = <usize>call.inputStep;
  const ldb = <usize>call.outputStep;
  const chunks = call.chunks;
  const totals = call.totals;
  const work = ownScratch(call.scratch);
  const inputs = work + <usize>call.workBytes + <usize>call.paddedBytes;
  const grads = inputs + <usize>block * lda;
  const step = <usize>vectorsOf(channels) * V;
  const ldc = <usize>((filters + NR - 1) / NR * NR) << 2;
  const elementBytes = <usize>(channels == 3 ? 3 : (channels + MR - 1) / MR * MR) * ldc;
  const tiles = tilesOf(call);

  const end = firstTask(chunks, slice + 1, slices);
  for (let chunk = firstTask(chunks, slice, slices); chunk < end; chunk++) {
    const last = firstTask(tiles, chunk + 1, chunks);
    const first = firstTask(tiles, chunk, chunks);
    const partial = call.partial + <usize>(chunk * elements) * elementBytes;
    for (let begin = first; begin < last; begin += block) {
      const count = min(block, last - begin);
      const fresh = begin == first;
      transformInputs(call, begin, count, inputs, lda, step, work);
      const total = totals != 0 ? totals + (<usize>(chunk * filters) << 2) : 0;
      transformGrads(call, call.dy, call.pools, begin, count, grads, ldb, ldc, work, total, fresh);
      for (let f = 0; f < elements; f++) {
        const left = inputs + <usize>f * step;
        const right = grads + <usize>f * ldc;
        const to = partial + <usize>f * elementBytes;
        if (channels == 3) {
          for (let o: usize = 0; o < ldc; o += NR * 4) {
            weightTileOf3(left, right + o, count, lda, ldb, to + o, ldc, fresh);
          }
          continue;
        }
        for (let o: usize = 0; o < ldc; o += NR * 4) {
          for (let c = 0; c < channels; c += MR) {
            const at = to + <usize>c * ldc + o;
            const x = left + (<usize>c << 2);
            if (c + 4 >= channels) weightTileOf4(x, right + o, count, lda, ldb, at, ldc, fresh);
            else weightTile(x, right + o, count, lda, ldb, at, ldc, fresh);
          }
        }
      }
    }
  }
}

/** Both operands of a weight gradient of many channels, for all tiles. */
// Both operands of all tiles, in blocks [tile elements, tiles, channels or filters]. A task has `taskTiles` tiles. The steps are
// between tile elements. The sums of dy over tasks [tasks, filters], or 0.
// @ts-ignore: decorator
@words("...Tiles", "*dy", "*inputs", "*grads", "taskTiles", "*totals", "pools: Pooled[]")
export function winogradGradTransform(call: WinogradGradTransform, slice: i32, slices: i32): void {
  const filters = call.filters;
  const block = call.blockTiles;
  const inputStep = <usize>call.inputStep;
  const gradStep = <usize>call.outputStep;
  const taskTiles = call.taskTiles;
  const totals = call.totals;
  const work = ownScratch(call.scratch);
  const lda = <usize>vectorsOf(call.channels) * V;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const elements = <usize>elementsOf(call);
  const tiles = tilesOf(call);
  const tasks = (tiles + taskTiles - 1) / taskTiles;
  const end = firstTask(tasks, slice + 1, slices);
  for (let index = firstTask(tasks, slice, slices); index < end; index++) {
    const begin = index * taskTiles;
    const count = min(taskTiles, tiles - begin);
    const whole = <usize>(begin / block);
    const row = <usize>(begin % block);
    const inputs = call.inputs + whole * elements * inputStep + row * lda;
    const grads = call.grads + whole * elements * gradStep + row * ldb;
    transformInputs(call, begin, count, inputs, lda, inputStep, work);
    const total = totals != 0 ? totals + (<usize>(index * filters) << 2) : 0;
    transformGrads(call, call.dy, call.pools, begin, count, grads, ldb, gradStep, work, total, true);
  }
}

/** The products of what winogradGradTransform wrote, each over all tiles: [T S, C to a multiple of MR, O to one of NR]. */
// Their products over all tiles. Where `blockwise`, every block is summed by itself.
// @ts-ignore: decorator
@words(
  "*inputs", "*grads", "*partial", "elements", "channels", "filters", "tiles", "blockTiles", "inputStep",
  "gradStep", "?blockwise", "sums: Scratch"
)
export function winogradGradProduct(call: WinogradGradProduct, slice: i32, slices: i32): void {
  const elements = call.elements;
  const channels = call.channels;
  const tiles = call.tiles;
  const block = call.blockTiles;
  const inputStep = <usize>call.inputStep;
  const gradStep = <usize>call.gradStep;
  const rows = (channels + MR - 1) / MR * MR;
  const lda = <usize>vectorsOf(channels) * V;
  const ldb = <usize>((call.filters + NR - 1) / NR * NR) << 2;
  const sums = call.blockwise ? ownScratch(call.sums) : 0;
  // Halves of a matrix, so that sixteen threads share 36 of them evenly enough.
  const half = (rows / MR + 1) / 2 * MR;
  const tasks = 2 * elements;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const f = task >> 1;
    const top = (task & 1) * half;
    const bottom = min(top + half, rows);
    let left = call.inputs + <usize>f * inputStep;
    let right = call.grads + <usize>f * gradStep;
    for (let begin = 0; begin < tiles; begin += block) {
      const count = min(block, tiles - begin);
      const apart = sums != 0 && begin > 0;
      const fresh = apart || begin == 0;
      for (let c = top; c < bottom; c += MR) {
        const x = left + (<usize>c << 2);
        const to = call.partial + <usize>(f * rows + c) * ldb;
        for (let o: usize = 0; o < ldb; o += NR * 4) {
          const few = c + 4 >= channels;
          const y = apart ? sums : to + o;
          const step = apart ? NR * 4 : ldb;
          if (few) weightTileOf4(x, right + o, count, lda, ldb, y, step, fresh);
          else weightTile(x, right + o, count, lda, ldb, y, step, fresh);
          if (apart) addTile(sums, to + o, ldb, few ? 4 : MR);
        }
      }
      left += <usize>elements * inputStep;
      right += <usize>elements * gradStep;
    }
  }
}

/** Adds rows of NR values that lie together to rows of a matrix. */
function addTile(from: usize, to: usize, ldc: usize, rows: i32): void {
  for (; rows > 0; rows--, from += NR * 4, to += ldc) {
    for (let at: usize = 0; at < 2 * V; at += 16) {
      v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
    }
  }
}

/** Copies `count` floats. Reads up to 12 bytes more. */
// @ts-ignore: decorator
@inline function storeFloats(to: usize, from: usize, count: i32): void {
  for (; count > 0; count -= 4, to += 16, from += 16) storeLanes(to, v128.load(from), count);
}

/** total = (fresh ? 0 : total) + `count` values that lie together. */
function addValues(from: usize, total: usize, count: i32, fresh: bool): void {
  for (let i = 0; i < count; i += 4) {
    const at = <usize>i << 2;
    const value = v128.load(from + at);
    storeLanes(total + at, fresh ? value : f32x4.add(v128.load(total + at), value), count - i);
  }
}

/** total = (fresh ? 0 : total) + the sum of the m × 4 pixels of a tile. */
function addPixels(from: usize, row: usize, pixel: usize, m: i32, total: usize, filters: i32, fresh: bool): void {
  for (let o = 0; o < filters; o += 4) {
    const at = <usize>o << 2;
    let s0 = fresh ? splat(0) : v128.load(total + at);
    let s1 = splat(0);
    let s2 = s1;
    let s3 = s1;
    let p = from + at;
    for (let i = 0; i < m; i++, p += row) {
      s0 = f32x4.add(s0, v128.load(p));
      s1 = f32x4.add(s1, v128.load(p + pixel));
      const next = p + (pixel << 1);
      s2 = f32x4.add(s2, v128.load(next));
      s3 = f32x4.add(s3, v128.load(next + pixel));
    }
    storeLanes(total + at, f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), filters - o);
  }
}

/**
 * Adds the partial weight gradients in order of their chunks and leaves the transformed domain: Gᵀ dU G.
 * dw [r, r, C, O]
 */
// @ts-ignore: decorator
@words(
  "*partial", "*dw", "tall", "wide", "r", "channels", "filters", "chunks", "*gDown", "*gAcross", "workBytes",
  "scratch: Scratch"
)
export function winogradFinishWeight(call: WinogradFinishWeight, slice: i32, slices: i32): void {
  const tall = call.tall;
  const wide = call.wide;
  const r = call.r;
  const channels = call.channels;
  const filters = call.filters;
  const chunks = call.chunks;
  const work = ownScratch(call.scratch);
  const result = work + <usize>call.workBytes;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const elementBytes = <usize>(channels == 3 ? 3 : (channels + MR - 1) / MR * MR) * ldb;
  const groups = ceilDiv(filters, LANES);
  const tasks = channels * groups;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const c = task / groups;
    const o = (task - c * groups) * LANES;
    const from = call.partial + <usize>c * ldb + (<usize>o << 2);
    finishTile(from, elementBytes, chunks, tall, wide, r, call.gDown, call.gAcross, work, result);
    let to = call.dw + (<usize>(c * filters + o) << 2);
    for (let tap = 0; tap < r * r; tap++, to += <usize>(channels * filters) << 2) {
      storeFloats(to, result + <usize>tap * V, min(LANES, filters - o));
    }
  }
}
