/** Which images stay in memory. */
import type { LazyOptions } from '../../datasets/index.ts';

/** Bytes of images after they are resized. */
export const bytesOf = (images: number, size: number): number => images * size * size * 3;

/** The default of `--memory`, in MB. Training on images in memory takes about twice as much, because the backend has a copy. */
export const MEMORY = 500;

/** Images that need more memory are decoded once into the cache of the user and read during training. */
export const lazyFor = (images: number, size: number, memory = MEMORY): false | LazyOptions =>
  bytesOf(images, size) > memory * 1e6 && { memory: memory * 1e6, shards: true };
