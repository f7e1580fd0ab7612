// Winograd's minimal filtering for convolutions of stride 1: tiles of T × S inputs give m × n outputs of an r × r filter,
// T = m + r − 1 and S = n + r − 1, with T S products in place of m n r². F(4×4, 5×5) and F(6×6, 3×3) on tiles of 8 share
// their points and so the input transform; F(4×4, 3×3) has tiles of 6, F(8×4, 3×3) ten rows of 6 and F(8×4, 5×5) twelve of 8
// (transforms.ts has the points).
//
//   forward          y  = Aᵀ [ Σ_c (G g Gᵀ) ⊙ (Bᵀ d B) ] A        one matrix product per frequency: tiles × channels
//   input gradient   the same with turned filters
//   weight gradient  dg = Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ) ] G   one product per frequency: channels × filters
//
// A vector holds four channels or eight, so the transforms are straight lines of vector arithmetic. Rows of a product are tiles
// and do not touch each other: how tiles are grouped into blocks and slices changes no bit of the result.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
//
// The values of a tile lie together: T S rows of its channels, `ld` bytes from one tile to the next (an odd number of cache
// lines, or the tiles would share a few sets of the cache).
import { Pooling } from "./calls.generated";
import { arg, ptr } from "./elementwise";
import { fillBand } from "./conv";
import { splat, storeLanes } from "./simd";
import { spreadRows } from "./pool";
import { scratch, share } from "./team";
import { filterLine, finishTile, product, productOf3, weightTile, weightTileOf3, weightTileOf4 } from "./vectors/products";
import { gradTile, inputTile, outputTile } from "./vectors/transforms";
import { LANES, MR, NR, V } from "./width";

/**
 * Filters into the transformed domain, packed in panels of NR columns for each frequency: G g Gᵀ.
 * w [r, r, C, O], packed, T, S, r, C, O, addresses of G of columns (T × r floats) and of rows (S × r), turned, scratch, scratch
 * bytes per thread. Turned exchanges C and O and rotates by 180 degrees, for the input gradient: rows are O, columns C.
 */
export function transformFilters(a: usize, slice: i32, slices: i32): void {
  const packed = ptr(a, 1);
  const tall = arg(a, 2);
  const wide = arg(a, 3);
  const r = arg(a, 4);
  const channels = arg(a, 5);
  const filters = arg(a, 6);
  const gDown = ptr(a, 7);
  const gAcross = ptr(a, 8);
  const turned = arg(a, 9) != 0;
  const taps = scratch(ptr(a, 10), arg(a, 11)); // r × r panels
  const half = taps + 64 * V; // T × r panels
  const rows = turned ? filters : channels;
  const columns = turned ? channels : filters;
  const panels = (columns + NR - 1) / NR;
  const frequency = <usize>(panels * rows * NR) << 2;
  const end = share(rows * panels, slice + 1, slices);
  for (let task = share(rows * panels, slice, slices); task < end; task++) {
    const panel = task / rows;
    const row = task - panel * rows;
    const first = panel * NR;
    const valid = min(NR, columns - first);
    for (let tap = 0; tap < r * r; tap++) {
      const to = taps + (<usize>(tap * NR) << 2);
      if (turned) {
        let from = ptr(a, 0) + (<usize>(((r * r - 1 - tap) * channels + first) * filters + row) << 2);
        for (let j = 0; j < NR; j++, from += <usize>filters << 2) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from) : 0);
        }
      } else {
        const from = ptr(a, 0) + (<usize>((tap * channels + row) * filters + first) << 2);
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
      for (let v = 0; v < wide; v++, to += frequency) {
        filterLine(gAcross + (<usize>(v * r) << 2), r, half + (<usize>(u * r * NR) << 2), NR * 4, to);
      }
    }
  }
}

/** Room for the squares that a transform works on. */
const WORK: usize = 128 * V;

// Words that the kernels on tiles share: x, packed filters or g, result, images, height, width, channels, filters, pad top
// and left, output height and width, S, n, tiles of a block (a multiple of MR), bytes between the tiles of a block of inputs
// and of products or gradients, scratch, scratch bytes per thread, bytes of the band in it, T, m, address of the
// numbers of a line of ten or twelve.

// @ts-ignore: decorator
@inline function scratchOf(a: usize): usize {
  return scratch(ptr(a, 17), arg(a, 18));
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

/** Frequencies of a tile. */
// @ts-ignore: decorator
@inline function frequenciesOf(a: usize): i32 {
  return arg(a, 20) * arg(a, 12);
}

/** Tiles of all images. */
function tilesOf(a: usize): i32 {
  return arg(a, 3) * ceilDiv(arg(a, 10), arg(a, 21)) * ceilDiv(arg(a, 11), arg(a, 13));
}

/**
 * Bᵀ d B of `count` tiles, `ld` bytes apart and their frequencies `step`, by way of bands of the padded image that a row of
 * tiles covers.
 */
function transformInputs(a: usize, begin: i32, count: i32, to: usize, ld: usize, step: usize, work: usize): void {
  const height = arg(a, 4);
  const width = arg(a, 5);
  const channels = arg(a, 6);
  const wide = arg(a, 12);
  const n = arg(a, 13);
  const tall = arg(a, 20);
  const m = arg(a, 21);
  const tileRows = ceilDiv(arg(a, 10), m);
  const tileColumns = ceilDiv(arg(a, 11), n);
  const columns = (tileColumns - 1) * n + wide;
  const pixel = <usize>channels << 2;
  const row = <usize>columns * pixel;
  const band = work + WORK;
  let filled = -1;
  for (let tile = begin; tile < begin + count; tile++, to += ld) {
    const place = tile / tileColumns;
    if (place != filled) {
      const image = place / tileRows;
      const top = (place - image * tileRows) * m - arg(a, 8);
      const from = ptr(a, 0) + <usize>(image * height * width) * pixel;
      fillBand(from, band, height, width, channels, top, -arg(a, 9), tall, columns);
      filled = place;
    }
    const from = band + <usize>((tile - place * tileColumns) * n) * pixel;
    inputTile(from, row, pixel, work, to, step, tall, wide, ptr(a, 22));
  }
}

/**
 * A dy Aᵀ of `count` tiles, laid out in the same way; zeros where a tile overhangs. Where dy is the input gradient of a max pool,
 * `pool` has the address of the taps that won and the pool's geometry, and the gradient of its result is spread here. Adds the
 * pixels of all tiles to `total` (0 for none).
 */
function transformGrads(
  a: usize,
  begin: i32,
  count: i32,
  to: usize,
  ld: usize,
  step: usize,
  work: usize,
  pool: usize,
  total: usize,
  fresh: bool,
): void {
  const filters = arg(a, 7);
  const height = arg(a, 10);
  const width = arg(a, 11);
  const wide = arg(a, 12);
  const n = arg(a, 13);
  const tall = arg(a, 20);
  const m = arg(a, 21);
  const tileRows = ceilDiv(height, m);
  const tileColumns = ceilDiv(width, n);
  const pixel = <usize>filters << 2;
  const taps = ptr(pool, 0);
  const whole = taps == 0 && tileRows * m == height && tileColumns * n == width;
  const columns = whole ? width : tileColumns * n;
  const row = <usize>columns * pixel;
  const band = work + WORK;
  let filled = -1;
  for (let tile = begin; tile < begin + count; tile++, to += ld) {
    const place = tile / tileColumns;
    const image = place / tileRows;
    const top = (place - image * tileRows) * m;
    let from = ptr(a, 1) + <usize>(image * height * width) * pixel;
    if (whole) {
      from += <usize>top * row;
    } else {
      if (place != filled) {
        if (taps != 0) spreadRows(changetype<Pooling>(pool + 4), ptr(a, 1), taps, image, top, m, band, columns);
        else fillBand(from, band, height, width, filters, top, 0, m, columns);
      }
      filled = place;
      from = band;
    }
    from += <usize>((tile - place * tileColumns) * n) * pixel;
    gradTile(from, row, pixel, work, to, step, tall, wide, n, ptr(a, 22));
    if (total == 0) continue;
    // The sum of a tile's pixels is the frequency of point 1, which lines of eight have.
    const first = fresh && tile == begin;
    if (wide == 8) addValues(to + 9 * step, total, filters, first);
    else addPixels(from, row, pixel, m, total, filters, first);
  }
}

/**
 * The forward pass, and with turned filters the input gradient: the shared words, bias or 0, relu, parts of
 * the filters
 */
export function winograd(a: usize, slice: i32, slices: i32): void {
  const block = arg(a, 14);
  const panels = (arg(a, 7) + NR - 1) / NR;
  const tiles = tilesOf(a);
  // Where there are few tiles, the filters are shared too, and each part transforms its tiles anew.
  const groups = (tiles + MR - 1) / MR;
  const parts = arg(a, 25);
  const end = share(groups * parts, slice + 1, slices);
  let piece = share(groups * parts, slice, slices);
  while (piece < end) {
    const part = piece / groups;
    const begin = (piece - part * groups) * MR;
    const next = min(end, (part + 1) * groups);
    const last = min((next - part * groups) * MR, tiles);
    const first = share(panels, part, parts);
    const count = share(panels, part + 1, parts) - first;
    for (let tile = begin; tile < last; tile += block) {
      winogradBlock(a, tile, min(block, last - tile), first, count);
    }
    piece = next;
  }
}

/** A block of tiles, for `count` panels of filters from `first` on. */
function winogradBlock(a: usize, begin: i32, tiles: i32, first: i32, count: i32): void {
  const channels = arg(a, 6);
  const frequencies = frequenciesOf(a);
  const lda = <usize>arg(a, 15);
  const ldc = <usize>arg(a, 16);
  const work = scratchOf(a);
  const inputs = work + WORK + <usize>arg(a, 19);
  const outputs = inputs + <usize>arg(a, 14) * lda;
  const panels = (arg(a, 7) + NR - 1) / NR;
  const panelBytes = <usize>(channels * NR) << 2;
  const step = <usize>vectorsOf(channels) * V;
  const outStep = <usize>(panels * NR) << 2;
  transformInputs(a, begin, tiles, inputs, lda, step, work);
  for (let f = 0; f < frequencies; f++) {
    const left = inputs + <usize>f * step;
    let right = ptr(a, 1) + <usize>(f * panels + first) * panelBytes;
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
  const last = min((first + count) * NR, arg(a, 7));
  transformOutputs(a, begin, tiles, outputs, ldc, first * NR, last, work);
}

/** Aᵀ M A of `count` tiles from their products, `ld` bytes apart, for the filters `first` … `last`. */
function transformOutputs(
  a: usize,
  begin: i32,
  count: i32,
  from: usize,
  ld: usize,
  first: i32,
  last: i32,
  work: usize,
): void {
  const filters = arg(a, 7);
  const height = arg(a, 10);
  const width = arg(a, 11);
  const wide = arg(a, 12);
  const n = arg(a, 13);
  const tall = arg(a, 20);
  const m = arg(a, 21);
  const bias = ptr(a, 23);
  const lowest: f32 = arg(a, 24) != 0 ? 0 : -Infinity;
  const numbers = ptr(a, 22);
  const tileRows = ceilDiv(height, m);
  const tileColumns = ceilDiv(width, n);
  const pixel = <usize>filters << 2;
  const row = <usize>width * pixel;
  const panels = (filters + NR - 1) / NR;
  const step = <usize>(panels * NR) << 2;
  const corner = work + 64 * V;
  for (let tile = begin; tile < begin + count; tile++, from += ld) {
    const place = tile / tileColumns;
    const image = place / tileRows;
    const oy = (place - image * tileRows) * m;
    const ox = (tile - place * tileColumns) * n;
    const rows = min(m, height - oy);
    const columns = min(n, width - ox);
    const whole = rows == m && columns == n;
    const origin = ptr(a, 2) + <usize>((image * height + oy) * width + ox) * pixel;
    // Whole vectors of whole tiles go to their places at once, the rest by way of a corner.
    const direct = whole ? (last - first) / LANES : 0;
    if (direct > 0) {
      const at = <usize>first << 2;
      const shift = bias != 0 ? bias + at : 0;
      outputTile(from + at, <usize>direct * V, step, work, origin + at, row, pixel, tall, wide, n, shift, lowest, numbers);
    }
    for (let o = first + direct * LANES; o < last; o += LANES) {
      const at = <usize>o << 2;
      const shift = bias != 0 ? bias + at : 0;
      outputTile(from + at, V, step, work, corner, <usize>n * V, V, tall, wide, n, shift, lowest, numbers);
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
 * of MR, or 3) × O (padded to one of NR): the shared words, chunks, address of the sums of g of each chunk [chunks, O] or 0, then
 * taps of a max pool and its geometry, or 0
 */
export function winogradGradWeight(a: usize, slice: i32, slices: i32): void {
  const channels = arg(a, 6);
  const filters = arg(a, 7);
  const frequencies = frequenciesOf(a);
  const block = arg(a, 14);
  const lda = <usize>arg(a, 15);
  const ldb = <usize>arg(a, 16);
  const chunks = arg(a, 23);
  const totals = ptr(a, 24);
  const work = scratchOf(a);
  const inputs = work + WORK + <usize>arg(a, 19);
  const grads = inputs + <usize>block * lda;
  const step = <usize>vectorsOf(channels) * V;
  const ldc = <usize>((filters + NR - 1) / NR * NR) << 2;
  const frequency = <usize>(channels == 3 ? 3 : (channels + MR - 1) / MR * MR) * ldc;
  const tiles = tilesOf(a);

  const end = share(chunks, slice + 1, slices);
  for (let chunk = share(chunks, slice, slices); chunk < end; chunk++) {
    const last = share(tiles, chunk + 1, chunks);
    const first = share(tiles, chunk, chunks);
    const partial = ptr(a, 2) + <usize>(chunk * frequencies) * frequency;
    for (let begin = first; begin < last; begin += block) {
      const count = min(block, last - begin);
      const fresh = begin == first;
      transformInputs(a, begin, count, inputs, lda, step, work);
      const total = totals != 0 ? totals + (<usize>(chunk * filters) << 2) : 0;
      transformGrads(a, begin, count, grads, ldb, ldc, work, a + 25 * 4, total, fresh);
      for (let f = 0; f < frequencies; f++) {
        const left = inputs + <usize>f * step;
        const right = grads + <usize>f * ldc;
        const to = partial + <usize>f * frequency;
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

/**
 * Both operands of a weight gradient of many channels, for all tiles: the shared words (bytes between frequencies in place
 * of those between tiles), addresses of the blocks [T S, block, C to whole vectors] of inputs and [T S, block, O to one of
 * NR] of gradients, tiles of a part (a divisor of the block), address of the sums of g of each part [parts, O] or 0,
 * then taps of a max pool and its geometry, or 0
 */
export function winogradGradTransform(a: usize, slice: i32, slices: i32): void {
  const filters = arg(a, 7);
  const block = arg(a, 14);
  const inputStep = <usize>arg(a, 15);
  const gradStep = <usize>arg(a, 16);
  const part = arg(a, 25);
  const totals = ptr(a, 26);
  const work = scratchOf(a);
  const lda = <usize>vectorsOf(arg(a, 6)) * V;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const frequencies = <usize>frequenciesOf(a);
  const tiles = tilesOf(a);
  const parts = (tiles + part - 1) / part;
  const end = share(parts, slice + 1, slices);
  for (let index = share(parts, slice, slices); index < end; index++) {
    const begin = index * part;
    const count = min(part, tiles - begin);
    const whole = <usize>(begin / block);
    const row = <usize>(begin % block);
    const inputs = ptr(a, 23) + whole * frequencies * inputStep + row * lda;
    const grads = ptr(a, 24) + whole * frequencies * gradStep + row * ldb;
    transformInputs(a, begin, count, inputs, lda, inputStep, work);
    const total = totals != 0 ? totals + (<usize>(index * filters) << 2) : 0;
    transformGrads(a, begin, count, grads, ldb, gradStep, work, a + 27 * 4, total, true);
  }
}

/**
 * The products of what winogradGradTransform wrote, each over all tiles: inputs, gradients, result [T S, C to a multiple of
 * MR, O to one of NR], T S, C, O, tiles, tiles of a block, bytes between the frequencies of inputs and of gradients, scratch
 * where every block is to be summed by itself, or 0, scratch bytes per thread
 */
export function winogradGradProduct(a: usize, slice: i32, slices: i32): void {
  const frequencies = arg(a, 3);
  const channels = arg(a, 4);
  const tiles = arg(a, 6);
  const block = arg(a, 7);
  const inputStep = <usize>arg(a, 8);
  const gradStep = <usize>arg(a, 9);
  const rows = (channels + MR - 1) / MR * MR;
  const lda = <usize>vectorsOf(channels) * V;
  const ldb = <usize>((arg(a, 5) + NR - 1) / NR * NR) << 2;
  const sums = ptr(a, 10) == 0 ? 0 : scratch(ptr(a, 10), arg(a, 11));
  // Halves of a matrix, so that sixteen threads share 36 of them evenly enough.
  const half = (rows / MR + 1) / 2 * MR;
  const tasks = 2 * frequencies;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const f = task >> 1;
    const top = (task & 1) * half;
    const bottom = min(top + half, rows);
    let left = ptr(a, 0) + <usize>f * inputStep;
    let right = ptr(a, 1) + <usize>f * gradStep;
    for (let begin = 0; begin < tiles; begin += block) {
      const count = min(block, tiles - begin);
      const apart = sums != 0 && begin > 0;
      const fresh = apart || begin == 0;
      for (let c = top; c < bottom; c += MR) {
        const x = left + (<usize>c << 2);
        const to = ptr(a, 2) + <usize>(f * rows + c) * ldb;
        for (let o: usize = 0; o < ldb; o += NR * 4) {
          const few = c + 4 >= channels;
          const y = apart ? sums : to + o;
          const step = apart ? NR * 4 : ldb;
          if (few) weightTileOf4(x, right + o, count, lda, ldb, y, step, fresh);
          else weightTile(x, right + o, count, lda, ldb, y, step, fresh);
          if (apart) addTile(sums, to + o, ldb, few ? 4 : MR);
        }
      }
      left += <usize>frequencies * inputStep;
      right += <usize>frequencies * gradStep;
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
 * partial, dw [r, r, C, O], T, S, r, C, O, chunks, addresses of G of columns and of rows, scratch, scratch bytes per thread
 */
export function winogradFinishWeight(a: usize, slice: i32, slices: i32): void {
  const tall = arg(a, 2);
  const wide = arg(a, 3);
  const r = arg(a, 4);
  const channels = arg(a, 5);
  const filters = arg(a, 6);
  const chunks = arg(a, 7);
  const work = scratch(ptr(a, 10), arg(a, 11));
  const result = work + 136 * V;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const frequency = <usize>(channels == 3 ? 3 : (channels + MR - 1) / MR * MR) * ldb;
  const groups = ceilDiv(filters, LANES);
  const tasks = channels * groups;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const c = task / groups;
    const o = (task - c * groups) * LANES;
    const from = ptr(a, 0) + <usize>c * ldb + (<usize>o << 2);
    finishTile(from, frequency, chunks, tall, wide, r, ptr(a, 8), ptr(a, 9), work, result);
    let to = ptr(a, 1) + (<usize>(c * filters + o) << 2);
    for (let tap = 0; tap < r * r; tap++, to += <usize>(channels * filters) << 2) {
      storeFloats(to, result + <usize>tap * V, min(LANES, filters - o));
    }
  }
}
