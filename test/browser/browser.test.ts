/** The engine in a browser: bundled as it is published, in a headless Chromium where there is one. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, assert, beforeAll, describe, expect, it } from 'vitest';
import { withoutNode } from '../../bundle.js';
import { wasm } from 'cyclegrad';
import { simdName } from 'cyclegrad/tools';
import type { PageResults } from './page.ts';
import { firstLosses, train, type First } from './program.ts';

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find(
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
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** A page that does not load says so too. */
const HTML = `<!doctype html>
<script>
  addEventListener('error', ({ message }) => fetch('/failure', { method: 'POST', body: message }));
</script>
<script type="module" src="/page.js"></script>`;

let folder = '';

/** The bundled page, and what it posts back. */
async function serve(headers: Readonly<Record<string, string>>): Promise<{
  readonly server: Server;
  readonly results: Promise<PageResults>;
}> {
  const files = new Map<string, Buffer>();
  for (const name of await readdir(join(folder, 'page'))) {
    files.set(`/${name}`, await readFile(join(folder, 'page', name)));
  }
  const server = createServer();
  const results = new Promise<PageResults>((resolve, reject) => {
    server.on('request', (request, response) => {
      const { method, url = '' } = request;
      if (method === 'POST') {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          response.end();
          if (url === '/results') resolve(JSON.parse(body) as PageResults);
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

async function open(headers: Readonly<Record<string, string>>): Promise<PageResults> {
  const { server, results } = await serve(headers);
  const { port } = server.address() as AddressInfo;
  const profile = await mkdtemp(join(folder, 'profile-'));
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
  }
}

describe.skipIf(chromium === undefined)(
  `in a browser${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cyclegrad-browser-'));
      const bundle = await rolldown({
        input: fileURLToPath(new URL('page.ts', import.meta.url)),
        platform: 'browser',
        plugins: [withoutNode()],
        logLevel: 'silent',
      });
      await bundle.write({ dir: join(folder, 'page'), format: 'esm' });
      await bundle.close();
    });
    afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

    it.each([
      ['cross-origin isolated', ISOLATED, 'team of 2 workers', /^none$/],
      ['without shared memory', {}, 'caller', /isolat/],
    ] as const)('%s', { timeout: 120_000 }, async (_, headers, executor, fallback) => {
      const backend = await wasm({ threads: 2, simd: 'relaxed' }); // what the browser takes
      const here = await firstLosses(backend);
      const accuracy = await train(backend);
      await backend.close();
      const there = await open(headers);

      expect(there.isolated).toBe(headers === ISOLATED);
      const inWasm = there.backends['wasm'] as First;
      expect(inWasm.report.executor).toBe(executor);
      expect(inWasm.report.fallback ?? 'none').toMatch(fallback);
      // The same binary on the same processor gives the same bytes, in whatever number of threads.
      expect(simdName(inWasm.report)).toBe(simdName(here.report));
      expect(inWasm.losses).toEqual(here.losses);
      expect(there.accuracy).toBe(accuracy);
      // Also on the page's own thread, other work has its turn while it trains.
      expect(there.ticks).toBeGreaterThan(0);
      const near = here.losses.map((loss) => expect.closeTo(loss, 4));
      for (const name of ['reference', 'webgpu', 'webgl']) {
        expect({ name, ...there.backends[name] }).toMatchObject({ name, losses: near });
      }
      // Both convolutions, their weight gradients and the one input gradient, on WebGL 2.
      const { report } = there.backends['webgl'] as First;
      assert(report.backend === 'gpu');
      expect([report.executor, report.kernels.vec4]).toEqual([expect.stringContaining('webgl2'), 5]);
      expect(there.files).toMatch(/^cyclegrad: \w+ of 'node:\S+' is not in a browser: files, .* need Node$/);
    });
  },
);
