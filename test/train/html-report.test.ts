/** The listener htmlReport. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { htmlReport } from 'cyclegrad';
import { end, evalEvent, play, start, steps } from './listener-fixture.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-html-'));
  path = join(dir, 'deep', 'a <b> & c.html');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const page = (): string => readFileSync(path, 'utf8');
const run = [start(0, 10), evalEvent(0, 0.1), ...steps(0, 10, 10), evalEvent(10, 0.5)];

test('one file, without external resources or scripts', async () => {
  await play(htmlReport(path, { config: { optimizer: { kind: '</script><script>alert(1)</script>' } } }), [
    ...run,
    end(10, 10),
  ]);
  const html = page();
  expect(html).toContain('<title>a &lt;b&gt; &amp; c</title>');
  expect(html).toContain('<dt>Last evaluation</dt><dd>50.0% at step 10</dd>');
  expect(html).toContain('<th scope="row">optimizer.kind</th><td>&lt;/script&gt;');
  expect(html).toContain('<th scope="row">executor</th><td>team of 2 workers</td>');
  expect(html).toContain('<svg');
  expect(html).toContain("default-src 'none'");
  expect(html.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(
    /https?:|src=|href=|url\((?!#)/,
  );
  expect(html.match(/<script/g)).toEqual(['<script']); // the data, which is no program
  expect(html).toContain('prefers-color-scheme: dark');
});

test('a resumed run continues the file', async () => {
  await play(htmlReport(path), [...run, end(10, 10)]);
  const whole = page();
  const listener = htmlReport(path);
  await play(listener, run.slice(0, 7));
  await listener.flush!();
  await play(listener, run.slice(7));
  await play(htmlReport(path), [start(5, 10), ...steps(5, 10, 10), evalEvent(10, 0.5), end(10, 10)]);
  const withoutTimes = (html: string): string => html.replace(/<dt>Time.*?<\/dd>/g, '');
  expect(withoutTimes(page())).toBe(withoutTimes(whole));
});

test('an error, and a confusion matrix after the run', async () => {
  const listener = htmlReport(path, { title: 'Run' });
  await expect(listener.confusion([[1]], ['a'])).rejects.toThrow(
    'htmlReport: confusion: no run was reported',
  );
  await play(listener, [...run, end(10, 10, { reason: 'error', error: new RangeError('too <high>') })]);
  expect(page()).toContain('RangeError: too &lt;high&gt;');
  expect(page()).not.toContain('Confusion matrix');
  await listener.confusion(
    [
      [3, 1],
      [0, 0],
    ],
    ['cat', '<dog>'],
  );
  expect(page()).toContain(
    '<th scope="row">cat</th><td class="right" style="background: rgba(var(--hue), 0.525)">3</td>',
  );
  expect(page()).toContain('<td>75.0%</td>');
  expect(page()).toContain('&lt;dog&gt;');
  await expect(listener.confusion([[1]], ['a', 'b'])).rejects.toThrow(
    'htmlReport: confusion: the matrix must have 2 rows of 2 numbers for 2 classes',
  );
});

test('wrong use', async () => {
  expect(() => htmlReport('')).toThrow("htmlReport: path must be the path of a file, got ''");
  expect(() => htmlReport('a', { title: '' })).toThrow("htmlReport: title must be a text, got ''");
  expect(() => htmlReport('a', { config: [] as never })).toThrow(
    'htmlReport: config must be an object of plain data',
  );
  await play(htmlReport(path), run);
  writeFileSync(path, '<p>mine</p>');
  await expect(play(htmlReport(path), [start(5, 10)])).rejects.toThrow(
    `htmlReport: ${path} is not a report of a run`,
  );
});
