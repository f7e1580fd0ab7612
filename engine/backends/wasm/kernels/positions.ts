// Direct convolution, channels last, one output position after the other: the rows of a register tile are the same position of several
// images, so taps that lie outside the image are left out, not multiplied by zeros. Of 3 × 3 taps on 2 × 2 pixels, 16 of 36 products are
// left. Sums have the same terms in the same order as those of conv.ts, without the zeros.
import { ConvPositions, PackPositions, PositionsGradWeight } from "./calls.generated";
import { addBias } from "./conv";
import { KC, loadCorner, storeCorner } from "./gemm";
import { firstTask, ownScratch } from "./team";
import { convTile, gemmTile } from "./vectors/products";
import { MR, NR } from "./width";

/** The first output position along an axis whose tap lies inside the image, for a tap at position −lead of the first output. */
// @ts-ignore: decorator
@inline function firstInside(lead: i32, stride: i32): i32 {
  return lead > 0 ? (lead + stride - 1) / stride : 0;
}

/** The position after the last one whose tap lies inside the image. */
// @ts-ignore: decorator
@inline function endInside(lead: i32, stride: i32, size: i32, outSize: i32): i32 {
  const last = size - 1 + lead;
  return last < 0 ? 0 : min(last / stride + 1, outSize);
}

/** The forward pass, and with rotated filters the input gradient. */
// A task computes one panel of filters at one position of a block of images.
// @ts-ignore: decorator
@words("...ConvPass", "blockImages", "corner: Scratch")
export function convPositions(call: ConvPositions, slice: i32, slices: i32): void {
  const images = call.images;
  const filters = call.filters;
  const outWidth = call.outWidth;
  const positions = call.outHeight * outWidth;
  const panels = (filters + NR - 1) / NR;
  const block = call.blockImages;
  const blocks = (images + block - 1) / block;
  const tasks = blocks * panels * positions;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    // Neighboring tasks share a panel of filters.
    const position = task % positions;
    const panel = (task / positions) % panels;
    const first = task / (positions * panels) * block;
    const oy = position / outWidth;
    convAt(call, first, min(block, images - first), panel, oy, position - oy * outWidth);
  }
}

function convAt(call: ConvPositions, image: i32, count: i32, panel: i32, oy: i32, ox: i32): void {
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const filters = call.filters;
  const kernelX = call.kernelX;
  const corner = ownScratch(call.corner);
  const top = oy * call.strideY - call.padTop;
  const left = ox * call.strideX - call.padLeft;
  const y0 = max(-top, 0);
  const y1 = min(height - top, call.kernelY);
  const x0 = max(-left, 0);
  const x1 = min(width - left, kernelX);
  const run = (x1 - x0) * channels;
  const imageBytes = <usize>(height * width * channels) << 2;
  const from = call.x + <usize>image * imageBytes;
  const fullHeight = call.fullHeight;
  const fullWidth = call.fullWidth;
  const ldc = <usize>(fullHeight * fullWidth * filters) << 2;
  const row = (image * fullHeight + call.firstY + oy * call.skipY) * fullWidth + call.firstX + ox * call.skipX;
  const to = call.y + (<usize>row * <usize>filters + <usize>(panel * NR) << 2);
  const columns = min(NR, filters - panel * NR);
  const packed = call.packed + (<usize>(panel * call.kernelY * kernelX) * <usize>channels * NR << 2);
  let fresh = true;
  for (let ky = y0; ky < y1; ky++) {
    const line = from + (<usize>((top + ky) * width + left + x0) * <usize>channels << 2);
    const taps = packed + (<usize>(ky * kernelX + x0) * <usize>channels * NR << 2);
    for (let k = 0; k < run; k += KC) {
      const depth = min(KC, run - k);
      const b = taps + (<usize>(k * NR) << 2);
      let p = line + (<usize>k << 2);
      let c = to;
      for (let i = 0; i < count; i += MR, p += MR * imageBytes, c += MR * ldc) {
        const rows = min(MR, count - i);
        const p1 = rows > 1 ? p + imageBytes : p;
        const p2 = rows > 2 ? p1 + imageBytes : p;
        const p3 = rows > 3 ? p2 + imageBytes : p;
        const p4 = rows > 4 ? p3 + imageBytes : p;
        const p5 = rows > 5 ? p4 + imageBytes : p;
        if (rows == MR && columns == NR) {
          convTile(p, p1, p2, p3, p4, p5, depth, b, c, ldc, fresh);
        } else {
          if (!fresh) loadCorner(corner, c, ldc, rows, columns);
          convTile(p, p1, p2, p3, p4, p5, depth, b, corner, NR * 4, fresh);
          storeCorner(corner, c, ldc, rows, columns);
        }
      }
      fresh = false;
    }
  }
  if (fresh) {
    for (let i = 0; i < count; i++) memory.fill(to + <usize>i * ldc, 0, <usize>columns << 2);
  }
  const bias = call.bias;
  if (bias != 0) addBias(to, count, columns, bias + (<usize>(panel * NR) << 2), call.relu, ldc);
}

/**
 * Packs images for the weight gradient: panels of MR channels, or of NR, `panelBytes` apart. In a panel, blocks of images come one after the other, in a block
 * the pixels row by row, and at each pixel the images. In a row, pixels with the same remainder modulo `stride` lie together, so that
 * what one tap of a strided convolution sees is contiguous.
 */
// @ts-ignore: decorator
@words("*x", "*packed", "images", "height", "width", "channels", "stride", "blockImages", "panelBytes", "?wide")
export function packPositions(call: PackPositions, slice: i32, slices: i32): void {
  if (call.wide) packInto(call, NR, slice, slices);
  else packInto(call, MR, slice, slices);
}

// @ts-ignore: decorator
@inline function packInto(call: PackPositions, size: i32, slice: i32, slices: i32): void {
  const images = call.images;
  const height = call.height;
  const width = call.width;
  const channels = call.channels;
  const stride = call.stride;
  const block = call.blockImages;
  const places = (width + stride - 1) / stride;
  const rowPlaces = places * stride;
  const imageBytes = <usize>(height * width * channels) << 2;
  const panelBytes = <usize>call.panelBytes;
  const blocks = (images + block - 1) / block;
  const tasks = blocks * height * width;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const x = task % width;
    const y = (task / width) % height;
    const first = task / (width * height) * block;
    const count = min(block, images - first);
    const place = x % stride * places + x / stride;
    const from = call.x + <usize>first * imageBytes + (<usize>(y * width + x) * <usize>channels << 2);
    const at = call.packed + (<usize>(first * height * rowPlaces + (y * rowPlaces + place) * count) * <usize>size << 2);
    for (let i = 0; i < count; i++) {
      let p = from + <usize>i * imageBytes;
      let to = at + (<usize>(i * size) << 2);
      for (let valid = channels; valid > 0; valid -= size, p += <usize>size << 2, to += panelBytes) {
        if (valid >= size) {
          for (let j = 0; j + 4 <= size; j += 4) v128.store(to + (<usize>j << 2), v128.load(p + (<usize>j << 2)));
          if (size % 4 == 2) store<u64>(to + (<usize>(size - 2) << 2), load<u64>(p + (<usize>(size - 2) << 2)));
        } else {
          for (let j = 0; j < size; j++) {
            store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(p + (<usize>j << 2)) : 0);
          }
        }
      }
    }
  }
}

/**
 * Weight gradients, one for each chunk of blocks of images: dw [chunks, kernelY, kernelX, channels, filters] from operands that
 * packPositions packed.
 */
// The panels of channels are cut into `rowGroups` parts and those of filters into `columnGroups`, so that the operands of a task and its
// results stay in the second-level cache. `blockRows` rows of one panel of dy stay in the first.
// @ts-ignore: decorator
@words(
  "...Convolution", "*inputs", "inputBytes", "*grads", "gradBytes", "*dw", "chunks", "rowGroups", "columnGroups",
  "blockImages", "blockRows", "corner: Scratch"
)
export function positionsGradWeight(call: PositionsGradWeight, slice: i32, slices: i32): void {
  const panels = (call.filters + NR - 1) / NR;
  const rowPanels = (call.channels + MR - 1) / MR;
  const rowGroups = call.rowGroups;
  const columnGroups = call.columnGroups;
  const tasks = call.chunks * rowGroups * columnGroups;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const columnGroup = task % columnGroups;
    const rowGroup = task / columnGroups % rowGroups;
    gradWeightOf(
      call, task / (columnGroups * rowGroups),
      firstTask(rowPanels, rowGroup, rowGroups), firstTask(rowPanels, rowGroup + 1, rowGroups),
      firstTask(panels, columnGroup, columnGroups), firstTask(panels, columnGroup + 1, columnGroups),
    );
  }
}

function gradWeightOf(
  call: PositionsGradWeight, chunk: i32, firstRow: i32, lastRow: i32, firstPanel: i32, lastPanel: i32,
): void {
  const images = call.images;
  const block = call.blockImages;
  const blocks = (images + block - 1) / block;
  const outHeight = call.outHeight;
  const blockRows = call.blockRows;
  const channels = call.channels;
  const filters = call.filters;
  const taps = call.kernelY * call.kernelX;
  const begin = firstTask(blocks, chunk, call.chunks);
  const end = firstTask(blocks, chunk + 1, call.chunks);
  const dw = call.dw + (<usize>(chunk * taps * channels) * <usize>filters << 2);
  for (let at = begin; at < end; at++) {
    for (let row = 0; row < outHeight; row += blockRows) {
      const last = min(row + blockRows, outHeight);
      for (let panel = firstPanel; panel < lastPanel; panel++) {
        for (let i = firstRow; i < lastRow; i++) {
          for (let tap = 0; tap < taps; tap++) {
            const c = dw + (<usize>(tap * channels + i * MR) * <usize>filters + <usize>(panel * NR) << 2);
            addTap(call, tap, at * block, panel, i, row, last, c, at == begin);
          }
        }
      }
    }
  }
}

/** Adds what the output rows `row` … `last` of a block of images give one tap, for a panel of channels and one of filters. */
// @ts-ignore: decorator
@inline function addTap(
  call: PositionsGradWeight, tap: i32, image: i32, panel: i32, rowPanel: i32, row: i32, last: i32, c: usize, isFirst: bool,
): void {
  const images = call.images;
  const height = call.height;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const kernelX = call.kernelX;
  const strideY = call.strideY;
  const strideX = call.strideX;
  const count = min(call.blockImages, images - image);
  const rows = min(MR, call.channels - rowPanel * MR);
  const columns = min(NR, call.filters - panel * NR);
  const ldc = <usize>call.filters << 2;
  const ky = tap / kernelX;
  const leadY = call.padTop - ky;
  const leadX = call.padLeft - (tap - ky * kernelX);
  const y0 = firstInside(leadY, strideY);
  const y1 = endInside(leadY, strideY, height, outHeight);
  const x0 = firstInside(leadX, strideX);
  const x1 = endInside(leadX, strideX, call.width, outWidth);
  if (x0 >= x1 || y0 >= y1) {
    if (isFirst && row == 0) {
      for (let i = 0; i < rows; i++) memory.fill(c + <usize>i * ldc, 0, <usize>columns << 2);
    }
    return;
  }
  const places = (call.width + strideX - 1) / strideX;
  const rowPlaces = places * strideX;
  const x = x0 * strideX - leadX;
  const place = x % strideX * places + x / strideX;
  const inputs = call.inputs + <usize>rowPanel * <usize>call.inputBytes + (<usize>(image * height * rowPlaces + place * count) * MR << 2);
  const grads = call.grads + <usize>panel * <usize>call.gradBytes + (<usize>(image * outHeight * outWidth + x0 * count) * NR << 2);
  const depth = (x1 - x0) * count;
  const whole = rows == MR && columns == NR;
  const corner = ownScratch(call.corner);
  for (let oy = max(row, y0); oy < min(last, y1); oy++) {
    const a = inputs + (<usize>((oy * strideY - leadY) * rowPlaces * count) * MR << 2);
    const b = grads + (<usize>(oy * outWidth * count) * NR << 2);
    const fresh = isFirst && oy == y0;
    if (whole) {
      gemmTile(a, b, c, ldc, depth, fresh);
    } else {
      if (!fresh) loadCorner(corner, c, ldc, rows, columns);
      gemmTile(a, b, corner, NR * 4, depth, fresh);
      storeCorner(corner, c, ldc, rows, columns);
    }
  }
}
