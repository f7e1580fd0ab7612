/** Data sets from arrays in memory, and parts of data sets. */
import { DataError } from '../engine/errors.ts';
import { dtypeOfArray, readExamples, showData, typedArrayName } from '../engine/host.ts';
import {
  checkNames,
  keyOf,
  mapParts,
  partOf,
  partsOf,
  type Like,
  type Named,
  type Types,
} from '../engine/named.ts';
import { checkInteger, checkOptions, checkText, isPromise, isRecord, show } from '../engine/options.ts';
import { permutation } from '../engine/rng.ts';
import { sizeOf } from '../engine/shape.ts';
import { checkTargets, type KnownTargets, type Targets } from '../engine/targets.ts';
import type { DType, HostData, Shape, TensorType } from '../engine/types.ts';
import { bufferFor, checkDataset, checkRead } from './checks.ts';
import { resident } from './resident.ts';
import type { AnyDataset, Dataset, InputData, TargetData } from '../engine/dataset.ts';

/** Host data with a shape: a HostTensor, or an ndarray with its `stride` and `offset`. */
export interface HostArray {
  readonly shape: Shape;
  readonly data: HostData | Uint8ClampedArray | readonly number[];
  /** Distance between neighbors on each axis, in elements. Default: row-major without gaps. */
  readonly stride?: readonly number[];
  /** Position of the first element. Default 0. */
  readonly offset?: number;
}

export interface ArraysOptions {
  /** Names of the classes, or their number. Only for class labels. Default: the largest label plus one. */
  readonly classes?: readonly string[] | number;
  /**
   * What the targets are, so that augmentations move them with the images. With 'mask', integers [N, H, W] are the classes of pixels.
   * Default: labels, if there is one number or vector for each example.
   */
  readonly targets?: Targets;
  /** Name of the data set in messages and checkpoints. Default 'arrays'. */
  readonly name?: string;
}

const WHERE = 'arrays';

/** Examples that are read at a time. */
const CHUNK = 100;

const isStrided = ({ shape, stride, offset = 0 }: HostArray): boolean => {
  if (offset !== 0) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0 && stride !== undefined; axis--) {
    if (shape[axis] !== 1 && stride[axis] !== expected) return true;
    expected *= shape[axis];
  }
  return false;
};

/** The elements of `array` in row-major order as `dtype`. Data that has this form already is not copied. */
function dense(name: string, array: HostArray, dtype: DType): Uint8Array | Int32Array | Float32Array {
  const { shape, data, stride, offset = 0 } = array;
  for (const size of shape) checkInteger(WHERE, `${name}.shape [${shape.join(', ')}]`, size, 0, 2 ** 32 - 1);
  const count = sizeOf(shape);
  const Kind = { u8: Uint8Array, i32: Int32Array, f32: Float32Array }[dtype];
  if (!isStrided(array)) {
    if (data.length !== count) {
      throw new DataError(
        `${WHERE}: ${name}: data and shape disagree: ${data.length} elements, but [${shape.join(', ')}] has ${count}`,
      );
    }
    return typedArrayName(data) === Kind.name
      ? (data as Uint8Array | Int32Array | Float32Array)
      : Kind.from(data);
  }
  const steps = stride ?? shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  if (steps.length !== shape.length) {
    throw new DataError(
      `${WHERE}: ${name}: stride and shape disagree: [${steps.join(', ')}] and [${shape.join(', ')}]`,
    );
  }
  const out = new Kind(count);
  const at = shape.map(() => 0);
  let source = offset;
  for (let i = 0; i < count; i++) {
    const value = data[source];
    if (value === undefined) {
      throw new DataError(
        `${WHERE}: ${name}: stride and offset leave the data: element ${source} of ${data.length}`,
      );
    }
    out[i] = value;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += steps[axis];
      if (++at[axis] < shape[axis]) break;
      source -= steps[axis] * shape[axis];
      at[axis] = 0;
    }
  }
  return out;
}

/** What `arrays` takes for one target: numbers with their shape, or one number for each example. */
export type HostTargets = HostArray | HostData | readonly number[];

/** The type of an array, or the types of arrays by name. */
export type TypesOf<A> = A extends HostTargets ? TensorType : { readonly [N in keyof A]: TensorType };

/** An array that was passed, with what messages call it: 'x', or 'x.image'. */
interface Given<A> {
  readonly name: string | null;
  readonly key: string;
  readonly value: A;
}

/** An array of a data set. */
interface Stored<D> extends Given<D> {
  readonly type: TensorType;
  /** Elements of one example. */
  readonly item: number;
}

/** Whether `given` is an object of arrays by name. */
function isNamed<A>(given: unknown): given is Readonly<Record<string, A>> {
  if (!isRecord(given) || isPromise(given) || Array.isArray(given) || typedArrayName(given) !== undefined) {
    return false;
  }
  const isNumbers = (value: unknown): boolean => Array.isArray(value) || typedArrayName(value) !== undefined;
  const values = Object.values(given);
  return (
    !isNumbers(given['shape']) && !isNumbers(given['data']) && values.length > 0 && values.every(isObject)
  );
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

function givenArrays<A>(which: 'x' | 'y', given: A | Readonly<Record<string, A>>): readonly Given<A>[] {
  if (!isNamed<A>(given)) return [{ name: null, key: which, value: given }];
  checkNames(`${WHERE}: ${which}`, given);
  return Object.entries(given).map(([name, value]) => ({ name, key: keyOf(which, name), value }));
}

/** Throws TypeError for what has neither numbers nor a shape, and for inputs without a shape. */
function checkNumbers(which: string, given: unknown): void {
  const flat = typedArrayName(given) !== undefined || (Array.isArray(given) && !given.some(Array.isArray));
  if (which.startsWith('x') && flat) {
    throw new TypeError(
      `${WHERE}: ${which}: inputs need their shape, got ${showData(given)} (write { shape: [N, …], data: x })`,
    );
  }
  if (typeof given !== 'object' || given === null || isPromise(given)) {
    throw new TypeError(
      `${WHERE}: ${which}: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got ${show(given)}`,
    );
  }
}

/** Throws TypeError unless an array has a shape, and data of a supported kind. */
function checkForm({ key, value }: Given<HostArray>): void {
  const { shape, data } = value;
  const kind = typedArrayName(data);
  if (!Array.isArray(shape) || (!Array.isArray(data) && kind === undefined)) {
    throw new TypeError(
      `${WHERE}: ${key}: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got ${show(value)} ` +
        `(flatten nested arrays: data.flat())`,
    );
  }
  if (kind !== undefined && dtypeOfArray(data) === undefined) {
    throw new TypeError(`${WHERE}: ${key}: data is a ${kind} (convert it: Int32Array.from(data, Number))`);
  }
}

/** Throws DataError for elements of a plain array that are not numbers. */
function checkElements({ key, value: { data } }: Given<HostArray>): void {
  const given: readonly unknown[] = Array.isArray(data) ? data : [];
  const bad = given.findIndex((value) => typeof value !== 'number');
  if (bad < 0) return;
  throw new DataError(
    `${WHERE}: ${key}: element ${bad} is not a number: ${show(given[bad])} ` +
      '(labels are indices of classes: names.map((name) => classes.indexOf(name)))',
  );
}

/** Throws DataError unless all arrays have as many rows as the first. Returns this number. */
function rowsOf(given: readonly Given<HostArray>[]): number {
  const [first] = given;
  const n = first.value.shape[0];
  const other = given.find(({ value }) => n === undefined || value.shape[0] !== n);
  if (other === undefined) return n;
  const [a, b] = [first, other === first ? given[1] : other];
  throw new DataError(
    `${WHERE}: ${a.key} and ${b.key} differ in length: ${a.key} [${a.value.shape.join(', ')}], ` +
      `${b.key} [${b.value.shape.join(', ')}] (both need one row per example)`,
  );
}

/** An array as the data set keeps it. */
function stored<D extends InputData | TargetData>(given: Given<HostArray>, dtype: DType): Stored<D> {
  const shape = given.value.shape.slice(1);
  const value = dense(given.key, given.value, dtype) as D;
  return { ...given, value, type: { shape, dtype }, item: sizeOf(shape) };
}

/** Bytes stay bytes, also those of the Uint8ClampedArray of a canvas. Other inputs become floats. */
/** Integers in an Int32Array stay integers, such as tokens. Other numbers are bytes or floats. */
function inputType({ data }: HostArray): DType {
  if (typedArrayName(data) === 'Int32Array') return 'i32';
  return dtypeOfArray(data) === 'u8' ? 'u8' : 'f32';
}

/** Targets that are all integers are i32. */
function targetType({ data }: HostArray): DType {
  const isLabel = (value: number): boolean => (value | 0) === value; // representable as i32
  const isFloats = dtypeOfArray(data) === 'f32' || (Array.isArray(data) && !data.every(isLabel));
  return isFloats ? 'f32' : 'i32';
}

/** Throws DataError for a number that is not finite. */
function checkNumeric({ key, type, item, value }: Stored<InputData | TargetData>): void {
  const bad = type.dtype === 'f32' ? value.findIndex((each) => !Number.isFinite(each)) : -1;
  if (bad < 0) return;
  throw new DataError(
    `${WHERE}: ${key}: a number is not finite: ${value[bad]} in example ${Math.floor(bad / item)}, element ${bad % item}`,
  );
}

/** The names of the classes of a single target. Empty for floats. Throws for labels that have no class. */
function classesOf(
  { value: labels, type }: Stored<TargetData>,
  kind: KnownTargets | null,
  classes: ArraysOptions['classes'],
  n: number,
): readonly string[] {
  if (type.dtype === 'f32') {
    if (classes === undefined) return [];
    throw new TypeError(
      `${WHERE}: classes: given for targets that are floats (pass labels as an Int32Array, or omit classes)`,
    );
  }
  if (type.shape.length > 0 && kind?.kind !== 'mask') {
    throw new DataError(
      `${WHERE}: y: labels need the shape [${n}], got [${[n, ...type.shape].join(', ')}] ` +
        "(pass one-hot targets as floats, and for classes of pixels targets: 'mask')",
    );
  }
  const ignored = kind?.kind === 'mask' ? kind.fill : null;
  let needed = 1;
  for (const label of labels) if (label !== ignored) needed = Math.max(needed, label + 1);
  const option = classes ?? needed;
  if (typeof option === 'number') checkInteger(WHERE, 'classes', option, 1, 2 ** 31 - 1);
  if (typeof option !== 'number' && !isNames(option)) {
    throw new TypeError(
      `${WHERE}: classes must be names of the classes or their number, got ${show(option)}`,
    );
  }
  const names =
    typeof option === 'number' ? Array.from({ length: option }, (_, i) => String(i)) : [...option];
  const bad = labels.findIndex((label) => (label < 0 || label >= names.length) && label !== ignored);
  if (bad >= 0) {
    throw new DataError(
      `${WHERE}: y: a label is out of range: example ${Math.floor((bad * n) / labels.length)} has ${labels[bad]}, expected 0 to ${names.length - 1}`,
    );
  }
  return names;
}

/** Throws TypeError for options that only a single target has. */
function checkNamedOptions({ classes, targets: declared }: ArraysOptions): void {
  if (classes !== undefined) {
    throw new TypeError(
      `${WHERE}: classes: given for targets by name (omit classes; the loss has the number of classes)`,
    );
  }
  if (declared === undefined || declared === 'labels') return;
  throw new TypeError(
    `${WHERE}: targets: must be 'labels' for targets by name, which augmentations cannot move, got ${show(declared)}`,
  );
}

const isNames = (value: unknown): boolean =>
  Array.isArray(value) && value.every((name) => typeof name === 'string');

const withShape = (y: HostTargets): HostArray => ('shape' in y ? y : { shape: [y.length], data: y });

/**
 * A data set from arrays in memory. Dense data of the right type is not copied, so do not change it afterwards.
 *
 * Several inputs or targets are objects of arrays by name. Then the model, the loss and the metrics get objects of tensors with these
 * names.
 *
 * Shapes: x [N, ...], u8 or f32. Float64Arrays and plain numbers are rounded to f32. y [N] i32 for class labels, also plain numbers
 * that are all integers, or [N, ...] f32 for other targets. Integers [N, ...] are allowed for targets by name.
 * Throws DataError if lengths disagree, a label is out of range or a number is not finite, and TypeError for unsupported arrays.
 *
 * @example
 * const dataset = arrays({ shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, [0, 1], { classes: ['cat', 'dog'] });
 * dataset.length // 2
 * @example
 * const image = { shape: [2, 8, 8, 3], data: new Uint8Array(384) };
 * const weighted = arrays({ image, meta: { shape: [2, 1], data: [3, 4] } }, { label: [0, 1], weight: [1, 0.5] });
 * weighted.x.meta.shape // [1]
 */
export function arrays<
  const A extends HostArray | Readonly<Record<string, HostArray>>,
  const B extends HostTargets | Readonly<Record<string, HostTargets>>,
>(x: A, y: B, options: ArraysOptions = {}): Dataset<TypesOf<A>, TypesOf<B>> {
  checkOptions(WHERE, options, ['classes', 'targets', 'name']);
  const { name = WHERE, targets: declared } = options;
  checkText(WHERE, 'name', name);
  if (x === undefined || y === undefined) {
    throw new TypeError(
      `${WHERE}: takes inputs and targets as two arguments, got ${show(x)} and ${show(y)} (write arrays({ shape: [4, 2], data }, labels))`,
    );
  }
  const inputs = givenArrays<HostArray>('x', x);
  const numbers = givenArrays<HostTargets>('y', y);
  for (const { key, value } of [...inputs, ...numbers]) checkNumbers(key, value);
  const goals = numbers.map((each) => ({ ...each, value: withShape(each.value) }));
  const given = [...inputs, ...goals];
  given.forEach(checkForm);
  given.forEach(checkElements);
  const n = rowsOf(given);
  const xs = inputs.map((each) => stored<InputData>(each, inputType(each.value)));
  const ys = goals.map((each) => stored<TargetData>(each, targetType(each.value)));
  const [target] = ys;
  const isSingle = target.name === null;
  if (!isSingle) checkNamedOptions(options);
  const xTypes = typesOf(xs);
  const kind =
    isSingle && declared !== undefined
      ? checkTargets(WHERE, declared, { name, x: xTypes }, target.type)
      : null;
  [...xs, ...ys].forEach(checkNumeric);

  const dataset = resident<Types, Types>(
    {
      name,
      length: n,
      x: xTypes,
      y: typesOf(ys),
      classes: isSingle ? classesOf(target, kind, options.classes, n) : [],
      ...(declared !== undefined && { targets: declared }),
    },
    { x: mapParts(xs, (data) => data), y: mapParts(ys, (data) => data) },
  );
  return dataset as unknown as Dataset<TypesOf<A>, TypesOf<B>>;
}

const typesOf = (parts: readonly Stored<unknown>[]): Types =>
  mapParts(
    parts.map(({ name, type }) => ({ name, value: type })),
    (type) => type,
  );

/**
 * The examples of a data set at `indices`, in this order. Indices may repeat. Data is not copied.
 *
 * Throws RangeError for an index out of range.
 *
 * @example subset(train, [3, 1, 4]).length // 3
 */
export function subset<X extends Types, Y extends Types>(
  dataset: Dataset<X, Y>,
  indices: Uint32Array | readonly number[],
  name = `${(dataset as Dataset<X, Y> | null)?.name}/subset`,
): Dataset<X, Y> {
  checkDataset('subset', dataset);
  if (!Array.isArray(indices) && typedArrayName(indices) === undefined) {
    throw new TypeError(`subset: indices must be an array of integers, got ${show(indices)}`);
  }
  checkText('subset', 'name', name);
  for (const index of indices) checkInteger('subset', 'index', index, 0, dataset.length - 1);
  const selected = Uint32Array.from(indices);
  const part: Dataset<X, Y> = {
    name,
    length: selected.length,
    x: dataset.x,
    y: dataset.y,
    classes: dataset.classes,
    ...(dataset.targets !== undefined && { targets: dataset.targets }),
    read(batch, x, y) {
      checkRead(part, batch, x, y);
      return dataset.read(
        batch.map((i) => selected[i]),
        x,
        y,
      );
    },
    ...(dataset.readTargets !== undefined && {
      readTargets: (batch: Uint32Array, y: Like<Y, TargetData>) =>
        dataset.readTargets!(
          batch.map((i) => selected[i]),
          y,
        ),
    }),
  };
  return part;
}

/**
 * The first `n` examples of a data set. Data is not copied.
 *
 * Throws RangeError unless 1 <= n <= dataset.length.
 *
 * @example take(train, 100).length // 100
 */
export function take<X extends Types, Y extends Types>(dataset: Dataset<X, Y>, n: number): Dataset<X, Y> {
  checkDataset('take', dataset);
  checkInteger('take', 'n', n, 1, dataset.length);
  return subset(
    dataset,
    Uint32Array.from({ length: n }, (_, i) => i),
    `${dataset.name}/first ${n}`,
  );
}

/**
 * Splits a data set at random into two disjoint parts, of `n` examples and of the others. Each part keeps the order of the data set.
 *
 * Throws RangeError unless 1 <= n < dataset.length.
 *
 * @example
 * const [training, validation] = split(train, 400, { seed: 1 });
 * training.length // 400
 */
export function split<X extends Types, Y extends Types>(
  dataset: Dataset<X, Y>,
  n: number,
  options: {
    /** Determines the split. Default 0. */
    readonly seed?: number;
  } = {},
): readonly [Dataset<X, Y>, Dataset<X, Y>] {
  checkDataset('split', dataset);
  checkOptions('split', options, ['seed']);
  checkInteger('split', 'n', n, 1, dataset.length - 1);
  const { seed = 0 } = options;
  checkInteger('split', 'seed', seed, 0);
  const order = permutation(dataset.length, seed, 'split');
  return [
    subset(dataset, order.slice(0, n).sort(), `${dataset.name}/split ${n} seed ${seed}`),
    subset(dataset, order.slice(n).sort(), `${dataset.name}/rest ${dataset.length - n} seed ${seed}`),
  ];
}

/**
 * All targets of a data set in order, for instance to compare them with predictions. The array may belong to the data set, so do not
 * change it.
 *
 * Shapes: flat array of [N, ...], i32 for class labels, else f32. Targets by name are an object of such arrays.
 *
 * @example
 * const { classes } = await predict({ model, state, backend, data: test });
 * const correct = targets(test).filter((label, i) => label === classes[i]).length;
 */
export function targets<X extends Types, Y extends Types>(dataset: Dataset<X, Y>): Like<Y, TargetData> {
  checkDataset('targets', dataset);
  if (dataset.whole !== undefined) return dataset.whole.y;
  if (dataset.readTargets !== undefined) {
    const { y } = bufferFor(dataset, 0, dataset.length);
    dataset.readTargets(allOf(dataset), y as Like<Y, TargetData>);
    return y as Like<Y, TargetData>;
  }
  const { x, y } = bufferFor(dataset, CHUNK, dataset.length);
  for (let first = 0; first < dataset.length; first += CHUNK) {
    const indices = Uint32Array.from(
      { length: Math.min(CHUNK, dataset.length - first) },
      (_, i) => first + i,
    );
    const rows = mapParts(partsOf(dataset.y), (type, name) => {
      const item = sizeOf(type.shape);
      return partOf<TargetData>(y, name).subarray(first * item, (first + indices.length) * item);
    });
    readExamples<Named<InputData>, Named<TargetData>>(dataset, indices, x, rows);
  }
  return y as Like<Y, TargetData>;
}

const allOf = ({ length }: AnyDataset): Uint32Array => Uint32Array.from({ length }, (_, i) => i);
