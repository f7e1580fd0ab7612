/**
 * Chains: operations that act on each element alone, one after the other over the same elements, become one step that goes
 * through memory once. An optimizer's whole update of a parameter is one. The arithmetic is the same, so every bit is.
 */
import { ops, type OpName } from '../ops/index.ts';
import { repeats, sizeOf } from '../shape.ts';
import type { DType, Shape } from '../types.ts';
import type { Values } from './build.ts';
import type { Step } from './plan.ts';

/**
 * Attributes of an `elementwise` step. Operands are numbered: first the step's inputs, then the result of each instruction.
 * An input has as many elements as the results, or one, or those of some neighbouring axes, over and over (see `repeats`).
 */
export type ChainAttrs = {
  readonly program: readonly (readonly [op: OpName, dtype: DType, ...operands: number[]])[];
  /** For each input, how often each of its elements comes before the next one. */
  readonly times: readonly number[];
  /** The operands that are the step's results. */
  readonly results: readonly number[];
};

/** Instructions of one chain at the most. */
const LONGEST = 24;

interface Chain {
  /** Positions of its steps, rising. */
  readonly members: readonly number[];
}

/** Puts chains at the place of their last step. `kept` are the roots of values read from outside the steps. */
export function chain(
  steps: readonly Step[],
  commitStep: number,
  values: Values,
  kept: ReadonlySet<number>,
): { readonly steps: readonly Step[]; readonly commitStep: number } {
  const root = (v: number): number => values.rootOf[v];
  const maker = new Map<number, number>();
  const readers = new Map<number, number[]>();
  steps.forEach((step, i) => {
    for (const v of step.outputs) maker.set(root(v), i);
    for (const v of step.inputs) {
      const own = readers.get(root(v));
      if (own === undefined) readers.set(root(v), [i]);
      else own.push(i);
    }
  });

  const chainOf = new Map<number, Chain>();
  steps.forEach((step, i) => {
    if (!mayChain(step, values)) return;
    const size = sizeOf(values.types[step.outputs[0]].shape);
    let own: readonly number[] = [i];
    for (const v of step.inputs) {
      const made = maker.get(root(v));
      const before = made === undefined ? undefined : chainOf.get(made);
      if (before === undefined || own.includes(made!) || sizeOf(values.types[v].shape) !== size) continue;
      const together = [...before.members, ...own].sort((a, b) => a - b);
      // Members move down to step i: nobody else may have read their results by then.
      const free = before.members.every((j) =>
        steps[j].outputs.every((w) =>
          (readers.get(root(w)) ?? []).every((r) => r > i || together.includes(r)),
        ),
      );
      if (free && together.length <= LONGEST) own = together;
    }
    const made: Chain = { members: own };
    for (const j of own) chainOf.set(j, made);
  });

  const result: Step[] = [];
  let commit = 0;
  steps.forEach((step, i) => {
    const members = chainOf.get(i)?.members ?? [i];
    if (members.at(-1) === i) {
      const outside = (v: number): boolean =>
        kept.has(root(v)) || (readers.get(root(v)) ?? []).some((r) => !members.includes(r));
      result.push(
        members.length === 1
          ? step
          : link(
              members.map((j) => steps[j]),
              values,
              outside,
            ),
      );
    }
    if (i < commitStep) commit = result.length;
  });
  return { steps: result, commitStep: commit };
}

/** Elementwise, with operands that a chain can walk through: whole, single, or in order over and over. */
function mayChain(step: Step, values: Values): boolean {
  if (!Object.hasOwn(ops, step.op) || ops[step.op as OpName].elementwise !== true) return false;
  const { shape } = values.types[step.outputs[0]];
  return step.inputs.every((v) => timesOf(values.types[v].shape, shape) !== null);
}

/** How often each element of an operand comes before the next one; null where they come in another order. */
function timesOf(own: Shape, shape: Shape): number | null {
  const size = sizeOf(own);
  return size === sizeOf(shape) || size === 1 ? 1 : repeats(own, shape);
}

/** One step for several. */
function link(members: readonly Step[], values: Values, outside: (v: number) => boolean): Step {
  const made = new Set(members.flatMap((step) => step.outputs.map((v) => values.rootOf[v])));
  const inputs: number[] = [];
  const times: number[] = [];
  const numbers = new Map<string, number>();
  // One value may be walked through in two ways: as rows here, as columns there.
  const nameOf = (v: number, step: Step): string => {
    const root = values.rootOf[v];
    if (made.has(root)) return String(root);
    return `${root} times ${timesOf(values.types[v].shape, values.types[step.outputs[0]].shape)!}`;
  };
  for (const step of members) {
    for (const v of step.inputs) {
      const name = nameOf(v, step);
      if (made.has(values.rootOf[v]) || numbers.has(name)) continue;
      numbers.set(name, inputs.push(v) - 1);
      times.push(timesOf(values.types[v].shape, values.types[step.outputs[0]].shape)!);
    }
  }
  const program: [OpName, DType, ...number[]][] = [];
  const outputs: number[] = [];
  const results: number[] = [];
  for (const step of members) {
    const [v] = step.outputs;
    const operands = step.inputs.map((input) => numbers.get(nameOf(input, step))!);
    program.push([step.op as OpName, values.types[v].dtype, ...operands]);
    const number = inputs.length + program.length - 1;
    numbers.set(String(values.rootOf[v]), number);
    if (!outside(v)) continue;
    outputs.push(v);
    results.push(number);
  }
  return {
    op: 'elementwise',
    attrs: { program, times, results } satisfies ChainAttrs,
    inputs,
    outputs,
    flops: members.reduce((sum, step) => sum + step.flops, 0),
    path: members.find((step) => step.path !== '')?.path ?? '',
  };
}
