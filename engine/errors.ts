/**
 * The errors of the engine. Callers branch on the class; people read the message, which follows one pattern:
 * `where: what is wrong: the two things that disagree (how to fix it)`.
 */
import { currentPath } from './path.ts';

export class EngineError extends Error {
  override readonly name: string = 'EngineError';
}

/** Shapes or dtypes that do not fit together. Thrown while a graph is built, at the user's own line. */
export class ShapeError extends EngineError {
  override readonly name = 'ShapeError';
  /** The innermost layer that was being built, with which the message begins; '' outside layers. */
  readonly path: string;

  constructor(message: string, options?: ErrorOptions) {
    const path = currentPath();
    // The first line of the stack is a copy of the message, which therefore must be complete here.
    super(path === '' ? message : `${path} / ${message}`, options);
    this.path = path;
  }
}

/** A graph that cannot be differentiated or planned, or feeds that do not match a plan. */
export class PlanError extends EngineError {
  override readonly name = 'PlanError';
}

/** A derivative that differs from what differences of the value say. */
export class GradientError extends EngineError {
  override readonly name = 'GradientError';
}

/** A backend that is missing, was closed, or failed while running. */
export class BackendError extends EngineError {
  override readonly name = 'BackendError';
}

/** Data that is missing, truncated, corrupt or out of range. */
export class DataError extends EngineError {
  override readonly name: string = 'DataError';
}

/** A value that `checkFinite` watches was NaN or infinite. The run has written no state. */
export class NonFiniteError extends DataError {
  override readonly name = 'NonFiniteError';
  /** As given to `checkFinite`. */
  readonly label: string;
  readonly value: number;
  /** Its position in row-major order. */
  readonly element: number;

  constructor(label: string, value: number, element: number) {
    super(`${label} is not finite: ${value} at element ${element}`);
    this.label = label;
    this.value = value;
    this.element = element;
  }
}

/** A checkpoint that cannot be read, or that belongs to another model. */
export class CheckpointError extends EngineError {
  override readonly name = 'CheckpointError';
}
