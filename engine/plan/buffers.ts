/**
 * Which buffer holds which value: new states in place where the old one is read no more, everything else in scratch
 * buffers that are shared by values whose lifetimes do not overlap (best fit by size).
 */
import { bytesOf, sizeOf } from '../shape.ts';
import { declarationOf } from './fusions/index.ts';
import type { BufferSpec } from './plan.ts';
import type { AnyStep } from './step.ts';
import type { Values } from './values.ts';

interface Request {
  readonly values: Values;
  readonly steps: readonly AnyStep[];
  readonly outputs: ReadonlyMap<string, number>;
  readonly next: ReadonlyMap<string, number>;
  /** The number of steps that run once, at the beginning. */
  readonly constantSteps: number;
  readonly commitStep: number;
  readonly reuse: boolean;
}

interface Placement {
  readonly steps: readonly AnyStep[];
  readonly commitStep: number;
  readonly bufferOf: Int32Array;
  readonly buffers: readonly BufferSpec[];
  readonly outputs: ReadonlyMap<string, number>;
  readonly next: ReadonlyMap<string, number>;
}

export function assignBuffers(request: Request): Placement {
  const { values, next, reuse } = request;
  const { steps, outputs, late } = protectOutputs(request);
  const commitStep = request.commitStep + (steps.length - request.steps.length);
  const inPlace = reuse ? placeNext(values, steps, next, commitStep) : new Map<number, number>();
  const finalSteps = [...steps, ...copyTheRest(values, next, inPlace, late)];

  const buffers: BufferSpec[] = [];
  const bufferOfRoot = new Map<number, number>();
  const addBuffer = (v: number, kind: BufferSpec['kind'], name = ''): void => {
    bufferOfRoot.set(v, buffers.push({ bytes: bytesOf(values.types[v]), kind, name }) - 1);
  };
  for (const [name, v] of values.states) addBuffer(v, 'state', name);
  for (const [name, v] of values.feeds) addBuffer(v, 'feed', name);
  for (const v of values.constants.keys()) addBuffer(v, 'constant');
  for (const [root, state] of inPlace) bufferOfRoot.set(root, bufferOfRoot.get(state)!);

  placeScratch(values, finalSteps, request.constantSteps, outputs, bufferOfRoot, buffers, reuse);
  return {
    steps: finalSteps,
    commitStep,
    bufferOf: Int32Array.from(values.rootOf, (root) => bufferOfRoot.get(root) ?? -1),
    buffers,
    outputs,
    next,
  };
}

const copy = (from: number, to: number): AnyStep => ({
  op: 'copy',
  attrs: {},
  inputs: [from],
  outputs: [to],
  flops: 0,
  path: '',
});

/** An output that is an old state must be read before that state changes: it is copied before the commit. */
function protectOutputs({ values, steps, outputs, next, commitStep }: Request): {
  steps: readonly AnyStep[];
  outputs: ReadonlyMap<string, number>;
  late: Map<number, number>;
} {
  const changed = new Set([...next.keys()].map((name) => values.states.get(name)!));
  const copies: AnyStep[] = [];
  const copyOf = new Map<number, number>();
  const protect = (v: number): number => {
    if (!changed.has(values.rootOf[v])) return v;
    let copied = copyOf.get(v);
    if (copied === undefined) {
      copied = values.add(values.types[v]);
      copyOf.set(v, copied);
      copies.push(copy(v, copied));
    }
    return copied;
  };
  const kept = new Map([...outputs].map(([name, v]) => [name, protect(v)]));
  // A new state that is another changing state's old value is staged in the same way.
  const late = new Map<number, number>();
  for (const [name, v] of next) {
    if (changed.has(values.rootOf[v]) && values.rootOf[v] !== values.states.get(name))
      late.set(v, protect(v));
  }
  return {
    steps: [...steps.slice(0, commitStep), ...copies, ...steps.slice(commitStep)],
    outputs: kept,
    late,
  };
}

/** New states that may be computed straight into their state's buffer: root of the new value -> state value. */
function placeNext(
  values: Values,
  steps: readonly AnyStep[],
  next: ReadonlyMap<string, number>,
  commitStep: number,
): Map<number, number> {
  const producer = new Map<number, number>();
  const lastRead = new Map<number, number>();
  steps.forEach((step, i) => {
    for (const v of step.outputs) producer.set(v, i);
    for (const v of step.inputs) lastRead.set(values.rootOf[v], i);
  });
  const inPlace = new Map<number, number>();
  for (const [name, v] of next) {
    const root = values.rootOf[v];
    const state = values.states.get(name)!;
    const written = producer.get(root);
    if (written === undefined || written < commitStep || inPlace.has(root)) continue;
    const read = lastRead.get(state) ?? -1;
    if (read < written || (read === written && mayOverwrite(values, steps[written], state, root)))
      inPlace.set(root, state);
  }
  return inPlace;
}

/** Whether a result of a step may lie in the buffer of the input value `root`. */
function mayOverwrite(values: Values, step: AnyStep, root: number, result: number): boolean {
  const reusable = reusableInputs(step, result);
  const type = values.types[result];
  return step.inputs.every((v, i) => {
    if (values.rootOf[v] !== root) return true;
    const { shape, dtype } = values.types[v];
    return reusable.includes(i) && dtype === type.dtype && sizeOf(shape) === sizeOf(type.shape);
  });
}

/** The inputs of a step whose elements it reads before it writes those of `result`. */
function reusableInputs(step: AnyStep, result: number): readonly number[] {
  const { mayReuse = [] } = declarationOf(step.op);
  if (mayReuse === 'all') return [...step.inputs.keys()];
  return step.outputs[0] === result ? mayReuse : [];
}

function copyTheRest(
  values: Values,
  next: ReadonlyMap<string, number>,
  inPlace: ReadonlyMap<number, number>,
  staged: ReadonlyMap<number, number>,
): AnyStep[] {
  return [...next].flatMap(([name, v]) => {
    const state = values.states.get(name)!;
    if (values.rootOf[v] === state || inPlace.get(values.rootOf[v]) === state) return [];
    return [copy(staged.get(v) ?? v, state)];
  });
}

/** Gives every value without a buffer one, in order of execution. Results of the constant steps that later steps read keep theirs. */
function placeScratch(
  values: Values,
  steps: readonly AnyStep[],
  constantSteps: number,
  outputs: ReadonlyMap<string, number>,
  bufferOfRoot: Map<number, number>,
  buffers: BufferSpec[],
  reuse: boolean,
): void {
  const lastUse = new Map<number, number>();
  steps.forEach((step, i) => {
    for (const v of [...step.inputs, ...step.outputs]) lastUse.set(values.rootOf[v], i);
  });
  for (const v of outputs.values()) lastUse.set(values.rootOf[v], Infinity);

  const free: number[] = [];
  steps.forEach((step, i) => {
    step.outputs.forEach((v, index) => {
      const root = values.rootOf[v];
      if (bufferOfRoot.has(root)) return;
      const bytes = bytesOf(values.types[v]);
      if (i < constantSteps && lastUse.get(root)! >= constantSteps) {
        bufferOfRoot.set(root, buffers.push({ bytes, kind: 'prepared', name: '' }) - 1);
        return;
      }
      const overwritten =
        reuse && index === 0 ? dyingInput(values, step, i, root, lastUse, bufferOfRoot, buffers) : null;
      if (overwritten !== null) {
        bufferOfRoot.set(root, bufferOfRoot.get(overwritten)!);
        lastUse.set(overwritten, -1); // its buffer has a new owner and is not to be freed with it
        return;
      }
      const fitting = reuse ? bestFit(free, buffers, bytes) : -1;
      if (fitting >= 0) bufferOfRoot.set(root, free.splice(fitting, 1)[0]);
      else bufferOfRoot.set(root, buffers.push({ bytes, kind: 'scratch', name: '' }) - 1);
    });
    for (const root of new Set([...step.inputs, ...step.outputs].map((v) => values.rootOf[v]))) {
      const buffer = bufferOfRoot.get(root)!;
      if (lastUse.get(root) === i && buffers[buffer].kind === 'scratch') free.push(buffer);
    }
  });
}

function dyingInput(
  values: Values,
  step: AnyStep,
  i: number,
  result: number,
  lastUse: ReadonlyMap<number, number>,
  bufferOfRoot: ReadonlyMap<number, number>,
  buffers: readonly BufferSpec[],
): number | null {
  for (const v of step.inputs) {
    const root = values.rootOf[v];
    const buffer = bufferOfRoot.get(root)!;
    if (lastUse.get(root) !== i || buffers[buffer].kind !== 'scratch') continue;
    if (bytesOf(values.types[root]) !== bytesOf(values.types[result])) continue;
    if (mayOverwrite(values, step, root, result)) return root;
  }
  return null;
}

/**
 * Index in `free` of the smallest buffer that holds `bytes`, of several the one that was freed last, which is in cache; −1 for
 * none. Small values do not sit in large buffers, or large values would need further ones.
 */
function bestFit(free: readonly number[], buffers: readonly BufferSpec[], bytes: number): number {
  let best = -1;
  free.forEach((buffer, at) => {
    const size = buffers[buffer].bytes;
    if (size < bytes || size > 4 * bytes) return;
    if (best < 0 || size <= buffers[free[best]].bytes) best = at;
  });
  return best;
}
