/** The settings of a training run on images: given by options or a file, or chosen from the data. */
import { suggestClassifier, type ClassifierName } from '../../engine/zoo/index.ts';
import { UsageError } from '../failure.ts';
import { formatBytes } from '../terminal/format.ts';
import { checkOptions } from './refusals.ts';
import { bytesOf, MEMORY } from './memory.ts';

/** How training images are changed: shifted and mirrored, or also by RandAugment. */
export const AUGMENTS = ['light', 'strong'] as const;
export type Augment = (typeof AUGMENTS)[number];

/** What options and configuration files can set. */
export interface PictureArguments {
  readonly model?: ClassifierName;
  readonly size?: number;
  readonly fit?: 'cover' | 'stretch';
  readonly epochs?: number;
  readonly batchSize?: number;
  /** The highest rate of the cycle. */
  readonly max?: number;
  readonly flip?: boolean;
  readonly crop?: number;
  readonly augment?: Augment;
  readonly testShare?: number;
  readonly from?: string;
  readonly freezeEpochs?: number;
  readonly seed?: number;
  /** MB of decoded images in memory. */
  readonly memory?: number;
}

/** Everything that determines a run, besides the images. */
export interface Settings {
  readonly model: ClassifierName;
  readonly size: number;
  readonly fit: 'cover' | 'stretch';
  readonly epochs: number;
  readonly batchSize: number;
  readonly flip: boolean;
  readonly crop: number;
  /** Default: light. */
  readonly augment?: Augment;
  readonly testShare: number;
  readonly freezeEpochs: number;
  readonly seed: number;
  /** MB of decoded images in memory. Default: the one of the command. */
  readonly memory?: number;
}

export interface Choice {
  readonly name: string;
  readonly value: string;
  readonly why: string;
}

export const TEST_SHARE = 0.2;

export interface Facts {
  /** Number of all images. */
  readonly images: number;
  /** Number of those that the path keeps for tests. */
  readonly heldOut: number;
  readonly width: number;
  readonly height: number;
  /** The network whose weights the run begins with, if it is known. */
  readonly trained?: { readonly model: ClassifierName; readonly size: number } | null;
}

/** Below this number of training images, strong augmentation and more epochs raise the accuracy (docs/notes/pictures.md). */
const FEW = 1000;

/** Images that a run sees in total, so that small sets get more epochs. */
const SEEN = { light: 10_000, strong: 30_000 } as const;

/** The settings, and a line for each about its reason. Throws UsageError for those that contradict each other. */
export function chooseSettings(
  given: PictureArguments,
  { images, heldOut, width, height, trained = null }: Facts,
): { readonly settings: Settings; readonly choices: readonly Choice[] } {
  const choices: Choice[] = [];
  const hasTest = heldOut > 0;
  const yours = 'given';
  /** The given value, or the chosen one with its reason. */
  const choose = <T>(
    name: string,
    own: T | undefined,
    chosen: T,
    why: string,
    show: (value: T) => string = String,
  ): T => {
    choices.push({ name, value: show(own ?? chosen), why: own === undefined ? why : yours });
    return own ?? chosen;
  };
  const testShare = given.testShare ?? TEST_SHARE;
  if (!hasTest) {
    choose(
      'test',
      given.testShare,
      TEST_SHARE,
      'there is no folder test or val; drawn at random, the same share of each class',
      (share) => `${Math.round(100 * share)}%`,
    );
  }
  if (hasTest && given.testShare !== undefined) {
    throw new UsageError(
      `--test-share ${given.testShare}: the path has its own test images (omit the option, or remove their folder)`,
    );
  }
  const training = Math.max(1, hasTest ? images - heldOut : Math.round(images * (1 - testShare)));
  const suggested = suggestClassifier({ images: training, width, height });
  const [name, whyName] =
    trained !== null
      ? [trained.model, 'the one of --from']
      : given.size !== undefined && given.size < 16
        ? (['resnet20', 'takes images of this size'] as const)
        : [suggested.name, suggested.why.name];
  const model = choose('model', given.model, name, whyName);
  // A model that needs a size gets it.
  const [size, whySize] =
    trained !== null && trained.model === model
      ? [trained.size, 'the one of --from']
      : model === 'lenet5'
        ? [28, 'lenet5 takes no other size']
        : model === 'vitB16'
          ? [Math.max(32, suggested.size), 'a multiple of 16']
          : [suggested.size, suggested.why.size];
  const own = choose('size', given.size, size, whySize, (pixels) => `${pixels}x${pixels}`);
  const memory = given.memory ?? MEMORY;
  const bytes = bytesOf(images, own);
  if (bytes > memory * 1e6) {
    choices.push({
      name: 'memory',
      value: formatBytes(memory * 1e6),
      why: `the images take ${formatBytes(bytes)}, so they are decoded into the cache and read during training; --memory changes it`,
    });
  }
  const fit = given.fit ?? 'cover';
  if (given.fit !== undefined) choose('fit', given.fit, fit, yours);
  const batchSize = Math.min(
    choose(
      'batch size',
      given.batchSize,
      batchFor(training),
      `${training} training images: ${Math.max(1, Math.round(training / batchFor(training)))} updates for each epoch`,
    ),
  );
  const augment = choose(
    'augment',
    given.augment,
    training < FEW ? 'strong' : 'light',
    training < FEW
      ? 'few images: random rotations, shears, colors and others besides shifts'
      : 'shifts and mirror images; --augment strong for more changes, which need more epochs',
  );
  const seen = SEEN[augment];
  const epochs = choose(
    'epochs',
    given.epochs,
    Math.min(seen / 100, Math.max(10, Math.ceil(seen / training))),
    `the network sees about ${Math.min(seen / 100, Math.max(10, Math.ceil(seen / training))) * training} images`,
  );
  const freezeEpochs = given.freezeEpochs ?? 0;
  if (given.freezeEpochs !== undefined) {
    if (freezeEpochs >= epochs) {
      throw new UsageError(`--freeze-epochs ${freezeEpochs}: it must be below --epochs ${epochs}`);
    }
    choose('frozen', `the first ${freezeEpochs} epochs`, '', yours);
  }
  const flip = choose(
    'flip',
    given.flip,
    true,
    'most pictures may be mirrored; --no-flip for text, digits, or left and right',
    (on) => (on ? 'yes' : 'no'),
  );
  const crop = choose(
    'crop',
    given.crop,
    Math.max(1, Math.round(own / 8)),
    'shifts of up to an eighth of the size',
    (pixels) => `${pixels} pixels`,
  );
  checkOptions({ model, size: own, crop });
  return {
    settings: {
      model,
      size: own,
      fit,
      epochs,
      batchSize,
      flip,
      crop,
      augment,
      testShare,
      freezeEpochs,
      seed: given.seed ?? 1,
      memory,
    },
    choices,
  };
}

/** At least 20 updates for each epoch, if batch normalization has 16 images. */
function batchFor(training: number): number {
  return [128, 64, 32].find((size) => training >= 20 * size) ?? 16;
}
