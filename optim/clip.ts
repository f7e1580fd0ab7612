/** Gradient clipping, around any optimizer. */
import type { Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptions } from '../engine/options.ts';
import { clamp, div, minimum, mul, norm, stack } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import { wrapConfig } from './optimizer.ts';

export interface ClipOptions {
  /** The maximum L2 norm of all gradients together. Gradients with a larger norm are scaled down to it. */
  readonly norm?: number;
  /** The maximum absolute value of an element. Applied before `norm`. */
  readonly value?: number;
}

/**
 * The optimizer with clipped gradients. Weight decay is added after clipping, as in Caffe and PyTorch.
 *
 *   value: g ← min(max(g, −value), value)
 *   norm:  g ← g · min(1, norm / ‖g‖), over all parameters
 *
 * As in Caffe and TensorFlow, a norm up to the limit changes nothing, and a larger norm becomes the limit. PyTorch adds 1e-6 to
 * ‖g‖, so its result is smaller by a fraction of 1e-6 / ‖g‖, also just below the limit. Gradients beyond 1.8e19, whose squares
 * overflow, are scaled down like others. PyTorch makes them 0. NaN stays NaN.
 * Throws RangeError unless the limits are above 0, without any limit, and around an optimizer that already clips.
 * Source: Caffe, sgd_solver.cpp (`clip_gradients`); torch.nn.utils.clip_grad_norm_ and clip_grad_value_.
 *
 * @example clipGradients(sgd({ lr: 0.1, momentum: 0.9 }), { norm: 5 })
 */
export function clipGradients(optimizer: Optimizer, options: ClipOptions): Optimizer {
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

const mapTree = (tree: Tree, f: (t: Tensor) => Tensor): Tree =>
  Object.fromEntries(Object.entries(tree).map(([name, t]) => [name, f(t)]));

/** min(1, limit / norm). A norm of 0 gives 1. */
function scaleTo(grads: Tree, limit: number): Tensor {
  const norms = Object.values(grads).map((g) => norm(g));
  return minimum(1, div(limit, norm(stack(norms))));
}
