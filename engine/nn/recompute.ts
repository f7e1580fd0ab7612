/** Layers whose activations are computed again in the backward pass. */
import { tensorsOf, type Named } from '../named.ts';
import { recomputed } from '../region.ts';
import type { Tensor } from '../tensor.ts';
import { checkLayer, checkScope, type Layer } from './layer.ts';

/**
 * Makes training compute the activations of a layer again in the backward pass instead of keeping them (gradient checkpointing). Only the
 * input and the output are kept. It takes less memory and the time of another forward pass of the layer.
 *
 * Wrap the blocks of a deep model, one by one: while a block is differentiated, all of its activations are in memory. Losses, gradients
 * and statistics have the same bytes as without it, and dropout draws the same masks. Higher derivatives can differ in the last bits.
 * Parameters and config are those of the layer, so states and checkpoints fit with and without it. Inside a layer that is recomputed, it
 * has no further effect.
 *
 * It is `torch.utils.checkpoint` of PyTorch and `jax.checkpoint` (`remat`) of JAX.
 *
 * Shapes: those of the layer.
 * Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
 * Throws TypeError unless the argument is a layer.
 *
 * @example
 * const block = () => nn.recompute(nn.residual(nn.sequential({ conv: nn.conv2d(16, 16, 3, { padding: 'same' }), relu: nn.relu() })));
 * const model = nn.sequential({ block1: block(), block2: block(), pool: nn.globalAvgPool2d(), fc: nn.dense(16, 10) });
 */
export function recompute<X, Y extends Named<Tensor>>(layer: Layer<X, Y>): Layer<X, Y> {
  checkLayer('recompute', layer);
  return {
    ...layer,
    apply(x, scope) {
      checkScope('recompute', scope);
      return recomputed(
        () => layer.apply(x, scope),
        (output) => tensorsOf(output).map(({ value }) => value),
      );
    },
  };
}
