/**
 * The examples of a data set in a compiled step: gathered from the memory of the backend by index, or fed. Both give the same values.
 */
import { createHash } from 'node:crypto';
import type { Batch, Dataset, Loader } from '../dataset.ts';
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import { checkLabels, checkReading } from './check-data.ts';
import { readExamples, showData, typedArrayName } from '../host.ts';
import type { Tree } from '../nn/optimizer.ts';
import { isPromise, show } from '../options.ts';
import { allocate } from '../ops/convert.ts';
import { gather } from '../ops/gather.ts';
import { bytesOf, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostData, HostTensor, State, TensorType } from '../types.ts';

export interface Examples {
  readonly dataset: Dataset;
  /** The inputs of a step with this batch size. */
  inputs(batchSize: number): InputTypes;
  /** The batch in the graph. */
  gather(inputs: Tree, state: Tree): { readonly x: Tensor; readonly y: Tensor };
  feeds(indices: Uint32Array): Feeds;
}

const batchOf = (n: number, { shape, dtype }: TensorType): TensorType => ({ shape: [n, ...shape], dtype });

const host = (type: TensorType): HostTensor => ({ ...type, data: allocate(type.dtype, sizeOf(type.shape)) });

function readBatch(dataset: Dataset, indices: Uint32Array, x: HostTensor, y: HostTensor): void {
  readExamples(dataset, indices, x.data as Uint8Array | Float32Array, y.data as Int32Array | Float32Array);
}

/** Throws DataError for a data set whose `read` does not write everything, or not the same in every call. */
export function checkReads(dataset: Dataset): void {
  checkReading(dataset, (fill) => {
    const [x, y] = [host(batchOf(1, dataset.x)), host(batchOf(1, dataset.y))];
    x.data.fill(fill);
    y.data.fill(fill);
    readBatch(dataset, Uint32Array.of(0), x, y);
    return { x: x.data, y: y.data };
  });
}

/** The number of examples that `digestOfExamples` reads if they are not in memory. */
const SAMPLED = 256;

/**
 * A digest of the inputs and targets: the first 16 hexadecimal digits of their SHA-256. It distinguishes data sets of the same name
 * and length, for instance after another preprocessing. It covers all examples if they are in memory, else an evenly spaced sample.
 */
export function digestOfExamples(dataset: Dataset): string {
  const { whole, length } = dataset;
  let arrays: readonly HostData[];
  if (whole !== undefined) arrays = [whole.x, whole.y];
  else {
    const count = Math.min(SAMPLED, length);
    const indices = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
    const [x, y] = [host(batchOf(count, dataset.x)), host(batchOf(count, dataset.y))];
    readBatch(dataset, indices, x, y);
    arrays = [x.data, y.data];
  }
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays)
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex').slice(0, 16);
}

/** Examples that are read on the host and fed. */
export function fedExamples(dataset: Dataset): Examples {
  let x: HostTensor | null = null;
  let y: HostTensor | null = null;
  return {
    dataset,
    inputs: (batchSize) => ({ x: batchOf(batchSize, dataset.x), y: batchOf(batchSize, dataset.y) }),
    gather: ({ x: images, y: targets }) => ({ x: images, y: targets }),
    feeds(indices) {
      // The arrays are reused: a run copies its feeds before it returns.
      if (x?.shape[0] !== indices.length) x = host(batchOf(indices.length, dataset.x));
      if (y?.shape[0] !== indices.length) y = host(batchOf(indices.length, dataset.y));
      readBatch(dataset, indices, x, y);
      return { x, y };
    },
  };
}

/** The memory of a resident data set in bytes. */
export function residentBytes({ length, x, y }: Dataset): number {
  return bytesOf(batchOf(length, x)) + bytesOf(batchOf(length, y));
}

/** The data set as arrays of a store, with the prefix `name`. */
export function residentArrays(dataset: Dataset, name: string): State {
  const { length, whole } = dataset;
  if (whole !== undefined) {
    checkLabels(dataset, whole.y);
    return {
      [`${name}/x`]: { ...batchOf(length, dataset.x), data: whole.x },
      [`${name}/y`]: { ...batchOf(length, dataset.y), data: whole.y },
    };
  }
  const x = host(batchOf(length, dataset.x));
  const y = host(batchOf(length, dataset.y));
  readBatch(
    dataset,
    Uint32Array.from({ length }, (_, i) => i),
    x,
    y,
  );
  checkLabels(dataset, y.data);
  return { [`${name}/x`]: x, [`${name}/y`]: y };
}

/** Examples that are gathered from a store with `residentArrays(dataset, name)`. Only indices are fed. */
export function residentExamples(dataset: Dataset, name: string): Examples {
  return {
    dataset,
    inputs: (batchSize) => ({ index: { shape: [batchSize], dtype: 'i32' } }),
    gather: ({ index }, state) => ({
      x: gather(state[`${name}/x`], index),
      y: gather(state[`${name}/y`], index),
    }),
    feeds: (indices) => ({ index: new Int32Array(indices.buffer, indices.byteOffset, indices.length) }),
  };
}

/**
 * The batch of a step. Throws TypeError if the batch of a custom loader does not match its description, and RangeError for an index out
 * of range.
 */
export function batchAt(caller: string, loader: Loader, step: number): Required<Batch> {
  const { batchSize, dataset, augments, mixes = false, augmentations = [] } = loader;
  const where = `${caller}: the loader's batch(${step})`;
  const batch: unknown = loader.batch(step);
  if (typeof batch !== 'object' || batch === null || isPromise(batch)) {
    throw new TypeError(`${where} must return a batch { indices, augmentation }, got ${show(batch)}`);
  }
  const {
    indices,
    augmentation = null,
    draws = null,
    mix = null,
  } = batch as Partial<Batch> & Pick<Batch, 'indices'>;
  const check = (name: string, data: unknown, kind: string, length: number): void => {
    if (typedArrayName(data) === kind && (data as ArrayLike<number>).length === length) return;
    throw new TypeError(`${where}: ${name} must be ${kind} (${length}), got ${showData(data)}`);
  };
  check('indices', indices, 'Uint32Array', batchSize);
  const bad = indices.findIndex((index) => index >= dataset.length);
  if (bad >= 0) {
    throw new RangeError(
      `${where}: index out of range: ${indices[bad]} at position ${bad}, but ${dataset.name} has ${dataset.length} examples ` +
        `(0 to ${dataset.length - 1})`,
    );
  }
  for (const [name, part, announced, flag] of [
    ['augmentation', augmentation, augments, 'augments'],
    ['mix', mix, mixes !== false, 'mixes'],
  ] as const) {
    if ((part !== null) === announced) continue;
    throw new TypeError(
      `${where}: ${name} is ${part === null ? 'missing' : 'present'}, but the loader's ${flag} is ${announced} ` +
        `(batches must have ${name} if and only if ${flag} is true)`,
    );
  }
  if (augmentation !== null) check('augmentation', augmentation, 'Int32Array', 3 * batchSize);
  if (mix !== null) check('mix.partners', mix.partners, 'Int32Array', batchSize);
  if (mix !== null && mixes === 'box') check('mix.box', mix.box, 'Int32Array', 4);
  const drawn = augmentations.reduce((sum, each) => sum + each.draws, 0);
  if (drawn > 0) check('draws', draws, 'Float32Array', drawn * batchSize);
  return { indices, augmentation, draws, mix };
}

/** A batch of an evaluation: `count` examples, with the last one repeated up to the batch size. */
export interface PaddedBatch {
  readonly indices: Uint32Array;
  readonly first: number;
  readonly count: number;
}

/** All examples once, in order. */
export function* paddedBatches(length: number, batchSize: number): Generator<PaddedBatch> {
  for (let first = 0; first < length; first += batchSize) {
    const count = Math.min(batchSize, length - first);
    const indices = Uint32Array.from({ length: batchSize }, (_, i) => first + Math.min(i, count - 1));
    yield { indices, first, count };
  }
}
