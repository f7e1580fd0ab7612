/** Gradient clipping, around any optimizer. */
import { patternsOf, patternText, select, type Match } from '../engine/match.ts';
import type { Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptimizer, checkOptions } from '../engine/options.ts';
import { clamp, div, greater, maximum, minimum, mul, norm, stack, where } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import { wrapConfig } from './optimizer.ts';

export interface ClipOptions {
  /** Maximum L2 norm of all gradients together. Larger gradients are scaled down to it. Default: no limit. */
  readonly norm?: number;
  /** Maximum absolute value of an element, applied before `norm`. Default: no limit. */
  readonly value?: number;
}

/**
 * Clips gradients before the update. Weight decay is added after clipping, as in Caffe and PyTorch.
 *
 *   value: g ← min(max(g, −value), value)
 *   norm:  g ← g · min(1, norm / ‖g‖), over all parameters
 *
 * As in Caffe and TensorFlow, a norm up to the limit changes nothing, and a larger norm becomes the limit. PyTorch adds 1e-6 to
 * ‖g‖, so its result is smaller by a fraction of 1e-6 / ‖g‖. Gradients above 1.8e19, whose squares overflow, are scaled correctly.
 * PyTorch sets them to 0. NaN stays NaN.
 *
 * Throws RangeError unless at least one limit is given and all are above 0, and for an optimizer that already clips.
 * Source: Caffe, sgd_solver.cpp (`clip_gradients`); torch.nn.utils.clip_grad_norm_ and clip_grad_value_.
 *
 * @example clipGradients(sgd({ lr: 0.1, momentum: 0.9 }), { norm: 5 })
 */
export function clipGradients(optimizer: Optimizer, options: ClipOptions): Optimizer {
  checkOptimizer('clipGradients', optimizer);
  checkOptions('clipGradients', options, ['norm', 'value']);
  const { norm, value } = options;
  for (const [name, limit] of Object.entries(options)) {
    checkNumber('clipGradients', name, limit as number, 'a number > 0', (x) => x > 0);
  }
  if (norm === undefined && value === undefined) {
    throw new RangeError('clipGradients: there is no limit (pass norm, value, or both)');
  }
  const config = wrapConfig(
    'clipGradients',
    optimizer,
    { clipValue: value, clipNorm: norm },
    'pass norm and value in one call',
  );
  return {
    ...optimizer,
    config,
    update(at) {
      let { grads } = at;
      if (value !== undefined) grads = mapTree(grads, (g) => clamp(g, -value, value));
      if (norm !== undefined && Object.keys(grads).length > 0) {
        const scale = scaleTo(grads, norm);
        grads = mapTree(grads, (g) => mul(g, scale));
      }
      return optimizer.update({ ...at, grads });
    },
  };
}

export interface AdaptiveClipOptions {
  /** Maximum ratio of the norms of gradient and weights. Default 0.01. */
  readonly ratio?: number;
  /** Smallest norm of weights. Smaller norms, such as 0 at the start, count as this one. Default 0.001. */
  readonly epsilon?: number;
  /** Parameters that are not clipped, usually the last layer. Default: none. */
  readonly except?: Match;
}

/**
 * Adaptive gradient clipping: limits each gradient relative to the norm of its weights. Norms are those of the weights of each output,
 * [..., in] of [..., in, out]. A parameter of rank 0 or 1 has one norm.
 *
 *   g ← g · min(1, ratio · max(‖w‖, epsilon) / ‖g‖)
 *
 * Throws RangeError unless ratio > 0 and epsilon > 0, and for an optimizer that already clips adaptively. When the step is built,
 * throws RangeError if `except` matches no trained parameter.
 * Source: A. Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.
 *
 * @example clipAdaptively(sgd({ lr: 0.1, momentum: 0.9 }), { ratio: 0.02, except: 'dense' })
 */
export function clipAdaptively(optimizer: Optimizer, options: AdaptiveClipOptions = {}): Optimizer {
  const name = 'clipAdaptively';
  checkOptimizer(name, optimizer);
  checkOptions(name, options, ['ratio', 'epsilon', 'except']);
  const { ratio = 0.01, epsilon = 1e-3, except } = options;
  checkNumber(name, 'ratio', ratio, 'a number > 0', (x) => x > 0);
  checkNumber(name, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  const patterns = except === undefined ? [] : patternsOf(`${name}: except`, except);
  const own = { clipRatio: ratio, clipEpsilon: epsilon, clipExcept: patterns.map(patternText) };
  return {
    ...optimizer,
    config: wrapConfig(name, optimizer, own, 'use one ratio'),
    update(at) {
      const left = new Set(
        select(patterns, at.specs, (pattern) => {
          throw new RangeError(
            `${name}: except: no trained parameter matches ${patternText(pattern)} (the model has: ${Object.keys(at.specs).join(', ')})`,
          );
        }),
      );
      const grads = Object.fromEntries(
        Object.entries(at.grads).map(([key, g]) => {
          if (left.has(key)) return [key, g];
          const limit = mul(maximum(unitNorm(at.params[key]), epsilon), ratio);
          const size = unitNorm(g);
          return [key, where(greater(size, limit), mul(g, div(limit, maximum(size, 1e-30))), g)];
        }),
      );
      return optimizer.update({ ...at, grads });
    },
  };
}

/** The norm of the weights of each output. Of a vector, the norm of all. */
const unitNorm = (t: Tensor): Tensor =>
  t.rank < 2
    ? norm(t)
    : norm(
        t,
        Array.from({ length: t.rank - 1 }, (_, axis) => axis),
        { keepDims: true },
      );

const mapTree = (tree: Tree, f: (t: Tensor) => Tensor): Tree =>
  Object.fromEntries(Object.entries(tree).map(([name, t]) => [name, f(t)]));

/** min(1, limit / norm). A norm of 0 gives 1. */
function scaleTo(grads: Tree, limit: number): Tensor {
  const norms = Object.values(grads).map((g) => norm(g));
  return minimum(1, div(limit, norm(stack(norms))));
}
