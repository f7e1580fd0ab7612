/** Pages in a headless Chromium. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The command of a Chromium; undefined where there is none. */
export const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
);

/** Software for both kinds of GPU, so that results do not depend on the machine. */
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--no-first-run',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
];

/** Without these headers a page has no shared memory. */
export const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** A page that does not load says so too. */
const HTML = `<!doctype html>
<script>
  addEventListener('error', ({ message }) => fetch('/failure', { method: 'POST', body: message }));
</script>
<script type="module" src="/page.js"></script>`;

/** Serves the scripts of a folder, and a page that runs page.js. The results are what the page posts. */
async function serve<T>(
  folder: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly server: Server; readonly results: Promise<T> }> {
  const files = new Map<string, Buffer>();
  for (const name of await readdir(folder)) {
    files.set(`/${name}`, await readFile(join(folder, name)));
  }
  const server = createServer();
  const results = new Promise<T>((resolve, reject) => {
    server.on('request', (request, response) => {
      const { method, url = '' } = request;
      if (method === 'POST') {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          response.end();
          if (url === '/results') resolve(JSON.parse(body) as T);
          else reject(new Error(body));
        });
        return;
      }
      const file = files.get(url);
      const type = file === undefined ? 'text/html' : 'text/javascript';
      response.writeHead(url === '/' || file !== undefined ? 200 : 404, { 'content-type': type, ...headers });
      response.end(file ?? HTML);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { server, results };
}

/** Opens a page in a headless Chromium and returns what it posts to /results. Throws what it posts to /failure. */
export async function openPage<T>(folder: string, headers: Readonly<Record<string, string>>): Promise<T> {
  const { server, results } = await serve<T>(folder, headers);
  const { port } = server.address() as AddressInfo;
  const profile = await mkdtemp(join(tmpdir(), 'cyclegrad-chromium-'));
  const browser = spawn(chromium!, [...FLAGS, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`], {
    stdio: 'ignore',
  });
  const closed = once(browser, 'close');
  try {
    return await Promise.race([
      results,
      sleep(100_000).then(() => Promise.reject(new Error('the page does not answer'))),
      closed.then(([code]) => Promise.reject(new Error(`the browser ended with ${code}`))),
    ]);
  } finally {
    browser.kill();
    await closed;
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
