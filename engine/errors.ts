/**
 * The errors of the engine. Programs branch on the class. Messages follow one pattern:
 * `where: what is wrong: the two values that disagree (the fix)`.
 */
import { currentPath } from './path.ts';

/** The base class of all errors of the engine. */
export class EngineError extends Error {
  override readonly name: string = 'EngineError';
}

/** Shapes or dtypes that do not match. Thrown while the graph is built, at the line of the operation. */
export class ShapeError extends EngineError {
  override readonly name = 'ShapeError';
  /** The layer in which it happened, which starts the message. '' outside layers. */
  readonly path: string;

  constructor(message: string, options?: ErrorOptions) {
    const path = currentPath();
    // The first line of the stack copies the message, so the message must be complete here.
    super(path === '' ? message : `${path} / ${message}`, options);
    this.path = path;
  }
}

/** A graph that cannot be differentiated or planned, or feeds that do not match a plan. */
export class PlanError extends EngineError {
  override readonly name = 'PlanError';
}

/** A derivative that differs from finite differences (see `gradcheck`). */
export class GradientError extends EngineError {
  override readonly name = 'GradientError';
}

/** A backend that is missing, closed, or failed during a run. */
export class BackendError extends EngineError {
  override readonly name = 'BackendError';
}

/** Data that is missing, truncated, corrupt or out of range. */
export class DataError extends EngineError {
  override readonly name: string = 'DataError';
}

/** A value that `checkFinite` checks was NaN or infinite. The run wrote no state. */
export class NonFiniteError extends DataError {
  override readonly name = 'NonFiniteError';
  /** The label passed to `checkFinite`. */
  readonly label: string;
  /** The first bad value. */
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
  override readonly name: string = 'CheckpointError';
}

/** A safetensors file or a checkpoint whose contents changed after it was written, or that never was one. */
export class DamagedFileError extends CheckpointError {
  override readonly name = 'DamagedFileError';
}

/** The folder of a run in which another run is writing. */
export class RunInUseError extends CheckpointError {
  override readonly name = 'RunInUseError';
}
