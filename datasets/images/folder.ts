/** A data set of image files: a folder with one folder for each class. */
import { basename, resolve } from 'node:path';
import { checkOneOf, checkOptions } from '../../engine/options.ts';
import { lazyOptions, openImages, TOO_LARGE, type LazyOptions } from './open.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, type ImageOptions } from './options.ts';
import { checkNoneEmpty, firstError } from './problems.ts';
import { checkClasses, checkReading, checkSize, type ImageDataset, type ReadingOptions } from './read.ts';
import { findImages } from './scan.ts';

export interface ImageFolderOptions extends ImageOptions, ReadingOptions {
  /**
   * The classes in the order of their labels, for a second folder with the same labels. A folder that is not among them throws. A
   * class without a folder or without images has no examples. Default: the names of the folders, sorted.
   */
  readonly classes?: readonly string[];
  /** Accepts folders without images when `classes` is not given. Default false: they throw. */
  readonly allowEmpty?: boolean;
  /**
   * Whether images are read during training, just before they are needed, for data that does not fit into memory. An object has options.
   * Default false: all images are read at once and kept in memory.
   */
  readonly lazy?: boolean | LazyOptions;
}

const WHERE = 'imageFolder';

/**
 * A data set of the images in `dir`, with paths `dir/<class>/…/<image>`. Classes and images are sorted by name, in the order of UTF-16
 * code units: 1, 10, 2. PNG, JPEG, WebP, AVIF, GIF (the first frame) and TIFF are recognized by their contents. Images are decoded
 * once, turned upright by their EXIF orientation, converted to sRGB with 8 bits, resized with an antialiased bilinear filter, and kept
 * in memory. With `lazy` they are decoded during training instead, ahead of the steps that use them. The values are the same. Hidden files
 * and what operating systems leave in folders are ignored.
 *
 * Shapes: x [height, width, channels] u8, y [] i32.
 * Throws DataError, with the paths, for files that are damaged, not images or larger than `maxPixels` (see `onError`), for a class
 * without images (see `allowEmpty`), and for a folder without classes. Throws EngineError if the package sharp cannot be loaded,
 * RangeError or TypeError for invalid options and for more than 4 GiB of pixels without `lazy`, and the reason of the signal when it
 * aborts. With `lazy` and without `shards`, files are not read here: training throws DataError for a file that cannot be used.
 *
 * @example
 * const all = await imageFolder('pets', { height: 32, width: 32 });
 * const [train, test] = split(all, Math.round(0.8 * all.length), { seed: 1 });
 */
export async function imageFolder(dir: string, options: ImageFolderOptions): Promise<ImageDataset> {
  checkPath(`${WHERE}: dir must be the path of a folder`, dir);
  checkOptions(WHERE, options, [
    ...IMAGE_OPTIONS,
    'classes',
    'allowEmpty',
    'onError',
    'lazy',
    'onProgress',
    'signal',
  ]);
  const format = imageFormat(WHERE, options);
  const { classes, allowEmpty = false, onError = 'report', signal } = options;
  const lazy = lazyOptions(WHERE, options.lazy, onError);
  if (classes !== undefined) checkClasses(WHERE, classes);
  checkOneOf(WHERE, 'allowEmpty', allowEmpty, [true, false]);
  checkReading(WHERE, options);

  const root = resolve(dir);
  const found = await findImages(root, { classes, signal });
  if (lazy === null) checkSize(`${WHERE}: ${root}`, found.files.length, format, TOO_LARGE);
  if (onError === 'stop' && found.problems.length > 0) throw firstError(found.problems);
  const { height, width } = format;
  const name = `${basename(root)} ${width}x${height}`;
  const dataset = await openImages({ where: WHERE, root, name, found, format, lazy }, options);
  if (classes === undefined && !allowEmpty) {
    checkNoneEmpty(
      root,
      found,
      Int32Array.from(dataset.files, ({ label }) => label),
    );
  }
  return dataset;
}
