/** The demo as a static site under a path of its own: it trains, follows a drag, never blocks the page, and keeps its policy. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { chromium } from './chromium.ts';
import { drive, type DrivenPage } from './devtools.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** It installs Vite and takes a minute. */
const here = isLong && chromium !== undefined;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.webp': 'image/webp',
};

/** Serves a folder below /demo/, without headers that isolate it. */
async function serve(folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://localhost');
    const name = pathname.replace(/^\/demo\//, '').replace(/^$/, 'index.html');
    readFile(join(folder, name)).then(
      (bytes) => {
        response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' });
        response.end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return server;
}

/** Drags the middle of an element by some pixels. */
async function drag(page: DrivenPage, selector: string, x: number, y: number): Promise<void> {
  const [left, top] = await page.evaluate<[number, number]>(`(() => {
    const element = document.querySelector('${selector}');
    element.scrollIntoView({ block: 'center' });
    const { left, top, width, height } = element.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  })()`);
  const mouse = (type: string, toX: number, toY: number): Promise<unknown> =>
    page.send('Input.dispatchMouseEvent', {
      type,
      x: toX,
      y: toY,
      button: 'left',
      buttons: 1,
      clickCount: 1,
    });
  await mouse('mousePressed', left, top);
  for (let part = 1; part <= 5; part++)
    await mouse('mouseMoved', left + (x * part) / 5, top + (y * part) / 5);
  await mouse('mouseReleased', left + x, top + y);
}

describe.skipIf(!here)(`the demo${here ? '' : `, not here: ${LONG}, with a Chromium`}`, () => {
  it('trains while a bound is dragged', { timeout: 600_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cyclegrad-demo-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const build = ['build', '--pictures', 'synthetic', '--outDir', folder, '--emptyOutDir'];
    await promisify(execFile)(process.execPath, [join(ROOT, 'examples/demo/build.js'), ...build]);
    const server = await serve(folder);
    onTestFinished(() => void server.close());
    const page = await drive(`http://127.0.0.1:${(server.address() as AddressInfo).port}/demo/`);
    onTestFinished(() => page.close());
    // Tasks of 50 ms or more by the clock, and the frames of the page.
    await page.evaluate(`void new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) (globalThis.long ??= []).push(duration);
    }).observe({ type: 'longtask' });
    globalThis.drawn = 0;
    (function count() {
      globalThis.drawn++;
      requestAnimationFrame(count);
    })()`);
    // CPU time, in seconds.
    await page.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busy = async (): Promise<number> => {
      const { metrics } = (await page.send('Performance.getMetrics')) as {
        readonly metrics: readonly { readonly name: string; readonly value: number }[];
      };
      return metrics.find(({ name }) => name === 'TaskDuration')!.value;
    };
    const begin = await busy();
    const step = "Number(/Step (\\d+)/.exec(document.getElementById('status').textContent)?.[1] ?? 0)";
    await page.evaluate("document.getElementById('start').click()");
    await page.until(`${step} >= 20`, 200);
    const before = await page.evaluate<string>("document.getElementById('max').value");
    await drag(page, '.handle.cyclical', 20, 40);
    const after = await page.evaluate<string>("document.getElementById('max').value");
    expect(Number(after)).toBeLessThan(Number(before));
    await page.until(`${step} >= 40`, 200);
    expect(await page.evaluate("document.getElementById('cyclical-accuracy').textContent")).toMatch(
      /^\d+\.\d%$/,
    );
    expect(await page.evaluate("document.getElementById('machine').textContent")).toContain(
      'Each network has one thread of its own. It has no more because of this: a page without cross-origin isolation',
    );
    await page.evaluate("document.getElementById('start').click()");
    await page.until("/paused/.test(document.getElementById('status').textContent)");
    const perFrame = (1000 * ((await busy()) - begin)) / (await page.evaluate<number>('globalThis.drawn'));
    expect(perFrame).toBeLessThan(16);
    // Where other programs wait for the processor, the page waits, too.
    const calm = loadavg()[0] < availableParallelism() + 2;
    const long = await page.evaluate<readonly number[]>('globalThis.long ?? []');
    expect(calm ? long : []).toEqual([]);
    expect(page.problems).toEqual([]);
  });
});
