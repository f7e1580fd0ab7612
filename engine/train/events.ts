/** The events of a training run. Their order is start, (step | eval | checkpoint | notice)*, end. */
import type { Report } from '../backends/report.ts';

export interface StartEvent {
  readonly type: 'start';
  /** Updates already done: 0, or the step at which the run resumes. */
  readonly step: number;
  /** Total number of updates of the run. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly report: Report;
}

export interface StepEvent {
  readonly type: 'step';
  /** The index of the update, from 0. After it, `step + 1` updates are done. */
  readonly step: number;
  readonly steps: number;
  /** The hyper-parameters of this update, for instance `{ lr: 0.001, momentum: 0.9 }`. */
  readonly hyper: Readonly<Record<string, number>>;
  /** Mean loss over the batch, before the update. */
  readonly loss: number;
  /** Means over the batch, for instance `{ accuracy: 0.42 }`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Wall time of the step in milliseconds. For a call of several steps, their mean. */
  readonly ms: number;
}

export interface EvalEvent {
  readonly type: 'eval';
  /** Updates done when the model was evaluated. */
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  /** Wall time in milliseconds. 0 for an evaluation from a checkpoint, so equal runs write equal files. */
  readonly ms: number;
}

export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Updates done. */
  readonly step: number;
  readonly path: string;
}

/** A fact about the run that is not an error. */
export interface NoticeEvent {
  readonly type: 'notice';
  readonly step: number;
  readonly code: string;
  readonly message: string;
}

export interface EndEvent {
  readonly type: 'end';
  /** 'done': all steps ran. 'break': the loop was left. 'abort': the AbortSignal aborted. 'error': an error was thrown. */
  readonly reason: 'done' | 'break' | 'abort' | 'error';
  /** Updates done. */
  readonly step: number;
  readonly steps: number;
  /** The last evaluation, and the one with the highest accuracy (lowest loss where there is no accuracy). */
  readonly last: EvalEvent | null;
  readonly best: EvalEvent | null;
  /** Wall time of the run in this process, in milliseconds. */
  readonly ms: number;
  readonly error?: unknown;
}

export type TrainEvent = StartEvent | StepEvent | EvalEvent | CheckpointEvent | NoticeEvent | EndEvent;

/** Receives every event before the loop does, and is awaited. The last event is always `end`. An error of a listener ends the run. */
export type Listener = (event: TrainEvent) => void | Promise<void>;
