import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  curveSvg,
  DataError,
  jsonLines,
  progressBar,
  report,
  type CurveOptions,
  type EndEvent,
  type EvalEvent,
  type Listener,
  type RunSummary,
  type StartEvent,
  type StepEvent,
  type TrainEvent,
} from 'cyclegrad';

// ---- events and streams to test with ------------------------------------------------------------------------------

function start(step: number, steps: number, fallback: string | null = null): StartEvent {
  return {
    type: 'start',
    step,
    steps,
    stepsPerEpoch: 10,
    batchSize: 100,
    seed: 7,
    report: {
      backend: 'wasm',
      executor: 'team of 2 workers',
      simd: 'relaxed',
      threads: 2,
      fallback,
      bytes: 1,
    },
  };
}

function stepEvent(step: number, steps: number, change: Partial<StepEvent> = {}): StepEvent {
  return {
    type: 'step',
    step,
    steps,
    hyper: { lr: 0.001 + step * 1e-5, momentum: 0.9 },
    loss: 2 - step / steps,
    metrics: { accuracy: step / steps },
    ms: 30,
    ...change,
  };
}

function evalEvent(step: number, accuracy: number): EvalEvent {
  return { type: 'eval', step, loss: 1 - accuracy, metrics: { accuracy }, examples: 10_000, ms: 2500 };
}

function end(step: number, steps: number, change: Partial<EndEvent> = {}): EndEvent {
  return { type: 'end', reason: 'done', step, steps, last: null, best: null, ms: 1000, ...change };
}

async function play(listener: Listener, events: readonly TrainEvent[]): Promise<void> {
  for (const event of events) await listener(event);
}

class Memory extends Writable {
  text = '';
  isTTY = false;
  columns = 80;
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

class Broken extends Writable {
  isTTY = false;
  columns = 80;
  attempts = 0;
  constructor({ code }: { code: string }) {
    super({ autoDestroy: false });
    this.code = code;
  }
  readonly code: string;
  override _write(_chunk: Buffer, _encoding: string, done: (error: Error) => void): void {
    this.attempts++;
    done(Object.assign(new Error(`write ${this.code}`), { code: this.code }));
  }
}

/** As much of a terminal as the bar needs. Fails on control sequences that it does not know. */
class Screen extends Writable {
  readonly isTTY = true;
  columns: number;
  text = '';
  rows: string[] = [''];
  wraps = 0;
  private row = 0;
  private column = 0;
  constructor(columns: number) {
    super();
    this.columns = columns;
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const text = chunk.toString();
    this.text += text;
    // oxlint-disable-next-line no-control-regex
    for (const token of text.match(/\u001b\[[?\d;]*[a-zA-Z]|\u001b.|[^]/g) ?? []) this.put(token);
    done();
  }
  private put(token: string): void {
    if (token === '\n') {
      this.row++;
      this.column = 0;
      this.rows[this.row] ??= '';
    } else if (token === '\u001b[1G') this.column = 0;
    else if (token === '\u001b[0K') this.rows[this.row] = this.rows[this.row].slice(0, this.column);
    else if (token === '\u001b[2K') this.rows[this.row] = '';
    else if (token.length > 1) throw new Error(`unknown control sequence ${JSON.stringify(token)}`);
    else {
      if (this.column === this.columns) {
        this.wraps++;
        this.put('\n');
      }
      const line = this.rows[this.row].padEnd(this.column);
      this.rows[this.row] = line.slice(0, this.column) + token + line.slice(this.column + 1);
      this.column++;
    }
  }
}

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-listeners-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function readEvents(path: string): TrainEvent[] {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TrainEvent);
}

/** 's0' start at 0, '5' step 5, 'e5', 'c5', 'n5', 'end5'. */
function brief(events: readonly TrainEvent[]): string {
  const letters = { start: 's', step: '', eval: 'e', checkpoint: 'c', notice: 'n', end: 'end' };
  return events.map((event) => letters[event.type] + event.step).join(' ');
}

const steps = (from: number, to: number, total: number): StepEvent[] =>
  Array.from({ length: to - from }, (_, index) => stepEvent(from + index, total));

// ---- progress -----------------------------------------------------------------------------------------------------

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

test('what is not for a listener is refused when it is made', () => {
  expect(() => report(undefined as never)).toThrow('report: dir must be the path of a folder, got undefined');
  expect(() => report('runs/a', { titel: 'a' } as never)).toThrow("report: unknown option 'titel'");
  expect(() => jsonLines(undefined as never)).toThrow('jsonLines: takes one object of options');
  expect(() => jsonLines({} as never)).toThrow('jsonLines: pass either path or stream');
  expect(() => progressBar({ evry: 2 } as never)).toThrow("progressBar: unknown option 'evry'");
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
    writeFileSync(foreign, '{"type":"start","step":0}\nmilk, eggs\n');
    await expect(jsonLines({ path: foreign })(start(5, 10))).rejects.toThrow(
      `jsonLines: ${foreign} is not a log of events: line 2 is "milk, eggs" (move the file, or use another path)`,
    );
    expect(readFileSync(foreign, 'utf8')).toContain('milk, eggs');
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

/** The corners of a drawn line. */
function points(svg: string, label: string): [number, number][] {
  const path = new RegExp(`<path data-series="${label.replace(/[()]/g, '\\$&')}" d="([^"]*)"`).exec(svg);
  if (!path) throw new Error(`no series '${label}'`);
  return path[1]
    .split(/[ML]/)
    .filter((pair) => pair !== '')
    .map((pair) => pair.replace('Z', '').split(',').map(Number) as [number, number]);
}

/** Where the picture puts a tick's value, by its text. */
function tick(svg: string, kind: string, label: string): number {
  for (const [, x, y, text] of svg.matchAll(
    new RegExp(`<text x="([^"]*)" y="([^"]*)"[^>]*class="${kind}"[^>]*>([^<]*)<`, 'g'),
  )) {
    if (text === label) return kind === 'x-tick' ? Number(x) : Number(y) - 15 * 0.35;
  }
  throw new Error(`no ${kind} '${label}'`);
}

function ticks(svg: string, kind: string): string[] {
  return [...svg.matchAll(new RegExp(`class="${kind}"[^>]*>([^<]*)<`, 'g'))].map((m) => m[1]);
}

/** Elements nest, attributes are quoted, and nothing that must be escaped is not. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  let crossed = false;
  const rest = svg.replace(
    /<(\/?)([a-zA-Z]+)((?:\s+[a-zA-Z][\w-]*="[^"<]*")*)\s*(\/?)>/g,
    (_, closing: string, name: string, _attributes, selfClosing: string) => {
      if (!closing && !selfClosing) open.push(name);
      if (closing) crossed ||= open.pop() !== name;
      return '';
    },
  );
  expect([crossed, open]).toEqual([false, []]);
  expect(rest).not.toMatch(/[<>]/);
  expect(svg).not.toMatch(/&(?!(amp|lt|gt|quot);)/);
}

describe('curveSvg', () => {
  const one: CurveOptions = { panels: [{ left: { label: 'learning rate' } }] };

  test('puts points where the ticks say', () => {
    const svg = curveSvg(
      [
        {
          label: 'lr',
          points: [
            [0, 0.002],
            [2000, 0.006],
            [4000, 0.002],
          ],
        },
        {
          label: 'acc',
          points: [
            [0, 0.1],
            [4000, 0.5],
          ],
          panel: 1,
        },
        {
          label: 'loss',
          points: [
            [0, 2],
            [4000, 1],
          ],
          panel: 1,
          side: 'right',
        },
      ],
      {
        panels: [
          { left: { label: 'learning rate', domain: [0, 0.006] } },
          {
            left: { label: 'accuracy', format: 'percent', domain: [0, 1] },
            right: { label: 'loss', domain: [0, 4] },
            weight: 2,
          },
        ],
      },
    );
    expectWellFormed(svg);
    const [a, b, c] = points(svg, 'lr');
    expect(a[0]).toBeCloseTo(tick(svg, 'x-tick', '0'), 1);
    expect(b[0]).toBeCloseTo(tick(svg, 'x-tick', '2,000'), 1);
    expect(c[0]).toBeCloseTo(tick(svg, 'x-tick', '4,000'), 1);
    expect(a[1]).toBeCloseTo(tick(svg, 'left-tick', '0.002'), 1);
    expect(b[1]).toBeCloseTo(tick(svg, 'left-tick', '0.006'), 1);
    expect(points(svg, 'acc')[1][1]).toBeCloseTo(
      (tick(svg, 'left-tick', '0%') + tick(svg, 'left-tick', '100%')) / 2,
      1,
    );
    expect(points(svg, 'loss')[0][1]).toBeCloseTo(points(svg, 'acc')[1][1], 1);
  });

  test.each([
    [[0.001, 0.006], '0.001', '0.006'],
    [[0, 0.00005], '0.00001', '0.00005'],
    [[0, 2e-6], '1e-6', '2e-6'],
    [[0, 3], '0', '3.0'],
    [[0, 25_000], '5,000', '25,000'],
  ])('labels %j with numbers one can read', ([low, high], ...wanted) => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, low],
            [1, high],
          ],
        },
      ],
      one,
    );
    expect(ticks(svg, 'left-tick')).toEqual(expect.arrayContaining(wanted));
    expect(new Set(ticks(svg, 'left-tick')).size).toBe(ticks(svg, 'left-tick').length);
  });

  test('logarithmic axes have powers of ten, and no points that are not positive', () => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [1e-5, 1],
            [1e-3, 100],
            [1e-2, 0],
            [1e-1, 10],
          ],
        },
      ],
      { x: { label: 'learning rate', scale: 'log' }, panels: [{ left: { label: 'loss', scale: 'log' } }] },
    );
    expect(ticks(svg, 'x-tick')).toEqual(['0.00001', '0.0001', '0.001', '0.01', '0.1']);
    expect(ticks(svg, 'left-tick')).toEqual(['1', '10', '100']);
    expect(points(svg, 'y')).toHaveLength(3);
    expect(points(svg, 'y')[1][0]).toBeCloseTo(tick(svg, 'x-tick', '0.001'), 1);
  });

  test('makes room for long numbers beside the axis', () => {
    const long = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1e-5],
            [1, 5e-5],
          ],
        },
      ],
      one,
    );
    const brief = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1],
            [1, 5],
          ],
        },
      ],
      one,
    );
    expect(points(long, 'y')[0][0]).toBeGreaterThan(points(brief, 'y')[0][0]);
  });

  test('escapes what people write', () => {
    const svg = curveSvg([{ label: 'a <b> & "c"', points: [[0, 1]] }], {
      ...one,
      title: '<script>&\u0000',
      subtitle: ']]>',
    });
    expectWellFormed(svg);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).not.toContain('\u0000');
  });

  test('a long series keeps its extremes and loses the rest', () => {
    const spike = 34_567;
    const svg = curveSvg(
      [{ label: 'y', points: Array.from({ length: 70_000 }, (_, i) => [i, i === spike ? 10 : i % 2]) }],
      one,
    );
    const drawn = points(svg, 'y');
    expect(drawn.length).toBeLessThan(8000);
    expect(Math.min(...drawn.map((point) => point[1]))).toBeCloseTo(tick(svg, 'left-tick', '10'), 1);
  });

  test('gaps stay gaps, and nothing at all is still a picture', () => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1],
            [1, NaN],
            [2, 3],
          ],
        },
      ],
      one,
    );
    expect(svg.match(/<path data-series="y" d="([^"]*)"/)![1].match(/M/g)).toHaveLength(2);
    expectWellFormed(curveSvg([], one));
    expectWellFormed(curveSvg([{ label: 'y', points: [] }], one));
    expectWellFormed(
      curveSvg(
        [
          {
            label: 'constant',
            points: [
              [5, 0.1],
              [9, 0.1],
            ],
          },
        ],
        one,
      ),
    );
  });

  test('refuses series and axes that are not there', () => {
    expect(() => curveSvg([{ label: 'y', points: [], panel: 1 }], one)).toThrow(
      "curveSvg: series 'y' is in panel 1, but there are 1",
    );
    expect(() => curveSvg([{ label: 'y', points: [], side: 'right' }], one)).toThrow(
      "curveSvg: series 'y' is on the right axis of panel 0, which has none",
    );
    expect(() => curveSvg([], { panels: [{ left: { label: 'y', domain: [1, 1] } }] })).toThrow(
      "curveSvg: axis 'y' has the empty domain [1, 1]",
    );
  });

  test('is the same every time', () => {
    const draw = (): string =>
      curveSvg(
        [
          {
            label: 'y',
            points: [
              [0, 1],
              [1, 2],
            ],
          },
        ],
        one,
      );
    expect(draw()).toBe(draw());
  });
});
