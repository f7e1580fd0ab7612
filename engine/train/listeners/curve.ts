/**
 * Line charts as SVG text: panels one above the other with a shared x axis. A pure function without a DOM, used by the report, the
 * benchmarks and the charts of schedules.
 */
import { scaleLinear, scaleLog } from 'd3-scale';
import {
  area,
  line,
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  type SymbolType,
} from 'd3-shape';
import { checkNumber, checkOptions, show } from '../../options.ts';
import { escape } from './markup.ts';

/** A line, or markers, of a chart. */
export interface CurveSeries {
  /** The name in the legend or at the end of the line. '' for a curve without a name. */
  readonly label: string;
  /** `[x, y]`, with ascending x. The line has a gap where y is not finite, or not positive on a logarithmic axis. */
  readonly points: readonly (readonly [number, number])[];
  /** Index into `panels`. Default 0. */
  readonly panel?: number;
  /** The lower and the upper border of an area behind the line, `[low, high]` for each point. Default: no area. */
  readonly area?: readonly (readonly [number, number])[];
  /** The y axis. Default 'left'. */
  readonly side?: 'left' | 'right';
  /** Any SVG color. Default: the next color of a palette for color-blind readers. */
  readonly color?: string;
  /** Line width in pixels. Default 2. */
  readonly width?: number;
  /** Opacity of the line, 0 to 1. Default 1. */
  readonly opacity?: number;
  /** Whether the line is dashed. Default false. */
  readonly dashed?: boolean;
  /** Whether to draw a dot on every point. Default: only for a single point. */
  readonly dots?: boolean;
  /** Draws this shape on every point instead of a line. `width` is about its radius. */
  readonly marker?: CurveMarker;
}

/** The shape of a marker. */
export type CurveMarker = 'circle' | 'square' | 'triangle' | 'diamond' | 'star' | 'cross';

const SYMBOLS: Readonly<Record<CurveMarker, SymbolType>> = {
  circle: symbolCircle,
  square: symbolSquare,
  triangle: symbolTriangle,
  diamond: symbolDiamond,
  star: symbolStar,
  cross: symbolCross,
};
/** An axis of a chart. */
export interface CurveAxis {
  /** The text beside the axis. */
  readonly label: string;
  /** Default 'linear'. */
  readonly scale?: 'linear' | 'log';
  /** 'percent' shows 0.5 as 50%. Default 'number'. */
  readonly format?: 'number' | 'percent';
  /** The range of the axis. Default: round numbers around the data. Curves are clipped to it. */
  readonly domain?: readonly [number, number];
}

/** A panel of a chart, with its y axes. */
export interface CurvePanel {
  /** The left y axis. */
  readonly left: CurveAxis;
  /** The right y axis. Default: none. */
  readonly right?: CurveAxis;
  /** Height relative to the other panels. Default 1. */
  readonly weight?: number;
  /**
   * Where the names of the curves are: in a 'legend' above the panel, at the 'ends' of the lines (markers stay in the legend), or
   * nowhere ('none'). Labels at the ends do not overlap each other, and need a panel without a right axis. Default 'legend'.
   */
  readonly labels?: 'legend' | 'ends' | 'none';
}

export interface CurveOptions {
  /** The panels from top to bottom. */
  readonly panels: readonly CurvePanel[];
  /** The line above the panels. Default: none. */
  readonly title?: string;
  /** A smaller line below the title. Default: none. */
  readonly subtitle?: string;
  /** The x axis. Default: linear, with the label 'steps'. */
  readonly x?: CurveAxis;
  /** Width of the chart in pixels. Default 960. */
  readonly width?: number;
  /** Height of the chart in pixels. Default 600. */
  readonly height?: number;
}

/** Hues of Okabe and Ito, dark enough for text on white (contrast of at least 4.5). */
export const PALETTE = ['#0072b2', '#c24f00', '#00805e', '#a9527f', '#8f6400', '#007f93', '#000000'];
const INK = '#1f2328';
const QUIET = '#59636e';
const GRID = '#e4e7eb';
const PAPER = '#ffffff';
/** The replacement of each color where the viewer prefers a dark page. Each has a contrast of at least 6.5, except the grid. */
const DARK: Readonly<Record<string, string>> = {
  [PAPER]: '#0d1117',
  [INK]: '#e6edf3',
  [QUIET]: '#9198a1',
  [GRID]: '#30363d',
  '#0072b2': '#4fa8e0',
  '#c24f00': '#f08545',
  '#00805e': '#2fbf95',
  '#a9527f': '#dd94bb',
  '#8f6400': '#e6a82e',
  '#007f93': '#54c5d8',
  '#000000': '#e6edf3',
};
/** A class of the document, because styles of an SVG inside an HTML page apply to the whole page. */
const STYLE_CLASS = 'cyclegrad-curves';
const STYLE = `<style>@media (prefers-color-scheme: dark) { ${Object.entries(DARK)
  .flatMap(([light, dark]) =>
    ['fill', 'stroke'].map((what) => `.${STYLE_CLASS} [${what}="${light}"] { ${what}: ${dark} }`),
  )
  .join(' ')} }</style>`;
const FONT = 15;
/** Average width of a character, in em. An estimate without a DOM, slightly too large, because text must not overlap. */
const CHARACTER = 0.53;
/** Average width of a digit, in em. */
const TICK_CHARACTER = 0.6;

/** The approximate maximum number of ticks on a y axis. */
const Y_TICKS = 6;

/** The part of a d3 scale that is used here. */
interface Scale {
  (value: number): number;
  invert(pixel: number): number;
}

interface Axis {
  readonly spec: CurveAxis;
  readonly place: Scale;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

interface Plot {
  readonly left: number;
  readonly right: number;
  /** The right edge of the chart. */
  readonly outerRight: number;
  readonly top: number;
  readonly bottom: number;
}

/**
 * Draws a line chart and returns it as one SVG document, whose colors follow `prefers-color-scheme`. Long series are reduced to the first, lowest, highest
 * and last point of each half pixel, which looks the same.
 *
 * Units: pixels for sizes.
 * Throws RangeError for a series in a panel or on an axis that does not exist, for an empty domain, and for labels at the ends
 * of lines in a panel with a right axis.
 *
 * @example
 * const points = Array.from({ length: 8000 }, (_, step) => [step, schedule(step)] as const);
 * const svg = curveSvg([{ label: 'triangular', points }], { panels: [{ left: { label: 'learning rate' } }] });
 */
export function curveSvg(series: readonly CurveSeries[], options: CurveOptions): string {
  checkOptions('curveSvg', options, ['panels', 'title', 'subtitle', 'x', 'width', 'height']);
  const { panels, title, subtitle, x = { label: 'steps' }, width = 960, height = 600 } = options;
  checkSeries(series, options);
  for (const [name, size] of Object.entries({ width, height })) {
    checkNumber('curveSvg', name, size, 'a number of pixels > 0', (pixels) => pixels > 0);
  }
  const curves = series.map((one, index) => resolve(one, index, panels));
  checkLabels(panels);

  const xAxisHeight = 52;
  let top = 18;
  const head: string[] = [];
  if (title !== undefined) {
    top += 12;
    head.push(text(width / 2, top, title, { size: FONT + 4, weight: 600 }));
    top += 12;
  }
  if (subtitle !== undefined) {
    top += 10;
    head.push(text(width / 2, top, subtitle, { size: FONT - 2, fill: QUIET }));
    top += 12;
  }

  const inPanel = panels.map((_, index) => curves.filter((curve) => curve.panel === index));
  const xs = curves.flatMap((curve) => curve.points.map((point) => point[0]));
  const leftSide = margin(panels, curves, 'left');
  const rightSide = Math.max(
    margin(panels, curves, 'right'),
    ...panels.map((panel, index) =>
      panel.labels === 'ends'
        ? labelMargin(inPanel[index], axis(x, xs, [0, 1], 2, false), width, leftSide)
        : 0,
    ),
  );
  const sides = { left: leftSide, right: rightSide };
  const span = width - sides.left - sides.right;
  const legends = inPanel.map((panelCurves, index) => legendRows(inLegend(panelCurves, panels[index]), span));
  const gap = 18;
  const legendHeights = legends.map((rows) => rows.length * 24 + 6);
  const fixedHeight = legendHeights.reduce((a, b) => a + b, 0) + gap * (panels.length - 1);
  const plotHeight = height - top - xAxisHeight - fixedHeight;
  const weights = panels.reduce((sum, panel) => sum + (panel.weight ?? 1), 0);

  const xRange: [number, number] = [sides.left, width - sides.right];
  // Not extended to the next tick: a run of 70,000 steps should end at the edge.
  const across = axis(x, xs, xRange, Math.max(2, Math.floor(span / 110)), false);

  const body: string[] = [];
  panels.forEach((panel, index) => {
    top += legendHeights[index];
    const plot: Plot = {
      left: xRange[0],
      right: xRange[1],
      outerRight: width,
      top,
      bottom: top + (plotHeight * (panel.weight ?? 1)) / weights,
    };
    body.push(
      drawPanel(panel, plot, across, inPanel[index], legends[index]),
      ...(index === panels.length - 1 ? [drawX(across, plot)] : []),
    );
    top = plot.bottom + gap;
  });

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="${STYLE_CLASS}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="${FONT}" role="img">`,
    `<title>${escape(title ?? curves.map((curve) => curve.label).join(', '))}</title>`,
    STYLE,
    `<rect width="${width}" height="${height}" rx="6" fill="${PAPER}"/>`,
    ...head,
    ...body,
    '</svg>\n',
  ].join('\n');
}

/** Throws TypeError unless series, panels and texts are what they should be. */
function checkSeries(series: unknown, { panels, title = '', subtitle = '' }: CurveOptions): void {
  const where = 'curveSvg';
  for (const [name, list] of Object.entries({ series, panels })) {
    if (Array.isArray(list)) continue;
    throw new TypeError(`${where}: ${name} must be an array, got ${show(list)}`);
  }
  for (const [name, given] of Object.entries({ title, subtitle })) {
    if (typeof given !== 'string')
      throw new TypeError(`${where}: ${name} must be a text, got ${show(given)}`);
  }
}

type Curve = Required<Omit<CurveSeries, 'marker' | 'area'>> & Pick<CurveSeries, 'marker' | 'area'>;

function resolve(one: CurveSeries, index: number, panels: readonly CurvePanel[]): Curve {
  const { panel = 0, side = 'left' } = one;
  if (panels[panel] === undefined) {
    throw new RangeError(
      `curveSvg: series '${one.label}' is in panel ${panel}, but there are ${panels.length}`,
    );
  }
  if (side === 'right' && panels[panel].right === undefined) {
    throw new RangeError(
      `curveSvg: series '${one.label}' is on the right axis of panel ${panel}, which has none`,
    );
  }
  if (one.area !== undefined && one.area.length !== one.points.length) {
    throw new RangeError(
      `curveSvg: series '${one.label}' has ${one.points.length} points, but its area has ${one.area.length}`,
    );
  }
  return {
    color: PALETTE[index % PALETTE.length],
    width: 2,
    opacity: 1,
    dashed: false,
    dots: one.points.length === 1,
    ...one,
    points: one.points.map(([x, y]) => [drawable(x), drawable(y)] as const),
    ...(one.area !== undefined && {
      area: one.area.map(([low, high]) => [drawable(low), drawable(high)] as const),
    }),
    panel,
    side,
  };
}

/** Differences of larger numbers overflow in d3. They are drawn at the edge. */
const LARGEST = 1e300;
/** Ticks of smaller numbers underflow in d3. They are drawn as 0. */
const SMALLEST = 1e-290;

/** A number as it is drawn. NaN stays NaN: it breaks the line. */
function drawable(value: number): number {
  if (Math.abs(value) < SMALLEST) return 0;
  return Number.isFinite(value) ? Math.max(-LARGEST, Math.min(LARGEST, value)) : value;
}

/** Throws RangeError for labels at the ends of lines where the right axis is. */
function checkLabels(panels: readonly CurvePanel[]): void {
  panels.forEach(({ labels, right }, index) => {
    if (labels !== 'ends' || right === undefined) return;
    throw new RangeError(
      `curveSvg: panel ${index} has labels: 'ends' and a right axis, whose ticks are in the same place (use labels: 'legend')`,
    );
  });
}

/** The y values of the series on one side. */
function heights(curves: readonly Curve[], side: 'left' | 'right'): number[] {
  return curves
    .filter((curve) => curve.side === side)
    .flatMap((curve) => [...curve.points.map((point) => point[1]), ...(curve.area ?? []).flat()]);
}

/** The margin beside the plots: the widest tick of any panel and the label of the axis, or less without an axis. */
function margin(panels: readonly CurvePanel[], curves: readonly Curve[], side: 'left' | 'right'): number {
  const widths = panels.flatMap((panel, index) => {
    const spec = panel[side];
    if (!spec) return [];
    const values = heights(
      curves.filter((curve) => curve.panel === index),
      side,
    );
    const { ticks } = axis(spec, values, [1, 0], Y_TICKS, true);
    return ticks.map((tick) => tick.text.length * FONT * TICK_CHARACTER + 54);
  });
  return widths.length === 0 ? 28 : Math.max(84, ...widths);
}

function axis(
  spec: CurveAxis,
  values: readonly number[],
  range: [number, number],
  tickCount: number,
  nice: boolean,
): Axis {
  const log = spec.scale === 'log';
  const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  const [low, high] = spec.domain ?? extent(usable, log);
  if (!(low < high) || (log && low <= 0)) {
    throw new RangeError(`curveSvg: axis '${spec.label}' has the empty domain [${low}, ${high}]`);
  }
  const scale = (log ? scaleLog() : scaleLinear()).domain([low, high]).range(range);
  if (nice && spec.domain === undefined) scale.nice(...(log ? [] : ([tickCount] as const)));
  const [from = low, to = high] = scale.domain();
  let ticks = scale.ticks(tickCount);
  if (log) {
    const powers = ticks.filter((tick) => Number.isInteger(round(Math.log10(tick))));
    if (powers.length >= 2) ticks = powers;
  }
  const linear = scaleLinear().domain([from, to]);
  const largest = Math.max(Math.abs(from), Math.abs(to));
  const percent = spec.format === 'percent';
  const format = percent
    ? linear.tickFormat(tickCount, '%')
    : log || largest < 1e-5 || largest >= 1e9
      ? short
      : linear.tickFormat(tickCount); // as many decimals as the distance between ticks needs
  return {
    spec,
    place: scale,
    ticks: ticks.map((value) => ({ value, text: value === 0 && !percent ? '0' : format(value) })),
  };
}

/** The range of the data, extended if it is empty or a single value. */
function extent(values: readonly number[], log: boolean): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (low < high) return [low, high];
  if (log) return [low / 2, low * 2];
  const around = low === 0 ? 1 : Math.abs(low) / 2;
  return [low - around, low + around];
}

function round(value: number): number {
  return Math.round(value * 1e9) / 1e9;
}

/** 0.00001, 100, but 1e-6 and 1e+9. */
function short(value: number): string {
  const size = Math.abs(value);
  const digits = Number(value.toPrecision(6));
  return size !== 0 && (size < 1e-5 || size >= 1e9) ? digits.toExponential() : String(digits);
}

function drawPanel(
  panel: CurvePanel,
  plot: Plot,
  across: Axis,
  curves: readonly Curve[],
  legend: readonly LegendRow[],
): string {
  const ticks = Math.min(Y_TICKS, Math.max(2, Math.floor((plot.bottom - plot.top) / 44)));
  const side = (spec: CurveAxis, which: 'left' | 'right'): Axis =>
    axis(spec, heights(curves, which), [plot.bottom, plot.top], ticks, true);
  const left = side(panel.left, 'left');
  const right = panel.right && side(panel.right, 'right');
  // Half a line wider than the plot, so lines on its border keep their width.
  const [x, y] = [px(plot.left - 1), px(plot.top - 1)];
  const [width, height] = [px(plot.right - plot.left + 2), px(plot.bottom - plot.top + 2)];
  // A page may contain several charts, whose ids must not collide. An id with all values is the same only for the same element.
  const clip = `clip-${x}-${y}-${width}-${height}`;
  const out = [
    `<clipPath id="${clip}"><rect x="${x}" y="${y}" width="${width}" height="${height}"/></clipPath>`,
    drawLegend(legend, plot),
  ];
  for (const { value } of across.ticks) {
    const at = px(across.place(value));
    out.push(`<line x1="${at}" x2="${at}" y1="${px(plot.top)}" y2="${px(plot.bottom)}" stroke="${GRID}"/>`);
  }
  for (const { value, text: label } of left.ticks) {
    const at = left.place(value);
    out.push(
      `<line x1="${px(plot.left)}" x2="${px(plot.right)}" y1="${px(at)}" y2="${px(at)}" stroke="${GRID}"/>`,
      text(plot.left - 10, at + FONT * 0.35, label, { anchor: 'end', kind: 'left-tick' }),
    );
  }
  for (const { value, text: label } of right?.ticks ?? []) {
    const at = right!.place(value);
    out.push(
      `<line x1="${px(plot.right)}" x2="${px(plot.right + 5)}" y1="${px(at)}" y2="${px(at)}" stroke="${QUIET}"/>`,
      text(plot.right + 10, at + FONT * 0.35, label, { anchor: 'start', kind: 'right-tick' }),
    );
  }
  const middle = (plot.top + plot.bottom) / 2;
  out.push(text(24, middle, panel.left.label, { turn: -90 }));
  if (panel.right) out.push(text(plot.outerRight - 24, middle, panel.right.label, { turn: 90 }));
  const placed = curves.map((curve) => place(curve, across, curve.side === 'left' ? left : right!));
  out.push(
    `<g clip-path="url(#${clip})">`,
    ...placed.map(drawArea),
    ...placed.filter(({ curve }) => curve.marker === undefined).map(drawLine),
    '</g>',
    `<path d="M${px(plot.left)},${px(plot.top)}V${px(plot.bottom)}H${px(plot.right)}${
      panel.right ? `V${px(plot.top)}` : ''
    }" fill="none" stroke="${QUIET}"/>`,
    // Dots on the border are drawn whole.
    ...placed.map((curve) => drawDots(curve, plot)),
    ...(panel.labels === 'ends' ? drawEnds(placed, plot) : []),
  );
  return out.filter((part) => part !== '').join('\n');
}

function drawX(across: Axis, plot: Plot): string {
  const out = across.ticks.map(({ value, text: label }) =>
    text(across.place(value), plot.bottom + FONT + 6, label, { kind: 'x-tick' }),
  );
  out.push(text((plot.left + plot.right) / 2, plot.bottom + 44, across.spec.label, {}));
  return out.join('\n');
}

/** A curve with the pixels of its points. */
interface Placed {
  readonly curve: Curve;
  readonly pixels: [number, number][];
  /** The borders of the area, in the order of the points. Empty without one. */
  readonly area: [number, number][];
}

const place = (curve: Curve, across: Axis, up: Axis): Placed => ({
  curve,
  pixels: curve.points.map(([x, y]) => [across.place(x), up.place(y)]),
  area: (curve.area ?? []).map(([low, high]) => [up.place(low), up.place(high)]),
});

const isDrawn = ([x, y]: readonly [number, number]): boolean => Number.isFinite(x) && Number.isFinite(y);

/** The area behind a line. */
function drawArea({ curve, pixels, area: borders }: Placed): string {
  if (borders.length === 0) return '';
  const path = area<number>()
    .defined((i) => [pixels[i][0], ...borders[i]].every(Number.isFinite))
    .digits(2)
    .x((i) => pixels[i][0])
    .y0((i) => borders[i][0])
    .y1((i) => borders[i][1])([...pixels.keys()]);
  return `<path d="${path ?? ''}" fill="${escape(curve.color)}" fill-opacity="0.2"/>`;
}

function drawLine({ curve, pixels }: Placed): string {
  const path = line().defined(isDrawn).digits(2)(thin(pixels)) ?? '';
  return (
    `<path data-series="${escape(curve.label)}" d="${path}" fill="none" stroke="${escape(curve.color)}" ` +
    `stroke-width="${curve.width}" stroke-linejoin="round"` +
    `${curve.opacity < 1 ? ` stroke-opacity="${curve.opacity}"` : ''}` +
    `${curve.dashed ? ' stroke-dasharray="6 4"' : ''}/>`
  );
}

/** The dots or markers of a curve that are inside the plot. */
function drawDots({ curve, pixels }: Placed, plot: Plot): string {
  const inside = pixels.filter(
    ([x, y]) =>
      x >= plot.left - 0.5 && x <= plot.right + 0.5 && y >= plot.top - 0.5 && y <= plot.bottom + 0.5,
  );
  if (curve.marker !== undefined) return inside.map(([x, y]) => drawMarker(curve, x, y)).join('\n');
  if (!curve.dots) return '';
  return inside
    .map(
      ([x, y]) =>
        `<circle cx="${px(x)}" cy="${px(y)}" r="${curve.width + 1.2}" fill="${escape(curve.color)}"/>`,
    )
    .join('\n');
}

/** The labels at the ends of the lines of a panel. */
const END_FONT = FONT - 1;
const END_LINE = 18;
/** The distance between the end of a line and its label, without and with a leader between them. */
const END_NEAR = 12;
const END_FAR = 24;

const hasEnd = ({ label, marker }: Curve): boolean => label !== '' && marker === undefined;
const endWidth = ({ label }: Curve): number => label.length * END_FONT * CHARACTER;

/** The right margin with which every label at the end of a line fits into the image. `across` maps x to 0 … 1. */
function labelMargin(curves: readonly Curve[], across: Axis, width: number, left: number): number {
  const needed = curves.filter(hasEnd).map((curve) => {
    const end = curve.points.findLast(isDrawn);
    const at = end === undefined ? 0 : across.place(end[0]);
    const room = width - left - END_FAR - endWidth(curve) - 8;
    return at > 0 ? width - left - room / at : 0;
  });
  return Math.max(0, ...needed);
}

function drawEnds(placed: readonly Placed[], plot: Plot): string[] {
  const ends = placed
    .filter(({ curve }) => hasEnd(curve))
    .flatMap(({ curve, pixels }) => {
      const end = pixels.findLast(isDrawn);
      if (end === undefined) return [];
      const y = Math.min(plot.bottom, Math.max(plot.top, end[1]));
      return [{ curve, x: end[0], y, until: end[0] + END_FAR + endWidth(curve) }];
    })
    .sort((a, b) => a.x - b.x);
  // Only labels that share a part of the x axis can overlap.
  const groups: (typeof ends)[] = [];
  let until = -Infinity;
  for (const end of ends) {
    if (end.x > until) groups.push([]);
    groups[groups.length - 1].push(end);
    until = Math.max(until, end.until);
  }
  return groups.flatMap((group) => {
    const sorted = group.toSorted((a, b) => a.y - b.y);
    const half = END_LINE / 2;
    const at = spread(
      sorted.map(({ y }) => y),
      END_LINE,
      plot.top + half,
      plot.bottom - half,
    );
    const far = sorted.some(({ y }, i) => Math.abs(at[i] - y) > 4);
    return sorted.flatMap(({ curve, x, y }, i) => {
      const textX = x + (far ? END_FAR : END_NEAR);
      const leader =
        `<line x1="${px(x + 3)}" x2="${px(textX - 4)}" y1="${px(y)}" y2="${px(at[i])}" stroke="${escape(curve.color)}" ` +
        'stroke-width="1"/>';
      return [
        ...(far ? [leader] : []),
        text(textX, at[i] + END_FONT * 0.35, curve.label, {
          anchor: 'start',
          size: END_FONT,
          fill: escape(curve.color),
          kind: 'end',
          halo: true,
        }),
      ];
    });
  });
}

/** Positions at least `gap` apart, as near as possible (least squares) to the ascending `wanted` ones, between `low` and `high`. */
function spread(wanted: readonly number[], gap: number, low: number, high: number): number[] {
  // Without the gaps, positions only have to ascend: blocks whose means are in the wrong order are merged.
  const blocks: { sum: number; count: number }[] = [];
  wanted.forEach((y, i) => {
    let block = { sum: y - i * gap, count: 1 };
    for (
      let last = blocks.at(-1);
      last && last.sum / last.count > block.sum / block.count;
      last = blocks.at(-1)
    ) {
      block = { sum: last.sum + block.sum, count: last.count + block.count };
      blocks.pop();
    }
    blocks.push(block);
  });
  const highest = high - (wanted.length - 1) * gap;
  return blocks
    .flatMap(({ sum, count }) =>
      Array.from({ length: count }, () => Math.max(low, Math.min(highest, sum / count))),
    )
    .map((y, i) => y + i * gap);
}

/** A shape with a white border, which stays visible on a line. */
function drawMarker({ marker, width, color, label }: Curve, x: number, y: number): string {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return '';
  const shape = symbol(SYMBOLS[marker!], Math.PI * (width + 2) ** 2).digits(2)();
  return (
    `<path data-series="${escape(label)}" d="${shape}" transform="translate(${px(x)} ${px(y)})" fill="${escape(color)}" ` +
    `stroke="${PAPER}" stroke-width="1.5"/>`
  );
}

/** The first, lowest, highest and last point of every half pixel, which looks the same with fewer points. */
function thin(pixels: readonly [number, number][]): [number, number][] {
  const out: [number, number][] = [];
  for (let start = 0; start < pixels.length;) {
    const column = Math.floor(pixels[start][0] * 2);
    let end = start;
    let low = start;
    let high = start;
    let gap = start;
    for (; end < pixels.length && Math.floor(pixels[end][0] * 2) === column; end++) {
      if (!Number.isFinite(pixels[end][1])) gap = end;
      if (pixels[end][1] < pixels[low][1]) low = end;
      if (pixels[end][1] > pixels[high][1]) high = end;
    }
    if (end === start) end++; // x is not finite
    const kept = new Set([start, low, high, gap, end - 1]);
    for (const index of [...kept].sort((a, b) => a - b)) out.push(pixels[index]);
    start = end;
  }
  return out;
}

interface LegendRow {
  readonly items: readonly { readonly curve: Curve; readonly at: number }[];
}

const SWATCH = 26;

/** The curves of the legend: with labels at the ends, one for each name of markers. */
function inLegend(curves: readonly Curve[], { labels = 'legend' }: CurvePanel): readonly Curve[] {
  if (labels === 'legend') return curves.filter(({ label }) => label !== '');
  if (labels === 'none') return [];
  const markers = curves.filter(({ label, marker }) => label !== '' && marker !== undefined);
  return [...new Set(markers.map(({ label }) => label))].map((label) => {
    const same = markers.filter((curve) => curve.label === label);
    return same.every(({ color }) => color === same[0].color) ? same[0] : { ...same[0], color: INK };
  });
}

function legendRows(curves: readonly Curve[], span: number): LegendRow[] {
  const rows: { curve: Curve; at: number }[][] = [];
  let at = Infinity;
  for (const curve of curves) {
    const itemWidth = SWATCH + 8 + curve.label.length * FONT * CHARACTER + 22;
    if (at + itemWidth > span && (at > 0 || rows.length === 0)) {
      rows.push([]);
      at = 0;
    }
    rows[rows.length - 1].push({ curve, at });
    at += itemWidth;
  }
  return rows.map((items) => ({ items }));
}

function drawLegend(rows: readonly LegendRow[], plot: Plot): string {
  const out: string[] = [];
  rows.forEach(({ items }, row) => {
    const y = plot.top - 14 - (rows.length - 1 - row) * 24;
    for (const { curve, at } of items) {
      const x = plot.left + at;
      const opacity = Math.max(curve.opacity, 0.5); // the key of a faint line must be visible
      if (curve.marker !== undefined) {
        out.push(
          drawMarker(curve, x + SWATCH / 2, y),
          text(x + SWATCH + 8, y + FONT * 0.35, curve.label, { anchor: 'start' }),
        );
        continue;
      }
      out.push(
        `<line x1="${px(x)}" x2="${px(x + SWATCH)}" y1="${px(y)}" y2="${px(y)}" stroke="${escape(curve.color)}" ` +
          `stroke-width="${Math.max(curve.width, 2)}" stroke-opacity="${opacity}"` +
          `${curve.dashed ? ' stroke-dasharray="6 4"' : ''}/>`,
      );
      if (curve.dots) {
        out.push(
          `<circle cx="${px(x + SWATCH / 2)}" cy="${px(y)}" r="${curve.width + 1.2}" fill="${escape(curve.color)}"/>`,
        );
      }
      out.push(text(x + SWATCH + 8, y + FONT * 0.35, curve.label, { anchor: 'start' }));
    }
  });
  return out.join('\n');
}

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly weight?: number;
  readonly fill?: string;
  readonly turn?: number;
  readonly kind?: string;
  /** An outline in the color of the background, which separates the text from lines behind it. */
  readonly halo?: boolean;
}

function text(x: number, y: number, content: string, style: TextStyle): string {
  const { anchor = 'middle', size, weight, fill = INK, turn, kind, halo = false } = style;
  return (
    `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}" fill="${fill}"` +
    `${kind === undefined ? '' : ` class="${kind}"`}` +
    `${size === undefined ? '' : ` font-size="${size}"`}` +
    `${weight === undefined ? '' : ` font-weight="${weight}"`}` +
    `${halo ? ` stroke="${PAPER}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"` : ''}` +
    `${turn === undefined ? '' : ` transform="rotate(${turn} ${px(x)} ${px(y)})"`}` +
    `>${escape(content)}</text>`
  );
}

function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}
