/** The report of a run in a folder: its events, a summary and a chart. */
import { basename, join, resolve } from 'node:path';
import { nodeFiles, type Files } from '../../files.ts';
import { checkOptions, checkText, isPromise, isRecord, show } from '../../options.ts';
import type { EndEvent, EvalEvent, Listener, Notice, StartEvent, TrainEvent } from '../events.ts';
import { EventLog, replaceText } from './files.ts';
import { pretty, RunRecord, type StepRecord } from './run-record.ts';

export interface ReportOptions {
  /** Additional JSON data about the run, for instance the configs of its schedules. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The title of the chart. Default: the name of the folder. */
  readonly title?: string;
}

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

class RunReport {
  readonly #files: Files;
  readonly #dir: string;
  readonly #run: RunRecord;
  readonly #log: EventLog;
  #notices: readonly Notice[];

  private constructor(files: Files, dir: string, run: RunRecord, log: EventLog) {
    this.#files = files;
    this.#dir = dir;
    this.#run = run;
    this.#log = log;
    this.#notices = log.notices;
  }

  static async open(
    files: Files,
    dir: string,
    start: StartEvent,
    { config, title = basename(resolve(dir)) }: ReportOptions,
  ): Promise<RunReport> {
    const log = await EventLog.open(files, 'report', join(dir, 'events.jsonl'), {
      resumed: start.step,
      existing: start.step > 0 ? 'keep' : 'discard',
    });
    const run = new RunRecord(start, { title, ...(config && { config }) }, log.earlier);
    return new RunReport(files, dir, run, log);
  }

  takeNotices(): readonly Notice[] {
    const taken = this.#notices;
    this.#notices = [];
    return taken;
  }

  /** Flushes the events so far to the disk. No record may cover steps on both sides of a checkpoint, from which a run resumes. */
  async flush(): Promise<void> {
    await this.#write(this.#run.record());
    await this.#log.flush();
  }

  async take(event: TrainEvent): Promise<void> {
    await this.#write(this.#run.take(event));
    if (event.type === 'step') return;
    await this.#log.write(event);
    if (event.type === 'end') await this.#log.flush();
    if (event.type === 'eval' || event.type === 'end') await this.#publish(event);
  }

  async #write(record: StepRecord | null): Promise<void> {
    if (record !== null) await this.#log.write(record);
  }

  async #publish(event: EvalEvent | EndEvent): Promise<void> {
    const summary = this.#run.summary(event.type === 'end' ? event : null);
    await replaceText(this.#files, 'report', join(this.#dir, 'summary.json'), `${pretty(summary)}\n`);
    await replaceText(this.#files, 'report', join(this.#dir, 'curve.svg'), this.#run.picture(summary));
  }
}
