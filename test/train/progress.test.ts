/** The listener progress. */
import { describe, expect, test } from 'vitest';
import { DataError, progressBar, type EndEvent, type TrainEvent } from 'cyclegrad';
import { start, stepEvent, evalEvent, end, play, Memory, Broken, Screen, steps } from './listener-fixture.ts';

describe('progressBar without a terminal', () => {
  test('prints a line every `every` steps, and a line for every other event', async () => {
    const stream = new Memory();
    let ms = 0;
    const listener = progressBar({ stream, every: 2, now: () => ms });
    const timed = async (event: TrainEvent): Promise<void> => {
      ms += event.type === 'step' ? 50 : 1000;
      await listener(event);
    };
    const last = evalEvent(4, 0.625);
    await play(timed, [
      start(0, 1000, 'SharedArrayBuffer is missing'),
      ...steps(0, 4, 1000),
      last,
      { type: 'checkpoint', step: 4, path: 'runs/a/step-4.safetensors' },
      { type: 'notice', step: 4, code: 'wrap', message: 'two\nlines' },
      ...steps(4, 6, 1000),
      end(6, 1000, { reason: 'break', last, best: evalEvent(2, 0.7), ms: 65_000 }),
    ]);
    expect(stream.lines).toEqual([
      'training for 1000 steps: batch 100, 10 steps an epoch, seed 7, on wasm (team of 2 workers, 2 threads, relaxed SIMD)',
      'slower executor: SharedArrayBuffer is missing',
      '2/1000 0%  lr 0.00101  smoothed loss 2.000  batch accuracy 0.1%  2,000 examples/s  0:00  0:50 left',
      '4/1000 0%  lr 0.00103  smoothed loss 1.999  batch accuracy 0.1%  2,000 examples/s  0:00  0:50 left',
      'step 4/1000: eval accuracy 62.5%, loss 0.375 (10,000 examples in 2.5 s)',
      'step 4/1000: saved runs/a/step-4.safetensors',
      'step 4/1000: two lines (wrap)',
      expect.stringMatching(
        /^6\/1000 0% {2}lr 0.00105 .* 2,000 examples\/s {2}0:03 {2}9:07 left {2}eval 62.5%$/,
      ),
      'stopped by the loop, 6 of 1000 steps, 1:05',
      'last eval, step 4: accuracy 62.5%, loss 0.375',
      'best eval, step 2: accuracy 70.0%, loss 0.3',
    ]);
  });

  test('prints a line every 10 seconds unless told otherwise', async () => {
    const stream = new Memory();
    let ms = 0;
    const listener = progressBar({ stream, now: () => ms });
    await listener(start(0, 100));
    for (const event of steps(0, 100, 100)) {
      ms += 300;
      await listener(event);
    }
    expect(stream.lines.slice(1).map((line) => line.split(' ')[0])).toEqual(['34/100', '68/100']);
  });

  test('a resumed run counts from its step, and its speed from this process', async () => {
    const stream = new Memory();
    let ms = 0;
    const listener = progressBar({ stream, every: 10, now: () => ms });
    await listener(start(500, 1000));
    for (const event of steps(500, 510, 1000)) {
      ms += 100;
      await listener(event);
    }
    expect(stream.lines[0]).toContain('resumed at step 500 of 1000 steps');
    expect(stream.lines[1]).toMatch(/^510\/1000 51% .* 1,000 examples\/s {2}0:01 {2}0:49 left$/);
  });

  test('the loss is a mean of the first steps, then follows', async () => {
    const stream = new Memory();
    const listener = progressBar({ stream, every: 1 });
    await listener(start(0, 1000));
    await listener(stepEvent(0, 1000, { loss: 3 }));
    await listener(stepEvent(1, 1000, { loss: 1 }));
    expect(stream.text).toContain('smoothed loss 2.000 ');
    for (let i = 2; i < 500; i++) await listener(stepEvent(i, 1000, { loss: 1 }));
    expect(stream.lines.at(-1)).toContain('smoothed loss 1.000 ');
  });

  test('says why a run failed, also when it failed before its start', async () => {
    const stream = new Memory();
    const error = new DataError('cifar10: truncated');
    await progressBar({ stream })(end(0, 0, { reason: 'error', error }));
    expect(stream.text).toBe('failed: cifar10: truncated, 0 of 0 steps, 0:01\n');
  });

  test('a closed pipe ends the output, not the run; another failure throws once', async () => {
    const closed = new Broken({ code: 'EPIPE' });
    await play(progressBar({ stream: closed, every: 1 }), [start(0, 2), ...steps(0, 2, 2), end(2, 2)]);
    expect(closed.attempts).toBe(1);

    const full = new Broken({ code: 'ENOSPC' });
    const listener = progressBar({ stream: full, every: 1 });
    await expect(listener(start(0, 2))).rejects.toThrow(
      new DataError('progressBar: cannot write to the stream: write ENOSPC'),
    );
    await listener(end(0, 2, { reason: 'error' }));
  });

  test('refuses an interval that is no number of steps', () => {
    for (const every of [0, -1, 1.5, NaN]) {
      expect(() => progressBar({ every })).toThrow(
        `progressBar: every must be an integer >= 1, got ${every}`,
      );
    }
  });
});

describe('progressBar on a terminal', () => {
  const events = (reason: EndEvent['reason']): TrainEvent[] => [
    start(0, 200),
    ...steps(0, 50, 200),
    evalEvent(50, 0.5),
    { type: 'checkpoint', step: 50, path: 'runs/a/step-50' },
    { type: 'notice', step: 50, code: 'note', message: 'a fact' },
    ...steps(50, 100, 200),
    end(100, 200, { reason, ...(reason === 'error' ? { error: new Error('boom') } : {}) }),
  ];

  test.each(['done', 'break', 'abort', 'error'] as const)(
    'after %s the bar stays, lines stand above and below, and the terminal is as it was',
    async (reason) => {
      const stream = new Screen(200);
      let ms = 0;
      const listener = progressBar({ stream, now: () => ms });
      for (const event of events(reason)) {
        ms += 40;
        await listener(event);
      }
      expect(stream.rows).toEqual([
        expect.stringContaining('training for 200 steps'),
        expect.stringContaining('step 50/200: eval accuracy 50.0%'),
        'step 50/200: saved runs/a/step-50',
        'step 50/200: a fact (note)',
        expect.stringMatching(
          /^\[={12} {12}\] {2}100\/200 50% {2}lr 0.00199 {2}smoothed loss [\d.]+ .* left {2}eval 50.0%$/,
        ),
        expect.stringMatching(/^(done|stopped by the loop|aborted|failed: boom), 100 of 200 steps/),
        '',
      ]);
      // The cursor was neither hidden nor moved away, and line wrapping not switched off.
      expect(stream.text).not.toMatch(/\?25|\?7/);
      for (const saved of ['\u001b7', '\u001b8']) expect(stream.text).not.toContain(saved);
    },
  );

  test.each([
    [10, '200/12345'],
    [20, '200/123456 0%'],
    [36, 'smoothed loss 1.999'],
    [50, 'left'],
    [80, 'lr 0.00299'],
    [120, 'batch accuracy 0.1%'],
  ])('never wraps at %d columns', async (columns, least) => {
    const stream = new Screen(columns);
    let ms = 0;
    const listener = progressBar({ stream, now: () => ms });
    await listener(start(0, 123_456));
    const [wraps, rows] = [stream.wraps, stream.rows.length]; // the line about the start may be long
    for (const event of steps(0, 200, 123_456)) {
      ms += 120;
      await listener(event);
    }
    expect(stream.wraps).toBe(wraps);
    expect(stream.rows.length).toBe(rows);
    expect(stream.rows.at(-1).length).toBeLessThan(columns);
    expect(stream.rows.at(-1)).toContain(least);
    await listener(end(200, 123_456));
  });

  test('a run that was forgotten does not keep the process alive', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const stream = new Screen(80);
    const listener = progressBar({ stream });
    await listener(start(0, 100));
    expect(timers()).toBe(before);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(stream.text.match(/0\/100/g)!.length).toBeGreaterThan(2); // there is a timer
    await listener(end(0, 100));
  });

  test('a terminal that was hung up ends the output, not the run', async () => {
    const stream = new Broken({ code: 'EIO' });
    stream.isTTY = true;
    let ms = 0;
    const listener = progressBar({ stream, now: () => (ms += 200) });
    await play(listener, [start(0, 100), ...steps(0, 20, 100)]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await play(listener, steps(20, 21, 100));
    const { attempts } = stream;
    await play(listener, [...steps(21, 40, 100), end(40, 100)]);
    expect(stream.attempts).toBe(attempts);
  });
});

// ---- JSON lines ---------------------------------------------------------------------------------------------------
