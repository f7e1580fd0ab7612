// README.md is the package's page on npm and in an installed folder, too. It is short, and what it links to is in the package.
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { linksOf } from './links.ts';
import { pages, ROOT } from './pages.ts';

const readme = pages.find(({ path }) => path === 'README.md')!;

it('has 500 to 700 words', () => {
  const words = [...readme.prose, ...readme.blocks.map(({ code }) => code)].join('\n').split(/\s+/);
  expect(words.length).toBeGreaterThan(500);
  expect(words.length).toBeLessThanOrEqual(700);
});

it('links only to files of the package', () => {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const output = execFileSync(npm, ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  // npm writes an array, or an object by package name, depending on its version.
  const [report] = Object.values(
    JSON.parse(output) as Record<string, { readonly files: readonly { readonly path: string }[] }>,
  );
  const packed = new Set(report.files.map(({ path }) => path));
  const links = linksOf(readme).map(({ target }) => target.split('#')[0]);
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((target) => !packed.has(target))).toEqual([]);
});
