// Files that NumPy itself wrote (generate-numpy.py), and damaged ones.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DataError } from 'cyclegrad';
import { readNpy, readNpz } from 'cyclegrad/datasets';

interface Numpy {
  readonly right: readonly {
    readonly name: string;
    readonly file: string;
    readonly shape: readonly number[];
    readonly data: readonly (number | string)[];
  }[];
  readonly wrong: Readonly<Record<string, string>>;
  readonly archives: Readonly<Record<string, string>>;
}
const numpy = JSON.parse(readFileSync(new URL('numpy.json', import.meta.url), 'utf8')) as Numpy;
const bytesOf = (file: string): Buffer => Buffer.from(file, 'base64');

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-npy-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The dtype that NumPy's becomes. */
function dtypeOf(name: string): string {
  if (name === 'bool' || name === '|u1') return 'u8';
  if (/^[<>|][iu]|^fortran$/.test(name)) return 'i32';
  return 'f32';
}

describe('readNpy', () => {
  it.each(numpy.right)('reads what NumPy saved: $name', async ({ name, file, shape, data }) => {
    const read = await readNpy(bytesOf(file));
    expect(read.shape).toEqual(shape);
    expect(read.dtype).toBe(dtypeOf(name));
    expect(Array.from(read.data, String)).toEqual(data.map((value) => String(Number(value))));
  });

  it('reads a file by its path, and bytes at any offset', async () => {
    const [{ file, shape }] = numpy.right;
    const path = join(dir, 'array.npy');
    writeFileSync(path, bytesOf(file));
    const read = await readNpy(path);
    expect(read.shape).toEqual(shape);
    const shifted = new Uint8Array(bytesOf(file).length + 1);
    shifted.set(bytesOf(file), 1);
    expect(await readNpy(shifted.subarray(1))).toEqual(read);
  });

  it.each([
    [
      'objects',
      "readNpy: the array has dtype '|O', Python objects, which only Python can read and which may run code: " +
        "only arrays of numbers can be read (convert it before saving: np.save(path, array.astype('float32')))",
    ],
    ['complex', "readNpy: the array has dtype '<c8', complex numbers: only arrays of numbers can be read"],
    ['text', "readNpy: the array has dtype '<U2', text"],
    ['bytes', "readNpy: the array has dtype '|S2', bytes"],
    ['dates', "readNpy: the array has dtype '<M8[s]', dates"],
    [
      'records',
      'readNpy: the array has records, a structured dtype: only arrays of numbers can be read ' +
        '(save each field on its own: np.save(path, array[name]))',
    ],
    ['beyond f32', 'readNpy: the array is <f8 and has values that f32 cannot represent'],
    ['beyond i32', 'readNpy: the array is <i8 and has values that i32 cannot represent'],
  ])('refuses %s', async (name, message) => {
    const reading = readNpy(bytesOf(numpy.wrong[name]));
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(message);
  });

  /** A file of one byte with a header. */
  const withHeader = (header: string, data = 1): Uint8Array =>
    Buffer.concat([
      Buffer.from([0x93]),
      Buffer.from('NUMPY\x01\x00'),
      Buffer.from([header.length & 255, header.length >> 8]),
      Buffer.from(header),
      Buffer.alloc(data),
    ]);

  it('reads a header in another order and with other quotes', async () => {
    const header = '{"shape": (1,), "fortran_order": False, "descr": "|u1"}';
    expect((await readNpy(withHeader(header))).shape).toEqual([1]);
  });

  it.each([
    [withHeader('{}'), 'the header must have descr, fortran_order and shape, got nothing'],
    [
      withHeader("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"),
      'the file is truncated: |u1 [2] needs 2 bytes, but there are 1',
    ],
    [
      withHeader("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 2),
      'the file is too long: |u1 [] needs 1 bytes, but there are 2',
    ],
    [withHeader("{'descr': '|u1', 'fortran_order': False, 'shape': (3), }"), 'the header has the shape (3)'],
    [
      withHeader("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
      'the header has the shape (99999999999999999999,)',
    ],
    [withHeader("{'descr': '|u1', 'descr': '|u1', 'shape': (1,), }"), "the header has 'descr' twice"],
    [withHeader('[1, 2]'), 'the header is not a dictionary'],
    [
      withHeader("{'descr': '|u1', 'fortran_order': open('x'), 'shape': (1,), }"),
      'the header is not a dictionary of descr',
    ],
    [
      Buffer.from('PK\x03\x04'),
      'not a .npy file: it must begin with \\x93NUMPY: it is a zip archive (read a .npz file with readNpz)',
    ],
    [new Uint8Array(0), 'not a .npy file'],
    [
      Buffer.from([0x93, ...Buffer.from('NUMPY\x09\x00')]),
      'version 9 of the format is unknown (known: 1, 2, 3)',
    ],
    [
      Buffer.from([0x93, ...Buffer.from('NUMPY\x02\x00'), 255, 255, 255, 255]),
      'the header should have 4294967295 bytes',
    ],
  ])('refuses damaged bytes: %#', async (bytes, message) => {
    const reading = readNpy(bytes);
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(`readNpy: ${message}`);
  });

  it('names the path of a file that it cannot read', async () => {
    const path = join(dir, 'missing.npy');
    await expect(readNpy(path)).rejects.toThrow(`readNpy: ${path}: cannot be read: ENOENT`);
    await expect(readNpy(dir)).rejects.toThrow(
      `readNpy: ${dir}: cannot be read: it is not a file (check the path)`,
    );
    await expect(readNpy(Promise.resolve() as never)).rejects.toThrow(
      'readNpy: the argument must be a path or the bytes of a file (a Uint8Array), got a promise (is an await missing?)',
    );
  });
});

describe('readNpz', () => {
  it.each(['stored', 'compressed'])('reads what NumPy saved: %s', async (name) => {
    const { x, y } = await readNpz(bytesOf(numpy.archives[name]));
    expect(x).toEqual({ shape: [2, 3], dtype: 'f32', data: Float32Array.of(0, 1, 2, 3, 4, 5) });
    expect(y).toEqual({ shape: [2], dtype: 'i32', data: Int32Array.of(1, 0) });
  });

  it('has the names that NumPy gives to arrays without one', async () => {
    expect(Object.keys(await readNpz(bytesOf(numpy.archives['without names'])))).toEqual(['arr_0', 'arr_1']);
  });

  it('notices every changed bit of the numbers', async () => {
    const file = bytesOf(numpy.archives['stored']);
    const at = file.indexOf(Buffer.from(Float32Array.of(1, 2, 3).buffer));
    for (let bit = 0; bit < 12 * 8; bit++) {
      const changed = Buffer.from(file);
      changed[at + (bit >> 3)] ^= 1 << (bit & 7);
      await expect(readNpz(changed)).rejects.toThrow(
        "readNpz: 'x.npy' has another checksum than the directory says (the archive is damaged, or not a file of np.savez)",
      );
    }
  });

  it('refuses names that differ between the directory and the files', async () => {
    const file = bytesOf(numpy.archives['stored']);
    const directory = file.indexOf('PK\x01\x02');
    file.write('z', file.indexOf('x.npy', directory));
    await expect(readNpz(file)).rejects.toThrow(
      "readNpz: 'z.npy' is 'x.npy' at its place in the archive (the archive is damaged, or not a file of np.savez)",
    );
  });

  it('refuses an entry that claims more bytes than it has', async () => {
    const file = bytesOf(numpy.archives['compressed']);
    const directory = file.indexOf('PK\x01\x02');
    file.writeUInt32LE(2 ** 31, directory + 24);
    await expect(readNpz(file)).rejects.toThrow(
      "readNpz: 'x.npy' cannot be decompressed: not enough bytes in the stream. expected 2147483648.",
    );
  });

  it.each([
    [new Uint8Array(0), 'End of central directory record signature not found.'],
    [bytesOf(numpy.right[0].file), 'End of central directory record signature not found.'],
  ])('refuses other files: %#', async (bytes, message) => {
    await expect(readNpz(bytes)).rejects.toThrow(`readNpz: ${message}`);
  });
});
