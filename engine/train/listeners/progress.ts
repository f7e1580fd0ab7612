/** The progress of a run: a bar on a terminal, plain lines elsewhere. */
import type { MultiBar } from 'cli-progress';
import { checkFunction, checkInteger, checkKind, checkOptions } from '../../options.ts';
import { simdName } from '../../backends/report.ts';
import type { EvalEvent, Listener, StartEvent, StepEvent, TrainEvent } from '../events.ts';
import {
  formatDuration,
  formatPercent,
  message,
  metric,
  number,
  oneLine,
  steady,
  thousands,
} from './format.ts';
import { TextStream, type TextOutput } from './streams.ts';

export interface ProgressOptions {
  /** The output, a terminal if it has `isTTY`. Default: standard error. */
  readonly stream?: TextOutput & { readonly isTTY?: boolean };
  /** Steps between lines, for an output that is not a terminal. Default: a line every 10 seconds. */
  readonly every?: number;
  /** Returns the time in milliseconds, for tests. Default: `performance.now`. */
  readonly now?: () => number;
}

const LINE_MS = 10_000;
const DRAW_MS = 100;
/** The number of steps over which loss, metrics and speed are smoothed: a compromise between noise and following a cycle. */
const SMOOTH_STEPS = 50;
const BAR_WIDTH = { min: 8, max: 24 };

/**
 * A listener that shows the progress: steps, learning rate, loss and batch metrics (smoothed over about 50 steps), speed, time and the
 * last evaluation. On a terminal, it is one line that is redrawn in place. Elsewhere, it is a line every 10 seconds, or every `every`
 * steps. Evaluations, checkpoints and notices have lines of their own.
 *
 * Units: speed in examples per second, time in hours, minutes and seconds. Both count only the steps of this process.
 * Throws RangeError unless `every` is an integer >= 1. The listener throws DataError if it cannot write. If the reader of a pipe closes
 * it, training continues without output.
 *
 * @example await fit({ ...options, listeners: [progressBar()] });
 */
export function progressBar(options: ProgressOptions = {}): Listener {
  checkOptions('progressBar', options, ['stream', 'every', 'now']);
  const { stream = process.stderr, every, now = () => performance.now() } = options;
  if (every !== undefined) checkInteger('progressBar', 'every', every, 1);
  checkFunction('progressBar', 'now', now);
  checkKind('progressBar', 'stream', stream, 'write', 'a stream, for instance process.stderr');
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

/** The status of the run, from its events. */
class Meter {
  readonly steps: number;
  done: number;
  private readonly first: number;
  private readonly batchSize: number;
  private readonly now: () => number;
  private readonly started: number;
  private mark: number;
  /** The start time of the first step, which excludes an evaluation before it. */
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
    this.mark = this.now(); // the time of an evaluation must not count as a slow step
  }

  private takeStep(event: StepEvent): void {
    this.done = event.step + 1;
    this.firstStep ??= this.mark;
    this.lr = event.hyper['lr'];
    // First a plain mean, then an exponential one, which avoids a bias at the start.
    const weight = 1 / Math.min(this.done - this.first, SMOOTH_STEPS);
    const smooth = (old: number | undefined, value: number): number =>
      old === undefined || weight === 1 ? value : old + (value - old) * weight;
    this.loss = smooth(this.loss, event.loss);
    for (const [name, value] of Object.entries(event.metrics)) {
      this.metrics[name] = smooth(this.metrics[name], value);
    }
    this.msPerStep = smooth(this.msPerStep, this.now() - this.mark);
  }

  /** The parts of the line. If there is too little room, the part with the highest `dropOrder` is dropped first, 0 never. */
  private parts(): { readonly text: string; readonly dropOrder: number }[] {
    const stepsHere = this.done - this.first;
    const fraction = this.steps > 0 ? this.done / this.steps : 1;
    const parts = [{ text: `${this.done}/${this.steps} ${Math.floor(fraction * 100)}%`, dropOrder: 0 }];
    if (stepsHere > 0) {
      const elapsed = this.now() - this.started;
      const left = ((this.now() - (this.firstStep ?? this.started)) / stepsHere) * (this.steps - this.done);
      if (this.lr !== undefined) parts.push({ text: `lr ${number(this.lr)}`, dropOrder: 3 });
      parts.push({ text: `smoothed loss ${steady(this.loss)}`, dropOrder: 1 });
      for (const [name, value] of Object.entries(this.metrics)) {
        parts.push({ text: `batch ${metric(name, value)}`, dropOrder: name === 'accuracy' ? 4 : 8 });
      }
      if (this.msPerStep > 0) {
        const rate = (this.batchSize * 1000) / this.msPerStep;
        parts.push({
          text: `${rate < 10 ? number(rate) : thousands(rate)} examples/s`,
          dropOrder: 6,
        });
      }
      parts.push({ text: formatDuration(elapsed), dropOrder: 7 });
      parts.push({ text: `${formatDuration(left)} left`, dropOrder: 2 });
    }
    if (this.lastEval) {
      const { loss, metrics } = this.lastEval;
      const quality =
        metrics['accuracy'] === undefined ? metric('loss', loss) : formatPercent(metrics['accuracy']);
      parts.push({ text: `eval ${quality}`, dropOrder: 5 });
    }
    return parts;
  }

  /** The parts that fit into `width` columns. The bar is drawn only if there is room left. */
  line(width: number): string {
    const parts = this.parts();
    const join = (): string => parts.map((part) => part.text).join('  ');
    while (join().length > width && parts.length > 1) {
      const first = parts.reduce((a, b) => (b.dropOrder >= a.dropOrder ? b : a));
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

/** The lines of an event. A step has none. */
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
      if (fallback !== null) lines.push(`slower executor: ${oneLine(fallback)}`);
      return lines;
    }
    case 'step':
      return [];
    case 'eval':
      return [
        `step ${event.step}/${steps}: eval ${quality(event)} ` +
          `(${thousands(event.examples)} examples in ${(event.ms / 1000).toFixed(1)} s)`,
      ];
    case 'checkpoint':
      return [`step ${event.step}/${steps}: saved ${event.path}`];
    case 'notice':
      return [`step ${event.step}/${steps}: ${oneLine(event.message)} (${event.code})`];
    case 'end': {
      const endings = {
        done: 'done',
        stop: `stopped: ${oneLine(event.stopped ?? '')}`,
        break: 'stopped by the loop',
        abort: 'aborted',
        error: `failed: ${message(event.error)}`,
      };
      const lines = [
        `${endings[event.reason]}, ${event.step} of ${event.steps} steps, ${formatDuration(event.ms)}`,
      ];
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

/** Progress as plain lines, for files and pipes. */
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

/** Progress as one line that is redrawn in place. */
class BarView implements View {
  private readonly text: TextStream;
  private readonly meter: Meter;
  private readonly now: () => number;
  private readonly bars: MultiBar;
  private drawn = -Infinity;
  private stopped = false;

  /** Loads cli-progress only for a terminal: it takes a fifth of the start time of the engine. */
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
    // MultiBar, although there is only one bar: a SingleBar cannot print lines above itself, and finally moves the cursor back
    // to its start, over lines that were printed since.
    this.bars = new Bars({
      stream: stream as unknown as NodeJS.WritableStream, // a terminal is a WritableStream
      fps: 1000 / DRAW_MS,
      forceRedraw: true, // printing lines erases the bar
      hideCursor: false, // a killed process must leave the terminal usable
      linewrap: true, // true keeps the setting of the terminal; null, which is documented to keep it, turns wrapping off
      gracefulExit: false, // its handler would intercept the first Ctrl-C
      // The last column stays free, because some terminals wrap when it is written.
      format: (_options, { maxWidth }) => meter.line(maxWidth - 1),
    });
    this.bars.on('redraw-post', () => (this.drawn = this.now()));
    // The bar redraws itself with a timer, which must not keep the process alive.
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
      // Below the bar, which stays.
      await text.write(`${describe(event, meter.steps).join('\n')}\n`);
      text.release();
    }
    if (this.stopped) return;
    const lines = describe(event, meter.steps);
    for (const line of lines) bars.log(`${line}\n`);
    // A backend that computes on this thread blocks the timer, so the bar is also updated here.
    if (lines.length > 0 || this.now() - this.drawn >= DRAW_MS) bars.update();
    text.check();
  }

  private stop(): void {
    if (!this.stopped) this.bars.stop();
    this.stopped = true;
  }
}
