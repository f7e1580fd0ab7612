/** Checks shared by the data sets and the loader. */
import type { Dataset } from '../engine/dataset.ts';
import { typedArrayName } from '../engine/host.ts';

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
    if (type.dtype === 'f32' && typedArrayName(into) !== 'Float32Array') {
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
    if (indices[i] >= dataset.length) {
      throw new RangeError(
        `${dataset.name}: read: index out of range: ${indices[i]} at position ${i}, but there are ${dataset.length} examples (0 to ${dataset.length - 1})`,
      );
    }
  }
}
