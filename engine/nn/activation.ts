/** Layers that act on each element alone. */
import { checkNumber } from '../options.ts';
import { relu as rectify, sigmoid as logistic, tanh as tangent } from '../ops/elementwise.ts';
import { dropout as drop } from '../ops/random.ts';
import type { Tensor } from '../tensor.ts';
import type { Layer } from './layer.ts';

/**
 * A layer from a function of a tensor. `name` stands for it in checkpoints.
 *
 * @example activation((x) => x.mul(x.sigmoid()), 'swish')
 */
export function activation(fn: (x: Tensor) => Tensor, name = 'activation'): Layer {
  return { params: {}, config: { kind: name }, apply: (x) => fn(x) };
}

/** max(x, 0) */
export const relu = (): Layer => activation(rectify, 'relu');
/** 1 / (1 + e^−x) */
export const sigmoid = (): Layer => activation(logistic, 'sigmoid');
/** The hyperbolic tangent. */
export const tanh = (): Layer => activation(tangent, 'tanh');

/**
 * In training, zeroes each element with probability `rate` and scales the others by 1 / (1 − rate); else the identity.
 * The mask is pure in (seed, path, step). Throws RangeError unless 0 <= rate < 1.
 */
export function dropout(rate: number): Layer {
  checkNumber('dropout', 'rate', rate, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  return {
    params: {},
    config: { kind: 'dropout', rate },
    apply: (x, scope) => (scope.training && rate > 0 ? drop(x, rate, scope.key('dropout'), scope.step()) : x),
  };
}
