/** The files of an image folder. */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { named } from './image.ts';

export interface LabeledFile {
  readonly path: string;
  readonly label: number;
}

/** A file that cannot be used, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

export interface FoundImages {
  readonly classes: readonly string[];
  readonly files: readonly LabeledFile[];
  /** What lies in the folder but cannot be in the data set. */
  readonly problems: readonly SkippedFile[];
}

export interface ScanOptions {
  /** The classes, in the order of their labels. Default: the folders. */
  readonly classes: readonly string[] | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What operating systems, file servers and archives leave in folders, in lower case. Names that start with a dot are left out too. */
const IGNORED = new Set([
  '__macosx',
  'icon\r',
  'network trash folder',
  'temporary items',
  'thumbs.db',
  'ehthumbs.db',
  'desktop.ini',
  '$recycle.bin',
  'system volume information',
  'lost+found',
  '@eadir',
  '#recycle',
  '@recycle',
]);

/** Lists the files of each class. Only regular files can be images, but which file is one shows when it is read. */
export async function findImages(root: string, options: ScanOptions): Promise<FoundImages> {
  const layout = `imageFolder: the layout is ${join(root, '<class>', '<image>.png')}`;
  const known = options.classes?.map(normalized);
  const folders: string[] = [];
  const files: LabeledFile[] = [];
  const problems: SkippedFile[] = [];
  const entries = await named(root, entriesOf(root));
  const realRoot = await realpath(root);
  for (const entry of entries) {
    const path = join(root, entry.name);
    if (!(await isFolder(entry, path))) {
      problems.push({ path, reason: `the file is not in the folder of a class (${layout})` });
      continue;
    }
    const name = normalized(entry.name);
    const label = known === undefined ? folders.length : known.indexOf(name);
    if (label < 0) {
      throw new DataError(
        `${path}: the folder is not one of the classes: ${known!.join(', ')} (add it to classes, or remove the folder)`,
      );
    }
    folders.push(name);
    await addFiles(path, label, { root: realRoot, visited: new Set(), files, problems, ...options });
  }
  if (folders.length === 0) throw new DataError(`${root}: there are no folders of classes (${layout})`);
  files.sort((a, b) => a.label - b.label); // stable: `classes` may have another order than the folders
  return { classes: known ?? folders, files, problems };
}

interface Scan extends ScanOptions {
  /** Without links. */
  readonly root: string;
  /** Folders of the class that were read, without links. */
  readonly visited: Set<string>;
  readonly files: LabeledFile[];
  readonly problems: SkippedFile[];
}

async function addFiles(folder: string, label: number, scan: Scan): Promise<void> {
  scan.signal?.throwIfAborted();
  let entries: Dirent[];
  try {
    const real = await realpath(folder);
    // A link can lead into a circle, or to all of the disk.
    if (scan.visited.has(real) || contains(real, scan.root)) {
      throw new DataError(`its folder ${real} was read already or contains the data set (remove the link)`);
    }
    scan.visited.add(real);
    entries = await entriesOf(folder);
  } catch (error) {
    scan.problems.push({ path: folder, reason: (error as Error).message });
    return;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (await isFolder(entry, path)) await addFiles(path, label, scan);
    else scan.files.push({ path, label });
  }
}

/** Whether `inner` is `folder` or lies in it. */
function contains(folder: string, inner: string): boolean {
  const path = relative(folder, inner);
  return !path.startsWith('..') && !isAbsolute(path);
}

/** Whether an entry is a folder or a link to one. A link to nothing counts as a file, which then cannot be read. */
async function isFolder(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const target = await stat(path).catch(() => null);
  return target !== null && target.isDirectory();
}

/** Some systems store é as one character, others as two. */
const normalized = (name: string): string => name.normalize('NFC');

/** The entries of a folder, sorted by code units, which gives the same order on every machine. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new DataError(`cannot be read: ${(cause as Error).message} (is it a folder?)`, { cause });
  }
  return entries
    .filter(({ name }) => !name.startsWith('.') && !IGNORED.has(name.toLowerCase()))
    .sort((a, b) => (normalized(a.name) < normalized(b.name) ? -1 : 1));
}
