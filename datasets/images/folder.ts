/** A data set of image files: a folder with one folder for each class. */
import { basename, join, resolve } from 'node:path';
import type { Dataset, InputData } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { checkInteger, checkOneOf, checkOptions, isRecord, show } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import { readImageInto } from './file.ts';
import { decoders, lazyImages, MEMORY } from './lazy.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, untilAborted, type ImageOptions } from './options.ts';
import { checkNoneEmpty, firstError, nothingError, reportError } from './problems.ts';
import type { Size } from './resize.ts';
import { findImages, type LabeledFile, type SkippedFile } from './scan.ts';
import { openShards } from './shards.ts';
import { named, type DecodeOptions } from './image.ts';
import envPaths from 'env-paths';
import type { OnData } from '../progress.ts';
import { checkListening } from '../checks.ts';

export interface ImageFolderOptions extends ImageOptions {
  /**
   * The classes in the order of their labels, for a second folder with the same labels. A folder that is not among them throws. A
   * class without a folder or without images has no examples. Default: the names of the folders, sorted.
   */
  readonly classes?: readonly string[];
  /** Accepts folders without images when `classes` is not given. Default false: they throw. */
  readonly allowEmpty?: boolean;
  /**
   * What happens with files that are not images or cannot be decoded. 'report' reads all files, then throws an error that names
   * them. 'skip' leaves them out and lists them in `skipped`. 'stop' throws at the first one. Default 'report'.
   */
  readonly onError?: 'report' | 'skip' | 'stop';
  /**
   * Whether images are read during training, just before they are needed, for data that does not fit into memory. An object has options.
   * Default false: all images are read at once and kept in memory.
   */
  readonly lazy?: boolean | LazyOptions;
  /** Receives an event after each file. Default: none. */
  readonly onProgress?: OnData;
  /** Stops the reading when it aborts. Default: none. */
  readonly signal?: AbortSignal;
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

/** The images of a folder. */
export interface ImageDataset extends Dataset {
  /** The files that `onError: 'skip'` left out, sorted by path. */
  readonly skipped: readonly SkippedFile[];
}

const WHERE = 'imageFolder';
/** The maximum size: a data set is one array. */
const MAX_BYTES = 2 ** 32;

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
  if (
    classes !== undefined &&
    !(Array.isArray(classes) && classes.every((name) => typeof name === 'string'))
  ) {
    throw new TypeError(`${WHERE}: classes must be an array of names, got ${show(classes)}`);
  }
  checkOneOf(WHERE, 'allowEmpty', allowEmpty, [true, false]);
  checkOneOf(WHERE, 'onError', onError, ['report', 'skip', 'stop']);
  if (lazy?.shards === false && onError === 'skip') {
    throw new TypeError(
      `${WHERE}: onError: 'skip' needs all files to be read, but lazy reads them during training (pass lazy: { shards: true }, or omit onError)`,
    );
  }
  checkListening(WHERE, options);
  signal?.throwIfAborted();

  const root = resolve(dir);
  const found = await findImages(root, { classes, signal });
  if (lazy === null) checkSize(root, found.files.length, format);
  if (onError === 'stop' && found.problems.length > 0) throw firstError(found.problems);
  const read = await untilAborted<ReadImages | ListedImages>(
    lazy === null
      ? readAll(root, found.files, format, options)
      : listAll(root, found.files, format, lazy, options),
    signal,
  );
  const skipped = [...found.problems, ...read.failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (onError !== 'skip' && skipped.length > 0) {
    throw onError === 'stop' ? firstError(read.failed) : reportError(root, skipped, found);
  }
  if (read.labels.length === 0) throw nothingError(root, skipped);
  if (classes === undefined && !allowEmpty) checkNoneEmpty(root, found, read.labels);

  const { height, width, channels } = format;
  const name = `${basename(root)} ${width}x${height}`;
  const { classes: names } = found;
  if ('load' in read) {
    const shape = [height, width, channels];
    return {
      ...lazyImages({ name, shape, classes: names, ...read, memory: lazy!.memory, workers: lazy!.workers }),
      skipped,
    };
  }
  const x = { shape: [read.labels.length, height, width, channels], data: read.data };
  return { ...arrays(x, read.labels, { classes: names, name }), skipped };
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

function checkSize(root: string, images: number, { height, width, channels }: Size): void {
  const bytes = images * height * width * channels;
  if (bytes <= MAX_BYTES) return;
  throw new RangeError(
    `${WHERE}: ${root}: ${images} images of ${width} x ${height} x ${channels} take ${(bytes / 2 ** 30).toFixed(2)} GiB, ` +
      `more than ${MAX_BYTES / 2 ** 30} (pass lazy: true, which reads images during training; or use a smaller size)`,
  );
}

interface ReadImages {
  /** [labels.length, height, width, channels] */
  readonly data: Uint8Array;
  readonly labels: Int32Array;
  /** In the order of the files. */
  readonly failed: readonly SkippedFile[];
}

interface ListedImages {
  readonly labels: Int32Array;
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
    return { labels: Int32Array.from(files, ({ label }) => label), load, failed: [] };
  }
  const folder =
    shards === true ? join(envPaths('cyclegrad', { suffix: '' }).cache, 'images') : resolve(shards);
  const opened = await openShards({ root, folder, files, format, workers, ...options });
  const good = [...files.keys()].filter((i) => !opened.failed.has(i));
  return {
    labels: Int32Array.from(good, (i) => files[i].label),
    load: (i, out, offset) => opened.load(good[i], out, offset),
    failed: [...opened.failed].map(([i, reason]) => ({ path: files[i].path, reason })),
  };
}

/** Decodes the files, several at once, into one array in their order. With 'stop' it ends after the first failure. */
async function readAll(
  root: string,
  files: readonly LabeledFile[],
  format: Size & DecodeOptions,
  { onError, onProgress, signal }: ImageFolderOptions,
): Promise<ReadImages> {
  const item = format.height * format.width * format.channels;
  const data = new Uint8Array(files.length * item);
  const failures = new Map<number, string>();
  let next = 0;
  let done = 0;
  const readNext = async (): Promise<void> => {
    const i = next++;
    const { path } = files[i];
    try {
      signal?.throwIfAborted();
      await readImageInto(path, format, data, i * item);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      failures.set(i, error.message);
      if (onError === 'stop') next = files.length;
    }
    onProgress?.({ phase: 'read', source: root, done: ++done, total: files.length });
  };
  const readOn = async (): Promise<void> => {
    while (next < files.length) await readNext();
  };
  try {
    await Promise.all(Array.from({ length: decoders() }, readOn));
  } finally {
    next = files.length; // after an error that ends the reading
  }

  const good = [...files.keys()].filter((i) => !failures.has(i));
  for (const [to, i] of good.entries()) {
    if (to !== i) data.copyWithin(to * item, i * item, (i + 1) * item);
  }
  return {
    data: data.subarray(0, good.length * item),
    labels: Int32Array.from(good, (i) => files[i].label),
    failed: [...failures].sort(([a], [b]) => a - b).map(([i, reason]) => ({ path: files[i].path, reason })),
  };
}
