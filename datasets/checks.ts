/** Checks shared by the data sets. */
import { isType, keyOf, mapParts, partOf, partsOf, type Named, type Types } from '../engine/named.ts';
import { typedArrayName } from '../engine/host.ts';
import { checkFunction, checkKind, isPromise, isRecord, show } from '../engine/options.ts';
import { sizeOf } from '../engine/shape.ts';
import type { TensorType } from '../engine/types.ts';
import type { AnyDataset, InputData, TargetData } from '../engine/dataset.ts';

/** Throws TypeError unless the options that listen and abort are a function and an AbortSignal. */
export function checkListening(
  where: string,
  { onProgress, signal }: { readonly onProgress?: unknown; readonly signal?: unknown },
): void {
  if (onProgress !== undefined) checkFunction(where, 'onProgress', onProgress);
  if (signal === undefined) return;
  checkKind(where, 'signal', signal, 'aborted', "an AbortSignal, for instance an AbortController's signal");
}

/** Throws TypeError unless `dataset` is a data set. A forgotten `await` gives a promise, or undefined when it is destructured. */
export function checkDataset(
  where: string,
  dataset: unknown,
  name = 'the argument',
  fix = 'await the call that loads it: const { train } = await cifar10()',
): asserts dataset is AnyDataset {
  const areTypes = (types: unknown): boolean =>
    isType(types) || (isRecord(types) && Object.keys(types).length > 0 && Object.values(types).every(isType));
  const got = (what: string): never => {
    throw new TypeError(`${where}: ${name} must be a data set, got ${what} (${fix})`);
  };
  if (!isRecord(dataset) || isPromise(dataset)) return got(show(dataset));
  if (typeof dataset['read'] !== 'function') return got('an object without read');
  const { length, x, y, whole } = dataset;
  if (!Number.isSafeInteger(length) || (length as number) < 0)
    return got(`an object whose length is ${show(length)}`);
  if (!areTypes(x) || !areTypes(y)) return got('an object whose x or y is not a type');
  if (whole !== undefined && !isRecord(whole)) return got(`an object whose whole is ${show(whole)}`);
}

/** Throws unless the indices are in range and all items fit into `x` and `y`. */
export function checkRead(
  dataset: AnyDataset,
  indices: Uint32Array,
  x: Named<InputData>,
  y: Named<TargetData>,
): void {
  const parts = ([which, arrays, types]: readonly [string, Named<InputData | TargetData>, Types]) =>
    partsOf(types).map(
      ({ name, value }) => [keyOf(which, name), partOf<InputData | TargetData>(arrays, name), value] as const,
    );
  for (const [name, array, type] of [...parts(['x', x, dataset.x]), ...parts(['y', y, dataset.y])]) {
    if (typedArrayName(array) === undefined) {
      throw new TypeError(
        `${dataset.name}: read: ${name} must be a typed array for the items, got ${show(array)} (pass arrays with the names of the types)`,
      );
    }
    if (type.dtype === 'f32' && typedArrayName(array) !== 'Float32Array') {
      throw new TypeError(
        `${dataset.name}: read: ${name} would lose fractions: the data is f32, got ${array.constructor.name} (pass a Float32Array)`,
      );
    }
    if (type.dtype === 'i32' && typedArrayName(array) === 'Uint8Array') {
      throw new TypeError(
        `${dataset.name}: read: ${name} would lose integers above 255: the data is i32, got Uint8Array (pass an Int32Array)`,
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

const KINDS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array } as const;

/** Arrays for `inputs` inputs and `targets` targets. */
export function bufferFor(
  { x, y }: AnyDataset,
  inputs: number,
  targets: number,
): { readonly x: Named<InputData>; readonly y: Named<TargetData> } {
  const size = (count: number, { shape }: TensorType): number => count * sizeOf(shape);
  return {
    x: mapParts(partsOf(x), (type) => new KINDS[type.dtype](size(inputs, type))),
    y: mapParts(partsOf(y), (type) =>
      type.dtype === 'f32' ? new Float32Array(size(targets, type)) : new Int32Array(size(targets, type)),
    ),
  };
}
