/** Pixels for the page. */
import type { TensorType } from '../../../engine/index.ts';
import type { Picture } from '../protocol.ts';

/** Larger images are made smaller: the page shows them as tiles. */
const LARGEST = 96;

interface Shape {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
}

/** The size of an image of this type, or null if it is none: [height, width] or [height, width, 1 or 3]. */
export function shapeOf({ shape }: TensorType): Shape | null {
  const [height, width, channels = 1] = shape;
  if (shape.length < 2 || shape.length > 3 || (channels !== 1 && channels !== 3)) return null;
  return Math.min(height, width) < 4 ? null : { height, width, channels };
}

/** An image of bytes, or of floats, whose range becomes that of bytes. */
export function pictureOf({ height, width, channels }: Shape, values: Uint8Array | Float32Array): Picture {
  const bytes = values instanceof Uint8Array ? values : stretched(values);
  const factor = Math.ceil(Math.max(height, width) / LARGEST);
  const small = factor === 1 ? bytes : shrink(bytes, height, width, channels, factor);
  return {
    height: Math.floor(height / factor),
    width: Math.floor(width / factor),
    channels,
    bytes: Buffer.from(small).toString('base64'),
  };
}

/** From the lowest value, black, to the highest, white. */
function stretched(values: Float32Array): Uint8Array {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const scale = high > low ? 255 / (high - low) : 0;
  return Uint8Array.from(values, (value) => Math.round((value - low) * scale));
}

/** Means of squares of `factor` pixels. */
function shrink(
  bytes: Uint8Array,
  height: number,
  width: number,
  channels: number,
  factor: number,
): Uint8Array {
  const [rows, columns] = [Math.floor(height / factor), Math.floor(width / factor)];
  const result = new Uint8Array(rows * columns * channels);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let dy = 0; dy < factor; dy++) {
          for (let dx = 0; dx < factor; dx++) {
            sum += bytes[((y * factor + dy) * width + x * factor + dx) * channels + c];
          }
        }
        result[(y * columns + x) * channels + c] = Math.round(sum / factor ** 2);
      }
    }
  }
  return result;
}
