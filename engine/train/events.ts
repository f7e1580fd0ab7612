/** The events of a training run, in the order in which they can appear: start, (step | eval | checkpoint | notice)*, end. */
import type { Report } from '../backends/report.ts';

export interface StartEvent {
  readonly type: 'start';
  /** Updates already done: 0, or where the run resumed. */
  readonly step: number;
  /** Updates the run will have done at its end. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly report: Report;
}

export interface StepEvent {
  readonly type: 'step';
  /** Index of the update, from 0. After it, `step + 1` updates are done. */
  readonly step: number;
  readonly steps: number;
  /** The hyper-parameters of this update, for instance `{ lr: 0.001, momentum: 0.9 }`. */
  readonly hyper: Readonly<Record<string, number>>;
  /** Mean loss over the batch, before the update. */
  readonly loss: number;
  /** Means over the batch, for instance `{ accuracy: 0.42 }`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Wall time of this step in milliseconds: the mean of those that ran in one call. */
  readonly ms: number;
}

export interface EvalEvent {
  readonly type: 'eval';
  /** Updates done when the model was evaluated. */
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  /** Wall time in milliseconds; 0 for one that a checkpoint has brought: equal runs leave equal files. */
  readonly ms: number;
}

export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Updates done. */
  readonly step: number;
  readonly path: string;
}

/** A fact worth knowing that is not wrong use. */
export interface NoticeEvent {
  readonly type: 'notice';
  readonly step: number;
  readonly code: string;
  readonly message: string;
}

export interface EndEvent {
  readonly type: 'end';
  /** 'done': all steps ran; 'break': the loop was left; 'abort': the AbortSignal fired; 'error': something threw. */
  readonly reason: 'done' | 'break' | 'abort' | 'error';
  /** Updates done. */
  readonly step: number;
  readonly steps: number;
  /** The last evaluation, and the one with the best accuracy (lowest loss where there is no accuracy). */
  readonly last: EvalEvent | null;
  readonly best: EvalEvent | null;
  /** Wall time of this process's part of the run. */
  readonly ms: number;
  readonly error?: unknown;
}

export type TrainEvent = StartEvent | StepEvent | EvalEvent | CheckpointEvent | NoticeEvent | EndEvent;

/** Gets every event, awaited, before the loop does; always ends with one `end`. One that throws ends the run. */
export type Listener = (event: TrainEvent) => void | Promise<void>;
