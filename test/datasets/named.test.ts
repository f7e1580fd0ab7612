// Data sets by name, from small files in their official formats.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cifar100, cifar10Dir, dataDir, fashionMnist, mnist, svhn, targets } from 'cyclegrad/datasets';
import { matArray, matFile, writeCifar100, writeMnist, writeSvhn } from './official-files.ts';

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-named-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
writeMnist(dir);
writeCifar100(join(dir, 'cifar-100-binary'));
writeSvhn(dir);

test.each([
  ['mnist', mnist, '3'],
  ['fashionMnist', fashionMnist, 'Dress'],
] as const)('%s reads images and labels, compressed or not', async (name, load, third) => {
  const { train, test: held } = await load({ dir });
  expect([train.name, train.length, held.name, held.length]).toEqual([`${name}/train`, 3, `${name}/test`, 2]);
  expect(train.x).toEqual({ shape: [28, 28, 1], dtype: 'u8' });
  expect(train.classes[3]).toBe(third);
  expect([...targets(train)]).toEqual([0, 1, 2]);
  expect([0, 784, 785, 1568].map((at) => train.whole!.x[at])).toEqual([0, 1, 32, 2]);
  expect([...targets(held)]).toEqual([0, 1]);
});

test('mnist refuses images of another size', async () => {
  const wrong = mkdtempSync(join(dir, 'wrong-'));
  writeMnist(wrong);
  writeFileSync(join(wrong, 'train-images-idx3-ubyte.gz'), Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6)); // prettier-ignore
  await expect(mnist({ dir: wrong })).rejects.toThrow(
    /^mnist: .*train-images-idx3-ubyte.gz and .*train-labels-idx1-ubyte.gz: expected images u8 \[N,28,28\] and labels u8 \[N\], got u8 \[1,1,2\] and u8 \[3\] \(obtain them again\)$/,
  );
});

describe('cifar100', () => {
  test.each([
    ['fine', [7, 99], 100],
    ['coarse', [3, 19], 20],
  ] as const)('reads %s labels and interleaves the planes', async (labels, expected, classes) => {
    const { train, test: held } = await cifar100({ dir, labels });
    expect([...targets(train)]).toEqual(expected);
    expect([train.classes.length, train.classes[7], held.length]).toEqual([classes, `${labels}7`, 1]);
    expect([...train.whole!.x.subarray(0, 6), ...train.whole!.x.subarray(3072, 3075)]).toEqual([0, 1, 2, 0, 1, 2, 1, 2, 3]); // prettier-ignore
  });

  test('refuses truncated files and unknown labels', async () => {
    const bad = mkdtempSync(join(dir, 'bad-'));
    writeCifar100(bad);
    const whole = readFileSync(join(bad, 'train.bin'));
    writeFileSync(join(bad, 'train.bin'), whole.subarray(0, 4000));
    await expect(cifar100({ dir: bad })).rejects.toThrow(
      /^cifar100: .*train.bin: the file is truncated or has another format: it has 4000 bytes, which is no multiple of 3074 /,
    );
    whole[1] = 100;
    writeFileSync(join(bad, 'train.bin'), whole);
    await expect(cifar100({ dir: bad })).rejects.toThrow(
      /^cifar100: .*train.bin: the file is corrupt: record 0 has the label 100, expected 0 to 99 /,
    );
    await expect(cifar100({ dir: bad, labels: 'super' as never })).rejects.toThrow(
      "cifar100: labels must be 'fine' or 'coarse', got 'super'",
    );
  });
});

describe('svhn', () => {
  test('reads files that are compressed or not, and turns class 10 into the digit 0', async () => {
    const { train, test: held } = await svhn({ dir });
    expect([...targets(train)]).toEqual([0, 3]);
    expect([...targets(held)]).toEqual([1, 9]);
    const { x } = train.whole!;
    const at = (i: number, row: number, column: number, channel: number): number =>
      x[((i * 32 + row) * 32 + column) * 3 + channel];
    expect([at(0, 5, 9, 0), at(0, 5, 9, 1), at(0, 5, 9, 2), at(1, 31, 2, 2)]).toEqual([35, 10, 11, 5]);
    expect([...held.whole!.x]).toEqual([...x]);
  });

  const numbers = { form: 9, type: 2, bytes: new Uint8Array(4) };
  test.each<[string, Uint8Array, RegExp]>([
    ['another format', Buffer.from('HDF'), /not a MATLAB file of version 5/],
    [
      'a truncated file',
      matFile([matArray('X', [4], numbers)], false).subarray(0, 160),
      /an element at byte 128 is not complete/,
    ],
    [
      'damaged compression',
      Buffer.concat([matFile([], true), Buffer.from([15, 0, 0, 0, 2, 0, 0, 0, 1, 2])]),
      /the file is damaged: incorrect header check/,
    ],
    [
      'other arrays',
      matFile([matArray('z', [4, 1], numbers)], true),
      /expected X \[32, 32, 3, N\] and y \[N, 1\], got z \[4, 1\]/,
    ],
    [
      'too few numbers',
      matFile([matArray('X', [5, 1], numbers)], true),
      /'X' has 4 numbers, but \[5, 1\] needs 5/,
    ],
    [
      'a text',
      matFile([matArray('X', [4, 1], { ...numbers, form: 4 })], true),
      /'X' is of class 4, not a real numeric array/,
    ],
  ])('refuses %s', async (_, bytes, message) => {
    const bad = mkdtempSync(join(dir, 'bad-'));
    writeFileSync(join(bad, 'train_32x32.mat'), bytes);
    await expect(svhn({ dir: bad })).rejects.toThrow(message);
  });
});

test('options are checked, and an aborted signal stops', async () => {
  await expect(mnist({ dir: 3 as never })).rejects.toThrow('mnist: dir must be the path of a folder, got 3');
  await expect(mnist({ folder: dir } as object)).rejects.toThrow(
    "mnist: unknown option 'folder' (known: dir, signal, onProgress)",
  );
  await expect(svhn({ dir, signal: AbortSignal.abort(new Error('stopped')) })).rejects.toThrow('stopped');
});

test('dataDir is the folder next to that of CIFAR-10', async () => {
  for (const name of ['mnist', 'cifar100', 'svhn'] as const)
    expect(await dataDir(name)).toBe(join(dirname(cifar10Dir()), name));
});

test.each([
  ['mnist', mnist],
  ['fashionMnist', fashionMnist],
  ['cifar100', cifar100],
  ['svhn', svhn],
])('an error of the disk names %s', async (name, load) => {
  const file = join(mkdtempSync(join(dir, 'disk-')), 'file');
  writeFileSync(file, '');
  const inside = join(file, 'folder');
  await expect(load({ dir: inside })).rejects.toThrow(
    `${name}: cannot write the data: a part of the path is a file: ${inside} ` +
      `(free space there, or choose another folder: --data DIR, or ${name}({ dir }))`,
  );
});
