/** Fusions of convolutions with the bias and the activation after them. */
import type { ConvAttrs } from '../../ops/primitives/conv.ts';
import { sameShape } from '../../shape.ts';
import { defineFusion, type Fusion } from '../fusion.ts';
import { applies } from '../step.ts';

/**
 * A convolution, a bias for each filter and, with `relu`, the relu of the sum.
 *
 * Inputs: x, w, bias [O]. Result: y.
 */
export const conv2dBias: Fusion<'conv2dBias', ConvAttrs & { readonly relu: boolean }> = defineFusion({
  name: 'conv2dBias',
  match(step, graph) {
    if (applies(step, 'relu')) {
      const conv = graph.producerFor(step, step.inputs[0]);
      if (!conv2dBias.is(conv)) return null;
      const attrs = { ...conv.attrs, relu: true };
      return { parts: [conv, step], inputs: conv.inputs, outputs: step.outputs, attrs };
    }
    if (!applies(step, 'add')) return null;
    const [a, b] = step.inputs;
    const [y] = step.outputs;
    const filters = graph.shapeOf(y).slice(-1);
    for (const [value, bias] of [
      [a, b],
      [b, a],
    ]) {
      const conv = graph.producerFor(step, value);
      if (!applies(conv, 'conv2d')) continue;
      if (!sameShape(graph.shapeOf(bias), filters) || !graph.sameShape(value, y)) continue;
      const [x, w] = conv.inputs;
      const attrs = { ...conv.attrs, relu: false };
      return { parts: [conv, step], inputs: [x, w, bias], outputs: [y], attrs };
    }
    return null;
  },
});

/**
 * The gradients of a convolution's filters and of its bias.
 *
 * Inputs: x, g. Results: the gradient of the filters, and the sum of g over all but its last axis [1, O].
 */
export const conv2dGradWeightBias = defineFusion<'conv2dGradWeightBias', ConvAttrs>({
  name: 'conv2dGradWeightBias',
  match(step, graph) {
    if (!applies(step, 'sum', 'conv2dGradWeight')) return null;
    const g = applies(step, 'sum') ? step.inputs[0] : step.inputs[1];
    for (const other of graph.readersOf(g)) {
      if (other === null || !graph.isBefore(other, step)) continue;
      const pair = [step, other];
      const sum = pair.find((part) => applies(part, 'sum'));
      const gradient = pair.find((part) => applies(part, 'conv2dGradWeight'));
      if (sum === undefined || gradient === undefined || !graph.sameValue(gradient.inputs[1], g)) continue;
      const [outer, , inner] = graph.shapeOf(sum.inputs[0]);
      const filters = graph.shapeOf(gradient.inputs[1])[3];
      if (outer !== 1 || inner !== filters || !graph.isReadOnlyAfter(step, other.outputs[0])) continue;
      const outputs = [gradient.outputs[0], sum.outputs[0]];
      return { parts: [other, step], inputs: gradient.inputs, outputs, attrs: gradient.attrs };
    }
    return null;
  },
});
