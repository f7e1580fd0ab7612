/** The events of a training run. Their order is start, (step | eval | checkpoint | notice)*, end. */
import type { Report } from '../backends/report.ts';

/** The first event of a run. */
export interface StartEvent {
  readonly type: 'start';
  /** Updates already done: 0, or the step at which the run resumes. */
  readonly step: number;
  /** Total number of updates of the run. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly batchSize: number;
  readonly seed: number;
  /** The report of the backend. */
  readonly report: Report;
}

/** One update. */
export interface StepEvent {
  readonly type: 'step';
  /** The index of the update, from 0. After it, `step + 1` updates are done. */
  readonly step: number;
  readonly steps: number;
  /** The hyperparameters of this update, for instance `{ lr: 0.001, momentum: 0.9 }`. */
  readonly hyper: Readonly<Record<string, number>>;
  /** Mean loss over the batch, before the update. */
  readonly loss: number;
  /** Means over the batch, for instance `{ accuracy: 0.42 }`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Wall time of the step in milliseconds. For a call of several steps, their mean. */
  readonly ms: number;
}

/** An evaluation. Means are over all examples of the data set. */
export interface EvalEvent {
  readonly type: 'eval';
  /** Updates done when the model was evaluated. */
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  /** Wall time in milliseconds. 0 for an evaluation from a checkpoint, because equal runs write equal files. */
  readonly ms: number;
}

/** A checkpoint was saved. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Updates done. */
  readonly step: number;
  readonly path: string;
}

/** An unusual property of the run that is not an error. */
export interface Notice {
  readonly code: string;
  readonly message: string;
}

/** A notice as an event. */
export interface NoticeEvent extends Notice {
  readonly type: 'notice';
  readonly step: number;
}

/** The last event of a run. */
export interface EndEvent {
  readonly type: 'end';
  /**
   * 'done': all steps ran. 'stop': a callback or the caller stopped the run. 'break': the loop ended early. 'abort': the AbortSignal
   * aborted. 'error': an error was thrown.
   */
  readonly reason: 'done' | 'stop' | 'break' | 'abort' | 'error';
  /** Why the run was stopped, for the reason 'stop'. */
  readonly stopped?: string;
  /** Updates done. */
  readonly step: number;
  readonly steps: number;
  /** The last evaluation. Null without evaluations. */
  readonly last: EvalEvent | null;
  /**
   * The best evaluation: with the highest accuracy, or with the lowest loss if there is no accuracy, unless `monitor` of the checkpoints
   * names another metric. Null without evaluations.
   */
  readonly best: EvalEvent | null;
  /** Wall time of the run in this process, in milliseconds. */
  readonly ms: number;
  /** The error, for the reason 'error'. */
  readonly error?: unknown;
}

/** Any event of a run. */
export type TrainEvent = StartEvent | StepEvent | EvalEvent | CheckpointEvent | NoticeEvent | EndEvent;

/**
 * Receives every event before the loop does. Training waits for its promise. The last event is always `end`. An error of a listener
 * ends the run.
 */
export interface Listener {
  (event: TrainEvent): void | Promise<void>;
  /**
   * Called before a checkpoint is saved, for listeners that write files: what they wrote about the steps of the checkpoint must be on
   * the disk when the promise resolves. A run that resumes from it does not repeat these steps.
   */
  readonly flush?: () => Promise<void>;
  /** Returns what a listener has to say about its own files since the last call. The run sends it as `notice` events. */
  readonly takeNotices?: () => readonly Notice[];
}

/** Wall time is not part of a run: equal runs must write equal files. */
export const withoutTiming = (event: EvalEvent | null): EvalEvent | null => event && { ...event, ms: 0 };
