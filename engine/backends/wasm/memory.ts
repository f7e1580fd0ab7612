/** The memory of a step before it is loaded. */
import { buildPlan, type Graph } from '../../plan/build.ts';
import { encode, type Machine } from './encode.ts';
import { fusions } from './lower/index.ts';
import { Layout } from './scratch.ts';

/** Bytes. */
export interface MemoryUse {
  /** Parameters, statistics and the arrays of the optimizer. */
  readonly state: number;
  /** Inputs, activations, gradients and other values at the peak of a step. */
  readonly values: number;
  /** Working memory of the kernels, for instance transformed filters. */
  readonly kernels: number;
  readonly total: number;
}

/** Numbers of a vector in the wide kernels. */
const LANES = 8;
/** Addresses do not matter, and 0 stands for no array. */
const ANYWHERE = 64;

/** What the backend allocates for a graph. */
export function memoryUse(graph: Graph, threads: number): MemoryUse {
  const plan = buildPlan(graph, fusions);
  const [values, kernels] = [new Layout(), new Layout()];
  let state = 0;
  for (const { kind, bytes } of plan.buffers) {
    if (kind === 'state') state += bytes;
    else values.place(bytes);
  }
  const machine: Machine = { threads, lanes: LANES, convolution: 'auto', table: () => ANYWHERE };
  const at = Float64Array.from(plan.bufferOf, (buffer) => (buffer < 0 ? 0 : ANYWHERE));
  const { scratchBytes, derivedBytes, once, words } = encode(plan, at, machine, {
    scratch: ANYWHERE,
    derived: ANYWHERE,
  });
  for (const bytes of [scratchBytes, derivedBytes, once.byteLength, words.byteLength]) kernels.place(bytes);
  return { state, values: values.bytes, kernels: kernels.bytes, total: state + values.bytes + kernels.bytes };
}
