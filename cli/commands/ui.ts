/** `cyclegrad ui`: a page of runs in folders. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../failure.ts';
import type { Host } from '../host.ts';
import { whole } from '../options/values.ts';
import { onStopSignal } from '../stop.ts';
import { readAssets } from '../ui/assets.ts';
import { Folders } from '../ui/folders.ts';
import { serve } from '../ui/server.ts';

export function addUiCommand(program: Command, host: Host): void {
  program
    .command('ui')
    .description('Serve a page that shows runs from their folders, also while they train. Ctrl-C ends it.')
    .argument('<run...>', 'folders of runs')
    .option('--port <n>', 'port of the page; 0: any free port', whole(0, 65_535), 0)
    .action(async (dirs: readonly string[], { port }: { readonly port: number }) => {
      const folders = dirs.map((dir) => resolve(host.cwd, dir));
      const missing = folders.findIndex((dir) => !existsSync(join(dir, 'events.jsonl')));
      if (missing >= 0) {
        throw new UsageError(
          `${dirs[missing]}: it is not the folder of a run, because it has no events.jsonl (cyclegrad train and report write it)`,
        );
      }
      const source = await Folders.open(folders);
      const stop = onStopSignal(host, { onFirst: () => undefined });
      try {
        const page = await serve({ source, assets: readAssets(), port });
        host.stderr.write(`page: ${page.url}\nCtrl-C ends it.\n`);
        if (!stop.signal.aborted) {
          await new Promise<void>((done) => stop.signal.addEventListener('abort', () => done()));
        }
        await page.close();
      } finally {
        source.close();
        stop.release();
      }
    });
}
