/** Folders on disk. */
import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Creates a folder and its missing parents, one after another. Node's recursive `mkdir` never returns where the file system reports a
 * missing folder although its parent exists, for instance below /proc.
 *
 * Throws Error, with the `code` of the file system, for a path that cannot be a folder.
 */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  try {
    await mkdir(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await isFolder(path))) return; // another process was faster
    if (code === 'EEXIST') throw await obstacle(path);
    if (code === 'ENOENT') throw failure(`folders cannot be created in ${parent}`, code);
    throw cause;
  }
}

/** The error for a path that something else has. */
async function obstacle(path: string): Promise<Error> {
  if ((await lstat(path)).isSymbolicLink())
    return failure(`${path} is a link whose target does not exist`, 'ENOENT');
  return failure(`${path} is not a folder`, 'ENOTDIR');
}

const failure = (text: string, code: string): Error => Object.assign(new Error(text), { code });

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}
