/** A step of any name: what the passes of the planner work on. */
import type { Attrs } from '../op.ts';
import { ops, type AttrsOf, type OpName } from '../ops/primitives/index.ts';

/** One kernel application. `inputs` and `outputs` are value numbers. */
export interface StepOf<N extends string, A extends Attrs> {
  readonly op: N;
  readonly attrs: A;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Arithmetic operations. */
  readonly flops: number;
  /** The layer that built it; '' outside layers. */
  readonly path: string;
}

export type AnyStep = StepOf<string, Attrs>;

export const isOperation = (name: string): name is OpName => Object.hasOwn(ops, name);

/** Whether a step applies one of these operations. */
export function applies<N extends OpName>(
  step: AnyStep | null,
  ...names: readonly N[]
): step is StepOf<N, AttrsOf<N>> {
  return step !== null && names.some((name) => name === step.op);
}

/** Cost and path of a step that stands for others. */
export const costOf = (parts: readonly AnyStep[]): Pick<AnyStep, 'flops' | 'path'> => ({
  flops: parts.reduce((sum, part) => sum + part.flops, 0),
  path: parts.find((part) => part.path !== '')?.path ?? '',
});
