/** Pictures of one's own: a folder with a folder for each class. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { DataError } from '../engine/errors.ts';
import { checkInteger, checkOneOf, checkOptions } from '../engine/options.ts';
import type { HostTensor } from '../engine/types.ts';
import { arrays } from './arrays.ts';
import type { Dataset } from './dataset.ts';
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
  /** Hears of every picture that was read. */
  readonly onProgress?: OnData;
  readonly signal?: AbortSignal;
}

const SIZE_OPTIONS = ['height', 'width', 'channels', 'fit'];
const READ = new Set(['.png', '.jpg', '.jpeg']);
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
  const size = sizeOf('imageFolder', options, ['onProgress', 'signal']);
  const { height, width, channels } = size;
  const { onProgress, signal } = options;
  const root = resolve(dir);
  const { classes, found } = await findPictures(root);
  const item = height * width * channels;
  const data = new Uint8Array(found.length * item);
  for (const [i, { path }] of found.entries()) {
    signal?.throwIfAborted();
    resizePicture(await decodePicture(path, await readFile(path)), size, data, i * item);
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
  const size = sizeOf('readImage', options, []);
  const { height, width, channels } = size;
  const data = new Uint8Array(height * width * channels);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new DataError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  });
  resizePicture(await decodePicture(path, bytes), size, data, 0);
  return { shape: [1, height, width, channels], dtype: 'u8', data };
}

function checkPath(where: string, given: unknown): void {
  if (typeof given !== 'string' || given === '')
    throw new TypeError(`${where}, got ${JSON.stringify(given)}`);
}

function sizeOf(where: string, options: ImageOptions, others: readonly string[]): Size {
  checkOptions(where, options, [...SIZE_OPTIONS, ...others]);
  const { height, width, channels = 3, fit = 'cover' } = options;
  checkInteger(where, 'height', height, 1, 4096);
  checkInteger(where, 'width', width, 1, 4096);
  checkOneOf(where, 'channels', channels, [1, 3]);
  checkOneOf(where, 'fit', fit, ['cover', 'stretch']);
  return { height, width, channels, fit };
}

async function findPictures(
  root: string,
): Promise<{ readonly classes: readonly string[]; readonly found: readonly Found[] }> {
  const layout = `imageFolder: the layout is ${join(root, '<class>', '<picture>.png')}`;
  const classes: string[] = [];
  const found: Found[] = [];
  for (const name of await namesIn(root)) {
    const path = join(root, name);
    if (!(await isFolder(path))) {
      throw new DataError(`${path}: is not in the folder of a class (${layout})`);
    }
    const pictures = await picturesIn(path);
    if (pictures.length === 0)
      throw new DataError(`${path}: the class has no pictures (add some, or remove the folder)`);
    for (const picture of pictures) found.push({ path: picture, label: classes.length });
    classes.push(name);
  }
  if (classes.length === 0) throw new DataError(`${root}: has no folders of classes (${layout})`);
  return { classes, found };
}

async function picturesIn(folder: string): Promise<string[]> {
  const pictures: string[] = [];
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (await isFolder(path)) pictures.push(...(await picturesIn(path)));
    else if (READ.has(extname(name).toLowerCase())) pictures.push(path);
    else {
      throw new DataError(
        `${path}: is neither PNG nor JPEG by its name (convert it, or take it out of the folder)`,
      );
    }
  }
  return pictures;
}

/** Follows links. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new DataError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

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
  // oxlint-disable-next-line require-array-sort-compare -- by code units is what is wanted
  return names.filter((name) => !name.startsWith('.') && !LITTER.has(name.toLowerCase())).sort();
}
