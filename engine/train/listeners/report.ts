/** Leaves a record of a run in a folder: its events, a summary, a picture. */
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { checkOptions, show } from '../../options.ts';
import type { Report } from '../../backends/report.ts';
import { isBetter } from '../evaluate.ts';
import type { EndEvent, EvalEvent, Listener, StartEvent, StepEvent, TrainEvent } from '../events.ts';
import { curveSvg, type CurveSeries } from './curve.ts';
import { EventLog, toLine, writeAtomic, type LoggedEvent } from './files.ts';
import { percent, number } from './format.ts';

export interface ReportOptions {
  /** What is worth keeping about the run besides its events, for instance the configs of its schedules. JSON. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Above the picture; the folder's name unless given. */
  readonly title?: string;
}

/** An evaluation as the summary tells it. */
interface Quality {
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The contents of summary.json. */
export interface RunSummary {
  /** 'running' until the end; then why it ended. A killed process leaves 'running'. */
  readonly state: 'running' | EndEvent['reason'];
  /** Updates done, and of how many. */
  readonly step: number;
  readonly steps: number;
  /** Of the last evaluation; null where there was none, or without this metric. */
  readonly accuracy: number | null;
  readonly last: Quality | null;
  /** The evaluation with the best accuracy (lowest loss where there is no accuracy), of the whole run. */
  readonly best: Quality | null;
  /** Wall time of this process's part, in milliseconds. */
  readonly ms: number;
  /** Wall time of all steps and of all evaluations, of the whole run, in milliseconds. */
  readonly stepMs: number;
  readonly evalMs: number;
  readonly config: Readonly<Record<string, unknown>>;
  /** How the backend ran. */
  readonly report: Report;
  readonly versions: Readonly<Record<string, string>>;
  readonly error?: { readonly name: string; readonly message: string };
}

/** Step events are thinned to about this many: more than the picture has pixels to show. */
const RECORDS = 1000;

/**
 * Writes into `dir`, which is made if it is missing:
 *
 *   events.jsonl   all events, but only about 1000 step events: each stands for the `over` updates up to its `step`;
 *                  loss, metrics and ms are their means, the hyper-parameters are those of its `step`
 *   summary.json   accuracy, times, configuration, versions, how the backend ran: see RunSummary
 *   curve.svg      accuracy, loss and learning rate over steps
 *
 * The last two are replaced, never half-written, at every evaluation and at the end. A resumed run goes on in the
 * earlier process's events.jsonl, so that summary and picture cover the whole run; a fresh run replaces it.
 *
 * Throws DataError when a file cannot be written, or the events to go on from are not a log.
 */
export function report(dir: string, options: ReportOptions = {}): Listener {
  if (typeof dir !== 'string' || dir === '') {
    throw new TypeError(`report: dir must be the path of a folder, got ${show(dir)}`);
  }
  checkOptions('report', options, ['config', 'title']);
  let run: RunReport | null = null;
  return async (event) => {
    if (event.type === 'start') run = await RunReport.open(dir, event, options);
    const current = run;
    if (event.type === 'end') run = null;
    // Without a start there is no run to report on.
    await current?.take(event);
  };
}

/** One line of events.jsonl for `over` updates. */
type StepRecord = StepEvent & { readonly over: number };

class RunReport {
  private readonly interval: number;
  private readonly records: StepRecord[];
  private readonly evals: EvalEvent[];
  private pending: StepEvent[] = [];
  private step: number;
  private readonly started = performance.now();
  private readonly dir: string;
  private readonly start: StartEvent;
  private readonly options: ReportOptions;
  private readonly log: EventLog;

  private constructor(dir: string, start: StartEvent, options: ReportOptions, log: EventLog) {
    this.dir = dir;
    this.start = start;
    this.options = options;
    this.log = log;
    this.step = start.step;
    this.interval = Math.max(1, Math.ceil(start.steps / RECORDS));
    this.records = log.earlier.filter((event) => event.type === 'step').map(toRecord);
    this.evals = log.earlier.filter((event) => event.type === 'eval').map(toEval);
  }

  static async open(dir: string, start: StartEvent, options: ReportOptions): Promise<RunReport> {
    const log = await EventLog.open('report', join(dir, 'events.jsonl'), {
      resumed: start.step,
      existing: start.step > 0 ? 'keep' : 'discard',
    });
    return new RunReport(dir, start, options, log);
  }

  async take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      this.step = event.step + 1;
      this.pending.push(event);
      if (this.step % this.interval === 0) await this.flush();
      return;
    }
    // A run resumes from a checkpoint, so no record may stand for steps on both sides of one.
    if (event.type === 'checkpoint' || event.type === 'end') await this.flush();
    await this.log.write(event);
    if (event.type === 'eval') this.addEval(event);
    if (event.type === 'eval' || event.type === 'end') await this.publish(event);
  }

  private async flush(): Promise<void> {
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
    // A run that resumed may evaluate once more where it resumed.
    if (this.evals.at(-1)?.step === event.step) this.evals.pop();
    this.evals.push(event);
  }

  private async publish(event: EvalEvent | EndEvent): Promise<void> {
    const summary = this.summary(event.type === 'end' ? event : null);
    await writeAtomic('report', join(this.dir, 'summary.json'), `${pretty(summary)}\n`);
    await writeAtomic('report', join(this.dir, 'curve.svg'), this.picture(summary));
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
    // A hundredth of the run: long enough to see through the noise of a batch, short enough for a cycle.
    const window = Math.max(this.interval, Math.round(start.steps / 100));
    const smooth = (of: (record: StepRecord) => number): [number, number][] =>
      movingMean(records, window, of);
    const hyper = (name: string): [number, number][] =>
      records.map((record) => [record.step, record.hyper[name] ?? NaN]);

    const shares = [...records, ...evals].some((event) => 'accuracy' in event.metrics);
    const series: CurveSeries[] = [];
    if (shares) {
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
      label: shares ? 'training loss (right axis)' : 'training loss',
      points: smooth((record) => record.loss),
      side: shares ? 'right' : 'left',
      color: '#d55e00',
      width: 1.5,
    });
    series.push({ label: 'learning rate', points: hyper('lr'), panel: 1, color: '#009e73' });
    const momentum = hyper('momentum');
    const cycles = momentum.some(([, value]) => value !== momentum[0][1] && !Number.isNaN(value));
    if (cycles) {
      series.push({
        label: 'momentum (right axis)',
        points: momentum,
        panel: 1,
        side: 'right',
        color: '#cc79a7',
      });
    }

    const found = [
      `${start.report.backend}, ${start.report.threads} thread${start.report.threads === 1 ? '' : 's'}`,
      `batch ${start.batchSize}`,
      `seed ${start.seed}`,
      ...(window > 1 ? [`training curves are means of ${window} steps`] : []),
      ...(last ? [`last ${tell(last)}`] : []),
      ...(best && best.step !== last?.step ? [`best ${tell(best)} at step ${best.step}`] : []),
    ];
    return curveSvg(series, {
      title: this.options.title ?? basename(resolve(this.dir)),
      subtitle: found.join('  ·  '),
      x: { label: 'steps', domain: [0, Math.max(1, start.steps)] },
      panels: [
        shares
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

function tell({ loss, metrics }: Quality): string {
  const { accuracy } = metrics;
  return accuracy === undefined ? `loss ${number(loss)}` : percent(accuracy);
}

/** Centred mean over `window` steps, weighted with how many updates each record stands for. */
function movingMean(
  records: readonly StepRecord[],
  window: number,
  of: (record: StepRecord) => number,
): [number, number][] {
  let [first, end] = [0, 0];
  return records.map(({ step }) => {
    while (end < records.length && records[end].step <= step + window / 2) end++;
    while (records[first].step < step - window / 2) first++;
    const near = records.slice(first, end); // few; a running sum would carry one huge loss along for ever
    const updates = near.reduce((sum, record) => sum + record.over, 0);
    return [step, near.reduce((sum, record) => sum + of(record) * record.over, 0) / updates];
  });
}

/** Numbers as they were before toLine made them JSON. */
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

/** Indented JSON, with toLine's rules for what JSON cannot say. */
function pretty(summary: RunSummary): string {
  return JSON.stringify(JSON.parse(toLine(summary)), null, 2);
}

function versions(): Record<string, string> {
  const { node, v8 } = process.versions;
  return { cyclegrad: ownVersion(), node, v8, platform: `${process.platform}-${process.arch}` };
}

/** From package.json, which is not at the same distance from the sources, what is built of them, and the bundle of that. */
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
