/** A WebGPU device, its health and its buffers. */
import { BackendError } from '../../../errors.ts';
import { BINDING_BYTES, WORD } from '../memory.ts';

// The values of GPUBufferUsage and GPUMapMode, for which Node has no globals.
export const MAP_READ = 0x1;
export const COPY_SRC = 0x4;
export const COPY_DST = 0x8;
const STORAGE = 0x80;
export const QUERY_RESOLVE = 0x200;
export const RESIDENT = STORAGE | COPY_SRC | COPY_DST;

/** Bytes written to a device at a time, so that its staging memory stays small beside a data set. */
const WRITE_BYTES = 2 ** 26;

/** A range of a buffer. */
export type BufferRange = Required<GPUBufferBinding>;

/** The bytes of a buffer for this many words. */
export const bytesFor = (words: number): number => Math.max(16, Math.ceil(words / 4) * 16);

export class DeviceBuffers {
  readonly gpu: GPUDevice;
  /** The name of the adapter, for errors. */
  readonly adapter: string;
  /** The most words in one binding. */
  readonly partWords: number;
  #broken: string | null = null;

  constructor(gpu: GPUDevice, adapter: string) {
    this.gpu = gpu;
    this.adapter = adapter;
    const { maxStorageBufferBindingSize } = gpu.limits;
    this.partWords = Math.floor(maxStorageBufferBindingSize / BINDING_BYTES) * (BINDING_BYTES / WORD);
    void gpu.lost.then(({ reason, message }) => {
      this.#broken ??= `the device was lost (${reason}): ${message}`;
    });
    gpu.onuncapturederror = ({ error }) => {
      this.#broken ??= error.message;
    };
  }

  /** Throws BackendError once the device has failed. */
  expectHealthy(what: string): void {
    if (this.#broken !== null) {
      throw new BackendError(
        `gpu: ${what}: ${this.#broken} (make a new backend, and load the last checkpoint)`,
      );
    }
  }

  /** Allocates and fills the array of a store with this name, which kernels bind in at most `maxParts` parts. */
  async upload(words: Float32Array, name: string, maxParts: number): Promise<GPUBuffer> {
    this.expectHealthy('createStore');
    const size = bytesFor(words.length);
    this.#expectRoom(size, maxParts * this.partWords * WORD, `the array '${name}'`);
    this.gpu.pushErrorScope('out-of-memory');
    const buffer = this.gpu.createBuffer({ size, usage: RESIDENT });
    const error = await this.gpu.popErrorScope();
    if (error !== null) {
      buffer.destroy();
      throw new BackendError(
        `gpu: ${this.adapter} has no room for the array '${name}' of ${size} bytes: ${error.message}`,
      );
    }
    this.fill(buffer, words);
    return buffer;
  }

  /** Writes words to the beginning of a buffer. */
  fill(buffer: GPUBuffer, words: Float32Array): void {
    for (let begin = 0; begin < words.byteLength; begin += WRITE_BYTES) {
      const bytes = Math.min(WRITE_BYTES, words.byteLength - begin);
      this.gpu.queue.writeBuffer(buffer, begin, words.buffer, words.byteOffset + begin, bytes);
    }
  }

  /** Throws BackendError if a kernel cannot write this many bytes. */
  expectBindable(bytes: number, what: string): void {
    this.#expectRoom(bytes, this.partWords * WORD, what);
  }

  #expectRoom(bytes: number, bindable: number, what: string): void {
    const max = Math.min(bindable, this.gpu.limits.maxBufferSize);
    if (bytes <= max) return;
    throw new BackendError(
      `gpu: ${what} needs ${bytes} bytes in one buffer, but ${this.adapter} allows ${max}`,
    );
  }

  /** One part of a range that is larger than a binding may be. */
  partOf({ buffer, offset, size }: BufferRange, part: number): BufferRange {
    const max = this.partWords * WORD;
    return { buffer, offset: offset + part * max, size: Math.min(size - part * max, max) };
  }

  /** The first words of each buffer. */
  async read(
    sources: readonly (readonly [buffer: GPUBuffer, words: number])[],
  ): Promise<readonly Float32Array[]> {
    this.expectHealthy('store.read');
    const staged = sources.map(([source, words]) => {
      const size = bytesFor(words);
      const buffer = this.gpu.createBuffer({ size, usage: MAP_READ | COPY_DST });
      return { source, words, size, buffer };
    });
    const encoder = this.gpu.createCommandEncoder();
    for (const { source, buffer, size } of staged) encoder.copyBufferToBuffer(source, 0, buffer, 0, size);
    this.gpu.queue.submit([encoder.finish()]);
    try {
      await Promise.all(staged.map(({ buffer }) => this.map(buffer, 'store.read')));
      return staged.map(
        ({ buffer, words }) => new Float32Array(buffer.getMappedRange().slice(0, words * WORD)),
      );
    } finally {
      for (const { buffer } of staged) buffer.destroy();
    }
  }

  /** Maps a buffer for reading once all submitted work is done, and throws what failed in it. */
  async map(buffer: GPUBuffer, what: string): Promise<void> {
    try {
      await buffer.mapAsync(MAP_READ);
    } catch (error) {
      this.expectHealthy(what);
      throw new BackendError(`gpu: ${what}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    this.expectHealthy(what);
  }
}
