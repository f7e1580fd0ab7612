/** No file takes long or much memory to be refused: files that claim too much, and what is no file. */
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isLong } from '../forms.ts';
import { plainPng } from '../png.ts';
import { readImage } from 'cyclegrad/datasets';
import { buildSources } from '../setup/build.ts';
import { accepted, inflating, refused } from './hostile-images.ts';
import { folder } from './image-fixture.ts';

const built = buildSources();
const run = promisify(execFile);

/** Reads every path in one process, and prints the message, the time and the memory of each. */
const READ = `
import { existsSync, readFileSync } from 'node:fs';
import { readImage } from './datasets/index.js';
// maxRSS includes the memory of the parent process, which is copied before the program starts.
const status = '/proc/self/status';
const peakKiB = () =>
  existsSync(status) ? Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync(status, 'utf8'))[1]) : process.resourceUsage().maxRSS;
const results = [];
for (const path of process.argv.slice(2)) {
  const start = performance.now();
  const message = await readImage(path, { height: 2, width: 2 }).then(() => 'accepted', (error) => error.name + ': ' + error.message.slice(path.length));
  results.push({ message, ms: performance.now() - start, mib: peakKiB() / 1024 });
}
console.log(JSON.stringify(results));
`;

interface Result {
  readonly message: string;
  readonly ms: number;
  /** The most that the process has had so far. */
  readonly mib: number;
}

async function readAll(paths: readonly string[]): Promise<readonly Result[]> {
  writeFileSync(join(built, 'read.js'), READ);
  const { stdout } = await run(process.execPath, [join(built, 'read.js'), ...paths], { timeout: 60_000 });
  return JSON.parse(stdout) as readonly Result[];
}

/** Bounds on a loaded machine. Where nothing else runs, see docs/notes/images.md. */
function expectCheap(results: readonly Result[]): void {
  for (const { ms } of results) expect(ms).toBeLessThan(10_000);
  expect(results.at(-1)!.mib).toBeLessThan(700);
}

test('files that claim too much are refused from their headers or their first rows', async () => {
  const files = await refused();
  const dir = folder(files);
  const results = await readAll(Object.keys(files).map((name) => join(dir, name)));
  const messages = Object.fromEntries(Object.keys(files).map((name, i) => [name, results[i].message]));
  for (const [name, message] of Object.entries(messages))
    expect(`${name} ${message}`).toMatch(/DataError: : /);
  expect(messages['png of 20,000 x 20,000']).toBe(
    'DataError: : 20000 x 20000 pixels are more than 33554432 (use a smaller image, or raise maxPixels from 33554432)',
  );
  expectCheap(results);
});

test('the rows of a PNG are inflated only as far as its size says', async () => {
  const files = { bomb: inflating(isLong ? 2 ** 30 : 2 ** 26), ...(await accepted()) };
  const dir = folder(files);
  const results = await readAll(Object.keys(files).map((name) => join(dir, name)));
  expect(results.map(({ message }) => message)).toEqual(results.map(() => 'accepted'));
  expectCheap(results);
});

test('only regular files are read', async () => {
  const dir = folder({ 'sparse.png': '' });
  const path = (name: string): string => join(dir, name);
  truncateSync(path('sparse.png'), 2 ** 34);
  mkdirSync(path('folder.png'));
  symlinkSync('/dev/zero', path('zero.png'));
  const server = createServer().listen(path('socket.png'));
  onTestFinished(() => void server.close());
  await run('mkfifo', [path('fifo.png')]);
  const names = ['sparse', 'folder', 'zero', 'socket', 'fifo'];
  const results = await readAll(names.map((name) => path(`${name}.png`)));
  expect(results.map(({ message }) => message)).toEqual([
    'DataError: : the file has 17179869184 bytes, more than 134217728 (use a smaller image, or raise maxPixels from 33554432)',
    'DataError: : is a folder, not a regular file (remove it)',
    'DataError: : is a device, not a regular file (remove it)',
    'DataError: : is a socket, not a regular file (remove it)',
    'DataError: : is a FIFO, not a regular file (remove it)',
  ]);
  expectCheap(results);
});

describe('maxPixels', () => {
  test('is a limit of pixels, and of bytes', async () => {
    const size = { height: 1, width: 1 };
    const png = plainPng(10, 10, 1, 2, 3);
    expect((await readImage(png, { ...size, maxPixels: 100 })).data).toEqual(Uint8Array.of(1, 2, 3));
    await expect(readImage(png, { ...size, maxPixels: 99 })).rejects.toThrow(
      'readImage: the image: 10 x 10 pixels are more than 99 (use a smaller image, or raise maxPixels from 99)',
    );
    const long = Buffer.concat([png, Buffer.alloc(400 - png.length)]);
    expect((await readImage(long, { ...size, maxPixels: 100 })).data[0]).toBe(1);
    for (const source of [Buffer.concat([long, Buffer.alloc(1)]), new Blob([Buffer.alloc(401)])]) {
      await expect(readImage(source, { ...size, maxPixels: 100 })).rejects.toThrow(
        'the file has 401 bytes, more than 400',
      );
    }
  });
});
