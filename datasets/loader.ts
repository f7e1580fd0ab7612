/** The order of the training examples and their augmentation: pure functions of (seed, step). No pixels are moved here. */
import type { Dataset, Loader, Mix } from '../engine/dataset.ts';
import { refuseSpatialTargets } from '../engine/host.ts';
import { checkInteger, checkOneOf, checkOptions, show } from '../engine/options.ts';
import { permutation, stream, type Stream } from '../engine/rng.ts';
import { checkDataset } from './checks.ts';

export interface LoaderOptions {
  /** Examples per batch. */
  readonly batchSize: number;
  /** Whether every epoch has a new random order. With false, the order is that of the data set. Default true. */
  readonly shuffle?: boolean;
  /** Determines order and augmentation. Default: the seed of training, or 0 for a loader without training. */
  readonly seed?: number;
  /**
   * Augmentation. Default: none.
   *
   * `crop` and `flip` move images, not targets. They throw for targets that have the height and width of the images among their axes,
   * such as masks. Do not use them for boxes or key points, whose shapes do not show that they depend on positions.
   */
  readonly augment?: {
    /** Shifts each image by up to this many pixels in each direction. Default 0. */
    readonly crop?: number;
    /** Mirrors half of the images left to right. Default false. */
    readonly flip?: boolean;
    /**
     * Mixes each example with a random partner of its batch. Each batch draws its weight from Beta(mixup, mixup). Common values are 0.1
     * to 1. Inputs become f32. Partners are shifted and mirrored like the example that they are mixed with. It supports any target,
     * because it mixes the losses for both targets. Default 0: no mixup.
     */
    readonly mixup?: number;
  };
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
export function loader(dataset: Dataset, options: LoaderOptions): Loader {
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
  checkOptions(`${WHERE}: augment`, augment, ['crop', 'flip', 'mixup']);
  const { crop = 0, flip = false, mixup = 0 } = augment;
  checkOneOf(WHERE, 'augment.flip', flip, [true, false]);
  checkInteger(WHERE, 'augment.crop', crop, 0);
  if (typeof mixup !== 'number' || !(mixup === 0 || (mixup >= 1e-6 && mixup < Infinity))) {
    throw new RangeError(
      `${WHERE}: augment.mixup must be 0 or a finite number >= 1e-6, the parameter of a Beta distribution, got ${show(mixup)}`,
    );
  }
  const augments = crop > 0 || flip;
  if (augments) {
    const { shape } = dataset.x;
    if (shape.length !== 3) {
      throw new TypeError(
        `${WHERE}: augment: crop and flip need images [height, width, channels], but the inputs of ${dataset.name} are [${shape.join(', ')}] (omit them)`,
      );
    }
    refuseSpatialTargets(WHERE, dataset);
    // A larger shift could move the whole image out of view.
    checkInteger(WHERE, 'augment.crop', crop, 0, Math.min(shape[0], shape[1]) - 1);
  }

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
    mixes: mixup > 0,
    ...(options.seed !== undefined && { seed }),
    withSeed: (other) => loader(dataset, { ...options, seed: other }),
    batch(step) {
      checkInteger(`${WHERE}: batch`, 'step', step, 0, Math.floor(Number.MAX_SAFE_INTEGER / batchSize) - 1);
      let epoch = Math.floor(partial === 'drop' ? step / stepsPerEpoch : (step * batchSize) / n);
      let position = partial === 'drop' ? (step % stepsPerEpoch) * batchSize : (step * batchSize) % n;
      const indices = new Uint32Array(batchSize);
      let order = shuffle ? orderOf(epoch) : null;
      for (let i = 0; i < batchSize; i++, position++) {
        if (position === n) {
          position = 0;
          epoch++;
          if (shuffle) order = orderOf(epoch);
        }
        indices[i] = order === null ? position : order[position];
      }
      const mix = mixup > 0 ? mixOf(batchSize, mixup, seed, step) : null;
      if (!augments) return { indices, augmentation: null, mix };

      const random = stream(seed, 'augment', step);
      const augmentation = new Int32Array(batchSize * 3);
      for (let i = 0; i < augmentation.length; i += 3) {
        augmentation[i] = random.below(2 * crop + 1) - crop;
        augmentation[i + 1] = random.below(2 * crop + 1) - crop;
        augmentation[i + 2] = flip ? random.below(2) : 0;
      }
      return { indices, augmentation, mix };
    },
    config: Object.freeze({
      dataset: dataset.name,
      examples: n,
      batchSize,
      shuffle,
      partial,
      augment: augments || mixup > 0 ? Object.freeze({ crop, flip, ...(mixup > 0 && { mixup }) }) : null,
    }),
  };
}

/** Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018. Like its published code, it uses one weight for a batch. */
function mixOf(batchSize: number, alpha: number, seed: number, step: number): Mix {
  const random = stream(seed, 'mixup', step);
  const [a, b] = [logGamma(alpha, random), logGamma(alpha, random)];
  return {
    partners: Int32Array.from(permutation(batchSize, seed, 'mixup partners', step)),
    weight: 1 / (1 + Math.exp(b - a)),
  };
}

/**
 * The logarithm of a draw from Gamma(alpha, 1). For small parameters the draw itself would underflow.
 * Source: Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000, section 6 for alpha below 1.
 */
function logGamma(alpha: number, random: Stream): number {
  // 1 − u is never 0.
  if (alpha < 1) return logGamma(alpha + 1, random) + Math.log(1 - random.uniform()) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const logV = Math.log(v);
    if (Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * logV) return Math.log(d) + logV;
  }
}
