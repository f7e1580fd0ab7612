/**
 * A file system in memory for tests of saving. It counts its operations, and fails one of them or loses power there. After a power
 * failure, what was not flushed may be missing, partial, or zeros, and changes of names may have reached the disk in any combination.
 */
import { dirname } from 'node:path';
import type { Files, OpenFile, OpenFlags, Owner } from '../../../engine/files.ts';

/** What happens at the chosen operation: an error of the system, a write of fewer bytes, or the end of the process. */
export type Fault = 'ENOSPC' | 'EIO' | 'short write' | 'end before' | 'end in' | 'end after';

/** Thrown by every operation of a process that ended. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded';
}

/** Draws an integer from 0 to `n - 1`. */
export type Below = (n: number) => number;

class SystemError extends Error {
  readonly code: string;

  constructor(code: string, call: string, path: string) {
    super(`${code}: ${call} '${path}'`);
    this.code = code;
  }
}

/** A file: what is flushed, and the pieces that were appended since. */
class Inode {
  flushed: Uint8Array;
  pieces: Uint8Array[] = [];

  constructor(contents: Uint8Array = new Uint8Array(0)) {
    this.flushed = contents;
  }

  bytes(): Uint8Array {
    if (this.pieces.length === 0) return this.flushed;
    return joined([this.flushed, ...this.pieces]);
  }

  flush(): void {
    this.flushed = this.bytes();
    this.pieces = [];
  }

  /** The contents after a power failure: each piece arrived, is zeros, or was cut, which ends the file. */
  afterPowerFailure(below: Below): Uint8Array {
    const kept = [this.flushed];
    for (const piece of this.pieces) {
      const fate = below(3);
      if (fate === 0) kept.push(piece);
      if (fate === 1) kept.push(new Uint8Array(piece.length));
      if (fate === 2) {
        kept.push(piece.slice(0, below(piece.length + 1)));
        break;
      }
    }
    return joined(kept);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The names of files and folders. */
class Names {
  readonly files: Map<string, Inode>;
  readonly folders: Set<string>;

  constructor(files: Iterable<readonly [string, Inode]> = [], folders: Iterable<string> = ['/']) {
    this.files = new Map(files);
    this.folders = new Set(folders);
  }
}

/** A change of names in a folder that was not flushed. A rename may arrive without the removal of the old name. */
interface Change {
  readonly folder: string;
  readonly apply: (names: Names, partly: boolean) => void;
}

export class Disk {
  /** What programs see. */
  #now: Names;
  /** What is on the disk. */
  readonly #flushed: Names;
  #changes: Change[] = [];
  /** Operations so far. */
  operations = 0;
  #fault: { readonly at: number; readonly fault: Fault } | null = null;
  #ended = false;

  constructor(names = new Names()) {
    this.#now = names;
    this.#flushed = new Names(names.files, names.folders);
  }

  /** Lets operation `at`, counted from 0, fail. */
  failAt(at: number, fault: Fault): void {
    this.#fault = { at, fault };
  }

  /** Starts the next process after one that was killed: everything that it wrote is there, and what it did not flush may still be lost. */
  restart(): void {
    this.operations = 0;
    this.#fault = null;
    this.#ended = false;
  }

  /** A copy with everything that was written. */
  copy(): Disk {
    const files = [...this.#now.files].map(([path, inode]) => [path, new Inode(inode.bytes())] as const);
    return new Disk(new Names(files, this.#now.folders));
  }

  /** The disk after a power failure, with what `below` draws of the writes and names that were not flushed. */
  afterPowerFailure(below: Below): Disk {
    const names = new Names(this.#flushed.files, this.#flushed.folders);
    for (const { apply } of this.#changes) if (below(2) === 0) apply(names, below(4) === 0);
    const contents = new Map<Inode, Inode>();
    const files: [string, Inode][] = [];
    for (const [path, inode] of names.files) {
      if (!hasFolders(names, path)) continue;
      let after = contents.get(inode);
      if (after === undefined) contents.set(inode, (after = new Inode(inode.afterPowerFailure(below))));
      files.push([path, after]);
    }
    return new Disk(
      new Names(
        files,
        [...names.folders].filter((path) => hasFolders(names, path)),
      ),
    );
  }

  /** The contents of all files. */
  contents(): Map<string, Uint8Array> {
    return new Map([...this.#now.files].map(([path, inode]) => [path, inode.bytes()]));
  }

  /** Replaces the contents of a file, as bad hardware does. */
  damage(path: string, change: (bytes: Uint8Array) => void): void {
    const inode = this.#now.files.get(path);
    if (inode === undefined) throw new Error(`damage: there is no ${path}`);
    const bytes = Uint8Array.from(inode.bytes());
    change(bytes);
    inode.flushed = bytes;
    inode.pieces = [];
  }

  /** Renames a file, as a user does. */
  move(from: string, to: string): void {
    const inode = this.#inode('rename', from);
    for (const names of [this.#now, this.#flushed]) rename(names, inode, from, to, false);
  }

  /** The disk as the process `pid` uses it. All other processes of the host have ended. */
  files(pid: number, chunkBytes: number): Files {
    const owner: Owner = { host: 'host', pid, started: null };
    return {
      chunkBytes,
      owner,
      isAlive: (other) => other.pid === pid,
      open: async (path, flags) => this.#do('open', path, () => this.#open(path, flags)),
      rename: async (from, to) =>
        this.#do('rename', from, () => {
          const inode = this.#inode('rename', from);
          this.#change(to, (names, partly) => rename(names, inode, from, to, partly));
        }),
      link: async (from, to) =>
        this.#do('link', to, () => {
          const inode = this.#inode('link', from);
          if (this.#now.files.has(to)) throw new SystemError('EEXIST', 'link', to);
          this.#change(to, (names) => void names.files.set(to, inode));
        }),
      unlink: async (path) =>
        this.#do('unlink', path, () => {
          this.#inode('unlink', path);
          this.#change(path, (names) => void names.files.delete(path));
        }),
      readdir: async (path) =>
        this.#do('readdir', path, () => {
          if (!this.#now.folders.has(path)) throw new SystemError('ENOENT', 'readdir', path);
          const inside = [...this.#now.files.keys()].filter((name) => dirname(name) === path);
          return inside.map((name) => name.slice(path.length + 1));
        }),
      mkdir: async (path) =>
        this.#do('mkdir', path, () => {
          if (this.#now.folders.has(path)) throw new SystemError('EEXIST', 'mkdir', path);
          this.#checkFolder('mkdir', path);
          this.#change(path, (names) => void names.folders.add(path));
        }),
      syncFolder: async (path) =>
        this.#do('fsync', path, () => {
          for (const { folder, apply } of this.#changes) if (folder === path) apply(this.#flushed, false);
          this.#changes = this.#changes.filter(({ folder }) => folder !== path);
        }),
      unlinkAtExit: () => () => undefined,
    };
  }

  /** Runs an operation, or its fault. `part`: what it does if the process ends in it. */
  #do<T>(call: string, path: string, run: () => T, part: () => void = () => undefined): T {
    if (this.#ended) throw new ProcessEnded(`${call} '${path}': the process ended`);
    const fault = this.operations++ === this.#fault?.at ? this.#fault.fault : null;
    if (fault === 'ENOSPC' || fault === 'EIO') throw new SystemError(fault, call, path);
    if (fault === null || fault === 'short write') return run();
    this.#ended = true;
    if (fault === 'end in') part();
    if (fault === 'end after') run();
    throw new ProcessEnded(`${call} '${path}': the process ended here`);
  }

  #open(path: string, flags: OpenFlags): OpenFile {
    let inode = this.#now.files.get(path);
    if (inode === undefined) {
      if (flags === 'r') throw new SystemError('ENOENT', 'open', path);
      this.#checkFolder('open', path);
      const created = (inode = new Inode());
      this.#change(path, (names) => void names.files.set(path, created));
    } else if (flags === 'wx') {
      throw new SystemError('EEXIST', 'open', path);
    } else if (flags === 'w') {
      throw new Error(`the model has no truncation: ${path}`);
    }
    const file = inode;
    return {
      write: async (bytes) => {
        // A buffer of the writer may change after the write.
        const append = (length: number): number => (file.pieces.push(bytes.slice(0, length)), length);
        const isShort = this.#fault?.fault === 'short write' && this.#fault.at === this.operations;
        const half = bytes.length >> 1;
        return this.#do(
          'write',
          path,
          () => append(isShort ? Math.max(1, half) : bytes.length),
          () => append(half),
        );
      },
      read: async (into, position) =>
        this.#do('read', path, () => {
          const piece = file.bytes().subarray(position, position + into.length);
          into.set(piece);
          return piece.length;
        }),
      size: async () => this.#do('stat', path, () => file.bytes().length),
      sync: async () => this.#do('fsync', path, () => file.flush()),
      close: async () => this.#do('close', path, () => undefined),
    };
  }

  #change(path: string, apply: Change['apply']): void {
    apply(this.#now, false);
    this.#changes.push({ folder: dirname(path), apply });
  }

  #inode(call: string, path: string): Inode {
    const inode = this.#now.files.get(path);
    if (inode === undefined) throw new SystemError('ENOENT', call, path);
    return inode;
  }

  #checkFolder(call: string, path: string): void {
    if (!this.#now.folders.has(dirname(path))) throw new SystemError('ENOENT', call, path);
  }
}

function rename(names: Names, inode: Inode, from: string, to: string, partly: boolean): void {
  names.files.set(to, inode);
  if (!partly) names.files.delete(from);
}

function hasFolders(names: Names, path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!names.folders.has(folder)) return false;
    if (folder === dirname(folder)) return true;
  }
}
