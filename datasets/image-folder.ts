/** Pictures of one's own: a folder with a folder for each class. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import type { Dataset } from '../engine/dataset.ts';
import { DataError } from '../engine/errors.ts';
import { checkInteger, checkOneOf, checkOptions, show } from '../engine/options.ts';
import type { HostTensor } from '../engine/types.ts';
import { arrays } from './arrays.ts';
import { decodePicture, resizePicture, type Size } from './pictures.ts';
import type { OnData } from './progress.ts';

/** What every picture becomes. */
export interface ImageOptions {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  /** 3: red, green, blue (default); 1: grey. */
  readonly channels?: 1 | 3;
  /**
   * Pictures of another shape: 'cover' takes the largest part of the right shape from the middle (default), 'stretch' all of them
   * and distorts.
   */
  readonly fit?: 'cover' | 'stretch';
}

export interface ImageFolderOptions extends ImageOptions {
  /**
   * The classes, in this order: for a second folder, whose labels are to mean the same. A folder of none of them is refused, a class
   * without a folder has no examples. Default: the folders.
   */
  readonly classes?: readonly string[];
  /** Hears of every picture that was read. */
  readonly onProgress?: OnData;
  readonly signal?: AbortSignal;
}

const SIZE_OPTIONS = ['height', 'width', 'channels', 'fit'] as const;
const READ = new Set(['.png', '.jpg', '.jpeg']);
/** A data set is one array. */
const MOST_BYTES = 2 ** 32;
/** What file managers leave behind. */
const LITTER = new Set(['thumbs.db', 'desktop.ini']);

interface Found {
  readonly path: string;
  readonly label: number;
}

/**
 * A data set of the pictures in `dir`: PNG and JPEG, as `dir/<class>/…/<picture>`, classes and pictures in the order of their names.
 * They are decoded once and kept as bytes, [height, width, channels] each, resized with a bilinear filter that counts every pixel.
 * Hidden files are left out, and what file managers leave behind; alpha is dropped, and a camera's note which side is up not heeded.
 *
 * Throws DataError, naming the file, for one that is no picture or damaged, for a class without pictures, and where there are no
 * folders of classes; the signal's reason where it aborts.
 *
 * @example
 * const all = await imageFolder('pets', { height: 32, width: 32 });
 * const [train, test] = split(all, Math.round(0.8 * all.length), { seed: 1 });
 */
export async function imageFolder(dir: string, options: ImageFolderOptions): Promise<Dataset> {
  checkPath('imageFolder: dir must be the path of a folder', dir);
  checkOptions('imageFolder', options, [...SIZE_OPTIONS, 'classes', 'onProgress', 'signal']);
  const size = sizeOf('imageFolder', options);
  const { height, width, channels } = size;
  const { classes: wanted, onProgress, signal } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new TypeError(`imageFolder: onProgress must be a function, got ${show(onProgress)}`);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError(`imageFolder: signal must be an AbortSignal, got ${show(signal)}`);
  const root = resolve(dir);
  const { classes, found } = await findPictures(root, wanted, signal);
  const item = height * width * channels;
  if (found.length * item > MOST_BYTES) {
    throw new RangeError(
      `imageFolder: ${root}: ${found.length} pictures of ${width} x ${height} x ${channels} take ` +
        `${(found.length * item) / 2 ** 30} GiB, more than ${MOST_BYTES / 2 ** 30} (make them smaller, or take a part)`,
    );
  }
  const data = new Uint8Array(found.length * item);
  for (const [i, { path }] of found.entries()) {
    signal?.throwIfAborted();
    resizePicture(await decodePicture(path, await readBytes(path)), size, data, i * item);
    onProgress?.({ phase: 'read', source: root, done: i + 1, total: found.length });
  }
  const labels = Int32Array.from(found, ({ label }) => label);
  return arrays({ shape: [found.length, height, width, channels], data }, labels, {
    classes,
    name: `${basename(root)} ${width}x${height}`,
  });
}

/**
 * One picture as imageFolder has them, [1, height, width, channels], for `predict` and `forward`. Throws DataError, naming the file,
 * where it cannot be read or is neither PNG nor JPEG.
 *
 * @example const { classes } = await predict({ model, state, backend, data: await readImage('cat.jpg', { height: 32, width: 32 }) });
 */
export async function readImage(path: string, options: ImageOptions): Promise<HostTensor> {
  checkPath('readImage: path must be that of a picture', path);
  checkOptions('readImage', options, SIZE_OPTIONS);
  const size = sizeOf('readImage', options);
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

function checkPath(where: string, given: unknown): void {
  if (typeof given === 'string' && given !== '' && !given.startsWith('file:')) return;
  const url = given instanceof URL || (typeof given === 'string' && given.startsWith('file:'));
  throw new TypeError(
    `${where}, got ${show(given)}${url ? ' (make it one with fileURLToPath of node:url)' : ''}`,
  );
}

function sizeOf(where: string, options: ImageOptions): Size {
  const { height, width, channels = 3, fit = 'cover' } = options;
  checkInteger(where, 'height', height, 1, 4096);
  checkInteger(where, 'width', width, 1, 4096);
  checkOneOf(where, 'channels', channels, [1, 3]);
  checkOneOf(where, 'fit', fit, ['cover', 'stretch']);
  return { height, width, channels, fit };
}

async function findPictures(
  root: string,
  wanted: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly classes: readonly string[]; readonly found: readonly Found[] }> {
  const layout = `imageFolder: the layout is ${join(root, '<class>', '<picture>.png')}`;
  const names = wanted?.map(composed);
  const classes: string[] = [];
  const found: Found[] = [];
  for (const name of await namesIn(root)) {
    const path = join(root, name);
    if (!(await isFolder(path))) {
      throw new DataError(`${path}: is not in the folder of a class (${layout})`);
    }
    const own = composed(name);
    const label = names === undefined ? classes.length : names.indexOf(own);
    if (label < 0) {
      throw new DataError(
        `${path}: is none of the classes that were given: ${names!.join(', ')} (add it to them, or take the folder away)`,
      );
    }
    const before = found.length;
    await addPictures(path, label, found, signal);
    if (found.length === before)
      throw new DataError(`${path}: the class has no pictures (add some, or remove the folder)`);
    classes.push(own);
  }
  if (classes.length === 0) throw new DataError(`${root}: has no folders of classes (${layout})`);
  return { classes: names ?? classes, found };
}

async function addPictures(
  folder: string,
  label: number,
  found: Found[],
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (await isFolder(path)) await addPictures(path, label, found, signal);
    else if (READ.has(extname(name).toLowerCase())) found.push({ path, label });
    else {
      throw new DataError(
        `${path}: is neither PNG nor JPEG by its name (convert it, or take it out of the folder)`,
      );
    }
  }
}

/** Follows links. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new DataError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Some systems store é as one character, some as two. */
const composed = (name: string): string => name.normalize('NFC');

/** What a folder holds, in the order of code units, which is the same on every machine. */
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
    .filter((name) => !name.startsWith('.') && !LITTER.has(name.toLowerCase()))
    .sort((a, b) => (composed(a) < composed(b) ? -1 : 1));
}
