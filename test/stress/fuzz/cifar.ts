/** `cifar10` on folders of damaged files. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cifar10, type Dataset } from 'cyclegrad/datasets';
import type { Random } from '../random.ts';
import { folder } from './folder.ts';
import { claim, valueOrRefusal, type FuzzTarget } from './target.ts';

const RECORD = 3073;
const RECORDS = 2;
const file = (name: string) => ({ name, md5: '' });
const TRAIN = [file('data_batch_1.bin'), file('data_batch_2.bin')];
const TEST = file('test_batch.bin');

/** The bytes of one file: right, of another length, or with a label of no class. */
function records(random: Random): Uint8Array {
  const bytes = random.bytes(RECORDS * RECORD);
  for (let i = 0; i < RECORDS; i++) bytes[i * RECORD] = random.below(10);
  const way = random.uniform();
  if (way < 0.15) return bytes.slice(0, random.below(bytes.length + 1));
  if (way < 0.2) return new Uint8Array(bytes.length + 1 + random.below(5000));
  if (way < 0.35) bytes[random.below(RECORDS) * RECORD] = random.below(256);
  return bytes;
}

/** Whether a data set has exactly the images and labels of the files. */
function claimImages(dataset: Dataset, files: readonly Uint8Array[]): void {
  claim(dataset.length === files.length * RECORDS, () => `${dataset.name} has ${dataset.length} examples`);
  const x = new Uint8Array(3072);
  const y = new Int32Array(1);
  for (let i = 0; i < dataset.length; i++) {
    dataset.read(Uint32Array.of(i), x, y);
    const bytes = files[Math.floor(i / RECORDS)].subarray((i % RECORDS) * RECORD);
    claim(y[0] === bytes[0] && y[0] < 10, () => `${dataset.name}: label ${i} is ${y[0]}, not ${bytes[0]}`);
    for (let p = 0; p < 1024; p++) {
      for (let c = 0; c < 3; c++) {
        const right = bytes[1 + c * 1024 + p];
        claim(
          x[3 * p + c] === right,
          () => `${dataset.name}: image ${i}, pixel ${p}, channel ${c}: ${x[3 * p + c]}, not ${right}`,
        );
      }
    }
  }
}

async function run(random: Random): Promise<void> {
  const dir = join(folder(), 'cifar');
  await rm(dir, { recursive: true, force: true });
  const inner = random.uniform() < 0.3 ? join(dir, 'cifar-10-batches-bin') : dir;
  await mkdir(inner, { recursive: true });
  const files = [...TRAIN, TEST].map(() => records(random));
  let isWhole = true;
  for (const [i, { name }] of [...TRAIN, TEST].entries()) {
    const path = join(inner, name);
    const way = random.below(40);
    isWhole &&= way > 2;
    if (way === 0) await mkdir(path);
    else if (way === 1) await symlink(path, path);
    else if (way > 2) await writeFile(path, files[i]);
  }
  const sets = await valueOrRefusal(['cifar10', dir, inner], () =>
    cifar10({ dir, sources: { archive: null, npm: null, records: RECORDS, train: TRAIN, test: TEST } }),
  );
  if (sets === undefined) return;
  claim(isWhole, () => 'read a folder that is not complete');
  claim(
    files.every(({ length }) => length === RECORDS * RECORD),
    () => `read files of ${files.map(({ length }) => length).join()} bytes`,
  );
  claimImages(sets.train, files.slice(0, 2));
  claimImages(sets.test, files.slice(2));
}

export const cifar: FuzzTarget = { name: 'cifar', run };
