/** The report of a run as one HTML file. */
import { basename } from 'node:path';
import { DataError, EngineError } from '../../errors.ts';
import { codeOf, nodeFiles, readText, type Files } from '../../files.ts';
import { checkOptions, checkText, isPromise, isRecord, show } from '../../options.ts';
import type { EndEvent, Listener, StartEvent, TrainEvent } from '../events.ts';
import { isEvent, replaceText, toLine, type LoggedEvent } from './files.ts';
import { formatDuration, formatPercent, message, number, thousands } from './format.ts';
import { confusionTable } from './confusion-table.ts';
import { RunRecord, type Quality, type RunSummary } from './run-record.ts';
import { escape } from './markup.ts';

export interface HtmlReportOptions {
  /** Additional JSON data about the run. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The title. Default: the name of the file without its ending. */
  readonly title?: string;
}

/** A listener that writes an HTML file. */
export interface HtmlReport extends Listener {
  /**
   * Adds a confusion matrix, labels in rows and predictions in columns, as `confusionMatrix` of cyclegrad/metrics
   * gives it in `details`. Throws TypeError unless its size is the number of classes, and EngineError before the run.
   */
  confusion(matrix: readonly (readonly number[])[], classes: readonly string[]): Promise<void>;
}

/**
 * A listener that writes a run as one HTML file without external resources: results, curves with the learning rate below, configuration and
 * environment, in light and dark. It is replaced atomically at every evaluation and at the end. A resumed run continues the file, which
 * contains its own data.
 *
 * Throws TypeError for invalid arguments. The listener throws DataError if it cannot write the file, or if the file of a resumed run was
 * not written by it.
 *
 * @example
 * const html = htmlReport('runs/mlp.html', { config: { net: 'mlp' } });
 * const { state } = await fit({ ...options, listeners: [html] });
 * const { details } = await evaluate({ model, backend, state, data: test, metrics: { table: confusionMatrix() } });
 * await html.confusion(details['table']!.matrix!, test.classes);
 */
export function htmlReport(path: string, options: HtmlReportOptions = {}): HtmlReport {
  checkText('htmlReport', 'path', path, 'the path of a file');
  checkOptions('htmlReport', options, ['config', 'title']);
  if (options.title !== undefined) checkText('htmlReport', 'title', options.title);
  if (options.config !== undefined && (!isRecord(options.config) || isPromise(options.config))) {
    throw new TypeError(`htmlReport: config must be an object of plain data, got ${show(options.config)}`);
  }
  return htmlTo(nodeFiles, path, options);
}

/** `htmlReport` for any file system, with checked options. */
export function htmlTo(files: Files, path: string, { config, title }: HtmlReportOptions): HtmlReport {
  const name = title ?? basename(path).replace(/\.html?$/i, '');
  let run: RunRecord | null = null;
  let end: EndEvent | null = null;
  let confusion = '';
  const write = async (): Promise<void> => {
    const page = htmlOf(name, run!, run!.summary(end), confusion);
    await replaceText(files, 'htmlReport', path, page);
  };
  const listener = async (event: TrainEvent): Promise<void> => {
    if (event.type === 'start') {
      const earlier = event.step === 0 ? [] : await readEarlier(files, path, event.step);
      run = new RunRecord(event, { title: name, ...(config && { config }) }, earlier);
      [end, confusion] = [null, ''];
    }
    if (run === null) return;
    run.take(event);
    if (event.type === 'end') end = event;
    if (event.type === 'eval' || event.type === 'end') await write();
  };
  return Object.assign(listener, {
    flush: async () => {
      // The file holds the data of the steps up to a checkpoint, from which the run may resume.
      if (run === null) return;
      run.record();
      await write();
    },
    async confusion(matrix: readonly (readonly number[])[], classes: readonly string[]) {
      const table = confusionTable('htmlReport: confusion', matrix, classes);
      if (run === null)
        throw new EngineError('htmlReport: confusion: no run was reported (call it after the run)');
      confusion = table;
      await write();
    },
  });
}

/** The file for the events of a run, as events.jsonl has them. Null before the run starts. */
export function htmlOfEvents(title: string, events: readonly LoggedEvent[]): string | null {
  const first = events.findLastIndex((event) => event.type === 'start' && event.step === 0);
  const start = events.findLast((event) => event.type === 'start') as StartEvent | undefined;
  if (start === undefined) return null;
  const run = new RunRecord(start, { title }, events.slice(Math.max(0, first)));
  const last = events.at(-1)!;
  const summary = run.summary(last.type === 'end' ? (last as unknown as EndEvent) : null);
  const ms = last.type === 'end' ? summary.ms : summary.stepMs + summary.evalMs;
  return htmlOf(title, run, { ...summary, ms }, '');
}

const DATA_BEGIN = '<script type="application/json" id="events">';
const DATA_END = '</script>';

/** The events of the run up to the step at which it resumes, from its own file. */
async function readEarlier(files: Files, path: string, step: number): Promise<readonly LoggedEvent[]> {
  let text: string;
  try {
    text = await readText(files, path);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    throw new DataError(`htmlReport: cannot read ${path}: ${message(cause)}`, { cause });
  }
  const begin = text.indexOf(DATA_BEGIN);
  try {
    if (begin < 0) throw new Error('it contains no events');
    const json = text.slice(begin + DATA_BEGIN.length, text.indexOf(DATA_END, begin));
    const events = (JSON.parse(json) as unknown[]).filter(isEvent);
    return events.filter((event) => (event.type === 'step' ? event.step < step : event.step <= step));
  } catch (cause) {
    throw new DataError(
      `htmlReport: ${path} is not a report of a run: ${message(cause)} (move the file, or use another path)`,
      { cause },
    );
  }
}

function htmlOf(title: string, run: RunRecord, summary: RunSummary, confusion: string): string {
  const { config, report, versions } = summary;
  const events = [...run.records, ...run.evals].map((event) => toLine(event).trim()).join(',\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<dl>${resultsOf(summary)
    .map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`)
    .join('')}</dl>
${summary.error === undefined ? '' : `<p class="error">${escape(`${summary.error.name}: ${summary.error.message}`)}</p>`}
<figure>${run.picture(summary)}</figure>
${confusion}
<h2>Configuration</h2>
${tableOf(config)}
<h2>Environment</h2>
${tableOf({ ...report, ...versions })}
${DATA_BEGIN}[${events.replaceAll('<', '\\u003c')}]${DATA_END}
</body>
</html>
`;
}

function resultsOf(summary: RunSummary): readonly (readonly [string, string])[] {
  const { state, step, steps, last, best, ms, stepMs, evalMs } = summary;
  const quality = ({ loss, metrics, step: at }: Quality): string => {
    const { accuracy } = metrics;
    return `${accuracy === undefined ? `loss ${number(loss)}` : formatPercent(accuracy)} at step ${thousands(at)}`;
  };
  return [
    ['State', state],
    ['Steps', `${thousands(step)} of ${thousands(steps)}`],
    ...(last === null ? [] : [['Last evaluation', quality(last)] as const]),
    ...(best === null ? [] : [['Best evaluation', quality(best)] as const]),
    ['Time', formatDuration(ms)],
    ['Time of steps', formatDuration(stepMs)],
    ['Time of evaluations', formatDuration(evalMs)],
  ];
}

/** Settings as a table. Objects inside them have a row for each of their values. */
function tableOf(settings: object): string {
  const rows = flat(JSON.parse(toLine(settings)) as object, '');
  return `<table>${rows.map(([name, value]) => `<tr><th scope="row">${escape(name)}</th><td>${escape(value)}</td></tr>`).join('')}</table>`;
}

const flat = (settings: object, prefix: string): readonly (readonly [string, string])[] =>
  Object.entries(settings).flatMap(([name, value]: [string, unknown]) =>
    isRecord(value)
      ? flat(value, `${prefix}${name}.`)
      : [[`${prefix}${name}`, typeof value === 'string' ? value : JSON.stringify(value)] as const],
  );

const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --bad: #b3261e; --hue: 0, 114, 178 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --line: #30363d; --bad: #ff7b72; --hue: 79, 168, 224 }
}
body { margin: 0 auto; max-width: 1000px; padding: 24px 16px; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 24px } h2 { margin-top: 32px; font-size: 18px }
dl { display: flex; flex-wrap: wrap; gap: 8px 32px } dt { color: var(--quiet); font-size: 13px } dd { margin: 0; font-weight: 600 }
figure { margin: 16px 0 } svg { max-width: 100%; height: auto }
.scroll { overflow-x: auto } table { border-collapse: collapse } th, td { padding: 3px 16px 3px 0; text-align: left; vertical-align: top }
th { color: var(--quiet); font-weight: 400 } td { overflow-wrap: anywhere } tr + tr > * { border-top: 1px solid var(--line) }
.confusion th, .confusion td { min-width: 36px; padding: 4px 6px; border: 1px solid var(--line); text-align: center; font-variant-numeric: tabular-nums }
.confusion th[scope=row] { text-align: right } .confusion .right { font-weight: 600 } .error { color: var(--bad) } .quiet { color: var(--quiet) }
`;
