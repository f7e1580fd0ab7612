/** Data sets whose examples are in memory. */
import type { Dataset, InputData, TargetData } from '../engine/dataset.ts';
import { partOf, partsOf, type Named, type Types } from '../engine/named.ts';
import { bytesOf, sizeOf } from '../engine/shape.ts';
import { bufferFor, checkDataset, checkRead } from './checks.ts';

/** The maximum size of an array. */
const MOST_BYTES = 2 ** 32;

type Whole<X extends Types, Y extends Types> = NonNullable<Dataset<X, Y>['whole']>;

/** A data set of arrays, which are not copied. */
export function resident<X extends Types, Y extends Types>(
  description: Pick<Dataset<X, Y>, 'name' | 'length' | 'x' | 'y' | 'classes' | 'targets'>,
  whole: Whole<X, Y>,
): Dataset<X, Y> {
  const dataset: Dataset<X, Y> = {
    ...description,
    whole,
    read(indices, x, y) {
      checkRead(dataset, indices, x, y);
      copyItems(indices, dataset.x, whole.x, x);
      copyItems(indices, dataset.y, whole.y, y);
    },
  };
  return dataset;
}

/** Copies the items at `indices`. */
function copyItems(
  indices: Uint32Array,
  types: Types,
  from: Named<InputData | TargetData>,
  to: Named<InputData | TargetData>,
): void {
  for (const { name, value } of partsOf(types)) {
    const item = sizeOf(value.shape);
    const [source, target] = [from, to].map((all) => partOf<InputData | TargetData>(all, name));
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i];
      // A loop, because set() from a subarray of another type is far slower on short rows.
      for (let j = 0; j < item; j++) target[i * item + j] = source[index * item + j]!;
    }
  }
}

/**
 * The same data set with all examples in memory. Use it for a part of a data set that is read during training: to compute statistics of
 * its images, or to evaluate on it without reading them each time.
 *
 * Memory: the bytes of all inputs and targets.
 * Throws TypeError for anything but a data set, RangeError for one that is larger than an array can be, and the errors of reading.
 *
 * @example
 * const sample = await inMemory(take(train, 400));
 * channelStats(sample).mean.length // 3
 */
export async function inMemory<X extends Types, Y extends Types>(
  dataset: Dataset<X, Y>,
): Promise<Dataset<X, Y>> {
  checkDataset('inMemory', dataset);
  if (dataset.whole !== undefined) return dataset;
  const { length } = dataset;
  for (const { value } of [...partsOf(dataset.x), ...partsOf(dataset.y)]) {
    const size = bytesOf({ ...value, shape: [length, ...value.shape] });
    if (size <= MOST_BYTES) continue;
    throw new RangeError(
      `inMemory: ${dataset.name}: ${length} examples take ${(size / 2 ** 30).toFixed(2)} GiB, more than ${MOST_BYTES / 2 ** 30} ` +
        '(pass a part: inMemory(take(dataset, n)))',
    );
  }
  const whole = bufferFor(dataset, length, length) as Whole<X, Y>;
  await dataset.read(
    Uint32Array.from({ length }, (_, i) => i),
    whole.x,
    whole.y,
  );
  const { name, x, y, classes, targets } = dataset;
  return resident({ name, length, x, y, classes, ...(targets !== undefined && { targets }) }, whole);
}
