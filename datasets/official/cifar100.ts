/** CIFAR-100 from its official binary files. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { nodeFiles } from '../../engine/files.ts';
import { checkOneOf, checkOptions } from '../../engine/options.ts';
import { arrays } from '../arrays.ts';
import {
  findPython,
  pythonFolder,
  readPickleFile,
  recordsOf,
  type PythonVersion,
} from '../download/cifar-python.ts';
import { checkFolder, fileSize, orNamedStorageError, unpack } from '../download/files.ts';
import {
  checkNamed,
  dataDir,
  obtainFile,
  readWhole,
  type NamedOptions,
  type OfficialFile,
} from '../download/named.ts';
import { HOME_PAGE } from '../download/obtain.ts';
import { refuseOtherForms } from '../download/other-forms.ts';
import { itIs } from '../formats/recognize.ts';

export interface Cifar100Options extends NamedOptions {
  /** The 100 classes ('fine'), or the 20 groups of them ('coarse'). Default 'fine'. */
  readonly labels?: 'fine' | 'coarse';
}

/** The checksum is that of torchvision's sources and of the home page. */
const ARCHIVE: OfficialFile = {
  name: 'cifar-100-binary.tar.gz',
  url: 'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
  md5: '03b5dce01913d631647c71ecec9e9cb8',
};
const FOLDER = 'cifar-100-binary';
const FILES = ['train.bin', 'test.bin', 'fine_label_names.txt', 'coarse_label_names.txt'] as const;
const PYTHON: PythonVersion = {
  archive: 'cifar-100-python.tar.gz',
  folder: 'cifar-100-python',
  files: ['train', 'test', 'meta'],
};
const PIXELS = 1024;
/** The coarse label, the fine label, and the planes R, G and B of 32 x 32. */
const RECORD = 2 + 3 * PIXELS;

/**
 * CIFAR-100: 50,000 training and 10,000 test images in 100 classes, or in their 20 groups. `dir` has the files of the official binary or
 * Python archive, their folder or the archive. If it has none of them, the binary archive is downloaded there.
 *
 * Shapes: x [32, 32, 3] u8, y [] i32 from 0 to 99, or from 0 to 19.
 * Throws DataError for missing, truncated or corrupt files. Throws the reason of the signal when it aborts.
 * Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
 *
 * @example
 * const { train, test } = await cifar100({ dir: 'cifar100', labels: 'coarse' });
 * train.classes.length // 20
 */
export async function cifar100(
  options: Cifar100Options = {},
): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  checkOptions('cifar100', options, ['dir', 'signal', 'onProgress', 'labels']);
  const { labels = 'fine', ...rest } = options;
  checkNamed('cifar100', rest);
  checkOneOf('cifar100', 'labels', labels, ['fine', 'coarse']);
  const dir = await obtain(rest);
  const names = await readFile(join(dir, `${labels}_label_names.txt`), 'utf8');
  const classes = names.split('\n').filter((name) => name !== '');
  return {
    train: await readRecords(join(dir, FILES[0]), `cifar100/train ${labels}`, labels, classes),
    test: await readRecords(join(dir, FILES[1]), `cifar100/test ${labels}`, labels, classes),
  };
}

/** The folder with the files. */
async function obtain(options: NamedOptions): Promise<string> {
  const root = resolve(options.dir ?? (await dataDir('cifar100')));
  await checkFolder('cifar100', root);
  for (const dir of [root, join(root, FOLDER)]) {
    // oxlint-disable-next-line no-await-in-loop -- the first one that has the files
    const sizes = await Promise.all(FILES.map((name) => fileSize(join(dir, name))));
    if (sizes.every((size) => size !== null)) return dir;
  }
  const { signal, onProgress } = options;
  const hasArchive = (await fileSize(join(root, ARCHIVE.name))) !== null;
  const python = hasArchive ? null : await findPython(root, PYTHON);
  if (!hasArchive && python === null) {
    await refuseOtherForms(
      'cifar100',
      root,
      'the binary or the Python version of CIFAR-100',
      `download it from ${HOME_PAGE}, or choose another folder`,
    );
  }
  const archive = python ?? (await obtainFile('cifar100', ARCHIVE, root, options));
  const [target, part] = [join(root, FOLDER), join(root, `.${FOLDER}.part`)];
  try {
    await rm(part, { recursive: true, force: true });
    await mkdir(part);
    if (python === null)
      await unpack({ archive, dir: part, wanted: FILES, source: archive, signal, onProgress });
    else await convert(python, part, options);
    await rm(target, { recursive: true, force: true });
    await nodeFiles.rename(part, target);
  } catch (error) {
    throw orNamedStorageError('cifar100', error, root);
  }
  return target;
}

/** Writes the files of the binary version. `found` is the folder or the archive of the Python version. */
async function convert(found: string, part: string, { signal, onProgress }: NamedOptions): Promise<void> {
  const unpacked = join(part, 'python');
  await mkdir(unpacked);
  const dir = await pythonFolder({ found, version: PYTHON, tmp: unpacked, onProgress, signal });
  const meta = await readPickleFile('cifar100', join(dir, 'meta'));
  for (const labels of ['fine', 'coarse'] as const) {
    const names = meta.get(`${labels}_label_names`);
    if (!Array.isArray(names))
      throw new DataError(
        `cifar100: ${join(dir, 'meta')}: it has no ${labels}_label_names (obtain it again)`,
      );
    await writeFile(join(part, `${labels}_label_names.txt`), `${names.join('\n')}\n`);
  }
  for (const [k, name] of ['train', 'test'].entries()) {
    signal?.throwIfAborted();
    const records = await recordsOf('cifar100', join(dir, name), ['coarse_labels', 'fine_labels']);
    await writeFile(join(part, `${name}.bin`), records);
    onProgress?.({ phase: 'convert', source: found, done: k + 1, total: 2 });
  }
  await rm(unpacked, { recursive: true });
}

async function readRecords(
  path: string,
  name: string,
  labels: 'fine' | 'coarse',
  classes: readonly string[],
): Promise<Dataset> {
  const bytes = await readWhole('cifar100', path);
  const n = bytes.length / RECORD;
  if (!Number.isInteger(n) || n === 0) {
    throw new DataError(
      `cifar100: ${path}: the file is truncated or has another format: it has ${bytes.length} bytes, which is no multiple of ${RECORD}${itIs(bytes)} ` +
        '(obtain it again)',
    );
  }
  const x = new Uint8Array(n * 3 * PIXELS);
  const y = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const at = i * RECORD;
    y[i] = bytes[at + (labels === 'fine' ? 1 : 0)];
    if (y[i] >= classes.length) {
      throw new DataError(
        `cifar100: ${path}: the file is corrupt: record ${i} has the label ${y[i]}, expected 0 to ${classes.length - 1} (obtain it again)`,
      );
    }
    for (let p = 0; p < PIXELS; p++) {
      for (let c = 0; c < 3; c++) x[(i * PIXELS + p) * 3 + c] = bytes[at + 2 + c * PIXELS + p];
    }
  }
  return arrays({ shape: [n, 32, 32, 3], data: x }, y, { classes, name });
}
