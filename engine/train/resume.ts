/** Whether a run may go on from a checkpoint: the same model, data order, seed and optimizer, or a message that says what differs. */
import { simdName, type Report } from '../backends/report.ts';
import { CheckpointError } from '../errors.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import type { Checkpoint } from './checkpoint.ts';

/** What the resuming run has. */
export interface Resuming extends Pick<
  Checkpoint,
  'model' | 'optimizer' | 'data' | 'examples' | 'seed' | 'steps' | 'state'
> {
  readonly path: string;
}

export interface Notice {
  readonly code: string;
  readonly message: string;
}

/**
 * Throws CheckpointError, naming both sides, unless going on is the same training. What may change is told as notices:
 * the schedules, and the number of steps.
 */
export function checkResume(checkpoint: Checkpoint, run: Resuming): Notice[] {
  const refuse = (what: string, fix: string): never => {
    throw new CheckpointError(`${run.path}: cannot resume: ${what} (${fix})`);
  };
  if (checkpoint.seed !== run.seed) {
    refuse(`it was saved with seed ${checkpoint.seed}, the run has seed ${run.seed}`, 'use the same seed');
  }
  const data = firstDifference(checkpoint.data, run.data);
  if (data !== null) refuse(`the order of the data differs: ${data}`, 'use the same data set and loader');
  if (checkpoint.examples !== null && checkpoint.examples !== run.examples) {
    refuse(
      `the data differs: its examples have the digest ${checkpoint.examples} in the file, ${run.examples} now`,
      'use the data that the run began with; what a data set reads must be the same every time',
    );
  }
  const { hyper: savedHyper, ...saved } = checkpoint.optimizer;
  const { hyper, ...own } = run.optimizer;
  const optimizer = firstDifference(saved, own);
  if (optimizer !== null) refuse(`the optimizer differs: ${optimizer}`, 'use the same optimizer');
  checkState(checkpoint.state, run.state, refuse);
  const model = firstDifference(checkpoint.model, run.model);
  if (model !== null) refuse(`the model differs: ${model}`, 'resume with the model that it was saved from');
  if (checkpoint.step > run.steps) {
    refuse(
      `it has ${checkpoint.step} steps behind it, the run is to have ${run.steps}`,
      'ask for more steps, or use another folder',
    );
  }

  const notices: Notice[] = [];
  const schedule = firstDifference(savedHyper, hyper);
  if (schedule !== null) {
    notices.push({
      code: 'schedule-changed',
      message: `a hyper-parameter is not what it was in ${run.path}: ${schedule}`,
    });
  }
  if (checkpoint.steps !== run.steps) {
    notices.push({
      code: 'steps-changed',
      message: `the run has ${run.steps} steps, and had ${checkpoint.steps} in ${run.path}`,
    });
  }
  return notices;
}

/** A notice where the arithmetic is not the one that the checkpoint was computed with. */
export function checkArithmetic(saved: Report, now: Report): Notice[] {
  const name = (report: Report): string => {
    const simd = simdName(report);
    return simd === undefined ? report.backend : `${report.backend} (${simd})`;
  };
  // Of the kinds of SIMD, 'relaxed' and 'wide' give the same bits. A report of an earlier version does not
  // say whether it is fused, and counts as fused.
  const arithmetic = (report: Report): string =>
    name(report.backend === 'wasm' && report.simd === 'wide' ? { ...report, simd: 'relaxed' } : report);
  if (arithmetic(saved) === arithmetic(now)) return [];
  return [
    {
      code: 'backend-changed',
      message: `going on with ${name(now)} after ${name(saved)}: the last bits may differ from a run without a stop`,
    },
  ];
}

function checkState(saved: State, own: State, refuse: (what: string, fix: string) => never): void {
  const fix = 'resume with the model and optimizer that it was saved from';
  for (const [name, type] of Object.entries(own)) {
    const value = saved[name];
    if (value === undefined) refuse(`it lacks '${name}', which is ${formatType(type)} in the run`, fix);
    else if (value.dtype !== type.dtype || !sameShape(value.shape, type.shape)) {
      refuse(`'${name}' is ${formatType(value)} in it but ${formatType(type)} in the run`, fix);
    }
  }
  for (const [name, value] of Object.entries(saved)) {
    if (own[name] === undefined) {
      refuse(`it has '${name}', ${formatType(value)}, which the run does not have`, fix);
    }
  }
}

/** The first place where two values differ as JSON: 'layers.relu1.kind is "relu" in the file, "tanh" now'; or null. */
function firstDifference(saved: unknown, now: unknown): string | null {
  return differ(plain(saved), plain(now), '');
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function differ(saved: unknown, now: unknown, at: string): string | null {
  if (isObject(saved) && isObject(now)) {
    for (const key of new Set([...Object.keys(saved), ...Object.keys(now)])) {
      const found = differ(saved[key], now[key], at === '' ? key : `${at}.${key}`);
      if (found !== null) return found;
    }
    // The order of layers is the order of keys.
    const [a, b] = [Object.keys(saved).join(', '), Object.keys(now).join(', ')];
    return a === b ? null : `${at} has the order ${a} in the file, ${b} now`;
  }
  if (Object.is(saved, now)) return null;
  const show = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value));
  return `${at} is ${show(saved)} in the file, ${show(now)} now`;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
