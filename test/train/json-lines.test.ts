/** The listener json-lines. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError, jsonLines, type TrainEvent } from 'cyclegrad';
import {
  start,
  stepEvent,
  evalEvent,
  end,
  play,
  Memory,
  Broken,
  readEvents,
  brief,
  steps,
} from './listener-fixture.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-listeners-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe('jsonLines', () => {
  test('writes every event as one line, and leaves the line behind before it returns', async () => {
    const path = join(dir, 'deep', 'all.jsonl');
    const listener = jsonLines({ path });
    const events = [start(0, 2), ...steps(0, 2, 2), evalEvent(2, 0.5), end(2, 2)];
    for (const [index, event] of events.entries()) {
      await listener(event);
      expect(readEvents(path)).toEqual(events.slice(0, index + 1));
    }
  });

  test('writes errors and numbers that are not finite so that they can be read', async () => {
    const path = join(dir, 'all.jsonl');
    const error = new DataError('train: the loss is NaN at step 3');
    await play(jsonLines({ path }), [
      start(0, 5),
      stepEvent(0, 5, { loss: NaN, metrics: { a: Infinity } }),
      end(1, 5, { reason: 'error', error }),
    ]);
    const [, step, last] = readFileSync(path, 'utf8').split('\n');
    expect(JSON.parse(step)).toMatchObject({ loss: 'NaN', metrics: { a: 'Infinity' } });
    expect(JSON.parse(last)).toMatchObject({
      error: { name: 'DataError', message: 'train: the loss is NaN at step 3' },
    });
  });

  const checkpoint = (step: number): TrainEvent => ({ type: 'checkpoint', step, path: 'x' });

  test('a resumed run goes on in the file, without a torn line and what came after its step', async () => {
    const path = join(dir, 'all.jsonl');
    await play(jsonLines({ path }), [
      start(0, 10),
      ...steps(0, 3, 10),
      evalEvent(3, 0.3),
      checkpoint(3),
      ...steps(3, 5, 10),
      evalEvent(5, 0.5),
    ]);
    writeFileSync(path, readFileSync(path, 'utf8') + '{"type":"step","step":5,"lo');
    await play(jsonLines({ path }), [start(3, 10), ...steps(3, 4, 10), end(4, 10)]);
    expect(brief(readEvents(path))).toBe('s0 0 1 2 e3 c3 s3 3 end4');

    // Once more from the same checkpoint: the try in between leaves no trace.
    await play(jsonLines({ path }), [start(3, 10), ...steps(3, 5, 10), end(5, 10)]);
    expect(brief(readEvents(path))).toBe('s0 0 1 2 e3 c3 s3 3 4 end5');
    expect(readdirSync(dir)).toEqual(['all.jsonl']);
  });

  test('a fresh run replaces the file, or with append is written after it', async () => {
    const path = join(dir, 'all.jsonl');
    const run = [start(0, 1), ...steps(0, 1, 1), end(1, 1)];
    await play(jsonLines({ path }), run);
    await play(jsonLines({ path }), run);
    expect(brief(readEvents(path))).toBe('s0 0 end1');
    await play(jsonLines({ path, append: true }), [start(0, 4), ...steps(0, 3, 4)]);
    expect(brief(readEvents(path))).toBe('s0 0 end1 s0 0 1 2');
    // Resuming the second run must not touch the first.
    await play(jsonLines({ path, append: true }), [start(1, 4), ...steps(1, 2, 4), end(2, 4)]);
    expect(brief(readEvents(path))).toBe('s0 0 end1 s0 0 s1 1 end2');
    await play(jsonLines({ path, append: false }), [start(1, 4), end(1, 4)]);
    expect(brief(readEvents(path))).toBe('s1 end1');
  });

  test('a run that failed before its start does not cost the earlier file', async () => {
    const path = join(dir, 'all.jsonl');
    await play(jsonLines({ path }), [start(0, 1), ...steps(0, 1, 1), end(1, 1)]);
    await jsonLines({ path })(end(0, 1, { reason: 'error', error: new Error('no') }));
    expect(brief(readEvents(path))).toBe('s0 0 end1 end0');
  });

  test('one listener serves one run after another', async () => {
    const path = join(dir, 'all.jsonl');
    const listener = jsonLines({ path, append: true });
    const run = [start(0, 1), ...steps(0, 1, 1), end(1, 1)];
    await play(listener, run);
    await play(listener, run);
    expect(brief(readEvents(path))).toBe('s0 0 end1 s0 0 end1');
  });

  test('failures name the file', async () => {
    writeFileSync(join(dir, 'file'), '');
    const path = join(dir, 'file', 'all.jsonl');
    const failed = jsonLines({ path })(start(0, 1));
    await expect(failed).rejects.toThrow(DataError);
    await expect(failed).rejects.toThrow(`jsonLines: cannot write ${path}: `);

    const foreign = join(dir, 'notes.txt');
    writeFileSync(foreign, 'milk, eggs\n{"type":"start","step":0}\n');
    await expect(jsonLines({ path: foreign })(start(5, 10))).rejects.toThrow(
      `jsonLines: ${foreign} is not a log of events: line 1 is "milk, eggs" (move the file, or use another path)`,
    );
    expect(readFileSync(foreign, 'utf8')).toContain('milk, eggs');
  });

  test.each([
    { type: 4, step: 0 },
    { type: 'step', step: '1' },
    { type: 'step', step: 1, steps: {}, loss: 1, metrics: {}, hyper: {}, ms: 1 },
    { type: 'start', step: -1 },
    { type: 'eval', step: 1, loss: 1, metrics: { accuracy: 'high' }, examples: 4, ms: 1 },
    { type: 'eval', step: 1, metrics: {}, examples: 4, ms: 1 },
    { type: 'step', step: 1, steps: 10, loss: 1, metrics: {}, ms: 1 },
    { type: 'step', step: 1, steps: 10, loss: 1, metrics: {}, hyper: { lr: [] }, ms: 1 },
    { type: 'step', step: 1, steps: 10, loss: 1, metrics: {}, hyper: {}, ms: null },
    { type: 'step', step: 1, steps: 10, loss: 1, metrics: {}, hyper: {}, ms: 1, over: 0 },
  ])('a damaged event is left out, with a notice: %j', async (event) => {
    const path = join(dir, 'damaged.jsonl');
    writeFileSync(path, `{"type":"start","step":0}\n${JSON.stringify(event)}\n`);
    const listener = jsonLines({ path });
    await listener(start(5, 10));
    expect(brief(readEvents(path))).toBe('s0 s5');
    expect(listener.takeNotices?.()).toMatchObject([
      {
        code: 'log-damaged',
        message: expect.stringContaining(`${path}: a line that is no event was left out: line 2 is `),
      },
    ]);
  });

  test('numbers that are not finite are events', async () => {
    const path = join(dir, 'diverged.jsonl');
    const event = {
      type: 'step',
      step: 1,
      steps: 10,
      loss: 'NaN',
      metrics: { accuracy: '-Infinity' },
      hyper: { lr: 'Infinity' },
      ms: 1,
    };
    writeFileSync(path, `{"type":"start","step":0}\n${JSON.stringify(event)}\n`);
    await jsonLines({ path })(start(5, 10));
    expect(readFileSync(path, 'utf8')).toContain(JSON.stringify(event));
  });

  test('a stream gets the same lines and stays open', async () => {
    const stream = new Memory();
    await play(jsonLines({ stream }), [start(0, 1), ...steps(0, 1, 1), end(1, 1)]);
    expect(stream.lines.map((line) => (JSON.parse(line) as TrainEvent).type)).toEqual([
      'start',
      'step',
      'end',
    ]);
    expect(stream.writableEnded).toBe(false);
    expect(stream.listenerCount('error')).toBe(0);
  });

  test('a stream whose reader left gets nothing more; another failure throws', async () => {
    const closed = new Broken({ code: 'EPIPE' });
    await play(jsonLines({ stream: closed }), [start(0, 1), ...steps(0, 1, 1), end(1, 1)]);
    expect(closed.attempts).toBe(1);
    await expect(jsonLines({ stream: new Broken({ code: 'ENOSPC' }) })(start(0, 1))).rejects.toThrow(
      new DataError('jsonLines: cannot write to the stream: write ENOSPC'),
    );
  });
});

// ---- report -------------------------------------------------------------------------------------------------------
