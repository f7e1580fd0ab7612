/**
 * Files that survive a crash. `replaceFile` writes a temporary file, flushes it, renames it, and flushes the folder, so that after a
 * crash or a power failure the path holds the old contents or the new, never a part (docs/notes/durability.md).
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { whileHeld } from './held-files.ts';

/** The way a file is opened: for reading, replaced, appended to, or created, which fails if the file exists. */
export type OpenFlags = 'r' | 'w' | 'a' | 'wx';

/** An open file. */
export interface OpenFile {
  /** Appends the beginning of `bytes`. Returns the number of bytes written, which may be smaller than the length. */
  write(bytes: Uint8Array): Promise<number>;
  /** Reads into `into` from `position`. Returns the number of bytes read: 0 at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  /** Flushes the contents to the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A process, as other processes can identify it. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Distinguishes processes that had the same id one after another. Null if the system does not tell when a process started. */
  readonly started: string | null;
}

/** The operations of a file system that runs use. Tests pass others, which fail, or crash like a disk without power. */
export interface Files {
  /** The number of bytes in one read or write. */
  readonly chunkBytes: number;
  /** This process. */
  readonly owner: Owner;
  /** Whether a process of this host still runs. */
  isAlive(owner: Owner): boolean;
  open(path: string, flags: OpenFlags): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name. Fails if that exists. */
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  /** Creates one folder. Fails if it exists. */
  mkdir(path: string): Promise<void>;
  /** Flushes the names in a folder to the disk: new files, renames and deletions. */
  syncFolder(path: string): Promise<void>;
  /** Deletes a file when the process ends. Returns a function that takes this back. */
  unlinkAtExit(path: string): () => void;
}

const NO_FOLDER_SYNC = ['EINVAL', 'ENOTSUP'];
const atExit = new Set<string>();
let ownStart: { readonly value: string | null } | null = null;

/** The file system of this machine. */
export const nodeFiles: Files = {
  // Large enough for the speed of the disk. One call of the system writes at most 2 GiB.
  chunkBytes: 8 << 20,
  get owner() {
    ownStart ??= { value: startOf(process.pid) };
    return { host: hostname(), pid: process.pid, started: ownStart.value };
  },
  isAlive({ pid, started }) {
    try {
      process.kill(pid, 0);
    } catch (error) {
      if (codeOf(error) !== 'EPERM') return false; // EPERM: it runs as another user
    }
    const now = startOf(pid);
    if (now === ZOMBIE) return false;
    return started === null || now === null || now === started;
  },
  async open(path, flags) {
    const file = await open(path, flags);
    return {
      write: async (bytes) => (await file.write(bytes)).bytesWritten,
      read: async (into, position) => (await file.read(into, 0, into.length, position)).bytesRead,
      size: async () => (await file.stat()).size,
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  rename: (from, to) => whileHeld(() => rename(from, to)),
  link,
  unlink: (path) => whileHeld(() => unlink(path)),
  readdir: (path) => readdir(path),
  async mkdir(path) {
    try {
      await mkdir(path);
    } catch (error) {
      throw (await obstacleTo(path, codeOf(error))) ?? error;
    }
  },
  async syncFolder(path) {
    // Windows cannot flush a folder. NTFS journals names: after a power failure the last renames may be missing, but none is half done.
    if (process.platform === 'win32') return;
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } catch (error) {
      // Some network and FUSE file systems have no such operation.
      if (!NO_FOLDER_SYNC.includes(codeOf(error))) throw error;
    } finally {
      await folder.close();
    }
  },
  unlinkAtExit(path) {
    if (atExit.size === 0) process.on('exit', unlinkAll);
    atExit.add(path);
    return () => {
      atExit.delete(path);
      if (atExit.size === 0) process.off('exit', unlinkAll);
    };
  },
};

/** Why a folder cannot be created, if the system does not say it. Null for an error that is clear, or a folder that exists. */
async function obstacleTo(path: string, code: string): Promise<Error | null> {
  const isFolder = async (at: string): Promise<boolean> =>
    stat(at).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
  const failure = (text: string, as: string): Error => Object.assign(new Error(text), { code: as });
  if (code === 'EEXIST' && !(await isFolder(path))) {
    const isLink = (await lstat(path)).isSymbolicLink();
    if (isLink) return failure(`${path} is a link whose target does not exist`, 'ENOENT');
    return failure(`${path} is not a folder`, 'ENOTDIR');
  }
  const parent = dirname(path);
  if (code === 'ENOENT' && (await isFolder(parent))) {
    return failure(`folders cannot be created in ${parent}`, 'ENOENT'); // for instance in /proc
  }
  return null;
}

function unlinkAll(): void {
  for (const path of atExit) {
    try {
      unlinkSync(path);
    } catch {
      continue; // the next process removes it
    }
  }
}

/** The start of a process that ended, whose parent has not asked for its exit status yet. */
const ZOMBIE = 'zombie';

/** When a process started, from /proc: the boot of the machine and the ticks since then. Null without /proc. */
function startOf(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may contain anything. State is the 1st field after it, the start the 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 'ZX'.includes(fields[0]) ? ZOMBIE : `${boot}/${fields[19]}`;
  } catch {
    return null;
  }
}

/** The `code` of a system error, or ''. */
export const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException | null)?.code ?? '');

/** Writes all bytes. Throws if the disk accepts none. */
async function writeAll(
  file: OpenFile,
  bytes: Uint8Array,
  onWritten: (done: number) => void = () => undefined,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const written = await file.write(bytes.subarray(done));
    if (written === 0) throw new Error('write: the disk accepted no bytes');
    done += written;
    onWritten(done);
  }
}

/** Opens a file, calls `use`, and closes the file. */
async function withFile<T>(
  files: Files,
  path: string,
  flags: OpenFlags,
  use: (file: OpenFile) => Promise<T>,
): Promise<T> {
  const file = await files.open(path, flags);
  let result: T;
  try {
    result = await use(file);
  } catch (error) {
    await file.close().catch(() => undefined); // report the first error
    throw error;
  }
  await file.close();
  return result;
}

/** Writes a file and flushes its contents. Its name is not flushed: see `syncFolder`. */
export async function writeFlushed(
  files: Files,
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  await withFile(files, path, 'w', async (file) => {
    for await (const piece of pieces) await writeAll(file, piece);
    await file.sync();
  });
}

/** Appends to a file. With `flush`, everything in the file is on the disk afterwards. `onWritten` gets the number of bytes written. */
export async function appendBytes(
  files: Files,
  path: string,
  bytes: Uint8Array,
  flush: boolean,
  onWritten: (done: number) => void,
): Promise<void> {
  await withFile(files, path, 'a', async (file) => {
    await writeAll(file, bytes, onWritten);
    if (flush) await file.sync();
  });
}

/** Temporary files that this process is writing. */
const writing = new Set<string>();
let count = 0;

/** A path beside `path` that no other write uses. It ends with the id of the process, for `removeLeftovers`. */
const temporaryFor = (files: Files, path: string): string => `${path}.${count++}.${files.owner.pid}.tmp`;

/**
 * Replaces a file, or creates it with its missing folders. When the promise resolves, contents and name are on the disk. If it rejects,
 * the path holds the old contents or, when only the last flush failed, the new ones.
 */
export async function replaceFile(files: Files, path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const temporary = temporaryFor(files, path);
  writing.add(temporary);
  try {
    await makeFolder(files, dirname(path));
    await writeFlushed(files, temporary, pieces);
    await files.rename(temporary, path);
    await files.syncFolder(dirname(path));
  } catch (error) {
    await files.unlink(temporary).catch(() => undefined); // report the first error
    throw error;
  } finally {
    writing.delete(temporary);
  }
}

/** Creates a file that nobody else has, with its contents, at once. False if the path exists. */
export async function createFile(files: Files, path: string, text: string): Promise<boolean> {
  const temporary = temporaryFor(files, path);
  const bytes = new TextEncoder().encode(text);
  writing.add(temporary);
  try {
    await writeFlushed(files, temporary, [bytes]);
    await files.link(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (!NO_LINKS.includes(codeOf(error))) throw error;
    return await createInPlace(files, path, bytes);
  } finally {
    await files.unlink(temporary).catch(() => undefined); // the next run removes it
    writing.delete(temporary);
  }
}

/** The errors of file systems without links, such as exFAT. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP'];

async function createInPlace(files: Files, path: string, bytes: Uint8Array): Promise<boolean> {
  try {
    await withFile(files, path, 'wx', (file) => writeAll(file, bytes));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a file to a path that no other process uses. Returns that path, or null if the file is gone. */
export async function claimFile(files: Files, path: string): Promise<string | null> {
  const claimed = temporaryFor(files, path);
  try {
    await files.rename(path, claimed);
    return claimed;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Creates a folder and its missing parents, and flushes their names. Not the recursive mkdir of Node, which never returns below /proc.
 */
export async function makeFolder(files: Files, path: string): Promise<void> {
  const parent = dirname(path);
  try {
    await files.mkdir(path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    // Below a file or a broken link, the parent's error names it.
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error)) || parent === path) throw error;
    await makeFolder(files, parent);
    await files.mkdir(path).catch((again: unknown) => {
      if (codeOf(again) !== 'EEXIST') throw again; // another process was faster
    });
  }
  await files.syncFolder(parent);
}

/**
 * Flushes the names of a folder and of its parents. The process that created them may have been killed before it did. A folder that this
 * process may not read belongs to someone else, so no run created what is in it.
 */
export async function flushParents(files: Files, path: string): Promise<void> {
  for (let folder = path; folder !== dirname(folder);) {
    folder = dirname(folder);
    try {
      await files.syncFolder(folder);
    } catch (error) {
      if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') throw error;
    }
  }
}

/** Deletes a file, unless it is gone already. */
export async function removeFile(files: Files, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** The names in a folder. Empty if there is no folder. */
export async function namesIn(files: Files, path: string): Promise<readonly string[]> {
  try {
    return await files.readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Whether a name is that of a temporary file of this module whose process ended. */
export function isLeftover(files: Files, path: string): boolean {
  const pid = /\.(\d+)\.tmp$/.exec(path)?.[1];
  if (pid === undefined || writing.has(path)) return false;
  const { host, pid: own } = files.owner;
  return Number(pid) === own || !files.isAlive({ host, pid: Number(pid), started: null });
}

/** The bytes of a file, or of another source, in pieces. */
export interface Source {
  readonly size: number;
  /** Fills `into` from `position`. Throws if the source ends before. */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** Opens a file for reading, calls `use`, and closes it. */
export async function readFrom<T>(
  files: Files,
  path: string,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  return withFile(files, path, 'r', async (file) => {
    const read = async (into: Uint8Array, position: number): Promise<void> => {
      for (let done = 0; done < into.length;) {
        const piece = into.subarray(done, done + files.chunkBytes);
        const count = await file.read(piece, position + done);
        if (count === 0) throw new Error(`read: the file ends at byte ${position + done}`);
        done += count;
      }
    };
    return use({ size: await file.size(), read });
  });
}

/** Whether a file exists and its last byte is not a line feed. */
export async function endsInsideLine(files: Files, path: string): Promise<boolean> {
  try {
    return await readFrom(files, path, async (source) => {
      const last = new Uint8Array(Math.min(source.size, 1));
      await source.read(last, source.size - last.length);
      return last.length > 0 && last[0] !== LINE_FEED;
    });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

export const LINE_FEED = 10;

/** The text of a file. */
export async function readText(files: Files, path: string): Promise<string> {
  return readFrom(files, path, async (source) => {
    const bytes = new Uint8Array(source.size);
    await source.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  });
}
