/**
 * The examples of a data set in a compiled step: gathered from the memory of the backend by index, or fed. Both give the same values.
 */
import { createHash } from 'node:crypto';
import type { AnyDataset, AnyLoader, Batch, InputData, TargetData } from '../dataset.ts';
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import { checkLabels, checkReading } from './check-data.ts';
import { showData, typedArrayName } from '../host.ts';
import { keyOf, mapParts, partOf, partsOf, type Named, type Part } from '../named.ts';
import type { Tree } from '../nn/optimizer.ts';
import { isPromise, show } from '../options.ts';
import { allocate } from '../ops/convert.ts';
import { gather } from '../ops/gather.ts';
import { bytesOf, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostData, HostTensor, State, TensorType } from '../types.ts';

/** Inputs and targets in the graph. */
export interface ExampleTensors {
  readonly x: Named<Tensor>;
  readonly y: Named<Tensor>;
}

export interface Examples {
  readonly dataset: AnyDataset;
  /** The inputs of a step with this batch size. */
  inputs(batchSize: number): InputTypes;
  /** The batch in the graph. */
  gather(inputs: Tree, state: Tree): ExampleTensors;
  /** The feeds of the examples at `indices`. A promise if the data set reads asynchronously. */
  feeds(indices: Uint32Array): Feeds | Promise<Feeds>;
  /** Takes the arrays of feeds that a run has copied, for later ones. */
  reuse(feeds: Feeds): void;
}

const batchOf = (n: number, { shape, dtype }: TensorType): TensorType => ({ shape: [n, ...shape], dtype });

const host = (type: TensorType): HostTensor => ({ ...type, data: allocate(type.dtype, sizeOf(type.shape)) });

/** Inputs and targets on the host. */
interface HostExamples {
  readonly x: readonly Part<HostTensor>[];
  readonly y: readonly Part<HostTensor>[];
}

/** Arrays for `count` examples. */
function hostBatch(dataset: AnyDataset, count: number): HostExamples {
  const allocated = (which: 'x' | 'y'): readonly Part<HostTensor>[] =>
    partsOf(dataset[which]).map(({ name, value }) => ({ name, value: host(batchOf(count, value)) }));
  return { x: allocated('x'), y: allocated('y') };
}

/** The arrays by their keys: 'x' and 'y', or 'x.image' for a name. */
const keyed = ({ x, y }: HostExamples): readonly (readonly [string, HostTensor])[] => [
  ...x.map(({ name, value }) => [keyOf('x', name), value] as const),
  ...y.map(({ name, value }) => [keyOf('y', name), value] as const),
];

/** Reads examples. Returns a promise if the data set does. */
function readBatch(
  dataset: AnyDataset,
  indices: Uint32Array,
  { x, y }: HostExamples,
): void | PromiseLike<void> {
  return dataset.read(
    indices,
    mapParts(x, ({ data }) => data as InputData),
    mapParts(y, ({ data }) => data as TargetData),
  );
}

/** All examples of a data set. Those in memory are not copied. */
async function allExamples(dataset: AnyDataset): Promise<HostExamples> {
  const { length, whole } = dataset;
  if (whole !== undefined) {
    const held = (which: 'x' | 'y'): readonly Part<HostTensor>[] =>
      partsOf(dataset[which]).map(({ name, value }) => ({
        name,
        value: { ...batchOf(length, value), data: partOf<HostData>(whole[which], name) },
      }));
    return { x: held('x'), y: held('y') };
  }
  const examples = hostBatch(dataset, length);
  await readBatch(
    dataset,
    Uint32Array.from({ length }, (_, i) => i),
    examples,
  );
  return examples;
}

/**
 * Whether a data set reads asynchronously. Throws DataError for one whose `read` does not write everything, or not the same in every
 * call.
 */
export async function checkReads(dataset: AnyDataset): Promise<boolean> {
  let isAsynchronous = false;
  await checkReading(dataset, async (fill) => {
    const examples = hostBatch(dataset, 1);
    const arrays = keyed(examples).map(([key, { data }]) => [key, data] as const);
    for (const [, data] of arrays) data.fill(fill);
    const reading = readBatch(dataset, Uint32Array.of(0), examples);
    isAsynchronous = isPromise(reading);
    await reading;
    return arrays;
  });
  return isAsynchronous;
}

/** The number of examples that `digestOfExamples` reads if they are not in memory. */
const SAMPLED = 256;

/**
 * A digest of the inputs and targets: the first 16 hexadecimal digits of their SHA-256. It distinguishes data sets of the same name
 * and length, for instance after another preprocessing. It covers all examples if they are in memory, else an evenly spaced sample.
 */
export async function digestOfExamples(dataset: AnyDataset): Promise<string> {
  const hash = createHash('sha256');
  for (const [key, { data }] of keyed(await sampled(dataset))) {
    if (key.includes('.')) hash.update(key); // a name is part of the example
    const { buffer, byteOffset, byteLength } = data;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex').slice(0, 16);
}

async function sampled(dataset: AnyDataset): Promise<HostExamples> {
  const { whole, length } = dataset;
  if (whole !== undefined) return allExamples(dataset);
  const count = Math.min(SAMPLED, length);
  const examples = hostBatch(dataset, count);
  const indices = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
  await readBatch(dataset, indices, examples);
  return examples;
}

/** The types of a batch by their keys. */
const batchTypes = ({ x, y }: AnyDataset, count: number): InputTypes =>
  Object.fromEntries(
    Object.entries({ x, y }).flatMap(([which, types]) =>
      partsOf(types).map(({ name, value }) => [keyOf(which, name), batchOf(count, value)] as const),
    ),
  );

/** Tensors of inputs and targets from those with their keys. */
const fromKeys = ({ x, y }: AnyDataset, tensor: (key: string) => Tensor): ExampleTensors => ({
  x: mapParts(partsOf(x), (_, name) => tensor(keyOf('x', name))),
  y: mapParts(partsOf(y), (_, name) => tensor(keyOf('y', name))),
});

/** The arrays of `dataset` among feeds. */
function hostExamples(dataset: AnyDataset, feeds: Feeds): HostExamples {
  const arrays = (which: 'x' | 'y'): readonly Part<HostTensor>[] =>
    partsOf(dataset[which]).map(({ name }) => ({ name, value: feeds[keyOf(which, name)] as HostTensor }));
  return { x: arrays('x'), y: arrays('y') };
}

/** Examples that are read on the host and fed. */
export function fedExamples(dataset: AnyDataset): Examples {
  /** Arrays of earlier batches that nothing uses. */
  let spare: Feeds[] = [];
  let count = 0;
  return {
    dataset,
    inputs: (batchSize) => batchTypes(dataset, batchSize),
    gather: (inputs) => fromKeys(dataset, (key) => inputs[key]),
    feeds(indices) {
      if (indices.length !== count) [count, spare] = [indices.length, []];
      const feeds = spare.pop() ?? Object.fromEntries(keyed(hostBatch(dataset, count)));
      const reading = readBatch(dataset, indices, hostExamples(dataset, feeds));
      return isPromise(reading) ? Promise.resolve(reading).then(() => feeds) : feeds;
    },
    reuse(feeds) {
      const { x, y } = hostExamples(dataset, feeds);
      const own = Object.fromEntries(keyed({ x, y }));
      if (y[0].value.shape[0] === count) spare.push(own);
    },
  };
}

/** The memory of a resident data set in bytes. */
export function residentBytes(dataset: AnyDataset): number {
  return Object.values(batchTypes(dataset, dataset.length)).reduce((sum, type) => sum + bytesOf(type), 0);
}

/** The data set as arrays of a store, with the prefix `name`. */
export async function residentArrays(dataset: AnyDataset, name: string): Promise<State> {
  const examples = await allExamples(dataset);
  checkLabels(dataset, examples.y[0].value.data);
  return Object.fromEntries(keyed(examples).map(([key, value]) => [`${name}/${key}`, value]));
}

/** Examples that are gathered from a store with `residentArrays(dataset, name)`. Only indices are fed. */
export function residentExamples(dataset: AnyDataset, name: string): Examples {
  return {
    dataset,
    inputs: (batchSize) => ({ index: { shape: [batchSize], dtype: 'i32' } }),
    gather: ({ index }, state) => fromKeys(dataset, (key) => gather(state[`${name}/${key}`], index)),
    feeds: (indices) => ({ index: new Int32Array(indices.buffer, indices.byteOffset, indices.length) }),
    reuse: () => undefined,
  };
}

/**
 * The batch of a step. Throws TypeError if the batch of a custom loader does not match its description, and RangeError for an index out
 * of range.
 */
export function batchAt(caller: string, loader: AnyLoader, step: number): Required<Batch> {
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
