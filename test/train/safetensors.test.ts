import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError, DataError, type HostTensor, type State } from 'cyclegrad';
import type { Source } from '../../engine/files.ts';
import {
  decodeTensors,
  encodeHeader,
  encodeTensors,
  type TensorFile,
} from '../../engine/train/safetensors.ts';

/** A file in memory. */
const encode = (tensors: State, metadata: Record<string, string>, pieceBytes = 1 << 20): Buffer =>
  Buffer.concat([...encodeTensors(tensors, encodeHeader('x', { tensors, metadata }), pieceBytes)]);

const sourceOf = (bytes: Uint8Array): Source => ({
  size: bytes.length,
  read: async (into, position) => into.set(bytes.subarray(position, position + into.length)),
});

const decode = (bytes: Uint8Array): Promise<TensorFile> => decodeTensors('x', sourceOf(bytes));

const tensors: Record<string, HostTensor> = {
  'conv.weight': { shape: [2, 2], dtype: 'f32', data: Float32Array.of(1, -2, 0.5, 1e-40) },
  flags: { shape: [3], dtype: 'u8', data: Uint8Array.of(1, 2, 255) },
  'after an odd length': { shape: [], dtype: 'i32', data: Int32Array.of(-7) },
  nothing: { shape: [0, 4], dtype: 'f32', data: new Float32Array() },
};
const file = encode(tensors, { note: 'ünï' });

/** A file from a header and the bytes after it. */
function make(header: unknown, data: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

test('reads what was written, in pieces of any size', async () => {
  expect(await decode(file)).toEqual({ tensors, metadata: { note: 'ünï' } });
  for (const pieceBytes of [4, 8, 12]) {
    const pieces = encodeTensors(tensors, new Uint8Array(0), pieceBytes);
    expect(Math.max(...[...pieces].map(({ length }) => length))).toBeLessThanOrEqual(pieceBytes);
    expect(encode(tensors, { note: 'ünï' }, pieceBytes).equals(file)).toBe(true);
  }
});

test('refuses to write a header that it would refuse to read', () => {
  const metadata = { note: 'x'.repeat(100_000_000) };
  expect(() => encode({}, metadata)).toThrow(DataError);
  expect(() => encode({}, metadata)).toThrow(
    'x: the names and the metadata take 100000032 bytes, but the format allows 100000000 (use fewer arrays, or less metadata)',
  );
});

test('the format is the published one', async () => {
  const { length } = file;
  const size = Number(file.readBigUInt64LE());
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size))) as Record<string, unknown>;
  expect(size % 8).toBe(0);
  expect(header['__metadata__']).toEqual({ note: 'ünï' });
  expect(header['conv.weight']).toEqual({ dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] });
  expect(header['after an odd length']).toEqual({ dtype: 'I32', shape: [], data_offsets: [19, 23] });
  expect(8 + size + 23).toBe(length);
  expect(encode({}, {}).toString('latin1', 8).trim()).toBe('{}');
  // Arrays may be listed in any order.
  const other = make(
    {
      b: { dtype: 'U8', shape: [1], data_offsets: [1, 2] },
      a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
    },
    2,
  );
  expect(Object.keys((await decode(other)).tensors).sort()).toEqual(['a', 'b']);
});

test('double precision is rounded, in pieces of any size', async () => {
  const data = Float64Array.of(0.1, 0.2, 0.3);
  for (const pieceBytes of [4, 8, 64]) {
    const bytes = encode({ w: { shape: [3], dtype: 'f32', data } }, {}, pieceBytes);
    expect((await decode(bytes)).tensors['w'].data).toEqual(Float32Array.of(0.1, 0.2, 0.3));
  }
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
  const read = async (dtype: string, data: ArrayBufferView) =>
    (await decode(stored(dtype, data))).tensors['w'];

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
  ])('%s', async (dtype, data, expected) => {
    expect((await read(dtype, data)).data).toEqual(expected);
    expect((await read(dtype, data)).dtype).toBe(
      expected instanceof Float32Array ? 'f32' : expected instanceof Int32Array ? 'i32' : 'u8',
    );
  });

  test('what does not fit ours is refused', async () => {
    await expect(read('I64', BigInt64Array.of(2n ** 31n))).rejects.toThrow(
      "x: 'w' is I64 and has values that i32 cannot represent",
    );
    await expect(read('U32', Uint32Array.of(2 ** 31))).rejects.toThrow('that i32 cannot represent');
    await expect(read('U64', BigUint64Array.of(2n ** 63n + 1n))).rejects.toThrow('that i32 cannot represent');
    await expect(read('F64', Float64Array.of(1e300))).rejects.toThrow('has values that f32 cannot represent');
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
    [make(`{"__proto__":${JSON.stringify(entry({}))}}`, 8), "'__proto__' names an array"],
  ])('%#', async (bytes, message) => {
    await expect(decode(bytes)).rejects.toThrow(CheckpointError);
    await expect(decode(bytes)).rejects.toThrow(message);
  });

  test('every truncation, and every changed byte that matters, is a CheckpointError and nothing else', async () => {
    const outcome = async (bytes: Uint8Array): Promise<unknown> => {
      try {
        await decode(bytes);
        return 'read';
      } catch (error) {
        return error instanceof CheckpointError ? 'refused' : error;
      }
    };
    for (let length = 0; length < file.length; length++)
      expect(await outcome(file.subarray(0, length))).toBe('refused');
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.nat(255), async (at, value) => {
        const changed = Uint8Array.from(file);
        changed[at] = value;
        expect(['read', 'refused']).toContain(await outcome(changed));
      }),
      { numRuns: 2000 },
    );
  });
});
