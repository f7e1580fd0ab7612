/** Pooling, enlarging and flattening: layers without parameters that change the shape. */
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import { reshape } from '../ops/layout.ts';
import {
  avgPool2d as averagePool,
  globalAvgPool2d as averageAll,
  globalMaxPool2d as maximumOfAll,
  maxPool2d as maximumPool,
  type AvgPoolOptions,
  type PoolOptions,
} from '../ops/pool.ts';
import { resize2d, type ResizeOptions } from '../ops/resize.ts';
import { pair, type Pair } from '../shape.ts';
import type { Layer } from './layer.ts';

/**
 * Largest value of each window. `stride` defaults to the kernel.
 *
 * Shapes: x [N, H, W, C] -> [N, H', W', C], H' = floor((H + pads − kernel) / stride) + 1, or rounded up with `ceil`.
 *
 * @example maxPool2d(3, 2, { ceil: true })
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
    apply: (x) => maximumPool(x, kernel, { ...options, stride }),
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
    apply: (x) => averagePool(x, kernel, { ...options, stride }),
  };
}

/** All axes but the first as one. Shapes: x [N, ...] -> [N, product]. */
export function flatten(): Layer {
  return { params: {}, config: { kind: 'flatten' }, apply: (x) => reshape(x, [x.shape[0], -1]) };
}

/** Mean of each image's channels. Shapes: x [N, H, W, C] -> [N, C]. */
export function globalAvgPool2d(): Layer {
  return { params: {}, config: { kind: 'globalAvgPool2d' }, apply: (x) => averageAll(x) };
}

/** Largest value of each image's channels. Shapes: x [N, H, W, C] -> [N, C]. */
export function globalMaxPool2d(): Layer {
  return { params: {}, config: { kind: 'globalMaxPool2d' }, apply: (x) => maximumOfAll(x) };
}

/**
 * Images larger by whole factors, by repeated pixels or bilinear interpolation.
 * Shapes: x [N, H, W, C] -> [N, H · factor, W · factor, C].
 *
 * @example upsample2d(2, { mode: 'bilinear' })
 */
export function upsample2d(factor: Pair, options: ResizeOptions = {}): Layer {
  checkOptions('upsample2d', options, ['mode', 'alignCorners']);
  const factors = pair(factor);
  for (const n of factors) checkInteger('upsample2d', 'factor', n, 1);
  return {
    params: {},
    config: { kind: 'upsample2d', factor, ...options },
    apply: (x) => resize2d(x, [x.shape[1] * factors[0], x.shape[2] * factors[1]], options),
  };
}
