import { describe, expect, it } from 'vitest';
import { dataProgress } from '../../cli/terminal/data-progress.ts';
import type { DataEvent } from 'cyclegrad/datasets';
import { collector } from './fixture.ts';

const MB = 1e6;
const events: readonly DataEvent[] = [
  { phase: 'download', source: 'somewhere', done: 0, total: 100 * MB },
  { phase: 'download', source: 'somewhere', done: 40 * MB, total: 100 * MB },
  { phase: 'notice', message: 'somewhere is slow' },
  { phase: 'download', source: 'somewhere', done: 100 * MB, total: 100 * MB },
  { phase: 'unpack', source: 'somewhere', done: 5 * MB, total: null },
  { phase: 'verify', source: 'file 1', done: 10 * MB, total: 10 * MB },
  { phase: 'verify', source: 'file 2', done: 10 * MB, total: 10 * MB },
  { phase: 'convert', source: 'somewhere', done: 6, total: 6 },
];

it('without a terminal: a line when something begins, ends, or has gone on for ten seconds', () => {
  const stream = collector();
  let now = 0;
  const { onProgress, stop } = dataProgress(stream, () => now);
  for (const event of events) {
    onProgress(event);
    now += 10_000;
  }
  stop();
  expect(stream.text().split('\n')).toEqual([
    'downloading somewhere',
    'downloading: 40 MB of 100 MB, 4 MB/s, 0:15 left',
    'somewhere is slow',
    'downloading: 100 MB of 100 MB, 3 MB/s',
    'unpacking somewhere',
    'verifying the files',
    'verifying: 10 MB of 10 MB',
    'converting somewhere',
    'converting: 6 of 6 files',
    '',
  ]);
});

describe('on a terminal', () => {
  it('draws bars, hides no cursor, and switches no wrapping off', () => {
    const stream = collector({ isTTY: true, columns: 80 });
    const { onProgress, stop } = dataProgress(stream);
    for (const event of events) onProgress(event);
    stop();
    const text = stream.text();
    expect(text).toContain('[========================]  downloading  100%  100 MB of 100 MB');
    expect(text).toContain('unpacking  5 MB');
    expect(text).toContain('somewhere is slow');
    expect(text).not.toContain('[?25l');
    expect(text).not.toContain('[?7l');
  });
});
