// Every relative link and anchor in README.md and on the pages of the site leads somewhere. Links into the API reference, which is
// generated, are checked where the site is built.
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { linksOf, type Link } from './links.ts';
import { pages, ROOT } from './pages.ts';

/** The address of a heading: GitHub's, which VitePress's equals for ASCII text. */
function slug(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*_]/g, '');
  return text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Anchors of a page: of its headings, of those that have one written out, and of HTML. */
function anchorsOf(path: string): Set<string> {
  const known = pages.find((page) => page.path === path);
  const prose = known?.prose ?? readFileSync(ROOT + path, 'utf8').split('\n');
  const anchors = new Set<string>();
  for (const line of prose) {
    const [, heading] = /^#{1,6} (.+)$/.exec(line) ?? [];
    const [, custom] = /\{#([\w-]+)\}/.exec(line) ?? [];
    if (custom !== undefined) anchors.add(custom);
    else if (heading !== undefined) anchors.add(slug(heading));
    for (const [, id] of line.matchAll(/\bid="([\w-]+)"/g)) if (id !== undefined) anchors.add(id);
  }
  return anchors;
}

/** An address from `/` on begins at the root of the site, which is docs. */
function pathOf(page: string, address: string): string {
  if (address === '') return page;
  return address.startsWith('/') ? `docs${address}` : posix.join(posix.dirname(page), address);
}

/**
 * Whether there is what a page links to. What the site publishes is its pages, docs/public, the demo, and pictures from anywhere; in
 * a checkout README.md may link to every file.
 */
function isAlive(page: string, { target, isPicture }: Link): boolean {
  const [address = '', anchor] = target.split('#');
  const path = pathOf(page, address);
  if (path.startsWith('docs/api/')) return true;
  if (path.startsWith('docs/demo/')) return existsSync(ROOT + path.replace('docs/', 'examples/'));
  const places =
    page === 'README.md' || isPicture
      ? [path]
      : [path, `${path.replace(/\.html$/, '')}.md`, `${path}index.md`].filter(
          (one) => one.startsWith('docs/') && one.endsWith('.md'),
        );
  const file = [...places, `docs/public${address}`].find((one) => existsSync(ROOT + one));
  if (file === undefined) return false;
  return anchor === undefined || !file.endsWith('.md') || anchorsOf(file).has(anchor);
}

it.each(pages.map((page) => [page.path, page] as const))('%s has no dead link', (path, page) => {
  const dead = linksOf(page).filter((link) => !isAlive(path, link));
  expect(dead.map(({ at, target }) => `${at}: ${target}`)).toEqual([]);
});
