// Direct convolution, channels last, on a zero-padded copy of some rows of the image. For one filter row, the taps of all
// its columns and channels are contiguous in the padded rows, so neither pass packs anything but the filters.
import { AddPartials, Conv, ConvGradWeight, PackRotated } from "./calls.generated";
import { copyRow, storeCorner } from "./gemm";
import { copyLine, relu4, storeLanes } from "./simd";
import { ownScratch, firstTask } from "./team";
import { convTile, weightTile } from "./vectors/products";
import { MR, NR } from "./width";

/** Zeros, up to 12 bytes more than asked for. A call of the engine's fill costs more than a few vectors do. */
// @ts-ignore: decorator
@inline function zero(to: usize, bytes: usize): void {
  for (const end = to + bytes; to < end; to += 16) v128.store(to, f32x4.splat(0));
}

/**
 * Copies rows of an image with zeros around its pixels. Row r and column q of the padded rows show row top + r and column
 * left + q of the image. Writes up to 12 bytes past the padded rows.
 */
export function padRows(
  image: usize,
  padded: usize,
  height: i32,
  width: i32,
  channels: i32,
  top: i32,
  left: i32,
  rows: i32,
  columns: i32,
): void {
  const pixel = <usize>channels << 2;
  const paddedRow = <usize>columns * pixel;
  const first = min(max(-left, 0), columns);
  const last = max(min(columns, width - left), first);
  const before = <usize>first * pixel;
  const after = <usize>last * pixel;
  for (let r = 0; r < rows; r++, padded += paddedRow) {
    const y = top + r;
    if (y < 0 || y >= height) {
      zero(padded, paddedRow);
      continue;
    }
    // In this order: each part may write a little past its end, into the next.
    zero(padded, before);
    let from = image + <usize>(y * width + left + first) * pixel;
    let to = padded + before;
    const end = padded + after;
    for (; to + 64 <= end; to += 64, from += 64) copyLine(to, from);
    for (; to < end; to += 16, from += 16) v128.store(to, v128.load(from));
    zero(end, paddedRow - after);
  }
}

/** The forward pass, and with rotated filters the input gradient. */
// A task computes so many rows of the result from one padded copy of the rows that they see.
// @ts-ignore: decorator
@words("...ConvPass", "taskRows", "cornerBytes", "scratch: Scratch")
export function conv(call: Conv, slice: i32, slices: i32): void {
  const x = call.x;
  const packed = call.packed;
  const y = call.y;
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const filters = call.filters;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const taskRows = call.taskRows;
  const corner = ownScratch(call.scratch);
  const bias = call.bias;
  const relu = call.relu;
  const fullHeight = call.fullHeight;
  const fullWidth = call.fullWidth;
  const skipY = call.skipY;
  const skipX = call.skipX;
  const dense = skipY == 1 && skipX == 1;
  const padded = corner + <usize>call.cornerBytes;

  const imageTasks = (outHeight + taskRows - 1) / taskRows;
  const columns = (outWidth - 1) * strideX + kernelX;
  const pixel = <usize>channels << 2;
  const paddedRow = <usize>columns * pixel;
  const run = kernelX * channels;
  const rowBytes = <usize>(run * NR) << 2;
  const panelBytes = <usize>kernelY * rowBytes;
  const reach = <usize>kernelY * paddedRow;
  const ldc = <usize>filters << 2;
  const down = <usize>strideY * paddedRow;
  const across = <usize>strideX * pixel;
  const tasks = images * imageTasks;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / imageTasks;
    const firstRow = (task - image * imageTasks) * taskRows;
    const rows = min(taskRows, outHeight - firstRow);
    padRows(
      x + <usize>(image * height * width) * pixel,
      padded,
      height,
      width,
      channels,
      firstRow * strideY - call.padTop,
      -call.padLeft,
      (rows - 1) * strideY + kernelY,
      columns,
    );
    const pixels = rows * outWidth;
    const out = y + <usize>((image * fullHeight + call.firstY + firstRow * skipY) * fullWidth + call.firstX) * ldc;
    for (let f = 0; f < filters; f += NR) {
      const panel = packed + <usize>(f / NR) * panelBytes;
      const valid = min(NR, filters - f);
      // Places of the windows, one after the other: divisions would take a tenth of the time.
      let ox = 0;
      let rowStart = padded;
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
          p0 = place(padded, q, outWidth, down, across);
          p1 = place(padded, min(q + 1, last), outWidth, down, across);
          p2 = place(padded, min(q + 2, last), outWidth, down, across);
          p3 = place(padded, min(q + 3, last), outWidth, down, across);
          p4 = place(padded, min(q + 4, last), outWidth, down, across);
          p5 = place(padded, min(q + 5, last), outWidth, down, across);
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
        for (let shift: usize = 0; shift < reach; shift += paddedRow, b += rowBytes) {
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

/** Adds one value a filter to rows of a result that is still in cache, `rowBytes` apart. */
export function addBias(
  y: usize, rows: i32, filters: i32, bias: usize, relu: bool, rowBytes: usize = <usize>filters << 2,
): void {
  for (let row = 0; row < rows; row++, y += rowBytes) {
    for (let f = 0; f < filters; f += 4) {
      const at = <usize>f << 2;
      let value = f32x4.add(v128.load(y + at), v128.load(bias + at));
      if (relu) value = relu4(value);
      storeLanes(y + at, value, filters - f);
    }
  }
}

/** Where the window of output pixel q begins in the padded rows. */
// @ts-ignore: decorator
@inline function place(padded: usize, q: i32, outWidth: i32, down: usize, across: usize): usize {
  const oy = q / outWidth;
  return padded + <usize>oy * down + <usize>(q - oy * outWidth) * across;
}

/**
 * Filters for the input gradient: rotated by 180 degrees, channels and filters exchanged, packed like packB's result. Of a
 * strided convolution, only the taps that meet one phase of the input: every stride-th, from the phase on.
 * w [KH, KW, C, O] -> rows (taps y, taps x, O) × columns C
 */
// The taps of filters w [kernelY, kernelX, channels, filters] that meet one phase of a strided convolution's input.
// @ts-ignore: decorator
@words("*w", "*packed", "kernelY", "kernelX", "channels", "filters", "phaseY", "phaseX", "strideY", "strideX")
export function packRotated(call: PackRotated, slice: i32, slices: i32): void {
  const w = call.w;
  const packed = call.packed;
  const kernelX = call.kernelX;
  const channels = call.channels;
  const filters = call.filters;
  const phaseY = call.phaseY;
  const phaseX = call.phaseX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const tapsY = (call.kernelY - phaseY + strideY - 1) / strideY;
  const tapsX = (kernelX - phaseX + strideX - 1) / strideX;
  const taps = tapsY * tapsX;
  const panels = (channels + NR - 1) / NR;
  const tasks = panels * taps;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const panel = task / taps;
    const tap = task - panel * taps;
    const ty = tap / tapsX;
    const ky = phaseY + (tapsY - 1 - ty) * strideY;
    const kx = phaseX + (tapsX - 1 - (tap - ty * tapsX)) * strideX;
    const columns = min(NR, channels - panel * NR);
    let from = w + (<usize>((ky * kernelX + kx) * channels + panel * NR) * <usize>filters << 2);
    let to = packed + (<usize>((panel * taps + tap) * filters * NR) << 2);
    for (let o = 0; o < filters; o++, from += 4, to += NR * 4) {
      for (let j = 0; j < NR; j++) {
        store<f32>(to + (<usize>j << 2), j < columns ? load<f32>(from + ((<usize>j * <usize>filters) << 2)) : 0);
      }
    }
  }
}

/** Partial weight gradients: one for each chunk of images, rows of taps padded to a multiple of MR, filters to NR. */
// Pixels to add to a row of dy so that the windows of all rows lie at one distance, or −1. Scratch memory holds padded rows of
// x, then of dy.
// @ts-ignore: decorator
@words(
  "...Convolution", "*x", "*dy", "*partial", "chunks", "taskRows", "extraColumns", "paddedBytes",
  "scratch: Scratch"
)
export function convGradWeight(call: ConvGradWeight, slice: i32, slices: i32): void {
  const x = call.x;
  const g = call.dy;
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const filters = call.filters;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const chunks = call.chunks;
  const taskRows = call.taskRows;
  const padded = ownScratch(call.scratch);
  const extra = call.extraColumns;

  const even = extra >= 0;
  const gColumns = even ? outWidth + extra : outWidth;
  const columns = even ? gColumns * strideX : (outWidth - 1) * strideX + kernelX;
  const pixel = <usize>channels << 2;
  const xRow = <usize>columns * pixel;
  const run = kernelX * channels;
  const runPadded = ((run + MR - 1) / MR) * MR;
  const ldc = <usize>(((filters + NR - 1) / NR) * NR) << 2;
  const xStep = <usize>strideX * pixel;
  const gStep = <usize>filters << 2;
  const gRow = <usize>gColumns * gStep;
  const gPadded = padded + <usize>call.paddedBytes;

  const tasks = chunks * kernelY;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const chunk = task / kernelY;
    const tapRow = task - chunk * kernelY;
    const partial = call.partial + <usize>(task * runPadded) * ldc;
    const lastImage = firstTask(images, chunk + 1, chunks);
    let first = true;
    for (let image = firstTask(images, chunk, chunks); image < lastImage; image++) {
      const xImage = x + <usize>(image * height * width) * pixel;
      const gImage = g + <usize>(image * outHeight * outWidth) * gStep;
      for (let row = 0; row < outHeight; row += taskRows) {
        const rows = min(taskRows, outHeight - row);
        let top = row * strideY - call.padTop + tapRow;
        let to = padded;
        for (let r = 0; r < rows; r++, top += strideY, to += xRow) {
          padRows(xImage, to, height, width, channels, top, -call.padLeft, 1, columns);
        }
        let gRows = gImage + <usize>(row * outWidth) * gStep;
        if (extra > 0) {
          padRows(gImage, gPadded, outHeight, outWidth, filters, row, 0, rows, gColumns);
          gRows = gPadded;
        }
        // One call for all rows where it can be: a tile's sums are loaded and stored in each.
        const lines = even ? 1 : rows;
        const count = even ? rows * gColumns - extra : outWidth;
        for (let f = 0; f < filters; f += NR) {
          for (let t = 0; t < run; t += MR) {
            const c = partial + <usize>t * ldc + (<usize>f << 2);
            let from = padded + (<usize>t << 2);
            let by = gRows + (<usize>f << 2);
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

/** Adds the partial weight gradients in order of their chunks. */
// A run is a row of taps of all channels.
// @ts-ignore: decorator
@words("*partial", "*dw", "chunks", "kernelY", "run", "filters")
export function addPartials(call: AddPartials, slice: i32, slices: i32): void {
  const partial = call.partial;
  const dw = call.dw;
  const chunks = call.chunks;
  const kernelY = call.kernelY;
  const run = call.run;
  const filters = call.filters;
  const runPadded = ((run + MR - 1) / MR) * MR;
  const ldc = <usize>(((filters + NR - 1) / NR) * NR) << 2;
  const chunkBytes = <usize>(kernelY * runPadded) * ldc;
  const tasks = kernelY * run;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
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
