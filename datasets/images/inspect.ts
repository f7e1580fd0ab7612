/** What is in a folder of images, before their pixels are read. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { checkOptions } from '../../engine/options.ts';
import { checkListening } from '../checks.ts';
import type { OnData } from '../progress.ts';
import { imageSize } from './decode.ts';
import { checkFiles, commonFolder } from './files.ts';
import { readImageFile } from './file.ts';
import type { ImageFormat } from './image.ts';
import { checkPath, MAX_PIXELS, untilAborted } from './options.ts';
import { checkClasses, forEachFile } from './read.ts';
import { findImages, type FoundImages, type LabeledFile, type SkippedFile } from './scan.ts';

export interface InspectOptions {
  /** The classes in the order of their labels. Required for a list of files. Default: the names of the folders, sorted. */
  readonly classes?: readonly string[];
  /** Receives an event after each file. Default: none. */
  readonly onProgress?: OnData;
  /** Stops the reading when it aborts. Default: none. */
  readonly signal?: AbortSignal;
}

/** What the header of a file says. */
export interface InspectedImage extends LabeledFile {
  readonly format: ImageFormat;
  /** Pixels of the upright image. */
  readonly width: number;
  /** Pixels of the upright image. */
  readonly height: number;
  /** SHA-256 of the file in hexadecimal. Copies of a file have the same. */
  readonly digest: string;
}

/** The result of `inspectImages`. */
export interface ImageInspection {
  readonly classes: readonly string[];
  /** Sorted as the examples of `imageFolder`, or in the order of the list. */
  readonly images: readonly InspectedImage[];
  /** Files that are not images, or cannot be read, sorted by path. Damage within the pixels shows when they are decoded. */
  readonly problems: readonly SkippedFile[];
  /** Groups of two or more indices of `images` whose files have the same bytes. */
  readonly copies: readonly (readonly number[])[];
}

const WHERE = 'inspectImages';

/**
 * Inspects the images of a folder with one folder for each class, or a list of labeled files: formats, sizes, files that are not images,
 * and copies. It reads every file but decodes only the headers. `similarImages` also finds images that were saved again or resized.
 *
 * Throws DataError for a folder that cannot be read or has no folders of classes, EngineError if the package sharp cannot be loaded,
 * RangeError or TypeError for invalid arguments, and the reason of the signal when it aborts.
 *
 * @example
 * const { images, problems, copies } = await inspectImages('pets');
 * for (const group of copies) console.log('the same file:', ...group.map((i) => images[i]?.path));
 */
export async function inspectImages(
  source: string | readonly LabeledFile[],
  options: InspectOptions = {},
): Promise<ImageInspection> {
  checkOptions(WHERE, options, ['classes', 'onProgress', 'signal']);
  const { classes, onProgress, signal } = options;
  if (classes !== undefined || Array.isArray(source)) checkClasses(WHERE, classes);
  checkListening(WHERE, options);
  signal?.throwIfAborted();
  let found: FoundImages;
  let name: string = WHERE;
  if (Array.isArray(source)) {
    const files = checkFiles(WHERE, source, classes!.length);
    found = { classes: classes!, files, problems: [] };
    name = commonFolder(files);
  } else {
    checkPath(`${WHERE}: the first argument must be the path of a folder, or an array of files`, source);
    name = resolve(source as string);
    found = await findImages(name, { classes, signal });
  }
  const results: (InspectedImage | string)[] = [];
  const work = forEachFile(name, found.files, { onProgress, signal }, async (file, i) => {
    try {
      results[i] = await inspect(file);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      results[i] = error.message;
    }
  });
  await untilAborted(work, signal);
  const images = results.filter((result) => typeof result !== 'string');
  const failed = results.flatMap((result, i) =>
    typeof result === 'string' ? [{ path: found.files[i].path, reason: result }] : [],
  );
  const problems = [...found.problems, ...failed].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { classes: found.classes, images, problems, copies: copiesOf(images) };
}

async function inspect(file: LabeledFile): Promise<InspectedImage> {
  const bytes = await readImageFile(file.path, MAX_PIXELS);
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { ...file, ...(await imageSize(bytes)), digest };
}

function copiesOf(images: readonly InspectedImage[]): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (const [i, { digest }] of images.entries()) groups.set(digest, [...(groups.get(digest) ?? []), i]);
  return [...groups.values()].filter((group) => group.length > 1);
}
