/** CIFAR-10 from its official binary files, as bytes, channels last. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { checkRead } from '../checks.ts';
import { orUnreadable } from '../download/files.ts';
import { CLASSES, obtainCifar10, RECORD, SOURCES } from '../download/obtain.ts';
import type { BatchFile, ObtainOptions } from '../download/obtain.ts';

const PIXELS = 1024;
const ITEM = 3 * PIXELS;

export type Cifar10Options = ObtainOptions;

/** Reads one batch file into `images` and `labels`, from example `first` on. Planes become interleaved pixels. */
async function readBatch(
  path: string,
  records: number,
  images: Uint8Array,
  labels: Int32Array,
  first: number,
  buffer: Uint8Array,
): Promise<void> {
  const fix = 'delete its folder and run again to download the data';
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let count = 0;
    while (size === buffer.length && count < size) {
      const { bytesRead } = await file.read(buffer, count, size - count, count);
      if (bytesRead === 0) break;
      count += bytesRead;
    }
    if (count !== buffer.length) {
      throw new DataError(
        `cifar10: ${path}: the file is truncated or has another format: it has ${size} bytes, expected ${buffer.length} (${fix})`,
      );
    }
  } finally {
    await file.close();
  }
  for (let i = 0; i < records; i++) {
    const at = i * RECORD;
    const label = buffer[at];
    if (label >= CLASSES.length) {
      throw new DataError(
        `cifar10: ${path}: the file is corrupt: record ${i} has the label ${label}, expected 0 to ${CLASSES.length - 1} (${fix})`,
      );
    }
    labels[first + i] = label;
    let out = (first + i) * ITEM;
    for (let p = at + 1; p < at + 1 + PIXELS; p++) {
      images[out++] = buffer[p]!;
      images[out++] = buffer[p + PIXELS]!;
      images[out++] = buffer[p + 2 * PIXELS]!;
    }
  }
}

async function readSplit(
  name: string,
  dir: string,
  files: readonly BatchFile[],
  records: number,
  signal?: AbortSignal,
): Promise<Dataset> {
  const length = files.length * records;
  const images = new Uint8Array(length * ITEM); // [N, 32, 32, 3]
  const labels = new Int32Array(length);
  const buffer = new Uint8Array(records * RECORD); // one file at a time, so peak memory stays close to the size of the data
  for (const [k, file] of files.entries()) {
    signal?.throwIfAborted();
    const path = join(dir, file.name);
    await orUnreadable(path, () => readBatch(path, records, images, labels, k * records, buffer));
  }
  const dataset: Dataset = {
    name,
    length,
    x: { shape: [32, 32, 3], dtype: 'u8' },
    y: { shape: [], dtype: 'i32' },
    classes: CLASSES,
    whole: { x: images, y: labels },
    read(indices, x, y) {
      checkRead(dataset, indices, x, y);
      for (let i = 0; i < indices.length; i++) {
        const index = indices[i];
        x.set(images.subarray(index * ITEM, (index + 1) * ITEM), i * ITEM);
        y[i] = labels[index]!;
      }
    },
  };
  return dataset;
}

/**
 * CIFAR-10: 50,000 training and 10,000 test images in 10 classes. It takes about 184 MB of memory. `dir` has the files of the
 * official binary archive, their folder or the archive. The Python version is converted to the binary files, whose checksums are verified. If
 * `dir` has none of them, the data is downloaded there.
 *
 * Shapes: x [32, 32, 3] u8, y [] i32 from 0 to 9.
 * Throws DataError for missing, truncated or corrupt files, and if no source is reachable. Throws the reason of the signal when it
 * aborts.
 * Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
 *
 * @example const { train, test } = await cifar10();
 */
export async function cifar10(
  options: Cifar10Options = {},
): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  const dir = await obtainCifar10(options);
  const sources = { ...SOURCES, ...options.sources };
  const train = await readSplit('cifar10/train', dir, sources.train, sources.records, options.signal);
  const test = await readSplit('cifar10/test', dir, [sources.test], sources.records, options.signal);
  return { train, test };
}
