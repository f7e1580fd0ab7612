import { rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DataError } from 'cyclegrad';
import { cifar10 } from 'cyclegrad/datasets';
import {
  byteAt,
  FILES,
  labelOf,
  md5,
  RECORDS,
  recorder,
  sources,
  tempDir,
  writeOfficial,
} from './fixture.ts';

const official = async (): Promise<string> => {
  const dir = await tempDir();
  await writeOfficial(dir);
  return dir;
};

describe('reading CIFAR-10', () => {
  test('every image keeps its orientation and channel order, every label its image', async () => {
    const dir = await official();
    const { train, test: heldOut } = await cifar10({ dir, sources: sources() });
    expect([train.length, heldOut.length]).toEqual([5 * RECORDS, RECORDS]);
    expect(train.x).toEqual({ shape: [32, 32, 3], dtype: 'u8' });
    expect(train.y).toEqual({ shape: [], dtype: 'i32' });
    expect(train.classes).toHaveLength(10);
    expect(train.classes[3]).toBe('cat');
    for (const [dataset, offset] of [
      [train, 0],
      [heldOut, 5 * RECORDS],
    ] as const) {
      const indices = Uint32Array.from({ length: dataset.length }, (_, i) => dataset.length - 1 - i);
      const x = new Uint8Array(dataset.length * 3072);
      const y = new Int32Array(dataset.length);
      dataset.read(indices, x, y);
      const expected = new Uint8Array(x.length);
      let at = 0;
      for (const i of indices) {
        for (let row = 0; row < 32; row++) {
          for (let column = 0; column < 32; column++) {
            for (let c = 0; c < 3; c++) expected[at++] = byteAt(offset + i, row, column, c);
          }
        }
      }
      expect(Buffer.compare(x, expected)).toBe(0);
      expect([...y]).toEqual([...indices].map((i) => labelOf(offset + i)));
    }
  });

  test('accepts the folder that holds the folder of the archive', async () => {
    const dir = await tempDir();
    await writeOfficial(join(dir, 'cifar-10-batches-bin'));
    const { train } = await cifar10({ dir, sources: sources() });
    expect(train.length).toBe(20);
  });

  test('a truncated file is named with its size and the expected one', async () => {
    const dir = await official();
    await truncate(join(dir, 'data_batch_3.bin'), 1000);
    await expect(cifar10({ dir, sources: sources() })).rejects.toThrow(
      `cifar10: ${join(dir, 'data_batch_3.bin')}: the data is not complete: the file has 1000 bytes, expected 12292 (delete ${dir} and run again to download the data)`,
    );
  });

  test('a missing file is named', async () => {
    const dir = await official();
    await rm(join(dir, 'test_batch.bin'));
    const failure = cifar10({ dir, sources: sources() });
    await expect(failure).rejects.toThrow(DataError);
    await expect(failure).rejects.toThrow(/test_batch\.bin: the data is not complete: the file is missing/);
  });

  test('a file that cannot be read is named, with a fix', async () => {
    const dir = await official();
    const path = join(dir, [...FILES.keys()][2]);
    await rm(path);
    await symlink(path, path); // a link to itself
    const reading = cifar10({ dir, sources: sources() });
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(
      `cifar10: ${path}: cannot be read: ELOOP: too many symbolic links encountered, stat '${path}' ` +
        '(make the file readable, or choose another folder)',
    );
  });

  test('a label out of range names file, record and range', async () => {
    const dir = await official();
    const bytes = Uint8Array.from(FILES.get('data_batch_2.bin')!);
    bytes[2 * 3073] = 10;
    await writeFile(join(dir, 'data_batch_2.bin'), bytes);
    const { train = [] } = sources();
    const expected = train.map((file) =>
      file.name === 'data_batch_2.bin' ? { ...file, md5: md5(Buffer.from(bytes)) } : file,
    );
    await expect(cifar10({ dir, sources: { ...sources(), train: expected } })).rejects.toThrow(
      /data_batch_2\.bin: the file is corrupt: record 2 has the label 10, expected 0 to 9 \(delete/,
    );
  });

  test('a changed label is named, also after the files were verified', async () => {
    const dir = await official();
    await cifar10({ dir, sources: sources() });
    const path = join(dir, 'data_batch_2.bin');
    const bytes = Buffer.from(FILES.get('data_batch_2.bin')!);
    bytes[0] = (bytes[0] + 1) % 10;
    await writeFile(path, bytes);
    await utimes(path, 1, 1); // a clock may be too coarse to tell the two writes apart
    await expect(cifar10({ dir, sources: sources() })).rejects.toThrow(
      `cifar10: ${path}: wrong checksum: MD5 ${md5(bytes)}, expected ${md5(FILES.get('data_batch_2.bin')!)} (delete ${dir} and run again to download the data)`,
    );
  });

  test('unchanged files are verified once, and again if the note about it is not right', async () => {
    const dir = await official();
    const verified = async (): Promise<boolean> => {
      const { events, onProgress } = recorder();
      await cifar10({ dir, sources: sources(), onProgress });
      return events.some(({ phase }) => phase === 'verify');
    };
    expect([await verified(), await verified()]).toEqual([true, false]);
    for (const note of ['', '{', '{}', 'null']) {
      // oxlint-disable-next-line no-await-in-loop -- one folder
      await writeFile(join(dir, '.verified.json'), note);
      // oxlint-disable-next-line no-await-in-loop -- one folder
      expect([await verified(), await verified()]).toEqual([true, false]);
    }
  });

  test('reading outside the data or into too little room throws', async () => {
    const { train } = await cifar10({ dir: await official(), sources: sources() });
    const x = new Uint8Array(3072);
    expect(() => train.read(Uint32Array.of(20), x, new Int32Array(1))).toThrow(
      'cifar10/train: read: index out of range: 20 at position 0, but there are 20 examples (0 to 19)',
    );
    expect(() => train.read(Uint32Array.of(0, 1), x, new Int32Array(2))).toThrow(
      'cifar10/train: read: x is too short: 3072 elements for 2 items of [32, 32, 3] (pass at least 6144)',
    );
  });

  test('wrong options throw', async () => {
    await expect(cifar10({ folder: 'x' } as object)).rejects.toThrow(
      "cifar10: unknown option 'folder' (known: dir, signal, onProgress, sources)",
    );
    await expect(cifar10({ dir: '' })).rejects.toThrow("cifar10: dir must be the path of a folder, got ''");
  });

  test('an aborted signal stops before anything is read', async () => {
    const dir = await official();
    await expect(
      cifar10({ dir, sources: sources(), signal: AbortSignal.abort(new Error('stop')) }),
    ).rejects.toThrow('stop');
  });
});
