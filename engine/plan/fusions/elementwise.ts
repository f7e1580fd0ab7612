/**
 * Chains: operations that act on each element alone, one after the other over the same elements, become one step that goes
 * through memory once. An optimizer's whole update of a parameter is one. The arithmetic is the same, so every bit is.
 */
import type { Attrs } from '../../op.ts';
import { ops, type OpName } from '../../ops/primitives/index.ts';
import { repeats, sizeOf } from '../../shape.ts';
import type { DType } from '../../types.ts';
import { defineFusion } from '../fusion.ts';
import { StepGraph } from '../step-graph.ts';
import { costOf, isOperation, type AnyStep, type StepOf } from '../step.ts';
import type { Values } from '../values.ts';

/** Operands are numbered: first the step's inputs, then the result of each instruction. */
export type ChainAttrs = {
  readonly program: readonly (readonly [op: OpName, dtype: DType, ...operands: number[]])[];
  /** For each input, how often each of its elements comes before the next one. */
  readonly times: readonly number[];
  /** The operands that are the step's results. */
  readonly results: readonly number[];
};

/**
 * A chain of elementwise operations. `chain` below finds it.
 *
 * Inputs: each has as many elements as the results, or one, or those of some neighboring axes, over and over (see `repeats`).
 * Results: those instructions of the program that other steps read.
 */
export const elementwise = defineFusion<'elementwise', ChainAttrs>({ name: 'elementwise', mayReuse: 'all' });

/** Instructions of one chain at most. */
const LONGEST = 24;

/** A step that can be part of a chain. */
type Link = StepOf<OpName, Attrs>;

/** Replaces chains by one step each, at the position of their last step. `kept` are the roots of values read from outside. */
export function chain(
  steps: readonly AnyStep[],
  commitStep: number,
  values: Values,
  kept: ReadonlySet<number>,
): { readonly steps: readonly AnyStep[]; readonly commitStep: number } {
  const graph = new StepGraph(steps, values, [...kept]);
  const sizeAt = (v: number): number => sizeOf(graph.shapeOf(v));
  /** The links of the chain that a step is part of, in order. */
  const chainOf = new Map<AnyStep, readonly Link[]>();
  for (const step of steps) {
    if (!isLink(step, graph)) continue;
    const size = sizeAt(step.outputs[0]);
    let links: readonly Link[] = [step];
    for (const v of step.inputs) {
      const producer = graph.producerOf(v);
      const before = producer === null ? undefined : chainOf.get(producer);
      if (before === undefined || isAmong(links, producer) || sizeAt(v) !== size) continue;
      const together = [...before, ...links].sort((a, b) => (graph.isBefore(a, b) ? -1 : 1));
      // The links move down to `step`: no other step may have read their results by then.
      const isFree = before.every((link) =>
        graph
          .readersOf(link.outputs[0])
          .every((reader) => isAmong(together, reader) || reader === null || graph.isBefore(step, reader)),
      );
      if (isFree && together.length <= LONGEST) links = together;
    }
    for (const link of links) chainOf.set(link, links);
  }

  const result: AnyStep[] = [];
  let commit = 0;
  steps.forEach((step, i) => {
    const links = chainOf.get(step) ?? [];
    if (links.length <= 1) result.push(step);
    else if (links.at(-1) === step) result.push(join(links, graph));
    if (i < commitStep) commit = result.length;
  });
  return { steps: result, commitStep: commit };
}

/** Elementwise, with operands that a chain can walk through: whole, single, or in order over and over. */
function isLink(step: AnyStep, graph: StepGraph): step is Link {
  if (!isOperation(step.op) || ops[step.op].elementwise === undefined) return false;
  return step.inputs.every((v) => timesOf(v, step, graph) !== null);
}

/** How often each element of an operand comes before the next one; null where they come in another order. */
function timesOf(v: number, step: AnyStep, graph: StepGraph): number | null {
  const [shape, result] = [graph.shapeOf(v), graph.shapeOf(step.outputs[0])];
  const size = sizeOf(shape);
  return size === sizeOf(result) || size === 1 ? 1 : repeats(shape, result);
}

/** One step for the links of a chain. */
function join(links: readonly Link[], graph: StepGraph): AnyStep {
  const isInner = (v: number): boolean => links.some((link) => link.outputs[0] === graph.rootOf(v));
  // A value may be walked through in two ways: as rows here, as columns there.
  const keyOf = (v: number, link: Link): string =>
    isInner(v) ? `${graph.rootOf(v)}` : `${graph.rootOf(v)} times ${timesOf(v, link, graph)}`;
  const operands = new Map<string, number>();
  const inputs: number[] = [];
  const times: number[] = [];
  for (const link of links) {
    for (const v of link.inputs) {
      const key = keyOf(v, link);
      if (isInner(v) || operands.has(key)) continue;
      operands.set(key, inputs.push(v) - 1);
      times.push(timesOf(v, link, graph)!);
    }
  }
  const program: ChainAttrs['program'][number][] = [];
  const outputs: number[] = [];
  const results: number[] = [];
  for (const link of links) {
    const [y] = link.outputs;
    program.push([link.op, graph.typeOf(y).dtype, ...link.inputs.map((v) => operands.get(keyOf(v, link))!)]);
    const operand = inputs.length + program.length - 1;
    operands.set(`${y}`, operand);
    if (graph.readersOf(y).every((reader) => isAmong(links, reader))) continue;
    outputs.push(y);
    results.push(operand);
  }
  const attrs: ChainAttrs = { program, times, results };
  return { op: elementwise.name, attrs, inputs, outputs, ...costOf(links) };
}

const isAmong = (links: readonly Link[], step: AnyStep | null): boolean =>
  links.some((link) => link === step);
