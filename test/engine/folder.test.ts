/** Folders are created one after another: Node's recursive mkdir never returns below /proc. */
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { makeFolder as make, nodeFiles } from '../../engine/files.ts';

const makeFolder = (path: string): Promise<void> => make(nodeFiles, path);
const root = mkdtempSync(join(tmpdir(), 'cyclegrad-folder-'));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));

it('creates missing parents, and accepts a folder that exists', async () => {
  const path = join(root, 'a', 'b', 'c');
  // Two at once, as in two processes of one run.
  await Promise.all([makeFolder(path), makeFolder(path)]);
  await makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
});

it('follows a link to a folder', async () => {
  symlinkSync(root, join(root, 'self'));
  await makeFolder(join(root, 'self', 'through'));
  expect(statSync(join(root, 'through')).isDirectory()).toBe(true);
});

it('says what is in the way', async () => {
  const file = join(root, 'file');
  const link = join(root, 'link');
  writeFileSync(file, '');
  symlinkSync('nowhere', link);
  const below = (path: string): Promise<void> => makeFolder(join(path, 'x', 'y'));
  await expect(below(file)).rejects.toMatchObject({ message: `${file} is not a folder`, code: 'ENOTDIR' });
  await expect(below(link)).rejects.toMatchObject({
    message: `${link} is a link whose target does not exist`,
    code: 'ENOENT',
  });
});

it.runIf(existsSync('/proc/self'))('ends where the system creates no folders', async () => {
  await expect(makeFolder('/proc/x/y')).rejects.toMatchObject({
    message: 'folders cannot be created in /proc',
    code: 'ENOENT',
  });
});
