/** Small files in the formats of official data sets. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';

const bytesOf = (n: number, first = 0): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (first + i) % 251);

function idx(shape: readonly number[], data: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  shape.forEach((size, axis) => header.writeUInt32BE(size, 4 + 4 * axis));
  return Buffer.concat([header, data]);
}

/** Three training and two test images of MNIST. Image i begins with i, and its label is i. The test files are not compressed. */
export function writeMnist(dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const [part, n, compress] of [
    ['train', 3, (bytes: Buffer) => gzipSync(bytes)],
    ['t10k', 2, null],
  ] as const) {
    const images = Uint8Array.from({ length: n * 784 }, (_, i) => (i % 784 === 0 ? i / 784 : i % 251));
    for (const [name, bytes] of [
      [`${part}-images-idx3-ubyte`, idx([n, 28, 28], images)],
      [`${part}-labels-idx1-ubyte`, idx([n], bytesOf(n))],
    ] as const)
      writeFileSync(join(dir, compress === null ? name : `${name}.gz`), compress?.(bytes) ?? bytes);
  }
}

/** Two training images of CIFAR-100 with the labels 7 of 3 and 99 of 19, and one test image. The planes of image i hold i, i + 1, i + 2. */
export function writeCifar100(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const record = (coarse: number, fine: number, value: number): Uint8Array =>
    Uint8Array.from({ length: 3074 }, (_, i) =>
      i === 0 ? coarse : i === 1 ? fine : value + Math.floor((i - 2) / 1024),
    );
  writeFileSync(join(dir, 'train.bin'), Buffer.concat([record(3, 7, 0), record(19, 99, 1)]));
  writeFileSync(join(dir, 'test.bin'), record(0, 0, 9));
  for (const [name, n] of [
    ['fine', 100],
    ['coarse', 20],
  ] as const)
    writeFileSync(
      join(dir, `${name}_label_names.txt`),
      `${Array.from({ length: n }, (_, i) => `${name}${i}`).join('\n')}\n\n`,
    );
}

/** An element of a MATLAB file, padded to 8 bytes. Data of up to 4 bytes can be part of the first word. */
function element(type: number, data: Uint8Array, isSmall = false): Buffer {
  if (isSmall) {
    const small = Buffer.alloc(8);
    small.writeUInt32LE(type | (data.length << 16), 0);
    small.set(data, 4);
    return small;
  }
  const whole = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8);
  whole.writeUInt32LE(type, 0);
  whole.writeUInt32LE(data.length, 4);
  whole.set(data, 8);
  return whole;
}

/** An array of a MATLAB file: its class, the type of its numbers, and its bytes with the first axis fastest. */
export function matArray(
  name: string,
  shape: readonly number[],
  numbers: { readonly form: number; readonly type: number; readonly bytes: Uint8Array },
): Buffer {
  const flags = element(6, Uint8Array.of(numbers.form, 0, 0, 0, 0, 0, 0, 0));
  const sizes = new Uint8Array(Int32Array.from(shape).buffer);
  const parts = [
    flags,
    element(5, sizes),
    element(1, Buffer.from(name), name.length <= 4),
    element(numbers.type, numbers.bytes, numbers.bytes.length <= 4),
  ];
  return element(14, Buffer.concat(parts));
}

/** A MATLAB file of version 5, with each array compressed, or not. */
export function matFile(arrays: readonly Buffer[], isCompressed: boolean): Buffer {
  const header = Buffer.alloc(128, ' ');
  header.write('MATLAB 5.0 MAT-file');
  header.fill(0, 116, 124);
  header.set([0, 1, 0x49, 0x4d], 124);
  const compressed = (array: Buffer): Buffer => {
    const data = deflateSync(array);
    const head = Buffer.alloc(8);
    head.writeUInt32LE(15, 0);
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data]);
  };
  return Buffer.concat([header, ...(isCompressed ? arrays.map(compressed) : arrays)]);
}

/** Two training images of SVHN with the labels 10 (the digit 0) and 3, and two test images. Pixel (row, column, channel) of image i is row + column + channel + i, except for its first channel: row · 8. */
export function writeSvhn(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const images = new Uint8Array(2 * 3072);
  for (let at = 0; at < images.length; at++) {
    const [row, column, channel, i] = [
      at % 32,
      Math.floor(at / 32) % 32,
      Math.floor(at / 1024) % 3,
      Math.floor(at / 3072),
    ];
    images[at] = channel === 0 ? 7 * row : column + channel + i;
  }
  const x = matArray('X', [32, 32, 3, 2], { form: 9, type: 2, bytes: images });
  const doubles = new Uint8Array(Float64Array.of(10, 3).buffer);
  const y = matArray('y', [2, 1], { form: 6, type: 9, bytes: doubles });
  const short = matArray('y', [2, 1], { form: 9, type: 2, bytes: Uint8Array.of(1, 9) });
  writeFileSync(join(dir, 'train_32x32.mat'), matFile([x, y], true));
  writeFileSync(join(dir, 'test_32x32.mat'), matFile([x, short], false));
}

/** A text of Python 2 in a pickle of protocol 2, which also holds the bytes of arrays. */
function pickledText(data: string | Uint8Array): Buffer {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : Buffer.from(data);
  const head = Buffer.alloc(5);
  head.write('T', 'latin1');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const pickledInt = (n: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes.write('J', 'latin1');
  bytes.writeInt32LE(n, 1);
  return bytes;
};

/** An array of bytes [n, 3072] as NumPy pickles it in Python 2. */
const pickledArray = (n: number, data: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(
      'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01',
      'latin1',
    ),
    pickledInt(n),
    pickledInt(3072),
    Buffer.from(
      '\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89',
      'latin1',
    ),
    pickledText(data),
    Buffer.from('tb', 'latin1'),
  ]);

/** A pickle of Python 2 as in the archives of CIFAR: a dictionary of pickled values. */
export const pickled = (values: Readonly<Record<string, Uint8Array>>): Buffer =>
  Buffer.concat([
    Buffer.from('\x80\x02}q\x01(', 'latin1'),
    ...Object.entries(values).flatMap(([key, value]) => [pickledText(key), value]),
    Buffer.from('u.', 'latin1'),
  ]);

export const pickledList = (items: readonly (number | string)[]): Buffer =>
  Buffer.concat([
    Buffer.from('](', 'latin1'),
    ...items.map((item) => (typeof item === 'number' ? pickledInt(item) : pickledText(item))),
    Buffer.from('e', 'latin1'),
  ]);

/** A file of the Python version of CIFAR. `records` have one byte for each of the labels, and the planes of the image. */
export function cifarPickle(records: Uint8Array, labels: readonly string[]): Buffer {
  const size = labels.length + 3072;
  const n = records.length / size;
  const images = Buffer.concat(
    Array.from({ length: n }, (_, i) => records.subarray(i * size + labels.length, (i + 1) * size)),
  );
  const lists = labels.map(
    (key, at) => [key, pickledList(Array.from({ length: n }, (_, i) => records[i * size + at]))] as const,
  );
  return pickled({
    batch_label: pickledText('a batch'),
    ...Object.fromEntries(lists),
    data: pickledArray(n, images),
    filenames: pickledList(['a.png']),
  });
}
