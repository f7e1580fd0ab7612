/**
 * From a plan to kernels on numbered buffers, the same for every mode. A step that can stop a run leaves a report of four
 * floats; the executor looks at the reports before any state is written.
 */
import { BackendError, NonFiniteError, type EngineError } from '../../errors.ts';
import type { Attrs } from '../../op.ts';
import type { Plan, Step } from '../../plan/plan.ts';
import { indexError, labelError } from '../failures.ts';
import { countOf, type BufferId, type KernelModule, type KernelSource } from './kernel.ts';
import { loweringOf } from './lower.ts';
import type { Check, LoweringContext, Operands } from './lowering.ts';
import type { Codec } from './memory.ts';
import { EXACT } from './text.ts';
import type { Binding } from './wgsl/template.ts';

/** The kernels of one plan step. */
export interface StepKernels {
  readonly step: Step;
  readonly kernels: readonly (KernelSource | KernelModule)[];
}

/** Where a check leaves its report: chunk (−1: no failure), offset within it, and two floats of the first failing element. */
export interface CheckReport {
  readonly buffer: BufferId;
  readonly step: Step;
  readonly failure: Check['failure'];
  /** Elements of a chunk. */
  readonly chunk: number;
}

/** All kernels of a plan. */
export interface Program {
  readonly plan: Plan;
  readonly steps: readonly StepKernels[];
  /** Words of every buffer; the plan's buffers come first. */
  readonly bufferWords: readonly number[];
  readonly checks: readonly CheckReport[];
}

/** Floats of a report. */
export const REPORT = 4;

/** Elements that one thread checks. */
const CHUNK = 256;

/** Hand-written WGSL for a step, or null where there is none. */
export type Override = (
  operands: Operands & { readonly attrs: Attrs },
  step: Step,
) => readonly KernelModule<Binding>[] | null;

/** What a program is compiled for. */
export interface Target {
  /** The most arguments that one kernel may have. */
  readonly maxArguments: number;
  /** Whether kernels may work on vectors. */
  readonly vectors: boolean;
  readonly override: Override;
  readonly codec: Codec;
}

export function buildProgram(plan: Plan, { override, maxArguments, vectors, codec }: Target): Program {
  const bufferWords = plan.buffers.map(() => 1);
  plan.values.forEach((type, v) => {
    const buffer = plan.bufferOf[v];
    if (buffer >= 0) bufferWords[buffer] = Math.max(bufferWords[buffer], codec.words(type));
  });
  const checks: CheckReport[] = [];
  // Every step reuses the scratch buffers of the steps before it.
  const scratchBuffers: BufferId[] = [];
  const steps = plan.steps.map((step): StepKernels => {
    let used = 0;
    const scratch = (elements: number): BufferId => {
      scratchBuffers[used] ??= bufferWords.push(1) - 1;
      const buffer = scratchBuffers[used++];
      bufferWords[buffer] = Math.max(bufferWords[buffer], elements);
      return buffer;
    };
    const operands = {
      inputs: step.inputs.map((v) => plan.bufferOf[v]),
      outputs: step.outputs.map((v) => plan.bufferOf[v]),
      types: step.inputs.map((v) => plan.values[v]),
      results: step.outputs.map((v) => plan.values[v]),
      attrs: step.attrs,
    };
    const modules = override(operands, step);
    if (modules !== null) return { step, kernels: bind(modules, operands, scratch) };
    const kernels: KernelSource[] = [];
    const bytes = new Set(
      [...step.inputs, ...step.outputs].flatMap((v) =>
        codec.isPacked(plan.values[v]) ? [plan.bufferOf[v]] : [],
      ),
    );
    const emit = (source: KernelSource): void => {
      if (countOf(source.output) > 0) kernels.push({ ...source, bytes });
    };
    loweringOf(step.op)({
      ...operands,
      maxArguments,
      vectors,
      emit,
      scratch,
      check(check) {
        if (check.count === 0) return;
        const buffer = bufferWords.push(REPORT) - 1;
        const chunk = emitCheck(check, buffer, emit, scratch);
        checks.push({ buffer, step, failure: check.failure, chunk });
      },
    });
    return { step, kernels };
  });
  return { plan, steps, bufferWords, checks };
}

/** Replaces the operands that templates bind by the buffers of the step. */
function bind(
  modules: readonly KernelModule<Binding>[],
  { inputs, outputs }: Operands,
  scratch: LoweringContext['scratch'],
): KernelModule[] {
  const scratchBuffers = new Map<number, BufferId>();
  const bufferOf = (binding: Binding): BufferId => {
    if ('input' in binding) return inputs[binding.input];
    if ('output' in binding) return outputs[binding.output];
    const buffer = scratchBuffers.get(binding.scratch) ?? scratch(binding.elements);
    scratchBuffers.set(binding.scratch, buffer);
    return buffer;
  };
  return modules.map((module) => ({
    ...module,
    bindings: module.bindings.map((binding) => ({ buffer: bufferOf(binding), part: 0 })),
  }));
}

/** The kernels of a check: the first offender of each chunk, where there are several, then the first of all. Returns the chunk's size. */
function emitCheck(
  { count, args, wrong, value }: Check,
  report: BufferId,
  emit: (source: KernelSource) => void,
  scratch: LoweringContext['scratch'],
): number {
  if (count > EXACT) {
    throw new BackendError(
      `gpu: a check of ${count} elements needs an index in a float, which counts to ${EXACT}`,
    );
  }
  const chunks = Math.ceil(count / CHUNK);
  const chunk = chunks === 1 ? count : CHUNK;
  const first = (offset: string): string => `let found = -1;
    for (let k = 0; k < ${chunk}; k++) {
      const i = ${offset}k;
      if (found < 0 && i < ${count} && (${wrong})) { found = k; }
    }`;
  const returnValue = (at: string): string => `const i = ${at};
    if (X < 3) { return ${value[0]}; }
    return ${value[1]};`;
  const returnUnlessFound = `if (found < 0) { return -1; }`;
  if (chunks === 1) {
    emit({
      body: `${first('')}
        ${returnUnlessFound}
        if (X < 1) { return 0; }
        if (X < 2) { return found; }
        ${returnValue('found')}`,
      args,
      output: [REPORT],
      to: report,
    });
    return chunk;
  }
  const partial = scratch(chunks);
  emit({ body: `${first(`X * ${chunk} + `)}\nreturn found;`, args, output: [chunks], to: partial });
  emit({
    body: `let found = -1;
      for (let c = 0; c < ${chunks}; c++) { if (found < 0 && partial[c] >= 0) { found = c; } }
      ${returnUnlessFound}
      if (X < 1) { return found; }
      if (X < 2) { return partial[found]; }
      ${returnValue(`found * ${chunk} + partial[found]`)}`,
    args: { ...args, partial: { buffer: partial, dims: [chunks] } },
    output: [REPORT],
    to: report,
  });
  return chunk;
}

/** The error in a report; null if the check passed. */
export function errorOf(
  { step, failure, chunk: size }: CheckReport,
  report: Float32Array,
): EngineError | null {
  const [chunk, offset, low, high] = report;
  if (chunk < 0) return null;
  const position = chunk * size + offset;
  const { op, path } = step;
  switch (failure.kind) {
    case 'label':
      return labelError(path, op, low + high * 65_536, position, failure.n);
    case 'index':
      return indexError(path, op, low + high * 65_536, position, failure.n);
    case 'not finite':
      return new NonFiniteError(failure.label, low, position);
    default:
      throw new BackendError(`gpu: unknown check ${JSON.stringify(failure satisfies never)}`);
  }
}
