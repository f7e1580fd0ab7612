/** Max pooling that keeps a byte for each maximum instead of its position, and convolutions with such a pool after them. */
import type { ConvAttrs } from '../../ops/primitives/conv.ts';
import type { PoolAttrs } from '../../ops/primitives/pool.ts';
import { defineFusion, type Fusion } from '../fusion.ts';
import { applies, type AnyStep } from '../step.ts';
import { conv2dBias, conv2dGradWeightBias } from './conv.ts';
import { maxPool2dRelu, maxPool2dReluGrad } from './pool.ts';

/** In the place of a tap: none, since relu stopped the maximum. */
const NO_TAP = 255;

type TapsAttrs = PoolAttrs & { readonly relu: boolean };

/**
 * Max pooling whose positions nothing but its gradient reads, which then becomes maxPool2dTapsGrad.
 *
 * Inputs: x. Results: the maxima, and the tap of its window that each comes from (u8, row by row). With `relu`, the relu of
 * the maxima, and 255 for a tap whose maximum the relu stopped.
 */
export const maxPool2dTaps: Fusion<'maxPool2dTaps', TapsAttrs> = defineFusion({
  name: 'maxPool2dTaps',
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
    if (!readers.every(isGradient) || height * width > NO_TAP) return null;
    const taps = graph.addValue({ shape: graph.shapeOf(positions), dtype: 'u8' });
    const along = readers.map((gradient) => ({
      op: maxPool2dTapsGrad.name,
      parts: [gradient],
      inputs: [gradient.inputs[0], taps],
      outputs: gradient.outputs,
      attrs: gradient.attrs,
    }));
    return { parts: [step], inputs, outputs: [y, taps], attrs: { ...attrs, relu }, along };
  },
});

/**
 * The gradient of maxPool2dTaps. It comes with its pool.
 *
 * Inputs: g, taps. Result: the gradient of x, which is 0 where the taps say that relu stopped the maximum.
 */
export const maxPool2dTapsGrad = defineFusion<'maxPool2dTapsGrad', PoolAttrs>({ name: 'maxPool2dTapsGrad' });

/**
 * A convolution with bias whose result only a max pool reads. `pool` holds the attributes of the pool, and `relu` is for
 * the relu of the maxima.
 *
 * Inputs: x, w, bias [O]. Results: those of maxPool2dTaps.
 */
export const conv2dMaxPool = defineFusion<
  'conv2dMaxPool',
  ConvAttrs & { readonly relu: boolean; readonly pool: TapsAttrs }
>({
  name: 'conv2dMaxPool',
  match(step, graph) {
    if (!maxPool2dTaps.is(step)) return null;
    const [x] = step.inputs;
    const [, taps] = step.outputs;
    const conv = graph.producerOf(x);
    if (!conv2dBias.is(conv) || !graph.sameShape(conv.outputs[0], x)) return null;
    // A relu before the pool is as good as one after it: where it stops the maximum, both give 0 and no gradient.
    const early = conv.attrs.relu;
    const others = graph.readersOf(x).filter((reader) => reader !== step);
    const along = others.flatMap((reluGrad) => {
      if (!early || !applies(reluGrad, 'reluGrad')) return [];
      const gradient = graph.producerFor(reluGrad, reluGrad.inputs[0]);
      if (!maxPool2dTapsGrad.is(gradient) || gradient.inputs[1] !== taps) return [];
      const { op, inputs, attrs } = gradient;
      return [{ op, parts: [gradient, reluGrad], inputs, outputs: reluGrad.outputs, attrs }];
    });
    if (along.length < others.length || (early && along.length < graph.readersOf(taps).length)) return null;
    const attrs = { ...conv.attrs, relu: early || step.attrs.relu, pool: step.attrs };
    return { parts: [conv, step], inputs: conv.inputs, outputs: step.outputs, attrs, along };
  },
});

/**
 * The gradient of a max pool that only the weight gradient of the convolution before it reads. `pool` holds the attributes
 * of the pool.
 *
 * Inputs: x, g, taps. Results: those of conv2dGradWeight or conv2dGradWeightBias for the gradient that maxPool2dTapsGrad
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
    if (!maxPool2dTapsGrad.is(pool) || !graph.sameShape(pool.outputs[0], gOfConv)) return null;
    const [g, taps] = pool.inputs;
    const attrs = { ...step.attrs, pool: pool.attrs };
    return { parts: [pool, step], inputs: [x, g, taps], outputs: step.outputs, attrs };
  },
});
