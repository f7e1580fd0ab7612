/** The options of training on images. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { CLASSIFIERS, type ClassifierName } from '../../engine/zoo/index.ts';
import { AUGMENTS } from './settings.ts';
import { path, whole } from '../options/values.ts';

/** The names of the options, as keys of a configuration file. */
export const PICTURE_OPTIONS: readonly string[] = [
  'model',
  'size',
  'fit',
  'epochs',
  'testShare',
  'flip',
  'crop',
  'augment',
  'from',
  'freezeEpochs',
  'memory',
];

export function addPictureOptions(command: Command): Command {
  return command
    .optionsGroup('Training on images:')
    .option('--model <name>', `network: ${CLASSIFIERS.join(', ')} (default: by the images)`, modelName)
    .option(
      '--size <pixels>',
      'height and width that images are resized to (default: by the images)',
      whole(8, 1024),
    )
    .addOption(
      new Option(
        '--fit <how>',
        'images of another shape; cover: crop the center; stretch: distort (default: cover)',
      ).choices(['cover', 'stretch']),
    )
    .option('--epochs <n>', 'passes over the training images (default: by their number)', whole(1, 10_000))
    .option(
      '--test-share <share>',
      'share of the images to test with, without a folder test or val (default: 0.2)',
      share,
    )
    .option('--flip', 'mirror half of the training images (default)')
    .option('--no-flip', 'do not, for text, digits, and where left and right differ')
    .option(
      '--crop <pixels>',
      'shift training images by up to this many pixels (default: an eighth of the size)',
      whole(0, 512),
    )
    .addOption(
      new Option(
        '--augment <how>',
        'light: shift and mirror training images; strong: also RandAugment (default: strong below 1000 images)',
      ).choices(AUGMENTS),
    )
    .option(
      '--from <file|run>',
      'begin with the weights of a run, a checkpoint, or a safetensors file, also of PyTorch',
      path,
    )
    .option('--freeze-epochs <n>', 'train only the last layer in the first epochs', whole(1, 10_000))
    .option(
      '--memory <mb>',
      'MB of decoded images in memory; more are read during training (default: 500)',
      whole(1, 1_000_000),
    );
}

function modelName(text: string): ClassifierName {
  const name = CLASSIFIERS.find((each) => each.toLowerCase() === text.toLowerCase());
  if (name !== undefined) return name;
  throw new InvalidArgumentError(`It must be one of ${CLASSIFIERS.join(', ')}.`);
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value < 1) return value;
  throw new InvalidArgumentError('It must be a number above 0 and below 1, for instance 0.2.');
}
