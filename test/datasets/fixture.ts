/** CIFAR-10 in miniature: four images per file, served by a local server or by a stand-in for npm. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { afterEach } from 'vitest';
import type { Cifar10Sources, DataEvent } from 'cyclegrad/datasets';
import { encodePng } from '../png.ts';

export const RECORDS = 4;
export const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex');

/** The byte of image `n` (counted over all files) at row y, column x, channel c: no two axes look alike. */
export const byteAt = (n: number, y: number, x: number, c: number): number =>
  (n * 50 + y * 7 + x * 3 + c * 101) % 256;
export const labelOf = (n: number): number => (n * 3) % 10;

const NAMES = [1, 2, 3, 4, 5].map((k) => `data_batch_${k}.bin`);
export const FILES = new Map<string, Uint8Array>();
const pictures = new Map<string, Uint8Array>();
for (const [file, name] of [...NAMES, 'test_batch.bin'].entries()) {
  const records = new Uint8Array(RECORDS * 3073);
  const pixels = new Uint8Array(RECORDS * 3072);
  for (let i = 0; i < RECORDS; i++) {
    const n = file * RECORDS + i;
    records[i * 3073] = labelOf(n);
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        for (let c = 0; c < 3; c++) {
          records[i * 3073 + 1 + c * 1024 + y * 32 + x] = byteAt(n, y, x, c);
          pixels[(i * 1024 + y * 32 + x) * 3 + c] = byteAt(n, y, x, c);
        }
      }
    }
  }
  FILES.set(name, records);
  const png = encodePng({ width: 1024, height: RECORDS, data: pixels, channels: 3 });
  pictures.set(name.replace('.bin', '.png'), png);
}

export async function tarball(
  folder: string,
  files: Iterable<readonly [string, Uint8Array]>,
): Promise<Buffer> {
  const tar = pack();
  for (const [name, data] of files) tar.entry({ name: `${folder}/${name}` }, Buffer.from(data));
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return gzipSync(Buffer.concat(chunks), { level: 0 }); // uncompressed, so that cutting it anywhere means something
}

const META = new TextEncoder().encode('airplane\n');
export const ARCHIVE = await tarball('cifar-10-batches-bin', [...FILES, ['batches.meta.txt', META]]);

/** What the npm package holds; `change` replaces files. */
export function npmTarball(change: Readonly<Record<string, Uint8Array>> = {}): Promise<Buffer> {
  const labels = (first: number, count: number): Uint8Array =>
    new TextEncoder().encode(JSON.stringify(Array.from({ length: count }, (_, i) => labelOf(first + i))));
  const files = new Map<string, Uint8Array>([
    ['package.json', new TextEncoder().encode('{}')],
    ...pictures,
    ['test_lables.json', labels(5 * RECORDS, RECORDS)],
    ['train_lables.json', labels(0, 5 * RECORDS)],
    ...Object.entries(change),
  ]);
  return tarball('package', files);
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'cyclegrad-data-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

export interface Server {
  readonly url: string;
  readonly requests: IncomingMessage['headers'][];
  body: Buffer;
  etag: string | null;
  /** The folder the data goes to, for `cut`. */
  root: string;
}

/** Serves `body` with Range and If-Range; `handle` may answer instead by returning true. `k` counts requests from 0. */
export async function serve(
  handle?: (k: number, res: ServerResponse, req: IncomingMessage, server: Server) => boolean,
): Promise<Server> {
  const requests: IncomingMessage['headers'][] = [];
  const http = createServer((req, res) => {
    requests.push(req.headers);
    if (handle?.(requests.length - 1, res, req, server) === true) return;
    respond(req, res, server);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  cleanups.push(
    () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  );
  const { port } = http.address() as AddressInfo;
  const server: Server = {
    url: `http://127.0.0.1:${port}/a.tar.gz`,
    requests,
    body: ARCHIVE,
    etag: '"v1"',
    root: '',
  };
  return server;
}

/** Answers as a static file server does; with `cut`, drops the connection once so many bytes have arrived in `root`. */
export function respond(req: IncomingMessage, res: ServerResponse, server: Server, cut = Infinity): void {
  const { body, etag } = server;
  const range = /^bytes=(\d+)-$/.exec(req.headers.range ?? '');
  const same = req.headers['if-range'] === undefined || req.headers['if-range'] === etag;
  const first = range !== null && same ? Number(range[1]) : 0;
  const tag = etag === null ? {} : { etag };
  if (first > 0 && first >= body.length) {
    res.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  const part = body.subarray(first);
  const content = first === 0 ? {} : { 'content-range': `bytes ${first}-${body.length - 1}/${body.length}` };
  res.writeHead(first === 0 ? 200 : 206, { ...tag, ...content, 'content-length': part.length });
  if (part.length <= cut) {
    res.end(part);
  } else {
    res.write(part.subarray(0, cut));
    void held(server.root, first + cut).then(() => res.destroy());
  }
}

/** Waits until a download into `root` holds `bytes`: what fetch has not handed over is lost when the connection breaks. */
export async function held(root: string, bytes: number): Promise<void> {
  for (const end = Date.now() + 5000; Date.now() < end; await sleep(5)) {
    for (const name of await readdir(root).catch(() => [])) {
      const found = await stat(join(root, name, 'archive')).catch(() => null);
      if (found !== null && found.size >= bytes) return;
    }
  }
}

/** A stand-in for npm: `node <script> pack ... --pack-destination DIR` leaves `tarball` there, or does as `body` says. */
export async function fakeNpm(
  dir: string,
  tgz: Buffer | null,
  body = '',
): Promise<readonly [string, ...string[]]> {
  await mkdir(dir, { recursive: true });
  const script = join(dir, 'npm.cjs');
  const file = join(dir, 'source.tgz');
  if (tgz !== null) await writeFile(file, tgz);
  const copy = `require('fs').copyFileSync(${JSON.stringify(file)}, require('path').join(to, 'p-1.0.0.tgz'));`;
  await writeFile(
    script,
    `const a = process.argv.slice(2); const to = a[a.indexOf('--pack-destination') + 1];\n${body}\n${tgz === null ? '' : copy}`,
  );
  return [process.execPath, script];
}

export function sources(change: Partial<Cifar10Sources> = {}): Partial<Cifar10Sources> {
  return {
    archive: null,
    npm: null,
    records: RECORDS,
    train: NAMES.map((name) => ({ name, md5: md5(FILES.get(name)!) })),
    test: { name: 'test_batch.bin', md5: md5(FILES.get('test_batch.bin')!) },
    retry: { connectMs: 5000, idleMs: 5000, attempts: 3, retryMs: 1 },
    ...change,
  };
}

/** Writes the official files into `dir`. */
export async function writeOfficial(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, data] of FILES) await writeFile(join(dir, name), data);
}

/** Names in `dir` whose content is not the official one, and the official ones that are missing. */
export async function wrongFiles(dir: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, data] of FILES) {
    const found = await readFile(join(dir, name)).catch(() => null);
    if (found === null || md5(found) !== md5(data)) wrong.push(name);
  }
  const known = new Set([...FILES.keys(), 'batches.meta.txt', '.verified.json']);
  return [...wrong, ...(await readdir(dir)).filter((name) => !known.has(name))];
}

export function recorder(): {
  readonly events: DataEvent[];
  readonly notices: () => string[];
  readonly onProgress: (event: DataEvent) => void;
} {
  const events: DataEvent[] = [];
  return {
    events,
    notices: () => events.flatMap((event) => (event.phase === 'notice' ? [event.message] : [])),
    onProgress: (event) => void events.push(event),
  };
}
