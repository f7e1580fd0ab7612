/** What a data set and a loader are: all that training knows of either. */
import type { TensorType } from './types.ts';

/** Examples addressed by index. */
export interface Dataset {
  readonly name: string;
  readonly length: number;
  /** One input: for CIFAR-10 `{ shape: [32, 32, 3], dtype: 'u8' }`. */
  readonly x: TensorType;
  /** One target: `{ shape: [], dtype: 'i32' }` for class labels. */
  readonly y: TensorType;
  /** Class names; empty where targets are not classes. */
  readonly classes: readonly string[];
  /** All examples, row-major, where they lie in memory already: a backend then takes them without another copy. */
  readonly whole?: { readonly x: Uint8Array | Float32Array; readonly y: Int32Array | Float32Array };
  /**
   * Writes the examples at `indices`, one after another, into `x` and `y`: the same numbers every time. Allocates nothing.
   * It must be synchronous: a function that returns a promise is refused.
   */
  read(indices: Uint32Array, x: Uint8Array | Float32Array, y: Int32Array | Float32Array): void;
}

/** One batch as choices only: which examples, and how each is augmented. */
export interface Batch {
  /** [batchSize] */
  readonly indices: Uint32Array;
  /**
   * [batchSize, 3]: vertical shift, horizontal shift (pixels, −pad … pad) and flip (0 or 1) of each image; null
   * without augmentation. Output pixel (y, x) shows source pixel (y + dy, x + dx), the column mirrored after that
   * when flip is 1; outside the source it is 0 (after normalisation).
   */
  readonly draws: Int32Array | null;
  /** How examples are mixed with others of the batch; null or absent without mixing. */
  readonly mix?: Mix | null;
}

/** Example i becomes weight · example i + (1 − weight) · example partners[i], its loss the same sum of two. */
export interface Mix {
  /** [batchSize], positions in the batch. */
  readonly partners: Int32Array;
  /** 0 … 1 */
  readonly weight: number;
}

/** The order of training examples: `batch(step)` is a pure function of (seed, step). */
export interface Loader {
  readonly dataset: Dataset;
  readonly batchSize: number;
  readonly stepsPerEpoch: number;
  /** Whether batches have `draws`. */
  readonly augments: boolean;
  /** Whether batches have `mix`. */
  readonly mixes?: boolean;
  /** The seed, where one was given: training with another one is refused. */
  readonly seed?: number;
  /** The loader for another seed: `fit({ seed })` calls this, so that one seed decides everything. */
  withSeed(seed: number): Loader;
  batch(step: number): Batch;
  /** Plain data that identifies the order, kept in checkpoints: resuming with another order is refused. */
  readonly config: Readonly<Record<string, unknown>>;
}
