/** Memory for values that live only during a run. Runs follow one another, so the executables of a backend share it. */
import type { Heap } from './heap.ts';

const ALIGNMENT = 64;
/** As in the heap: kernels may read a few floats past the end of an array. */
const SLACK = 64;

interface Region {
  readonly at: number;
  readonly bytes: number;
  users: number;
}

export class Scratch {
  readonly #heap: Heap;
  readonly #regions: Region[] = [];

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** A region of at least so many bytes: the smallest that exists, or a new one. Free it with `release`. */
  acquire(bytes: number): Region {
    const fitting = this.#regions.filter((region) => region.bytes >= bytes);
    let region = fitting.toSorted((a, b) => a.bytes - b.bytes)[0];
    if (region === undefined) {
      region = { at: this.#heap.allocate(bytes), bytes, users: 0 };
      this.#regions.push(region);
    }
    region.users++;
    return region;
  }

  release(region: Region): void {
    region.users--;
    if (region.users > 0) return;
    this.#regions.splice(this.#regions.indexOf(region), 1);
    this.#heap.free(region.at);
  }
}

/** Places arrays one after another. */
export class Layout {
  bytes = 0;

  /** The offset of an array. */
  place(bytes: number): number {
    const at = this.bytes;
    this.bytes += Math.ceil((bytes + SLACK) / ALIGNMENT) * ALIGNMENT;
    return at;
  }
}
