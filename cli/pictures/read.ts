/** The images of a run in memory, and which of them train and test. */
import { resolve } from 'node:path';
import {
  channelStats,
  imageFiles,
  inMemory,
  similarImages,
  subset,
  type Dataset,
  type ImageDataset,
  type LabeledFile,
} from '../../datasets/index.ts';
import { stream } from '../../engine/index.ts';
import type { Host } from '../host.ts';
import type { Stop } from '../stop.ts';
import { dataProgress } from '../terminal/data-progress.ts';
import { lazyFor } from './memory.ts';
import type { RunRecord } from './run-folder.ts';
import { openSource, type Part, type Source, type SourceOptions } from './sources.ts';
import { splitImages } from './split.ts';

export interface Pictures {
  /** All images that can be used. */
  readonly all: ImageDataset;
  /** Groups of indices of images that look alike. */
  readonly alike: readonly (readonly number[])[];
  readonly parts: Readonly<Record<Part, Uint32Array>>;
}

type ReadingOptions = Omit<SourceOptions, 'classes'>;

/** The result of `use`, with progress on stderr. */
export async function reading<T>(
  host: Host,
  { signal }: Stop,
  use: (options: ReadingOptions) => Promise<T>,
): Promise<T> {
  const progress = dataProgress(host.stderr);
  try {
    return await use({ signal, onProgress: progress.onProgress });
  } finally {
    progress.stop();
  }
}

/** Decodes the images, and decides which train and which test. */
export async function readPictures(
  source: Source,
  { size, fit, testShare, seed, memory }: RunRecord['settings'],
  options: ReadingOptions,
): Promise<Pictures> {
  const all = await imageFiles(
    source.images.map(({ path, label }) => ({ path, label })),
    {
      ...options,
      height: size,
      width: size,
      fit,
      classes: source.classes,
      onError: 'skip',
      lazy: lazyFor(source.images.length, size, memory),
    },
  );
  const partOf = new Map(source.images.map(({ path, part }) => [path, part]));
  const alike = await similarImages(all);
  const parts = splitImages({
    labels: all.files.map(({ label }) => label),
    parts: all.files.map(({ path }) => partOf.get(path) ?? null),
    alike,
    share: testShare,
    seed,
  });
  return { all, alike, parts };
}

/** Images whose statistics stand for those of all, if not all are in memory. */
const SAMPLE = 2000;

/** Mean and standard deviation of the channels of the training images. */
export async function statsOf(train: Dataset): Promise<ReturnType<typeof channelStats>> {
  if (train.whole !== undefined || train.length <= SAMPLE) return channelStats(await inMemory(train));
  const random = stream(0, 'statistics of images');
  const sample = Array.from({ length: SAMPLE }, () => random.below(train.length));
  return channelStats(await inMemory(subset(train, sample)));
}

/** Images that do not train, in their order. */
export interface HeldOut {
  readonly data: Dataset;
  readonly files: readonly LabeledFile[];
}

/** The images of a part, or those of the other part that does not train. */
export function heldOut({ all, parts }: Pictures, part: 'valid' | 'test'): HeldOut {
  const indices = parts[part].length > 0 ? parts[part] : parts[part === 'test' ? 'valid' : 'test'];
  return {
    data: subset(all, indices, `${all.name}/${part}`),
    files: Array.from(indices, (i) => all.files[i]),
  };
}

/** The images of the run in `dir`. */
export async function picturesOf(dir: string, record: RunRecord, options: ReadingOptions): Promise<Pictures> {
  const source = await openSource(resolve(dir, record.data), { ...options, classes: record.classes });
  return readPictures(source, record.settings, options);
}
