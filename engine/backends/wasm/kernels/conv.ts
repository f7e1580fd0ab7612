// Direct convolution, channels last, on a zero-padded copy of a band of the image. For one filter row, the taps of all
// its columns and channels are contiguous in the padded image, so neither pass packs anything but the filters.
import { arg, ptr } from "./elementwise";
import { copyRow, storeCorner } from "./gemm";
import { copyLine, relu4, storeLanes } from "./simd";
import { scratch, share } from "./team";
import { convTile, weightTile } from "./vectors/products";
import { MR, NR } from "./width";

/** Zeros, up to 12 bytes more than asked for. A call of the engine's fill costs more than a few vectors do. */
// @ts-ignore: decorator
@inline function zero(to: usize, bytes: usize): void {
  for (const end = to + bytes; to < end; to += 16) v128.store(to, f32x4.splat(0));
}

/**
 * Copies rows of an image into a band with zeros around its pixels. The band's row r and column q show the image's top + r
 * and left + q. Writes up to 12 bytes past the band.
 */
export function fillBand(
  image: usize,
  band: usize,
  height: i32,
  width: i32,
  channels: i32,
  top: i32,
  left: i32,
  rows: i32,
  columns: i32,
): void {
  const pixel = <usize>channels << 2;
  const bandRow = <usize>columns * pixel;
  const first = min(max(-left, 0), columns);
  const last = max(min(columns, width - left), first);
  const before = <usize>first * pixel;
  const after = <usize>last * pixel;
  for (let r = 0; r < rows; r++, band += bandRow) {
    const y = top + r;
    if (y < 0 || y >= height) {
      zero(band, bandRow);
      continue;
    }
    // In this order: each part may write a little past its end, into the next.
    zero(band, before);
    let from = image + <usize>(y * width + left + first) * pixel;
    let to = band + before;
    const end = band + after;
    for (; to + 64 <= end; to += 64, from += 64) copyLine(to, from);
    for (; to < end; to += 16, from += 16) v128.store(to, v128.load(from));
    zero(end, bandRow - after);
  }
}

/**
 * The forward pass, and with flipped filters the input gradient.
 * x, packed filters, y, images, height, width, channels, filters, tap rows, tap columns, stride y and x, pad top and left,
 * output height and width, output rows of a band, scratch, scratch bytes per thread, bias or 0, relu, then where output pixel
 * (i, j) lies in y: height and width of y, first row and column, rows and columns from one to the next
 */
export function conv(a: usize, slice: i32, slices: i32): void {
  const x = ptr(a, 0);
  const packed = ptr(a, 1);
  const y = ptr(a, 2);
  const images = arg(a, 3);
  const height = arg(a, 4);
  const width = arg(a, 5);
  const channels = arg(a, 6);
  const filters = arg(a, 7);
  const tapRows = arg(a, 8);
  const tapColumns = arg(a, 9);
  const strideY = arg(a, 10);
  const strideX = arg(a, 11);
  const outHeight = arg(a, 14);
  const outWidth = arg(a, 15);
  const bandRows = arg(a, 16);
  const corner = scratch(ptr(a, 17), arg(a, 18));
  const bias = ptr(a, 19);
  const relu = arg(a, 20) != 0;
  const fullHeight = arg(a, 21);
  const fullWidth = arg(a, 22);
  const skipY = arg(a, 25);
  const skipX = arg(a, 26);
  const dense = skipY == 1 && skipX == 1;
  const band = corner + MR * NR * 4;

  const bands = (outHeight + bandRows - 1) / bandRows;
  const columns = (outWidth - 1) * strideX + tapColumns;
  const pixel = <usize>channels << 2;
  const bandRow = <usize>columns * pixel;
  const run = tapColumns * channels;
  const rowBytes = <usize>(run * NR) << 2;
  const panelBytes = <usize>tapRows * rowBytes;
  const reach = <usize>tapRows * bandRow;
  const ldc = <usize>filters << 2;
  const down = <usize>strideY * bandRow;
  const across = <usize>strideX * pixel;
  const tasks = images * bands;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / bands;
    const firstRow = (task - image * bands) * bandRows;
    const rows = min(bandRows, outHeight - firstRow);
    fillBand(
      x + <usize>(image * height * width) * pixel,
      band,
      height,
      width,
      channels,
      firstRow * strideY - arg(a, 12),
      -arg(a, 13),
      (rows - 1) * strideY + tapRows,
      columns,
    );
    const pixels = rows * outWidth;
    const out = y + <usize>((image * fullHeight + arg(a, 23) + firstRow * skipY) * fullWidth + arg(a, 24)) * ldc;
    for (let f = 0; f < filters; f += NR) {
      const panel = packed + <usize>(f / NR) * panelBytes;
      const valid = min(NR, filters - f);
      // Places of the windows, one after the other: divisions would take a tenth of the time.
      let ox = 0;
      let rowStart = band;
      for (let q = 0; q < pixels; q += MR) {
        let p0: usize = 0, p1: usize = 0, p2: usize = 0, p3: usize = 0, p4: usize = 0, p5: usize = 0;
        if (q + MR <= pixels && ox + MR <= outWidth) {
          p0 = rowStart + <usize>ox * across;
          p1 = p0 + across;
          p2 = p1 + across;
          p3 = p2 + across;
          p4 = p3 + across;
          p5 = p4 + across;
        } else {
          const last = pixels - 1;
          p0 = place(band, q, outWidth, down, across);
          p1 = place(band, min(q + 1, last), outWidth, down, across);
          p2 = place(band, min(q + 2, last), outWidth, down, across);
          p3 = place(band, min(q + 3, last), outWidth, down, across);
          p4 = place(band, min(q + 4, last), outWidth, down, across);
          p5 = place(band, min(q + 5, last), outWidth, down, across);
        }
        ox += MR;
        while (ox >= outWidth) {
          ox -= outWidth;
          rowStart += down;
        }
        const to = out + <usize>q * ldc + (<usize>f << 2);
        const direct = dense && valid == NR && q + MR <= pixels;
        const c = direct ? to : corner;
        const cRow: usize = direct ? ldc : NR * 4;
        let b = panel;
        for (let shift: usize = 0; shift < reach; shift += bandRow, b += rowBytes) {
          convTile(p0 + shift, p1 + shift, p2 + shift, p3 + shift, p4 + shift, p5 + shift, run, b, c, cRow, shift == 0);
        }
        if (direct) continue;
        const count = min(MR, pixels - q);
        if (dense) storeCorner(corner, to, ldc, count, valid);
        else storeSpread(corner, out + (<usize>f << 2), q, count, valid, outWidth, <usize>(skipY * fullWidth) * ldc, <usize>skipX * ldc);
      }
    }
    if (bias != 0) addBias(out, pixels, filters, bias, relu);
  }
}

/** Copies `count` pixels of a tile, from pixel q of the output on, to places that lie apart. */
function storeSpread(
  tile: usize,
  to: usize,
  q: i32,
  count: i32,
  columns: i32,
  outWidth: i32,
  rowBytes: usize,
  pixelBytes: usize,
): void {
  const oy = q / outWidth;
  let ox = q - oy * outWidth;
  to += <usize>oy * rowBytes + <usize>ox * pixelBytes;
  for (let i = 0; i < count; i++, tile += NR * 4) {
    if (columns == NR) copyRow(to, tile);
    else memory.copy(to, tile, <usize>columns << 2);
    to += pixelBytes;
    if (++ox == outWidth) {
      ox = 0;
      to += rowBytes - <usize>outWidth * pixelBytes;
    }
  }
}

/** Adds one value a filter to rows of a result that is still in cache. */
export function addBias(y: usize, rows: i32, filters: i32, bias: usize, relu: bool): void {
  for (let row = 0; row < rows; row++, y += <usize>filters << 2) {
    for (let f = 0; f < filters; f += 4) {
      const at = <usize>f << 2;
      let value = f32x4.add(v128.load(y + at), v128.load(bias + at));
      if (relu) value = relu4(value);
      storeLanes(y + at, value, filters - f);
    }
  }
}

/** Where the window of output pixel q begins in the band. */
// @ts-ignore: decorator
@inline function place(band: usize, q: i32, outWidth: i32, down: usize, across: usize): usize {
  const oy = q / outWidth;
  return band + <usize>oy * down + <usize>(q - oy * outWidth) * across;
}

/**
 * Filters for the input gradient: turned by 180 degrees, channels and filters exchanged, packed like packB's result. Of a
 * strided convolution, only the taps that meet one phase of the input: every stride-th, from the phase on.
 * w [KH, KW, C, O] -> rows (taps y, taps x, O) × columns C: w, packed, KH, KW, C, O, phase y and x, stride y and x
 */
export function packFlipped(a: usize, slice: i32, slices: i32): void {
  const w = ptr(a, 0);
  const packed = ptr(a, 1);
  const width = arg(a, 3);
  const channels = arg(a, 4);
  const filters = arg(a, 5);
  const phaseY = arg(a, 6);
  const phaseX = arg(a, 7);
  const tapsY = (arg(a, 2) - phaseY + arg(a, 8) - 1) / arg(a, 8);
  const tapsX = (width - phaseX + arg(a, 9) - 1) / arg(a, 9);
  const taps = tapsY * tapsX;
  const panels = (channels + NR - 1) / NR;
  const tasks = panels * taps;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const panel = task / taps;
    const tap = task - panel * taps;
    const ty = tap / tapsX;
    const ky = phaseY + (tapsY - 1 - ty) * arg(a, 8);
    const kx = phaseX + (tapsX - 1 - (tap - ty * tapsX)) * arg(a, 9);
    const columns = min(NR, channels - panel * NR);
    let from = w + (<usize>((ky * width + kx) * channels + panel * NR) * <usize>filters << 2);
    let to = packed + (<usize>((panel * taps + tap) * filters * NR) << 2);
    for (let o = 0; o < filters; o++, from += 4, to += NR * 4) {
      for (let j = 0; j < NR; j++) {
        store<f32>(to + (<usize>j << 2), j < columns ? load<f32>(from + ((<usize>j * <usize>filters) << 2)) : 0);
      }
    }
  }
}

/**
 * Partial weight gradients: one for each chunk of images, rows of taps padded to a multiple of MR, filters to NR.
 * x, g, partial, images, height, width, channels, filters, tap rows, tap columns, stride y and x, pad top and left,
 * output height and width, chunks, output rows of a band, scratch, scratch bytes per thread, pixels to add to a row of g so
 * that the windows of a band lie at one distance, or −1
 */
export function convGradWeight(a: usize, slice: i32, slices: i32): void {
  const x = ptr(a, 0);
  const g = ptr(a, 1);
  const images = arg(a, 3);
  const height = arg(a, 4);
  const width = arg(a, 5);
  const channels = arg(a, 6);
  const filters = arg(a, 7);
  const tapRows = arg(a, 8);
  const tapColumns = arg(a, 9);
  const strideY = arg(a, 10);
  const strideX = arg(a, 11);
  const outHeight = arg(a, 14);
  const outWidth = arg(a, 15);
  const chunks = arg(a, 16);
  const bandRows = arg(a, 17);
  const band = scratch(ptr(a, 18), arg(a, 19));
  const extra = arg(a, 20);

  const even = extra >= 0;
  const gColumns = even ? outWidth + extra : outWidth;
  const columns = even ? gColumns * strideX : (outWidth - 1) * strideX + tapColumns;
  const pixel = <usize>channels << 2;
  const xRow = <usize>columns * pixel;
  const run = tapColumns * channels;
  const runPadded = ((run + MR - 1) / MR) * MR;
  const ldc = <usize>(((filters + NR - 1) / NR) * NR) << 2;
  const xStep = <usize>strideX * pixel;
  const gStep = <usize>filters << 2;
  const gRow = <usize>gColumns * gStep;
  const gCopy = band + <usize>bandRows * xRow + 16;

  const tasks = chunks * tapRows;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const chunk = task / tapRows;
    const tapRow = task - chunk * tapRows;
    const partial = ptr(a, 2) + <usize>(task * runPadded) * ldc;
    const lastImage = share(images, chunk + 1, chunks);
    let first = true;
    for (let image = share(images, chunk, chunks); image < lastImage; image++) {
      const xImage = x + <usize>(image * height * width) * pixel;
      const gImage = g + <usize>(image * outHeight * outWidth) * gStep;
      for (let row = 0; row < outHeight; row += bandRows) {
        const rows = min(bandRows, outHeight - row);
        let top = row * strideY - arg(a, 12) + tapRow;
        let to = band;
        for (let r = 0; r < rows; r++, top += strideY, to += xRow) {
          fillBand(xImage, to, height, width, channels, top, -arg(a, 13), 1, columns);
        }
        let gBand = gImage + <usize>(row * outWidth) * gStep;
        if (extra > 0) {
          fillBand(gImage, gCopy, outHeight, outWidth, filters, row, 0, rows, gColumns);
          gBand = gCopy;
        }
        // One call for all rows where it can be: a tile's sums are loaded and stored in each.
        const lines = even ? 1 : rows;
        const count = even ? rows * gColumns - extra : outWidth;
        for (let f = 0; f < filters; f += NR) {
          for (let t = 0; t < run; t += MR) {
            const c = partial + <usize>t * ldc + (<usize>f << 2);
            let from = band + (<usize>t << 2);
            let by = gBand + (<usize>f << 2);
            for (let r = 0; r < lines; r++, from += xRow, by += gRow) {
              weightTile(from, by, count, xStep, gStep, c, ldc, first && r == 0);
            }
          }
        }
        first = false;
      }
    }
  }
}

/**
 * Adds the partial weight gradients in order of their chunks.
 * partial, dw, chunks, tap rows, run (tap columns × channels), filters
 */
export function addPartials(a: usize, slice: i32, slices: i32): void {
  const partial = ptr(a, 0);
  const dw = ptr(a, 1);
  const chunks = arg(a, 2);
  const tapRows = arg(a, 3);
  const run = arg(a, 4);
  const filters = arg(a, 5);
  const runPadded = ((run + MR - 1) / MR) * MR;
  const ldc = <usize>(((filters + NR - 1) / NR) * NR) << 2;
  const chunkBytes = <usize>(tapRows * runPadded) * ldc;
  const tasks = tapRows * run;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const tapRow = task / run;
    const t = task - tapRow * run;
    const from = partial + <usize>(tapRow * runPadded + t) * ldc;
    const to = dw + ((<usize>task * <usize>filters) << 2);
    for (let f = 0; f < filters; f += 4) {
      let p = from + (<usize>f << 2);
      let s = v128.load(p);
      for (let chunk = 1; chunk < chunks; chunk++) {
        p += chunkBytes;
        s = f32x4.add(s, v128.load(p));
      }
      if (f + 4 <= filters) {
        v128.store(to + (<usize>f << 2), s);
      } else {
        store<f32>(to + (<usize>f << 2), f32x4.extract_lane(s, 0));
        if (f + 1 < filters) store<f32>(to + (<usize>f << 2), f32x4.extract_lane(s, 1), 4);
        if (f + 2 < filters) store<f32>(to + (<usize>f << 2), f32x4.extract_lane(s, 2), 8);
      }
    }
  }
}
