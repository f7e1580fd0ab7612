/** A data set of image files that were found: all in memory, or read during training. */
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import type { InputData } from '../../engine/dataset.ts';
import { checkInteger, checkOptions, isRecord, show } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import { readImageInto } from './file.ts';
import { named, type DecodeOptions } from './image.ts';
import { decoders, lazyImages, MEMORY } from './lazy.ts';
import { checkPath, untilAborted } from './options.ts';
import { firstError, nothingError, reportError } from './problems.ts';
import { readAll, type ImageDataset, type ReadImages, type ReadingOptions } from './read.ts';
import type { Size } from './resize.ts';
import type { FoundImages, LabeledFile, SkippedFile } from './scan.ts';
import { openShards } from './shards.ts';

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

/** What to do about images that do not fit into memory. */
export const TOO_LARGE = 'pass lazy: true, which reads images during training; or use a smaller size';

interface OpenOptions {
  /** The function, for errors. */
  readonly where: string;
  /** The folder of the images. */
  readonly root: string;
  readonly name: string;
  readonly found: FoundImages;
  readonly format: Size & DecodeOptions;
  /** Null: all images are kept in memory. */
  readonly lazy: Required<LazyOptions> | null;
}

/** Reads the images, or what is needed to read them later. Throws DataError for files that cannot be used, unless they are skipped. */
export async function openImages(
  { where, root, name, found, format, lazy }: OpenOptions,
  options: ReadingOptions,
): Promise<ImageDataset> {
  const { onError, signal } = options;
  const { classes } = found;
  const read = await untilAborted<ReadImages | ListedImages>(
    lazy === null
      ? readAll(root, found.files, format, options)
      : listAll(root, found.files, format, lazy, options),
    signal,
  );
  const skipped = [...found.problems, ...read.failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (onError !== 'skip' && skipped.length > 0) {
    throw onError === 'stop' ? firstError(read.failed) : reportError(where, root, skipped, found);
  }
  if (read.files.length === 0) throw nothingError(root, skipped);
  const { files } = read;
  const labels = Int32Array.from(files, ({ label }) => label);
  const { height, width, channels } = format;
  if ('load' in read) {
    const { memory, workers } = lazy!;
    const shape = [height, width, channels];
    return {
      ...lazyImages({ name, shape, classes, labels, load: read.load, memory, workers }),
      files,
      skipped,
    };
  }
  const x = { shape: [labels.length, height, width, channels], data: read.data };
  return { ...arrays(x, labels, { classes, name }), files, skipped };
}

/** Checks the options and fills in the defaults. Null if all images are kept in memory. */
export function lazyOptions(
  whole: string,
  lazy: unknown,
  onError: ReadingOptions['onError'],
): Required<LazyOptions> | null {
  if (lazy === undefined || lazy === false) return null;
  const where = `${whole}: lazy`;
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
  if (shards === false && onError === 'skip') {
    throw new TypeError(
      `${whole}: onError: 'skip' needs all files to be read, but lazy reads them during training (pass lazy: { shards: true }, or omit onError)`,
    );
  }
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
  { onError, onProgress, signal }: ReadingOptions,
): Promise<ListedImages> {
  if (shards === false) {
    const load: ListedImages['load'] = (i, out, offset) =>
      named(files[i].path, readImageInto(files[i].path, format, out, offset));
    return { files, load, failed: [] };
  }
  const folder =
    shards === true ? join(envPaths('cyclegrad', { suffix: '' }).cache, 'images') : resolve(shards);
  const opened = await openShards({
    root,
    folder,
    files,
    format,
    workers,
    ...(onError !== undefined && { onError }),
    ...(onProgress !== undefined && { onProgress }),
    ...(signal !== undefined && { signal }),
  });
  const good = [...files.keys()].filter((i) => !opened.failed.has(i));
  return {
    files: good.map((i) => files[i]),
    load: (i, out, offset) => opened.load(good[i], out, offset),
    failed: [...opened.failed].map(([i, reason]) => ({ path: files[i].path, reason })),
  };
}
