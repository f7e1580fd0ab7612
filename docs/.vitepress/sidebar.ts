/** The sidebar, made from the pages that are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DefaultTheme } from 'vitepress';

type Item = DefaultTheme.SidebarItem;

interface Page {
  /** Its address without a dot: `/extending/layer`. */
  readonly link: string;
  readonly title: string;
  /** The heading of the sidebar under which it stands. */
  readonly group: string;
  readonly order: number;
}

/** Pages without `order` come last, by title. */
const LAST = 1000;

/** The value of a simple `name: value` line of a page's front matter. */
function setting(text: string, name: string): string | undefined {
  const front = /^---\n([^]*?)\n---\n/.exec(text)?.[1] ?? '';
  return new RegExp(`^${name}: *['"]?(.*?)['"]?$`, 'm').exec(front)?.[1];
}

function readPage(root: string, file: string): Page {
  const text = readFileSync(join(root, file), 'utf8');
  const link = `/${file.replace(/(index)?\.md$/, '')}`;
  const title = setting(text, 'title') ?? /^# (.+)$/m.exec(text)?.[1] ?? basename(file, '.md');
  const folder = file.includes('/') ? file.split('/')[0] : 'guide';
  const group = setting(text, 'group') ?? folder[0].toUpperCase() + folder.slice(1);
  return { link, title, group, order: Number(setting(text, 'order') ?? LAST) };
}

/** The pages of a folder and of those below it, in order. */
function pagesIn(root: string, folder: string): Page[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file).replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.md') && !/(^|\/)(node_modules|\.vitepress|README\.md)/.test(file))
    .map((file) => readPage(root, file))
    .sort((a, b) => a.order - b.order || a.title.localeCompare(b.title));
}

/** The pages that people write, under their groups. A group stands where its first page does. */
export function guide(root: string): Item[] {
  const groups = new Map<string, Item[]>();
  for (const { link, title, group } of pagesIn(root, '.')) {
    if (link === '/' || link.startsWith('/api/')) continue;
    groups.set(group, [...(groups.get(group) ?? []), { text: title, link }]);
  }
  return [...groups].map(([text, items]) => ({ text, items, collapsed: false }));
}

/** The reference, by entry; topics in a folder of their own are under its name. */
export function reference(root: string): Item[] {
  if (!existsSync(join(root, 'api'))) return [];
  const entries = new Map<string, Map<string, Item[]>>();
  for (const { link, title } of pagesIn(root, 'api')) {
    const [entry, topic] = title.split(': ');
    if (topic === undefined) continue;
    const folder = link.split('/').slice(3, -1)[0] ?? '';
    const folders = entries.get(entry) ?? new Map<string, Item[]>();
    folders.set(folder, [...(folders.get(folder) ?? []), { text: topic, link }]);
    entries.set(entry, folders);
  }
  return [
    { text: 'All names', link: '/api/' },
    ...[...entries].map(([text, folders]) => ({
      text,
      collapsed: false,
      items: [...folders].flatMap(([folder, items]): Item[] =>
        folder === '' ? items : [{ text: folder, items, collapsed: true }],
      ),
    })),
  ];
}
