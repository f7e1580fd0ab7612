/** Data sets from arrays in memory, and parts of data sets. */
import { DataError } from '../engine/errors.ts';
import { dtypeOfArray, readExamples, showData, typedArrayName } from '../engine/host.ts';
import { checkInteger, checkOptions, checkText, isPromise, show } from '../engine/options.ts';
import { permutation } from '../engine/rng.ts';
import { sizeOf } from '../engine/shape.ts';
import { checkTargets, type Targets } from '../engine/targets.ts';
import type { DType, HostData, Shape } from '../engine/types.ts';
import { checkDataset, checkRead } from './checks.ts';
import type { Dataset } from '../engine/dataset.ts';

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

/** Throws TypeError for what has neither numbers nor a shape, and for inputs without a shape. */
function checkNumbers(which: string, given: unknown): void {
  const flat = typedArrayName(given) !== undefined || (Array.isArray(given) && !given.some(Array.isArray));
  if (which === 'x' && flat) {
    throw new TypeError(
      `${WHERE}: x: inputs need their shape, got ${showData(given)} (write { shape: [N, …], data: x })`,
    );
  }
  if (typeof given !== 'object' || given === null || isPromise(given)) {
    throw new TypeError(
      `${WHERE}: ${which}: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got ${show(given)}`,
    );
  }
}

const isNames = (value: unknown): boolean =>
  Array.isArray(value) && value.every((name) => typeof name === 'string');

const withShape = (y: HostArray | HostData | readonly number[]): HostArray =>
  'shape' in y ? y : { shape: [y.length], data: y };

/**
 * A data set from arrays in memory. Dense data of the right type is not copied, so do not change it afterwards.
 *
 * Shapes: x [N, ...], u8 or f32. Float64Arrays and plain numbers are rounded to f32. y [N] i32 for class labels, also plain numbers
 * that are all integers, or [N, ...] f32 for other targets.
 * Throws DataError if lengths disagree, a label is out of range or a number is not finite, and TypeError for unsupported arrays.
 *
 * @example
 * const dataset = arrays({ shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, [0, 1], { classes: ['cat', 'dog'] });
 * dataset.length // 2
 */
export function arrays(
  x: HostArray,
  y: HostArray | HostData | readonly number[],
  options: ArraysOptions = {},
): Dataset {
  checkOptions(WHERE, options, ['classes', 'targets', 'name']);
  const { name = WHERE, targets: declared } = options;
  checkText(WHERE, 'name', name);
  if (x === undefined || y === undefined) {
    throw new TypeError(
      `${WHERE}: takes inputs and targets as two arguments, got ${show(x)} and ${show(y)} (write arrays({ shape: [4, 2], data }, labels))`,
    );
  }
  for (const [which, array] of Object.entries({ x, y })) checkNumbers(which, array);
  if (typedArrayName(x.data) === 'Int32Array') {
    throw new TypeError(
      `${WHERE}: x: inputs are bytes or floats: got an Int32Array (convert it: Float32Array.from(x))`,
    );
  }
  for (const [which, array] of [
    ['x', x],
    ['y', withShape(y)],
  ] as const) {
    if (
      !Array.isArray(array.shape) ||
      (!Array.isArray(array.data) && typedArrayName(array.data) === undefined)
    ) {
      throw new TypeError(
        `${WHERE}: ${which}: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got ${show(array)} ` +
          `(flatten nested arrays: data.flat())`,
      );
    }
    if (typedArrayName(array.data) !== undefined && dtypeOfArray(array.data) === undefined) {
      throw new TypeError(
        `${WHERE}: ${which}: data is a ${typedArrayName(array.data)} (convert it: Int32Array.from(data, Number))`,
      );
    }
  }
  for (const [which, { data }] of [
    ['x', x],
    ['y', withShape(y)],
  ] as const) {
    const given: readonly unknown[] = Array.isArray(data) ? data : [];
    const bad = given.findIndex((value) => typeof value !== 'number');
    if (bad < 0) continue;
    throw new DataError(
      `${WHERE}: ${which}: element ${bad} is not a number: ${show(given[bad])} ` +
        '(labels are indices of classes: names.map((name) => classes.indexOf(name)))',
    );
  }
  const targets = withShape(y);
  const [n, ...itemShape] = x.shape;
  if (n === undefined || targets.shape[0] !== n) {
    throw new DataError(
      `${WHERE}: x and y differ in length: x [${x.shape.join(', ')}], y [${targets.shape.join(', ')}] (both need one row per example)`,
    );
  }
  const isBytes = dtypeOfArray(x.data) === 'u8'; // also the Uint8ClampedArray of a canvas
  const xDtype = isBytes ? 'u8' : 'f32';
  const isLabel = (value: number): boolean => (value | 0) === value; // representable as i32
  const isFloats =
    dtypeOfArray(targets.data) === 'f32' || (Array.isArray(targets.data) && !targets.data.every(isLabel));
  const yDtype = isFloats ? 'f32' : 'i32';
  const xs = dense('x', x, xDtype) as Uint8Array | Float32Array;
  const ys = dense('y', targets, yDtype) as Int32Array | Float32Array;
  const yShape = targets.shape.slice(1);
  const kind =
    declared === undefined
      ? null
      : checkTargets(WHERE, declared, itemShape, { shape: yShape, dtype: yDtype });

  for (const [which, data] of [
    ['x', xs],
    ['y', ys],
  ] as const) {
    if (dtypeOfArray(data) !== 'f32') continue;
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) continue;
    const per = data.length / n;
    throw new DataError(
      `${WHERE}: ${which}: a number is not finite: ${data[bad]} in example ${Math.floor(bad / per)}, element ${bad % per}`,
    );
  }

  let classes: readonly string[] = [];
  if (isFloats) {
    if (options.classes !== undefined) {
      throw new TypeError(
        `${WHERE}: classes: given for targets that are floats (pass labels as an Int32Array, or omit classes)`,
      );
    }
  } else {
    if (yShape.length > 0 && kind?.kind !== 'mask') {
      throw new DataError(
        `${WHERE}: y: labels need the shape [${n}], got [${targets.shape.join(', ')}] ` +
          "(pass one-hot targets as floats, and for classes of pixels targets: 'mask')",
      );
    }
    const ignored = kind?.kind === 'mask' ? kind.fill : null;
    let needed = 1;
    for (const label of ys) if (label !== ignored) needed = Math.max(needed, label + 1);
    const option = options.classes ?? needed;
    if (typeof option === 'number') checkInteger(WHERE, 'classes', option, 1, 2 ** 31 - 1);
    if (typeof option !== 'number' && !isNames(option)) {
      throw new TypeError(
        `${WHERE}: classes must be names of the classes or their number, got ${show(option)}`,
      );
    }
    classes = typeof option === 'number' ? Array.from({ length: option }, (_, i) => String(i)) : [...option];
    const bad = ys.findIndex((label) => (label < 0 || label >= classes.length) && label !== ignored);
    if (bad >= 0) {
      throw new DataError(
        `${WHERE}: y: a label is out of range: example ${Math.floor((bad * n) / ys.length)} has ${ys[bad]}, expected 0 to ${classes.length - 1}`,
      );
    }
  }

  const xItem = sizeOf(itemShape);
  const yItem = sizeOf(yShape);
  const dataset: Dataset = {
    name,
    length: n,
    x: { shape: itemShape, dtype: xDtype },
    y: { shape: yShape, dtype: yDtype },
    classes,
    ...(declared !== undefined && { targets: declared }),
    whole: { x: xs, y: ys },
    read(indices, xOut, yOut) {
      checkRead(dataset, indices, xOut, yOut);
      for (let i = 0; i < indices.length; i++) {
        const index = indices[i];
        // Loops, because set() from a subarray of another type is far slower on short rows.
        for (let j = 0; j < xItem; j++) xOut[i * xItem + j] = xs[index * xItem + j]!;
        for (let j = 0; j < yItem; j++) yOut[i * yItem + j] = ys[index * yItem + j]!;
      }
    },
  };
  return dataset;
}

/**
 * The examples of a data set at `indices`, in this order. Indices may repeat. Data is not copied.
 *
 * Throws RangeError for an index out of range.
 *
 * @example subset(train, [3, 1, 4]).length // 3
 */
export function subset(
  dataset: Dataset,
  indices: Uint32Array | readonly number[],
  name = `${(dataset as Dataset | null)?.name}/subset`,
): Dataset {
  checkDataset('subset', dataset);
  if (!Array.isArray(indices) && typedArrayName(indices) === undefined) {
    throw new TypeError(`subset: indices must be an array of integers, got ${show(indices)}`);
  }
  checkText('subset', 'name', name);
  for (const index of indices) checkInteger('subset', 'index', index, 0, dataset.length - 1);
  const selected = Uint32Array.from(indices);
  let mapped = new Uint32Array(0); // grows to the size of the largest batch
  const part: Dataset = {
    name,
    length: selected.length,
    x: dataset.x,
    y: dataset.y,
    classes: dataset.classes,
    ...(dataset.targets !== undefined && { targets: dataset.targets }),
    read(batch, x, y) {
      checkRead(part, batch, x, y);
      if (mapped.length < batch.length) mapped = new Uint32Array(batch.length);
      for (let i = 0; i < batch.length; i++) mapped[i] = selected[batch[i]]!;
      readExamples(dataset, mapped.subarray(0, batch.length), x, y);
    },
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
export function take(dataset: Dataset, n: number): Dataset {
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
export function split(
  dataset: Dataset,
  n: number,
  options: {
    /** Determines the split. Default 0. */
    readonly seed?: number;
  } = {},
): readonly [Dataset, Dataset] {
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
 * Shapes: flat array of [N, ...], i32 for class labels, else f32.
 *
 * @example
 * const { classes } = await predict({ model, state, backend, data: test });
 * const correct = targets(test).filter((label, i) => label === classes[i]).length;
 */
export function targets(dataset: Dataset): Int32Array | Float32Array {
  checkDataset('targets', dataset);
  if (dataset.whole !== undefined) return dataset.whole.y;
  const [xItem, yItem] = [sizeOf(dataset.x.shape), sizeOf(dataset.y.shape)];
  const y =
    dataset.y.dtype === 'f32'
      ? new Float32Array(dataset.length * yItem)
      : new Int32Array(dataset.length * yItem);
  const x = dataset.x.dtype === 'f32' ? new Float32Array(100 * xItem) : new Uint8Array(100 * xItem);
  for (let first = 0; first < dataset.length; first += 100) {
    const indices = Uint32Array.from({ length: Math.min(100, dataset.length - first) }, (_, i) => first + i);
    readExamples(dataset, indices, x, y.subarray(first * yItem, (first + indices.length) * yItem));
  }
  return y;
}
