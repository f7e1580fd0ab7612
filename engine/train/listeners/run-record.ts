/** What is known about a run from its events: means of steps, evaluations, a summary and a chart. */
import { readFileSync } from 'node:fs';
import type { Report } from '../../backends/report.ts';
import { isBetter } from '../evaluate.ts';
import type { EndEvent, EvalEvent, StartEvent, StepEvent, TrainEvent } from '../events.ts';
import { curveSvg, type CurveSeries } from './curve.ts';
import { toLine, type LoggedEvent } from './files.ts';
import { formatPercent, number } from './format.ts';

/** An evaluation in the summary. */
export interface Quality {
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

/** The mean of `over` step events, with the step and the hyperparameters of the last one. */
export type StepRecord = StepEvent & { readonly over: number };

/** The means of steps since the last record. */
export class StepMeans {
  #steps: StepEvent[] = [];

  get steps(): readonly StepEvent[] {
    return this.#steps;
  }

  add(event: StepEvent): void {
    this.#steps.push(event);
  }

  /** The record of the steps since the last one. Null without steps. */
  take(): StepRecord | null {
    const steps = this.#steps;
    const last = steps.at(-1);
    if (last === undefined) return null;
    this.#steps = [];
    const over = steps.length;
    const mean = (of: (event: StepEvent) => number): number =>
      steps.reduce((sum, event) => sum + of(event), 0) / over;
    const metrics = Object.fromEntries(
      Object.keys(last.metrics).map((name) => [name, mean((event) => event.metrics[name] ?? NaN)]),
    );
    return {
      ...last,
      loss: mean((event) => event.loss),
      metrics,
      ms: mean((event) => event.ms),
      over,
    };
  }
}

/** The number of steps of a record, for about a thousand records of a run. */
export const recordInterval = (start: StartEvent): number => Math.max(1, Math.ceil(start.steps / RECORDS));

export interface RunRecordOptions {
  readonly title: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

export class RunRecord {
  readonly start: StartEvent;
  readonly records: StepRecord[];
  readonly evals: EvalEvent[];
  readonly #options: RunRecordOptions;
  readonly #interval: number;
  readonly #means = new StepMeans();
  readonly #started = performance.now();
  #step: number;

  /** `earlier` are the events of the run before it resumed. */
  constructor(start: StartEvent, options: RunRecordOptions, earlier: readonly LoggedEvent[]) {
    this.start = start;
    this.#options = options;
    this.#interval = recordInterval(start);
    this.records = earlier.filter((event) => event.type === 'step').map(toRecord);
    this.evals = earlier.filter((event) => event.type === 'eval').map(toEval);
    this.#step = Math.max(start.step, (this.records.at(-1)?.step ?? -1) + 1);
  }

  /** Takes an event and returns a record that it completes, or null. */
  take(event: TrainEvent): StepRecord | null {
    if (event.type === 'eval') this.#addEval(event);
    if (event.type === 'checkpoint' || event.type === 'end') return this.record();
    if (event.type !== 'step') return null;
    this.#step = event.step + 1;
    this.#means.add(event);
    return this.#step % this.#interval === 0 ? this.record() : null;
  }

  /** The record of the steps since the last one. */
  record(): StepRecord | null {
    const record = this.#means.take();
    if (record !== null) this.records.push(record);
    return record;
  }

  #addEval(event: EvalEvent): void {
    // A resumed run may repeat the evaluation at its first step.
    if (this.evals.at(-1)?.step === event.step) this.evals.pop();
    this.evals.push(event);
  }

  summary(end: EndEvent | null): RunSummary {
    const { start, records, evals } = this;
    const last = evals.at(-1);
    const best = evals.reduce<EvalEvent | undefined>(
      (top, event) => (top === undefined || isBetter(event, top) ? event : top),
      undefined,
    );
    const recorded = records.reduce((sum, record) => sum + record.ms * record.over, 0);
    const { steps, stepsPerEpoch, batchSize, seed } = start;
    return {
      state: end?.reason ?? 'running',
      step: this.#step,
      steps,
      accuracy: last?.metrics['accuracy'] ?? null,
      last: last ? quality(last) : null,
      best: best ? quality(best) : null,
      ms: end?.ms ?? performance.now() - this.#started,
      stepMs: this.#means.steps.reduce((sum, event) => sum + event.ms, recorded),
      evalMs: evals.reduce((sum, event) => sum + event.ms, 0),
      config: { steps, stepsPerEpoch, batchSize, seed, ...this.#options.config },
      report: start.report,
      versions: versions(),
      ...(end?.error === undefined ? {} : { error: describeError(end.error) }),
    };
  }

  /** The chart of the run as SVG. */
  picture({ last, best }: RunSummary): string {
    const { records, evals, start } = this;
    // A hundredth of the run: long enough to average the noise of batches, short enough to show a cycle.
    const window = Math.max(this.#interval, Math.round(start.steps / 100));
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
      title: this.#options.title,
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
export function pretty(summary: RunSummary): string {
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
