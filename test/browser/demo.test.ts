/**
 * The demo as a static site under a path of its own: it trains, follows a drag, takes files, never blocks the page, and keeps its policy.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { plainPng } from '../png.ts';
import { chromium } from './chromium.ts';
import { drive } from './devtools.ts';
import { drag } from './drag.ts';
import { serveFolder, type Site } from './site.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** It installs Vite and takes a minute. */
const here = isLong && chromium !== undefined;

describe.skipIf(!here)(`the demo${here ? '' : `, not here: ${LONG}, with a Chromium`}`, () => {
  let folder = '';
  let site: Site;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cyclegrad-demo-'));
    const out = join(folder, 'site');
    const build = ['build', '--pictures', 'synthetic', '--outDir', out, '--emptyOutDir'];
    await promisify(execFile)(process.execPath, [join(ROOT, 'examples/demo/build.js'), ...build]);
    site = await serveFolder(out, { base: '/demo/' });
  }, 300_000);
  afterAll(async () => {
    site.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('trains while a bound is dragged', { timeout: 600_000 }, async () => {
    const page = await drive(site.url);
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

  it(
    'takes folders and files of the visitor, and says what is wrong with them',
    { timeout: 300_000 },
    async () => {
      for (const [name, color] of [
        ['cat', 40],
        ['dog', 200],
      ] as const) {
        await mkdir(join(folder, 'pets', name), { recursive: true });
        for (let i = 0; i < 6; i++)
          await writeFile(join(folder, 'pets', name, `${i}.png`), plainPng(20, 30, color, 10 * i, 90));
      }
      const loose = join(folder, 'loose.png');
      await writeFile(loose, plainPng(10, 10, 1, 2, 3));
      await mkdir(join(folder, 'texts'));
      await writeFile(join(folder, 'texts/notes.txt'), 'no picture');
      const broken = join(folder, 'broken.png');
      await writeFile(broken, 'no picture either');
      await mkdir(join(folder, 'empty'));

      const page = await drive(site.url);
      onTestFinished(() => page.close());
      const text = (id: string): Promise<string> =>
        page.evaluate<string>(`document.getElementById('${id}').innerText`);
      const classes = (): Promise<string> =>
        page.evaluate<string>(`[...document.querySelectorAll('#classes li')]
        .map((row) => row.querySelector('input').value + ': ' + row.querySelector('.hint').textContent)
        .join(', ')`);
      const settled = (): Promise<void> =>
        page.until("document.getElementById('own-pictures').getAttribute('aria-busy') === 'false'");
      const drop = async (selector: string, ...files: readonly string[]): Promise<string> => {
        const [x, y] = await page.evaluate<[number, number]>(`(() => {
        const element = document.querySelector('${selector}');
        element.scrollIntoView({ block: 'center' });
        const { left, top, height } = element.getBoundingClientRect();
        return [left + 20, top + height / 2];
      })()`);
        await page.evaluate(
          "addEventListener('drop', () => (globalThis.drops = (globalThis.drops ?? 0) + 1), { capture: true, once: true })",
        );
        const before = await page.evaluate<number>('globalThis.drops ?? 0');
        const data = { items: [], files, dragOperationsMask: 1 };
        for (const type of ['dragEnter', 'dragOver', 'drop'])
          await page.send('Input.dispatchDragEvent', { type, x, y, data });
        await page.until(`globalThis.drops > ${before}`);
        await settled();
        return text('own-notes');
      };
      await page.evaluate("document.querySelector('#sources input[value=own]').click()");

      expect(await drop('#drop', join(folder, 'empty'))).toBe(
        'No files came. Drop folders or picture files, or choose a folder.',
      );
      expect(await drop('#drop', join(folder, 'texts'))).toBe(
        'No pictures are among these files (notes.txt). JPEG, PNG, WebP, GIF and AVIF can be read.',
      );
      expect(await drop('#drop', broken)).toBe(
        'Not read: broken.png: the file is not PNG, JPEG, WebP, AVIF, GIF or TIFF (convert it or remove it).',
      );
      expect(await classes()).toBe('');

      expect(await drop('#drop', join(folder, 'pets/cat'))).toBe('');
      expect(await text('own-text')).toBe("Only 'cat' so far. Add another class to tell it from.");
      expect(await drop('#drop', join(folder, 'pets'))).toBe(
        '6 pictures left out, because the class has them already.',
      );
      expect(await classes()).toBe('cat: 6 pictures, dog: 6 pictures');
      expect(await drop('#drop', loose)).toBe('');
      expect(await text('own-text')).toBe("'class 1' has 1 picture and needs at least 5.");
      await page.evaluate("document.querySelector('#classes li:nth-child(3) .plain').click()");
      await drop('#classes li:nth-child(1)', loose);
      expect(await classes()).toBe('cat: 7 pictures, dog: 6 pictures');

      // The dialog for a folder, in a page without any class.
      for (let i = 0; i < 2; i++) await page.evaluate("document.querySelector('#classes .plain').click()");
      const { root } = (await page.send('DOM.getDocument')) as { readonly root: { readonly nodeId: number } };
      const found = await page.send('DOM.querySelector', { nodeId: root.nodeId, selector: '#folder' });
      const { nodeId } = found as { readonly nodeId: number };
      await page.send('DOM.setFileInputFiles', { nodeId, files: [join(folder, 'pets')] });
      await page.until("document.querySelectorAll('#classes li').length === 2");
      await settled();
      expect(await classes()).toBe('cat: 6 pictures, dog: 6 pictures');
      expect(await text('own-text')).toBe('12 pictures in 2 classes.');
      await page.evaluate("document.getElementById('use-own').click()");
      // The blue of all these pictures is the same, so its deviation is 0.
      await page.until("/^(Done|Stopped)/.test(document.getElementById('status').textContent)", 120);
      expect(await text('message')).toBe('');
      expect(await text('status')).toBe('Done: 600 steps');
      expect(page.problems).toEqual([]);
    },
  );
});
