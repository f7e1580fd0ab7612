/** Resizing, which agrees with PyTorch's antialiased bilinear filter. */
import type { Image } from './image.ts';

/** The source pixels of one resized pixel in a line, from `first` on, with their weights. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * The taps of a bilinear filter from the part [from, from + length) of a line of `size` pixels to `out` pixels. Where the line
 * shrinks, the triangle is widened by the scale, so every source pixel contributes, as with PIL's BILINEAR and PyTorch's `antialias`.
 */
function tapsOf(size: number, from: number, length: number, out: number): readonly Taps[] {
  const scale = length / out;
  const reach = Math.max(1, scale);
  return Array.from({ length: out }, (_, i) => {
    const center = from + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(size, Math.trunc(center + reach + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs(first + k + 0.5 - center) / reach),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

export interface Size {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** 'cover': the largest centered part with the aspect ratio of the result. 'stretch': the whole image. */
  readonly fit: 'cover' | 'stretch';
}

/** Writes the resized image, [height, width, channels], at `offset` of `out`. */
export function resizeImage(image: Image, size: Size, out: Uint8Array, offset: number): void {
  const { height, width, channels, fit } = size;
  const source = channels === 3 ? image.data : toGray(image.data);
  const aspect = fit === 'cover' ? width / height : image.width / image.height;
  const cropWidth = Math.min(image.width, image.height * aspect);
  const cropHeight = Math.min(image.height, image.width / aspect);
  const columns = tapsOf(image.width, (image.width - cropWidth) / 2, cropWidth, width);
  const rows = tapsOf(image.height, (image.height - cropHeight) / 2, cropHeight, height);
  const [top, bottom] = [rows[0].first, rows.at(-1)!.first + rows.at(-1)!.weights.length];
  // First horizontally, for the rows that are needed.
  const resized = new Float64Array((bottom - top) * width * channels);
  for (let y = top; y < bottom; y++) {
    for (const [x, { first, weights }] of columns.entries()) {
      const to = ((y - top) * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        let at = (y * image.width + first) * channels + c;
        for (let k = 0; k < weights.length; k++, at += channels) sum += weights[k] * source[at];
        resized[to + c] = sum;
      }
    }
  }
  const line = width * channels;
  for (const [y, { first, weights }] of rows.entries()) {
    for (let x = 0; x < line; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * resized[(first - top + k) * line + x];
      out[offset + y * line + x] = Math.round(sum);
    }
  }
}

/** Gray with the weights of ITU-R BT.601, rounded to the nearest integer. Equal components keep their value. */
function toGray(rgb: Uint8Array): Uint8Array {
  const gray = new Uint8Array(rgb.length / 3);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to++)
    gray[to] = Math.round(0.299 * rgb[from] + 0.587 * rgb[from + 1] + 0.114 * rgb[from + 2]);
  return gray;
}
