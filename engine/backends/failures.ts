/** The errors of kernels at run time, with the same messages on every backend. */
import { DataError } from '../errors.ts';

const at = (path: string, op: string): string => (path === '' ? op : `${path} / ${op}`);

export function labelError(path: string, op: string, label: number, row: number, classes: number): DataError {
  return new DataError(
    `${at(path, op)}: label ${label} at row ${row} is outside 0 … ${classes - 1} (the model has ${classes} classes)`,
  );
}

export function indexError(
  path: string,
  op: string,
  index: number,
  position: number,
  rows: number,
): DataError {
  return new DataError(`${at(path, op)}: index ${index} at position ${position} is outside 0 … ${rows - 1}`);
}
