/** The augmentation of a loader: its options, and the draws of a batch. */
import type { Augmentation, DrawnExample, Mixing } from '../engine/augmentation.ts';
import type { AnyDataset, LoaderAugmentation } from '../engine/dataset.ts';
import { drawMixup } from '../engine/mixing.ts';
import { checkInteger, checkOneOf, checkOptions, isPromise, isRecord, show } from '../engine/options.ts';
import { stream } from '../engine/rng.ts';
import { isType } from '../engine/named.ts';
import { imageOf, imagesOf, targetsOf } from '../engine/targets.ts';
import type { Shape, TensorType } from '../engine/types.ts';

/** The short form of common augmentations. */
export interface AugmentOptions {
  /** Shifts each image by up to this many pixels in each direction. Pixels from outside are 0 after `normalize`. Default 0. */
  readonly crop?: number;
  /** Mirrors half of the images left to right. Default false. */
  readonly flip?: boolean;
  /**
   * Mixes each example with a random partner of its batch. Each batch draws its weight from Beta(mixup, mixup). Common values are 0.1
   * to 1. Inputs become f32. Partners are shifted and mirrored like the example that they are mixed with. It supports any target,
   * because it mixes the losses for both targets. Default 0: no mixup.
   */
  readonly mixup?: number;
}

/** A list of augmentations for each of several inputs, by name. */
export type NamedAugmentations = Readonly<Record<string, readonly Augmentation[]>>;

/** The checked augmentation of a loader. */
export interface LoaderAugment {
  readonly crop: number;
  readonly flip: boolean;
  readonly mixing: Mixing | null;
  /** Augmentations of the model's input in order. Null if the short form is enough. */
  readonly list: readonly LoaderAugmentation[] | null;
  /** Plain data that identifies all of it. Null without augmentation. */
  readonly config: object | null;
}

/** Throws TypeError or RangeError for options that are unknown, out of range, or do not fit the data set. */
export function augmentationOf(
  where: string,
  dataset: AnyDataset,
  augment: AugmentOptions | readonly (Augmentation | Mixing)[] | NamedAugmentations,
): LoaderAugment {
  if (isNamed(augment)) return namedLists(where, dataset, augment);
  if (!Array.isArray(augment)) return shortForm(where, dataset, augment as AugmentOptions);
  const parts: readonly (Augmentation | Mixing)[] = augment;
  parts.forEach((part, i) => checkPart(`${where}: augment[${i}]`, part));
  const mixingAt = parts.findIndex(isMixing);
  if (mixingAt >= 0 && mixingAt < parts.length - 1) {
    throw new TypeError(
      `${where}: augment[${mixingAt}]: ${parts[mixingAt].config.kind} must be the last augmentation, because it combines finished images, ` +
        `but ${parts[mixingAt + 1].config.kind} follows`,
    );
  }
  const mixing = mixingAt < 0 ? null : (parts[mixingAt] as Mixing);
  if (mixing !== null) expectSingle(where, dataset, String(mixing.config.kind));
  const own = parts.filter((part) => !isMixing(part)) as Augmentation[];
  const short = shortOf(own);
  const isShort = short !== null && (mixing === null || mixing.short !== undefined);
  if (isShort) return shortForm(where, dataset, { ...short, ...mixing?.short });
  if (parts.length > 0) expectImages(where, dataset, parts[0].config.kind);
  if (mixing?.hasBox === true) expectMixable(where, dataset, mixing);
  const config = Object.freeze(parts.map((part) => part.config));
  if (short !== null) return { ...shortForm(where, dataset, short), mixing, list: [], config };
  const list = own.map((augmentation, i) => {
    expectMovable(where, `augment[${i}]`, dataset, augmentation);
    return { augmentation, draws: drawsOf(augmentation, imagesOf(where, dataset)) };
  });
  return { crop: 0, flip: false, mixing, list, config };
}

/** The number of draws for each image. */
function drawsOf(augmentation: Augmentation, { shape: [height, width] }: TensorType): number {
  return augmentation.draw(stream(0, 'count'), { height, width, index: 0, epoch: 0, seed: 0 }).length;
}

const isNamed = (augment: unknown): augment is NamedAugmentations =>
  isRecord(augment) &&
  !Array.isArray(augment) &&
  Object.values(augment).some((value) => Array.isArray(value));

/** Lists of augmentations for inputs by name. */
function namedLists(where: string, dataset: AnyDataset, lists: NamedAugmentations): LoaderAugment {
  const list = Object.entries(lists).flatMap(([input, parts]) => {
    const at = `${where}: augment.${input}`;
    const { value: type } = imageOf(`${where}: augment`, dataset, input);
    if (!Array.isArray(parts)) {
      throw new TypeError(`${at} must be a list of augmentations, for instance [flip()], got ${show(parts)}`);
    }
    return parts.map((augmentation, i): LoaderAugmentation => {
      checkPart(`${at}[${i}]`, augmentation);
      if (isMixing(augmentation)) expectSingle(where, dataset, String(augmentation.config.kind));
      expectMovable(where, `augment.${input}[${i}]`, dataset, augmentation, input);
      return { augmentation, draws: drawsOf(augmentation, type), input };
    });
  });
  const config = Object.entries(lists).map(([input, parts]) => [input, parts.map((part) => part.config)]);
  return { crop: 0, flip: false, mixing: null, list, config: Object.freeze(Object.fromEntries(config)) };
}

function shortForm(where: string, dataset: AnyDataset, augment: AugmentOptions): LoaderAugment {
  checkOptions(`${where}: augment`, augment, ['crop', 'flip', 'mixup']);
  const { crop = 0, flip = false, mixup = 0 } = augment;
  checkOneOf(where, 'augment.flip', flip, [true, false]);
  checkInteger(where, 'augment.crop', crop, 0);
  if (typeof mixup !== 'number' || !(mixup === 0 || (mixup >= 1e-6 && mixup < Infinity))) {
    throw new RangeError(
      `${where}: augment.mixup must be 0 or a finite number >= 1e-6, the parameter of a Beta distribution, got ${show(mixup)}`,
    );
  }
  if (mixup > 0) expectSingle(where, dataset, 'mixup');
  const augments = crop > 0 || flip;
  let moves = false;
  if (augments) {
    expectImages(where, dataset, 'crop and flip');
    moves = targetsOf(where, dataset).kind !== 'labels';
    const [height, width] = imagesOf(where, dataset).shape;
    // A larger shift could move the whole image out of view.
    checkInteger(where, 'augment.crop', crop, 0, Math.min(height, width) - 1);
  }
  const mixing: Mixing | null =
    mixup === 0
      ? null
      : { config: { kind: 'mixup', alpha: mixup }, hasBox: false, mix: (batch) => drawMixup(batch, mixup) };
  const config = augments || mixup > 0 ? Object.freeze({ crop, flip, ...(mixup > 0 && { mixup }) }) : null;
  // Targets that move are mixed after they have moved, and so must be the images.
  return { crop, flip, mixing, list: moves && mixing !== null ? [] : null, config };
}

/** The short form of augmentations: at most one crop and one flip. Null if they have none. */
function shortOf(list: readonly Augmentation[]): AugmentOptions | null {
  const names = list.flatMap(({ short }) => (short === undefined ? [''] : Object.keys(short)));
  if (names.includes('') || new Set(names).size < names.length) return null;
  return Object.assign({}, ...list.map(({ short }) => short)) as AugmentOptions;
}

const isMixing = (part: Augmentation | Mixing): part is Mixing => 'mix' in part;

/** Throws TypeError unless `part` is an augmentation or a mixing. */
function checkPart(where: string, part: unknown): void {
  const isPart =
    isRecord(part) &&
    !isPromise(part) &&
    isRecord(part['config']) &&
    (typeof part['mix'] === 'function' ||
      (typeof part['draw'] === 'function' &&
        typeof part['images'] === 'function' &&
        (part['targets'] === 'unchanged' || isRecord(part['targets']))));
  if (isPart) return;
  throw new TypeError(
    `${where} must be an augmentation, for instance crop(4) of 'cyclegrad/augment', got ${show(part)}`,
  );
}

function expectImages(where: string, dataset: AnyDataset, what: string): void {
  const { shape } = imagesOf(where, dataset);
  if (shape.length === 3) return;
  throw new TypeError(
    `${where}: augment: ${what} need${what.includes(' ') ? '' : 's'} images [height, width, channels], but the inputs of ${dataset.name} are ` +
      `[${shape.join(', ')}] (omit ${what.includes(' ') ? 'them' : 'it'})`,
  );
}

/** Throws TypeError for inputs by name, which mixing does not support. */
function expectSingle(where: string, { name, x }: AnyDataset, what: string): void {
  if (isType(x)) return;
  throw new TypeError(
    `${where}: augment: ${what} needs a single input, but ${name} has ${Object.keys(x).join(', ')} (omit it)`,
  );
}

/** Throws TypeError for targets that an augmentation cannot move. */
function expectMovable(
  where: string,
  at: string,
  dataset: AnyDataset,
  { config, targets }: Augmentation,
  input?: string,
): void {
  if (targets === 'unchanged') return;
  const { kind, of } = targetsOf(where, dataset);
  if (kind === 'labels' || (input !== undefined && of !== input) || typeof targets[kind] === 'function')
    return;
  throw new TypeError(
    `${where}: ${at}: ${config.kind} moves the images of ${dataset.name} but cannot move its targets (${kind}): it supports ` +
      `${Object.keys(targets).join(', ') || 'labels only'} (omit it, or give it targets.${kind})`,
  );
}

/** Throws TypeError for targets that a box cannot be cut out of. */
function expectMixable(where: string, dataset: AnyDataset, { config }: Mixing): void {
  const { kind } = targetsOf(where, dataset);
  if (kind === 'labels' || kind === 'mask' || kind === 'image') return;
  throw new TypeError(
    `${where}: augment: ${config.kind} cannot combine the targets of ${dataset.name} (${kind}): it supports labels, masks and images (omit it)`,
  );
}

/** What a batch draws for. */
interface DrawnBatch {
  readonly indices: Uint32Array;
  readonly epochs: Float64Array;
  /** The shape of an input by its name, or of the only image. */
  readonly shapeOf: (input?: string) => Shape;
  readonly seed: number;
  readonly step: number;
}

/** The draws of a batch, [batchSize, total draws]. Throws RangeError for draws of another number, or not finite. */
export function drawAll(where: string, list: readonly LoaderAugmentation[], batch: DrawnBatch): Float32Array {
  const { indices, epochs, shapeOf, seed, step } = batch;
  const width = list.reduce((sum, { draws }) => sum + draws, 0);
  const all = new Float32Array(indices.length * width);
  let first = 0;
  list.forEach(({ augmentation, draws, input }, at) => {
    const random = stream(seed, `augment ${at} ${augmentation.config.kind}`, step);
    const [rows, columns] = shapeOf(input);
    for (let i = 0; i < indices.length; i++) {
      const example: DrawnExample = {
        height: rows,
        width: columns,
        index: indices[i],
        epoch: epochs[i],
        seed,
      };
      const drawn = augmentation.draw(random, example);
      if (drawn.length !== draws || !drawn.every(Number.isFinite)) {
        throw new RangeError(
          `${where}: augment[${at}]: ${augmentation.config.kind}: draw must return ${draws} finite numbers as at first, got ${show(drawn)}` +
            ` [${drawn.join(', ')}]`,
        );
      }
      all.set(drawn, i * width + first);
    }
    first += draws;
  });
  return all;
}
