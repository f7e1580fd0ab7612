/** Checks shared by the data sets. */
import { typedArrayName } from '../engine/host.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Dataset } from '../engine/dataset.ts';

/** Throws unless the indices are in range and all items fit into `x` and `y`. */
export function checkRead(
  dataset: Dataset,
  indices: Uint32Array,
  x: Uint8Array | Float32Array,
  y: Int32Array | Float32Array,
): void {
  for (const [name, array, type] of [
    ['x', x, dataset.x],
    ['y', y, dataset.y],
  ] as const) {
    if (type.dtype === 'f32' && typedArrayName(array) !== 'Float32Array') {
      throw new TypeError(
        `${dataset.name}: read: ${name} would lose fractions: the data is f32, got ${array.constructor.name} (pass a Float32Array)`,
      );
    }
    const needed = indices.length * sizeOf(type.shape);
    if (array.length < needed) {
      throw new RangeError(
        `${dataset.name}: read: ${name} is too short: ${array.length} elements for ${indices.length} items of [${type.shape.join(', ')}] (pass at least ${needed})`,
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
