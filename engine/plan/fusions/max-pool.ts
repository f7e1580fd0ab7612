/** Max pooling that keeps the argmax of each window as a byte instead of a position, and convolutions before such a pool. */
import type { ConvAttrs } from '../../ops/primitives/conv.ts';
import type { PoolAttrs } from '../../ops/primitives/pool.ts';
import { defineFusion, type Fusion } from '../fusion.ts';
import { applies, type AnyStep } from '../step.ts';
import { conv2dBias, conv2dGradWeightBias } from './conv.ts';
import { maxPool2dRelu, maxPool2dReluGrad } from './pool.ts';

/** In place of an argmax: relu set the maximum to 0, so no element gets its gradient. */
const NO_ARGMAX = 255;

type ArgmaxAttrs = PoolAttrs & { readonly relu: boolean };

/**
 * Max pooling whose positions nothing but its gradient reads, which then becomes maxPool2dArgmaxGrad.
 *
 * Inputs: x. Results: the maxima, and the argmax of each window (u8, the index of the maximum in its window, row by row). With
 * `relu`, the relu of the maxima, and 255 as the argmax where relu set the maximum to 0.
 */
export const maxPool2dArgmax: Fusion<'maxPool2dArgmax', ArgmaxAttrs> = defineFusion({
  name: 'maxPool2dArgmax',
  match(step, graph) {
    const relu = maxPool2dRelu.is(step);
    if (!relu && !applies(step, 'maxPool2d')) return null;
    const { attrs, inputs } = step;
    const [y, positions] = step.outputs;
    const [height, width] = attrs.kernel;
    const readers = graph.readersOf(positions);
    const isGradient = (reader: AnyStep | null): reader is AnyStep =>
      relu
        ? maxPool2dReluGrad.is(reader) && graph.sameValue(reader.inputs[1], y)
        : applies(reader, 'maxPool2dGrad');
    if (!readers.every(isGradient) || height * width > NO_ARGMAX) return null;
    const argmax = graph.addValue({ shape: graph.shapeOf(positions), dtype: 'u8' });
    const along = readers.map((gradient) => ({
      op: maxPool2dArgmaxGrad.name,
      parts: [gradient],
      inputs: [gradient.inputs[0], argmax],
      outputs: gradient.outputs,
      attrs: gradient.attrs,
    }));
    return { parts: [step], inputs, outputs: [y, argmax], attrs: { ...attrs, relu }, along };
  },
});

/**
 * The gradient of maxPool2dArgmax. It comes with its pool.
 *
 * Inputs: g, argmax. Result: the gradient of x, to which windows with argmax 255 add nothing.
 */
export const maxPool2dArgmaxGrad = defineFusion<'maxPool2dArgmaxGrad', PoolAttrs>({
  name: 'maxPool2dArgmaxGrad',
});

/**
 * A convolution with bias whose result only a max pool reads. `pool` holds the attributes of the pool, and `relu` is for
 * the relu of the maxima.
 *
 * Inputs: x, w, bias [O]. Results: those of maxPool2dArgmax.
 */
export const conv2dMaxPool = defineFusion<
  'conv2dMaxPool',
  ConvAttrs & { readonly relu: boolean; readonly pool: ArgmaxAttrs }
>({
  name: 'conv2dMaxPool',
  match(step, graph) {
    if (!maxPool2dArgmax.is(step)) return null;
    const [x] = step.inputs;
    const [, argmax] = step.outputs;
    const conv = graph.producerOf(x);
    if (!conv2dBias.is(conv) || !graph.sameShape(conv.outputs[0], x)) return null;
    // A relu before the pool is as good as one after it: where it stops the maximum, both give 0 and no gradient.
    const early = conv.attrs.relu;
    const others = graph.readersOf(x).filter((reader) => reader !== step);
    const along = others.flatMap((reluGrad) => {
      if (!early || !applies(reluGrad, 'reluGrad')) return [];
      const gradient = graph.producerFor(reluGrad, reluGrad.inputs[0]);
      if (!maxPool2dArgmaxGrad.is(gradient) || gradient.inputs[1] !== argmax) return [];
      const { op, inputs, attrs } = gradient;
      return [{ op, parts: [gradient, reluGrad], inputs, outputs: reluGrad.outputs, attrs }];
    });
    if (along.length < others.length || (early && along.length < graph.readersOf(argmax).length)) return null;
    const attrs = { ...conv.attrs, relu: early || step.attrs.relu, pool: step.attrs };
    return { parts: [conv, step], inputs: conv.inputs, outputs: step.outputs, attrs, along };
  },
});

/**
 * The gradient of a max pool that only the weight gradient of the convolution before it reads. `pool` holds the attributes
 * of the pool.
 *
 * Inputs: x, g, argmax. Results: those of conv2dGradWeight or conv2dGradWeightBias for the gradient that maxPool2dArgmaxGrad
 * gives for g.
 */
export const conv2dMaxPoolGradWeight = defineFusion<
  'conv2dMaxPoolGradWeight',
  ConvAttrs & { readonly pool: PoolAttrs }
>({
  name: 'conv2dMaxPoolGradWeight',
  match(step, graph) {
    if (!applies(step, 'conv2dGradWeight') && !conv2dGradWeightBias.is(step)) return null;
    const [x, gOfConv] = step.inputs;
    const pool = graph.producerFor(step, gOfConv);
    if (!maxPool2dArgmaxGrad.is(pool) || !graph.sameShape(pool.outputs[0], gOfConv)) return null;
    const [g, argmax] = pool.inputs;
    const attrs = { ...step.attrs, pool: pool.attrs };
    return { parts: [pool, step], inputs: [x, g, argmax], outputs: step.outputs, attrs };
  },
});
