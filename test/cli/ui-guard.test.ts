/** Which requests the server of the page answers. */
import { get, request, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { HEADERS, refusalOf, type RequestHead } from '../../cli/ui/guard.ts';
import type { Message } from '../../cli/ui/protocol.ts';
import { CallError, serve, type Served, type Source } from '../../cli/ui/server.ts';

const TOKEN = 'the-token';
const HOST = '127.0.0.1:4000';
const ORIGIN = `http://${HOST}`;

const head = (change: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  url: `/${TOKEN}/`,
  headers: { host: HOST },
  ...change,
});
const post = (headers: RequestHead['headers']): RequestHead =>
  head({
    method: 'POST',
    url: `/${TOKEN}/call/stop`,
    headers: { host: HOST, origin: ORIGIN, 'content-type': 'application/json', ...headers },
  });

describe('refusalOf', () => {
  test.each<[string, RequestHead]>([
    ['the page from the address bar', head()],
    ['the page under another local name', head({ headers: { host: 'localhost:4000' } })],
    ['the page over IPv6', head({ headers: { host: '[::1]:4000' } })],
    ['a forwarded port', head({ headers: { host: 'localhost:9999', origin: 'http://localhost:9999' } })],
    [
      'a link in another page',
      head({ headers: { host: HOST, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' } }),
    ],
    [
      'a file of the page',
      head({ url: `/${TOKEN}/page.js`, headers: { host: HOST, 'sec-fetch-site': 'same-origin' } }),
    ],
    ['a call', post({})],
  ])('lets %s through', (_, request) => {
    expect(refusalOf(request, TOKEN)).toBeNull();
  });

  test.each<[string, RequestHead, number, string]>([
    ['no token', head({ url: '/' }), 403, 'token'],
    ['a wrong token', head({ url: '/the-tokem/' }), 403, 'token'],
    ['a beginning of the token', head({ url: '/the-toke/' }), 403, 'token'],
    ['the token elsewhere in the path', head({ url: `/x/${TOKEN}/` }), 403, 'token'],
    ['the token in the query', head({ url: `/?${TOKEN}` }), 403, 'token'],
    ['an absolute address', head({ url: `http://${HOST}/${TOKEN}/` }), 403, 'token'],
    ['no host', head({ headers: {} }), 403, 'host'],
    ['the host of another site', head({ headers: { host: 'example.com' } }), 403, 'host'],
    [
      'a host that begins like this machine',
      head({ headers: { host: '127.0.0.1.example.com' } }),
      403,
      'host',
    ],
    [
      'a host that ends like this machine',
      head({ headers: { host: 'example.com:4000@localhost' } }),
      403,
      'host',
    ],
    ['a host in the network', head({ headers: { host: '192.168.0.2:4000' } }), 403, 'host'],
    ['another origin', head({ headers: { host: HOST, origin: 'http://example.com' } }), 403, 'origin'],
    ['another port', head({ headers: { host: HOST, origin: 'http://127.0.0.1:4001' } }), 403, 'origin'],
    ['another scheme', head({ headers: { host: HOST, origin: `https://${HOST}` } }), 403, 'origin'],
    ['the origin null', head({ headers: { host: HOST, origin: 'null' } }), 403, 'origin'],
    [
      'an image in another site',
      head({ headers: { host: HOST, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' } }),
      403,
      'site',
    ],
    [
      'another port of this machine',
      head({ headers: { host: HOST, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' } }),
      403,
      'site',
    ],
    [
      'a form in another site',
      post({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }),
      403,
      'site',
    ],
    ['a call without an origin', post({ origin: undefined }), 403, 'origin'],
    ['a call of another origin', post({ origin: 'http://localhost:4000' }), 403, 'origin'],
    ['a call that is a form', post({ 'content-type': 'text/plain' }), 415, 'JSON'],
    ...['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT'].map(
      (method): [string, RequestHead, number, string] => [method, head({ method }), 405, method],
    ),
  ])('refuses %s', (_, request, status, message) => {
    const refusal = refusalOf(request, TOKEN);
    expect(refusal?.status).toBe(status);
    expect(refusal?.message).toContain(message);
  });
});

test('the policy allows no inline scripts and nothing from elsewhere', () => {
  const policy = HEADERS['Content-Security-Policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self';");
  expect(policy).not.toMatch(/unsafe|\*|https?:/);
});

describe('serve', () => {
  const assets = new Map([['index.html', { type: 'text/html', bytes: new TextEncoder().encode('<p>page') }]]);
  const calls: [string, unknown][] = [];
  let connected = 0;
  const source: Source = {
    connect(send) {
      connected++;
      send({ type: 'hello', title: 'test', calls: [] });
      return () => connected--;
    },
    read: (id) => Promise.resolve(id === '0' ? [] : null),
    view: (id, name) => Promise.resolve(id === '0' ? { name } : null),
    call(name, args) {
      calls.push([name, args]);
      return name === 'no' ? Promise.reject(new CallError('it cannot')) : Promise.resolve({ loss: Infinity });
    },
  };
  let served: Served | null = null;
  afterEach(async () => {
    await served?.close();
    served = null;
  });
  const start = async (): Promise<URL> => {
    served = await serve({ source, assets, port: 0 });
    return new URL(served.url);
  };
  /** The path as it is, which fetch would normalize. */
  const raw = (url: URL, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      get({ host: url.hostname, port: url.port, path }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      }).on('error', reject);
    });
  const call = (url: URL, name: string, body: string): Promise<Response> =>
    fetch(new URL(`call/${name}`, url), {
      method: 'POST',
      headers: { origin: url.origin, 'content-type': 'application/json' },
      body,
    });

  test('gives the page with the policy, on the loopback interface', async () => {
    const url = await start();
    expect(url.href).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\/$/);
    const page = await fetch(url);
    expect([page.status, await page.text()]).toEqual([200, '<p>page']);
    for (const [name, value] of Object.entries(HEADERS)) expect(page.headers.get(name)).toBe(value);
    expect((await fetch(url, { method: 'HEAD' })).headers.get('content-length')).toBe('7');
  });

  test('has another token each time', async () => {
    const first = await start();
    await served!.close();
    expect((await start()).pathname).not.toBe(first.pathname);
  });

  test('gives no other files, whatever the path', async () => {
    const url = await start();
    const token = url.pathname;
    for (const path of [
      'package.json',
      '../package.json',
      '%2e%2e/package.json',
      '..%2f..%2fetc/passwd',
      'x',
      '/etc/passwd',
      'index.html/..',
      '__proto__',
    ]) {
      expect([path, await raw(url, token + path)]).toEqual([path, 404]);
    }
    expect(await raw(url, '/')).toBe(403);
    expect(await raw(url, `${token}../${token}`)).toBe(404);
  });

  test('refuses other hosts and methods', async () => {
    const url = await start();
    const status = (options: object): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(
          { host: url.hostname, port: url.port, path: url.pathname, ...options },
          (response) => {
            response.resume();
            resolve(response.statusCode!);
          },
        );
        sent.on('error', reject);
        sent.end();
      });
    expect(await status({ headers: { host: 'example.com' } })).toBe(403);
    expect(await status({ method: 'DELETE' })).toBe(405);
    expect(await status({ method: 'POST' })).toBe(403);
    expect(calls).toEqual([]);
  });

  test('executes calls with JSON', async () => {
    const url = await start();
    expect(await (await call(url, 'save', '{"a":1}')).json()).toEqual({ loss: 'Infinity' });
    expect(calls.splice(0)).toEqual([['save', { a: 1 }]]);
    const refused = await call(url, 'no', '{}');
    expect([refused.status, await refused.text()]).toEqual([409, 'it cannot\n']);
    calls.splice(0);
    expect((await call(url, 'save', '{')).status).toBe(409);
    expect((await call(url, 'save', `"${'x'.repeat(70_000)}"`)).status).toBe(409);
    expect(calls).toEqual([]);
  });

  test('gives the events of a run, and none of others', async () => {
    const url = await start();
    expect(await (await fetch(new URL('run?id=0', url))).json()).toEqual([]);
    expect((await fetch(new URL('run?id=../0', url))).status).toBe(404);
  });

  test('streams messages, and says when it ends', async () => {
    const url = await start();
    const response = await new Promise<IncomingMessage>((resolve) => get(new URL('stream', url), resolve));
    let text = '';
    response.setEncoding('utf8').on('data', (part: string) => (text += part));
    await expect.poll(() => text).toContain('hello');
    expect(connected).toBe(1);
    await served!.close();
    await expect.poll(() => text).toContain('bye');
    const types = [...text.matchAll(/^data: (.*)$/gm)].map(([, line]) => (JSON.parse(line) as Message).type);
    expect(types).toEqual(['hello', 'bye']);
    expect(connected).toBe(0);
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });

  test('names a port that is in use', async () => {
    const { port } = await start();
    const second = serve({ source, assets, port: Number(port) });
    await expect(second).rejects.toThrow(
      `livePage: port ${port}: it is in use (choose another, or 0 for any free one)`,
    );
  });
});
