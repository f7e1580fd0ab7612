/** The Python version of CIFAR, and archives that are something else. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  cifar10,
  cifar100,
  mnist,
  readIdx,
  svhn,
  targets,
  type Cifar10Options,
  type DataEvent,
} from 'cyclegrad/datasets';
import { readPickle } from '../../datasets/formats/pickle.ts';
import { FILES, RECORDS, labelOf, sources, tarball, tempDir } from './fixture.ts';
import { cifarPickle, pickled, pickledList, writeCifar100, writeMnist } from './official-files.ts';

const BATCHES = [...FILES].map(
  ([name, records]) => [name.replace('.bin', ''), cifarPickle(records, ['labels'])] as const,
);
const offline = (dir: string, onProgress?: (event: DataEvent) => void): Cifar10Options => ({
  dir,
  sources: sources({ archive: null, npm: null }),
  ...(onProgress && { onProgress }),
});

async function folderWith(files: Iterable<readonly [string, Uint8Array]>): Promise<string> {
  const root = await tempDir();
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), bytes);
  }
  return root;
}

describe('the Python version of CIFAR-10 is converted to the official binary files', () => {
  const meta = ['batches.meta', pickled({ label_names: pickledList(['airplane']) })] as const;
  test.each([
    [
      'an archive',
      async () => [['cifar-10-python.tar.gz', await tarball('cifar-10-batches-py', [meta, ...BATCHES])]],
    ],
    ['its folder', () => BATCHES.map(([name, bytes]) => [`cifar-10-batches-py/${name}`, bytes])],
    ['the folder itself', () => BATCHES],
  ] as const)('from %s', async (_, files) => {
    const root = await folderWith((await files()) as [string, Uint8Array][]);
    const phases = new Set<string>();
    const { train, test: held } = await cifar10(offline(root, ({ phase }) => void phases.add(phase)));
    expect([train.length, held.length]).toEqual([5 * RECORDS, RECORDS]);
    expect([...targets(train)]).toEqual(Array.from({ length: 5 * RECORDS }, (_, n) => labelOf(n)));
    for (const [name, bytes] of FILES)
      expect(Buffer.compare(await readFile(join(root, 'cifar-10-batches-bin', name)), bytes)).toBe(0);
    expect(phases).toContain('convert');
    expect((await readdir(root)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('a damaged, a changed and a missing file are named', async () => {
    const [first, ...rest] = BATCHES;
    const cut = await folderWith([[first[0], first[1].subarray(0, 5000)], ...rest]);
    await expect(cifar10(offline(cut))).rejects.toThrow(
      `cifar10: ${join(cut, 'data_batch_1')}: the pickle cannot be read: Expected `,
    );
    const changed = Buffer.from(first[1]);
    changed[5000]++;
    const other = await folderWith([[first[0], changed], ...rest]);
    await expect(cifar10(offline(other))).rejects.toThrow('data_batch_1.bin: wrong checksum: MD5');
    const lacking = await folderWith([first]);
    await expect(cifar10(offline(lacking))).rejects.toThrow(
      `${join(lacking, 'data_batch_2')}: cannot be read: ENOENT`,
    );
    expect(await readdir(lacking)).toEqual(['data_batch_1']);
  });
});

test('the Python version of CIFAR-100 gives the data set of the binary version', async () => {
  const binary = await tempDir();
  writeCifar100(binary);
  const names = async (file: string): Promise<Buffer> => {
    const text = await readFile(join(binary, `${file}_label_names.txt`), 'utf8');
    return pickledList(text.split('\n').filter((name) => name !== ''));
  };
  const meta = pickled({ fine_label_names: await names('fine'), coarse_label_names: await names('coarse') });
  const file = async (name: string): Promise<readonly [string, Buffer]> => [
    name,
    cifarPickle(await readFile(join(binary, `${name}.bin`)), ['coarse_labels', 'fine_labels']),
  ];
  const files = [await file('train'), await file('test'), ['meta', meta] as const];
  const root = await folderWith([['cifar-100-python.tar.gz', await tarball('cifar-100-python', files)]]);
  for (const labels of ['fine', 'coarse'] as const) {
    const ours = await cifar100({ dir: root, labels });
    const theirs = await cifar100({ dir: binary, labels });
    expect([...ours.train.whole!.x]).toEqual([...theirs.train.whole!.x]);
    expect(targets(ours.train)).toEqual(targets(theirs.train));
    expect([ours.test.length, ours.train.classes]).toEqual([theirs.test.length, theirs.train.classes]);
  }
});

describe('pickles', () => {
  test('run nothing: other names of Python are errors', async () => {
    const evil = Buffer.from("cos\nsystem\n(S'touch x'\ntR.", 'latin1');
    await expect(readPickle('here', evil)).rejects.toThrow(
      'here: the pickle cannot be read: it needs os.system of Python (only arrays of NumPy are read) (obtain it again)',
    );
  });

  test('without a dictionary, or with other arrays, are errors', async () => {
    await expect(readPickle('here', Buffer.from('K\x01.', 'latin1'))).rejects.toThrow(
      'the pickle has no dictionary',
    );
    const records = FILES.get('data_batch_1.bin')!;
    const floats = Buffer.from(
      cifarPickle(records, ['labels']).toString('latin1').replace('u1', 'f4'),
      'latin1',
    );
    await expect(readPickle('here', floats)).rejects.toThrow('an array has numbers that are no bytes');
  });
});

describe('other files are named', () => {
  const page = Buffer.from('<!DOCTYPE html><title>404</title>');
  test.each([
    [page, 'it is a web page'],
    [
      Buffer.from('version https://git-lfs.github.com/spec/v1'),
      'it is a pointer of Git LFS instead of the file',
    ],
    [Buffer.from('MATLAB 5.0 MAT-file'), 'it is a MATLAB file'],
    [
      gzipSync(gzipSync(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 5))),
      'after decompression: it is compressed with gzip',
    ],
  ])('as IDX: %#', async (bytes, message) => {
    await expect(readIdx(bytes)).rejects.toThrow(message);
  });

  test('as archives of CIFAR', async () => {
    const name = 'cifar-10-binary.tar.gz';
    const web = await folderWith([[name, page]]);
    await expect(cifar10(offline(web))).rejects.toThrow('unpack: the archive is broken: it is a web page');
    const twice = await folderWith([[name, gzipSync(await tarball('cifar-10-batches-bin', FILES))]]);
    await expect(cifar10(offline(twice))).rejects.toThrow(
      'unpack: the archive is broken: it is compressed with gzip twice (decompress it once)',
    );
    const archive = join(web, name);
    await expect(cifar10(offline(archive))).rejects.toThrow(
      `cifar10: dir must be a folder, but ${archive} is a file (pass its folder, ${web})`,
    );
  });

  test.each([
    [
      'cifar100',
      cifar100,
      'cifar-10-python.tar.gz',
      'CIFAR-10, expected the binary or the Python version of CIFAR-100',
    ],
    ['cifar100', cifar100, 'cifar-100-matlab.tar.gz', 'the MATLAB version of CIFAR-100, expected the binary'],
    [
      'mnist',
      mnist,
      'mnist.npz',
      "NumPy's arrays of Keras, which readNpz reads, expected IDX files such as train-images-idx3-ubyte.gz",
    ],
    ['mnist', mnist, 'mnist-original.mat', 'a MATLAB file, expected IDX files'],
    [
      'svhn',
      svhn,
      'train.tar.gz',
      'the full numbers of SVHN (format 1), expected the cropped digits (format 2), train_32x32.mat',
    ],
  ] as const)('%s: %s', async (where, load, file, message) => {
    const root = await folderWith([[file, Uint8Array.of(1)]]);
    await expect(load({ dir: root })).rejects.toThrow(
      `${where}: ${join(root, file)}: the folder has ${message}`,
    );
    expect(await readdir(root)).toEqual([file]);
  });

  test('mnist reads the folders of torchvision', async () => {
    const root = await tempDir();
    writeMnist(join(root, 'MNIST', 'raw'));
    expect((await mnist({ dir: root })).train.length).toBe(3);
  });
});
