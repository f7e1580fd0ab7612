/** Checks of custom data sets and loaders before the first step, when an error costs nothing. */
import type { AnyDataset, AnyLoader } from '../dataset.ts';
import { DataError } from '../errors.ts';
import { holds } from '../host.ts';
import { checkNames, isType, keyOf } from '../named.ts';
import { checkInteger, checkKind, isRecord, show } from '../options.ts';
import { sizeOf } from '../shape.ts';
import type { HostData, TensorType } from '../types.ts';

/** Throws TypeError or RangeError unless the members of a data set have their types. */
export function checkDataset(where: string, dataset: AnyDataset): void {
  checkKind(where, 'data', dataset, 'read', 'a data set');
  const { name, length, x, y, classes } = dataset;
  const here = `${where}: ${name}`;
  checkInteger(here, 'length', length, 0);
  checkTypes(here, 'x', x, ['u8', 'f32', 'i32']);
  checkTypes(here, 'y', y, ['i32', 'f32']);
  if (!Array.isArray(classes) || !classes.every((label) => typeof label === 'string')) {
    throw new TypeError(
      `${here}: classes must be an array of names (empty without classes), got ${show(classes)}`,
    );
  }
}

/** Checks one type, or each of several types by name. */
function checkTypes(where: string, which: string, types: unknown, dtypes: readonly string[]): void {
  const isNamed = isRecord(types) && !isType(types) && Object.values(types).every(isRecord);
  if (!isNamed || Object.keys(types).length === 0) return checkType(where, which, types, dtypes);
  checkNames(`${where}: ${which}`, types);
  for (const [name, type] of Object.entries(types)) checkType(where, keyOf(which, name), type, dtypes);
}

function checkType(where: string, name: string, type: unknown, dtypes: readonly string[]): void {
  const { shape, dtype } = (isRecord(type) ? type : {}) as Partial<TensorType>;
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (isShape && dtypes.includes(String(dtype))) return;
  const got = isRecord(type) ? JSON.stringify({ shape, dtype }) : show(type);
  throw new TypeError(
    `${where}: ${name} must be the type of one example { shape, dtype } with dtype ${dtypes.map(show).join(' or ')}, got ${got}`,
  );
}

/** Throws TypeError or RangeError unless the members of a loader have their types. */
export function checkLoader(where: string, loader: AnyLoader): void {
  const here = `${where}: data`;
  checkDataset(here, loader.dataset);
  checkInteger(here, 'batchSize', loader.batchSize, 1, 2 ** 31 - 1);
  const { stepsPerEpoch, config } = loader;
  if (!(stepsPerEpoch > 0 && stepsPerEpoch < Infinity)) {
    throw new RangeError(`${here}: stepsPerEpoch must be a number above 0, got ${show(stepsPerEpoch)}`);
  }
  if (!isRecord(config) || !isJson(config)) {
    throw new TypeError(
      `${here}: config must be an object of plain data, which checkpoints store as JSON, got ${show(config)}`,
    );
  }
}

/** Whether `value` can be written as JSON. */
export function isJson(value: object): boolean {
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false; // circular, or a BigInt
  }
}

/**
 * Throws DataError if reading an example twice gives different numbers: `read` does not write all elements, which would train on zeros,
 * or it draws its numbers anew. The buffers of the two reads begin with different values.
 */
export async function checkReading(
  dataset: AnyDataset,
  read: (fill: number) => Promise<readonly (readonly [key: string, data: HostData])[]>,
): Promise<void> {
  const [first, second] = [await read(0), await read(1)];
  for (const [part, [name, values]] of first.entries()) {
    const others = second[part][1];
    const at = values.findIndex((value, i) => !Object.is(value, others[i]));
    if (at < 0) continue;
    throw new DataError(
      `${dataset.name}: read: two reads of example 0 give ${values[at]} and ${others[at]} for element ${at} of ${name} ` +
        '(read must write every element, and the same numbers in every call)',
    );
  }
}

/** Throws DataError for the first label that is not an index of `classes`. Other targets are not labels. */
export function checkLabels({ name, y, classes }: AnyDataset, labels: HostData): void {
  if (
    !isType(y) ||
    classes.length === 0 ||
    y.dtype !== 'i32' ||
    sizeOf(y.shape) !== 1 ||
    !holds('i32', labels)
  )
    return;
  const at = labels.findIndex((label) => label < 0 || label >= classes.length);
  if (at < 0) return;
  throw new DataError(
    `${name}: example ${at} has the label ${labels[at]}, but there are ${classes.length} classes (0 to ${classes.length - 1})`,
  );
}
