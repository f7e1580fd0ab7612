/** Shows how a run is going: a bar on a terminal, plain lines everywhere else. */
import type { MultiBar } from 'cli-progress';
import { checkInteger, checkOptions } from '../../options.ts';
import { simdName } from '../../backends/report.ts';
import type { EvalEvent, Listener, StartEvent, StepEvent, TrainEvent } from '../events.ts';
import { duration, message, metric, number, oneLine, percent, steady, whole } from './format.ts';
import { TextStream, type TextOutput } from './streams.ts';

export interface ProgressOptions {
  /** Where to show it; a terminal when it has `isTTY`. Standard error unless given. */
  readonly stream?: TextOutput & { readonly isTTY?: boolean };
  /** Steps from one line to the next where there is no terminal. Left out: a line every 10 seconds. */
  readonly every?: number;
  /** The time in milliseconds; for tests. */
  readonly now?: () => number;
}

const LINE_MS = 10_000;
const DRAW_MS = 100;
/** Steps over which loss, metrics and speed are smoothed: enough to be readable, few enough to follow a cycle. */
const SMOOTH_STEPS = 50;
const BAR_WIDTH = { min: 8, max: 24 };

/**
 * Shows steps, percent, learning rate, loss and batch metrics (smoothed over about 50 steps), speed, time and the
 * last evaluation. On a terminal that is one line, redrawn in place and cut to the terminal's width; elsewhere a line
 * every 10 seconds, or every `every` steps. Evaluations, checkpoints and notices become lines above the bar.
 *
 * A resumed run starts where it resumed; speed and time left count this process's steps only. The cursor is never
 * hidden and line wrapping never switched off, so that even a process that is killed leaves the terminal usable.
 *
 * Throws RangeError unless `every` is a whole number of 1 or more, and DataError when the stream cannot be written. A
 * reader that closes its end of the pipe is no failure: nothing more is shown, and training goes on.
 */
export function progressBar(options: ProgressOptions = {}): Listener {
  checkOptions('progressBar', options, ['stream', 'every', 'now']);
  const { stream = process.stderr, every, now = () => performance.now() } = options;
  if (every !== undefined) checkInteger('progressBar', 'every', every, 1);
  let view: View | null = null;
  return async (event) => {
    if (view === null) {
      // A run that failed before its start has only an `end`, and no meter.
      const meter = event.type === 'start' ? new Meter(event, now) : null;
      const text = new TextStream('progressBar', stream);
      view =
        stream.isTTY && meter
          ? await BarView.open(stream, text, meter, now)
          : new LineView(text, meter, every, now);
    }
    const current = view;
    if (event.type === 'end') view = null;
    await current.show(event);
  };
}

interface View {
  show(event: TrainEvent): Promise<void>;
}

/** What is known about the run, kept from its events. */
class Meter {
  readonly steps: number;
  done: number;
  private readonly first: number;
  private readonly batchSize: number;
  private readonly now: () => number;
  private readonly started: number;
  private mark: number;
  /** When the first step began: an evaluation before it says nothing about the steps to come. */
  private firstStep: number | null = null;
  private msPerStep = 0;
  private loss = 0;
  private metrics: Record<string, number> = {};
  private lr: number | undefined;
  private lastEval: EvalEvent | null = null;

  constructor(start: StartEvent, now: () => number) {
    this.steps = start.steps;
    this.done = this.first = start.step;
    this.batchSize = start.batchSize;
    this.now = now;
    this.started = this.mark = now();
  }

  take(event: TrainEvent): void {
    if (event.type === 'step') this.takeStep(event);
    if (event.type === 'eval') this.lastEval = event;
    this.mark = this.now(); // so that the time of an evaluation does not count as a slow step
  }

  private takeStep(event: StepEvent): void {
    this.done = event.step + 1;
    this.firstStep ??= this.mark;
    this.lr = event.hyper['lr'];
    // A plain mean at first, then an exponential one: no start-up bias.
    const weight = 1 / Math.min(this.done - this.first, SMOOTH_STEPS);
    const smooth = (old: number | undefined, value: number): number =>
      old === undefined || weight === 1 ? value : old + (value - old) * weight;
    this.loss = smooth(this.loss, event.loss);
    for (const [name, value] of Object.entries(event.metrics)) {
      this.metrics[name] = smooth(this.metrics[name], value);
    }
    this.msPerStep = smooth(this.msPerStep, this.now() - this.mark);
  }

  /** The parts of the line in the order in which they are shown, each with how soon it gives way (0: never). */
  private parts(): { readonly text: string; readonly givesWay: number }[] {
    const here = this.done - this.first;
    const share = this.steps > 0 ? this.done / this.steps : 1;
    const parts = [{ text: `${this.done}/${this.steps} ${Math.floor(share * 100)}%`, givesWay: 0 }];
    if (here > 0) {
      const elapsed = this.now() - this.started;
      const left = ((this.now() - (this.firstStep ?? this.started)) / here) * (this.steps - this.done);
      if (this.lr !== undefined) parts.push({ text: `lr ${number(this.lr)}`, givesWay: 3 });
      parts.push({ text: `smoothed loss ${steady(this.loss)}`, givesWay: 1 });
      for (const [name, value] of Object.entries(this.metrics)) {
        parts.push({ text: `batch ${metric(name, value)}`, givesWay: name === 'accuracy' ? 4 : 8 });
      }
      if (this.msPerStep > 0) {
        const rate = (this.batchSize * 1000) / this.msPerStep;
        parts.push({
          text: `${rate < 10 ? number(rate) : whole(rate)} examples/s`,
          givesWay: 6,
        });
      }
      parts.push({ text: duration(elapsed), givesWay: 7 });
      parts.push({ text: `${duration(left)} left`, givesWay: 2 });
    }
    if (this.lastEval) {
      const { loss, metrics } = this.lastEval;
      const quality = metrics['accuracy'] === undefined ? metric('loss', loss) : percent(metrics['accuracy']);
      parts.push({ text: `eval ${quality}`, givesWay: 5 });
    }
    return parts;
  }

  /** As much as fits into `width` columns, the bar last: it is the least informative part. */
  line(width: number): string {
    const parts = this.parts();
    const join = (): string => parts.map((part) => part.text).join('  ');
    while (join().length > width && parts.length > 1) {
      const first = parts.reduce((a, b) => (b.givesWay >= a.givesWay ? b : a));
      parts.splice(parts.indexOf(first), 1);
    }
    const text = join().slice(0, Math.max(0, width));
    if (width === Infinity) return text;
    const room = Math.min(width - text.length - 4, BAR_WIDTH.max);
    if (room < BAR_WIDTH.min) return text;
    const filled = Math.round(room * (this.steps > 0 ? this.done / this.steps : 1));
    return `[${'='.repeat(filled)}${' '.repeat(room - filled)}]  ${text}`;
  }
}

/** What an event says in words; nothing for a step. */
function describe(event: TrainEvent, steps: number): string[] {
  switch (event.type) {
    case 'start': {
      const { backend, executor, threads, fallback } = event.report;
      const simd = simdName(event.report);
      const how = [executor, `${threads} thread${threads === 1 ? '' : 's'}`];
      if (simd !== undefined) how.push(`${simd} SIMD`);
      const lines = [
        `${event.step > 0 ? `resumed at step ${event.step} of` : 'training for'} ${event.steps} step${event.steps === 1 ? '' : 's'}: ` +
          `batch ${event.batchSize}, ${event.stepsPerEpoch} steps an epoch, seed ${event.seed}, ` +
          `on ${backend} (${how.join(', ')})`,
      ];
      if (fallback !== null) lines.push(`not the fast executor: ${oneLine(fallback)}`);
      return lines;
    }
    case 'step':
      return [];
    case 'eval':
      return [
        `step ${event.step}/${steps}: eval ${quality(event)} ` +
          `(${whole(event.examples)} examples in ${(event.ms / 1000).toFixed(1)} s)`,
      ];
    case 'checkpoint':
      return [`step ${event.step}/${steps}: saved ${event.path}`];
    case 'notice':
      return [`step ${event.step}/${steps}: ${oneLine(event.message)} (${event.code})`];
    case 'end': {
      const ways = {
        done: 'done',
        break: 'stopped by the loop',
        abort: 'aborted',
        error: `failed: ${message(event.error)}`,
      };
      const lines = [`${ways[event.reason]}, ${event.step} of ${event.steps} steps, ${duration(event.ms)}`];
      if (event.last) lines.push(`last eval, step ${event.last.step}: ${quality(event.last)}`);
      if (event.best && event.best.step !== event.last?.step) {
        lines.push(`best eval, step ${event.best.step}: ${quality(event.best)}`);
      }
      return lines;
    }
  }
}

function quality(event: EvalEvent): string {
  const metrics = Object.entries(event.metrics).map(([name, value]) => metric(name, value));
  return [...metrics, metric('loss', event.loss)].join(', ');
}

/** Plain lines, for files and pipes. */
class LineView implements View {
  private readonly text: TextStream;
  private readonly meter: Meter | null;
  private readonly every: number | undefined;
  private readonly now: () => number;
  private shown: number;

  constructor(text: TextStream, meter: Meter | null, every: number | undefined, now: () => number) {
    this.text = text;
    this.meter = meter;
    this.every = every;
    this.now = now;
    this.shown = now();
  }

  async show(event: TrainEvent): Promise<void> {
    const { meter, text } = this;
    meter?.take(event);
    const lines = describe(event, meter?.steps ?? 0);
    if (event.type === 'step' && meter && this.isDue(meter)) {
      this.shown = this.now();
      lines.push(meter.line(Infinity));
    }
    if (lines.length > 0) await text.write(`${lines.join('\n')}\n`);
    if (event.type === 'end') text.release();
  }

  private isDue(meter: Meter): boolean {
    return this.every === undefined ? this.now() - this.shown >= LINE_MS : meter.done % this.every === 0;
  }
}

/** One line that is redrawn in place. */
class BarView implements View {
  private readonly text: TextStream;
  private readonly meter: Meter;
  private readonly now: () => number;
  private readonly bars: MultiBar;
  private drawn = -Infinity;
  private stopped = false;

  /** Only who looks at a terminal loads what draws bars: it is a fifth of the engine's start. */
  static async open(stream: TextOutput, text: TextStream, meter: Meter, now: () => number): Promise<BarView> {
    const { MultiBar: Bars } = await import('cli-progress');
    return new BarView(Bars, stream, text, meter, now);
  }

  private constructor(
    Bars: typeof MultiBar,
    stream: TextOutput,
    text: TextStream,
    meter: Meter,
    now: () => number,
  ) {
    this.text = text;
    this.meter = meter;
    this.now = now;
    // MultiBar, although there is one bar: a SingleBar cannot print lines above itself, and at its end puts the cursor
    // back where it was at the start, which is on top of lines printed since.
    this.bars = new Bars({
      stream: stream as unknown as NodeJS.WritableStream, // a terminal's is one
      fps: 1000 / DRAW_MS,
      forceRedraw: true, // printing lines wipes the bar
      hideCursor: false,
      linewrap: true, // true leaves the terminal's setting alone; null, which is documented to, switches wrapping off
      gracefulExit: false, // its handler would swallow the first Ctrl-C
      // The last column stays free: some terminals wrap as soon as it is written.
      format: (_options, { maxWidth }) => meter.line(maxWidth - 1),
    });
    this.bars.on('redraw-post', () => (this.drawn = this.now()));
    // The bar redraws itself on a timer. That must not be what keeps a process alive.
    this.bars.on('update-post', () => {
      (this.bars as unknown as { timer?: NodeJS.Timeout | null }).timer?.unref();
    });
    this.bars.create(meter.steps, meter.done);
  }

  async show(event: TrainEvent): Promise<void> {
    const { bars, meter, text } = this;
    meter.take(event);
    if (event.type === 'end' || !text.open) this.stop();
    if (event.type === 'end') {
      // Below the bar, which stays as it was at the end.
      await text.write(`${describe(event, meter.steps).join('\n')}\n`);
      text.release();
    }
    if (this.stopped) return;
    const lines = describe(event, meter.steps);
    for (const line of lines) bars.log(`${line}\n`);
    // The timer alone would not do: a backend that computes on this thread lets no timer run.
    if (lines.length > 0 || this.now() - this.drawn >= DRAW_MS) bars.update();
    text.check();
  }

  private stop(): void {
    if (!this.stopped) this.bars.stop();
    this.stopped = true;
  }
}
