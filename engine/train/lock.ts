/** The lock of a run folder: a file that names the process which writes there. Two runs in one folder would delete each other's files. */
import { dirname, join } from 'node:path';
import { CheckpointError, RunInUseError } from '../errors.ts';
import {
  claimFile,
  codeOf,
  createFile,
  makeFolder,
  readText,
  removeFile,
  type Files,
  type Owner,
} from '../files.ts';
import { isRecord } from '../options.ts';

const LOCK = 'run.lock';

/** The contents of a lock. */
interface Holder extends Owner {
  /** When the run started, as ISO 8601. */
  readonly since: string;
}

export interface Lock {
  /** Gives the folder free. Does nothing after the first call. */
  release(): Promise<void>;
}

/** Stale locks of one folder are taken over one after another; more than these are a sign of something else. */
const MAX_TAKEOVERS = 100;

/**
 * Locks a folder, which is created if it is missing. A lock whose process ended is taken over.
 *
 * Throws RunInUseError if another run holds the lock, and CheckpointError if the folder cannot be written.
 */
export async function lockFolder(files: Files, dir: string): Promise<Lock> {
  const path = join(dir, LOCK);
  const holder: Holder = { ...files.owner, since: new Date().toISOString() };
  const text = `${JSON.stringify(holder)}\n`;
  try {
    await makeFolder(files, dir);
  } catch (cause) {
    throw new CheckpointError(
      `${dir}: the folder cannot be created: ${(cause as Error).message} (use another folder)`,
      { cause },
    );
  }
  try {
    for (let takeovers = 0; !(await createFile(files, path, text)); takeovers++) {
      const held = await readLock(files, path);
      if (held === null) continue; // released since
      if (takeovers === MAX_TAKEOVERS || !isStale(files, held)) throw inUse(path, held, files.owner);
      await removeStale(files, path, held);
    }
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError(
      `${path}: cannot be written: ${(cause as Error).message} (is the disk full, or the folder not writable?)`,
      { cause },
    );
  }
  const keep = files.unlinkAtExit(path);
  let released = false;
  return {
    async release() {
      if (released) return;
      released = true;
      keep();
      if ((await readLock(files, path)) === text) await removeFile(files, path);
    },
  };
}

/** The text of the lock. Null without a lock. */
async function readLock(files: Files, path: string): Promise<string | null> {
  try {
    return await readText(files, path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The process that a lock names. Null for a text that no lock has: a power failure may leave one. */
function parseLock(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && typeof value['pid'] === 'number' ? (value as unknown as Holder) : null;
  } catch {
    return null;
  }
}

/** Whether the process of a lock ended. That of another machine counts as running. */
function isStale(files: Files, text: string): boolean {
  const holder = parseLock(text);
  return holder === null || (holder.host === files.owner.host && !files.isAlive(holder));
}

/** Deletes a stale lock. Only one of several processes gets it, and a lock that is new since is put back. */
async function removeStale(files: Files, path: string, stale: string): Promise<void> {
  const claimed = await claimFile(files, path);
  if (claimed === null) return;
  const text = await readText(files, claimed);
  if (text !== stale) await createFile(files, path, text);
  await removeFile(files, claimed);
}

function inUse(path: string, text: string, own: Owner): RunInUseError {
  const holder = parseLock(text);
  const dir = dirname(path);
  if (holder === null)
    return new RunInUseError(`${dir}: another run writes here (delete ${path} if it ended)`);
  const { host, pid, since } = holder;
  const isSelf = host === own.host && pid === own.pid;
  const fix = isSelf
    ? 'wait for it, or use another folder'
    : host === own.host
      ? 'wait for it or stop it, or use another folder'
      : `wait for it, or use another folder; if it ended, delete ${path}`;
  const who = isSelf ? `this process (${pid} on ${host})` : `process ${pid} on ${host}`;
  return new RunInUseError(`${dir}: another run writes here: ${who} since ${since} (${fix})`);
}
