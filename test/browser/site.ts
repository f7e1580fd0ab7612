/** Serves a folder as a static site. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.webp': 'image/webp',
};

export interface Site {
  /** The address of the folder, which ends with a slash. */
  readonly url: string;
  close(): void;
}

/** Serves a folder below `base` on a free port, with the given headers. Unknown paths get status 404. */
export async function serveFolder(
  folder: string,
  {
    base = '/',
    headers = {},
  }: { readonly base?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Site> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://localhost');
    const inside = pathname.startsWith(base) ? decodeURIComponent(pathname.slice(base.length)) : '..';
    const name = inside.replace(/(^|\/)$/, '$1index.html');
    const missing = (): unknown => response.writeHead(404, headers).end();
    if (name.split('/').includes('..')) return void missing();
    readFile(join(folder, name)).then((bytes) => {
      response.writeHead(200, {
        'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
        ...headers,
      });
      response.end(bytes);
    }, missing);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${base}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
