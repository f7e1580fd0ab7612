/** The listener report. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { jsonLines, progressBar, report, type RunSummary, type StepEvent, type TrainEvent } from 'cyclegrad';
import {
  start,
  stepEvent,
  evalEvent,
  end,
  play,
  readEvents,
  brief,
  steps,
  points,
  expectWellFormed,
} from './listener-fixture.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-listeners-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('what is not for a listener is refused when it is made', () => {
  expect(() => report(undefined as never)).toThrow('report: dir must be the path of a folder, got undefined');
  expect(() => report('runs/a', { titel: 'a' } as never)).toThrow("report: unknown option 'titel'");
  expect(() => jsonLines(undefined as never)).toThrow('jsonLines: options must be an object');
  expect(() => jsonLines({} as never)).toThrow('jsonLines: pass either path or stream');
  expect(() => progressBar({ evry: 2 } as never)).toThrow("progressBar: unknown option 'evry'");
});

describe('report', () => {
  const summary = (): RunSummary => JSON.parse(readFileSync(join(dir, 'summary.json'), 'utf8')) as RunSummary;
  const picture = (): string => readFileSync(join(dir, 'curve.svg'), 'utf8');

  test('thins the steps to means, keeps all other events', async () => {
    const total = 3000; // so every record stands for 3
    await play(report(dir), [
      start(0, total),
      ...steps(0, 7, total),
      evalEvent(7, 0.4),
      ...steps(7, 10, total),
      end(10, total, { reason: 'break' }),
    ]);
    const events = readEvents(join(dir, 'events.jsonl'));
    expect(brief(events)).toBe('s0 2 5 e7 8 9 end10');
    expect(events[1]).toMatchObject({ over: 3, ms: 30, hyper: { lr: 0.001 + 2e-5 } });
    expect((events[1] as StepEvent).loss).toBeCloseTo(2 - 1 / total, 12);
    expect((events[1] as StepEvent).metrics['accuracy']).toBeCloseTo(1 / total, 12);
    expect(events[5]).toMatchObject({ over: 1, step: 9 });
  });

  test('sums the run up, at every evaluation and at the end', async () => {
    const listener = report(dir, { config: { schedule: 'triangular' } });
    await play(listener, [start(0, 20), ...steps(0, 10, 20), evalEvent(10, 0.6)]);
    expect(summary()).toMatchObject({ state: 'running', step: 10, steps: 20, accuracy: 0.6 });
    expect(picture()).toContain('</svg>');
    await play(listener, [...steps(10, 20, 20), evalEvent(20, 0.5), end(20, 20, { ms: 1234 })]);
    expect(summary()).toMatchObject({
      state: 'done',
      step: 20,
      accuracy: 0.5,
      last: { step: 20, metrics: { accuracy: 0.5 } },
      best: { step: 10, metrics: { accuracy: 0.6 } },
      ms: 1234,
      stepMs: 600,
      evalMs: 5000,
      config: { steps: 20, batchSize: 100, seed: 7, schedule: 'triangular' },
      report: { backend: 'wasm', threads: 2 },
      versions: { node: process.versions.node, cyclegrad: expect.stringMatching(/^\d+\.\d+\.\d+/) as string },
    });
    expect(readdirSync(dir).sort()).toEqual(['curve.svg', 'events.jsonl', 'summary.json']);
  });

  test('a resumed run is reported as one run', async () => {
    const total = 3000;
    const firstHalf = [start(0, total), ...steps(0, 4, total), evalEvent(4, 0.9)];
    const checkpoint: TrainEvent = { type: 'checkpoint', step: 4, path: 'x' };
    await play(report(dir), [...firstHalf, checkpoint, ...steps(4, 9, total)]); // killed
    await play(report(dir), [
      start(4, total),
      evalEvent(4, 0.9),
      ...steps(4, 6, total),
      evalEvent(6, 0.2),
      end(6, total, { reason: 'abort', ms: 100 }),
    ]);
    expect(brief(readEvents(join(dir, 'events.jsonl')))).toBe('s0 2 e4 3 c4 s4 e4 5 e6 end6');
    expect(summary()).toMatchObject({
      state: 'abort',
      step: 6,
      accuracy: 0.2,
      best: { step: 4 },
      stepMs: 180,
      evalMs: 5000,
    });
    expect(points(picture(), 'learning rate')).toHaveLength(3);
  });

  test('tells of the error, and of nothing when there was no start', async () => {
    await report(join(dir, 'none'))(end(0, 1, { reason: 'error', error: new Error('no') }));
    expect(existsSync(join(dir, 'none'))).toBe(false);
    await play(report(dir), [start(0, 9), end(0, 9, { reason: 'error', error: new TypeError('x') })]);
    expect(summary()).toMatchObject({
      state: 'error',
      accuracy: null,
      best: null,
      error: { name: 'TypeError', message: 'x' },
    });
  });

  test('draws losses alone where there is no accuracy, and gaps where numbers are not finite', async () => {
    const bare = (step: number, loss: number): StepEvent => stepEvent(step, 6, { loss, metrics: {} });
    await play(report(dir), [
      start(0, 6),
      bare(0, 2),
      bare(1, NaN),
      bare(2, 1),
      { ...evalEvent(3, 0), metrics: {}, loss: 0.5 },
      end(3, 6, { reason: 'error', error: new Error('NaN') }),
    ]);
    expectWellFormed(picture());
    expect(picture()).not.toContain('NaN');
    expect(picture()).toContain('evaluation loss');
    expect(summary().best).toMatchObject({ loss: 0.5 });
  });

  test('failures name the file', async () => {
    writeFileSync(join(dir, 'file'), '');
    await expect(report(join(dir, 'file'))(start(0, 1))).rejects.toThrow(
      `report: cannot write ${join(dir, 'file', 'events.jsonl')}: `,
    );
  });
});

// ---- the picture --------------------------------------------------------------------------------------------------
