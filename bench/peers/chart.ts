/** The chart and the table of docs/benchmarks.md, generated from a peers-….json file. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { scaleLinear } from 'd3-scale';
import { formatPercent } from '../../engine/index.ts';
import { markdownTable, replaceBetween } from '../markdown.ts';
import type { KernelResult } from '../kernels/kernels.ts';
import type { Comparison } from '../measure.ts';
import { short } from '../measure.ts';
import { megabytes } from '../memory/memory.ts';
import type { PeersResult } from './peers.ts';
import { torchName } from './torch.ts';

interface Bar {
  readonly ratio: number;
  readonly quartiles: readonly [number, number];
  readonly color: string;
}

interface Row {
  readonly label: string;
  /** Smaller text after the label. */
  readonly detail: string;
  readonly bars: readonly Bar[];
}

interface Group {
  readonly title: string;
  readonly rows: readonly Row[];
  /** Colors with their meaning, if there are several. */
  readonly legend: readonly (readonly [string, string])[];
}

const COLORS = { step: '#0072b2', forward: '#00805e', gradInput: '#8f6400', gradWeight: '#a9527f' } as const;
const INK = '#1f2328';
const QUIET = '#59636e';
const GRID = '#e4e7eb';
/** The replacement of each color where the viewer prefers a dark page, as in curveSvg. */
const DARK: Readonly<Record<string, string>> = {
  '#ffffff': '#0d1117',
  [INK]: '#e6edf3',
  [QUIET]: '#9198a1',
  [GRID]: '#30363d',
  [COLORS.step]: '#4fa8e0',
  [COLORS.forward]: '#2fbf95',
  [COLORS.gradInput]: '#e6a82e',
  [COLORS.gradWeight]: '#dd94bb',
};
/** A class of the document, because styles of an SVG inside an HTML page apply to the whole page. */
const STYLE_CLASS = 'cyclegrad-bars';
const STYLE = `<style>@media (prefers-color-scheme: dark) { ${Object.entries(DARK)
  .flatMap(([light, dark]) =>
    ['fill', 'stroke'].map((what) => `.${STYLE_CLASS} [${what}="${light}"] { ${what}: ${dark} }`),
  )
  .join(' ')} }</style>`;
const FONT = 14;
const WIDTH = 960;
const LEFT = 300;
const RIGHT = 90;

function groupsOf({ networks, kernels }: PeersResult): Group[] {
  const bar = ({ ratio, ratioQuartiles }: Comparison, color: string): Bar => ({
    ratio,
    quartiles: ratioQuartiles,
    color,
  });
  const groups: Group[] = [];
  if (networks.length > 0) {
    const rows = networks.map((one) => ({
      label: one.title,
      detail: `batch ${one.batchSize}`,
      bars: [bar(one.comparison, COLORS.step)],
    }));
    groups.push({ title: 'One training step', rows, legend: [] });
  }
  const rows = new Map<string, Row>();
  for (const { task, torch } of kernels?.kernels ?? []) {
    if (torch === null) continue;
    const [label, detail, color] =
      task.kind === 'matmul'
        ? [`matmul ${task.n}×${task.n}`, '', COLORS.step]
        : [
            `${task.kernel}×${task.kernel}, ${task.inputs}→${task.outputs} channels`,
            `${task.size}×${task.size} px`,
            COLORS[task.pass],
          ];
    const key = `${label} ${detail}`;
    const row = rows.get(key) ?? { label, detail, bars: [] };
    rows.set(key, { ...row, bars: [...row.bars, bar(torch.comparison, color)] });
  }
  const all = [...rows.values()];
  const products = all.filter(({ label }) => label.startsWith('matmul'));
  const convolutions = all.filter(({ label }) => !label.startsWith('matmul'));
  if (products.length > 0) groups.push({ title: 'Matrix products', rows: products, legend: [] });
  if (convolutions.length > 0) {
    groups.push({
      title: 'Single convolutions',
      rows: convolutions,
      legend: [
        [COLORS.forward, 'forward'],
        [COLORS.gradInput, 'input gradient'],
        [COLORS.gradWeight, 'weight gradient'],
      ],
    });
  }
  return groups;
}

/** One SVG document with a background, whose colors follow `prefers-color-scheme`. Throws Error without a comparison with PyTorch. */
export function peersSvg(result: PeersResult): string {
  const groups = groupsOf(result);
  if (groups.length === 0)
    throw new Error(
      'chart: the file has no comparison with PyTorch (run npm run bench -- peers where PyTorch is installed)',
    );
  const { machine, baselines, config, date } = result;
  const pytorch = torchOf(baselines);
  const ratios = groups.flatMap(({ rows }) => rows.flatMap(({ bars }) => bars));
  const highest = Math.max(1.2, ...ratios.map(({ ratio, quartiles }) => Math.max(ratio, quartiles[1])));
  const across = scaleLinear([0, highest * 1.03], [LEFT, WIDTH - RIGHT]);
  const ticks = across.ticks(8);

  let y = 34;
  const body: string[] = [
    text(24, y, `Time relative to ${pytorch} (less is faster)`, { size: FONT + 5, weight: 600 }),
  ];
  y += 24;
  body.push(
    text(
      24,
      y,
      `cyclegrad ${result.versions.cyclegrad}, ${pytorch}, ${count(config.threads)} each, ` +
        `interleaved, median of ${config.pairs} pairs in ${config.starts} starts, whiskers: quartiles. ${machine.cpu}, ${date.slice(0, 10)}`,
      { size: FONT - 2, fill: QUIET },
    ),
  );
  y += 14;
  const top = y + 14;
  const drawn: string[] = [];
  const numbers: string[] = [];
  for (const { title, rows, legend } of groups) {
    y += 36;
    drawn.push(text(24, y, title, { weight: 600 }));
    // To the right of PyTorch's line, which would cross a name.
    let x = across(1) + 12;
    for (const [color, name] of legend) {
      const width = name.length * (FONT - 1) * 0.55 + 36;
      drawn.push(
        `<rect x="${px(x)}" y="${y - 15}" width="${px(width)}" height="20" fill="#ffffff"/>`,
        `<rect x="${px(x)}" y="${y - 10}" width="12" height="12" rx="2" fill="${color}"/>`,
        text(x + 18, y, name, { size: FONT - 1 }),
      );
      x += width;
    }
    y += 12;
    for (const { label, detail, bars } of rows) {
      const thick = bars.length === 1 ? 16 : 11;
      const height = bars.length * (thick + 2) + 8;
      const middle = y + height / 2;
      drawn.push(
        text(LEFT - 12, middle + FONT * 0.35, label, { anchor: 'end', detail }),
        ...bars.map((one, i) => drawBar(one, across, y + 4 + i * (thick + 2), thick)),
      );
      numbers.push(...bars.map((one, i) => drawNumber(one, across, y + 4 + i * (thick + 2), thick)));
      y += height;
    }
  }
  y += 10;
  const bottom = y;
  const axis = ticks.flatMap((tick) => [
    `<line x1="${px(across(tick))}" x2="${px(across(tick))}" y1="${top}" y2="${bottom}" stroke="${GRID}"/>`,
    text(across(tick), bottom + 20, `${tick}×`, { anchor: 'middle', size: FONT - 1, fill: QUIET }),
  ]);
  const even = px(across(1));
  const one = [
    `<line x1="${even}" x2="${even}" y1="${top}" y2="${bottom}" stroke="${INK}" stroke-width="1.5" stroke-dasharray="5 4"/>`,
    text(across(1), top - 5, pytorch, { anchor: 'middle', size: FONT - 1 }),
  ];
  const height = bottom + 34;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="${STYLE_CLASS}" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
      `font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="${FONT}" role="img">`,
    '<title>Time of training steps and operations relative to PyTorch</title>',
    STYLE,
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>`,
    ...body,
    ...axis,
    ...drawn,
    ...one,
    ...numbers,
    '</svg>\n',
  ].join('\n');
}

type Across = (ratio: number) => number;

function drawBar({ ratio, quartiles, color }: Bar, across: Across, y: number, thick: number): string {
  const [low, high] = quartiles.map(across) as [number, number];
  const middle = px(y + thick / 2);
  return [
    `<rect x="${px(across(0))}" y="${px(y)}" width="${px(across(ratio) - across(0))}" height="${thick}" fill="${color}"/>`,
    `<line x1="${px(low)}" x2="${px(high)}" y1="${middle}" y2="${middle}" stroke="${INK}" stroke-width="1.5"/>`,
  ].join('\n');
}

/** The number on a white background, drawn last, above the line of PyTorch. */
function drawNumber({ ratio, quartiles }: Bar, across: Across, y: number, thick: number): string {
  const x = Math.max(across(ratio), across(quartiles[1])) + 5;
  const size = thick < 14 ? FONT - 3 : FONT - 1;
  const content = short(ratio);
  const width = content.length * size * 0.62 + 4;
  return [
    `<rect x="${px(x - 1)}" y="${px(y)}" width="${px(width)}" height="${thick}" fill="#ffffff"/>`,
    text(x + 1, y + thick / 2 + FONT * 0.32, content, { size }),
  ].join('\n');
}

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly weight?: number;
  readonly fill?: string;
  readonly detail?: string;
}

function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { anchor = 'start', size = FONT, weight = 400, fill = INK, detail = '' } = style;
  const after =
    detail === '' ? '' : `<tspan dx="7" fill="${QUIET}" font-size="${FONT - 2}">${escape(detail)}</tspan>`;
  return (
    `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" ` +
    `fill="${fill}">${escape(content)}${after}</text>`
  );
}

const px = (value: number): string => String(Math.round(value * 100) / 100);

const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** The generated part of a page. `svg` is the path of the chart relative to the page, `json` the path of the result in the repository. */
export function peersMarkdown(result: PeersResult, svg: string, json: string): string {
  const {
    networks,
    threads,
    tfjs,
    jax,
    memory,
    machine,
    versions,
    baselines,
    config,
    skipped,
    kernels,
    limits,
  } = result;
  const rows = networks.map(
    ({ title, batchSize, comparison: { oursMs, theirsMs, ratio, ratioQuartiles } }) => [
      `${title}, batch ${batchSize}`,
      short(oursMs.median),
      short(theirsMs.median),
      short(ratio),
      ratioQuartiles.map(short).join(' … '),
    ],
  );
  const facts: string[] = [];
  if (threads !== null) {
    facts.push(
      `Caffe full on ${threads.threads[0]} threads is ${short(threads.speedUp)} times as fast as on one thread.`,
    );
  }
  if (kernels !== null) {
    const percent = (one: KernelResult): string => formatPercent(one.ofLimit, 0);
    const sorted = kernels.kernels.toSorted((a, b) => a.ofLimit - b.ofLimit);
    const products = kernels.kernels.filter(({ task }) => task.kind === 'matmul');
    facts.push(
      `Single operations reach ${percent(sorted[0])} to ${percent(sorted[sorted.length - 1])} of the machine's peak, which is a loop of ` +
        `multiply-adds in registers on as many threads (${limits.before.one.gflopPerSecond.toFixed(0)} GFLOP/s per thread). FLOPs ` +
        'are those of the direct computation, so Winograd convolutions can exceed 100%' +
        `${products.length === 0 ? '' : `. Matrix products reach ${products.map((one) => `${percent(one)} (n = ${one.task.kind === 'matmul' ? one.task.n : ''})`).join(', ')}`}.`,
    );
  }
  if (tfjs !== null) {
    facts.push(
      `TensorFlow.js ${tfjs.version} with its \`cpu\` backend takes ${thousands(1 / tfjs.comparison.ratio)} times as long for a step of ` +
        `Caffe full at batch ${tfjs.batchSize}.` +
        `${tfjs.wasmRefusal === null ? '' : ` Its \`wasm\` backend cannot train the network: “${tfjs.wasmRefusal}”.`}`,
    );
  }
  if (jax !== null) {
    facts.push(
      `jax-js ${jax.version} with its \`wasm\` backend takes ${thousands(1 / jax.comparison.ratio)} times as long for the forward pass and ` +
        'the weight gradient of the second convolution, the largest part of the step that it supports.',
    );
  }
  if (memory !== null) {
    const { peakBytes, startup } = memory;
    facts.push(
      `The peak memory of training Caffe full at batch 100 is ${megabytes(peakBytes.oneBatch)}, or ${megabytes(peakBytes.cifar10)} with all ` +
        `CIFAR-10 training images. The first step begins ${startup.fromImportMs.median.toFixed(0)} ms after the start of the import.`,
    );
  }
  for (const { name, reason } of skipped) facts.push(`Not measured: ${name}: ${reason}.`);
  const pytorch = torchOf(baselines);
  const head = ['training step', 'cyclegrad, ms', `${pytorch}, ms`, `ratio to ${pytorch}`, 'quartiles'];
  return [
    `![Time relative to ${pytorch}](${svg})`,
    '',
    ...(rows.length === 0 ? [] : [markdownTable(head, rows), '']),
    `Measured on ${result.date.slice(0, 10)} on ${machine.cpu} with ${count(config.threads)} for each engine: cyclegrad ${versions.cyclegrad} ` +
      `(commit ${versions.commit?.slice(0, 10) ?? 'unknown'}) on Node ${versions.node}, and PyTorch ${torchText(baselines.torch)}. ` +
      `Values are medians of ${config.pairs} interleaved pairs in ${config.starts} starts. All values are in \`${json}\`.`,
    '',
    ...facts.map((fact) => `- ${fact}`),
  ].join('\n');
}

function torchText(torch: PeersResult['baselines']['torch']): string {
  if (torch === null) return '(not installed)';
  const blas =
    torch.blas === null ? 'an unknown BLAS' : torch.blas === 'reference' ? 'the reference BLAS' : torch.blas;
  const allocator = (torch.allocator ?? 'glibc') === 'glibc' ? '' : ` and ${torch.allocator}`;
  return `${torch.torch} with ${blas}${allocator}, in the faster of its two memory layouts`;
}

const torchOf = ({ torch }: PeersResult['baselines']): string =>
  torch === null ? 'PyTorch' : torchName(torch);

const count = (threads: number): string => `${threads} thread${threads === 1 ? '' : 's'}`;

const thousands = (value: number): string => Number(value.toPrecision(2)).toLocaleString('en');

const RESULTS = 'bench/results';
const PAGE = 'docs/benchmarks.md';

function latest(): string {
  const files = readdirSync(RESULTS)
    .filter((name) => /^peers-.*\.json$/.test(name))
    .sort();
  const last = files.at(-1);
  if (last === undefined)
    throw new Error(`chart: no peers-….json in ${RESULTS} (run npm run bench -- peers first)`);
  return join(RESULTS, last);
}

interface ChartArguments {
  readonly from?: string;
  readonly out: string;
  readonly page: string | false;
}

export function addChart(program: Command): void {
  program
    .command('chart')
    .description(`Draw the chart of a peers-….json file, and write the table of ${PAGE}.`)
    .option('--from <file>', `the JSON file (default: the latest in ${RESULTS})`)
    .option('--out <file>', 'the chart', `${RESULTS}/peers.svg`)
    .option('--page <file>', 'the page with the markers <!-- peers --> and <!-- /peers -->', PAGE)
    .option('--no-page', 'do not write the page')
    .action(({ from = latest(), out, page }: ChartArguments) => {
      const result = JSON.parse(readFileSync(from, 'utf8')) as PeersResult;
      mkdirSync(dirname(out), { recursive: true });
      writeFileSync(out, peersSvg(result));
      console.log(`wrote ${out} from ${from}`);
      if (page === false) return;
      const svg = relative(dirname(page), out).replaceAll('\\', '/');
      writeFileSync(
        page,
        replaceBetween(readFileSync(page, 'utf8'), 'peers', peersMarkdown(result, svg, from)),
      );
      console.log(`wrote the table of ${page}`);
    });
}
