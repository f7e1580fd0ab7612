/** Runs in folders: what `report` wrote there. A run that is still training is read again when its files change. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command, Message, PageEvent, RunListing, ViewName } from './protocol.ts';
import { CallError, type Source } from './server.ts';
import { readView, viewsIn } from './views/store.ts';

const EVENTS = 'events.jsonl';
const LOOK_MS = 2000;

/** The events of a file, without lines that are torn. */
const eventsOf = (text: string): readonly PageEvent[] =>
  text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as PageEvent];
    } catch {
      return [];
    }
  });

export class Folders implements Source {
  readonly #dirs: readonly string[];
  readonly #title: string;
  readonly #pages = new Set<(message: Message) => void>();
  readonly #timer: NodeJS.Timeout;
  #runs: readonly RunListing[] = [];

  private constructor(dirs: readonly string[], title: string) {
    this.#dirs = dirs;
    this.#title = title;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** Throws Error for a folder without the events of a run. */
  static async open(dirs: readonly string[]): Promise<Folders> {
    const folders = new Folders(dirs, dirs.length === 1 ? basename(resolve(dirs[0])) : `${dirs.length} runs`);
    try {
      await folders.#list();
    } catch (error) {
      folders.close();
      throw error;
    }
    return folders;
  }

  connect(send: (message: Message) => void): () => void {
    send({ type: 'hello', title: this.#title, calls: [] });
    send({ type: 'runs', runs: this.#runs });
    this.#pages.add(send);
    return () => void this.#pages.delete(send);
  }

  async read(id: string): Promise<readonly PageEvent[] | null> {
    const dir = this.#dirs.find((_, i) => String(i) === id);
    return dir === undefined ? null : eventsOf(await readFile(join(dir, EVENTS), 'utf8'));
  }

  async view(id: string, name: ViewName): Promise<unknown> {
    const dir = this.#dirs.find((_, i) => String(i) === id);
    return dir === undefined ? null : readView(dir, name);
  }

  call(name: string): Promise<never> {
    return Promise.reject(new CallError(`there is no call '${name}': the page shows files`));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #list(): Promise<void> {
    const names = this.#dirs.map((dir) => basename(resolve(dir)));
    this.#runs = await Promise.all(
      this.#dirs.map(async (dir, i) => {
        const { mtimeMs } = await stat(join(dir, EVENTS));
        const isUnique = names.indexOf(names[i]) === names.lastIndexOf(names[i]);
        const name = isUnique ? names[i] : dir;
        const [views, command] = await Promise.all([viewsIn(dir), commandOf(dir)]);
        return { id: String(i), name, version: mtimeMs, views, command };
      }),
    );
  }

  async #look(): Promise<void> {
    const before = this.#runs;
    try {
      await this.#list();
    } catch {
      return; // a file that is replaced or deleted: the page keeps what it shows
    }
    const state = (runs: readonly RunListing[]): string => JSON.stringify(runs);
    if (state(this.#runs) === state(before)) return;
    for (const send of this.#pages) send({ type: 'runs', runs: this.#runs });
  }
}

/** What started the run in a folder. */
async function commandOf(dir: string): Promise<Command> {
  const exists = (name: string): Promise<boolean> =>
    stat(join(dir, name)).then(
      () => true,
      () => false,
    );
  if (await exists('run.json')) return 'images';
  const summary = await readFile(join(dir, 'summary.json'), 'utf8').catch(() => '{}');
  return /"net": "(quick|full|[^"]+)"/.test(summary) ? 'cifar10' : 'script';
}

/** Runs that can be compared with the one in `dir`: those beside it, the newest first. */
export async function runsBeside(dir: string, most = 30): Promise<readonly string[]> {
  const parent = dirname(resolve(dir));
  const names = await readdir(parent).catch(() => []);
  const runs = await Promise.all(
    names.map(async (name) => {
      const path = join(parent, name);
      const stats = await stat(join(path, EVENTS)).catch(() => null);
      return stats === null || path === resolve(dir) ? [] : [{ path, time: stats.mtimeMs }];
    }),
  );
  const newest = runs.flat().sort((a, b) => b.time - a.time);
  return newest.slice(0, most).map(({ path }) => path);
}
