/** The report of a run in a folder: its events, a summary and a chart. */
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { nodeFiles, type Files } from '../../files.ts';
import { checkOptions, checkText, isPromise, isRecord, show } from '../../options.ts';
import type { Report } from '../../backends/report.ts';
import { isBetter } from '../evaluate.ts';
import type { EndEvent, EvalEvent, Listener, Notice, StartEvent, StepEvent, TrainEvent } from '../events.ts';
import { curveSvg, type CurveSeries } from './curve.ts';
import { EventLog, replaceText, toLine, type LoggedEvent } from './files.ts';
import { formatPercent, number } from './format.ts';

export interface ReportOptions {
  /** Additional JSON data about the run, for instance the configs of its schedules. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The title of the chart. Default: the name of the folder. */
  readonly title?: string;
}

/** An evaluation in the summary. */
interface Quality {
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The contents of summary.json. */
export interface RunSummary {
  /** 'running' until the end, then the reason of the end. It stays 'running' after a killed process. */
  readonly state: 'running' | EndEvent['reason'];
  /** Updates done. */
  readonly step: number;
  readonly steps: number;
  /** The accuracy of the last evaluation. Null without evaluations, or without this metric. */
  readonly accuracy: number | null;
  /** The last evaluation. */
  readonly last: Quality | null;
  /** The evaluation with the highest accuracy, or with the lowest loss if there is no accuracy. */
  readonly best: Quality | null;
  /** Wall time of this process in milliseconds. */
  readonly ms: number;
  /** Wall time of all steps of the run in milliseconds. */
  readonly stepMs: number;
  /** Wall time of all evaluations of the run in milliseconds. */
  readonly evalMs: number;
  /** Lengths and seed of the run, and `ReportOptions.config`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The report of the backend. */
  readonly report: Report;
  /** Versions of cyclegrad, Node and V8, and the platform. */
  readonly versions: Readonly<Record<string, string>>;
  readonly error?: { readonly name: string; readonly message: string };
}

/** The approximate number of step records, more than the chart has pixels. */
const RECORDS = 1000;

/**
 * A listener that writes a report of the run into the folder `dir`, which is created if it is missing:
 *
 *   events.jsonl   all events, with about 1000 step events. Each represents the `over` updates up to its `step`. Loss, metrics and ms
 *                  are their means. The hyperparameters are those of its `step`.
 *   summary.json   accuracy, times, configuration, versions and the report of the backend: see RunSummary
 *   curve.svg      accuracy, loss and learning rate over steps
 *
 * summary.json and curve.svg are replaced atomically at every evaluation and at the end. A resumed run appends to events.jsonl, so
 * summary and chart cover the complete run. A new run replaces it. The events are flushed to the disk before each checkpoint.
 *
 * Throws TypeError or RangeError for invalid arguments. The listener throws DataError if it cannot write a file, or if an existing
 * events.jsonl is not a log of events.
 *
 * @example await fit({ ...options, listeners: [report('runs/report', { title: 'triangular' })] });
 */
export function report(dir: string, options: ReportOptions = {}): Listener {
  if (typeof dir !== 'string' || dir === '') {
    throw new TypeError(`report: dir must be the path of a folder, got ${show(dir)}`);
  }
  checkOptions('report', options, ['config', 'title']);
  if (options.title !== undefined) checkText('report', 'title', options.title);
  if (options.config !== undefined && (!isRecord(options.config) || isPromise(options.config))) {
    throw new TypeError(`report: config must be an object of plain data, got ${show(options.config)}`);
  }
  return reportTo(nodeFiles, dir, options);
}

/** `report` for any file system, with checked options. */
export function reportTo(files: Files, dir: string, options: ReportOptions): Listener {
  let run: RunReport | null = null;
  const listener = async (event: TrainEvent): Promise<void> => {
    if (event.type === 'start') run = await RunReport.open(files, dir, event, options);
    const current = run;
    if (event.type === 'end') run = null;
    // Without a start there is no run to report.
    await current?.take(event);
  };
  return Object.assign(listener, {
    flush: async () => run?.flush(),
    takeNotices: () => run?.takeNotices() ?? [],
  });
}

/** A line of events.jsonl that represents `over` updates. */
type StepRecord = StepEvent & { readonly over: number };

class RunReport {
  private readonly interval: number;
  private readonly records: StepRecord[];
  private readonly evals: EvalEvent[];
  private pending: StepEvent[] = [];
  private step: number;
  private readonly started = performance.now();
  private readonly files: Files;
  private readonly dir: string;
  private readonly start: StartEvent;
  private readonly options: ReportOptions;
  private readonly log: EventLog;
  private notices: readonly Notice[];

  private constructor(files: Files, dir: string, start: StartEvent, options: ReportOptions, log: EventLog) {
    this.files = files;
    this.dir = dir;
    this.start = start;
    this.options = options;
    this.log = log;
    this.notices = log.notices;
    this.step = start.step;
    this.interval = Math.max(1, Math.ceil(start.steps / RECORDS));
    this.records = log.earlier.filter((event) => event.type === 'step').map(toRecord);
    this.evals = log.earlier.filter((event) => event.type === 'eval').map(toEval);
  }

  static async open(
    files: Files,
    dir: string,
    start: StartEvent,
    options: ReportOptions,
  ): Promise<RunReport> {
    const log = await EventLog.open(files, 'report', join(dir, 'events.jsonl'), {
      resumed: start.step,
      existing: start.step > 0 ? 'keep' : 'discard',
    });
    return new RunReport(files, dir, start, options, log);
  }

  takeNotices(): readonly Notice[] {
    const taken = this.notices;
    this.notices = [];
    return taken;
  }

  /** Flushes the events so far to the disk. No record may cover steps on both sides of a checkpoint, from which a run resumes. */
  async flush(): Promise<void> {
    await this.record();
    await this.log.flush();
  }

  async take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      this.step = event.step + 1;
      this.pending.push(event);
      if (this.step % this.interval === 0) await this.record();
      return;
    }
    if (event.type === 'checkpoint' || event.type === 'end') await this.record();
    await this.log.write(event);
    if (event.type === 'end') await this.log.flush();
    if (event.type === 'eval') this.addEval(event);
    if (event.type === 'eval' || event.type === 'end') await this.publish(event);
  }

  /** Writes a record of the steps since the last one. */
  private async record(): Promise<void> {
    const last = this.pending.at(-1);
    if (last === undefined) return;
    const over = this.pending.length;
    const mean = (of: (event: StepEvent) => number): number =>
      this.pending.reduce((sum, event) => sum + of(event), 0) / over;
    const metrics = Object.fromEntries(
      Object.keys(last.metrics).map((name) => [name, mean((event) => event.metrics[name] ?? NaN)]),
    );
    const record: StepRecord = {
      ...last,
      loss: mean((event) => event.loss),
      metrics,
      ms: mean((event) => event.ms),
      over,
    };
    this.pending = [];
    this.records.push(record);
    await this.log.write(record);
  }

  private addEval(event: EvalEvent): void {
    // A resumed run may repeat the evaluation at its first step.
    if (this.evals.at(-1)?.step === event.step) this.evals.pop();
    this.evals.push(event);
  }

  private async publish(event: EvalEvent | EndEvent): Promise<void> {
    const summary = this.summary(event.type === 'end' ? event : null);
    await replaceText(this.files, 'report', join(this.dir, 'summary.json'), `${pretty(summary)}\n`);
    await replaceText(this.files, 'report', join(this.dir, 'curve.svg'), this.picture(summary));
  }

  private summary(end: EndEvent | null): RunSummary {
    const { start, records, pending, evals } = this;
    const last = evals.at(-1);
    const best = evals.reduce<EvalEvent | undefined>(
      (top, event) => (top === undefined || isBetter(event, top) ? event : top),
      undefined,
    );
    const recorded = records.reduce((sum, record) => sum + record.ms * record.over, 0);
    const { steps, stepsPerEpoch, batchSize, seed } = start;
    return {
      state: end?.reason ?? 'running',
      step: this.step,
      steps,
      accuracy: last?.metrics['accuracy'] ?? null,
      last: last ? quality(last) : null,
      best: best ? quality(best) : null,
      ms: end?.ms ?? performance.now() - this.started,
      stepMs: pending.reduce((sum, event) => sum + event.ms, recorded),
      evalMs: evals.reduce((sum, event) => sum + event.ms, 0),
      config: { steps, stepsPerEpoch, batchSize, seed, ...this.options.config },
      report: start.report,
      versions: versions(),
      ...(end?.error === undefined ? {} : { error: describeError(end.error) }),
    };
  }

  private picture({ last, best }: RunSummary): string {
    const { records, evals, start } = this;
    // A hundredth of the run: long enough to average the noise of batches, short enough to show a cycle.
    const window = Math.max(this.interval, Math.round(start.steps / 100));
    const smooth = (of: (record: StepRecord) => number): [number, number][] =>
      movingMean(records, window, of);
    const hyper = (name: string): [number, number][] =>
      records.map((record) => [record.step, record.hyper[name] ?? NaN]);

    const hasAccuracy = [...records, ...evals].some((event) => 'accuracy' in event.metrics);
    const series: CurveSeries[] = [];
    if (hasAccuracy) {
      series.push(
        {
          label: 'training accuracy',
          points: smooth((record) => record.metrics['accuracy'] ?? NaN),
          color: '#0072b2',
          opacity: 0.45,
        },
        {
          label: 'evaluation accuracy',
          points: evals.map((event) => [event.step, event.metrics['accuracy'] ?? NaN]),
          color: '#0072b2',
          dots: evals.length <= 80,
        },
      );
    } else {
      series.push({
        label: 'evaluation loss',
        points: evals.map((event) => [event.step, event.loss]),
        color: '#0072b2',
        dots: evals.length <= 80,
      });
    }
    series.push({
      label: hasAccuracy ? 'training loss (right axis)' : 'training loss',
      points: smooth((record) => record.loss),
      side: hasAccuracy ? 'right' : 'left',
      color: '#c24f00',
      width: 1.5,
    });
    series.push({ label: 'learning rate', points: hyper('lr'), panel: 1, color: '#00805e' });
    const momentum = hyper('momentum');
    const cycles = momentum.some(([, value]) => value !== momentum[0][1] && !Number.isNaN(value));
    if (cycles) {
      series.push({
        label: 'momentum (right axis)',
        points: momentum,
        panel: 1,
        side: 'right',
        color: '#a9527f',
      });
    }

    const facts = [
      `${start.report.backend}, ${start.report.threads} thread${start.report.threads === 1 ? '' : 's'}`,
      `batch ${start.batchSize}`,
      `seed ${start.seed}`,
      ...(window > 1 ? [`training curves are means of ${window} steps`] : []),
      ...(last ? [`last ${formatQuality(last)}`] : []),
      ...(best && best.step !== last?.step ? [`best ${formatQuality(best)} at step ${best.step}`] : []),
    ];
    return curveSvg(series, {
      title: this.options.title ?? basename(resolve(this.dir)),
      subtitle: facts.join('  ·  '),
      x: { label: 'steps', domain: [0, Math.max(1, start.steps)] },
      panels: [
        hasAccuracy
          ? {
              left: { label: 'accuracy', format: 'percent' },
              right: { label: 'loss' },
              weight: 5,
            }
          : { left: { label: 'loss' }, weight: 5 },
        {
          left: { label: 'learning rate' },
          ...(cycles ? { right: { label: 'momentum' } } : {}),
          weight: 3,
        },
      ],
    });
  }
}

function quality({ step, loss, metrics }: EvalEvent): Quality {
  return { step, loss, metrics };
}

function formatQuality({ loss, metrics }: Quality): string {
  const { accuracy } = metrics;
  return accuracy === undefined ? `loss ${number(loss)}` : formatPercent(accuracy);
}

/** Centered mean over `window` steps, weighted by the number of updates of each record. */
function movingMean(
  records: readonly StepRecord[],
  window: number,
  of: (record: StepRecord) => number,
): [number, number][] {
  let [first, end] = [0, 0];
  return records.map(({ step }) => {
    while (end < records.length && records[end].step <= step + window / 2) end++;
    while (records[first].step < step - window / 2) first++;
    const near = records.slice(first, end); // few records; a running sum would keep the rounding error of one huge loss
    const updates = near.reduce((sum, record) => sum + record.over, 0);
    return [step, near.reduce((sum, record) => sum + of(record) * record.over, 0) / updates];
  });
}

/** Numbers from the JSON of `toLine`. */
function numbers(value: unknown): Record<string, number> {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, number]) => [name, Number(number)]));
}

function toRecord(event: LoggedEvent): StepRecord {
  return {
    type: 'step',
    step: event.step,
    steps: Number(event['steps']),
    hyper: numbers(event['hyper']),
    loss: Number(event['loss']),
    metrics: numbers(event['metrics']),
    ms: Number(event['ms']),
    over: Number(event['over'] ?? 1),
  };
}

function toEval(event: LoggedEvent): EvalEvent {
  return {
    type: 'eval',
    step: event.step,
    loss: Number(event['loss']),
    metrics: numbers(event['metrics']),
    examples: Number(event['examples']),
    ms: Number(event['ms']),
  };
}

function describeError(error: unknown): { name: string; message: string } {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: typeof error, message: String(error) };
}

/** Indented JSON, with the conversions of `toLine`. */
function pretty(summary: RunSummary): string {
  return JSON.stringify(JSON.parse(toLine(summary)), null, 2);
}

function versions(): Record<string, string> {
  const { node, v8 } = process.versions;
  return { cyclegrad: ownVersion(), node, v8, platform: `${process.platform}-${process.arch}` };
}

/** The version in package.json, whose distance differs for the sources, the build and the bundle. */
function ownVersion(): string {
  for (const up of ['../..', '../../..', '../../../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { name?: string; version?: string };
      if (name === 'cyclegrad' && version !== undefined) return version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
