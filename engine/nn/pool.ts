/** Pooling, enlarging and flattening: layers without parameters that change the shape. */
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import type { AvgPoolOptions, PoolOptions, ResizeOptions } from '../ops/index.ts';
import { pair, type Pair } from '../shape.ts';
import type { Layer } from './layer.ts';

/**
 * Largest value of each window. `stride` defaults to the kernel.
 *
 * Shapes: x [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 *
 * @example nn.maxPool2d(3, 2, { ceil: true })
 */
export function maxPool2d(
  kernel: Pair,
  stride: Pair = kernel,
  options: Omit<PoolOptions, 'stride'> = {},
): Layer {
  checkOptions('maxPool2d', options, ['ceil', 'padding']);
  return {
    params: {},
    config: { kind: 'maxPool2d', kernel, stride, ...options },
    apply: (x) => ops.maxPool2d(x, kernel, { ...options, stride }),
  };
}

/** Mean of each window; shapes as in `maxPool2d`. What a border's mean is divided by: see the operation's `divisor`. */
export function avgPool2d(
  kernel: Pair,
  stride: Pair = kernel,
  options: Omit<AvgPoolOptions, 'stride'> = {},
): Layer {
  checkOptions('avgPool2d', options, ['ceil', 'padding', 'divisor']);
  if (options.divisor !== undefined)
    checkOneOf('avgPool2d', 'divisor', options.divisor, ['clipped', 'inside']);
  return {
    params: {},
    config: { kind: 'avgPool2d', kernel, stride, ...options },
    apply: (x) => ops.avgPool2d(x, kernel, { ...options, stride }),
  };
}

/** All axes but the first as one. Shapes: x [N, ...] -> [N, product]. */
export function flatten(): Layer {
  return { params: {}, config: { kind: 'flatten' }, apply: (x) => ops.reshape(x, [x.shape[0], -1]) };
}

/** Mean of each image's channels. Shapes: x [N, H, W, C] -> [N, C]. */
export function globalAvgPool2d(): Layer {
  return { params: {}, config: { kind: 'globalAvgPool2d' }, apply: (x) => ops.globalAvgPool2d(x) };
}

/** Largest value of each image's channels. Shapes: x [N, H, W, C] -> [N, C]. */
export function globalMaxPool2d(): Layer {
  return { params: {}, config: { kind: 'globalMaxPool2d' }, apply: (x) => ops.globalMaxPool2d(x) };
}

/**
 * Images larger by whole factors, by repeated pixels or bilinear interpolation.
 * Shapes: x [N, H, W, C] -> [N, H · factor, W · factor, C].
 *
 * @example nn.upsample2d(2, { mode: 'bilinear' })
 */
export function upsample2d(factor: Pair, options: ResizeOptions = {}): Layer {
  checkOptions('upsample2d', options, ['mode', 'alignCorners']);
  const factors = pair(factor);
  for (const n of factors) checkInteger('upsample2d', 'factor', n, 1);
  return {
    params: {},
    config: { kind: 'upsample2d', factor, ...options },
    apply: (x) => ops.resize2d(x, [x.shape[1] * factors[0], x.shape[2] * factors[1]], options),
  };
}
