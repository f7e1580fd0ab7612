/** A data set of image files: a folder with one folder for each class. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import type { Dataset } from '../engine/dataset.ts';
import { DataError } from '../engine/errors.ts';
import { checkInteger, checkOneOf, checkOptions, show } from '../engine/options.ts';
import type { HostTensor } from '../engine/types.ts';
import { arrays } from './arrays.ts';
import { decodePicture, resizePicture, type Size } from './pictures.ts';
import type { OnData } from './progress.ts';
import { checkListening } from './checks.ts';

/** The format of all images. */
export interface ImageOptions {
  /** Height of the resized images in pixels, 1 to 4096. */
  readonly height: number;
  /** Width of the resized images in pixels, 1 to 4096. */
  readonly width: number;
  /** 3: red, green and blue. 1: gray. Default 3. */
  readonly channels?: 1 | 3;
  /**
   * How images of another aspect ratio are resized: 'cover' crops the center to the aspect ratio, 'stretch' distorts the image.
   * Default 'cover'.
   */
  readonly fit?: 'cover' | 'stretch';
}

export interface ImageFolderOptions extends ImageOptions {
  /**
   * The classes in the order of their labels, for a second folder with the same labels. A folder that is not among them throws. A
   * class without a folder has no examples. Default: the names of the folders, sorted.
   */
  readonly classes?: readonly string[];
  /** Receives an event after each image. Default: none. */
  readonly onProgress?: OnData;
  /** Stops the reading when it aborts. Default: none. */
  readonly signal?: AbortSignal;
}

const SIZE_OPTIONS = ['height', 'width', 'channels', 'fit'] as const;
const READ = new Set(['.png', '.jpg', '.jpeg']);
/** The maximum size: a data set is one array. */
const MAX_BYTES = 2 ** 32;
/** Files that file managers create. */
const IGNORED = new Set(['thumbs.db', 'desktop.ini']);

interface LabeledFile {
  readonly path: string;
  readonly label: number;
}

/**
 * A data set of the PNG and JPEG images in `dir`, with paths `dir/<class>/…/<image>`. Classes and images are sorted by name. Images
 * are decoded once, resized with an antialiased bilinear filter, and kept in memory. Hidden files and files of file managers are
 * ignored. The alpha channel and the EXIF orientation are ignored.
 *
 * Shapes: x [height, width, channels] u8, y [] i32.
 * Throws DataError, with the path, for a file that is damaged or not an image, for a class without images, and for a folder without
 * classes. Throws RangeError or TypeError for invalid options, and the reason of the signal when it aborts.
 *
 * @example
 * const all = await imageFolder('pets', { height: 32, width: 32 });
 * const [train, test] = split(all, Math.round(0.8 * all.length), { seed: 1 });
 */
export async function imageFolder(dir: string, options: ImageFolderOptions): Promise<Dataset> {
  checkPath('imageFolder: dir must be the path of a folder', dir);
  checkOptions('imageFolder', options, [...SIZE_OPTIONS, 'classes', 'onProgress', 'signal']);
  const size = sizeFrom('imageFolder', options);
  const { height, width, channels } = size;
  const { classes: names, onProgress, signal } = options;
  checkListening('imageFolder', options);
  if (names !== undefined && !(Array.isArray(names) && names.every((name) => typeof name === 'string'))) {
    throw new TypeError(`imageFolder: classes must be an array of names, got ${show(names)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new TypeError(`imageFolder: onProgress must be a function, got ${show(onProgress)}`);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError(`imageFolder: signal must be an AbortSignal, got ${show(signal)}`);
  const root = resolve(dir);
  const { classes, files } = await findImages(root, names, signal);
  const item = height * width * channels;
  if (files.length * item > MAX_BYTES) {
    throw new RangeError(
      `imageFolder: ${root}: ${files.length} images of ${width} x ${height} x ${channels} take ` +
        `${(files.length * item) / 2 ** 30} GiB, more than ${MAX_BYTES / 2 ** 30} (use a smaller size, or fewer images)`,
    );
  }
  const data = new Uint8Array(files.length * item);
  for (const [i, { path }] of files.entries()) {
    signal?.throwIfAborted();
    resizePicture(await decodePicture(path, await readBytes(path)), size, data, i * item);
    onProgress?.({ phase: 'read', source: root, done: i + 1, total: files.length });
  }
  const labels = Int32Array.from(files, ({ label }) => label);
  return arrays({ shape: [files.length, height, width, channels], data }, labels, {
    classes,
    name: `${basename(root)} ${width}x${height}`,
  });
}

/**
 * Reads one image in the format of `imageFolder`, for `predict` and `forward`.
 *
 * Shapes: [1, height, width, channels] u8.
 * Throws DataError, with the path, if the file cannot be read or is neither PNG nor JPEG.
 *
 * @example
 * const image = await readImage('ship.jpg', { height: 32, width: 32 });
 * const { classes } = await predict({ model, state, backend, data: image });
 */
export async function readImage(path: string, options: ImageOptions): Promise<HostTensor> {
  checkPath('readImage: path must be the path of an image', path);
  checkOptions('readImage', options, SIZE_OPTIONS);
  const size = sizeFrom('readImage', options);
  const { height, width, channels } = size;
  const data = new Uint8Array(height * width * channels);
  resizePicture(await decodePicture(path, await readBytes(path)), size, data, 0);
  return { shape: [1, height, width, channels], dtype: 'u8', data };
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new DataError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function checkPath(where: string, path: unknown): void {
  if (typeof path === 'string' && path !== '' && !path.startsWith('file:')) return;
  const isUrl = path instanceof URL || (typeof path === 'string' && path.startsWith('file:'));
  throw new TypeError(
    `${where}, got ${show(path)}${isUrl ? ' (convert it with fileURLToPath of node:url)' : ''}`,
  );
}

function sizeFrom(where: string, options: ImageOptions): Size {
  const { height, width, channels = 3, fit = 'cover' } = options;
  checkInteger(where, 'height', height, 1, 4096);
  checkInteger(where, 'width', width, 1, 4096);
  checkOneOf(where, 'channels', channels, [1, 3]);
  checkOneOf(where, 'fit', fit, ['cover', 'stretch']);
  return { height, width, channels, fit };
}

async function findImages(
  root: string,
  names: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly classes: readonly string[]; readonly files: readonly LabeledFile[] }> {
  const layout = `imageFolder: the layout is ${join(root, '<class>', '<image>.png')}`;
  const known = names?.map(normalized);
  const classes: string[] = [];
  const files: LabeledFile[] = [];
  for (const folder of await namesIn(root)) {
    const path = join(root, folder);
    if (!(await isFolder(path))) {
      throw new DataError(`${path}: the file is not in the folder of a class (${layout})`);
    }
    const name = normalized(folder);
    const label = known === undefined ? classes.length : known.indexOf(name);
    if (label < 0) {
      throw new DataError(
        `${path}: the folder is not one of the classes: ${known!.join(', ')} (add it to classes, or remove the folder)`,
      );
    }
    const before = files.length;
    await addImages(path, label, files, signal);
    if (files.length === before)
      throw new DataError(`${path}: the class has no images (add some, or remove the folder)`);
    classes.push(name);
  }
  if (classes.length === 0) throw new DataError(`${root}: there are no folders of classes (${layout})`);
  return { classes: known ?? classes, files };
}

async function addImages(
  folder: string,
  label: number,
  files: LabeledFile[],
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (await isFolder(path)) await addImages(path, label, files, signal);
    else if (READ.has(extname(name).toLowerCase())) files.push({ path, label });
    else {
      throw new DataError(
        `${path}: the file name has no PNG or JPEG extension (convert it, or remove it from the folder)`,
      );
    }
  }
}

/** Whether `path` is a folder or a link to one. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new DataError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Some systems store é as one character, others as two. */
const normalized = (name: string): string => name.normalize('NFC');

/** The names in a folder, sorted by code units, which gives the same order on every machine. */
async function namesIn(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw new DataError(`${folder}: cannot be read: ${(cause as Error).message} (is it a folder?)`, {
      cause,
    });
  }
  return names
    .filter((name) => !name.startsWith('.') && !IGNORED.has(name.toLowerCase()))
    .sort((a, b) => (normalized(a) < normalized(b) ? -1 : 1));
}
