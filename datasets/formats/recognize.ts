/** What a file is, from its first bytes, for messages about files in another format. */

const text = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to));

const begins =
  (...start: readonly number[]) =>
  (bytes: Uint8Array): boolean =>
    start.every((byte, i) => bytes[i] === byte);

const FORMATS: readonly (readonly [name: string, is: (bytes: Uint8Array) => boolean])[] = [
  ['compressed with gzip', begins(0x1f, 0x8b)],
  ['compressed with bzip2', begins(0x42, 0x5a, 0x68)],
  ['compressed with xz', begins(0xfd, 0x37, 0x7a, 0x58, 0x5a)],
  ['a zip archive', begins(0x50, 0x4b, 0x03, 0x04)],
  ['a tar archive', (bytes) => text(bytes, 257, 262) === 'ustar'],
  ['an HDF5 file, as MATLAB 7.3 and Keras write them', begins(0x89, 0x48, 0x44, 0x46)],
  ['a MATLAB file', (bytes) => text(bytes, 0, 7) === 'MATLAB '],
  ['an array of NumPy', (bytes) => text(bytes, 0, 6) === '\x93NUMPY'],
  ['a Python pickle', (bytes) => bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5],
  ['a PNG image', begins(0x89, 0x50, 0x4e, 0x47)],
  ['a JPEG image', begins(0xff, 0xd8, 0xff)],
  ['a web page', (bytes) => /^\s*<(?:!doctype|html|\?xml|head)/i.test(text(bytes, 0, 64))],
  ['a pointer of Git LFS instead of the file', (bytes) => text(bytes, 0, 23) === 'version https://git-lfs'],
  [
    'an IDX file',
    (bytes) => bytes[0] === 0 && bytes[1] === 0 && bytes[2] >= 8 && bytes[2] <= 14 && bytes[3] > 0,
  ],
];

/** For instance 'a zip archive'. Null for an unknown format. */
export const recognize = (bytes: Uint8Array): string | null =>
  FORMATS.find(([, is]) => is(bytes))?.[0] ?? null;

/** `: it is a zip archive`, or ''. */
export function itIs(bytes: Uint8Array): string {
  const name = recognize(bytes);
  return name === null ? '' : `: it is ${name}`;
}
