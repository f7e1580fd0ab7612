/** The report of the finished runs: a page of Markdown, the same page as HTML, figures, and the headline of docs/reproduction.md. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  curveSvg,
  formatDuration,
  formatPercent,
  type CurvePanel,
  type CurveSeries,
} from '../../engine/index.ts';
import { markdownTable } from '../markdown.ts';
import { experimentNames, type Arm, type ExperimentName } from './arm.ts';
import { arms } from './arms.ts';
import { isBudgetArm } from './budget.ts';
import { budgetFigure, budgetNotes, budgetText } from './budget-report.ts';
import { RANGE_HEAD, rangeFigure, rangeRows, readRangeTests, type RangeRecord } from './range.ts';
import { mean, thousands } from './numbers.ts';
import type { ArmResult, RunRecord } from './record.ts';
import { readRecord, RUN, START_RUN } from './results.ts';

/** The accuracy of the comparison in the paper. */
const GOAL = 0.814;
const HEADLINE = ['triangular2-25000', 'fixed-70000', 'fixed-25000'];
const TITLES: Readonly<Record<ExperimentName, string>> = {
  table1: 'Table 1: policies on Caffe’s cifar10_full',
  table3: 'Table 3: adaptive methods',
  'sigmoid-bn': 'Figure 6: sigmoids and batch normalization',
  'one-cycle': 'One cycle with cyclical momentum',
  budget: 'Accuracy against budget',
  'super-convergence': 'Super-convergence in small',
  table4: 'Table 4 in small',
  quick: 'Caffe’s quick network',
};

/** The data of the report. */
export interface Results {
  readonly arms: readonly ArmResult[];
  readonly range: readonly RangeRecord[];
  /** A run of `npm start`, or null without its record. */
  readonly start: StartRecord | null;
}

/** Reads `folder`/<experiment>/<arm>-seed<n>.json of all arms. */
export function readResults(folder: string): Results {
  const results = arms.map((arm) => {
    const dir = join(folder, arm.experiment);
    const pattern = new RegExp(`^${arm.name}-seed\\d+\\.json$`);
    const files = existsSync(dir) ? readdirSync(dir).filter((name) => pattern.test(name)) : [];
    const runs = files.map((name) => readRecord<RunRecord>(join(dir, name), RUN));
    return { arm, runs: runs.sort((a, b) => a.seed - b.seed) };
  });
  const path = join(folder, `${START}.json`);
  const start = existsSync(path) ? readRecord<StartRecord>(path, START_RUN) : null;
  return { arms: results, range: readRangeTests(folder), start };
}

const points = (x: number): string => `${x < 0 ? '−' : '+'}${Math.abs(x * 100).toFixed(1)}`;

function spread(runs: readonly RunRecord[]): string {
  const all = runs.map(({ accuracy }) => accuracy);
  if (all.length < 2) return '';
  return `${(Math.min(...all) * 100).toFixed(1)} … ${(Math.max(...all) * 100).toFixed(1)}`;
}

/** The median over the runs of the first evaluation at or above `goal`, with the number of runs that reach it. */
function stepsTo(runs: readonly RunRecord[], goal: number): string {
  const steps = runs
    .flatMap(({ evaluations }) => evaluations.find(({ accuracy }) => accuracy >= goal)?.step ?? [])
    .sort((a, b) => a - b);
  if (steps.length === 0) return 'not reached';
  const middle = thousands(steps[Math.floor((steps.length - 1) / 2)]);
  return steps.length === runs.length ? middle : `${middle} (${steps.length} of ${runs.length} runs)`;
}

const duration = (runs: readonly RunRecord[]): string =>
  formatDuration(mean(runs.map(({ stepMs, evalMs }) => stepMs + evalMs)));

const HEAD = ['arm', 'steps', 'paper', 'measured', 'runs', 'spread, %', 'vs. paper', 'to 81.4%', 'time'];

function row({ arm, runs }: ArmResult): string[] {
  const paper = arm.paper === null ? '–' : formatPercent(arm.paper);
  if (runs.length === 0) return [arm.title, thousands(arm.steps), paper, 'not run', '0', '', '', '', ''];
  const measured = mean(runs.map(({ accuracy }) => accuracy));
  const against = arm.paper === null ? '' : points(measured - arm.paper);
  const values = [
    formatPercent(measured),
    String(runs.length),
    spread(runs),
    against,
    stepsTo(runs, GOAL),
    duration(runs),
  ];
  return [arm.title, thousands(arm.steps), paper, ...values];
}

/** A sentence for each row that differs from the paper by more than a point. */
function differences(results: readonly ArmResult[]): string[] {
  return results.flatMap(({ arm, runs }) => {
    if (arm.paper === null || runs.length === 0) return [];
    const difference = mean(runs.map(({ accuracy }) => accuracy)) - arm.paper;
    if (Math.abs(difference) <= 0.01) return [];
    return [
      `${arm.title}: ${points(difference)} points compared with the paper (${plural(runs.length, 'run')}).`,
    ];
  });
}

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The colors of the arms of a figure: those of curveSvg. */
const COLORS = ['#0072b2', '#c24f00', '#00805e', '#a9527f', '#8f6400', '#000000', '#007f93'];
/** More schedules than these in one panel are not distinguishable. */
const MAX_SCHEDULES = 3;

export interface FigureOptions {
  /** Whether arms of different lengths share a panel, for comparison. By default each length has its own. */
  readonly together?: boolean;
  /** The source of the reference values. Default 'paper'. */
  readonly source?: string;
}

/** The name of an arm in a figure. */
const shortTitle = ({ title, short: name }: Arm): string => name ?? title.replace(/, [\d,]+$/, '');

/**
 * Accuracy over steps for some arms: means over their runs, named at the ends of the lines with the measured accuracy. Diamonds are the
 * values of the source. The rates are below, one line for each distinct schedule, if there are at most three. Null if nothing has run.
 */
export function figure(
  title: string,
  results: readonly ArmResult[],
  { together = false, source = 'paper' }: FigureOptions = {},
): string | null {
  const done = results.filter(({ runs }) => runs.length > 0);
  if (done.length === 0) return null;
  const lengths = together ? [0] : [...new Set(done.map(({ arm }) => arm.steps))].sort((a, b) => a - b);
  const panelOf = ({ arm }: ArmResult): number => (together ? 0 : lengths.indexOf(arm.steps));
  const colors = colorsOf(done, panelOf);
  const papers = new Set(done.flatMap(({ arm }) => arm.paper ?? []));
  const paperLabel = papers.size === 1 ? `${source}: ${formatPercent([...papers][0])}` : source;
  const accuracies = done.flatMap((result, i): CurveSeries[] => {
    const { arm, runs } = result;
    const look = { panel: panelOf(result), color: colors[i] };
    const final = formatPercent(mean(runs.map(({ accuracy }) => accuracy)));
    const length = together ? `, ${thousands(arm.steps)} steps` : '';
    const lineOf: CurveSeries = {
      ...look,
      label: `${shortTitle(arm)}${length}: ${final}`,
      points: runs[0].evaluations.map(({ step }) => [
        step,
        mean(runs.flatMap(({ evaluations }) => evaluations.find((one) => one.step === step)?.accuracy ?? [])),
      ]),
    };
    if (arm.paper === null) return [lineOf];
    return [
      lineOf,
      {
        ...look,
        label: look.panel === 0 ? paperLabel : '',
        points: [[arm.steps, arm.paper]],
        marker: 'diamond',
        width: 4,
      },
    ];
  });
  const rates = ratesOf(done, colors, lengths.length);
  const domain = domainOf(done);
  const counts = lengths.map((_, panel) => done.filter((result) => panelOf(result) === panel).length);
  const panels: CurvePanel[] = lengths.map((steps, panel) => ({
    left: {
      label: together || lengths.length === 1 ? 'test accuracy' : `${thousands(steps)} steps`,
      format: 'percent',
      domain,
    },
    labels: 'ends',
    weight: lengths.length === 1 ? 3 : 1 + counts[panel] / 4,
  }));
  if (rates.length > 0) {
    panels.push({ left: { label: 'learning rate', scale: rateScale(rates) }, labels: 'none', weight: 1.4 });
  }
  return curveSvg([...accuracies, ...rates], {
    title,
    subtitle: `accuracy on the 10,000 test images, mean over seeds${lengths.length > 1 ? '; one panel for each length of the runs' : ''}`,
    height: lengths.length === 1 ? (rates.length > 0 ? 620 : 480) : 170 + 240 * lengths.length,
    panels,
  });
}

/** A color for each arm of a panel. Arms of a family have the same in all panels. */
function colorsOf(results: readonly ArmResult[], panelOf: (result: ArmResult) => number): string[] {
  const names = results.map(({ arm }) => arm.family ?? arm.name);
  const hasFamilies = results.some(({ arm }) => arm.family !== undefined);
  return results.map((result, i) => {
    const others = names.filter((_, k) => hasFamilies || panelOf(results[k]) === panelOf(result));
    return COLORS[[...new Set(others)].indexOf(names[i]) % COLORS.length];
  });
}

/** Round limits around the final accuracies and those of the paper, with room for the rise before them. */
function domainOf(results: readonly ArmResult[]): [number, number] {
  const finals = results.flatMap(({ arm, runs }) => [
    mean(runs.map(({ accuracy }) => accuracy)),
    ...(arm.paper === null ? [] : [arm.paper]),
  ]);
  const low = Math.floor((Math.min(...finals) - 0.12) * 20) / 20;
  const high = Math.ceil((Math.max(...finals) + 0.01) * 20) / 20;
  return [Math.max(0, low), Math.min(1, high)];
}

/** The distinct schedules, in the color of their arm, or in black if several arms have the same. None if there are too many. */
function ratesOf(results: readonly ArmResult[], colors: readonly string[], panel: number): CurveSeries[] {
  const schedules = new Map<string, CurveSeries>();
  results.forEach(({ arm, runs }, i) => {
    const points = runs[0].training.map(({ step, lr }): [number, number] => [step, lr]);
    const key = JSON.stringify(points);
    const color = schedules.has(key) ? '#000000' : colors[i];
    schedules.set(key, { label: `rate of ${arm.title}`, points, panel, color, width: 1.5 });
  });
  return schedules.size > MAX_SCHEDULES ? [] : [...schedules.values()];
}

/** Logarithmic if the rates span more than a factor of 20. */
function rateScale(rates: readonly CurveSeries[]): 'linear' | 'log' {
  const values = rates.flatMap(({ points: all }) => all.map(([, lr]) => lr)).filter((lr) => lr > 0);
  return Math.max(...values) > 20 * Math.min(...values) ? 'log' : 'linear';
}

/** The record of a run of `npm start`. */
const START = 'table2-25000-seed1';
type StartRecord = Pick<RunRecord, 'seed' | 'accuracy' | 'evaluations' | 'training'> & {
  readonly step: number;
};

/** Accuracies and rate of a run of `npm start`. */
export function startFigure({ seed, step, accuracy, evaluations, training }: StartRecord): string {
  return curveSvg(
    [
      {
        label: 'training accuracy',
        points: training.map((one) => [one.step, one.accuracy]),
        color: COLORS[1],
        width: 1.5,
      },
      {
        label: `test accuracy: ${formatPercent(accuracy)}`,
        points: evaluations.map((one) => [one.step, one.accuracy]),
        color: COLORS[0],
        dots: true,
      },
      {
        label: 'learning rate',
        points: training.map((one) => [one.step, one.lr]),
        panel: 1,
        color: COLORS[2],
      },
    ],
    {
      title: `npm start: the schedule of Table 2, ${thousands(step)} steps, seed ${seed}`,
      panels: [
        { left: { label: 'accuracy', format: 'percent' }, labels: 'ends', weight: 2 },
        { left: { label: 'learning rate' }, labels: 'none' },
      ],
    },
  );
}

interface Section {
  readonly title: string;
  readonly text: readonly string[];
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
  readonly figure: { readonly name: string; readonly svg: string } | null;
}

function sectionsOf({ arms: results, range }: Results): Section[] {
  const headline = results.filter(({ arm }) => arm.experiment === 'table1' && HEADLINE.includes(arm.name));
  const make = (
    name: string,
    title: string,
    armResults: readonly ArmResult[],
    text: readonly string[],
  ): Section => {
    const svg = figure(title, armResults, {
      together: name === 'headline',
      source: name === 'quick' ? 'Caffe’s example' : 'paper',
    });
    return {
      title,
      text,
      head: HEAD,
      rows: armResults.map(row),
      notes: notesOf(armResults),
      figure: svg === null ? null : { name: `${name}.svg`, svg },
    };
  };
  return [
    make(
      'headline',
      'Cyclical rate (triangular2) for 25,000 steps, fixed rate for 70,000',
      headline,
      claim(headline),
    ),
    ...experimentNames.flatMap((name) => {
      if (name === 'budget') return [budgetSection(results)];
      const own = results.filter(({ arm }) => arm.experiment === name);
      const hasRuns = own.some(({ runs }) => runs.length > 0);
      return hasRuns ? [make(name, TITLES[name], own, differences(own))] : [];
    }),
    ...rangeSection(range),
  ];
}

/** The notes of the arms that have run. One that several arms share stands without their titles. */
function notesOf(results: readonly ArmResult[]): string[] {
  const titles = new Map<string, string[]>();
  for (const { arm, runs } of results) {
    if (arm.note !== '' && runs.length > 0)
      titles.set(arm.note, [...(titles.get(arm.note) ?? []), arm.title]);
  }
  return [...titles].map(([note, [title, ...others]]) => (others.length > 0 ? note : `${title}: ${note}`));
}

function budgetSection(results: readonly ArmResult[]): Section {
  const own = results.filter(({ arm, runs }) => isBudgetArm(arm) && runs.length > 0);
  const svg = budgetFigure(TITLES.budget, own);
  return {
    title: TITLES.budget,
    text: budgetText(own),
    head: HEAD,
    rows: own.map(row),
    notes: budgetNotes(own),
    figure: svg === null ? null : { name: 'budget.svg', svg },
  };
}

function rangeSection(range: readonly RangeRecord[]): Section[] {
  if (range.length === 0) return [];
  const title = 'Figure 3: the range test';
  return [
    {
      title,
      text: [
        'Test accuracy while the rate rises from 0 to 0.02.',
        '“From paper” is the mean absolute difference from the paper’s accuracies, in points. Roughness is the root mean square of the second ' +
          'differences, to which the curvature of a smooth rise also contributes. Falls are the fraction of points below the previous one. ' +
          'The last six columns are the suggestions of `suggestBounds`, which are markers in the figure: “rise” and “ragged” on the accuracies, ' +
          'the others on the trend of the training loss.',
      ],
      head: RANGE_HEAD,
      rows: rangeRows(range),
      notes: [
        'The paper states neither the lowest rate of its sweep nor the interval of its evaluations. Its points are 0.001 apart.',
        'The paper’s 8 epochs are 4,000 steps of 100 images. Their accuracies are well above its figure. Half as many steps are much ' +
          'closer, as if the rate had risen to 0.04 in 8 epochs and the figure showed the first half.',
      ],
      figure: { name: 'range-test.svg', svg: rangeFigure(title, range) },
    },
  ];
}

/** The claim of the paper, with our measurements. */
export function claim(results: readonly ArmResult[]): string[] {
  const of = (name: string): readonly RunRecord[] => results.find(({ arm }) => arm.name === name)?.runs ?? [];
  const [cyclical, fixed, short] = HEADLINE.map(of);
  if (cyclical.length === 0 || fixed.length === 0)
    return ['The arms of this comparison have not all finished.'];
  const accuracy = (runs: readonly RunRecord[]): number => mean(runs.map((run) => run.accuracy));
  const text =
    `With triangular2, accuracy after 25,000 steps is ${formatPercent(accuracy(cyclical))} (${plural(cyclical.length, 'run')}). With the fixed ` +
    `rate, it is ${formatPercent(accuracy(fixed))} after 70,000 steps (${plural(fixed.length, 'run')}). ` +
    `The paper reports ${formatPercent(GOAL)} for both.`;
  if (short.length === 0) return [text];
  const gap = accuracy(short) - accuracy(cyclical);
  return [
    text,
    `The fixed schedule shortened to 25,000 steps, with its drops in proportion, reaches ${formatPercent(accuracy(short))} ` +
      `(${plural(short.length, 'run')}), ${Math.abs(gap * 100).toFixed(1)} points ${gap < 0 ? 'below' : 'above'} triangular2.`,
  ];
}

const PREFACE =
  '`npm run reproduce -- report` generates this page from the JSON files in this folder. Accuracy is measured after the last step on all ' +
  '10,000 test images. Arms of one seed share initial weights and the order of the data. “To 81.4%” is the step of the first evaluation ' +
  '(every 1,000 steps) that reaches 81.4%. Time is the wall time of steps and evaluations, and other processes ran on the same machine.';

export function reportMarkdown(results: Results): string {
  const parts = sectionsOf(results).map(({ title, text, head, rows, notes, figure: drawn }) =>
    [
      `## ${title}`,
      ...text,
      ...(drawn === null ? [] : [`![${title}](${drawn.name})`]),
      markdownTable(head, rows),
      ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join('\n')]),
    ].join('\n\n'),
  );
  return `${['# Reproduction of the paper’s experiments', PREFACE, ...parts].join('\n\n')}\n`;
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** One self-contained page. */
export function reportHtml(results: Results): string {
  const paragraph = (text: string): string =>
    `<p>${escape(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>')}</p>`;
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  const parts = sectionsOf(results).flatMap(({ title, text, head, rows, notes, figure: drawn }) => [
    `<h2>${escape(title)}</h2>`,
    ...text.map(paragraph),
    ...(drawn === null ? [] : [`<figure>${drawn.svg}</figure>`]),
    `<table><thead>${cells(head, 'th')}</thead><tbody>${rows.map((one) => cells(one, 'td')).join('')}</tbody></table>`,
    ...(notes.length === 0 ? [] : [`<ul>${notes.map((note) => `<li>${escape(note)}</li>`).join('')}</ul>`]),
  ]);
  const style =
    ':root{color-scheme:light dark}' +
    'body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#ffffff}' +
    'table{border-collapse:collapse;font-size:14px;display:block;overflow-x:auto}' +
    'td,th{border:1px solid #d0d7de;padding:4px 8px;text-align:right}td+td{white-space:nowrap}' +
    'td:first-child,th:first-child{text-align:left}' +
    'figure{margin:1rem 0}svg{max-width:100%;height:auto}' +
    '@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}}';
  const title = 'Reproduction of the paper’s experiments';
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>${title}</title><style>${style}</style></head><body>\n<h1>${title}</h1>\n` +
    `${paragraph(PREFACE)}\n${parts.join('\n')}\n</body></html>\n`
  );
}

/** The generated part of a page: the comparison, its figure and its rows. `folder` is the path of the report relative to the page. */
export function headlineMarkdown(results: Results, folder: string): string {
  const [{ title, text, rows, figure: drawn }] = sectionsOf(results);
  return [
    ...(drawn === null ? [] : [`![${title}](${folder}/${drawn.name})`]),
    ...text,
    markdownTable(...columns(HEAD, rows, ['arm', 'paper', 'measured', 'runs', 'spread, %', 'to 81.4%'])),
  ].join('\n\n');
}

/** The generated part of a page about accuracy and budget. */
export function budgetMarkdown(results: Results, folder: string): string {
  const { title, text, rows, figure: drawn } = budgetSection(results.arms);
  return [
    ...(drawn === null ? [] : [`![${title}](${folder}/${drawn.name})`]),
    ...text,
    markdownTable(...columns(HEAD, rows, ['arm', 'measured', 'runs', 'spread, %'])),
  ].join('\n\n');
}

/** Some columns of a table. */
function columns(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  names: readonly string[],
): [string[], string[][]] {
  const indices = names.map((name) => head.indexOf(name));
  return [[...names], rows.map((cells) => indices.map((index) => cells[index]))];
}

/** Writes REPORT.md, report.html and the figures into `folder`. */
export function writeReport(folder: string): Results {
  const results = readResults(folder);
  mkdirSync(folder, { recursive: true });
  for (const { figure: drawn } of sectionsOf(results)) {
    if (drawn !== null) writeFileSync(join(folder, drawn.name), drawn.svg);
  }
  if (results.start !== null) writeFileSync(join(folder, `${START}.svg`), startFigure(results.start));
  writeFileSync(join(folder, 'REPORT.md'), reportMarkdown(results));
  writeFileSync(join(folder, 'report.html'), reportHtml(results));
  return results;
}
