/** The order of the training examples and their augmentation: pure functions of (seed, step). No pixels are moved here. */
import type { Augmentation, Mixing } from '../engine/augmentation.ts';
import type { Dataset, Loader } from '../engine/dataset.ts';
import type { Types } from '../engine/named.ts';
import { checkInteger, checkOneOf, checkOptions } from '../engine/options.ts';
import { permutation, stream } from '../engine/rng.ts';
import { imagesOf } from '../engine/targets.ts';
import type { Shape } from '../engine/types.ts';
import { augmentationOf, drawAll, type AugmentOptions, type NamedAugmentations } from './augment.ts';
import { checkDataset } from './checks.ts';

export interface LoaderOptions {
  /** Examples per batch. */
  readonly batchSize: number;
  /** Whether every epoch has a new random order. With false, the order is that of the data set. Default true. */
  readonly shuffle?: boolean;
  /** Determines order and augmentation. Default: the seed of training, or 0 for a loader without training. */
  readonly seed?: number;
  /**
   * Augmentation of the training images: a list of augmentations from `cyclegrad/augment`, applied in order, or the short form of the
   * most common ones. `[crop(4), flip()]` and `{ crop: 4, flip: true }` are the same. Default: none.
   *
   * For several images, an object has a list for each input that changes: `{ left: [flip()], right: [brightness(0.2)] }`. Each has its
   * own draws, and `nn.normalize` must get the input itself.
   *
   * Targets move with the images. Data sets declare what their targets are: `arrays(x, y, { targets: 'mask' })`, or of several images
   * `{ targets: { kind: 'mask', of: 'left' } }`.
   */
  readonly augment?: AugmentOptions | readonly (Augmentation | Mixing)[] | NamedAugmentations;
  /** The end of an epoch: 'wrap' fills the batch with examples of the next epoch, 'drop' skips the remaining examples. Default 'wrap'. */
  readonly partial?: 'wrap' | 'drop';
}

const WHERE = 'loader';

/**
 * Batches of a data set. `batch(step)` depends only on seed and step, not on earlier calls.
 *
 *   wrap: step k covers positions k·B to k·B + B − 1 of the concatenated epochs, each in its own order
 *   drop: step k covers positions (k mod S)·B to (k mod S)·B + B − 1 of epoch floor(k / S), S = floor(N / B)
 *
 * Units: `stepsPerEpoch` is S for drop. For wrap it is N / B, rounded, at least 1, and used only in reports.
 * Throws RangeError or TypeError for an option that is unknown, out of range or does not fit the data set.
 *
 * @example
 * const data = loader(train, { batchSize: 128, augment: { crop: 4, flip: true } });
 * data.batch(0).indices.length // 128
 */
export function loader<X extends Types, Y extends Types>(
  dataset: Dataset<X, Y>,
  options: LoaderOptions,
): Loader<X, Y> {
  checkDataset(WHERE, dataset, 'the first argument', 'for arrays in memory, use arrays(x, y)');
  checkOptions(WHERE, options, ['batchSize', 'shuffle', 'seed', 'augment', 'partial']);
  const { batchSize, shuffle = true, seed = 0, augment = {}, partial = 'wrap' } = options;
  const n = dataset.length;
  checkInteger(WHERE, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  checkInteger(WHERE, 'seed', seed, 0);
  checkOneOf(WHERE, 'shuffle', shuffle, [true, false]);
  checkOneOf(WHERE, 'partial', partial, ['wrap', 'drop']);
  if (n < 1)
    throw new RangeError(
      `${WHERE}: the data set is empty: ${dataset.name} (pass one with at least 1 example)`,
    );
  if (partial === 'drop' && batchSize > n) {
    throw new RangeError(
      `${WHERE}: batchSize: partial 'drop' leaves no batch: ${batchSize} examples per batch, ${n} in ${dataset.name} (use at most ${n}, or partial 'wrap')`,
    );
  }
  const { crop, flip, mixing, list, config } = augmentationOf(WHERE, dataset, augment);
  const augments = crop > 0 || flip;
  // What is drawn for an example depends on the size of its image.
  const shapeOf = (input?: string): Shape => imagesOf(WHERE, dataset, input).shape;

  const stepsPerEpoch =
    partial === 'drop' ? Math.floor(n / batchSize) : Math.max(1, Math.round(n / batchSize));
  // A batch that crosses the end of an epoch needs the orders of two epochs. Each costs n draws, so both are cached.
  const orders = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    let order = orders.get(epoch);
    if (order === undefined) {
      order = permutation(n, seed, 'order', epoch);
      if (orders.size === 2) orders.delete(orders.keys().next().value!);
      orders.set(epoch, order);
    }
    return order;
  };

  return {
    dataset,
    batchSize,
    stepsPerEpoch,
    augments,
    mixes: mixing !== null && (mixing.hasBox ? 'box' : true),
    ...(list !== null && { augmentations: list }),
    ...(options.seed !== undefined && { seed }),
    withSeed: (other) => loader(dataset, { ...options, seed: other }),
    batch(step) {
      checkInteger(`${WHERE}: batch`, 'step', step, 0, Math.floor(Number.MAX_SAFE_INTEGER / batchSize) - 1);
      let epoch = Math.floor(partial === 'drop' ? step / stepsPerEpoch : (step * batchSize) / n);
      let position = partial === 'drop' ? (step % stepsPerEpoch) * batchSize : (step * batchSize) % n;
      const indices = new Uint32Array(batchSize);
      const epochs = new Float64Array(batchSize);
      let order = shuffle ? orderOf(epoch) : null;
      for (let i = 0; i < batchSize; i++, position++) {
        if (position === n) {
          position = 0;
          epoch++;
          if (shuffle) order = orderOf(epoch);
        }
        indices[i] = order === null ? position : order[position];
        epochs[i] = epoch;
      }
      const mix = mixing === null ? null : mixing.mix({ batchSize, shape: shapeOf(), seed, step });
      const draws = list === null ? null : drawAll(WHERE, list, { indices, epochs, shapeOf, seed, step });
      if (!augments) return { indices, augmentation: null, draws, mix };

      const random = stream(seed, 'augment', step);
      const augmentation = new Int32Array(batchSize * 3);
      for (let i = 0; i < augmentation.length; i += 3) {
        augmentation[i] = random.below(2 * crop + 1) - crop;
        augmentation[i + 1] = random.below(2 * crop + 1) - crop;
        augmentation[i + 2] = flip ? random.below(2) : 0;
      }
      return { indices, augmentation, draws, mix };
    },
    config: Object.freeze({
      dataset: dataset.name,
      examples: n,
      batchSize,
      shuffle,
      partial,
      augment: config,
    }),
  };
}
