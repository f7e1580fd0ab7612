/** The interface of augmentations: random changes of training examples. */
import type { Stream } from './rng.ts';
import type { Tensor } from './tensor.ts';

/** What an augmentation draws its numbers for. */
export interface DrawnExample {
  /** Height of the image in pixels. */
  readonly height: number;
  /** Width of the image in pixels. */
  readonly width: number;
  /** Position in the data set. */
  readonly index: number;
  /** Passes through the data set before this one. */
  readonly epoch: number;
  /** The seed of training. */
  readonly seed: number;
}

/** What images are, besides their pixels. */
export interface ImageRange {
  /** The value of white: 255 for bytes, 1 for floats. */
  readonly white: number;
  /** The value that `normalize` turns into 0, f32. It broadcasts to [H, W, C]. */
  readonly neutral: Tensor;
}

/**
 * How targets move with the pixels of images. A kind of target that is missing is refused.
 *
 * The second argument of each function has the draws of the examples, [N, draws].
 */
export interface TargetMoves {
  /** Moves masks [N, H, W, C], i32 or f32. `fill` is the value of pixels from outside. */
  mask?(masks: Tensor, draws: Tensor, fill: number): Tensor;
  /** Moves images [N, H, W, C], f32. `fill` is the value of pixels from outside. */
  image?(images: Tensor, draws: Tensor, fill: number): Tensor;
  /** Moves boxes [N, K, 4 + any] of images of `size` [H, W]. */
  boxes?(boxes: Tensor, draws: Tensor, size: readonly [number, number]): Tensor;
  /** Moves points [N, K, 2 + any] of images of `size` [H, W]. */
  points?(points: Tensor, draws: Tensor, size: readonly [number, number]): Tensor;
}

/** Kind and options as plain data. */
export interface AugmentationConfig {
  /** Kind of the augmentation: 'crop'. */
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** A random change of images. It draws some numbers for each example and has a function of (images, draws). */
export interface Augmentation {
  /** Checkpoints store it, and resuming with another one throws. */
  readonly config: AugmentationConfig;
  /** Draws the numbers of an example: always as many, all finite, and a function of the arguments alone. */
  draw(random: Stream, example: DrawnExample): readonly number[];
  /** The changed images in the graph. Images are f32 [N, H, W, C] in the units of the data, draws f32 [N, draws]. */
  images(images: Tensor, draws: Tensor, range: ImageRange): Tensor;
  /** What it does to targets. 'unchanged' is for augmentations that move no pixel. */
  readonly targets: 'unchanged' | TargetMoves;
  /** The same in the short form of the loader, if it has one. */
  readonly short?: { readonly crop?: number; readonly flip?: boolean };
}

/** A combination of each example with another one of its batch. */
export interface Mixing {
  readonly config: AugmentationConfig;
  /** The mixture of a batch: a function of the arguments alone. */
  mix(batch: MixedBatch): Mix;
  /** Whether `mix` has a box. */
  readonly hasBox: boolean;
  /** The same in the short form of the loader, if it has one. */
  readonly short?: { readonly mixup?: number };
}

/** What a mixture is drawn for. */
export interface MixedBatch {
  readonly batchSize: number;
  /** The shape of an example. */
  readonly shape: readonly number[];
  readonly seed: number;
  readonly step: number;
}

/**
 * Without a box, example i becomes weight · example i + (1 − weight) · example partners[i]. With a box, its pixels in the box become
 * those of example partners[i]. The loss of the example is weight · its loss for its target + (1 − weight) · that for the other target.
 */
export interface Mix {
  /** Positions in the batch, [batchSize]. */
  readonly partners: Int32Array;
  /** In [0, 1]. */
  readonly weight: number;
  /** The rows and columns of the box: top, left, bottom, right, [4]. The last two are exclusive. */
  readonly box?: Int32Array;
}
