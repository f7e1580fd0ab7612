/**
 * Values as the words of 4 bytes that a device holds: an f32 is one float, an i32 two, since a float counts to 2^24. A u8 is a
 * float too, unless the device packs bytes: then four lie in a word, the first in its lowest bits, and words are no floats.
 */
import { typedArrayName } from '../../host.ts';
import { allocate } from '../../ops/create.ts';
import type { Plan } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { HostData, HostTensor, TensorType } from '../../types.ts';
import { floatsOf } from './text.ts';

/** Bytes of a word. */
export const WORD = 4;

/** Where values lie that travel together, in words. Every one begins at a multiple of what a device can bind at. */
export interface Layout {
  readonly at: ReadonlyMap<string, { readonly v: number; readonly offset: number; readonly length: number }>;
  readonly length: number;
}

/** WebGPU binds at multiples of 256 bytes. */
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

  /** Writes a value's words to `into`, which is as long as they are. */
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

  /** A value's words: its own memory, where that holds them already. */
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

  /** A value on the host, a copy of its own. */
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
