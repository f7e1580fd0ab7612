/** Classes of image files by a trained network. */
import { statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { DataError, formatPercent, predict, type Backend } from '../../engine/index.ts';
import { readImage } from '../../datasets/index.ts';
import { UsageError } from '../failure.ts';
import type { Trained } from './run-folder.ts';

export interface FilePrediction {
  readonly file: string;
  readonly class: string;
  readonly probability: number;
  readonly probabilities: Readonly<Record<string, number>>;
}

export interface FailedFile {
  readonly file: string;
  readonly error: string;
}

/** An image to classify. `isNamed`: its path was given, so it must be an image. */
export interface Candidate {
  readonly path: string;
  readonly isNamed: boolean;
}

/** The files of paths, folders and patterns, without repetition. Throws UsageError for what does not exist. */
export async function findFiles(cwd: string, given: readonly string[]): Promise<readonly Candidate[]> {
  const found = new Map<string, boolean>();
  for (const one of given) {
    const path = resolve(cwd, one);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() === true) {
      found.set(path, true);
      continue;
    }
    // A folder may have characters of patterns in its name.
    if (stats === undefined && !isDynamicPattern(one))
      throw new UsageError(`${one}: there is no such file or folder`);
    const files =
      stats === undefined
        ? await glob(one.replaceAll('\\', '/'), { cwd, absolute: true })
        : await glob('**/*', { cwd: path, absolute: true });
    if (files.length === 0) {
      throw new UsageError(
        `${one}: ${stats === undefined ? 'no file has a name like this' : 'the folder has no files'}`,
      );
    }
    for (const file of files.sort()) found.set(resolve(file), found.get(resolve(file)) ?? false);
  }
  return Array.from(found, ([path, isNamed]) => ({ path, isNamed }));
}

/** Images of one call of the network. */
const BATCH = 64;

/** The classes of images, in their order, and the files that are none. */
export async function predictFiles(
  { layer: model, state, classes, size, fit }: Trained,
  backend: Backend,
  files: readonly string[],
  signal: AbortSignal,
): Promise<readonly (FilePrediction | FailedFile)[]> {
  const results: (FilePrediction | FailedFile)[] = [];
  for (let first = 0; first < files.length; first += BATCH) {
    signal.throwIfAborted();
    const read = await Promise.all(files.slice(first, first + BATCH).map((file) => readOne(file)));
    const images = read.flatMap((one) => ('data' in one ? [one] : []));
    const data = new Uint8Array(images.length * size * size * 3);
    images.forEach((one, i) => data.set(one.data, i * size * size * 3));
    const shape = [images.length, size, size, 3];
    const probabilities =
      images.length === 0
        ? null
        : (await predict({ model, state, backend, data: { shape, dtype: 'u8', data } })).probabilities;
    let row = 0;
    for (const one of read) {
      if (!('data' in one)) {
        results.push(one);
        continue;
      }
      const own = probabilities!.data.slice(row * classes.length, (row + 1) * classes.length);
      row++;
      const best = own.indexOf(Math.max(...own));
      results.push({
        file: one.file,
        class: classes[best],
        probability: own[best],
        probabilities: Object.fromEntries(classes.map((name, label) => [name, own[label]])),
      });
    }
  }
  return results;

  async function readOne(
    file: string,
  ): Promise<FailedFile | { readonly file: string; readonly data: Uint8Array }> {
    try {
      const image = await readImage(file, { height: size, width: size, fit });
      return { file, data: image.data as Uint8Array };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return { file, error: error.message.replace(`${file}: `, '') };
    }
  }
}

/** One line for each image, with the second class where it is likely. */
export function predictionText(
  { file, class: name, probability, probabilities }: FilePrediction,
  cwd: string,
): string {
  const [, second] = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
  const other =
    second !== undefined && second[1] >= 0.05 ? `  (${second[0]} ${formatPercent(second[1])})` : '';
  return `${relative(cwd, file)}: ${name} ${formatPercent(probability)}${other}`;
}
