// Convolutions in which every channel is a group of its own. The taps of an output lie at constant distances: along each axis,
// output position p sees by tap t the source position (p · step + t · tap + offset) / divisor (grouped.ts).
import { Axis, Depthwise, DepthwiseGradWeight } from "./calls.generated";
import { firstTask } from "./team";
import { depthwise1, depthwise4, tapSum, tapSums3 } from "./vectors/depthwise";
import { LANES } from "./width";

// The taps of the position that `see` was called for: of all taps `first` + i · `apart`, those with i from `begin` to `end` lie inside the
// image. Tap i sees the source position `source` + i · `advance`.
let first: i32 = 0;
let begin: i32 = 0;
let end: i32 = 0;
let source: i32 = 0;

function gcd(a: i32, b: i32): i32 {
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/** How many taps lie between those that see a position at all: others fall between the positions of a strided convolution. */
// @ts-ignore: decorator
@inline function tapsApart(axis: Axis): i32 {
  return axis.divisor / gcd(axis.divisor, axis.tap < 0 ? -axis.tap : axis.tap);
}

/** How many positions lie between those that see neighbors by the same taps. */
// @ts-ignore: decorator
@inline function positionsApart(axis: Axis): i32 {
  return axis.divisor / gcd(axis.divisor, axis.step);
}

function see(axis: Axis, p: i32, taps: i32): void {
  const divisor = axis.divisor;
  const apart = tapsApart(axis);
  const advance = apart * axis.tap / divisor;
  first = 0;
  let position = p * axis.step + axis.offset;
  while (first < apart && position % divisor != 0) {
    first++;
    position += axis.tap;
  }
  begin = 0;
  end = first < apart && first < taps ? (taps - first + apart - 1) / apart : 0;
  source = position / divisor;
  const last = axis.size - 1;
  while (begin < end && (source + begin * advance < 0 || source + begin * advance > last)) begin++;
  while (begin < end && (source + (end - 1) * advance < 0 || source + (end - 1) * advance > last)) end--;
}

/** A depthwise convolution: filters [taps, channels]. */
// @ts-ignore: decorator
@words("...Grouped", "*x", "*w", "*y", "*bias", "?relu")
export function depthwise(call: Depthwise, slice: i32, slices: i32): void {
  const vertical = call.vertical;
  const horizontal = call.horizontal;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const kernelX = call.kernelX;
  const pixel = <usize>call.channels << 2;
  const width = horizontal.size;
  const down = <usize>(tapsApart(vertical) * vertical.tap / vertical.divisor * width) * pixel;
  const right = <usize>(tapsApart(horizontal) * horizontal.tap / horizontal.divisor) * pixel;
  const filterDown = <usize>(tapsApart(vertical) * kernelX) * pixel;
  const filterRight = <usize>tapsApart(horizontal) * pixel;
  const phases = positionsApart(horizontal);
  const across = <usize>(phases * horizontal.step / horizontal.divisor) * pixel;
  const tasks = call.images * outHeight;
  const lastTask = firstTask(tasks, slice + 1, slices);
  for (let task = firstTask(tasks, slice, slices); task < lastTask; task++) {
    const image = task / outHeight;
    see(vertical, task - image * outHeight, call.kernelY);
    const rows = end - begin;
    const line = call.x + <usize>(image * vertical.size + source) * <usize>width * pixel + <usize>begin * down;
    const filters = call.w + <usize>(first * kernelX) * pixel + <usize>begin * filterDown;
    const out = call.y + <usize>(task * outWidth) * pixel;
    for (let phase = 0; phase < phases; phase++) {
      let ox = phase;
      while (ox < outWidth) {
        see(horizontal, ox, kernelX);
        const columns = end - begin;
        const x = line + <usize>source * pixel + <usize>begin * right;
        const w = filters + <usize>first * pixel + <usize>begin * filterRight;
        const y = out + <usize>ox * pixel;
        // Four outputs with the same taps inside the image: if those of the last are, then so are those between.
        const fourth = ox + 3 * phases;
        const ownBegin = begin;
        if (fourth < outWidth) see(horizontal, fourth, kernelX);
        if (fourth < outWidth && end - begin == columns && begin == ownBegin) {
          fourAt(call, x, down, right, across, w, filterDown, filterRight, rows, columns, y, <usize>phases * pixel);
          ox += 4 * phases;
        } else {
          oneAt(call, x, down, right, w, filterDown, filterRight, rows, columns, y);
          ox += phases;
        }
      }
    }
  }
}

/** Bytes of the channels that whole vectors hold. */
// @ts-ignore: decorator
@inline function vectorBytes(channels: i32): usize {
  return <usize>(channels - channels % LANES) << 2;
}

function fourAt(
  call: Depthwise, x: usize, down: usize, right: usize, across: usize, w: usize, filterDown: usize, filterRight: usize,
  rows: i32, columns: i32, y: usize, apart: usize,
): void {
  const channels = call.channels;
  const bias = call.bias;
  const relu = call.relu;
  const bytes = vectorBytes(channels);
  if (bytes > 0) {
    depthwise4<v128>(
      x, down, right, across, w, filterDown, filterRight, rows, columns, y, apart, bias, relu, bytes, LANES,
    );
  }
  for (let c = <i32>(bytes >> 2); c < channels; c += 4) {
    const at = <usize>c << 2;
    const shift = bias != 0 ? bias + at : 0;
    depthwise4<f32>(
      x + at, down, right, across, w + at, filterDown, filterRight, rows, columns, y + at, apart, shift, relu, 16, channels - c,
    );
  }
}

function oneAt(
  call: Depthwise, x: usize, down: usize, right: usize, w: usize, filterDown: usize, filterRight: usize,
  rows: i32, columns: i32, y: usize,
): void {
  const channels = call.channels;
  const bias = call.bias;
  const relu = call.relu;
  const bytes = vectorBytes(channels);
  if (bytes > 0) depthwise1<v128>(x, down, right, w, filterDown, filterRight, rows, columns, y, bias, relu, bytes, LANES);
  for (let c = <i32>(bytes >> 2); c < channels; c += 4) {
    const at = <usize>c << 2;
    const shift = bias != 0 ? bias + at : 0;
    depthwise1<f32>(x + at, down, right, w + at, filterDown, filterRight, rows, columns, y + at, shift, relu, 16, channels - c);
  }
}

/** Output pixels of a row whose operands stay in the first-level cache for all taps of a row and all channels. */
const STRIP_BYTES: i32 = 8192;

/** Partial weight gradients [chunks, taps, channels], chunks of output rows. */
// @ts-ignore: decorator
@words("...Grouped", "*x", "*dy", "*partial", "chunks")
export function depthwiseGradWeight(call: DepthwiseGradWeight, slice: i32, slices: i32): void {
  const vertical = call.vertical;
  const width = call.horizontal.size;
  const outHeight = call.outHeight;
  const outWidth = call.outWidth;
  const kernelY = call.kernelY;
  const kernelX = call.kernelX;
  const chunks = call.chunks;
  const pixel = <usize>call.channels << 2;
  const rowBytes = <usize>kernelX * pixel;
  const lastChunk = firstTask(chunks, slice + 1, slices);
  for (let chunk = firstTask(chunks, slice, slices); chunk < lastChunk; chunk++) {
    const sums = call.partial + <usize>(chunk * kernelY) * rowBytes;
    memory.fill(sums, 0, <usize>kernelY * rowBytes);
    const last = firstTask(call.images * outHeight, chunk + 1, chunks);
    for (let unit = firstTask(call.images * outHeight, chunk, chunks); unit < last; unit++) {
      const image = unit / outHeight;
      const top = (unit - image * outHeight) * vertical.step + vertical.offset;
      const g = call.dy + <usize>(unit * outWidth) * pixel;
      for (let ky = 0; ky < kernelY; ky++) {
        const sy = top + ky * vertical.tap;
        if (sy < 0 || sy >= vertical.size) continue;
        const line = call.x + <usize>((image * vertical.size + sy) * width) * pixel;
        addRow(call, line, g, sums + <usize>ky * rowBytes);
      }
    }
  }
}

/** Adds what one row of dy and one of x give a row of taps. */
function addRow(call: DepthwiseGradWeight, line: usize, g: usize, sums: usize): void {
  const horizontal = call.horizontal;
  const outWidth = call.outWidth;
  const kernelX = call.kernelX;
  const step = horizontal.step;
  const tap = horizontal.tap;
  const offset = horizontal.offset;
  const size = horizontal.size;
  const pixel = <usize>call.channels << 2;
  // Outputs from `inner` to `outer` see all taps inside the image.
  const inner = min(offset < 0 ? (step - 1 - offset) / step : 0, outWidth);
  const reach = size - 1 - offset - (kernelX - 1) * tap;
  const outer = max(min(reach < 0 ? 0 : reach / step + 1, outWidth), inner);
  const strip = max(STRIP_BYTES / (<i32>pixel * (step + 1)), 1);
  for (let ox = 0; ox < outWidth;) {
    const isInside = ox >= inner && ox < outer;
    const count = isInside ? min(strip, outer - ox) : 1;
    const from = ox * step + offset;
    for (let kx = 0; kx < kernelX;) {
      const sx = from + kx * tap;
      const p = line + <usize>sx * pixel;
      const to = sums + <usize>kx * pixel;
      const q = g + <usize>ox * pixel;
      if (isInside && kx + 3 <= kernelX) {
        addTaps(call, p, q, count, to, 3);
        kx += 3;
      } else {
        if (sx >= 0 && sx < size) addTaps(call, p, q, count, to, 1);
        kx++;
      }
    }
    ox += count;
  }
}

function addTaps(call: DepthwiseGradWeight, x: usize, g: usize, count: i32, sums: usize, taps: i32): void {
  const channels = call.channels;
  const pixel = <usize>channels << 2;
  const right = <usize>call.horizontal.tap * pixel;
  const across = <usize>call.horizontal.step * pixel;
  const bytes = vectorBytes(channels);
  if (bytes > 0) {
    if (taps == 3) tapSums3<v128>(x, right, across, g, pixel, count, sums, pixel, bytes, LANES);
    else tapSum<v128>(x, across, g, pixel, count, sums, bytes, LANES);
  }
  for (let c = <i32>(bytes >> 2); c < channels; c += 4) {
    const at = <usize>c << 2;
    if (taps == 3) tapSums3<f32>(x + at, right, across, g + at, pixel, count, sums + at, pixel, 16, channels - c);
    else tapSum<f32>(x + at, across, g + at, pixel, count, sums + at, 16, channels - c);
  }
}
