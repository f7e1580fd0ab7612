/** One value, or several by name: the inputs and targets of a data set, and the outputs of a model. */
import { isPromise, isRecord, show } from './options.ts';
import { formatType } from './shape.ts';
import { Tensor } from './tensor.ts';
import type { TensorType } from './types.ts';

/** One value, or an object of values by name. */
export type Named<T> = T | Readonly<Record<string, T>>;

/** The type of one tensor, or the types of several by name. */
export type Types = Named<TensorType>;

/** A `T` for one type, and an object of `T` with the same names for types by name. */
export type Like<S extends Types, T> = S extends TensorType ? T : { readonly [N in keyof S]: T };

/** One of several values. The name is null for a value that is alone. */
export interface Part<T> {
  readonly name: string | null;
  readonly value: T;
}

/** Names are parts of keys in a store and in messages: 'x.image'. */
const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** Whether `types` is the type of one tensor. */
export const isType = (types: unknown): types is TensorType =>
  isRecord(types) && Array.isArray(types['shape']) && typeof types['dtype'] === 'string';

/** The parts of types, in order. */
export const partsOf = (types: Types): readonly Part<TensorType>[] =>
  isType(types)
    ? [{ name: null, value: types }]
    : Object.entries(types).map(([name, value]) => ({ name, value }));

/** The tensors of an input or output, in order. */
export const tensorsOf = (tensors: Named<Tensor>): readonly Part<Tensor>[] =>
  tensors instanceof Tensor
    ? [{ name: null, value: tensors }]
    : Object.entries(tensors).map(([name, value]) => ({ name, value }));

/** `output f32 [8,3]`, or `outputs kind f32 [8,3], size f32 [8,1]`. */
export const listTensors = (which: 'output' | 'target', tensors: Named<Tensor>): string =>
  tensors instanceof Tensor
    ? `${which} ${formatType(tensors)}`
    : `${which}s ${tensorsOf(tensors)
        .map(({ name, value }) => `${name} ${value instanceof Tensor ? formatType(value) : show(value)}`)
        .join(', ')}`;

/** How keys and messages name a part: 'x', or 'x.image'. */
export const keyOf = (which: string, name: string | null): string =>
  name === null ? which : `${which}.${name}`;

/** The value of a part. */
export const partOf = <T>(values: Named<T>, name: string | null): T =>
  name === null ? (values as T) : (values as Readonly<Record<string, T>>)[name];

/** One value for each part, alone or by name as the parts are. */
export function mapParts<S, T>(
  parts: readonly Part<S>[],
  map: (value: S, name: string | null) => T,
): Named<T> {
  if (parts[0]?.name === null) return map(parts[0].value, null);
  return Object.fromEntries(parts.map(({ name, value }) => [name, map(value, name)]));
}

/** The number of rows of the first tensor. */
export const rowsIn = (tensors: Named<Tensor>): number | undefined => tensorsOf(tensors)[0]?.value.shape[0];

/** Throws TypeError for values by name without a name, or with a name that cannot be part of a key. */
export function checkNames(where: string, named: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(named);
  if (names.length === 0)
    throw new TypeError(`${where}: is an object without any names (write { image: … })`);
  const bad = names.find((name) => !NAME.test(name));
  if (bad === undefined) return;
  throw new TypeError(
    `${where}: '${bad}' cannot be a name (use a letter or _, then letters, digits, _ and -)`,
  );
}

/** Throws TypeError unless a function returned a tensor, or an object of tensors by name. */
export function checkReturned(called: string, value: unknown): asserts value is Named<Tensor> {
  if (value instanceof Tensor) return;
  if (!isRecord(value) || isPromise(value)) {
    throw new TypeError(`${called} must return a tensor, got ${show(value)}`);
  }
  const entries = Object.entries(value);
  if (entries.length === 0) throw new TypeError(`${called} must return a tensor, got an object without any`);
  const bad = entries.find(([, each]) => !(each instanceof Tensor));
  if (bad !== undefined) {
    throw new TypeError(
      `${called} must return a tensor, or an object of tensors by name, got ${show(bad[1])} for '${bad[0]}'`,
    );
  }
  checkNames(called, value);
}
