/** What a download refuses: answers without end, addresses that are not HTTPS, archives that unpack to too much. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { download } from '../../datasets/download/download.ts';
import { unpack } from '../../datasets/download/files.ts';
import { ARCHIVE, md5, serve, tarball, tempDir } from './fixture.ts';

const retry = { connectMs: 5000, idleMs: 5000, attempts: 3, retryMs: 1 };

describe('download', () => {
  test('an answer without end is ended, and nothing of it is kept', async () => {
    const chunk = Buffer.alloc(1 << 16);
    const server = await serve((_k, res) => {
      const pump = (): void => {
        while (!res.destroyed && res.write(chunk));
      };
      res.on('drain', pump);
      pump();
      return true;
    });
    const dir = await tempDir();
    const running = download({ url: server.url, md5: 'x', dir, retry, mostBytes: 1e6 });
    await expect(running).rejects.toThrow('the file has more than 1000000 bytes');
    expect(server.requests.length).toBe(1);
    expect(existsSync(join(dir, 'archive'))).toBe(false);
  });

  test('an announced length beyond the bound is refused before the body', async () => {
    const server = await serve();
    const dir = await tempDir();
    const mostBytes = ARCHIVE.length - 1;
    const running = download({ url: server.url, md5: md5(ARCHIVE), dir, retry, mostBytes });
    await expect(running).rejects.toThrow(`the file has more than ${mostBytes} bytes`);
    const path = await download({ url: server.url, md5: md5(ARCHIVE), dir, retry, mostBytes: mostBytes + 1 });
    expect(existsSync(path)).toBe(true);
  });

  test.each(['http://192.0.2.1/a', 'file:///etc/passwd', 'data:,x', 'ftp://example.com/a'])(
    'a redirect to %s is refused',
    async (location) => {
      const server = await serve((_k, res) => {
        res.writeHead(302, { location }).end();
        return true;
      });
      const running = download({ url: server.url, md5: 'x', dir: await tempDir(), retry });
      await expect(running).rejects.toThrow(
        `${location} is not an address of HTTPS (use one that begins with https://)`,
      );
      expect(server.requests.length).toBe(1);
    },
  );

  test('redirects on one server are followed, but not without end', async () => {
    const server = await serve((k, res) => {
      if (k > 0) return false;
      res.writeHead(302, { location: '/elsewhere' }).end();
      return true;
    });
    const dir = await tempDir();
    expect(await download({ url: server.url, md5: md5(ARCHIVE), dir, retry })).toBe(join(dir, 'archive'));
    const loop = await serve((_k, res) => {
      res.writeHead(302, { location: '/a' }).end();
      return true;
    });
    const running = download({ url: loop.url, md5: 'x', dir: await tempDir(), retry });
    await expect(running).rejects.toThrow('more than 5 redirects');
  });
});

test('an archive that unpacks to more than the bound is refused', async () => {
  const dir = await tempDir();
  const archive = join(dir, 'bomb.tar.gz');
  await writeFile(archive, await tarball('folder', [['big.bin', Buffer.alloc(1 << 20)]]));
  const unpacking = unpack({ archive, dir, wanted: ['big.bin'], source: 'test', mostBytes: 1e5 });
  await expect(unpacking).rejects.toThrow(
    'unpack: the archive is broken: it unpacks to more than 100000 bytes',
  );
});
