/** The interfaces of a data set and of a loader, as training uses them. */
import type { TensorType } from './types.ts';

/** Examples addressed by index. */
export interface Dataset {
  readonly name: string;
  readonly length: number;
  /** The type of one input, for CIFAR-10 `{ shape: [32, 32, 3], dtype: 'u8' }`. */
  readonly x: TensorType;
  /** The type of one target, for class labels `{ shape: [], dtype: 'i32' }`. */
  readonly y: TensorType;
  /** Class names. Empty where targets are not classes. */
  readonly classes: readonly string[];
  /** All examples, row-major, where they are already in memory. A backend then takes them without another copy on the host. */
  readonly whole?: { readonly x: Uint8Array | Float32Array; readonly y: Int32Array | Float32Array };
  /**
   * Writes the examples at `indices` into `x` and `y`, one after another. It must write the same numbers at every call, and
   * must be synchronous: a function that returns a promise throws. It should not allocate.
   */
  read(indices: Uint32Array, x: Uint8Array | Float32Array, y: Int32Array | Float32Array): void;
}

/** A batch: the indices of its examples, and how each is augmented. It holds no pixels. */
export interface Batch {
  /** [batchSize] */
  readonly indices: Uint32Array;
  /**
   * [batchSize, 3]: vertical shift and horizontal shift in pixels, and flip (0 or 1) of each image. Null without augmentation.
   * Output pixel (y, x) shows source pixel (y + dy, x + dx). With flip 1, the columns of the result are mirrored. Outside the
   * source the result is 0 (after normalization).
   */
  readonly augmentation: Int32Array | null;
  /** How examples are mixed with others of the batch. Null or undefined without mixup. */
  readonly mix?: Mix | null;
}

/** Example i becomes weight · example i + (1 − weight) · example partners[i]. Its loss is the same combination. */
export interface Mix {
  /** [batchSize], positions in the batch. */
  readonly partners: Int32Array;
  /** In [0, 1]. */
  readonly weight: number;
}

/** The order of training examples: `batch(step)` is a pure function of (seed, step). */
export interface Loader {
  readonly dataset: Dataset;
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  /** Whether batches have `augmentation`. */
  readonly augments: boolean;
  /** Whether batches have `mix`. */
  readonly mixes?: boolean;
  /** The seed, where one was given. Training with another seed throws. */
  readonly seed?: number;
  /** The same loader with another seed. `fit({ seed })` calls this, so one seed determines everything. */
  withSeed(seed: number): Loader;
  batch(step: number): Batch;
  /** Plain data that identifies the order. Checkpoints hold it, and resuming with another order throws. */
  readonly config: Readonly<Record<string, unknown>>;
}
