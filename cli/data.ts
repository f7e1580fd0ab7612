/** `cyclegrad data cifar10`: obtains the data set, or finds it. Also where the other commands look for it. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { cifar10Dir, type Dataset } from '../datasets/index.ts';
import { formatDuration } from '../engine/index.ts';
import { dataProgress } from './data-progress.ts';
import { EXIT_CODES, shellWord, type Host } from './host.ts';
import { onCtrlC } from './stop.ts';
import { path } from './values.ts';

const FILES = [1, 2, 3, 4, 5].map((k) => `data_batch_${k}.bin`).concat('test_batch.bin');

export const DATA_HELP =
  'folder with the official CIFAR-10 files, or where to put them (default: per-user cache)';

export interface Cifar10Place {
  /** Where it is looked for. */
  readonly root: string;
  /** The folder that holds batch files; null when there is none. */
  readonly dir: string | null;
  /** Batch files that are missing from `dir`. */
  readonly missing: readonly string[];
  /** Something that is no folder lies where the data would. */
  readonly blocked: boolean;
}

/** Looks without reading or obtaining anything. */
export async function findCifar10(data: string | undefined, cwd: string): Promise<Cifar10Place> {
  const root = data === undefined ? cifar10Dir() : resolve(cwd, data);
  for (const dir of [root, join(root, 'cifar-10-batches-bin')]) {
    const there = await Promise.all(
      FILES.map((name) =>
        stat(join(dir, name)).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (there.includes(true))
      return { root, dir, missing: FILES.filter((_, i) => !there[i]), blocked: false };
  }
  const found = await stat(root).catch(() => null);
  return { root, dir: null, missing: FILES, blocked: found !== null && !found.isDirectory() };
}

/** The command that obtains CIFAR-10 there. */
export const dataCommand = (host: Host, data: string | undefined): string =>
  `${host.command('data')} cifar10${data === undefined ? '' : ` --data ${shellWord(data)}`}`;

/** Loads CIFAR-10, with progress on stderr where it has to be obtained first. */
export async function openCifar10(
  host: Host,
  data: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  const progress = dataProgress(host.stderr);
  try {
    return await host.cifar10({
      dir: data === undefined ? undefined : resolve(host.cwd, data),
      signal,
      onProgress: progress.onProgress,
    });
  } finally {
    progress.stop();
  }
}

export function addDataCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  const data = program.command('data').description('Obtain data sets.');
  data
    .command('cifar10')
    .description('Download CIFAR-10, verify it and print where it is; does nothing when it is there.')
    .option('--data <dir>', DATA_HELP, path)
    .action(async (options: { readonly data?: string }) => {
      setCode(await dataCifar10(host, options.data));
    });
}

async function dataCifar10(host: Host, data: string | undefined): Promise<number> {
  const started = performance.now();
  const before = await findCifar10(data, host.cwd);
  const stop = onCtrlC(
    host,
    () => void host.stderr.write(`${host.stderr.isTTY ? '\n' : ''}stopping (Ctrl-C again quits at once)\n`),
  );
  try {
    if (before.dir === null) host.stderr.write(`CIFAR-10 is not in ${before.root} yet: obtaining it\n`);
    const { train, test } = await openCifar10(host, data, stop.signal);
    const { dir, root } = await findCifar10(data, host.cwd);
    const how =
      before.dir === null ? `obtained in ${formatDuration(performance.now() - started)}` : 'already there';
    host.stderr.write(`CIFAR-10: ${train.length} training and ${test.length} test images, ${how}\n`);
    host.stdout.write(`${dir ?? root}\n`);
    return 0;
  } catch (error) {
    const asked = stop.asked();
    if (asked === null) throw error;
    host.stderr.write(`stopped; to go on:\n  ${dataCommand(host, data)}\n`);
    return EXIT_CODES[asked];
  } finally {
    stop.release();
  }
}
