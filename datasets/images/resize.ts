/** Resizing, which agrees with PyTorch's antialiased bilinear filter. kernels/resize.ts has the loops. */
import type { InputData } from '../../engine/dataset.ts';
import { EngineError } from '../../engine/errors.ts';
import type { Image } from './image.ts';
import { resizeModule } from './resize.generated.ts';

/** The source pixels of each resized pixel in a line, with their weights. */
interface Taps {
  /** The first pixel of each. */
  readonly firsts: Uint32Array;
  /** The number of pixels of each. */
  readonly counts: Uint32Array;
  /** The largest of `counts`. */
  readonly most: number;
  /** [out, most], with zeros after the pixels of each. */
  readonly weights: Float64Array;
}

/**
 * The taps of a bilinear filter from the part [from, from + length) of a line of `size` pixels to `out` pixels. Where the line
 * shrinks, the triangle is widened by the scale, so every source pixel contributes, as with PIL's BILINEAR and PyTorch's `antialias`.
 */
function tapsOf(size: number, from: number, length: number, out: number): Taps {
  const scale = length / out;
  const reach = Math.max(1, scale);
  const centerOf = (i: number): number => from + (i + 0.5) * scale;
  const firsts = Uint32Array.from({ length: out }, (_, i) =>
    Math.max(0, Math.trunc(centerOf(i) - reach + 0.5)),
  );
  const counts = firsts.map((first, i) => Math.min(size, Math.trunc(centerOf(i) + reach + 0.5)) - first);
  const most = counts.reduce((a, b) => Math.max(a, b));
  const weights = new Float64Array(out * most);
  for (let i = 0; i < out; i++) {
    const own = weights.subarray(i * most, i * most + counts[i]);
    const center = centerOf(i);
    let sum = 0;
    for (let k = 0; k < own.length; k++) {
      own[k] = Math.max(0, 1 - Math.abs(firsts[i] + k + 0.5 - center) / reach);
      sum += own[k];
    }
    for (let k = 0; k < own.length; k++) own[k] /= sum;
  }
  return { firsts, counts, most, weights };
}

export interface Size {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** 'cover': the largest centered part with the aspect ratio of the result. 'stretch': the whole image. */
  readonly fit: 'cover' | 'stretch';
}

interface Kernels {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  convert(from: number, to: number, n: number): void;
  gray(from: number, to: number, n: number): void;
  filterColor(line: number, to: number, firsts: number, weights: number, width: number, taps: number): void;
  filterGray(line: number, to: number, firsts: number, weights: number, width: number, taps: number): void;
  combine(lines: number, weights: number, taps: number, to: number, n: number): void;
}

let loading: Promise<Kernels> | null = null;

async function loadModule(): Promise<Kernels> {
  const bytes = Uint8Array.from(atob(resizeModule), (character) => character.charCodeAt(0));
  try {
    const { instance } = await WebAssembly.instantiate(bytes, {});
    return instance.exports as unknown as Kernels;
  } catch (cause) {
    throw new EngineError(
      `images cannot be resized: ${(cause as Error).message} (use an engine with WebAssembly SIMD; the content security policy of a ` +
        "page must have 'wasm-unsafe-eval' in its script-src)",
      { cause },
    );
  }
}

/** Reserves memory for arrays, one after another. */
class Layout {
  end: number;

  constructor(start: number) {
    this.end = start;
  }

  take(bytes: number): number {
    const at = Math.ceil(this.end / 16) * 16;
    this.end = at + bytes;
    return at;
  }
}

/** The largest memory that is kept for later images, in bytes. */
const MOST_KEPT = 2 ** 26;

/** What the kernels read or write beyond the end of a line, in values. */
const BEYOND = 8;

/**
 * Resizes an image to [height, width, channels] and writes it at `offset` of `out`. Lines are filtered when an output line needs them, so
 * the memory does not depend on the height of the image.
 */
export async function resizeImage(image: Image, size: Size, out: InputData, offset: number): Promise<void> {
  loading ??= loadModule();
  const kernels = await loading;
  const { height, width, channels, fit } = size;
  const aspect = fit === 'cover' ? width / height : image.width / image.height;
  const cropWidth = Math.min(image.width, image.height * aspect);
  const cropHeight = Math.min(image.height, image.width / aspect);
  const columns = tapsOf(image.width, (image.width - cropWidth) / 2, cropWidth, width);
  const rows = tapsOf(image.height, (image.height - cropHeight) / 2, cropHeight, height);
  const left = columns.firsts[0];
  const source = columns.firsts[width - 1] + columns.counts[width - 1] - left;
  const line = width * channels;

  const layout = new Layout(kernels.heapBase());
  const bytes = layout.take(source * 3 + BEYOND);
  const values = layout.take((source * channels + columns.most * channels + BEYOND) * 8);
  const firsts = layout.take(width * 4);
  const columnWeights = layout.take(columns.weights.byteLength);
  const rowWeights = layout.take(rows.weights.byteLength);
  const pointers = layout.take(rows.most * 4);
  const lineBytes = (line + BEYOND) * 8;
  const ring = layout.take(rows.most * lineBytes);
  const result = layout.take(line + BEYOND);
  const { memory } = kernels;
  const missing = layout.end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  const u8 = new Uint8Array(memory.buffer);
  const u32 = new Uint32Array(memory.buffer);
  const f64 = new Float64Array(memory.buffer);
  // Weights of 0 may meet whatever lies behind the line, but not an earlier NaN.
  f64.fill(0, values / 8, firsts / 8);
  u32.set(
    columns.firsts.map((first) => first - left),
    firsts / 4,
  );
  f64.set(columns.weights, columnWeights / 8);
  f64.set(rows.weights, rowWeights / 8);

  const slot = (y: number): number => ring + (y % rows.most) * lineBytes;
  const filterLine = (y: number): void => {
    const from = (y * image.width + left) * 3;
    u8.set(image.data.subarray(from, from + source * 3), bytes);
    if (channels === 3) {
      kernels.convert(bytes, values, source * 3);
      kernels.filterColor(values, slot(y), firsts, columnWeights, width, columns.most);
    } else {
      kernels.gray(bytes, values, source);
      kernels.filterGray(values, slot(y), firsts, columnWeights, width, columns.most);
    }
  };
  let filtered = rows.firsts[0];
  for (let y = 0; y < height; y++) {
    const first = rows.firsts[y];
    const count = rows.counts[y];
    for (; filtered < first + count; filtered++) filterLine(filtered);
    for (let k = 0; k < count; k++) u32[pointers / 4 + k] = slot(first + k);
    kernels.combine(pointers, rowWeights + y * rows.most * 8, count, result, line);
    out.set(u8.subarray(result, result + line), offset + y * line);
  }
  // The memory of a module never shrinks.
  if (memory.buffer.byteLength > MOST_KEPT) loading = null;
}
