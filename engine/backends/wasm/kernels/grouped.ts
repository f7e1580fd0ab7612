// Convolutions with groups or dilation. What each output pixel sees is gathered into a row of a matrix in scratch memory,
// some rows at a time, and multiplied by the micro-kernels of the dense convolution. depthwise.ts has those where every channel is a
// group of its own.
//
// Along each axis, output position p sees by tap t the source position (p · step + t · tap + offset) / divisor, if that is
// whole and inside the image. A forward pass has the stride as its step and −pad as its offset; an input gradient has the
// step 1, the tap −dilation, the offset pad and the stride as its divisor.
import {
  AddGroupPartials,
  Axis,
  Grouped,
  GroupedConv,
  GroupedGradWeight,
  PackGroups,
} from "./calls.generated";
import { addBias } from "./conv";
import { storeCorner } from "./gemm";
import { splat, storeLanes } from "./simd";
import { ownScratch, firstTask } from "./team";
import { convTile, weightTile } from "./vectors/products";
import { MR, NR } from "./width";

/** The source position along an axis, or −1 where there is none. */
// @ts-ignore: decorator
@inline function source(axis: Axis, p: i32, t: i32): i32 {
  const position = p * axis.step + t * axis.tap + axis.offset;
  const divisor = axis.divisor;
  if (divisor == 1) return position < axis.size ? max(position, -1) : -1;
  const whole = position / divisor;
  return position >= 0 && whole * divisor == position && whole < axis.size ? whole : -1;
}

/**
 * Rows of `taps × inner` floats, one for each pixel of some output rows: what it sees of channels `first` … of an image. Writes
 * up to 12 bytes more.
 */
function fillPatches(call: Grouped, image: usize, first: i32, inner: i32, row: i32, rows: i32, to: usize): void {
  const vertical = call.vertical;
  const horizontal = call.horizontal;
  const pixel = <usize>call.channels << 2;
  const width = call.horizontal.size;
  const outWidth = call.outWidth;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const bytes = <usize>inner << 2;
  const from = image + (<usize>first << 2);
  for (let oy = row; oy < row + rows; oy++) {
    for (let ox = 0; ox < outWidth; ox++) {
      for (let ky = 0; ky < kernelY; ky++) {
        const sy = source(vertical, oy, ky);
        for (let kx = 0; kx < kernelX; kx++) {
          const sx = sy < 0 ? -1 : source(horizontal, ox, kx);
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
 * w[tap · tapStride + i · innerStride + j · columnStride + g · groupStride].
 */
// Row (tap, i) and column j of group g come from w[tap · tapStride + i · innerStride + j · columnStride + g · groupStride].
// @ts-ignore: decorator
@words(
  "*w", "*packed", "taps", "inner", "columns", "groups", "tapStride", "innerStride", "columnStride",
  "groupStride"
)
export function packGroups(call: PackGroups, slice: i32, slices: i32): void {
  const taps = call.taps;
  const inner = call.inner;
  const columns = call.columns;
  const innerStride = <usize>call.innerStride << 2;
  const columnStride = <usize>call.columnStride << 2;
  const panels = (columns + NR - 1) / NR;
  const tasks = call.groups * panels;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const group = task / panels;
    const first = (task - group * panels) * NR;
    const valid = min(NR, columns - first);
    let to = call.packed + (<usize>task * <usize>(taps * inner * NR) << 2);
    for (let tap = 0; tap < taps; tap++) {
      let from = call.w + (<usize>(tap * call.tapStride + group * call.groupStride) << 2) + <usize>first * columnStride;
      for (let i = 0; i < inner; i++, from += innerStride, to += NR * 4) {
        for (let j = 0; j < NR; j++) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from + <usize>j * columnStride) : 0);
        }
      }
    }
  }
}

/** The forward pass, and with filters packed accordingly the input gradient. */
// A task gathers what so many rows of the result see. A bias of 0 is none.
// @ts-ignore: decorator
@words("...Grouped", "*x", "*packed", "*y", "*bias", "?relu", "taskRows", "cornerBytes", "scratch: Scratch")
export function groupedConv(call: GroupedConv, slice: i32, slices: i32): void {
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const filters = call.filters;
  const groups = call.groups;
  const inner = call.channels / groups;
  const columns = filters / groups;
  const depth = call.kernelY * call.kernelX * inner;
  const taskRows = call.taskRows;
  const corner = ownScratch(call.scratch);
  const patches = corner + <usize>call.cornerBytes;
  const bias = call.bias;
  const step = <usize>depth << 2;
  const panelBytes = step * NR;
  const panels = (columns + NR - 1) / NR;
  const ldc = <usize>filters << 2;
  const imageBytes = <usize>(call.vertical.size * call.horizontal.size * call.channels) << 2;
  const imageTasks = (outHeight + taskRows - 1) / taskRows;
  const tasks = call.images * imageTasks;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const image = task / imageTasks;
    const row = (task - image * imageTasks) * taskRows;
    const rows = min(taskRows, outHeight - row);
    const pixels = rows * outWidth;
    const out = call.y + <usize>((image * outHeight + row) * outWidth) * ldc;
    for (let group = 0; group < groups; group++) {
      fillPatches(call, call.x + <usize>image * imageBytes, group * inner, inner, row, rows, patches);
      for (let f = 0; f < columns; f += NR) {
        const panel = call.packed + <usize>(group * panels + f / NR) * panelBytes;
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
    if (bias != 0) addBias(out, pixels, filters, bias, call.relu);
  }
}

/**
 * Partial weight gradients, one for each chunk of output rows and each group: rows padded to a multiple of MR, columns to
 * NR.
 */
// @ts-ignore: decorator
@words("...Grouped", "*x", "*dy", "*partial", "chunks", "taskRows", "scratch: Scratch")
export function groupedGradWeight(call: GroupedGradWeight, slice: i32, slices: i32): void {
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const groups = call.groups;
  const inner = call.channels / groups;
  const columns = call.filters / groups;
  const depth = call.kernelY * call.kernelX * inner;
  const taskRows = call.taskRows;
  const patches = ownScratch(call.scratch);
  const chunks = call.chunks;
  const depthPadded = ((depth + MR - 1) / MR) * MR;
  const ldc = <usize>(((columns + NR - 1) / NR) * NR) << 2;
  const step = <usize>depth << 2;
  const gStep = <usize>call.filters << 2;
  const imageBytes = <usize>(call.vertical.size * call.horizontal.size * call.channels) << 2;
  const parts = (outHeight + taskRows - 1) / taskRows;
  const tasks = chunks * groups;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const chunk = task / groups;
    const group = task - chunk * groups;
    const partial = call.partial + <usize>(task * depthPadded) * ldc;
    const begin = firstTask(call.images * parts, chunk, chunks);
    const last = firstTask(call.images * parts, chunk + 1, chunks);
    for (let unit = begin; unit < last; unit++) {
      const image = unit / parts;
      const row = (unit - image * parts) * taskRows;
      const rows = min(taskRows, outHeight - row);
      const pixels = rows * outWidth;
      fillPatches(call, call.x + <usize>image * imageBytes, group * inner, inner, row, rows, patches);
      const g = call.dy + <usize>((image * outHeight + row) * outWidth) * gStep + (<usize>(group * columns) << 2);
      for (let f = 0; f < columns; f += NR) {
        for (let t = 0; t < depth; t += MR) {
          const c = partial + <usize>t * ldc + (<usize>f << 2);
          weightTile(patches + (<usize>t << 2), g + (<usize>f << 2), pixels, step, gStep, c, ldc, unit == begin);
        }
      }
    }
  }
}

/** Adds the partial weight gradients in order of their chunks. */
// @ts-ignore: decorator
@words("*partial", "*dw", "chunks", "groups", "depth", "columns")
export function addGroupPartials(call: AddGroupPartials, slice: i32, slices: i32): void {
  const chunks = call.chunks;
  const groups = call.groups;
  const depth = call.depth;
  const columns = call.columns;
  const ldc = <usize>(((columns + NR - 1) / NR) * NR) << 2;
  const groupBytes = <usize>(((depth + MR - 1) / MR) * MR) * ldc;
  const tasks = depth * groups;
  const end = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < end; task++) {
    const row = task / groups;
    const group = task - row * groups;
    for (let f = 0; f < columns; f += 4) {
      let p = call.partial + <usize>group * groupBytes + <usize>row * ldc + (<usize>f << 2);
      let sum = v128.load(p);
      for (let chunk = 1; chunk < chunks; chunk++) {
        p += <usize>groups * groupBytes;
        sum = f32x4.add(sum, v128.load(p));
      }
      storeLanes(call.dw + (<usize>(task * columns + f) << 2), sum, columns - f);
    }
  }
}
