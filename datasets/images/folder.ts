/** A data set of image files: a folder with one folder for each class. */
import { basename, join, resolve } from 'node:path';
import envPaths from 'env-paths';
import type { InputData } from '../../engine/dataset.ts';
import { checkInteger, checkOneOf, checkOptions, isRecord, show } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import { readImageInto } from './file.ts';
import { named, type DecodeOptions } from './image.ts';
import { decoders, lazyImages, MEMORY } from './lazy.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, untilAborted, type ImageOptions } from './options.ts';
import { checkNoneEmpty, firstError, nothingError, reportError } from './problems.ts';
import {
  checkClasses,
  checkReading,
  checkSize,
  readAll,
  type ImageDataset,
  type ReadImages,
  type ReadingOptions,
} from './read.ts';
import type { Size } from './resize.ts';
import { findImages, type LabeledFile, type SkippedFile } from './scan.ts';
import { openShards } from './shards.ts';

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

/** How images are read during training. */
export interface LazyOptions {
  /**
   * The memory for images after they are decoded and resized, in bytes. The first ones that are read stay in it. Default 2^28, 256 MiB.
   */
  readonly memory?: number;
  /**
   * Writes all images, decoded and resized, to files before the first use. Later runs use them too, unless an image or an option has
   * changed. true: in the cache of the user. A path: in this folder. Default false: images are decoded each time.
   *
   * Units: height · width · channels bytes for each image.
   */
  readonly shards?: boolean | string;
  /**
   * The number of files that are decoded at the same time. Default: the number of available cores, at most that of the threads that Node
   * has for this, 4 or the environment variable UV_THREADPOOL_SIZE.
   */
  readonly workers?: number;
}

const WHERE = 'imageFolder';
/** What to do about images that do not fit into memory. */
const LAZY = 'pass lazy: true, which reads images during training; or use a smaller size';

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
  const lazy = lazyOptions(options.lazy);
  if (classes !== undefined) checkClasses(WHERE, classes);
  checkOneOf(WHERE, 'allowEmpty', allowEmpty, [true, false]);
  checkReading(WHERE, options);
  if (lazy?.shards === false && onError === 'skip') {
    throw new TypeError(
      `${WHERE}: onError: 'skip' needs all files to be read, but lazy reads them during training (pass lazy: { shards: true }, or omit onError)`,
    );
  }

  const root = resolve(dir);
  const found = await findImages(root, { classes, signal });
  if (lazy === null) checkSize(`${WHERE}: ${root}`, found.files.length, format, LAZY);
  if (onError === 'stop' && found.problems.length > 0) throw firstError(found.problems);
  const read = await untilAborted<ReadImages | ListedImages>(
    lazy === null
      ? readAll(root, found.files, format, options)
      : listAll(root, found.files, format, lazy, options),
    signal,
  );
  const skipped = [...found.problems, ...read.failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (onError !== 'skip' && skipped.length > 0) {
    throw onError === 'stop' ? firstError(read.failed) : reportError(WHERE, root, skipped, found);
  }
  if (read.files.length === 0) throw nothingError(root, skipped);
  const labels = Int32Array.from(read.files, ({ label }) => label);
  if (classes === undefined && !allowEmpty) checkNoneEmpty(root, found, labels);

  const { height, width, channels } = format;
  const name = `${basename(root)} ${width}x${height}`;
  const { classes: names } = found;
  if ('load' in read) {
    const shape = [height, width, channels];
    return {
      ...lazyImages({
        name,
        shape,
        classes: names,
        labels,
        load: read.load,
        memory: lazy!.memory,
        workers: lazy!.workers,
      }),
      files: read.files,
      skipped,
    };
  }
  const x = { shape: [labels.length, height, width, channels], data: read.data };
  return { ...arrays(x, labels, { classes: names, name }), files: read.files, skipped };
}

/** Checks the options and fills in the defaults. Null if all images are kept in memory. */
function lazyOptions(lazy: unknown): Required<LazyOptions> | null {
  if (lazy === undefined || lazy === false) return null;
  const where = `${WHERE}: lazy`;
  if (lazy !== true && !isRecord(lazy)) {
    throw new TypeError(`${where} must be true, false or { memory, shards, workers }, got ${show(lazy)}`);
  }
  const given: LazyOptions = lazy === true ? {} : lazy;
  checkOptions(where, given, ['memory', 'shards', 'workers']);
  const { memory = MEMORY, shards = false, workers = decoders() } = given;
  checkInteger(where, 'memory', memory, 0);
  checkInteger(where, 'workers', workers, 1, 1024);
  if (typeof shards !== 'boolean')
    checkPath(`${where}: shards must be true, false or the path of a folder`, shards);
  return { memory, shards, workers };
}

interface ListedImages {
  /** The files that can be used. */
  readonly files: readonly LabeledFile[];
  /** Writes image `i` at `offset`. */
  readonly load: (i: number, out: InputData, offset: number) => Promise<void>;
  readonly failed: readonly SkippedFile[];
}

/** The images of the files, which are read later. With shards, they are decoded once, and those that fail are left out. */
async function listAll(
  root: string,
  files: readonly LabeledFile[],
  format: Size & DecodeOptions,
  { shards, workers }: Required<LazyOptions>,
  options: ImageFolderOptions,
): Promise<ListedImages> {
  if (shards === false) {
    const load: ListedImages['load'] = (i, out, offset) =>
      named(files[i].path, readImageInto(files[i].path, format, out, offset));
    return { files, load, failed: [] };
  }
  const folder =
    shards === true ? join(envPaths('cyclegrad', { suffix: '' }).cache, 'images') : resolve(shards);
  const opened = await openShards({ root, folder, files, format, workers, ...options });
  const good = [...files.keys()].filter((i) => !opened.failed.has(i));
  return {
    files: good.map((i) => files[i]),
    load: (i, out, offset) => opened.load(good[i], out, offset),
    failed: [...opened.failed].map(([i, reason]) => ({ path: files[i].path, reason })),
  };
}
