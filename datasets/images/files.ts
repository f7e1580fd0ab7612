/** A data set of listed image files. */
import { dirname, resolve, sep } from 'node:path';
import { checkInteger, checkOptions, show } from '../../engine/options.ts';
import { lazyOptions, openImages, TOO_LARGE, type LazyOptions } from './open.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, type ImageOptions } from './options.ts';
import { nothingError } from './problems.ts';
import { checkClasses, checkReading, checkSize, type ImageDataset, type ReadingOptions } from './read.ts';
import type { LabeledFile } from './scan.ts';

export interface ImageFilesOptions extends ImageOptions, ReadingOptions {
  /** The classes in the order of their labels. */
  readonly classes: readonly string[];
  /**
   * Whether images are read during training, just before they are needed, for data that does not fit into memory. An object has options.
   * Default false: all images are read at once and kept in memory.
   */
  readonly lazy?: boolean | LazyOptions;
}

const WHERE = 'imageFiles';

/**
 * A data set of the image files in a list, for instance from a table of paths and labels. The examples have the order of the list, and
 * `files` has the file of each. Paths are relative to the working folder. See `imageFolder` for formats and sizes.
 *
 * Shapes: x [height, width, channels] u8, y [] i32.
 * Throws DataError, with the paths, for files that are damaged, not images or larger than `maxPixels` (see `onError`). Throws EngineError
 * if the package sharp cannot be loaded, RangeError or TypeError for invalid arguments and for more than 4 GiB of pixels without `lazy`, and the
 * reason of the signal when it aborts. With `lazy` and without `shards`, files are not read here: training throws DataError for a file that
 * cannot be used.
 *
 * @example
 * const files = [{ path: 'pets/cat/1.png', label: 0 }, { path: 'pets/dog/3.png', label: 1 }];
 * const data = await imageFiles(files, { height: 32, width: 32, classes: ['cat', 'dog'] });
 */
export async function imageFiles(
  files: readonly LabeledFile[],
  options: ImageFilesOptions,
): Promise<ImageDataset> {
  checkOptions(WHERE, options, [...IMAGE_OPTIONS, 'classes', 'onError', 'lazy', 'onProgress', 'signal']);
  const format = imageFormat(WHERE, options);
  const { classes, onError } = options;
  checkClasses(WHERE, classes);
  checkReading(WHERE, options);
  const lazy = lazyOptions(WHERE, options.lazy, onError);
  const checked = checkFiles(WHERE, files, classes.length);
  if (checked.length === 0) throw nothingError(WHERE, []);
  if (lazy === null) checkSize(WHERE, checked.length, format, `${TOO_LARGE}, or fewer images`);
  const name = `${WHERE} ${format.width}x${format.height}`;
  const found = { classes, files: checked, problems: [] };
  const root = commonFolder(checked);
  return openImages({ where: WHERE, root, name, found, format, lazy }, options);
}

/** The folder that all files are in. */
export function commonFolder(files: readonly LabeledFile[]): string {
  const [first = [], ...others] = files.map(({ path }) => dirname(path).split(sep));
  let length = first.length;
  for (const parts of others) {
    const differs = first.findIndex((part, i) => part !== parts[i]);
    if (differs >= 0) length = Math.min(length, differs);
  }
  return first.slice(0, length).join(sep) || sep;
}

/** The files with absolute paths. Throws TypeError or RangeError for what is no path or no label. */
export function checkFiles(where: string, files: unknown, classes: number): readonly LabeledFile[] {
  if (!Array.isArray(files)) {
    throw new TypeError(`${where}: files must be an array of { path, label }, got ${show(files)}`);
  }
  return (files as readonly LabeledFile[]).map((file, i) => {
    const here = `${where}: files[${i}]`;
    if (typeof file !== 'object' || file === null) {
      throw new TypeError(`${here} must be { path, label }, got ${show(file)}`);
    }
    checkPath(`${here}: path must be the path of an image`, file.path);
    checkInteger(here, 'label', file.label, 0, classes - 1);
    return { path: resolve(file.path), label: file.label };
  });
}
