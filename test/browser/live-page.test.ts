/** The live page in a real Chromium: every control of a running, an ended and a diverged run, and the rules of its server. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fit, report, wasm, type TrainOptions } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { livePage, type LivePage } from 'cyclegrad/ui';
import { readAssets } from '../../cli/ui/assets.ts';
import { Folders } from '../../cli/ui/folders.ts';
import { serve } from '../../cli/ui/server.ts';
import { chromium } from './chromium.ts';
import { drag } from './drag.ts';
import { drive, type DrivenPage } from './devtools.ts';

const pictures = synthetic({ kind: 'images', n: 60, classes: 3, height: 8, width: 8, noise: 1, seed: 1 });
const model = nn.sequential({
  norm: nn.normalize(128, { std: 64 }),
  conv1: nn.conv2d(3, 6, 3, { padding: 1 }),
  relu: nn.relu(),
  flat: nn.flatten(),
  head: nn.dense(384, 3),
});

const optionsOf = async (more: Partial<TrainOptions> = {}): Promise<TrainOptions> => {
  const backend = await wasm({ threads: 1 });
  onTestFinished(() => backend.close());
  return {
    model,
    backend,
    data: loader(pictures, { batchSize: 10 }),
    optimizer: sgd({ lr: 0.01, momentum: 0.9 }),
    eval: { data: pictures, every: 20 },
    steps: 1_000_000,
    ...more,
  };
};

const folder = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'cyclegrad-page-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

async function open(url: string): Promise<DrivenPage> {
  const page = await drive(url);
  onTestFinished(() => page.close());
  return page;
}

async function pageOf(options: Parameters<typeof livePage>[0]): Promise<LivePage> {
  const page = await livePage(options);
  onTestFinished(() => page.close());
  return page;
}

const text = (selector: string): string => `(document.querySelector('${selector}')?.textContent ?? '')`;
const click = (selector: string): string => `document.querySelector('${selector}').click()`;
/** The button of the tab that is shown, or of the header, with a text. */
const button = (label: string): string =>
  `[...document.querySelectorAll('header button, header a, [role=tabpanel]:not([hidden]) button, dialog[open] button')].find((one) => one.textContent === '${label}')`;
const says = (words: string): string =>
  `[...document.querySelectorAll('.message, .connection')].some((one) => one.textContent.includes('${words}'))`;
const state = text('.state');
const value = (name: string): string => `Number(document.querySelector('.range [name=${name}]').value)`;

describe.skipIf(chromium === undefined)(
  `the live page${chromium === undefined ? ', not here: no Chromium' : ''}`,
  () => {
    it('shows a run and acts on it', { timeout: 240_000 }, async () => {
      const dir = await folder();
      await fit(await optionsOf({ steps: 40, listeners: [report(`${dir}/earlier`)] }));
      const server = await pageOf({ title: 'pictures', runs: [`${dir}/earlier`] });
      const page = await open(server.url);
      await page.until(`${state} === 'waiting'`);
      for (const [key, words] of [
        ['1', 'The curves begin with the first step.'],
        ['2', 'A range test can be made while a run trains.'],
        ['3', 'Predictions come after the next evaluation'],
        ['4', 'Filters come after the next evaluation'],
        ['5', 'A step can be measured while a run trains.'],
        ['6', 'There is no learning rate yet.'],
      ]) {
        await page.press(key);
        await page.until(
          `document.querySelector('[role=tabpanel]:not([hidden])').textContent.includes('${words}')`,
        );
      }
      const checkpoint = { dir: `${dir}/live`, every: 1_000_000 };
      const running = fit(server.watch(await optionsOf({ checkpoint })));
      await page.until(`${state} === 'running'`);
      for (const fact of ['Step', 'Evaluation', 'Examples/s', 'Time left'])
        await page.until(
          `[...document.querySelectorAll('.facts dt')].some((one) => one.textContent === '${fact}')`,
        );

      // Predictions follow the evaluations.
      await page.press('3');
      await page.until(`document.querySelectorAll('.predictions canvas').length >= 24`);
      const summary = text('.predictions p');
      expect(await page.evaluate(summary)).toMatch(
        /^After step [\d,]+: \d+ of 60 evaluation examples are wrong\.$/,
      );
      const before = await page.evaluate<string>(summary);
      await page.until(`${summary} !== ${JSON.stringify(before)}`);

      await page.press('4');
      await page.until(`document.querySelectorAll('.filters canvas').length === 6`);
      const colors = await page.evaluate<number>(`(() => {
        const canvas = document.querySelector('.filters canvas');
        return new Set(canvas.getContext('2d').getImageData(0, 0, 3, 3).data).size;
      })()`);
      expect(colors).toBeGreaterThan(4);

      await page.press('5');
      await page.evaluate(`${button('Measure the next step')}.click()`);
      await page.until(`document.querySelectorAll('.profile tbody tr').length > 3`);
      const shares = await page.evaluate<readonly string[]>(
        `[...document.querySelectorAll('.profile .share')].map((one) => one.textContent)`,
      );
      expect(shares.reduce((sum, share) => sum + Number.parseFloat(share), 0)).toBeCloseTo(100, -0.5);
      const rows = (): Promise<number> =>
        page.evaluate(`document.querySelectorAll('.profile tbody tr').length`);
      const byKernel = await rows();
      await page.evaluate(`(() => {
        const select = document.querySelector('[role=tabpanel]:not([hidden]) select');
        select.value = '2';
        select.dispatchEvent(new Event('change'));
      })()`);
      expect(await rows()).toBeGreaterThan(byKernel);

      // The range test, with the pointer and with keys.
      await page.press('2');
      await page.evaluate(`document.querySelector('.range [name=steps]').value = 60`);
      await page.evaluate(`${button('Run a range test')}.click()`);
      await page.until(`document.querySelectorAll('.handle').length === 2`);
      const first = await page.evaluate<number>(value('max'));
      await drag(page, '.handle.max', -60, 0);
      const dragged = await page.evaluate<number>(value('max'));
      expect(dragged).toBeLessThan(first);
      await page.evaluate(`document.querySelector('.handle.base').focus()`);
      const low = await page.evaluate<number>(value('base'));
      await page.press('ArrowRight');
      expect(await page.evaluate<number>(value('base'))).toBeCloseTo(low * 1.05, 4);
      await page.press('End');
      expect(await page.evaluate<number>(value('base'))).toBe(dragged);
      await page.press('Home');
      expect(await page.evaluate<number>(value('base'))).toBeLessThan(low);
      expect(
        await page.evaluate(`document.querySelector('.handle.max').getAttribute('aria-valuetext')`),
      ).toBe(String(dragged));
      await page.evaluate(`(() => {
        const input = document.querySelector('.range [name=max]');
        input.value = 0.05;
        input.dispatchEvent(new Event('change'));
      })()`);
      expect(
        await page.evaluate(`document.querySelector('.handle.max').getAttribute('aria-valuetext')`),
      ).toBe('0.05');
      await page.evaluate(`${button('Apply to the rest of the run')}.click()`);
      await page.until(says('The learning rate is changed from step'));
      await page.press('7');
      await page.until(`${text('.log')}.includes('the learning rate follows {')`);

      await page.press('6');
      await page.evaluate(`${button('Multiply')}.click()`);
      await page.until(`${text('.log')}.includes('the learning rate is multiplied by 0.5')`);

      // Two runs in the same charts.
      await page.press('1');
      await page.evaluate(click('.runs summary'));
      await page.evaluate(`document.querySelectorAll('.runs input')[1].click()`);
      await page.until(`${text('.curves')}.includes('earlier: evaluation')`);
      expect(await page.evaluate(text('.curves'))).toContain('pictures: evaluation');
      await page.evaluate(`document.querySelectorAll('.runs input')[1].click()`);

      await page.press('p');
      await page.until(`${state} === 'paused'`);
      await page.press('s');
      await page.until(says('Saved '));
      await page.press('?');
      await page.until(`document.querySelector('dialog[open]').textContent.includes('Keyboard shortcuts')`);
      await page.evaluate(`${button('Close')}.click()`);

      // The file is whole: it has a chart and loads nothing.
      const html = await page.evaluate<string>(
        `fetch(document.querySelector('a.button').href).then((answer) => answer.text())`,
      );
      expect(html).toContain('<svg');
      expect(html).toContain('<h1>pictures</h1>');
      expect(html).not.toMatch(/(src|href)="http/);

      // Nothing is wider than a narrow window, in light and dark.
      for (const dark of [false, true]) {
        await page.show({ width: 390, height: 800, dark });
        for (let tab = 1; tab <= 7; tab++) {
          await page.press(String(tab));
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
        }
      }
      const paper = `getComputedStyle(document.body).backgroundColor`;
      const dark = await page.evaluate(paper);
      await page.press('t'); // light, whatever the system prefers
      expect(await page.evaluate(paper)).not.toBe(dark);

      await page.press('x');
      await page.until(
        `document.querySelector('dialog[open]').textContent.includes('It saves a checkpoint first')`,
      );
      await page.evaluate(click('dialog[open] .danger'));
      expect((await running).reason).toBe('abort');
      await page.until(`${state} === 'stopped'`);
      expect(
        await page.evaluate(`document.querySelector('header .buttons button:not([hidden])')`),
      ).toBeNull();
      await server.close();
      await page.until(says('The server has ended.'));
      expect(page.problems).toEqual([]);
    });

    it('shows what diverged', { timeout: 120_000 }, async () => {
      const server = await pageOf({ title: 'too fast' });
      const page = await open(server.url);
      await page.until(`${state} === 'waiting'`);
      await expect(
        fit(server.watch(await optionsOf({ optimizer: sgd({ lr: 1e30 }), steps: 100 }))),
      ).rejects.toThrow('the loss is not finite');
      await page.until(`${state} === 'failed'`);
      await page.press('7');
      await page.until(`${text('.log')}.includes('the loss is not finite')`);
      expect(page.problems).toEqual([]);
    });

    it(
      'shows an ended run from its folder, with the flags for the next one',
      { timeout: 120_000 },
      async () => {
        const dir = await folder();
        const live = await livePage();
        await live.showRange({
          sweep: 'exponential',
          from: 0.001,
          to: 1,
          steps: 50,
          curves: [
            {
              seed: 0,
              end: 'done',
              evaluations: [],
              points: Array.from({ length: 50 }, (_, step) => {
                const lr = 1000 ** (step / 49 - 1);
                const loss = 1 + (Math.log10(lr) + 1) ** 2;
                return { step, lr, loss, smoothed: loss };
              }),
            },
          ],
        });
        const options = await optionsOf({
          steps: 40,
          checkpoint: { dir, every: 40 },
          listeners: [report(dir)],
        });
        await fit(live.watch(options, { names: Array.from({ length: 60 }, (_, i) => `pets/${i}.jpg`) }));
        await live.close();
        const source = await Folders.open([dir]);
        const { url, close } = await serve({ source, assets: readAssets(), port: 0 });
        onTestFinished(async () => {
          source.close();
          await close();
        });
        const page = await open(url);
        await page.until(`${state} === 'done'`);
        await page.press('2');
        await page.until(
          `/^cyclicLR\\(\\{ base: [\\d.]+, max: [\\d.]+, stepSize: \\d+, mode: 'triangular' \\}\\)$/.test(${text('.flags')})`,
        );
        await page.evaluate(`document.querySelector('[aria-label="Use as upper bound: minimum"]').click()`);
        const suggested = await page.evaluate<number>(value('max'));
        expect(suggested).toBeGreaterThan(0.005);
        expect(suggested).toBeLessThan(0.02);
        expect(await page.evaluate(text('.flags'))).toContain(`max: ${suggested}`);
        expect(await page.evaluate(`${button('Apply to the rest of the run')}.hidden`)).toBe(true);
        await page.press('3');
        await page.until(
          `document.querySelector('.predictions canvas')?.getAttribute('aria-label').startsWith('pets/')`,
        );
        await page.press('4');
        await page.until(`document.querySelectorAll('.filters canvas').length === 6`);
        await page.press('5');
        await page.until(
          `${text('[role=tabpanel]:not([hidden])')}.includes('No step of this run was measured.')`,
        );
        expect(page.problems).toEqual([]);
      },
    );

    it('answers nobody else', { timeout: 120_000 }, async () => {
      const server = await pageOf({ title: 'private' });
      const { port, pathname } = new URL(server.url);
      const status = (path: string, headers: Record<string, string> = {}): Promise<number> =>
        new Promise((resolve, reject) => {
          const sent = request({ host: '127.0.0.1', port, path, headers }, (answer) => {
            answer.resume();
            resolve(answer.statusCode!);
          });
          sent.on('error', reject).end();
        });
      expect(await status(pathname)).toBe(200);
      expect(await status('/')).toBe(403);
      expect(await status(`/${'a'.repeat(pathname.length - 2)}/`)).toBe(403);
      expect(await status(pathname, { host: 'example.com' })).toBe(403);
      expect(await status(pathname, { origin: 'http://example.com' })).toBe(403);
      // Other interfaces of the machine.
      const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
      for (const { address } of addresses.filter(({ internal, family }) => !internal && family === 'IPv4')) {
        const refused = await new Promise<boolean>((resolve) => {
          const socket = connect(Number(port), address);
          socket.on('connect', () => resolve(false)).on('error', () => resolve(true));
          onTestFinished(() => void socket.destroy());
        });
        expect(refused).toBe(true);
      }

      // Another site, with the address of the page: its browser sends requests, and gets nothing.
      const site = createServer((_, response) =>
        response.setHeader('content-type', 'text/html').end('<p>a site'),
      );
      await new Promise<void>((listening) => site.listen(0, '127.0.0.1', listening));
      onTestFinished(() => void site.close());
      const elsewhere = `http://localhost:${(site.address() as AddressInfo).port}/`;
      const page = await open(elsewhere);
      const attempt = (expression: string): Promise<string> =>
        page.evaluate(
          `(async () => { try { return String(await (${expression})) } catch (error) { return error.name } })()`,
        );
      expect(await attempt(`fetch('${server.url}run?id=live').then((answer) => answer.status)`)).toBe(
        'TypeError',
      );
      expect(
        await attempt(
          `fetch('${server.url}call/stop', { method: 'POST', body: '{}' }).then((answer) => answer.status)`,
        ),
      ).toBe('TypeError');
      expect(
        await attempt(`new Promise((done) => {
          const source = new EventSource('${server.url}stream');
          source.onerror = () => done('refused');
          source.onmessage = () => done('heard');
        })`),
      ).toBe('refused');
      expect(
        await attempt(`new Promise((done) => {
          const script = document.createElement('script');
          script.src = '${server.url}page.js';
          script.onload = () => done('ran');
          script.onerror = () => done('refused');
          document.head.append(script);
        })`),
      ).toBe('refused');

      // The page itself runs no text as code and loads nothing from elsewhere.
      await page.navigate(server.url);
      await page.until(`${state} === 'waiting'`);
      const evaluated = await page.send('Runtime.evaluate', {
        expression: `(() => { try { return eval('1') } catch (error) { return error.name } })()`,
        allowUnsafeEvalBlockedByCSP: false,
      });
      expect(evaluated).toMatchObject({ result: { value: 'EvalError' } });
      expect(await attempt(`fetch('${elsewhere}')`)).toBe('TypeError');
      expect(await attempt(`document.body.innerHTML = '<b>'`)).toBe('TypeError');
      expect(
        await attempt(`new Promise((done) => {
          const image = new Image();
          image.onload = () => done('loaded');
          image.onerror = () => done('refused');
          image.src = '${elsewhere}';
        })`),
      ).toBe('refused');
    });
  },
);
