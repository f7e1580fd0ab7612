/**
 * Verifies the files of a data set by their MD5, and notes it beside them, so that unchanged files are verified once. The MD5 of CIFAR-10
 * takes half a second.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { md5Of } from './files.ts';
import type { OnData } from '../progress.ts';

/** The note, in the folder of the files. */
const STAMP = '.verified.json';

/** A file, with its published MD5 as hexadecimal digits. */
export interface VerifiedFile {
  readonly name: string;
  readonly md5: string;
}

/** What identifies the contents of a file that was verified: its size, the time of its last change, and its MD5. */
type Stamp = Readonly<Record<string, readonly [bytes: number, mtimeMs: number, md5: string]>>;

async function stampOf(dir: string, files: readonly VerifiedFile[]): Promise<Stamp> {
  const entries = files.map(async ({ name, md5 }) => {
    const { size, mtimeMs } = await stat(join(dir, name));
    return [name, [size, mtimeMs, md5]] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function isStamped(dir: string, stamp: Stamp): Promise<boolean> {
  try {
    return (await readFile(join(dir, STAMP), 'utf8')) === JSON.stringify(stamp);
  } catch {
    return false; // no note, or one that cannot be read: the files are verified again
  }
}

/**
 * Throws DataError, with the place, the file and both sums, unless the files have their MD5, or had it when they were last verified and
 * have not changed since.
 */
export async function verifyFiles(at: {
  readonly where: string;
  readonly dir: string;
  readonly files: readonly VerifiedFile[];
  readonly fix: string;
  readonly onProgress?: OnData | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<void> {
  const stamp = await stampOf(at.dir, at.files);
  if (await isStamped(at.dir, stamp)) return;
  for (const { name, md5 } of at.files) {
    const path = join(at.dir, name);
    const sum = await md5Of(path, path, at.onProgress, at.signal);
    if (sum === md5) continue;
    throw new DataError(`${at.where}: ${path}: wrong checksum: MD5 ${sum}, expected ${md5} (${at.fix})`);
  }
  // A folder that is not writable is verified every time.
  await writeFile(join(at.dir, STAMP), JSON.stringify(stamp)).catch(() => undefined);
}

/** Notes that the files were verified otherwise. */
export async function noteVerified(dir: string, files: readonly VerifiedFile[]): Promise<void> {
  await writeFile(join(dir, STAMP), JSON.stringify(await stampOf(dir, files)));
}
