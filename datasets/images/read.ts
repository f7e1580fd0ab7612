/** Decodes the files of a data set into one array. */
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { checkOneOf, show } from '../../engine/options.ts';
import { checkListening } from '../checks.ts';
import type { OnData } from '../progress.ts';
import { readImageInto } from './file.ts';
import type { DecodeOptions } from './image.ts';
import { decoders } from './lazy.ts';
import type { Size } from './resize.ts';
import type { LabeledFile, SkippedFile } from './scan.ts';

/** The maximum size: a data set is one array. */
const MAX_BYTES = 2 ** 32;

/** How files are read. */
export interface ReadingOptions {
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

/** Images of files. */
export interface ImageDataset extends Dataset {
  /** The file of each example. */
  readonly files: readonly LabeledFile[];
  /** The files that `onError: 'skip'` left out, sorted by path. */
  readonly skipped: readonly SkippedFile[];
}

/** Throws unless the options of reading are valid, or with the reason of a signal that has aborted. */
export function checkReading(where: string, options: ReadingOptions): void {
  const { onError = 'report', signal } = options;
  checkOneOf(where, 'onError', onError, ['report', 'skip', 'stop']);
  checkListening(where, options);
  signal?.throwIfAborted();
}

/** Throws TypeError unless `classes` are names. */
export function checkClasses(where: string, classes: unknown): void {
  if (Array.isArray(classes) && classes.every((name) => typeof name === 'string')) return;
  throw new TypeError(`${where}: classes must be an array of names, got ${show(classes)}`);
}

/** Throws RangeError, which starts with `where` and ends with `fix`, for images that are too large for one array. */
export function checkSize(
  where: string,
  images: number,
  { height, width, channels }: Size,
  fix: string,
): void {
  const bytes = images * height * width * channels;
  if (bytes <= MAX_BYTES) return;
  throw new RangeError(
    `${where}: ${images} images of ${width} x ${height} x ${channels} take ${(bytes / 2 ** 30).toFixed(2)} GiB, ` +
      `more than ${MAX_BYTES / 2 ** 30} (${fix})`,
  );
}

export interface ReadImages {
  /** [files.length, height, width, channels] */
  readonly data: Uint8Array;
  readonly files: readonly LabeledFile[];
  /** In the order of the files. */
  readonly failed: readonly SkippedFile[];
}

/** Calls `use` for every file, several at once, until it returns false. Sends an event after each. */
export async function forEachFile(
  source: string,
  files: readonly LabeledFile[],
  {
    onProgress,
    signal,
  }: { readonly onProgress?: OnData | undefined; readonly signal?: AbortSignal | undefined },
  use: (file: LabeledFile, index: number) => Promise<boolean | void>,
): Promise<void> {
  let next = 0;
  let done = 0;
  const readOn = async (): Promise<void> => {
    while (next < files.length) {
      const i = next++;
      signal?.throwIfAborted();
      if ((await use(files[i], i)) === false) next = files.length;
      onProgress?.({ phase: 'read', source, done: ++done, total: files.length });
    }
  };
  try {
    await Promise.all(Array.from({ length: decoders() }, readOn));
  } finally {
    next = files.length; // after an error that ends the reading
  }
}

/** Decodes the files, several at once, into one array in their order. With 'stop' it ends after the first failure. */
export async function readAll(
  source: string,
  files: readonly LabeledFile[],
  format: Size & DecodeOptions,
  { onError, onProgress, signal }: ReadingOptions,
): Promise<ReadImages> {
  const item = format.height * format.width * format.channels;
  const data = new Uint8Array(files.length * item);
  const failures = new Map<number, string>();
  await forEachFile(source, files, { onProgress, signal }, async ({ path }, i) => {
    try {
      await readImageInto(path, format, data, i * item);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      failures.set(i, error.message);
      return onError !== 'stop';
    }
    return true;
  });

  const good = [...files.keys()].filter((i) => !failures.has(i));
  for (const [to, i] of good.entries()) {
    if (to !== i) data.copyWithin(to * item, i * item, (i + 1) * item);
  }
  return {
    data: data.subarray(0, good.length * item),
    files: good.map((i) => files[i]),
    failed: [...failures].sort(([a], [b]) => a - b).map(([i, reason]) => ({ path: files[i].path, reason })),
  };
}
