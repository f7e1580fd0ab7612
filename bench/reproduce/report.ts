/** The report of the finished runs: a page of Markdown, the same page as HTML, pictures, and the headline of the README. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { curveSvg, formatDuration, formatPercent, type CurveSeries } from '../../engine/index.ts';
import { markdownTable } from '../markdown.ts';
import { arms, experimentNames, type Arm, type ExperimentName } from './arms.ts';
import { RANGE_HEAD, rangeFigure, rangeRows, readRangeTests, type RangeRecord } from './range.ts';
import type { RunRecord } from './record.ts';

/** All finished runs of one arm, by seed. */
export interface ArmResult {
  readonly arm: Arm;
  readonly runs: readonly RunRecord[];
}

/** The accuracy of the comparison in the paper. */
const GOAL = 0.814;
const HEADLINE = ['triangular2-25000', 'fixed-70000', 'fixed-25000'];
const TITLES: Readonly<Record<ExperimentName, string>> = {
  table1: 'Table 1: policies on Caffe’s cifar10_full',
  table3: 'Table 3: adaptive methods',
  'sigmoid-bn': 'Figure 6: sigmoids and batch normalisation',
  'one-cycle': 'One cycle with cyclical momentum',
  quick: 'Caffe’s quick network',
};

/** The data of the report. */
export interface Results {
  readonly arms: readonly ArmResult[];
  readonly range: readonly RangeRecord[];
}

/** Reads `folder`/<experiment>/<arm>-seed<n>.json of all arms. */
export function readResults(folder: string): Results {
  const results = arms.map((arm) => {
    const dir = join(folder, arm.experiment);
    const pattern = new RegExp(`^${arm.name}-seed\\d+\\.json$`);
    const files = existsSync(dir) ? readdirSync(dir).filter((name) => pattern.test(name)) : [];
    const runs = files.map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as RunRecord);
    return { arm, runs: runs.sort((a, b) => a.seed - b.seed) };
  });
  return { arms: results, range: readRangeTests(folder) };
}

const points = (x: number): string => `${x < 0 ? '−' : '+'}${Math.abs(x * 100).toFixed(1)}`;
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const thousands = (x: number): string => x.toLocaleString('en');

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

const HEAD = [
  'arm',
  'steps',
  'paper',
  'measured',
  'runs',
  'spread, %',
  'against the paper',
  'to 81.4%',
  'time',
];

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
      `${arm.title}: ${points(difference)} points against the paper over ${plural(runs.length, 'run')}.`,
    ];
  });
}

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Accuracy and rate over steps, for some arms: means over their runs, with the values of the paper as dots. */
export function figure(title: string, results: readonly ArmResult[]): string | null {
  const done = results.filter(({ runs }) => runs.length > 0);
  if (done.length === 0) return null;
  const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
  const series = done.flatMap(({ arm, runs }, i): CurveSeries[] => {
    const color = palette[i % palette.length];
    const dashed = i >= palette.length;
    const at = runs[0].evaluations.map(({ step }) => step);
    const average = at.map((step): [number, number] => [
      step,
      mean(runs.flatMap(({ evaluations }) => evaluations.find((one) => one.step === step)?.accuracy ?? [])),
    ]);
    const drawn: CurveSeries[] = [
      { label: arm.title, points: average, color, dashed },
      {
        label: arm.title,
        points: runs[0].training.map(({ step, lr }) => [step, lr]),
        panel: 1,
        color,
        dashed,
        width: 1.5,
      },
    ];
    if (arm.paper !== null)
      drawn.push({
        label: `paper: ${formatPercent(arm.paper)}`,
        points: [[arm.steps, arm.paper]],
        color,
        dots: true,
      });
    return drawn;
  });
  return curveSvg(series, {
    title,
    subtitle: 'test accuracy over 10,000 images, mean over seeds; dots: the paper’s values at the end',
    height: 620 + 24 * done.length,
    panels: [
      { left: { label: 'test accuracy', format: 'percent', domain: [0.5, 0.85] }, weight: 2 },
      { left: { label: 'learning rate', scale: 'log' } },
    ],
  });
}

interface Section {
  readonly title: string;
  readonly text: readonly string[];
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
  readonly picture: { readonly name: string; readonly svg: string } | null;
}

function sectionsOf({ arms: results, range }: Results): Section[] {
  const headline = results.filter(({ arm }) => arm.experiment === 'table1' && HEADLINE.includes(arm.name));
  const make = (
    name: string,
    title: string,
    armResults: readonly ArmResult[],
    text: readonly string[],
  ): Section => {
    const svg = figure(title, armResults);
    return {
      title,
      text,
      head: HEAD,
      rows: armResults.map(row),
      notes: armResults.flatMap(({ arm, runs }) =>
        arm.note === '' || runs.length === 0 ? [] : [`${arm.title}: ${arm.note}`],
      ),
      picture: svg === null ? null : { name: `${name}.svg`, svg },
    };
  };
  return [
    make(
      'headline',
      'A cyclical rate in 25,000 steps against a fixed one in 70,000',
      headline,
      claim(headline),
    ),
    ...experimentNames.map((name) => {
      const own = results.filter(({ arm }) => arm.experiment === name);
      return make(name, TITLES[name], own, differences(own));
    }),
    ...rangeSection(range),
  ];
}

function rangeSection(range: readonly RangeRecord[]): Section[] {
  if (range.length === 0) return [];
  const title = 'Figure 3: the range test';
  return [
    {
      title,
      text: [
        'Test accuracy while the rate rises from 0 to 0.02. “From the paper” is the mean distance from its accuracies, in points; roughness is the root mean square of second differences, ' +
          'which the bend of a smooth rise adds to; falls are the share of points below the one before. The last six columns are what ' +
          '`suggestBounds` finds, with markers in the picture: “rise” and “ragged” on the accuracies, the others on the trend of the training loss.',
      ],
      head: RANGE_HEAD,
      rows: rangeRows(range),
      notes: [
        'The paper does not state the low end of its sweep, nor how often it tested: its points lie 0.001 apart.',
        'The 8 epochs that it names are 4,000 steps of 100 images, and these lie well above its figure. Tried for the difference: ' +
          'half as many steps, which lie much nearer, as if its rate had risen to 0.04 in the 8 epochs and the figure showed the first half.',
      ],
      picture: { name: 'range-test.svg', svg: rangeFigure(title, range) },
    },
  ];
}

/** The claim of the paper, with our measurements. */
export function claim(results: readonly ArmResult[]): string[] {
  const of = (name: string): readonly RunRecord[] => results.find(({ arm }) => arm.name === name)?.runs ?? [];
  const [cyclical, fixed, short] = HEADLINE.map(of);
  if (cyclical.length === 0 || fixed.length === 0)
    return ['Not all of the arms that the claim is about have run yet.'];
  const accuracy = (runs: readonly RunRecord[]): number => mean(runs.map((run) => run.accuracy));
  const lead = accuracy(cyclical) - accuracy(fixed);
  const text =
    `triangular2 after 25,000 steps: ${formatPercent(accuracy(cyclical))} (${plural(cyclical.length, 'run')}); the fixed rate after ` +
    `70,000: ${formatPercent(accuracy(fixed))} (${plural(fixed.length, 'run')}): ${points(lead)} points. The paper has 81.4% for both.`;
  if (short.length === 0) return [text];
  const gap = points(accuracy(cyclical) - accuracy(short));
  return [
    text,
    `The fixed rate with its drops moved up, after the same 25,000 steps: ${formatPercent(accuracy(short))} ` +
      `(${plural(short.length, 'run')}); triangular2 is ${gap} points from it.`,
  ];
}

const PREFACE =
  'Made by `npm run reproduce -- report` from the JSON files beside it. Accuracy is that after the last step, on all 10,000 test ' +
  'images; arms of one seed share initial weights and the order of the data. “To 81.4%” is the first evaluation (every 1,000 steps) ' +
  'at or above it. Time is what the steps and evaluations took by the clock, whatever else ran on the machine meanwhile.';

export function reportMarkdown(results: Results): string {
  const parts = sectionsOf(results).map(({ title, text, head, rows, notes, picture }) =>
    [
      `## ${title}`,
      ...text,
      ...(picture === null ? [] : [`![${title}](${picture.name})`]),
      markdownTable(head, rows),
      ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join('\n')]),
    ].join('\n\n'),
  );
  return `${['# The paper’s experiments, reproduced', PREFACE, ...parts].join('\n\n')}\n`;
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** One self-contained page. */
export function reportHtml(results: Results): string {
  const paragraph = (text: string): string =>
    `<p>${escape(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>')}</p>`;
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  const parts = sectionsOf(results).flatMap(({ title, text, head, rows, notes, picture }) => [
    `<h2>${escape(title)}</h2>`,
    ...text.map(paragraph),
    ...(picture === null ? [] : [`<figure>${picture.svg}</figure>`]),
    `<table><thead>${cells(head, 'th')}</thead><tbody>${rows.map((one) => cells(one, 'td')).join('')}</tbody></table>`,
    ...(notes.length === 0 ? [] : [`<ul>${notes.map((note) => `<li>${escape(note)}</li>`).join('')}</ul>`]),
  ]);
  const style =
    'body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1f2328}' +
    'table{border-collapse:collapse;font-size:14px;display:block;overflow-x:auto}' +
    'td,th{border:1px solid #d0d7de;padding:4px 8px;text-align:right}td+td{white-space:nowrap}' +
    'td:first-child,th:first-child{text-align:left}' +
    'figure{margin:1rem 0}svg{max-width:100%;height:auto}';
  const title = 'The paper’s experiments, reproduced';
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>${title}</title><style>${style}</style></head><body>\n<h1>${title}</h1>\n` +
    `${paragraph(PREFACE)}\n${parts.join('\n')}\n</body></html>\n`
  );
}

/** The part of the README: the claim, the picture and its rows. `folder` is the path of the report relative to the README. */
export function headlineMarkdown(results: Results, folder: string): string {
  const [{ title, text, rows, picture }] = sectionsOf(results);
  return [
    ...(picture === null ? [] : [`![${title}](${folder}/${picture.name})`]),
    ...text,
    markdownTable(HEAD, rows),
    `All rows, settings and what the paper leaves open: [REPORT.md](${folder}/REPORT.md).`,
  ].join('\n\n');
}

/** Writes REPORT.md, report.html and the pictures into `folder`. */
export function writeReport(folder: string): Results {
  const results = readResults(folder);
  mkdirSync(folder, { recursive: true });
  for (const { picture } of sectionsOf(results)) {
    if (picture !== null) writeFileSync(join(folder, picture.name), picture.svg);
  }
  writeFileSync(join(folder, 'REPORT.md'), reportMarkdown(results));
  writeFileSync(join(folder, 'report.html'), reportHtml(results));
  return results;
}
