/** Resizing of images by interpolation. */
import { ShapeError } from '../errors.ts';
import { expectDType, expectRank } from '../op.ts';
import { checkOneOf, checkOptions } from '../options.ts';
import { formatShape, formatType, pair, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { tensor } from './create.ts';
import { reshape } from './layout.ts';
import { matmul } from './matmul.ts';
import { RESIZE_MODES, resize2dOp } from './primitives/resize.ts';

export interface ResizeOptions {
  /** Nearest pixel, or interpolation of four pixels ('bilinear') or sixteen ('bicubic'). Default 'nearest'. */
  readonly mode?: 'nearest' | 'bilinear' | 'bicubic';
  /** For 'bilinear' and 'bicubic': align the centers of the corner pixels instead of the borders of the images. Default false. */
  readonly alignCorners?: boolean;
  /**
   * For 'bilinear' and 'bicubic': average all pixels that a smaller image covers, instead of a few of them. It hardly changes enlarged
   * images. Default false.
   */
  readonly antialias?: boolean;
}

/**
 * Resizes images by nearest-neighbor, bilinear or bicubic interpolation.
 *
 *   nearest:  source = ⌊i · in / out⌋
 *   bilinear: source = max((i + ½) · in / out − ½, 0), or with alignCorners i · (in − 1) / (out − 1)
 *   bicubic:  source = (i + ½) · in / out − ½, or with alignCorners i · (in − 1) / (out − 1), by Keys' cubic with a = −¾
 *   antialias: the filter of the mode, widened by in / out if that is above 1; the cubic has a = −½
 *
 * Without `antialias`, shrinking does not average the pixels in between. Bicubic interpolation can leave the range of the pixels. With
 * 'bicubic' or `antialias`, a NaN or an infinity spreads to the whole row and column.
 *
 * Shapes: x `f32` [N, H, W, C], size [H', W'] or one number for both -> [N, H', W', C].
 * Source: torch.nn.functional.interpolate; Keys, Cubic Convolution Interpolation, 1981.
 * Throws ShapeError if x is not `f32` [N, H, W, C] or has no pixels, or a size is not a positive integer.
 * Throws RangeError if the mode is unknown, or `alignCorners` or `antialias` is set for mode 'nearest'.
 * Throws TypeError for an unknown option.
 *
 * @example resize2d([[[[1], [3]]]], [1, 4], { mode: 'bilinear' }) // [[[[1], [1.5], [2.5], [3]]]]
 * @example resize2d([[[[1], [2], [3], [6]]]], [1, 2], { mode: 'bilinear', antialias: true }) // [[[[1.714], [4.143]]]]
 */
export function resize2d(x: TensorLike, size: Pair, options: ResizeOptions = {}): Tensor {
  checkOptions('resize2d', options, ['mode', 'alignCorners', 'antialias']);
  const image = toTensor('resize2d', x);
  const { mode = 'nearest', alignCorners = false, antialias = false } = options;
  expectRank('resize2d', image, 4, 'images [N, H, W, C]');
  checkOneOf('resize2d', 'mode', mode, RESIZE_MODES);
  for (const [name, given] of Object.entries({ alignCorners, antialias })) {
    if (mode === 'nearest' && given) {
      throw new RangeError(`resize2d: ${name} requires mode 'bilinear' or 'bicubic', got mode 'nearest'`);
    }
  }
  const input = [image.shape[1], image.shape[2]] as const;
  const output = pair(size, 'resize2d: size');
  if (Math.min(...input) < 1) {
    throw new ShapeError(`resize2d: expects images with pixels but got ${formatType(image)}`);
  }
  if (output.some((n) => !Number.isSafeInteger(n) || n < 1)) {
    throw new ShapeError(`resize2d: size must be positive integers, got ${formatShape(output)}`);
  }
  if (mode !== 'bicubic' && !antialias) {
    return resize2dOp([image], { input, output, bilinear: mode === 'bilinear', alignCorners })[0];
  }
  expectDType('resize2d', 'f32', image);
  const [rows, columns] = [0, 1].map((axis) => {
    const line = { from: input[axis], to: output[axis], alignCorners };
    return matrixOf(line, antialias ? averages(line, mode === 'bicubic') : cubicTaps(line));
  }) as [Tensor, Tensor];
  return resizedBy(rows, columns, image);
}

/** An image [N, H, W, C] with its columns multiplied by `rows` [H', H], and its rows by `columns` [W', W]. */
function resizedBy(rows: Tensor, columns: Tensor, image: Tensor): Tensor {
  const [n, h, w, c] = image.shape as [number, number, number, number];
  const [height, width] = [rows.shape[0], columns.shape[0]];
  const tall = matmul(rows, reshape(image, [n, h, w * c]));
  return reshape(matmul(columns, reshape(tall, [n * height, w, c])), [n, height, width, c]);
}

/** The sizes of an axis before and after. */
interface Line {
  readonly from: number;
  readonly to: number;
  readonly alignCorners: boolean;
}

/** Input positions and their weights. A position may occur several times. */
type Taps = readonly (readonly [position: number, weight: number])[];

/** Input positions for each output position. */
const stepOf = ({ from, to, alignCorners }: Line): number => {
  if (!alignCorners) return from / to;
  return to === 1 ? 0 : (from - 1) / (to - 1); // a single pixel lies on the first one
};

/** The matrix [to, from] of an interpolation. */
function matrixOf({ from, to }: Line, tapsAt: (i: number) => Taps): Tensor {
  const weights = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    for (const [position, weight] of tapsAt(i)) weights[i * from + position] += weight;
  }
  return tensor(weights, { shape: [to, from], dtype: 'f32' });
}

/** Keys' cubic filter at a distance. */
function cubic(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/** Four neighbors. Beyond the border, the pixels of the border are repeated. */
const cubicTaps =
  (line: Line) =>
  (i: number): Taps => {
    const step = stepOf(line);
    const source = line.alignCorners ? i * step : (i + 0.5) * step - 0.5;
    const first = Math.floor(source) - 1;
    return [0, 1, 2, 3].map((k) => [
      Math.min(Math.max(first + k, 0), line.from - 1),
      cubic(source - first - k, -0.75),
    ]);
  };

/** All pixels under the filter of the mode, which is as wide as an output pixel or more. The weights add up to 1. */
const averages =
  (line: Line, isCubic: boolean) =>
  (i: number): Taps => {
    const step = stepOf(line);
    const width = Math.max(step, 1);
    const center = (i + 0.5) * step;
    const reach = (isCubic ? 2 : 1) * width;
    const begin = Math.max(Math.floor(center - reach + 0.5), 0);
    const end = Math.min(Math.floor(center + reach + 0.5), line.from);
    const filter = (d: number): number => (isCubic ? cubic(d, -0.5) : Math.max(1 - Math.abs(d), 0));
    const taps = Array.from(
      { length: end - begin },
      (_, k) => [begin + k, filter((begin + k - center + 0.5) / width)] as const,
    );
    const total = taps.reduce((sum, [, weight]) => sum + weight, 0);
    return taps.map(([position, weight]) => [position, weight / total]);
  };
