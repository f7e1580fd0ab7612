/** The interfaces of data sets and loaders. */
import type { Augmentation, Mix } from './augmentation.ts';
import type { Like, Types } from './named.ts';
import type { Targets } from './targets.ts';
import type { TensorType } from './types.ts';

export type { Mix } from './augmentation.ts';

/** The numbers of inputs, one example after another: bytes, floats, or integers such as tokens. */
export type InputData = Uint8Array | Float32Array | Int32Array;
/** The numbers of targets, one example after another. */
export type TargetData = Int32Array | Float32Array;

/**
 * Examples addressed by index. `X` and `Y` are the types of inputs and targets: one type, or an object of types by name for several. The
 * arrays of `whole` and `read` have the same names.
 */
export interface Dataset<X extends Types = TensorType, Y extends Types = TensorType> {
  /** Appears in messages and in the config of loaders. */
  readonly name: string;
  /** Number of examples. */
  readonly length: number;
  /** The type of one input, for CIFAR-10 `{ shape: [32, 32, 3], dtype: 'u8' }`. */
  readonly x: X;
  /** The type of one target, for class labels `{ shape: [], dtype: 'i32' }`. */
  readonly y: Y;
  /** Class names. Empty if targets are not classes. */
  readonly classes: readonly string[];
  /** What targets are. Augmentations that move pixels need it for targets with two axes or more. */
  readonly targets?: Targets;
  /** All examples, row-major, if they are already in memory. Backends use them without another copy on the host. */
  readonly whole?: { readonly x: Like<X, InputData>; readonly y: Like<Y, TargetData> };
  /**
   * Writes the examples at `indices` into `x` and `y`, one after another, the same numbers in every call. It may return a promise that
   * resolves when everything is written. Then several calls can be pending, each with its own arrays.
   */
  read(indices: Uint32Array, x: Like<X, InputData>, y: Like<Y, TargetData>): void | PromiseLike<void>;
  /** Writes only the targets at `indices`, at once. Data sets whose `read` returns a promise need it for `targets`. */
  readTargets?(indices: Uint32Array, y: Like<Y, TargetData>): void;
}

/** A data set with any inputs and targets. */
export type AnyDataset = Dataset<Types, Types>;

/** A batch: the indices of its examples, and the augmentation of each. It contains no data. */
export interface Batch {
  /** Positions in the data set, [batchSize]. */
  readonly indices: Uint32Array;
  /**
   * Vertical shift dy and horizontal shift dx in pixels, and flip (0 or 1) of each image, [batchSize, 3]. Null without augmentation.
   * Pixel (y, x) of the result is pixel (y + dy, x + dx) of the image, or 0 (after normalization) outside the image. With flip 1, the
   * columns of the result are mirrored.
   */
  readonly augmentation: Int32Array | null;
  /** The draws of the loader's `augmentations`, [batchSize, total draws], one augmentation after another. */
  readonly draws?: Float32Array | null;
  /** Mixup of the batch. Null or undefined without mixup. */
  readonly mix?: Mix | null;
}

/** The order of training examples: `batch(step)` is a pure function of (seed, step). */
export interface Loader<X extends Types = TensorType, Y extends Types = TensorType> {
  readonly dataset: Dataset<X, Y>;
  /** Examples per batch. */
  readonly batchSize: number;
  /** Steps of an epoch, for reports. */
  readonly stepsPerEpoch: number;
  /** Whether batches have `augmentation`. */
  readonly augments: boolean;
  /** Augmentations in order. Batches then have `draws`, and `mix` is applied after them. */
  readonly augmentations?: readonly LoaderAugmentation[];
  /** Whether batches have `mix`, and 'box' if their mixtures have a box. */
  readonly mixes?: boolean | 'box';
  /** The explicit seed, if any. Training with another seed throws. */
  readonly seed?: number;
  /** The same loader with another seed. `fit({ seed })` calls this, so one seed determines everything. */
  withSeed(seed: number): Loader<X, Y>;
  /** The batch of a step, from 0. */
  batch(step: number): Batch;
  /** Plain data that identifies the order. Checkpoints store it, and resuming with another order throws. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A loader of any inputs and targets. */
export type AnyLoader = Loader<Types, Types>;

/** An augmentation with the number of its draws for each example. */
export interface LoaderAugmentation {
  /** The name of the input that it changes. Default: the only image. */
  readonly input?: string;
  readonly augmentation: Augmentation;
  readonly draws: number;
}
