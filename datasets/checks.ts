/** Checks shared by the data sets and the loader. */
import type { Dataset } from './dataset.ts';

/** The number of elements of one item. */
export const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

/** Throws unless `read` can be carried out: indices in range, room for all items. */
export function checkRead(
  dataset: Dataset,
  indices: Uint32Array,
  x: Uint8Array | Float32Array,
  y: Int32Array | Float32Array,
): void {
  for (const [name, into, type] of [
    ['x', x, dataset.x],
    ['y', y, dataset.y],
  ] as const) {
    if (type.dtype === 'f32' && !(into instanceof Float32Array)) {
      throw new TypeError(
        `${dataset.name}: read: ${name} would lose fractions: the data is f32, got ${into.constructor.name} (give it a Float32Array)`,
      );
    }
    const needed = indices.length * elements(type.shape);
    if (into.length < needed) {
      throw new RangeError(
        `${dataset.name}: read: ${name} is too short: ${into.length} elements for ${indices.length} items of [${type.shape.join(', ')}] (give it at least ${needed})`,
      );
    }
  }
  for (let i = 0; i < indices.length; i++) {
    if (indices[i]! >= dataset.length) {
      throw new RangeError(
        `${dataset.name}: read: index out of range: ${indices[i]} at position ${i}, but there are ${dataset.length} examples (0 to ${dataset.length - 1})`,
      );
    }
  }
}

/** Throws for options that nothing reads, most often a misspelling. */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw new TypeError(`${where}: unknown option: ${name}, expected one of ${known.join(', ')}`);
  }
}

/** Throws RangeError unless `value` is an integer in [min, max]. */
export function checkInteger(where: string, name: string, value: unknown, min: number, max: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const range =
    max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
  throw new RangeError(`${where}: ${name}: must be ${range}, got ${String(value)}`);
}
