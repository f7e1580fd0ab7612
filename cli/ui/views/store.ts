/** The views of a run: in memory while it trains, and in the folder `page` of its own folder for later. */
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encode, VIEW_NAMES, type ViewName, type Views, type ViewVersions } from '../protocol.ts';

const FOLDER = 'page';
const pathOf = (dir: string, name: ViewName): string => join(dir, FOLDER, `${name}.json`);

export class ViewStore {
  /** The folder of the run. Null: the views are in memory only. */
  #dir: string | null = null;
  readonly #views = new Map<ViewName, unknown>();
  #versions: ViewVersions = {};

  get versions(): ViewVersions {
    return this.#versions;
  }

  /** Keeps the views in the folder of the run from now on. Those of the run before it resumed are read. */
  async open(dir: string, isResumed: boolean): Promise<void> {
    this.#dir = dir;
    for (const name of VIEW_NAMES) {
      const known = this.#views.get(name);
      if (known !== undefined) await this.#write(dir, name, known);
      else if (isResumed) {
        const saved = await readView(dir, name);
        if (saved !== null) await this.#take(name, saved);
      }
    }
  }

  get(name: ViewName): unknown {
    return this.#views.get(name) ?? null;
  }

  async set<N extends ViewName>(name: N, view: Views[N]): Promise<void> {
    await this.#take(name, view);
    if (this.#dir !== null) await this.#write(this.#dir, name, view);
  }

  async #take(name: ViewName, view: unknown): Promise<void> {
    this.#views.set(name, view);
    this.#versions = { ...this.#versions, [name]: (this.#versions[name] ?? 0) + 1 };
  }

  async #write(dir: string, name: ViewName, view: unknown): Promise<void> {
    const path = pathOf(dir, name);
    await mkdir(join(dir, FOLDER), { recursive: true });
    await writeFile(`${path}.new`, encode(view));
    await rename(`${path}.new`, path);
  }
}

/** A view in the folder of a run. Null if there is none. */
export async function readView(dir: string, name: ViewName): Promise<unknown> {
  try {
    return JSON.parse(await readFile(pathOf(dir, name), 'utf8')) as unknown;
  } catch {
    return null; // another run of the folder, or one without a page
  }
}

/** The views in the folder of a run. */
export async function viewsIn(dir: string): Promise<ViewVersions> {
  const found = await Promise.all(
    VIEW_NAMES.map(async (name) => {
      const stats = await stat(pathOf(dir, name)).catch(() => null);
      return stats === null ? [] : [[name, stats.mtimeMs] as const];
    }),
  );
  return Object.fromEntries(found.flat());
}
