/** Class labels of accumulators. */
import { DataError } from '../errors.ts';

/** Throws DataError unless the label is a class. `fix` is added to the fix. */
export function checkLabel(kind: string, label: number, classes: number, fix = ''): void {
  if (Number.isInteger(label) && label >= 0 && label < classes) return;
  throw new DataError(
    `${kind}: a label is ${label}, but the output has ${classes} classes: 0 … ${classes - 1} (count classes from 0${fix})`,
  );
}
