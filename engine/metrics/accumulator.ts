/** Metrics that are not means over examples: they count or collect something over a whole data set. */
import { isRecord } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor } from '../types.ts';

/** A metric of a whole data set. `evaluate` and the evaluations of `fit` accept it wherever they accept a function. */
export interface Accumulator<O = Tensor, Y = Tensor> {
  /** The name in messages: 'f1'. */
  readonly kind: string;
  /** What the graph computes from the output of the model and the targets, and what becomes of it. Called once for each compilation. */
  measure(output: O, targets: Y): Measured;
}

export interface Measured {
  /** Tensors by name, each with one row per example. */
  readonly rows: Readonly<Record<string, Tensor>>;
  /** Starts an evaluation. */
  start(): Accumulation;
}

/** One evaluation of an accumulator. */
export interface Accumulation {
  /** Adds a batch: the values of `rows`, in the order of the data set. */
  add(rows: Readonly<Record<string, HostTensor>>): void;
  /** The metric over everything that was added. */
  result(): Score;
}

export interface Score {
  /** The number that events and reports show. NaN if it is undefined, for instance without examples of a class. */
  readonly value: number;
  /** More than one number, as plain data. `evaluate` returns it in `details`. */
  readonly detail?: Detail;
}

/** What a metric has besides its number, as plain data. */
export interface Detail {
  /** A number for each class. NaN for classes that do not occur. */
  readonly perClass?: readonly number[];
  /** Examples, or pixels, by label (rows) and by prediction (columns). */
  readonly matrix?: readonly (readonly number[])[];
  readonly [name: string]: unknown;
}

export const isAccumulator = (value: unknown): value is Accumulator =>
  isRecord(value) && typeof value['measure'] === 'function';

/** NaN without values. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
