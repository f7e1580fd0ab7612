/** One shared WebAssembly memory for the process, with an allocator for stores and executables. */
import { BackendError } from '../../errors.ts';

const PAGE = 65536;
/** The first page belongs to the modules' own static data. */
export const RESERVED = PAGE;
const ALIGNMENT = 64;
/** Kernels may read, never write, a few floats past the end of an array. */
const SLACK = 64;
/** Tried in turn: some systems refuse to reserve the full 4 GiB of addresses. */
const MAXIMA = [65536, 32768, 16384, 8192];

interface Block {
  readonly start: number;
  readonly end: number;
}

export class Heap {
  readonly memory: WebAssembly.Memory;
  /** The size that the memory can have, in bytes. */
  readonly #limit: number;
  /** Free blocks in order of address, none touching another. */
  #free: Block[] = [];
  readonly #used = new Map<number, number>();
  #end = RESERVED;

  constructor() {
    const { memory, maximum } = reserve();
    this.memory = memory;
    this.#limit = maximum * PAGE;
    this.#extend(this.memory.buffer.byteLength);
  }

  /** Address of `bytes` bytes, aligned to a cache line. Throws BackendError when the memory cannot grow enough. */
  allocate(bytes: number): number {
    const size = Math.ceil((bytes + SLACK) / ALIGNMENT) * ALIGNMENT;
    let at = this.#free.findIndex((block) => block.end - block.start >= size);
    if (at < 0) {
      this.#grow(size);
      at = this.#free.length - 1;
    }
    const { start, end } = this.#free[at];
    if (end - start === size) this.#free.splice(at, 1);
    else this.#free[at] = { start: start + size, end };
    this.#used.set(start, start + size);
    return start;
  }

  free(start: number): void {
    const end = this.#used.get(start);
    if (end === undefined)
      throw new BackendError(`wasm heap: address ${start} is freed but was not allocated`);
    this.#used.delete(start);
    let at = this.#free.findIndex((block) => block.start > start);
    if (at < 0) at = this.#free.length;
    const before = this.#free[at - 1];
    const after = this.#free[at];
    const joinsBefore = before !== undefined && before.end === start;
    const joinsAfter = after !== undefined && after.start === end;
    const joined = { start: joinsBefore ? before.start : start, end: joinsAfter ? after.end : end };
    this.#free.splice(at - (joinsBefore ? 1 : 0), (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0), joined);
  }

  // Views are made anew each time: a memory that has grown has another buffer object.
  f32(start: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, start, length);
  }
  i32(start: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, start, length);
  }
  u8(start: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, start, length);
  }
  f64(start: number, length: number): Float64Array {
    return new Float64Array(this.memory.buffer, start, length);
  }

  get #bytesInUse(): number {
    return [...this.#used].reduce((sum, [start, end]) => sum + end - start, 0);
  }

  #grow(size: number): void {
    const last = this.#free.at(-1);
    const missing = size - (last !== undefined && last.end === this.#end ? last.end - last.start : 0);
    try {
      this.memory.grow(Math.ceil(missing / PAGE));
    } catch (error) {
      throw new BackendError(
        `wasm: no memory for another ${mib(size)}: ${mib(this.#bytesInUse)} of at most ${mib(this.#limit)} are in use ` +
          '(use a smaller batch, close what is not needed, or feed the data instead of keeping it resident)',
        { cause: error },
      );
    }
    this.#extend(this.memory.buffer.byteLength);
  }

  #extend(end: number): void {
    const last = this.#free.at(-1);
    if (last !== undefined && last.end === this.#end)
      this.#free[this.#free.length - 1] = { start: last.start, end };
    else if (end > this.#end) this.#free.push({ start: this.#end, end });
    this.#end = end;
  }
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function reserve(): { readonly memory: WebAssembly.Memory; readonly maximum: number } {
  let failure: unknown;
  for (const maximum of MAXIMA) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 2, maximum, shared: true }), maximum };
    } catch (error) {
      failure = error;
    }
  }
  throw new BackendError(
    `wasm: this JavaScript engine gives no shared memory: ${String(failure)} ` +
      `(browsers need cross-origin isolation; or use the 'reference' backend, which runs anywhere)`,
    { cause: failure },
  );
}
