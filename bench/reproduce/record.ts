/** The record of a finished run: one small JSON file, from which the report is generated. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunSummary } from '../../engine/index.ts';
import { environment, type Environment } from '../environment.ts';
import type { Arm, ExperimentName } from './arm.ts';
import { readRecord, SUMMARY } from './results.ts';

export interface Evaluation {
  readonly step: number;
  readonly accuracy: number;
  readonly loss: number;
}

/** Means over the steps since the previous point, and the rate of the step. */
export interface TrainingPoint {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
  readonly accuracy: number;
}

export interface RunRecord {
  readonly experiment: ExperimentName;
  readonly arm: string;
  readonly seed: number;
  readonly steps: number;
  /** Test accuracy after the last step. */
  readonly accuracy: number;
  readonly best: { readonly step: number; readonly accuracy: number };
  /** Time of all steps and of all evaluations, in milliseconds. */
  readonly stepMs: number;
  readonly evalMs: number;
  readonly config: RunSummary['config'];
  readonly report: RunSummary['report'];
  readonly machine: Omit<Environment['machine'], 'loadAverage'>;
  readonly versions: RunSummary['versions'];
  readonly evaluations: readonly Evaluation[];
  readonly training: readonly TrainingPoint[];
}

/** All finished runs of one arm, by seed. */
export interface ArmResult {
  readonly arm: Arm;
  readonly runs: readonly RunRecord[];
}

/** The number of points of the training curve. */
const POINTS = 200;

interface LoggedStep {
  readonly type: 'step';
  readonly step: number;
  readonly over: number;
  readonly hyper: Readonly<Record<string, number>>;
  readonly loss: number;
  readonly metrics: { readonly accuracy: number };
}
interface LoggedEval {
  readonly type: 'eval';
  readonly step: number;
  readonly loss: number;
  readonly metrics: { readonly accuracy: number };
}
type Logged = LoggedStep | LoggedEval | { readonly type: 'other' };

const round = (x: number, digits: number): number => Number(x.toPrecision(digits));

/** The event of a line. None for a line that a full disk tore: the log repeats its event. */
function parseEvent(line: string): Logged[] {
  try {
    return [JSON.parse(line) as Logged];
  } catch {
    return [];
  }
}

/**
 * Reads the record of a run from the files of its `report` listener.
 * Throws if the run is not finished.
 */
export function recordOf(dir: string, arm: Arm, seed: number): RunRecord {
  const summary = readRecord<RunSummary>(join(dir, 'summary.json'), SUMMARY);
  if (summary.state !== 'done' || summary.last?.step !== arm.steps) {
    throw new Error(`${dir}: the run is at step ${summary.step} of ${arm.steps} (${summary.state})`);
  }
  const events = readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .flatMap(parseEvent);
  const evaluations = new Map<number, Evaluation>();
  const training: TrainingPoint[] = [];
  const every = arm.steps / POINTS;
  let pending: LoggedStep[] = [];
  for (const event of events) {
    if (event.type === 'eval') {
      const { step, loss, metrics } = event;
      evaluations.set(step, { step, accuracy: metrics.accuracy, loss: round(loss, 6) });
    }
    if (event.type !== 'step') continue;
    pending.push(event);
    if (event.step + 1 < every * (training.length + 1)) continue;
    const over = pending.reduce((sum, one) => sum + one.over, 0);
    const mean = (of: (one: LoggedStep) => number): number =>
      round(pending.reduce((sum, one) => sum + of(one) * one.over, 0) / over, 4);
    training.push({
      step: event.step,
      lr: round(event.hyper['lr'] ?? NaN, 4),
      loss: mean((one) => one.loss),
      accuracy: mean((one) => one.metrics.accuracy),
    });
    pending = [];
  }
  const { loadAverage: _, ...machine } = environment().machine;
  return {
    experiment: arm.experiment,
    arm: arm.name,
    seed,
    steps: arm.steps,
    accuracy: summary.last.metrics['accuracy'],
    best: { step: summary.best!.step, accuracy: summary.best!.metrics['accuracy'] },
    stepMs: Math.round(summary.stepMs),
    evalMs: Math.round(summary.evalMs),
    config: summary.config,
    report: summary.report,
    machine,
    versions: summary.versions,
    evaluations: [...evaluations.values()],
    training,
  };
}
