/** A data set of image files: a folder with one folder for each class. */
import { basename, resolve } from 'node:path';
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { checkOneOf, checkOptions, show } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import { decodeImage } from './decode.ts';
import { readImageFile } from './file.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, untilAborted, type ImageOptions } from './options.ts';
import { resizeImage, type Size } from './resize.ts';
import { findImages, type FoundImages, type LabeledFile, type SkippedFile } from './scan.ts';
import type { DecodeOptions } from './image.ts';
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
  /** Receives an event after each file. Default: none. */
  readonly onProgress?: OnData;
  /** Stops the reading when it aborts. Default: none. */
  readonly signal?: AbortSignal;
}

/** The images of a folder. */
export interface ImageDataset extends Dataset {
  /** The files that `onError: 'skip'` left out, sorted by path. */
  readonly skipped: readonly SkippedFile[];
}

const WHERE = 'imageFolder';
/** The maximum size: a data set is one array. */
const MAX_BYTES = 2 ** 32;
/** The number of threads that decode. More share the same threads of libuv, and each can hold a large image. */
const AT_ONCE = 4;
/** Files that one message names. */
const MAX_NAMED = 20;

/**
 * A data set of the images in `dir`, with paths `dir/<class>/…/<image>`. Classes and images are sorted by name, in the order of UTF-16
 * code units: 1, 10, 2. PNG, JPEG, WebP, AVIF, GIF (the first frame) and TIFF are recognized by their contents. Images are decoded
 * once, turned upright by their EXIF orientation, converted to sRGB with 8 bits, resized with an antialiased bilinear filter, and kept
 * in memory. Hidden files and what operating systems leave in folders are ignored.
 *
 * Shapes: x [height, width, channels] u8, y [] i32.
 * Throws DataError, with the paths, for files that are damaged, not images or larger than `maxPixels` (see `onError`), for a class
 * without images (see `allowEmpty`), and for a folder without classes. Throws EngineError if the package sharp cannot be loaded,
 * RangeError or TypeError for invalid options and for more than 4 GiB of pixels, and the reason of the signal when it aborts.
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
    'onProgress',
    'signal',
  ]);
  const format = imageFormat(WHERE, options);
  const { classes, allowEmpty = false, onError = 'report', signal } = options;
  if (
    classes !== undefined &&
    !(Array.isArray(classes) && classes.every((name) => typeof name === 'string'))
  ) {
    throw new TypeError(`${WHERE}: classes must be an array of names, got ${show(classes)}`);
  }
  checkOneOf(WHERE, 'allowEmpty', allowEmpty, [true, false]);
  checkOneOf(WHERE, 'onError', onError, ['report', 'skip', 'stop']);
  checkListening(WHERE, options);
  signal?.throwIfAborted();

  const root = resolve(dir);
  const found = await findImages(root, { classes, signal });
  checkSize(root, found.files.length, format);
  if (onError === 'stop' && found.problems.length > 0) throw firstError(found.problems);
  const read = await untilAborted(readAll(root, found.files, format, options), signal);
  const skipped = [...found.problems, ...read.failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (onError !== 'skip' && skipped.length > 0) {
    throw onError === 'stop' ? firstError(read.failed) : reportError(root, skipped, found);
  }
  if (read.labels.length === 0) throw nothingError(root, skipped);
  if (classes === undefined && !allowEmpty) checkNoneEmpty(root, found, read.labels);

  const { height, width, channels } = format;
  const x = { shape: [read.labels.length, height, width, channels], data: read.data };
  const dataset = arrays(x, read.labels, {
    classes: found.classes,
    name: `${basename(root)} ${width}x${height}`,
  });
  return { ...dataset, skipped };
}

function checkSize(root: string, images: number, { height, width, channels }: Size): void {
  const bytes = images * height * width * channels;
  if (bytes <= MAX_BYTES) return;
  throw new RangeError(
    `${WHERE}: ${root}: ${images} images of ${width} x ${height} x ${channels} take ${(bytes / 2 ** 30).toFixed(2)} GiB, ` +
      `more than ${MAX_BYTES / 2 ** 30} (use a smaller size, or fewer images)`,
  );
}

interface ReadImages {
  /** [labels.length, height, width, channels] */
  readonly data: Uint8Array;
  readonly labels: Int32Array;
  /** In the order of the files. */
  readonly failed: readonly SkippedFile[];
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
      const bytes = await readImageFile(path, format.maxPixels);
      await resizeImage(await decodeImage(bytes, format), format, data, i * item);
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
    await Promise.all(Array.from({ length: AT_ONCE }, readOn));
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

const line = ({ path, reason }: SkippedFile): string => `${path}: ${reason}`;

const firstError = ([first]: readonly SkippedFile[]): DataError => new DataError(line(first));

function listed(skipped: readonly SkippedFile[]): string {
  const more = skipped.length - MAX_NAMED;
  const lines = skipped.slice(0, MAX_NAMED).map(line);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n  ');
}

function reportError(root: string, skipped: readonly SkippedFile[], found: FoundImages): DataError {
  const { files, problems } = found;
  const fix = `${WHERE}: onError: 'skip' leaves such files out`;
  if (skipped.length === 1) return new DataError(`${line(skipped[0])} (${fix})`);
  return new DataError(
    `${root}: ${skipped.length} of ${files.length + problems.length} files cannot be used (${fix}):\n  ${listed(skipped)}`,
  );
}

function nothingError(root: string, skipped: readonly SkippedFile[]): DataError {
  const found = skipped.length === 0 ? '' : `, ${skipped.length} other files:\n  ${listed(skipped)}`;
  return new DataError(`${root}: there are no images in the folders of the classes (add some)${found}`);
}

function checkNoneEmpty(root: string, { classes }: FoundImages, labels: Int32Array): void {
  const used = new Set(labels);
  const empty = classes.filter((_, label) => !used.has(label));
  if (empty.length === 0) return;
  throw new DataError(
    `${root}: ${empty.length === 1 ? 'the class has' : 'classes have'} no images: ${empty.join(', ')} ` +
      `(add some, remove the folder, or pass allowEmpty: true)`,
  );
}
