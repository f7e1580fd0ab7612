/** Values as the floats that a device holds: a u8 is one, an i32 two, since a float counts to 2^24. */
import type { Plan } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { HostData, HostTensor, TensorType } from '../../types.ts';
import { allocate } from '../../ops/create.ts';
import { floatsOf } from './kernel.ts';

/** Writes the floats of a value to `into`. */
export function encode({ dtype }: Pick<TensorType, 'dtype'>, data: HostData, into: Float32Array): void {
  if (dtype !== 'i32') {
    into.set(data);
    return;
  }
  for (let i = 0; i < data.length; i++) {
    into[2 * i] = data[i] & 0xffff;
    into[2 * i + 1] = data[i] >> 16;
  }
}

export function encoded(value: HostTensor): Float32Array {
  const floats = new Float32Array(floatsOf(value));
  encode(value, value.data, floats);
  return floats;
}

/** A value on the host, a copy of its own. */
export function decode({ shape, dtype }: TensorType, floats: Float32Array): HostTensor {
  const data = allocate(dtype, sizeOf(shape));
  if (dtype === 'i32') {
    for (let i = 0; i < data.length; i++) data[i] = floats[2 * i] + floats[2 * i + 1] * 65_536;
  } else {
    data.set(floats.subarray(0, data.length));
  }
  return { shape, dtype, data };
}

/** Where values lie that travel together, in floats. Every one begins at a multiple of what a device can bind at. */
export interface Layout {
  readonly at: ReadonlyMap<string, { readonly v: number; readonly offset: number; readonly length: number }>;
  readonly length: number;
}

/** WebGPU binds at multiples of 256 bytes. */
const ALIGNMENT = 64;

export function layoutOf(plan: Plan, names: ReadonlyMap<string, number>): Layout {
  let length = 0;
  const at = new Map<string, { v: number; offset: number; length: number }>();
  for (const [name, v] of names) {
    const floats = floatsOf(plan.values[v]);
    at.set(name, { v, offset: length, length: floats });
    length += Math.ceil(floats / ALIGNMENT) * ALIGNMENT;
  }
  return { at, length };
}
