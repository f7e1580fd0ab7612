/** Fusions of pooling with the relu after or before it. */
import type { PoolAttrs } from '../../ops/primitives/pool.ts';
import { defineFusion } from '../fusion.ts';
import { applies } from '../step.ts';

/**
 * Max pooling, then relu.
 *
 * Inputs: x. Results: the relu of the maxima, and the positions of the maxima.
 */
export const maxPool2dRelu = defineFusion<'maxPool2dRelu', PoolAttrs>({
  name: 'maxPool2dRelu',
  match(step, graph) {
    if (!applies(step, 'relu')) return null;
    const pool = graph.producerFor(step, step.inputs[0]);
    if (!applies(pool, 'maxPool2d')) return null;
    const [, positions] = pool.outputs;
    if (!graph.isReadOnlyAfter(step, positions)) return null;
    const outputs = [step.outputs[0], positions];
    return { parts: [pool, step], inputs: pool.inputs, outputs, attrs: pool.attrs };
  },
});

/**
 * The gradient of max pooling with a relu after it.
 *
 * Inputs: g, the relu of the maxima, the positions of the maxima. Result: the gradient of x.
 */
export const maxPool2dReluGrad = defineFusion<'maxPool2dReluGrad', PoolAttrs>({
  name: 'maxPool2dReluGrad',
  match(step, graph) {
    if (!applies(step, 'maxPool2dGrad')) return null;
    const [gOfPool, positions] = step.inputs;
    const reluGrad = graph.producerFor(step, gOfPool);
    if (!applies(reluGrad, 'reluGrad')) return null;
    const [g, y] = reluGrad.inputs;
    return { parts: [reluGrad, step], inputs: [g, y, positions], outputs: step.outputs, attrs: step.attrs };
  },
});

/**
 * The gradient of average pooling with a relu before it.
 *
 * Inputs: g, the result of relu. Result: the gradient of what relu was applied to.
 */
export const avgPool2dReluGrad = defineFusion<'avgPool2dReluGrad', PoolAttrs>({
  name: 'avgPool2dReluGrad',
  match(step, graph) {
    if (!applies(step, 'reluGrad')) return null;
    const [gOfRelu, y] = step.inputs;
    const poolGrad = graph.producerFor(step, gOfRelu);
    if (!applies(poolGrad, 'avgPool2dGrad')) return null;
    const [g] = poolGrad.inputs;
    return { parts: [poolGrad, step], inputs: [g, y], outputs: step.outputs, attrs: poolGrad.attrs };
  },
});
