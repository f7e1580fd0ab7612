import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cifar10, type Cifar10Options } from 'cyclegrad/datasets';
import { ARCHIVE, RECORDS, sources, tempDir } from './fixture.ts';

async function folderWith(file: string, bytes: Uint8Array = Uint8Array.of(0x80, 2)): Promise<string> {
  const root = await tempDir();
  await mkdir(dirname(join(root, file)), { recursive: true });
  await writeFile(join(root, file), bytes);
  return root;
}

const offline = (dir: string): Cifar10Options => ({ dir, sources: sources({ archive: null, npm: null }) });

describe('a folder with CIFAR in another form is refused before a download', () => {
  test.each([
    ['cifar-10-batches-mat/data_batch_1.mat', 'the MATLAB version of CIFAR-10'],
    ['cifar-100-binary/train.bin', 'CIFAR-100'],
    ['cifar-100-python/train', 'CIFAR-100'],
    ['fine_label_names.txt', 'CIFAR-100'],
  ])('%s', async (file, form) => {
    const root = await folderWith(file);
    await expect(cifar10(offline(root))).rejects.toThrow(
      `cifar10: ${join(root, file)}: the folder has ${form}, expected the binary or the Python version of CIFAR-10 ` +
        '(download it from https://www.cs.toronto.edu/~kriz/cifar.html, or choose another folder)',
    );
    expect(await readdir(root)).toEqual([file.split('/')[0]]);
  });
});

describe('the official archive in the folder', () => {
  test('is unpacked without a download', async () => {
    const root = await folderWith('cifar-10-binary.tar.gz', ARCHIVE);
    const { train } = await cifar10(offline(root));
    expect(train.length).toBe(5 * RECORDS);
    expect((await readdir(root)).toSorted()).toEqual(['cifar-10-batches-bin', 'cifar-10-binary.tar.gz']);
  });

  test('is named when it is truncated', async () => {
    const root = await folderWith('cifar-10-binary.tar.gz', ARCHIVE.subarray(0, ARCHIVE.length / 2));
    await expect(cifar10(offline(root))).rejects.toThrow(
      `${join(root, 'cifar-10-binary.tar.gz')}: unpack: the archive is broken`,
    );
    expect(await readdir(root)).toEqual(['cifar-10-binary.tar.gz']);
  });
});
