// Convolutions with groups or dilation. What each output pixel sees is gathered into a row of a matrix in scratch memory,
// band by band, and multiplied by the micro-kernels of the dense convolution. Where every channel is a group of its own,
// a kernel walks the channels four at a time instead.
//
// Along each axis, output position p sees by tap t the source position (p · step + t · tap + offset) / divisor, if that is
// whole and inside the image. A forward pass has the stride as its step and −pad as its offset; an input gradient has the
// step 1, the tap −dilation, the offset pad and the stride as its divisor.
import { arg, ptr } from "./elementwise";
import { addBias } from "./conv";
import { storeCorner } from "./gemm";
import { fma, relu4, splat, storeLanes } from "./simd";
import { scratch, share } from "./team";
import { convTile, weightTile } from "./vectors/products";
import { MR, NR } from "./width";

/** Words of a geometry. */
const IMAGES: i32 = 0;
const HEIGHT: i32 = 1;
const WIDTH: i32 = 2;
const CHANNELS: i32 = 3;
const OUT_HEIGHT: i32 = 4;
const OUT_WIDTH: i32 = 5;
const FILTERS: i32 = 6;
const TAP_ROWS: i32 = 7;
const TAP_COLUMNS: i32 = 8;
const GROUPS: i32 = 9;
const STEP: i32 = 10;
const TAP: i32 = 12;
const OFFSET: i32 = 14;
const DIVISOR: i32 = 16;
/** Length of a geometry, which every kernel here has as the last of its common words. */
const WORDS: i32 = 18;

/** The source position along an axis (0 vertical, 1 horizontal), or −1 where there is none. `at` is the geometry. */
// @ts-ignore: decorator
@inline function source(at: usize, axis: i32, p: i32, t: i32): i32 {
  const position = p * arg(at, STEP + axis) + t * arg(at, TAP + axis) + arg(at, OFFSET + axis);
  const divisor = arg(at, DIVISOR + axis);
  if (divisor == 1) return position < arg(at, HEIGHT + axis) ? max(position, -1) : -1;
  const whole = position / divisor;
  return position >= 0 && whole * divisor == position && whole < arg(at, HEIGHT + axis) ? whole : -1;
}

/**
 * Rows of `taps × inner` floats, one for each pixel of some output rows: what it sees of channels `first` … of an image. Writes
 * up to 12 bytes more.
 */
function fillPatches(at: usize, image: usize, first: i32, inner: i32, row: i32, rows: i32, to: usize): void {
  const pixel = <usize>arg(at, CHANNELS) << 2;
  const width = arg(at, WIDTH);
  const outWidth = arg(at, OUT_WIDTH);
  const tapRows = arg(at, TAP_ROWS);
  const tapColumns = arg(at, TAP_COLUMNS);
  const bytes = <usize>inner << 2;
  const from = image + (<usize>first << 2);
  for (let oy = row; oy < row + rows; oy++) {
    for (let ox = 0; ox < outWidth; ox++) {
      for (let ky = 0; ky < tapRows; ky++) {
        const sy = source(at, 0, oy, ky);
        for (let kx = 0; kx < tapColumns; kx++) {
          const sx = sy < 0 ? -1 : source(at, 1, ox, kx);
          const end = to + bytes;
          // Rising addresses: each vector may write a little past its end, into the next.
          if (sx < 0) {
            for (; to < end; to += 16) v128.store(to, splat(0));
          } else {
            let p = from + <usize>(sy * width + sx) * pixel;
            for (; to < end; to += 16, p += 16) v128.store(to, v128.load(p));
          }
          to = end;
        }
      }
    }
  }
}

/**
 * Filters by group, in panels of NR columns like packB's result: row (tap, i) and column j of group g come from
 * w[tap · tap stride + i · inner stride + j · column stride + g · group stride].
 * w, packed, taps, inner, columns, groups, strides of tap, inner, column and group
 */
export function packGroups(a: usize, slice: i32, slices: i32): void {
  const taps = arg(a, 2);
  const inner = arg(a, 3);
  const columns = arg(a, 4);
  const innerStride = <usize>arg(a, 7) << 2;
  const columnStride = <usize>arg(a, 8) << 2;
  const panels = (columns + NR - 1) / NR;
  const tasks = arg(a, 5) * panels;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const group = task / panels;
    const first = (task - group * panels) * NR;
    const valid = min(NR, columns - first);
    let to = ptr(a, 1) + (<usize>task * <usize>(taps * inner * NR) << 2);
    for (let tap = 0; tap < taps; tap++) {
      let from = ptr(a, 0) + (<usize>(tap * arg(a, 6) + group * arg(a, 9)) << 2) + <usize>first * columnStride;
      for (let i = 0; i < inner; i++, from += innerStride, to += NR * 4) {
        for (let j = 0; j < NR; j++) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from + <usize>j * columnStride) : 0);
        }
      }
    }
  }
}

/** x, packed filters, y, geometry, output rows of a band, scratch, scratch bytes per thread, bias or 0, relu */
export function groupedConv(a: usize, slice: i32, slices: i32): void {
  const at = a + 12;
  const outHeight = arg(at, OUT_HEIGHT);
  const outWidth = arg(at, OUT_WIDTH);
  const filters = arg(at, FILTERS);
  const groups = arg(at, GROUPS);
  const inner = arg(at, CHANNELS) / groups;
  const columns = filters / groups;
  const depth = arg(at, TAP_ROWS) * arg(at, TAP_COLUMNS) * inner;
  const bandRows = arg(at, WORDS);
  const corner = scratch(ptr(at, WORDS + 1), arg(at, WORDS + 2));
  const patches = corner + MR * NR * 4;
  const bias = ptr(at, WORDS + 3);
  const step = <usize>depth << 2;
  const panelBytes = step * NR;
  const panels = (columns + NR - 1) / NR;
  const ldc = <usize>filters << 2;
  const imageBytes = <usize>(arg(at, HEIGHT) * arg(at, WIDTH) * arg(at, CHANNELS)) << 2;
  const bands = (outHeight + bandRows - 1) / bandRows;
  const tasks = arg(at, IMAGES) * bands;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / bands;
    const row = (task - image * bands) * bandRows;
    const rows = min(bandRows, outHeight - row);
    const pixels = rows * outWidth;
    const out = ptr(a, 2) + <usize>((image * outHeight + row) * outWidth) * ldc;
    for (let group = 0; group < groups; group++) {
      fillPatches(at, ptr(a, 0) + <usize>image * imageBytes, group * inner, inner, row, rows, patches);
      for (let f = 0; f < columns; f += NR) {
        const panel = ptr(a, 1) + <usize>(group * panels + f / NR) * panelBytes;
        const valid = min(NR, columns - f);
        const to = out + (<usize>(group * columns + f) << 2);
        for (let q = 0; q < pixels; q += MR) {
          const last = pixels - 1;
          const p0 = patches + <usize>q * step;
          const p1 = patches + <usize>min(q + 1, last) * step;
          const p2 = patches + <usize>min(q + 2, last) * step;
          const p3 = patches + <usize>min(q + 3, last) * step;
          const p4 = patches + <usize>min(q + 4, last) * step;
          const p5 = patches + <usize>min(q + 5, last) * step;
          if (valid == NR && q + MR <= pixels) {
            convTile(p0, p1, p2, p3, p4, p5, depth, panel, to + <usize>q * ldc, ldc, true);
          } else {
            convTile(p0, p1, p2, p3, p4, p5, depth, panel, corner, NR * 4, true);
            storeCorner(corner, to + <usize>q * ldc, ldc, min(MR, pixels - q), valid);
          }
        }
      }
    }
    if (bias != 0) addBias(out, pixels, filters, bias, arg(at, WORDS + 4) != 0);
  }
}

/**
 * Partial weight gradients, one for each chunk of bands and each group: rows padded to a multiple of MR, columns to NR.
 * x, g, partial, geometry, output rows of a band, scratch, scratch bytes per thread, chunks
 */
export function groupedGradWeight(a: usize, slice: i32, slices: i32): void {
  const at = a + 12;
  const outHeight = arg(at, OUT_HEIGHT);
  const outWidth = arg(at, OUT_WIDTH);
  const groups = arg(at, GROUPS);
  const inner = arg(at, CHANNELS) / groups;
  const columns = arg(at, FILTERS) / groups;
  const depth = arg(at, TAP_ROWS) * arg(at, TAP_COLUMNS) * inner;
  const bandRows = arg(at, WORDS);
  const patches = scratch(ptr(at, WORDS + 1), arg(at, WORDS + 2));
  const chunks = arg(at, WORDS + 3);
  const depthPadded = ((depth + MR - 1) / MR) * MR;
  const ldc = <usize>(((columns + NR - 1) / NR) * NR) << 2;
  const step = <usize>depth << 2;
  const gStep = <usize>arg(at, FILTERS) << 2;
  const imageBytes = <usize>(arg(at, HEIGHT) * arg(at, WIDTH) * arg(at, CHANNELS)) << 2;
  const bands = (outHeight + bandRows - 1) / bandRows;
  const tasks = chunks * groups;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const chunk = task / groups;
    const group = task - chunk * groups;
    const partial = ptr(a, 2) + <usize>(task * depthPadded) * ldc;
    const begin = share(arg(at, IMAGES) * bands, chunk, chunks);
    const last = share(arg(at, IMAGES) * bands, chunk + 1, chunks);
    for (let unit = begin; unit < last; unit++) {
      const image = unit / bands;
      const row = (unit - image * bands) * bandRows;
      const rows = min(bandRows, outHeight - row);
      const pixels = rows * outWidth;
      fillPatches(at, ptr(a, 0) + <usize>image * imageBytes, group * inner, inner, row, rows, patches);
      const g = ptr(a, 1) + <usize>((image * outHeight + row) * outWidth) * gStep + (<usize>(group * columns) << 2);
      for (let f = 0; f < columns; f += NR) {
        for (let t = 0; t < depth; t += MR) {
          const c = partial + <usize>t * ldc + (<usize>f << 2);
          weightTile(patches + (<usize>t << 2), g + (<usize>f << 2), pixels, step, gStep, c, ldc, unit == begin);
        }
      }
    }
  }
}

/** Adds the partial weight gradients in order of their chunks: partial, dw, chunks, groups, depth, columns of a group */
export function addGroupPartials(a: usize, slice: i32, slices: i32): void {
  const chunks = arg(a, 2);
  const groups = arg(a, 3);
  const depth = arg(a, 4);
  const columns = arg(a, 5);
  const ldc = <usize>(((columns + NR - 1) / NR) * NR) << 2;
  const groupBytes = <usize>(((depth + MR - 1) / MR) * MR) * ldc;
  const tasks = depth * groups;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const row = task / groups;
    const group = task - row * groups;
    for (let f = 0; f < columns; f += 4) {
      let p = ptr(a, 0) + <usize>group * groupBytes + <usize>row * ldc + (<usize>f << 2);
      let sum = v128.load(p);
      for (let chunk = 1; chunk < chunks; chunk++) {
        p += <usize>groups * groupBytes;
        sum = f32x4.add(sum, v128.load(p));
      }
      storeLanes(ptr(a, 1) + (<usize>(task * columns + f) << 2), sum, columns - f);
    }
  }
}

/** Depthwise, filters [taps, channels]: x, w, y, geometry, bias or 0, relu */
export function depthwise(a: usize, slice: i32, slices: i32): void {
  const at = a + 12;
  const channels = arg(at, CHANNELS);
  const width = arg(at, WIDTH);
  const outHeight = arg(at, OUT_HEIGHT);
  const outWidth = arg(at, OUT_WIDTH);
  const tapRows = arg(at, TAP_ROWS);
  const tapColumns = arg(at, TAP_COLUMNS);
  const bias = ptr(at, WORDS);
  const relu = arg(at, WORDS + 1) != 0;
  const pixel = <usize>channels << 2;
  const tasks = arg(at, IMAGES) * outHeight;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const image = task / outHeight;
    const oy = task - image * outHeight;
    const from = ptr(a, 0) + <usize>(image * arg(at, HEIGHT) * width) * pixel;
    let to = ptr(a, 2) + <usize>(task * outWidth) * pixel;
    for (let ox = 0; ox < outWidth; ox++, to += pixel) {
      for (let c = 0; c < channels; c += 16) {
        const offset = <usize>c << 2;
        let s0 = splat(0), s1 = s0, s2 = s0, s3 = s0;
        for (let ky = 0; ky < tapRows; ky++) {
          const sy = source(at, 0, oy, ky);
          if (sy < 0) continue;
          let w = ptr(a, 1) + <usize>(ky * tapColumns) * pixel + offset;
          for (let kx = 0; kx < tapColumns; kx++, w += pixel) {
            const sx = source(at, 1, ox, kx);
            if (sx < 0) continue;
            const p = from + <usize>(sy * width + sx) * pixel + offset;
            s0 = fma(v128.load(p), v128.load(w), s0);
            if (c + 4 < channels) s1 = fma(v128.load(p, 16), v128.load(w, 16), s1);
            if (c + 8 < channels) s2 = fma(v128.load(p, 32), v128.load(w, 32), s2);
            if (c + 12 < channels) s3 = fma(v128.load(p, 48), v128.load(w, 48), s3);
          }
        }
        finish(to + offset, s0, bias + offset, bias != 0, relu, channels - c);
        if (c + 4 < channels) finish(to + offset + 16, s1, bias + offset + 16, bias != 0, relu, channels - c - 4);
        if (c + 8 < channels) finish(to + offset + 32, s2, bias + offset + 32, bias != 0, relu, channels - c - 8);
        if (c + 12 < channels) finish(to + offset + 48, s3, bias + offset + 48, bias != 0, relu, channels - c - 12);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function finish(to: usize, value: v128, bias: usize, biased: bool, relu: bool, n: i32): void {
  if (biased) value = f32x4.add(value, v128.load(bias));
  storeLanes(to, relu ? relu4(value) : value, n);
}

/** Partial weight gradients [chunks, taps, channels], chunks of output rows: x, g, partial, geometry, chunks */
export function depthwiseGradWeight(a: usize, slice: i32, slices: i32): void {
  const at = a + 12;
  const channels = arg(at, CHANNELS);
  const width = arg(at, WIDTH);
  const outHeight = arg(at, OUT_HEIGHT);
  const outWidth = arg(at, OUT_WIDTH);
  const tapColumns = arg(at, TAP_COLUMNS);
  const taps = arg(at, TAP_ROWS) * tapColumns;
  const chunks = arg(at, WORDS);
  const pixel = <usize>channels << 2;
  const across = <usize>arg(at, STEP + 1) * pixel;
  const tasks = chunks * taps;
  const end = share(tasks, slice + 1, slices);
  for (let task = share(tasks, slice, slices); task < end; task++) {
    const chunk = task / taps;
    const tap = task - chunk * taps;
    const ky = tap / tapColumns;
    const kx = tap - ky * tapColumns;
    // Output columns whose tap lies inside the image are neighbours.
    let left = 0;
    while (left < outWidth && source(at, 1, left, kx) < 0) left++;
    let right = outWidth;
    while (right > left && source(at, 1, right - 1, kx) < 0) right--;
    const begin = share(arg(at, IMAGES) * outHeight, chunk, chunks);
    const last = share(arg(at, IMAGES) * outHeight, chunk + 1, chunks);
    for (let c = 0; c < channels; c += 8) {
      const offset = <usize>c << 2;
      let s0 = splat(0), s1 = s0;
      for (let unit = begin; unit < last; unit++) {
        const image = unit / outHeight;
        const sy = source(at, 0, unit - image * outHeight, ky);
        if (sy < 0 || left == right) continue;
        let g = ptr(a, 1) + <usize>(unit * outWidth + left) * pixel + offset;
        let p =
          ptr(a, 0) + <usize>((image * arg(at, HEIGHT) + sy) * width + source(at, 1, left, kx)) * pixel + offset;
        for (let ox = left; ox < right; ox++, g += pixel, p += across) {
          s0 = fma(v128.load(p), v128.load(g), s0);
          s1 = fma(v128.load(p, 16), v128.load(g, 16), s1);
        }
      }
      const to = ptr(a, 2) + <usize>task * pixel + offset;
      storeLanes(to, s0, channels - c);
      if (c + 4 < channels) storeLanes(to + 16, s1, channels - c - 4);
    }
  }
}
