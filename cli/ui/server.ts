/** The server of the page: its files, a stream of messages, the events of runs, and calls. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Asset } from './assets.ts';
import { HEADERS, refusalOf } from './guard.ts';
import { encode, VIEW_NAMES, type Message, type PageEvent, type ViewName } from './protocol.ts';
import { reportOf } from './report.ts';

/** What a page shows. */
export interface Source {
  /** Sends what a new page needs, and then what happens. Returns a function that ends it. */
  connect(send: (message: Message) => void): () => void;
  /** The events of a run. Null if there is no such run. */
  read(id: string): Promise<readonly PageEvent[] | null>;
  /** A view of a run. Null if there is none. */
  view(id: string, name: ViewName): Promise<unknown>;
  /** Executes a call of the page. Throws CallError for one that cannot be executed. */
  call(name: string, args: unknown): Promise<unknown>;
}

/** A call that cannot be executed. The page shows the message. */
export class CallError extends Error {
  override readonly name = 'CallError';
}

export interface ServeOptions {
  readonly source: Source;
  readonly assets: ReadonlyMap<string, Asset>;
  /** 0: any free port. */
  readonly port: number;
  /** Default: a random one. */
  readonly token?: string;
}

export interface Served {
  /** The address of the page, with its token. */
  readonly url: string;
  /** Ends all connections, and the server. */
  readonly close: () => Promise<void>;
}

const HOST = '127.0.0.1';
const MAX_BODY = 64 << 10;
const MAX_PAGES = 32;
/** A page that has not read this much, for instance because its computer sleeps, is disconnected. It connects again. */
const MAX_UNREAD = 16 << 20;
/** Pages that get nothing for longer take the connection for dead. */
export const BEAT_MS = 10_000;

/** Starts the server on the loopback interface. Throws Error if the port is not free. */
export async function serve({ source, assets, port, token = newToken() }: ServeOptions): Promise<Served> {
  const pages = new Set<ServerResponse>();

  const stream = (response: ServerResponse): void => {
    if (pages.size >= MAX_PAGES) return answer(response, 503, 'too many pages are open');
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' });
    const send = (message: Message): void => {
      if (response.writableLength > MAX_UNREAD) response.destroy();
      else response.write(`data: ${encode(message)}\n\n`);
    };
    response.write('retry: 1000\n\n');
    const disconnect = source.connect(send);
    const beat = setInterval(() => response.write('event: beat\ndata:\n\n'), BEAT_MS);
    beat.unref();
    pages.add(response);
    response.on('close', () => {
      clearInterval(beat);
      pages.delete(response);
      disconnect();
    });
  };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = refusalOf(request, token);
    if (refusal !== null) return answer(response, refusal.status, refusal.message);
    // The path as it is: a URL would resolve '..'.
    const [path, query] = (request.url ?? '').slice(token.length + 2).split('?', 2);
    if (request.method === 'POST') {
      if (!path.startsWith('call/')) return answer(response, 404, 'not found');
      const args = await readJson(request);
      return json(response, await source.call(path.slice('call/'.length), args));
    }
    if (path === 'stream' && request.method === 'GET') return stream(response);
    const parameters = new URLSearchParams(query);
    const id = parameters.get('id') ?? '';
    if (path === 'run') {
      const events = await source.read(id);
      return events === null ? answer(response, 404, 'there is no such run') : json(response, events);
    }
    if (path === 'view') {
      const name = VIEW_NAMES.find((one) => one === parameters.get('name'));
      if (name === undefined) return answer(response, 404, 'there is no such view');
      return json(response, await source.view(id, name));
    }
    if (path === 'report.html') {
      const events = await source.read(id);
      const title = parameters.get('title') ?? id;
      const html = events === null ? null : reportOf(title, events);
      return html === null ? answer(response, 404, 'the run has no events yet') : download(response, html);
    }
    const asset = assets.get(path === '' ? 'index.html' : path);
    if (asset === undefined) return answer(response, 404, 'not found');
    response.writeHead(200, { ...HEADERS, 'Content-Type': asset.type, 'Content-Length': asset.bytes.length });
    response.end(request.method === 'HEAD' ? undefined : asset.bytes);
  };

  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      if (!response.headersSent) answer(response, error instanceof CallError ? 409 : 500, message);
      else response.destroy();
    });
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'it is in use' : error.message;
      failed(
        new Error(`livePage: port ${port}: ${why} (choose another, or 0 for any free one)`, { cause: error }),
      );
    });
    server.listen(port, HOST, listening);
  });
  // The page must not keep a program alive that has nothing else to do.
  server.unref();
  const address = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${address.port}/${token}/`,
    async close() {
      for (const page of pages) page.end(`data: ${encode({ type: 'bye' } satisfies Message)}\n\n`);
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** The time that connections have to end. */
const CLOSE_MS = 500;

const newToken = (): string => randomBytes(24).toString('base64url');

function answer(response: ServerResponse, status: number, message: string): void {
  const allow = status === 405 ? { Allow: 'GET, HEAD, POST' } : {};
  response.writeHead(status, { ...HEADERS, ...allow, 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(`${message}\n`);
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/json' });
  response.end(encode(value ?? null));
}

/** A file that the browser saves, because the policy of the page forbids its styles. */
function download(response: ServerResponse, html: string): void {
  response.writeHead(200, {
    ...HEADERS,
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Disposition': 'attachment; filename="report.html"',
  });
  response.end(html);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new CallError(`the body is longer than ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw new CallError('the body is not JSON');
  }
}
