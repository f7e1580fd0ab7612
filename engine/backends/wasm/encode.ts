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
import { largestShare, WasmNote } from './notes.ts';

/** What the encoding of a plan depends on beside the plan. */
export type Machine = Pick<LoweringContext, 'threads' | 'lanes' | 'convolution' | 'table'>;

export interface Encoded {
  readonly words: Int32Array;
  readonly stepOf: readonly Step[];
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly scratchBytes: number;
}

/** The program of a plan, with scratch memory beginning at an address. */
export function encode(plan: Plan, at: Float64Array, machine: Machine, scratchBase: number): Encoded {
  const words: number[] = [];
  const stepOf: Step[] = [];
  const notes = new Map<Step, StepNote>();
  let scratchBytes = 0;
  for (const step of plan.steps) {
    let used = 0;
    let method = '';
    let largest = 1;
    const work = workOf(step, plan);
    const scratch = (bytes: number): number => {
      const start = scratchBase + used;
      used += Math.ceil((bytes + 64) / 64) * 64;
      return start;
    };
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
      emit(name, call, tasks = Infinity) {
        const slices = slicesOf(work, tasks);
        if (work >= HEAVY && tasks < Infinity) largest = Math.max(largest, largestShare(tasks, slices));
        words.push(...encodeCall(name, call, slices));
        stepOf.push(step);
      },
      scratch,
      scratchPerThread: (bytes) => ({ base: scratch(machine.threads * bytes), bytes }),
    });
    scratchBytes = Math.max(scratchBytes, used);
    if (method !== '' || work >= HEAVY) notes.set(step, new WasmNote(method, largest));
  }
  words.push(K.K_END, 3, 1);
  return { words: Int32Array.from(words, (x) => x | 0), stepOf, notes, scratchBytes };
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
