/** Fusions of attention with the slices that its operands are, and of its gradient with the concatenation of the results. */
import type { AttentionAttrs } from '../../ops/primitives/attention.ts';
import type { Shape } from '../../types.ts';
import { defineFusion, type Fused } from '../fusion.ts';
import type { Rewrite, StepGraph } from '../step-graph.ts';
import { applies, type AnyStep, type StepOf } from '../step.ts';

export type SlicedAttentionAttrs = AttentionAttrs & {
  /** Where q, k and v begin in the rows of the inputs that hold them. */
  readonly begins: readonly number[];
  /** The channels of q, k and v. */
  readonly channels: readonly number[];
};

export type SlicedAttentionGradAttrs = SlicedAttentionAttrs & {
  /** Where the gradients of q, k and v begin in the rows of the only result. Empty if each is a result. */
  readonly into: readonly number[];
};

type Attention = StepOf<'attention', AttentionAttrs>;
type AttentionGrad = StepOf<'attentionGrad', AttentionAttrs>;

/** A value that holds an operand in its rows. */
interface Holder {
  readonly value: number;
  readonly begin: number;
  /** The slice that is read no more. Null if the operand is the value. */
  readonly slice: AnyStep | null;
}

/**
 * Attention that reads q, k and v in the rows of values that hold them, for instance the result of one dense layer.
 *
 * Inputs: three values [..., tokens, channels], often the same. Results: those of attention.
 */
export const slicedAttention = defineFusion<'slicedAttention', SlicedAttentionAttrs>({
  name: 'slicedAttention',
  match(step, graph) {
    if (!applies(step, 'attention')) return null;
    const gradient = gradientOf(step, graph);
    const operands = step.inputs.map((v) => holderOf(v, step, gradient, graph));
    if (operands.some((holder) => holder === undefined)) return null;
    const holders = operands as readonly Holder[];
    const slices = new Set(holders.flatMap(({ slice }) => (slice === null ? [] : [slice])));
    if (slices.size === 0) return null;
    const attrs: SlicedAttentionAttrs = {
      ...step.attrs,
      begins: holders.map(({ begin }) => begin),
      channels: step.inputs.map((v) => lastOf(graph.shapeOf(v))),
    };
    const inputs = holders.map(({ value }) => value);
    const along = gradient === null ? [] : [gradientRewrite(gradient, inputs, attrs, graph)];
    return { parts: [...slices, step], inputs, outputs: step.outputs, attrs, at: step, along };
  },
});

/**
 * The gradient of such an attention. If the gradients of q, k and v are concatenated, they are written into the rows of the
 * concatenation. `slicedAttention` finds both.
 *
 * Inputs: the gradient of y, the three values that hold q, k and v, and the results of the attention. Results: the gradients of q, k and
 * v, or their concatenation.
 */
export const slicedAttentionGrad = defineFusion<'slicedAttentionGrad', SlicedAttentionGradAttrs>({
  name: 'slicedAttentionGrad',
});

const lastOf = (shape: Shape): number => shape.at(-1)!;

/** The only gradient of an attention. */
function gradientOf(attention: Attention, graph: StepGraph): AttentionGrad | null {
  const [, , inverse] = attention.outputs;
  const readers = graph.readersOf(inverse);
  const [gradient] = readers;
  return readers.length === 1 && gradient !== null && applies(gradient, 'attentionGrad') ? gradient : null;
}

/** Where an operand lies. Undefined if other steps read the slice that it is. */
function holderOf(
  v: number,
  attention: Attention,
  gradient: AttentionGrad | null,
  graph: StepGraph,
): Holder | undefined {
  const slice = graph.producerOf(v);
  if (!applies(slice, 'slice')) return { value: v, begin: 0, slice: null };
  const [value] = slice.inputs;
  const { begin, step } = slice.attrs;
  const [shape, whole] = [graph.shapeOf(slice.outputs[0]), graph.shapeOf(value)];
  const last = shape.length - 1;
  const isPartOfRows =
    last >= 1 &&
    step.every((each) => each === 1) &&
    shape.every((size, axis) => axis === last || size === whole[axis]) &&
    lastOf(shape) === lastOf(graph.shapeOf(v));
  if (!isPartOfRows) return { value: v, begin: 0, slice: null };
  const isFree = graph.readersOf(v).every((reader) => reader === attention || reader === gradient);
  return isFree ? { value, begin: begin[last], slice } : undefined;
}

function gradientRewrite(
  gradient: AttentionGrad,
  holders: readonly number[],
  attrs: SlicedAttentionAttrs,
  graph: StepGraph,
): Rewrite {
  const [g, , , , ...results] = gradient.inputs;
  const inputs = [g, ...holders, ...results];
  const joined = joinedBy(gradient, attrs, graph);
  const op = slicedAttentionGrad.name;
  if (joined === null)
    return { op, attrs: { ...attrs, into: [] }, inputs, outputs: gradient.outputs, parts: [gradient] };
  const { concat, into } = joined;
  const fused: Fused<SlicedAttentionGradAttrs> = {
    attrs: { ...attrs, into },
    inputs,
    outputs: concat.outputs,
    parts: [gradient, concat],
    at: gradient,
  };
  return { op, ...fused };
}

/** The concatenation of just the gradients of q, k and v along their last axis, and where each begins in its rows. */
function joinedBy(
  gradient: AttentionGrad,
  { channels }: SlicedAttentionAttrs,
  graph: StepGraph,
): { readonly concat: AnyStep; readonly into: readonly number[] } | null {
  const concat = graph.readersOf(gradient.outputs[0])[0] ?? null;
  if (!applies(concat, 'concat') || concat.inputs.length !== 3) return null;
  const last = graph.shapeOf(concat.outputs[0]).length - 1;
  if (concat.attrs.axis !== last) return null;
  const into = gradient.outputs.map((v, i) => {
    const at = concat.inputs.findIndex((input) => graph.sameValue(input, v));
    const isOnlyThere = at >= 0 && graph.producerFor(concat, v) === gradient;
    if (!isOnlyThere || lastOf(graph.shapeOf(concat.inputs[at])) !== channels[i]) return -1;
    return concat.inputs.slice(0, at).reduce((sum, input) => sum + lastOf(graph.shapeOf(input)), 0);
  });
  return into.includes(-1) ? null : { concat, into };
}
