/** Layers without parameters that change the shape: pooling, upsampling and flattening. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkOneOf, checkOptions, isRecord, show } from '../options.ts';
import * as ops from '../ops/index.ts';
import type {
  AvgPool1dOptions,
  AvgPoolOptions,
  Pool1dOptions,
  PoolOptions,
  ResizeOptions,
} from '../ops/index.ts';
import { RESIZE_MODES } from '../ops/primitives/resize.ts';
import { checkPadding1d, type Padding1d } from '../ops/row.ts';
import { checkPadding, formatType, pair, sizeOf, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Layer } from './layer.ts';

/**
 * Maximum of each window. The stride defaults to the kernel.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws TypeError for an unknown option, or a kernel or stride that is neither a number nor a pair.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C], no window fits, or the padding reaches the
 * size of the kernel.
 *
 * @example nn.maxPool2d(3, 2, { ceil: true })
 */
export function maxPool2d(
  kernel: Pair,
  stride: Pair = kernel,
  options: Omit<PoolOptions, 'stride'> = {},
): Layer {
  checkOptions('maxPool2d', options, ['ceil', 'padding']);
  checkWindow('maxPool2d', kernel, stride);
  if (options.padding !== undefined) checkPadding('maxPool2d', options.padding);
  return {
    params: {},
    config: { kind: 'maxPool2d', kernel, stride, ...options },
    apply: (x) => ops.maxPool2d(x, kernel, { ...options, stride }),
  };
}

/**
 * Mean of each window. The stride defaults to the kernel. `divisor` selects the divisor at the border.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws TypeError for an unknown option, or a kernel or stride that is neither a number nor a pair.
 * Throws RangeError for an unknown divisor.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C], no window fits, or the padding reaches the
 * size of the kernel.
 *
 * @example nn.avgPool2d(3, 2, { ceil: true })
 */
export function avgPool2d(
  kernel: Pair,
  stride: Pair = kernel,
  options: Omit<AvgPoolOptions, 'stride'> = {},
): Layer {
  checkOptions('avgPool2d', options, ['ceil', 'padding', 'divisor']);
  checkWindow('avgPool2d', kernel, stride);
  if (options.padding !== undefined) checkPadding('avgPool2d', options.padding);
  if (options.divisor !== undefined)
    checkOneOf('avgPool2d', 'divisor', options.divisor, ['clipped', 'inside']);
  return {
    params: {},
    config: { kind: 'avgPool2d', kernel, stride, ...options },
    apply: (x) => ops.avgPool2d(x, kernel, { ...options, stride }),
  };
}

/** Throws TypeError unless both are a number or a pair. Options of PyTorch are in one object, which here comes after the stride. */
function checkWindow(where: string, kernel: Pair, stride: Pair): void {
  pair(kernel, `${where}: kernel`);
  if (isRecord(stride)) {
    const size = Array.isArray(kernel) ? `[${kernel.join(', ')}]` : String(kernel);
    throw new TypeError(strideFix(where, size, 'an integer or [vertical, horizontal]', stride));
  }
  pair(stride, `${where}: stride`);
}

/** The message for options in place of the stride. */
const strideFix = (where: string, size: string, words: string, stride: unknown): string =>
  `${where}: stride must be ${words}, got ${show(stride)} ` +
  `(the stride comes before the options: ${where}(${size}, ${size}, { padding: 'same' }))`;

/**
 * Maximum of each window along sequences. The stride defaults to the kernel.
 *
 * Shapes: x `f32` [N, L, C] -> [N, L', C], L' = floor((L + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, L, C], no window fits, or the padding reaches the size of the
 * kernel.
 *
 * @example nn.maxPool1d(2)
 */
export function maxPool1d(
  kernel: number,
  stride: number = kernel,
  options: Omit<Pool1dOptions, 'stride'> = {},
): Layer {
  checkOptions('maxPool1d', options, ['ceil', 'padding']);
  checkWindow1d('maxPool1d', kernel, stride, options.padding);
  return {
    params: {},
    config: { kind: 'maxPool1d', kernel, stride, ...options },
    apply: (x) => ops.maxPool1d(x, kernel, { ...options, stride }),
  };
}

/**
 * Mean of each window along sequences. The stride defaults to the kernel. `divisor` selects the divisor at the ends.
 *
 * Shapes: x `f32` [N, L, C] -> [N, L', C], L' = floor((L + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 * Throws TypeError for an unknown option.
 * Throws RangeError for an unknown divisor.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, L, C], no window fits, or the padding reaches the size of the
 * kernel.
 *
 * @example nn.avgPool1d(3, 2)
 */
export function avgPool1d(
  kernel: number,
  stride: number = kernel,
  options: Omit<AvgPool1dOptions, 'stride'> = {},
): Layer {
  checkOptions('avgPool1d', options, ['ceil', 'padding', 'divisor']);
  checkWindow1d('avgPool1d', kernel, stride, options.padding);
  if (options.divisor !== undefined)
    checkOneOf('avgPool1d', 'divisor', options.divisor, ['clipped', 'inside']);
  return {
    params: {},
    config: { kind: 'avgPool1d', kernel, stride, ...options },
    apply: (x) => ops.avgPool1d(x, kernel, { ...options, stride }),
  };
}

/** Throws RangeError or ShapeError for what the operation would only refuse when the layer is applied. */
function checkWindow1d(where: string, kernel: number, stride: number, padding: Padding1d = 'valid'): void {
  checkInteger(where, 'kernel', kernel, 1);
  if (isRecord(stride)) throw new TypeError(strideFix(where, String(kernel), 'an integer', stride));
  checkInteger(where, 'stride', stride, 1);
  checkPadding1d(where, padding);
}

/** A layer that divides images into a grid. */
function grid(kind: string, size: Pair, apply: (x: Tensor, size: Pair) => Tensor): Layer {
  for (const n of pair(size, `${kind}: size`)) checkInteger(kind, 'size', n, 1);
  return { params: {}, config: { kind, size }, apply: (x) => apply(x, size) };
}

/**
 * Mean of windows that divide each image into a grid of a given size, whatever the size of the image.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, size, size, C], or [N, H', W', C] for size [H', W'].
 * Source: torch.nn.AdaptiveAvgPool2d.
 * Throws RangeError if a size is not a positive integer.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C] or has no pixels.
 *
 * @example nn.sequential({ pool: nn.adaptiveAvgPool2d(7), flat: nn.flatten(), fc: nn.dense(7 * 7 * 64, 10) })
 */
export const adaptiveAvgPool2d = (size: Pair): Layer =>
  grid('adaptiveAvgPool2d', size, ops.adaptiveAvgPool2d);

/**
 * Maximum of windows that divide each image into a grid of a given size, whatever the size of the image.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, size, size, C], or [N, H', W', C] for size [H', W'].
 * Source: torch.nn.AdaptiveMaxPool2d.
 * Throws RangeError if a size is not a positive integer.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C] or has no pixels.
 *
 * @example nn.adaptiveMaxPool2d([4, 2])
 */
export const adaptiveMaxPool2d = (size: Pair): Layer =>
  grid('adaptiveMaxPool2d', size, ops.adaptiveMaxPool2d);

/**
 * Enlarges images by moving channels into pixels, for sub-pixel convolution. Channels have PyTorch's order.
 *
 * Shapes: x of any dtype [N, H, W, C · factor²] -> [N, H · factor, W · factor, C].
 * Source: Shi et al., Real-Time Single Image and Video Super-Resolution, 2016; torch.nn.PixelShuffle.
 * Throws RangeError if the factor is not a positive integer.
 * Throws ShapeError, when the layer is applied, if x is not [N, H, W, C] or the channels are not a multiple of factor².
 *
 * @example nn.sequential({ conv: nn.conv2d(64, 3 * 4, 3, { padding: 1 }), up: nn.pixelShuffle(2) })
 */
export function pixelShuffle(factor: number): Layer {
  checkInteger('pixelShuffle', 'factor', factor, 1);
  return { params: {}, config: { kind: 'pixelShuffle', factor }, apply: (x) => ops.pixelShuffle(x, factor) };
}

/**
 * Shrinks images by moving pixels into channels: the inverse of `pixelShuffle`.
 *
 * Shapes: x of any dtype [N, H · factor, W · factor, C] -> [N, H, W, C · factor²].
 * Source: torch.nn.PixelUnshuffle.
 * Throws RangeError if the factor is not a positive integer.
 * Throws ShapeError, when the layer is applied, if x is not [N, H, W, C] or a side is not a multiple of the factor.
 *
 * @example nn.pixelUnshuffle(2)
 */
export function pixelUnshuffle(factor: number): Layer {
  checkInteger('pixelUnshuffle', 'factor', factor, 1);
  return {
    params: {},
    config: { kind: 'pixelUnshuffle', factor },
    apply: (x) => ops.pixelUnshuffle(x, factor),
  };
}

/**
 * Flattens all axes but the first.
 *
 * Shapes: x of any dtype [N, d1, d2, ...] -> [N, d1 · d2 · ...].
 * Throws ShapeError, when the layer is applied, if x has no axes.
 *
 * @example nn.sequential({ flat: nn.flatten(), fc: nn.dense(3072, 10) })
 */
export function flatten(): Layer {
  return {
    params: {},
    config: { kind: 'flatten' },
    apply(x) {
      if (x.rank === 0) throw new ShapeError(`flatten: expects [N, ...] but got ${formatType(x)}`);
      return ops.reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
    },
  };
}

/**
 * Mean of each channel over all pixels of an image.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, C].
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C].
 *
 * @example nn.sequential({ conv: nn.conv2d(3, 64, 3), pool: nn.globalAvgPool2d(), fc: nn.dense(64, 10) })
 */
export function globalAvgPool2d(): Layer {
  return { params: {}, config: { kind: 'globalAvgPool2d' }, apply: (x) => ops.globalAvgPool2d(x) };
}

/**
 * Maximum of each channel over all pixels of an image.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, C].
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C].
 *
 * @example nn.sequential({ conv: nn.conv2d(3, 64, 3), pool: nn.globalMaxPool2d(), fc: nn.dense(64, 10) })
 */
export function globalMaxPool2d(): Layer {
  return { params: {}, config: { kind: 'globalMaxPool2d' }, apply: (x) => ops.globalMaxPool2d(x) };
}

/**
 * Enlarges images by integer factors, with nearest-neighbor, bilinear or bicubic interpolation.
 *
 * Shapes: x `f32` [N, H, W, C] -> [N, H · factor, W · factor, C].
 * Throws RangeError if a factor is not a positive integer and, when the layer is applied, if the mode is unknown.
 * Throws TypeError for an unknown option, or a kernel or stride that is neither a number nor a pair.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, H, W, C].
 *
 * @example nn.upsample2d(2, { mode: 'bilinear' })
 */
export function upsample2d(factor: Pair, options: ResizeOptions = {}): Layer {
  checkOptions('upsample2d', options, ['mode', 'alignCorners', 'antialias']);
  if (options.mode !== undefined) checkOneOf('upsample2d', 'mode', options.mode, RESIZE_MODES);
  const factors = pair(factor, 'upsample2d: factor');
  for (const n of factors) checkInteger('upsample2d', 'factor', n, 1);
  return {
    params: {},
    config: { kind: 'upsample2d', factor, ...options },
    apply: (x) => ops.resize2d(x, [x.shape[1] * factors[0], x.shape[2] * factors[1]], options),
  };
}
