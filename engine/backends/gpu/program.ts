/**
 * From a plan to kernel calls on numbered memory, the same for every mode. A step that can stop a run leaves a report of
 * four floats; the executor looks at the reports before any state is written.
 */
import { BackendError, NonFiniteError, type EngineError } from '../../errors.ts';
import type { Attrs } from '../../op.ts';
import type { Plan, Step } from '../../plan/plan.ts';
import { indexError, labelError } from '../failures.ts';
import { kernelOf } from '../kernel-table.ts';
import { countOf, EXACT, type Call, type Check, type Place, type Site } from './kernel.ts';
import { kernels } from './lower.ts';
import type { Codec } from './memory.ts';
import type { Binding, WgslDispatch } from './wgsl/dispatch.ts';

/** A dispatch of hand-written WGSL with its memory. */
export interface Dispatch extends WgslDispatch {
  readonly places: readonly Place[];
}

/** What computes one step of the plan. */
export interface Part {
  readonly step: Step;
  readonly work: readonly (Call | Dispatch)[];
}

/** Where a check leaves its report: chunk (−1: all is well), offset within it, and two floats of the offender. */
export interface PlacedCheck {
  readonly place: Place;
  readonly step: Step;
  readonly failure: Check['failure'];
  /** Elements of a chunk. */
  readonly chunk: number;
}

export interface Program {
  readonly plan: Plan;
  readonly parts: readonly Part[];
  /** Words of every place; the plan's buffers come first. */
  readonly places: readonly number[];
  readonly checks: readonly PlacedCheck[];
}

/** Floats of a report. */
export const REPORT = 4;

/** Elements that one thread looks at. */
const CHUNK = 256;

/** Hand-written WGSL for a step, where there is some: with operands and results as in the plan's step. */
export type Override = (
  site: Pick<Site, 'types' | 'results' | 'inputs' | 'outputs'> & { readonly attrs: Attrs },
  step: Step,
) => readonly WgslDispatch[] | null;

/** What a program is made for. */
export interface Target {
  /** Arguments of one kernel at the most. */
  readonly mostArguments: number;
  /** Whether kernels may work on vectors. */
  readonly vectors: boolean;
  readonly override: Override;
  readonly codec: Codec;
}

export const isDispatch = (work: Call | Dispatch): work is Dispatch => 'code' in work;

export function buildProgram(plan: Plan, { override, mostArguments, vectors, codec }: Target): Program {
  const places = plan.buffers.map(() => 1);
  plan.values.forEach((type, v) => {
    const buffer = plan.bufferOf[v];
    if (buffer >= 0) places[buffer] = Math.max(places[buffer], codec.words(type));
  });
  const checks: PlacedCheck[] = [];
  // Scratch memory of one step is that of the next.
  const shared: Place[] = [];
  const parts = plan.steps.map((step): Part => {
    let used = 0;
    const scratch = (elements: number): Place => {
      shared[used] ??= places.push(1) - 1;
      const place = shared[used++];
      places[place] = Math.max(places[place], elements);
      return place;
    };
    const operands = {
      inputs: step.inputs.map((v) => plan.bufferOf[v]),
      outputs: step.outputs.map((v) => plan.bufferOf[v]),
      types: step.inputs.map((v) => plan.values[v]),
      results: step.outputs.map((v) => plan.values[v]),
      attrs: step.attrs,
    };
    const written = override(operands, step);
    if (written !== null) return { step, work: place(written, operands, scratch) };
    const work: Call[] = [];
    const bytes = new Set(
      [...step.inputs, ...step.outputs].flatMap((v) =>
        codec.isPacked(plan.values[v]) ? [plan.bufferOf[v]] : [],
      ),
    );
    const emit = (call: Call): void => {
      if (countOf(call.output) > 0) work.push({ ...call, bytes });
    };
    const kernel = kernelOf<Site>('gpu', kernels, step.op);
    kernel({
      ...operands,
      mostArguments,
      vectors,
      emit,
      scratch,
      check(check) {
        if (check.count === 0) return;
        const report = places.push(REPORT) - 1;
        checks.push({
          place: report,
          step,
          failure: check.failure,
          chunk: emitCheck(check, report, emit, scratch),
        });
      },
    });
    return { step, work };
  });
  return { plan, parts, places, checks };
}

/** Gives the bindings of a step's dispatches their places. */
function place(
  dispatches: readonly WgslDispatch[],
  { inputs, outputs }: Pick<Site, 'inputs' | 'outputs'>,
  scratch: Site['scratch'],
): Dispatch[] {
  const own = new Map<number, Place>();
  const placeOf = (binding: Binding): Place => {
    if ('input' in binding) return inputs[binding.input];
    if ('output' in binding) return outputs[binding.output];
    const known = own.get(binding.scratch);
    if (known !== undefined) return known;
    const made = scratch(binding.elements);
    own.set(binding.scratch, made);
    return made;
  };
  return dispatches.map((dispatch) => ({ ...dispatch, places: dispatch.bindings.map(placeOf) }));
}

/** The kernels of a check: the first offender of each chunk, where there are several, then the first of all. Returns the chunk's size. */
function emitCheck(
  { count, args, wrong, value }: Check,
  report: Place,
  emit: (call: Call) => void,
  scratch: Site['scratch'],
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
  const told = (at: string): string => `const i = ${at};
    if (X < 3) { return ${value[0]}; }
    return ${value[1]};`;
  const unlessWell = `if (found < 0) { return -1; }`;
  if (chunks === 1) {
    emit({
      body: `${first('')}
        ${unlessWell}
        if (X < 1) { return 0; }
        if (X < 2) { return found; }
        ${told('found')}`,
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
      ${unlessWell}
      if (X < 1) { return found; }
      if (X < 2) { return partial[found]; }
      ${told(`found * ${chunk} + partial[found]`)}`,
    args: { ...args, partial: { place: partial, dims: [chunks] } },
    output: [REPORT],
    to: report,
  });
  return chunk;
}

/** The error that a report tells of; null where all is well. */
export function errorOf(
  { step, failure, chunk: size }: PlacedCheck,
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
