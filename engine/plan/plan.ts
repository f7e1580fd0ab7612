/** A plan: what a backend receives. Static steps over numbered values in numbered buffers; it prints itself. */
import type { Attrs } from '../op.ts';
import type { OpName } from '../ops/primitives/index.ts';
import { formatType } from '../shape.ts';
import type { HostTensor, TensorType } from '../types.ts';
import type { FusedName } from './fusions/index.ts';
import type { StepOf } from './step.ts';

/** An operation; `copy`, which the planner inserts where a new state cannot be written in place; or a fusion. */
export type Step = StepOf<KernelName | FusedName, Attrs>;

/** What a backend has kernels for: every operation but those that are free, and the planner's own `copy`. */
export type KernelName = Exclude<OpName, 'reshape' | 'stopGradient'> | 'copy';

export interface BufferSpec {
  readonly bytes: number;
  /** `state` lives in the store; the others belong to the executable. `prepared` holds results of the steps that run once. */
  readonly kind: 'feed' | 'state' | 'constant' | 'prepared' | 'scratch';
  /** The feed's or state's name. */
  readonly name: string;
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly values: readonly TensorType[];
  /** The buffer that holds each value. */
  readonly bufferOf: Int32Array;
  readonly buffers: readonly BufferSpec[];
  /** Names to value numbers. */
  readonly inputs: ReadonlyMap<string, number>;
  readonly state: ReadonlyMap<string, number>;
  readonly next: ReadonlyMap<string, number>;
  readonly outputs: ReadonlyMap<string, number>;
  readonly constants: ReadonlyMap<number, HostTensor>;
  /** Whether the state never changes while the plan is loaded. */
  readonly constantState: boolean;
  /**
   * The number of steps, the first ones, that depend only on constant state. A backend may run them once, before the first run.
   * 0 unless the state is constant.
   */
  readonly constantSteps: number;
  /** The first step that may write state: a run that fails before it has changed nothing. */
  readonly commitStep: number;
  toString(): string;
}

/** How a backend computes one step. */
export interface StepNote {
  /** Which of several ways; '' where there is one. */
  readonly method: string;
  /** The note in words, as the plan's text shows it. */
  toString(): string;
}

/** The plan as text: one line a step with types, buffers, cost and how a backend computes it, then the totals. */
export function formatPlan(plan: Plan, notes?: ReadonlyMap<Step, StepNote>): string {
  const value = (v: number): string => {
    const spec = plan.buffers[plan.bufferOf[v]];
    const place = spec.name === '' ? `b${plan.bufferOf[v]}` : `${spec.kind}:${spec.name}`;
    return `${formatType(plan.values[v])}@${place}`;
  };
  const noteOf = (step: Step): string => {
    const note = notes?.get(step);
    return note === undefined ? '' : `  [${String(note)}]`;
  };
  const lines = plan.steps.map((step, i) => {
    const attrs = Object.entries(step.attrs)
      .map(([k, v]) => `${k}=${JSON.stringify(v)}`)
      .join(' ');
    const flops = step.flops > 0 ? `  ${(step.flops / 1e6).toFixed(3)} MFLOP` : '';
    const path = step.path === '' ? '' : `  (${step.path})`;
    const once = i === plan.constantSteps && i > 0 ? '-- above: depends on the state alone --\n' : '';
    const commit = i === plan.commitStep ? '-- state is written from here on --\n' : '';
    return (
      `${once}${commit}${String(i).padStart(4)}  ${step.outputs.map(value).join(', ')} = ` +
      `${step.op}(${step.inputs.map(value).join(', ')})${attrs === '' ? '' : ` ${attrs}`}${path}${flops}${noteOf(step)}`
    );
  });
  const total = (kind: BufferSpec['kind']): string =>
    `${(plan.buffers.reduce((sum, b) => sum + (b.kind === kind ? b.bytes : 0), 0) / 2 ** 20).toFixed(2)} MiB ${kind}`;
  const flops = plan.steps.reduce((sum, step) => sum + step.flops, 0);
  const names = (map: ReadonlyMap<string, number>): string =>
    [...map].map(([name, v]) => `${name}: ${value(v)}`).join(', ');
  return [
    `inputs   ${names(plan.inputs)}`,
    ...lines,
    `outputs  ${names(plan.outputs)}`,
    `next     ${[...plan.next.keys()].join(', ')}`,
    `total    ${plan.steps.length} steps, ${(flops / 1e6).toFixed(3)} MFLOP, ` +
      `${total('scratch')} (${plan.buffers.filter((b) => b.kind === 'scratch').length} buffers), ${total('state')}, ${total('constant')}`,
  ].join('\n');
}
