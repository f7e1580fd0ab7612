/** A chart with a heading that names its lines and their values at the cursor. */
import uPlot from 'uplot';
import { cssVariable, h } from './dom.ts';
import { short, thousands } from './format.ts';

/** A line of a chart. `x` ascends. */
export interface Line {
  readonly label: string;
  /** A CSS variable. */
  readonly color: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly width?: number;
  readonly faint?: boolean;
  readonly dashed?: boolean;
  readonly dots?: boolean;
}

export type Range = readonly [number, number];

export interface PanelOptions {
  readonly title: string;
  /** Height of the plot in pixels. */
  readonly height: number;
  readonly format?: (value: number) => string;
  /** Panels with the same name move their cursors together. */
  readonly group?: string;
  /** Whether to label the horizontal axis. Default true. */
  readonly xLabel?: string | null;
  readonly xFormat?: (value: number) => string;
  /** Whether the horizontal axis is logarithmic. Default false. */
  readonly log?: boolean;
  /** A range was selected by dragging. Null: the selection was taken back by a double click. */
  readonly onZoom?: (range: Range | null) => void;
  /** Draws above the lines. */
  readonly overlay?: (plot: uPlot) => void;
}

/** The width of the vertical axes, so that panels one above the other line up. */
const AXIS_WIDTH = 58;

export class Panel {
  readonly element: HTMLElement;
  plot: uPlot | null = null;
  readonly #options: PanelOptions;
  readonly #values: HTMLElement;
  readonly #holder: HTMLElement;
  #lines: readonly Line[] = [];
  #data: uPlot.AlignedData = [[]];
  #range: Range = [0, 1];
  #shape = '';

  constructor(options: PanelOptions) {
    this.#options = options;
    this.#values = h('span', { class: 'values' });
    // What an overlay adds can be operated, and an image has no such parts.
    const role = options.overlay === undefined ? 'img' : 'group';
    this.#holder = h('div', { class: 'plot', tabindex: 0, role });
    this.element = h(
      'section',
      { class: 'panel' },
      h('h2', {}, options.title, ' ', this.#values),
      this.#holder,
    );
    new ResizeObserver(() => this.#resize()).observe(this.#holder);
    this.#holder.addEventListener('keydown', (event) => this.#move(event));
    this.#holder.addEventListener('blur', () => this.plot?.setCursor({ left: -10, top: -10 }));
  }

  /** Shows lines over a range of the horizontal axis. */
  show(lines: readonly Line[], range: Range): void {
    this.#lines = lines;
    this.#range = range;
    this.#data =
      lines.length === 0 ? [[]] : uPlot.join(lines.map(({ x, y }) => [[...x], [...y]] as uPlot.AlignedData));
    const shape = JSON.stringify(lines.map((line) => ({ ...line, x: null, y: null })));
    if (shape !== this.#shape || this.plot === null) {
      this.#shape = shape;
      this.redraw();
    } else {
      this.plot.setData(this.#data, false);
      this.plot.setScale('x', { min: range[0], max: range[1] });
    }
    this.#name();
  }

  /** Draws everything again, with the colors of the current theme. */
  redraw(): void {
    this.plot?.destroy();
    const width = this.#holder.clientWidth;
    if (width === 0) {
      this.plot = null; // hidden; the observer draws it when it is shown
      return;
    }
    this.plot = new uPlot(this.#settings(width), this.#data, this.#holder);
    const [min, max] = this.#range;
    this.plot.setScale('x', { min, max });
  }

  #resize(): void {
    const width = this.#holder.clientWidth;
    if (width === 0) return;
    if (this.plot === null) this.redraw();
    else if (this.plot.width !== width) this.plot.setSize({ width, height: this.#options.height });
  }

  #settings(width: number): uPlot.Options {
    const { height, group, format = short, xLabel = null, xFormat = thousands, log = false } = this.#options;
    const { onZoom, overlay } = this.#options;
    const [ink, grid] = [cssVariable('--quiet'), cssVariable('--grid')];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    return {
      width,
      height,
      legend: { show: false },
      padding: [8, 12, xLabel === null ? 4 : 0, 0],
      scales: {
        x: { time: false, ...(log && { distr: 3 as const }) },
        y: { range: { min: { pad: 0.08 }, max: { pad: 0.08 } } },
      },
      axes: [
        {
          ...axis,
          size: xLabel === null ? 22 : 26,
          gap: xLabel === null ? 2 : 6,
          values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : xFormat(tick))),
          ...(xLabel !== null && { label: xLabel, labelFont: font, labelSize: 18, labelGap: 0 }),
        },
        { ...axis, size: AXIS_WIDTH, values: (_, ticks) => ticks.map(format) },
      ],
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: onZoom !== undefined, y: false, setScale: false },
        ...(group !== undefined && { sync: { key: group } }),
        bind: {
          dblclick: () => () => {
            onZoom?.(null);
            return null;
          },
        },
      },
      series: [
        {},
        ...this.#lines.map(({ label, color, width: stroke = 1.5, faint, dashed, dots }) => ({
          label,
          stroke: cssVariable(color),
          width: stroke,
          alpha: faint ? 0.45 : 1,
          spanGaps: true,
          ...(dashed && { dash: [6, 4] }),
          points: { show: dots ?? false, size: 5, fill: cssVariable(color) },
        })),
      ],
      hooks: {
        setCursor: [() => this.#name()],
        setSelect: [
          (plot) => {
            const { left, width: selected } = plot.select;
            if (selected < 4 || onZoom === undefined) return;
            const range = [plot.posToVal(left, 'x'), plot.posToVal(left + selected, 'x')] as const;
            plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            onZoom(range);
          },
        ],
        ...(overlay && { draw: [overlay] }),
      },
    };
  }

  /** The names of the lines with their values at the cursor, or their last ones. */
  #name(): void {
    const { format = short, xFormat = thousands } = this.#options;
    const index = this.plot?.cursor.idx ?? null;
    const at = index === null ? null : (this.#data[0][index] ?? null);
    const parts = this.#lines.map(({ label, color, faint = false, x, y }) => {
      const last = at === null ? y.length - 1 : lastUpTo(x, at);
      const value = y[last];
      return { label, color, faint, text: value === undefined || Number.isNaN(value) ? '' : format(value) };
    });
    const where = at === null ? '' : `at ${xFormat(at)}`;
    const names = parts.map(({ label, color, faint, text }) =>
      h('span', { class: 'value' }, swatch(color, faint), `${label} `, h('b', {}, text)),
    );
    this.#values.replaceChildren(...names, ...(where === '' ? [] : [h('span', { class: 'where' }, where)]));
    const summary = `${this.#options.title} ${where}: ${parts.map(({ label, text }) => `${label} ${text}`).join(', ')}`;
    this.#holder.setAttribute('aria-label', `${summary}. Arrow keys move the cursor.`);
  }

  /** Moves the cursor with the arrow keys. */
  #move(event: KeyboardEvent): void {
    const plot = this.plot;
    const size = this.#data[0].length;
    if (plot === null || size === 0) return;
    const stride = event.shiftKey ? Math.ceil(size / 20) : 1;
    const moves: Record<string, (index: number) => number> = {
      ArrowLeft: (index) => index - stride,
      ArrowRight: (index) => index + stride,
      Home: () => 0,
      End: () => size - 1,
    };
    const move = moves[event.key];
    if (move === undefined) {
      if (event.key === 'Escape') this.#options.onZoom?.(null);
      return;
    }
    event.preventDefault();
    const index = Math.min(size - 1, Math.max(0, move(plot.cursor.idx ?? size - 1)));
    plot.setCursor({ left: plot.valToPos(this.#data[0][index], 'x'), top: 10 });
  }
}

/** A square in the color of a line. */
function swatch(color: string, faint: boolean): HTMLElement {
  const square = h('span', { class: faint ? 'swatch faint' : 'swatch', 'aria-hidden': 'true' });
  square.style.background = `var(${color})`;
  return square;
}

/** The index of the last element that is at most `value`. */
function lastUpTo(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
