/** `cyclegrad data NAME`: finds or downloads a data set. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { cifar100, dataDir, fashionMnist, mnist, svhn } from '../../datasets/index.ts';
import { formatDuration } from '../../engine/index.ts';
import { dataCommand, findCifar10, loadShown } from '../cifar10.ts';
import { EXIT_CODES, type Host } from '../host.ts';
import { onStopSignal } from '../stop.ts';
import { path } from '../options/values.ts';

interface NamedData {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  readonly load: Parameters<typeof loadShown>[3];
  /** Where the data is or will be, and whether files are known to be there. */
  readonly find: (data: string | undefined) => Promise<Place>;
}

interface Place {
  readonly dir: string;
  /** Null if only loading shows it. */
  readonly isThere: boolean | null;
}

/** A data set whose functions search for its files themselves. */
const named = (
  name: string,
  title: string,
  load: NamedData['load'],
  key: Parameters<typeof dataDir>[0],
  cwd: string,
): NamedData => ({
  name,
  title,
  load,
  find: async (data) => ({
    dir: data === undefined ? await dataDir(key) : resolve(cwd, data),
    isThere: null,
  }),
});

const dataSets = ({ cwd, cifar10 }: Host): readonly NamedData[] => [
  {
    name: 'cifar10',
    title: 'CIFAR-10',
    load: cifar10,
    find: async (data) => {
      const { dir, root } = await findCifar10(data, cwd);
      return { dir: dir ?? root, isThere: dir !== null };
    },
  },
  named('cifar100', 'CIFAR-100', cifar100, 'cifar100', cwd),
  named('mnist', 'MNIST', mnist, 'mnist', cwd),
  named('fashion-mnist', 'Fashion-MNIST', fashionMnist, 'fashionMnist', cwd),
  named('svhn', 'SVHN', svhn, 'svhn', cwd),
];

export function addDataCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  const data = program.command('data').description('Download data sets.');
  for (const set of dataSets(host)) {
    data
      .command(set.name)
      .description(`Download and verify ${set.title} if it is missing, and print its folder.`)
      .option(
        '--data <dir>',
        `folder of the official ${set.title} files, created if missing (default: per-user cache)`,
        path,
      )
      .action(async (options: { readonly data?: string }) => {
        setCode(await obtain(host, set, options.data));
      });
  }
}

async function obtain(host: Host, set: NamedData, data: string | undefined): Promise<number> {
  const { name, title, load, find } = set;
  const started = performance.now();
  const before = await find(data);
  const stop = onStopSignal(host, {
    onFirst: () =>
      void host.stderr.write(`${host.stderr.isTTY ? '\n' : ''}stopping (Ctrl-C again quits at once)\n`),
  });
  try {
    if (before.isThere === false) host.stderr.write(`${title} is not in ${before.dir}: downloading it\n`);
    let isDownloaded = before.isThere === false;
    const { train, test } = await loadShown(host, data, stop.signal, (options) =>
      load({
        ...options,
        onProgress: (event) => {
          isDownloaded ||= event.phase === 'download';
          options.onProgress(event);
        },
      }),
    );
    const how = isDownloaded
      ? `downloaded in ${formatDuration(performance.now() - started)}`
      : 'already there';
    host.stderr.write(`${title}: ${train.length} training and ${test.length} test images, ${how}\n`);
    host.stdout.write(`${(await find(data)).dir}\n`);
    return 0;
  } catch (error) {
    const signal = stop.receivedSignal();
    if (signal === null) throw error;
    host.stderr.write(`stopped; to resume:\n  ${dataCommand(host, data, name)}\n`);
    return EXIT_CODES[signal];
  } finally {
    stop.release();
  }
}
