/** The settings of a training run on images: given by options or a file, or chosen from the data. */
import { suggestClassifier, type ClassifierName } from '../../engine/zoo/index.ts';
import { UsageError } from '../failure.ts';

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
  readonly testShare?: number;
  readonly from?: string;
  readonly freezeEpochs?: number;
  readonly seed?: number;
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
  readonly testShare: number;
  readonly freezeEpochs: number;
  readonly seed: number;
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
  /** Whether there is a part of the images for tests. */
  readonly hasTest: boolean;
  readonly width: number;
  readonly height: number;
}

/** Images that an update should see at least this many of in total, so that small sets get more epochs. */
const IMAGES_SEEN = 10_000;

/** The settings, and a line for each about its reason. Throws UsageError for those that contradict each other. */
export function chooseSettings(
  given: PictureArguments,
  { images, hasTest, width, height }: Facts,
): { readonly settings: Settings; readonly choices: readonly Choice[] } {
  const choices: Choice[] = [];
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
  const training = Math.max(1, Math.round(images * (hasTest ? 1 : 1 - testShare)));
  const suggested = suggestClassifier({ images: training, width, height });
  const model = choose('model', given.model, suggested.name, suggested.why.name);
  // A model that needs a size gets it.
  const [size, whySize] =
    model === 'lenet5'
      ? [28, 'lenet5 takes no other size']
      : model === 'vitB16'
        ? [Math.max(32, suggested.size), 'a multiple of 16']
        : [suggested.size, suggested.why.size];
  const own = choose('size', given.size, size, whySize, (pixels) => `${pixels}x${pixels}`);
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
  const epochs = choose(
    'epochs',
    given.epochs,
    Math.min(100, Math.max(10, Math.ceil(IMAGES_SEEN / training))),
    `the network sees about ${Math.max(IMAGES_SEEN, 10 * training)} images`,
  );
  const freezeEpochs = given.freezeEpochs ?? 0;
  if (given.freezeEpochs !== undefined) {
    if (given.from === undefined) {
      throw new UsageError(
        `--freeze-epochs ${freezeEpochs}: it needs --from (a network that starts at random has nothing to keep)`,
      );
    }
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
  return {
    settings: {
      model,
      size: own,
      fit,
      epochs,
      batchSize,
      flip,
      crop,
      testShare,
      freezeEpochs,
      seed: given.seed ?? 1,
    },
    choices,
  };
}

/** At least 20 updates for each epoch, if batch normalization has 16 images. */
function batchFor(training: number): number {
  return [128, 64, 32].find((size) => training >= 20 * size) ?? 16;
}
