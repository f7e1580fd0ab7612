/** Images that are read when a batch needs them. */
import { availableParallelism } from 'node:os';
import type { Dataset, InputData } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { sizeOf } from '../../engine/shape.ts';
import { checkRead } from '../checks.ts';
import { Turns } from './turns.ts';

/** Threads of libuv, which decode. */
const LIBUV_THREADS = 4;

/** The number of files that are decoded at once by default. More would wait for the threads, and each can hold a large image. */
export function decoders(): number {
  const threads = Number(process.env['UV_THREADPOOL_SIZE']);
  return Math.min(availableParallelism(), threads >= 1 ? Math.floor(threads) : LIBUV_THREADS);
}

/** The default memory of decoded images, in bytes. */
export const MEMORY = 2 ** 28;

interface LazyImages {
  readonly name: string;
  /** Of one image. */
  readonly shape: readonly number[];
  readonly classes: readonly string[];
  readonly labels: Int32Array;
  /** Writes image `i` at `offset`. */
  readonly load: (i: number, out: InputData, offset: number) => Promise<void>;
  readonly memory: number;
  readonly workers: number;
}

export function lazyImages({ name, shape, classes, labels, load, memory, workers }: LazyImages): Dataset {
  const item = sizeOf(shape);
  const turns = new Turns(workers);
  // The first images stay. With a new random order in each epoch, no other choice has more hits.
  const kept = new Map<number, Uint8Array>();
  const most = Math.floor(memory / item);

  const readOne = async (i: number, out: InputData, offset: number): Promise<void> => {
    const image = kept.get(i);
    if (image !== undefined) return out.set(image, offset);
    await turns.take(async () => {
      try {
        await load(i, out, offset);
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        throw new DataError(`${error.message} (repair it; a run with checkpoints can then be resumed)`, {
          cause: error.cause,
        });
      }
    });
    if (kept.size < most) kept.set(i, Uint8Array.from(out.subarray(offset, offset + item)));
  };

  const dataset: Dataset = {
    name,
    length: labels.length,
    x: { shape, dtype: 'u8' },
    y: { shape: [], dtype: 'i32' },
    classes,
    async read(indices, x, y) {
      checkRead(dataset, indices, x, y);
      dataset.readTargets!(indices, y);
      /** Where each image comes first. The last batch of an evaluation repeats one. */
      const firsts = new Map<number, number>();
      for (const [at, i] of indices.entries()) if (!firsts.has(i)) firsts.set(i, at);
      await Promise.all([...firsts].map(([i, at]) => readOne(i, x, at * item)));
      for (const [at, i] of indices.entries()) {
        const first = firsts.get(i)!;
        if (first !== at) x.copyWithin(at * item, first * item, (first + 1) * item);
      }
    },
    readTargets(indices, y) {
      for (const [at, i] of indices.entries()) y[at] = labels[i];
    },
  };
  return dataset;
}
