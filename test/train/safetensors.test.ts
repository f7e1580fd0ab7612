import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError, type HostTensor } from 'cyclegrad';
import { decodeTensors, encodeTensors } from '../../engine/train/safetensors.ts';

const tensors: Record<string, HostTensor> = {
  'conv.weight': { shape: [2, 2], dtype: 'f32', data: Float32Array.of(1, -2, 0.5, 1e-40) },
  flags: { shape: [3], dtype: 'u8', data: Uint8Array.of(1, 2, 255) },
  'after an odd length': { shape: [], dtype: 'i32', data: Int32Array.of(-7) },
  nothing: { shape: [0, 4], dtype: 'f32', data: new Float32Array() },
};
const file = encodeTensors({ tensors, metadata: { note: 'ünï' } });

/** A file from a header and the bytes after it. */
function make(header: unknown, data: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

test('what was written is read, whatever the alignment', () => {
  expect(decodeTensors('x', file)).toEqual({ tensors, metadata: { note: 'ünï' } });
  const shifted = new Uint8Array(file.length + 3);
  shifted.set(file, 3);
  expect(decodeTensors('x', shifted.subarray(3)).tensors).toEqual(tensors);
  expect(decodeTensors('x', Buffer.from(file)).tensors).toEqual(tensors);
});

test('the format is the published one', () => {
  const { length } = file;
  const size = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size))) as Record<string, unknown>;
  expect(size % 8).toBe(0);
  expect(header['__metadata__']).toEqual({ note: 'ünï' });
  expect(header['conv.weight']).toEqual({ dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] });
  expect(header['after an odd length']).toEqual({ dtype: 'I32', shape: [], data_offsets: [19, 23] });
  expect(8 + size + 23).toBe(length);
  expect(
    Buffer.from(encodeTensors({ tensors: {}, metadata: {} }))
      .toString('latin1', 8)
      .trim(),
  ).toBe('{}');
  // Arrays may be listed in any order.
  const other = make(
    {
      b: { dtype: 'U8', shape: [1], data_offsets: [1, 2] },
      a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
    },
    2,
  );
  expect(Object.keys(decodeTensors('x', other).tensors).sort()).toEqual(['a', 'b']);
});

test('double precision is rounded', () => {
  const data = Float64Array.of(0.1);
  const bytes = encodeTensors({ tensors: { w: { shape: [1], dtype: 'f32', data } }, metadata: {} });
  expect(decodeTensors('x', bytes).tensors['w'].data).toEqual(Float32Array.of(0.1));
});

describe('types of other programs', () => {
  /** A file with one array `w`, as bytes. */
  const stored = (dtype: string, data: ArrayBufferView): Uint8Array => {
    const count = data.byteLength / BYTES[dtype];
    const bytes = make({ w: { dtype, shape: [count], data_offsets: [0, data.byteLength] } }, data.byteLength);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), bytes.length - data.byteLength);
    return bytes;
  };
  const BYTES: Readonly<Record<string, number>> = {
    F16: 2,
    BF16: 2,
    F64: 8,
    U64: 8,
    U32: 4,
    I64: 8,
    I16: 2,
    U16: 2,
    I8: 1,
    BOOL: 1,
  };
  const read = (dtype: string, data: ArrayBufferView) => decodeTensors('x', stored(dtype, data)).tensors['w'];

  test.each([
    [
      'F16',
      Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x3555),
      Float32Array.of(1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, -0, Infinity, -Infinity, NaN, 0.333251953125),
    ],
    ['BF16', Uint16Array.of(0x3f80, 0xc020, 0x7f80, 0x0001), Float32Array.of(1, -2.5, Infinity, 2 ** -133)],
    ['F64', Float64Array.of(0.1, -Infinity, NaN), Float32Array.of(0.1, -Infinity, NaN)],
    ['I64', BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n), Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
    ['U64', BigUint64Array.of(7n), Int32Array.of(7)],
    ['U32', Uint32Array.of(3, 2 ** 31 - 1), Int32Array.of(3, 2 ** 31 - 1)],
    ['I16', Int16Array.of(-3, 7), Int32Array.of(-3, 7)],
    ['U16', Uint16Array.of(65535), Int32Array.of(65535)],
    ['I8', Int8Array.of(-128), Int32Array.of(-128)],
    ['BOOL', Uint8Array.of(0, 1), Uint8Array.of(0, 1)],
  ])('%s', (dtype, data, expected) => {
    expect(read(dtype, data).data).toEqual(expected);
    expect(read(dtype, data).dtype).toBe(
      expected instanceof Float32Array ? 'f32' : expected instanceof Int32Array ? 'i32' : 'u8',
    );
  });

  test('what does not fit ours is refused', () => {
    expect(() => read('I64', BigInt64Array.of(2n ** 31n))).toThrow(
      "x: 'w' is I64 and has values that i32 cannot represent",
    );
    expect(() => read('U32', Uint32Array.of(2 ** 31))).toThrow('that i32 cannot represent');
    expect(() => read('U64', BigUint64Array.of(2n ** 63n + 1n))).toThrow('that i32 cannot represent');
    expect(() => read('F64', Float64Array.of(1e300))).toThrow('has values that f32 cannot represent');
  });
});

describe('damage is told', () => {
  const entry = (changes: object) => ({ dtype: 'F32', shape: [2], data_offsets: [0, 8], ...changes });

  test.each([
    [
      new Uint8Array(5),
      'x: 5 bytes are too few for a header (the file is damaged, or not a safetensors file)',
    ],
    [new Uint8Array(64).fill(255), 'the header should have 18446744073709552000 bytes, but the file has 64'],
    [file.subarray(0, 60), 'bytes, but the file has 60'],
    [file.subarray(0, file.length - 4), 'the arrays need 23 bytes, but there are 19: truncated'],
    [Uint8Array.of(...file, 0), 'the arrays need 23 bytes, but there are 24: too long'],
    [make('{"a"', 0), 'the header is not a JSON object'],
    [make('[]', 0), 'the header is not a JSON object'],
    [make({ __metadata__: { step: 3 } }, 0), '__metadata__ is not an object of strings'],
    [make({ a: 5 }, 0), "'a' is not described by an object"],
    [make({ a: entry({ dtype: 'F8_E5M2' }) }, 8), '\'a\' has dtype "F8_E5M2", expected one of F32, I32, U8'],
    [make({ a: entry({ dtype: 7 }) }, 8), "'a' has dtype 7, expected one of"],
    [make({ a: entry({ dtype: 'F16' }) }, 8), "'a' is F16 [2], 4 bytes, but its offsets are [0, 8]"],
    [make({ a: entry({ shape: [-2] }) }, 8), "'a' has the shape [-2]"],
    [make({ a: entry({ shape: 2 }) }, 8), "'a' has the shape 2"],
    [make({ a: entry({ data_offsets: [0] }) }, 8), "'a' has the offsets [0]"],
    [make({ a: entry({ data_offsets: [0, 4] }) }, 8), "'a' is F32 [2], 8 bytes, but its offsets are [0, 4]"],
    [
      make({ a: entry({}), b: entry({ data_offsets: [4, 12] }) }, 12),
      "the bytes of 'b' begin at 4, where 8 is expected",
    ],
    [make({ a: entry({ data_offsets: [4, 12] }) }, 12), "the bytes of 'a' begin at 4, where 0 is expected"],
  ])('%#', (bytes, message) => {
    const read = () => decodeTensors('x', bytes);
    expect(read).toThrow(CheckpointError);
    expect(read).toThrow(message);
  });

  test('every truncation, and every changed byte that matters, is a CheckpointError and nothing else', () => {
    const outcome = (bytes: Uint8Array): unknown => {
      try {
        decodeTensors('x', bytes);
        return 'read';
      } catch (error) {
        return error instanceof CheckpointError ? 'refused' : error;
      }
    };
    for (let length = 0; length < file.length; length++)
      expect(outcome(file.subarray(0, length))).toBe('refused');
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), (at, value) => {
        const changed = file.slice();
        changed[at] = value;
        expect(['read', 'refused']).toContain(outcome(changed));
      }),
      { numRuns: 2000 },
    );
  });
});
