/** Events, streams and pictures for the tests of listeners. */
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { expect } from 'vitest';
import {
  type EndEvent,
  type EvalEvent,
  type Listener,
  type StartEvent,
  type StepEvent,
  type TrainEvent,
} from 'cyclegrad';

export function start(step: number, steps: number, fallback: string | null = null): StartEvent {
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

export function stepEvent(step: number, steps: number, change: Partial<StepEvent> = {}): StepEvent {
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

export function evalEvent(step: number, accuracy: number): EvalEvent {
  return { type: 'eval', step, loss: 1 - accuracy, metrics: { accuracy }, examples: 10_000, ms: 2500 };
}

export function end(step: number, steps: number, change: Partial<EndEvent> = {}): EndEvent {
  return { type: 'end', reason: 'done', step, steps, last: null, best: null, ms: 1000, ...change };
}

export async function play(listener: Listener, events: readonly TrainEvent[]): Promise<void> {
  for (const event of events) await listener(event);
}

export class Memory extends Writable {
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

export class Broken extends Writable {
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
export class Screen extends Writable {
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

export function readEvents(path: string): TrainEvent[] {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TrainEvent);
}

/** 's0' start at 0, '5' step 5, 'e5', 'c5', 'n5', 'end5'. */
export function brief(events: readonly TrainEvent[]): string {
  const letters = { start: 's', step: '', eval: 'e', checkpoint: 'c', notice: 'n', end: 'end' };
  return events.map((event) => letters[event.type] + event.step).join(' ');
}

export const steps = (from: number, to: number, total: number): StepEvent[] =>
  Array.from({ length: to - from }, (_, index) => stepEvent(from + index, total));

// ---- progress -----------------------------------------------------------------------------------------------------

/** The corners of a drawn line. */
export function points(svg: string, label: string): [number, number][] {
  const path = new RegExp(`<path data-series="${label.replace(/[()]/g, '\\$&')}" d="([^"]*)"`).exec(svg);
  if (!path) throw new Error(`no series '${label}'`);
  return path[1]
    .split(/[ML]/)
    .filter((pair) => pair !== '')
    .map((pair) => pair.replace('Z', '').split(',').map(Number) as [number, number]);
}

/** Where the picture puts a tick's value, by its text. */
export function tick(svg: string, kind: string, label: string): number {
  for (const [, x, y, text] of svg.matchAll(
    new RegExp(`<text x="([^"]*)" y="([^"]*)"[^>]*class="${kind}"[^>]*>([^<]*)<`, 'g'),
  )) {
    if (text === label) return kind === 'x-tick' ? Number(x) : Number(y) - 15 * 0.35;
  }
  throw new Error(`no ${kind} '${label}'`);
}

export function ticks(svg: string, kind: string): string[] {
  return [...svg.matchAll(new RegExp(`class="${kind}"[^>]*>([^<]*)<`, 'g'))].map((m) => m[1]);
}

/** Elements nest, attributes are quoted, and nothing that must be escaped is not. */
export function expectWellFormed(svg: string): void {
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
