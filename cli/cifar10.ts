/** Finds CIFAR-10, or downloads it. */
import { constants } from 'node:fs';
import { access, lstat, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cifar10Dir, type Dataset, type OnData } from '../datasets/index.ts';
import { dataProgress } from './terminal/data-progress.ts';
import { UsageError } from './failure.ts';
import { shellWord, type Host } from './host.ts';

const FILES = [1, 2, 3, 4, 5].map((k) => `data_batch_${k}.bin`).concat('test_batch.bin');

export const DATA_HELP = 'folder of the official CIFAR-10 files (default: per-user cache)';

export interface Cifar10Location {
  /** The folder where the data should be. */
  readonly root: string;
  /** The folder with batch files. Null if there is none. */
  readonly dir: string | null;
  /** The batch files that are missing in `dir`. */
  readonly missing: readonly string[];
  /** Why the data cannot be at `root`, for instance 'is not a folder'. Null if it can. */
  readonly problem: string | null;
}

/** Searches for the files without reading or downloading them. */
export async function findCifar10(data: string | undefined, cwd: string): Promise<Cifar10Location> {
  const root = data === undefined ? cifar10Dir() : resolve(cwd, data);
  for (const dir of [root, join(root, 'cifar-10-batches-bin')]) {
    const exists = await Promise.all(
      FILES.map((name) =>
        stat(join(dir, name)).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (exists.includes(true))
      return { root, dir, missing: FILES.filter((_, i) => !exists[i]), problem: null };
  }
  return { root, dir: null, missing: FILES, problem: await problemOf(root) };
}

/** Why a path is no folder for data. Null for a folder, or for nothing, which is created. */
async function problemOf(root: string): Promise<string | null> {
  try {
    await access(root, constants.R_OK | constants.X_OK);
    return (await stat(root)).isDirectory() ? null : 'is not a folder';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') return 'cannot be read: permission is denied';
    if (code === 'ENOTDIR') return 'is below a file';
    if (code !== 'ENOENT') return `cannot be read: ${code}`;
    const isLink = await lstat(root).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    return isLink ? 'is a link whose target does not exist' : null;
  }
}

/** The command that downloads a data set to this folder. */
export const dataCommand = (host: Host, data: string | undefined, name = 'cifar10'): string =>
  `${host.command('data')} ${name}${data === undefined ? '' : ` --data ${shellWord(data)}`}`;

/**
 * Loads CIFAR-10. Downloads it into the per-user cache if it is not there, with progress on stderr.
 * Throws UsageError for a folder without its files: a mistyped path must not start a download.
 */
export async function openCifar10(
  host: Host,
  data: string | undefined,
  signal: AbortSignal,
): Promise<TrainAndTest> {
  if (data !== undefined) await checkDataFolder(host, data);
  return loadCifar10(host, data, signal);
}

async function checkDataFolder(host: Host, data: string): Promise<void> {
  const { dir, problem } = await findCifar10(data, host.cwd);
  if (problem !== null)
    throw new UsageError(`--data ${data}: it ${problem} (pass a folder that can be read)`);
  if (dir === null) {
    throw new UsageError(
      `--data ${data}: there are no CIFAR-10 files (download them there: ${dataCommand(host, data)}, or leave out --data)`,
    );
  }
}

export interface TrainAndTest {
  readonly train: Dataset;
  readonly test: Dataset;
}

const loadCifar10 = (host: Host, data: string | undefined, signal: AbortSignal): Promise<TrainAndTest> =>
  loadShown(host, data, signal, host.cifar10);

interface LoadOptions {
  readonly dir: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: OnData;
}

/** Loads a data set with progress on stderr. */
export async function loadShown(
  host: Host,
  data: string | undefined,
  signal: AbortSignal,
  load: (options: LoadOptions) => Promise<TrainAndTest>,
): Promise<TrainAndTest> {
  const progress = dataProgress(host.stderr);
  try {
    return await load({
      dir: data === undefined ? undefined : resolve(host.cwd, data),
      signal,
      onProgress: progress.onProgress,
    });
  } finally {
    progress.stop();
  }
}
