/** Fusions of batch normalization with the residual sum and the activation after it. */
import { batchNormGradOp } from '../../ops/primitives/norm.ts';
import { defineFusion, type Fused, type Fusion } from '../fusion.ts';
import type { StepGraph } from '../step-graph.ts';
import { applies, type AnyStep } from '../step.ts';

type BatchNormActAttrs = {
  readonly epsilon: number;
  readonly residual: boolean;
  readonly relu: boolean;
};

/**
 * Batch normalization, then the sum with a residual and the relu of it, where the attributes say so.
 *
 * Inputs: those of batchNorm and, with `residual`, a value of the shape of x. Results: those of batchNorm, of which the
 * first is the sum or its relu.
 */
export const batchNormAct: Fusion<'batchNormAct', BatchNormActAttrs> = defineFusion({
  name: 'batchNormAct',
  match(step, graph) {
    if (applies(step, 'add')) return withResidual(step, graph);
    if (!applies(step, 'relu')) return null;
    const norm = normalizationFor(step, step.inputs[0], graph);
    if (norm === null || (batchNormAct.is(norm) && norm.attrs.relu)) return null;
    const attrs = { residual: false, ...norm.attrs, relu: true };
    const outputs = [step.outputs[0], ...norm.outputs.slice(1)];
    return { parts: [norm, step], inputs: norm.inputs, outputs, attrs, at: norm };
  },
});

/** The residual must be computed before the normalization. Of two normalized operands, the later takes the other. */
function withResidual(add: AnyStep, graph: StepGraph): Fused<BatchNormActAttrs> | null {
  const [a, b] = add.inputs;
  const [ofA, ofB] = [normalizationFor(add, a, graph), normalizationFor(add, b, graph)];
  const isA = ofA !== null && (ofB === null || graph.isBefore(ofB, ofA));
  const [norm, normalized, residual] = isA ? [ofA, a, b] : [ofB, b, a];
  if (!applies(norm, 'batchNorm') || !graph.sameShape(normalized, residual)) return null;
  const producer = graph.producerOf(residual);
  if (producer !== null && graph.isBefore(norm, producer)) return null;
  const inputs = [...norm.inputs, residual];
  const outputs = [add.outputs[0], ...norm.outputs.slice(1)];
  const attrs = { ...norm.attrs, residual: true, relu: false };
  return { parts: [norm, add], inputs, outputs, attrs, at: norm };
}

/** The normalization whose first result is `v`, if `reader` alone reads it. */
function normalizationFor(reader: AnyStep, v: number, graph: StepGraph) {
  const step = graph.producerFor(reader, v);
  if (!applies(step, 'batchNorm') && !batchNormAct.is(step)) return null;
  return graph.sameValue(step.outputs[0], v) ? step : null;
}

/**
 * The gradient of batch normalization with a relu after it. Where the relu passed follows from x, gamma and beta.
 *
 * Inputs: g, x, mean, variance and, where the forward pass had them, gamma and beta. Results: those of batchNormGrad for g
 * where the relu passed, and for 0 elsewhere.
 */
export const batchNormActGrad = defineFusion<'batchNormActGrad', { readonly epsilon: number }>({
  name: 'batchNormActGrad',
  mayReuse: batchNormGradOp.mayReuse ?? [],
  match(step, graph) {
    if (!applies(step, 'batchNormGrad')) return null;
    const [g, x, mean, variance, gamma] = step.inputs as readonly [number, number, number, number, number?];
    const reluGrad = graph.producerFor(step, g);
    if (!applies(reluGrad, 'reluGrad')) return null;
    const [gOfRelu, y] = reluGrad.inputs;
    const norm = graph.producerOf(y);
    if (!batchNormAct.is(norm) || !norm.attrs.relu || norm.attrs.residual) return null;
    const [normX, ...parameters] = norm.inputs;
    const [normY, normMean, normVariance] = norm.outputs;
    const isOfNorm =
      graph.sameValue(normX, x) &&
      graph.sameValue(normMean, mean) &&
      graph.sameValue(normVariance, variance) &&
      (gamma === undefined ? parameters.length === 0 : graph.sameValue(parameters[0], gamma)) &&
      graph.sameValue(normY, y) &&
      norm.attrs.epsilon === step.attrs.epsilon;
    if (!isOfNorm || !graph.sameShape(g, gOfRelu)) return null;
    const inputs = [gOfRelu, x, mean, variance, ...parameters];
    return { parts: [reluGrad, step], inputs, outputs: step.outputs, attrs: step.attrs };
  },
});
