/** A data set of listed image files. */
import { resolve } from 'node:path';
import { checkInteger, checkOptions, show } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, untilAborted, type ImageOptions } from './options.ts';
import { firstError, nothingError, reportError } from './problems.ts';
import {
  checkClasses,
  checkReading,
  checkSize,
  readAll,
  type ImageDataset,
  type ReadingOptions,
} from './read.ts';
import type { LabeledFile } from './scan.ts';

export interface ImageFilesOptions extends ImageOptions, ReadingOptions {
  /** The classes in the order of their labels. */
  readonly classes: readonly string[];
}

const WHERE = 'imageFiles';

/**
 * A data set of the image files in a list, for instance from a table of paths and labels. The examples have the order of the list, and
 * `files` has the file of each. Paths are relative to the working folder. See `imageFolder` for formats and sizes.
 *
 * Shapes: x [height, width, channels] u8, y [] i32.
 * Throws DataError, with the paths, for files that are damaged, not images or larger than `maxPixels` (see `onError`). Throws EngineError
 * if the package sharp cannot be loaded, RangeError or TypeError for invalid arguments and for more than 4 GiB of pixels, and the reason
 * of the signal when it aborts.
 *
 * @example
 * const files = [{ path: 'pets/cat/1.png', label: 0 }, { path: 'pets/dog/3.png', label: 1 }];
 * const data = await imageFiles(files, { height: 32, width: 32, classes: ['cat', 'dog'] });
 */
export async function imageFiles(
  files: readonly LabeledFile[],
  options: ImageFilesOptions,
): Promise<ImageDataset> {
  checkOptions(WHERE, options, [...IMAGE_OPTIONS, 'classes', 'onError', 'onProgress', 'signal']);
  const format = imageFormat(WHERE, options);
  checkClasses(WHERE, options.classes);
  checkReading(WHERE, options);
  const checked = checkFiles(WHERE, files, options.classes.length);
  checkSize(WHERE, checked.length, format, 'use a smaller size, or fewer images');
  const { onError = 'report', signal } = options;
  const read = await untilAborted(readAll(WHERE, checked, format, options), signal);
  const skipped = [...read.failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (onError !== 'skip' && skipped.length > 0) {
    const found = { classes: options.classes, files: checked, problems: [] };
    throw onError === 'stop' ? firstError(read.failed) : reportError(WHERE, WHERE, skipped, found);
  }
  if (read.files.length === 0) throw nothingError(WHERE, skipped);
  const { height, width, channels } = format;
  const x = { shape: [read.files.length, height, width, channels], data: read.data };
  const labels = Int32Array.from(read.files, ({ label }) => label);
  const name = `${WHERE} ${width}x${height}`;
  return { ...arrays(x, labels, { classes: options.classes, name }), files: read.files, skipped };
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
