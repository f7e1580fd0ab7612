/**
 * Values as words of 4 bytes, which devices hold. An f32 is one float. An i32 is two, since a float is exact only up to 2^24.
 * A u8 is one float, unless the device packs bytes: then a word holds four of them, the first in its lowest bits.
 */
import { typedArrayName } from '../../host.ts';
import { allocate } from '../../ops/convert.ts';
import type { Plan } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { HostData, HostTensor, TensorType } from '../../types.ts';
import { floatsOf } from './text.ts';

/** Bytes of a word. */
export const WORD = 4;

/** The offsets, in words, of values that are transferred together. Each is a multiple of the binding alignment. */
export interface Layout {
  readonly at: ReadonlyMap<string, { readonly v: number; readonly offset: number; readonly length: number }>;
  readonly length: number;
}

/** The alignment of WebGPU's bindings. */
export const BINDING_BYTES = 256;

export class Codec {
  readonly packsBytes: boolean;

  constructor(packsBytes: boolean) {
    this.packsBytes = packsBytes;
  }

  isPacked({ dtype }: Pick<TensorType, 'dtype'>): boolean {
    return this.packsBytes && dtype === 'u8';
  }

  words(type: TensorType): number {
    return this.isPacked(type) ? Math.ceil(sizeOf(type.shape) / WORD) : floatsOf(type);
  }

  /** Writes a value's words to `into`, which has their length. */
  encode(type: Pick<TensorType, 'dtype'>, data: HostData, into: Float32Array): void {
    if (this.isPacked(type)) {
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(data);
    } else if (type.dtype === 'i32') {
      for (let i = 0; i < data.length; i++) {
        into[2 * i] = data[i] & 0xffff;
        into[2 * i + 1] = data[i] >> 16;
      }
    } else {
      into.set(data);
    }
  }

  /** A value's words: a view of its own memory if that already holds them. */
  encoded(value: HostTensor): Float32Array {
    const { data } = value;
    if (typedArrayName(data) === 'Float32Array') return data as Float32Array;
    if (this.isPacked(value) && data.byteOffset % WORD === 0 && data.byteLength % WORD === 0) {
      return new Float32Array(data.buffer, data.byteOffset, data.byteLength / WORD);
    }
    const words = new Float32Array(this.words(value));
    this.encode(value, data, words);
    return words;
  }

  /** A value on the host, as a copy. */
  decode(type: TensorType, words: Float32Array): HostTensor {
    const { shape, dtype } = type;
    const data = allocate(dtype, sizeOf(shape));
    if (this.isPacked(type)) {
      data.set(new Uint8Array(words.buffer, words.byteOffset, data.length));
    } else if (dtype === 'i32') {
      for (let i = 0; i < data.length; i++) data[i] = words[2 * i] + words[2 * i + 1] * 65_536;
    } else {
      data.set(words.subarray(0, data.length));
    }
    return { shape, dtype, data };
  }

  layoutOf(plan: Plan, names: ReadonlyMap<string, number>): Layout {
    let length = 0;
    const at = new Map<string, { v: number; offset: number; length: number }>();
    const alignment = BINDING_BYTES / WORD;
    for (const [name, v] of names) {
      const words = this.words(plan.values[v]);
      at.set(name, { v, offset: length, length: words });
      length += Math.ceil(words / alignment) * alignment;
    }
    return { at, length };
  }
}
