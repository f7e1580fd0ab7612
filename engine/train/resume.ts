/** Resuming from a checkpoint: checks that model, data order, seed and optimizer are the same, or reports what differs. */
import { simdName, type Report } from '../backends/report.ts';
import { CheckpointError } from '../errors.ts';
import { isRecord } from '../options.ts';
import { formatType, sameShape } from '../shape.ts';
import type { State } from '../types.ts';
import { withoutCallbacks } from './callbacks.ts';
import { decodeCheckpoint, type Checkpoint } from './checkpoint.ts';
import type { Notice } from './events.ts';
import type { RunFolder } from './run-folder.ts';
import type { Settings } from './settings.ts';
import { configOf, type StepConfig } from './step.ts';

/** The run that resumes. */
export interface ResumingRun extends Pick<
  Checkpoint,
  'model' | 'optimizer' | 'data' | 'examples' | 'seed' | 'steps' | 'state'
> {
  readonly path: string;
  readonly step: StepConfig | null;
  /** The configs of the callbacks with a state, by name. */
  readonly callbacks: Readonly<Record<string, unknown>>;
}

/**
 * Loads the newest undamaged checkpoint of the run's folder and checks that the run can resume from it. Null if there is none. `fresh` is
 * the initial state of the run. Throws CheckpointError if the folder has checkpoints and the run does not resume.
 */
export async function loadLatest(
  settings: Settings,
  folder: RunFolder | null,
  fresh: State,
  digest: () => Promise<string>,
): Promise<{ readonly checkpoint: Checkpoint | null; readonly notices: readonly Notice[] }> {
  const { checkpoint: options, resumeFrom } = settings;
  const nothing = { checkpoint: null, notices: [] };
  if (resumeFrom !== null) {
    const path = `${settings.where}: resumeFrom`;
    const checkpoint = await decodeCheckpoint(path, resumeFrom);
    return {
      checkpoint,
      notices: checkResume(checkpoint, resumingRun(settings, path, fresh, await digest())),
    };
  }
  if (options === null || folder === null) return nothing;
  if (!options.resume) {
    const path = (await folder.checkpoints()).at(-1);
    if (path === undefined) return nothing;
    throw new CheckpointError(
      `${options.dir}: the folder has checkpoints of an earlier run, the latest is ${path} ` +
        `(resume it with resume: true, or use another folder)`,
    );
  }
  const newest = await folder.newest();
  if (newest === null) return nothing;
  const { checkpoint, path } = newest;
  const notices = checkResume(checkpoint, resumingRun(settings, path, fresh, await digest()));
  return { checkpoint, notices: [...(await folder.settle(newest)), ...notices] };
}

/** The run of the options. `path` is where the checkpoint comes from. */
function resumingRun(settings: Settings, path: string, state: State, examples: string): ResumingRun {
  const { model, optimizer, data, seed, steps } = settings;
  return {
    path,
    state,
    model: model.config ?? { kind: 'custom' },
    optimizer: optimizer.config,
    data: data.config,
    examples,
    seed,
    steps,
    step: configOf(settings.step),
    callbacks: Object.fromEntries(settings.callbacks.map(({ name, config = {} }) => [name, config])),
  };
}

/**
 * Throws CheckpointError, with both values, unless the run continues the same training. The schedules and the number of steps may
 * change. Notices report such changes.
 */
function checkResume(checkpoint: Checkpoint, run: ResumingRun): Notice[] {
  const fail = (what: string, fix: string): never => {
    throw new CheckpointError(`${run.path}: cannot resume: ${what} (${fix})`);
  };
  if (checkpoint.seed !== run.seed) {
    fail(`it was saved with seed ${checkpoint.seed}, but the run has seed ${run.seed}`, 'use the same seed');
  }
  const data = firstDifference(checkpoint.data, run.data);
  if (data !== null) fail(`the order of the data differs: ${data}`, 'use the same data set and loader');
  if (checkpoint.examples !== null && checkpoint.examples !== run.examples) {
    fail(
      `the data differs: its examples have the digest ${checkpoint.examples} in the file, ${run.examples} now`,
      'use the data that the run started with; a data set must read the same examples every time',
    );
  }
  const { hyper: savedHyper, ...saved } = checkpoint.optimizer;
  const { hyper, ...current } = run.optimizer;
  const optimizer = firstDifference(saved, current);
  if (optimizer !== null) fail(`the optimizer differs: ${optimizer}`, 'use the same optimizer');
  const step = firstDifference({ step: checkpoint.trainer?.step ?? null }, { step: run.step });
  if (step !== null) fail(`the training step differs: ${step}`, 'use the same step');
  checkState(withoutCallbacks(checkpoint.state), run.state, fail);
  const model = firstDifference(checkpoint.model, run.model);
  if (model !== null) fail(`the model differs: ${model}`, 'resume with the model that it was saved from');
  if (checkpoint.step > run.steps) {
    fail(
      `it has done ${checkpoint.step} steps, but the run has only ${run.steps}`,
      'use more steps, or another folder',
    );
  }

  const notices: Notice[] = [];
  const schedule = firstDifference(savedHyper, hyper);
  if (schedule !== null) {
    notices.push({
      code: 'schedule-changed',
      message: `a hyperparameter differs from ${run.path}: ${schedule}`,
    });
  }
  for (const [name, saved] of Object.entries(checkpoint.trainer?.callbacks ?? {})) {
    const callback = firstDifference({ [name]: saved.config }, { [name]: run.callbacks[name] ?? null });
    if (callback === null) continue;
    const message = `a callback differs from ${run.path}: ${callback}`;
    notices.push({ code: 'callback-changed', message });
  }
  if (checkpoint.steps !== run.steps) {
    notices.push({
      code: 'steps-changed',
      message: `this run has ${run.steps} steps; the checkpoint ${run.path} was saved from a run of ${checkpoint.steps}`,
    });
  }
  return notices;
}

/** A notice if the arithmetic differs from that of the checkpoint. */
export function checkArithmetic(saved: Report, now: Report): Notice[] {
  const name = (report: Report): string => {
    const simd = simdName(report);
    return simd === undefined ? report.backend : `${report.backend} (${simd})`;
  };
  // 'relaxed' and 'wide' SIMD give the same bits. A report of an earlier version has no `fused` field and counts as fused.
  const arithmetic = (report: Report): string =>
    name(report.backend === 'wasm' && report.simd === 'wide' ? { ...report, simd: 'relaxed' } : report);
  if (arithmetic(saved) === arithmetic(now)) return [];
  return [
    {
      code: 'backend-changed',
      message: `resuming with ${name(now)} after ${name(saved)}: the last bits may differ from an uninterrupted run`,
    },
  ];
}

function checkState(saved: State, current: State, fail: (what: string, fix: string) => never): void {
  const fix = 'resume with the model and optimizer that it was saved from';
  for (const [name, type] of Object.entries(current)) {
    const value = saved[name];
    if (value === undefined) fail(`it lacks '${name}', which is ${formatType(type)} in the run`, fix);
    else if (value.dtype !== type.dtype || !sameShape(value.shape, type.shape)) {
      fail(`'${name}' is ${formatType(value)} in it but ${formatType(type)} in the run`, fix);
    }
  }
  for (const [name, value] of Object.entries(saved)) {
    if (current[name] === undefined) {
      fail(`it has '${name}', ${formatType(value)}, which the run does not have`, fix);
    }
  }
}

/** The first difference of two values as JSON, for instance 'layers.relu1.kind is "relu" in the file, "tanh" now'. Null without one. */
function firstDifference(saved: unknown, now: unknown): string | null {
  return differenceAt(plain(saved), plain(now), '');
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function differenceAt(saved: unknown, now: unknown, at: string): string | null {
  if (hasKeys(saved) && hasKeys(now)) {
    for (const key of new Set([...Object.keys(saved), ...Object.keys(now)])) {
      const difference = differenceAt(saved[key], now[key], at === '' ? key : `${at}.${key}`);
      if (difference !== null) return difference;
    }
    // The order of the keys is the order of the layers.
    const [a, b] = [Object.keys(saved).join(', '), Object.keys(now).join(', ')];
    return a === b ? null : `${at} has the order ${a} in the file, ${b} now`;
  }
  if (Object.is(saved, now)) return null;
  const format = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value));
  // Six digits, unless the numbers differ only in the others.
  const rounded = [saved, now].map((value) =>
    typeof value === 'number' ? String(Number(value.toPrecision(6))) : format(value),
  );
  const [a, b] = rounded[0] === rounded[1] ? [format(saved), format(now)] : rounded;
  return `${at} is ${a} in the file, ${b} now`;
}

/** Whether `value` is an object, or an array, whose elements are compared by their indices. */
const hasKeys = (value: unknown): value is Readonly<Record<string, unknown>> =>
  isRecord(value) || Array.isArray(value);
