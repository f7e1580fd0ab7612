/**
 * From a plan to its program: kernel calls in 32-bit words. The work of a call is a number of *tasks*, which are not cut. A *slice*
 * is some neighboring tasks that one thread takes at a time. How many slices there are depends on the plan alone.
 */
import type { Plan, Step, StepNote } from '../../plan/plan.ts';
import { bytesOf } from '../../shape.ts';
import { kernelOf } from '../kernel-table.ts';
import { encodeCall } from './call.ts';
import { K } from './kernels.generated.ts';
import { kernels } from './lower/index.ts';
import type { LoweringContext } from './lower/lowering.ts';
import { Layout } from './scratch.ts';
import { largestShare, WasmNote } from './notes.ts';

/** What the encoding of a plan depends on beside the plan. */
export type Machine = Pick<LoweringContext, 'threads' | 'lanes' | 'convolution' | 'table'>;

/** Where memory begins that the lowering of steps places. */
export interface Bases {
  /** What lives during a step. */
  readonly scratch: number;
  /** What is derived from constant values, and lives as long as the program. */
  readonly derived: number;
}

export interface Encoded {
  /** The calls that depend on constant state alone, for one run before all others. Empty if there are none. */
  readonly once: Int32Array;
  /** The calls of every run. */
  readonly words: Int32Array;
  /** The step of each call in `words`. */
  readonly stepOf: readonly Step[];
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly scratchBytes: number;
  readonly derivedBytes: number;
}

/** The program of a plan. */
export function encode(plan: Plan, at: Float64Array, machine: Machine, bases: Bases): Encoded {
  const once: number[] = [];
  const words: number[] = [];
  const stepOf: Step[] = [];
  const derived = new Layout();
  const notes = new Map<Step, StepNote>();
  let scratchBytes = 0;
  for (const [position, step] of plan.steps.entries()) {
    let used = 0;
    let method = '';
    let largest = 1;
    const work = workOf(step, plan);
    const scratch = (bytes: number): number => {
      const start = bases.scratch + used;
      used += Math.ceil((bytes + 64) / 64) * 64;
      return start;
    };
    const emitOnce: LoweringContext['emit'] = (name, call, tasks = Infinity) => {
      once.push(...encodeCall(name, call, slicesOf(work, tasks)));
    };
    const emitAlways: LoweringContext['emit'] = (name, call, tasks = Infinity) => {
      const slices = slicesOf(work, tasks);
      if (work >= HEAVY && tasks < Infinity) largest = Math.max(largest, largestShare(tasks, slices));
      words.push(...encodeCall(name, call, slices));
      stepOf.push(step);
    };
    const emit = position < plan.constantSteps ? emitOnce : emitAlways;
    const lower = kernelOf<LoweringContext>('wasm', kernels, step.op);
    lower({
      inputs: step.inputs.map((v) => at[v]),
      outputs: step.outputs.map((v) => at[v]),
      types: step.inputs.map((v) => plan.values[v]),
      results: step.outputs.map((v) => plan.values[v]),
      attrs: step.attrs,
      ...machine,
      note(text) {
        method = text;
      },
      emit,
      scratch,
      scratchPerThread: (bytes) => ({ base: scratch(machine.threads * bytes), bytes }),
      derived(input, bytes) {
        if (position < plan.constantSteps || !isConstant(plan, step.inputs[input]))
          return { at: scratch(bytes), emit };
        return { at: bases.derived + derived.place(bytes), emit: emitOnce };
      },
    });
    scratchBytes = Math.max(scratchBytes, used);
    if (method !== '' || work >= HEAVY) notes.set(step, new WasmNote(method, largest));
  }
  return {
    once: once.length === 0 ? new Int32Array(0) : finished(once),
    words: finished(words),
    stepOf,
    notes,
    scratchBytes,
    derivedBytes: derived.bytes,
  };
}

const finished = (calls: readonly number[]): Int32Array =>
  Int32Array.from([...calls, K.K_END, 3, 1], (x) => x | 0);

/** Whether a value is the same in all runs: of a plan with constant state, the state and what depends on it alone. */
function isConstant({ constantState, buffers, bufferOf }: Plan, v: number): boolean {
  return constantState && ['state', 'constant', 'prepared'].includes(buffers[bufferOf[v]].kind);
}

/** The work of a step in units of some 20 µs of one thread: arithmetic or memory, whichever takes longer. */
function workOf({ flops, inputs, outputs }: Step, { values }: Plan): number {
  const bytes = [...inputs, ...outputs].reduce((sum, v) => sum + bytesOf(values[v]), 0);
  return Math.max(flops / 1e6, bytes / 2 ** 18);
}

/** Work from which on it matters how evenly threads share it. */
const HEAVY = 16;

/**
 * Into how many slices the threads cut a step: at least a unit of work each. Single tasks where these are few, or pairs; else 64,
 * which share evenly among the usual numbers of threads and leave little to wait for where one thread is slower.
 */
function slicesOf(work: number, tasks: number): number {
  if (work < HEAVY) return Math.max(1, Math.min(Math.ceil(work), tasks));
  return tasks <= 256 ? Math.max(1, Math.ceil(tasks / Math.ceil(tasks / 128))) : 64;
}
