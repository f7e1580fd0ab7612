/** The order of training examples and their augmentation, pure in (seed, step). Moves no pixels. */
import type { Dataset, Loader, Mix } from '../engine/dataset.ts';
import { refuseSpatialTargets } from '../engine/host.ts';
import { checkInteger, checkOneOf, checkOptions, show } from '../engine/options.ts';
import { permutation, stream, type Stream } from '../engine/rng.ts';

export interface LoaderOptions {
  readonly batchSize: number;
  /** A new order every epoch (default), or the order of the data set. */
  readonly shuffle?: boolean;
  /** Default: that of training, and 0 where the loader is used by itself. */
  readonly seed?: number;
  /**
   * `crop`: shift by up to so many pixels each way; `flip`: mirror half of the images left to right; `mixup`: mix every example with
   * one of its batch that is drawn at random (seldom itself), by a weight that each batch draws from Beta(mixup, mixup) (0.1 … 1 are
   * usual). Inputs become f32; a partner is shifted and mirrored like the example that it is mixed with.
   *
   * `crop` and `flip` move images, not targets. Targets with the height and width of the images among their axes (masks, images) are
   * refused. Boxes, key points and smaller maps depend on positions too, but their shape does not show it: leave out crop and flip for them.
   * `mixup` fits any target, because it mixes the losses against both.
   */
  readonly augment?: { readonly crop?: number; readonly flip?: boolean; readonly mixup?: number };
  /** At the end of an epoch: go on with the next epoch's examples in the same batch (default), or drop the rest. */
  readonly partial?: 'wrap' | 'drop';
}

const WHERE = 'loader';

/**
 * Batches of a data set: `batch(step)` is the same whenever and in whatever order it is asked for.
 *
 *   wrap: step k covers positions k·B … k·B + B − 1 of one epoch after another, epoch e in its own order
 *   drop: step k covers positions (k mod S)·B … of epoch floor(k / S), S = floor(N / B)
 *
 * Units: `stepsPerEpoch` is floor(N / B) for drop; for wrap N / B rounded, at least 1, a unit for reports only.
 * Throws RangeError or TypeError for an option that is unknown, out of range or does not fit the data set.
 *
 * @example loader(train, { batchSize: 128, augment: { crop: 4, flip: true } })
 */
export function loader(dataset: Dataset, options: LoaderOptions): Loader {
  if (typeof (dataset as Partial<Dataset> | undefined)?.read !== 'function') {
    throw new TypeError(
      `${WHERE}: takes a data set, got ${show(dataset)} (arrays in memory become one with arrays(x, y))`,
    );
  }
  checkOptions(WHERE, options, ['batchSize', 'shuffle', 'seed', 'augment', 'partial']);
  const { batchSize, shuffle = true, seed = 0, augment = {}, partial = 'wrap' } = options;
  const n = dataset.length;
  checkInteger(WHERE, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  checkInteger(WHERE, 'seed', seed, 0);
  checkOneOf(WHERE, 'shuffle', shuffle, [true, false]);
  checkOneOf(WHERE, 'partial', partial, ['wrap', 'drop']);
  if (n < 1)
    throw new RangeError(
      `${WHERE}: the data set is empty: ${dataset.name} (give one with at least 1 example)`,
    );
  if (partial === 'drop' && batchSize > n) {
    throw new RangeError(
      `${WHERE}: batchSize: with partial 'drop' no batch is left: ${batchSize} examples per batch, ${n} in ${dataset.name} (use at most ${n}, or partial 'wrap')`,
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
        `${WHERE}: augment: only images [height, width, channels] can be cropped and flipped: the items of ${dataset.name} are [${shape.join(', ')}] (leave augment out)`,
      );
    }
    refuseSpatialTargets(WHERE, dataset);
    // A larger shift could move the whole image out of sight.
    checkInteger(WHERE, 'augment.crop', crop, 0, Math.min(shape[0], shape[1]) - 1);
  }

  const stepsPerEpoch =
    partial === 'drop' ? Math.floor(n / batchSize) : Math.max(1, Math.round(n / batchSize));
  // A batch that crosses the border needs two epochs' orders; each costs n draws, so both are kept.
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
      if (!augments) return { indices, draws: null, mix };

      const random = stream(seed, 'augment', step);
      const draws = new Int32Array(batchSize * 3);
      for (let i = 0; i < draws.length; i += 3) {
        draws[i] = random.below(2 * crop + 1) - crop;
        draws[i + 1] = random.below(2 * crop + 1) - crop;
        draws[i + 2] = flip ? random.below(2) : 0;
      }
      return { indices, draws, mix };
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

/** Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (2018); one weight for a batch, as its published code has it. */
function mixOf(batchSize: number, alpha: number, seed: number, step: number): Mix {
  const random = stream(seed, 'mixup', step);
  const [a, b] = [logGamma(alpha, random), logGamma(alpha, random)];
  return {
    partners: Int32Array.from(permutation(batchSize, seed, 'mixup partners', step)),
    weight: 1 / (1 + Math.exp(b - a)),
  };
}

/**
 * The logarithm of a draw from Gamma(alpha, 1): small parameters give numbers that underflow.
 * Source: Marsaglia and Tsang, A Simple Method for Generating Gamma Variables (2000), section 6 for alpha below 1.
 */
function logGamma(alpha: number, random: Stream): number {
  // 1 − u is above 0.
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
